-- When an event is: DTSTART, DTEND, DURATION, RECURRENCE-ID (RFC 5545 section 3.8.2) to start, duration, timeZone and
-- showWithoutTime of JSCalendar (RFC 8984 sections 4.7 and 5.1), and back.
local clock = require "lunation.ical.clock"
local component = require "lunation.ical.component"
local value = require "lunation.ical.value"
local zone = require "lunation.ical.zone"

local M = {}

---@class lunation.ical.Moment
---@field at string local time
---@field kind "date"|"local"|"utc"
---@field zone string? nil for dates and floating times

---What a date or time property says.
---@param property lunation.ical.Property
---@param context table {zones=, warn=}
---@param text string? one value of a list; the property's own otherwise
---@return lunation.ical.Moment?
function M.moment(property, context, text)
  local at, kind = value.parse_time(text or property.value)
  if not at then return nil end
  local as = component.param(property, "VALUE")
  if as and as:upper() == "DATE" and kind ~= "date" then
    context.warn(property, ("%s is a DATE by its VALUE; the time of day of %q is left out"):format(property.name, (text or property.value):sub(1, 40)))
    at, kind = at:sub(1, 10) .. "T00:00:00", "date"
  end
  if kind == "date" then return { at = at, kind = kind } end
  if kind == "utc" then return { at = at, kind = kind, zone = "Etc/UTC" } end
  local id = component.param(property, "TZID")
  if not id or id == "" then return { at = at, kind = kind } end
  local name, definition = context.zones:zone(id, at)
  if not name then
    context.warn(property, ("TZID %q is neither a known zone nor defined; the time is taken as floating"):format(id))
    return { at = at, kind = kind }
  end
  if name == "Etc/UTC" then kind = "utc" end
  return { at = at, kind = kind, zone = name, definition = definition }
end

---The instant of a moment; floating times and dates are read as UTC.
---@param moment lunation.ical.Moment
---@return integer?
function M.instant(moment)
  return clock.to_utc(moment.at, moment.zone or "UTC")
end

-- The duration from DTSTART to DTEND: days for dates, exact seconds for times (RFC 5545 section 3.8.5.3).
local function until_end(start, finish, property, context)
  if start.kind == "date" then
    local days = (value.seconds(finish.at:sub(1, 10)) - value.seconds(start.at:sub(1, 10))) // 86400
    if days < 0 then context.warn(property, "DTEND is before DTSTART; the event is taken as one day") end
    if days <= 0 and context.exact then return "P0D" end
    return value.format_duration { days = math.max(days, 1), seconds = 0 }
  end
  local from, to
  if finish.kind == "date" then
    from, to = M.instant(start), clock.to_utc(finish.at, start.zone or "UTC")
  elseif (finish.zone == nil) ~= (start.zone == nil) then
    -- One floats, the other does not: the wall clocks are compared.
    from, to = value.seconds(start.at), value.seconds(finish.at)
    if start.zone then
      from, to = M.instant(start), clock.to_utc(finish.at, start.zone)
    end
  else
    from, to = M.instant(start), M.instant(finish)
  end
  if not from or not to then return nil end
  if to < from then
    context.warn(property, "DTEND is before DTSTART; the event is taken as having no length")
    to = from
  end
  return value.format_duration { days = 0, seconds = to - from }
end

