local fake = require "spec.fixtures.fake_provider"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local specs = require "spec.support.store"
local support = require "spec.support"
local sync = require "lunation.sync"
local task = require "lunation.task"
local timer = require "lunation.timer"

local function event(title, start)
  return { ["@type"] = "Event", uid = title, title = title, start = start or "2025-03-03T09:00:00", duration = "PT1H", timeZone = "UTC" }
end

local function mirror_of(opened, calendar)
  local found = {}
  for row in assert(opened:events_since(calendar, 0)) do found[row.id] = json.decode(row.event).title end
  return found
end

local function server_of(server)
  local found = {}
  for _, native in ipairs(server:all("work")) do found[native.id] = native.event.title end
  return found
end

describe("sync", function()
  local opened, server, engine, account, dir

  before_each(function()
    dir = support.tmpdir()
    opened = specs.open { path = dir .. "/store.db" }
    server = fake.open(dir .. "/server.db", { page = 3 })
    account = specs.furnish(opened, { calendars = {} })
    engine = fake.engine(opened, server)
    for index = 1, 7 do server:put("work", "e" .. index, event("T" .. index)) end
  end)

  after_each(function() server:close() end)

  local function calendar() return opened:calendar_by_id(account.id, "work").key end

  it("mirrors an account, then only what is new", function()
    local news = {}
    local counts = assert(engine.sync:account(account.id, { progress = function(told) news[#news + 1] = told end }))
    assert.same({ calendars = 1, created = 7, updated = 0, deleted = 0, unchanged = 0, skipped = 0 }, counts)
    assert.equal(7, news[#news].events)
    assert.same(server_of(server), mirror_of(opened, calendar()))
    server:put("work", "e1", event("changed"))
    server:remove("work", "e2")
    server:put("work", "e8", event("T8"))
    counts = assert(engine.sync:account(account.id, { force = true }))
    assert.same({ calendars = 1, created = 1, updated = 1, deleted = 1, unchanged = 0, skipped = 0 }, counts)
    assert.same(server_of(server), mirror_of(opened, calendar()))
  end)

  it("tells of true differences only when a token has expired", function()
    assert(engine.sync:account(account.id))
    server:expire()
    server:put("work", "e1", event("changed"))
    server:remove("work", "e2")
    local counts = assert(engine.sync:account(account.id, { force = true }))
    assert.same({ 0, 1, 1, 5 }, { counts.created, counts.updated, counts.deleted, counts.unchanged })
    local kinds = {}
    for _, change in ipairs(specs.feed(opened)) do kinds[change.event_id] = change.kind end
    assert.same({ e1 = "updated", e2 = "deleted" }, kinds)
  end)

  it("leaves out what cannot be read, and keeps the rest", function()
    server:put("work", "bad", { garbage = true })
    local counts = assert(engine.sync:account(account.id))
    assert.equal(1, counts.skipped)
    assert.equal(7, counts.created)
  end)

  it("asks no provider for what is fresh", function()
    assert.same({}, engine.sync:refresh { accounts = { account } })
    assert.equal(1, server:calls("changes"))
    assert.same({}, engine.sync:refresh { accounts = { account.id } })
    assert.equal(1, server:calls("changes"))
    assert.same({}, engine.sync:refresh { accounts = { account.id }, max_age = 0 })
    assert.equal(2, server:calls("changes"))
    assert.equal(1, server:calls("calendars"))
  end)

  it("is one refresh for a hundred readers", function()
    local readers = {}
    for index = 1, 100 do readers[index] = function() return engine.sync:refresh { accounts = { account.id } } end end
    for _, result in ipairs(task.all(readers)) do assert.same({}, result[2]) end
    assert.equal(1, server:calls("changes"))
    assert.equal(7, opened:event_count(calendar()))
  end)

  it("answers at the deadline and goes on behind it", function()
    server:fault("changes", { sleep = 0.3 })
    local began = timer.now()
    local stale = engine.sync:refresh { accounts = { account.id }, deadline = 0.05 }
    assert.is_true(timer.now() - began < 0.25)
    assert.equal("initial", stale[1].reason)
    assert.equal(("account=%d;age=%d;reason=initial"):format(account.id, stale[1].age), sync.stale_header(stale))
    support.eventually(function() return opened:account(account.id).synced_at end)
    assert.same({}, engine.sync:refresh { accounts = { account.id } })
    server:fault("changes", { sleep = 0.3 })
    stale = engine.sync:refresh { accounts = { account.id }, deadline = 0.05, max_age = 0 }
    assert.equal("timeout", stale[1].reason)
    support.eventually(function() return not opened:lease_held("sync:" .. account.id) end)
    assert.equal(2, server:calls("changes"))
  end)

  it("backs off after a failure, and comes back", function()
    assert(engine.sync:account(account.id))
    server:fault("changes", { code = "network" }, 1)
    local stale = engine.sync:refresh { accounts = { account.id }, max_age = 0 }
    assert.equal("error", stale[1].reason)
    local failed = opened:account(account.id)
    assert.equal(1, failed.failures)
    assert.equal("network", failed.error.code)
    stale = engine.sync:refresh { accounts = { account.id }, max_age = 0 }
    assert.equal("error", stale[1].reason)
    assert.equal(2, server:calls("changes"))
    local none, err = engine.sync:account(account.id)
    assert.is_nil(none)
    assert.equal("network", err.code)
    assert(engine.sync:account(account.id, { force = true }))
    local well = opened:account(account.id)
    assert.equal(0, well.failures)
    assert.is_nil(well.error)
    assert.same({}, engine.sync:refresh { accounts = { account.id } })
  end)

  it("obeys a provider that says when to come back", function()
    local provider = server.provider
    local changes = provider.changes
    provider.changes = function()
      return nil, require("lunation.errors").new("rate_limited", "slow down", { retry_after = 120 })
    end
    engine.sync:refresh { accounts = { account.id } }
    assert.is_true(opened:account(account.id).retry_at > timer.time() + 100)
    provider.changes = changes
  end)

  it("asks for a new login when the provider refuses it", function()
    server:fault("calendars", { code = "unauthorized", message = "wrong password" }, 1)
    local stale = engine.sync:refresh { accounts = { account.id } }
    assert.equal("reauth", stale[1].reason)
    local refused = opened:account(account.id)
    assert.equal("reauth_required", refused.status)
    assert.is_truthy(refused.status_at)
    assert.equal("reauth", engine.sync:refresh({ accounts = { refused } })[1].reason)
    assert.equal(1, server:calls("calendars"))
    assert(engine.sync:account(account.id, { force = true }))
    assert.equal("active", opened:account(account.id).status)
  end)

  it("does not let one calendar stop the others", function()
    server:close()
    server = fake.open(dir .. "/server.db", { calendars = { "home", "work" } })
    engine = fake.engine(opened, server)
    server:put("home", "h", event("H"))
    server:fault("changes", { code = "forbidden" }, 1)
    assert(engine.sync:account(account.id))
    local failed = 0
    for _, row in ipairs(opened:calendars { account = account.id }) do
      if row.error then failed = failed + 1 end
    end
    assert.equal(1, failed)
  end)

  it("keeps what came before a listing was cut off, and never takes it for the whole", function()
    server:fault("page", { code = "truncated" }, 1)
    assert.is_nil((engine.sync:account(account.id)))
    assert(engine.sync:account(account.id, { force = true }))
    assert.same(server_of(server), mirror_of(opened, calendar()))
    server:expire()
    server:fault("page", { code = "truncated", message = "later" }, 0)
    local changes = server.provider.changes
    server.provider.changes = function(...)
      local following = changes(...)
      local count = 0
      return function()
        count = count + 1
        if count == 2 then return nil, { code = "network", message = "cut" } end
        return following()
      end
    end
    assert.is_nil((engine.sync:account(account.id, { force = true })))
    assert.same(server_of(server), mirror_of(opened, calendar()))
    server.provider.changes = changes
  end)

  it("asks again for a row that is written while a batch is on its way", function()
    assert(engine.sync:account(account.id))
    server:put("work", "e1", event("from elsewhere"))
    local changes = server.provider.changes
    server.provider.changes = function(...)
      local following = changes(...)
      local first = table.pack(following())
      server.provider.changes = changes
      local row = opened:calendar(calendar())
      -- Between the fetch of the batch and its end in the mirror.
      assert(engine.write:update { calendar = row, id = "e1", patch = { location = "Paris" } })
      return function()
        local batch = first
        first = nil
        if batch then return table.unpack(batch, 1, batch.n) end
        return following()
      end
    end
    assert(engine.sync:account(account.id, { force = true }))
    assert.equal("from elsewhere", opened:event(calendar(), "e1").event.title)
    assert.equal("Paris", opened:event(calendar(), "e1").event.location)
    assert.equal(opened:event(calendar(), "e1").etag, server:get("work", "e1").etag)
  end)

  it("takes a calendar of any size through the memory of a few batches", function()
    local provider, batches = server.provider, 100
    provider.changes = function()
      local at = 0
      return function()
        at = at + 1
        if at > batches then return nil end
        local upserts = {}
        for index = 1, 100 do
          local id = ("%d-%d"):format(at, index)
          upserts[index] = { id = id, etag = "1", event = event(id), text = id:rep(200) }
        end
        return { upserts = upserts, deletes = {}, reset = true, more = at < batches, state = { at = at } }
      end
    end
    collectgarbage()
    collectgarbage()
    local before, most, told = collectgarbage("count"), 0, 0
    assert(engine.sync:account(account.id, { progress = function()
      told = told + 1
      if told % 10 > 0 then return end
      -- What is held, not what waits for the collector.
      collectgarbage()
      most = math.max(most, collectgarbage("count"))
    end }))
    assert.equal(10000, opened:event_count(calendar()))
    assert.is_true(most - before < 2 * 1024, ("%.0f KB for %d batches"):format(most - before, batches))
  end)

  it("stops where the account is disconnected under it", function()
    server:fault("changes", { sleep = 0.05 })
    local running = task.spawn(function() return engine.sync:account(account.id) end)
    support.eventually(function() return server:calls("changes") > 0 end)
    opened:account_remove(account.id)
    local _, counts, err = running:wait()
    assert.is_nil(counts)
    assert.equal("not_found", err.code)
  end)

  it("ends in the same mirror by any way as by one full listing", function()
    local random = { 20250303 }
    local function pick(n)
      random[1] = (random[1] * 1103515245 + 12345) % 2147483648
      return random[1] // 65536 % n + 1
    end
    for round = 1, 60 do
      local id = "e" .. pick(12)
      if pick(3) == 1 then server:remove("work", id) else server:put("work", id, event("r" .. round)) end
      local luck = pick(8)
      if luck == 1 then server:expire() end
      if luck == 2 then server:fault("page", { code = "network" }) end
      if luck == 3 then server:fault("changes", { code = "provider_error" }) end
      if pick(2) == 1 then engine.sync:account(account.id, { force = true }) end
    end
    server:heal()
    assert(engine.sync:account(account.id, { force = true }))
    assert.same(server_of(server), mirror_of(opened, calendar()))
  end)

  it("is one provider call for a hundred readers of an expired mirror in two workers", function()
    assert(engine.sync:account(account.id))
    assert(opened:account_update(account.id, { synced_at = timer.time() - 3600 }))
    server:fault("changes", { sleep = 0.1 }, 1)
    server:put("work", "e1", event("changed"))
    local script = support.write(dir .. "/worker.lua", [[
      local store, server = ...
      package.path = require("lunation.host").root .. "/?.lua;" .. package.path
      local fake = require "spec.fixtures.fake_provider"
      local specs = require "spec.support.store"
      local task = require "lunation.task"
      local opened = specs.open { path = store }
      local engine = fake.engine(opened, fake.open(server))
      local readers = {}
      for index = 1, 50 do
        readers[index] = function()
          local stale = engine.sync:refresh { accounts = { 1 } }
          local row = opened:event(opened:calendar_by_id(1, "work").key, "e1")
          assert(#stale == 0 and row.event.title == "changed", "not fresh")
        end
      end
      for _, result in ipairs(task.all(readers)) do assert(result[1], result[2]) end
      print "fresh"
    ]])
    local workers = {}
    for index = 1, 2 do
      workers[index] = assert(process.spawn {
        args = { host.executable, "run", script, dir .. "/store.db", dir .. "/server.db" }, stdout = "pipe", stderr = "inherit",
      })
    end
    for _, worker in ipairs(workers) do
      assert.equal("fresh\n", worker:read_all())
      assert.equal(0, worker:wait(30).code)
    end
    assert.equal(2, server:calls("changes"))
  end)
end)
