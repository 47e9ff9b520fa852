local errors = require "lunation.errors"
local fake = require "spec.fixtures.fake_provider"
local json = require "lunation.json"
local operations = require "spec.fixtures.kill_operations"
local specs = require "spec.support.store"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

describe("write", function()
  local opened, server, engine, account, calendar, write

  before_each(function()
    local dir = support.tmpdir()
    opened = specs.open { path = dir .. "/store.db" }
    server = fake.open(dir .. "/server.db")
    account = specs.furnish(opened, { calendars = {} })
    engine = fake.engine(opened, server)
    server:put("work", "series.ics", operations.series)
    server:put("work", "single.ics", operations.single)
    assert(engine.sync:account(account.id))
    calendar = opened:calendar_by_id(account.id, "work")
    write = engine.write
  end)

  after_each(function()
    assert.same({}, opened:intents())
    server:close()
  end)

  --- The mirror says what the server has.
  local function agree()
    local there, here = {}, {}
    for _, native in ipairs(server:all("work")) do there[native.id] = { native.event, native.etag } end
    for row in assert(opened:events_since(calendar.key, 0)) do
      local full = opened:event_by_key(row.key)
      here[row.id] = { full.event, full.etag }
    end
    assert.same(there, here)
  end

  describe("create", function()
    it("answers with the row and tells of it", function()
      local row = assert(write:create { calendar = calendar, event = operations.fresh })
      assert.equal("Fresh", row.event.title)
      assert.equal(server:get("work", row.id).etag, row.etag)
      assert.is_nil(operations.fresh.uid)
      assert.equal("created", specs.feed(opened)[1].kind)
      agree()
    end)

    it("refuses what is no event before anybody is asked", function()
      local none, err = write:create { calendar = calendar, event = { ["@type"] = "Event", title = "No start" } }
      assert.is_nil(none)
      assert.equal("start", err.field)
      assert.equal(0, server:calls("create"))
    end)

    it("refuses a calendar that is only read", function()
      calendar.readOnly = true
      local none, err = write:create { calendar = calendar, event = operations.fresh }
      assert.is_nil(none)
      assert.equal("forbidden", err.code)
    end)

    it("refuses a UID that is there, and keeps the one that is", function()
      local none, err = write:create { calendar = calendar, event = operations.single }
      assert.is_nil(none)
      assert.equal("conflict", err.code)
      agree()
    end)

    it("takes its own event for its own when the request arrived twice", function()
      local create = server.provider.create
      server.provider.create = function(...)
        assert(create(...))
        return create(...)
      end
      local given = { ["@type"] = "Event", uid = "given", title = "Given", start = "2025-05-01T09:00:00", timeZone = "Etc/UTC" }
      assert.equal("given.ics", assert(write:create { calendar = calendar, event = given }).id)
      agree()
    end)

    it("finds out what became of a call without an answer", function()
      server:fault("create", { code = "timeout", after = true })
      local row = assert(write:create { calendar = calendar, event = operations.fresh })
      assert.equal("Fresh", server:get("work", row.id).event.title)
      server:fault("create", { code = "timeout" })
      local none, err = write:create { calendar = calendar, event = operations.fresh }
      assert.is_nil(none)
      assert.equal("timeout", err.code)
      agree()
    end)

    it("takes back later what it reported as failed", function()
      server:fault("create", { code = "timeout", after = true })
      server:fault("fetch", { code = "network" })
      local none, err = write:create { calendar = calendar, event = operations.fresh }
      assert.is_nil(none)
      assert.equal("timeout", err.code)
      assert.equal(3, #server:all("work"))
      assert(engine.sync:account(account.id, { force = true }))
      assert.equal(2, #server:all("work"))
      agree()
    end)

    it("marks the account when the login is refused", function()
      server:fault("create", { code = "unauthorized" })
      local none, err = write:create { calendar = calendar, event = operations.fresh }
      assert.is_nil(none)
      assert.equal("reauth_required", err.code)
      assert.equal("reauth_required", opened:account(account.id).status)
      none, err = write:create { calendar = calendar, event = operations.fresh }
      assert.is_nil(none)
      assert.equal("reauth_required", err.code)
      assert.equal(1, server:calls("create"))
    end)

    it("goes on when the task that asked is cancelled", function()
      server:fault("create", { sleep = 0.05 })
      local asking = task.spawn(function() return write:create { calendar = calendar, event = operations.fresh } end)
      support.eventually(function() return server:calls("create") == 1 end)
      asking:cancel()
      support.eventually(function() return #server:all("work") == 3 and #opened:intents() == 0 end)
      agree()
    end)
  end)

  describe("an Idempotency-Key", function()
    it("gives the same row again, and creates one event", function()
      local first = assert(write:create { calendar = calendar, event = operations.fresh, key = "k" })
      server:put("work", first.id, operations.fresh)
      local second = assert(write:create { calendar = calendar, event = operations.fresh, key = "k" })
      assert.same({ first.id, first.etag, first.event }, { second.id, second.etag, second.event })
      assert.equal(3, #server:all("work"))
      assert(write:create { calendar = calendar, event = operations.fresh, key = "another" })
      assert.equal(4, #server:all("work"))
    end)

    it("is refused for another request", function()
      assert(write:create { calendar = calendar, event = operations.fresh, key = "k" })
      local none, err = write:create { calendar = calendar, event = operations.single, key = "k" }
      assert.is_nil(none)
      assert.equal("conflict", err.code)
    end)

    it("makes one of ten that come at once", function()
      local asking = {}
      for index = 1, 10 do
        asking[index] = function() return write:create { calendar = calendar, event = operations.fresh, key = "k" } end
      end
      local ids = {}
      for _, result in ipairs(task.all(asking)) do ids[assert(result[2], result[3]).id] = true end
      assert.equal(3, #server:all("work"))
      assert.is_nil(next(ids, next(ids)))
    end)

    it("may be tried again after a failure", function()
      server:fault("create", { code = "rate_limited" })
      assert.is_nil((write:create { calendar = calendar, event = operations.fresh, key = "k" }))
      assert(write:create { calendar = calendar, event = operations.fresh, key = "k" })
      agree()
    end)

    it("finds the event of a request whose outcome was unknown", function()
      server:fault("create", { code = "timeout", after = true })
      server:fault("fetch", { code = "network" })
      assert.is_nil((write:create { calendar = calendar, event = operations.fresh, key = "k" }))
      assert(write:create { calendar = calendar, event = operations.fresh, key = "k" })
      assert.equal(3, #server:all("work"))
      agree()
    end)

    it("serves any request through `once`", function()
      local runs = 0
      local function body()
        runs = runs + 1
        if runs == 1 then return nil, errors.new("timeout", "later") end
        return { n = runs }
      end
      local once = { app = "demo", user = account.user, route = "disconnect", key = "k" }
      assert.is_nil((write:once(once, "d", body)))
      assert.same({ n = 2 }, write:once(once, "d", body))
      assert.same({ n = 2 }, write:once(once, "d", body))
      assert.has_error(function() write:once({ app = "demo", user = 1, route = "x", key = "y" }, "d", function() error("bug") end) end)
    end)
  end)

  describe("update", function()
    it("changes what the caller touches", function()
      local row = assert(write:update { calendar = calendar, id = "single.ics", patch = { title = "New", timeZone = json.null } })
      assert.equal("New", row.event.title)
      assert.equal("PT1H", row.event.duration)
      assert.is_nil(row.event.timeZone)
      agree()
    end)

    it("keeps what another has changed meanwhile", function()
      local theirs = server:get("work", "single.ics").event
      theirs.location = "Paris"
      theirs.title = "Theirs"
      server:put("work", "single.ics", theirs)
      local row = assert(write:update { calendar = calendar, id = "single.ics", patch = { title = "Mine" } })
      assert.same({ "Mine", "Paris" }, { row.event.title, row.event.location })
      assert.equal(2, server:calls("update"))
      agree()
    end)

    it("says so when it is changed by another again and again", function()
      server:fault("update", { code = "precondition_failed" }, 2)
      local none, err = write:update { calendar = calendar, id = "single.ics", patch = { title = "Mine" } }
      assert.is_nil(none)
      assert.equal("conflict", err.code)
      agree()
    end)

    it("finds the event deleted at its provider", function()
      server:remove("work", "single.ics")
      local none, err = write:update { calendar = calendar, id = "single.ics", patch = { title = "Mine" } }
      assert.is_nil(none)
      assert.equal("not_found", err.code)
      agree()
      none, err = write:update { calendar = calendar, id = "single.ics", patch = {} }
      assert.is_nil(none)
      assert.equal("not_found", err.code)
    end)

    it("of one instance leaves the others", function()
      local row = assert(write:update { calendar = calendar, id = "series.ics", recurrenceId = "2025-03-05T09:00:00", scope = "this",
        patch = { title = "Special" } })
      assert.equal("Daily", row.event.title)
      assert.equal("Special", row.event.recurrenceOverrides["2025-03-05T09:00:00"].title)
      agree()
    end)

    it("is sent once more to a provider that failed and has the event as it was", function()
      server:fault("update", { code = "provider_error" })
      local row = assert(write:update { calendar = calendar, id = "series.ics", scope = "all", patch = { title = "Again" } })
      assert.equal("Again", row.event.title)
      agree()
      server:fault("update", { code = "provider_error" }, 2)
      local none, err = write:update { calendar = calendar, id = "series.ics", scope = "all", patch = { title = "Never" } }
      assert.is_nil(none)
      assert.equal("provider_error", err.code)
      agree()
    end)

    it("is not sent again where the provider asks for more time than a caller has", function()
      server:fault("update", { code = "unavailable", retry_after = 60 })
      local none, err = write:update { calendar = calendar, id = "series.ics", scope = "all", patch = { title = "Later" } }
      assert.is_nil(none)
      assert.equal("unavailable", err.code)
      agree()
    end)

    it("that moves a series is not done twice where the answer to the first was lost", function()
      server:fault("update", { code = "timeout", after = true })
      local row = assert(write:update { calendar = calendar, id = "series.ics", recurrenceId = "2025-03-05T09:00:00", scope = "all",
        patch = { start = "2025-03-05T10:30:00" } })
      assert.equal("T10:30:00", row.event.start:sub(11))
      agree()
    end)

    it("of `this` asks which", function()
      local none, err = write:update { calendar = calendar, id = "series.ics", scope = "this", patch = {} }
      assert.is_nil(none)
      assert.equal("recurrenceId", err.field)
      none, err = write:update { calendar = calendar, id = "series.ics", scope = "some", patch = {} }
      assert.is_nil(none)
      assert.equal("scope", err.field)
    end)

    it("of instances that follow makes a second series", function()
      local row = assert(operations.following(write, calendar))
      assert.equal("Changed", row.event.title)
      assert.equal("2025-03-07T09:00:00", row.event.start)
      assert.not_equal("series.ics", row.id)
      assert.equal("Daily", opened:event(calendar.key, "series.ics").event.title)
      assert.equal(3, #server:all("work"))
      agree()
    end)

    it("of all that follow the first is of the series", function()
      local row = assert(write:update { calendar = calendar, id = "series.ics", recurrenceId = "2025-03-03T09:00:00",
        scope = "following", patch = { title = "Changed" } })
      assert.same({ "series.ics", "Changed" }, { row.id, row.event.title })
      assert.equal(2, #server:all("work"))
      agree()
    end)

    it("takes the second half back when the first cannot be cut", function()
      server:fault("update", { code = "forbidden" })
      local none, err = operations.following(write, calendar)
      assert.is_nil(none)
      assert.equal("forbidden", err.code)
      assert.equal(2, #server:all("work"))
      agree()
    end)

    it("takes it back later when the provider does not answer", function()
      server:fault("update", { code = "timeout" })
      server:fault("fetch", { code = "network" }, 2)
      assert.is_nil((operations.following(write, calendar)))
      assert.equal(3, #server:all("work"))
      assert(engine.sync:account(account.id, { force = true }))
      assert.equal(2, #server:all("work"))
      agree()
    end)

    it("finds the first cut by a call without an answer", function()
      server:fault("update", { code = "timeout", after = true })
      assert(operations.following(write, calendar))
      assert.equal(3, #server:all("work"))
      agree()
    end)

    it("finds the first cut by a request that arrived twice", function()
      local update = server.provider.update
      server.provider.update = function(...)
        server.provider.update = update
        assert(update(...))
        return update(...)
      end
      local row = assert(operations.following(write, calendar))
      assert.equal("Changed", row.event.title)
      assert.equal(3, #server:all("work"))
      agree()
    end)

    it("splits the series as another has left it", function()
      local theirs = server:get("work", "series.ics").event
      theirs.location = "Paris"
      server:put("work", "series.ics", theirs)
      local row = assert(operations.following(write, calendar))
      assert.same({ "Changed", "Paris" }, { row.event.title, row.event.location })
      assert.equal("Paris", opened:event(calendar.key, "series.ics").event.location)
      agree()
    end)

    it("follows another of the same event", function()
      local writes = {}
      for index = 1, 5 do
        writes[index] = function()
          return write:update { calendar = calendar, id = "single.ics", patch = { ["x" .. index] = index } }
        end
      end
      for _, result in ipairs(task.all(writes)) do assert(result[2], result[3]) end
      local row = opened:event(calendar.key, "single.ics")
      for index = 1, 5 do assert.equal(index, row.event["x" .. index]) end
      assert.equal(5, server:calls("update"))
      agree()
    end)
  end)

  describe("delete", function()
    it("removes an event, also one that has changed or gone", function()
      assert.is_true(write:delete { calendar = calendar, id = "single.ics" })
      assert.is_nil(opened:event(calendar.key, "single.ics"))
      server:put("work", "series.ics", server:get("work", "series.ics").event)
      assert.is_true(write:delete { calendar = calendar, id = "series.ics" })
      assert.equal(0, #server:all("work"))
      agree()
      local none, err = write:delete { calendar = calendar, id = "single.ics" }
      assert.is_nil(none)
      assert.equal("not_found", err.code)
    end)

    it("succeeds where the provider has none any more", function()
      server:remove("work", "single.ics")
      assert.is_true(write:delete { calendar = calendar, id = "single.ics" })
      agree()
    end)

    it("of one instance, and of those that follow", function()
      local row = assert(operations.delete_this(write, calendar))
      assert.is_true(row.event.recurrenceOverrides["2025-03-07T09:00:00"].excluded)
      row = assert(write:delete { calendar = calendar, id = "series.ics", recurrenceId = "2025-03-06T09:00:00", scope = "following" })
      assert.equal("series.ics", row.id)
      assert.equal(2, #server:all("work"))
      agree()
      assert.is_true(write:delete { calendar = calendar, id = "series.ics", recurrenceId = "2025-03-03T09:00:00", scope = "following" })
      assert.equal(1, #server:all("work"))
      agree()
    end)

    it("fails with the provider, and says what is there", function()
      server:fault("delete", { code = "forbidden" })
      local none, err = write:delete { calendar = calendar, id = "single.ics" }
      assert.is_nil(none)
      assert.equal("forbidden", err.code)
      agree()
    end)
  end)

  it("keeps what the server says when a sync has been faster", function()
    local update = server.provider.update
    server.provider.update = function(...)
      local native = table.pack(update(...))
      -- Another client, and a sync that sees it, before the answer is in the mirror.
      local theirs = server:get("work", "single.ics").event
      theirs.location = "Paris"
      server:put("work", "single.ics", theirs)
      server.provider.update = update
      assert(engine.sync:account(account.id, { force = true }))
      return table.unpack(native, 1, native.n)
    end
    local row = assert(write:update { calendar = calendar, id = "single.ics", patch = { title = "Mine" } })
    assert.same({ "Mine", "Paris" }, { row.event.title, row.event.location })
    agree()
  end)

  it("leaves the intent of a writer that raised to the next", function()
    local from = server.provider.event.from
    server.provider.event.from = function() error("a bug in a mapping") end
    assert.has_error(function() write:update { calendar = calendar, id = "single.ics", patch = { title = "New" } } end)
    server.provider.event.from = from
    local began = timer.now()
    assert(write:update { calendar = calendar, id = "single.ics", patch = { title = "New" } })
    assert.is_true(timer.now() - began < 5)
    agree()
  end)
end)
