--- Jobs: work that any worker does once, from a table of the store.
--
-- A worker claims what it has a handler for, under a lease that it renews and with a number that every write of the job
-- gives; a job that fails is tried again later and later, with jitter, and in the end is a dead letter. A schedule is a
-- job that is put back when it has run.

local errors = require "lunation.errors"
local log = require "lunation.log"
local task = require "lunation.task"
local timer = require "lunation.timer"
local cron = require "lunation.cron"

---@class lunation.JobHandler
---@field run fun(payload: any, job: lunation.store.Job): any? nil and an error: it failed
---@field again (fun(job: lunation.store.Job): number?)? when it is due next
---@field ttl number seconds of its lease
---@field first number seconds until the first retry
---@field longest number

---@class lunation.Jobs
local Jobs = {}
Jobs.__index = Jobs

--- Seconds: how often the table is looked at, and how often jobs of dead processes are freed.
local POLL, REAP = 0.25, 10
local SIDE_BY_SIDE = 8
local PRUNE_EVERY = 3600

--- Says what runs the jobs of a kind.
---@param kind string
---@param handler { run: fun(payload: any, job: lunation.store.Job): any, again: function?, ttl: number?, first: number?, longest: number? }
---@return { cancel: fun(self: table) } handle
function Jobs:handle(kind, handler)
  local entry = {
    run = handler.run, again = handler.again, ttl = handler.ttl or 60, first = handler.first or 5,
    longest = handler.longest or 3600,
  }
  self.handlers[kind] = entry
  return {
    cancel = function()
      if self.handlers[kind] == entry then self.handlers[kind] = nil end
    end,
  }
end

--- Puts a job (lunation.Store:job_put).
---@param job table
---@return integer? id, lunation.Error?
function Jobs:put(job)
  return self.store:job_put(job)
end

local function schedule(self, name, payload, run, first, again)
  local kind = "schedule:" .. name
  local handle = self:handle(kind, { run = run, again = again })
  local id, err = self.store:job_put { kind = kind, key = "schedule", payload = payload, run_at = first, replace = "changed" }
  if not id then
    handle:cancel()
    return nil, err
  end
  return handle
end

--- Runs a function again and again, once in the cluster.
---@param wanted { name: string, seconds: number, run: function } name: the same in every worker
---@return table? handle with `cancel`, lunation.Error?
function Jobs:every(wanted)
  local seconds = wanted.seconds
  if type(seconds) ~= "number" or seconds <= 0 then
    return nil, errors.new("invalid_request", "an interval is above zero", { field = "seconds" })
  end
  return schedule(self, wanted.name, { every = seconds }, wanted.run, self.store.clock() + seconds, function(job)
    -- What was missed while nobody ran is not made up for.
    local now = self.store.clock()
    return job.run_at + seconds * math.max(1, math.ceil((now - job.run_at) / seconds))
  end)
end

--- Runs a function at the times of a schedule, once in the cluster.
---@param wanted { name: string, cron: string, timeZone: string?, run: function }
---@return table? handle with `cancel`, lunation.Error?
function Jobs:at(wanted)
  local spec, err = cron.parse(wanted.cron)
  if not spec then return nil, err end
  local function following() return cron.next(spec, self.store.clock(), wanted.timeZone) end
  local first = following()
  if not first then return nil, errors.new("invalid_request", "a time that never comes", { field = "cron" }) end
  return schedule(self, wanted.name, { cron = wanted.cron, timeZone = wanted.timeZone }, wanted.run, first, following)
end

local function backoff(handler, attempts)
  return math.min(handler.first * 2 ^ math.min(attempts - 1, 20), handler.longest) * (0.5 + math.random() / 2)
end

--- What comes after a run: the end, the next time, another try, or the dead letters.
function Jobs:_settle(job, handler, ok, err)
  if ok then return self.store:job_done(job, handler.again and handler.again(job)) end
  err = errors.from(err)
  log.warn("a job failed", { job = job.id, kind = job.kind, attempt = job.attempts, error = tostring(err) })
  if job.attempts < job.max_attempts then
    local pause = math.max(backoff(handler, job.attempts), err.retry_after or 0)
    return self.store:job_failed(job, self.store.clock() + pause, err)
  end
  -- A schedule does not die of one bad day.
  if handler.again then return self.store:job_done(job, handler.again(job)) end
  log.error("a job is given up", { job = job.id, kind = job.kind, error = tostring(err) })
  return self.store:job_failed(job, nil, err)
