-- A large text is worked on in slices, between which other tasks have their turn.
local ical = require "lunation.ical"
local task = require "lunation.task"
local timer = require "lunation.timer"

local EVENTS = 2000

local function calendar()
  local lines = { "BEGIN:VCALENDAR", "VERSION:2.0" }
  for i = 1, EVENTS do
    lines[#lines + 1] = ("BEGIN:VEVENT\r\nUID:e%d\r\nDTSTAMP:20250101T000000Z\r\nDTSTART;TZID=Europe/Berlin:202%d0301T100000\r\n"
      .. "DURATION:PT1H\r\nSUMMARY:Event %d\r\nEND:VEVENT"):format(i, i % 10, i)
  end
  lines[#lines + 1] = "END:VCALENDAR\r\n"
  return table.concat(lines, "\r\n")
end

-- How often another task had its turn meanwhile.
local function turns(work)
  local count, ended = 0, false
  local other = task.spawn(function()
    while not ended do
      count = count + 1
      timer.sleep(0)
    end
  end)
  local result = work()
  ended = true
  other:wait()
  return count, result
end

describe("a large calendar text", function()
  it("lets others go on while its events are read and written", function()
    local text = calendar()
    local count, events = turns(function() return assert(ical.events(text)) end)
    assert.equal(EVENTS, #events)
    assert.is_true(count >= EVENTS // 250)
    local written
    count, written = turns(function() return assert(ical.from_events(events, { now = 1735689600 })) end)
    assert.is_true(count >= EVENTS // 250)
    assert.same(events, (ical.events(written)))
  end)

  it("is read where nothing may wait, too", function()
    local text, count = calendar(), nil
    ("x"):gsub("x", function() count = #ical.events(text) end)
    assert.equal(EVENTS, count)
  end)

  it("has one definition of each zone, which holds from the earliest event on", function()
    local written = assert(ical.from_events(assert(ical.events(calendar())), { now = 1735689600 }))
    local _, zones = written:gsub("BEGIN:VTIMEZONE", "")
    assert.equal(1, zones)
    assert.truthy(written:find("DTSTART:20[01]%d[^\r]*\r\nTZOFFSETFROM"))
  end)

  it("takes time that grows with its events", function()
    local function seconds(n)
      local events = {}
      for i = 1, n do
        events[i] = { ["@type"] = "Event", uid = "e" .. i, title = "Event", start = "2025-03-01T10:00:00", timeZone = "Europe/Berlin", duration = "PT1H" }
      end
      local began = os.clock()
      assert(ical.from_events(events))
      return os.clock() - began
    end
    seconds(100)
    assert.is_true(seconds(4000) < 40 * math.max(seconds(400), 0.005))
  end)
end)
