-- What goes wrong between the engine and Google: answers that nobody can read, and series that are cut in two while Google
-- fails at any of the requests. Nothing is doubled, nothing is half done, and what was wrong is named.
local google = require "spec.support.google"
local google_engine = require "spec.fixtures.google_engine"
local json = require "lunation.json"
local model = require "lunation.model"
local specs = require "spec.support.store"

local PRIMARY = "alice@example.com"
local EVENTS = "/calendars/" .. google.escape(PRIMARY) .. "/events"

describe("where Google fails,", function()
  local emulated, store, engine, account, calendar

  setup(function() emulated = google.start() end)
  teardown(function() emulated.stop() end)

  before_each(function()
    emulated.reset()
    store = specs.open()
    engine = google_engine.open(store, emulated, { limits = { retry_wait = 0.3, answer = 1000000, pages = 50 } })
    account = google_engine.account(engine, emulated, PRIMARY)
    assert(engine.sync:account(account.id, { force = true }))
    calendar = assert(store:calendar_by_id(account.id, PRIMARY))
  end)
  after_each(function()
    store:close()
    google.assert_contract(emulated)
  end)

  local function raw(method, path, body, email) return google.raw(emulated, method, path, body, email) end

  local function single(summary, where)
    return raw("POST", where or EVENTS, { summary = summary, start = { dateTime = "2027-03-01T09:00:00Z" }, ["end"] = { dateTime = "2027-03-01T10:00:00Z" } })
  end

  local function sync() return engine.sync:account(account.id, { force = true }) end

  -- --- what nobody can read ---

  describe("one event that nobody can read is kept aside and named, and the rest is there:", function()
    for what, case in pairs {
      ["a day that is none"] = { { fault = "impossible_date" }, "start" },
      ["a word that nobody knows"] = { { fault = "unknown_enum" }, "status" },
      ["no end"] = { { fault = "missing_field", field = "end" }, "duration" },
    } do
      it(what, function()
        local ids = { [single("A").id] = "A", [single("B").id] = "B" }
        case[1].match = { method = "GET", path = "/events$" }
        emulated.fault(case[1])
        local counts = assert(sync())
        assert.equal(1, counts.created)
        assert.equal(1, counts.skipped)
        local aside = assert(store:unreadable(account.id))
        assert.equal(1, aside.count)
        assert.is_string(ids[aside.id])
        assert.equal("invalid_answer", aside.error.code)
        assert.equal(case[2], aside.error.details.field)
        assert.truthy(json.decode(aside.error.details.original).summary == ids[aside.id])
        assert.equal("invalid_answer", assert(store:account(account.id)).error.code)
        -- It is read when it comes again.
        raw("PATCH", EVENTS .. "/" .. aside.id, { location = "Here" })
        counts = assert(sync())
        assert.equal(1, counts.created)
        assert.equal(0, assert(store:unreadable(account.id)).count)
        assert.is_nil(assert(store:account(account.id)).error)
      end)
    end
  end)

  describe("an answer that is none fails its calendar, by name, and not the others:", function()
    for what, case in pairs {
      ["no JSON"] = { { fault = "not_json" }, "answer_not_json" },
      ["without end"] = { { fault = "endless", times = 1000 }, "endless_listing" },
      ["too large"] = { { fault = "huge", bytes = 2000000 }, "answer_too_large" },
    } do
      it(what, function()
        local other = raw("POST", "/calendars", { summary = "Side" })
        assert(engine.sync:account(account.id, { force = true }))
        local side = "/calendars/" .. google.escape(other.id) .. "/events"
        local here, there = single "Here", single("There", side)
        case[1].match = { method = "GET", path = "alice[^/]*/events$" }
        emulated.fault(case[1])
        sync()
        assert.equal(case[2], assert(store:account(account.id)).error.code)
        assert.equal(case[2], assert(store:calendar(calendar.key)).error.code)
        local row = assert(store:calendar_by_id(account.id, other.id))
        assert.is_nil(row.error)
        assert.is_truthy((store:event(row.key, there.id)))
        emulated.clear()
        assert(sync())
        assert.is_truthy((store:event(calendar.key, here.id)))
        assert.is_nil(assert(store:account(account.id)).error)
      end)
    end
  end)

  -- --- series cut in two ---

  local function starts(id)
    local list = {}
    for _, item in ipairs(raw("GET", EVENTS .. "/" .. id .. "/instances").items) do list[#list + 1] = item.start.dateTime:sub(1, 10) end
    return list
  end

  local all = { "2027-03-02", "2027-03-09", "2027-03-16", "2027-03-23", "2027-03-30", "2027-04-06", "2027-04-13", "2027-04-20" }

  local function everything()
    local list, masters, special = {}, 0, 0
    for _, item in ipairs(raw("GET", EVENTS .. "?maxResults=2500").items) do
      if item.summary == "Special" and item.status ~= "cancelled" then special = special + 1 end
      if item.recurrence then
        masters = masters + 1
        for _, day in ipairs(starts(item.id)) do list[#list + 1] = day end
      end
    end
    table.sort(list)
    return list, masters, special
  end

  local requests = {
    insert = { method = "POST", path = "/events$" }, cut = { method = "PATCH", path = "/events/[a-v0-9]+$" },
    exception = { method = "PATCH", path = "/events/[a-v0-9]+_%d" },
  }
  local faults = {
    ["cut"] = { fault = "cut" }, ["503 although it was done"] = { fault = "status", status = 503, done = true },
    ["503 each time"] = { fault = "status", status = 503, times = 5 }, ["a refusal"] = { fault = "status", status = 403, reason = "forbidden" },
    ["412"] = { fault = "status", status = 412, reason = "conditionNotMet" }, ["slow"] = { fault = "slow", seconds = 0.1 },
  }
  for place, match in pairs(requests) do
    for what, fault in pairs(faults) do
      it(("a series that is cut is whole: %s at %s"):format(what, place), function()
        local row = assert(engine.write:create { calendar = calendar, event = {
          ["@type"] = "Event", title = "Class", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT90M",
          recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "weekly", count = 8 } },
          recurrenceOverrides = { ["2027-04-06T18:00:00"] = { title = "Special" } },
        } })
        local copy = { match = match }
        for name, v in pairs(fault) do copy[name] = v end
        emulated.fault(copy)
        local second = engine.write:update {
          calendar = calendar, id = row.id, recurrenceId = "2027-03-23T18:00:00", scope = "following", patch = { title = "New" },
        }
        emulated.clear()
        engine.write:recover { account = account.id }
        assert.same({}, store:intents())
        local days, masters, special = everything()
        assert.equal(1, special)
        assert.same(all, days)
        assert.equal(second and 2 or masters, masters)
        assert.is_true(masters <= 2)
        assert(sync())
        local mirrored = 0
        for found in assert(store:events_since(calendar.key, 0)) do
          mirrored = mirrored + (found.deleted and 0 or #(model.expand(json.decode(found.event), nil, nil, 100)))
        end
        assert.equal(8, mirrored)
      end)
    end
  end

  it("a series that was never finished is none, and is taken away", function()
    local row = assert(engine.write:create { calendar = calendar, event = {
      ["@type"] = "Event", title = "Class", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT90M",
      recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "weekly", count = 8 } },
      recurrenceOverrides = { ["2027-04-06T18:00:00"] = { title = "Special" } },
    } })
    for _, item in ipairs(raw("GET", EVENTS .. "?maxResults=2500").items) do
      assert.is_nil(json.encode(item):find("unfinished", 1, true))
    end
    -- Neither the exception can be written nor what was begun be taken away.
    emulated.fault {
      { match = requests.exception, fault = "status", status = 500, times = 50 },
      { match = { method = "DELETE" }, fault = "status", status = 500, times = 50 },
    }
    local second, err = engine.write:update {
      calendar = calendar, id = row.id, recurrenceId = "2027-03-23T18:00:00", scope = "following", patch = { title = "New" },
    }
    assert.is_nil(second)
    assert.equal("provider_error", err.code)
    assert.equal(1, #store:intents())
    emulated.clear()
    engine.write:recover { account = account.id }
    assert.same({}, store:intents())
    local days, masters, special = everything()
    assert.same({ all, 1, 1 }, { days, masters, special })
  end)

  it("an answer for one instance is that instance's alone", function()
    local made = raw("POST", "/calendars/bob%40example.com/events?sendUpdates=all", {
      summary = "Meeting", recurrence = { "RRULE:FREQ=DAILY;COUNT=3" }, attendees = { { email = PRIMARY } },
      start = { dateTime = "2027-03-02T10:00:00", timeZone = "Europe/Berlin" }, ["end"] = { dateTime = "2027-03-02T11:00:00", timeZone = "Europe/Berlin" },
    }, "bob@example.com")
    assert(sync())
    local row = assert(store:event(calendar.key, made.id))
    local people = model.copy(row.event.participants)
    local me = model.participant_id(PRIMARY)
    people[me].participationStatus = "declined"
    row = assert(engine.write:update {
      calendar = calendar, id = row.id, recurrenceId = "2027-03-03T10:00:00", scope = "this", patch = { participants = people },
    })
    assert.equal("needs-action", row.event.participants[me].participationStatus)
    assert.equal("declined", row.event.recurrenceOverrides["2027-03-03T10:00:00"].participants[me].participationStatus)
    local before = row.event
    assert(sync())
    assert.same(before, assert(store:event(calendar.key, row.id)).event)
  end)
end)
