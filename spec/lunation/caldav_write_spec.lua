-- Writes to calendars that others write too, on every real server: what the caller did not touch stays, what cannot be
-- merged is a conflict, and afterwards the mirror has what the server has.

local caldav_engine = require "spec.fixtures.caldav_engine"
local http = require "lunation.http"
local servers = require "spec.servers"
local specs = require "spec.support.store"

local function text(uid, summary, more)
  local lines = {
    "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//spec//spec//EN", "BEGIN:VEVENT", "UID:" .. uid, "DTSTAMP:20250101T000000Z",
    "DTSTART:20250303T090000Z", "DTEND:20250303T100000Z", "SUMMARY:" .. summary,
  }
  for _, line in ipairs(more or {}) do lines[#lines + 1] = line end
  for _, line in ipairs { "END:VEVENT", "END:VCALENDAR", "" } do lines[#lines + 1] = line end
  return table.concat(lines, "\r\n")
end

for _, name in ipairs(servers.selected()) do
  describe("writes through " .. name .. " #servers #slow", function()
    local server, url, opened, engine, calendar, account

    local function dav(method, path, body)
      return assert(http.request {
        method = method, url = url .. path, body = body, headers = { ["content-type"] = "text/calendar; charset=utf-8" },
        auth = { kind = "basic", username = "alice", password = server.users.alice },
      })
    end

    local function put(path, body)
      local answer = dav("PUT", path, body)
      assert(answer.status >= 200 and answer.status < 300, ("PUT: %d %s"):format(answer.status, answer.body))
    end

    setup(function()
      server = assert(servers.start(name))
      url = servers.make_calendar(server, "alice", "shared", "Shared")
      opened = specs.open()
      account = caldav_engine.account(opened, server.url, "alice", server.users.alice)
      engine = caldav_engine.open(opened)
      assert(engine.sync:account(account.id))
      for _, row in ipairs(opened:calendars { account = account.id }) do
        if row.id:find("/shared/", 1, true) then calendar = row end
      end
    end)

    teardown(function()
      if server then server:stop() end
    end)

    local function sync() assert(engine.sync:account(account.id, { force = true })) end

    --- The mirror has what the server has: a sync that follows changes nothing of the event.
    local function settled(id)
      local before = opened:event(calendar.key, id)
      sync()
      local after = opened:event(calendar.key, id)
      assert.same(before and before.event, after and after.event)
    end

    it("keep what another has changed in the meantime, and what nobody here understands", function()
      put("merge.ics", text("merge", "Before", { "X-THEIRS:kept" }))
      sync()
      put("merge.ics", text("merge", "Before", { "X-THEIRS:kept", "LOCATION:Paris" }))
      local row = assert(engine.write:update { calendar = calendar, id = "merge.ics", patch = { title = "Mine" } })
      assert.equal("Mine", row.event.title)
      local there = dav("GET", "merge.ics").body
      for _, line in ipairs { "SUMMARY:Mine", "LOCATION:Paris", "X-THEIRS:kept" } do
        assert.truthy(there:find(line, 1, true), line .. " is missing in\n" .. there)
      end
      settled("merge.ics")
    end)

    it("find the event deleted by another", function()
      put("gone.ics", text("gone", "Gone"))
      sync()
      dav("DELETE", "gone.ics")
      local none, err = engine.write:update { calendar = calendar, id = "gone.ics", patch = { title = "Mine" } }
      assert.is_nil(none)
      assert.equal("not_found", err.code)
      assert.is_nil(opened:event(calendar.key, "gone.ics"))
      settled("gone.ics")
    end)

    it("delete what another has changed, and succeed where another was faster", function()
      put("old.ics", text("old", "Old"))
      put("older.ics", text("older", "Older"))
      sync()
      put("old.ics", text("old", "Old, changed"))
      dav("DELETE", "older.ics")
      assert.is_true(engine.write:delete { calendar = calendar, id = "old.ics" })
      assert.is_true(engine.write:delete { calendar = calendar, id = "older.ics" })
      assert.equal(404, dav("GET", "old.ics").status)
      settled("old.ics")
    end)

    it("create once, and refuse a UID that is there", function()
      local event = { title = "New", start = "2025-03-04T09:00:00", duration = "PT1H", timeZone = "Europe/Paris", uid = "new-one" }
      local row = assert(engine.write:create { calendar = calendar, event = event, key = "k" })
      assert.equal(row.id, assert(engine.write:create { calendar = calendar, event = event, key = "k" }).id)
      settled(row.id)
      put("taken.ics", text("taken", "Taken"))
      event.uid = "taken"
      local none, err = engine.write:create { calendar = calendar, event = event }
      assert.is_nil(none)
      assert.equal("conflict", err.code)
      sync()
      assert.equal("Taken", opened:event(calendar.key, "taken.ics").event.title)
    end)

    it("cut a series that another has changed, and leave both halves whole", function()
      put("series.ics", text("series", "Daily", { "RRULE:FREQ=DAILY;COUNT=6", "X-THEIRS:kept" }))
      sync()
      put("series.ics", text("series", "Daily", { "RRULE:FREQ=DAILY;COUNT=6", "X-THEIRS:kept", "LOCATION:Paris" }))
      local second = assert(engine.write:update {
        calendar = calendar, id = "series.ics", recurrenceId = "2025-03-06T09:00:00", scope = "following", patch = { title = "Later" },
      })
      for _, id in ipairs { "series.ics", second.id } do
        local there = dav("GET", id).body
        assert.truthy(there:find("LOCATION:Paris", 1, true), there)
        assert.truthy(there:find("X-THEIRS:kept", 1, true), there)
      end
      assert.equal(3, second.event.recurrenceRules[1].count)
      settled("series.ics")
      settled(second.id)
    end)

    it("leave nothing open", function()
      assert.same({}, opened:intents())
    end)
  end)
end
