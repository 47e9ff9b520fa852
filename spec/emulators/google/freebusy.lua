-- freeBusy.query: when calendars are taken, merged; what cannot be answered is told per calendar.
local clock = require "spec.emulators.google.clock"
local event = require "spec.emulators.google.event"
local failure = require "spec.emulators.google.failure"
local guests = require "spec.emulators.google.guests"
local json = require "lunation.json"
local listing = require "spec.emulators.google.listing"
local world = require "spec.emulators.google.world"

local freebusy = {}

local fail = failure.fail

-- Nothing of an event that is free time, or that its calendar's owner has refused.
local function counts(row, calendar)
  if row.status == "cancelled" or row.data.transparency == "transparent" then return false end
  local mine = guests.attendee(row, calendar.id)
  return not (mine and mine.responseStatus == "declined")
end

local function busy(calendar, from, to)
  local spans = {}
  local function add(row)
    if not counts(row, calendar) then return end
    local a, b = event.span(row, calendar)
    if a < to and b > from and b > a then spans[#spans + 1] = { math.max(a, from), math.min(b, to) } end
  end
  for _, row in pairs(calendar.events) do
    if row.status ~= "cancelled" then
      if row.data.recurrence then
        for _, one in ipairs(listing.instances(calendar, row, { from = from, to = to })) do
          if one.virtual then add(one) end
        end
      else
        add(row)
      end
    end
  end
  table.sort(spans, function(a, b) return a[1] < b[1] end)
  local merged = {}
  for _, span in ipairs(spans) do
    local last = merged[#merged]
    if last and span[1] <= last[2] then last[2] = math.max(last[2], span[2]) else merged[#merged + 1] = span end
  end
  return merged
end

local function problem(reason)
  return { domain = reason == "notFound" and "global" or "calendar", reason = reason }
end

local function query(call)
  local body = call.body or {}
  local from, to = clock.parse(body.timeMin), clock.parse(body.timeMax)
  if not from then fail(400, "required", "Missing timeMin parameter.", { location = "timeMin", locationType = "parameter" }) end
  if not to then fail(400, "required", "Missing timeMax parameter.", { location = "timeMax", locationType = "parameter" }) end
  if to <= from then fail(400, "timeRangeEmpty", "The specified time range is empty.", { location = "timeMax", locationType = "parameter" }) end
  if body.timeZone and not clock.is_zone(body.timeZone) then fail(400, "invalid", "Invalid time zone.") end
  local zone = body.timeZone or "UTC"
  local most, group_most = body.calendarExpansionMax or 50, body.groupExpansionMax or 100
  if most > 50 or group_most > 100 then fail(400, "invalid", "The expansion maximum is too large.") end
  local answer = { kind = "calendar#freeBusy", timeMin = clock.format(from, "UTC"), timeMax = clock.format(to, "UTC"), calendars = json.object {} }
  local asked, names = {}, 0
  local function ask(id)
    if not asked[id] then
      asked[id], names = true, names + 1
      asked[#asked + 1] = id
    end
  end
  for _, item in ipairs(body.items or {}) do
    local members = world.groups[item.id]
    if members then
      answer.groups = answer.groups or {}
      if #members > group_most then
        answer.groups[item.id] = { errors = { problem "groupTooBig" } }
      else
        answer.groups[item.id] = { calendars = json.array(world.copy(members)) }
        for _, member in ipairs(members) do ask(member) end
      end
    else
      ask(item.id)
    end
  end
  for position, id in ipairs(asked) do
    local calendar = world.calendars[id == "primary" and call.user.email or id]
    local entry = { busy = json.array {} }
    if position > most then
      entry.errors = { problem "tooManyCalendarsRequested" }
    elseif not calendar or world.role(calendar, call.user) == "none" then
      entry.errors = { problem "notFound" }
    else
      for i, span in ipairs(busy(calendar, from, to)) do
        entry.busy[i] = { start = clock.format(span[1], zone), ["end"] = clock.format(span[2], zone) }
      end
    end
    answer.calendars[id] = entry
  end
  return answer
end

freebusy.routes = { ["/calendar/v3/freeBusy"] = { POST = { handler = query, id = "calendar.freebusy.query" } } }

return freebusy
