---@meta lunation.worker.core
-- What Lua asks of the worker it runs in (src/host/worker.c).

local core = {}

--- Reloads this worker as HUP does.
function core.reload() end

--- A duplicate of a descriptor.
---@param fd integer
---@return integer
function core.dup(fd) end

--- A listening socket refuses connections from now on; it stays bound.
---@param fd integer
function core.shut(fd) end

return core
