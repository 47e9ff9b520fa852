-- What `serve` serves: the dialects over one engine, the scripts' routes beside them, and the jobs in the background.

local core = require "lunation.worker.core"
local dialects = require "lunation.dialect"
local engines = require "lunation.engine"
local errors = require "lunation.errors"
local log = require "lunation.log"
local notifications = require "lunation.notifications"
local origins = require "lunation.origins"
local router = require "lunation.router"
local server = require "lunation.server"
local settings = require "lunation.oauth.settings"

local service = {}

---@class lunation.Service
---@field engine lunation.Engine
---@field listeners table<string, lunation.Listener> by URL of the configuration
---@field inherited table
---@field routes lunation.Router
---@field scripts lunation.Scripts?
local Service = {}
Service.__index = Service

-- Every route of every dialect, and what scripts added. A script's mount never covers a dialect's.
local function routes_of(engine, scripts)
  local limits = engine.config.limits
  local routes = router.new { requests_per_minute = limits.requests_per_minute, limit_name = "requests" }
  local trusted = origins.trusted(engine)
  for _, name in ipairs(dialects.names) do
    local dialect = engine.dialects:get(name).routes(engine)
    routes:mount(dialect.mount, dialect.routes, {
      error = dialect.error, before = dialect.before, origins = dialect.origins or trusted, dialect = name,
    })
  end
  local notices = notifications.routes(engine)
  routes:mount(notices.mount, notices.routes, { error = notices.error })
  if scripts then scripts:mount(routes, engine) end
  return routes
end

local function listen_options(cfg, listener, inherited)
  local limits = {}
  for name, value in pairs(cfg.limits) do limits[name] = value end
  if limits.connections == 0 then limits.connections = nil end -- the server knows the limit on open files
  local fd = inherited.sockets and inherited.sockets[listener.url]
  return {
    cert = listener.cert, key = listener.key, limits = limits, trusted_proxies = cfg.trusted_proxies,
    fd = fd and core.dup(fd), reuseport = cfg.workers > 1,
    ticket_secret = inherited.secret, access_log = cfg.log.access,
  }
end

-- Listens on a URL, or takes over from the engine that does.
---@param listener { url: string, cert: string?, key: string? } of the configuration
---@return lunation.Listener?
---@return lunation.Error?
function Service:listen(listener)
  local listening, err = server.listen(listener.url, listen_options(self.engine.config, listener, self.inherited), self.routes)
  if not listening then
    err = errors.from(err)
    local files = listener.cert and (" (%s, %s)"):format(listener.cert, listener.key) or ""
    return nil, errors.new(err.code, tostring(err) .. files)
  end
  self.listeners[listener.url] = listening
  return listening
end

--- Opens the engine, loads scripts, listens, and starts the jobs. Where it fails, what was opened closes with the state:
--- until then it may have to answer for an older service, which takes its listeners back (`resume`).
---@param cfg table of `config.load`
---@param inherited {sockets: table<string, integer>?, secret: string?, slot: integer?, generation: integer?}? of the supervisor
---@return lunation.Service|nil, lunation.Error?
function service.start(cfg, inherited)
  local engine, err = engines.open(cfg)
  if not engine then return nil, err end
  local self = setmetatable({ engine = engine, listeners = {}, inherited = inherited or {} }, Service)
  if #cfg.scripts > 0 then
    self.scripts, err = require("lunation.scripts").open(engine)
    if not self.scripts then return nil, err end
  end
  local ok
  ok, self.routes = xpcall(routes_of, debug.traceback, engine, self.scripts)
  if not ok then return nil, errors.new("invalid_config", self.routes) end
  for _, listener in ipairs(cfg.listeners) do
    ok, err = self:listen(listener)
    if not ok then return nil, err end
  end
  for url, fd in pairs(self.inherited.sockets or {}) do
    if not self.listeners[url] then core.shut(fd) end
  end
  engine.subscriptions:start((self.inherited.slot or 1) > 1 or (self.inherited.generation or 0) > 0)
  engine.jobs:start()
  return self
end

--- Takes no more requests and waits for those under way and for the running jobs.
---@param seconds number at most
function Service:drain(seconds)
  local task = require "lunation.task"
  local work = { function() self.engine.jobs:stop(seconds) end }
  if self.scripts then work[#work + 1] = function() self.scripts:stop(seconds) end end
  for _, listener in pairs(self.listeners) do
    work[#work + 1] = function() listener:drain(seconds) end
  end
  for _, result in ipairs(task.all(work)) do
    if not result[1] then log.error("the drain failed", { error = tostring(result[2]) }) end
  end
end

--- A newer service has the listeners, but those that the configuration no longer names; what is this one's alone ends.
---@param seconds number
function Service:retire(seconds)
  for _, listener in pairs(self.listeners) do listener:close() end
  if self.scripts then self.scripts:stop(seconds) end
  self.engine.jobs:stop(seconds)
end

--- Takes back what a newer service, which did not start after all, had taken over.
function Service:resume()
  for _, listener in ipairs(self.engine.config.listeners) do self:listen(listener) end
end

-- An engine of which nothing touches the disk: for `check`.
local function unopened(cfg)
  local absent = setmetatable({}, { __index = function() return function() return nil end end })
  return setmetatable({ config = cfg, store = absent, sync = absent, query = absent, write = absent, jobs = absent, changes = absent,
    oauth = absent }, { __index = function(self, name)
    local module = name == "providers" and "lunation.provider" or name == "dialects" and "lunation.dialect"
    if not module then return nil end
    local part, err = require(module).new(self)
    if not part then error(err, 0) end
    rawset(self, name, part)
    return part
  end })
end

--- Loads what `start` would load and opens nothing.
---@param cfg table
---@return string[] problems
function service.check(cfg)
  local problems = {}
  local function try(what, fn, ...)
    local ok, result = pcall(fn, ...)
    if not ok then problems[#problems + 1] = ("%s: %s"):format(what, tostring(result)) end
  end
  local engine = unopened(cfg)
  try("providers", function() return engine.providers end)
  try("routes", routes_of, engine)
  for name, given in pairs(rawget(engine, "providers") and cfg.providers or {}) do
    local provider = engine.providers:get(name)
    if not provider then
      problems[#problems + 1] = ("provider `%s` is configured, but there is no such provider"):format(name)
    elseif provider.auth.kind == "oauth2" then
      local faults = settings.faults(provider, given)
      table.move(faults, 1, #faults, #problems + 1, problems)
    end
  end
  for _, listener in ipairs(cfg.listeners) do
    for _, file in ipairs { listener.cert, listener.key } do
      local handle, err = io.open(file)
      if handle then handle:close() else problems[#problems + 1] = ("listen %s: %s"):format(listener.url, err) end
    end
  end
  for _, path in ipairs(cfg.scripts) do
    local chunk, err = loadfile(path, "t")
    if not chunk then problems[#problems + 1] = err end
  end
  return problems
end

return service
