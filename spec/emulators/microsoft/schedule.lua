-- Free and busy: getSchedule over several mailboxes, findMeetingTimes over the attendees' and one's own.
local answer = require "spec.emulators.microsoft.answer"
local input = require "spec.emulators.microsoft.event_input"
local json = require "lunation.json"
local series = require "spec.emulators.microsoft.series"
local times = require "spec.emulators.microsoft.times"
local tz = require "lunation.tz"

local M = {}

local digits = { free = 0, tentative = 1, busy = 2, oof = 3, workingElsewhere = 4 }

-- What a mailbox does in a span, by start. Cancelled meetings and what is shown as free take no time.
local function busy(box, from, to)
  local out = {}
  for item in pairs(box.items) do
    for _, occurrence in ipairs(series.within(item, from, to)) do
      if not series.value(occurrence, "isCancelled") then
        out[#out + 1] = { start = occurrence.start, finish = occurrence.finish, status = series.value(occurrence, "showAs"), occurrence = occurrence }
      end
    end
  end
  table.sort(out, function(a, b)
    if a.start ~= b.start then return a.start < b.start end
    return a.finish < b.finish
  end)
  return out
end

-- One digit for each interval; of several the one that counts most.
local function digits_of(list, from, to, interval)
  local out = {}
  for at = from, to - 1, interval do
    local most = 0
    for _, each in ipairs(list) do
      local digit = digits[each.status] or 0
      if each.start < at + interval and each.finish > at and (digit ~= 4 or most == 0) and (digit > most or most == 4) and digit > 0 then most = digit end
    end
    out[#out + 1] = tostring(most)
  end
  return table.concat(out)
end

-- How much of another's calendar one may see.
local function sees(c, user)
  if user == c.user then return "read" end
  for _, permission in ipairs(user.box.default.permissions) do
    if permission.address and permission.address:lower() == c.user.email:lower() then return permission.role end
  end
  return "freeBusyRead"
end

local function item_of(c, user, entry, zone)
  local role = sees(c, user)
  local sensitivity = series.value(entry.occurrence, "sensitivity")
  local private = sensitivity == "private" or sensitivity == "confidential"
  local out = { isPrivate = private, status = entry.status, start = times.show(entry.start, zone), ["end"] = times.show(entry.finish, zone) }
  if role ~= "freeBusyRead" and (not private or user == c.user) then
    out.subject = answer.or_null(series.value(entry.occurrence, "subject"))
    local location = series.value(entry.occurrence, "location")
    out.location = location and location.displayName or ""
  end
  return out
end

local function parameters(c)
  local out = {}
  for name, value in pairs(c.body or {}) do out[name:lower()] = answer.given(value) end
  return out
end

local function schedule_of(c, address, from, to, interval, zone)
  local user = type(address) == "string" and c.world:user(address)
  if not user then
    return { scheduleId = address, availabilityView = "", error = {
      message = "Unable to resolve e-mail address " .. tostring(address) .. " to an Active Directory object.", responseCode = "ErrorMailRecipientNotFound",
    } }
  end
  local list, items = busy(user.box, from, to), json.array {}
  for _, entry in ipairs(list) do
    if entry.status ~= "free" then items[#items + 1] = item_of(c, user, entry, zone) end
  end
  local hours = answer.copy(user.box.settings.workingHours)
  return { scheduleId = address, availabilityView = digits_of(list, from, to, interval), scheduleItems = items, workingHours = hours }
end

local function get_schedule(c)
  if c.world.switches.personal then answer.fail(403, "ErrorAccessDenied", "The operation is not supported for personal accounts.") end
  local given = parameters(c)
  local list = given.schedules
  if type(list) ~= "table" or #list == 0 then answer.fail(400, "ErrorInvalidArgument", "The parameter 'schedules' is required.") end
  if #list > 100 then answer.fail(400, "ErrorInvalidArgument", "Too many schedules were asked for at once.") end
  local start, finish = times.need(given.starttime, "startTime"), times.need(given.endtime, "endTime")
  if finish.at <= start.at then answer.fail(400, "ErrorInvalidArgument", "The end of the time interval is not after its start.") end
  if finish.at - start.at > 62 * 86400 then
    answer.fail(400, "ErrorInvalidArgument",
      "The requested time duration specified for FreeBusyViewOptions.TimeWindow is too long. The allowed limit = 62 days.")
  end
  local minutes = given.availabilityviewinterval or 30
  if math.type(minutes) ~= "integer" or minutes < 5 or minutes > 1440 then
    answer.fail(400, "ErrorInvalidArgument", "The availabilityViewInterval must be between 5 and 1440 minutes.")
  end
  local zone = c.prefer.zone or start.zone
  if c.prefer.zone then c:applied(('outlook.timezone="%s"'):format(zone)) end
  local out = json.array {}
  for i, address in ipairs(list) do out[i] = schedule_of(c, address, start.at, finish.at, minutes * 60, zone) end
  return { ["@odata.context"] = c:metadata "Collection(microsoft.graph.scheduleInformation)", value = out }
end

-- --- findMeetingTimes -------------------------------------------------------------------------------------------------

local attendee = input.object("attendeeBase", { type = input.one_of("attendees/type", "required optional resource"), emailAddress = input.email })

local function is_free(user, from, to)
  for _, each in ipairs(busy(user.box, from, to)) do
    if each.status == "busy" or each.status == "oof" or each.status == "tentative" then return each.status == "tentative" and "tentative" or "busy" end
  end
  return "free"
end

-- Working hours of the organizer: whether a slot lies in them.
local function working(box, from, to)
  local hours = box.settings.workingHours
  local zone = times.zone(hours.timeZone.name) or "Etc/UTC"
  local start, finish = tz.to_local(from, zone), tz.to_local(to, zone)
  local names = { "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday" }
  local day = names[times.weekday(start:sub(1, 10))]
  local works = false
  for _, each in ipairs(hours.daysOfWeek) do works = works or each == day end
  return works and start:sub(1, 10) == finish:sub(1, 10) and start:sub(12) >= hours.startTime:sub(1, 8) and finish:sub(12) <= hours.endTime:sub(1, 8)
end

local function slots(given, now)
  local constraint = given.timeconstraint
  if type(constraint) ~= "table" then return { { now - now % 1800 + 1800, now + 7 * 86400 } }, true end
  local list = constraint.timeslots or constraint.timeSlots
  if type(list) ~= "table" or #list == 0 then answer.fail(400, "ErrorInvalidArgument", "The time constraint has no time slots.") end
  local out = {}
  for i, each in ipairs(list) do
    local from, to = times.need(each.start, "timeslots/start"), times.need(each["end"], "timeslots/end")
    if to.at <= from.at then answer.fail(400, "ErrorInvalidArgument", "A time slot ends before it starts.") end
    out[i] = { from.at, to.at }
  end
  return out, constraint.activityDomain ~= "unrestricted" and constraint.activityDomain ~= "personal"
end

-- The places of a location constraint that are free; a room is known by its address.
local function locations_at(c, constraint, from, to)
  local out = json.array {}
  for _, each in ipairs(type(constraint) == "table" and answer.given(constraint.locations) or {}) do
    local user = each.locationEmailAddress and c.world:user(each.locationEmailAddress)
    if not (each.resolveAvailability == true and user and is_free(user, from, to) ~= "free") then
      out[#out + 1] = { displayName = each.displayName, locationEmailAddress = each.locationEmailAddress }
    end
  end
  return out
end

local function find_times(c)
  if c.world.switches.personal then answer.fail(403, "ErrorAccessDenied", "The operation is not supported for personal accounts.") end
  local given = parameters(c)
  local length = given.meetingduration == nil and 1800 or times.duration(given.meetingduration)
  if not length or length <= 0 then answer.fail(400, "ErrorInvalidArgument", "The meeting duration is no duration.") end
  local people = {}
  for i, each in ipairs(given.attendees or {}) do people[i] = attendee(each) end
  local most = given.maxcandidates or 20
  local least = given.minimumattendeepercentage or 50
  local spans, restricted = slots(given, math.floor(c.world:now()))
  local zone = c.prefer.zone or "UTC"
  local found = json.array {}
  for _, span in ipairs(spans) do
    local at = span[1]
    while at + length <= span[2] and #found < most do
      local own = is_free(c.box.user, at, at + length)
      local fine = (own == "free" or given.isorganizeroptional == true) and (not restricted or working(c.box, at, at + length))
      if fine then
        local free, availability = 0, json.array {}
        for i, each in ipairs(people) do
          local user = c.world:user(each.emailAddress.address)
          local state = user and is_free(user, at, at + length) or "unknown"
          if state == "free" then free = free + 1 end
          availability[i] = { availability = state, attendee = { type = each.type, emailAddress = each.emailAddress } }
        end
        local sure = #people == 0 and 100 or (free + (own == "free" and 1 or 0)) * 100 / (#people + 1)
        if sure >= least then
          local locations = locations_at(c, given.locationconstraint, at, at + length)
          found[#found + 1] = {
            confidence = sure + 0.0, order = #found + 1, organizerAvailability = own, attendeeAvailability = availability, locations = locations,
            suggestionReason = given.returnsuggestionreasons == true
              and "Suggested because it is one of the nearest times when all attendees are available." or nil,
            meetingTimeSlot = { start = times.show(at, zone), ["end"] = times.show(at + length, zone) },
          }
        end
      end
      at = at + 1800
    end
  end
  return {
    ["@odata.context"] = c:metadata "microsoft.graph.meetingTimeSuggestionsResult", meetingTimeSuggestions = found,
    emptySuggestionsReason = #found == 0 and "attendeesUnavailable" or "",
  }
end

-- --- reminders --------------------------------------------------------------------------------------------------------

local function reminders(c)
  local from = times.need_instant(c.arguments.startdatetime, "StartDateTime")
  local to = times.need_instant(c.arguments.enddatetime, "EndDateTime")
  local out = json.array {}
  for item in pairs(c.box.items) do
    for _, occurrence in ipairs(series.within(item, from, to)) do
      if series.value(occurrence, "isReminderOn") and not series.value(occurrence, "dismissed") then
        local at = series.value(occurrence, "reminder")
        out[#out + 1] = {
          eventId = series.id(c.box, occurrence, c.prefer.immutable), eventSubject = answer.or_null(series.value(occurrence, "subject")),
          eventStartTime = times.show(occurrence.start, c.prefer.zone or "UTC"), eventEndTime = times.show(occurrence.finish, c.prefer.zone or "UTC"),
          reminderFireTime = times.show(at and at.at or occurrence.start - series.value(occurrence, "reminderMinutesBeforeStart") * 60, c.prefer.zone or "UTC"),
        }
      end
    end
  end
  table.sort(out, function(a, b) return a.eventStartTime.dateTime < b.eventStartTime.dateTime end)
  return { ["@odata.context"] = c:metadata "Collection(microsoft.graph.reminder)", value = out }
end

---@param routes table<string, table>
function M.routes(routes)
  local route = { area = "freebusy", POST = get_schedule, action = "getSchedule" }
  routes["~/calendar/getSchedule"], routes["~/calendars/:calendar/getSchedule"] = route, route
  routes["~/findMeetingTimes"] = { area = "meetingtimes", POST = find_times, action = "findMeetingTimes" }
  routes["~/reminderView"] = { area = "calendars", GET = reminders, gives = "Collection(reminder)" }
end

return M
