-- iCalendar to canonical events: every property this program knows, series with their overrides, what is wrong in the wild.
local ical = require "lunation.ical"
local ics = require "spec.support.ics"
local mapping = require "lunation.mapping"
local null = require "lunation.null"

local function one(...)
  local events, warnings = ical.events(ics.event(...))
  assert(events, tostring(warnings))
  assert.equal(1, #events)
  return events[1], warnings
end

local function overrides(...)
  return one(...).recurrenceOverrides
end

describe("ical.events", function()
  describe("reads when it is:", function()
    local cases = {
      { "UTC", { "DTSTART:20250309T063000Z", "DTEND:20250309T070000Z" }, "2025-03-09T06:30:00", "Etc/UTC", "PT30M" },
      { "a zone", { "DTSTART;TZID=Europe/Berlin:20250309T063000", "DTEND;TZID=Europe/Berlin:20250309T070000" }, "2025-03-09T06:30:00",
        "Europe/Berlin", "PT30M" },
      { "floating", { "DTSTART:20250309T063000", "DTEND:20250309T073000" }, "2025-03-09T06:30:00", nil, "PT1H" },
      { "an old name of a zone", { "DTSTART;TZID=US/Pacific:20250309T063000" }, "2025-03-09T06:30:00", "US/Pacific", nil },
      { "a Windows zone", { "DTSTART;TZID=W. Europe Standard Time:20250309T063000" }, "2025-03-09T06:30:00", "Europe/Berlin", nil },
      { "a prefixed zone", { "DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Berlin:20250309T063000" }, "2025-03-09T06:30:00", "Europe/Berlin", nil },
      { "TZID=UTC", { "DTSTART;TZID=UTC:20250309T063000" }, "2025-03-09T06:30:00", "Etc/UTC", nil },
      { "Z that contradicts a TZID", { "DTSTART;TZID=Europe/Berlin:20250309T063000Z" }, "2025-03-09T06:30:00", "Etc/UTC", nil },
      { "all day", { "DTSTART;VALUE=DATE:20250309", "DTEND;VALUE=DATE:20250311" }, "2025-03-09T00:00:00", nil, "P2D", true },
      { "a day without an end", { "DTSTART;VALUE=DATE:20250309" }, "2025-03-09T00:00:00", nil, "P1D", true },
      { "a day that ends on itself", { "DTSTART;VALUE=DATE:20250309", "DTEND;VALUE=DATE:20250309" }, "2025-03-09T00:00:00", nil, "P1D", true },
      { "a date without VALUE", { "DTSTART:20250309" }, "2025-03-09T00:00:00", nil, "P1D", true },
      { "a date with a zone", { "DTSTART;TZID=Europe/Berlin;VALUE=DATE:20250309" }, "2025-03-09T00:00:00", nil, "P1D", true },
      { "VALUE=DATE with a time", { "DTSTART;VALUE=DATE:20250309T063000Z" }, "2025-03-09T00:00:00", nil, "P1D", true, true },
      { "a nominal day", { "DTSTART;TZID=Europe/Berlin:20250329T120000", "DURATION:P1D" }, "2025-03-29T12:00:00", "Europe/Berlin", "P1D" },
      { "24 hours", { "DTSTART;TZID=Europe/Berlin:20250329T120000", "DURATION:PT24H" }, "2025-03-29T12:00:00", "Europe/Berlin", "PT24H" },
      { "an end over a change of the clocks", { "DTSTART;TZID=Europe/Berlin:20250329T120000", "DTEND;TZID=Europe/Berlin:20250330T120000" },
        "2025-03-29T12:00:00", "Europe/Berlin", "PT23H" },
      { "DURATION of days for a date", { "DTSTART;VALUE=DATE:20250309", "DURATION:PT48H" }, "2025-03-09T00:00:00", nil, "P2D", true },
      { "24:00:00 and missing seconds", { "DTSTART:20250309T240000Z", "DTEND:20250310T0030Z" }, "2025-03-10T00:00:00", "Etc/UTC", "PT30M" },
      { "an end before the start", { "DTSTART:20250309T063000Z", "DTEND:20250309T053000Z" }, "2025-03-09T06:30:00", "Etc/UTC", nil, nil, true },
      { "a negative duration", { "DTSTART:20250309T063000Z", "DURATION:-PT1H" }, "2025-03-09T06:30:00", "Etc/UTC", nil, nil, true },
      { "a zone nobody knows", { "DTSTART;TZID=Middle/Earth:20250309T063000" }, "2025-03-09T06:30:00", nil, nil, nil, true },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        local event, warnings = one(table.unpack(case[2]))
        assert.equal(case[3], event.start)
        assert.equal(case[4], event.timeZone)
        assert.equal(case[5], event.duration)
        assert.equal(case[6], event.showWithoutTime)
        assert.equal(case[7] or false, #warnings > 0)
      end)
    end
    it("another zone at the end", function()
      local event = one("DTSTART;TZID=Europe/Berlin:20250601T100000", "DTEND;TZID=America/New_York:20250601T130000")
      assert.equal("PT9H", event.duration)
      assert.equal("America/New_York", event["lunation:endTimeZone"])
    end)
  end)

  it("reads what it is about", function()
    local event = one("DTSTART:20250309T063000Z", [[SUMMARY:A\, b\nc]], "DESCRIPTION:d", "STATUS:TENTATIVE", "TRANSP:TRANSPARENT", "CLASS:CONFIDENTIAL",
      "PRIORITY:3", "SEQUENCE:7", "CREATED:20250101T000000Z", "LAST-MODIFIED:20250102T000000Z", "DTSTAMP:20250103T000000Z", "COLOR:teal",
      [[CATEGORIES:Work,Big\, red]], "CATEGORIES:Home", "LOCATION:Room 1", "GEO:46.94809;7.44744", "URL:https://example.com/e",
      "RELATED-TO:parent-1", "RELATED-TO;RELTYPE=SIBLING:sib", "X-MICROSOFT-CDO-BUSYSTATUS:OOF",
      [[X-LUNATION-CUSTOM;X-APP=demo:{"a":[1\,2]\,"b":"x\;y"}]])
    assert.same({
      ["@type"] = "Event", uid = "u1", start = "2025-03-09T06:30:00", timeZone = "Etc/UTC", title = "A, b\nc", description = "d",
      status = "tentative", freeBusyStatus = "free", privacy = "secret", priority = 3, sequence = 7, created = "2025-01-01T00:00:00Z",
      updated = "2025-01-02T00:00:00Z", color = "teal", keywords = { Work = true, ["Big, red"] = true, Home = true },
      locations = { ["1"] = { ["@type"] = "Location", name = "Room 1", coordinates = "geo:46.94809,7.44744" } },
      links = { url = { ["@type"] = "Link", href = "https://example.com/e" } },
      relatedTo = { ["parent-1"] = { ["@type"] = "Relation", relation = { parent = true } }, sib = { ["@type"] = "Relation",
        relation = { sibling = true } } },
      ["lunation:showAs"] = "oof", ["lunation:custom"] = { demo = { a = { 1, 2 }, b = "x;y" } },
    }, event)
  end)

  it("reads people", function()
    local event = one("DTSTART:20250309T063000Z", "ORGANIZER;CN=Alice:mailto:alice@example.com",
      "ATTENDEE;PARTSTAT=ACCEPTED;ROLE=CHAIR:MAILTO:Alice@Example.com",
      "ATTENDEE;CN=Room;CUTYPE=ROOM;PARTSTAT=DECLINED:urn:uuid:1-2",
        "ATTENDEE;RSVP=TRUE;ROLE=OPT-PARTICIPANT;SCHEDULE-AGENT=CLIENT;MEMBER=\"mailto:team@example.com\":mailto:bob@example.com")
    assert.same({ imip = "mailto:alice@example.com" }, event.replyTo)
    assert.same({
      alice_example_com = { ["@type"] = "Participant", name = "Alice", email = "Alice@Example.com", sendTo = { imip = "MAILTO:Alice@Example.com" },
        roles = { attendee = true, chair = true, owner = true }, participationStatus = "accepted" },
      urn_uuid_1_2 = nil, ["urn_uuid_1-2"] = { ["@type"] = "Participant", name = "Room", kind = "location", sendTo = { imip = "urn:uuid:1-2" },
        roles = { attendee = true }, participationStatus = "declined" },
      bob_example_com = { ["@type"] = "Participant", email = "bob@example.com", sendTo = { imip = "mailto:bob@example.com" },
        roles = { attendee = true, optional = true }, expectReply = true, scheduleAgent = "client", memberOf = { ["mailto:team@example.com"] = true } },
    }, event.participants)
  end)

  it("reads alarms, and leaves out those JSCalendar has no word for", function()
    local event = one("DTSTART:20250309T063000Z", "BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "END:VALARM", "BEGIN:VALARM", "ACTION:PROCEDURE",
      "TRIGGER:-PT1M", "END:VALARM", "BEGIN:VALARM", "UID:a-1", "ACTION:EMAIL", "TRIGGER;RELATED=END:P1D", "END:VALARM", "BEGIN:VALARM", "ACTION:AUDIO",
      "TRIGGER;VALUE=DATE-TIME:20250309T060000Z", "ACKNOWLEDGED:20250309T060100Z", "END:VALARM")
    assert.same({
      ["1"] = { ["@type"] = "Alert", action = "display", trigger = { ["@type"] = "OffsetTrigger", offset = "-PT15M" } },
      ["a-1"] = { ["@type"] = "Alert", action = "email", trigger = { ["@type"] = "OffsetTrigger", offset = "P1D", relativeTo = "end" } },
      ["4"] = { ["@type"] = "Alert", action = "display", acknowledged = "2025-03-09T06:01:00Z", trigger = { ["@type"] = "AbsoluteTrigger",
        when = "2025-03-09T06:00:00Z" } },
    }, event.alerts)
  end)

  it("reads conferences and attachments", function()
    local event = one("DTSTART:20250309T063000Z", "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=Join:https://us02web.zoom.us/j/1",
      "ATTACH;FMTTYPE=application/pdf;FILENAME=a.pdf:https://example.com/a.pdf",
      "ATTACH;ENCODING=BASE64;VALUE=BINARY;FMTTYPE=text/plain:aGk=", "IMAGE;VALUE=URI;DISPLAY=BADGE;FMTTYPE=image/png:https://example.com/i.png")
    assert.same({ uri = "https://us02web.zoom.us/j/1", name = "Join", provider = "zoom" }, event["lunation:conference"])
    assert.same({ ["1"] = { ["@type"] = "VirtualLocation", uri = "https://us02web.zoom.us/j/1", name = "Join", features = { audio = true,
      video = true } } }, event.virtualLocations)
    assert.same({
      attach_1 = { ["@type"] = "Link", href = "https://example.com/a.pdf", rel = "enclosure", contentType = "application/pdf", title = "a.pdf" },
      attach_2 = { ["@type"] = "Link", href = "data:text/plain;base64,aGk=", rel = "enclosure", contentType = "text/plain" },
      image_1 = { ["@type"] = "Link", href = "https://example.com/i.png", rel = "icon", contentType = "image/png", display = "badge" },
    }, event.links)
    local google = one("DTSTART:20250309T063000Z", "X-GOOGLE-CONFERENCE:https://meet.google.com/abc")
    assert.same({ uri = "https://meet.google.com/abc", provider = "google-meet" }, google["lunation:conference"])
  end)

  describe("reads rules", function()
    it("with all their parts", function()
      local event = one("DTSTART;TZID=America/New_York:20250309T063000",
        "RRULE:FREQ=YEARLY;INTERVAL=2;BYMONTH=1,12;BYDAY=MO,-1SU,2TU;BYMONTHDAY=1,-1;BYHOUR=6;BYSETPOS=-1;WKST=SU;UNTIL=20300101T113000Z")
      assert.same({ {
        ["@type"] = "RecurrenceRule", frequency = "yearly", interval = 2, byMonth = { "1", "12" },
        byDay = { { ["@type"] = "NDay", day = "mo" }, { ["@type"] = "NDay", day = "su", nthOfPeriod = -1 }, { ["@type"] = "NDay", day = "tu",
          nthOfPeriod = 2 } },
        byMonthDay = { 1, -1 }, byHour = { 6 }, bySetPosition = { -1 }, firstDayOfWeek = "su", ["until"] = "2030-01-01T06:30:00",
      } }, event.recurrenceRules)
    end)
    local untils = {
      { "UTC for a zone", "DTSTART;TZID=Europe/Berlin:20250309T063000", "20250701T043000Z", "2025-07-01T06:30:00" },
      { "a date for a zone: all of that day", "DTSTART;TZID=Europe/Berlin:20250309T063000", "20250701", "2025-07-01T23:59:59" },
      { "local for a zone", "DTSTART;TZID=Europe/Berlin:20250309T063000", "20250701T063000", "2025-07-01T06:30:00" },
      { "UTC for days: its date", "DTSTART;VALUE=DATE:20250309", "20250701T220000Z", "2025-07-01T00:00:00" },
      { "UTC for a floating time: at face value", "DTSTART:20250309T063000", "20250701T063000Z", "2025-07-01T06:30:00" },
    }
    for _, case in ipairs(untils) do
      it("with UNTIL as " .. case[1], function()
        assert.equal(case[4], one(case[2], "RRULE:FREQ=DAILY;UNTIL=" .. case[3]).recurrenceRules[1]["until"])
      end)
    end
    it("with trailing semicolons, spaces, empty parts; several of them; EXRULE", function()
      local event = one("DTSTART:20250309T063000", "RRULE:FREQ=WEEKLY; BYDAY=MO, TU;;COUNT=;", "RRULE:FREQ=DAILY;COUNT=2", "EXRULE:FREQ=MONTHLY")
      assert.equal(2, #event.recurrenceRules)
      assert.equal("tu", event.recurrenceRules[1].byDay[2].day)
      assert.equal("monthly", event.excludedRecurrenceRules[1].frequency)
    end)
    it("and warns of those that are none", function()
      for _, rule in ipairs { "FREQ=SOMETIMES", "BYDAY=MO", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;BYDAY=XX", "FREQ=DAILY;BYMONTH=14",
        "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;UNTIL=soon" } do
        local event, warnings = one("DTSTART:20250309T063000", "RRULE:" .. rule)
        assert.is_nil(event.recurrenceRules)
        assert.equal(6, warnings[1].line)
      end
    end)
  end)

  describe("reads exceptions and additions as keys in the zone of the series", function()
    local start, rule = "DTSTART;TZID=Europe/Berlin:20250303T100000", "RRULE:FREQ=DAILY"
    local cases = {
      { "EXDATE;TZID=Europe/Berlin:20250304T100000,20250305T100000", { "2025-03-04T10:00:00", "2025-03-05T10:00:00" } },
      { "EXDATE:20250304T090000Z", { "2025-03-04T10:00:00" } },
      { "EXDATE;TZID=America/New_York:20250304T040000", { "2025-03-04T10:00:00" } },
      { "EXDATE;VALUE=DATE:20250304", { "2025-03-04T10:00:00" } },
      { "EXDATE:20250304T100000", { "2025-03-04T10:00:00" } },
      { "EXDATE:", {} },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        local expected = {}
        for _, key in ipairs(case[2]) do expected[key] = { excluded = true } end
        assert.same(expected, overrides(start, rule, case[1]) or {})
      end)
    end
    it("EXDATE as a date takes all of that day away", function()
      assert.same({ ["2025-03-04T10:00:00"] = { excluded = true }, ["2025-03-04T15:00:00"] = { excluded = true } },
        overrides(start, "RRULE:FREQ=DAILY;BYHOUR=10,15", "EXDATE;VALUE=DATE:20250304"))
    end)
    it("for days", function()
      assert.same({ ["2025-03-04T00:00:00"] = { excluded = true }, ["2025-03-05T00:00:00"] = { excluded = true } },
        overrides("DTSTART;VALUE=DATE:20250303", rule, "EXDATE;VALUE=DATE:20250304", "EXDATE:20250305T230000Z"))
    end)
    it("RDATE as times and periods", function()
      assert.same({ ["2025-03-04T12:00:00"] = {}, ["2025-03-05T12:00:00"] = { duration = "PT2H" }, ["2025-03-06T12:00:00"] = { duration = "PT45M" } },
        overrides(start, "RDATE:20250304T110000Z", "RDATE;VALUE=PERIOD;TZID=Europe/Berlin:20250305T120000/20250305T140000,20250306T120000/PT45M"))
    end)
    it("EXDATE over RDATE, and over an override", function()
      assert.same({ ["2025-03-04T12:00:00"] = { excluded = true } }, overrides(start, "RDATE:20250304T110000Z", "EXDATE:20250304T110000Z"))
    end)
  end)

  describe("merges a series", function()
    it("with its overrides by UID", function()
      local events, warnings = ical.events(ics.fixture "series")
      assert.same({}, warnings)
      assert.equal(1, #events)
      local event = events[1]
      assert.equal("PT1H30M", event.duration)
      assert.same({
        ["2025-03-10T10:00:00"] = { excluded = true }, ["2025-03-31T10:00:00"] = { excluded = true }, ["2025-04-04T10:00:00"] = {},
        ["2025-03-17T10:00:00"] = { title = "Review with the board", start = "2025-03-17T14:00:00" },
        ["2025-03-24T10:00:00"] = { start = "2025-03-24T12:00:00", sequence = 3, alerts = null, participants = null, replyTo = null, description = null },
      }, event.recurrenceOverrides)
    end)

    local master = { "UID:s", "DTSTART;TZID=Europe/Berlin:20250303T100000", "DURATION:PT1H", "SUMMARY:m", "RRULE:FREQ=DAILY" }
    local function override(id, ...)
      return { "UID:s", "RECURRENCE-ID" .. id, "DTSTART;TZID=Europe/Berlin:20250304T100000", "DURATION:PT1H", ... }
    end
    for _, id in ipairs { ";TZID=Europe/Berlin:20250304T100000", ":20250304T090000Z", ";VALUE=DATE:20250304",
      ";TZID=America/New_York:20250304T040000", ":20250304T100000" } do
      it("whose RECURRENCE-ID is " .. id, function()
        local event = ical.events(ics.events(override(id, "SUMMARY:o"), master))[1]
        assert.same({ ["2025-03-04T10:00:00"] = { title = "o" } }, event.recurrenceOverrides)
      end)
    end
    it("of days, whose RECURRENCE-ID is a time", function()
      local event = ical.events(ics.events({ "UID:s", "DTSTART;VALUE=DATE:20250303", "RRULE:FREQ=DAILY" },
        { "UID:s", "RECURRENCE-ID:20250305T000000Z", "DTSTART;VALUE=DATE:20250306", "SUMMARY:o" }))[1]
      assert.same({ ["2025-03-05T00:00:00"] = { title = "o", start = "2025-03-06T00:00:00" } }, event.recurrenceOverrides)
    end)
    it("with two overrides of one instance: the higher SEQUENCE, then the later", function()
      local id = ":20250304T090000Z"
      local function title(...) return ical.events(ics.events(master, ...))[1].recurrenceOverrides["2025-03-04T10:00:00"].title end
      assert.equal("a", title(override(id, "SUMMARY:a", "SEQUENCE:2"), override(id, "SUMMARY:b", "SEQUENCE:1")))
      assert.equal("b", title(override(id, "SUMMARY:a", "SEQUENCE:1"), override(id, "SUMMARY:b", "SEQUENCE:1")))
    end)
    it("with two masters: the higher SEQUENCE", function()
      local events = ical.events(ics.events({ "UID:s", "DTSTART:20250303T100000Z", "SUMMARY:a", "SEQUENCE:5" }, { "UID:s",
        "DTSTART:20250303T100000Z", "SUMMARY:b" }))
      assert.equal(1, #events)
      assert.equal("a", events[1].title)
    end)
    it("without a master: events of their own", function()
      local events = ical.events(ics.events(override(":20250304T090000Z", "SUMMARY:a"), override(":20250305T090000Z", "SUMMARY:b")))
      assert.equal(2, #events)
      assert.equal("2025-03-04T10:00:00", events[1].recurrenceId)
      assert.equal("Europe/Berlin", events[1].recurrenceIdTimeZone)
      assert.equal("2025-03-05T10:00:00", events[2].recurrenceId)
    end)
    it("whose override is for this and what follows", function()
      local event = ical.events(ics.events({ "UID:s", "DTSTART:20250303T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=5", "EXDATE:20250306T100000Z" },
        { "UID:s", "RECURRENCE-ID;RANGE=THISANDFUTURE:20250305T100000Z", "DTSTART:20250305T113000Z", "DURATION:PT2H" }))[1]
      assert.same({
        ["2025-03-05T10:00:00"] = { start = "2025-03-05T11:30:00", duration = "PT2H" }, ["2025-03-06T10:00:00"] = { excluded = true },
        ["2025-03-07T10:00:00"] = { start = "2025-03-07T11:30:00", duration = "PT2H" },
      }, event.recurrenceOverrides)
    end)
    it("whose override has no length", function()
      local event = ical.events(ics.events(master, { "UID:s", "RECURRENCE-ID:20250304T090000Z", "DTSTART:20250304T090000Z", "SUMMARY:m" }))[1]
      assert.same({ ["2025-03-04T10:00:00"] = { duration = "PT0S" } }, event.recurrenceOverrides)
      assert.is_true(mapping.equal(event.recurrenceOverrides, ical.events(ical.from_events({ event }, { now = 0 }))[1].recurrenceOverrides))
    end)
    it("whose instance is cancelled", function()
      local event = ical.events(ics.events(master, override(":20250304T090000Z", "SUMMARY:m", "STATUS:CANCELLED")))[1]
      assert.same({ ["2025-03-04T10:00:00"] = { status = "cancelled" } }, event.recurrenceOverrides)
    end)
  end)

  it("leaves out, with a warning and its line, an event it cannot read; strict it is an error", function()
    local text = ics.events({ "UID:bad", "DTSTART:tomorrow" }, { "UID:good", "DTSTART:20250303T100000Z" }, { "UID:none" })
    local events, warnings = ical.events(text)
    assert.equal(1, #events)
    assert.equal("good", events[1].uid)
    assert.equal(2, #warnings)
    assert.is_true(warnings[1].skipped)
    assert.equal(5, warnings[1].line)
    assert.equal("start", warnings[1].field)
    local none, err = ical.events(text, { strict = true })
    assert.is_nil(none)
    assert.equal(5, err.line)
  end)

  it("gives an event without UID the same one each time", function()
    local text = ics.events { "DTSTART:20250303T100000Z", "SUMMARY:x" }
    assert.equal(ical.events(text)[1].uid, ical.events(text)[1].uid)
    assert.truthy(ical.events(text)[1].uid:find("^no%-uid%-"))
  end)

  it("reads several calendars in one text", function()
    assert.equal(2, #ical.events(ics.event("DTSTART:20250303T100000Z") .. ics.event("DTSTART:20250303T100000Z"):gsub("UID:u1", "UID:u2")))
  end)
end)

describe("a VTIMEZONE", function()
  local function with_zone(id, lines, start)
    return table.concat({ "BEGIN:VCALENDAR", "BEGIN:VTIMEZONE", "TZID:" .. id, table.concat(lines, "\r\n"), "END:VTIMEZONE", "BEGIN:VEVENT", "UID:z",
      ("DTSTART;TZID=%s:%s"):format(id, start or "20250701T120000"), "DURATION:PT1H", "END:VEVENT", "END:VCALENDAR", "" }, "\r\n")
  end
  local function observance(kind, start, from, to, rule)
    return table.concat({ "BEGIN:" .. kind, "DTSTART:" .. start, "TZOFFSETFROM:" .. from, "TZOFFSETTO:" .. to,
      rule and "RRULE:" .. rule or "X-NONE:1", "END:" .. kind }, "\r\n")
  end
  local berlin = {
    observance("STANDARD", "19961027T030000", "+0200", "+0100", "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU"),
    observance("DAYLIGHT", "19810329T020000", "+0100", "+0200", "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU"),
  }
  it("of an IANA name that agrees is the IANA zone", function()
    assert.equal("Europe/Berlin", ical.events(with_zone("Europe/Berlin", berlin))[1].timeZone)
  end)
  it("of an IANA name that says otherwise for the year in use is its own", function()
    local event = ical.events(with_zone("America/New_York", berlin))[1]
    assert.equal("/<+01>-1<+02>,M3.5.0,M10.5.0/3", event.timeZone)
    local own = event.timeZones[event.timeZone]
    assert.equal("America/New_York", own.tzId)
    assert.same({ {
      ["@type"] = "TimeZoneRule", start = "1981-03-29T02:00:00", offsetFrom = "+01:00", offsetTo = "+02:00",
      recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "yearly", byMonth = { "3" },
        byDay = { { ["@type"] = "NDay", day = "su", nthOfPeriod = -1 } } } },
    } }, own.daylight)
    assert.equal(1, #own.standard)
  end)
  it("cut short is no objection to its name", function()
    assert.equal("Europe/Berlin", ical.events(with_zone("Europe/Berlin", { observance("STANDARD", "19700101T000000", "+0100", "+0100") }))[1].timeZone)
  end)
  it("with another name is a zone of its own, whose instants are right", function()
    local text = with_zone("Customized Time Zone", berlin)
    assert.same({ { uid = "z", start = 1751364000, finish = 1751367600 } }, (ical.instances(text, {})))
    text = with_zone("Fixed", { observance("STANDARD", "16010101T000000", "+0530", "+0530") })
    assert.equal("/<+0530>-5:30", ical.events(text)[1].timeZone)
    assert.equal(1751351400, ical.instances(text, {})[1].start)
  end)
  it("is found by X-LIC-LOCATION", function()
    local lines = { "X-LIC-LOCATION:Europe/Berlin", table.unpack(berlin) }
    assert.equal("Europe/Berlin", ical.events(with_zone("Whatever", lines))[1].timeZone)
  end)
  it("of its own survives the way back", function()
    local events = ical.events(with_zone("Customized Time Zone", berlin))
    local text = ical.from_events(events, { now = 0 })
    assert.truthy(text:find("TZID:Customized Time Zone", 1, true))
    events[1].updated = "1970-01-01T00:00:00Z"
    assert.same(events, (ical.events(text)))
  end)
end)
