-- patternedRecurrence: what may stand in one, and the rule that it means (RFC 5545), expanded by lunation.rrule.
--
-- What is easily got wrong: relative types with several days mean the first (second, … last) such day of the month, not each of
-- them; a day of month that a month does not have is its last day; a range's endDate counts.
local answer = require "spec.emulators.microsoft.answer"
local json = require "lunation.json"
local rrule = require "lunation.rrule"
local times = require "spec.emulators.microsoft.times"
local tz = require "lunation.tz"

local M = {}

local days = { monday = "MO", tuesday = "TU", wednesday = "WE", thursday = "TH", friday = "FR", saturday = "SA", sunday = "SU" }
local indexes = { first = 1, second = 2, third = 3, fourth = 4, last = -1 }

-- What belongs to each type, beside type and interval: true where it must be there.
local types = {
  daily = {},
  weekly = { daysOfWeek = true, firstDayOfWeek = false },
  absoluteMonthly = { dayOfMonth = true },
  relativeMonthly = { daysOfWeek = true, index = false, firstDayOfWeek = false },
  absoluteYearly = { dayOfMonth = true, month = true },
  relativeYearly = { daysOfWeek = true, index = false, month = true, firstDayOfWeek = false },
}

-- The service's own defaults: it writes them for every type, so they are no statement where they come back.
local defaults = { month = 0, dayOfMonth = 0, index = "first", firstDayOfWeek = "sunday" }

local function bad(message) answer.fail(400, "ErrorPropertyValidationFailure", message) end

local function integer(value, from, to, name)
  if math.type(value) ~= "integer" or value < from or value > to then bad(("The recurrence property '%s' is out of range."):format(name)) end
end

local function date(value, name)
  if type(value) ~= "string" or #value ~= 10 or not times.read(value) then bad(("The recurrence property '%s' is no date."):format(name)) end
  return value
end

