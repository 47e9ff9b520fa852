--- The steps of each write at the provider: create, update, split (`following`), delete.
--
-- Each call is one that can be found out about afterwards: ids are known before they are used, changes carry the ETag
-- they start from, and a series is cut only when its second half is there.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local edit = require "lunation.write.edit"
local intent = require "lunation.write.intent"
local mirror = require "lunation.mirror"
local model = require "lunation.model"
local rsvp = require "lunation.write.rsvp"
local timer = require "lunation.timer"
local upstream = require "lunation.upstream"

local steps = {}

--- Name space of the UUIDs that name a creation to the provider (RFC 9562 section 5.5).
local TRANSACTIONS = "0c8e4f5a-93d7-5b0e-8a51-2f6f0f6b7c11"

--- Failures after which it is certain that the provider has done nothing, by code or by cause.
local CERTAIN = {
  invalid_request = true, unauthorized = true, reauth_required = true, forbidden = true, not_found = true,
  conflict = true, precondition_failed = true, unsupported = true, rate_limited = true, blocked_address = true,
  refused = true, resolve = true, tls = true, calendar_permission_required = true, gone = true,
}

--- Whether a failed call may have been carried out all the same.
local function unknown(err)
  local status = err.upstream_status
  return not (CERTAIN[err.code] or CERTAIN[err.cause] or status and status >= 400 and status < 500)
end

local function fetch(writer, id)
  return mirror.fetch(writer.store, writer.provider, writer.account, writer.calendar, id)
end

--- What a write starts from: the mirror's row, or a fresher copy of the provider's.
local function base_of(row)
  return { id = row.id, etag = row.etag, schedule_tag = row.schedule_tag, event = row.event, native = row.original,
    revision = row.revision }
end

local function base_of_native(writer, native, revision)
  local event, err = writer.provider.event:to(native)
  if not event then return nil, err end
  return { id = native.id, etag = native.etag, schedule_tag = native.schedule_tag, event = event, native = native,
    revision = revision }
end

--- Gives up: nothing was done, or it was undone. The mirror is told what a look at the provider has shown.
local function fail(writer, open, err, seen)
  intent.finish(writer, open, { failed = true, puts = seen and seen.puts, drops = seen and seen.drops })
  return nil, upstream.failed(writer.engine, writer.account, err)
end

local function put_all(writer, list)
  local puts = {}
  for index, entry in ipairs(list) do
    local put, err = intent.put(writer, entry[1], entry[2])
    if not put then return nil, err end
    puts[index] = put
  end
  return puts
end

--- Ends a write that succeeded; answers with the row of `id`.
local function succeed(writer, open, list, id)
  local puts, err = put_all(writer, list)
  if not puts then
    intent.leave(writer, open, "forward")
    return nil, err
  end
  local answer
  for _, put in ipairs(puts) do
    if put.id == id then answer = put end
  end
  local ended, failure = intent.finish(writer, open, { puts = puts, answer = answer })
  if not ended then return nil, failure end
  local row, problem = writer.store:event(writer.calendar.key, id)
  if not row then return nil, problem or errors.new("not_found", "the event was deleted meanwhile") end
  return row
end

--- Whether an event that is there is the one that was sent. A request may arrive twice where a connection was lost, and
--- its second arrival finds the first.
local function is_ours(writer, native, event)
  local there = writer.provider.event:to(native)
  return there ~= nil and there.uid == event.uid and there.title == event.title and there.start == event.start
    and there.created == event.created
end

--- Sends a new event. The id is ours: one that is there already is the one of an earlier try, unless the caller chose
--- the UID and it is somebody else's.
---@param writer lunation.Writer
---@param event lunation.Event
---@param id string
---@param options { given: boolean?, like: table?, transaction: string, notify: string? } like: a native event whose other
---  properties the new one has too; transaction: a UUID that names this creation, however often it is sent
---@return table? native, lunation.Error? with `unsettled` where it cannot be found out whether it is there
local function send(writer, event, id, options)
  local native, unmappable = writer.provider.event:from(event, options.like)
  if not native then return nil, unmappable end
  -- What names the other one is no part of the new one.
  native.id, native.href, native.etag, native.schedule_tag = nil, nil, nil, nil
  local created, err = writer.provider.create(writer.account, writer.calendar, native,
    { id = id, given = options.given or false, transaction = options.transaction, notify = options.notify })
  if created then return created end
  if err.code == "conflict" or unknown(err) then
    local there, why = fetch(writer, id)
    if there and options.given and not is_ours(writer, there, event) then return nil, err end
    if there then return there end
    if why and why.code ~= "not_found" then err.unsettled = true end
  end
  return nil, err
end

