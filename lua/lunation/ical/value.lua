-- Dates, times and durations as iCalendar writes them (RFC 5545 section 3.3) and as JSCalendar does (RFC 8984 section 1.4).
-- Local times are "2025-03-09T02:30:00" throughout; a date alone is "2025-03-09".
local tree = require "lunation.ical.tree"

local M = {}

local floor = math.floor

---Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
---@param y integer
---@param m integer
---@param d integer
---@return integer
function M.days(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = floor(y / 400)
  local yoe = y - era * 400
  local doy = (153 * (m + (m > 2 and -3 or 9)) + 2) // 5 + d - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

---@param days integer since 1970-01-01
---@return integer year
---@return integer month
---@return integer day
function M.civil(days)
  local z = days + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local month = mp + (mp < 10 and 3 or -9)
  return yoe + era * 400 + (month <= 2 and 1 or 0), month, doy - (153 * mp + 2) // 5 + 1
end

local month_days = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function date_exists(y, m, d)
  if y < 1 or m < 1 or m > 12 or d < 1 then return false end
  local last = month_days[m]
  if m == 2 and (y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0)) then last = 29 end
  return d <= last
end

---Seconds of a local time counted as if it were UTC.
---@param text string "2025-03-09T02:30:00" or "2025-03-09"
---@return integer? seconds nil when it is no such time
function M.seconds(text)
  local y, mo, d, rest = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
  if not y then return nil end
  y, mo, d = tonumber(y), tonumber(mo), tonumber(d)
  if not date_exists(y, mo, d) then return nil end
  local seconds = M.days(y, mo, d) * 86400
  if rest == "" then return seconds end
  local h, mi, s = rest:match("^T(%d%d):(%d%d):(%d%d)$")
  if not h then return nil end
  h, mi, s = tonumber(h), tonumber(mi), tonumber(s)
  if h > 23 or mi > 59 or s > 59 then return nil end
  return seconds + h * 3600 + mi * 60 + s
end

