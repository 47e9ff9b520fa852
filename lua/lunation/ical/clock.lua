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

return M
