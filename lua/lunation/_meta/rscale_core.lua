---@meta lunation.rscale.core

---libical with ICU, on a thread of its own. What it is asked has been read by lunation.rrule.
local core = {}

---The times of a rule of another calendar. Waits in a task; where nothing may wait it stops everybody for a quarter of a second
---at most, and outside a task for as long as the rule may take.
---@param rule string without UNTIL
---@param start integer local, in seconds as if it were UTC
---@param date boolean
---@param from integer
---@param to integer ends with the first time that is not before it
---@param most integer or when there are so many from `from` on
---@param count integer? COUNT of the rule
---@param weekdays integer? those that BYDAY allows, as bits from Sunday on: where libical gives another it is not believed
---@return string? times 64-bit integers as they stand in memory
---@return integer|"stuck"|"off"|"slow"|"steps"|"busy"|"refused"|"astray"|"memory"|"absent" covered all before it are there
---@return integer? known nobody knows what there is from here on; math.maxinteger: all is known
function core.times(rule, start, date, from, to, most, count, weekdays) end

---What one rule may take, in all Lua states of the process.
---@param steps integer occurrences that may be looked at
---@param seconds number that its thread may compute
---@param once boolean? only where nobody has said so before
function core.limit(steps, seconds, once) end

return core
