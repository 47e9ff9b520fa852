-- The routes that scripts add: kept here as they are added, mounted where they are served.

local errors = require "lunation.errors"

local routes = {}

---@type {method: string, path: string, handler: function, public: boolean}[]
local added = {}

local methods = { GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true }

--- Adds a route.
---@param method string
---@param path string
---@param fn fun(req: lunation.Request): any
---@param options {public: boolean?}?
---@return {cancel: function} handle
function routes.add(method, path, fn, options)
  if not methods[method] then error(errors.new("invalid_request", ("route: there is no method `%s`"):format(tostring(method))), 3) end
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    error(errors.new("invalid_request", "route: a path that begins with / is expected"), 3)
  end
  if type(fn) ~= "function" then error(errors.new("invalid_request", "route: a function is expected"), 3) end
  local route = { method = method, path = path, handler = fn, public = options and options.public or false }
  for _, other in ipairs(added) do
    if other.method == method and other.path == path then
      error(errors.new("conflict", ("route: %s %s is there already"):format(method, path)), 3)
    end
  end
  added[#added + 1] = route
  return { cancel = function()
    for i, other in ipairs(added) do
      if other == route then table.remove(added, i) end
    end
  end }
end

--- What was added, in order.
---@return {method: string, path: string, public: boolean}[]
function routes.list()
  return added
end

--- Whose token a request carries.
---@param engine lunation.Engine
---@param req lunation.Request
---@return lunation.identity|nil, lunation.Error?
function routes.user(engine, req)
  return engine.oauth:verify((req:header "authorization" or ""):match "^[Bb]earer%s+(%S+)$")
end

-- A script's route asks for a token unless it is public.
local function guarded(route, engine)
  if route.public or not engine then return route.handler end
  return function(req)
    local user, err = routes.user(engine(), req)
    if not user then return nil, err end
    req.user = user
    return route.handler(req)
  end
end

--- The routes as a table of paths for a mount.
---@param engine (fun(): lunation.Engine)? whose tokens are good; nil: who asks was seen to before
---@return table<string, table<string, function>>
function routes.table(engine)
  local paths = {}
  for _, route in ipairs(added) do
    paths[route.path] = paths[route.path] or {}
    paths[route.path][route.method] = guarded(route, engine)
  end
  return paths
end

--- A router of these routes alone.
---@param engine (fun(): lunation.Engine)?
---@return lunation.Router
function routes.router(engine)
  local router = require("lunation.router").new()
  router:mount("/", routes.table(engine))
  return router
end

return routes
