---@meta lunation.task.core
-- What lua/lunation/task.lua is made of (src/host/task.c).

local core = {}

--- Starts `fn(...)` as a task; it begins when the caller next waits.
---@param fn function
---@return userdata life
function core.spawn(fn, ...) end

--- Cancels a task; false where it has ended.
---@param life userdata
---@return boolean
function core.cancel(life) end

--- Suspends; the ticket for `unpark` is appended to the list before.
---@param tickets userdata[]
---@return any ... what `unpark` was given
function core.park(tickets) end

--- Resumes a parked task on the next turn; false where it is gone.
---@param ticket userdata
---@return boolean
function core.unpark(ticket, ...) end

--- Whether this runs in a task, and so may wait.
---@return boolean
function core.running() end

---@return boolean possible whether a wait is possible here: in a task, outside of transactions and of C functions that cannot be left
function core.may_wait() end

return core