---All that a component says of its time; remembered for the component while it is read.
---@param node lunation.ical.Component
---@param context table of the text that is read
---@return table? times {start, duration, zone, all_day, end_zone, definition}
---@return string? why
function M.times(node, context)
  local known = context.memo[node]
  if known then return known end
  local property = component.find(node, "DTSTART")
  if not property then return nil, "is missing" end
  local start = M.moment(property, context)
  if not start then return nil, ("%q is not a date or time"):format(property.value:sub(1, 40)) end
  local times = { start = start.at, zone = start.zone, all_day = start.kind == "date" or nil, definition = start.definition }
  local finish, duration = component.find(node, "DTEND"), component.find(node, "DURATION")
  if finish then
    local moment = M.moment(finish, context)
    if not moment then
      context.warn(finish, ("DTEND %q is not a date or time"):format(finish.value:sub(1, 40)))
    else
      times.duration = until_end(start, moment, finish, context)
      if moment.zone and start.zone and moment.zone ~= start.zone then times.end_zone, times.end_definition = moment.zone, moment.definition end
    end
  elseif duration then
    local length = value.parse_duration(duration.value)
    if not length then
      context.warn(duration, ("DURATION %q is not a duration"):format(duration.value:sub(1, 40)))
    elseif length.days < 0 or length.seconds < 0 then
      context.warn(duration, "DURATION is negative; the event is taken as having no length")
    else
      if times.all_day then
        length = { days = math.max(1, length.days + (length.seconds + 86399) // 86400), seconds = 0 }
      end
      times.duration = value.format_duration(length)
    end
  end
  if times.duration == "P0D" then times.duration = "PT0S" end
  if times.all_day and not times.duration then times.duration = "P1D" end
  if times.duration == "PT0S" and not times.all_day then times.duration = nil end
  if not times.duration then times.end_zone = nil end
  context.memo[node] = times
  return times
end

-- --- writing ---

---How a zone is named in the text that is written: as the stored property names it where that means the same.
local function zone_id(name, property, context)
  local old = property and component.param(property, "TZID")
  if old and context.zones:zone(old, (value.parse_time(property.value)) or "2000-01-01T00:00:00") == name then return old end
  if name:sub(1, 1) == "/" then
    local definition = context.canonical and (context.canonical.timeZones or {})[name]
    return definition and definition.tzId or name
  end
  return name
end

---Gives a date or time property its value, type and zone; its other parameters stay.
---@param property lunation.ical.Property
---@param at string local time
---@param kind "date"|"local"
---@param name string? zone
---@param context table
---@param like lunation.ical.Property? property that shows how the zone is named
function M.set(property, at, kind, name, context, like)
  if kind == "date" then
    property.value = value.format_time(at, "date")
    component.set_param(property, "TZID", nil)
    component.set_param(property, "VALUE", "DATE")
    return
  end
  local as = component.param(property, "VALUE")
  if as and as:upper() == "DATE" then component.set_param(property, "VALUE", nil) end
  if name and zone.is_utc(name) then
    property.value = value.format_time(at, "utc")
    component.set_param(property, "TZID", nil)
  else
    property.value, name = value.format_time(at, "local"), name
    component.set_param(property, "TZID", name and zone_id(name, like or property, context) or nil)
    if name then context.used(name, at, component.param(property, "TZID")) end
  end
end

local function ensure(node, name, after)
  local property = component.find(node, name)
  if property then return property end
  property = component.property(name, "")
  local _, at = component.find(node, after)
  table.insert(node.properties, (at or #node.properties) + 1, property)
  return property
end

---Writes start and end of the canonical event in `context.canonical`.
---@param node lunation.ical.Component
---@param context table of the text that is written
---@return boolean? done
---@return string? why
function M.write(node, context)
  local event = context.canonical
  local start = event.start
  if type(start) ~= "string" or not value.seconds(start) then return nil, "is not a local time" end
  if #start == 10 then start = start .. "T00:00:00" end
  local name = event.timeZone
  local length = event.duration and value.parse_duration(event.duration)
  if event.duration and not length then return nil, "has a duration that is none" end
  context.memo[node] = nil
  local first = ensure(node, "DTSTART", "UID")
  if event.showWithoutTime then
    M.set(first, start, "date", nil, context)
    local days = length and math.max(1, length.days + (length.seconds + 86399) // 86400) or 1
    local finish = component.find(node, "DTEND")
    local last = value.shift(start, days * 86400)
    if (component.find(node, "DURATION") and not finish) or not last then
      component.remove(node, "DTEND")
      ensure(node, "DURATION", "DTSTART").value = value.format_duration { days = days, seconds = 0 }
    elseif days > 1 or finish or context.fresh then
      M.set(ensure(node, "DTEND", "DTSTART"), last, "date", nil, context)
    end
    return true
  end
  M.set(first, start, "local", name, context)
  local finish = component.find(node, "DTEND")
  local as_duration = component.find(node, "DURATION") ~= nil and not finish and not event["lunation:endTimeZone"]
  local end_zone = event["lunation:endTimeZone"]
  if not length or (length.days == 0 and length.seconds == 0) then
    component.remove(node, "DURATION")
    component.remove(node, "DTEND")
    return true
  end
  if length.days > 0 and not end_zone then as_duration = true end
  local at
  if not as_duration then
    local instant = clock.to_utc(value.shift(start, length.days * 86400), name or "UTC")
    if not instant then return nil, ("has a time zone that is not known: %s"):format(tostring(name)) end
    instant = instant + length.seconds
    at = clock.to_local(instant, end_zone or name or "UTC")
    -- The second of two equal wall-clock times cannot be named by a local time: a duration can.
    if not at or clock.to_utc(at, end_zone or name or "UTC") ~= instant then as_duration = true end
  end
  if as_duration then
    component.remove(node, "DTEND")
    ensure(node, "DURATION", "DTSTART").value = value.format_duration(length)
    return true
  end
  component.remove(node, "DURATION")
  local like = end_zone == nil and first or nil
  M.set(ensure(node, "DTEND", "DTSTART"), at, "local", end_zone or name, context, like)
  return true
end

-- --- recurrence ids ---

---A moment as a key of recurrenceOverrides: a local time in the zone of the series, whatever form it was written in.
---@param moment lunation.ical.Moment
---@param event table canonical master: start, timeZone, showWithoutTime
---@return string? key
function M.key(moment, event)
  if event.showWithoutTime then
    return moment.at:sub(1, 10) .. "T00:00:00"
  end
  if moment.kind == "date" then return moment.at:sub(1, 10) .. event.start:sub(11) end
  if not moment.zone or not event.timeZone or moment.zone == event.timeZone then return moment.at end
  local instant = M.instant(moment)
  return instant and clock.to_local(instant, event.timeZone) or moment.at
end

---Gives a RECURRENCE-ID, EXDATE or RDATE the value type and zone of the series (RFC 5545 section 3.8.4.4).
---@param property lunation.ical.Property
---@param key string local time
---@param event table canonical master
---@param like lunation.ical.Property? DTSTART of the master
---@param context table of the text that is written
function M.set_key(property, key, event, context, like)
  M.set(property, key, event.showWithoutTime and "date" or "local", event.timeZone, context, like)
end

return M
