-- Whole round trips through the engine to Google: events are written in the canonical form, a stranger reads them there, and
-- the mirror is what the next sync would make of it.
local google = require "spec.support.google"
local google_engine = require "spec.fixtures.google_engine"
local json = require "lunation.json"
local null = json.null
local specs = require "spec.support.store"

local PRIMARY = "alice@example.com"
local EVENTS = "/calendars/" .. google.escape(PRIMARY) .. "/events"

local function weekly(fields)
  local event = {
    ["@type"] = "Event", title = "Class", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT90M",
    description = "Bring; a, book",
    recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "weekly", count = 8 } },
  }
  for name, v in pairs(fields or {}) do event[name] = v end
  return event
end

describe("through the engine at Google", function()
  local emulated, store, engine, account, calendar

  setup(function() emulated = google.start() end)
  teardown(function() emulated.stop() end)

  before_each(function()
    emulated.reset()
    store = specs.open()
    engine = google_engine.open(store, emulated)
    account = google_engine.account(engine, emulated, PRIMARY)
    assert(engine.sync:account(account.id, { force = true }))
    calendar = assert(store:calendar_by_id(account.id, PRIMARY))
  end)
  after_each(function()
    assert.same({}, store:intents())
    store:close()
    google.assert_contract(emulated)
  end)

  local function raw(method, path, body, email) return google.raw(emulated, method, path, body, email) end
  local function there(id) return raw("GET", EVENTS .. "/" .. id) end

  local function create(event, options)
    local request = { calendar = calendar, event = event }
    for name, v in pairs(options or {}) do request[name] = v end
    return assert(engine.write:create(request))
  end

  local function update(row, patch, scope, at, options)
    local request = { calendar = calendar, id = row.id, patch = patch, scope = scope, recurrenceId = at }
    for name, v in pairs(options or {}) do request[name] = v end
    return engine.write:update(request)
  end

  local function instances(id)
    local list = {}
    for _, item in ipairs(raw("GET", EVENTS .. "/" .. id .. "/instances").items) do
      list[#list + 1] = item.start.date or item.start.dateTime
    end
    table.sort(list)
    return list
  end

  local function keys(map)
    local list = {}
    for key in pairs(map or {}) do list[#list + 1] = key end
    table.sort(list)
    return list
  end

  -- The mirror after a sync is what it was after the write.
  local function agree()
    local before = {}
    for row in assert(store:events_since(calendar.key, 0)) do before[row.id] = row.event end
    local counts = assert(engine.sync:account(account.id, { force = true }))
    local after = {}
    for row in assert(store:events_since(calendar.key, 0)) do after[row.id] = row.event end
    assert.same(before, after)
    return counts
  end

  local function requests(method)
    local list = {}
    for _, request in ipairs(emulated.requests()) do
      if request.method == method then list[#list + 1] = request end
    end
    return list
  end

  it("an event is created as it was meant, under an id of ours", function()
    local row = create { ["@type"] = "Event", uid = "our-uid", title = "Plain",
      start = "2027-03-02T18:00:00", timeZone = "America/New_York", duration = "PT1H" }
    assert.truthy(row.id:find "^[a-v0-9]+$")
    assert.equal("our-uid", row.event.uid)
    local event = there(row.id)
    assert.equal("Plain", event.summary)
    assert.equal("America/New_York", event.start.timeZone)
    assert.equal(0, agree().created)
  end)

  it("an all-day event stays on its days", function()
    local row = create { ["@type"] = "Event", title = "Days", start = "2027-03-28T00:00:00", showWithoutTime = true, duration = "P2D" }
    assert.same({ { date = "2027-03-28" }, { date = "2027-03-30" } }, { there(row.id).start, there(row.id)["end"] })
    assert.same({ "2027-03-28T00:00:00", "P2D" }, { row.event.start, row.event.duration })
    agree()
  end)

  it("a floating time is that of the calendar", function()
    local row = create { ["@type"] = "Event", title = "Floating", start = "2027-03-02T18:00:00", duration = "PT1H" }
    assert.equal("Europe/Berlin", there(row.id).start.timeZone)
    assert.equal("Europe/Berlin", row.event.timeZone)
    agree()
  end)

  it("a change sends what changed, and nothing else", function()
    local row = create(weekly { participants = { b = { email = "bob@example.com", roles = { attendee = true } } } })
    local before = #requests "PATCH"
    row = assert(update(row, { title = "Course", location = null }, "all"))
    local patches = requests "PATCH"
    assert.equal(before + 1, #patches)
    local patch = patches[#patches]
    local body = type(patch.body) == "string" and json.decode(patch.body) or patch.body
    assert.same({ summary = "Course" }, body)
    assert.equal("Course", row.event.title)
    agree()
  end)

  it("a series has its exceptions from the beginning", function()
    local row = create(weekly { recurrenceOverrides = {
      ["2027-03-09T18:00:00"] = { excluded = true }, ["2027-03-16T18:00:00"] = { title = "Other" },
      ["2027-03-23T18:00:00"] = { start = "2027-03-24T09:00:00", duration = "PT15M" },
    } })
    assert.equal("Other", row.event.recurrenceOverrides["2027-03-16T18:00:00"].title)
    assert.equal("2027-03-24T09:00:00", row.event.recurrenceOverrides["2027-03-23T18:00:00"].start)
    local list = instances(row.id)
    assert.equal(7, #list)
    assert.truthy(table.concat(list, " "):find("2027-03-24T09:00:00", 1, true))
    agree()
  end)

  it("this instance is changed, changed again, and cancelled", function()
    local row = create(weekly())
    row = assert(update(row, { title = "Special" }, "this", "2027-03-16T18:00:00"))
    assert.equal("Special", row.event.recurrenceOverrides["2027-03-16T18:00:00"].title)
    agree()
    row = assert(update(row, { start = "2027-03-17T10:00:00" }, "this", "2027-03-16T18:00:00"))
    assert.equal("2027-03-17T10:00:00", row.event.recurrenceOverrides["2027-03-16T18:00:00"].start)
    assert.equal("Special", row.event.recurrenceOverrides["2027-03-16T18:00:00"].title)
    agree()
    row = assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = "2027-03-16T18:00:00", scope = "this" })
    assert.same({ excluded = true }, row.event.recurrenceOverrides["2027-03-16T18:00:00"])
    assert.equal(7, #instances(row.id))
    agree()
    row = assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = "2027-03-23T18:00:00", scope = "this" })
    assert.equal(6, #instances(row.id))
    agree()
  end)

  it("all of a series is moved, and its exceptions with it", function()
    local row = create(weekly { recurrenceOverrides = { ["2027-03-16T18:00:00"] = { title = "Other" }, ["2027-03-23T18:00:00"] = { excluded = true } } })
    row = assert(update(row, { start = "2027-03-03T19:00:00" }, "all"))
    assert.equal("2027-03-03T19:00:00", row.event.start)
    assert.equal("Other", row.event.recurrenceOverrides["2027-03-17T19:00:00"].title)
    local list = instances(row.id)
    assert.equal(7, #list)
    assert.truthy(list[1]:find("2027-03-03T19:00:00", 1, true))
    agree()
  end)

  it("an instance at a time that the clocks skip that day is changed and cancelled", function()
    local function nightly()
      return create {
        ["@type"] = "Event", title = "Backup", start = "2027-03-26T02:30:00", timeZone = "Europe/Berlin", duration = "PT15M",
        recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 5 } },
      }
    end
    local key = "2027-03-28T02:30:00"
    local row = assert(update(nightly(), { title = "Later" }, "this", key))
    agree()
    local event = store:event(calendar.key, row.id).event
    assert.same({ key }, keys(event.recurrenceOverrides))
    assert.equal("Later", event.recurrenceOverrides[key].title)
    assert.equal("2027-03-28T03:30:00+02:00", instances(row.id)[3])
    row = nightly()
    assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = key, scope = "this" })
    agree()
    assert.same({ [key] = { excluded = true } }, store:event(calendar.key, row.id).event.recurrenceOverrides)
    assert.equal(4, #instances(row.id))
  end)

  it("this and the following become a series of their own", function()
    local row = create(weekly { recurrenceOverrides = {
      ["2027-03-09T18:00:00"] = { title = "Early" }, ["2027-04-06T18:00:00"] = { title = "Late" }, ["2027-04-13T18:00:00"] = { excluded = true },
    } })
    local second = assert(update(row, { title = "New", duration = "PT1H" }, "following", "2027-03-23T18:00:00"))
    assert.are_not.equal(row.id, second.id)
    assert.equal("New", second.event.title)
    assert.equal("Late", second.event.recurrenceOverrides["2027-04-06T18:00:00"].title)
    local first = assert(store:event(calendar.key, row.id))
    assert.equal("Early", first.event.recurrenceOverrides["2027-03-09T18:00:00"].title)
    assert.is_nil(first.event.recurrenceOverrides["2027-04-06T18:00:00"])
    assert.equal(3, #instances(row.id))
    assert.equal(4, #instances(second.id))
    agree()
    first = assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = "2027-03-09T18:00:00", scope = "following" })
    assert.equal(1, #instances(first.id))
    agree()
    assert.is_true(engine.write:delete { calendar = calendar, id = second.id, scope = "all" })
    assert.is_nil((store:event(calendar.key, second.id)))
    agree()
  end)

  it("a series of days in a zone far from UTC is changed by its days", function()
    local row = create { ["@type"] = "Event", title = "Days", start = "2027-03-02T00:00:00", showWithoutTime = true, duration = "P1D",
      recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 5 } } }
    row = assert(update(row, { title = "One" }, "this", "2027-03-04T00:00:00"))
    assert.equal("One", row.event.recurrenceOverrides["2027-03-04T00:00:00"].title)
    row = assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = "2027-03-05T00:00:00", scope = "this" })
    assert.same({ "2027-03-02", "2027-03-03", "2027-03-04", "2027-03-06" }, instances(row.id))
    agree()
    assert(update(row, { start = "2027-04-02T00:00:00" }, "all"))
    assert.same({ "2027-04-02", "2027-04-03", "2027-04-04", "2027-04-06" }, instances(row.id))
    agree()
  end)

  it("a Meet room is made once, and there when the write is answered", function()
    emulated.control("POST", "/options", { meet_seconds = 0.4 })
    local row = create(weekly { ["lunation:conference"] = { generate = true, provider = "google-meet" } })
    local room = row.event["lunation:conference"]
    assert.truthy(room.uri:find "^https://meet%.google%.com/")
    assert.equal("google-meet", room.provider)
    -- Another change does not touch it.
    row = assert(update(row, { title = "Still" }, "all"))
    assert.equal(room.uri, row.event["lunation:conference"].uri)
    assert.equal(room.uri, there(row.id).hangoutLink)
    row = assert(update(row, { ["lunation:conference"] = { generate = true } }, "all"))
    assert.equal(room.uri, row.event["lunation:conference"].uri)
    row = assert(update(row, { ["lunation:conference"] = null }, "all"))
    assert.is_nil(row.event["lunation:conference"])
    assert.is_nil(there(row.id).conferenceData)
    row = assert(update(row, { ["lunation:conference"] = { uri = "https://zoom.us/j/1", provider = "zoom" } }, "all"))
    assert.equal("https://zoom.us/j/1", row.event["lunation:conference"].uri)
    agree()
    for _, method in ipairs { "POST", "PATCH", "PUT" } do
      for _, request in ipairs(requests(method)) do
        if request.path:find("/events", 1, true) then assert.truthy(json.encode(request):find("conferenceDataVersion", 1, true)) end
      end
    end
  end)

  it("a Meet room of one instance is that instance's", function()
    emulated.control("POST", "/options", { meet_seconds = 0.2 })
    local row = create(weekly())
    row = assert(update(row, { ["lunation:conference"] = { generate = true } }, "this", "2027-03-09T18:00:00"))
    assert.is_nil(row.event["lunation:conference"])
    local room = row.event.recurrenceOverrides["2027-03-09T18:00:00"]["lunation:conference"]
    assert.truthy(room.uri:find "^https://meet%.google%.com/")
  end)

  it("a room of another service is shown also where Google does not take it", function()
    emulated.fault { match = { method = "POST", path = "/events$" }, fault = "status", status = 400, reason = "invalid" }
    local event = weekly { recurrenceRules = null, ["lunation:conference"] = { uri = "https://zoom.us/j/1", provider = "zoom" } }
    local row = create(event)
    assert.equal("https://zoom.us/j/1", row.event["lunation:conference"].uri)
    assert.is_nil(there(row.id).conferenceData)
    emulated.fault { match = { method = "PATCH" }, fault = "status", status = 400, reason = "invalid" }
    row = assert(update(row, { ["lunation:conference"] = { uri = "https://zoom.us/j/2", provider = "zoom" } }, "all"))
    assert.same({ uri = "https://zoom.us/j/2", provider = "zoom" }, row.event["lunation:conference"])
    agree()
  end)

  it("what a guest answers is the guest's own answer", function()
    local invited = raw("POST", "/calendars/bob%40example.com/events?sendUpdates=all", {
      summary = "Meeting", start = { dateTime = "2027-03-02T10:00:00Z" }, ["end"] = { dateTime = "2027-03-02T11:00:00Z" },
      attendees = { { email = PRIMARY }, { email = "carol@example.org" }, { email = "bob@example.com" } },
    }, "bob@example.com")
    assert(engine.sync:account(account.id, { force = true }))
    local row = assert(store:event(calendar.key, invited.id))
    local people = require("lunation.model").copy(row.event.participants)
    local me = require("lunation.model").participant_id(PRIMARY)
    assert.equal("needs-action", people[me].participationStatus)
    people[me].participationStatus, people[me].participationComment = "accepted", "Gladly"
    row = assert(update(row, { participants = people }, "all"))
    assert.equal("accepted", row.event.participants[me].participationStatus)
    local seen = raw("GET", "/calendars/bob%40example.com/events/" .. invited.id, nil, "bob@example.com")
    assert.equal(3, #seen.attendees)
    for _, attendee in ipairs(seen.attendees) do
      if attendee.email == PRIMARY then assert.same({ "accepted", "Gladly" }, { attendee.responseStatus, attendee.comment }) end
      if attendee.email == "carol@example.org" then assert.equal("needsAction", attendee.responseStatus) end
    end
    agree()
  end)

  it("who is told is what the write says", function()
    local event = weekly { participants = { b = { email = "bob@example.com", roles = { attendee = true } } } }
    create(event)
    create(event, { notify = "none" })
    local told = {}
    for _, request in ipairs(requests "POST") do
      if request.path:find "/events$" then told[#told + 1] = json.encode(request):match 'sendUpdates[^%w]+(%a+)' end
    end
    assert.same({ "all", "none" }, told)
  end)

  it("a change that another made meanwhile is kept beside ours", function()
    local row = create(weekly())
    raw("PATCH", EVENTS .. "/" .. row.id, { location = "Hall 3" })
    row = assert(update(row, { title = "Course" }, "all"))
    assert.equal("Course", row.event.title)
    assert.equal("Hall 3", row.event.locations["1"].name)
    agree()
  end)

  it("an event that has been deleted at Google is not there to change, and is deleted", function()
    local row = create(weekly())
    raw("DELETE", EVENTS .. "/" .. row.id)
    local changed, err = update(row, { title = "Course" }, "all")
    assert.is_nil(changed)
    assert.equal("not_found", err.code)
    row = create(weekly())
    raw("DELETE", EVENTS .. "/" .. row.id)
    assert.is_true(engine.write:delete { calendar = calendar, id = row.id })
  end)

  describe("a creation is one", function()
    for what, fault in pairs {
      ["whose answer was cut"] = { fault = "cut" },
      ["that was carried out although Google said 503"] = { fault = "status", status = 503, done = true },
      ["that Google put off"] = { fault = "status", status = 429, retry_after = 0 },
      ["that Google put off with a 403"] = { fault = "status", status = 403, reason = "rateLimitExceeded" },
    } do
      it(what, function()
        fault.match = { method = "POST", path = "/events$" }
        emulated.fault(fault)
        local row = create { ["@type"] = "Event", title = "Once", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT1H" }
        assert.equal("Once", row.event.title)
        assert.equal(1, #raw("GET", EVENTS .. "?singleEvents=true").items)
        agree()
      end)
    end

    it("of a UID that was deleted before", function()
      local event = { ["@type"] = "Event", uid = "again", title = "First", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT1H" }
      local row = create(event)
      assert.is_true(engine.write:delete { calendar = calendar, id = row.id })
      event.title = "Second"
      local second = create(event)
      assert.equal(row.id, second.id)
      assert.equal("Second", there(second.id).summary)
      agree()
    end)
  end)

  it("a UID that another event has is a conflict, and that of an earlier try is none", function()
    local provider = google.provider()
    local direct = google.account(emulated)
    local event = { ["@type"] = "Event", uid = "chosen", title = "First", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT1H" }
    local id = provider.new_id "chosen"
    local made = assert(provider.create(direct, calendar, assert(provider.event:from(event)), { id = id, given = true }))
    local again = assert(provider.create(direct, calendar, assert(provider.event:from(event)), { id = id, given = true }))
    assert.same({ made.id, made.etag }, { again.id, again.etag })
    event.title = "Other"
    local refused, err = provider.create(direct, calendar, assert(provider.event:from(event)), { id = id, given = true })
    assert.is_nil(refused)
    assert.same({ "conflict", { id = id } }, { err.code, err.details })
  end)

  describe("is refused by name", function()
    it("what Google keeps itself", function()
      local row = create(weekly { recurrenceRules = null })
      emulated.control("POST", "/event-type", { calendar = PRIMARY, event = row.id, eventType = "focusTime" })
      assert(engine.sync:account(account.id, { force = true }))
      local changed, err = update(row, { title = "No" }, "all")
      assert.is_nil(changed)
      assert.same({ "unsupported", "event_type" }, { err.code, err.reason })
      -- Its colour and reminders are the user's.
      row = assert(update(row, { color = "#dc2127" }, "all"))
      assert.equal("#dc2127", row.event.color)
    end)

    it("what only the organizer may change", function()
      local row = create(weekly())
      emulated.fault { match = { method = "PATCH" }, fault = "status", status = 403, reason = "forbiddenForNonOrganizer" }
      local changed, err = update(row, { title = "No" }, "all")
      assert.is_nil(changed)
      assert.same({ "forbidden", "forbiddenForNonOrganizer" }, { err.code, err.reason })
    end)
  end)

  it("files of the integrator change the mapping of the next sync", function()
    local support = require "spec.support"
    local dir = support.tmpdir()
    support.write(dir .. "/google.lua", [[return extend("google", { event = { title = codec("summary", {
      to = function(text) return text:upper() end, from = function(text) return text:lower() end }) } })]])
    local changed = google_engine.open(store, emulated, { path = { dir } })
    local row = assert(changed.write:create { calendar = calendar, event = weekly { title = "LOUD" } })
    assert.equal("loud", there(row.id).summary)
    assert.equal("LOUD", row.event.title)
    row = assert(changed.write:update { calendar = calendar, id = row.id, recurrenceId = "2027-03-09T18:00:00", scope = "this", patch = { title = "OTHER" } })
    assert.equal("OTHER", row.event.recurrenceOverrides["2027-03-09T18:00:00"].title)
    assert(changed.sync:account(account.id, { force = true }))
    assert.equal("LOUD", assert(store:event(calendar.key, row.id)).event.title)
  end)
end)

describe("days at Google stay on their dates where the calendar's zone is", function()
  for _, zone in ipairs { "Pacific/Kiritimati", "Pacific/Pago_Pago" } do
    it(zone, function()
      local emulated = google.start { "--zone", PRIMARY .. "=" .. zone }
      local provider, account = google.provider(), google.account(emulated)
      local calendar = google.calendar(PRIMARY, { timeZone = zone })
      assert.equal(zone, assert(provider.calendar:to(assert(provider.calendars(account))[1])).timeZone)
      local event = {
        ["@type"] = "Event", uid = "days", title = "Days", start = "2027-03-01T00:00:00", duration = "P1D", showWithoutTime = true,
        recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 4 } },
        recurrenceOverrides = { ["2027-03-02T00:00:00"] = { title = "Second" }, ["2027-03-03T00:00:00"] = { excluded = true } },
      }
      local made = assert(provider.create(account, calendar, assert(provider.event:from(event)), { id = provider.new_id "days" }))
      assert(google.sync(provider, account, calendar, nil))
      for _, native in ipairs { made, calendar.rows[made.id] } do
        local shown = assert(provider.event:to(native))
        assert.same({ "2027-03-01T00:00:00", "P1D", true }, { shown.start, shown.duration, shown.showWithoutTime })
        assert.is_nil(shown.timeZone)
        assert.equal("Second", shown.recurrenceOverrides["2027-03-02T00:00:00"].title)
        assert.same({ excluded = true }, shown.recurrenceOverrides["2027-03-03T00:00:00"])
      end
      local days = {}
      for _, item in ipairs(google.raw(emulated, "GET", EVENTS .. "/" .. made.id .. "/instances").items) do days[#days + 1] = item.start.date end
      assert.same({ "2027-03-01", "2027-03-02", "2027-03-04" }, days)
      google.assert_contract(emulated)
      emulated.stop()
    end)
  end
end)
