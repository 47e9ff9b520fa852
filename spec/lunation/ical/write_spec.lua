-- Canonical events back to text: new texts, and patches that touch only what changed.
local ical = require "lunation.ical"
local ics = require "spec.support.ics"
local mapping = require "lunation.ical.mapping"
local model = require "lunation.model"

local at = { now = 1750000000 } -- 2025-06-15T15:06:40Z
local stamps = { "+DTSTAMP:20250615T150640Z", "+LAST-MODIFIED:20250615T150640Z" }

-- What a change of the canonical event does to the lines of the text.
local function change(text, edit)
  local before = assert(mapping:to { text = text })
  local after = model.copy(before)
  after = edit(after) or after
  local native = assert(mapping:from(after, { text = text, etag = "e1" }, at))
  assert.equal("e1", native.etag)
  local again = assert(mapping:to { text = native.text })
  return ics.diff(text, native.text), native.text, again, after
end

local function lines(...)
  local list = { ... }
  table.sort(list)
  return list
end

describe("a patch of a stored text", function()
  local series = ics.fixture "series"

  it("changes nothing where nothing changed", function()
    assert.same({}, (change(series, function() end)))
  end)

  it("changes the title in the master and in the override that had the same", function()
    local diff, _, again, after = change(series, function(event) event.title = "Retro" end)
    assert.same(lines("-SUMMARY;LANGUAGE=en:Review", "-SUMMARY;LANGUAGE=en:Review", "+SUMMARY;LANGUAGE=en:Retro", "+SUMMARY;LANGUAGE=en:Retro",
      "-DTSTAMP:20250101T080000Z", "-DTSTAMP:20250101T080000Z", "-LAST-MODIFIED:20250102T080000Z", "-LAST-MODIFIED:20250102T080000Z",
      stamps[1], stamps[1], stamps[2], stamps[2]), diff)
    again.updated, after.updated = nil, nil
    assert.equal("Review with the board", again.recurrenceOverrides["2025-03-17T10:00:00"].title)
  end)

  local function only(diff)
    local rest = {}
    for _, line in ipairs(diff) do
      if not line:find("^[+-]DTSTAMP") and not line:find("^[+-]LAST%-MODIFIED") then rest[#rest + 1] = line end
    end
    return rest
  end

  it("takes an instance away: one EXDATE in the form of DTSTART", function()
    local diff = change(series, function(event) event.recurrenceOverrides["2025-04-07T10:00:00"] = { excluded = true } end)
    assert.same({ "+EXDATE;TZID=Europe/Berlin:20250407T100000" }, only(diff))
  end)

  it("takes an overridden instance away with its component", function()
    local diff, text = change(series, function(event) event.recurrenceOverrides["2025-03-24T10:00:00"] = { excluded = true } end)
    assert.truthy(text:find("EXDATE;TZID=Europe/Berlin:20250324T100000", 1, true))
    assert.is_nil(text:find("X-OVERRIDE:late", 1, true))
    assert.truthy(text:find("X-OVERRIDE:early", 1, true))
    assert.truthy(#only(diff) >= 8)
  end)

  it("brings an instance back", function()
    local diff = change(series, function(event) event.recurrenceOverrides["2025-03-10T10:00:00"] = nil end)
    assert.same({ "+EXDATE;TZID=Europe/Berlin:20250331T100000", "-EXDATE;TZID=Europe/Berlin:20250310T100000,20250331T100000" }, only(diff))
  end)

  it("takes an addition away, and adds one", function()
    assert.same({ "-RDATE;TZID=Europe/Berlin:20250404T100000" },
      only((change(series, function(event) event.recurrenceOverrides["2025-04-04T10:00:00"] = nil end))))
    assert.same({ "+RDATE;TZID=Europe/Berlin:20250501T090000" },
      only((change(series, function(event) event.recurrenceOverrides["2025-05-01T09:00:00"] = {} end))))
    assert.same({ "+RDATE;TZID=Europe/Berlin;VALUE=PERIOD:20250501T090000/PT10M" },
      only((change(series, function(event) event.recurrenceOverrides["2025-05-01T09:00:00"] = { duration = "PT10M" } end))))
  end)

  it("changes one property of an override", function()
    local diff = change(series, function(event) event.recurrenceOverrides["2025-03-17T10:00:00"].title = "Board" end)
    assert.same({ "+SUMMARY;LANGUAGE=en:Board", "-SUMMARY;LANGUAGE=en:Review with the board" }, only(diff))
  end)

  it("removes an override", function()
    local _, text, again = change(series, function(event) event.recurrenceOverrides["2025-03-17T10:00:00"] = nil end)
    assert.is_nil(text:find("X-OVERRIDE:early", 1, true))
    assert.is_nil(again.recurrenceOverrides["2025-03-17T10:00:00"])
  end)

  it("makes a new override that has all of the master, alarms and unknown properties too", function()
    local diff, text, again, after = change(series, function(event)
      event.recurrenceOverrides["2025-04-07T10:00:00"] = { start = "2025-04-07T16:00:00", ["participants/bob_example_com/participationStatus"] = "declined" }
    end)
    local joined = table.concat(diff, "\n")
    assert.truthy(joined:find("+RECURRENCE-ID;TZID=Europe/Berlin:20250407T100000", 1, true))
    assert.truthy(joined:find("+DTSTART;TZID=Europe/Berlin;X-EXTRA=1:20250407T160000", 1, true))
    assert.truthy(joined:find("+DTEND;TZID=Europe/Berlin:20250407T173000", 1, true))
    assert.truthy(joined:find('+ATTENDEE;CN="Bob, the second";PARTSTAT=DECLINED;X-NUM-GUESTS=0:mailto:bob@example.com', 1, true))
    assert.truthy(joined:find('+X-VENDOR;X-PARAM="a;b":kept', 1, true))
    assert.truthy(joined:find("+X-ALARM-NOTE:kept", 1, true))
    assert.truthy(joined:find("+ACTION:PROCEDURE", 1, true))
    for _, line in ipairs(diff) do assert.equal("+", line:sub(1, 1), line) end
    assert.equal(1, select(2, text:gsub("RRULE:FREQ=WEEKLY", "")))
    local made = again.recurrenceOverrides["2025-04-07T10:00:00"]
    assert.equal("2025-04-07T16:00:00", made.start)
    assert.equal("declined", made.participants.bob_example_com.participationStatus)
    assert.equal("accepted", after.participants.bob_example_com.participationStatus)
  end)

  it("adds, changes and removes people and leaves the rest of their lines", function()
    local diff = change(series, function(event)
      event.participants.bob_example_com.participationStatus = "tentative"
      event.participants.carol_example_com = nil
      event.participants.dan_example_com = { email = "dan@example.com", name = "Dan", roles = { attendee = true }, expectReply = true }
      event.recurrenceOverrides["2025-03-17T10:00:00"].participants = model.copy(event.participants)
    end)
    assert.same(lines('-ATTENDEE;CN="Bob, the second";PARTSTAT=ACCEPTED;X-NUM-GUESTS=0:mailto:bob@example.com',
      '-ATTENDEE;CN="Bob, the second";PARTSTAT=ACCEPTED;X-NUM-GUESTS=0:mailto:bob@example.com',
      '+ATTENDEE;CN="Bob, the second";PARTSTAT=TENTATIVE;X-NUM-GUESTS=0:mailto:bob@example.com',
      '+ATTENDEE;CN="Bob, the second";PARTSTAT=TENTATIVE;X-NUM-GUESTS=0:mailto:bob@example.com',
      "-ATTENDEE;ROLE=OPT-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:carol@example.com",
      "-ATTENDEE;ROLE=OPT-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:carol@example.com",
      "+ATTENDEE;CN=Dan;RSVP=TRUE:mailto:dan@example.com", "+ATTENDEE;CN=Dan;RSVP=TRUE:mailto:dan@example.com"), only(diff))
  end)

  it("changes, adds and removes alarms and leaves those it does not know", function()
    local text = ics.event("DTSTART:20250303T100000Z", "SUMMARY:s", "BEGIN:VALARM", "ACTION:AUDIO", "TRIGGER:-PT15M", "X-SOUND:bell", "END:VALARM",
      "BEGIN:VALARM", "ACTION:PROCEDURE", "TRIGGER:-PT1M", "END:VALARM")
    local diff = change(text, function(event) event.alerts["1"].trigger.offset = "-PT30M" end)
    assert.same({ "+DESCRIPTION:s", "+TRIGGER:-PT30M", "-TRIGGER:-PT15M" }, only(diff))
    local _, again
    diff, _, again = change(text, function(event)
      event.alerts = { mine = { ["@type"] = "Alert", action = "email", trigger = { ["@type"] = "OffsetTrigger", offset = "PT0S", relativeTo = "end" } } }
    end)
    assert.same({ "+ACTION:EMAIL", "+ATTENDEE:mailto:calendar@localhost", "+DESCRIPTION:s", "+SUMMARY:s", "+TRIGGER;RELATED=END:PT0S", "+UID:mine",
      "-ACTION:AUDIO", "-TRIGGER:-PT15M", "-X-SOUND:bell" }, only(diff))
    assert.same({ mine = { ["@type"] = "Alert", action = "email", trigger = { ["@type"] = "OffsetTrigger", offset = "PT0S", relativeTo = "end" } } },
      again.alerts)
  end)

  it("changes what an app keeps without touching another app's", function()
    local text = ics.event("DTSTART:20250303T100000Z", [[X-LUNATION-CUSTOM;X-APP=other;X-P=1:{ "a" :1}]], [[X-LUNATION-CUSTOM;X-APP=demo:{"b":2}]])
    local diff, _, again = change(text, function(event) event["lunation:custom"].demo = { c = { true, "x;y" } } end)
    assert.same({ [[+X-LUNATION-CUSTOM;X-APP=demo:{"c":[true~2C"x~3By"]}]], [[-X-LUNATION-CUSTOM;X-APP=demo:{"b":2}]] }, only(diff))
    assert.same({ other = { a = 1 }, demo = { c = { true, "x;y" } } }, again["lunation:custom"])
    assert.same({ [[-X-LUNATION-CUSTOM;X-APP=demo:{"b":2}]] }, only((change(text, function(event) event["lunation:custom"].demo = nil end))))
  end)

  it("changes a conference where it stands", function()
    local google = ics.event("DTSTART:20250303T100000Z", "X-GOOGLE-CONFERENCE:https://meet.google.com/a")
    assert.same({ "+X-GOOGLE-CONFERENCE:https://meet.google.com/b", "-X-GOOGLE-CONFERENCE:https://meet.google.com/a" },
      only((change(google, function(event) event["lunation:conference"].uri = "https://meet.google.com/b" end))))
    assert.same({ "+CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO:https://zoom.us/j/1", "-X-GOOGLE-CONFERENCE:https://meet.google.com/a" },
      only((change(google, function(event) event["lunation:conference"] = { uri = "https://zoom.us/j/1", provider = "zoom" } end))))
    assert.same({ "+CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;X-PROVIDER=acme:https://meet.example.com/1" },
      only((change(ics.event("DTSTART:20250303T100000Z"), function(event) event["lunation:conference"] = { uri = "https://meet.example.com/1",
        provider = "acme" } end))))
  end)

  it("takes with it what repeats the old text in another way", function()
    local text = ics.event("DTSTART:20250303T100000Z", "DESCRIPTION;ALTREP=\"cid:1\":old", "X-ALT-DESC;FMTTYPE=text/html:<b>old</b>",
      "LOCATION:Old street", "X-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:1,2", "TRANSP:OPAQUE", "X-MICROSOFT-CDO-BUSYSTATUS:OOF")
    assert.same({ "+DESCRIPTION:new", '-DESCRIPTION;ALTREP="cid:1":old', "-X-ALT-DESC;FMTTYPE=text/html:<b>old</b>" },
      only((change(text, function(event) event.description = "new" end))))
    assert.same({ "+LOCATION:New", "-LOCATION:Old street", "-X-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:1,2" },
      only((change(text, function(event) event.locations["1"].name = "New" end))))
    assert.same({ "+TRANSP:TRANSPARENT", "+X-MICROSOFT-CDO-BUSYSTATUS:FREE", "-TRANSP:OPAQUE", "-X-MICROSOFT-CDO-BUSYSTATUS:OOF" },
      only((change(text, function(event) event.freeBusyStatus = "free" end))))
  end)

  describe("moves", function()
    it("an event that has DTEND, and keeps how the zone is named", function()
      local text = ics.event("DTSTART;TZID=W. Europe Standard Time:20250303T100000", "DTEND;TZID=W. Europe Standard Time:20250303T110000")
      assert.same(lines("+DTSTART;TZID=W. Europe Standard Time:20250329T233000", "+DTEND;TZID=W. Europe Standard Time:20250330T003000",
        "-DTSTART;TZID=W. Europe Standard Time:20250303T100000", "-DTEND;TZID=W. Europe Standard Time:20250303T110000"),
        (function()
          local diff = only((change(text, function(event) event.start = "2025-03-29T23:30:00" end)))
          local kept = {}
          local inside = false
          for _, line in ipairs(diff) do
            if line:find("W. Europe") and not line:find("TZID:") then kept[#kept + 1] = line end
            inside = inside or line:find("VTIMEZONE") ~= nil
          end
          assert.is_true(inside) -- the zone was not defined: it is now
          return kept
        end)())
    end)
    it("an event that has DURATION", function()
      local text = ics.event("DTSTART:20250303T100000Z", "DURATION:P1D")
      assert.same({ "+DTSTART:20250304T100000Z", "-DTSTART:20250303T100000Z" }, only((change(text, function(event) event.start = "2025-03-04T10:00:00" end))))
      assert.same({ "+DURATION:PT2H", "-DURATION:P1D" }, only((change(text, function(event) event.duration = "PT2H" end))))
    end)
    it("from UTC to a zone, to floating, to days", function()
      local text = ics.event("DTSTART:20250303T100000Z", "DTEND:20250303T110000Z", "RRULE:FREQ=DAILY;UNTIL=20250310T100000Z", "EXDATE:20250304T100000Z")
      local diff, out = change(text, function(event) event.timeZone = "Europe/Berlin" end)
      assert.truthy(table.concat(diff, "\n"):find("+DTSTART;TZID=Europe/Berlin:20250303T100000", 1, true))
      assert.truthy(out:find("EXDATE;TZID=Europe/Berlin:20250304T100000", 1, true))
      assert.truthy(out:find("UNTIL=20250310T090000Z", 1, true))
      diff = change(text, function(event) event.timeZone = nil end)
      assert.same(lines("+DTSTART:20250303T100000", "-DTSTART:20250303T100000Z", "+DTEND:20250303T110000", "-DTEND:20250303T110000Z",
        "+RRULE:FREQ=DAILY;UNTIL=20250310T100000", "-RRULE:FREQ=DAILY;UNTIL=20250310T100000Z", "+EXDATE:20250304T100000",
          "-EXDATE:20250304T100000Z"), only(diff))
      diff = change(text, function(event) return model.edit_all(event, { showWithoutTime = true, duration = "P1D" }, nil, at) end)
      assert.same(lines("+DTSTART;VALUE=DATE:20250303", "-DTSTART:20250303T100000Z", "+DTEND;VALUE=DATE:20250304", "-DTEND:20250303T110000Z",
        "+RRULE:FREQ=DAILY;UNTIL=20250310", "-RRULE:FREQ=DAILY;UNTIL=20250310T100000Z", "+EXDATE;VALUE=DATE:20250304", "-EXDATE:20250304T100000Z",
        "+SEQUENCE:1"), only(diff))
    end)
    it("an end that a local time cannot name, as a duration", function()
      local text = ics.event("DTSTART;TZID=Europe/Berlin:20251025T013000", "DTEND;TZID=Europe/Berlin:20251025T023000")
      local _, out, again = change(text, function(event) event.start, event.duration = "2025-10-26T01:30:00", "PT2H" end)
      assert.truthy(out:find("\r\nDURATION:PT2H\r\n", 1, true))
      assert.equal("PT2H", again.duration)
    end)
    it("a whole series with its overrides and exceptions", function()
      local _, out, again, after = change(series, function(event) return model.edit_all(event, { start = "2025-03-04T11:00:00" }, nil, at) end)
      -- The late override had the sequence number that the master has now.
      after.recurrenceOverrides["2025-03-25T11:00:00"].sequence = nil
      assert.is_true(model.equal(after, again))
      assert.truthy(out:find("X-OVERRIDE:early", 1, true))
      assert.truthy(out:find("X-OVERRIDE:late", 1, true))
      assert.truthy(out:find("RECURRENCE-ID;TZID=Europe/Berlin:20250318T110000", 1, true))
    end)
    it("a series to another zone", function()
      local _, out, again, after = change(series, function(event) return model.edit_all(event, { timeZone = "America/New_York" }, nil, at) end)
      -- The late override, once in UTC, is written in the zone of its series.
      assert.equal(after.timeZone, again.timeZone)
      assert.same(after.recurrenceOverrides["2025-03-10T10:00:00"], again.recurrenceOverrides["2025-03-10T10:00:00"])
      assert.truthy(out:find("TZID:America/New_York", 1, true))
      assert.truthy(out:find("TZID:Europe/Berlin", 1, true))
      assert.truthy(out:find("X-KEEP-ME:zone", 1, true))
    end)
  end)

  it("makes both halves of a split, each with all it had", function()
    local event = mapping:to { text = series }
    local first, second = model.split(event, "2025-03-24T10:00:00", "second-half", at)
    local head = mapping:from(first, { text = series }, at).text
    local tail = mapping:from(second, { text = series }, at).text
    assert.is_true(model.equal(first, mapping:to { text = head }))
    assert.is_true(model.equal(second, mapping:to { text = tail }))
    for _, text in ipairs { head, tail } do
      for _, kept in ipairs { 'X-VENDOR;X-PARAM="a;b":kept', "X-ALARM-NOTE:kept", "ACTION:PROCEDURE", "X-KEEP-ME:zone", "X-WR-CALNAME:Team",
        "X-NUM-GUESTS=0" } do
        assert.truthy(text:gsub("\r\n ", ""):find(kept, 1, true), kept)
      end
    end
    assert.truthy(head:find("RRULE:FREQ=WEEKLY;UNTIL=20250324T085959Z", 1, true))
    assert.truthy(tail:find("RRULE:FREQ=WEEKLY;COUNT=3", 1, true))
    assert.is_nil(tail:find("UID:series-1", 1, true))
    assert.is_nil(head:find("X-OVERRIDE:late", 1, true))
    assert.truthy(tail:find("X-OVERRIDE:late", 1, true))
    assert.truthy(tail:find("RELATED-TO;RELTYPE=FIRST:series-1", 1, true))
  end)

  it("is a merge: a change goes onto a text that has changed since", function()
    local before = mapping:to { text = series }
    local after = model.copy(before)
    after.title = "Mine"
    local fresh = series:gsub("DESCRIPTION:Bring numbers", "DESCRIPTION:Theirs"):gsub("X%-VENDOR", "X-NEWER")
    local text = ical.serialize(assert(ical.patch(ical.parse(fresh), before, after, at)))
    assert.truthy(text:find("DESCRIPTION:Theirs", 1, true))
    assert.truthy(text:find("X-NEWER", 1, true))
    assert.truthy(text:find("SUMMARY;LANGUAGE=en:Mine", 1, true))
  end)

  it("works on overrides without a master", function()
    local text = ics.events({ "UID:o", "RECURRENCE-ID:20250305T100000Z", "DTSTART:20250305T110000Z", "SUMMARY:b", "X-B:1" },
      { "UID:o", "RECURRENCE-ID:20250304T100000Z", "DTSTART:20250304T110000Z", "SUMMARY:a", "X-A:1" })
    local event = mapping:to { text = text }
    assert.equal("a", event.title)
    assert.equal("2025-03-04T10:00:00", event.recurrenceId)
    local diff = only((change(text, function(e) e.title = "A" end)))
    assert.same({ "+SUMMARY:A", "-SUMMARY:a" }, diff)
    diff = only((change(text, function(e) e.recurrenceOverrides["2025-03-05T10:00:00"].title = "B" end)))
    assert.same({ "+SUMMARY:B", "-SUMMARY:b" }, diff)
  end)

  it("keeps a rule it could not read until the rules change", function()
    local text = ics.event("DTSTART:20250303T100000Z", "RRULE:FREQ=SOMETIMES")
    assert.same({ "+SUMMARY:x" }, only((change(text, function(event) event.title = "x" end))))
  end)

  it("answers for what is no event", function()
    for text, code in pairs { ["BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"] = "unsupported", ["<html>"] = "invalid_request",
      [ics.event "X:1"] = "invalid_request" } do
      local event, err = mapping:to { text = text }
      assert.is_nil(event)
      assert.equal(code, err.code)
    end
    local native, err = mapping:from({ uid = "u", start = "never" })
    assert.is_nil(native)
    assert.equal("start", err.field)
    native, err = mapping:from({ uid = "u", start = "2025-03-03T10:00:00", participants = { x = { name = "X" } } })
    assert.is_nil(native)
    assert.equal("participants.x", err.field)
  end)

  it("follows an integrator's mapping", function()
    local mine = mapping:extend { title = mapping.property "X-TITLE", ["acme:code"] = mapping.property("X-CODE", "integer") }
    local text = ics.event("DTSTART:20250303T100000Z", "SUMMARY:s", "X-TITLE:t", "X-CODE:5")
    local event = mine:to { text = text }
    assert.equal("t", event.title)
    assert.equal(5, event["acme:code"])
    event.title, event["acme:code"] = "T", 6
    assert.same({ "+X-CODE:6", "+X-TITLE:T", "-X-CODE:5", "-X-TITLE:t" }, only(ics.diff(text, mine:from(event, { text = text }, at).text)))
    assert.not_equal(mine:digest(), mapping:digest())
  end)
end)

describe("ical.from_events", function()
  local function round(event)
    local text = assert(ical.from_events({ event }, at))
    local root = assert(ical.parse(text, { strict = true }))
    local events, warnings = ical.events(root)
    assert.same({}, warnings)
    return text, events[1]
  end

  it("writes a text that is strictly iCalendar and reads the same", function()
    local event = ical.events(ics.fixture "series")[1]
    local text, again = round(event)
    assert.is_true(model.equal(event, again))
    assert.truthy(text:find("^BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:"))
  end)

  it("writes every field of a new event", function()
    local event = {
      ["@type"] = "Event", uid = "n1", start = "2025-06-01T10:00:00", timeZone = "America/New_York", duration = "PT1H30M", title = "A; b, c\nd",
        description = ("é"):rep(200),
      status = "confirmed", freeBusyStatus = "free", privacy = "private", priority = 1, sequence = 0, created = "2025-01-01T00:00:00Z",
        updated = "2025-01-02T00:00:00Z",
      color = "#00ff00", keywords = { ["a,b"] = true, c = true }, locations = { ["1"] = { name = "Here", coordinates = "geo:1.5,-2" } },
      links = { url = { href = "https://example.com/" }, attach_1 = { href = "https://example.com/a", rel = "enclosure", contentType = "text/plain" } },
      virtualLocations = { ["1"] = { uri = "https://zoom.us/j/1", features = { audio = true, video = true } } },
        ["lunation:conference"] = { uri = "https://zoom.us/j/1", provider = "zoom" },
      participants = { bob_example_com = { email = "bob@example.com", name = 'B "Bob", Jr', sendTo = { imip = "mailto:bob@example.com" },
        roles = { attendee = true, optional = true }, participationStatus = "needs-action", expectReply = true },
        alice_example_com = { email = "alice@example.com", sendTo = { imip = "mailto:alice@example.com" }, roles = { owner = true }, name = "Alice" } },
      replyTo = { imip = "mailto:alice@example.com" }, alerts = { ["1"] = { action = "display", trigger = { offset = "-PT10M" } } },
      relatedTo = { p = { relation = { parent = true } } }, ["lunation:custom"] = { app = { k = "v" } }, ["lunation:showAs"] = "free",
      recurrenceRules = { { frequency = "weekly", byDay = { { day = "su" } }, ["until"] = "2025-08-01T10:00:00" } },
        excludedRecurrenceRules = { { frequency = "monthly" } },
      recurrenceOverrides = { ["2025-06-08T10:00:00"] = { excluded = true }, ["2025-06-15T10:00:00"] = { title = "other" },
        ["2025-06-17T10:00:00"] = {}, ["2025-06-18T10:00:00"] = { duration = "PT5M" } },
    }
    local text, again = round(event)
    assert.is_true(model.equal(event, again))
    assert.truthy(text:find("UNTIL=20250801T140000Z", 1, true))
    assert.truthy(text:find("BEGIN:VTIMEZONE\r\nTZID:America/New_York\r\n", 1, true))
  end)

  it("gives floating times and days no zone, UTC a Z", function()
    local text = round { uid = "f", start = "2025-06-01T10:00:00", duration = "PT1H" }
    assert.truthy(text:find("\r\nDTSTART:20250601T100000\r\n", 1, true))
    assert.is_nil(text:find("VTIMEZONE"))
    text = round { uid = "d", start = "2025-06-01T00:00:00", duration = "P2D", showWithoutTime = true }
    assert.truthy(text:find("\r\nDTSTART;VALUE=DATE:20250601\r\nDTEND;VALUE=DATE:20250603\r\n", 1, true))
    for _, name in ipairs { "UTC", "Etc/UTC" } do
      text = round { uid = "u", start = "2025-06-01T10:00:00", timeZone = name }
      assert.truthy(text:find("\r\nDTSTART:20250601T100000Z\r\n", 1, true))
    end
  end)

  it("keeps days and hours apart", function()
    local text, again = round { uid = "p", start = "2025-03-29T12:00:00", timeZone = "Europe/Berlin", duration = "P1D" }
    assert.truthy(text:find("\r\nDURATION:P1D\r\n", 1, true))
    assert.equal("P1D", again.duration)
    text, again = round { uid = "p", start = "2025-03-29T12:00:00", timeZone = "Europe/Berlin", duration = "PT24H" }
    assert.truthy(text:find("DTEND;TZID=Europe/Berlin:20250330T130000", 1, true))
    assert.equal("PT24H", again.duration)
  end)

  it("defines each zone once, from the year it is first used", function()
    local text = ical.from_events({
      { uid = "1", start = "2005-06-01T10:00:00", timeZone = "America/New_York", duration = "PT1H" },
      { uid = "2", start = "2025-06-01T10:00:00", timeZone = "America/New_York", duration = "PT1H" },
      { uid = "3", start = "2025-06-01T10:00:00", timeZone = "Asia/Tokyo", ["lunation:endTimeZone"] = "Africa/Casablanca", duration = "PT1H" },
    }, at)
    for _, id in ipairs { "America/New_York", "Asia/Tokyo", "Africa/Casablanca" } do
      assert.equal(1, select(2, text:gsub("TZID:" .. id .. "\r\n", "")))
    end
    -- Before 2007 the clocks changed in April and October.
    assert.truthy(text:find("DTSTART:20040404T020000\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nTZNAME:EDT\r\nRDATE:20050403T020000", 1, true))
    local list = ical.instances(text, {})
    assert.same({ 1117634400, 1748739600, 1748786400 }, { list[1].start, list[2].start, list[3].start })
  end)

  it("names the event's wrong field", function()
    local text, err = ical.from_events { { uid = "x", start = "2025-06-01T10:00:00", status = "maybe" } }
    assert.is_nil(text)
    assert.equal("status", err.field)
  end)
end)