---@param seconds integer as M.seconds counts
---@return string? local time; nil outside of the years 1 to 9999
function M.from_seconds(seconds)
  local days = floor(seconds / 86400)
  local y, m, d = M.civil(days)
  if y < 1 or y > 9999 then return nil end
  local rest = seconds - days * 86400
  return ("%04d-%02d-%02dT%02d:%02d:%02d"):format(y, m, d, rest // 3600, rest // 60 % 60, rest % 60)
end

---@param text string? local time
---@param seconds integer
---@return string? local time, wall clock arithmetic; nil for no time, and outside of the years 1 to 9999
function M.shift(text, seconds)
  local at = text and M.seconds(text)
  return at and M.from_seconds(at + seconds)
end

---A DATE or DATE-TIME of iCalendar. Lenient where the meaning is plain: missing seconds, hyphens and colons of RFC 3339,
---24:00:00, a leap second.
---@param text string raw value
---@return string? localtime "2025-03-09T02:30:00"
---@return "date"|"local"|"utc"|nil kind
function M.parse_time(text)
  -- As RFC 5545 has it; what is written in another way is looked at closer.
  local plain, plain_kind = tree.time(text)
  if plain then return plain, plain_kind end
  local s = text:upper():gsub("%s", ""):gsub("(%d)%-(%d)", "%1%2"):gsub("(%d)%-(%d)", "%1%2"):gsub(":", "")
  local y, mo, d, rest = s:match("^(%d%d%d%d)(%d%d)(%d%d)(.*)$")
  if not y then return nil end
  y, mo, d = tonumber(y), tonumber(mo), tonumber(d)
  if not date_exists(y, mo, d) then return nil end
  local date = ("%04d-%02d-%02d"):format(y, mo, d)
  if rest == "" then return date .. "T00:00:00", "date" end
  local h, mi, sec, z = rest:match("^T(%d%d)(%d%d)(%d%d)(Z?)$")
  if not h then
    h, mi, z = rest:match("^T(%d%d)(%d%d)(Z?)$")
    sec = "0"
  end
  if not h then return nil end
  h, mi, sec = tonumber(h), tonumber(mi), tonumber(sec)
  local kind = z == "Z" and "utc" or "local"
  if sec == 60 then sec = 59 end
  if mi > 59 or sec > 59 then return nil end
  if h == 24 and mi == 0 and sec == 0 then
    local next_day = M.shift(date, 86400)
    return next_day, next_day and kind
  end
  if h > 23 then return nil end
  return ("%sT%02d:%02d:%02d"):format(date, h, mi, sec), kind
end

---@param localtime string
---@param kind "date"|"local"|"utc"
---@return string raw iCalendar value
function M.format_time(localtime, kind)
  local compact = localtime:gsub("[-:]", "")
  if kind == "date" then return (compact:sub(1, 8)) end
  if #compact == 8 then compact = compact .. "T000000" end
  return kind == "utc" and compact .. "Z" or compact
end

---A UTC time of iCalendar ("20250309T063000Z") as UTCDateTime of JSCalendar.
---@param text string?
---@return string? "2025-03-09T06:30:00Z"
function M.parse_utc(text)
  if not text then return nil end
  local at, kind = M.parse_time(text)
  return at and kind and at .. "Z" or nil
end

---@class lunation.Duration
---@field days integer nominal
---@field seconds integer exact

---An ISO 8601 duration of either standard.
---@param text string
---@return lunation.Duration? duration days and seconds of the same sign
function M.parse_duration(text)
  local sign, rest = text:upper():gsub("%s", ""):match("^([+-]?)P(.+)$")
  if not rest then return nil end
  local days, seconds, seen = 0, 0, false
  local date, time = rest:match("^([^T]*)T(.+)$")
  if not date then date, time = rest, "" end
  local position, at = 1, 0
  local order = { W = 1, D = 2 }
  while position <= #date do
    local number, unit, after = date:match("^(%d+)([WD])()", position)
    if not number or #number > 9 or order[unit] <= at then return nil end
    at, position, seen = order[unit], after, true
    days = days + tonumber(number) * (unit == "W" and 7 or 1)
  end
  order, position, at = { H = 1, M = 2, S = 3 }, 1, 0
  local unit_seconds = { H = 3600, M = 60, S = 1 }
  while position <= #time do
    local number, unit, after = time:match("^(%d+)([HMS])()", position)
    if not number or #number > 12 or order[unit] <= at then return nil end
    at, position, seen = order[unit], after, true
    seconds = seconds + math.tointeger(tonumber(number)) * unit_seconds[unit]
  end
  if not seen then return nil end
  if sign == "-" then return { days = -days, seconds = -seconds } end
  return { days = days, seconds = seconds }
end

---The shortest form: "P1DT2H", "PT0S". With a minus sign where it is negative (SignedDuration).
---@param duration lunation.Duration
---@return string
function M.format_duration(duration)
  local days, seconds = duration.days, duration.seconds
  local sign = ""
  if days < 0 or seconds < 0 then
    sign, days, seconds = "-", -days, -seconds
  end
  local text = "P"
  if days > 0 then
    if days % 7 == 0 and seconds == 0 then
      text = text .. days // 7 .. "W"
    else
      text = text .. days .. "D"
    end
  end
  if seconds > 0 or days == 0 then
    text = text .. "T"
    local h, m, s = seconds // 3600, seconds // 60 % 60, seconds % 60
    if h > 0 then text = text .. h .. "H" end
    if m > 0 then text = text .. m .. "M" end
    if s > 0 or seconds == 0 then text = text .. s .. "S" end
  end
  return sign .. text
end

---@param text string?
---@return string? the same duration in its shortest form, nil where it is none
function M.normal_duration(text)
  local duration = text and M.parse_duration(text)
  return duration and M.format_duration(duration)
end

return M
