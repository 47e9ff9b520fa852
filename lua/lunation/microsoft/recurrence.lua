-- patternedRecurrence of Graph to RecurrenceRule of JSCalendar (RFC 8984 section 4.3.3), and back. Graph knows six patterns and
-- three ranges; what is none of them is refused by name.
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local null = require "lunation.null"
local time = require "lunation.microsoft.time"
local value = require "lunation.ical.value"

local M = {}

local days = { mo = "monday", tu = "tuesday", we = "wednesday", th = "thursday", fr = "friday", sa = "saturday", su = "sunday" }
local order = { "mo", "tu", "we", "th", "fr", "sa", "su" }
local indexes = { first = 1, second = 2, third = 3, fourth = 4, last = -1 }
local short, index_words = {}, {}
for code, name in pairs(days) do short[name] = code end
for word, number in pairs(indexes) do index_words[number] = word end

local function present(v) return v ~= nil and v ~= null end

-- --- reading ---

local function weekdays(pattern)
  local list = pattern.daysOfWeek
  if type(list) ~= "table" or #list == 0 then return nil, "daysOfWeek is missing" end
  local found = {}
  for i, name in ipairs(list) do
    local code = short[tostring(name):lower()]
    if not code then return nil, ("daysOfWeek has %q"):format(tostring(name)) end
    found[i] = { ["@type"] = "NDay", day = code }
  end
  return found
end

local function whole(v, least, most)
  local number = present(v) and math.tointeger(tonumber(v))
  return number and number >= least and number <= most and number or nil
end

-- Of several days "the second" is the second of all of them together, which is BYSETPOS.
local function relative(rule, pattern)
  local list, why = weekdays(pattern)
  if not list then return nil, why end
  local nth = indexes[present(pattern.index) and pattern.index or "first"]
  if not nth then return nil, ("index has %q"):format(tostring(pattern.index)) end
  if #list == 1 then list[1].nthOfPeriod = nth else rule.bySetPosition = { nth } end
  rule.byDay = list
  return true
end

-- The days that a month has in every year; without one, those that every month has.
local shortest = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local function always(month) return month and shortest[month] or 28 end

-- A month without the day has the event on its last one, which is SKIP=BACKWARD (RFC 7529 section 4.1).
local function absolute(rule, pattern)
  local day = whole(pattern.dayOfMonth, 1, 31)
  if not day then return nil, "dayOfMonth is no day of a month" end
  rule.byMonthDay = { day }
  if day > always(rule.frequency == "yearly" and whole(pattern.month, 1, 12) or nil) then rule.skip = "backward" end
  return true
end

local function in_month(rule, pattern)
  local month = whole(pattern.month, 1, 12)
  if not month then return nil, "month is none" end
  rule.byMonth = { ("%d"):format(month) }
  return true
end

local patterns = {
  daily = function(rule)
    rule.frequency = "daily"
    return true
  end,
  weekly = function(rule, pattern)
    rule.frequency = "weekly"
    local list, why = weekdays(pattern)
    if not list then return nil, why end
    rule.byDay = list
    local first = present(pattern.firstDayOfWeek) and short[tostring(pattern.firstDayOfWeek):lower()] or "su"
    if first ~= "mo" then rule.firstDayOfWeek = first end
    return true
  end,
  absoluteMonthly = function(rule, pattern)
    rule.frequency = "monthly"
    return absolute(rule, pattern)
  end,
  relativeMonthly = function(rule, pattern)
    rule.frequency = "monthly"
    return relative(rule, pattern)
  end,
  absoluteYearly = function(rule, pattern)
    rule.frequency = "yearly"
    local done, why = absolute(rule, pattern)
    if not done then return nil, why end
    return in_month(rule, pattern)
  end,
  relativeYearly = function(rule, pattern)
    rule.frequency = "yearly"
    local done, why = relative(rule, pattern)
    if not done then return nil, why end
    return in_month(rule, pattern)
  end,
}

local ranges = {
  noEnd = function() return true end,
  endDate = function(rule, range, all_day)
    local last = range.endDate
    if type(last) ~= "string" or not last:match("^%d%d%d%d%-%d%d%-%d%d$") or not value.seconds(last) then
      return nil, ("endDate is no date: %s"):format(tostring(last))
    end
    rule["until"] = last .. (all_day and "T00:00:00" or "T23:59:59")
    return true
  end,
  numbered = function(rule, range)
    rule.count = whole(range.numberOfOccurrences, 1, 100000000)
    if not rule.count then return nil, "numberOfOccurrences is none" end
    return true
  end,
}

