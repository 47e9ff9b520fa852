--- Intents: what is about to be done at a provider, written down before the first call, so that whoever finds it after
--- a crash can finish or undo it.
--
-- An event has at most one open intent. Its row carries the plan (ids, preconditions, the caller's change), the step
-- that was reached, and a fence: a writer that was slow enough to be taken over can no longer end it.

local json = require "lunation.json"
local errors = require "lunation.errors"
local holder = require "lunation.store.holder"
local rows = require "lunation.store.rows"

---@class lunation.store.Intent
---@field id string
---@field account integer
---@field calendar integer key
---@field event string id
---@field kind string
---@field direction "forward"|"undo"
---@field step integer the last step that was begun
---@field plan table
---@field holder string?
---@field fence integer
---@field expires number
---@field created number

---@class lunation.Store
local intents = {}

local COLUMNS = "id, account, calendar, event, kind, direction, step, plan, holder, fence, expires, created"

local function from_row(row)
  if row then row.plan = json.decode(row.plan) end
  return row
end

--- Writes an intent down. It is on the disk when this returns.
---@param intent { id: string, account: integer, calendar: integer, event: string, kind: string, plan: table, ttl: number }
---@return lunation.store.Intent?, lunation.Error? code busy: the event has an open intent, named in the field `intent`
function intents:intent_begin(intent)
  local plan = json.encode(intent.plan, { sorted = true })
  local now = self.clock()
  return self.db:durable(function(sql)
    local open = sql.row("SELECT " .. COLUMNS .. " FROM intents WHERE calendar = ? AND event = ?", intent.calendar, intent.event)
    if open then
      return nil, errors.new("conflict", "another change of this event is under way", { intent = from_row(open) })
    end
    return from_row(sql.row("INSERT INTO intents (" .. COLUMNS .. ") VALUES (?, ?, ?, ?, ?, 'forward', 0, ?, ?, 1, ?, ?) " ..
      "RETURNING " .. COLUMNS, intent.id, intent.account, intent.calendar, intent.event, intent.kind, plan, self.holder,
      now + intent.ttl, now))
  end)
end

--- Notes the step that comes next, and keeps the intent for longer. It is on the disk when this returns.
---@param intent lunation.store.Intent changed in place
---@param change { step: integer?, direction: string?, plan: table?, ttl: number }
---@return lunation.store.Intent?, lunation.Error? code conflict: another has taken the intent over
function intents:intent_step(intent, change)
  local step, direction = change.step or intent.step, change.direction or intent.direction
  local plan = change.plan or intent.plan
  local text, expires = json.encode(plan, { sorted = true }), self.clock() + change.ttl
  local done, err = self.db:durable(function(sql)
    return sql.run("UPDATE intents SET step = ?, direction = ?, plan = ?, expires = ? WHERE id = ? AND fence = ?",
      step, direction, text, expires, intent.id, intent.fence) > 0
  end)
  if err then return nil, err end
  if not done then return nil, errors.new("conflict", "another has taken this change over") end
  intent.step, intent.direction, intent.plan, intent.expires = step, direction, plan, expires
  return intent
end

--- Open intents, oldest first.
---@param filter { account: integer?, calendar: integer?, event: string?, id: string? }?
---@return lunation.store.Intent[]?, lunation.Error?
function intents:intents(filter)
  local conditions, values = {}, {}
  for _, column in ipairs { "account", "calendar", "event", "id" } do
    if filter and filter[column] ~= nil then
      conditions[#conditions + 1] = column .. " = ?"
      values[#values + 1] = filter[column]
    end
  end
  local where = #conditions > 0 and " WHERE " .. table.concat(conditions, " AND ") or ""
  return self.db:read(function(sql)
    local found = sql.all("SELECT " .. COLUMNS .. " FROM intents" .. where .. " ORDER BY created, id", table.unpack(values))
    for _, row in ipairs(found) do from_row(row) end
    return found
  end)
end

--- Takes an intent over whose writer is gone.
---@param intent lunation.store.Intent as read
---@param options { ttl: number, orphan: boolean? } orphan: it is of this process, which knows that its writer has ended
---@return lunation.store.Intent? nil without an error: its writer lives, or it was ended or taken meanwhile, lunation.Error?
function intents:intent_take(intent, options)
  local now = self.clock()
  local mine = intent.holder == self.holder
  local abandoned
  if mine then
    abandoned = options.orphan
  else
    abandoned = intent.expires <= now or not intent.holder or holder.alive(intent.holder) == false
  end
  if not abandoned then return nil end
  return self.db:durable(function(sql)
    return from_row(sql.row("UPDATE intents SET holder = ?, fence = fence + 1, expires = ? WHERE id = ? AND fence = ? " ..
      "RETURNING " .. COLUMNS, self.holder, now + options.ttl, intent.id, intent.fence))
  end)
end

--- Leaves an open intent to whoever comes next.
---@param intent lunation.store.Intent
---@return boolean?, lunation.Error?
function intents:intent_leave(intent)
  return self.db:write(function(sql)
    return sql.run("UPDATE intents SET holder = NULL, expires = 0 WHERE id = ? AND fence = ?", intent.id, intent.fence) > 0
  end)
end

local function check_expected(put, found)
  if put.expect == nil or (found and found.revision or false) == put.expect then return true end
  return nil, errors.new("precondition_failed", "the event has changed in the mirror", { id = put.id })
end

--- Ends an intent: the mirror as the provider answered, the answer of an idempotent request, and the end of the intent
--- are one transaction.
---@param intent lunation.store.Intent
---@param outcome { puts: table[]?, drops: table[]?, once: table?, answer: string?, failed: boolean? }
---   puts: upserts with `expect` (revision that must still stand, false: none must); drops: {id=, expect=};
---   once: the idempotent request {app, user, route, key}; answer: its JSON, or with `failed` the request is forgotten
---@return true?, lunation.Error? code conflict: another has taken the intent over; precondition_failed: refetch `id`
function intents:intent_end(intent, outcome)
  local encoded = {}
  for index, put in ipairs(outcome.puts or {}) do
    local row, unfit = rows.encode(put)
    if not row then return nil, unfit end
    encoded[index] = row
  end
  return self.db:write(function(sql)
    if sql.value("SELECT fence FROM intents WHERE id = ?", intent.id) ~= intent.fence then
      return nil, errors.new("conflict", "another has taken this change over")
    end
    local calendar, missing = rows.lock(sql, intent.calendar)
    if not calendar then return nil, missing end
    calendar.epoch = calendar.epoch + 1
    local context = { origin = "write", now = self.clock(), epoch = calendar.epoch }
    for index, put in ipairs(outcome.puts or {}) do
      local found = rows.find(sql, calendar, put.id)
      local ok, err = check_expected(put, found)
      if not ok then return nil, err end
      rows.put(sql, calendar, found, encoded[index], context)
    end
    for _, drop in ipairs(outcome.drops or {}) do
      local found = rows.find(sql, calendar, drop.id)
      local ok, err = check_expected(drop, found)
      if not ok then return nil, err end
      if found then rows.drop(sql, calendar, found, drop.id, context) end
    end
    rows.unlock(sql, calendar)
    local once = outcome.once
    if once and outcome.failed then
      sql.run("DELETE FROM idempotency WHERE app = ? AND user_id = ? AND route = ? AND key = ? AND answer IS NULL",
        once.app, once.user, once.route, once.key)
    elseif once then
      sql.run("UPDATE idempotency SET answer = ?, holder = NULL WHERE app = ? AND user_id = ? AND route = ? AND key = ?",
        outcome.answer, once.app, once.user, once.route, once.key)
    end
    sql.run("DELETE FROM intents WHERE id = ?", intent.id)
    return true
  end)
end

return intents
