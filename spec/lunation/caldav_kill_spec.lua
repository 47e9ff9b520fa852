-- The kills of kill_spec.lua against a real CalDAV server: what the server has after SIGKILL at any step and the recovery
-- by a new process is all of a write or nothing of it; and many readers in two processes make one round of requests.

local caldav_engine = require "spec.fixtures.caldav_engine"
local host = require "lunation.host"
local http = require "lunation.http"
local json = require "lunation.json"
local model = require "lunation.model"
local process = require "lunation.process"
local servers = require "spec.servers"
local specs = require "spec.support.store"
local support = require "spec.support"
local timer = require "lunation.timer"
local tz = require "lunation.tz"

if not servers.has("radicale") then return end

local SERIES = table.concat({
  "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//spec//spec//EN", "BEGIN:VEVENT", "UID:series", "DTSTAMP:20250101T000000Z",
  "DTSTART:20250303T090000Z", "DURATION:PT1H", "SUMMARY:Daily", "RRULE:FREQ=DAILY;COUNT=10", "X-KEPT:yes",
  "BEGIN:VALARM", "ACTION:DISPLAY", "DESCRIPTION:Now", "TRIGGER:-PT10M", "END:VALARM", "END:VEVENT", "END:VCALENDAR", "",
}, "\r\n")
local SINGLE = table.concat({
  "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//spec//spec//EN", "BEGIN:VEVENT", "UID:single", "DTSTAMP:20250101T000000Z",
  "DTSTART:20250401T090000Z", "DURATION:PT1H", "SUMMARY:Once", "END:VEVENT", "END:VCALENDAR", "",
}, "\r\n")

