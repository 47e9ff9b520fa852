-- Requests to one account's CalDAV server: credentials, redirects, bounds, and the refusals that every request shares.
local errors = require "lunation.errors"
local failure = require "lunation.caldav.failure"
local href = require "lunation.caldav.href"
local http = require "lunation.http"
local multistatus = require "lunation.caldav.multistatus"
local timer = require "lunation.timer"

local M = {}

-- A calendar's whole listing, or a batch of event bodies, fits; a server that streams without end does not.
local max_answer = 64 * 1024 * 1024
local max_redirects = 5
local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

---@class caldav.Session
---@field account table
---@field provider string        name of the provider, named in errors
---@field refusal string?        sentence for people on 401
---@field auth table?            of lunation.http
---@field timeout number         seconds for one request
---@field max_answer integer     bytes of one answer
local Session = {}
Session.__index = Session

---A session of an account. Nothing is sent yet.
---@param account table  with .credentials ({username=,password=} or {token=}) and .guard
---@param options {provider:string?, refusal:string?, timeout:number?, max_answer:integer?}?
---@return caldav.Session
function M.new(account, options)
  options = options or {}
  local credentials = account.credentials or {}
  local auth
  if credentials.token then
    auth = { kind = "bearer", token = credentials.token }
  elseif credentials.username or account.username then
    auth = { kind = "basic", username = credentials.username or account.username, password = credentials.password or "" }
  end
  return setmetatable({
    account = account, provider = options.provider or account.provider or "caldav", refusal = options.refusal, auth = auth,
    timeout = options.timeout or account.timeout or 30, max_answer = options.max_answer or max_answer,
  }, Session)
end

-- Credentials follow the server to another host, for it has them already and says where the account lives,
-- but never from an encrypted connection to an open one.
local function downgrade(from, to)
  return from:sub(1, 8) == "https://" and to:sub(1, 8) ~= "https://"
end

---Sends a request as it is and follows redirects with the same method and body.
---@param request {method:string, url:string, headers:table?, body:string?, max_body:integer?, timeout:number?}
---@return {status:integer, headers:table, body:string, url:string}?, lunation.Error? err
function Session:send(request)
  local url = request.url
  for _ = 0, max_redirects do
    local headers = { ["accept"] = "*/*" }
    for name, value in pairs(request.headers or {}) do headers[name] = value end
    local answer, err = http.request {
      method = request.method, url = url, headers = headers, body = request.body, auth = self.auth, guard = self.account.guard,
      timeout = request.timeout or self.timeout, max_body = request.max_body or self.max_answer, follow = 0,
    }
    if not answer then return nil, self:name(failure.transport(err)) end
    local location = redirects[answer.status] and answer.headers["location"]
    if not location then
      answer.url = url
      return answer
    end
    local target = href.resolve(url, location)
    if not target then return nil, self:name(failure.not_dav()) end
    if downgrade(url, target) then
      return nil, self:name(errors.new("provider_error", "The server redirects from a secure address to an insecure one.", { cause = "tls" }))
    end
    url = target
  end
  return nil, self:name(errors.new("provider_error", "The server redirects without end.", { cause = "redirects" }))
end

---Puts the provider's name into an error.
---@param err lunation.Error
---@return lunation.Error
function Session:name(err)
  err.provider = self.provider
  return err
end

---The error of an answer that is no success.
---@param answer table
---@param fields table?
---@return lunation.Error
function Session:refuse(answer, fields)
  fields = fields or {}
  if answer.status == 401 then
    local message = self.refusal or (self.auth and self.auth.kind == "bearer" and "The server did not accept the access token.")
      or "The server did not accept the user name or the password."
    fields.upstream_status = 401
    return self:name(errors.new("unauthorized", message, fields))
  end
  fields.retry_after = failure.retry_after(answer.headers["retry-after"], timer.time())
  return self:name(failure.of(answer.status, multistatus.condition(answer.body), fields))
end

---Sends a request; any status outside 200 to 299 is an error.
---@param request table  as for send
---@return table? answer, lunation.Error? err
function Session:request(request)
  local answer, err = self:send(request)
  if not answer then return nil, err end
  if answer.status < 200 or answer.status > 299 then return nil, self:refuse(answer), answer end
  return answer
end

local namespaces = ' xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"'
  .. ' xmlns:S="http://calendarserver.org/ns/" xmlns:A="http://apple.com/ns/ical/"'

---Sends an XML request that is answered with 207.
---@param method "PROPFIND"|"REPORT"
---@param url string
---@param depth "0"|"1"
---@param element string  name of the document element with prefix D, C, S or A
---@param content string  XML inside it
---@return caldav.Multistatus?, lunation.Error? err, table? answer
function Session:multistatus(method, url, depth, element, content)
  local answer, err, refused = self:request {
    method = method, url = url,
    headers = { ["depth"] = depth, ["content-type"] = "application/xml; charset=utf-8", ["accept"] = "application/xml, text/xml" },
    body = '<?xml version="1.0" encoding="utf-8"?>\n<' .. element .. namespaces .. ">" .. content .. "</" .. element .. ">",
  }
  if not answer then return nil, err, refused end
  if answer.status ~= 207 then return nil, self:name(failure.not_dav()), answer end
  local result, unreadable = multistatus.read(answer.body, answer.url, self.max_answer)
  if not result then return nil, self:name(unreadable), answer end
  return result, nil, answer
end

---PROPFIND for named properties (RFC 4918 section 9.1).
---@param url string
---@param depth "0"|"1"
---@param names string[]  prefixed names: "D:getetag"
---@return caldav.Multistatus?, lunation.Error? err, table? answer
function Session:propfind(url, depth, names)
  return self:multistatus("PROPFIND", url, depth, "D:propfind", "<D:prop><" .. table.concat(names, "/><") .. "/></D:prop>")
end

---@param url string
---@param depth "0"|"1"
---@param element string
---@param content string
---@return caldav.Multistatus?, lunation.Error? err, table? answer
function Session:report(url, depth, element, content)
  return self:multistatus("REPORT", url, depth, element, content)
end

return M
