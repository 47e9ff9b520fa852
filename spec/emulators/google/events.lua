-- Events one by one: get, insert, patch, update, delete, move, import, quickAdd, watch.
local conference = require "spec.emulators.google.conference"
local event = require "spec.emulators.google.event"
local failure = require "spec.emulators.google.failure"
local guests = require "spec.emulators.google.guests"
local kinds = require "spec.emulators.google.kinds"
local listing = require "spec.emulators.google.listing"
local push = require "spec.emulators.google.push"
local quickadd = require "spec.emulators.google.quickadd"
local rows = require "spec.emulators.google.rows"
local world = require "spec.emulators.google.world"

local events = {}

local fail = failure.fail

local function find(calendar, id)
  return rows.find(calendar, id) or fail(404, "notFound")
end

local function shown(call, calendar, role, row)
  local resource = event.render(row, calendar, call, role)
  return { status = 200, headers = { etag = resource.etag }, body = resource }
end

local function get(call)
  local calendar, role = call:calendar(call.params.calendarId, "freeBusyReader")
  local row = find(calendar, call.params.eventId)
  conference.settle(row, calendar)
  call:condition(world.etag(row.rev))
  return shown(call, calendar, role, row)
end

local function organizer_of(calendar)
  if calendar.primary then return { email = calendar.owner, displayName = world.users[calendar.owner].name } end
  return { email = calendar.id, displayName = calendar.summary }
end

local function new_row(call, calendar, body)
  local id = body.id
  if id ~= nil then
    if type(id) ~= "string" or not id:find("^[a-v0-9]+$") or #id < 5 or #id > 1024 then
      fail(400, "invalid", "Invalid resource id value.", { location = "id", locationType = "parameter" })
    end
    if calendar.events[id] then fail(409, "duplicate") end
    if body.iCalUID then call:violation("body", "only one of id and iCalUID is to be given") end
  end
  id = id or world.new_id()
  return {
    id = id, uid = body.iCalUID or id .. "@google.com", status = "confirmed", sequence = 0, creator = call.user.email,
    organizer = organizer_of(calendar), data = {},
  }
end

local function store_new(call, calendar, row)
  rows.put(calendar, row)
  guests.spread(calendar, row)
  guests.announce(call, calendar, row, nil, true)
end

local function insert(call)
  local calendar, role = call:calendar(call.params.calendarId, "writer")
  local body = call.body or {}
  local row = new_row(call, calendar, body)
  if body.iCalUID and calendar.by_uid[body.iCalUID] then fail(409, "duplicate") end
  if body.status == "cancelled" then fail(400, "invalid", "Cannot create an event in cancelled state.") end
  row.data.eventType = body.eventType ~= "default" and body.eventType or nil
  row.data.privateCopy = body.privateCopy or nil
  event.apply(row, body, call, calendar, false)
  kinds.check_new(row, body, calendar, call)
  conference.apply(row, body, call, calendar, false)
  store_new(call, calendar, row)
  return shown(call, calendar, role, row)
end

local function import(call)
  local calendar, role = call:calendar(call.params.calendarId, "writer")
  local body = call.body or {}
  if type(body.iCalUID) ~= "string" then fail(400, "required", "Missing iCalUID.", { location = "iCalUID", locationType = "parameter" }) end
  if body.eventType and body.eventType ~= "default" then call:violation("body", "only events of the default type may be imported") end
  local row = calendar.events[calendar.by_uid[body.iCalUID] or ""]
  if not row then
    row = new_row(call, calendar, { iCalUID = body.iCalUID })
    row.organizer = body.organizer and { email = body.organizer.email, displayName = body.organizer.displayName } or row.organizer
    row.imported = true
  end
  row.status = "confirmed"
  event.apply(row, body, call, calendar, false)
  if call.args.conferenceDataVersion == "1" then conference.apply(row, body, call, calendar, false) end
  rows.put(calendar, row)
  return shown(call, calendar, role, row)
end

-- Only what an attendee may have of their own: their answer, their reminders, their private properties and colour.
local function change_copy(call, calendar, row, before)
  guests.check(before, row, calendar.id)
  local old, new = guests.attendee(before, calendar.id), guests.attendee(row, calendar.id)
  row.data.conferenceData, row.data.hangoutLink = before.data.conferenceData, before.data.hangoutLink
  rows.put(calendar, row)
  if new and not world.same(old, new) then guests.answer(call, calendar, row, new) end
  guests.propose(before, row)
end

local function own_only(before, after)
  for name, value in pairs(after.data) do
    if name ~= "reminders" and not world.same(value, before.data[name]) then return false end
  end
  for name in pairs(before.data) do
    if name ~= "reminders" and after.data[name] == nil then return false end
  end
  return before.status == after.status
end

-- What patch and update share: the row is changed aside, checked, and then takes its place.
local function change(call, merged)
  local calendar, role = call:calendar(call.params.calendarId, "writer")
  local stored = find(calendar, call.params.eventId)
  call:condition(world.etag(stored.rev))
  local body = call.body or {}
  if stored.status == "cancelled" and (body.status == nil or body.status == "cancelled") then fail(410, "deleted") end
  kinds.check_change(stored, body)
  local before = rows.detach(stored)
  local row = {}
  for name, value in pairs(before) do row[name] = value end
  row.data = world.copy(before.data)
  if stored.status == "cancelled" then row.orphan = nil end
  event.apply(row, body, call, calendar, merged)
  row.rev = before.rev
  if row.status == "cancelled" then
    events.remove(call, calendar, stored)
    return shown(call, calendar, role, calendar.events[stored.id])
  end
  local old_attendees = before.data.attendees
  if row.home and row.home ~= calendar.id then
    change_copy(call, calendar, row, before)
    return shown(call, calendar, role, calendar.events[row.id])
  end
  conference.apply(row, body, call, calendar, merged)
  local moved = rows.remember(calendar, before, row.data)
  row.past = before.past
  rows.put(calendar, row, own_only(before, row))
  if moved or before.status == "cancelled" then rows.reset_instances(calendar, row) end
  guests.spread(calendar, row, old_attendees)
  guests.announce(call, calendar, row, old_attendees, false)
  return shown(call, calendar, role, row)
