-- iCloud's calendar service as its clients meet it, over a real Cyrus: one host for discovery, another (the "partition") that
-- holds the calendars and is named by absolute addresses, numbers instead of names in paths, app-specific passwords only, and two
-- WWW-Authenticate challenges on a refusal. Nothing but discovery is answered on the first host.
local crypto = require "lunation.crypto"
local http = require "lunation.http"
local process = require "lunation.process"
local server = require "lunation.server"

local M = {}

local number = "1042417"
local password_form = "^%l%l%l%l%-%l%l%l%l%-%l%l%l%l%-%l%l%l%l$"

---@class spec.ICloud
---@field url string        what a client begins with
---@field partition string  where the calendars are
---@field seen table[]      {host="front"|"partition", method=, path=, authorized=boolean}

-- Escapes a text for use as a pattern.
local function literal(text)
  return (text:gsub("%p", "%%%0"))
end

---@param options {upstream:string, user:string, password:string, address:string, app_password:string}
--- upstream: base URL of Cyrus; user, password: its account; address, app_password: the Apple Account
---@return spec.ICloud
function M.start(options)
  local emulator = { seen = {} }
  local paths = {
    { apple = "/" .. number .. "/principal/", cyrus = "/dav/principals/user/" .. options.user .. "/" },
    { apple = "/" .. number .. "/calendars/", cyrus = "/dav/calendars/user/" .. options.user .. "/" },
  }

  local function authorized(req)
    local given = req.headers["authorization"]
    local decoded = given and given:match("^Basic%s+(%S+)$") and crypto.unbase64(given:match("^Basic%s+(%S+)$"))
    local name, password = (decoded or ""):match("^([^:]*):(.*)$")
    return name == options.address and password ~= nil and password:find(password_form) ~= nil and password == options.app_password
  end

  local function upstream_path(path)
    for _, pair in ipairs(paths) do
      local rest = path:match("^" .. literal(pair.apple) .. "(.*)$")
      if rest then return pair.cyrus .. rest end
    end
  end

  -- Every address in an answer is absolute and names the partition.
  local function outward(body)
    for _, pair in ipairs(paths) do
      body = body:gsub("(<[%w:]*href[^>]*>)" .. literal(pair.cyrus), function(tag) return tag .. emulator.partition .. pair.apple end)
    end
    return body
  end

  local function inward(body)
    body = body:gsub(literal(emulator.partition), "")
    for _, pair in ipairs(paths) do body = body:gsub(literal(pair.apple), (pair.cyrus:gsub("%%", "%%%%"))) end
    return body
  end

  local function refuse()
    return {
      status = 401, headers = {
        ["www-authenticate"] = { 'X-MobileMe-AuthToken realm="MMCal"', 'Basic realm="MMCal"' }, ["content-type"] = "text/html",
      }, body = "<html><body>Unauthorized</body></html>",
    }
  end

  local kept = {
    "content-type", "depth", "if-match", "if-none-match", "if-schedule-tag-match", "schedule-reply", "accept", "prefer", "overwrite", "destination",
  }
  local returned = { "content-type", "etag", "schedule-tag", "dav", "allow", "retry-after", "last-modified" }

  local function forward(req, path)
    local headers = {}
    for _, name in ipairs(kept) do headers[name] = req.headers[name] end
    local answer = assert(http.request {
      method = req.method, url = options.upstream .. path .. (req.query ~= "" and "?" .. req.query or ""), headers = headers,
      body = req.body ~= "" and inward(req.body) or nil, auth = { kind = "basic", username = options.user, password = options.password },
    })
    local out = { server = "AppleHttpServer/78689afb4479", ["x-responding-server"] = "p42" }
    for _, name in ipairs(returned) do out[name] = answer.headers[name] end
    return { status = answer.status, headers = out, body = outward(answer.body) }
  end

  local function note(host, req, allowed)
    emulator.seen[#emulator.seen + 1] = { host = host, method = req.method, path = req.path, authorized = allowed }
  end

  local function discovery(path)
    local href = path == "/" and "<D:current-user-principal><D:href>/" .. number .. "/principal/</D:href></D:current-user-principal>"
      or "<C:calendar-home-set><D:href>" .. emulator.partition .. "/" .. number .. "/calendars/</D:href></C:calendar-home-set>"
        .. "<D:displayname>Alice Appleseed</D:displayname>"
    return {
      status = 207, headers = { ["content-type"] = "text/xml; charset=UTF-8", server = "AppleHttpServer/78689afb4479" },
      body = '<?xml version="1.0" encoding="UTF-8"?><D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:response><D:href>'
        .. path .. "</D:href><D:propstat><D:prop>" .. href .. "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>",
    }
  end

  local function front(req)
    local allowed = authorized(req)
    note("front", req, allowed)
    if req.path == "/.well-known/caldav" then return { status = 301, headers = { location = emulator.front .. "/" }, body = "" } end
    if not allowed then return refuse() end
    if req.method == "PROPFIND" and (req.path == "/" or req.path == "/" .. number .. "/principal/") then return discovery(req.path) end
    return { status = 404, headers = { ["content-type"] = "text/html" }, body = "<html><body>Not here</body></html>" }
  end

  local function partition(req)
    local allowed = authorized(req)
    note("partition", req, allowed)
    if not allowed then return refuse() end
    local path = upstream_path(req.path)
    if not path then return { status = 404, headers = { ["content-type"] = "text/html" }, body = "<html><body>Not here</body></html>" } end
    return forward(req, path)
  end

  -- Two hosts, not two ports of one: credentials, guards and addresses are compared by host.
  local listeners = {
    assert(server.listen("http://127.0.0.1:" .. process.free_port(), {}, front)),
    assert(server.listen("http://127.0.0.42:" .. process.free_port(), {}, partition)),
  }
  emulator.front = listeners[1].url:gsub("/$", "")
  emulator.partition = listeners[2].url:gsub("/$", "")
  emulator.url = emulator.front .. "/"

  function emulator.stop()
    for _, listener in ipairs(listeners) do listener:close() end
  end

  return emulator
end

return M
