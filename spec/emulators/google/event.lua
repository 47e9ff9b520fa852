-- The event resource: what a body may say, how it changes a row, and how a row is shown to whom.
local clock = require "spec.emulators.google.clock"
local crypto = require "lunation.crypto"
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local series = require "spec.emulators.google.series"
local world = require "spec.emulators.google.world"

local event = {}

local fail = failure.fail
local null = json.null

-- What a client may set, besides what is treated by itself.
local plain = {
  "summary", "description", "location", "colorId", "start", "end", "recurrence", "attendees", "anyoneCanAddSelf", "guestsCanInviteOthers",
  "guestsCanModify", "guestsCanSeeOtherGuests", "reminders", "extendedProperties", "transparency", "visibility", "source", "gadget",
  "endTimeUnspecified", "workingLocationProperties", "outOfOfficeProperties", "focusTimeProperties", "birthdayProperties",
}

-- Left out of answers where they say nothing new.
local defaults = {
  transparency = "opaque", visibility = "default", anyoneCanAddSelf = false, guestsCanInviteOthers = true, guestsCanModify = false,
  guestsCanSeeOtherGuests = true, endTimeUnspecified = false, privateCopy = false, locked = false,
}

local function invalid(message, location)
  fail(400, "invalid", message, location and { location = location, locationType = "parameter" } or nil)
end

-- Patch semantics: objects are merged, null removes, all else replaces.
local function merge(old, new)
  if type(new) ~= "table" or json.is_array(new) or type(old) ~= "table" or json.is_array(old) then return world.copy(new) end
  local out = world.copy(old)
  for name, value in pairs(new) do
    if value == null then out[name] = nil else out[name] = merge(out[name], value) end
  end
  return out
end

local function without_nulls(value)
  if type(value) ~= "table" then return value end
  local out = setmetatable({}, getmetatable(value))
  for name, inner in pairs(value) do
    if inner ~= null then out[name] = without_nulls(inner) end
  end
  return out
end

local function check_time(value, name)
  if type(value) ~= "table" or not (value.date or value.dateTime) then
    fail(400, "required", "Missing " .. name .. " time.", { location = name, locationType = "parameter" })
  end
  if value.date and value.dateTime then invalid("Invalid " .. name .. " time.", name) end
  if value.timeZone and not clock.is_zone(value.timeZone) then invalid("Invalid time zone definition for " .. name .. " time.", name) end
  local at
  if value.date then at = clock.date(value.date) else at = clock.parse(value.dateTime, value.timeZone) end
  if not at then invalid("Invalid " .. name .. " time.", name) end
  return at
end

-- A time as it is kept: in its own zone, which is the calendar's where none was named.
local function settled(value, at, calendar)
  if value.date then return { date = value.date } end
  local zone = value.timeZone or calendar.timeZone
  return { dateTime = clock.format(at, zone), timeZone = zone }
end

-- Start and end as instants on the row; a series needs its zone.
local function settle_times(row, calendar)
  local data = row.data
  row.from, row.to = check_time(data.start, "start"), check_time(data["end"], "end")
  if (data.start.date == nil) ~= (data["end"].date == nil) then
    invalid("Start and end times must either both be date or both be dateTime.")
  end
  if row.to < row.from or (data.start.date and row.to == row.from) then
    fail(400, "timeRangeEmpty", "The specified time range is empty.", { location = "timeMax", locationType = "parameter" })
  end
  local lines = data.recurrence
  if lines and #lines == 0 then lines, data.recurrence = nil, nil end
  for _, name in ipairs(lines and { "start", "end" } or {}) do
    if data[name].dateTime and not data[name].timeZone then
      fail(400, "required", "Missing time zone definition for " .. name .. " time.", { location = name .. ".timeZone", locationType = "parameter" })
    end
  end
  data.start, data["end"] = settled(data.start, row.from, calendar), settled(data["end"], row.to, calendar)
  if not lines then return end
  local set, err = series.compile(lines, data.start)
  if not set then invalid(err, "recurrence") end
  row.rev = world.tick()
  if #series.originals(row, nil, nil) == 0 then invalid("The recurrence has no instances.", "recurrence") end
end

