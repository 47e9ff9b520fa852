-- Routes are data: tables from path to method to handler, mounted under prefixes; the longest mount that holds a path
-- answers for it, in its own shape of errors, whatever goes wrong.

local errors = require "lunation.errors"
local http_server = require "lunation.http_server"
local json = require "lunation.json"
local ratelimit = require "lunation.ratelimit"

local router = {}

---@class lunation.Response
---@field status integer
---@field headers table<string, string|integer|string[]>?
---@field body string|fun(write: fun(chunk: string): true?, lunation.Error?)|nil

---@alias lunation.Handler fun(req: lunation.Request): lunation.Response|table|string|nil, lunation.Error?

---@class lunation.Route
---@field handler lunation.Handler
---@field auth any what `before` makes of it

---@class lunation.MountOptions
---@field error (fun(req: lunation.Request, err: lunation.Error): lunation.Response|table)? renders every error of the mount
---@field before (fun(req: lunation.Request, route: lunation.Route): lunation.Response?, lunation.Error?)? runs before each
--- handler; a response or an error ends the request there
---@field origins string[]|(fun(origin: string, req: lunation.Request): boolean)|nil who may call from a browser (CORS)
---@field dialect string?

local JSON_HEADERS = { ["content-type"] = "application/json" }
local TEXT_HEADERS = { ["content-type"] = "text/plain; charset=utf-8" }

local function default_error(_, err)
  return { status = errors.status(err), headers = JSON_HEADERS, body = json.encode({ error = err.code, message = err.message }) }
end

-- ---------------------------------------------------------------------------------------------------------------
-- Compiling: a trie of segments. A node has `static` children by name, at most one `param` child, and `methods`.

local function new_node() return { static = {} } end

local function is_param(segment) return segment:byte(1) == 0x3A end

