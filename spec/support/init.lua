-- What specs that drive real processes share: conditions with a deadline, directories that vanish, servers that end.

local fs = require "lunation.fs"
local host = require "lunation.host"
local process = require "lunation.process"
local timer = require "lunation.timer"

local support = {}

--- Asks `condition` until it gives something, and returns that; raises after `seconds` (10).
---@generic T
---@param condition fun(): T?
---@param seconds number?
---@param what string?
---@return T
function support.eventually(condition, seconds, what)
  local deadline = timer.now() + (seconds or 10)
  local pause = 0.002
  while true do
    local value = condition()
    if value then return value end
    if timer.now() > deadline then error("not within " .. (seconds or 10) .. " s: " .. (what or "the condition"), 2) end
    timer.sleep(pause)
    pause = math.min(pause * 1.5, 0.1)
  end
end

local directories = {}

--- A new directory, removed when the specs end.
---@return string path
function support.tmpdir()
  local path = assert(fs.mkdtemp("lunation-spec"))
  directories[#directories + 1] = path
  return path
end

--- Removes a directory and all in it.
function support.remove(path)
  assert(path:find("/lunation%-spec"), "only the specs' own directories are removed")
  process.run { args = { "rm", "-rf", path } }
end

---@param path string
---@param text string
---@return string path
function support.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return path
end

---@return string
function support.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

--- True when something listens on the TCP port of this machine. Reads the kernel's table: no connection is made.
---@param port integer
function support.listening(port)
  local wanted = (":%04X$"):format(port)
  for _, name in ipairs { "/proc/net/tcp", "/proc/net/tcp6" } do
    local file <close> = io.open(name)
    for line in file and file:lines() or function() end do
      local address, state = line:match("^%s*%d+: (%S+) %S+ (%x%x)")
      if state == "0A" and address:find(wanted) then return true end
    end
  end
  return false
end

--- Waits until the port is listened on; raises at once when the child that should do so has ended.
function support.wait_port(port, child, seconds)
  support.eventually(function()
    if child and not child:running() then error("the server ended before it listened on port " .. port, 0) end
    return support.listening(port)
  end, seconds or 20, "port " .. port)
end

--- Runs the command to its end: `support.lunation{ "app", "list", env={…}, stdin=… }`.
---@return {code: integer, signal: integer?, stdout: string, stderr: string}
function support.lunation(command)
  return assert(process.run {
    args = table.move(command, 1, #command, 2, { host.executable }),
    env = command.env, cwd = command.cwd, stdin = command.stdin or "", stderr = "pipe",
  })
end

---@class spec.Server
---@field child lunation.Child
---@field port integer
---@field url string
---@field log string path of what it wrote

--- Starts `lunation serve` on a free port with a store of its own and waits until it answers.
---@param options {config: string?, args: string[]?, env: table?, dir: string?, port: integer?, group: boolean?} group: signals reach
---  all of its processes, as Ctrl-C on a terminal does
---@return spec.Server
function support.serve(options)
  local dir = options.dir or support.tmpdir()
  local port = options.port or process.free_port()
  local server = { port = port, url = "http://127.0.0.1:" .. port, dir = dir, log = dir .. "/serve.log" }
  local config = support.write(dir .. "/lunation.conf.lua", options.config or "")
  local args = { host.executable, "serve", "-c", config, "--listen", server.url }
  table.move(options.args or {}, 1, #(options.args or {}), #args + 1, args)
  local env = { LUNATION_DATA = dir }
  for name, value in pairs(options.env or {}) do env[name] = value end
  server.child = assert(process.spawn { args = args, env = env, cwd = dir, stdout = server.log, stderr = server.log, group = options.group })
  server.config = config
  -- the supervisor listens before a worker answers
  local http = require "lunation.http"
  local ok, err = pcall(support.eventually, function()
    if not server.child:running() then error("it has ended", 0) end
    return support.listening(port) and http.get(server.url .. "/", { retries = 0 })
  end, 20, "an answer at " .. server.url)
  if not ok then error(tostring(err) .. "\n" .. support.read(server.log), 2) end
  --- Ends it with TERM; KILL where that does not help. Returns how it ended.
  function server.stop(signal)
    server.child:kill(signal or "TERM")
    local status = server.child:wait(20)
    if not status then
      server.child:kill("KILL")
      status = server.child:wait()
    end
    return status
  end
  return server
end

--- What the helper calls when the specs end.
function support.cleanup()
  for _, path in ipairs(directories) do support.remove(path) end
  directories = {}
end

return support
