-- RRULE and EXRULE (RFC 5545 section 3.3.10, RFC 7529) to RecurrenceRule of JSCalendar (RFC 8984 section 4.3.3) and back.
local clock = require "lunation.ical.clock"
local value = require "lunation.ical.value"

local M = {}

local frequencies = {
  YEARLY = "yearly", MONTHLY = "monthly", WEEKLY = "weekly", DAILY = "daily",
  HOURLY = "hourly", MINUTELY = "minutely", SECONDLY = "secondly",
}
local weekdays = { MO = "mo", TU = "tu", WE = "we", TH = "th", FR = "fr", SA = "sa", SU = "su" }

-- part of the rule, field of the object, least and greatest value, negative values too
local numbers = {
  { "BYSECOND", "bySecond", 0, 60 }, { "BYMINUTE", "byMinute", 0, 59 }, { "BYHOUR", "byHour", 0, 23 },
  { "BYMONTHDAY", "byMonthDay", 1, 31, true }, { "BYYEARDAY", "byYearDay", 1, 366, true },
  { "BYWEEKNO", "byWeekNo", 1, 53, true }, { "BYSETPOS", "bySetPosition", 1, 366, true },
}
local number_parts = {}
for _, spec in ipairs(numbers) do number_parts[spec[1]] = spec end

