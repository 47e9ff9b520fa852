-- Google's events as canonical ones and back: fields in tables, whole events at random, and what must survive a change.
local google = require "spec.support.google"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local model = require "lunation.model"
local null = require "lunation.null"

local provider = google.provider()

local function native(fields)
  local event = {
    id = "abc12", etag = '"1"', iCalUID = "abc12@google.com", status = "confirmed",
    start = { dateTime = "2025-03-03T09:30:00+01:00", timeZone = "Europe/Berlin" },
    ["end"] = { dateTime = "2025-03-03T10:30:00+01:00", timeZone = "Europe/Berlin" },
  }
  for name, v in pairs(fields) do event[name] = v end
  for name, v in pairs(event) do
    if v == null then event[name] = nil end
  end
  return event
end

local function read(fields)
  return assert(provider.event:to(native(fields)))
end

-- The native of an event, and what of it differs from the plainest one.
local function written(fields)
  local event = { ["@type"] = "Event", uid = "u1", start = "2025-03-03T09:30:00", timeZone = "Europe/Berlin", duration = "PT1H" }
  for name, v in pairs(fields) do event[name] = v end
  for name, v in pairs(event) do
    if v == null then event[name] = nil end
  end
  return assert(provider.event:from(event)), event
end

local function back(of)
  local copy = mapping.copy(of)
  copy.id = "abc12"
  return assert(provider.event:to(copy))
end