end

function Jobs:_run(job)
  local handler = self.handlers[job.kind]
  local work = task.spawn(function()
    local result, err = handler.run(job.payload, job)
    if result == nil and err ~= nil then error(errors.from(err), 0) end
  end)
  local beat <close> = timer.every(handler.ttl / 3, function()
    local kept, err = self.store:job_renew(job, handler.ttl)
    -- Another has it: what this one would still write is refused.
    if not kept and err.code == "conflict" then work:cancel() end
  end)
  local ok, err = work:wait()
  beat:cancel()
  local settled, failure = self:_settle(job, handler, ok, err)
  if not settled then log.warn("a job cannot be settled", { job = job.id, error = tostring(failure) }) end
end

--- Claims and starts what is due, as far as there is room.
function Jobs:_claim(running)
  local kinds, longest = {}, 0
  for kind in pairs(self.handlers) do kinds[#kinds + 1] = kind end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do longest = math.max(longest, self.handlers[kind].ttl) end
  while #running < SIDE_BY_SIDE do
    local job, err = self.store:job_claim(kinds, longest)
    if not job then return err end
    running[#running + 1] = task.spawn(function() self:_run(job) end)
  end
end

local function drop_finished(running)
  for index = #running, 1, -1 do
    if running[index]:done() then
      running[index]:wait()
      table.remove(running, index)
    end
  end
end

--- Runs what is due now and waits for it; for scripts and specs that want no loop.
---@return integer ran
function Jobs:run_due()
  local ran = 0
  for _, wake in ipairs(self.wakes) do wake() end
  while true do
    local running = {}
    self:_claim(running)
    if #running == 0 then return ran end
    for _, work in ipairs(running) do work:wait() end
    ran = ran + #running
  end
end

--- Something that looks on every turn whether there is a job to put.
---@param look function
---@return { cancel: fun(self: table) }
function Jobs:on_turn(look)
  self.wakes[#self.wakes + 1] = look
  return {
    cancel = function()
      for index, other in ipairs(self.wakes) do
        if other == look then table.remove(self.wakes, index) return end
      end
    end,
  }
end

function Jobs:_turn(state)
  drop_finished(state.running)
  if timer.now() >= state.reap then
    state.reap = timer.now() + REAP
    self.store:job_reap()
  end
  for _, wake in ipairs(self.wakes) do
    local fine, err = pcall(wake)
    if not fine then log.error("looking for work failed", { error = tostring(err) }) end
  end
  local err = self:_claim(state.running)
  if err then log.warn("jobs cannot be claimed", { error = tostring(err) }) end
end

--- Begins to work: settles writes that a crash cut off, then takes jobs until `stop`. Returns at once.
function Jobs:start()
  if self.loop then return end
  self:every { name = "store.prune", seconds = PRUNE_EVERY, run = function()
    local done, err = self.store:tokens_prune()
    if not done then return nil, err end
    return self.store:prune()
  end }
  -- On its own: a provider that hangs keeps no job waiting.
  if self.engine.write then task.spawn(function() self.engine.write:recover() end) end
  self.loop = task.spawn(function()
    local state = { running = {}, reap = 0 }
    self.state = state
    while not self.stopping do
      self:_turn(state)
      timer.sleep(POLL * (0.75 + math.random() / 2))
    end
  end)
end

--- Takes no more jobs, and waits for those that run.
---@param seconds number? how long; then they are left to others
function Jobs:stop(seconds)
  if not self.loop then return end
  self.stopping = true
  local running = self.state and self.state.running or {}
  local until_time = timer.now() + (seconds or 10)
  for _, work in ipairs(running) do
    local left = until_time - timer.now()
    if left > 0 then task.deadline(left, function() work:wait() return true end) end
    work:cancel()
  end
  self.loop:cancel()
  self.loop, self.state, self.stopping = nil, nil, nil
end

local jobs = {}

---@param engine table
---@return lunation.Jobs
function jobs.new(engine)
  return setmetatable({ engine = engine, store = engine.store, handlers = {}, wakes = {} }, Jobs)
end

return jobs
