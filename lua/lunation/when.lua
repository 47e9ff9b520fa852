-- Times as people write them, for scripts and the command: "today", "+7d", "2025-11-03T09:00", in a time zone.

local errors = require "lunation.errors"
local tz = require "lunation.tz"
local units = require "lunation.units"

local when = {}

local zone

--- The time zone of this machine: TZ, else /etc/timezone, else what /etc/localtime points to, else UTC.
---@return string IANA name
function when.zone()
  if zone then return zone end
  local file = io.open "/etc/timezone"
  local name = os.getenv "TZ"
  if (not name or name == "") and file then name = file:read "l" end
  if file then file:close() end
  if not name or name == "" then
    local target = require("lunation.fs").realpath "/etc/localtime"
    name = target and target:match "/zoneinfo/(.+)$"
  end
  zone = name and name ~= "" and tz.resolve((name:gsub("^:", ""))) or "UTC"
  return zone
end

-- Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back (Howard Hinnant's algorithm).
local function days_from_civil(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (m + (m > 2 and -3 or 9)) + 2) // 5 + d - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

local function civil_from_days(days)
  days = days + 719468
  local era = days // 146097
  local doe = days - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local m = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (m <= 2 and 1 or 0), m, doy - (153 * mp + 2) // 5 + 1
end

--- A date some days later: `add_days("2025-02-27", 2)` is "2025-03-01".
---@param date string the first ten characters of a local time
---@param days integer
---@return string
function when.add_days(date, days)
  local y, m, d = date:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)"
  return ("%04d-%02d-%02d"):format(civil_from_days(days_from_civil(tonumber(y), tonumber(m), tonumber(d)) + days))
end

--- A local time in full: "2025-11-03" and "2025-11-03T09:00" get what is missing.
---@param text string
---@return string|nil local_time, boolean? is_date
function when.complete(text)
  if text:find "^%d%d%d%d%-%d%d%-%d%d$" then return text .. "T00:00:00", true end
  if text:find "^%d%d%d%d%-%d%d%-%d%d[T ]%d%d:%d%d$" then return text:gsub(" ", "T") .. ":00", false end
  if text:find "^%d%d%d%d%-%d%d%-%d%d[T ]%d%d:%d%d:%d%d$" then return (text:gsub(" ", "T")), false end
end

-- "+7d" and "-2h" from an instant; days and weeks keep the wall clock over a change to or from summer time.
local function relative(text, base, in_zone)
  local sign, rest = text:match "^([+-])(.+)$"
  if not sign then return nil end
  local factor = sign == "-" and -1 or 1
  local number, unit = rest:match "^(%d+)([dw])$"
  if number then
    local days = tonumber(number) * (unit == "w" and 7 or 1) * factor
    local wall = tz.to_local(base, in_zone)
    return tz.to_utc(when.add_days(wall, days) .. wall:sub(11), in_zone)
  end
  local seconds = units.seconds(rest)
  return seconds and base + factor * seconds // 1 | 0
end

local words = { today = 0, tomorrow = 1, yesterday = -1 }

--- An instant.
---@param value integer|string epoch seconds; now, today, tomorrow, yesterday; a local time or date; one with Z or an
---  offset; a distance (+7d, -2h, +PT30M)
---@param options {zone: string?, base: integer?, now: integer?}? base: what a distance counts from; now
---@return integer|nil epoch, lunation.Error?
function when.instant(value, options)
  options = options or {}
  local in_zone = options.zone or when.zone()
  local now = options.now or os.time()
  if math.type(value) == "integer" then return value end
  if type(value) == "number" then return math.floor(value) end
  if type(value) == "string" then
    if value == "now" then return now end
    if words[value] then
      return tz.to_utc(when.add_days(tz.to_local(now, in_zone), words[value]) .. "T00:00:00", in_zone)
    end
    local distant = relative(value, options.base or now, in_zone)
    if distant then return distant end
    local wall, offset = value:match "^(.-)([Zz])$"
    if not wall then wall, offset = value:match "^(.+)([+-]%d%d:%d%d)$" end
    local complete = when.complete(wall or value)
    local epoch = complete and tz.to_utc(complete, wall and "UTC" or in_zone)
    if epoch and offset and offset:upper() ~= "Z" then
      local sign, h, m = offset:match "([+-])(%d%d):(%d%d)"
      epoch = epoch - (sign == "-" and -1 or 1) * (tonumber(h) * 3600 + tonumber(m) * 60)
    end
    if epoch then return epoch end
  end
  return nil, errors.new("invalid_request", ("`%s` is not a time (today, +7d, 2025-11-03T09:00)"):format(tostring(value)))
end

--- A duration for people: "45m", "1h30m", "2 days".
---@param seconds integer
---@return string
function when.lasts(seconds)
  if seconds >= 86400 and seconds % 86400 == 0 then
    local days = seconds // 86400
    return days == 1 and "1 day" or days .. " days"
  end
  local h, m = seconds // 3600, seconds % 3600 // 60
  if h == 0 then return m .. "m" end
  return m == 0 and h .. "h" or ("%dh%02dm"):format(h, m)
end

--- An ISO 8601 duration of so many seconds.
---@param seconds integer
---@return string
function when.duration(seconds)
  if seconds % 86400 == 0 and seconds > 0 then return ("P%dD"):format(seconds // 86400) end
  local h, m, s = seconds // 3600, seconds % 3600 // 60, seconds % 60
  local text = (h > 0 and h .. "H" or "") .. (m > 0 and m .. "M" or "") .. (s > 0 and s .. "S" or "")
  return "PT" .. (text == "" and "0S" or text)
end

return when
