-- Busy times of calendar texts: events, VFREEBUSY, VAVAILABILITY.
local ical = require "lunation.ical"

local function text(...)
  return "BEGIN:VCALENDAR\r\n" .. table.concat({ ... }, "\r\n") .. "\r\nEND:VCALENDAR\r\n"
end

local function event(...)
  return "BEGIN:VEVENT\r\nUID:" .. table.concat({ ... }, "\r\n") .. "\r\nEND:VEVENT"
end

local function told(list)
  local lines = {}
  for i, busy in ipairs(list) do
    lines[i] = ("%s %s %s"):format(busy.type, os.date("!%d %H:%M", busy.start), os.date("!%d %H:%M", busy.finish))
  end
  return lines
end

local function busy(source, options)
  options = options or {}
  options.from, options.to = options.from or "20250303T000000Z", options.to or "20250305T000000Z"
  return told(assert(ical.freebusy(source, options)))
end

describe("busy times", function()
  it("are those of opaque events that are not cancelled, tentative ones apart", function()
    assert.same({ "BUSY 03 09:00 03 11:00", "BUSY-TENTATIVE 03 10:00 03 10:30" }, busy(text(
      event("a", "DTSTART:20250303T090000Z", "DTEND:20250303T100000Z"),
      event("b", "DTSTART:20250303T093000Z", "DURATION:PT90M"),
      event("c", "DTSTART:20250303T100000Z", "DURATION:PT30M", "STATUS:TENTATIVE"),
      event("d", "DTSTART:20250303T150000Z", "DURATION:PT30M", "STATUS:CANCELLED"),
      event("e", "DTSTART:20250303T160000Z", "DURATION:PT30M", "TRANSP:TRANSPARENT"),
      event("f", "DTSTART:20250303T170000Z"))))
  end)

  it("follow the overrides of a series, and are cut to the window", function()
    assert.same({ "BUSY 03 00:00 03 01:00", "BUSY 04 12:00 04 14:00" }, busy(text(
      event("a", "DTSTART:20250228T230000Z", "DURATION:PT2H", "RRULE:FREQ=DAILY;COUNT=5"),
      event("a", "RECURRENCE-ID:20250303T230000Z", "DTSTART:20250304T120000Z", "DURATION:PT2H"),
      event("a", "RECURRENCE-ID:20250304T230000Z", "DTSTART:20250304T230000Z", "DURATION:PT2H", "STATUS:CANCELLED"))))
  end)

  it("are days of the zone that is asked for", function()
    local day = text(event("a", "DTSTART;VALUE=DATE:20250303"))
    assert.same({ "BUSY 03 00:00 04 00:00" }, busy(day))
    assert.same({ "BUSY 03 05:00 04 05:00" }, busy(day, { tzid = "America/New_York" }))
  end)

  it("are told of all or of nothing", function()
    local endless = event("a", "DTSTART:20250101T000000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY")
    local list, err = ical.freebusy(text(endless), { from = "20250303T000000Z", to = "20250403T000000Z" })
    assert.is_nil(list)
    assert.matches("more than 250000 instances", err.message)
    assert.same({ "BUSY 03 00:00 04 00:00" }, busy(text(endless), { from = "20250303T000000Z", to = "20250304T000000Z" }))
    -- What takes no time costs none either.
    assert.same({}, busy(text(event("a", "DTSTART:20250101T000000Z", "RRULE:FREQ=SECONDLY")), { to = "20350101T000000Z" }))
  end)

  it("come from VFREEBUSY with their types", function()
    assert.same({ "BUSY 03 01:00 03 03:00", "BUSY-UNAVAILABLE 03 04:00 03 05:00", "BUSY 03 08:00 03 09:00" }, busy(text(
      "BEGIN:VFREEBUSY", "FREEBUSY:20250303T010000Z/20250303T020000Z,20250303T020000Z/PT1H",
      "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20250303T040000Z/PT1H", "FREEBUSY;FBTYPE=FREE:20250303T060000Z/PT1H",
      "FREEBUSY;FBTYPE=X-LUNCH:20250303T080000Z/PT1H", "FREEBUSY:20260303T010000Z/PT1H", "FREEBUSY:nonsense", "END:VFREEBUSY")))
  end)

  local hours = { "BEGIN:VAVAILABILITY", "BUSYTYPE:BUSY-TENTATIVE", "PRIORITY:5", "BEGIN:AVAILABLE", "UID:h",
    "DTSTART;TZID=Europe/Berlin:20250303T090000", "DTEND;TZID=Europe/Berlin:20250303T170000", "RRULE:FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR",
    "END:AVAILABLE", "END:VAVAILABILITY" }

  it("surround what an availability leaves", function()
    assert.same({ "BUSY-TENTATIVE 03 00:00 03 08:00", "BUSY 03 10:00 03 11:00", "BUSY-TENTATIVE 03 16:00 04 08:00", "BUSY-TENTATIVE 04 16:00 05 00:00" },
      busy(text(event("a", "DTSTART:20250303T100000Z", "DURATION:PT1H"), table.unpack(hours))))
    -- the same, kept apart
    assert.same({ "BUSY-TENTATIVE 03 00:00 03 07:00", "BUSY 03 07:00 03 09:00", "BUSY-TENTATIVE 03 16:00 04 08:00", "BUSY-TENTATIVE 04 16:00 05 00:00" },
      busy(text(event("a", "DTSTART:20250303T070000Z", "DURATION:PT2H")), { availability = text(table.unpack(hours)) }))
  end)

  it("know which availability comes first", function()
    local function vacation(priority)
      return text(table.concat(hours, "\r\n"), "BEGIN:VAVAILABILITY", "PRIORITY:" .. priority, "DTSTART:20250304T000000Z", "DURATION:P1D",
        "BUSYTYPE:BUSY", "END:VAVAILABILITY")
    end
    assert.same({ "BUSY-TENTATIVE 03 00:00 03 08:00", "BUSY-TENTATIVE 03 16:00 04 00:00", "BUSY 04 00:00 05 00:00" }, busy(vacation(1)))
    local without = { "BUSY-TENTATIVE 03 00:00 03 08:00", "BUSY-TENTATIVE 03 16:00 04 08:00", "BUSY-TENTATIVE 04 16:00 05 00:00" }
    assert.same(without, busy(vacation(9)))
    assert.same(without, busy(vacation(0)))
  end)
end)