--- Creates an event.
---@param writer lunation.Writer
---@param wanted { id: string, event: lunation.Event, given: boolean, once: table?, like: table?, notify: string? }
---@return lunation.EventRow?, lunation.Error?
function steps.create(writer, wanted)
  local open, busy = intent.begin(writer, {
    event = wanted.id, kind = "create", plan = { once = wanted.once, given = wanted.given },
  })
  if not open then return nil, busy end
  local known = writer.store:event(writer.calendar.key, wanted.id)
  if known and wanted.given then
    return fail(writer, open, errors.new("conflict", "an event of this UID is there already", { field = "uid" }))
  end
  local once = wanted.once
  local native, err = send(writer, wanted.event, wanted.id, {
    given = wanted.given, like = wanted.like, notify = wanted.notify,
    transaction = once and crypto.uuid5(TRANSACTIONS, table.concat({ once.app, once.user, writer.calendar.key, once.key }, "\n")) or open.id,
  })
  if native then
    return succeed(writer, open, { { native, known and known.revision or false } }, native.id)
  end
  if err.unsettled then
    intent.leave(writer, open, "undo")
    return nil, upstream.failed(writer.engine, writer.account, err)
  end
  return fail(writer, open, err)
end

--- One update call on a base.
local function call_update(writer, base, change, after)
  local native, err = writer.provider.event:from(after, base.native)
  if not native then return nil, err end
  return writer.provider.update(writer.account, writer.calendar, native, {
    id = base.id, etag = base.etag, schedule_tag = base.schedule_tag, scope = change.scope,
    recurrenceId = change.recurrenceId, before = base.native, event = { before = base.event, after = after }, notify = change.notify,
  })
end

--- The provider's copy as the new base, after the old one turned out not to be the newest.
local function newer_base(writer, base)
  local native, err = fetch(writer, base.id)
  if not native then return nil, err end
  return base_of_native(writer, native, base.revision)
end

--- What providers stamp on an event themselves.
local STAMPS = { "created", "updated", "sequence", "prodId" }

--- Whether an event is what a change was to make of it.
local function is_done(event, after)
  local one, other = model.copy(event), model.copy(after)
  for _, stamp in ipairs(STAMPS) do one[stamp], other[stamp] = nil, nil end
  return model.equal(one, other)
end

--- How long a provider that failed is left alone before the change is sent once more, in seconds, at least; what it asks
--- for beyond the longest is more than a caller waits.
local PAUSE, LONGEST_PAUSE = 0.2, 5

--- Changes an event with its precondition. On a conflict what the caller did not touch is taken from the provider, and
--- the change is tried once more; so it is where the provider failed and has the event as it was.
---@return table? native, lunation.Error|table err_or_base, table? base the copy that the failed change was last tried on
local function update_merged(writer, base, change, compute)
  if not base.etag then
    -- Its last answer could not be read back: there is nothing to be careful with before the provider is asked.
    local newer, failure = newer_base(writer, base)
    if not newer then return nil, failure, base end
    base = newer
  end
  for attempt = 1, 2 do
    local after, impossible = compute(base)
    if not after then return nil, impossible, base end
    local native, err = call_update(writer, base, change, after)
    if native then return native, base end
    local refused = err.code == "precondition_failed"
    if not refused and (attempt == 2 or not unknown(err) or (err.retry_after or 0) > LONGEST_PAUSE) then return nil, err, base end
    if attempt == 2 then
      return nil, errors.new("conflict", "the event was changed by another at the same time", { details = { id = base.id } }), base
    end
    if not refused then timer.sleep((err.retry_after or 0) + PAUSE * (1 + math.random())) end
    local newer, failure = newer_base(writer, base)
    if not newer then return nil, refused and failure or err, base end
    if not refused then
      if is_done(newer.event, after) then return newer.native, base end
      if newer.etag ~= base.etag then return nil, err, base end
    end
    base = newer
  end
end

--- After a failed update: what the provider has now goes into the mirror, where it answers.
local function settle_update(writer, open, base, err)
  local native, why = fetch(writer, base.id)
  if native then
    local put = intent.put(writer, native, base.revision)
    return fail(writer, open, err, { puts = { put } })
  end
  if why.code == "not_found" then
    return fail(writer, open, errors.new("not_found", "the event was deleted at its provider"),
      { drops = { { id = base.id, expect = base.revision } } })
  end
  -- One request leaves nothing half done: the next sync shows what became of it.
  intent.leave(writer, open, "forward")
  return nil, upstream.failed(writer.engine, writer.account, err)
end

--- Answers an invitation.
local function answer(writer, open, base, wanted)
  local native, err = writer.provider.rsvp(writer.account, writer.calendar, base.id, wanted)
  if native then return succeed(writer, open, { { native, base.revision } }, native.id) end
  return settle_update(writer, open, base, err)
end

--- Changes an event in one call.
---@param writer lunation.Writer
---@param open lunation.store.Intent
---@param row lunation.EventRow
---@param change lunation.Change
---@return lunation.EventRow?, lunation.Error?
function steps.update(writer, open, row, change)
  local base = base_of(row)
  -- What cannot be done to the event as it stands here is refused before anybody is asked.
  local possible, invalid = edit.apply(base.event, change)
  if not possible then return fail(writer, open, invalid) end
  local reply = writer.provider.rsvp and rsvp.of(writer.account, base.event, change)
  if reply then
    reply.notify = change.notify
    return answer(writer, open, base, reply)
  end
  if base.event.recurrenceOverrides and next(base.event.recurrenceOverrides) then
    -- Some providers take exceptions one by one: who finds the series half changed knows what was to come.
    local noted, lost = intent.step(writer, open, {
      plan = { change = { scope = change.scope, recurrenceId = change.recurrenceId, patch = change.patch } },
    })
    if not noted then return nil, lost end
  end
  local native, outcome, last = update_merged(writer, base, change, function(current)
    return edit.apply(current.event, change)
  end)
  if native then return succeed(writer, open, { { native, row.revision } }, native.id) end
  last.revision = row.revision
  return settle_update(writer, open, last, outcome)