end

--- Deletes: the organizer's ends the event for all, an attendee's is a refusal.
---@param call google.Call
---@param calendar table
---@param stored table
function events.remove(call, calendar, stored)
  local row = rows.detach(stored)
  local attendees = row.data.attendees
  if row.home and row.home ~= calendar.id then
    local mine = guests.attendee(row, calendar.id)
    rows.cancel(calendar, row)
    if mine then guests.answer(call, calendar, row, { responseStatus = "declined", comment = mine.comment }) end
    -- the answer comes back as a copy: what was deleted stays so
    local copy = calendar.events[row.id]
    if copy.status ~= "cancelled" then rows.cancel(calendar, copy) end
    return
  end
  rows.cancel(calendar, row)
  guests.spread(calendar, row, attendees)
  guests.announce(call, calendar, row, attendees, false)
end

local function delete(call)
  local calendar = call:calendar(call.params.calendarId, "writer")
  local row = find(calendar, call.params.eventId)
  if row.status == "cancelled" then fail(410, "deleted") end
  call:condition(world.etag(row.rev))
  events.remove(call, calendar, row)
  return nil
end

local function move(call)
  local calendar = call:calendar(call.params.calendarId, "writer")
  local row = find(calendar, call.params.eventId)
  if row.status == "cancelled" then fail(410, "deleted") end
  if not call.args.destination then fail(400, "required", "Missing destination.", { location = "destination", locationType = "parameter" }) end
  local target, role = call:calendar(call.args.destination, "writer")
  if (row.data.eventType or "default") ~= "default" then fail(400, "eventTypeRestriction", "Only default events can be moved.") end
  if row.master then fail(400, "cannotChangeOrganizerOfInstance", "Cannot change the organizer of an instance.") end
  if row.home and row.home ~= calendar.id then fail(403, "cannotChangeOrganizer", "The organizer of the event can only be changed by its organizer.") end
  if target.events[row.id] and target.events[row.id].status ~= "cancelled" and not target.events[row.id].home then fail(409, "duplicate") end
  local moved = {}
  for name, value in pairs(row) do moved[name] = value end
  moved.data, moved.organizer, moved.past, moved.order = world.copy(row.data), organizer_of(target), nil, nil
  local instances = {}
  for _, one in pairs(calendar.instances[row.id] or {}) do instances[#instances + 1] = one end
  rows.put(target, moved)
  for _, one in ipairs(instances) do
    local copy = world.copy(one)
    copy.organizer, copy.order = moved.organizer, nil
    rows.put(target, copy)
  end
  rows.cancel(calendar, row)
  guests.spread(target, moved)
  guests.announce(call, target, moved, moved.data.attendees, false)
  return shown(call, target, role, moved)
end

local function quick(call)
  local calendar, role = call:calendar(call.params.calendarId, "writer")
  if not call.args.text then fail(400, "required", "Missing text.", { location = "text", locationType = "parameter" }) end
  local body = quickadd.parse(call.args.text, math.floor(world.now()), calendar.timeZone)
  local row = new_row(call, calendar, {})
  event.apply(row, body, call, calendar, false)
  store_new(call, calendar, row)
  return shown(call, calendar, role, row)
end

local function watch(call)
  local calendar = call:calendar(call.params.calendarId, "freeBusyReader")
  return push.open(call, "events", calendar.id,
    ("https://www.googleapis.com/calendar/v3/calendars/%s/events?alt=json"):format((calendar.id:gsub("@", "%%40"))))
end

events.routes = {
  ["/calendar/v3/calendars/:calendarId/events"] = {
    GET = { handler = listing.list, id = "calendar.events.list" }, POST = { handler = insert, id = "calendar.events.insert" },
  },
  ["/calendar/v3/calendars/:calendarId/events/import"] = { POST = { handler = import, id = "calendar.events.import" } },
  ["/calendar/v3/calendars/:calendarId/events/quickAdd"] = { POST = { handler = quick, id = "calendar.events.quickAdd" } },
  ["/calendar/v3/calendars/:calendarId/events/watch"] = { POST = { handler = watch, id = "calendar.events.watch" } },
  ["/calendar/v3/calendars/:calendarId/events/:eventId"] = {
    GET = { handler = get, id = "calendar.events.get" },
    PATCH = { handler = function(call) return change(call, true) end, id = "calendar.events.patch" },
    PUT = { handler = function(call) return change(call, false) end, id = "calendar.events.update" },
    DELETE = { handler = delete, id = "calendar.events.delete" },
  },
  ["/calendar/v3/calendars/:calendarId/events/:eventId/move"] = { POST = { handler = move, id = "calendar.events.move" } },
  ["/calendar/v3/calendars/:calendarId/events/:eventId/instances"] = { GET = { handler = listing.of_series, id = "calendar.events.instances" } },
}

return events
