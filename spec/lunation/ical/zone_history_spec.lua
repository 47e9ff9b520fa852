-- A VTIMEZONE whose name is not IANA's decides by all of its observances, whatever year an event began in (RFC 5545 section 3.6.5).
local agenda = require "lunation.agenda"
local expand = require "lunation.model.expand"
local ical = require "lunation.ical"
local ics = require "spec.support.ics"
local json = require "lunation.json"
local tz = require "lunation.tz"
local zone = require "lunation.ical.zone"

local function starts(list)
  local found = {}
  for i, each in ipairs(list) do found[i] = tz.to_local(each.start, "UTC") end
  return found
end

describe("a zone of a text's own", function()
  it("has the offset of the observance that was the last to begin", function()
    local expected = {
      "1999-06-15T04:00:00", -- before the first observance what that one changed holds: +05:00
      "2010-06-15T02:30:00", "2010-12-15T03:30:00", "2011-06-15T02:30:00", "2011-12-15T03:30:00", "2012-06-15T02:30:00", "2012-12-15T03:30:00",
      "2013-06-15T03:30:00", "2013-12-15T03:30:00", "2014-06-15T03:30:00", "2014-12-15T03:30:00", "2015-06-15T03:30:00",
      "2015-12-15T05:00:00", "2016-06-15T05:00:00",
    }
    local text = ics.fixture "own_zone"
    assert.same(expected, starts((ical.instances(text, {}))))
    assert.same(expected, starts((ical.instances(ical.parse(text), {}))))
    local events = assert(ical.events(text))
    assert.same({ table.unpack(expected, 2) }, starts((expand.expand(events[1], nil, nil, 100))))
    -- The agenda reads stored events and knows no text.
    local calendar = agenda.new {}
    calendar:open(1, 1, "UTC")
    for i, event in ipairs(events) do assert(calendar:put(1, i, event.uid, 1, json.encode(event))) end
    calendar:loaded(1, 1)
    local entries = calendar:entries { calendars = { 1 }, from = 0, to = 2000000000, limit = 100 }
    assert.same(expected, starts(entries))
  end)

  it("stands in the event as a TimeZone, and is written back with all of its observances", function()
    local events = assert(ical.events(ics.fixture "own_zone"))
    local own = events[1].timeZones[events[1].timeZone]
    assert.equal("Head Office", own.tzId)
    assert.equal(3, #own.standard)
    assert.same({
      ["@type"] = "TimeZoneRule", start = "2010-10-31T03:00:00", offsetFrom = "+06:30", offsetTo = "+05:30", names = { HOT = true },
      recurrenceOverrides = { ["2011-10-30T03:00:00"] = {}, ["2012-10-28T03:00:00"] = {} },
    }, own.standard[2])
    assert.equal("2012-03-25T02:00:00", own.daylight[1].recurrenceRules[1]["until"])
    local text = assert(ical.from_events(events, { now = 1735689600 }))
    assert.truthy(text:find("RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;UNTIL=20120324T203000Z\r\n", 1, true))
    assert.truthy(text:find("RDATE:20111030T030000\r\nRDATE:20121028T030000\r\n", 1, true))
    assert.same(events, (ical.events(text)))
    local _, count = text:gsub("BEGIN:VTIMEZONE", "")
    assert.equal(1, count)
    assert.truthy(text:find("TZID=Head Office:20100615T090000", 1, true))
    assert.same(starts((ical.instances(ics.fixture "own_zone", {}))), starts((ical.instances(text, {}))))
  end)

  it("says the same as the IANA zone that it was made of", function()
    for _, name in ipairs { "America/New_York", "Europe/Moscow", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo",
      "Pacific/Apia", "America/Caracas", "Asia/Pyongyang" } do
      for _, year in ipairs { 1985, 1994, 2006, 2009, 2016, 2024 } do
        local node = assert(zone.definition(name, ("%d-01-01T00:00:00"):format(year), "Own " .. name))
        local function calendar(tzid, definition)
          return ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n%sBEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=%s:%d0110T123000\r\nDURATION:P1D\r\n"
            .. "RRULE:FREQ=DAILY;INTERVAL=11;UNTIL=20361231T000000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"):format(definition, tzid, year)
        end
        local own = ical.instances(calendar("Own " .. name, ical.serialize(node)), { limit = 5000 })
        local real = ical.instances(calendar(name, ""), { limit = 5000 })
        assert.equal(#real, #own)
        for i, each in ipairs(real) do
          assert.same({ each.start, each.finish }, { own[i].start, own[i].finish }, ("%s from %d: %s"):format(name, year, each.recurrenceId))
        end
      end
    end
  end)

  it("does not come to grief by rules without end", function()
    local text = ics.fixture "own_zone":gsub("RRULE:FREQ=YEARLY[^\r\n]*", "RRULE:FREQ=SECONDLY", 1)
    local began = os.clock()
    assert.is_table((ical.instances(text, {})))
    assert.is_true(os.clock() - began < 2)
  end)
end)
