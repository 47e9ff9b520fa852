---@meta lunation.tcp
-- A plain TCP connection (src/host/tcp.c). Every call waits as a task; times are seconds, 30 where not given.

local tcp = {}

---@class lunation.tcp.Connection
local Connection = {}

--- Connects to a numeric address. Errors: refused, timeout, network.
---@param address string
---@param port integer
---@param timeout number?
---@return lunation.tcp.Connection? connection
---@return lunation.Error? err
function tcp.connect(address, port, timeout) end

--- What has arrived, `max` bytes at most. Errors: closed (the peer has ended), reset, timeout, network.
---@param max integer?
---@param timeout number?
---@return string? chunk
---@return lunation.Error? err
function Connection:read(max, timeout) end

--- Everything until the peer ends.
---@param timeout number?
---@return string? data
---@return lunation.Error? err
function Connection:read_all(timeout) end

---@param data string
---@param timeout number?
---@return true? ok
---@return lunation.Error? err
function Connection:write(data, timeout) end

--- Nothing more will be written; reading goes on.
---@return boolean
function Connection:shutdown() end

--- Closes so that the peer sees a reset instead of an end.
function Connection:reset() end

function Connection:close() end

return tcp
