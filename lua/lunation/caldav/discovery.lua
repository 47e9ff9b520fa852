-- Finds an account from what a person types: a domain, a server, a principal, a collection of calendars or one calendar.
-- RFC 6764 (well-known address), RFC 5397 (current-user-principal), RFC 4791 section 6.2.1 (calendar-home-set),
-- RFC 6638 section 2 (outbox, addresses). Every answer may point to another host.
local errors = require "lunation.errors"
local failure = require "lunation.caldav.failure"
local href = require "lunation.caldav.href"
local multistatus = require "lunation.caldav.multistatus"
local servers = require "lunation.caldav.servers"

local M = {}

local dav, caldav = multistatus.dav, multistatus.caldav

local entry_properties = { "D:resourcetype", "D:displayname", "D:current-user-principal", "D:principal-URL", "C:calendar-home-set" }
local principal_properties = {
  "D:resourcetype", "D:displayname", "C:calendar-home-set", "C:calendar-user-address-set", "C:schedule-outbox-URL", "C:schedule-inbox-URL",
}

---@class caldav.Settings
---@field principal string?
---@field homes string[]             collections that hold the calendars
---@field calendars string[]?        single calendars, where the server names no home
---@field server caldav.Traits
---@field scheduling {auto:boolean, outbox:string?, inbox:string?, addresses:string[]}

---The address that a person's input means, with a scheme.
---@param text string
---@return string?, lunation.Error? err
function M.address(text)
  text = (text or ""):match("^%s*(.-)%s*$")
  local domain = text:match("^[^@/%s]+@([^@/%s]+)$")
  if domain then text = domain end
  if text ~= "" and not text:find("^%a[%w+.-]*://") then text = "https://" .. text end
  local url = href.canonical(text)
  if not url then return nil, errors.new("invalid_request", "This is not the address of a server.", { field = "url" }) end
  return url
end

local function is(response, ns, name)
  local node = response and response:node(dav, "resourcetype")
  return node and node:child(ns, name) ~= nil
end

-- An answer of a guessed address that says "there is no calendar server here", not "you may not".
local function elsewhere(err)
  return err.cause == "not_dav" or err.upstream_status and err.upstream_status ~= 401 and err.upstream_status ~= 429 and err.upstream_status < 500
end

-- PROPFIND on one address for what leads on from there. Servers answer for the address asked, whatever they call it.
local function look(session, url, names)
  local result, err = session:propfind(url, "0", names)
  if not result then return nil, err end
  local response = result.responses[1]
  if not response then return nil, session:name(failure.not_dav()) end
  if response.status and response.status >= 400 then return nil, session:name(failure.of(response.status, response.condition)) end
  response.asked = result.url
  return response
end

local function candidates(url)
  local parts = href.parse(url)
  local origin = href.origin(url)
  if parts.path == "/" then return { origin .. "/.well-known/caldav", url } end
  return { url, origin .. "/.well-known/caldav", origin .. "/" }
end

-- The first address that answers as a calendar server and leads somewhere.
local function enter(session, url)
  local first_error, hollow
  for _, candidate in ipairs(candidates(url)) do
    local response, err = look(session, candidate, entry_properties)
    if response then
      local principal = response:node(dav, "current-user-principal")
      if principal and principal:child(dav, "unauthenticated") and session.auth then
        return nil, session:refuse { status = 401, headers = {} }
      end
      if response:hrefs(dav, "current-user-principal")[1] or response:hrefs(caldav, "calendar-home-set")[1]
        or response:hrefs(dav, "principal-URL")[1] or is(response, caldav, "calendar") then
        return response
      end
      hollow = hollow or response
    elseif not elsewhere(err) then
      return nil, err
    else
      first_error = first_error or err
    end
  end
  if hollow then return hollow end
  return nil, first_error
end

local function unique(list)
  local seen, out = {}, {}
  for _, value in ipairs(list) do
    if not seen[value] then
      seen[value] = true
      out[#out + 1] = value
    end
  end
  return out
end

-- "mailto:" addresses of a principal, lower case, the preferred one first.
local function addresses(principal)
  local list = {}
  local node = principal:node(caldav, "calendar-user-address-set")
  for _, child in ipairs(node and node:children(dav, "href") or {}) do
    local mail = (child.text or ""):match("^%s*[Mm][Aa][Ii][Ll][Tt][Oo]:(%S+)%s*$")
    if mail then
      local preferred = child.attrs and child.attrs.preferred == "1"
      table.insert(list, preferred and 1 or #list + 1, mail:lower())
    end
  end
  return unique(list)
end

-- What the server says about itself; OPTIONS is answered by every WebDAV server (RFC 4918 section 10.1).
local function capabilities(session, url)
  local answer, err = session:send { method = "OPTIONS", url = url }
  if not answer then return nil, err end
  return answer.headers
end

local function identity(account, settings)
  local username = account.credentials and account.credentials.username or account.username
  local parts = href.parse(settings.principal or settings.homes[1] or settings.calendars[1])
  local host = parts.host .. (parts.port and ":" .. parts.port or "")
  if username and username:find("@", 1, true) then return username end
  if not username or username == "" then
    username = href.decode(href.name((settings.principal or settings.homes[1] or settings.calendars[1]):gsub("/+$", "")))
  end
  return username .. "@" .. host
end

---Verifies an account and finds where its calendars are.
---@param session caldav.Session
---@param account table  .url is what the person gave
---@return {identity:string, name:string, url:string, settings:caldav.Settings}?, lunation.Error? err
function M.identify(session, account)
  local url, err = M.address(account.url)
  if not url then return nil, err end
  local entry
  entry, err = enter(session, url)
  if not entry then return nil, err end

  local settings = { homes = {} }
  local homes = entry:hrefs(caldav, "calendar-home-set")
  local principal_url = entry:hrefs(dav, "current-user-principal")[1] or entry:hrefs(dav, "principal-URL")[1]
  if not principal_url and #homes > 0 then principal_url = entry.href end
  local principal
  if principal_url then
    principal, err = look(session, principal_url, principal_properties)
    if not principal and (not elsewhere(err) or #homes == 0 and not is(entry, dav, "collection")) then return nil, err end
  end
  if principal then
    settings.principal = principal.asked
    local own = principal:hrefs(caldav, "calendar-home-set")
    if #own > 0 then homes = own end
  end
  for _, home in ipairs(homes) do settings.homes[#settings.homes + 1] = href.collection(home) end
  settings.homes = unique(settings.homes)
  if #settings.homes == 0 then
    -- No home is named: the address itself is a calendar, or the collection that holds them.
    if is(entry, caldav, "calendar") then
      settings.calendars = { href.collection(entry.asked) }
    elseif is(entry, dav, "collection") then
      settings.homes = { href.collection(entry.asked) }
    else
      return nil, session:name(errors.new("provider_error", "The server answers, but it names no calendars for this account.", { cause = "no_home" }))
    end
  end

  local headers
  headers, err = capabilities(session, settings.homes[1] or settings.calendars[1])
  if not headers then return nil, err end
  settings.server = servers.recognize(headers)
  local outbox = principal and principal:hrefs(caldav, "schedule-outbox-URL")[1]
  settings.scheduling = {
    auto = outbox ~= nil and servers.offers(headers, "calendar-auto-schedule"),
    outbox = outbox, inbox = principal and principal:hrefs(caldav, "schedule-inbox-URL")[1],
    addresses = principal and addresses(principal) or {},
  }
  return {
    identity = identity(account, settings), url = url, settings = settings,
    name = principal and principal:text(dav, "displayname") or account.username or identity(account, settings),
  }
end

return M