describe("against Radicale, a process killed at any step of #slow #servers", function()
  local server, calendar_url

  local function dav(method, url, body, content_type)
    return assert(http.request {
      method = method, url = url, body = body, headers = { ["content-type"] = content_type },
      auth = { kind = "basic", username = "alice", password = server.users.alice },
    })
  end

  setup(function()
    server = assert(servers.start("radicale"))
    calendar_url = servers.make_calendar(server, "alice", "work", "Work")
  end)

  teardown(function()
    if server then server:stop() end
  end)

  --- An empty store, and the calendar as every run begins with it.
  local function prepare()
    dav("PUT", calendar_url .. "series.ics", SERIES, "text/calendar; charset=utf-8")
    dav("PUT", calendar_url .. "single.ics", SINGLE, "text/calendar; charset=utf-8")
    local dir = support.tmpdir()
    local opened = specs.open { path = dir .. "/store.db", plain = true }
    local account = caldav_engine.account(opened, server.url, "alice", server.users.alice)
    local engine = caldav_engine.open(opened)
    assert(engine.sync:account(account.id))
    local calendar = opened:calendars({ account = account.id })[1]
    for row in assert(opened:events_since(calendar.key, 0)) do
      if row.id ~= "series.ics" and row.id ~= "single.ics" then dav("DELETE", calendar_url .. row.id) end
    end
    assert(engine.sync:account(account.id, { force = true }))
    opened:close()
    return dir
  end

  local function run(dir, operation, step)
    local result = assert(process.run {
      args = { host.executable, "run", host.root .. "/spec/fixtures/kill_write.lua", dir .. "/store.db", "caldav", operation,
        tostring(step) },
      stderr = "pipe",
    })
    if result.signal then return nil end
    assert(result.code == 0, result.stderr)
    return json.decode(result.stdout)
  end

  local function instances_of(opened, key)
    local found = {}
    local from, to = tz.to_utc("2025-01-01T00:00:00", "UTC"), tz.to_utc("2026-01-01T00:00:00", "UTC")
    for row in assert(opened:events_since(key, 0)) do
      local event = json.decode(row.event)
      for _, one in ipairs(assert(model.expand(event, from, to, 1000))) do
        local shown = one.recurrenceId and model.instance(event, one.recurrenceId) or event
        found[#found + 1] = tz.to_local(one.start, "UTC"):sub(1, 10) .. " " .. shown.title
      end
    end
    table.sort(found)
    return table.concat(found, "\n")
  end

  --- What the server has, seen by a store that knows nothing, after a new process has recovered; and the mirror agrees.
  local function recovered(dir)
    local opened = specs.open { path = dir .. "/store.db" }
    local engine = caldav_engine.open(opened)
    engine.write:recover()
    assert.same({}, opened:intents())
    assert(engine.sync:account(1, { force = true }))
    local mirrored = instances_of(opened, opened:calendars({ account = 1 })[1].key)
    opened:close()
    local fresh = specs.open { plain = true }
    caldav_engine.account(fresh, server.url, "alice", server.users.alice)
    assert(caldav_engine.open(fresh).sync:account(1))
    local there = instances_of(fresh, fresh:calendars({ account = 1 })[1].key)
    local originals = {}
    for row in assert(fresh:events_since(fresh:calendars({ account = 1 })[1].key, 0)) do
      originals[#originals + 1] = fresh:event_by_key(row.key).original.text
    end
    fresh:close()
    assert.equal(there, mirrored)
    return there, originals
  end

  for _, operation in ipairs { "create", "this", "following", "delete" } do
    it(operation .. " leaves all of it or nothing", function()
      local dir = prepare()
      local nothing = recovered(dir)
      local steps = assert(run(dir, operation, 0)).steps
      local whole, originals = recovered(dir)
      assert.not_equal(nothing, whole)
      if operation == "following" then
        -- What we do not understand, and the alarm, are in both halves.
        local kept = 0
        for _, text in ipairs(originals) do
          if text:find("X-KEPT:yes", 1, true) and text:find("BEGIN:VALARM", 1, true) then kept = kept + 1 end
        end
        assert.equal(2, kept)
      end
      local outcomes = { [nothing] = 0, [whole] = 0 }
      for step = 1, steps do
        dir = prepare()
        assert(run(dir, operation, step) == nil, "step " .. step .. " was not reached")
        local now = recovered(dir)
        if not outcomes[now] then error("killed at step " .. step .. ":\n" .. now, 0) end
        outcomes[now] = outcomes[now] + 1
      end
      assert.is_true(outcomes[nothing] > 0)
      assert.is_true(outcomes[whole] > 0)
    end)
  end

  it("readers in two workers makes one round of requests", function()
    local dir = prepare()
    local opened = specs.open { path = dir .. "/store.db", plain = true }
    assert(opened:account_update(1, { synced_at = timer.time() - 3600 }))
    dav("PUT", calendar_url .. "new.ics", (SINGLE:gsub("UID:single", "UID:new"):gsub("Once", "New")), "text/calendar; charset=utf-8")
    local script = support.write(dir .. "/worker.lua", [[
      local path = ...
      package.path = require("lunation.host").root .. "/?.lua;" .. package.path
      local http = require "lunation.http"
      local specs = require "spec.support.store"
      local task = require "lunation.task"
      local request, reports = http.request, 0
      http.request = function(options)
        if options.method == "REPORT" and options.body:find("sync-collection", 1, true) then reports = reports + 1 end
        return request(options)
      end
      local opened = specs.open { path = path }
      local engine = require("spec.fixtures.caldav_engine").open(opened)
      local readers = {}
      for index = 1, 50 do
        readers[index] = function()
          local stale = engine.sync:refresh { accounts = { 1 } }
          assert(#stale == 0 and opened:event(opened:calendars({ account = 1 })[1].key, "new.ics"), "not fresh")
        end
      end
      for _, result in ipairs(task.all(readers)) do assert(result[1], result[2]) end
      io.write(reports)
    ]])
    local workers, reports = {}, 0
    for index = 1, 2 do
      workers[index] = assert(process.spawn {
        args = { host.executable, "run", script, dir .. "/store.db" }, stdout = "pipe", stderr = "inherit",
      })
    end
    for _, worker in ipairs(workers) do
      reports = reports + tonumber(worker:read_all())
      assert.equal(0, worker:wait(30).code)
    end
    assert.equal(1, reports)
  end)
end)
