-- Requests a minute, counted for each key over all workers: a bucket that empties steadily, in shared memory of a fixed size.

local core = require "lunation.ratelimit.core"
local crypto = require "lunation.crypto"
local timer = require "lunation.timer"

local ratelimit = {}

---@class lunation.RateLimit
---@field per_minute integer
local Limit = {}
Limit.__index = Limit

---@class lunation.RateLimitOptions
---@field name string? limits of one name count together, in all workers and across reloads; default: alone
---@field clock (fun(): number)? seconds, the same in all workers; default `timer.now`

--- A limiter of so many requests a minute for each key; a burst may use a whole minute's at once.
---@param per_minute integer 1 or more
---@param options lunation.RateLimitOptions?
---@return lunation.RateLimit
function ratelimit.new(per_minute, options)
  options = options or {}
  assert(per_minute >= 1, "requests a minute: a number of one or more expected")
  local prefix = (options.name or crypto.uuid()) .. "\0"
  return setmetatable({ per_minute = per_minute, clock = options.clock or timer.now, prefix = prefix }, Limit)
end

--- Takes one request from the key's bucket.
---@param key string
---@return boolean allowed
---@return integer? retry_after seconds until the next one is allowed, rounded up
function Limit:take(key)
  return core.take(self.prefix .. key, self.per_minute, self.clock(), true)
end

--- Whether the key has a request left, without taking it.
---@param key string
---@return boolean allowed
---@return integer? retry_after seconds
function Limit:peek(key)
  return core.take(self.prefix .. key, self.per_minute, self.clock(), false)
end

return ratelimit
