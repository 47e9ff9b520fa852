-- The HTTP client: requests that wait in their task until the answer is there, side by side where asked, with redirects and
-- retries only where asked. src/host/fetch.c sends; what is policy stands here.

local errors = require "lunation.errors"
local fetch = require "lunation.fetch"
local json = require "lunation.json"
local task = require "lunation.task"
local timer = require "lunation.timer"

local http = {}

---@class lunation.http.Auth
---@field kind "basic"|"digest"|"bearer"
---@field username string?
---@field password string?
---@field token string?

---@class lunation.http.Guard
---@field allow string[]? networks and hosts that may be reached though they are private: `192.168.1.0/24`, `127.0.0.1:5232`, `dav.lan:8443`
---@field allow_private boolean? lifts the guard

---@class lunation.http.Request
---@field url string http or https, without user and password
---@field method string? GET if not given
---@field headers table<string, string>?
---@field body string?
---@field json any? encoded as the body
---@field form table<string, string|number|boolean>? encoded as the body
---@field timeout number? seconds for everything, redirects included, 30 if not given; 0: none
---@field connect_timeout number? seconds, 10 if not given
---@field stall number? seconds without a byte after which the transfer is given up
---@field max_body integer? bytes that the answer may have after decompression, 32 MiB if not given
---@field follow integer? redirects to follow, 0 if not given
---@field auth lunation.http.Auth? sent to the first URL's origin, and to `auth_hosts`
---@field auth_hosts string[]? `host` or `host:port` that credentials may follow a redirect to
---@field guard lunation.http.Guard? nil: the URL is trusted, only redirects away from its origin are guarded
---@field retries integer? how often an idempotent request is sent again, 0 if not given
---@field retry_wait number? seconds a single wait may take, 30 if not given
---@field idempotent boolean? may be sent twice; if not given, what RFC 9110 and WebDAV say of the method
---@field user_agent string?
---@field proxy string? `http://…`, `https://…`, `socks5h://…`; if not given the configuration's; "": none
---@field decompress boolean? true if not given
---@field http2 boolean? true if not given; used where the server offers it by ALPN
---@field insecure boolean? does not verify the certificate
---@field ca_file string? certificates to trust instead of the system's

---@class lunation.http.Answer
---@field status integer
---@field headers table<string, string> by lower-case name; repeated ones are joined by ", "
---@field body string
---@field url string where the answer came from, after redirects
---@field version "1.0"|"1.1"|"2"
local Answer = {}
Answer.__index = Answer
Answer.__name = "lunation.http.Answer"

--- The body as JSON.
---@return any value
---@return lunation.json.Error? err
function Answer:json()
  return json.decode(self.body)
end

--- Methods that may be sent twice (RFC 9110 section 9.2.2, RFC 4918, RFC 3253).
local idempotent = {
  GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true, DELETE = true, PROPFIND = true, PROPPATCH = true, REPORT = true,
  MKCOL = true, MKCALENDAR = true, COPY = true, MOVE = true,
}

local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }
local passing_status = { [429] = true, [502] = true, [503] = true, [504] = true }
local passing_error = { refused = true, network = true, truncated = true, timeout = true, resolve = true }

-- What the configuration says of outgoing requests; a reload makes a new Lua state, and so a new one of these.
local outgoing = { allow = {} }

--- Sets what holds for every request of this process that says nothing else.
---@param settings { proxy: string?, allow: string[]?, allow_private: boolean? }
function http.configure(settings)
  outgoing = { proxy = settings.proxy, allow = settings.allow or {}, allow_private = settings.allow_private }
end

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

-- Days since the epoch of a civil date.
local function days(year, month, day)
  local y = month <= 2 and year - 1 or year
  local era = y // 400
  local of_era = y - era * 400
  local of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + day - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

