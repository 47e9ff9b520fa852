-- When an event is: dateTimeTimeZone, isAllDay and originalStartTimeZone of Graph to start, duration and timeZone of JSCalendar
-- (RFC 8984 sections 4.7 and 5.1), and back. Graph is asked for UTC; the zone that the author meant stands beside the times.
local clock = require "lunation.ical.clock"
local mapping = require "lunation.mapping"
local null = require "lunation.null"
local property = require "lunation.microsoft.property"
local recurrence = require "lunation.ical.recurrence"
local tz = require "lunation.tz"
local value = require "lunation.ical.value"

local M = {}

local function text(v) return type(v) == "string" and v ~= "" and v or nil end

---The IANA zone of a name that Graph gives: Windows names, "tzone://Microsoft/Utc". Zones of a mailbox's own have none.
---@param name any
---@return string?
function M.zone(name)
  local iana = text(name) and tz.resolve(name)
  if iana == "UTC" then return "Etc/UTC" end
  return iana or nil
end

---How a zone is called in a request: by its Windows name, which every mailbox knows.
---@param zone string? nil is UTC
---@return string
function M.name(zone)
  if not zone or zone == "Etc/UTC" or zone == "UTC" then return "UTC" end
  return tz.windows(zone) or zone
end

---A date and time of Graph, without its fraction.
---@param v any "2019-04-16T20:30:00.0000000"
---@return string? localtime nil where there is no such time
function M.local_time(v)
  if type(v) ~= "string" then return nil end
  local at = v:match("^(%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d)%.?%d*Z?$")
  return at and value.seconds(at) and at or nil
end

---A DateTimeOffset as UTCDateTime.
---@param v any "2017-04-13T15:51:04.5418Z"
---@return string? nil where there is no such time
function M.utc(v)
  local at = M.local_time(v)
  if at then return at .. "Z" end
  if type(v) ~= "string" then return nil end
  local base, sign, hours, minutes = v:match("^(.-)([+-])(%d%d):(%d%d)$")
  at = base and M.local_time(base)
  if not at then return nil end
  local seconds = (tonumber(hours) * 60 + tonumber(minutes)) * 60
  local shifted = value.shift(at, sign == "+" and -seconds or seconds)
  return shifted and shifted .. "Z"
end

-- The zone that the author meant. One that Windows has no name of its own for is kept beside, and counts as long as Outlook
-- has not given the event another.
---@return string? zone nil: floating
local function zone_of(native, original, context)
  local range = type(native.recurrence) == "table" and native.recurrence ~= null and native.recurrence.range
  local named = type(range) == "table" and M.zone(range.recurrenceTimeZone) or M.zone(original)
    or M.zone(type(native.start) == "table" and native.start.timeZone) or "Etc/UTC"
  local kept = property.data(native, context).timeZone
  if type(kept) ~= "string" then return named end
  if kept == "floating" then return named ~= "Etc/UTC" and named or nil end
  if M.zone(M.name(kept)) == M.zone(M.name(named)) and M.zone(kept) then return kept end
  return named
end

-- An instant of Graph: nil and why where it is none.
local function instant(moment)
  if type(moment) ~= "table" or moment == null then return nil, "is missing" end
  local at = M.local_time(moment.dateTime)
  if not at then return nil, ("%q is not a date and time"):format(tostring(moment.dateTime):sub(1, 40)) end
  local zone = moment.timeZone == nil and "Etc/UTC" or moment.timeZone == null and "Etc/UTC" or M.zone(moment.timeZone)
  if not zone then return nil, ("is in a zone that is not known: %s"):format(tostring(moment.timeZone):sub(1, 60)) end
  return clock.to_utc(at, zone), nil, at, zone
end

