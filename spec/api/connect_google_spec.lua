-- The connect API over a Google account: the requests of its documents, answered with what stands at Google.
local connect = require "spec.support.connect"
local google = require "spec.support.google"
local json = require "lunation.json"

local PRIMARY = "alice@example.com"
local EVENTS = "/calendars/" .. google.escape(PRIMARY) .. "/events"

describe("the connect API over Google", function()
  local emulated, server, call

  setup(function()
    emulated = google.start()
    server = connect.serve { config = ([[
      provider("google", { client_id="id", client_secret="secret", urls={ calendar=%q, people=%q, directory=%q } })
      sync { max_age="0s", deadline="5s" }
    ]]):format(emulated.url, emulated.url, emulated.url) }
    connect.command(server, { "account", "add", "google", "--app", connect.app, "--user", "ada", "--token-stdin" }, "token-alice\n")
    local token = connect.token(server, "ada")
    function call(method, path, options) return connect.call(server, token, method, path, options) end
  end)
  teardown(function()
    if server then server.stop() end
    emulated.stop()
  end)
  after_each(function() google.assert_contract(emulated) end)

  local function raw(method, path, body) return google.raw(emulated, method, path, body) end

  local function send(method, body, status)
    body.provider, body.calendarId = "google", body.calendarId or PRIMARY
    local answer = call(method, "/event", { body = body })
    assert.equal(status or 200, answer.status, answer.body)
    return answer.json
  end

  local function list(query)
    query = query or {}
    query.start, query["end"] = query.start or "2027-03-01", query["end"] or "2027-05-01"
    query.calendarIds = json.encode { google = { PRIMARY } }
    local answer = call("GET", "/events", { query = query })
    assert.equal(200, answer.status, answer.body)
    assert.is_nil(answer.headers["lunation-stale"])
    return answer.json.events
  end

  it("shows the account and its calendar", function()
    local status = call("GET", "/oauth/connection-status").json
    assert.equal(PRIMARY, status.connections.google[1].id)
    local calendars = call("GET", "/calendars").json
    assert.same({ "google", PRIMARY, "Europe/Berlin" }, { calendars[1].provider, calendars[1].id, calendars[1].timeZone })
    assert.equal("calendar#calendarListEntry", calendars[1].original.kind)
  end)

  it("creates, changes and deletes an event, as its documents do", function()
    local made = send("POST", {
      title = "Team Meeting", description = "Discuss project updates", start = "2027-03-03T10:00:00Z", ["end"] = "2027-03-03T11:00:00Z",
      location = "Conference Room A", attendees = { "bob@example.com" }, custom = { externalEventId = "x-1", deep = { 1, true } },
      availability = "free", privacy = "confidential", conference = { url = "https://meet.google.com/abc-defg-hij", provider = "google-meet" },
    })
    assert.is_true(made.success)
    assert.same({ "Team Meeting", "2027-03-03T10:00:00.000Z", "2027-03-03T11:00:00.000Z" }, { made.title, made.start, made["end"] })
    assert.same({ "https://meet.google.com/abc-defg-hij", "free", "confidential" }, { made.conference, made.availability, made.privacy })
    assert.same({ externalEventId = "x-1", deep = { 1, true } }, made.custom)
    assert.equal("bob@example.com", made.attendees[1].email)
    assert.truthy(made.link:find "^https://")
    assert.equal("calendar#event", made.original.kind)
    local there = raw("GET", EVENTS .. "/" .. made.id)
    assert.same({ "Team Meeting", "transparent", "confidential", "Conference Room A" }, { there.summary, there.transparency, there.visibility, there.location })
    local changed = send("PUT", { eventId = made.id, title = "Updated", start = "2027-03-03T14:00:00Z", ["end"] = "2027-03-03T15:00:00Z", color = "#dc2127" })
    assert.same({ "Updated", "2027-03-03T14:00:00.000Z", "#dc2127" }, { changed.title, changed.start, changed.color })
    assert.same({ externalEventId = "x-1", deep = { 1, true } }, changed.custom)
    assert.equal(1, #list())
    send("DELETE", { eventId = made.id })
    assert.equal(0, #list())
  end)

  it("makes a Meet room where it is asked to", function()
    local made = send("POST", { title = "Call", start = "2027-03-03T10:00:00Z", ["end"] = "2027-03-03T11:00:00Z", conferenceData = { autoGenerate = true } })
    assert.truthy(made.conference:find "^https://meet%.google%.com/")
    assert.equal("google-meet", made.conferenceData.provider)
    assert.is_table(made.conferenceData.entryPoints)
    send("DELETE", { eventId = made.id })
  end)

  it("edits series by this, following and all", function()
    local made = send("POST", {
      title = "Standup", start = "2027-03-02T09:00:00Z", ["end"] = "2027-03-02T09:30:00Z", timeZone = "Europe/Berlin",
      recurrence = { frequency = "WEEKLY", count = 8, byDay = { "TU" } },
    })
    local shown = list()
    assert.equal(8, #shown)
    -- A clock was put forward between.
    assert.same({ "2027-03-23T09:00:00.000Z", "2027-03-30T08:00:00.000Z" }, { shown[4].start, shown[5].start })
    assert.equal(made.id, shown[1].recurringEventId)
    send("PUT", { eventId = shown[2].id, recurringEventId = made.id, updateMode = "this", title = "Special" })
    send("DELETE", { eventId = shown[3].id, recurringEventId = made.id, deleteMode = "this" })
    send("PUT", { eventId = shown[6].id, recurringEventId = made.id, updateMode = "following", location = "Room B" })
    local after = list()
    assert.equal(7, #after)
    assert.equal("Special", after[2].title)
    for i = 1, 7 do assert.equal(i >= 5 and "Room B" or nil, after[i].location) end
    -- As Google itself expands it.
    local instances = raw("GET", EVENTS .. "?singleEvents=true&orderBy=startTime&timeMin=2027-03-01T00:00:00Z&timeMax=2027-05-01T00:00:00Z").items
    assert.equal(7, #instances)
    for i, item in ipairs(instances) do
      assert.equal(after[i].title, item.summary)
      assert.equal(after[i].id, item.id)
    end
    assert.equal(2, #list { singleEvents = "false" })
    send("PUT", { eventId = made.id, updateMode = "all", title = "Daily" })
    send("DELETE", { eventId = made.id })
    send("DELETE", { eventId = after[7].recurringEventId })
    assert.equal(0, #list())
  end)

  it("keeps days on their dates", function()
    local made = send("POST", { title = "Fair", allDay = true, start = "2027-03-28T00:00:00Z", ["end"] = "2027-03-30T00:00:00Z" })
    assert.same({ "2027-03-28T00:00:00.000Z", "2027-03-30T00:00:00.000Z", true }, { made.start, made["end"], made.allDay })
    assert.equal("2027-03-28", raw("GET", EVENTS .. "/" .. made.id).start.date)
    send("DELETE", { eventId = made.id })
  end)

  it("says what Google refuses", function()
    local made = send("POST", { title = "Mine", start = "2027-03-03T10:00:00Z", ["end"] = "2027-03-03T11:00:00Z" })
    emulated.control("POST", "/event-type", { calendar = PRIMARY, event = made.id, eventType = "outOfOffice" })
    list()
    local refused = send("PUT", { eventId = made.id, title = "No" }, 422)
    assert.truthy(refused.message:find("outOfOffice", 1, true))
    emulated.fault { match = { method = "POST", path = "/events$" }, fault = "status", status = 429, retry_after = 120, times = 2 }
    local answer = call("POST", "/event", { body = {
      provider = "google", calendarId = PRIMARY, title = "T", start = "2027-03-03T10:00:00Z", ["end"] = "2027-03-03T11:00:00Z",
    } })
    assert.equal(429, answer.status, answer.body)
    assert.equal("120", answer.headers["retry-after"])
    emulated.clear()
    send("DELETE", { eventId = made.id })
  end)
end)
