-- Requests a minute, counted for each key by a bucket that refills steadily; what has been full for long is forgotten.

local timer = require "lunation.timer"

local ratelimit = {}

local MAX_KEYS = 10000

---@class lunation.RateLimit
---@field per_minute integer
local Limit = {}
Limit.__index = Limit

--- A limiter of so many requests a minute for each key; a burst may use a whole minute's at once.
---@param per_minute integer above 0
---@param clock (fun(): number)? seconds; for specs
---@return lunation.RateLimit
function ratelimit.new(per_minute, clock)
  assert(per_minute > 0, "requests a minute: a number above zero expected")
  return setmetatable({ per_minute = per_minute, clock = clock or timer.now, level = {}, at = {}, keys = 0 }, Limit)
end

-- Buckets that have refilled say nothing; where every one is in use the table starts anew, so that it stays bounded.
local function forget(self, now)
  local rate, kept = self.per_minute / 60, 0
  for key, level in pairs(self.level) do
    if level + (now - self.at[key]) * rate >= self.per_minute then
      self.level[key], self.at[key] = nil, nil
    else
      kept = kept + 1
    end
  end
  if kept >= MAX_KEYS then
    self.level, self.at, kept = {}, {}, 0
  end
  self.keys = kept
end

local function refilled(self, key, now)
  local level = self.level[key]
  if not level then return self.per_minute end
  return math.min(self.per_minute, level + (now - self.at[key]) * self.per_minute / 60)
end

--- Takes one request from the key's bucket.
---@param key string
---@return boolean allowed
---@return integer? retry_after seconds until the next one is allowed, rounded up
function Limit:take(key)
  local now = self.clock()
  local level = refilled(self, key, now)
  if not self.level[key] then
    if self.keys >= MAX_KEYS then forget(self, now) end
    self.keys = self.keys + 1
  end
  self.at[key] = now
  if level < 1 then
    self.level[key] = level
    return false, math.max(1, math.ceil((1 - level) * 60 / self.per_minute))
  end
  self.level[key] = level - 1
  return true
end

--- Whether the key has a request left, without taking it.
---@param key string
---@return boolean allowed
---@return integer? retry_after seconds
function Limit:peek(key)
  local level = refilled(self, key, self.clock())
  if level >= 1 then return true end
  return false, math.max(1, math.ceil((1 - level) * 60 / self.per_minute))
end

return ratelimit
