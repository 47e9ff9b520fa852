-- bench-core: the instances of a calendar of 20,000 events in a month, overrides applied, against libical by hand and
-- recurring-ical-events. Every side has read the calendar before the clock starts.

local agenda = require "lunation.agenda"
local fs = require "lunation.fs"
local ical = require "lunation.ical"
local json = require "lunation.json"
local process = require "lunation.process"
local timer = require "lunation.timer"
local tz = require "lunation.tz"

local EVENTS, ROUNDS = 20000, 20
local ZONE = "Europe/Berlin"
local FROM, TO = tz.to_utc("2025-03-01", ZONE), tz.to_utc("2025-04-01", ZONE)

local RULES = {
  "FREQ=WEEKLY;BYDAY=MO,WE", "FREQ=DAILY;INTERVAL=3", "FREQ=MONTHLY;BYDAY=2TU", "FREQ=WEEKLY;INTERVAL=2;BYDAY=FR",
  "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=12", "FREQ=WEEKLY;COUNT=400", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR;UNTIL=20300101T000000Z",
}

local function made()
  local seed = 7
  local function random(n)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 8) % n
  end
  local lines = { "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//bench//EN" }
  local function event(uid, day, hour, ...)
    local head = { "BEGIN:VEVENT", "UID:" .. uid, "DTSTAMP:20250101T000000Z", ("DTSTART;TZID=%s:%sT%02d0000"):format(ZONE, day, hour),
      ("DTEND;TZID=%s:%sT%02d4500"):format(ZONE, day, hour), "SUMMARY:Event " .. uid, ... }
    head[#head + 1] = "END:VEVENT"
    table.move(head, 1, #head, #lines + 1, lines)
  end
  for i = 1, EVENTS do
    local day, hour = ("%04d%02d%02d"):format(2018 + random(9), 1 + random(12), 1 + random(28)), 7 + random(11)
    if i % 5 == 0 then
      local exdate = i % 20 == 0 and ("EXDATE;TZID=%s:20250310T%02d0000"):format(ZONE, hour) or "CLASS:PUBLIC"
      event("e" .. i, day, hour, "RRULE:" .. RULES[i // 5 % #RULES + 1], exdate)
      if i % 40 == 0 then
        event("e" .. i, "20250320", 18, ("RECURRENCE-ID;TZID=%s:20250312T%02d0000"):format(ZONE, hour))
      end
    else
      event("e" .. i, day, hour)
    end
  end
  lines[#lines + 1] = "END:VCALENDAR"
  return table.concat(lines, "\r\n") .. "\r\n"
end

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
  local count, sum, seconds = done.stdout:match "^(%d+) (%d+) (%S+)"
  if not count then return nil end
  return { count = tonumber(count), sum = math.tointeger(sum), seconds = tonumber(seconds) }
end

local text = made()
local dir = assert(fs.mkdtemp "lunation-bench")
local path = dir .. "/calendar.ics"
local file <close> = assert(io.open(path, "wb"))
file:write(text)
file:flush()

local calendar = agenda.new {}
calendar:open(1, 1, ZONE)
for i, event in ipairs(assert(ical.events(text))) do assert(calendar:put(1, i, event.uid, 1, json.encode(event))) end
calendar:loaded(1, 1)
local ours = best_of(ROUNDS, function()
  return (calendar:entries { calendars = { 1 }, from = FROM, to = TO, limit = 1000000, examine = 1 << 40 })
end)
local from_text = best_of(2, function() return assert(ical.instances(text, { from = FROM, to = TO, limit = 1000000 })) end)
print(("     %d events, %.1f MB, %d instances of a month: %.2f ms (%.2f us each), from text to Lua tables %.0f ms"):format(EVENTS, #text / 1e6,
  ours.count, ours.seconds * 1e3, ours.seconds * 1e6 / ours.count, from_text.seconds * 1e3))

local failed = from_text.count ~= ours.count or from_text.sum ~= ours.sum
if failed then print(("FAIL %d instances from the text"):format(from_text.count)) end
for _, each in ipairs {
  { "libical by hand", 25, peer("build/bench-core/peers/instances", path, tostring(FROM), tostring(TO)) },
  { "recurring-ical-events", 200, peer("build/bench-python/bin/python", "bench/core/peers/instances.py", path, tostring(FROM), tostring(TO)) },
} do
  local name, floor, theirs = each[1], each[2], each[3]
  if not theirs then
    print(("FAIL %s gave no answer"):format(name))
    failed = true
  else
    local ratio = theirs.seconds / ours.seconds
    local fault = theirs.hangs and (", no end within %d s"):format(PATIENCE)
      or (theirs.count ~= ours.count or theirs.sum ~= ours.sum) and (", gives %d instances"):format(theirs.count) or ""
    print(("%s %s: %.1f ms, ratio %.0f (floor %d)%s"):format(ratio >= floor and "  ok" or "FAIL", name, theirs.seconds * 1e3, ratio, floor, fault))
    failed = failed or ratio < floor
  end
end
process.run { args = { "rm", "-rf", dir } }
os.exit(failed and 1 or 0)
