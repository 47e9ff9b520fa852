-- start and end of a Google event (EventDateTime: a date, or an instant with the zone it is meant in) to start, duration and
-- zones of JSCalendar, and back. Dates never pass through a zone.
local clock = require "lunation.ical.clock"
local mapping = require "lunation.mapping"
local model = require "lunation.model.expand"
local tz = require "lunation.tz"
local value = require "lunation.ical.value"
local zone = require "lunation.ical.zone"

local M = {}

local UTC = "Etc/UTC"

local zones = {}

-- The canonical name of a zone, or nil.
local function zone_of(name)
  local known = zones[name]
  if known == nil then
    known = type(name) == "string" and name ~= "" and zone.canonical(name) or false
    zones[name] = known
  end
  return known or nil
end

---An RFC 3339 time.
---@param text any
---@return integer? instant where it has an offset
---@return string? localtime as written
function M.parse(text)
  if type(text) ~= "string" then return nil end
  local date, hour, rest = text:match("^(%d%d%d%d%-%d%d%-%d%d)[Tt](%d%d:%d%d:%d%d)%.?%d*(.*)$")
  local at = date and value.seconds(date .. "T" .. hour)
  if not at then return nil end
  local written = date .. "T" .. hour
  if rest == "" then return nil, written end
  if rest == "Z" or rest == "z" then return at, written end
  local sign, hours, minutes = rest:match("^([+-])(%d%d):?(%d%d)$")
  if not sign then return nil end
  local offset = hours * 3600 + minutes * 60
  return math.tointeger(sign == "-" and at + offset or at - offset), written
end

---The instant that an EventDateTime means; a date is its midnight in UTC.
---@param object table
---@param fallback string? zone where none is written
---@return integer? instant
function M.instant(object, fallback)
  if object.date then return value.seconds(tostring(object.date)) end
  local instant, written = M.parse(object.dateTime)
  if instant or not written then return instant end
  return clock.to_utc(written, zone_of(object.timeZone) or fallback or UTC)
end

---@class google.Times
---@field start string local time
---@field duration string?
---@field zone string?
---@field end_zone string?
---@field all_day boolean?