end

--- Takes the second half away again after the first could not be cut.
local function undo_split(writer, open, base, second, err)
  local noted, lost = intent.step(writer, open, { direction = "undo" })
  if not noted then return nil, lost end
  local deleted, failure = writer.provider.delete(writer.account, writer.calendar, second.id, { etag = second.etag, scope = "all" })
  if not deleted and failure.code ~= "not_found" then
    intent.leave(writer, open, "undo")
    return nil, upstream.failed(writer.engine, writer.account, err)
  end
  return settle_update(writer, open, base, err)
end

--- Cuts the first half, with the second there already. When the series has moved on, both halves are made anew from it:
--- the second first, so that at no time something is missing.
---@return table? first, table second_or_error, table base
local function cut(writer, base, second, change, uid)
  local native, outcome, last = update_merged(writer, base, change, function(current)
    local first, changed = edit.split(current.event, change, uid)
    if not first then return nil, changed end
    if current ~= base then
      local there, err = base_of_native(writer, second)
      if not there then return nil, err end
      local newer, failure = call_update(writer, there, { scope = "all" }, changed)
      if not newer then return nil, failure end
      second = newer
    end
    return first
  end)
  if native then return native, second, outcome end
  return nil, outcome, last
end

--- Changes a series from an instance on: the second half is created under a UID that the intent knows, then the first is
--- cut before it.
---@param writer lunation.Writer
---@param open lunation.store.Intent
---@param row lunation.EventRow
---@param change lunation.Change
---@return lunation.EventRow? row of the second half, lunation.Error?
function steps.split(writer, open, row, change)
  local uid = crypto.uuid()
  local id = writer.provider.new_id(uid)
  local base = base_of(row)
  local first, changed = edit.split(base.event, change, uid)
  if not first then return fail(writer, open, changed) end
  local noted, lost = intent.step(writer, open, {
    step = 1, plan = { split = true, uid = uid, second = id, recurrenceId = change.recurrenceId },
  })
  if not noted then return nil, lost end
  local second, err = send(writer, changed, id, {
    like = base.native, notify = change.notify, transaction = crypto.uuid5(TRANSACTIONS, open.id),
  })
  if not second then
    if err.unsettled then
      intent.leave(writer, open, "undo")
      return nil, upstream.failed(writer.engine, writer.account, err)
    end
    return fail(writer, open, err)
  end
  noted, lost = intent.step(writer, open, { step = 2 })
  if not noted then return nil, lost end
  local native, outcome, last = cut(writer, base, second, change, uid)
  if not native then
    -- It may have been cut all the same, by a request whose answer was lost or that arrived twice.
    local now, why = fetch(writer, base.id)
    local seen = now and base_of_native(writer, now, row.revision)
    if seen and not edit.goes_on(seen.event, change.recurrenceId) then
      native, outcome = now, second
    elseif not seen and why and why.code ~= "not_found" then
      intent.leave(writer, open, "undo")
      return nil, upstream.failed(writer.engine, writer.account, outcome)
    end
  end
  if not native then
    last.revision = row.revision
    return undo_split(writer, open, last, second, outcome)
  end
  return succeed(writer, open, { { native, row.revision }, { outcome, false } }, outcome.id)
end

--- Deletes an event.
---@param writer lunation.Writer
---@param open lunation.store.Intent
---@param row lunation.EventRow
---@param notify string?
---@return true?, lunation.Error?
function steps.delete(writer, open, row, notify)
  local base = base_of(row)
  local function call()
    return writer.provider.delete(writer.account, writer.calendar, base.id,
      { etag = base.etag, schedule_tag = base.schedule_tag, scope = "all", notify = notify })
  end
  local deleted, err
  if base.etag then
    deleted, err = call()
  else
    err = errors.new("precondition_failed", "its last answer could not be read back")
  end
  if not deleted and err.code == "precondition_failed" then
    local newer, failure = newer_base(writer, base)
    if newer then
      base = newer
      deleted, err = call()
    else
      err = failure
    end
  end
  if not deleted and unknown(err) then
    local _, why = fetch(writer, base.id)
    if why and why.code == "not_found" then deleted = true end
  end
  if deleted or err.code == "not_found" then
    local ended, failure = intent.finish(writer, open, { drops = { { id = base.id, expect = row.revision } } })
    if not ended then return nil, failure end
    return true
  end
  if err.code == "precondition_failed" then
    err = errors.new("conflict", "the event was changed by another at the same time", { details = { id = base.id } })
  end
  base.revision = row.revision
  return settle_update(writer, open, base, err)
end

return steps
