--- The pace of an account's requests: so many at once, so many in a span of time, and none while the provider asks for rest.

local core = require "lunation.task.core"
local errors = require "lunation.errors"
local ratelimit = require "lunation.ratelimit"
local timer = require "lunation.timer"

---@class lunation.Pace
local Pace = {}
Pace.__index = Pace

local Turn = {}
Turn.__close = function(self)
  local pace = self.pace
  pace.active = pace.active - 1
  local waiting = pace.waiting
  pace.waiting = {}
  -- One that was cancelled while it waited cannot pass the turn on: all are told, and look again.
  for _, ticket in ipairs(waiting) do core.unpark(ticket) end
end

local function too_many(seconds)
  return errors.new("rate_limited", "the account has used what its provider allows for now", { retry_after = seconds, reason = "bucket" })
end

-- Waits for rest and buckets.
local function wait_allowed(self, cost, longest)
  local started = timer.now()
  local function pause(seconds)
    if timer.now() - started + seconds > longest then return nil, too_many(math.ceil(seconds)) end
    timer.sleep(seconds)
    return true
  end
  while self.resume > timer.now() do
    local rested, err = pause(self.resume - timer.now())
    if not rested then return nil, err end
  end
  for _, bucket in ipairs(self.buckets) do
    for _ = 1, cost do
      local allowed, after = bucket:take("")
      while not allowed do
        local rested, err = pause(after or 1)
        if not rested then return nil, err end
        allowed, after = bucket:take("")
      end
    end
  end
  return true
end

--- Waits for a turn; it ends when the value is closed.
---@param cost integer requests that this one counts as
---@param longest number seconds to wait for what is counted by time
---@return table? turn to be closed
---@return lunation.Error? rate_limited with retry_after
function Pace:enter(cost, longest)
  local allowed, err = wait_allowed(self, cost, longest)
  if not allowed then return nil, err end
  while self.active >= self.most do core.park(self.waiting) end
  self.active = self.active + 1
  return setmetatable({ pace = self }, Turn)
end

--- Sends nothing for a while.
---@param seconds number
function Pace:rest(seconds)
  self.resume = math.max(self.resume, timer.now() + seconds)
end

local pace = {}

--- The pace that a provider allows an account. Workers share what is counted by time; what may run at once is divided
--- among them, because a slot of a process that died would never be given back.
---@param limits { concurrency: integer?, buckets: { requests: integer, seconds: number }[]? }
---@param options { name: string?, workers: integer? }
---@return lunation.Pace
function pace.new(limits, options)
  local buckets = {}
  for index, bucket in ipairs(limits.buckets or {}) do
    buckets[index] = ratelimit.new(math.max(1, math.floor(bucket.requests * 60 / bucket.seconds)),
      { name = options.name and ("upstream:%s:%d"):format(options.name, index) })
  end
  local most = limits.concurrency and math.max(1, limits.concurrency // math.max(1, options.workers or 1)) or math.huge
  return setmetatable({ active = 0, most = most, waiting = {}, buckets = buckets, resume = 0 }, Pace)
end

return pace