local function days(native)
  local first = type(native.start.date) == "string" and value.seconds(native.start.date)
  local last = type(native["end"].date) == "string" and value.seconds(native["end"].date)
  if not first or #native.start.date ~= 10 then return nil, "is not a date", "start" end
  if not last or #native["end"].date ~= 10 then return nil, "is not a date", "duration" end
  if last < first then return nil, "the end is before the start", "duration" end
  return {
    start = native.start.date .. "T00:00:00", all_day = true,
    duration = value.format_duration { days = math.max(1, (last - first) // 86400), seconds = 0 },
  }
end

-- The zone that an event is meant in. A single event whose zone nobody knows is still at its instant.
local function meant(native)
  local name = native.start.timeZone or native["lunation:timeZone"]
  if name == nil then return UTC end
  local known = zone_of(name)
  if known then return known end
  if native.recurrence then return nil, ("%q is no time zone that is known here"):format(tostring(name):sub(1, 60)), "timeZone" end
  return UTC
end

local function moments(native)
  local zone_name, why, field = meant(native)
  if not zone_name then return nil, why, field end
  local from, to = M.instant(native.start, zone_name), M.instant(native["end"], zone_name)
  if not from then return nil, "is not a time", "start" end
  if not to then return nil, "is not a time", "duration" end
  if to < from then return nil, "the end is before the start", "duration" end
  local at = clock.to_local(from, zone_name)
  -- The second pass of an hour that a clock repeats has no wall time of its own.
  if not native.recurrence and at and clock.to_utc(at, zone_name) ~= from then zone_name, at = UTC, clock.to_local(from, UTC) end
  if not at then return nil, "is outside of the years that are known", "start" end
  -- What is written without an offset is the wall time itself, even where a clock skips it.
  local instant, written = M.parse(native.start.dateTime)
  if not instant and written then at = written end
  local end_name = native["end"].timeZone
  local end_zone = end_name and end_name ~= native.start.timeZone and zone_of(end_name) or nil
  return {
    start = at, zone = zone_name, end_zone = end_zone ~= zone_name and end_zone or nil,
    duration = to > from and value.format_duration { days = 0, seconds = to - from } or nil,
  }
end

---@param native table
---@return google.Times? times
---@return string? why
---@return string? field canonical field that is wrong
function M.read(native)
  if type(native.start) ~= "table" then return nil, "is missing", "start" end
  if type(native["end"]) ~= "table" then return nil, "is missing: Google's event has no end", "duration" end
  if type(native.start.date) == "string" then return days(native) end
  return moments(native)
end

-- --- writing ---

---An instant as Google reads it back: in the wall clock of the zone, with its offset.
---@param instant integer
---@param zone_name string
---@return string
function M.format(instant, zone_name)
  local at, offset = tz.to_local(instant, zone_name)
  if offset == 0 and zone.is_utc(zone_name) then return at .. "Z" end
  local sign = offset < 0 and "-" or "+"
  offset = math.abs(offset)
  return ("%s%s%02d:%02d"):format(at, sign, offset // 3600, offset // 60 % 60)
end

local function name_of(zone_name)
  return zone.is_utc(zone_name) and "UTC" or zone_name
end

-- A zone that its event defines itself (RFC 8984 section 4.7.2).
local function is_own(zone_name)
  return zone_name ~= nil and zone_name:sub(1, 1) == "/"
end

-- The wall time of a start. Where the clock skips it, it goes without offset, so that a series keeps to it.
local function start_object(event)
  local instant = clock.to_utc(event.start, event.timeZone)
  if not instant then return nil end
  local at = clock.to_local(instant, event.timeZone)
  return { dateTime = at == event.start and M.format(instant, event.timeZone) or event.start, timeZone = name_of(event.timeZone) }
end

---The EventDateTime of an instance of a series.
---@param key string recurrence id
---@param event { timeZone: string?, showWithoutTime: boolean? } the series
---@return table
function M.original_start(key, event)
  if event.showWithoutTime then return { date = key:sub(1, 10) } end
  return start_object { start = key, timeZone = event.timeZone or UTC } or { dateTime = key, timeZone = event.timeZone }
end

local function same_moment(object, wanted)
  if type(object) ~= "table" then return false end
  if wanted.date or object.date then return object.date == wanted.date end
  return object.timeZone == wanted.timeZone and M.instant(object, "UTC") ~= nil and M.instant(object, "UTC") == M.instant(wanted, "UTC")
end

local function place(native, name, wanted)
  if not same_moment(native[name], wanted) then native[name] = wanted end
end

---Writes start and end from the canonical event. A floating time is written without a zone: Google has none, and whoever sends
---it adds the calendar's.
---@param native table
---@param event table canonical
---@return boolean? ok
---@return string? why
function M.write(native, event)
  if event.showWithoutTime then
    local length = value.parse_duration(event.duration or "P1D")
    if not length then return nil, "is not a duration" end
    local count = math.max(1, length.days + (length.seconds + 86399) // 86400)
    local last = value.shift(event.start:sub(1, 10), count * 86400)
    if not last then return nil, "is too late" end
    place(native, "start", { date = event.start:sub(1, 10) })
    place(native, "end", { date = last:sub(1, 10) })
    return true
  end
  if not event.timeZone then
    local length = value.parse_duration(event.duration or "PT0S")
    local last = length and value.shift(event.start, length.days * 86400 + length.seconds)
    if not last then return nil, "is not a duration" end
    native.start, native["end"] = { dateTime = event.start }, { dateTime = last }
    return true
  end
  if is_own(event.timeZone) then
    if event.recurrenceRules or event.recurrenceOverrides then return nil, "is in a zone of its own; Google knows those of IANA" end
    local at = clock.to_local(clock.to_utc(event.start, event.timeZone), UTC)
    return M.write(native, { start = at, duration = event.duration, timeZone = at and UTC or nil })
  end
  local start = start_object(event)
  if not start then return nil, ("is in a zone that Google does not know: %s"):format(event.timeZone) end
  local _, finish = model.bounds(event)
  if not finish then return nil, "has no end" end
  local end_zone = not is_own(event["lunation:endTimeZone"]) and event["lunation:endTimeZone"] or event.timeZone
  if not tz.offset(finish, end_zone) then return nil, ("is in a zone that Google does not know: %s"):format(end_zone) end
  place(native, "start", start)
  place(native, "end", { dateTime = M.format(finish, end_zone), timeZone = name_of(end_zone) })
  return true
end

---Floating times become those of the calendar.
---@param native table
---@param calendar table
---@return table native the same where it had none
function M.settle(native, calendar)
  local start, finish = native.start, native["end"]
  if type(start) ~= "table" or not start.dateTime or start.timeZone or M.parse(start.dateTime) then return native end
  local settled = {}
  for name, v in pairs(native) do settled[name] = v end
  local name = calendar.timeZone or "UTC"
  settled.start = { dateTime = start.dateTime, timeZone = name }
  settled["end"] = { dateTime = finish.dateTime, timeZone = name }
  return settled
end

-- --- the fields of the mapping ---

-- Start, end and zones are one thing in two objects: read once for an event, written together.
local function times_of(native, context)
  if context.times_of ~= native then
    context.times_of = native
    context.times, context.times_why, context.times_field = M.read(native)
  end
  return context.times
end

local function field(name, pick)
  return mapping.entry {
    depends = { "start", "duration", "timeZone", "showWithoutTime", "lunation:endTimeZone" },
    read = function(native, context)
      local times = times_of(native, context)
      if times then return pick(times) end
      -- A zone that is wrong leaves no start either, which every event has.
      if context.times_field == name or name == "start" then return nil, context.times_why end
    end,
    -- The start writes them all, and is written when any of them changes.
    write = function(native, _, context)
      if name ~= "start" then return true end
      return M.write(native, context.canonical)
    end,
  }
end

M.fields = {
  start = field("start", function(times) return times.start end),
  duration = field("duration", function(times) return times.duration end),
  timeZone = field("timeZone", function(times) return times.zone end),
  showWithoutTime = field("showWithoutTime", function(times) return times.all_day end),
  ["lunation:endTimeZone"] = field("lunation:endTimeZone", function(times) return times.end_zone end),
}

return M
