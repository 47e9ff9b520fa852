--- Times of a schedule: the five fields of crontab(5), in a time zone.

local errors = require "lunation.errors"
local tz = require "lunation.tz"

local cron = {}

local MONTHS = { JAN = 1, FEB = 2, MAR = 3, APR = 4, MAY = 5, JUN = 6, JUL = 7, AUG = 8, SEP = 9, OCT = 10, NOV = 11, DEC = 12 }
local DAYS = { SUN = 0, MON = 1, TUE = 2, WED = 3, THU = 4, FRI = 5, SAT = 6 }

local FIELDS = {
  { name = "minute", low = 0, high = 59 },
  { name = "hour", low = 0, high = 23 },
  { name = "day", low = 1, high = 31 },
  { name = "month", low = 1, high = 12, names = MONTHS },
  { name = "weekday", low = 0, high = 7, names = DAYS },
}

local NICKNAMES = {
  ["@hourly"] = "0 * * * *", ["@daily"] = "0 0 * * *", ["@midnight"] = "0 0 * * *", ["@weekly"] = "0 0 * * 0",
  ["@monthly"] = "0 0 1 * *", ["@yearly"] = "0 0 1 1 *", ["@annually"] = "0 0 1 1 *",
}

local function number(field, text)
  local value = field.names and field.names[text:upper()] or math.tointeger(tonumber(text:match("^%d+$")))
  if not value or value < field.low or value > field.high then return nil end
  return value
end

local function parse_field(field, text)
  local set = {}
  for part in (text .. ","):gmatch("([^,]*),") do
    local range, step = part:match("^([^/]+)/(%d+)$")
    range, step = range or part, math.tointeger(tonumber(step or "1"))
    local low, high
    if range == "*" then
      low, high = field.low, field.high
    else
      local from, to = range:match("^(%w+)%-(%w+)$")
      low = number(field, from or range)
      high = to and number(field, to) or not to and (part:find("/", 1, true) and field.high or low)
    end
    if not low or not high or low > high or not step or step < 1 then return nil end
    for value = low, high, step do set[value] = true end
  end
  return set
end

---@class lunation.Cron
---@field minute table<integer, true>
---@field hour table<integer, true>
---@field day table<integer, true>
---@field month table<integer, true>
---@field weekday table<integer, true>
---@field either boolean day and weekday are both restricted: one of them suffices

--- Reads a schedule.
---@param text string "0 7 * * MON-FRI", or "@daily" and its like
---@return lunation.Cron?, lunation.Error?
function cron.parse(text)
  local words = {}
  for word in (NICKNAMES[text] or text):gmatch("%S+") do words[#words + 1] = word end
  if #words ~= #FIELDS then
    return nil, errors.new("invalid_request", "a schedule has five fields: minute hour day month weekday", { part = text })
  end
  local spec = {}
  for index, field in ipairs(FIELDS) do
    spec[field.name] = parse_field(field, words[index])
    if not spec[field.name] then
      return nil, errors.new("invalid_request", "no such " .. field.name .. ": " .. words[index], { part = words[index] })
    end
  end
  if spec.weekday[7] then spec.weekday[0] = true end
  spec.either = words[3]:sub(1, 1) ~= "*" and words[5]:sub(1, 1) ~= "*"
  return spec
end

local function fits(spec, date)
  if not spec.month[date.month] then return false end
  local day, weekday = spec.day[date.day], spec.weekday[date.wday - 1]
  if spec.either then return day or weekday end
  return day and weekday
end

--- Four years hold every date, 29 February among them, except around the years that are no leap years.
local DAYS_AHEAD = 366 * 8

--- The next time after an instant.
---@param spec lunation.Cron
---@param after number epoch seconds
---@param zone string? IANA name; UTC
---@return integer? epoch seconds; nil: never
function cron.next(spec, after, zone)
  local here = tz.to_local(math.floor(after), zone or "UTC")
  local year, month, day = here:match("^(%d+)-(%d+)-(%d+)")
  local noon = os.time { year = tonumber(year), month = tonumber(month), day = tonumber(day), hour = 12 }
  for ahead = 0, DAYS_AHEAD do
    local date = os.date("*t", noon + ahead * 86400)
    if fits(spec, date) then
      for hour = 0, 23 do
        if spec.hour[hour] then
          for minute = 0, 59 do
            if spec.minute[minute] then
              local at = tz.to_utc(("%04d-%02d-%02dT%02d:%02d:00"):format(date.year, date.month, date.day, hour, minute),
                zone or "UTC")
              if at and at > after then return at end
            end
          end
        end
      end
    end
  end
end

return cron
