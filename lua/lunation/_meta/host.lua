---@meta lunation.host
-- The process (src/host/state.c).

local host = {}

host.root = ""    --- where lua/ and providers/ are: the checkout, or PREFIX/share/lunation
host.executable = "" --- the path of this program
host.version = "" --- the version of the build

--- Ends the process in an orderly way; never returns. `os.exit` is this function.
---@param status integer|boolean|nil
function host.exit(status) end

--- Bytes that this Lua state uses, and the most it has used.
---@return integer used, integer peak
function host.memory() end

return host
