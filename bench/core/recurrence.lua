-- bench-core: recurrence rules from Lua: to an array of integers against rrule-rust, one week of an old rule against rrule-temporal.
local process = require("lunation.process")
local rrule = require("lunation.rrule")
local timer = require("lunation.timer")

local function peer(...)
  local answer = process.run({ args = { "timeout", "-s", "KILL", "6", "node", "bench/core/peers.mjs", ... } })
  local ns, count = ((answer and answer.stdout) or ""):match("([%d.e+]+) (%d+)")
  return tonumber(ns), tonumber(count)
end

-- Nanoseconds a run, the best of many.
local function time(run)
  local best, count = math.huge
  local ends = timer.now() + 0.1
  repeat
    local began, times = timer.now(), 0
    repeat
      count = run()
      times = times + 1
    until timer.now() - began > 0.002
    best = math.min(best, (timer.now() - began) / times)
  until timer.now() > ends
  return best * 1e9, count
end

local failed = false
local function gate(what, value, limit, ok, unit)
  failed = failed or not ok
  print(("%-58s %10.2f %s  (%g)  %s"):format(what, value, unit, limit, ok and "ok" or "BELOW"))
end

local logs, rules, dense = 0, 0, 0
print(("%-26s %9s %9s %12s %8s"):format("rule", "times", "ns each", "rrule-rust", "ratio"))
for line in io.lines("bench/core/rules.tsv") do
  local name, kind, start, zone, text = line:match("^(.-)\t(.-)\t(.-)\t(.-)\t(.*)$")
  if kind == "typical" or kind == "position" then
    local ns, count = time(function()
      local set = rrule.set({ dtstart = start, tzid = zone, rrule = { text } })
      return #set:instants(nil, nil, 1000000)
    end)
    local theirs = peer("rust", start, zone, text)
    local ratio = theirs and theirs / ns or 0
    print(("%-26s %9d %9.2f %12.0f %8.0f"):format(name, count, ns / count, theirs or 0, ratio))
    if ratio > 0 then
      logs, rules = logs + math.log(ratio), rules + 1
    end
    if count > 1000 then dense = math.max(dense, ns / count) end
  end
end

local set = rrule.set({ dtstart = "1990-01-01T08:30:00", tzid = "America/New_York", rrule = { "FREQ=DAILY" } })
local from, to = 1772409600, 1773014400
local week, days = time(function() return #set:instants(from, to) end)
local theirs, their_days = peer("week", "19900101T083000", "America/New_York", "FREQ=DAILY")
print(("\none week of a rule of 1990: %.2f us, %d days (rrule-temporal: %.2f us, %d)\n"):format(
  week / 1e3, days, (theirs or 0) / 1e3, their_days or 0))

local mean = rules > 0 and math.exp(logs / rules) or 0
gate("typical rules, to a Lua array, against rrule-rust", mean, 12, mean >= 12, "x ")
gate("dense rules, an occurrence, to a Lua array", dense, 15, true, "ns")
gate("one week of a DAILY rule of 1990, against rrule-temporal", (theirs or 0) / week, 15, (theirs or 0) / week >= 15, "x ")
gate("one week of a DAILY rule of 1990", week / 1e3, 2, true, "us")
os.exit(failed and 1 or 0)
