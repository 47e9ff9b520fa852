-- Writing events: insert under an id of ours, patches of what changed with the ETag they start from, instances each by its own
-- request, answers to invitations.
local batch = require "lunation.google.batch"
local conference = require "lunation.google.conference"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local events = require "lunation.google.events"
local json = require "lunation.json"
local log = require "lunation.log"
local mapping = require "lunation.mapping"
local palette = require "lunation.google.palette"
local patches = require "lunation.google.patch"
local people = require "lunation.google.people"
local properties = require "lunation.google.properties"
local series = require "lunation.google.series"
local session = require "lunation.google.session"
local time = require "lunation.google.time"
local timer = require "lunation.timer"

local M = {}

-- --- ids ---

local ALPHABET = "0123456789abcdefghijklmnopqrstuv"

-- base32hex in lower case, which is what Google takes for ids.
local function base32hex(bytes)
  local out, bits, count = {}, 0, 0
  for i = 1, #bytes do
    bits, count = bits << 8 | bytes:byte(i), count + 8
    while count >= 5 do
      count = count - 5
      local at = (bits >> count & 31) + 1
      out[#out + 1] = ALPHABET:sub(at, at)
    end
    bits = bits & 0xff
  end
  if count > 0 then
    local at = (bits << 5 - count & 31) + 1
    out[#out + 1] = ALPHABET:sub(at, at)
  end
  return table.concat(out)
end

local HOST = "@google.com"

---The id of an event that is made here: the same for the same UID, so that a second try finds the first.
---@param uid string
---@return string base32hex
function M.new_id(uid)
  local own = uid:sub(-#HOST) == HOST and uid:sub(1, -#HOST - 1)
  if own and own:find("^[a-v0-9]+$") and #own >= 5 and #own <= 1024 then return own end
  return base32hex(crypto.sha256(uid):sub(1, 20))
end

-- --- conferences ---

local REQUEST_SPACE = "5b7d9d3e-5a7b-5c2f-8f8e-1a6b2f0c9d41"

-- What a write is called: the same in every try of it.
local function name_of(opts, id)
  return opts.transaction or crypto.uuid5(REQUEST_SPACE, id .. "\n" .. (opts.etag or ""))
end

-- A room that is asked for has an id that is the same in every try of this write, and another in the next one.
local function name_request(body, calendar, name)
  local request = type(body.conferenceData) == "table" and body.conferenceData ~= json.null and body.conferenceData.createRequest
  if type(request) ~= "table" or request.requestId then return true end
  local listed = calendar.original and calendar.original.conferenceProperties
  local allowed = type(listed) == "table" and listed.allowedConferenceSolutionTypes
  local wanted = request.conferenceSolutionKey.type
  if type(allowed) == "table" then
    local found = false
    for _, kind in ipairs(allowed) do found = found or kind == wanted end
    if not found then
      return nil, errors.new("unsupported", "This calendar does not make Google Meet rooms.",
        { provider = "google", reason = "conference", field = "lunation:conference" })
    end
  end
  body.conferenceData = mapping.copy(body.conferenceData)
  body.conferenceData.createRequest.requestId = name
  return true
end

-- Seconds between looks at a room that is being made, and how many.
local FIRST_LOOK, LOOKS = 0.1, 7

local function with_room(account, calendar, native)
  local pause = FIRST_LOOK
  for _ = 1, LOOKS do
    if conference.status(native) ~= "pending" then break end
    timer.sleep(pause)
    pause = pause * 1.7
    native = events.get(account, calendar, native.id) or native
  end
  local status = conference.status(native)
  if status == "failure" or status == "pending" then
    -- The event stands; a room that comes late comes with the next sync.
    log.warn("Google has made no conference room", { calendar = calendar.id, event = native.id, status = status })
  end
  return native
end

-- --- instances ---

local function patch_call(calendar, id, patch, opts, etag)
  return {
    method = "PATCH", path = events.path(calendar, id), query = patches.query(opts), json = json.object(patch),
    -- Without a condition the second arrival of a patch does what the first has done.
    headers = etag and { ["if-match"] = etag } or nil, idempotent = etag == nil,
  }
end

-- What one instance's request says: the fields that were meant to change and do not stand so already.
local function instance_patch(want, began, have)
  if want.status == "cancelled" then
    return (have and have.status == "cancelled") and {} or { status = "cancelled" }
  end
  local meant = patches.difference(patches.sent(began), patches.sent(want))
  if have and have.status == "cancelled" then
    meant.status = want.status or "confirmed"
    return meant
  end
  local patch = {}
  for field, v in pairs(meant) do
    local there
    if have then there = have[field] end
    local already = v == json.null and there == nil or mapping.equal(there, want[field])
    if not already then patch[field] = v end
  end
  return patch
end

local function gone(err)
  return err.code == "not_found" or err.code == "gone"
end

-- Sends patches of instances, several in one batch; answers by place. An instance that was never changed has the id that
-- Google makes of its original start.
local function send_instances(account, calendar, master, jobs, opts)
  local calls, answers = {}, {}
  for i, job in ipairs(jobs) do calls[i] = patch_call(calendar, job.id or master.id .. "_" .. job.place, job.patch, opts, job.etag) end
  local results, err = batch.call(account, calls)
  if not results then return nil, err end
  for i, job in ipairs(jobs) do
    local answer, failed = results[i][1], results[i][2]
    if not answer and gone(failed) and not job.id then
      -- Google calls it by another name.
      local found = events.find_instance(account, calendar, master.id, job.original)
      if found then answer, failed = session.call(account, patch_call(calendar, found.id, job.patch, opts)) end
    end
    if not answer and gone(failed) and job.revive then
      local patch = mapping.copy(job.patch)
      patch.status = "confirmed"
      answer, failed = session.call(account, patch_call(calendar, job.id or master.id .. "_" .. job.place, patch, opts))
    end
    if answer then
      if job.patch.conferenceData then answer = with_room(account, calendar, answer) end
      -- What was cancelled is, whatever the answer shows of it.
      answer.status = job.patch.status == "cancelled" and "cancelled" or answer.status
      answers[job.place] = series.exception(events.keep(answer, nil, account))
    elseif not (job.leftover and gone(failed)) then
      return nil, failed
    end
  end
  return answers
end

-- A new series with exceptions is made by several requests. Until the last of them it bears this mark, by which one that was cut
-- off is known: it counts as none.
local UNFINISHED = "unfinished"

local function unmark(patch)
  patch.extendedProperties = patch.extendedProperties or {}
  patch.extendedProperties.private = patch.extendedProperties.private or {}
  patch.extendedProperties.private["lunation." .. UNFINISHED] = json.null
  return patch
end

-- Brings the exceptions of a series to what is wanted.
-- `had`: what the mirror knew before; `actual`: what Google has after the master's change.
local function write_exceptions(account, calendar, job)
  local wanted, had, actual, opts = job.wanted, job.had, job.actual, job.opts
  local jobs = {}
  local have_all = actual.exceptions or {}
  for place, want in pairs(wanted) do
    local have, began = have_all[place], had[place]
    local live = began and began.status ~= "cancelled"
    -- A new exception, or one that Google has reset, begins as its series was meant to be.
    if not live or not have then began = series.base_of(job.master, want) or {} end
    local patch = instance_patch(want, began, have)
    if next(patch) ~= nil then
      local named, refused = name_request(patch, calendar, crypto.uuid5(REQUEST_SPACE, name_of(opts, actual.id) .. "\n" .. place))
      if not named then return nil, refused end
      if job.marked then unmark(patch) end
      jobs[#jobs + 1] = {
        place = place, id = have and have.id or want.id, original = want.originalStartTime, patch = patch,
        etag = not job.master_changed and live and had[place].etag or nil,
        -- An instance that an earlier rule did not have is still cancelled at Google, though the rule has it again.
        revive = job.master_changed and want.status ~= "cancelled",
      }
    end
  end
  for place in pairs(had) do
    local have = have_all[place]
    -- The rule has no such instance any more.
    if not wanted[place] and have and have.status ~= "cancelled" then
      jobs[#jobs + 1] = { place = place, id = have.id, patch = { status = "cancelled" }, leftover = true }
    end
  end
  if #jobs == 0 then return actual end
  table.sort(jobs, function(a, b) return a.place < b.place end)
  local answers, err = send_instances(account, calendar, actual, jobs, opts)
  if not answers then return nil, err end
  local list = {}
  for _, answer in pairs(answers) do list[#list + 1] = answer end
  local folded = series.fold(actual, list)
  for _, each in ipairs(jobs) do
    if each.leftover then folded.exceptions[each.place] = nil end
  end
  if next(folded.exceptions) == nil then folded.exceptions = nil end
  return folded
end

-- --- the functions of the provider ---

local function own_colours(account, native)
  local colours = account.settings and account.settings.colors
  if not colours or not native.colorId or native["lunation:color"] then return native end
  local wanted = palette.event[native.colorId]
  local copy = mapping.copy(native)
  copy.colorId = wanted and palette.nearest(wanted, colours) or native.colorId
  return copy
end

-- Whether what stands under our id is what was to be made. A UID that the caller chose may be an earlier event's too.
local function is_same(there, native, uid, given)
  local known = properties.get(there, "private", "uid")
  if not given and type(known) == "table" and known[2] == uid then return true end
  return mapping.equal(there.summary, native.summary) and time.instant(there.start or {}) == time.instant(native.start or {})
    and time.instant(there["end"] or {}) == time.instant(native["end"] or {})
end

-- What to do where Google says that the id is taken: it is ours from an earlier try, or was deleted, or is another's.
local function taken(account, calendar, body, id, opts, conflict, uid)
  local there, err = session.call(account, { path = events.path(calendar, id) })
  if not there then return nil, err.code == "not_found" and conflict or err end
  if there.status == "cancelled" then
    body.id, body.status = nil, body.status or "confirmed"
    return session.call(account, { method = "PUT", path = events.path(calendar, id), query = patches.query(opts), json = body })
  end
  if is_same(there, body, uid, opts.given) then return there end
  conflict.details = { id = id }
  return nil, conflict
end

-- The exceptions of a series that has just been made. A second try may find some of them done.
local function with_exceptions(account, calendar, native, id, opts)
  local actual, err = events.fetch(account, calendar, id)
  if not actual then return nil, err end
  local whole
  whole, err = write_exceptions(account, calendar, {
    wanted = native.exceptions, had = {}, actual = actual, master = native, opts = opts, master_changed = true, marked = true,
  })
  if not whole then return nil, err end
  local finished
  finished, err = session.call(account, patch_call(calendar, id, unmark {}, { notify = "none" }))
  if not finished then return nil, err end
  finished.exceptions = whole.exceptions
  return events.keep(finished, nil, account)
end

---Inserts an event under an id of ours. One that is there already from an earlier try is the answer.
---@param account table
---@param calendar table
---@param native google.Event
---@param opts { id: string?, transaction: string?, notify: string?, given: boolean? }?
---@return google.Event?, lunation.Error? err "conflict" where the id is another event's
function M.create(account, calendar, native, opts)
  opts = opts or {}
  local body = patches.sent(time.settle(own_colours(account, native), calendar))
  local uid = native.iCalUID
  local id = opts.id or uid and M.new_id(uid) or base32hex(crypto.random(20))
  if uid and uid ~= id .. HOST then
    body = mapping.copy(body)
    local kept, why = properties.set(body, "private", "uid", json.array { id, uid })
    if not kept then return nil, errors.new("invalid_request", "uid: " .. why, { field = "uid" }) end
  end
  local named, refused = name_request(body, calendar, name_of(opts, id))
  if not named then return nil, refused end
  body.id = id
  if native.exceptions then
    body.extendedProperties = mapping.copy(body.extendedProperties)
    properties.set(body, "private", UNFINISHED, true)
  end
  local created, err = session.call(account, { method = "POST", path = events.path(calendar), query = patches.query(opts), json = body, idempotent = true })
  if not created and err.code == "conflict" then created, err = taken(account, calendar, body, id, opts, err, uid) end
  if not created then return nil, err end
  created = with_room(account, calendar, events.keep(created, nil, account))
  if not native.exceptions then return created end
  local whole
  whole, err = with_exceptions(account, calendar, native, id, opts)
  if whole then return whole end
  -- A series without its exceptions is not what was asked for: it is taken away again, and nobody needs to hear of it.
  M.delete(account, calendar, id, { notify = "none" })
  return nil, err
end

local function is_native(v)
  return type(v) == "table" and type(v.start) == "table"
end

---Patches what changed: the series itself, then each changed instance.
---@param account table
---@param calendar table
---@param native google.Event
---@param opts { id: string?, etag: string?, before: google.Event?, notify: string?, transaction: string? }?
---@return google.Event?, lunation.Error? err "precondition_failed", "not_found", "unsupported"
function M.update(account, calendar, native, opts)
  opts = opts or {}
  local id = native.id or opts.id
  local before, err = opts.before
  if not is_native(before) then before, err = events.fetch(account, calendar, id) end
  if not before then return nil, err end
  local after = time.settle(own_colours(account, native), calendar)
  local patch = patches.difference(patches.sent(before), patches.sent(after))
  local allowed, refused = patches.allowed(before, patch)
  if allowed and not mapping.equal(native.exceptions, before.exceptions) then
    allowed, refused = patches.allowed(before, { exceptions = true })
  end
  if not allowed then return nil, refused end
  local named
  named, refused = name_request(patch, calendar, name_of(opts, id))
  if not named then return nil, refused end
  local actual, changed = before, next(patch) ~= nil
  if changed then
    actual, err = session.call(account, patch_call(calendar, id, patch, opts, opts.etag))
    if not actual then
      if err.code == "gone" then err.code = "not_found" end
      return nil, err
    end
    actual = events.keep(actual, nil, account)
    if patch.conferenceData then actual = with_room(account, calendar, actual) end
  end
  local had, wanted = before.exceptions or {}, native.exceptions or {}
  if not series.is_master(actual) or next(had) == nil and next(wanted) == nil then return actual end
  if changed then
    -- Google may have changed or reset exceptions along with their series.
    actual, err = events.fetch(account, calendar, id)
    if not actual then return nil, err end
  end
  return write_exceptions(account, calendar, {
    wanted = wanted, had = had, actual = actual, master = native, opts = opts, master_changed = changed,
  })
end

---An event, or a series with its exceptions. A series whose making was cut off is none, and taken away.
---@param account table
---@param calendar table
---@param id string
---@return google.Event?, lunation.Error? err "not_found"
function M.fetch(account, calendar, id)
  local native, err = events.fetch(account, calendar, id)
  if not native or not properties.get(native, "private", UNFINISHED) then return native, err end
  local done, failed = M.delete(account, calendar, id, { etag = native.etag, notify = "none" })
  if not done and failed.code ~= "not_found" then return nil, failed end
  return nil, errors.new("not_found", "The series was never finished.", { provider = "google" })
end

---@param account table
---@param calendar table
---@param id string
---@param opts { etag: string?, notify: string? }?
---@return true?, lunation.Error? err "not_found" where it was gone already
function M.delete(account, calendar, id, opts)
  opts = opts or {}
  local done, err = session.call(account, {
    method = "DELETE", path = events.path(calendar, id), query = { sendUpdates = patches.updates(opts) },
    headers = opts.etag and { ["if-match"] = opts.etag } or nil,
  })
  if done then return true end
  if err.code == "gone" then err.code = "not_found" end
  return nil, err
end

---Answers an invitation: the account's own answer, and nothing else of the event.
---@param account table
---@param calendar table
---@param id string
---@param answer { status: string, comment: string?, recurrenceId: string?, notify: string? }
---@return google.Event?, lunation.Error? err "forbidden" where the account is not invited
function M.rsvp(account, calendar, id, answer)
  local word = people.answer(answer.status)
  if not word then return nil, errors.new("invalid_request", "status: is accepted, declined or tentative", { field = "status" }) end
  local event, err = events.get(account, calendar, id)
  if not event then return nil, err end
  local target = event
  if answer.recurrenceId then
    local times, unreadable = time.read(event)
    if not times then return nil, errors.new("provider_error", "start: " .. unreadable, { provider = "google", field = "start" }) end
    local original = time.original_start(answer.recurrenceId, { timeZone = times.zone, showWithoutTime = times.all_day })
    target, err = events.find_instance(account, calendar, id, original)
    if not target then return nil, err end
  end
  local email = people.own_address(target)
  if not email then
    return nil, errors.new("forbidden", "The account is not invited to this event.", { provider = "google", reason = "not_invited" })
  end
  -- With attendeesOmitted the list is no replacement of the guests: it holds the one whose answer this is.
  local patch = { attendeesOmitted = true, attendees = json.array { { email = email, responseStatus = word, comment = answer.comment } } }
  local done
  done, err = session.call(account, patch_call(calendar, target.id, patch, { notify = answer.notify }, target.etag))
  if not done then return nil, err end
  if series.is_master(event) then return events.fetch(account, calendar, id) end
  return events.get(account, calendar, target.id)
end

return M
