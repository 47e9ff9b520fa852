-- What runs in the scripts' own Lua state: they are loaded here, and their routes are called here (lunation.scripts).

local engines = require "lunation.engine"
local errors = require "lunation.errors"
local routes = require "lunation.routes"
local server = require "lunation.server"

local state = {}

local router

--- Runs every script's top level.
---@param cfg table the worker's configuration
---@return {method: string, path: string, public: boolean}[]|nil routes, lunation.Error?
function state.load(cfg)
  require("lunation.log").configure { level = cfg.log.level, json = cfg.log.json }
  engines.provide(function() return engines.open(cfg) end)
  require("lunation.strict").lock()
  for _, path in ipairs(cfg.scripts) do
    local chunk, err = loadfile(path, "t")
    if not chunk then return nil, errors.new("invalid_config", err) end
    local ok, raised = xpcall(chunk, debug.traceback, path)
    if not ok then return nil, errors.new("invalid_config", ("%s: %s"):format(path, tostring(raised))) end
  end
  router = routes.router()
  local list = {}
  for i, route in ipairs(routes.list()) do list[i] = { method = route.method, path = route.path, public = route.public } end
  return list
end

-- The request of the far side, with the methods that handlers know.
local Request = {}

--- A header field, whatever the case of its name.
---@param name string
---@return string?
function Request:header(name) return self.headers[name:lower()] end

--- An argument of the query, decoded.
---@param name string
---@return string?
function Request:arg(name) return self.args[name] end

--- All arguments of that name.
---@param name string
---@return string[]
function Request:args_all(name) return server.decode_form(self.query, name) end

--- All fields of that name in the body of a form.
---@param name string
---@return string[]
function Request:form_all(name) return server.decode_form(self.body, name) end

local decoded = {
  args = function(req) return server.decode_form(req.query) end,
  form = function(req) return server.decode_form(req.body) end,
}

local metatable = {
  __index = function(req, name)
    local method = Request[name]
    if method then return method end
    local make = decoded[name]
    local value = make and make(req)
    if value then rawset(req, name, value) end
    return value
  end,
}

--- Answers a request.
---@param given table
---@return {status: integer, headers: table, body: string}
function state.handle(given)
  local response = router:dispatch(setmetatable(given, metatable))
  local body = response.body
  if type(body) == "function" then
    local pieces = {}
    body(function(piece)
      pieces[#pieces + 1] = piece
      return true
    end)
    body = table.concat(pieces)
  end
  return { status = response.status, headers = response.headers, body = body }
end

--- Ends hooks and schedules.
---@param seconds number what runs may take so long
function state.stop(seconds)
  local engine = engines.opened()
  if not engine then return end
  engine.jobs:stop(seconds)
end

return state
