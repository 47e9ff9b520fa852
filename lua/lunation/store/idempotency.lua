--- Idempotency-Key: a request that comes again under the same key gets the answer that it got the first time.

local errors = require "lunation.errors"
local holder = require "lunation.store.holder"

---@class lunation.store.Once names one idempotent request
---@field app string
---@field user integer
---@field route string keys of different routes have nothing to do with each other
---@field key string as the client sent it

---@class lunation.Store
local idempotency = {}

local WHERE = " WHERE app = ? AND user_id = ? AND route = ? AND key = ?"

--- Begins an idempotent request.
---@param once lunation.store.Once
---@param digest string of the request; another one under the same key is refused
---@param ttl number seconds for which the answer is kept
---@return "new"|"again"|"done"|"busy"|nil state again: it was begun by a process that died; busy: it is being answered now
---@return string|lunation.Error|nil answer JSON text, when done
function idempotency:idempotency_begin(once, digest, ttl)
  local now = self.clock()
  local state, answer = self.db:write(function(sql)
    local row = sql.row("SELECT digest, holder, answer, expires FROM idempotency" .. WHERE,
      once.app, once.user, once.route, once.key)
    if row and row.expires <= now then
      sql.run("DELETE FROM idempotency" .. WHERE, once.app, once.user, once.route, once.key)
      row = nil
    end
    if not row then
      sql.run("INSERT INTO idempotency (app, user_id, route, key, digest, holder, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
        once.app, once.user, once.route, once.key, digest, self.holder, now + ttl)
      return "new"
    end
    if row.digest ~= digest then
      return nil, errors.new("conflict", "this Idempotency-Key was used for another request", { field = "Idempotency-Key" })
    end
    if row.answer then return "done", row.answer end
    if row.holder and holder.alive(row.holder) ~= false then return "busy" end
    sql.run("UPDATE idempotency SET holder = ?" .. WHERE, self.holder, once.app, once.user, once.route, once.key)
    return "again"
  end)
  return state, answer
end

--- Keeps the answer of a request.
---@param once lunation.store.Once
---@param answer string JSON text
---@return boolean?, lunation.Error?
function idempotency:idempotency_end(once, answer)
  return self.db:write(function(sql)
    return sql.run("UPDATE idempotency SET answer = ?, holder = NULL" .. WHERE,
      answer, once.app, once.user, once.route, once.key) > 0
  end)
end

--- Forgets a request that failed, so that it may be tried again under its key.
---@param once lunation.store.Once
---@return boolean?, lunation.Error?
function idempotency:idempotency_forget(once)
  return self.db:write(function(sql)
    return sql.run("DELETE FROM idempotency" .. WHERE .. " AND answer IS NULL",
      once.app, once.user, once.route, once.key) > 0
  end)
end

--- Gives a request up without an end to it; the next one under its key takes it up again.
---@param once lunation.store.Once
---@return boolean?, lunation.Error?
function idempotency:idempotency_leave(once)
  return self.db:write(function(sql)
    return sql.run("UPDATE idempotency SET holder = NULL" .. WHERE .. " AND answer IS NULL",
      once.app, once.user, once.route, once.key) > 0
  end)
end

return idempotency