--- Seconds that a Retry-After asks to wait (RFC 9110 section 10.2.3), nil where it says nothing.
---@param value string?
---@return number? seconds
function http.retry_after(value)
  if not value then return nil end
  local seconds = value:match("^%s*(%d+%.?%d*)%s*$")
  if seconds then return tonumber(seconds) end
  local day, month, year, hour, minute, second = value:match("^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  if not day or not months[month] then return nil end
  local at = days(tonumber(year), months[month], tonumber(day)) * 86400 + hour * 3600 + minute * 60 + second
  return math.max(0, at - timer.time())
end

local function origin(url)
  local parts = fetch.parts(url)
  if not parts or not parts.host then return nil end
  return ("%s://%s:%d"):format(parts.scheme, parts.host:lower(), parts.port or 0), parts
end

-- Whether credentials given for one origin may go to another.
local function may_have(options, from, to, parts)
  if from == to then return true end
  if from:sub(1, 6) == "https:" and parts.scheme ~= "https" then return false end
  local host = parts.host:lower()
  for _, name in ipairs(options.auth_hosts or {}) do
    name = name:lower()
    if name == host or name == ("%s:%d"):format(host, parts.port or 0) then return true end
  end
  return false
end

local function urlencode(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function encode_form(form)
  local names, pairs_ = {}, {}
  for name in pairs(form) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do pairs_[i] = urlencode(name) .. "=" .. urlencode(form[name]) end
  return table.concat(pairs_, "&")
end

-- A copy of the request as fetch takes it: own headers, the body encoded.
local function prepare(options)
  local request, headers = {}, {}
  for name, value in pairs(options) do request[name] = value end
  for name, value in pairs(options.headers or {}) do headers[name:lower()] = value end
  request.headers = headers
  request.method = (options.method or "GET"):upper()
  if options.json ~= nil then
    request.body = assert(json.encode(options.json))
    headers["content-type"] = headers["content-type"] or "application/json"
  elseif options.form then
    request.body = encode_form(options.form)
    headers["content-type"] = headers["content-type"] or "application/x-www-form-urlencoded"
  end
  if request.idempotent == nil then request.idempotent = idempotent[request.method] or false end
  if request.proxy == nil then request.from_configuration = outgoing.proxy end
  -- curl sends a request again where a kept connection turns out closed; what may not be sent twice gets a new one
  request.fresh = not request.idempotent
  return request
end

-- Turns the request to where a redirect points (RFC 9110 section 15.4); false and an error where it may not go there.
local function redirect(request, options, answer, first)
  local target = fetch.join(request.url, answer.headers.location)
  local there, parts = origin(target or "")
  if not there or (parts.scheme ~= "http" and parts.scheme ~= "https") or parts.user then
    return false, errors.new("network", "the server redirects to what is no http or https URL", { url = answer.url })
  end
  local status, method = answer.status, request.method
  if (status == 303 and method ~= "HEAD") or ((status == 301 or status == 302) and method == "POST") then
    request.method, request.body, request.fresh = "GET", nil, false
    for _, name in ipairs { "content-type", "content-encoding", "content-language" } do request.headers[name] = nil end
  end
  request.auth = may_have(options, first, there, parts) and options.auth or nil
  if there ~= first and not request.auth then
    for _, name in ipairs { "authorization", "cookie", "proxy-authorization" } do request.headers[name] = nil end
  end
  -- A trusted URL does not make trusted what its server points to.
  if not options.guard then
    local _, named = origin(first)
    local allow = table.move(outgoing.allow, 1, #outgoing.allow, 2, { ("%s:%d"):format(named.host, named.port) })
    request.guard = there ~= first and { allow = allow, allow_private = outgoing.allow_private } or nil
  end
  request.url = target
  return true
end

local function send(options)
  local request = prepare(options)
  local timeout = options.timeout or 30
  local deadline = timeout > 0 and timer.now() + timeout
  local first, followed = nil, 0
  while true do
    request.timeout = deadline and math.max(0.001, deadline - timer.now()) or 0
    -- the configured proxy is for the way out, not for addresses of our own network
    if request.from_configuration then request.proxy = not fetch.private(request.url) and request.from_configuration or nil end
    local answer, err = fetch.request(request)
    if not answer then return nil, err end
    setmetatable(answer, Answer)
    if followed >= (options.follow or 0) or not redirects[answer.status] or not answer.headers.location then
      if followed > 0 and followed >= options.follow and redirects[answer.status] and answer.headers.location then
        return nil, errors.new("network", "the server redirects without end", { url = answer.url })
      end
      return answer
    end
    followed = followed + 1
    first = first or origin(request.url)
    local ok, refused = redirect(request, options, answer, first)
    if not ok then return nil, refused end
  end
end

-- How long to wait before try `n` + 1: at random up to twice the last bound, or what the server asks for. nil: not worth it.
local function pause(options, answer, n)
  local most = options.retry_wait or 30
  local asked = answer and http.retry_after(answer.headers["retry-after"])
  if asked then return asked <= most and asked or nil end
  return math.min(most, 0.25 * 2 ^ n) * (0.5 + math.random() / 2)
end

--- Sends a request and waits for the answer. Any status is an answer; an error is a request that got none.
---@async
---@param options lunation.http.Request
---@return lunation.http.Answer? answer
---@return lunation.Error? err `timeout`, `refused`, `resolve`, `tls`, `blocked_address`, `too_large`, `truncated`, `network`, `invalid_request`
function http.request(options)
  local retries = options.retries or 0
  if retries > 0 and not (options.idempotent or options.idempotent == nil and idempotent[(options.method or "GET"):upper()]) then retries = 0 end
  for n = 0, retries do
    local answer, err = send(options)
    local passing = answer and passing_status[answer.status] or err and passing_error[err.code]
    local wait = passing and n < retries and pause(options, answer, n)
    if not wait then return answer, err end
    timer.sleep(wait)
  end
end

local function with(options, fields)
  local all = {}
  for name, value in pairs(options or {}) do all[name] = value end
  for name, value in pairs(fields) do all[name] = value end
  return all
end

---@async
---@param url string
---@param options lunation.http.Request?
---@return lunation.http.Answer? answer
---@return lunation.Error? err
function http.get(url, options)
  return http.request(with(options, { url = url, method = "GET" }))
end

---@async
---@param url string
---@param body string|table|nil a table is sent as JSON
---@param options lunation.http.Request?
---@return lunation.http.Answer? answer
---@return lunation.Error? err
function http.post(url, body, options)
  local fields = { url = url, method = "POST" }
  fields[type(body) == "table" and "json" or "body"] = body
  return http.request(with(options, fields))
end

local function all(requests, limit, request)
  local functions, results = {}, {}
  for i, options in ipairs(requests) do
    functions[i] = function() return request(options) end
  end
  for i, packed in ipairs(task.all(functions, { limit = limit })) do
    if packed[1] then
      results[i] = { packed[2], packed[3] }
    else
      results[i] = { nil, errors.from(packed[2]) }
    end
  end
  return results
end

--- Sends requests side by side and waits for all of them.
---@async
---@param requests lunation.http.Request[]
---@param limit integer? how many at once, 16 if not given
---@return { [1]: lunation.http.Answer?, [2]: lunation.Error? }[] results in the order of the requests
function http.all(requests, limit)
  return all(requests, limit or 16, http.request)
end

---@class lunation.http.Client
---@field defaults lunation.http.Request
local Client = {}
Client.__index = Client
Client.__name = "lunation.http.Client"

--- A client with defaults of its own: the headers, credentials and guard of one account.
---@param defaults lunation.http.Request? without `url`; `base` is what relative URLs are joined to
---@return lunation.http.Client
function http.client(defaults)
  return setmetatable({ defaults = with(defaults, {}) }, Client)
end

-- Credentials of the client are for its base's origin, where it has a base.
local function combine(self, options)
  if self.closed then error("the client is closed", 3) end
  local defaults = self.defaults
  local combined = with(defaults, options)
  combined.headers = {}
  for _, headers in ipairs { defaults.headers or {}, options.headers or {} } do
    for name, value in pairs(headers) do combined.headers[name:lower()] = value end
  end
  if defaults.base then
    combined.url = fetch.join(defaults.base, options.url) or options.url
    local home = origin(defaults.base)
    local there, parts = origin(combined.url)
    if home and there and not options.auth and not may_have(combined, home, there, parts) then combined.auth = nil end
  end
  return combined
end

---@async
---@param options lunation.http.Request
---@return lunation.http.Answer? answer
---@return lunation.Error? err
function Client:request(options)
  return http.request(combine(self, options))
end

---@async
---@param url string
---@param options lunation.http.Request?
---@return lunation.http.Answer? answer
---@return lunation.Error? err
function Client:get(url, options)
  return self:request(with(options, { url = url, method = "GET" }))
end

---@async
---@param url string
---@param body string|table|nil a table is sent as JSON
---@param options lunation.http.Request?
---@return lunation.http.Answer? answer
---@return lunation.Error? err
function Client:post(url, body, options)
  local fields = { url = url, method = "POST" }
  fields[type(body) == "table" and "json" or "body"] = body
  return self:request(with(options, fields))
end

---@async
---@param requests lunation.http.Request[]
---@param limit integer? how many at once, 16 if not given
---@return { [1]: lunation.http.Answer?, [2]: lunation.Error? }[] results
function Client:all(requests, limit)
  return all(requests, limit or 16, function(options) return self:request(options) end)
end

--- Forgets the credentials; the client refuses further requests.
function Client:close()
  self.closed, self.defaults = true, {}
end

Client.__close = Client.close

return http
