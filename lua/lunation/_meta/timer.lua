---@meta lunation.timer
-- Clocks and timers (src/host/timer.c). All numbers are seconds, with fractions.

local timer = {}

---@class lunation.Timer
local Timer = {}

--- Stops the timer; nothing happens where it has fired or was stopped.
function Timer:cancel() end

--- The timer alone does not keep the program running.
---@return lunation.Timer
function Timer:unref() end

--- Suspends the task.
---@param seconds number
function timer.sleep(seconds) end

--- Monotonic clock.
---@return number
function timer.now() end

--- Unix time.
---@return number
function timer.time() end

--- Runs `fn` once, as a task of its own.
---@param seconds number
---@param fn function
---@return lunation.Timer
function timer.after(seconds, fn) end

--- Runs `fn` again and again, each time as a task of its own; one that still runs is not waited for.
---@param seconds number above zero
---@param fn function
---@return lunation.Timer
function timer.every(seconds, fn) end

return timer