local function list_of(text)
  local items = {}
  for item in text:gmatch("[^,]+") do items[#items + 1] = item end
  return items
end

local function read_until(text, event)
  local at, kind = value.parse_time(text)
  if not at then return nil end
  if event.showWithoutTime then return at:sub(1, 10) .. "T00:00:00" end
  if kind == "date" then return at:sub(1, 10) .. "T23:59:59" end
  if kind == "utc" and event.timeZone then
    local instant = clock.to_utc(at .. "Z", "UTC")
    return instant and clock.to_local(instant, event.timeZone) or at
  end
  return at
end

local function read_days(text, part)
  local days = {}
  for _, item in ipairs(list_of(text)) do
    local number, day = item:match("^([+-]?%d*)(%a%a)$")
    if not number or not weekdays[day] or number == "+" or number == "-" then
      return nil, ("%s has %q, which is no weekday"):format(part, item)
    end
    local nth = tonumber(number)
    if nth == 0 or (nth and (nth > 53 or nth < -53)) then return nil, ("%s has %q"):format(part, item) end
    days[#days + 1] = { ["@type"] = "NDay", day = weekdays[day], nthOfPeriod = nth and math.tointeger(nth) }
  end
  return days
end

local function read_months(text)
  local months = {}
  for _, item in ipairs(list_of(text)) do
    local number, leap = item:match("^(%d+)(L?)$")
    number = tonumber(number)
    if not number or number < 1 or number > 13 then return nil, ("BYMONTH has %q"):format(item) end
    months[#months + 1] = ("%d%s"):format(number, leap)
  end
  return months
end

-- What the years of other calendars have more of (RSCALE).
local longest = { BYYEARDAY = 385, BYWEEKNO = 55 }

local function read_numbers(text, spec, foreign)
  local list = {}
  local most = foreign and longest[spec[1]] or spec[4]
  for _, item in ipairs(list_of(text)) do
    local number = item:match("^[+-]?%d+$") and math.tointeger(tonumber(item))
    local size = number and math.abs(number)
    if not size or size < spec[3] or size > most or (number < 0 and not spec[5]) then
      return nil, ("%s has %q"):format(spec[1], item)
    end
    list[#list + 1] = number
  end
  return list
end

---@param text string value of an RRULE or EXRULE, with or without "RRULE:"
---@param event table canonical event: its timeZone and showWithoutTime give UNTIL its meaning
---@return table? rule RecurrenceRule
---@return string? why it is none
function M.from_rrule(text, event)
  local rule = { ["@type"] = "RecurrenceRule" }
  -- Some programs escape a rule as if it were TEXT.
  local body = text:upper():gsub("%s", ""):gsub("^E?X?R?RULE:", ""):gsub("\\([;,])", "%1")
  local seen = {}
  local foreign = body:find("RSCALE=", 1, true) and not body:find("RSCALE=GREGORIAN", 1, true)
  for part in body:gmatch("[^;]+") do
    local name, v = part:match("^([%w-]+)=(.*)$")
    local err
    if name and seen[name] then return nil, ("%s stands twice"):format(name) end
    if not name or v == "" then
      -- A part without a value says nothing; several clients write them.
      name = name or part
    elseif name == "FREQ" then
      rule.frequency = frequencies[v]
      if not rule.frequency then err = ("FREQ=%s is unknown"):format(v) end
    elseif name == "INTERVAL" or name == "COUNT" then
      local number = v:match("^%d+$") and math.tointeger(tonumber(v))
      if not number or number < 1 or #v > 9 then
        err = ("%s=%s is not a positive number"):format(name, v)
      elseif name == "COUNT" then
        rule.count = number
      elseif number > 1 then
        rule.interval = number
      end
    elseif name == "UNTIL" then
      rule["until"] = read_until(v, event)
      if not rule["until"] then err = ("UNTIL=%s is not a time"):format(v) end
    elseif name == "WKST" then
      if not weekdays[v] then err = ("WKST=%s is no weekday"):format(v) end
      if v ~= "MO" then rule.firstDayOfWeek = weekdays[v] end
    elseif name == "BYDAY" then
      rule.byDay, err = read_days(v, name)
    elseif name == "BYMONTH" then
      rule.byMonth, err = read_months(v)
    elseif number_parts[name] then
      rule[number_parts[name][2]], err = read_numbers(v, number_parts[name], foreign)
    elseif name == "RSCALE" then
      if v ~= "GREGORIAN" then rule.rscale = v:lower() end
    elseif name == "SKIP" then
      if v ~= "OMIT" then rule.skip = v:lower() end
    elseif name:sub(1, 2) ~= "X-" then
      err = ("%s is unknown"):format(name)
    end
    seen[name] = true
    if err then return nil, err end
  end
  if not rule.frequency then return nil, "the rule has no FREQ" end
  return rule
end

local function write_until(at, event)
  if event.showWithoutTime then return value.format_time(at, "date") end
  if not event.timeZone then return value.format_time(at, "local") end
  local utc = clock.to_local(clock.to_utc(at, event.timeZone), "UTC")
  return value.format_time(utc or at, utc and "utc" or "local")
end

---@param rule table RecurrenceRule
---@param event table canonical event: UNTIL becomes a DATE, a UTC or a local time as its start asks (RFC 5545 section 3.3.10)
---@return string rule "FREQ=…"
function M.to_rrule(rule, event)
  local parts = {}
  local function add(name, v) parts[#parts + 1] = name .. "=" .. tostring(v) end
  if rule.rscale and rule.rscale:lower() ~= "gregorian" then add("RSCALE", rule.rscale:upper()) end
  add("FREQ", rule.frequency:upper())
  if rule["until"] then add("UNTIL", write_until(rule["until"], event)) end
  if rule.count then add("COUNT", math.tointeger(rule.count)) end
  if rule.interval and rule.interval ~= 1 then add("INTERVAL", math.tointeger(rule.interval)) end
  for _, spec in ipairs(numbers) do
    if spec[1] ~= "BYSETPOS" and rule[spec[2]] and #rule[spec[2]] > 0 then
      local list = {}
      for i, number in ipairs(rule[spec[2]]) do list[i] = ("%d"):format(number) end
      add(spec[1], table.concat(list, ","))
    end
  end
  if rule.byDay and #rule.byDay > 0 then
    local list = {}
    for i, day in ipairs(rule.byDay) do
      list[i] = (day.nthOfPeriod and ("%d"):format(day.nthOfPeriod) or "") .. day.day:upper()
    end
    add("BYDAY", table.concat(list, ","))
  end
  if rule.byMonth and #rule.byMonth > 0 then
    local list = {}
    for i, month in ipairs(rule.byMonth) do list[i] = tostring(month):upper() end
    add("BYMONTH", table.concat(list, ","))
  end
  if rule.bySetPosition and #rule.bySetPosition > 0 then
    local list = {}
    for i, number in ipairs(rule.bySetPosition) do list[i] = ("%d"):format(number) end
    add("BYSETPOS", table.concat(list, ","))
  end
  if rule.firstDayOfWeek and rule.firstDayOfWeek ~= "mo" then add("WKST", rule.firstDayOfWeek:upper()) end
  if rule.skip and rule.skip ~= "omit" then add("SKIP", rule.skip:upper()) end
  return table.concat(parts, ";")
end

return M