-- The date of a midnight: as it is written, or in the zone in which it is one. Calendars east and west of Greenwich have theirs
-- on another day of UTC.
---@param at string local time as Graph gives it
---@param from string its zone
---@param zone string? the author's
---@return string date
local function date_of(at, from, zone)
  if at:sub(12) == "00:00:00" then return at:sub(1, 10) end
  local there = zone and clock.to_local(clock.to_utc(at, from), zone)
  if there and there:sub(12) == "00:00:00" then return there:sub(1, 10) end
  return (value.shift(at, 12 * 3600) or at):sub(1, 10)
end

---All that an event says of its time.
---@param native table
---@param context table?
---@return table? times {start=, duration=, zone=, all_day=, end_zone=}
---@return string? why
function M.times(native, context)
  local from, why, first, first_zone = instant(native.start)
  if not from then return nil, why end
  local to, reason, last, last_zone = instant(native["end"])
  if not to then return nil, "its end " .. reason end
  local zone = zone_of(native, native.originalStartTimeZone, context)
  if native.isAllDay == true then
    local author = M.zone(native.originalStartTimeZone) or zone
    local day = date_of(first, first_zone, author)
    local days = (value.seconds(date_of(last, last_zone, author)) - value.seconds(day)) // 86400
    return { start = day .. "T00:00:00", all_day = true, duration = value.format_duration { days = math.max(1, days), seconds = 0 }, zone = nil }
  end
  local times = { start = clock.to_local(from, zone or "UTC"), zone = zone }
  if not times.start then return nil, "is out of range" end
  if to < from then return nil, "its end is before its start" end
  if to > from then
    times.duration = value.format_duration { days = 0, seconds = to - from }
    local kept = property.data(native, context).endTimeZone
    local ends = M.zone(native.originalEndTimeZone)
    if type(kept) == "string" and ends and M.zone(M.name(kept)) == M.zone(M.name(ends)) then ends = kept end
    local starts = M.zone(native.originalStartTimeZone)
    if ends and starts and ends ~= starts and ends ~= zone then times.end_zone = ends end
  end
  return times
end

---The key of an instance in recurrenceOverrides: its original start in the time of the series.
---@param original any DateTimeOffset
---@param event table canonical master: start, timeZone, showWithoutTime
---@param author string? zone in which the days of an all-day series begin
---@return string?
function M.key(original, event, author)
  local utc = M.utc(original)
  if not utc then return nil end
  local at = utc:sub(1, 19)
  if event.showWithoutTime then return date_of(at, "UTC", author) .. "T00:00:00" end
  return clock.key(clock.to_utc(at, "UTC"), event)
end

---The original start of an instance, as Graph writes it.
---@param key string
---@param event table canonical master
---@return string
function M.original(key, event)
  if event.showWithoutTime then return key:sub(1, 10) .. "T00:00:00Z" end
  return value.from_seconds(clock.to_utc(key, event.timeZone or "UTC")) .. "Z"
end

-- --- writing ---

local function moment(at, zone) return { dateTime = at, timeZone = M.name(zone) } end

-- A zone whose Windows name stands for another one is kept beside it.
local function to_keep(zone)
  if zone == nil then return "floating" end
  if M.zone(M.name(zone)) == zone then return nil end
  return zone
end

---The first instance of a series: a start that its rule does not give is none.
---@param event table canonical
---@return string
function M.first(event)
  if not event.recurrenceRules then return event.start end
  return recurrence.occurrences(event, nil, nil, 1)[1] or event.start
end