local function add(root, path, methods)
  local node, names = root, {}
  for segment in path:gmatch("[^/]+") do
    if is_param(segment) then
      names[#names + 1] = segment:sub(2)
      node.param = node.param or new_node()
      node = node.param
    else
      node.static[segment] = node.static[segment] or new_node()
      node = node.static[segment]
    end
  end
  node.methods = node.methods or {}
  for method, route in pairs(methods) do
    if type(route) == "function" then route = { handler = route } end
    assert(type(route) == "table" and type(route.handler) == "function", path .. " " .. method .. ": no handler")
    assert(not node.methods[method], path .. " " .. method .. ": there are two such routes")
    route = setmetatable({ path = path, method = method, names = names }, { __index = route })
    route.handler, route.auth = route.handler, route.auth
    node.methods[method] = route
  end
  if node.methods.GET and not node.methods.HEAD then node.methods.HEAD = node.methods.GET end
  node.path, node.plain = path, #names == 0
  local list = { OPTIONS = true }
  for method in pairs(node.methods) do list[method] = true end
  local sorted = {}
  for method in pairs(list) do sorted[#sorted + 1] = method end
  table.sort(sorted)
  node.allow = table.concat(sorted, ", ")
  return node
end

--- Compiles a table of routes: `["/events/:id"] = { GET = handler or {handler=, auth=}, … }`.
---@param routes table<string, table<string, lunation.Route|lunation.Handler>>
---@return table compiled for `mount`
function router.compile(routes)
  local compiled = { root = new_node(), nodes = {} }
  for path, methods in pairs(routes) do
    local node = add(compiled.root, path, methods)
    compiled.nodes[path] = node
  end
  return compiled
end

-- Percent-decoded; nil where that is no text (RFC 3629) or holds a NUL.
local function decode_segment(segment)
  if not segment:find("%", 1, true) then return segment end
  local text = http_server.decode(segment)
  if not utf8.len(text) or text:find("\0", 1, true) then return nil end
  return text
end

-- Static names win over parameters at every step; a dead end goes back to the parameter beside it.
local function walk(node, segments, i, values, n)
  local segment = segments[i]
  if not segment then return node.methods and node, n end
  local child = node.static[segment]
  if child then
    local found, count = walk(child, segments, i + 1, values, n)
    if found then return found, count end
  end
  if node.param then
    values[n + 1] = segment
    return walk(node.param, segments, i + 1, values, n + 1)
  end
end

-- ---------------------------------------------------------------------------------------------------------------

---@class lunation.Router
local Router = {}
Router.__index = Router

---@class lunation.RouterOptions
---@field requests_per_minute integer? for each token, else each address; 0 or nil is off
---@field limit_name string? routers of one name count requests together, over all workers
---@field log fun(message: string, fields: table)? where raised errors go; default `lunation.log`

--- An empty router.
---@param options lunation.RouterOptions?
---@return lunation.Router
function router.new(options)
  options = options or {}
  local per_minute = options.requests_per_minute or 0
  return setmetatable({
    mounts = {},
    exact = {},
    limit = per_minute > 0 and ratelimit.new(per_minute, { name = options.limit_name }) or nil,
    log = options.log,
  }, Router)
end

local function mount_of(self, path)
  for _, mount in ipairs(self.mounts) do
    local prefix = mount.prefix
    if path:sub(1, #prefix) == prefix then
      local after = path:byte(#prefix + 1)
      if after == nil or after == 0x2F or prefix == "" then return mount end
    end
  end
end

-- Paths without parameters are found by one lookup; kept apart for the mount that owns them.
local function index_exact(self)
  self.exact = {}
  for _, mount in ipairs(self.mounts) do
    for path, node in pairs(mount.compiled.nodes) do
      local full = mount.prefix .. (path == "/" and mount.prefix ~= "" and "" or path)
      if node.plain and mount_of(self, full) == mount then self.exact[full] = { node = node, mount = mount } end
    end
  end
end

--- Mounts routes under a prefix ("" or "/api/v1"); the longest prefix wins. Mounting again under it replaces.
---@param prefix string
---@param routes table compiled, or as for `compile`
---@param options lunation.MountOptions?
function Router:mount(prefix, routes, options)
  options = options or {}
  prefix = prefix:gsub("/+$", "")
  local origins = options.origins
  if type(origins) == "table" then
    local set = {}
    for _, origin in ipairs(origins) do set[origin] = true end
    origins = function(origin) return set[origin] == true end
  end
  local mount = {
    prefix = prefix,
    compiled = routes.root and routes or router.compile(routes),
    error = options.error or default_error,
    before = options.before,
    origins = origins,
    dialect = options.dialect,
  }
  for i = #self.mounts, 1, -1 do
    if self.mounts[i].prefix == prefix then table.remove(self.mounts, i) end
  end
  table.insert(self.mounts, mount)
  table.sort(self.mounts, function(a, b) return #a.prefix > #b.prefix end)
  index_exact(self)
end

-- Whatever a handler or renderer returned, as a response: tables with an integer status pass, others are JSON.
local function respond(result)
  if type(result) == "table" then
    if math.type(result.status) == "integer" then
      if type(result.body) ~= "table" then return result end
      local text = assert(json.encode(result.body))
      local headers = { ["content-type"] = "application/json" }
      for name, value in pairs(result.headers or {}) do headers[name] = value end
      return { status = result.status, headers = headers, body = text }
    end
    return { status = 200, headers = JSON_HEADERS, body = assert(json.encode(result)) }
  end
  if result == nil then return { status = 204 } end
  if type(result) == "string" then return { status = 200, headers = TEXT_HEADERS, body = result } end
  error("a handler returned a " .. type(result))
end

local function with_headers(response, more)
  local headers = {}
  for name, value in pairs(response.headers or {}) do headers[name] = value end
  for name, value in pairs(more) do headers[name] = value end
  return { status = response.status, headers = headers, body = response.body }
end

-- OPTIONS * asks about the server as a whole (RFC 9110 section 9.3.7).
local ANY_PATH = { status = 204, headers = { allow = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE" } }

local ROOT = { prefix = "", error = default_error }

local function render(mount, req, err)
  local response = respond(mount.error(req, err))
  if err.retry_after then
    response = with_headers(response, { ["retry-after"] = tostring(math.ceil(err.retry_after)) })
  end
  if err.allow then response = with_headers(response, { allow = err.allow }) end
  return response
end

local function find(self, path)
  local mount = mount_of(self, path)
  if not mount then return nil, ROOT end
  local segments, values = {}, {}
  for segment in path:sub(#mount.prefix + 1):gmatch("[^/]+") do segments[#segments + 1] = segment end
  local node, count = walk(mount.compiled.root, segments, 1, values, 0)
  if not node then return nil, mount end
  if count == 0 then return node, mount end
  for i = 1, count do
    values[i] = decode_segment(values[i])
    if not values[i] then return nil, mount end
  end
  return node, mount, values
end

local function allowed_origin(mount, req)
  local origin = mount.origins and req:header("origin")
  return origin and mount.origins(origin, req) and origin or nil
end

local function cors_headers(origin)
  return {
    ["access-control-allow-origin"] = origin,
    ["access-control-expose-headers"] = "x-request-id, retry-after, lunation-stale",
    vary = "origin",
  }
end

local function preflight(req, node, origin)
  return {
    status = 204,
    headers = {
      ["access-control-allow-origin"] = origin,
      ["access-control-allow-methods"] = node.allow,
      ["access-control-allow-headers"] = req:header("access-control-request-headers"),
      ["access-control-max-age"] = "600",
      vary = "origin",
    },
  }
end

local function call(mount, req, route)
  if mount.before then
    local early, err = mount.before(req, route)
    if err then return render(mount, req, err) end
    if early then return respond(early) end
  end
  local result, err = route.handler(req)
  if result == nil and err ~= nil then return render(mount, req, errors.from(err)) end
  return respond(result)
end

local function answer(req, node, mount)
  local method = req.method
  local route = node.methods[method]
  if route then return call(mount, req, route) end
  if method == "OPTIONS" then return { status = 204, headers = { allow = node.allow } } end
  return render(mount, req, errors.new("method_not_allowed", method .. " is not allowed here", { allow = node.allow }))
end

-- Per token, else per address. A token that turned out to be none is charged to its address, so that making tokens up
-- gains nothing.
local function limited(self, mount, req)
  local key = req:header("authorization")
  local address = "address " .. req.remote
  local ok, retry_after = self.limit:peek(address)
  if ok then ok, retry_after = self.limit:take(key or address) end
  if ok then return nil, key and address end
  return render(mount, req, errors.new("rate_limited", "too many requests", { retry_after = retry_after }))
end

--- Answers one request. Errors that are raised pass through; the listener's failure function renders them.
---@param req lunation.Request
---@return lunation.Response
function Router:dispatch(req)
  local path = req.path
  if path == "*" then return ANY_PATH end
  local entry = self.exact[path]
  local node, mount, values
  if entry then
    node, mount = entry.node, entry.mount
  else
    node, mount, values = find(self, path)
  end
  local charge
  if self.limit then
    local refused
    refused, charge = limited(self, mount, req)
    if refused then return refused end
  end
  local origin = mount.origins and allowed_origin(mount, req)
  if not node then
    local response = render(mount, req, errors.new("not_found", "there is nothing at this path"))
    return origin and with_headers(response, cors_headers(origin)) or response
  end
  if origin and req.method == "OPTIONS" and req:header("access-control-request-method") then
    return preflight(req, node, origin)
  end
  if not entry then
    local route = node.methods[req.method]
    local params = {}
    for i, name in ipairs(route and route.names or {}) do params[name] = values[i] end
    req.params = params
  end
  local response = answer(req, node, mount)
  if charge and response.status == 401 then self.limit:take(charge) end
  if origin then return with_headers(response, cors_headers(origin)) end
  return response
end

--- The router as a listener's handler.
---@return fun(req: lunation.Request): lunation.Response
function Router:handler()
  return function(req) return self:dispatch(req) end
end

-- The server's own refusals know their status; a dialect's renderer may not know the code.
local function refusal(mount, req, err)
  local response = render(mount, req, errors.new(err.code, err.message, { status = err.status }))
  return { status = err.status or response.status, headers = response.headers, body = response.body }
end

--- The listener's failure function: renders what a handler raised, and what was refused before one could run, in the
--- shape of the mount. A client is told the request id and nothing of the cause.
---@return fun(req: lunation.Request, err: any, trace: string?): lunation.Response
function Router:failure()
  return function(req, err, trace)
    local mount = mount_of(self, req.path) or ROOT
    if trace == nil and type(err) == "table" then return refusal(mount, req, err) end
    local log = self.log or require("lunation.log").error
    log("a request failed", { request_id = req.id, method = req.method, path = req.path, error = tostring(err), trace = trace })
    return render(mount, req, errors.new("internal", "internal error; the request id is " .. req.id))
  end
end

return router