---The rule of a patternedRecurrence.
---@param recurrence table
---@param all_day boolean?
---@return table? rule
---@return string? why
function M.to_rule(recurrence, all_day)
  local pattern, range = recurrence.pattern, recurrence.range
  if type(pattern) ~= "table" or pattern == null then return nil, "has no pattern" end
  if type(range) ~= "table" or range == null then return nil, "has no range" end
  local read, bound = patterns[pattern.type], ranges[range.type]
  if not read then return nil, ("has a pattern of a type that is not known: %s"):format(tostring(pattern.type)) end
  if not bound then return nil, ("has a range of a type that is not known: %s"):format(tostring(range.type)) end
  local rule = { ["@type"] = "RecurrenceRule" }
  local done, why = read(rule, pattern)
  if not done then return nil, why end
  local interval = pattern.interval == nil and 1 or whole(pattern.interval, 1, 100000)
  if not interval then return nil, "interval is no positive number" end
  if interval > 1 then rule.interval = interval end
  done, why = bound(rule, range, all_day)
  if not done then return nil, why end
  return rule
end

-- --- writing ---

local function some(list) return type(list) == "table" and #list > 0 end

-- One number that says no more than the start does.
local function says_start(list, number)
  return not some(list) or #list == 1 and tonumber(list[1]) == number
end

