--- The store: every row of lunation, behind whole operations.
--
-- `store.open(config)` gives an object whose methods are the files beside this one, by concern. All SQL stands in this
-- folder. Every method may yield, and answers `nil, err` when it fails; none holds a transaction or a statement when it
-- yields. Rows belong to an app and a user: where a method takes a `scope`, rows of others do not exist for it.

local errors = require "lunation.errors"
local timer = require "lunation.timer"
local holder = require "lunation.store.holder"
local migrations = require "lunation.store.migrations"

---@class lunation.Store
---@field db lunation.store.Connection
---@field key string 32 bytes: encrypts credentials
---@field holder string the name under which this store object holds leases
---@field clock fun(): number seconds since the Unix epoch
local Store = {}
Store.__index = Store

---@class lunation.store.Scope rows of other apps and users do not exist
---@field app string?
---@field user integer?

local CONCERNS = {
  "apps", "accounts", "calendars", "events", "apply", "leases", "intents", "idempotency", "jobs", "changes", "tokens", "imports",
  "unreadable", "connecting", "subscriptions",
}

for _, name in ipairs(CONCERNS) do
  local found = package.searchpath("lunation.store." .. name, package.path)
  if found then
    for method, body in pairs(require("lunation.store." .. name)) do
      assert(Store[method] == nil, "two store operations are named " .. method)
      Store[method] = body
    end
  end
end

local CONNECT = {
  sqlite = function(rest) return require("lunation.store.sqlite").connect(rest) end,
}

--- Applies the migrations that the store has not seen, all under the write lock, each wholly or not at all.
---@param upto integer? the last version to apply; the newest without it
---@return integer? version, lunation.Error?
function Store:migrate(upto)
  return self.db:write(function(sql)
    sql.run("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied REAL NOT NULL)")
    local version = sql.value("SELECT MAX(version) FROM migrations") or 0
    local newest = migrations[#migrations].version
    if version > newest then
      return nil, errors.new("unsupported",
        ("the store is of a newer lunation (schema %d, this one knows %d)"):format(version, newest))
    end
    for _, migration in ipairs(migrations) do
      if migration.version > version and migration.version <= (upto or newest) then
        local steps = require("lunation.store.migrations." .. migration.name)
        for _, step in ipairs(steps) do sql.run(step) end
        for _, step in ipairs(steps[self.db.kind] or {}) do sql.run(step) end
        sql.run("INSERT INTO migrations (version, name, applied) VALUES (?, ?, ?)",
          migration.version, migration.name, self.clock())
        version = migration.version
      end
    end
    return version
  end)
end

--- Copies the whole store to a file while it is in use.
---@param path string
---@return true?, lunation.Error?
function Store:backup(path)
  return self.db:backup(path)
end

--- Closes the connection; the object is of no use afterwards.
function Store:close()
  self.db:close()
end

local store = {}

--- Opens the store that the configuration names, and brings its schema up to date.
---@param config { store: string, key: string, clock: (fun(): number)?, schema: integer? } store: a URL, "sqlite:PATH"
---@return lunation.Store?, lunation.Error?
function store.open(config)
  local scheme, rest = tostring(config.store):match("^(%a+):(.+)$")
  local connect = scheme and CONNECT[scheme]
  if not connect then
    return nil, errors.new("unsupported", "no such kind of store: " .. tostring(config.store), { field = "store" })
  end
  if type(config.key) ~= "string" or #config.key ~= 32 then
    return nil, errors.new("invalid_request", "the key of the store has 32 bytes", { field = "key" })
  end
  local connection, err = connect(rest)
  if not connection then return nil, err end
  local self = setmetatable({
    db = connection, key = config.key, holder = holder.name(), clock = config.clock or timer.time,
  }, Store)
  local version, failure = self:migrate(config.schema)
  if not version then
    connection:close()
    return nil, failure
  end
  return self
end

return store
