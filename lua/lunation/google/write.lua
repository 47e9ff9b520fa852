-- Writing events: insert under an id of ours, patches of what changed with the ETag they start from, instances each by its own
-- request, answers to invitations.
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local events = require "lunation.google.events"
local exceptions = require "lunation.google.exceptions"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local palette = require "lunation.google.palette"
local patches = require "lunation.google.patch"
local people = require "lunation.google.people"
local properties = require "lunation.google.properties"
local room = require "lunation.google.room"
local series = require "lunation.google.series"
local session = require "lunation.google.session"
local time = require "lunation.google.time"

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
  whole, err = exceptions.write(account, calendar, {
    wanted = native.exceptions, had = {}, actual = actual, master = native, opts = opts, master_changed = true, marked = true,
  })
  if not whole then return nil, err end
  local finished
  finished, err = session.call(account, patches.call(calendar, id, exceptions.unmark {}, { notify = "none" }))
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
  local named, refused = room.ask(body, calendar, room.name(opts, id))
  if not named then return nil, refused end
  body.id = id
  if native.exceptions then
    body.extendedProperties = mapping.copy(body.extendedProperties)
    properties.set(body, "private", exceptions.UNFINISHED, true)
  end
  local function insert(event)
    return session.call(account, { method = "POST", path = events.path(calendar), query = patches.query(opts), json = event, idempotent = true })
  end
  local created, err = insert(body)
  local plain = err and err.code == "invalid_request" and room.without(body)
  if plain then created, err = insert(plain) end
  if not created and err.code == "conflict" then created, err = taken(account, calendar, body, id, opts, err, uid) end
  if not created then return nil, err end
  created = room.await(account, calendar, events.keep(created, nil, account))
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
  named, refused = room.ask(patch, calendar, room.name(opts, id))
  if not named then return nil, refused end
  local actual, changed = before, next(patch) ~= nil
  if changed then
    actual, err = session.call(account, patches.call(calendar, id, patch, opts, opts.etag))
    local plain = not actual and err.code == "invalid_request" and room.without(patch, json.null)
    if plain then actual, err = session.call(account, patches.call(calendar, id, plain, opts, opts.etag)) end
    if not actual then
      if err.code == "gone" then err.code = "not_found" end
      return nil, err
    end
    actual = events.keep(actual, nil, account)
    if patch.conferenceData then actual = room.await(account, calendar, actual) end
  end
  local had, wanted = before.exceptions or {}, native.exceptions or {}
  if not series.is_master(actual) or next(had) == nil and next(wanted) == nil then return actual end
  if changed then
    -- Google may have changed or reset exceptions along with their series.
    actual, err = events.fetch(account, calendar, id)
    if not actual then return nil, err end
  end
  return exceptions.write(account, calendar, {
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
  if not native or not properties.get(native, "private", exceptions.UNFINISHED) then return native, err end
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
  done, err = session.call(account, patches.call(calendar, target.id, patch, { notify = answer.notify }, target.etag))
  if not done then return nil, err end
  if series.is_master(event) then return events.fetch(account, calendar, id) end
  return events.get(account, calendar, target.id)
end

return M
