-- What Google Calendar really does, fact by fact, of the emulator that stands in for it.

local emulator = require "spec.support.emulator"
local json = require "lunation.json"

describe("the Google emulator: events", function()
  local google
  local own = "/calendar/v3/calendars/primary/events"

  setup(function() google = emulator.start("google", { args = { "--zone", "bob@example.com=America/New_York" } }) end)
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
    return answer.json, answer
  end

  local function refused(status, reason, ...)
    local answer = ask(...)
    assert.equal(status, answer.status, answer.body)
    if reason then assert.equal(reason, answer.json.error.errors[1].reason) end
    return answer
  end

  local function at(text, zone) return { dateTime = text, timeZone = zone or "Europe/Berlin" } end

  local function add(fields, query, who)
    local body = { start = at "2025-06-02T10:00:00", ["end"] = at "2025-06-02T11:00:00" }
    for name, value in pairs(fields or {}) do body[name] = value end
    return ok("POST", own, { body = body, query = query }, who)
  end

  local function ids(answer)
    local list = {}
    for i, one in ipairs(answer.items) do list[i] = one.id end
    return list
  end

  local function mails()
    local list = {}
    for i, one in ipairs(google.control("GET", "/notifications").mails) do list[i] = { one.kind, one.sendUpdates, table.concat(one.to, " ") } end
    return list
  end

  describe("identifiers", function()
    it("may be chosen in base32hex, and are taken once, even by what was deleted", function()
      assert.equal("abc0123", add({ id = "abc0123" }).id)
      local body = { id = "abc0123", start = at "2025-06-02T10:00:00", ["end"] = at "2025-06-02T11:00:00" }
      refused(409, "duplicate", "POST", own, { body = body })
      ok("DELETE", own .. "/abc0123")
      refused(409, "duplicate", "POST", own, { body = body })
      for _, bad in ipairs { "abcd", "ABCDEF", "with-dash", "wxyz0" } do
        body.id = bad
        refused(400, "invalid", "POST", own, { body = body })
      end
    end)

    it("are not the iCalUID, which import wants and answers for once", function()
      local made = add()
      assert.equal(made.id .. "@google.com", made.iCalUID)
      local body = { iCalUID = "one@elsewhere", summary = "First", start = at "2025-06-02T10:00:00", ["end"] = at "2025-06-02T11:00:00" }
      local first = ok("POST", own .. "/import", { body = body })
      body.summary = "Second"
      local second = ok("POST", own .. "/import", { body = body })
      assert.same({ first.id, "Second" }, { second.id, second.summary })
      assert.same({ first.id }, ids(ok("GET", own, { query = { iCalUID = "one@elsewhere" } })))
    end)
  end)

  describe("times", function()
    it("are shown in the calendar's zone, keep their own, and are shown in the zone asked for", function()
      local made = add { start = at("2025-03-10T09:00:00", "America/New_York"), ["end"] = at("2025-03-10T10:00:00", "America/New_York") }
      assert.same({ dateTime = "2025-03-10T14:00:00+01:00", timeZone = "America/New_York" }, made.start)
      local shown = ok("GET", own .. "/" .. made.id, { query = { timeZone = "Asia/Tokyo" } })
      assert.same({ dateTime = "2025-03-10T22:00:00+09:00", timeZone = "America/New_York" }, shown.start)
    end)

    it("must be there, of one kind, of a zone that exists, and not end before they begin", function()
      local function bad(start, finish, reason)
        local body = { start = start, ["end"] = finish }
        refused(400, reason, "POST", own, { body = body })
      end
      bad(at "2025-06-02T10:00:00", at "2025-06-02T09:00:00", "timeRangeEmpty")
      bad({ date = "2025-06-02" }, at "2025-06-02T09:00:00", "invalid")
      bad({ date = "2025-06-02" }, { date = "2025-06-02" }, "timeRangeEmpty")
      bad(at("2025-06-02T10:00:00", "Mars/Base"), at "2025-06-02T11:00:00", "invalid")
    end)

    it("change their kind in a patch only when the other kind is emptied", function()
      local made = add()
      local body = { start = { date = "2025-06-02" }, ["end"] = { date = "2025-06-03" } }
      refused(400, "invalid", "PATCH", own .. "/" .. made.id, { body = body })
      for _, name in ipairs { "start", "end" } do body[name].dateTime = json.null end
      assert.same({ date = "2025-06-02" }, ok("PATCH", own .. "/" .. made.id, { body = body }).start)
    end)
  end)

  describe("writing", function()
    it("merges a patch and replaces by an update", function()
      local made = add { summary = "A", description = "B", extendedProperties = { private = { a = "1", b = "2" } } }
      local patched = ok("PATCH", own .. "/" .. made.id, { body = { summary = json.null, extendedProperties = { private = { b = json.null, c = "3" } } } })
      assert.same({ nil, "B", { a = "1", c = "3" } }, { patched.summary, patched.description, patched.extendedProperties.private })
      local updated = ok("PUT", own .. "/" .. made.id, { body = { start = made.start, ["end"] = made["end"], summary = "C" } })
      assert.same({ "C" }, { updated.summary, updated.description, updated.extendedProperties })
    end)

    it("is refused for another version, and told not to be needed for the same", function()
      local made = add()
      local path = own .. "/" .. made.id
      local changed, answer = ok("PATCH", path, { body = { summary = "x" }, headers = { ["if-match"] = made.etag } })
      assert.equal(changed.etag, answer.headers.etag)
      refused(412, "conditionNotMet", "PATCH", path, { body = { summary = "y" }, headers = { ["if-match"] = made.etag } })
      refused(412, "conditionNotMet", "DELETE", path, { headers = { ["if-match"] = made.etag } })
      assert.equal(304, ask("GET", path, { headers = { ["if-none-match"] = changed.etag } }).status)
      assert.equal(200, ask("GET", path, { headers = { ["if-none-match"] = made.etag } }).status)
    end)

    it("counts the sequence by changes of time alone, and changes nothing of `updated` by reminders", function()
      local made = add()
      local path = own .. "/" .. made.id
      assert.equal(0, ok("PATCH", path, { body = { summary = "x" } }).sequence)
      local moved = ok("PATCH", path, { body = { ["end"] = { dateTime = "2025-06-02T12:00:00+02:00" } } })
      assert.equal(1, moved.sequence)
      local reminded = ok("PATCH", path, { body = { reminders = { useDefault = false, overrides = { { method = "email", minutes = 30 } } } } })
      assert.equal(moved.updated, reminded.updated)
      assert.not_equal(moved.etag, reminded.etag)
    end)

    it("drops the conference of a request that does not say it knows conferences", function()
      local request = { createRequest = { requestId = "one", conferenceSolutionKey = { type = "hangoutsMeet" } } }
      assert.is_nil(add({ conferenceData = request }).conferenceData)
      local made = add({ conferenceData = request }, { conferenceDataVersion = 1 })
      assert.equal("pending", made.conferenceData.createRequest.status.statusCode)
      local path = own .. "/" .. made.id
      local done = ok("GET", path)
      assert.equal("success", done.conferenceData.createRequest.status.statusCode)
      assert.equal("video", done.conferenceData.entryPoints[1].entryPointType)
      local same = ok("PATCH", path, { body = { conferenceData = request }, query = { conferenceDataVersion = 1 } })
      assert.equal(done.hangoutLink, same.hangoutLink)
      assert.is_nil(ok("PATCH", path, { body = { summary = "x" } }).conferenceData)
    end)

    it("makes only conferences that the calendar allows, and some of them fail", function()
      local body = { start = at "2025-06-02T10:00:00", ["end"] = at "2025-06-02T11:00:00",
        conferenceData = { createRequest = { requestId = "a", conferenceSolutionKey = { type = "eventHangout" } } } }
      refused(400, "invalid", "POST", own, { body = body, query = { conferenceDataVersion = 1 } })
      google.fault { match = { method = "POST" }, fault = "conference_failure" }
      local made = add({ conferenceData = { createRequest = { requestId = "b" } } }, { conferenceDataVersion = 1 })
      local failed = ok("GET", own .. "/" .. made.id).conferenceData
      assert.same({ "failure" }, { failed.createRequest.status.statusCode, failed.conferenceSolution, failed.entryPoints })
    end)

    it("keeps the type of an event, and makes some types only as they are", function()
      local body = { summary = "Focus", eventType = "focusTime", start = at "2025-06-02T10:00:00", ["end"] = at "2025-06-02T11:00:00",
        focusTimeProperties = { chatStatus = "doNotDisturb" } }
      local made = ok("POST", own, { body = body })
      assert.equal("focusTime", made.eventType)
      refused(400, nil, "PATCH", own .. "/" .. made.id, { body = { eventType = "default" } })
      refused(400, nil, "PATCH", own .. "/" .. made.id, { body = { attendees = { { email = "bob@example.com" } } } })
      body.start, body["end"] = { date = "2025-06-02" }, { date = "2025-06-03" }
      refused(400, nil, "POST", own, { body = body })
      body.eventType, body.focusTimeProperties, body.workingLocationProperties = "workingLocation", nil, { type = "homeOffice", homeOffice = {} }
      refused(400, nil, "POST", own, { body = body })
      body.visibility, body.transparency = "public", "transparent"
      local place = ok("POST", own, { body = body })
      local other = ok("POST", "/calendar/v3/calendars", { body = { summary = "Other" } })
      refused(400, nil, "POST", own .. "/" .. place.id .. "/move", { query = { destination = other.id } })
      refused(400, nil, "POST", "/calendar/v3/calendars/" .. other.id .. "/events", { body = body })
      body = { eventType = "birthday", summary = "Ada", start = { date = "2025-12-10" }, ["end"] = { date = "2025-12-11" }, visibility = "private",
        transparency = "transparent", recurrence = { "RRULE:FREQ=YEARLY" } }
      assert.equal("birthday", ok("POST", own, { body = body }).eventType)
      body.recurrence = nil
      refused(400, nil, "POST", own, { body = body })
    end)

    it("leaves a deleted event to be read as cancelled, and brings it back by its status", function()
      local made = add()
      local path = own .. "/" .. made.id
      assert.equal(204, ask("DELETE", path).status)
      assert.same({ "cancelled" }, { ok("GET", path).status, ok("GET", path).summary })
      refused(410, "deleted", "DELETE", path)
      assert.equal("confirmed", ok("PATCH", path, { body = { status = "confirmed" } }).status)
      refused(404, "notFound", "GET", own .. "/nothing0")
    end)

    it("looks at attachments only where the client knows them", function()
      local files = { { fileUrl = "https://drive.google.com/file/d/f1/view", title = "One" } }
      assert.is_nil(add({ attachments = files }).attachments)
      assert.equal("One", add({ attachments = files }, { supportsAttachments = "true" }).attachments[1].title)
    end)
  end)

  describe("guests", function()
    it("have a copy with what is shared, their own reminders and properties", function()
      local made = add({ summary = "Plan", attendees = { { email = "bob@example.com" } },
        extendedProperties = { private = { a = "1" }, shared = { b = "2" } } }, { sendUpdates = "all" })
      local copy = ok("GET", own .. "/" .. made.id, nil, "bob")
      assert.same({ "Plan", { shared = { b = "2" } }, { email = "alice@example.com", displayName = "Alice" } },
        { copy.summary, copy.extendedProperties, copy.organizer })
      ok("PATCH", own .. "/" .. made.id, { body = { extendedProperties = { private = { c = "3" } }, colorId = "5" } }, "bob")
      ok("PATCH", own .. "/" .. made.id, { body = { summary = "Plan B" } })
      copy = ok("GET", own .. "/" .. made.id, nil, "bob")
      assert.same({ "Plan B", { private = { c = "3" }, shared = { b = "2" } }, "5" }, { copy.summary, copy.extendedProperties, copy.colorId })
      assert.is_nil(ok("GET", own .. "/" .. made.id).extendedProperties.private.c)
      assert.same({ { "invitation", "all", "bob@example.com" }, { "update", nil, "" } }, mails())
    end)

    it("answer on their copy, and change nothing else", function()
      local made = add { attendees = { { email = "bob@example.com" }, { email = "x@elsewhere.test" } } }
      local path = own .. "/" .. made.id
      ok("PATCH", path, { body = { attendees = { { email = "bob@example.com", responseStatus = "tentative" } }, attendeesOmitted = true },
        query = { sendUpdates = "all" } }, "bob")
      local seen = ok("GET", path).attendees
      assert.same({ "tentative", "needsAction" }, { seen[1].responseStatus, seen[2].responseStatus })
      refused(403, "forbiddenForNonOrganizer", "PATCH", path, { body = { start = { dateTime = "2025-06-02T10:30:00+02:00" } } }, "bob")
      refused(403, "forbiddenForNonOrganizer", "PATCH", path, { body = { extendedProperties = { shared = { a = "1" } } } }, "bob")
      ok("DELETE", path, nil, "bob")
      assert.equal("declined", ok("GET", path).attendees[1].responseStatus)
      assert.equal("cancelled", ok("GET", path, nil, "bob").status)
    end)

    it("may invite others, or change everything, where they are let", function()
      google.control("POST", "/users", { email = "carol@example.com", token = "token-carol" })
      local made = add { summary = "Plan", attendees = { { email = "BOB@example.com" } } }
      local path = own .. "/" .. made.id
      local list = ok("GET", path, nil, "bob").attendees
      assert.equal("bob@example.com", list[1].email)
      list[2] = { email = "carol@example.com" }
      ok("PATCH", path, { body = { attendees = list } }, "bob")
      assert.equal("carol@example.com", ok("GET", path).attendees[2].email)
      assert.equal("Plan", ok("GET", path, nil, "carol").summary)
      ok("PATCH", path, { body = { guestsCanModify = true, guestsCanInviteOthers = false } })
      ok("PATCH", path, { body = { summary = "Bob's plan", start = at "2025-06-02T09:00:00" } }, "bob")
      for _, who in ipairs { "alice", "carol" } do
        local seen = ok("GET", path, nil, who)
        assert.same({ "Bob's plan", "2025-06-02T09:00:00+02:00", "alice@example.com" }, { seen.summary, seen.start.dateTime, seen.organizer.email })
      end
      ok("PATCH", path, { body = { guestsCanModify = false } })
      list[3] = { email = "dave@example.com" }
      refused(403, "forbiddenForNonOrganizer", "PATCH", path, { body = { attendees = list } }, "bob")
    end)

    it("lose their copy with the event, or when they are invited no more", function()
      local made = add { attendees = { { email = "bob@example.com" } } }
      ok("PATCH", own .. "/" .. made.id, { body = { attendees = json.array {} }, query = { sendUpdates = "externalOnly" } })
      assert.equal("cancelled", ok("GET", own .. "/" .. made.id, nil, "bob").status)
      assert.same({ "cancellation", "externalOnly", "" }, mails()[2])
      local second = add { attendees = { { email = "bob@example.com" } } }
      ok("DELETE", own .. "/" .. second.id, { query = { sendUpdates = "all" } })
      assert.equal("cancelled", ok("GET", own .. "/" .. second.id, nil, "bob").status)
      assert.same({ "cancellation", "all", "bob@example.com" }, mails()[4])
    end)

    it("see neither the private events of others nor more than busy times without being let", function()
      local made = add { summary = "Secret", visibility = "private" }
      local shown = ok("GET", "/calendar/v3/calendars/alice@example.com/events", nil, "bob")
      assert.same({ "freeBusyReader", nil, "private" }, { shown.accessRole, shown.items[1].summary, shown.items[1].visibility })
      ok("POST", "/calendar/v3/calendars/primary/acl", { body = { role = "reader", scope = { type = "user", value = "bob@example.com" } } })
      assert.is_nil(ok("GET", "/calendar/v3/calendars/alice@example.com/events/" .. made.id, nil, "bob").summary)
      ok("PATCH", own .. "/" .. made.id, { body = { visibility = "default" } })
      assert.equal("Secret", ok("GET", "/calendar/v3/calendars/alice@example.com/events/" .. made.id, nil, "bob").summary)
      refused(403, "requiredAccessLevel", "DELETE", "/calendar/v3/calendars/alice@example.com/events/" .. made.id, nil, "bob")
    end)
  end)

  describe("defaults", function()
    it("are left out where they say nothing, and there where they are always", function()
      local made = add { transparency = "opaque", visibility = "default", guestsCanModify = false, guestsCanInviteOthers = true }
      for _, name in ipairs { "transparency", "visibility", "guestsCanModify", "guestsCanInviteOthers", "attendees", "recurrence" } do
        assert.is_nil(made[name], name)
      end
      assert.same({ "confirmed", "default", 0, { useDefault = true } }, { made.status, made.eventType, made.sequence, made.reminders })
      assert.is_false(add({ guestsCanInviteOthers = false }).guestsCanInviteOthers)
    end)

    it("are chosen by `fields`", function()
      local made = add { summary = "S" }
      local answer = ok("GET", own, { query = { fields = "nextSyncToken,items(id,start/timeZone,organizer(email))" } })
      answer.nextSyncToken = nil
      assert.same({ items = { { id = made.id, start = { timeZone = "Europe/Berlin" }, organizer = { email = "alice@example.com" } } } }, answer)
      refused(400, "invalidParameter", "GET", own, { query = { fields = "items(id" } })
    end)
  end)

  describe("free and busy", function()
    local function query(items, more)
      local body = { timeMin = "2025-06-02T00:00:00Z", timeMax = "2025-06-03T00:00:00Z", items = json.array {} }
      for i, id in ipairs(items) do body.items[i] = { id = id } end
      for name, value in pairs(more or {}) do body[name] = value end
      return { body = body }
    end

    it("merges what touches, leaves out free time and what was declined", function()
      add()
      add { start = at "2025-06-02T11:00:00", ["end"] = at "2025-06-02T12:00:00" }
      add { start = at "2025-06-02T14:00:00", ["end"] = at "2025-06-02T15:00:00", transparency = "transparent" }
      local answer = ok("POST", "/calendar/v3/freeBusy", query({ "alice@example.com" }, { timeZone = "Europe/Berlin" }), "bob")
      assert.same({ { start = "2025-06-02T10:00:00+02:00", ["end"] = "2025-06-02T12:00:00+02:00" } }, answer.calendars["alice@example.com"].busy)
    end)

    it("takes the days of an all-day event in the zone of its calendar", function()
      add({ start = { date = "2025-06-02" }, ["end"] = { date = "2025-06-03" } }, nil, "bob")
      local answer = ok("POST", "/calendar/v3/freeBusy", query({ "bob@example.com" }, { timeMax = "2025-06-04T00:00:00Z" }))
      assert.same({ { start = "2025-06-02T04:00:00Z", ["end"] = "2025-06-03T04:00:00Z" } }, answer.calendars["bob@example.com"].busy)
    end)

    it("tells errors per calendar, opens groups, and has maxima", function()
      google.control("POST", "/groups", { email = "team@example.com", members = { "alice@example.com", "bob@example.com" } })
      local answer = ok("POST", "/calendar/v3/freeBusy", query { "team@example.com", "nobody@example.com" })
      assert.same({ calendars = { "alice@example.com", "bob@example.com" } }, answer.groups["team@example.com"])
      assert.same({ { domain = "global", reason = "notFound" } }, answer.calendars["nobody@example.com"].errors)
      answer = ok("POST", "/calendar/v3/freeBusy", query({ "team@example.com" }, { groupExpansionMax = 1 }))
      assert.equal("groupTooBig", answer.groups["team@example.com"].errors[1].reason)
      local many = {}
      for i = 1, 51 do many[i] = "calendar" .. i .. "@example.com" end
      answer = ok("POST", "/calendar/v3/freeBusy", query(many))
      assert.equal("tooManyCalendarsRequested", answer.calendars["calendar51@example.com"].errors[1].reason)
      refused(400, "invalid", "POST", "/calendar/v3/freeBusy", query({}, { calendarExpansionMax = 51 }))
    end)
  end)
end)
