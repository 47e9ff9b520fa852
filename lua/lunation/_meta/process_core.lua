---@meta lunation.process.core
-- What lua/lunation/process.lua is made of (src/host/process.c).

local core = {}

--- Starts a program; see lunation.ProcessOptions, but `env` is an array of NAME=VALUE that replaces the environment.
---@param options table
---@return userdata|nil handle with wait, read, kill, id, running; lunation.Error? code "spawn"
function core.start(options) end

---@param pid integer
---@param signal string|integer|nil
---@return true|nil, lunation.Error?
function core.kill(pid, signal) end

---@return integer
function core.pid() end

--- A port of 127.0.0.1 that nobody listens on.
---@return integer
function core.free_port() end

---@return table<string, string>
function core.environment() end

return core
