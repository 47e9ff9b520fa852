--- Recurrence rules: the dialect's object and the canonical RecurrenceRule (RFC 8984 section 4.3.3), both ways.

local datetime = require "lunation.api.connect.datetime"
local json = require "lunation.json"
local shape = require "lunation.api.connect.shape"
local tz = require "lunation.tz"

local recurrence = {}

local FREQUENCIES = { SECONDLY = true, MINUTELY = true, HOURLY = true, DAILY = true, WEEKLY = true, MONTHLY = true, YEARLY = true }
local SHORTER_THAN_DAYS = { SECONDLY = true, MINUTELY = true, HOURLY = true }
-- Numbers from 1 to these, as the canonical event has them.
local MOST = { interval = 100000, count = 100000000 }
local DAYS = { MO = true, TU = true, WE = true, TH = true, FR = true, SA = true, SU = true }

-- The dialect's name, the canonical name, the range of each number. byMonth is text in JSCalendar ("5L" is a leap month).
local NUMBERS = {
  { "byMonthDay", "byMonthDay", -31, 31, nonzero = true },
  { "byMonth", "byMonth", 1, 12, text = true },
  { "byYearDay", "byYearDay", -366, 366, nonzero = true },
  { "byWeekNo", "byWeekNo", -53, 53, nonzero = true },
  { "byHour", "byHour", 0, 23 },
  { "byMinute", "byMinute", 0, 59 },
  { "bySetPos", "bySetPosition", -366, 366, nonzero = true },
}

local function whole(value)
  return type(value) == "number" and math.tointeger(value) or nil
end

---`until` is `YYYYMMDDTHHMMSSZ`; other spellings of a date are understood. JSCalendar wants it in the event's own time.
local function canonical_until(value, event)
  local parsed = datetime.parse(value)
  if not parsed then return nil end
  if event.showWithoutTime then return parsed.date .. "T00:00:00" end
  -- A bare date means that whole day, in the zone the series recurs in.
  if not parsed.time then return parsed.date .. "T23:59:59" end
  if not parsed.offset or not event.timeZone then return parsed.date .. "T" .. parsed.time end
  return (tz.to_local(parsed.epoch, event.timeZone))
end

---@param value any what the client sent
---@param event { timeZone: string|nil, showWithoutTime: boolean|nil } whose rule it becomes
---@return table|nil rule canonical
---@return string|nil message
---@return string|nil field
function recurrence.read(value, event)
  if not shape.is_object(value) then return nil, "is an object", "recurrence" end
  local function given(name)
    local item = value[name]
    if item == json.null then return nil end
    return item
  end
  local frequency = given "frequency"
  if frequency == nil then return nil, "is required", "recurrence.frequency" end
  if type(frequency) ~= "string" or not FREQUENCIES[frequency:upper()]
    or event.showWithoutTime and SHORTER_THAN_DAYS[frequency:upper()] then
    return nil, "is DAILY, WEEKLY, MONTHLY or YEARLY", "recurrence.frequency"
  end
  local rule = { ["@type"] = "RecurrenceRule", frequency = frequency:lower() }
  for _, name in ipairs { "interval", "count" } do
    local number = given(name)
    if number ~= nil then
      number = whole(number)
      if not number or number < 1 or number > MOST[name] then
        return nil, ("is a whole number from 1 to %d"):format(MOST[name]), "recurrence." .. name
      end
      rule[name] = number
    end
  end
  if rule.interval == 1 then rule.interval = nil end
  local last = given "until"
  if last ~= nil then
    if rule.count then return nil, "stands with count: only one of the two can end a series", "recurrence.until" end
    rule["until"] = canonical_until(last, event)
    if not rule["until"] then return nil, "is a date of the form YYYYMMDDTHHMMSSZ", "recurrence.until" end
  end
  local days = given "byDay"
  if days ~= nil then
    if not shape.is_array(days) then return nil, "is an array", "recurrence.byDay" end
    local list = {}
    for index, text in ipairs(days) do
      local nth, day = tostring(text):upper():match("^([+-]?%d*)(%u%u)$")
      local number = nth and nth ~= "" and math.tointeger(tonumber(nth)) or nil
      if type(text) ~= "string" or not day or not DAYS[day] or (nth ~= "" and (not number or number == 0 or math.abs(number) > 53)) then
        return nil, "is a weekday, as MO or -1FR", ("recurrence.byDay[%d]"):format(index - 1)
      end
      list[index] = { ["@type"] = "NDay", day = day:lower(), nthOfPeriod = number }
    end
    if #list > 0 then rule.byDay = json.array(list) end
  end
  for _, kind in ipairs(NUMBERS) do
    local numbers = given(kind[1])
    if numbers ~= nil then
      if type(numbers) == "number" then numbers = json.array { numbers } end
      if not shape.is_array(numbers) then return nil, "is an array", "recurrence." .. kind[1] end
      local list = {}
      for index, item in ipairs(numbers) do
        local number = whole(item)
        if not number or number < kind[3] or number > kind[4] or (kind.nonzero and number == 0) then
          return nil, ("is a number from %d to %d"):format(kind[3], kind[4]), ("recurrence.%s[%d]"):format(kind[1], index - 1)
        end
        list[index] = kind.text and tostring(number) or number
      end
      if #list > 0 then rule[kind[2]] = json.array(list) end
    end
  end
  local monday = given "weekStart"
  if monday ~= nil then
    if type(monday) ~= "string" or not DAYS[monday:upper()] then return nil, "is a weekday, as MO", "recurrence.weekStart" end
    rule.firstDayOfWeek = monday:lower()
  end
  return rule
end

---@param event table canonical, a master
---@return table|nil value in the form of create; nil when the event has no rule
function recurrence.write(event)
  local rule = event.recurrenceRules and event.recurrenceRules[1]
  if not rule then return nil end
  local value = { frequency = rule.frequency:upper(), interval = rule.interval, count = rule.count }
  local last = rule["until"]
  if last then
    local instant = not event.showWithoutTime and event.timeZone and tz.to_utc(last, event.timeZone)
    local text = instant and datetime.format(instant) or last
    value["until"] = text:gsub("[-:]", ""):sub(1, 15) .. "Z"
  end
  if rule.byDay then
    local days = {}
    for index, nday in ipairs(rule.byDay) do days[index] = (nday.nthOfPeriod or "") .. nday.day:upper() end
    value.byDay = json.array(days)
  end
  for _, kind in ipairs(NUMBERS) do
    local list = rule[kind[2]]
    if list then
      local numbers = {}
      for index, item in ipairs(list) do numbers[index] = math.tointeger(tonumber(item)) or item end
      value[kind[1]] = json.array(numbers)
    end
  end
  if rule.firstDayOfWeek and rule.firstDayOfWeek ~= "mo" then value.weekStart = rule.firstDayOfWeek:upper() end
  return value
end

return recurrence
