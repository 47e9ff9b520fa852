-- A request's way through the emulated Graph: address, token, scopes, limits, preferences, contract, handler, answer.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local http_server = require "lunation.http_server"
local json = require "lunation.json"
local query = require "spec.emulators.microsoft.query"
local scopes = require "spec.emulators.microsoft.scopes"
local timer = require "lunation.timer"
local times = require "spec.emulators.microsoft.times"

local M = {}

---@class spec.graph.Request
---@field method string
---@field path string as sent
---@field query string
---@field headers table<string, string>
---@field body string

---@class spec.graph.Call
---@field world spec.graph.World
---@field user spec.graph.User  whose token it is
---@field box spec.graph.Box    whose mailbox it is about
---@field params table<string, any>
---@field query table<string, string>
---@field body any              decoded
---@field prefer {zone:string?, body:string?, pagesize:integer?, immutable:boolean?}
---@field response_headers table
local Call = {}
Call.__index = Call

function Call:applied(text)
  local list = self.preferences
  for _, each in ipairs(list) do
    if each == text then return end
  end
  list[#list + 1] = text
end

function Call:metadata(fragment) return self.base .. "/v1.0/$metadata#" .. fragment end

-- --- addresses --------------------------------------------------------------------------------------------------------

-- name('key') and name(a='x',b='y') are a name and what stands in the parentheses.
local function segments(path)
  local out, arguments = {}, {}
  for raw in path:gmatch "[^/]+" do
    local text = http_server.decode(raw)
    text = text:match "^microsoft%.graph%.(%a.*)$" or text:match "^graph%.(%a.*)$" or text
    local name, inner = text:match "^([%w_$]+)%((.*)%)$"
    if not name then
      out[#out + 1] = text
    else
      out[#out + 1] = name
      local key = inner:match "^'(.*)'$"
      if key and not inner:find "='" then
        out[#out + 1] = key:gsub("''", "'")
      else
        for argument, value in inner:gmatch "(%w+)=([^,]*)" do arguments[argument:lower()] = value:gsub("^'(.*)'$", "%1") end
      end
    end
  end
  return out, arguments
end

local function add(root, path, route)
  local node = root
  for part in path:gmatch "[^/]+" do
    local param = part:match "^:(.+)$"
    if param then
      node.param = node.param or { static = {} }
      node = node.param
      node.name = node.name or param
      assert(node.name == param, path .. ": a parameter has two names")
    else
      node.static[part:lower()] = node.static[part:lower()] or { static = {} }
      node = node.static[part:lower()]
    end
  end
  node.route = route
end

local function walk(node, parts, i, params)
  local part = parts[i]
  if not part then return node.route end
  local child = node.static[part:lower()]
  local found = child and walk(child, parts, i + 1, params)
  if found then return found end
  if node.param then
    params[node.param.name] = part
    found = walk(node.param, parts, i + 1, params)
    if not found then params[node.param.name] = nil end
    return found
  end
end

-- --- the service ------------------------------------------------------------------------------------------------------

local Service = {}
Service.__index = Service

---@param options {world: spec.graph.World, faults: table, contract: table, modules: table[]}
function M.new(options)
  local self = setmetatable({ world = options.world, faults = options.faults, contract = options.contract, requests = {}, root = { static = {} } }, Service)
  local routes = {}
  for _, module in ipairs(options.modules) do module.routes(routes, self) end
  for path, route in pairs(routes) do
    if path:sub(1, 1) == "~" then
      add(self.root, "me" .. path:sub(2), route)
      add(self.root, "users/:user" .. path:sub(2), route)
    else
      add(self.root, path, route)
    end
  end
  return self
end

local function preferences(c)
  local prefer, text = {}, c.headers["prefer"] or ""
  for name, value in (text .. ","):gmatch '%s*([%w%.%-]+)%s*=%s*("?[^",]*"?)%s*[,;]' do
    value = value:gsub('^"(.*)"$', "%1"):match "^%s*(.-)%s*$"
    local low = name:lower()
    if low == "outlook.timezone" then
      times.need_zone(value)
      prefer.zone = value
    elseif low == "outlook.body-content-type" then
      if value:lower() ~= "text" and value:lower() ~= "html" then answer.fail(400, "ErrorInvalidRequest", "The body content type preferred is unknown.") end
      prefer.body = value:lower()
    elseif low == "odata.maxpagesize" or low == "maxpagesize" then
      prefer.pagesize = math.tointeger(tonumber(value))
      if not prefer.pagesize or prefer.pagesize < 1 then answer.fail(400, "ErrorInvalidRequest", "The page size preferred is no positive integer.") end
    elseif low == "idtype" then
      prefer.immutable = value:lower() == "immutableid"
      if prefer.immutable then c:applied 'IdType="ImmutableId"' end
    end
  end
  return prefer
end

-- Whose token it is.
local function authenticate(self, c)
  local function refuse(message)
    answer.fail(401, "InvalidAuthenticationToken", message, {
      ["www-authenticate"] = 'Bearer realm="", authorization_uri="' .. c.base .. '/common/oauth2/v2.0/authorize", error="invalid_token"',
    })
  end
  local given = c.headers["authorization"]
  if not given then refuse "Access token is empty." end
  local token = self.world.tokens[given:match "^[Bb]earer%s+(%S+)%s*$" or ""]
  if not token then refuse "CompactToken parsing failed with error code: 80049217" end
  if token.expires and token.expires <= self.world:now() then refuse "Lifetime validation failed, the token is expired." end
  return token
end

-- The mailbox that is meant, and what its owner lets a guest do.
local function mailbox(self, c, token)
  local name = c.params.user
  local user = not name and token.user or self.world:user(name)
  if not user then
    local message = "Resource '%s' does not exist or one of its queried reference-property objects are not present."
    answer.fail(404, "Request_ResourceNotFound", message:format(name))
  end
  c.user, c.box = token.user, user.box
end

local read_roles = { read = true, write = true, limitedRead = true, delegateWithoutPrivateEventAccess = true, delegateWithPrivateEventAccess = true }

local function guest(c, route)
  if c.box.user == c.user or not route.area or route.open then return end
  local allowed
  for _, permission in ipairs(c.params.calendar and (c.box.index[c.params.calendar] or {}).permissions or c.box.default.permissions) do
    if permission.address and permission.address:lower() == c.user.email:lower() then allowed = permission.role end
  end
  local fine = route.area == "calendars" and (c.method == "GET" and read_roles[allowed] or allowed and (allowed == "write" or allowed:find "^delegate"))
  if not fine then answer.fail(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.") end
  c.may_edit = allowed == "write" or allowed:find "^delegate" ~= nil
end

local function decode(c, route)
  local text = c.raw_body
  if type(text) ~= "string" then return text end -- of a batch: decoded already
  if text == "" then
    if c.method == "PATCH" or c.method == "POST" and route.takes then answer.fail(400, "BadRequest", "Empty Payload. JSON content expected.") end
    return nil
  end
  if c.method == "GET" or c.method == "DELETE" then return nil end
  local kind = c.headers["content-type"]
  if not kind or not kind:lower():find "^application/json" then
    answer.fail(415, "RequestBodyRead", "A supported media type is required: the request's content must be 'application/json'.")
  end
  if #text > 4 * 1024 * 1024 then answer.fail(413, "RequestEntityTooLarge", "The request is larger than 4 MB.") end
  local value = json.decode(text)
  if type(value) ~= "table" then
    answer.fail(400, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
  end
  return value
end

-- What a mailbox has had within a span of time; beyond its limit it is told how long to wait.
local function spend(box, name, amount, limit, seconds, now)
  local spent = box[name]
  if not spent or spent.from + seconds <= now then
    spent = { from = now, amount = 0 }
    box[name] = spent
  end
  if limit > 0 and spent.amount + amount > limit then
    answer.fail(429, "ApplicationThrottled", "Application is over its limit for this mailbox.",
      { ["retry-after"] = tostring(math.max(1, math.ceil(spent.from + seconds - now))) })
  end
  spent.amount = spent.amount + amount
end

-- Four requests of a mailbox at a time; the fifth waits for no one.
local function limited(self, box, octets, run)
  local switches, now = self.world.switches, self.world:now()
  spend(box, "requests_spent", 1, switches.requests, 600, now)
  spend(box, "octets_spent", octets, switches.uploadBytes, 30, now)
  if switches.concurrency > 0 and box.active >= switches.concurrency then
    answer.fail(429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.", { ["retry-after"] = "1" })
  end
  box.active = box.active + 1
  if switches.latency > 0 then timer.sleep(switches.latency) end
  local result = table.pack(pcall(run))
  box.active = box.active - 1
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

local function run(self, c)
  local known = self.world.tokens[(c.headers["authorization"] or ""):match "^[Bb]earer%s+(%S+)%s*$" or ""]
  c.user = known and known.user
  self.faults:before(c)
  local token = authenticate(self, c)
  local parts, arguments = segments(c.path:sub(#"/v1.0" + 1))
  local route = walk(self.root, parts, 1, c.params)
  if not route then
    self.contract:report(c, "request", "", "there is no such address")
    answer.fail(400, "BadRequest", ("Resource not found for the segment '%s'."):format(parts[#parts] or ""))
  end
  c.arguments, c.route = arguments, route
  for name, value in pairs(route.marks or {}) do c.params[name] = value end
  local handler = route[c.method]
  if not handler then answer.fail(405, "UnsupportedHttpMethod", "Specified HTTP method is not allowed for the request target.") end
  mailbox(self, c, token)
  scopes.check(c, route, token)
  c.scopes = token.scopes
  guest(c, route)
  local function answered()
    c.prefer = preferences(c)
    c.query = query.parse(c.raw_query)
    c.body = decode(c, route)
    self.contract:request(c, route)
    local body, status = handler(c)
    return { status = status or 200, body = body }
  end
  if route.unlimited then return answered() end -- a batch takes its place by what is in it
  return limited(self, c.box, type(c.raw_body) == "string" and #c.raw_body or 0, answered)
end

local function headers_of(c, failure)
  local headers = c.response_headers
  headers["request-id"], headers["client-request-id"] = c.ids.request, c.ids.client
  headers["x-ms-ags-diagnostic"] = '{"ServerInfo":{"DataCenter":"Loopback","Slice":"E","Ring":"1","ScaleUnit":"000","RoleInstance":"LUNATION"}}'
  if #c.preferences > 0 then headers["preference-applied"] = table.concat(c.preferences, ", ") end
  for name, value in pairs(failure and failure.headers or {}) do headers[name] = value end
  return headers
end

---Answers a request of Graph. `body` of the result is a table, nil, or raw bytes beside a content type.
---@param request spec.graph.Request
---@param inner boolean? one of a batch
---@return {status:integer, headers:table, body:any, raw:boolean?}
function Service:graph(request, inner)
  local now = self.world:now()
  local c = setmetatable({
    world = self.world, service = self, method = request.method, path = request.path, raw_query = request.query, headers = request.headers,
    raw_body = request.body, base = request.base, params = {}, prefer = {}, preferences = {}, response_headers = {}, inner = inner,
    remote = request.remote,
  }, Call)
  c.ids = { request = crypto.uuid(), date = times.utc(now):sub(1, 19) }
  c.ids.client = request.headers["client-request-id"] or c.ids.request
  local ok, result = pcall(run, self, c)
  if not ok then
    local failure = result
    if not answer.is_failure(failure) then
      self.contract:crashed(c, failure)
      failure = { status = 500, code = "InternalServerError", message = tostring(result) }
    end
    result = { status = failure.status, body = answer.error_body(failure, c.ids) }
    return { status = result.status, headers = headers_of(c, failure), body = result.body, call = c }
  end
  if type(result.body) == "table" and result.body.raw then
    local headers = headers_of(c)
    headers["content-type"] = result.body.type
    return { status = result.status, headers = headers, body = result.body.raw, raw = true, call = c }
  end
  self.contract:response(c, c.route, result)
  return { status = result.status, headers = headers_of(c), body = result.body, call = c }
end

---@param req lunation.Request
---@param base string scheme and host as the client names them
function Service:serve(req, base)
  local result = self:graph { method = req.method, path = req.path, query = req.query, headers = req.headers, body = req.body, base = base,
    remote = req.remote }
  result = self.faults:after(result)
  if result.response then return result.response end
  local headers = result.headers
  if result.raw then return { status = result.status, headers = headers, body = result.body } end
  if result.body == nil then return { status = result.status, headers = headers, body = "" } end
  headers["content-type"] = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
  local text = type(result.body) == "string" and result.body or assert(json.encode(result.body, { sorted = true, utf8 = "replace" }))
  return { status = result.status, headers = headers, body = text }
end

return M
