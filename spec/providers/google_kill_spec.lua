-- A process that dies while it writes a series to Google leaves all of it or nothing, once what it left open is settled.
local google = require "spec.support.google"
local google_engine = require "spec.fixtures.google_engine"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local specs = require "spec.support.store"
local support = require "spec.support"
local timer = require "lunation.timer"

local PRIMARY = "alice@example.com"
local EVENTS = "/calendars/" .. google.escape(PRIMARY) .. "/events"
local ROUNDS = 8

describe("a writer at Google that is killed", function()
  local emulated

  setup(function() emulated = google.start() end)
  teardown(function() emulated.stop() end)

  local function prepare()
    emulated.reset()
    local store, path = specs.open { plain = true }
    local engine = google_engine.open(store, emulated)
    local account = google_engine.account(engine, emulated, PRIMARY)
    assert(engine.sync:account(account.id, { force = true }))
    return store, path, engine, account, assert(store:calendar_by_id(account.id, PRIMARY))
  end

  -- The write in a process of its own, for so many seconds.
  local function write_for(seconds, path, id, kind)
    emulated.fault { match = { path = "." }, fault = "slow", seconds = 0.02, times = 1000 }
    local child = assert(process.spawn {
      args = { host.executable, "run", "spec/fixtures/google_kill.lua", path, emulated.url, id, kind }, stdout = "pipe", cwd = host.root,
    })
    child:read()
    timer.sleep(seconds)
    child:kill "KILL"
    child:wait()
    emulated.clear()
  end

  local function settle(store, account)
    local engine = google_engine.open(store, emulated)
    support.eventually(function()
      engine.write:recover { account = account.id }
      return #store:intents() == 0
    end, 20)
  end

  local function found()
    local days, special, masters = 0, 0, 0
    for _, item in ipairs(google.raw(emulated, "GET", EVENTS .. "?maxResults=2500").items) do
      assert.is_nil(json.encode(item):find("unfinished", 1, true))
      if item.summary == "Special" and item.status ~= "cancelled" then special = special + 1 end
      if item.recurrence then
        masters = masters + 1
        days = days + #google.raw(emulated, "GET", EVENTS .. "/" .. item.id .. "/instances").items
      end
    end
    return days, special, masters
  end

  it("leaves a series cut in two or not at all", function()
    for round = 0, ROUNDS - 1 do
      local store, path, engine, account, calendar = prepare()
      local row = assert(engine.write:create { calendar = calendar, event = {
        ["@type"] = "Event", title = "Class", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT90M",
        recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "weekly", count = 8 } },
        recurrenceOverrides = { ["2027-03-30T18:00:00"] = { title = "Special" }, ["2027-04-06T18:00:00"] = { title = "Special" } },
      } })
      write_for(round * 0.03, path, row.id, "following")
      settle(store, account)
      local days, special, masters = found()
      assert.same({ 8, 2 }, { days, special })
      assert.is_true(masters <= 2)
      store:close()
    end
    google.assert_contract(emulated)
  end)

  it("leaves a new series whole or not at all", function()
    for round = 0, ROUNDS - 1 do
      local store, path, _, account = prepare()
      write_for(round * 0.025, path, "none", "create")
      settle(store, account)
      local days, special, masters = found()
      assert.same(masters == 0 and { 0, 0 } or { 4, 2 }, { days, special })
      store:close()
    end
    google.assert_contract(emulated)
  end)
end)
