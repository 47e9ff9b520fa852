-- bench-core: calendar texts of 10 MB read into Lua tables against ical.js (jCal arrays), and written from them.
local fs = require "lunation.fs"
local ical = require "lunation.ical"
local process = require "lunation.process"
local timer = require "lunation.timer"

local ROUNDS = 5

local function run(...)
  local done = process.run { args = { "timeout", "60", ... } }
  return done and done.code == 0 and done.stdout or nil
end

local function count(node)
  local components, properties = 1, #node.properties
  for _, child in ipairs(node.components) do
    local c, p = count(child)
    components, properties = components + c, properties + p
  end
  return components, properties
end

local function used()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count" * 1024
end

local function ours(text)
  local found = { parse = math.huge, write = math.huge }
  for _ = 1, ROUNDS do
    found.tree = nil
    local before = used()
    local began = timer.now()
    found.tree = assert(ical.parse(text))
    found.parse = math.min(found.parse, timer.now() - began)
    found.memory = used() - before
    began = timer.now()
    assert(ical.serialize(found.tree))
    found.write = math.min(found.write, timer.now() - began)
  end
  found.components, found.properties = count(found.tree)
  return found
end

local function theirs(path)
  local answer = run("node", "--expose-gc", "bench/core/peers/ical.mjs", path, tostring(ROUNDS))
  local seconds, components, properties, memory = (answer or ""):match "^(%S+) (%d+) (%d+) (%d+)"
  if not seconds then return nil end
  return { parse = tonumber(seconds), components = tonumber(components), properties = tonumber(properties), memory = tonumber(memory) }
end

local dir = assert(fs.mkdtemp "lunation-bench")
local failed = false
for _, each in ipairs { { "plain", "20,000 events", 4 }, { "people", "attendees, parameters, folds", 0 } } do
  local name, what, floor = table.unpack(each)
  local text = assert(run("build/bench-core/ical", "fixture", name))
  local path = dir .. "/" .. name .. ".ics"
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local peer, mine = theirs(path), ours(text)
  print(("     %s: %.1f MB, %d components, %d properties"):format(what, #text / 1e6, mine.components, mine.properties))
  if not peer then
    print "FAIL ical.js gave no answer"
    failed = true
  else
    local ratio = peer.parse / mine.parse
    local ok = ratio >= floor
    failed = failed or not ok
    print(("%s parse to tables %.0f ms, %.0f MB; ical.js %.0f ms, %.0f MB: %.1f x%s"):format(ok and "  ok" or "FAIL", mine.parse * 1e3, mine.memory / 1e6,
      peer.parse * 1e3, peer.memory / 1e6, ratio, floor > 0 and (" (floor %d)"):format(floor) or ""))
    if peer.components ~= mine.components or peer.properties ~= mine.properties then
      print(("     ical.js makes %d components and %d properties of it"):format(peer.components, peer.properties))
    end
  end
  print(("  ok tables to text %.0f ms, with folding"):format(mine.write * 1e3))
end
process.run { args = { "rm", "-rf", dir } }
os.exit(failed and 1 or 0)
