-- Microsoft's provider in the engine: mirror and writes through a store, against the emulator.
local emulator = require "spec.support.emulator"
local json = require "lunation.json"
local microsoft = require "spec.support.microsoft"
local model = require "lunation.model"

describe("an engine with an account at Microsoft", function()
  local graph, engine, account, calendar

  setup(function() graph = emulator.start "microsoft" end)
  teardown(function() graph.stop() end)

  before_each(function()
    graph.clear()
    graph.reset()
    engine, account, calendar = microsoft.engine(graph)
  end)

  after_each(function()
    assert.same({}, engine.store:intents())
    if graph.has_contract then assert.same({}, graph.violations()) end
  end)

  local function sync() return assert(engine.sync:account(account.id, { force = true })) end

  local function nothing_new()
    local counts = sync()
    assert.same({ 0, 0, 0, 0 }, { counts.created, counts.updated, counts.deleted, counts.skipped })
  end

  local function weekly(over)
    local event = { ["@type"] = "Event", title = "Weekly", start = "2026-12-07T09:00:00", duration = "PT1H", timeZone = "Europe/Paris",
      recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "weekly", count = 6 } } }
    for name, value in pairs(over or {}) do event[name] = value end
    return event
  end

  local function rows()
    local list = {}
    for row in assert(engine.store:events_since(calendar.key, 0)) do
      if not row.deleted then list[#list + 1] = assert(engine.store:event_by_key(row.key)) end
    end
    table.sort(list, function(a, b) return a.event.start < b.event.start end)
    return list
  end

  local function starts(event)
    local list = {}
    for i, each in ipairs((model.expand(event, 0, 2000000000))) do list[i] = each.recurrenceId end
    return list
  end

  it("shows what was written as it is, and finds nothing new afterwards", function()
    local row = assert(engine.write:create { calendar = calendar, event = weekly() })
    assert.equal("Weekly", row.event.title)
    assert.equal(row.original.id, row.id)
    nothing_new()
    local changed = assert(engine.write:update { calendar = calendar, id = row.id, recurrenceId = "2026-12-14T09:00:00", scope = "this",
      patch = { title = "Once", ["lunation:custom"] = { demo = { a = 1 } } } })
    assert.equal("Once", model.instance(changed.event, "2026-12-14T09:00:00").title)
    nothing_new()
    assert(engine.write:delete { calendar = calendar, id = row.id, recurrenceId = "2026-12-21T09:00:00", scope = "this" })
    nothing_new()
    assert(engine.write:update { calendar = calendar, id = row.id, scope = "all", patch = { title = "All" } })
    nothing_new()
    local now = rows()[1].event
    assert.equal("Once", now.recurrenceOverrides["2026-12-14T09:00:00"].title)
    assert.is_true(now.recurrenceOverrides["2026-12-21T09:00:00"].excluded)
    assert.is_true(engine.write:delete { calendar = calendar, id = row.id, scope = "all" })
    assert.same({}, rows())
    nothing_new()
  end)

  it("splits a series", function()
    local row = assert(engine.write:create { calendar = calendar, event = weekly() })
    assert(engine.write:update { calendar = calendar, id = row.id, recurrenceId = "2026-12-28T09:00:00", scope = "this", patch = { title = "Late" } })
    local second = assert(engine.write:update { calendar = calendar, id = row.id, recurrenceId = "2026-12-21T09:00:00", scope = "following",
      patch = { title = "From here", start = "2026-12-21T10:00:00" } })
    local list = rows()
    assert.equal(2, #list)
    assert.same({ "2026-12-07T09:00:00", "2026-12-14T09:00:00" }, starts(list[1].event))
    assert.equal(4, #starts(list[2].event))
    assert.equal("2026-12-21T10:00:00", list[2].event.start)
    assert.equal("From here", list[2].event.title)
    assert.equal("Late", model.instance(list[2].event, "2026-12-28T10:00:00").title)
    assert.equal(list[2].id, second.id)
    nothing_new()
    local first = assert(engine.write:delete { calendar = calendar, id = second.id, recurrenceId = "2026-12-28T10:00:00", scope = "following" })
    assert.is_not_nil(first)
    assert.equal(3, #starts(rows()[1].event) + #starts(rows()[2].event))
    nothing_new()
  end)

  it("has no half a series where the second step fails", function()
    local row = assert(engine.write:create { calendar = calendar, event = weekly() })
    graph.fault { match = { method = "PATCH" }, fault = "status", status = 403, reason = "ErrorAccessDenied" }
    local none, err = engine.write:update { calendar = calendar, id = row.id, recurrenceId = "2026-12-21T09:00:00", scope = "following",
      patch = { title = "From here" } }
    assert.is_nil(none)
    assert.equal("forbidden", err.code)
    assert.equal(1, #rows())
    assert.equal(6, #starts(rows()[1].event))
    nothing_new()
    -- Done, though the answer was lost.
    graph.fault { match = { method = "PATCH" }, fault = "status", status = 504, done = true }
    local second = assert(engine.write:update { calendar = calendar, id = row.id, recurrenceId = "2026-12-21T09:00:00", scope = "following",
      patch = { title = "From here" } })
    assert.equal("From here", second.event.title)
    assert.equal(2, #rows())
    nothing_new()
  end)

  it("makes one event of a creation whose answer is lost", function()
    graph.fault { match = { method = "POST", path = "/events$" }, fault = "cut" }
    assert(engine.write:create { calendar = calendar, event = weekly() })
    graph.fault { match = { method = "POST", path = "/events$" }, fault = "status", status = 504, done = true, times = 3 }
    assert(engine.write:create { calendar = calendar, event = weekly { start = "2027-01-04T09:00:00" } })
    assert.equal(2, #rows())
    nothing_new()
    local user = assert(engine.store:account(account.id)).user
    local first = assert(engine.write:create { calendar = calendar, event = weekly { title = "Key" }, app = "demo", user = user, key = "k1" })
    local again = assert(engine.write:create { calendar = calendar, event = weekly { title = "Key" }, app = "demo", user = user, key = "k1" })
    assert.equal(first.id, again.id)
    assert.equal(3, #rows())
  end)

  it("settles a creation that nobody knows the end of", function()
    engine, account, calendar = microsoft.engine(graph, { limits = { retry_wait = 0.02 } })
    graph.fault { match = { method = "POST", path = "/events$" }, fault = "status", status = 504, done = true, times = 5 }
    graph.fault { match = { method = "GET", path = "/events" }, fault = "status", status = 503, times = 50 }
    local none, err = engine.write:create { calendar = calendar, event = weekly() }
    assert.is_nil(none)
    assert.truthy(err.code == "timeout" or err.code == "unavailable", err.code)
    assert.equal(1, #engine.store:intents())
    graph.clear()
    -- Whoever asked was told that it failed: it is found by its handle and taken away again.
    sync()
    assert.same({}, engine.store:intents())
    assert.same({}, rows())
    nothing_new()
  end)

  it("merges what another has changed meanwhile", function()
    local row = assert(engine.write:create { calendar = calendar, event = weekly() })
    microsoft.raw(graph, "PATCH", "/me/events/" .. row.id, { importance = "high" })
    local changed = assert(engine.write:update { calendar = calendar, id = row.id, scope = "all", patch = { title = "Mine" } })
    assert.same({ "Mine", 1 }, { changed.event.title, changed.event.priority })
    nothing_new()
  end)

  it("refuses what Outlook cannot express, and nothing is left of it", function()
    local none, err = engine.write:create { calendar = calendar, event = weekly { recurrenceRules = { { frequency = "monthly", byMonthDay = { -1 } } } } }
    assert.is_nil(none)
    assert.same({ "invalid_request", "recurrenceRules" }, { err.code, err.field })
    assert.same({}, rows())
    local row = assert(engine.write:create { calendar = calendar, event = weekly() })
    none, err = engine.write:update { calendar = calendar, id = row.id, scope = "all", patch = { status = "cancelled" } }
    assert.is_nil(none)
    assert.equal("status", err.field)
    nothing_new()
  end)

  it("goes on where one event cannot be read, and says which", function()
    assert(engine.write:create { calendar = calendar, event = weekly() })
    local bad = microsoft.raw(graph, "POST", "/me/events", { subject = "bad",
      start = { dateTime = "2026-12-07T09:00:00", timeZone = "UTC" }, ["end"] = { dateTime = "2026-12-07T10:00:00", timeZone = "UTC" } }).id
    local provider = engine.providers:get "microsoft"
    local to = provider.event.to
    -- As if Graph had a word of tomorrow.
    provider.event.to = function(self, native, context)
      if native.id == bad then
        native = json.decode(json.encode(native))
        native.showAs = "napping"
      end
      return to(self, native, context)
    end
    local counts = sync()
    assert.equal(1, counts.skipped)
    local now = assert(engine.store:account(account.id))
    assert.equal("invalid_answer", now.error.code)
    assert.truthy(tostring(now.error.message):find("napping", 1, true))
    assert.equal(1, #rows())
    provider.event.to = nil
    microsoft.raw(graph, "PATCH", "/me/events/" .. bad, { subject = "good" })
    assert.equal(1, sync().created)
    assert.is_nil(assert(engine.store:account(account.id)).error)
  end)

  it("names answers that are none, and serves what there is", function()
    assert(engine.write:create { calendar = calendar, event = weekly() })
    for fault, code in pairs { not_json = "answer_not_json", endless = "endless_listing" } do
      graph.fault { match = { path = "/delta" }, fault = fault, times = 20000, same = true }
      local none, err = engine.sync:account(account.id, { force = true })
      assert.is_nil(none)
      assert.equal(code, err.code)
      assert.equal(code, assert(engine.store:account(account.id)).error.code)
      assert.equal(1, #rows())
      graph.clear()
    end
    nothing_new()
  end)

  it("waits to be connected again where the token is refused", function()
    graph.fault { match = { path = "/v1.0" }, fault = "status", status = 401, reason = "InvalidAuthenticationToken", times = 5 }
    local none, err = engine.sync:account(account.id, { force = true })
    assert.is_nil(none)
    assert.equal("reauth_required", err.code)
    assert.equal("reauth_required", assert(engine.store:account(account.id)).status)
  end)
end)
