-- bench-core: the instances of a calendar of 20,000 events in a month, overrides applied, from Lua, against recurring-ical-events.
-- Both start from the calendar as it was parsed (lunation's tree is in C: bench/core/instances.c), then both from the text, where
-- lunation makes Lua tables of what it finds. An agenda keeps the calendar, and is shown beside them.

local agenda = require "lunation.agenda"
local fs = require "lunation.fs"
local ical = require "lunation.ical"
local json = require "lunation.json"
local process = require "lunation.process"
local timer = require "lunation.timer"

local ROUNDS = 10
local ZONE = "Europe/Berlin"
local FROM, TO = 1740783600, 1743458400

local function best_of(rounds, fn)
  local best, count, sum = math.huge, 0, 0
  for _ = 1, rounds do
    local began = timer.now()
    local list = fn()
    best = math.min(best, timer.now() - began)
    count, sum = #list, 0
    for _, each in ipairs(list) do sum = sum + each.start end
  end
  return { count = count, sum = sum, seconds = best }
end

-- A peer that does not come to an end counts as if it had at this time.
local PATIENCE = 40

local function peer(...)
  local done = process.run { args = { "timeout", tostring(PATIENCE), ... }, stdin = "", stderr = "inherit" }
  if not done then return nil end
  if done.code == 124 then return { count = 0, sum = 0, seconds = PATIENCE, hangs = true } end
  local count, sum, seconds, parsing = done.stdout:match "^(%d+) (%d+) (%S+) (%S+)"
  if not count then return nil end
  return { count = tonumber(count), sum = math.tointeger(sum), seconds = tonumber(seconds), parsing = tonumber(parsing) }
end

local made = process.run { args = { "build/bench-core/instances", "fixture" } }
local text = assert(made and made.code == 0 and made.stdout)
local dir = assert(fs.mkdtemp "lunation-bench")
local path = dir .. "/calendar.ics"
local file <close> = assert(io.open(path, "wb"))
file:write(text)
file:flush()

local calendar = agenda.new {}
calendar:open(1, 1, ZONE)
for i, event in ipairs(assert(ical.events(text))) do assert(calendar:put(1, i, event.uid, 1, json.encode(event))) end
calendar:loaded(1, 1)
local kept = best_of(ROUNDS, function()
  return (calendar:entries { calendars = { 1 }, from = FROM, to = TO, limit = 1000000, examine = 1 << 40 })
end)
local ours = best_of(ROUNDS, function() return assert(ical.instances(text, { from = FROM, to = TO, limit = 1000000 })) end)
print(("     %.1f MB, %d instances: from the text to Lua tables %.1f ms (%.2f us each); from an agenda that keeps the calendar %.2f ms"):format(
  #text / 1e6, ours.count, ours.seconds * 1e3, ours.seconds * 1e6 / ours.count, kept.seconds * 1e3))

local failed = kept.count ~= ours.count or kept.sum ~= ours.sum
if failed then print(("FAIL %d instances from the agenda"):format(kept.count)) end
local theirs = peer("build/bench-python/bin/python", "bench/core/peers/instances.py", path, tostring(FROM), tostring(TO))
if not theirs then
  print "FAIL recurring-ical-events gave no answer"
  failed = true
else
  local parsed = assert(peer("build/bench-core/instances", "seconds"))
  local ratio, floor = theirs.seconds / parsed.seconds, 200
  local fault = theirs.hangs and (", no end within %d s"):format(PATIENCE)
    or (theirs.count ~= ours.count or theirs.sum ~= ours.sum) and (", gives %d instances"):format(theirs.count) or ""
  print(("%s from what was parsed %.1f ms, recurring-ical-events %.0f ms: %.0f x (floor %d)%s"):format(
    ratio >= floor and "  ok" or "FAIL", parsed.seconds * 1e3, theirs.seconds * 1e3, ratio, floor, fault))
  if theirs.parsing then
    local both = theirs.seconds + theirs.parsing
    print(("  ok from the text %.1f ms, recurring-ical-events %.0f ms: %.0f x"):format(ours.seconds * 1e3, both * 1e3, both / ours.seconds))
  end
  failed = failed or ratio < floor or parsed.count ~= ours.count or parsed.sum ~= ours.sum
end
process.run { args = { "rm", "-rf", dir } }
os.exit(failed and 1 or 0)