local function check_pattern(pattern)
  local allowed = types[pattern.type]
  if not allowed then bad "The recurrence pattern's type is missing or unknown." end
  for _, name in ipairs { "daysOfWeek", "firstDayOfWeek", "index", "dayOfMonth", "month" } do
    local value = answer.given(pattern[name])
    if value ~= nil and allowed[name] == nil and value ~= defaults[name] and not (type(value) == "table" and #value == 0) then
      bad(("The recurrence property '%s' does not belong to the pattern type '%s'."):format(name, pattern.type))
    end
    if allowed[name] and (value == nil or type(value) == "table" and #value == 0) then
      bad(("The recurrence pattern type '%s' requires the property '%s'."):format(pattern.type, name))
    end
  end
  integer(answer.given(pattern.interval) or 1, 1, 999, "interval")
  if allowed.dayOfMonth ~= nil then integer(pattern.dayOfMonth, 1, 31, "dayOfMonth") end
  if allowed.month ~= nil then integer(pattern.month, 1, 12, "month") end
  for _, day in ipairs(allowed.daysOfWeek ~= nil and pattern.daysOfWeek or {}) do
    if not days[day] then bad(("'%s' is no day of the week."):format(tostring(day))) end
  end
  if not indexes[answer.given(pattern.index) or "first"] then bad "The recurrence property 'index' is unknown." end
  if not days[answer.given(pattern.firstDayOfWeek) or "sunday"] then bad "The recurrence property 'firstDayOfWeek' is unknown." end
end

local range_types = { endDate = "endDate", noEnd = false, numbered = "numberOfOccurrences" }

local function check_range(range, zone)
  local own = range_types[range.type]
  if own == nil then bad "The recurrence range's type is missing or unknown." end
  date(range.startDate, "startDate")
  for _, name in ipairs { "endDate", "numberOfOccurrences" } do
    local value = answer.given(range[name])
    local said = value ~= nil and value ~= 0 and value ~= "0001-01-01"
    if said and own ~= name then bad(("The recurrence property '%s' does not belong to the range type '%s'."):format(name, range.type)) end
    if not said and own == name then bad(("The recurrence range type '%s' requires the property '%s'."):format(range.type, name)) end
  end
  if own == "numberOfOccurrences" then integer(range.numberOfOccurrences, 1, 999, "numberOfOccurrences") end
  if own == "endDate" and date(range.endDate, "endDate") < range.startDate then bad "The recurrence range ends before it starts." end
  times.need_zone(answer.given(range.recurrenceTimeZone) or zone)
end

---A patternedRecurrence of a request, checked and completed as the service shows it.
---@param value table
---@param zone string the event's own zone
---@return table
function M.accept(value, zone)
  if type(value) ~= "table" or type(value.pattern) ~= "table" or type(value.range) ~= "table" then
    bad "A recurrence needs a pattern and a range."
  end
  local pattern, range = value.pattern, value.range
  check_pattern(pattern)
  check_range(range, zone)
  local allowed = types[pattern.type]
  local shown = {
    type = pattern.type, interval = answer.given(pattern.interval) or 1,
    month = allowed.month ~= nil and pattern.month or 0, dayOfMonth = allowed.dayOfMonth ~= nil and pattern.dayOfMonth or 0,
    firstDayOfWeek = answer.given(pattern.firstDayOfWeek) or "sunday", index = answer.given(pattern.index) or "first",
  }
  if allowed.daysOfWeek then shown.daysOfWeek = json.array(table.move(pattern.daysOfWeek, 1, #pattern.daysOfWeek, 1, {})) end
  return { pattern = shown, range = {
    type = range.type, startDate = range.startDate, endDate = range.type == "endDate" and range.endDate or "0001-01-01",
    numberOfOccurrences = range.type == "numbered" and range.numberOfOccurrences or 0,
    recurrenceTimeZone = answer.given(range.recurrenceTimeZone) or zone,
  } }
end

-- "BYMONTHDAY=28,29,30,31;BYSETPOS=-1" for 31: the day, or the last one of a shorter month.
local function month_day(day)
  if day <= 28 then return "BYMONTHDAY=" .. day end
  local list = {}
  for each = 28, day do list[#list + 1] = each end
  return "BYMONTHDAY=" .. table.concat(list, ",") .. ";BYSETPOS=-1"
end

local function day_list(pattern)
  local list = {}
  for i, day in ipairs(pattern.daysOfWeek) do list[i] = days[day] end
  return "BYDAY=" .. table.concat(list, ",")
end

local parts = {
  daily = function() return "FREQ=DAILY" end,
  weekly = function(p) return "FREQ=WEEKLY;" .. day_list(p) .. ";WKST=" .. days[p.firstDayOfWeek] end,
  absoluteMonthly = function(p) return "FREQ=MONTHLY;" .. month_day(p.dayOfMonth) end,
  relativeMonthly = function(p) return "FREQ=MONTHLY;" .. day_list(p) .. ";BYSETPOS=" .. indexes[p.index] end,
  absoluteYearly = function(p) return "FREQ=YEARLY;BYMONTH=" .. p.month .. ";" .. month_day(p.dayOfMonth) end,
  relativeYearly = function(p) return "FREQ=YEARLY;BYMONTH=" .. p.month .. ";" .. day_list(p) .. ";BYSETPOS=" .. indexes[p.index] end,
}

---The rule of an accepted recurrence.
---@param recurrence table
---@param zone string IANA zone of the event
---@return string
function M.rule(recurrence, zone)
  local pattern, range = recurrence.pattern, recurrence.range
  local rule = parts[pattern.type](pattern)
  if pattern.interval > 1 then rule = rule .. ";INTERVAL=" .. pattern.interval end
  if range.type == "numbered" then
    rule = rule .. ";COUNT=" .. range.numberOfOccurrences
  elseif range.type == "endDate" then
    -- the last day ends at midnight of the zone in which the range is told
    local last = tz.to_utc(times.add_days(range.endDate, 1) .. "T00:00:00", times.zone(range.recurrenceTimeZone)) - 1
    rule = rule .. ";UNTIL=" .. tz.to_local(last, zone):gsub("[-:]", "")
  end
  return rule
end

---The series of an event.
---@param recurrence table accepted
---@param clock string local time of day, "T09:00:00"
---@param zone string IANA
---@return lunation.rrule.Compiled
function M.compile(recurrence, clock, zone)
  local set, err = rrule.set {
    dtstart = recurrence.range.startDate .. clock, tzid = zone, rrule = M.rule(recurrence, zone),
  }
  if not set then bad("The recurrence cannot be expanded: " .. tostring(err)) end
  return set
end

return M
