-- POST, PUT and DELETE /event of the connect dialect, over HTTP, on a calendar of lunation's own store.

local connect = require "spec.support.connect"
local json = require "lunation.json"

describe("connect: /event", function()
  local server, call, token
  local user = 0

  setup(function() server = connect.serve() end)
  teardown(function() server.stop() end)
  before_each(function()
    user = user + 1
    call, token = connect.local_user(server, "writer-" .. user)
  end)

  local function create(fields)
    local body = { provider = "local", calendarId = "primary", title = "Talk", start = "2025-11-03T09:00:00Z", ["end"] = "2025-11-03T10:00:00Z" }
    for name, value in pairs(fields or {}) do body[name] = value end
    return call("POST", "/event", { body = body })
  end
  local function made(fields)
    local response = create(fields)
    assert.equal(200, response.status, response.body)
    return response.json
  end
  local function change(event, fields)
    local body = { provider = "local", calendarId = event.calendarId, eventId = event.id }
    for name, value in pairs(fields) do body[name] = value end
    return call("PUT", "/event", { body = body })
  end
  local function changed(event, fields)
    local response = change(event, fields)
    assert.equal(200, response.status, response.body)
    return response.json
  end
  local function list(query)
    query = query or {}
    query.start, query["end"] = query.start or "2025-11-01", query["end"] or "2025-12-01"
    local response = call("GET", "/events", { query = query })
    assert.equal(200, response.status, response.body)
    return response.json.events
  end
  local function starts(events)
    local out = {}
    for index, event in ipairs(events) do out[index] = event.start end
    return out
  end
  local function delete(query)
    query.provider = "local"
    return call("DELETE", "/event", { query = query })
  end
  local function series(fields)
    local all = { title = "Standup", recurrence = { frequency = "DAILY", count = 5 } }
    for name, value in pairs(fields or {}) do all[name] = value end
    return made(all)
  end

  describe("create", function()
    it("answers the event at the root and again under event", function()
      local body = made { description = "About", location = "Room 1" }
      assert.is_true(body.success)
      assert.is_nil(body.message)
      assert.equal("local", body.provider)
      assert.equal("Talk", body.title)
      assert.equal("2025-11-03T09:00:00.000Z", body.start)
      assert.equal("2025-11-03T10:00:00.000Z", body["end"])
      assert.is_false(body.allDay)
      assert.equal("About", body.description)
      assert.equal("Room 1", body.location)
      assert.is_table(body.original)
      for name, value in pairs(body.event) do assert.same(value, body[name], name) end
      assert.is_string(body.event.id)
    end)

    it("emits the defaults", function()
      local body = made()
      assert.same({ "busy", "public", "confirmed" }, { body.availability, body.privacy, body.status })
      assert.is_true(json.is_array(body.attendees))
      assert.equal(0, #body.attendees)
      assert.is_truthy(body.lastModified:find("^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"))
    end)

    it("keeps availability, privacy, status and colour", function()
      local body = made { availability = "free", privacy = "confidential", status = "tentative", color = "#9fc6e7" }
      assert.same({ "free", "confidential", "tentative", "#9fc6e7" }, { body.availability, body.privacy, body.status, body.color })
    end)

    it("shows the event in the list with the same content", function()
      local body = made { title = "Listed", attendees = { "bob@example.org" } }
      local events = list()
      assert.equal(1, #events)
      for name, value in pairs(events[1]) do assert.same(value, body[name], name) end
    end)

    it("understands offsets, and wall times with timeZone", function()
      local body = made { start = "2025-07-03T09:00:00+02:00", ["end"] = "2025-07-03T08:00:00Z" }
      assert.same({ "2025-07-03T07:00:00.000Z", "2025-07-03T08:00:00.000Z" }, { body.start, body["end"] })
      body = made { start = "2025-07-03T09:00", ["end"] = "2025-07-03T10:00", timeZone = "Europe/Berlin" }
      assert.same({ "2025-07-03T07:00:00.000Z", "2025-07-03T08:00:00.000Z" }, { body.start, body["end"] })
    end)

    it("takes an event without length", function()
      local body = made { ["end"] = "2025-11-03T09:00:00Z" }
      assert.equal(body.start, body["end"])
      assert.equal(1, #list())
    end)

    it("takes the date part of all-day times as it is written; an end that is not later means one day", function()
      local body = made { allDay = true, start = "2025-11-15T00:00:00Z", ["end"] = "2025-11-17T00:00:00Z" }
      assert.same({ "2025-11-15T00:00:00.000Z", "2025-11-17T00:00:00.000Z", true }, { body.start, body["end"], body.allDay })
      body = made { allDay = true, start = "2025-11-15T23:00:00-05:00", ["end"] = "2025-11-15T00:00:00Z" }
      assert.same({ "2025-11-15T00:00:00.000Z", "2025-11-16T00:00:00.000Z" }, { body.start, body["end"] })
      body = made { allDay = true, start = "2025-11-20", ["end"] = "2025-11-18" }
      assert.same({ "2025-11-20T00:00:00.000Z", "2025-11-21T00:00:00.000Z" }, { body.start, body["end"] })
    end)

    it("takes attendees as addresses and as objects", function()
      local body = made { attendees = { "bob@example.org", { email = "Carol@Example.org", name = "Carol" } } }
      local found = {}
      for _, attendee in ipairs(body.attendees) do
        if not attendee.organizer then found[attendee.email] = attendee.status end
      end
      assert.same({ ["bob@example.org"] = "none", ["Carol@Example.org"] = "none" }, found)
    end)

    it("keeps custom with its JSON types", function()
      local custom = { text = "x", number = 12345678901234567, real = 1.5, yes = true, list = json.array { 1, "a" }, object = { a = { b = 1 } } }
      local body = made { custom = custom }
      assert.same(custom, body.custom)
      assert.equal("integer", math.type(body.custom.number))
    end)

    it("takes a conference as text and as object, and gives text", function()
      local body = made { conference = "https://zoom.us/j/123" }
      assert.equal("https://zoom.us/j/123", body.conference)
      assert.equal("zoom", body.conferenceData.provider)
      body = made { conference = { url = "https://meet.example.org/x", provider = "jitsi" } }
      assert.same({ "https://meet.example.org/x", "jitsi" }, { body.conference, body.conferenceData.provider })
      body = made { conference = "https://meet.example.org/y", conferenceData = { provider = "webex" } }
      assert.equal("webex", body.conferenceData.provider)
    end)

    it("counts autoGenerate as absent where nothing can generate", function()
      local body = made { conference = "https://meet.example.org/x", conferenceData = { autoGenerate = true, provider = "google-meet" } }
      assert.equal("https://meet.example.org/x", body.conference)
    end)

    it("recurs in UTC without timeZone, and in the zone with one", function()
      series { start = "2025-10-24T07:00:00Z", ["end"] = "2025-10-24T08:00:00Z", recurrence = { frequency = "DAILY", count = 4 } }
      assert.same({ "2025-10-24T07:00:00.000Z", "2025-10-25T07:00:00.000Z", "2025-10-26T07:00:00.000Z", "2025-10-27T07:00:00.000Z" },
        starts(list { start = "2025-10-01", ["end"] = "2025-11-01" }))
    end)
    it("recurs by the wall clock of timeZone", function()
      series {
        start = "2025-10-24T07:00:00Z", ["end"] = "2025-10-24T08:00:00Z", timeZone = "Europe/Berlin",
        recurrence = { frequency = "DAILY", count = 4 },
      }
      assert.same({ "2025-10-24T07:00:00.000Z", "2025-10-25T07:00:00.000Z", "2025-10-26T08:00:00.000Z", "2025-10-27T08:00:00.000Z" },
        starts(list { start = "2025-10-01", ["end"] = "2025-11-01" }))
    end)

    it("takes every part of a recurrence, ordinals and negative days of the month", function()
      local given = {
        { frequency = "WEEKLY", interval = 2, byDay = json.array { "MO", "WE" }, ["until"] = "20251231T235959Z" },
        { frequency = "MONTHLY", byDay = json.array { "-1FR" }, count = 3 },
        { frequency = "MONTHLY", byMonthDay = json.array { -1, 15 }, count = 3 },
        { frequency = "YEARLY", byMonth = json.array { 1, 6 }, byMonthDay = json.array { 3 }, count = 4 },
      }
      for _, rule in ipairs(given) do
        local body = made { recurrence = rule }
        assert.same(rule, body.recurrence)
      end
    end)

    it("gives a series its id and no recurringEventId; instances carry both", function()
      local master = series()
      assert.is_nil(master.recurringEventId)
      local events = list()
      assert.equal(5, #events)
      assert.equal(master.id, events[2].recurringEventId)
      assert.equal(master.id .. "_20251104T090000Z", events[2].id)
      assert.is_nil(events[2].recurrence)
    end)

    it("answers an Idempotency-Key with the same event again", function()
      local body = { provider = "local", calendarId = "primary", title = "Once", start = "2025-11-03T09:00:00Z", ["end"] = "2025-11-03T10:00:00Z" }
      local first = call("POST", "/event", { body = body, headers = { ["idempotency-key"] = "key-1" } })
      local second = call("POST", "/event", { body = body, headers = { ["idempotency-key"] = "key-1" } })
      assert.equal(200, first.status)
      assert.equal(200, second.status)
      assert.equal(first.json.id, second.json.id)
      assert.equal(1, #list())
      body.title = "Another"
      assert.equal(409, call("POST", "/event", { body = body, headers = { ["idempotency-key"] = "key-1" } }).status)
    end)

    it("takes null for what nobody set", function()
      assert.equal(200, create { description = json.null, attendees = json.null, recurrence = json.null, allDay = json.null }.status)
    end)

    local wrong = {
      { "title", { title = json.null } }, { "title", { title = "" } }, { "title", { title = 5 } },
      { "start", { start = json.null } }, { "start", { start = "soon" } }, { "start", { start = 20251103 } },
      { "end", { ["end"] = json.null } }, { "end", { ["end"] = "2025-11-03T08:00:00Z" } }, { "end", { ["end"] = "2025-02-30" } },
      { "provider", { provider = json.null } }, { "provider", { provider = "nobody" } }, { "provider", { provider = 1 } },
      { "calendarId", { calendarId = json.null } }, { "calendarId", { calendarId = {} } },
      { "allDay", { allDay = "yes" } }, { "description", { description = {} } }, { "location", { location = 1 } },
      { "timeZone", { timeZone = "Mars/Olympus" } }, { "timeZone", { timeZone = 1 } },
      { "attendees", { attendees = "bob@example.org" } }, { "attendees[1]", { attendees = { "bob@example.org", "nobody" } } },
      { "attendees[0]", { attendees = { { name = "no address" } } } },
      { "custom", { custom = json.array { 1 } } }, { "custom", { custom = "x" } }, { "custom", { custom = { big = ("x"):rep(70000) } } },
      { "availability", { availability = "maybe" } }, { "privacy", { privacy = true } }, { "status", { status = "gone" } },
      { "color", { color = "red; background: url(x)" } },
      { "conference", { conference = 5 } }, { "conference", { conference = "not an address" } }, { "conference.url", { conference = { url = 5 } } },
      { "conferenceData", { conferenceData = "zoom" } }, { "conferenceData.autoGenerate", { conferenceData = { autoGenerate = "yes" } } },
      { "recurrence", { recurrence = "daily" } }, { "recurrence", { recurrence = json.array {} } },
      { "recurrence.frequency", { recurrence = { interval = 2 } } }, { "recurrence.frequency", { recurrence = { frequency = "OFTEN" } } },
      { "recurrence.frequency", { allDay = true, recurrence = { frequency = "HOURLY" } } },
      { "recurrence.count", { recurrence = { frequency = "DAILY", count = 1000000000 } } },
      { "recurrence.interval", { recurrence = { frequency = "DAILY", interval = 1000000 } } },
      { "recurrence.interval", { recurrence = { frequency = "DAILY", interval = 0 } } },
      { "recurrence.interval", { recurrence = { frequency = "DAILY", interval = 1.5 } } },
      { "recurrence.count", { recurrence = { frequency = "DAILY", count = -1 } } },
      { "recurrence.count", { recurrence = { frequency = "DAILY", count = "3" } } },
      { "recurrence.until", { recurrence = { frequency = "DAILY", count = 3, ["until"] = "20251231T000000Z" } } },
      { "recurrence.until", { recurrence = { frequency = "DAILY", ["until"] = "never" } } },
      { "recurrence.until", { recurrence = { frequency = "DAILY", ["until"] = "20200101T000000Z" } } },
      { "recurrence.byDay", { recurrence = { frequency = "WEEKLY", byDay = "MO" } } },
      { "recurrence.byDay[1]", { recurrence = { frequency = "WEEKLY", byDay = { "MO", "XX" } } } },
      { "recurrence.byDay[0]", { recurrence = { frequency = "MONTHLY", byDay = { "0MO" } } } },
      { "recurrence.byMonthDay[0]", { recurrence = { frequency = "MONTHLY", byMonthDay = { 32 } } } },
      { "recurrence.byMonthDay[0]", { recurrence = { frequency = "MONTHLY", byMonthDay = { 0 } } } },
      { "recurrence.byMonth[0]", { recurrence = { frequency = "YEARLY", byMonth = { 13 } } } },
    }
    for index, case in ipairs(wrong) do
      it(("refuses a wrong %s (%d) and names it"):format(case[1], index), function()
        local response = create(case[2])
        assert.equal(400, response.status, response.body)
        assert.equal(case[1], response.json.details.field)
        assert.is_false(response.json.success)
        assert.equal("invalid_request", response.json.code)
        assert.equal("Bad Request", response.json.error)
        assert.is_truthy(response.json.message:find(case[1], 1, true) or case[1] == "provider")
        assert.equal(0, #list())
      end)
    end

    it("refuses bodies that are none, with the place", function()
      local response = call("POST", "/event", { body = '{"title":\n "x",, }' })
      assert.same({ 400, "body", 2 }, { response.status, response.json.details.field, response.json.details.line })
      for _, body in ipairs { "[]", '"text"', "5", "null", '{"title":"\xff\xfe"}', '{"a":' .. ("["):rep(200) .. ("]"):rep(200) .. "}" } do
        response = call("POST", "/event", { body = body })
        assert.equal(400, response.status, body)
        assert.equal("body", response.json.details.field)
      end
    end)

    it("refuses a body beyond the limit in the dialect's shape", function()
      local response = call("POST", "/event", { body = '{"title":"' .. ("x"):rep(10 * 1024 * 1024) .. '"}' })
      assert.equal(413, response.status)
      assert.equal("too_large", response.json.code)
    end)

    it("does not know foreign calendars", function()
      local response = create { calendarId = "somebody-else" }
      assert.equal(404, response.status)
      assert.same({ "not_found", "Calendar not found", false }, { response.json.code, response.json.message, response.json.success })
      -- Provider that exists, account that does not.
      assert.equal(404, create({ provider = "caldav", calendarId = "https://calendar.example.org/x/" }).status)
    end)
  end)

  describe("update", function()
    it("changes what is sent and nothing else", function()
      local event = made { description = "About", location = "Room 1", attendees = { "bob@example.org" }, custom = { a = 1 } }
      local body = changed(event, { title = "New title" })
      assert.equal("New title", body.title)
      assert.is_true(body.success)
      assert.equal("New title", body.event.title)
      for _, name in ipairs { "id", "description", "location", "start", "end", "attendees", "custom" } do assert.same(event[name], body[name], name) end
    end)

    it("empties a field that is sent empty, and leaves one that is null", function()
      local event = made { description = "About", location = "Room 1" }
      local body = changed(event, { description = "", location = json.null })
      assert.is_nil(body.description)
      assert.equal("Room 1", body.location)
    end)

    it("moves: start alone keeps the length, end alone keeps the start", function()
      local event = made()
      local body = changed(event, { start = "2025-11-04T12:00:00Z" })
      assert.same({ "2025-11-04T12:00:00.000Z", "2025-11-04T13:00:00.000Z" }, { body.start, body["end"] })
      body = changed(event, { ["end"] = "2025-11-04T15:00:00Z" })
      assert.same({ "2025-11-04T12:00:00.000Z", "2025-11-04T15:00:00.000Z" }, { body.start, body["end"] })
      local response = change(event, { ["end"] = "2025-11-04T11:00:00Z" })
      assert.same({ 400, "end" }, { response.status, response.json.details.field })
    end)

    it("turns a timed event into an all-day one and back", function()
      local event = made()
      local body = changed(event, { allDay = true })
      assert.same({ true, "2025-11-03T00:00:00.000Z", "2025-11-04T00:00:00.000Z" }, { body.allDay, body.start, body["end"] })
      body = changed(event, { allDay = false, start = "2025-11-03T15:00:00Z", ["end"] = "2025-11-03T16:30:00Z" })
      assert.same({ false, "2025-11-03T15:00:00.000Z", "2025-11-03T16:30:00.000Z" }, { body.allDay, body.start, body["end"] })
    end)

    it("takes the days of the event's own clock when it becomes one of days", function()
      local event = made { start = "2025-11-03T23:30:00Z", ["end"] = "2025-11-05T00:30:00Z", timeZone = "Europe/Berlin" }
      local body = changed(event, { allDay = true })
      assert.same({ "2025-11-04T00:00:00.000Z", "2025-11-06T00:00:00.000Z" }, { body.start, body["end"] })
    end)

    it("keeps the zone of a series that is moved by instants", function()
      local event = series { start = "2025-10-24T07:00:00Z", ["end"] = "2025-10-24T08:00:00Z", timeZone = "Europe/Berlin" }
      changed(event, { start = "2025-10-24T08:00:00Z" })
      assert.same({ "2025-10-24T08:00:00.000Z", "2025-10-25T08:00:00.000Z", "2025-10-26T09:00:00.000Z", "2025-10-27T09:00:00.000Z",
        "2025-10-28T09:00:00.000Z" }, starts(list { start = "2025-10-01", ["end"] = "2025-11-01" }))
    end)

    it("keeps an instant in an hour that the clock repeats", function()
      local body = made { start = "2025-10-26T01:30:00Z", ["end"] = "2025-10-26T02:30:00Z", timeZone = "Europe/Berlin" }
      assert.equal("2025-10-26T01:30:00.000Z", body.start)
    end)

    it("replaces custom and attendees", function()
      local event = made { custom = { a = 1, b = 2 }, attendees = { "bob@example.org", "carol@example.org" } }
      local body = changed(event, { custom = { c = 3 }, attendees = { "carol@example.org", "dave@example.org" } })
      assert.same({ c = 3 }, body.custom)
      local found = {}
      for _, attendee in ipairs(body.attendees) do
        if not attendee.organizer then found[#found + 1] = attendee.email end
      end
      assert.same({ "carol@example.org", "dave@example.org" }, found)
      body = changed(event, { custom = {}, attendees = json.array {} })
      assert.is_nil(body.custom)
      assert.equal(0, #body.attendees)
    end)

    it("reaches an instance at a time that the clocks skip that day", function()
      local master = series { start = "2026-03-28T02:30", ["end"] = "2026-03-28T02:45", timeZone = "Europe/Berlin" }
      local id = master.id .. "_20260329T013000Z"
      local body = changed({ id = id, calendarId = master.calendarId }, { title = "Later" })
      assert.same({ id, "Later", "2026-03-29T01:30:00.000Z" }, { body.id, body.title, body.start })
    end)

    it("does not know events that are not there", function()
      local event = made()
      local response = change({ id = "nothing", calendarId = event.calendarId }, { title = "x" })
      assert.same({ 404, "Event not found", false }, { response.status, response.json.message, response.json.success })
      response = change({ id = event.id .. "_20251103T090000Z", calendarId = event.calendarId }, { title = "x" })
      assert.equal(404, response.status)
    end)

    it("needs an eventId", function()
      local response = call("PUT", "/event", { body = { provider = "local", calendarId = "primary", title = "x" } })
      assert.same({ 400, "eventId" }, { response.status, response.json.details.field })
      response = call("PUT", "/event", { body = { provider = "local", calendarId = "primary", eventId = 5 } })
      assert.same({ 400, "eventId" }, { response.status, response.json.details.field })
    end)

    it("ignores updateMode on an event that does not recur", function()
      local event = made()
      assert.equal("Named", changed(event, { updateMode = "this", title = "Named" }).title)
    end)
  end)

  describe("a series", function()
    local function titles()
      local out = {}
      for index, event in ipairs(list()) do out[index] = event.title end
      return table.concat(out, ",")
    end

    it("changes one instance, by its id alone", function()
      series()
      local third = list()[3]
      local body = changed(third, { title = "Special", start = "2025-11-05T14:00:00Z", ["end"] = "2025-11-05T14:30:00Z" })
      assert.equal(third.id, body.id)
      assert.equal(third.recurringEventId, body.recurringEventId)
      assert.same({ "2025-11-05T14:00:00.000Z", "2025-11-05T14:30:00.000Z" }, { body.start, body["end"] })
      assert.equal("Standup,Standup,Special,Standup,Standup", titles())
      local again = changed(third, { description = "More", updateMode = "this", recurringEventId = third.recurringEventId })
      assert.equal("Special", again.title)
      assert.equal("2025-11-05T14:00:00.000Z", again.start)
    end)

    it("changes this and following", function()
      series()
      local third = list()[3]
      local body = changed(third, { title = "Later", updateMode = "following", recurringEventId = third.recurringEventId })
      assert.equal("Later", body.title)
      assert.equal("Standup,Standup,Later,Later,Later", titles())
    end)

    it("changes all, by the id of the series and by that of an instance", function()
      local master = series()
      changed(master, { title = "All" })
      assert.equal("All,All,All,All,All", titles())
      changed(list()[2], { title = "Again", updateMode = "all" })
      assert.equal("Again,Again,Again,Again,Again", titles())
      local body = changed(master, { updateMode = "following", location = "Room 2" })
      assert.equal("Room 2", body.location)
      assert.equal(5, #list())
    end)

    it("shifts all by an instance", function()
      series()
      changed(list()[2], { updateMode = "all", start = "2025-11-04T11:00:00Z", ["end"] = "2025-11-04T12:00:00Z" })
      assert.same({ "2025-11-03T11:00:00.000Z", "2025-11-04T11:00:00.000Z", "2025-11-05T11:00:00.000Z", "2025-11-06T11:00:00.000Z",
        "2025-11-07T11:00:00.000Z" }, starts(list()))
    end)

    it("changes its rule", function()
      local master = series()
      local body = changed(master, { recurrence = { frequency = "WEEKLY", count = 2 } })
      assert.same({ frequency = "WEEKLY", count = 2 }, body.recurrence)
      assert.same({ "2025-11-03T09:00:00.000Z", "2025-11-10T09:00:00.000Z" }, starts(list()))
    end)

    it("refuses modes that make no sense", function()
      local master = series()
      local instance = list()[2]
      local response = change(master, { updateMode = "this", title = "x" })
      assert.same({ 400, "updateMode" }, { response.status, response.json.details.field })
      response = change(instance, { updateMode = "some", title = "x" })
      assert.same({ 400, "updateMode" }, { response.status, response.json.details.field })
      response = change(instance, { recurringEventId = "another", title = "x" })
      assert.same({ 400, "recurringEventId" }, { response.status, response.json.details.field })
      response = delete { calendarId = "primary", eventId = master.id, deleteMode = "this" }
      assert.same({ 400, "deleteMode" }, { response.status, response.json.details.field })
      assert.equal("Standup,Standup,Standup,Standup,Standup", titles())
    end)

    it("deletes one instance, this and following, all", function()
      local master = series()
      local second = list()[2]
      local response = delete { calendarId = "primary", eventId = second.id }
      assert.same({ 200, true, "Event deleted successfully" }, { response.status, response.json.success, response.json.message })
      assert.equal(4, #list())
      assert.equal(404, delete({ calendarId = "primary", eventId = second.id }).status)
      assert.equal(200, delete({ calendarId = "primary", eventId = list()[3].id, deleteMode = "following", recurringEventId = master.id }).status)
      assert.same({ "2025-11-03T09:00:00.000Z", "2025-11-05T09:00:00.000Z" }, starts(list()))
      assert.equal(200, delete({ calendarId = "primary", eventId = list()[1].id, deleteMode = "all" }).status)
      assert.equal(0, #list())
    end)

    it("of days has ids of dates", function()
      series { allDay = true, start = "2025-11-03", ["end"] = "2025-11-04", recurrence = { frequency = "WEEKLY", count = 2 } }
      local events = list()
      assert.is_truthy(events[2].id:find("_20251110$"))
      assert.same({ "2025-11-10T00:00:00.000Z", "2025-11-11T00:00:00.000Z" }, { events[2].start, events[2]["end"] })
      assert.equal("Moved", changed(events[2], { title = "Moved" }).title)
    end)
  end)

  describe("delete", function()
    it("takes a JSON body as well as a query", function()
      local event = made()
      local response = call("DELETE", "/event", { body = { provider = "local", eventId = event.id, calendarId = "primary" } })
      assert.equal(200, response.status)
      assert.equal(0, #list())
    end)

    it("names what is missing", function()
      for _, name in ipairs { "provider", "calendarId", "eventId" } do
        local query = { provider = "local", calendarId = "primary", eventId = "x" }
        query[name] = nil
        local response = call("DELETE", "/event", { query = query })
        assert.same({ 400, name, false }, { response.status, response.json.details.field, response.json.success })
      end
    end)
  end)

  describe("scopes", function()
    for _, scope in ipairs { "read", "free-busy" } do
      it(scope .. " does not write", function()
        local narrow = connect.token(server, "writer-" .. user, scope)
        for _, method in ipairs { "POST", "PUT", "DELETE" } do
          local response = connect.call(server, narrow, method, "/event", { body = {} })
          assert.equal(401, response.status)
          assert.same({ "Unauthorized", "Write access denied for current scope", false },
            { response.json.error, response.json.message, response.json.success })
        end
      end)
    end

    it("free-busy shows when, and nothing of what", function()
      made { title = "Secret", description = "secret", location = "secret", attendees = { "secret@example.org" }, custom = { secret = 1 } }
      made { title = "Secret and free", availability = "free" }
      local response = connect.call(server, connect.token(server, "writer-" .. user, "free-busy"), "GET", "/events",
        { query = { start = "2025-11-01", ["end"] = "2025-12-01" } })
      assert.equal(200, response.status)
      assert.is_nil(response.body:lower():find("secret", 1, true))
      assert.equal(1, #response.json.events)
      local block = response.json.events[1]
      assert.same({ "Busy", "2025-11-03T09:00:00.000Z", "busy" }, { block.title, block.start, block.availability })
      assert.same({ block.description, block.location, block.custom }, {})
    end)

    it("read sees everything", function()
      made { title = "Shown" }
      local response = connect.call(server, connect.token(server, "writer-" .. user, "read"), "GET", "/events",
        { query = { start = "2025-11-01", ["end"] = "2025-12-01" } })
      assert.equal("Shown", response.json.events[1].title)
    end)
  end)

  it("shows nothing of another user or app", function()
    made { title = "Private to its user" }
    for _, other in ipairs { connect.token(server, "somebody-else"), connect.token(server, "writer-" .. user, nil, "other") } do
      local response = connect.call(server, other, "GET", "/events", { query = { start = "2025-11-01", ["end"] = "2025-12-01" } })
      assert.equal(200, response.status)
      assert.equal(0, #response.json.events)
    end
    assert.is_string(token)
  end)
end)
