-- Listing, recurrence and sync tokens of the Google emulator, fact by fact.

local emulator = require "spec.support.emulator"
local json = require "lunation.json"

describe("the Google emulator: listing", function()
  local google
  local own = "/calendar/v3/calendars/primary/events"

  setup(function() google = emulator.start "google" end)
  teardown(function() google.stop() end)
  before_each(function() google.reset() end)
  after_each(function() assert.same({}, google.violations()) end)

  local function ask(method, path, options, who)
    options = options or {}
    options.token = "token-" .. (who or "alice")
    return google.ask(method, path, options)
  end

  local function ok(...)
    local answer = ask(...)
    assert.is_truthy(answer.status and answer.status < 300, answer.body or tostring(answer.error))
    return answer.json
  end

  local function refused(status, reason, ...)
    local answer = ask(...)
    assert.equal(status, answer.status, answer.body)
    assert.equal(reason, answer.json.error.errors[1].reason)
  end

  local function at(text, zone) return { dateTime = text, timeZone = zone or "Europe/Berlin" } end

  local function add(fields, who)
    local body = { start = at "2025-06-02T10:00:00", ["end"] = at "2025-06-02T11:00:00" }
    for name, value in pairs(fields or {}) do body[name] = value end
    return ok("POST", own, { body = body }, who)
  end

  local function weekly(id, count)
    return add { id = id, start = at "2025-03-17T09:00:00", ["end"] = at "2025-03-17T09:30:00", recurrence = { "RRULE:FREQ=WEEKLY;COUNT=" .. count } }
  end

  local function list(query, who)
    local answer = ok("GET", own, { query = query }, who)
    local told = {}
    for i, one in ipairs(answer.items) do told[i] = one.id .. (one.status == "cancelled" and " -" or "") end
    table.sort(told)
    return told, answer
  end

  describe("pages", function()
    it("go on to the last, which alone has a sync token", function()
      for i = 1, 5 do add { id = "event" .. i } end
      local seen, token = {}, nil
      for page = 1, 3 do
        local answer = ok("GET", own, { query = { maxResults = 2, pageToken = token } })
        for _, one in ipairs(answer.items) do seen[#seen + 1] = one.id end
        token = answer.nextPageToken
        assert.equal(page == 3, answer.nextSyncToken ~= nil)
        assert.equal(page < 3, token ~= nil)
      end
      assert.same({ "event1", "event2", "event3", "event4", "event5" }, seen)
    end)

    it("are of the parameters they began with", function()
      for i = 1, 3 do add { id = "event" .. i } end
      local token = ok("GET", own, { query = { maxResults = 2 } }).nextPageToken
      refused(400, "invalid", "GET", own, { query = { maxResults = 2, singleEvents = "true", pageToken = token } })
      refused(400, "invalid", "GET", own, { query = { maxResults = 2, pageToken = "made-up" } })
    end)

    it("may be empty or short while there are more", function()
      for i = 1, 3 do add { id = "event" .. i } end
      google.fault { match = { path = "/events$" }, fault = "empty_page" }
      local first = ok("GET", own)
      assert.same({ {}, nil }, { first.items, first.nextSyncToken })
      google.fault { match = { path = "/events$" }, fault = "short_page", items = 2 }
      local second = ok("GET", own, { query = { pageToken = first.nextPageToken } })
      assert.equal(2, #second.items)
      assert.equal(1, #ok("GET", own, { query = { pageToken = second.nextPageToken } }).items)
    end)
  end)

  describe("filters", function()
    it("by time have exclusive bounds and want an offset", function()
      add { id = "event1" }
      assert.same({}, (list { timeMin = "2025-06-02T11:00:00+02:00" }))
      assert.same({ "event1" }, (list { timeMin = "2025-06-02T10:59:59+02:00" }))
      assert.same({}, (list { timeMax = "2025-06-02T10:00:00+02:00" }))
      assert.same({ "event1" }, (list { timeMax = "2025-06-02T10:00:01+02:00" }))
      refused(400, "timeRangeEmpty", "GET", own, { query = { timeMin = "2025-06-02T00:00:00Z", timeMax = "2025-06-02T00:00:00Z" } })
      assert.equal(400, ask("GET", own, { query = { timeMin = "2025-06-02T00:00:00" } }).status)
      assert.equal(google.has_contract and 1 or 0, #google.violations())
      google.control("DELETE", "/violations")
    end)

    it("by properties hold all together", function()
      add { id = "event1", extendedProperties = { private = { a = "1", b = "2" } } }
      add { id = "event2", extendedProperties = { private = { a = "1" }, shared = { c = "3" } } }
      assert.same({ "event1", "event2" }, (list { privateExtendedProperty = "a=1" }))
      assert.same({ "event1" }, (list { privateExtendedProperty = { "a=1", "b=2" } }))
      assert.same({ "event2" }, (list { privateExtendedProperty = "a=1", sharedExtendedProperty = "c=3" }))
    end)

    it("by text look at guests too, by type at types", function()
      add { id = "event1", summary = "Team lunch", location = "Roof" }
      add { id = "event2", attendees = { { email = "carol@elsewhere.test", displayName = "Carol" } } }
      add { id = "event3", eventType = "focusTime", summary = "Deep work" }
      assert.same({ "event1" }, (list { q = "ROOF lunch" }))
      assert.same({ "event2" }, (list { q = "carol" }))
      assert.same({ "event3" }, (list { eventTypes = "focusTime" }))
      assert.same({ "event1", "event2", "event3" }, (list { eventTypes = { "focusTime", "default" } }))
    end)

    it("by change tell deletions too, and not from too long ago", function()
      local first = add { id = "event1" }
      add { id = "event2" }
      local before = ok("GET", own .. "/event2").updated
      ok("DELETE", own .. "/event1")
      assert.same({ "event1 -", "event2" }, (list { updatedMin = before }))
      assert.is_nil(ok("GET", own, { query = { updatedMin = first.updated } }).nextSyncToken)
      refused(410, "updatedMinTooLongAgo", "GET", own, { query = { updatedMin = "2020-01-01T00:00:00Z" } })
    end)
  end)

  describe("recurrence", function()
    it("wants a zone and lines without DTSTART", function()
      local function bad(reason, fields)
        local body = { start = at "2025-06-02T10:00:00", ["end"] = at "2025-06-02T11:00:00", recurrence = { "RRULE:FREQ=DAILY" } }
        for name, value in pairs(fields) do body[name] = value end
        refused(400, reason, "POST", own, { body = body })
      end
      bad("required", { start = { dateTime = "2025-06-02T08:00:00Z" } })
      bad("required", { ["end"] = { dateTime = "2025-06-02T09:00:00Z" } })
      bad("invalid", { recurrence = { "DTSTART:20250602T100000", "RRULE:FREQ=DAILY" } })
      bad("invalid", { recurrence = { "RRULE:FREQ=SOMETIMES" } })
    end)

    it("is expanded in the zone of the event: identifiers in UTC, originals as the series has them", function()
      weekly("series1", 3)
      local items = ok("GET", own .. "/series1/instances").items
      local told = {}
      for i, one in ipairs(items) do told[i] = { one.id, one.start.dateTime, one.originalStartTime.dateTime, one.recurringEventId, one.recurrence } end
      assert.same({
        { "series1_20250317T080000Z", "2025-03-17T09:00:00+01:00", "2025-03-17T09:00:00+01:00", "series1" },
        { "series1_20250324T080000Z", "2025-03-24T09:00:00+01:00", "2025-03-24T09:00:00+01:00", "series1" },
        { "series1_20250331T070000Z", "2025-03-31T09:00:00+02:00", "2025-03-31T09:00:00+02:00", "series1" },
      }, told)
    end)

    it("names all-day instances by their day", function()
      add { id = "series1", start = { date = "2025-03-29" }, ["end"] = { date = "2025-03-31" },
        recurrence = { "RRULE:FREQ=DAILY;COUNT=2", "RDATE;VALUE=DATE:20250410" } }
      local items = ok("GET", own .. "/series1/instances").items
      assert.same({ "series1_20250329", { date = "2025-03-29" }, { date = "2025-03-31" }, { date = "2025-03-29" } },
        { items[1].id, items[1].start, items[1]["end"], items[1].originalStartTime })
      assert.equal("series1_20250410", items[3].id)
    end)

    it("leaves times that a gap skips where RFC 5545 puts them", function()
      add { id = "series1", start = at("2025-03-08T02:30:00", "America/New_York"), ["end"] = at("2025-03-08T03:00:00", "America/New_York"),
        recurrence = { "RRULE:FREQ=DAILY;COUNT=3" } }
      local items = ok("GET", own .. "/series1/instances", { query = { timeZone = "America/New_York" } }).items
      assert.same({ "2025-03-08T02:30:00-05:00", "2025-03-09T03:30:00-04:00", "2025-03-10T02:30:00-04:00" },
        { items[1].start.dateTime, items[2].start.dateTime, items[3].start.dateTime })
    end)

    it("makes exceptions of changed instances, which keep their original start", function()
      weekly("series1", 3)
      local id = "series1_20250324T080000Z"
      local moved = ok("PATCH", own .. "/" .. id, {
        body = { start = { dateTime = "2025-03-25T15:00:00+01:00" }, ["end"] = { dateTime = "2025-03-25T16:00:00+01:00" } },
      })
      assert.same({ id, "2025-03-24T09:00:00+01:00", "series1" }, { moved.id, moved.originalStartTime.dateTime, moved.recurringEventId })
      assert.same({ "series1", id }, (list {}))
      assert.same({ "series1_20250317T080000Z", id, "series1_20250331T070000Z" }, (list { singleEvents = "true" }))
      local ordered = ok("GET", own, { query = { singleEvents = "true", orderBy = "startTime", timeMin = "2025-03-25T00:00:00Z" } }).items
      assert.same({ "2025-03-25T15:00:00+01:00", "2025-03-31T09:00:00+02:00" }, { ordered[1].start.dateTime, ordered[2].start.dateTime })
    end)

    it("tells cancelled instances of a series that goes on, whatever showDeleted says, but not among single ones", function()
      weekly("series1", 3)
      ok("DELETE", own .. "/series1_20250324T080000Z")
      local _, answer = list { showDeleted = "false" }
      local gone = answer.items[2]
      gone.etag = nil
      assert.same({ kind = "calendar#event", id = "series1_20250324T080000Z", status = "cancelled", recurringEventId = "series1",
        originalStartTime = at "2025-03-24T09:00:00+01:00" }, gone)
      assert.same({ "series1_20250317T080000Z", "series1_20250331T070000Z" }, (list { singleEvents = "true" }))
      assert.same({ "series1_20250317T080000Z", "series1_20250324T080000Z -", "series1_20250331T070000Z" },
        (list { singleEvents = "true", showDeleted = "true" }))
      assert.equal(2, #ok("GET", own .. "/series1/instances").items)
      assert.equal(3, #ok("GET", own .. "/series1/instances", { query = { showDeleted = "true" } }).items)
      assert.equal("confirmed", ok("PATCH", own .. "/series1_20250324T080000Z", { body = { status = "confirmed" } }).status)
    end)

    it("has no instance that the rule does not have", function()
      weekly("series1", 3)
      for _, id in ipairs { "series1_20250318T080000Z", "series1_20250317T090000Z", "series1_20250317", "series1_20250407T070000Z" } do
        refused(404, "notFound", "GET", own .. "/" .. id)
      end
    end)

    it("resets the exceptions that a change of the series leaves without a place", function()
      weekly("series1", 4)
      ok("PATCH", own .. "/series1_20250324T080000Z", { body = { summary = "Kept" } })
      ok("PATCH", own .. "/series1_20250407T070000Z", { body = { summary = "Lost" } })
      local _, before = list {}
      ok("PATCH", own .. "/series1", { body = { recurrence = { "RRULE:FREQ=WEEKLY;UNTIL=20250331T065959Z" } } })
      assert.same({ "series1", "series1_20250407T070000Z -" }, (list { syncToken = before.nextSyncToken }))
      assert.equal("Kept", ok("GET", own .. "/series1_20250324T080000Z").summary)
      assert.same({ "series1", "series1_20250324T080000Z" }, (list {}))
    end)

    it("gives instances back that a series has again", function()
      local days = { start = { date = "2025-03-17" }, ["end"] = { date = "2025-03-18" }, recurrence = { "RRULE:FREQ=WEEKLY;COUNT=3" } }
      days.id = "series1"
      add(days)
      ok("PATCH", own .. "/series1_20250324", { body = { summary = "Other" } })
      local times = { start = at "2025-03-17T09:00:00", ["end"] = at "2025-03-17T09:30:00", recurrence = days.recurrence }
      ok("PUT", own .. "/series1", { body = times })
      assert.equal("cancelled", ok("GET", own .. "/series1_20250324").status)
      days.id = nil
      ok("PUT", own .. "/series1", { body = days })
      local back = ok("GET", own .. "/series1_20250324")
      assert.same({ "confirmed" }, { back.status, back.summary })
      assert.equal("Again", ok("PATCH", own .. "/series1_20250324", { body = { summary = "Again" } }).summary)
    end)

    it("invites to one instance alone", function()
      weekly("series1", 3)
      local id = "series1_20250324T080000Z"
      ok("PATCH", own .. "/" .. id, { body = { attendees = { { email = "bob@example.com" } } } })
      assert.same({ id }, (list({}, "bob")))
      assert.equal("series1", ok("GET", own .. "/" .. id, nil, "bob").recurringEventId)
    end)

    it("lets a guest answer for one instance, and leave one", function()
      add { id = "series1", start = at "2025-03-17T09:00:00", ["end"] = at "2025-03-17T09:30:00", recurrence = { "RRULE:FREQ=WEEKLY;COUNT=3" },
        attendees = { { email = "bob@example.com" } } }
      local id = "series1_20250324T080000Z"
      ok("PATCH", own .. "/" .. id, { body = { attendees = { { email = "bob@example.com", responseStatus = "declined" } } } }, "bob")
      assert.equal("declined", ok("GET", own .. "/" .. id).attendees[1].responseStatus)
      assert.equal("needsAction", ok("GET", own .. "/series1").attendees[1].responseStatus)
      ok("DELETE", own .. "/series1_20250331T070000Z")
      assert.equal("cancelled", ok("GET", own .. "/series1_20250331T070000Z", nil, "bob").status)
    end)
  end)

  describe("sync tokens", function()
    it("tell what changed since, deletions among it, and nothing twice", function()
      add { id = "event1" }
      add { id = "event2" }
      local _, first = list {}
      assert.same({}, (list { syncToken = first.nextSyncToken }))
      ok("PATCH", own .. "/event1", { body = { summary = "x" } })
      ok("PATCH", own .. "/event1", { body = { summary = "y" } })
      ok("DELETE", own .. "/event2")
      local told, second = list { syncToken = first.nextSyncToken }
      assert.same({ "event1", "event2 -" }, told)
      assert.same({}, (list { syncToken = second.nextSyncToken }))
      for _, one in ipairs(second.items) do
        if one.id == "event2" then assert.same({ "calendar#event", "event2", "cancelled" }, { one.kind, one.id, one.status, one.summary }) end
      end
    end)

    it("come in pages too", function()
      local _, first = list {}
      for i = 1, 3 do add { id = "event" .. i } end
      local page = ok("GET", own, { query = { syncToken = first.nextSyncToken, maxResults = 2 } })
      assert.same({ 2, nil }, { #page.items, page.nextSyncToken })
      page = ok("GET", own, { query = { syncToken = first.nextSyncToken, maxResults = 2, pageToken = page.nextPageToken } })
      assert.equal(1, #page.items)
      assert.is_string(page.nextSyncToken)
    end)

    it("are refused with the parameters that would leave gaps, and noted with others than the first", function()
      local _, first = list {}
      local values = { iCalUID = "x", orderBy = "updated", privateExtendedProperty = "a=b", q = "x", sharedExtendedProperty = "a=b",
        timeMin = "2025-01-01T00:00:00Z", timeMax = "2025-02-01T00:00:00Z", updatedMin = ok("GET", own).updated, showDeleted = "false" }
      for name, value in pairs(values) do
        refused(400, "badRequest", "GET", own, { query = { syncToken = first.nextSyncToken, [name] = value } })
      end
      list { syncToken = first.nextSyncToken, singleEvents = "true" }
      assert.is_truthy(google.violations()[1].message:find("the sync token was made with", 1, true))
      google.control("DELETE", "/violations")
    end)

    it("end, and then a full sync is required", function()
      local _, first = list {}
      google.control("POST", "/expire")
      refused(410, "fullSyncRequired", "GET", own, { query = { syncToken = first.nextSyncToken } })
      refused(400, "invalid", "GET", own, { query = { syncToken = "made-up" } })
    end)

    it("remember the window of the sync they began with", function()
      add { id = "old01", start = at "2024-06-02T10:00:00", ["end"] = at "2024-06-02T11:00:00" }
      local told, first = list { timeMin = "2025-01-01T00:00:00Z" }
      assert.same({}, told)
      add { id = "neo01" }
      assert.same({ "neo01" }, (list { syncToken = first.nextSyncToken }))
    end)

    it("of single events tell instances: changed, new, and those that are no more", function()
      weekly("series1", 4)
      local _, first = list { singleEvents = "true" }
      ok("PATCH", own .. "/series1", { body = { recurrence = { "RRULE:FREQ=WEEKLY;COUNT=2" } } })
      local told, second = list { syncToken = first.nextSyncToken, singleEvents = "true" }
      assert.same({ "series1_20250317T080000Z", "series1_20250324T080000Z", "series1_20250331T070000Z -", "series1_20250407T070000Z -" }, told)
      ok("DELETE", own .. "/series1")
      assert.same({ "series1_20250317T080000Z -", "series1_20250324T080000Z -" }, (list { syncToken = second.nextSyncToken, singleEvents = "true" }))
    end)

    it("tell a deleted series with the exceptions it took along", function()
      weekly("series1", 3)
      ok("PATCH", own .. "/series1_20250324T080000Z", { body = { summary = "x" } })
      local _, first = list {}
      ok("DELETE", own .. "/series1")
      assert.same({ "series1 -", "series1_20250324T080000Z -" }, (list { syncToken = first.nextSyncToken }))
      assert.same({}, (list {}))
      assert.same({ "series1 -", "series1_20250324T080000Z -" }, (list { showDeleted = "true" }))
    end)

    it("of one calendar see a moved event leave, of the other see it come", function()
      local other = ok("POST", "/calendar/v3/calendars", { body = { summary = "Other" } })
      local there = "/calendar/v3/calendars/" .. other.id:gsub("@", "%%40") .. "/events"
      add { id = "event1" }
      local _, here = list {}
      local beyond = ok("GET", there)
      local moved = ok("POST", own .. "/event1/move", { query = { destination = other.id } })
      assert.same({ other.id, "event1@google.com" }, { moved.organizer.email, moved.iCalUID })
      assert.same({ "event1 -" }, (list { syncToken = here.nextSyncToken }))
      assert.equal("event1", ok("GET", there, { query = { syncToken = beyond.nextSyncToken } }).items[1].id)
    end)

    it("see a conference become ready", function()
      ok("POST", own, { query = { conferenceDataVersion = 1 }, body = { id = "event1", start = at "2025-06-02T10:00:00", ["end"] = at "2025-06-02T11:00:00",
        conferenceData = { createRequest = { requestId = "a", conferenceSolutionKey = { type = "hangoutsMeet" } } } } })
      google.control("POST", "/options", { meet_seconds = 0 })
      local _, first = list {}
      assert.equal("success", first.items[1].conferenceData.createRequest.status.statusCode)
      assert.same({ "event1" }, (list { syncToken = first.nextSyncToken }))
    end)

    it("of the list of calendars tell what was hidden and deleted", function()
      local other = ok("POST", "/calendar/v3/calendars", { body = { summary = "Other" } })
      local first = ok("GET", "/calendar/v3/users/me/calendarList")
      local path = "/calendar/v3/users/me/calendarList/" .. other.id
      ok("PATCH", path, { body = { hidden = true } })
      local second = ok("GET", "/calendar/v3/users/me/calendarList", { query = { syncToken = first.nextSyncToken } })
      assert.same({ 1, true }, { #second.items, second.items[1].hidden })
      refused(400, "badRequest", "GET", "/calendar/v3/users/me/calendarList", { query = { syncToken = first.nextSyncToken, showHidden = "false" } })
      ok("DELETE", "/calendar/v3/calendars/" .. other.id)
      local third = ok("GET", "/calendar/v3/users/me/calendarList", { query = { syncToken = second.nextSyncToken } })
      assert.same({ other.id, true, json.null }, { third.items[1].id, third.items[1].deleted, third.items[1].summary or json.null })
    end)
  end)
end)
