--- Recovery: an open intent whose writer is gone is finished or undone by what its provider has.
--
-- The caller of such a write has had no answer (or, where the direction is `undo`, was told that it failed), so both ends
-- are right for it; what is not right is something in between.

local log = require "lunation.log"
local edit = require "lunation.write.edit"
local intent = require "lunation.write.intent"
local mapping = require "lunation.mapping"
local mirror = require "lunation.mirror"

local recover = {}

local function fetch(writer, id)
  local native, err = mirror.fetch(writer.store, writer.provider, writer.account, writer.calendar, id)
  if native then return native end
  if err.code == "not_found" then return false end
  return nil, err
end

local function revision(writer, id)
  local row = writer.store:event(writer.calendar.key, id)
  return row and row.revision or false
end

--- Adds what the provider has under an id to an outcome.
local function settle(writer, outcome, id, native, expect)
  if not native then
    outcome.drops[#outcome.drops + 1] = { id = id, expect = expect }
    return true
  end
  local put, err = intent.put(writer, native, expect)
  if not put then return nil, err end
  outcome.puts[#outcome.puts + 1] = put
  return put
end

--- Brings back to a series what its provider dropped when the series was changed, and nobody wrote again: exceptions that
--- it was to have. What another has made of the series meanwhile stays.
---@param writer lunation.Writer
---@param native table as the provider has it now
---@param meant lunation.Event? the series as the write was to leave it
---@return table? native, lunation.Error?
local function bring_back(writer, native, meant)
  local event = writer.provider.event:to(native)
  if not event or not meant or event.start ~= meant.start or not event.recurrenceRules then return native end
  local whole, missing = mapping.copy(event), false
  whole.recurrenceOverrides = whole.recurrenceOverrides or {}
  for key, patch in pairs(meant.recurrenceOverrides or {}) do
    if not whole.recurrenceOverrides[key] then whole.recurrenceOverrides[key], missing = patch, true end
  end
  if not missing then return native end
  local from, unmappable = writer.provider.event:from(whole, native)
  if not from then return nil, unmappable end
  local restored, err = writer.provider.update(writer.account, writer.calendar, from, {
    id = native.id, etag = native.etag, schedule_tag = native.schedule_tag, scope = "all", before = native,
    event = { before = event, after = whole }, notify = "none",
  })
  if restored then return restored end
  -- Another has made it a series that cannot have them any more.
  if err.code == "not_found" or err.code == "invalid_request" then return native end
  return nil, err
end

--- The series as an update was to leave it, by what the mirror had; nil where the provider has not changed it.
local function meant_by(writer, open, native)
  local row = open.plan.change and writer.store:event(writer.calendar.key, open.event)
  if not row or row.etag == native.etag then return nil end
  return (edit.apply(row.event, open.plan.change))
end

--- A write of one call: it was carried out or not, and what stands at the provider is the truth. That of a series whose
--- exceptions are requests of their own may lack those that were to follow.
local function one_call(writer, open)
  local expect = revision(writer, open.event)
  local native, err = fetch(writer, open.event)
  if native == nil then return nil, err end
  if native then
    native, err = bring_back(writer, native, meant_by(writer, open, native))
    if not native then return nil, err end
  end
  local outcome = { puts = {}, drops = {} }
  if open.kind == "create" and native and open.direction == "undo" and not open.plan.once and not open.plan.given then
    -- The caller was told that it failed.
    local deleted, failure = writer.provider.delete(writer.account, writer.calendar, open.event,
      { etag = native.etag, scope = "all" })
    if not deleted and failure.code ~= "not_found" then return nil, failure end
    native = false
  end
  local settled, unreadable = settle(writer, outcome, open.event, native, expect)
  if not settled then return nil, unreadable end
  if open.kind == "create" then
    outcome.failed = not native
    outcome.answer = native and settled or nil
  end
  return outcome
end

--- Cuts the first half of a split whose second half is there.
local function cut(writer, native, plan)
  local event, err = writer.provider.event:to(native)
  if not event then return nil, err end
  local first, impossible = edit.apply(event, { scope = "following", recurrenceId = plan.recurrenceId, uid = plan.uid })
  if not first then return nil, impossible end
  local from, unmappable = writer.provider.event:from(first, native)
  if not from then return nil, unmappable end
  return writer.provider.update(writer.account, writer.calendar, from, {
    id = native.id, etag = native.etag, schedule_tag = native.schedule_tag, scope = "following",
    recurrenceId = plan.recurrenceId, before = native, event = { before = event, after = first },
  })
end

--- The first half of a split as it was to be, by what the mirror still knows of the series; nil where it knows no more.
local function first_half(writer, plan, id)
  local row = writer.store:event(writer.calendar.key, id)
  if not row or not edit.goes_on(row.event, plan.recurrenceId) then return nil end
  return (edit.apply(row.event, { scope = "following", recurrenceId = plan.recurrenceId, uid = plan.uid }))
end

--- A series that was being split.
local function split(writer, open)
  local plan = open.plan
  local expect, expect_second = revision(writer, open.event), revision(writer, plan.second)
  local first, err = fetch(writer, open.event)
  if first == nil then return nil, err end
  local second, failure = fetch(writer, plan.second)
  if second == nil then return nil, failure end
  local event = first and writer.provider.event:to(first)
  local whole = event and edit.goes_on(event, plan.recurrenceId)
  local undo = open.direction == "undo"
  if second and whole and not undo then
    local done, problem = cut(writer, first, plan)
    -- Another has made it a series that cannot be cut there any more.
    undo = not done and (problem.code == "not_found" or problem.code == "invalid_request")
    if not done and not undo then return nil, problem end
    first = done or first
  end
  if second and whole and undo then
    local deleted, problem = writer.provider.delete(writer.account, writer.calendar, plan.second,
      { etag = second.etag, scope = "all" })
    if not deleted and problem.code ~= "not_found" then return nil, problem end
    second = false
  end
  if first and second and event and not whole then
    local restored, problem = bring_back(writer, first, first_half(writer, plan, open.event))
    if not restored then return nil, problem end
    first = restored
  end
  local outcome = { puts = {}, drops = {} }
  local settled, unreadable = settle(writer, outcome, open.event, first, expect)
  if not settled then return nil, unreadable end
  settled, unreadable = settle(writer, outcome, plan.second, second, expect_second)
  if not settled then return nil, unreadable end
  return outcome
end

--- Finishes or undoes one intent.
---@param writer lunation.Writer of the intent's calendar
---@param found lunation.store.Intent as read
---@return "finished"|"alive"|"left" outcome alive: its writer is at work; left: it cannot be settled now
function recover.one(writer, found)
  local open, problem = writer.store:intent_take(found, { ttl = intent.TTL, orphan = not writer.live[found.id] })
  if not open then return problem and "left" or "alive" end
  writer.live[open.id] = true
  local outcome, err
  if open.plan.split then outcome, err = split(writer, open) else outcome, err = one_call(writer, open) end
  local ended
  if outcome then ended, err = intent.finish(writer, open, outcome) end
  if ended then
    log.info("a write that was cut off is settled", { account = open.account, kind = open.kind })
    return "finished"
  end
  log.warn("a write that was cut off cannot be settled yet", { account = open.account, error = tostring(err) })
  if not outcome then intent.leave(writer, open, open.direction) end
  return "left"
end

--- Finishes or undoes those of some intents of the writer's calendar whose writers are gone.
---@param writer lunation.Writer
---@param filter { calendar: integer, event: string? }
function recover.all(writer, filter)
  for _, found in ipairs(writer.store:intents(filter) or {}) do recover.one(writer, found) end
end

return recover
