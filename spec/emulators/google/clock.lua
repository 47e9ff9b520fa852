-- Times as the services write them: RFC 3339 with an offset, and dates.
local tz = require "lunation.tz"

local clock = {}

--- The instant of an RFC 3339 time. Without an offset it is read in `zone`; nil where neither is there or the date does not exist.
---@param text any
---@param zone string?
---@return integer? epoch
function clock.parse(text, zone)
  if type(text) ~= "string" then return nil end
  local face, rest = text:match("^(%d%d%d%d%-%d%d%-%d%d[Tt]%d%d:%d%d:%d%d)(.*)$")
  if not face then return nil end
  rest = rest:gsub("^%.%d+", "")
  face = face:upper()
  if rest == "" then
    if not zone then return nil end
    return (tz.to_utc(face, zone))
  end
  local at = tz.to_utc(face, "UTC")
  if not at then return nil end
  if rest == "Z" or rest == "z" then return at end
  local sign, hours, minutes = rest:match("^([+-])(%d%d):(%d%d)$")
  if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then return nil end
  local offset = (tonumber(hours) * 60 + tonumber(minutes)) * 60
  return sign == "+" and at - offset or at + offset
end

--- The midnight of a date, in UTC; nil where there is no such date.
---@param text any
---@return integer?
function clock.date(text)
  if type(text) ~= "string" or not text:find("^%d%d%d%d%-%d%d%-%d%d$") then return nil end
  return (tz.to_utc(text, "UTC"))
end

--- A time with the offset of a zone.
---@param at integer
---@param zone string?
---@return string
function clock.format(at, zone)
  local face, offset = tz.to_local(at, zone or "UTC")
  if offset == 0 and (not zone or zone == "UTC" or zone == "Etc/UTC") then return face .. "Z" end
  local sign = offset < 0 and "-" or "+"
  offset = math.abs(offset)
  return ("%s%s%02d:%02d"):format(face, sign, offset // 3600, offset % 3600 // 60)
end

--- Whether it is a zone that the services know: an IANA name as it stands.
---@return boolean
function clock.is_zone(name)
  return type(name) == "string" and (name:find("/", 1, true) ~= nil or name == "UTC" or name == "GMT") and tz.resolve(name) == name
end

---@param at integer
---@return string `2025-03-09`
function clock.day(at)
  return (os.date("!%Y-%m-%d", at))
end

return clock
