-- Tasks of the loop for Lua: spawn, wait, cancel, all at once with a limit, and a deadline around a call.

local core = require "lunation.task.core"
local errors = require "lunation.errors"
local log = require "lunation.log"
local timer = require "lunation.timer"

local task = {}

---@class lunation.Task
local Task = {}
Task.__index = Task
Task.__name = "lunation.Task"

-- An error that nobody waited for is said when the handle is collected, so that none is lost.
function Task:__gc()
  if self.results and not self.results[1] and not self.seen then
    log.error("a task failed", { error = tostring(self.results[2]) })
  end
end

-- Runs when the body ends in any way: with results, or without when the task was cancelled.
function Task:__close()
  if not self.results then
    self.results = table.pack(nil, errors.new("cancelled", "the task was cancelled"))
    self.seen = true
  end
  local waiters = self.waiters
  self.waiters = nil
  for _, ticket in ipairs(waiters or {}) do
    core.unpark(ticket)
  end
end

-- Errors with a code stay as they are; text gets the place it was raised at.
local function explain(raised)
  if type(raised) == "string" then return debug.traceback(raised, 2) end
  return raised
end

local function body(self, fn, ...)
  local handle <close> = self
  handle.results = table.pack(xpcall(fn, explain, ...))
end

--- Starts `fn(...)` as a task of its own. It begins when the caller next waits.
---@param fn function
---@return lunation.Task
function task.spawn(fn, ...)
  assert(type(fn) == "function", "task.spawn: a function expected")
  local self = setmetatable({}, Task)
  self.life = core.spawn(body, self, fn, ...)
  return self
end

--- Waits for the end.
---@return true|nil, any ... # true and the results, or nil and what was raised
function Task:wait()
  while not self.results do
    self.waiters = self.waiters or {}
    core.park(self.waiters)
  end
  self.seen = true
  if self.results[1] then return table.unpack(self.results, 1, self.results.n) end
  return nil, self.results[2]
end

--- Ends the task at its present wait; its `<close>` variables are closed. Nothing happens where it has ended.
function Task:cancel()
  if not self.results then
    core.cancel(self.life)
    -- cancelled before its first line ran: nothing was there to close
    if not self.results then self:__close() end
  end
end

---@return boolean
function Task:done()
  return self.results ~= nil
end

--- Runs functions side by side, at most `limit` at once, and waits for all of them.
---@param functions function[]
---@param options {limit: integer?}?
---@return table[] # in order; each `table.pack(true, …)` or `table.pack(nil, err)`
function task.all(functions, options)
  local results, workers, position = {}, {}, 0
  local limit = math.min(options and options.limit or #functions, #functions)
  local function work()
    while position < #functions do
      position = position + 1
      local mine = position
      local packed = table.pack(xpcall(functions[mine], explain))
      if not packed[1] then packed[1] = nil end
      results[mine] = packed
    end
  end
  -- the caller's end is theirs too
  local _ <close> = setmetatable({}, { __close = function()
    for _, worker in ipairs(workers) do worker:cancel() end
  end })
  for i = 1, limit do workers[i] = task.spawn(work) end
  for _, worker in ipairs(workers) do worker:wait() end
  return results
end

--- Runs `fn(...)` for at most `seconds`; then it is cancelled.
---@param seconds number
---@param fn function
---@return any ... # the results of `fn`, or nil and an error whose code is "timeout"; what `fn` raises is raised here
function task.deadline(seconds, fn, ...)
  local worker = task.spawn(fn, ...)
  local late = false
  local _ <close> = timer.after(seconds, function()
    late = true
    worker:cancel()
  end)
  local _ <close> = setmetatable({}, { __close = function() worker:cancel() end })
  local results = table.pack(worker:wait())
  if results[1] then return table.unpack(results, 2, results.n) end
  if late then return nil, errors.new("timeout", ("not done within %g s"):format(seconds)) end
  error(results[2], 0)
end

---Gives the other tasks their turn where one may wait, and does nothing elsewhere: for long work that is done in pieces.
function task.breathe()
  if core.may_wait() then timer.sleep(0) end
end

return task
