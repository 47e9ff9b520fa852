---@meta lunation.bridge
-- A second Lua state with a memory limit of its own, called like an asynchronous function (src/host/bridge.c).

local bridge = {}

---@class lunation.Bridge
local Bridge = {}

--- Calls `require(module)[name](...)` over there and waits. Arguments and results are copied: nil, booleans, numbers,
--- strings and tables of those, at most 64 deep; anything else arrives as nil. The far task ends with the caller.
---@param module string
---@param name string
---@param ... any
---@return true|nil, any ... true and the results, or nil and what was raised
function Bridge:call(module, name, ...) end

--- Ends what runs there and closes the state.
function Bridge:close() end

---@return integer used, integer peak bytes
function Bridge:memory() end

--- Opens a state.
---@param bytes integer? the most that its Lua values may take; 0 is no limit
---@return lunation.Bridge
function bridge.open(bytes) end

return bridge
