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
local function gate(what, ratio, floor)
  local ok = ratio >= floor
  failed = failed or not ok
  print(("%-58s %10.1f x   floor %5g  %s"):format(what, ratio, floor, ok and "ok" or "BELOW"))
end

-- An absolute figure: of one machine, and so only told.
local function figure(what, value, most, unit)
  print(("%-58s %10.2f %-2s  most  %5g  %s"):format(what, value, unit, most, value <= most and "ok" or "above"))
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
    local theirs, their_count = peer("rust", start, zone, text)
    local ratio = theirs and theirs / ns or 0
    print(("%-26s %9d %9.2f %12s %8.0f%s"):format(name, count, ns / count, theirs and ("%.0f"):format(theirs) or "over 4 s", ratio,
      theirs and their_count ~= count and ("  rrule-rust counts %d"):format(their_count) or ""))
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
print(("\none week of a rule of 1990: %.2f us, %d days; rrule-temporal: %.2f us, %d days\n"):format(
  week / 1e3, days, (theirs or 0) / 1e3, their_days or 0))

local mean = rules > 0 and math.exp(logs / rules) or 0
gate("typical rules, to a Lua array, against rrule-rust", mean, 12)
figure("dense rules, an occurrence, to a Lua array", dense, 15, "ns")
gate("one week of a DAILY rule of 1990, against rrule-temporal", (theirs or 0) / week, 15)
figure("one week of a DAILY rule of 1990", week / 1e3, 2, "us")

-- What one more occurrence costs, and keeps in memory, as there are more of them.
print("\nns and bytes an occurrence in a Lua array, by how many there are")
for _, rule in ipairs { { "every minute", "FREQ=MINUTELY" }, { "every day", "FREQ=DAILY" } } do
  local row = { ("%-24s"):format(rule[1]) }
  for power = 2, 6 do
    local of = rrule.set({ dtstart = "2026-01-05T08:30:00", tzid = "America/New_York", rrule = { rule[2] } })
    local n = math.tointeger(10 ^ power)
    local ns = time(function() return #of:instants(nil, nil, n) end)
    collectgarbage()
    local before = collectgarbage "count"
    local kept = of:instants(nil, nil, n)
    local bytes = (collectgarbage "count" - before) * 1024 / #kept
    row[#row + 1] = ("10^%d %6.2f %4.1f"):format(power, ns / #kept, bytes)
  end
  print(table.concat(row, "  "))
end
os.exit(failed and 1 or 0)
