-- The scripts of `serve`: loaded in a Lua state of their own, so that one that runs out of memory takes nothing with it.
-- This side mounts their routes, asks for tokens, and carries requests and responses across.

local bridge = require "lunation.bridge"
local errors = require "lunation.errors"
local log = require "lunation.log"
local routes = require "lunation.routes"

local scripts = {}

local FAR = "lunation.script_state"

---@class lunation.Scripts
local Scripts = {}
Scripts.__index = Scripts

--- Loads the configuration's scripts.
---@param engine lunation.Engine
---@return lunation.Scripts|nil, lunation.Error?
function scripts.open(engine)
  local cfg = engine.config
  local far = bridge.open(cfg.limits.script_memory)
  local ok, loaded, err = far:call(FAR, "load", cfg)
  if ok and loaded then return setmetatable({ far = far, routes = loaded }, Scripts) end
  far:close()
  return nil, ok and errors.from(err) or errors.from(loaded)
end

-- What a handler may look at, as plain values; the far side makes a request of it again.
local function plain(req)
  local headers = {}
  for _, pair in ipairs(req:header_pairs()) do
    local name = pair[1]:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. pair[2] or pair[2]
  end
  return {
    method = req.method, path = req.path, query = req.query, target = req.target, headers = headers, body = req.body, id = req.id,
    remote = req.remote, scheme = req.scheme, host = req.host, version = req.version,
  }
end

--- Mounts the scripts' routes. Dialects are mounted at longer paths, so none of these covers theirs.
---@param router lunation.Router
---@param engine lunation.Engine
function Scripts:mount(router, engine)
  local paths = {}
  for _, route in ipairs(self.routes) do
    paths[route.path] = paths[route.path] or {}
    paths[route.path][route.method] = function(req)
      local given = plain(req)
      if not route.public then
        local err
        given.user, err = routes.user(engine, req)
        if not given.user then return nil, err end
      end
      local ok, response = self.far:call(FAR, "handle", given)
      if ok then return response end
      log.error("a script's route failed", { request_id = req.id, path = req.path, error = tostring(response) })
      return nil, errors.new("internal", "internal error; the request id is " .. req.id)
    end
  end
  if next(paths) then router:mount("/", paths) end
end

--- Ends their hooks and schedules; what runs has so many seconds.
---@param seconds number
function Scripts:stop(seconds)
  local ok, err = self.far:call(FAR, "stop", seconds)
  if not ok then log.error("the scripts did not stop in order", { error = tostring(err) }) end
end

--- Ends the state of the scripts at once.
function Scripts:close()
  self.far:close()
end

return scripts