local function weekday(at) return order[(value.seconds(at:sub(1, 10)) // 86400 + 3) % 7 + 1] end

local function names(list)
  local result, seen = json.array {}, {}
  for _, code in ipairs(order) do
    for _, nday in ipairs(list) do
      if nday.day == code and not seen[code] then
        seen[code] = true
        result[#result + 1] = days[code]
      end
    end
  end
  return result
end

local function plain(list)
  for _, nday in ipairs(list) do
    if nday.nthOfPeriod then return false end
  end
  return true
end

local function weekly(rule, list, interval)
  return { type = "weekly", interval = interval, daysOfWeek = names(list), firstDayOfWeek = days[rule.firstDayOfWeek or "mo"] }
end

-- The weekdays of a month: one of them by its number, or several together by BYSETPOS.
local function nth_days(rule)
  local list = rule.byDay
  local nth
  if plain(list) then
    if not some(rule.bySetPosition) then return nil, "BYDAY without a number" end
    if #rule.bySetPosition > 1 then return nil, "several positions in BYSETPOS" end
    nth = rule.bySetPosition[1]
  else
    if #list > 1 then return nil, "several numbered weekdays in BYDAY" end
    if some(rule.bySetPosition) then return nil, "BYSETPOS with a numbered weekday" end
    nth = list[1].nthOfPeriod
  end
  local word = index_words[nth]
  if not word then return nil, ("the weekday number %d of a month"):format(nth) end
  return names(list), word
end

local function month_day(rule, start, month)
  local list = rule.byMonthDay
  if some(list) and #list > 1 then return nil, "several days in BYMONTHDAY" end
  local day = some(list) and list[1] or math.tointeger(tonumber(start:sub(9, 10)))
  if day < 0 then return nil, ("BYMONTHDAY=%d"):format(day) end
  if day > always(month) and rule.skip ~= "backward" then
    return nil, ("BYMONTHDAY=%d (where a month is shorter it takes the last day: SKIP=BACKWARD)"):format(day)
  end
  return day
end

local function in_months(kind, rule, start, interval, month)
  local pattern = { interval = interval, month = month }
  if some(rule.byDay) then
    if some(rule.byMonthDay) then return nil, "BYDAY and BYMONTHDAY together" end
    local list, word = nth_days(rule)
    if not list then return nil, word end
    pattern.type, pattern.daysOfWeek, pattern.index = "relative" .. kind, list, word
    return pattern
  end
  if some(rule.bySetPosition) then return nil, "BYSETPOS without BYDAY" end
  local day, why = month_day(rule, start, month)
  if not day then return nil, why end
  pattern.type, pattern.dayOfMonth = "absolute" .. kind, day
  return pattern
end

local function the_month(rule)
  if #rule.byMonth > 1 then return nil, "several months in BYMONTH" end
  local month = math.tointeger(tonumber(rule.byMonth[1]))
  if not month then return nil, "a leap month in BYMONTH" end
  return month
end

local writers = {}

function writers.daily(rule, _, interval)
  for part, name in pairs { byMonth = "BYMONTH", byMonthDay = "BYMONTHDAY", bySetPosition = "BYSETPOS" } do
    if some(rule[part]) then return nil, name .. " in a daily rule" end
  end
  if not some(rule.byDay) then return { type = "daily", interval = interval } end
  if interval > 1 or not plain(rule.byDay) then return nil, "BYDAY in a daily rule" end
  return weekly(rule, rule.byDay, 1)
end

function writers.weekly(rule, start, interval)
  for part, name in pairs { byMonth = "BYMONTH", byMonthDay = "BYMONTHDAY", bySetPosition = "BYSETPOS" } do
    if some(rule[part]) then return nil, name .. " in a weekly rule" end
  end
  if some(rule.byDay) and not plain(rule.byDay) then return nil, "numbered weekdays in a weekly rule" end
  return weekly(rule, some(rule.byDay) and rule.byDay or { { day = weekday(start) } }, interval)
end

function writers.monthly(rule, start, interval)
  if some(rule.byMonth) then
    if interval > 1 then return nil, "BYMONTH with an interval of months" end
    local month, why = the_month(rule)
    if not month then return nil, why end
    return in_months("Yearly", rule, start, 1, month)
  end
  if some(rule.byDay) and plain(rule.byDay) and not some(rule.bySetPosition) and not some(rule.byMonthDay) and interval == 1 then
    return weekly(rule, rule.byDay, 1)
  end
  return in_months("Monthly", rule, start, interval)
end

function writers.yearly(rule, start, interval)
  if not some(rule.byMonth) then
    if some(rule.byDay) then return nil, "BYDAY in a yearly rule without BYMONTH" end
    if some(rule.bySetPosition) then return nil, "BYSETPOS in a yearly rule" end
    if some(rule.byMonthDay) then
      -- Without a month it is that day of every month.
      if interval > 1 then return nil, "BYMONTHDAY in a yearly rule without BYMONTH" end
      return in_months("Monthly", rule, start, 1)
    end
    return in_months("Yearly", rule, start, interval, math.tointeger(tonumber(start:sub(6, 7))))
  end
  local month, why = the_month(rule)
  if not month then return nil, why end
  return in_months("Yearly", rule, start, interval, month)
end

local function foreign(rule, start)
  if rule.rscale and rule.rscale:lower() ~= "gregorian" then return "RSCALE=" .. rule.rscale:upper() end
  if rule.skip and rule.skip ~= "omit" and rule.skip ~= "backward" then return "SKIP=" .. rule.skip:upper() end
  if some(rule.byYearDay) then return "BYYEARDAY" end
  if some(rule.byWeekNo) then return "BYWEEKNO" end
  if not says_start(rule.byHour, tonumber(start:sub(12, 13))) then return "BYHOUR" end
  if not says_start(rule.byMinute, tonumber(start:sub(15, 16))) then return "BYMINUTE" end
  if not says_start(rule.bySecond, tonumber(start:sub(18, 19))) then return "BYSECOND" end
end

-- The last day: one on which the rule's end comes before the time of day is none.
local function range_of(rule, start, zone)
  local range = { startDate = start:sub(1, 10), recurrenceTimeZone = zone }
  if rule.count then
    range.type, range.numberOfOccurrences = "numbered", rule.count
  elseif rule["until"] then
    local last = rule["until"]
    local day = last:sub(1, 10)
    if last:sub(12) < start:sub(12) then day = (value.shift(day, -86400) or day):sub(1, 10) end
    range.type, range.endDate = "endDate", day
  else
    range.type = "noEnd"
  end
  return range
end

---The patternedRecurrence of an event's rules.
---@param event table canonical
---@return table? recurrence
---@return string? why what of it Outlook cannot express
function M.from_rules(event)
  local rules = event.recurrenceRules
  local function cannot(what) return nil, "Outlook cannot express " .. what end
  if #rules > 1 then return cannot "several rules" end
  if some(event.excludedRecurrenceRules) then return cannot "excluded rules" end
  local rule, start = rules[1], time.first(event)
  local writer = writers[rule.frequency]
  if not writer then return cannot(("a series that recurs more often than by the day (FREQ=%s)"):format(tostring(rule.frequency):upper())) end
  local what = foreign(rule, start)
  if what then return cannot(what) end
  local pattern, why = writer(rule, start, rule.interval or 1)
  if not pattern then return cannot(why) end
  local zone = event.showWithoutTime and "UTC" or time.name(event.timeZone)
  return { pattern = pattern, range = range_of(rule, start, zone) }
end

M.rules = mapping.entry {
  depends = { "start", "timeZone", "showWithoutTime", "excludedRecurrenceRules" },
  read = function(native, context)
    local recurrence = native.recurrence
    if not present(recurrence) or context and context.instance then return nil end
    if type(recurrence) ~= "table" then return nil, "is not an object" end
    local rule, why = M.to_rule(recurrence, native.isAllDay == true)
    if not rule then return nil, why end
    return { rule }
  end,
  write = function(native, rules, context)
    if context.instance then return true end
    if not rules then
      native.recurrence = present(native.recurrence) and null or nil
      return true
    end
    local recurrence, why = M.from_rules(context.canonical)
    if not recurrence then return nil, why end
    native.recurrence = recurrence
    return true
  end,
}

---Excluded rules have no place in Graph.
M.excluded = mapping.entry {
  read = function() return nil end,
  write = function(_, rules)
    if some(rules) then return nil, "Outlook cannot express excluded rules" end
    return true
  end,
}

return M