describe("Google's event", function()
  describe("field by field:", function()
    local fields = {
      { "title", { summary = "Team" }, { title = "Team" } },
      { "no title", { summary = "" }, { title = false } },
      { "description", { description = "Bring <b>cake</b>" }, { description = "Bring <b>cake</b>" } },
      { "place", { location = "Room 1" }, { locations = { ["1"] = { ["@type"] = "Location", name = "Room 1" } } } },
      { "free", { transparency = "transparent" }, { freeBusyStatus = "free" } },
      { "busy", { transparency = "opaque" }, { freeBusyStatus = "busy" } },
      { "private", { visibility = "private" }, { privacy = "private" } },
      { "confidential", { visibility = "confidential" }, { privacy = "secret" } },
      { "default visibility", { visibility = "default" }, { privacy = false } },
      { "tentative", { status = "tentative" }, { status = "tentative" } },
      { "colour", { colorId = "7" }, { color = "#46d6db" } },
      { "default reminders", { reminders = { useDefault = true } }, { useDefaultAlerts = true, alerts = false } },
      { "reminders", { reminders = { useDefault = false, overrides = { { method = "email", minutes = 1440 } } } }, { alerts = {
        email_1440 = { ["@type"] = "Alert", action = "email", trigger = { ["@type"] = "OffsetTrigger", offset = "-PT24H" } } } } },
      { "no reminders", { reminders = { useDefault = false, overrides = {} } }, { alerts = false, useDefaultAlerts = false } },
      { "hidden guests", { guestsCanSeeOtherGuests = false }, { hideAttendees = true } },
      { "moments of change", { created = "2025-01-01T00:00:00.000Z", updated = "2025-01-02T03:04:05.120Z" },
        { created = "2025-01-01T00:00:00Z", updated = "2025-01-02T03:04:05.12Z" } },
      { "attachment", { attachments = { { fileUrl = "https://drive/x", title = "x.pdf", mimeType = "application/pdf", fileId = "9" } } }, { links = {
        attach_1 = { ["@type"] = "Link", href = "https://drive/x", rel = "enclosure", title = "x.pdf", contentType = "application/pdf" } } } },
      { "page", { htmlLink = "https://calendar/e" }, { links = { html = { ["@type"] = "Link", href = "https://calendar/e", rel = "alternate" } } } },
      { "source", { source = { url = "https://crm/1", title = "CRM" } }, { links = {
        source = { ["@type"] = "Link", href = "https://crm/1", title = "CRM", rel = "describedby" } } } },
      { "room that Google made", { conferenceData = { conferenceId = "aaa-bbbb-ccc", conferenceSolution = { key = { type = "hangoutsMeet" } },
        entryPoints = { { entryPointType = "phone", uri = "tel:+49123" }, { entryPointType = "video", uri = "https://meet.google.com/aaa-bbbb-ccc" } } } },
        { ["lunation:conference.uri"] = "https://meet.google.com/aaa-bbbb-ccc", ["lunation:conference.provider"] = "google-meet" } },
      { "room that is being made", { conferenceData = { createRequest = { requestId = "1", status = { statusCode = "pending" } } } },
        { ["lunation:conference"] = false } },
      { "kind", { eventType = "focusTime" }, { ["lunation:eventType"] = "focusTime" } },
      { "ordinary kind", { eventType = "default" }, { ["lunation:eventType"] = false } },
      { "zone in other words", { start = { dateTime = "2025-03-03T08:30:00Z", timeZone = "Europe/Berlin" } },
        { start = "2025-03-03T09:30:00", timeZone = "Europe/Berlin" } },
      { "two zones", { ["end"] = { dateTime = "2025-03-03T06:30:00-05:00", timeZone = "America/New_York" } },
        { duration = "PT3H", ["lunation:endTimeZone"] = "America/New_York" } },
      { "UTC", { start = { dateTime = "2025-03-03T08:30:00Z", timeZone = "UTC" } }, { start = "2025-03-03T08:30:00", timeZone = "Etc/UTC" } },
      { "no zone", { start = { dateTime = "2025-03-03T09:30:00+01:00" } }, { start = "2025-03-03T08:30:00", timeZone = "Etc/UTC" } },
      { "zone of the calendar", { start = { dateTime = "2025-03-03T09:30:00+01:00" }, ["lunation:timeZone"] = "Europe/Berlin" },
        { start = "2025-03-03T09:30:00", timeZone = "Europe/Berlin" } },
      { "zone that nobody knows", { start = { dateTime = "2025-03-03T09:30:00+01:00", timeZone = "Mars/Olympus" } },
        { start = "2025-03-03T08:30:00", timeZone = "Etc/UTC" } },
      { "second pass of an hour", { start = { dateTime = "2025-10-26T02:30:00+01:00", timeZone = "Europe/Berlin" },
        ["end"] = { dateTime = "2025-10-26T03:30:00+01:00", timeZone = "Europe/Berlin" } }, { start = "2025-10-26T01:30:00", timeZone = "Etc/UTC" } },
      { "day", { start = { date = "2025-03-30" }, ["end"] = { date = "2025-03-31" } },
        { start = "2025-03-30T00:00:00", duration = "P1D", showWithoutTime = true, timeZone = false } },
      { "days", { start = { date = "2025-03-28" }, ["end"] = { date = "2025-04-01" } }, { duration = "P4D", showWithoutTime = true } },
      { "week", { start = { date = "2025-03-01" }, ["end"] = { date = "2025-03-08" } }, { duration = "P1W" } },
      { "moment", { ["end"] = { dateTime = "2025-03-03T09:30:00+01:00", timeZone = "Europe/Berlin" } }, { duration = false } },
    }
    for _, case in ipairs(fields) do
      it(case[1], function()
        local event = read(case[2])
        for path, wanted in pairs(case[3]) do
          local found = event[path]
          local field, below = path:match("^(lunation:conference)%.(.+)$")
          if field then found = event[field] and event[field][below] end
          if wanted == false then assert.is_nil(found) else assert.same(wanted, found) end
        end
        assert(model.validate(event))
      end)
    end
  end)

  it("lists its guests as Google does, the organizer only where invited", function()
    local event = read {
      organizer = { email = "boss@x.example" },
      attendees = {
        { email = "ada@x.example", displayName = "Ada", responseStatus = "accepted", self = true },
        { email = "room@x.example", resource = true, responseStatus = "needsAction" },
        { email = "bob@x.example", optional = true, comment = "late", responseStatus = "tentative" },
      },
    }
    assert.is_nil(event.participants[model.participant_id "boss@x.example"])
    assert.same({ imip = "mailto:boss@x.example" }, event.replyTo)
    local ada = event.participants[model.participant_id "ada@x.example"]
    assert.same({ "Ada", "accepted", { attendee = true } }, { ada.name, ada.participationStatus, ada.roles })
    assert.equal("resource", event.participants[model.participant_id "room@x.example"].kind)
    local bob = event.participants[model.participant_id "bob@x.example"]
    assert.same({ "late", "tentative", { attendee = true, optional = true } }, { bob.participationComment, bob.participationStatus, bob.roles })
    local organizer = read { attendees = { { email = "a@x.example", organizer = true, responseStatus = "accepted" } } }
    assert.is_true(organizer.participants.a_x_example.roles.owner)
  end)

  describe("is refused by name where it", function()
    local cases = {
      ["has no id"] = { { id = null }, "id" },
      ["has no start"] = { { start = null }, "start" },
      ["has no end"] = { { ["end"] = null }, "duration" },
      ["begins on a day that is none"] = { { start = { date = "2025-02-30" }, ["end"] = { date = "2025-03-01" } }, "start" },
      ["begins at a time that is none"] = { { start = { dateTime = "2025-02-30T09:00:00Z" } }, "start" },
      ["ends before it begins"] = { { ["end"] = { dateTime = "2025-03-03T08:30:00+01:00" } }, "duration" },
      ["has a status that nobody knows"] = { { status = "perhaps" }, "status" },
      ["has a visibility that nobody knows"] = { { visibility = "hidden" }, "privacy" },
      ["has a title that is no text"] = { { summary = { 1 } }, "title" },
      ["has a rule that is none"] = { { recurrence = { "RRULE:FREQ=SOMETIMES" } }, "recurrenceRules" },
      ["has a recurrence that is no list"] = { { recurrence = "RRULE:FREQ=DAILY" }, "recurrenceRules" },
      ["has a line that is none"] = { { recurrence = { "RRULE:FREQ=DAILY", "nonsense" } }, "recurrence" },
      ["has an exception without place"] = { { recurrence = { "RRULE:FREQ=DAILY" }, exceptions = { x = { id = "abc12_x", status = "cancelled" } } },
        "exceptions.abc12_x.originalStartTime" },
      ["recurs in a zone that nobody knows"] = { { recurrence = { "RRULE:FREQ=DAILY" },
        start = { dateTime = "2025-03-03T09:30:00+01:00", timeZone = "Mars/Olympus" } }, "start" },
    }
    for what, case in pairs(cases) do
      it(what, function()
        local event, err = provider.event:to(native(case[1]))
        assert.is_nil(event)
        assert.equal("invalid_request", err.code)
        assert.equal(case[2], err.field)
      end)
    end
  end)

  describe("is written:", function()
    it("with the offset and the zone of its start", function()
      local made = written {}
      assert.same({ dateTime = "2025-03-03T09:30:00+01:00", timeZone = "Europe/Berlin" }, made.start)
      assert.same({ dateTime = "2025-03-03T10:30:00+01:00", timeZone = "Europe/Berlin" }, made["end"])
    end)

    it("as days that no zone moves", function()
      for _, zone in ipairs { "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata", "UTC" } do
        local made = written { showWithoutTime = true, start = "2025-03-30T00:00:00", duration = "P2D", timeZone = null, ["x-zone"] = zone }
        assert.same({ date = "2025-03-30" }, made.start)
        assert.same({ date = "2025-04-01" }, made["end"])
      end
    end)

    it("in UTC under the name that Google uses", function()
      assert.same({ dateTime = "2025-03-03T09:30:00Z", timeZone = "UTC" }, written { timeZone = "Etc/UTC" }.start)
    end)

    it("at its moment where its zone is its own", function()
      assert.same({ dateTime = "2025-07-03T07:30:00Z", timeZone = "UTC" },
        written { start = "2025-07-03T09:30:00", timeZone = "/CET-1CEST,M3.5.0,M10.5.0/3" }.start)
    end)

    it("with lines of recurrence, and what is left out as EXDATE", function()
      local made = written {
        recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "weekly", byDay = { { day = "mo" } }, ["until"] = "2025-06-01T09:30:00" } },
        recurrenceOverrides = { ["2025-03-10T09:30:00"] = { excluded = true }, ["2025-03-12T09:30:00"] = {} },
      }
      assert.same({ "RRULE:FREQ=WEEKLY;UNTIL=20250601T073000Z;BYDAY=MO", "RDATE;TZID=Europe/Berlin:20250312T093000",
        "EXDATE;TZID=Europe/Berlin:20250310T093000" }, made.recurrence)
      assert.is_nil(made.exceptions)
    end)

    it("with dates of a series of days", function()
      local made = written {
        showWithoutTime = true, start = "2025-03-03T00:00:00", duration = "P1D", timeZone = null,
        recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", ["until"] = "2025-03-09T00:00:00" } },
        recurrenceOverrides = { ["2025-03-04T00:00:00"] = { excluded = true } },
      }
      assert.same({ "RRULE:FREQ=DAILY;UNTIL=20250309", "EXDATE;VALUE=DATE:20250304" }, made.recurrence)
    end)

    it("asking for a room without an address", function()
      assert.same({ createRequest = { conferenceSolutionKey = { type = "hangoutsMeet" } } },
        written { ["lunation:conference"] = { generate = true } }.conferenceData)
    end)

    it("with a room of another service, kept where Google would drop it", function()
      local made = written { ["lunation:conference"] = { uri = "https://zoom.us/j/1", provider = "zoom" } }
      assert.equal("https://zoom.us/j/1", made.conferenceData.entryPoints[1].uri)
      made.conferenceData = nil
      assert.same({ uri = "https://zoom.us/j/1", provider = "zoom" }, back(made)["lunation:conference"])
    end)

    it("with the nearest colour, and its own kept beside it", function()
      local made = written { color = "#46d6dc" }
      assert.equal("7", made.colorId)
      assert.equal("#46d6dc", back(made).color)
      made.colorId = "3"
      assert.equal("#dbadff", back(made).color)
    end)
  end)

  describe("is refused where Google cannot keep it:", function()
    local many = {}
    for i = 1, 6 do many[tostring(i)] = { ["@type"] = "Alert", trigger = { ["@type"] = "OffsetTrigger", offset = ("-PT%dM"):format(i) } } end
    local cases = {
      ["more than five reminders"] = { { alerts = many }, "alerts" },
      ["a reminder after the start"] = { { alerts = { a = { trigger = { offset = "PT5M" } } } }, "alerts.a" },
      ["a reminder five weeks before"] = { { alerts = { a = { trigger = { offset = "-P5W" } } } }, "alerts.a" },
      ["properties of 40 KB"] = { { ["lunation:custom"] = { demo = { text = ("x"):rep(40000) } } }, "lunation:custom" },
      ["a file inside"] = { { links = { a = { href = "data:text/plain;base64,eA==", rel = "enclosure" } } }, "links.a" },
      ["a word for a colour that is none"] = { { color = "warmish" }, "color" },
      ["a rule of another calendar"] = { { recurrenceRules = { { frequency = "yearly", rscale = "hebrew" } } }, "recurrenceRules[1]" },
      ["a series in a zone of its own"] = { { timeZone = "/CET-1CEST,M3.5.0,M10.5.0/3", recurrenceRules = { { frequency = "daily" } } }, "start" },
      ["a guest without address"] = { { participants = { a = { name = "A", roles = { attendee = true } } } }, "participants.a" },
    }
    for what, case in pairs(cases) do
      it(what, function()
        local _, event = written {}
        for name, v in pairs(case[1]) do event[name] = v end
        local made, err = provider.event:from(event)
        assert.is_nil(made)
        assert.equal("invalid_request", err.code)
        assert.equal(case[2], err.field)
      end)
    end
  end)

  it("keeps what the mapping does not understand, and properties of others, through every change", function()
    local before = native {
      summary = "Old", gadget = { type = "x" }, guestsCanModify = true,
      attendees = { { email = "a@x.example", responseStatus = "accepted", additionalGuests = 2, id = "9" } },
      extendedProperties = { private = { theirs = "1" }, shared = { other = "2" } },
      reminders = { useDefault = false, overrides = { { method = "sms", minutes = 3 } } },
    }
    local event = assert(provider.event:to(before))
    event.title, event["lunation:custom"] = "New", { demo = { a = 1, b = { true, "x" } } }
    event.participants.b_x_example = { ["@type"] = "Participant", email = "b@x.example", roles = { attendee = true } }
    event.alerts = { popup_5 = { ["@type"] = "Alert", action = "display", trigger = { ["@type"] = "OffsetTrigger", offset = "-PT5M" } } }
    local after = assert(provider.event:from(event, before))
    assert.same({ type = "x" }, after.gadget)
    assert.is_true(after.guestsCanModify)
    assert.same({ email = "a@x.example", responseStatus = "accepted", additionalGuests = 2, id = "9" }, after.attendees[1])
    assert.same({ "b@x.example", "needsAction" }, { after.attendees[2].email, after.attendees[2].responseStatus })
    assert.equal("1", after.extendedProperties.private.theirs)
    assert.same({ other = "2" }, after.extendedProperties.shared)
    assert.same({ demo = { a = 1, b = { true, "x" } } }, assert(provider.event:to(after))["lunation:custom"])
    assert.same({ { method = "sms", minutes = 3 }, { method = "popup", minutes = 5 } }, after.reminders.overrides)
    assert.same("Old", before.summary)
    -- Taken away again.
    event["lunation:custom"] = nil
    assert.same({ theirs = "1" }, assert(provider.event:from(event, after)).extendedProperties.private)
  end)

  it("keeps long properties in pieces that Google takes, without cutting a letter", function()
    local long = ("é"):rep(3000)
    local made = written { ["lunation:custom"] = { demo = { text = long } }, ["lunation:shared"] = { ["app with a very long name, and spaces"] = { x = 1 } } }
    for _, kind in ipairs { "private", "shared" } do
      for key, text in pairs(made.extendedProperties[kind]) do
        assert.is_true(#key <= 44)
        assert.is_true(#text <= 1024)
        assert.is_truthy(utf8.len(text))
      end
    end
    assert.equal(long, back(made)["lunation:custom"].demo.text)
    assert.equal(1, back(made)["lunation:shared"]["app with a very long name, and spaces"].x)
  end)

  it("names the event of a copy by the copy", function()
    local made = written {}
    made.extendedProperties = { private = { ["lunation.uid"] = json.encode { "abc12", "u1" } } }
    assert.equal("u1", back(made).uid)
    made.id, made.iCalUID = "other", "other@google.com"
    assert.equal("other@google.com", assert(provider.event:to(made)).uid)
  end)
end)

-- --- at random ---

local function pick(list) return list[math.random(#list)] end
local function maybe(chance, value) if math.random() < chance then return value end end

local zones = { "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Australia/Lord_Howe", "Etc/UTC" }

local function random_event()
  local all_day = math.random() < 0.3
  local event = {
    ["@type"] = "Event", uid = "u" .. math.random(1e6), title = maybe(0.9, "T" .. math.random(100)),
    description = maybe(0.3, "line one\nline two"), status = maybe(0.5, pick { "confirmed", "tentative" }),
    freeBusyStatus = maybe(0.5, pick { "busy", "free" }), privacy = maybe(0.4, pick { "public", "private", "secret" }),
    color = maybe(0.3, ("#%06x"):format(math.random(0, 0xffffff))), priority = maybe(0.2, math.random(0, 9)),
    keywords = maybe(0.2, { a = true, b = true }), hideAttendees = maybe(0.1, true),
    locations = maybe(0.4, pick {
      { ["1"] = { ["@type"] = "Location", name = "Here" } },
      { x = { ["@type"] = "Location", name = "There", coordinates = "geo:1,2" }, y = { ["@type"] = "Location", name = "Else" } },
    }),
    ["lunation:custom"] = maybe(0.3, { demo = { n = math.random(9), deep = { { a = "é" }, false } } }),
    start = ("2025-%02d-%02dT%02d:%02d:00"):format(math.random(1, 12), math.random(1, 28), math.random(4, 22), math.random(0, 59)),
  }
  if all_day then
    event.start, event.showWithoutTime, event.duration = event.start:sub(1, 10) .. "T00:00:00", true, pick { "P1D", "P3D", "P1W" }
  else
    event.timeZone, event.duration = pick(zones), pick { "PT30M", "PT1H", "PT24H", "PT36H10M" }
    local other = pick(zones)
    if math.random() < 0.2 and other ~= event.timeZone then event["lunation:endTimeZone"] = other end
  end
  if math.random() < 0.4 then
    event.participants = {}
    for i = 1, math.random(1, 4) do
      local email = ("p%d@x.example"):format(i)
      event.participants[model.participant_id(email)] = {
        ["@type"] = "Participant", email = email, sendTo = { imip = "mailto:" .. email }, name = maybe(0.5, "P" .. i),
        roles = { attendee = true, optional = maybe(0.3, true) },
        participationStatus = pick { "accepted", "declined", "tentative", "needs-action" },
      }
    end
  end
  if math.random() < 0.4 then
    event.alerts = { popup_10 = { ["@type"] = "Alert", action = "display", trigger = { ["@type"] = "OffsetTrigger", offset = "-PT10M" } } }
    if math.random() < 0.5 then
      event.alerts = { mine = { ["@type"] = "Alert", action = "email", trigger = { ["@type"] = "OffsetTrigger", offset = "-PT1H", relativeTo = "end" } } }
      if all_day then event.alerts.mine.trigger.offset = "-P10D" end
    end
    local length = event.duration
    if not all_day and length == "PT30M" or length == "PT24H" or length == "PT36H10M" then event.alerts.mine = nil end
    if next(event.alerts) == nil then event.alerts = nil end
  elseif math.random() < 0.5 then
    event.useDefaultAlerts = true
  end
  if math.random() < 0.5 then
    event.recurrenceRules = { pick {
      { ["@type"] = "RecurrenceRule", frequency = "daily", count = 10 },
      { ["@type"] = "RecurrenceRule", frequency = "daily", interval = 2, ["until"] = "2026-12-31T00:00:00" },
      { ["@type"] = "RecurrenceRule", frequency = "daily" },
    } }
    local keys = {}
    for _, found in ipairs((model.expand(event, nil, nil, 8))) do keys[#keys + 1] = found.recurrenceId end
    local overrides = {}
    for i = 2, math.min(6, #keys) do
      local kind = math.random(4)
      if kind == 1 then overrides[keys[i]] = { excluded = true } end
      if kind == 2 then overrides[keys[i]] = { title = "Other " .. i, description = event.description and null or nil } end
      if kind == 3 then overrides[keys[i]] = { start = not all_day and keys[i]:sub(1, 10) .. "T23:15:00" or nil, duration = all_day and "P2D" or "PT5M" } end
    end
    event.recurrenceOverrides = next(overrides) and overrides or nil
  end
  return event
end

describe("events at random", function()
  it("come back as they went, new and as a change of another", function()
    local seed = os.time()
    math.randomseed(seed)
    for round = 1, 400 do
      local event = random_event()
      local made = assert(provider.event:from(event))
      made.id = "abc12"
      for place, exception in pairs(made.exceptions or {}) do exception.id = "abc12_" .. place end
      local again = assert(provider.event:to(json.decode(json.encode(made))))
      assert.is_true(model.equal(event, again), ("seed %d round %d\n%s\n%s"):format(seed, round,
        json.encode(event, { sorted = true, pretty = true }), json.encode(again, { sorted = true, pretty = true })))
      -- Nothing changed, nothing written.
      assert.same(json.encode(made, { sorted = true }), json.encode(assert(provider.event:from(again, made)), { sorted = true }))
      -- Any other event over it.
      local other = random_event()
      other.uid = event.uid
      local changed = assert(provider.event:from(other, made))
      for place, exception in pairs(changed.exceptions or {}) do exception.id = exception.id or "abc12_" .. place end
      local shown = assert(provider.event:to(json.decode(json.encode(changed))))
      local empty = {}
      for key, patch in pairs(shown.recurrenceOverrides or {}) do
        if next(patch) == nil and not (other.recurrenceOverrides or {})[key] then empty[#empty + 1] = key end
      end
      for _, key in ipairs(empty) do shown.recurrenceOverrides[key] = nil end
      if shown.recurrenceOverrides and next(shown.recurrenceOverrides) == nil then shown.recurrenceOverrides = nil end
      assert.is_true(model.equal(other, shown), ("seed %d round %d\n%s\n%s"):format(seed, round,
        json.encode(other, { sorted = true, pretty = true }), json.encode(shown, { sorted = true, pretty = true })))
    end
  end)
end)
