-- Whole round trips through the engine to real servers: what is written in the canonical form is what a stranger reads there,
-- for single events and for each way of editing a series; what the engine does not understand survives.
local caldav_engine = require "spec.fixtures.caldav_engine"
local http = require "lunation.http"
local ical = require "lunation.ical"
local json = require "lunation.json"
local servers = require "spec.servers"
local specs = require "spec.support.store"

local weekly = {
  ["@type"] = "Event", title = "Class", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT90M",
  description = "Bring; a, book", keywords = { yoga = true },
  recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "weekly", count = 8 } },
}

for _, name in ipairs(servers.selected()) do
  describe("a series through the engine on " .. name .. " #servers", function()
    local server, store, engine, account, calendar

    setup(function()
      server = assert(servers.start(name))
      store = specs.open()
      engine = caldav_engine.open(store)
      local url = servers.make_calendar(server, "alice", "series", "Series")
      account = caldav_engine.account(store, server.url, "alice", "secret")
      assert(engine.sync:account(account.id, { force = true }))
      calendar = assert(store:calendar_by_id(account.id, url))
    end)

    teardown(function()
      if store then store:close() end
      if server then server:stop() end
    end)

    -- What a stranger reads on the server, by id.
    local function on_server(id)
      local answer = assert(http.request { url = calendar.id .. id, auth = { kind = "basic", username = "alice", password = "secret" } })
      if answer.status == 404 then return nil end
      assert.equal(200, answer.status)
      local events = assert(ical.events(answer.body))
      assert.equal(1, #events)
      return events[1], answer.body
    end

    local function put(id, text)
      local answer = assert(http.request {
        method = "PUT", url = calendar.id .. id, body = text, headers = { ["content-type"] = "text/calendar; charset=utf-8" },
        auth = { kind = "basic", username = "alice", password = "secret" },
      })
      assert.is_true(answer.status < 300, answer.status .. answer.body)
    end

    local function create(event)
      local row = assert(engine.write:create { calendar = calendar, event = event })
      assert.same({}, store:intents())
      return row
    end

    local function keys(overrides)
      local list = {}
      for key in pairs(overrides or {}) do list[#list + 1] = key end
      table.sort(list)
      return list
    end

    -- The mirror and a fresh reading of everything agree.
    local function agree(row)
      assert(engine.sync:account(account.id, { force = true }))
      local mirrored = assert(store:event(calendar.key, row.id))
      local there = assert(on_server(row.id))
      assert.equal(there.title, mirrored.event.title)
      assert.equal(there.start, mirrored.event.start)
      assert.same(keys(there.recurrenceOverrides), keys(mirrored.event.recurrenceOverrides))
    end

    it("is created as it was meant", function()
      local row = create(weekly)
      local there = on_server(row.id)
      assert.equal("Class", there.title)
      assert.equal("2027-03-02T18:00:00", there.start)
      assert.equal("Europe/Berlin", there.timeZone)
      assert.equal("Bring; a, book", there.description)
      assert.equal(8, there.recurrenceRules[1].count)
      agree(row)
    end)

    it("is changed in one instance", function()
      local row = create(weekly)
      row = assert(engine.write:update {
        calendar = calendar, id = row.id, recurrenceId = "2027-03-16T18:00:00", scope = "this",
        patch = { title = "Guest teacher", start = "2027-03-16T19:00:00" },
      })
      local there = on_server(row.id)
      assert.equal("Class", there.title)
      assert.same({ "2027-03-16T18:00:00" }, keys(there.recurrenceOverrides))
      assert.equal("Guest teacher", there.recurrenceOverrides["2027-03-16T18:00:00"].title)
      assert.equal("2027-03-16T19:00:00", there.recurrenceOverrides["2027-03-16T18:00:00"].start)
      agree(row)
    end)

    it("loses one instance", function()
      local row = create(weekly)
      assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = "2027-03-09T18:00:00", scope = "this" })
      local there = on_server(row.id)
      assert.same({ "2027-03-09T18:00:00" }, keys(there.recurrenceOverrides))
      assert.is_true(there.recurrenceOverrides["2027-03-09T18:00:00"].excluded)
      agree(row)
    end)

    it("is changed from one instance on", function()
      local row = create(weekly)
      row = assert(engine.write:update {
        calendar = calendar, id = row.id, recurrenceId = "2027-04-06T18:00:00", scope = "this", patch = { title = "Exam" },
      })
      local second = assert(engine.write:update {
        calendar = calendar, id = row.id, recurrenceId = "2027-03-23T18:00:00", scope = "following", patch = { title = "New class" },
      })
      assert.are_not.equal(row.id, second.id)
      local first_half, second_half = on_server(row.id), on_server(second.id)
      assert.equal("Class", first_half.title)
      assert.is_nil(first_half.recurrenceOverrides)
      assert.is_true(first_half.recurrenceRules[1]["until"] ~= nil or first_half.recurrenceRules[1].count == 3)
      assert.equal("New class", second_half.title)
      assert.equal("2027-03-23T18:00:00", second_half.start)
      assert.equal(5, second_half.recurrenceRules[1].count)
      assert.equal("Exam", second_half.recurrenceOverrides["2027-04-06T18:00:00"].title)
      agree(row)
      agree(second)
    end)

    it("ends before one instance", function()
      local row = create(weekly)
      assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = "2027-03-16T18:00:00", scope = "following" })
      local there = on_server(row.id)
      assert.is_true(there.recurrenceRules[1].count == 2 or there.recurrenceRules[1]["until"] < "2027-03-16T18:00:00")
      agree(row)
    end)

    it("is changed as a whole, and deleted as a whole", function()
      local row = create(weekly)
      row = assert(engine.write:update {
        calendar = calendar, id = row.id, scope = "all", patch = { title = "All new", description = json.null, locations = { l = { name = "Hall" } } },
      })
      local there = on_server(row.id)
      assert.equal("All new", there.title)
      assert.is_nil(there.description)
      assert.equal("Hall", select(2, next(there.locations)).name)
      agree(row)
      assert(engine.write:delete { calendar = calendar, id = row.id, scope = "all" })
      assert.is_nil((on_server(row.id)))
      assert.is_nil((store:event(calendar.key, row.id)))
    end)

    it("keeps what other programs put into it", function()
      put("theirs.ics", table.concat({
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Other//EN", "BEGIN:VEVENT", "UID:theirs-" .. name, "DTSTAMP:20260101T000000Z",
        "DTSTART:20270301T100000Z", "DTEND:20270301T110000Z", "RRULE:FREQ=DAILY;COUNT=6", "SUMMARY:Theirs", "X-OTHER-ROOM;X-FLOOR=2:Blue",
        "BEGIN:VALARM", "ACTION:DISPLAY", "DESCRIPTION:Soon", "TRIGGER:-PT10M", "X-OTHER-SOUND:bell", "END:VALARM", "END:VEVENT", "END:VCALENDAR", "",
      }, "\r\n"))
      assert(engine.sync:account(account.id, { force = true }))
      assert(engine.write:update { calendar = calendar, id = "theirs.ics", scope = "all", patch = { title = "Ours" } })
      assert(engine.write:update {
        calendar = calendar, id = "theirs.ics", recurrenceId = "2027-03-03T10:00:00", scope = "this", patch = { title = "Only this" },
      })
      local second = assert(engine.write:update {
        calendar = calendar, id = "theirs.ics", recurrenceId = "2027-03-05T10:00:00", scope = "following", patch = { title = "Later" },
      })
      for _, id in ipairs { "theirs.ics", second.id } do
        local _, text = on_server(id)
        text = text:gsub("\r?\n[ \t]", "")
        assert.truthy(text:find("X-OTHER-ROOM;X-FLOOR=2:Blue", 1, true), id)
        assert.truthy(text:find("X-OTHER-SOUND:bell", 1, true), id)
        assert.truthy(text:find("-PT10M", 1, true), id)
      end
      assert.equal("Only this", on_server("theirs.ics").recurrenceOverrides["2027-03-03T10:00:00"].title)
    end)

    it("is changed together with somebody else: each keeps what the other did not touch", function()
      local row = create(weekly)
      local _, text = on_server(row.id)
      put(row.id, (text:gsub("SUMMARY:Class", "SUMMARY:Their title")))
      row = assert(engine.write:update { calendar = calendar, id = row.id, scope = "all", patch = { description = "Our text" } })
      local there = on_server(row.id)
      assert.equal("Their title", there.title)
      assert.equal("Our text", there.description)
      assert.equal("Their title", row.event.title)
    end)

    it("of whole days stays on its days", function()
      local row = create {
        ["@type"] = "Event", title = "Market", start = "2027-05-01T00:00:00", showWithoutTime = true, duration = "P1D",
        recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 3 } },
      }
      assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = "2027-05-02T00:00:00", scope = "this" })
      local there, text = on_server(row.id)
      assert.is_true(there.showWithoutTime)
      assert.equal("2027-05-01T00:00:00", there.start)
      assert.truthy(text:find("DTSTART;VALUE=DATE:20270501", 1, true))
      assert.truthy(text:find("EXDATE;VALUE=DATE:20270502", 1, true))
      agree(row)
    end)
  end)
end
