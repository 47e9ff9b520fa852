-- Child processes: started with a table, waited for and read by tasks (the mechanism is src/host/process.c).

local core = require "lunation.process.core"

local process = {}

---@class lunation.Child
---@field pid integer
local Child = {}
Child.__index = Child

---@class lunation.ProcessOptions
---@field args string[]                 the program and its arguments; no shell is involved
---@field env table<string, string|false>? added to the environment; false removes a name
---@field cwd string?
---@field stdin string|true|nil         text that is written to it; true inherits; nil is empty
---@field stdout string?                "inherit" (default), "pipe", "ignore", or a file that is appended to
---@field stderr string?                the same
---@field group boolean?                a process group of its own, killed as one

--- Starts a program. It is killed when this process ends, should it still run then.
---@param options lunation.ProcessOptions
---@return lunation.Child|nil, lunation.Error? # code "spawn"
function process.spawn(options)
  local environment
  if options.env then
    local names = core.environment()
    for name, value in pairs(options.env) do names[name] = value or nil end
    environment = {}
    for name, value in pairs(names) do environment[#environment + 1] = name .. "=" .. value end
  end
  local handle, err = core.start {
    args = options.args, env = environment, cwd = options.cwd, group = options.group,
    stdin = options.stdin, stdout = options.stdout, stderr = options.stderr,
  }
  if not handle then return nil, err end
  return setmetatable({ handle = handle, pid = handle:id() }, Child)
end

--- Waits for the end.
---@param seconds number? at most so long
---@return {code: integer, signal: integer?}|nil, lunation.Error? # code "timeout"
function Child:wait(seconds)
  return self.handle:wait(seconds)
end

--- The next piece of output, nil at the end.
---@param which "stdout"|"stderr"|nil
---@return string?
function Child:read(which)
  return self.handle:read(which)
end

--- All output up to its end.
---@param which "stdout"|"stderr"|nil
---@return string
function Child:read_all(which)
  local pieces = {}
  for piece in function() return self.handle:read(which) end do pieces[#pieces + 1] = piece end
  return table.concat(pieces)
end

--- Sends a signal, to the whole group where it has one.
---@param signal string|integer|nil "TERM" where it is nil
---@return true|nil, lunation.Error?
function Child:kill(signal)
  return self.handle:kill(signal)
end

---@return boolean
function Child:running()
  return self.handle:running()
end

--- Runs a program to its end.
---@param options lunation.ProcessOptions stdout is a pipe here unless it says otherwise
---@return {code: integer, signal: integer?, stdout: string?, stderr: string?}|nil, lunation.Error?
function process.run(options)
  local asked = setmetatable({ stdout = options.stdout or "pipe" }, { __index = options })
  local child, err = process.spawn(asked)
  if not child then return nil, err end
  local result, reader = {}, nil
  if options.stderr == "pipe" then
    reader = require("lunation.task").spawn(function() result.stderr = child:read_all("stderr") end)
  end
  if asked.stdout == "pipe" then result.stdout = child:read_all() end
  if reader then reader:wait() end
  local status = child:wait()
  result.code, result.signal = status.code, status.signal
  return result
end

process.kill = core.kill
process.pid = core.pid
process.free_port = core.free_port

return process
