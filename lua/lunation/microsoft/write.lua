-- Writing events: what changed and nothing else, master and exceptions each by a request of its own, guarded by their ETags.
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local body = require "lunation.microsoft.body"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local property = require "lunation.microsoft.property"
local reader = require "lunation.microsoft.event_reader"
local request = require "lunation.microsoft.request"
local series = require "lunation.microsoft.series"
local time = require "lunation.microsoft.time"
local value = require "lunation.ical.value"

local M = {}

-- What of an event may be written.
local WRITABLE = {
  "subject", "body", "start", "end", "isAllDay", "recurrence", "location", "locations", "attendees", "categories", "showAs", "sensitivity",
  "importance", "isReminderOn", "reminderMinutesBeforeStart", "isOnlineMeeting", "onlineMeetingProvider", "singleValueExtendedProperties",
  "hideAttendees", "allowNewTimeProposals", "responseRequested",
}

-- A new series with exceptions is made by several requests. Until the last of them it bears this mark among what is kept with it, by
-- which one that was cut off is known: it counts as none.
local UNFINISHED = "unfinished"

local TRANSACTIONS = "0d6e6a52-7c61-4c1e-9a0b-5b2f6f0c3a77"

local function null_or(v)
  if v == nil then return json.null end
  return v
end

-- Attendees without their answers, which are theirs.
local function invited(list)
  if type(list) ~= "table" or list == json.null then return list end
  local result = json.array {}
  for i, attendee in ipairs(list) do result[i] = { emailAddress = attendee.emailAddress, type = attendee.type } end
  return result
end

