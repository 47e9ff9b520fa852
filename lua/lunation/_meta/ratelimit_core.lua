---@meta lunation.ratelimit.core
-- The counters behind lunation.ratelimit, in memory that a supervisor's workers share (src/host/ratelimit.c).

local core = {}

--- Whether a request of this key is allowed now; with `count` an allowed one is counted.
---@param key string
---@param per_minute number 1 or more
---@param now number seconds of a clock that all workers share
---@param count boolean?
---@return boolean allowed
---@return integer? retry_after seconds, rounded up
function core.take(key, per_minute, now, count) end

return core