local function check_attendees(list)
  local seen, out = {}, json.array {}
  for _, one in ipairs(list) do
    if type(one) ~= "table" or type(one.email) ~= "string" or not one.email:find("^[^@%s]+@[^@%s]+$") then
      invalid("Invalid attendee email.", "attendees")
    end
    local email = one.email:lower()
    if not seen[email] then
      seen[email] = true
      local kept = { email = email, displayName = one.displayName, optional = one.optional or nil, comment = one.comment }
      kept.resource = one.resource or nil
      kept.additionalGuests = one.additionalGuests ~= 0 and one.additionalGuests or nil
      kept.responseStatus = one.responseStatus or "needsAction"
      out[#out + 1] = kept
    end
  end
  return #out > 0 and out or nil
end

local function check_reminders(reminders)
  local overrides = reminders.overrides or {}
  if #overrides > 5 then invalid("The maximum number of override reminders is 5.", "reminders") end
  for _, one in ipairs(overrides) do
    if not (one.method == "email" or one.method == "popup") or math.type(one.minutes) ~= "integer" or one.minutes < 0 or one.minutes > 40320 then
      invalid("Invalid reminder.", "reminders")
    end
  end
  if reminders.useDefault and #overrides > 0 then
    fail(400, "cannotUseDefaultRemindersAndSpecifyOverride", "Cannot specify both default reminders and overrides at the same time.")
  end
end

local function one_of(data, name, values)
  local value = data[name]
  if value == nil then return end
  for _, allowed in ipairs(values) do
    if value == allowed then return end
  end
  invalid("Invalid value for: " .. name, name)
end

local function check_data(data)
  one_of(data, "transparency", { "opaque", "transparent" })
  one_of(data, "visibility", { "default", "public", "private", "confidential" })
  if data.attendees then data.attendees = check_attendees(data.attendees) end
  if data.reminders then check_reminders(data.reminders) end
  if data.attachments and #data.attachments > 25 then invalid("There can be at most 25 attachments per event.", "attachments") end
  for _, kind in ipairs { "private", "shared" } do
    for name, value in pairs(data.extendedProperties and data.extendedProperties[kind] or {}) do
      if #name > 44 or type(value) ~= "string" or #value > 1024 then invalid("Invalid extended property " .. name, "extendedProperties") end
    end
  end
  if data.colorId and not (tonumber(data.colorId) and tonumber(data.colorId) >= 1 and tonumber(data.colorId) <= 11) then
    invalid("Invalid color id.", "colorId")
  end
end

-- Attachments are looked at only where the client says that it knows them.
local function attachments(data, body, call)
  if call.args.supportsAttachments ~= "true" or body.attachments == nil then return end
  if body.attachments == null then
    data.attachments = nil
    return
  end
  data.attachments = json.array {}
  for i, one in ipairs(body.attachments) do
    if type(one.fileUrl) ~= "string" then
      fail(400, "required", "Missing attachment file URL.", { location = "attachments", locationType = "parameter" })
    end
    local kept = world.copy(one)
    kept.fileId = one.fileUrl:match("/d/([%w_%-]+)") or one.fileId
    data.attachments[i] = kept
  end
end

--- Changes a row as a body says. `merged` is patch semantics, else what the body leaves out is gone.
---@param row table
---@param body table
---@param call google.Call
---@param calendar table
---@param merged boolean
function event.apply(row, body, call, calendar, merged)
  local old = row.data
  local data = {}
  -- what only its own rules change
  for _, name in ipairs { "eventType", "conferenceData", "hangoutLink", "attachments", "originalStartTime", "privateCopy" } do data[name] = old[name] end
  for _, name in ipairs(plain) do
    local value = body[name]
    if merged then
      if value == nil then
        data[name] = old[name]
      elseif value ~= null then
        data[name] = without_nulls(merge(old[name], value))
      end
    elseif value ~= nil and value ~= null then
      data[name] = without_nulls(world.copy(value))
    end
  end
  if row.master then data.recurrence = nil end
  attachments(data, body, call)
  check_data(data)
  if body.attendeesOmitted == true and old.attendees and data.attendees then
    -- a part of the list: the others stay as they are
    local told = {}
    for _, one in ipairs(data.attendees) do told[one.email:lower()] = one end
    local list = json.array {}
    for i, one in ipairs(old.attendees) do list[i] = told[one.email:lower()] or one end
    data.attendees = list
  end
  if body.sequence ~= nil and body.sequence ~= null and not merged and body.sequence < (row.sequence or 0) then
    invalid("Invalid sequence value. The specified sequence number is below the current sequence number of the resource. "
      .. "Re-fetch the resource and use its sequence number on the following request.")
  end
  row.data = data
  if body.status ~= nil and body.status ~= null then
    one_of(body, "status", { "confirmed", "tentative", "cancelled" })
    row.status = body.status
  end
  settle_times(row, calendar)
  if not (world.same(old.start, data.start) and world.same(old["end"], data["end"]) and world.same(old.recurrence, data.recurrence)) and old.start then
    row.sequence = (row.sequence or 0) + 1
  end
  if math.type(body.sequence) == "integer" and body.sequence > (row.sequence or 0) then row.sequence = body.sequence end
end

--- A person of an event as the copy on this calendar shows them.
local function person(calendar, fields)
  local out = { email = fields.email, displayName = fields.displayName }
  if fields.email == calendar.id or (calendar.primary and fields.email == calendar.owner) then out.self = true end
  return out
end

local function attendees(row, calendar, most)
  local list = json.array {}
  for i, one in ipairs(row.data.attendees) do
    local shown = world.copy(one)
    if one.email:lower() == calendar.id then shown.self = true end
    if one.email == row.organizer.email then shown.organizer = true end
    list[i] = shown
  end
  if most and #list > most then
    local mine = json.array {}
    for _, one in ipairs(list) do
      if one.self then mine[1] = one end
    end
    return mine, true
  end
  return list
end

local function shown_time(value, zone)
  if value.date then return { date = value.date } end
  local at = clock.parse(value.dateTime, value.timeZone)
  return { dateTime = clock.format(at, zone), timeZone = value.timeZone or zone }
end

local function cancelled(row)
  local out = { kind = "calendar#event", etag = world.etag(row.rev), id = row.id, status = "cancelled" }
  if row.master then
    out.recurringEventId = row.master
    out.originalStartTime = row.data.originalStartTime
  end
  return out
end

-- For those who may know when, and no more.
local function busy_only(row, zone)
  return {
    kind = "calendar#event", etag = world.etag(row.rev), id = row.id, status = row.status, visibility = "private", start = shown_time(row.data.start, zone),
    ["end"] = shown_time(row.data["end"], zone), transparency = row.data.transparency == "transparent" and "transparent" or nil,
    recurrence = row.data.recurrence or nil, recurringEventId = row.master, originalStartTime = row.data.originalStartTime,
    iCalUID = row.uid, eventType = row.data.eventType or "default",
  }
end

local function invited(row, email)
  for _, one in ipairs(row.data.attendees or {}) do
    if one.email == email then return true end
  end
  return row.organizer.email == email or row.creator == email
end

--- The resource as this user gets it.
---@param row table
---@param calendar table
---@param call google.Call
---@param role string
---@return table
function event.render(row, calendar, call, role)
  if row.status == "cancelled" then return cancelled(row) end
  local zone = call.args.timeZone or calendar.timeZone
  local data = row.data
  local secret = data.visibility == "private" or data.visibility == "confidential"
  if role == "freeBusyReader" or (role == "reader" and secret and not invited(row, call.user.email)) then return busy_only(row, zone) end
  local out = {
    kind = "calendar#event", etag = world.etag(row.rev), id = row.id, status = row.status,
    htmlLink = "https://www.google.com/calendar/event?eid=" .. crypto.base64url(row.id .. " " .. calendar.id),
    created = row.created, updated = row.updated, creator = person(calendar, { email = row.creator }),
    organizer = person(calendar, row.organizer), iCalUID = row.uid, sequence = row.sequence or 0, eventType = data.eventType or "default",
    reminders = data.reminders and world.copy(data.reminders) or { useDefault = true },
    start = shown_time(data.start, zone), ["end"] = shown_time(data["end"], zone),
    recurrence = data.recurrence or nil, recurringEventId = row.master,
    originalStartTime = data.originalStartTime and shown_time(data.originalStartTime, zone), hangoutLink = data.hangoutLink,
  }
  for _, name in ipairs(plain) do
    if out[name] == nil and data[name] and data[name] ~= defaults[name] or data[name] == false and defaults[name] == true then out[name] = data[name] end
  end
  for _, name in ipairs { "conferenceData", "attachments", "privateCopy" } do
    if data[name] then out[name] = data[name] end
  end
  if data.attendees then
    out.attendees, out.attendeesOmitted = attendees(row, calendar, call:integer "maxAttendees")
    if data.guestsCanSeeOtherGuests == false and row.home then
      local mine = json.array {}
      for _, one in ipairs(out.attendees) do
        if one.self or one.organizer then mine[#mine + 1] = one end
      end
      out.attendees, out.attendeesOmitted = mine, true
    end
  end
  if row.home and out.source then out.source = nil end
  return out
end

--- Start and end as instants; days are those of the calendar's zone.
---@return integer from
---@return integer to
function event.span(row, calendar)
  if not row.data.start.date then return row.from, row.to end
  local tz = require "lunation.tz"
  return tz.to_utc(clock.day(row.from), calendar.timeZone), tz.to_utc(clock.day(row.to), calendar.timeZone)
end

return event
