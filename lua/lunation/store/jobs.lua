--- The table of jobs: put, claimed under a lease with a fencing number, done, tried again later, or dead.

local json = require "lunation.json"
local errors = require "lunation.errors"
local holder = require "lunation.store.holder"

---@class lunation.store.Job
---@field id integer
---@field kind string what runs it
---@field key string? at most one job of a kind and key
---@field payload any
---@field state "ready"|"leased"|"dead"
---@field run_at number
---@field attempts integer how often it was begun
---@field max_attempts integer
---@field fence integer every write in its name gives this number
---@field expires number?
---@field error table? the last failure
---@field created number

---@class lunation.Store
local jobs = {}

local COLUMNS = "id, kind, key, payload, state, run_at, attempts, max_attempts, holder, fence, expires, error, created"

local function from_row(row)
  if not row then return nil end
  row.payload = json.decode(row.payload)
  row.error = row.error and json.decode(row.error) or nil
  return row
end

local function error_text(failure)
  return json.encode({ code = failure.code or "internal", message = tostring(failure.message or failure) })
end

--- Puts a job. One of the same kind and key that waits already is left as it is, unless `replace` is given; one that
--- died is brought back.
--- `replace = "changed"` does so only where its payload is another. A job put with an `error` is a dead letter.
---@param job { kind: string, key: string?, payload: any, run_at: number?, max_attempts: integer?, replace: boolean|"changed"|nil, error: table? }
---@return integer? id, lunation.Error?
function jobs:job_put(job)
  local now = self.clock()
  local payload = json.encode(job.payload == nil and json.object({}) or job.payload, { sorted = true })
  return self.db:write(function(sql)
    local known = job.key and sql.row("SELECT id, state, payload FROM jobs WHERE kind = ? AND key = ?", job.kind, job.key)
    if known then
      local replace = job.replace == true or job.replace == "changed" and known.payload ~= payload
      if known.state == "dead" or known.state == "ready" and replace then
        sql.run("UPDATE jobs SET payload = ?, run_at = ?, state = 'ready', attempts = 0, error = NULL WHERE id = ?",
          payload, job.run_at or now, known.id)
      end
      return known.id
    end
    return sql.value("INSERT INTO jobs (kind, key, payload, state, run_at, max_attempts, error, created) " ..
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id", job.kind, job.key, payload, job.error and "dead" or "ready",
      job.run_at or now, job.max_attempts or 8, job.error and error_text(job.error) or nil, now)
  end)
end

local function placeholders(count)
  return (count > 1 and ("?, "):rep(count - 1) or "") .. "?"
end

--- Claims the job that has been due for longest.
---@param kinds string[] those that the caller can run
---@param ttl number seconds until another may claim it, unless renewed
---@return lunation.store.Job? nil without an error: none is due, lunation.Error?
function jobs:job_claim(kinds, ttl)
  if #kinds == 0 then return nil end
  local now = self.clock()
  local due = "SELECT id FROM jobs WHERE state IN ('ready', 'leased') AND run_at <= ? " ..
    "AND (state = 'ready' OR expires <= ?) AND kind IN (" .. placeholders(#kinds) .. ") ORDER BY run_at, id LIMIT 1"
  local waiting, err = self.db:read(function(sql) return sql.value(due, now, now, table.unpack(kinds)) end)
  if err or not waiting then return nil, err end
  return self.db:write(function(sql)
    local id = sql.value(due, now, now, table.unpack(kinds))
    if not id then return nil end
    return from_row(sql.row("UPDATE jobs SET state = 'leased', holder = ?, fence = fence + 1, attempts = attempts + 1, " ..
      "expires = ? WHERE id = ? RETURNING " .. COLUMNS, self.holder, now + ttl, id))
  end)
end

--- Frees the jobs of processes that are known to be dead.
---@return integer? freed, lunation.Error?
function jobs:job_reap()
  local leased, err = self.db:read(function(sql)
    return sql.all("SELECT id, fence, holder FROM jobs WHERE state = 'leased'")
  end)
  if not leased then return nil, err end
  local freed = 0
  for _, job in ipairs(leased) do
    if holder.alive(job.holder) == false then
      local changed, failure = self.db:write(function(sql)
        return sql.run("UPDATE jobs SET state = 'ready', holder = NULL, expires = NULL WHERE id = ? AND fence = ?",
          job.id, job.fence)
      end)
      if not changed then return nil, failure end
      freed = freed + changed
    end
  end
  return freed
end

--- A change of a claimed job, refused when the claim is another's by now.
local function fenced(store, job, text, ...)
  local values = table.pack(...)
  values[values.n + 1], values[values.n + 2] = job.id, job.fence
  local changed, err = store.db:write(function(sql)
    return sql.run(text .. " WHERE id = ? AND fence = ? AND state = 'leased'", table.unpack(values, 1, values.n + 2))
  end)
  if err then return nil, err end
  if changed == 0 then return nil, errors.new("conflict", "the job is another's by now") end
  return true
end

--- Keeps a claimed job for longer.
---@param job lunation.store.Job
---@param ttl number seconds
---@return true?, lunation.Error?
function jobs:job_renew(job, ttl)
  return fenced(self, job, "UPDATE jobs SET expires = ?", self.clock() + ttl)
end

--- Ends a claimed job; with `again`, it runs again then.
---@param job lunation.store.Job
---@param again number? when it is due next
---@return true?, lunation.Error?
function jobs:job_done(job, again)
  if again then
    return fenced(self, job,
      "UPDATE jobs SET state = 'ready', run_at = ?, attempts = 0, error = NULL, holder = NULL, expires = NULL", again)
  end
  return fenced(self, job, "DELETE FROM jobs")
end

--- Puts a claimed job back after a failure.
---@param job lunation.store.Job
---@param run_at number? when it is tried again; without one it is dead
---@param failure table {code=, message=}
---@return true?, lunation.Error?
function jobs:job_failed(job, run_at, failure)
  return fenced(self, job,
    "UPDATE jobs SET state = ?, run_at = ?, error = ?, holder = NULL, expires = NULL",
    run_at and "ready" or "dead", run_at or self.clock(), error_text(failure))
end

--- When the next of these kinds is due.
---@param kinds string[]
---@return number? nil: none waits, lunation.Error?
function jobs:job_next(kinds)
  if #kinds == 0 then return nil end
  return self.db:read(function(sql)
    return sql.value("SELECT MIN(CASE WHEN state = 'ready' THEN run_at ELSE expires END) FROM jobs " ..
      "WHERE state IN ('ready', 'leased') AND kind IN (" .. placeholders(#kinds) .. ")", table.unpack(kinds))
  end)
end

--- Jobs, oldest first.
---@param filter { state: string?, kind: string? }?
---@return lunation.store.Job[]?, lunation.Error?
function jobs:jobs(filter)
  return self.db:read(function(sql)
    local found = {}
    for _, row in ipairs(sql.all("SELECT " .. COLUMNS .. " FROM jobs ORDER BY id")) do
      if not (filter and (filter.state and filter.state ~= row.state or filter.kind and filter.kind ~= row.kind)) then
        found[#found + 1] = from_row(row)
      end
    end
    return found
  end)
end

--- Removes a job that nobody runs now.
---@param kind string
---@param key string
---@return boolean?, lunation.Error?
function jobs:job_remove(kind, key)
  return self.db:write(function(sql)
    return sql.run("DELETE FROM jobs WHERE kind = ? AND key = ? AND state <> 'leased'", kind, key) > 0
  end)
end

return jobs
