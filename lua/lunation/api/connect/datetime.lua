-- The dates that clients of the connect dialect send: ISO 8601 with every liberty that is taken with it.
--
-- `2026-01-31`, `2026-01-31T10:00`, seconds and fractions or none, a space or nothing much for the `T`, offsets as `Z`,
-- `+02:00`, `+0200`, `+02`, and a `+` that a query decoder has turned into a space.
local datetime = {}

local floor = math.floor

---Days since 1970-01-01 of a proleptic Gregorian date.
---@param y integer
---@param m integer
---@param d integer
---@return integer
local function days(y, m, d)
  if m <= 2 then y, m = y - 1, m + 12 end
  return 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5 + d - 719469
end

local LENGTH = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

---@param y integer
---@param m integer
---@return integer
local function month_length(y, m)
  if m == 2 and (y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0)) then return 29 end
  return LENGTH[m]
end

---@class lunation.connect.datetime
---@field date string `YYYY-MM-DD` as written
---@field time string|nil `HH:MM:SS` as written, nil for a bare date
---@field offset integer|nil seconds east of UTC, nil when none was written
---@field epoch integer the instant, a missing offset read as UTC

---@param text any
---@return lunation.connect.datetime|nil nil when this is no date
function datetime.parse(text)
  if type(text) ~= "string" or #text > 64 then return nil end
  local y, m, d, rest = text:match("^%s*(%d%d%d%d)%-?(%d%d)%-?(%d%d)(.*)$")
  if not y then return nil end
  y, m, d = math.tointeger(tonumber(y)), math.tointeger(tonumber(m)), math.tointeger(tonumber(d))
  if m < 1 or m > 12 or d < 1 or d > month_length(y, m) then return nil end
  local value = { date = ("%04d-%02d-%02d"):format(y, m, d) }
  local epoch = days(y, m, d) * 86400
  rest = rest:gsub("%s+$", "")
  if rest == "" then
    value.epoch = epoch
    return value
  end
  local hh, mm, tail = rest:match("^[Tt ](%d%d):?(%d%d)(.*)$")
  if not hh then
    -- A date followed by an offset only: midnight there.
    if not rest:find("^[Zz]$") then return nil end
    hh, mm, tail = "00", "00", rest
  end
  local ss, after = tail:match("^:?(%d%d)(.*)$")
  if ss then tail = after:gsub("^[%.,]%d+", "") else ss = "00" end
  hh, mm, ss = math.tointeger(tonumber(hh)), math.tointeger(tonumber(mm)), math.tointeger(tonumber(ss))
  if ss == 60 then ss = 59 end
  if hh > 24 or mm > 59 or ss > 59 or (hh == 24 and (mm > 0 or ss > 0)) then return nil end
  if hh == 24 then
    epoch, hh = epoch + 86400, 0
    value.date = datetime.format(epoch):sub(1, 10)
  end
  value.time = ("%02d:%02d:%02d"):format(hh, mm, ss)
  epoch = epoch + hh * 3600 + mm * 60 + ss
  if tail:find("^[Zz]$") then
    value.offset = 0
  elseif tail ~= "" then
    local sign, oh, om = tail:match("^([+%- ])(%d%d):?(%d?%d?)$")
    if not sign or (om ~= "" and #om ~= 2) then return nil end
    local seconds = tonumber(oh) * 3600 + (tonumber(om) or 0) * 60
    if tonumber(oh) > 23 or (tonumber(om) or 0) > 59 then return nil end
    value.offset = floor(sign == "-" and -seconds or seconds)
  end
  value.epoch = epoch - (value.offset or 0)
  return value
end

---@param epoch integer
---@return string `YYYY-MM-DDTHH:MM:SS`
function datetime.format(epoch)
  local day, second = epoch // 86400, epoch % 86400
  -- Civil date of a day count, counted in eras of 400 years from 0000-03-01.
  local z = day + 719468
  local era = z // 146097
  local doe = z - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local d = doy - (153 * mp + 2) // 5 + 1
  local m = mp < 10 and mp + 3 or mp - 9
  local y = yoe + era * 400 + (m <= 2 and 1 or 0)
  return ("%04d-%02d-%02dT%02d:%02d:%02d"):format(y, m, d, second // 3600, second % 3600 // 60, second % 60)
end

---As the dialect writes instants: UTC with milliseconds.
---@param epoch integer
---@return string
function datetime.utc(epoch)
  return datetime.format(epoch) .. ".000Z"
end

---The first and the last second of the month an instant is in, UTC.
---@param epoch integer
---@return integer from
---@return integer to
function datetime.month(epoch)
  local y, m = datetime.format(epoch):match("^(%d+)-(%d+)")
  y, m = math.tointeger(tonumber(y)), math.tointeger(tonumber(m))
  local from = days(y, m, 1) * 86400
  return from, from + month_length(y, m) * 86400 - 1
end

return datetime
