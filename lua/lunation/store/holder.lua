--- Who holds a lease: a process, named so that another process of the same machine can tell whether it still lives.
--
-- A lease of a process that died is taken over at once instead of when it expires. Process numbers are used again, so
-- the name carries the start time of the process as well; of processes on other machines nothing is known.

local crypto = require "lunation.crypto"

local holder = {}

local function read_line(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local line = file:read("l")
  file:close()
  return line
end

--- Start time of a process in clock ticks since boot (proc(5): field 22 of stat; the name in field 2 may hold blanks).
local function start_time(pid)
  local line = read_line("/proc/" .. pid .. "/stat")
  if not line then return nil end
  local rest = line:match("^.*%)%s+(.*)$")
  if not rest then return nil end
  local index = 2
  for field in rest:gmatch("%S+") do
    index = index + 1
    if index == 22 then return field, rest:sub(1, 1) end
  end
end

--- The device of the root file system: containers that share a volume, and perhaps a name, each have their own, and
--- process numbers of their own.
local function root_device()
  local file <close> = io.open("/proc/self/mountinfo", "r")
  for line in file and file:lines() or function() end do
    local device = line:match("^%d+ %d+ (%d+:%d+) %S+ / ")
    if device then return device end
  end
end

local machine
local function this_machine()
  if not machine then
    local parts = {
      read_line("/proc/sys/kernel/random/boot_id") or "unknown", read_line("/proc/sys/kernel/hostname") or "unknown",
      root_device() or "unknown",
    }
    machine = crypto.hex(crypto.sha256(table.concat(parts, "\n"))):sub(1, 12)
  end
  return machine
end

local function own_pid()
  local line = read_line("/proc/self/stat")
  return line and line:match("^(%d+)") or "0"
end

--- A new name for one holder in this process.
---@return string name "machine/pid/start/random"
function holder.name()
  local pid = own_pid()
  return table.concat({ this_machine(), pid, start_time(pid) or "0", crypto.hex(crypto.random(6)) }, "/")
end

--- Whether the process behind a name still lives.
---@param name string
---@return boolean|nil alive nil: it is of another machine, nobody here knows
function holder.alive(name)
  local where, pid, started = tostring(name):match("^(%x+)/(%d+)/(%d+)/%x+$")
  if where ~= this_machine() then return nil end
  local now, state = start_time(pid)
  -- Without a readable /proc nobody can tell.
  if not now and not start_time("self") then return nil end
  return now == started and state ~= "Z" and state ~= "X"
end

return holder
