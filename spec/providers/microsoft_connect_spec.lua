-- The connect API in front of an account at Microsoft: what its documents say of Outlook.
local connect = require "spec.support.connect"
local emulator = require "spec.support.emulator"
local json = require "lunation.json"
local microsoft = require "spec.support.microsoft"

describe("connect, with an account at Microsoft", function()
  local graph, server, call, calendar

  setup(function()
    graph = emulator.start("microsoft", { users = { ["ann@example.com"] = "token-ann" } })
    server = connect.serve { config = ([[
      sync { max_age="0s" }
      provider("microsoft", { client_id="client", client_secret="secret", urls={ graph=%q } })
    ]]):format(graph.url) }
    local store = server.engine.store
    local user = assert(store:user(connect.app, "ann", { create = true }))
    assert(store:account_add { user = user.id, provider = "microsoft", identity = "ann@example.com", name = "Ann",
      credentials = { token = "token-ann" }, settings = {} })
    local token = connect.token(server, "ann")
    call = function(method, path, body, query)
      return connect.call(server, token, method, path, { body = body, query = query })
    end
    for _, each in ipairs(call("GET", "/calendars").json) do
      if each.title == "Calendar" then calendar = each end
    end
  end)

  teardown(function()
    server.stop()
    if graph.has_contract then assert.same({}, graph.violations()) end
    graph.stop()
  end)

  local function create(over)
    local body = { provider = "microsoft", calendarId = calendar.id, title = "Plan", start = "2026-12-07T09:00:00.000Z", ["end"] = "2026-12-07T10:00:00.000Z" }
    for name, value in pairs(over or {}) do body[name] = value end
    return call("POST", "/event", body)
  end

  local function update(event, over)
    local body = { provider = "microsoft", calendarId = calendar.id, eventId = event.id }
    for name, value in pairs(over) do body[name] = value end
    return call("PUT", "/event", body)
  end

  local function listed(title)
    local answer = call("GET", "/events", nil, { start = "2026-12-01", ["end"] = "2027-02-01", pageSize = "1000" })
    assert.equal(200, answer.status)
    local found = {}
    for _, event in ipairs(answer.json.events) do
      if event.title == title then found[#found + 1] = event end
    end
    return found
  end

  it("lists calendars in the zone of the mailbox", function()
    assert.equal("microsoft", calendar.provider)
    assert.equal("UTC", calendar.timeZone == "Etc/UTC" and "UTC" or calendar.timeZone)
    assert.equal("Calendar", calendar.original.name)
  end)

  it("makes a Teams meeting and tells of it under onlineMeeting", function()
    local made = create { title = "Teams", conferenceData = { autoGenerate = true, provider = "microsoft-teams" }, description = "Agenda" }
    assert.equal(200, made.status)
    assert.truthy(made.json.conference:find "^https://teams")
    assert.equal("microsoft-teams", made.json.conferenceData.provider)
    assert.equal(made.json.conference, made.json.conferenceData.onlineMeeting.joinUrl)
    assert.equal("Agenda", made.json.description)
    assert.equal(made.json.id, made.json.original.id)
    local event = listed("Teams")[1]
    assert.equal(made.json.conference, event.conference)
    assert.equal("Agenda", event.description)
    -- The same again is no change; another is refused.
    assert.equal(200, update(event, { title = "Teams", conference = event.conference }).status)
    local refused = update(event, { conference = "https://zoom.us/j/1" })
    assert.equal(400, refused.status)
    assert.is_false(refused.json.success)
    assert.equal(200, update(event, { description = "Other agenda" }).status)
    event = listed("Teams")[1]
    assert.same({ made.json.conference, "Other agenda" }, { event.conference, event.description })
  end)

  it("shows tentative by showAs, and refuses to cancel by status", function()
    local made = create { title = "Perhaps", status = "tentative" }
    assert.equal("tentative", made.json.status)
    assert.equal("tentative", made.json.original.showAs)
    assert.equal("confirmed", update(made.json, { status = "confirmed" }).json.status)
    local refused = update(made.json, { status = "cancelled" })
    assert.equal(400, refused.status)
    assert.equal("free", update(made.json, { availability = "free" }).json.availability)
  end)

  it("keeps custom, privacy, colour, location and attendees with the organizer", function()
    local made = create { title = "All", custom = { crm = "42", deep = { n = 1 } }, privacy = "confidential", color = "#ff8800", location = "Hall 1",
      attendees = { "bob@example.com" } }
    assert.equal(200, made.status)
    local event = listed("All")[1]
    assert.same({ crm = "42", deep = { n = 1 } }, event.custom)
    assert.same({ "confidential", "#ff8800", "Hall 1" }, { event.privacy, event.color, event.location })
    local by_email = {}
    for _, each in ipairs(event.attendees) do by_email[each.email] = each end
    assert.is_true(by_email["ann@example.com"].organizer)
    assert.equal("none", by_email["bob@example.com"].status)
    assert.equal("confidential", event.original.sensitivity == "confidential" and "confidential" or nil)
    assert.same({ crm = "43" }, update(event, { custom = { crm = "43" } }).json.custom)
    assert.same({}, update(event, { attendees = json.array {} }).json.attendees)
  end)

  it("changes this, the following and all of a series", function()
    local made = create { title = "Series", recurrence = { frequency = "DAILY", count = 6 } }
    assert.equal(200, made.status)
    local list = listed "Series"
    assert.equal(6, #list)
    assert.equal(200, update(list[2], { title = "Once", recurringEventId = made.json.id, updateMode = "this" }).status)
    assert.equal(5, #listed "Series")
    assert.equal(200, update(list[4], { title = "Later", recurringEventId = made.json.id, updateMode = "following" }).status)
    assert.same({ 2, 1, 3 }, { #listed "Series", #listed "Once", #listed "Later" })
    local deleted = call("DELETE", "/event", nil, { provider = "microsoft", calendarId = calendar.id, eventId = listed("Later")[3].id, deleteMode = "this" })
    assert.equal(200, deleted.status)
    assert.equal(2, #listed "Later")
    deleted = call("DELETE", "/event", nil, { provider = "microsoft", calendarId = calendar.id, eventId = listed("Later")[1].recurringEventId })
    assert.equal(200, deleted.status)
    assert.equal(0, #listed "Later")
    local refused = create { title = "Odd", recurrence = { frequency = "MONTHLY", byMonthDay = { -1 } } }
    assert.equal(400, refused.status)
    assert.truthy(refused.json.message:find("Outlook cannot express BYMONTHDAY=-1", 1, true))
  end)

  it("has whole days as they were written", function()
    local made = create { title = "Days", allDay = true, start = "2026-12-24T00:00:00.000Z", ["end"] = "2026-12-27T00:00:00.000Z" }
    assert.same({ true, "2026-12-24T00:00:00.000Z", "2026-12-27T00:00:00.000Z" }, { made.json.allDay, made.json.start, made.json["end"] })
    local event = listed("Days")[1]
    assert.same({ "2026-12-24T00:00:00.000Z", "2026-12-27T00:00:00.000Z" }, { event.start, event["end"] })
  end)

  it("shows what others do in Outlook at once", function()
    local id = microsoft.raw(graph, "POST", "/me/events", { subject = "Outlook", start = { dateTime = "2026-12-10T09:00:00", timeZone = "Tokyo Standard Time" },
      ["end"] = { dateTime = "2026-12-10T10:00:00", timeZone = "Tokyo Standard Time" } }, "ann@example.com").id
    assert.equal("2026-12-10T00:00:00.000Z", listed("Outlook")[1].start)
    microsoft.raw(graph, "DELETE", "/me/events/" .. id, nil, "ann@example.com")
    assert.equal(0, #listed "Outlook")
  end)
end)
