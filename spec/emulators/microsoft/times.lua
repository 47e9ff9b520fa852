-- Times as Graph writes them: {dateTime, timeZone} without offset, in Windows or IANA zones, beside ISO 8601 instants in UTC.
local answer = require "spec.emulators.microsoft.answer"
local tz = require "lunation.tz"

local M = {}

local known -- [name in lower case] = IANA name
local windows, iana = {}, {} -- names in order

-- The zones that may be set: what the system's database holds, and the Windows names that stand for one of them.
local function load_zones()
  known = { utc = "Etc/UTC", ["tzone://microsoft/utc"] = "Etc/UTC" }
  local seen = {}
  local function add(name)
    if known[name:lower()] or not tz.resolve(name) then return end
    known[name:lower()] = name
    iana[#iana + 1] = name
    local named = tz.windows(name)
    if named and not seen[named] then
      seen[named] = true
      windows[#windows + 1] = named
    end
  end
  for line in io.lines "/usr/share/zoneinfo/tzdata.zi" do
    local zone = line:match "^Z (%S+)"
    local link = line:match "^L %S+ (%S+)"
    if zone or link then add(zone or link) end
  end
  table.sort(windows)
  table.sort(iana)
  for _, name in ipairs(windows) do known[name:lower()] = known[name:lower()] or tz.resolve(name) end
end

---The IANA zone that a name of Graph means.
---@param name string
---@return string? iana
function M.zone(name)
  if not known then load_zones() end
  return type(name) == "string" and known[name:lower()] or nil
end

---The IANA zone, or the end of the request.
---@param name any
---@return string
function M.need_zone(name)
  return M.zone(name) or answer.fail(400, "TimeZoneNotSupportedException",
    ("A valid TimeZone value must be specified. The following TimeZone value is not supported: '%s'."):format(tostring(name)))
end

---@return string[] windows
---@return string[] iana
function M.zones()
  if not known then load_zones() end
  return windows, iana
end

local function days_in(year, month)
  if month == 2 then return (year % 4 == 0 and year % 100 ~= 0 or year % 400 == 0) and 29 or 28 end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

---Reads a local date and time, with or without seconds, fraction and offset.
---@param text any
---@return string? localtime "2025-03-09T02:30:00"
---@return string? offset "Z" or "+01:00"
function M.read(text)
  if type(text) ~= "string" then return nil end
  local year, month, day, rest = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$"
  if not year then return nil end
  local y, m, d = tonumber(year), tonumber(month), tonumber(day)
  if m < 1 or m > 12 or d < 1 or d > days_in(y, m) then return nil end
  if rest == "" then return text .. "T00:00:00" end
  local hour, minute, tail = rest:match "^[Tt](%d%d):(%d%d)(.*)$"
  if not hour or tonumber(hour) > 23 or tonumber(minute) > 59 then return nil end
  local second, after = tail:match "^:(%d%d)(.*)$"
  if second then
    if tonumber(second) > 59 then return nil end
    tail = after
    tail = tail:match "^%.%d+(.*)$" or tail
  end
  if tail ~= "" and tail ~= "Z" and not tail:match "^[+-]%d%d:%d%d$" then return nil end
  return ("%s-%s-%sT%s:%s:%s"):format(year, month, day, hour, minute, second or "00"), tail ~= "" and tail or nil
end

---An instant of a text that has an offset, or is UTC without one.
---@param text any
---@param zone string? IANA zone of a text without offset
---@return integer?
function M.instant(text, zone)
  local localtime, offset = M.read(text)
  if not localtime then return nil end
  if not offset then return tz.to_utc(localtime, zone or "Etc/UTC") end
  local at = tz.to_utc(localtime, "Etc/UTC")
  local sign, hours, minutes = offset:match "^([+-])(%d%d):(%d%d)$"
  if sign then at = at - (sign == "+" and 1 or -1) * (tonumber(hours) * 3600 + tonumber(minutes) * 60) end
  return at
end

---A parameter that must be a time.
function M.need_instant(text, name, zone)
  return M.instant(text, zone) or answer.fail(400, "ErrorInvalidParameter", ("The value '%s' of parameter '%s' is invalid."):format(tostring(text), name))
end

---"2025-03-09T01:30:00Z"
---@param at number
---@return string
function M.utc(at) return (tz.to_local(math.floor(at), "Etc/UTC")) .. "Z" end

---"2025-03-09T01:30:00.1234567Z", as the service stamps what it keeps; trailing zeros are left out.
---@param at number
---@return string
function M.stamp(at)
  local fraction = ("%.7f"):format(at % 1):match "^0(%.%d*[1-9])0*$" or ""
  return (tz.to_local(math.floor(at), "Etc/UTC")) .. fraction .. "Z"
end

---A {dateTime, timeZone} of a request: what it says, checked.
---@param value any
---@param name string
---@return {localtime:string, zone:string, iana:string, at:integer}
function M.need(value, name)
  if type(value) ~= "table" then answer.invalid(("The property '%s' is required."):format(name)) end
  local localtime, offset = M.read(value.dateTime)
  if not localtime then
    answer.fail(400, "ErrorInvalidParameter", ("The value of '%s/dateTime' is no date and time."):format(name))
  end
  local zone = answer.given(value.timeZone) or "UTC"
  local place = M.need_zone(zone)
  local at = M.instant(value.dateTime, place)
  if offset then localtime = tz.to_local(at, place) end
  return { localtime = localtime, zone = zone, iana = place, at = at }
end

---An instant as {dateTime, timeZone}.
---@param at integer
---@param zone string as the client names it
---@return {dateTime:string, timeZone:string}
function M.show(at, zone)
  return { dateTime = (tz.to_local(at, M.zone(zone) or "Etc/UTC")) .. ".0000000", timeZone = zone }
end

---A local time as {dateTime, timeZone}, as it stands (all-day events).
function M.show_local(localtime, zone) return { dateTime = localtime .. ".0000000", timeZone = zone } end

---@param date string "2025-03-09"
---@param days integer
---@return string
function M.add_days(date, days)
  return (tz.to_local(tz.to_utc(date .. "T12:00:00", "Etc/UTC") + days * 86400, "Etc/UTC")):sub(1, 10)
end

---1 is Monday.
---@param date string
---@return integer
function M.weekday(date)
  return (tz.to_utc(date .. "T00:00:00", "Etc/UTC") // 86400 + 3) % 7 + 1
end

---Seconds of an Edm.Duration (PnDTnHnMnS).
---@param text any
---@return integer?
function M.duration(text)
  if type(text) ~= "string" then return nil end
  local days, clock = text:match "^P(%d*)D?(.*)$"
  if not days or (text:find "D" == nil) ~= (days == "") then return nil end
  local total = (tonumber(days) or 0) * 86400
  if clock == "" then return days ~= "" and total or nil end
  local rest = clock:match "^T(.+)$"
  if not rest then return nil end
  for number, unit in rest:gmatch "(%d+)([HMS])" do total = total + tonumber(number) * (unit == "H" and 3600 or unit == "M" and 60 or 1) end
  return total
end

return M
