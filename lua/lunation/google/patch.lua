-- What a write sends: the fields that are Google's to change, and of those only what differs; and what may not be changed at all.
local errors = require "lunation.errors"
local events = require "lunation.google.events"
local json = require "lunation.json"
local mapping = require "lunation.mapping"

local M = {}

-- What Google alone writes, and what is said in another way.
local never_sent = {
  kind = true, etag = true, id = true, htmlLink = true, created = true, updated = true, creator = true, organizer = true, iCalUID = true,
  sequence = true, recurringEventId = true, originalStartTime = true, hangoutLink = true, locked = true, privateCopy = true, exceptions = true,
  eventType = true, attendeesOmitted = true, birthdayProperties = true, href = true, schedule_tag = true,
}

local function is_sent(name)
  return not never_sent[name] and name:sub(1, 9) ~= "lunation:"
end

local function is_list(v)
  return json.is_array(v) and (#v > 0 or next(v) == nil)
end

---The patch that makes one object out of another: null takes a field away, objects are patched by field, lists replaced.
---@param before table
---@param after table
---@return table patch
function M.difference(before, after)
  local patch = {}
  for name, v in pairs(after) do
    local old = before[name]
    if not mapping.equal(old, v) then
      if type(v) == "table" and type(old) == "table" and v ~= json.null and old ~= json.null and not is_list(v) and not is_list(old) then
        patch[name] = json.object(M.difference(old, v))
      else
        patch[name] = v
      end
    end
  end
  for name, old in pairs(before) do
    if after[name] == nil and old ~= json.null then patch[name] = json.null end
  end
  return patch
end

---The part of a native that a request may carry.
---@param native table
---@return table
function M.sent(native)
  local part = {}
  for name, v in pairs(native) do
    if is_sent(name) then part[name] = v end
  end
  return part
end

local updates = { all = "all", none = "none", external = "externalOnly" }

---The parameters of every request that changes events.
---@param opts { notify: "all"|"none"|"external"|nil }
---@return table
function M.query(opts)
  return { conferenceDataVersion = 1, supportsAttachments = true, sendUpdates = updates[opts.notify or "all"] or "all" }
end

-- --- what may not be changed ---

-- Of these Google makes and keeps most itself; what a calendar's user may set on each of them.
local special = { birthday = true, focusTime = true, fromGmail = true, outOfOffice = true, workingLocation = true }
local open_fields = { reminders = true, colorId = true, extendedProperties = true }
local locked_fields = { summary = true, description = true, location = true, start = true, ["end"] = true, recurrence = true }

---Whether a patch may be sent: events of Google's own types, and locked copies, are not changed here.
---@param native table as it stands
---@param patch table
---@return true?, lunation.Error? err "unsupported", with reason "event_type" or "locked"
function M.allowed(native, patch)
  local kind = native.eventType
  for field in pairs(patch) do
    if kind ~= nil and kind ~= "default" and special[kind] ~= nil and not open_fields[field] or kind ~= nil and kind ~= "default" and not special[kind] then
      return nil, errors.new("unsupported", ("An event of Google's type %s cannot be changed here."):format(kind),
        { provider = "google", reason = "event_type", field = field, details = { eventType = kind } })
    end
    if native.locked == true and locked_fields[field] then
      return nil, errors.new("unsupported", "This copy of the event is locked at Google.", { provider = "google", reason = "locked", field = field })
    end
  end
  return true
end

---The word of `sendUpdates`.
---@param opts { notify: "all"|"none"|"external"|nil }
---@return string
function M.updates(opts)
  return updates[opts.notify or "all"] or "all"
end

---A request that patches an event.
---@param calendar table
---@param id string
---@param patch table
---@param opts { notify: "all"|"none"|"external"|nil }
---@param etag string? that the event must still have
---@return google.Call
function M.call(calendar, id, patch, opts, etag)
  return {
    method = "PATCH", path = events.path(calendar, id), query = M.query(opts), json = json.object(patch),
    -- Without a condition the second arrival of a patch does what the first has done.
    headers = etag and { ["if-match"] = etag } or nil, idempotent = etag == nil,
  }
end

return M
