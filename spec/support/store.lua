-- A store for specs: in a directory of its own, and every operation of it yields before and after, as PostgreSQL's will.

local log = require "lunation.log"
local store = require "lunation.store"
local support = require "spec.support"
local timer = require "lunation.timer"

-- Failures are what many of these specs are about; they need not be said twice.
log.configure { level = "error" }

local specs = {}

specs.KEY = ("k"):rep(32)

local function yielding(fn)
  return function(...)
    timer.sleep(0)
    local results = table.pack(fn(...))
    timer.sleep(0)
    return table.unpack(results, 1, results.n)
  end
end

--- Wraps a store so that each method, and each step of an iterator that it gives, yields.
function specs.forced(raw)
  return setmetatable({ raw = raw }, {
    __index = function(_, name)
      local value = raw[name]
      if type(value) ~= "function" or name == "clock" then return value end
      return function(_, ...)
        timer.sleep(0)
        local results = table.pack(value(raw, ...))
        timer.sleep(0)
        if type(results[1]) == "function" then results[1] = yielding(results[1]) end
        return table.unpack(results, 1, results.n)
      end
    end,
    __newindex = function(_, name, value) raw[name] = value end,
  })
end

--- Opens a store with forced yields.
---@param options { path: string?, key: string?, clock: function?, schema: integer?, plain: boolean? }?
function specs.open(options)
  options = options or {}
  local path = options.path or support.tmpdir() .. "/lunation.db"
  local raw = assert(store.open {
    store = "sqlite:" .. path, key = options.key or specs.KEY, clock = options.clock, schema = options.schema,
  })
  local opened = options.plain and raw or specs.forced(raw)
  return opened, path
end

--- An app, a user and an account with calendars to work on; `calendars = {}` leaves them to the first sync.
---@return table account, table[] calendars
function specs.furnish(opened, options)
  options = options or {}
  assert(opened:app_add { id = "demo", name = "Demo" })
  local user = assert(opened:user("demo", options.user or "ada", { create = true }))
  local account = assert(opened:account_add {
    user = user.id, provider = options.provider or "fake", identity = options.identity or "ada@fake", scope = "read-write",
    credentials = { username = "ada", password = "secret" }, settings = options.settings,
  })
  local list = options.calendars or { { id = "work", title = "Work", components = { "VEVENT" } } }
  if #list > 0 then assert(opened:calendars_sync(account.id, list)) end
  return account, assert(opened:calendars { account = account.id })
end

--- What the feed says of events after a position.
---@return table[]
function specs.feed(opened, position)
  local found = {}
  for _, change in ipairs(assert(opened:changes_after(position or 0, 1000))) do
    if change.event_id then found[#found + 1] = change end
  end
  return found
end

return specs
