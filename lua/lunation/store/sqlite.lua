--- The store's connection to SQLite: statements, transactions, and patience with the one writer of a WAL database.
--
-- The module below never waits on a lock (it would stall the loop); a busy database is tried again from here, with
-- pauses that yield and always outside of a transaction.

local sqlite = require "lunation.sqlite"
local timer = require "lunation.timer"
local errors = require "lunation.errors"

--- What the operations of the store are written against; PostgreSQL has the same.
--- `sql` speaks one dialect: `?` parameters, RETURNING, ON CONFLICT, no function that only one database knows.
---@class lunation.store.Connection
---@field kind "sqlite"|"postgres"
---@field read fun(self: lunation.store.Connection, body: fun(sql: lunation.store.Sql): ...): ...
---@field write fun(self: lunation.store.Connection, body: fun(sql: lunation.store.Sql): ...): ...
---@field durable fun(self: lunation.store.Connection, body: fun(sql: lunation.store.Sql): ...): ...
---@field erasing fun(self: lunation.store.Connection, body: fun(sql: lunation.store.Sql): ...): ...
---@field backup fun(self: lunation.store.Connection, path: string): true?, lunation.Error?
---@field close fun(self: lunation.store.Connection)

--- Statements; every failure raises an error object, which `read` and `write` turn into `nil, err`.
---@class lunation.store.Sql
---@field all fun(text: string, ...): table[] rows by column name
---@field row fun(text: string, ...): table?
---@field value fun(text: string, ...): any the first column of the first row
---@field run fun(text: string, ...): integer changed rows
---@field blob fun(bytes: string): any a parameter bound as bytes

local Connection = {}
Connection.__index = Connection

--- A busy database is given up after this many seconds: some other process holds the write lock for far too long.
local PATIENCE = 15
--- Seconds in which the log is to be emptied after something was erased.
local EMPTYING = 2
local FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.1

local function statements(db)
  local function checked(method)
    return function(text, ...)
      local statement, err = db:prepare(text)
      if not statement then error(err, 0) end
      local result, failure = statement[method](statement, ...)
      if result == nil and failure ~= nil then error(failure, 0) end
      return result
    end
  end
  return {
    all = checked("all"), row = checked("row"), value = checked("value"), run = checked("run"),
    blob = sqlite.blob,
  }
end

--- Runs `attempt` until the database is not busy. An error object that was raised comes back as `nil, err`.
local function patiently(attempt, seconds)
  local pause, started = FIRST_PAUSE, timer.now()
  while true do
    local results = table.pack(pcall(attempt))
    local err
    if not results[1] then
      err = results[2]
      if type(err) ~= "table" then error(err, 0) end
    elseif results[2] == nil then
      err = results[3]
    end
    if type(err) ~= "table" or err.code ~= "busy" then
      if not results[1] then return nil, err end
      return table.unpack(results, 2, results.n)
    end
    if timer.now() - started > (seconds or PATIENCE) then
      return nil, errors.new("busy", "the store is busy", { retry_after = 1 })
    end
    timer.sleep(pause * (0.5 + math.random()))
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

--- Statements outside of a transaction.
---@param body fun(sql: lunation.store.Sql): any, any
---@return any # what `body` returns
---@return any
function Connection:read(body)
  return patiently(function() return body(self.sql) end)
end

--- One transaction: committed when `body` returns, rolled back when it raises or returns `nil, err`.
--- `body` runs again from the start when the database was busy, so it changes nothing but the database.
---@param body fun(sql: lunation.store.Sql): any, any
---@return any # what `body` returns
---@return any
function Connection:write(body)
  return patiently(function()
    return self.db:transaction(function() return body(self.sql) end)
  end)
end

--- A transaction that is on the disk when it returns, also if the machine loses power in the next moment: what stands
--- before a call to a provider. The others survive the end of the process, which is enough for a mirror.
---@param body fun(sql: lunation.store.Sql): any, any
---@return any # what `body` returns
---@return any
function Connection:durable(body)
  return patiently(function()
    self.db:exec("PRAGMA synchronous=FULL")
    local results = table.pack(pcall(self.db.transaction, self.db, function() return body(self.sql) end))
    self.db:exec("PRAGMA synchronous=NORMAL")
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end)
end

--- A transaction after which nothing of what it deletes can be read in the file or in its log.
---@param body fun(sql: lunation.store.Sql): any, any
---@return any # what `body` returns
---@return any
function Connection:erasing(body)
  local results = table.pack(patiently(function()
    self.db:exec("PRAGMA secure_delete=ON")
    local done = table.pack(pcall(self.db.transaction, self.db, function() return body(self.sql) end))
    self.db:exec("PRAGMA secure_delete=FAST")
    if not done[1] then error(done[2], 0) end
    return table.unpack(done, 2, done.n)
  end))
  -- The log holds older pages until it is emptied. A reader in another process that never ends may prevent it; then the
  -- log is overwritten in the course of things.
  if results[1] then patiently(function() return self.db:checkpoint "truncate" end, EMPTYING) end
  return table.unpack(results, 1, results.n)
end

--- Copies the whole database to a file while it is in use.
---@param path string
---@return true?
---@return lunation.Error?
function Connection:backup(path)
  return self.db:backup(path)
end

--- Nothing is asked of the connection afterwards.
function Connection:close()
  self.db:close()
end

local module = {}

--- Opens a database file; makes it when it is not there.
---@param path string
---@return lunation.store.Connection?, lunation.Error?
function module.connect(path)
  -- SQLite does not wait where two connections change a new file to WAL at once: one of them is told at once
  local db, err = patiently(function()
    return sqlite.open(path, { wal = true, busy_ms = 0, mmap = 256 * 1024 * 1024 })
  end)
  if not db then return nil, err end
  local connection = setmetatable({ kind = "sqlite", db = db, sql = statements(db) }, Connection)
  local ready, failure = patiently(function()
    for _, pragma in ipairs { "foreign_keys=ON", "synchronous=NORMAL", "secure_delete=FAST" } do
      local done, problem = db:exec("PRAGMA " .. pragma)
      if not done and problem then return nil, problem end
    end
    return true
  end)
  if not ready then
    db:close()
    return nil, failure
  end
  return connection
end

return module