-- The properties of ours that differ; those of others are not sent.
local function properties(before, after)
  local list = json.array {}
  for _, id in ipairs { property.UID, property.DATA } do
    local now = property.get(after, id)
    if now and now ~= property.get(before, id) then list[#list + 1] = { id = id, value = now } end
  end
  return #list > 0 and list or nil
end

-- An all-day event begins and ends at midnights of the calendar's zone.
local function zoned(sent, native, calendar)
  if native.isAllDay ~= true then return end
  local zone = time.name(calendar.timeZone)
  for _, name in ipairs { "start", "end" } do
    if sent[name] then sent[name] = { dateTime = sent[name].dateTime, timeZone = zone } end
  end
  if type(sent.recurrence) == "table" and sent.recurrence ~= json.null then
    sent.recurrence = mapping.copy(sent.recurrence)
    sent.recurrence.range.recurrenceTimeZone = zone
  end
end

local together = { start = true, ["end"] = true, isAllDay = true }

---The body of a request that makes one event of Graph another.
---@param before table {} for a new one
---@param after table
---@param calendar table
---@return table body, empty where nothing differs
function M.difference(before, after, calendar)
  local sent, times = {}, false
  for _, name in ipairs(WRITABLE) do
    if not mapping.equal(before[name], after[name]) then
      if name == "singleValueExtendedProperties" then
        sent[name] = properties(before, after)
      elseif name == "attendees" then
        local now = invited(after[name])
        if not mapping.equal(invited(before[name]), now) then sent[name] = null_or(now) end
      else
        sent[name] = null_or(after[name])
      end
      times = times or together[name]
    end
  end
  if times then
    -- Graph wants them together: a series whose start moves says from when on it recurs.
    for name in pairs(together) do sent[name] = after[name] end
    if series.is_series(after) then sent.recurrence = after.recurrence end
  end
  -- One place is the location, several are the locations: either replaces the other.
  if sent.locations ~= nil or sent.location ~= nil then
    local list = type(after.locations) == "table" and after.locations ~= json.null and after.locations or {}
    sent.location, sent.locations = nil, nil
    if #list > 1 then sent.locations = list else sent.location = list[1] or null_or(after.location) end
  end
  zoned(sent, after, calendar)
  return sent
end

local function failed_meeting()
  return nil, errors.new("invalid_request", "This Outlook calendar makes no online meetings", { field = "lunation:conference", reason = "online_meeting" })
end

-- Who makes the online meeting: the one that was asked for if the calendar allows it, else the calendar's own.
local function meeting(sent, calendar)
  if sent.isOnlineMeeting ~= true then return true end
  local original = type(calendar.original) == "table" and calendar.original or calendar
  local allowed = original.allowedOnlineMeetingProviders
  if type(allowed) ~= "table" or allowed == json.null then return true end
  local set, first = {}, nil
  for _, name in ipairs(allowed) do
    if name ~= "unknown" then
      set[name] = true
      first = first or name
    end
  end
  if not first then return failed_meeting() end
  if not set[sent.onlineMeetingProvider] then
    local usual = original.defaultOnlineMeetingProvider
    sent.onlineMeetingProvider = set[usual] and usual or first
  end
  return true
end

local function mirrored_of(calendar) return calendar.mirrored or function() return nil end end

local function whole(account, calendar, id)
  local natives, gone = reader.by_ids(account, calendar, { id }, mirrored_of(calendar))
  if not natives then return nil, gone end
  if not natives[1] then return nil, errors.new("not_found", "the event was deleted at its provider") end
  return natives[1]
end

local kinds = { occurrence = true, exception = true }

-- Events that are not ours to edit.
local function editable(native)
  if kinds[native.type] then
    return nil, errors.new("invalid_request", "An occurrence is changed by way of its series", { field = "type", reason = native.type })
  end
  if native.isCancelled == true then
    return nil, errors.new("invalid_request", "A meeting that its organizer has cancelled can only be deleted", { reason = "cancelled" })
  end
  return true
end

-- --- instances ---

-- The times of a series, as far as keys need them.
local function times_of(native)
  local times, why = time.times(native)
  if not times then return nil, errors.new("provider_error", "start: " .. why) end
  return { start = times.start, timeZone = times.zone, showWithoutTime = times.all_day, duration = times.duration }
end

---The occurrence of a series at a key.
---@return table? native
---@return lunation.Error?
local function occurrence(account, calendar, master, event, key)
  local at = value.seconds(time.original(key, event):sub(1, 19))
  local span = value.parse_duration(event.duration or "PT0S")
  local path = request.event(calendar, master.id) .. "/instances" .. request.query {
    { "startDateTime", value.from_seconds(at - 86400) .. "Z" },
    { "endDateTime", value.from_seconds(at + 86400 + span.days * 86400 + span.seconds) .. "Z" },
  }
  local items, err = request.all(account, path)
  if not items then return nil, err end
  local author = time.zone(master.originalStartTimeZone)
  for _, item in ipairs(items) do
    local its = time.key(item.originalStart, event, author)
    if not its then
      local times = times_of(item)
      its = times and (times.showWithoutTime and times.start or time.key(time.original(times.start, times), event, author))
    end
    if its == key then return reader.clean(account, item) end
  end
  return nil, errors.new("not_found", "the series has no occurrence at " .. key, { field = "recurrenceId" })
end

local function send_patch(account, calendar, id, tag, sent)
  local done, err = meeting(sent, calendar)
  if not done then return nil, err end
  return request.send(account, "PATCH", request.event(calendar, id), { json = sent, etag = tag })
end

local function remove(account, calendar, id, tag)
  local answer, err = request.send(account, "DELETE", request.event(calendar, id), { etag = tag, accept = { 404 } })
  if not answer then return nil, err end
  return true
end

-- What an exception differs in from the one that is there. One without an id is the changes alone.
local function exception_difference(there, wanted, calendar)
  if wanted.id == nil or there.id ~= wanted.id then
    local after = mapping.copy(there)
    for _, name in ipairs(WRITABLE) do
      if wanted[name] ~= nil and name ~= "recurrence" and name ~= "singleValueExtendedProperties" then after[name] = wanted[name] end
    end
    local kept = property.get(wanted, property.DATA)
    if kept then property.set(after, property.DATA, kept) end
    return M.difference(there, after, calendar)
  end
  return M.difference(there, wanted, calendar)
end

---Makes the exceptions and cancellations of a series what they shall be.
---@param there table native as Graph has it now
---@param wanted table native as it shall be
---@return integer? changes
---@return lunation.Error?
---@param fresh boolean? its ETags hold
local function settle(account, calendar, there, wanted, fresh)
  local event, err = times_of(wanted)
  if not event then return nil, err end
  local event_now
  event_now, err = times_of(there)
  if not event_now then return nil, err end
  local there_now, gone_now = series.index(there, event_now)
  local exceptions, cancelled = series.index(wanted, event)
  local keys, count = {}, 0
  for key in pairs(exceptions) do keys[#keys + 1] = key end
  for key in pairs(cancelled) do
    if not exceptions[key] then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local existing = there_now[key]
    if cancelled[key] then
      if not gone_now[key] then
        if not existing then existing, err = occurrence(account, calendar, there, event, key) end
        if not existing and err.code ~= "not_found" then return nil, err end
        if existing then
          local done
          done, err = remove(account, calendar, existing.id, nil)
          if not done then return nil, err end
          count = count + 1
        end
      end
    else
      if not existing then
        existing, err = occurrence(account, calendar, there, event, key)
        if not existing then return nil, err end
      end
      -- Instances may share the ETag of their series, which a change of any of them moves on.
      local tag = fresh and count == 0 and existing.etag or nil
      local sent = exception_difference(existing, exceptions[key], calendar)
      if next(sent) then
        local answer
        answer, err = send_patch(account, calendar, existing.id, tag, sent)
        if not answer then return nil, err end
        count = count + 1
      end
    end
  end
  return count
end

-- --- the functions of the provider ---

local function transaction_of(options)
  return options.transaction or crypto.uuid5(TRANSACTIONS, tostring(options.id))
end

-- The exceptions of a series that has just been made; a second try may find some of them done. Then the mark goes.
local function finish(account, calendar, made, native)
  local count, err = settle(account, calendar, made, native)
  if not count then return nil, err end
  property.keep(made, UNFINISHED, nil)
  local marked = json.array { { id = property.DATA, value = property.get(made, property.DATA) } }
  local answer
  answer, err = request.send(account, "PATCH", request.event(calendar, made.id), { json = { singleValueExtendedProperties = marked }, idempotent = true })
  if not answer then return nil, err end
  return whole(account, calendar, made.id)
end

---Creates an event. Sent again, it finds the one that was made before.
---@param account table
---@param calendar table
---@param native table
---@param options {id: string, transaction: string?}
---@return table? native
---@return lunation.Error?
function M.create(account, calendar, native, options)
  options = options or {}
  native = time.settle(mapping.copy(native), calendar.timeZone)
  local uid = options.id and reader.uid_of(options.id) or property.get(native, property.UID)
  if uid then property.set(native, property.UID, uid) end
  if native.onlineMeeting ~= nil or native.onlineMeetingUrl ~= nil then
    -- A copy of a meeting has a meeting of its own, and not the way into the other.
    local own = body.part(native)
    if type(native.body) == "table" and native.body ~= json.null then native.body = { contentType = native.body.contentType, content = own } end
    native.onlineMeeting, native.onlineMeetingUrl = nil, nil
  end
  local several = native.exceptionOccurrences or native.cancelledOccurrences
  if several then property.keep(native, UNFINISHED, true) end
  local sent = M.difference({}, native, calendar)
  for name, v in pairs(sent) do
    if v == json.null then sent[name] = nil end
  end
  sent.transactionId = transaction_of(options)
  local done, err = meeting(sent, calendar)
  if not done then return nil, err end
  local answer
  answer, err = request.send(account, "POST", request.calendar(calendar) .. "/events", { json = sent, idempotent = true })
  local id
  if answer then
    id = answer.value.id
    if type(id) ~= "string" then return nil, request.wrong(answer, "to a new event has no id") end
  elseif err.code == "conflict" and uid then
    -- The first try was carried out, though its answer was lost.
    local there = reader.one(account, calendar, reader.new_id(uid))
    if not there then return nil, err end
    id = there.id
  else
    return nil, err
  end
  local made
  made, err = whole(account, calendar, id)
  if not made then
    if not answer then return nil, err end
    -- It is there; what it looks like the next sync tells.
    made = reader.clean(account, answer.value)
    made.singleValueExtendedProperties, made.etag = sent.singleValueExtendedProperties, nil
    return made
  end
  if not several then return made end
  local finished
  finished, err = finish(account, calendar, made, native)
  if finished then return finished end
  -- A series without its exceptions is not what was asked for: it is taken away again.
  remove(account, calendar, id, nil)
  return nil, err
end

---An event, or a series with its exceptions. A series whose making was cut off is none, and taken away.
---@param account table
---@param calendar table
---@param id string of Graph, or a handle
---@return table? native
---@return lunation.Error? not_found
function M.fetch(account, calendar, id)
  local native, err = reader.one(account, calendar, id)
  if not native or not property.data(native)[UNFINISHED] then return native, err end
  local done, failed = remove(account, calendar, native.id, native.etag)
  if not done then return nil, failed end
  return nil, errors.new("not_found", "The series was never finished.", { reason = "unfinished" })
end

local function is_native(before) return type(before) == "table" and type(before.id) == "string" and type(before.start) == "table" end

---Changes an event by what differs from the one that the mirror had.
---@param account table
---@param calendar table
---@param native table
---@param options {id: string?, etag: string?, before: table?}
---@return table? native
---@return lunation.Error? precondition_failed
function M.update(account, calendar, native, options)
  options = options or {}
  local id = native.id or options.id
  local before, err = options.before
  if not is_native(before) then
    before, err = whole(account, calendar, id)
    if not before then return nil, err end
    if options.etag and before.etag ~= options.etag then
      return nil, errors.new("precondition_failed", "the event was changed by another", { reason = "etag" })
    end
  end
  local fine
  fine, err = editable(before)
  if not fine then return nil, err end
  native = time.settle(native, calendar.timeZone)
  local sent = M.difference(before, native, calendar)
  local there = before
  if next(sent) then
    local answer
    answer, err = send_patch(account, calendar, id, options.etag or before.etag, sent)
    if not answer then return nil, err end
  end
  if native.exceptionOccurrences or native.cancelledOccurrences or before.exceptionOccurrences then
    if sent.start or sent.recurrence then
      -- A series that recurs otherwise has lost its exceptions: they are made again where they shall stay.
      there, err = whole(account, calendar, id)
      if not there then return nil, err end
    end
    if series.is_series(native) then
      local count
      count, err = settle(account, calendar, there, native, next(sent) == nil)
      if not count then return nil, err end
    end
  end
  return whole(account, calendar, id)
end

---Deletes an event; of a meeting one organizes, everybody is told, with a comment where there is one.
---@param account table
---@param calendar table
---@param id string
---@param options {etag: string?, comment: string?, recurrenceId: string?}?
---@return true?
---@return lunation.Error?
function M.delete(account, calendar, id, options)
  options = options or {}
  if reader.uid_of(id) then
    local native, err = reader.one(account, calendar, id)
    if not native then return nil, err end
    id = native.id
  end
  if options.comment then
    local native, err = whole(account, calendar, id)
    if not native then return nil, err end
    if options.etag and native.etag ~= options.etag then return nil, errors.new("precondition_failed", "the event was changed by another") end
    if native.isOrganizer ~= false and #(type(native.attendees) == "table" and native.attendees or {}) > 0 then
      local answer
      answer, err = request.send(account, "POST", request.event(calendar, id) .. "/cancel", { json = { comment = options.comment } })
      if not answer then return nil, err end
      return true
    end
  end
  local answer, err = request.send(account, "DELETE", request.event(calendar, id), { etag = options.etag })
  if not answer then return nil, err end
  return true
end

local answers = { accepted = "accept", declined = "decline", tentative = "tentativelyAccept" }

---Answers an invitation.
---@param account table
---@param calendar table
---@param id string
---@param options {status: "accepted"|"declined"|"tentative", comment: string?, recurrenceId: string?, notify: string?}
---@return table? native
---@return lunation.Error?
function M.rsvp(account, calendar, id, options)
  local action = answers[options.status]
  if not action then return nil, errors.new("invalid_request", "an answer is accepted, declined or tentative", { field = "status" }) end
  local native, err = whole(account, calendar, id)
  if not native then return nil, err end
  if native.isOrganizer == true then
    return nil, errors.new("invalid_request", "The organizer of a meeting does not answer its invitation", { field = "status", reason = "organizer" })
  end
  local target = id
  if options.recurrenceId and series.is_series(native) then
    local event
    event, err = times_of(native)
    if not event then return nil, err end
    local exceptions = series.index(native, event)
    local instance = exceptions[options.recurrenceId]
    if not instance then instance, err = occurrence(account, calendar, native, event, options.recurrenceId) end
    if not instance then return nil, err end
    target = instance.id
  end
  local answer
  answer, err = request.send(account, "POST", request.event(calendar, target) .. "/" .. action, {
    json = { comment = options.comment, sendResponse = options.notify ~= "none" },
  })
  if not answer then return nil, err end
  local after
  after, err = whole(account, calendar, id)
  if after or err.code ~= "not_found" then return after, err end
  -- Outlook takes a declined meeting out of the calendar; the next sync tells.
  native.responseStatus = { response = "declined" }
  return native
end

return M
