-- lunation.tz for values that strangers wrote: what is outside of the years 1 to 9999 has no answer, instead of being a mistake
-- of the program.
local tz = require "lunation.tz"

local M = {}

local FIRST, LAST = -62135596800, 253402300799

---@param localtime string?
---@param zone string? nil is UTC
---@return integer? instant
function M.to_utc(localtime, zone)
  if not localtime then return nil end
  return (tz.to_utc(localtime, zone or "UTC"))
end

---@param instant integer?
---@param zone string? nil is UTC
---@return string? localtime
function M.to_local(instant, zone)
  if not instant or instant < FIRST + 86400 or instant > LAST - 86400 then return nil end
  return (tz.to_local(instant, zone or "UTC"))
end

---The recurrence id of the instance that a series has, or had, at an instant: its local time. Where the clocks skip the series'
---time of day that day, it is the skipped time, by which the rule names the instance (RFC 5545 section 3.3.5).
---@param instant integer?
---@param series { start: string, timeZone: string? }
---@return string? localtime
function M.key(instant, series)
  local at = M.to_local(instant, series.timeZone)
  if not at or at:sub(12) == series.start:sub(12) then return at end
  local skipped = at:sub(1, 11) .. series.start:sub(12)
  return M.to_utc(skipped, series.timeZone) == instant and skipped or at
end

return M
