---@meta lunation.fs
-- File operations that Lua's io and os lack (src/host/fs.c). Failures are `nil, message, errno`.

local fs = {}

--- Makes a directory with its parents; one that is there already is as good.
---@param path string
---@param mode integer? 493 (0755)
---@return true|nil, string?, integer?
function fs.mkdir(path, mode) end

---@param path string
---@return {type: "file"|"directory"|"other", size: integer, mtime: number, mode: integer}|nil, string?, integer?
function fs.stat(path) end

--- The names in a directory, sorted.
---@param path string
---@return string[]|nil, string?, integer?
function fs.list(path) end

--- Makes a file that appears with all of its text or not at all; errno 17 where one is there.
---@param path string
---@param text string
---@param mode integer? 384 (0600)
---@return true|nil, string?, integer?
function fs.create(path, text, mode) end

---@param path string
---@return string|nil, string?, integer?
function fs.realpath(path) end

---@return string|nil, string?, integer?
function fs.getcwd() end

---@param descriptor 0|1|2
---@return boolean
function fs.isatty(descriptor) end

--- Makes a new directory, mode 0700, under TMPDIR or /tmp.
---@param prefix string
---@return string|nil path, string?, integer?
function fs.mkdtemp(prefix) end

return fs