---Writes the time of the canonical event.
---@param native table changed in place
---@param event table canonical
---@return true?, string? why
function M.write(native, event)
  local start = M.first(event)
  if type(start) ~= "string" or not value.seconds(start) then return nil, "is not a local time" end
  local length = value.parse_duration(event.duration or (event.showWithoutTime and "P1D" or "PT0S"))
  if not length then return nil, "has a duration that is none" end
  if event.showWithoutTime then
    local days = math.max(1, length.days + (length.seconds + 86399) // 86400)
    -- The provider puts the calendar's zone there, in which the days begin and end.
    native.start = { dateTime = start:sub(1, 10) .. "T00:00:00", timeZone = "UTC" }
    native["end"] = { dateTime = value.shift(start:sub(1, 10), days * 86400), timeZone = "UTC" }
    native.isAllDay, native.originalStartTimeZone, native.originalEndTimeZone = true, "UTC", "UTC"
    property.keep(native, "timeZone", nil)
    property.keep(native, "endTimeZone", nil)
    return true
  end
  local zone, ends = event.timeZone, event["lunation:endTimeZone"]
  if zone and not M.zone(zone) then return nil, ("is in a time zone that Outlook does not know: %s"):format(zone) end
  local from = clock.to_utc(start, zone or "UTC")
  local later = clock.to_utc(value.shift(start, length.days * 86400), zone or "UTC")
  if not from or not later then return nil, "is out of range" end
  local to, last_zone = later + length.seconds, ends or zone
  local last = clock.to_local(to, last_zone or "UTC")
  -- The second of two equal wall-clock times has a name in UTC only.
  if clock.to_utc(last, last_zone or "UTC") ~= to then last, last_zone = value.from_seconds(to), "Etc/UTC" end
  native.start, native["end"] = moment(start, zone), moment(last, last_zone)
  native.isAllDay = false
  native.originalStartTimeZone, native.originalEndTimeZone = M.name(zone), M.name(last_zone)
  property.keep(native, "timeZone", to_keep(zone))
  property.keep(native, "endTimeZone", ends and to_keep(ends) or nil)
  return true
end

-- A wall-clock time that was written as one of UTC.
local function put(native, name, zone)
  local at = native[name]
  if type(at) == "table" and at ~= null and at.timeZone == "UTC" then native[name] = { dateTime = at.dateTime, timeZone = M.name(zone) } end
end

---An event whose times float is one of the calendar's zone: Outlook has no other.
---@param native table as M.write left it
---@param zone string? of the calendar
---@return table native the same where its times do not float
function M.settle(native, zone)
  if native.isAllDay == true or not zone or M.name(zone) == "UTC" or property.data(native).timeZone ~= "floating" then return native end
  local settled = mapping.copy(native)
  put(settled, "start", zone)
  put(settled, "end", zone)
  settled.originalStartTimeZone, settled.originalEndTimeZone = M.name(zone), M.name(zone)
  if type(settled.recurrence) == "table" and settled.recurrence ~= null then settled.recurrence.range.recurrenceTimeZone = M.name(zone) end
  for _, exception in ipairs(type(settled.exceptionOccurrences) == "table" and settled.exceptionOccurrences or {}) do
    if exception.id == nil then
      put(exception, "start", zone)
      put(exception, "end", zone)
      exception.originalStart = M.original(M.local_time(exception.originalStart), { timeZone = zone })
    end
  end
  property.keep(settled, "timeZone", to_keep(zone))
  return settled
end

-- Several fields of one event are made of its times, which are read once.
local function times_of(native, context)
  if context and context.times_of == native then return context.times, context.no_times end
  local times, why = M.times(native, context)
  if context then context.times_of, context.times, context.no_times = native, times, why end
  return times, why
end

local function part(name)
  return mapping.entry {
    read = function(native, context)
      local times = times_of(native, context)
      return times and times[name]
    end,
    -- Written with the start.
    write = function() return true end,
  }
end

M.fields = {
  start = mapping.entry {
    depends = { "duration", "timeZone", "showWithoutTime", "lunation:endTimeZone", "recurrenceRules" },
    read = function(native, context)
      local times, why = times_of(native, context)
      return times and times.start, why
    end,
    write = function(native, _, context) return M.write(native, context.canonical) end,
  },
  duration = part "duration",
  timeZone = part "zone",
  showWithoutTime = part "all_day",
  endTimeZone = part "end_zone",
}

return M
