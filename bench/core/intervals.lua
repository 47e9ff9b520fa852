-- bench-core: unions, common time and zones as Lua sees them, and the search for slots against one minute by minute in Node.
local freebusy = require "lunation.freebusy"
local json = require "lunation.json"
local process = require "lunation.process"
local tz = require "lunation.tz"

local failed = false

local state = 42
local function random(n)
  state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
  return (state >> 33) % n
end

-- Seconds of the fastest of several calls, and the octets that an answer takes.
local function best(f, times)
  local least, result = math.huge
  collectgarbage()
  collectgarbage()
  local before = collectgarbage "count"
  result = f()
  collectgarbage()
  collectgarbage()
  local taken = (collectgarbage "count" - before) * 1024
  for _ = 1, times do
    local began = os.clock()
    result = f()
    least = math.min(least, os.clock() - began)
  end
  return least, result, taken
end

local function verdict(good)
  failed = failed or not good
  return good and "ok" or "FAIL"
end

for _, count in ipairs { 100, 1000, 10000, 100000, 1000000 } do
  local list = {}
  for i = 1, count do
    list[2 * i - 1] = random(count * 2000)
    list[2 * i] = list[2 * i - 1] + random(2000)
  end
  local time, merged, taken = best(function() return freebusy.merge(list) end, count > 100000 and 3 or 20)
  print(("     union of %7d unsorted intervals of a Lua array: %8.3f ms, %5.1f ns each; %d remain in %.0f KiB"):format(
    count, time * 1e3, time / count * 1e9, #merged // 2, taken / 1024))
end

local DAY, from = 86400, 1735689600
local calendars = {}
for i = 1, 10 do
  local busy = {}
  for k = 1, 200 do
    busy[2 * k - 1] = from + random(90 * 96) * 900
    busy[2 * k] = busy[2 * k - 1] + (1 + random(8)) * 900
  end
  calendars[i] = { busy = busy }
end
local question = { calendars = calendars, windows = { from, from + 90 * DAY }, duration = 3600, increment = 900 }
local time, slots = best(function() return freebusy.solve(question) end, 200)
local path = os.tmpname()
local lists = {}
for i, calendar in ipairs(calendars) do lists[i] = calendar.busy end
local file = assert(io.open(path, "w"))
file:write(json.encode { calendars = lists, from = from, to = from + 90 * DAY, duration = 3600, increment = 900 })
file:close()
local answer = process.run { args = { "timeout", "60", "node", "bench/core/peers/slots.mjs", path } }
os.remove(path)
local ns, found = (answer.stdout or ""):match "^(%d+) (%d+)"
local same = math.tointeger(tonumber(found)) == #slots // 2
print(("  %s slots of 10 calendars × 200 busy, 90 days, every 15 minutes, from Lua: %.0f us; minute by minute in Node %.0f us: %.0f x; %d slots%s"):format(
  verdict(same), time * 1e6, (tonumber(ns) or 0) / 1e3, (tonumber(ns) or 0) / 1e9 / time, #slots // 2, same and "" or (", Node finds " .. tostring(found))))

for _, zone in ipairs { "America/New_York", "Australia/Lord_Howe" } do
  local instants, locals = {}, {}
  for i = 1, 10000 do
    instants[i] = from + random(20 * 365 * DAY)
    locals[i] = tz.to_local(instants[i], zone)
  end
  local there = best(function()
    for i = 1, #instants do tz.to_local(instants[i], zone) end
  end, 5)
  local back = best(function()
    for i = 1, #locals do tz.to_utc(locals[i], zone) end
  end, 5)
  print(("     %-20s from Lua, times as text: to local %.0f ns, to UTC %.0f ns"):format(zone, there / 1e4 * 1e9, back / 1e4 * 1e9))
end

if failed then os.exit(1) end
