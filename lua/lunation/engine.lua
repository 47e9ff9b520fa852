-- The engine: the parts that work on one store, each opened when it is first asked for.

local config = require "lunation.config"

--- Part to the module whose `new(engine)` makes it; `store` alone is opened from the configuration.
local parts = {
  providers = "lunation.provider",
  dialects = "lunation.dialect",
  sync = "lunation.sync",
  query = "lunation.query",
  write = "lunation.write",
  jobs = "lunation.jobs",
  changes = "lunation.changes",
  oauth = "lunation.oauth",
  subscriptions = "lunation.subscriptions",
}

---@class lunation.Engine
---@field config table
---@field store table
---@field providers table
---@field dialects table
---@field sync table
---@field query table
---@field write table
---@field jobs table
---@field changes table
---@field oauth table
---@field subscriptions lunation.Subscriptions
local Engine = {}

function Engine.__index(self, name)
  local module = parts[name]
  if not module then return Engine[name] end
  local part, err = require(module).new(self)
  if not part then error(err, 2) end
  rawset(self, name, part)
  return part
end

--- Closes what was opened, the store last.
function Engine:close()
  for name in pairs(parts) do
    local part = rawget(self, name)
    if part and part.close then part:close() end
  end
  self.store:close()
end

local engine = {}

--- Opens the engine on the configuration's store; makes the data directory and the key where there are none.
---@param cfg table of `config.load`
---@return lunation.Engine|nil, lunation.Error?
function engine.open(cfg)
  local prepared, err = config.prepare(cfg)
  if not prepared then return nil, err end
  require("lunation.http").configure(cfg.outgoing or {})
  require("lunation.rscale").configure(cfg.limits)
  local store
  store, err = require("lunation.store").open(cfg)
  if not store then return nil, err end
  if #cfg.apps > 0 then
    local adopted
    adopted, err = require("lunation.apps").adopt(store, cfg.apps)
    if not adopted then
      store:close()
      return nil, err
    end
  end
  return setmetatable({ config = cfg, store = store }, Engine)
end

local current, opener

--- Tells where `engine.current` comes from: `open` is called at most once, at first need.
---@param open fun(): lunation.Engine|nil, lunation.Error?
function engine.provide(open)
  current, opener = nil, open
end

--- The engine of this process, for scripts.
---@return lunation.Engine|nil, lunation.Error?
function engine.current()
  if current then return current end
  local err
  current, err = (opener or function() return engine.open(assert(config.load())) end)()
  return current, err
end

--- The engine that `current` has opened, if it has.
---@return lunation.Engine?
function engine.opened()
  return current
end

return engine
