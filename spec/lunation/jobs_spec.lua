local errors = require "lunation.errors"
local fake = require "spec.fixtures.fake_provider"
local specs = require "spec.support.store"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"
local tz = require "lunation.tz"

describe("jobs", function()
  local opened, server, engine, jobs, now, path

  before_each(function()
    now = 1000000
    local dir = support.tmpdir()
    opened, path = specs.open { path = dir .. "/store.db", clock = function() return now end }
    server = fake.open(dir .. "/server.db")
    engine = fake.engine(opened, server)
    jobs = engine.jobs
  end)

  after_each(function() server:close() end)

  it("run once, whoever asks", function()
    local ran = {}
    local function handler(name) return { run = function(payload) ran[#ran + 1] = name .. payload.n return true end } end
    local other = fake.engine(specs.open { path = path, clock = function() return now end }, server).jobs
    jobs:handle("mail", handler("one"))
    other:handle("mail", handler("two"))
    for index = 1, 20 do assert(jobs:put { kind = "mail", payload = { n = index } }) end
    local total = 0
    for _, result in ipairs(task.all { function() return jobs:run_due() end, function() return other:run_due() end }) do
      total = total + result[2]
    end
    assert.equal(20, total)
    assert.equal(20, #ran)
    assert.equal(0, #opened:jobs())
  end)

  it("are tried again, later and later, and put aside in the end", function()
    local tries = 0
    jobs:handle("mail", { first = 10, longest = 100, run = function()
      tries = tries + 1
      if tries == 2 then error("a bug") end
      return nil, errors.new("network", "no way")
    end })
    assert(jobs:put { kind = "mail", max_attempts = 4 })
    local pauses = {}
    for _ = 1, 4 do
      assert.equal(1, jobs:run_due())
      local job = opened:jobs()[1]
      pauses[#pauses + 1] = job.run_at - now
      assert.equal(0, jobs:run_due())
      now = job.run_at
    end
    assert.equal(4, tries)
    for index, base in ipairs { 10, 20, 40 } do
      assert.is_true(pauses[index] >= base / 2 and pauses[index] <= base)
    end
    local dead = opened:jobs { state = "dead" }
    assert.equal("no way", dead[1].error.message)
    now = now + 10000
    assert.equal(0, jobs:run_due())
  end)

  it("wait as long as they are told", function()
    jobs:handle("mail", { first = 1, run = function() return nil, errors.new("rate_limited", "wait", { retry_after = 500 }) end })
    assert(jobs:put { kind = "mail" })
    jobs:run_due()
    assert.equal(now + 500, opened:jobs()[1].run_at)
  end)

  it("on a schedule come again, without making up for what was missed", function()
    local ran = 0
    local handle = assert(jobs:every { name = "tick", seconds = 60, run = function() ran = ran + 1 return true end })
    assert(jobs:every { name = "tick", seconds = 60, run = function() ran = ran + 1 return true end })
    assert.equal(0, jobs:run_due())
    now = now + 60
    assert.equal(1, jobs:run_due())
    now = now + 605
    assert.equal(1, jobs:run_due())
    assert.equal(2, ran)
    assert.equal(1000000 + 60 + 660, opened:jobs()[1].run_at)
    handle:cancel()
    assert.equal(1, #opened:jobs())
  end)

  it("at times of the day follow the clock of their zone", function()
    local ran = 0
    assert(jobs:at { name = "morning", cron = "0 7 * * *", timeZone = "Europe/Paris", run = function() ran = ran + 1 return true end })
    local first = opened:jobs()[1].run_at
    now = first
    jobs:run_due()
    assert.equal(1, ran)
    assert.equal(first + 86400, opened:jobs()[1].run_at)
    local none, err = jobs:at { name = "never", cron = "0 0 31 2 *", run = print }
    assert.is_nil(none)
    assert.equal("cron", err.field)
    none, err = jobs:every { name = "zero", seconds = 0, run = print }
    assert.is_nil(none)
    assert.equal("seconds", err.field)
  end)

  it("survive a schedule's bad day", function()
    jobs:every { name = "bad", seconds = 60, run = function() error("always") end }
    for _ = 1, 12 do
      now = opened:jobs()[1].run_at
      jobs:run_due()
    end
    assert.equal("ready", opened:jobs()[1].state)
  end)

  it("are claimed by the loop until it stops", function()
    local ran = false
    jobs:handle("mail", { run = function() ran = true return true end })
    jobs:start()
    assert(jobs:put { kind = "mail" })
    support.eventually(function() return ran and #opened:jobs { kind = "mail" } == 0 end)
    jobs:stop()
    assert(jobs:put { kind = "mail" })
    timer.sleep(0)
    assert.equal("ready", opened:jobs { kind = "mail" }[1].state)
  end)

  describe("of hooks", function()
    local account, calendar

    before_each(function()
      account = specs.furnish(opened, { calendars = {} })
      server:put("work", "old", { ["@type"] = "Event", uid = "old", title = "Old", start = "2025-01-01T00:00:00", timeZone = "UTC" })
      assert(engine.sync:account(account.id))
      calendar = opened:calendar_by_id(account.id, "work")
    end)

    local function put(id, title)
      server:put("work", id, { ["@type"] = "Event", uid = id, title = title, start = "2025-01-01T00:00:00", timeZone = "UTC" })
    end

    it("tell of each change once, in order", function()
      local told = {}
      local function hook(kind) return function(change) told[#told + 1] = kind .. " " .. change.event.title .. " " .. change.origin end end
      for _, kind in ipairs { "created", "updated", "deleted" } do
        assert(engine.changes:on { name = "spec:" .. kind, event = "event." .. kind, run = hook(kind) })
      end
      put("new", "New")
      put("old", "Older")
      assert(engine.sync:account(account.id, { force = true }))
      assert(engine.write:delete { calendar = calendar, id = "new" })
      jobs:run_due()
      jobs:run_due()
      table.sort(told)
      assert.same({ "created New sync", "deleted New write", "updated Older sync" }, told)
    end)

    it("tell of accounts and syncs, by name or all of a sort", function()
      local told = {}
      local function hook(change) told[#told + 1] = change.kind .. " " .. (change.event.identity or change.event.code or "") end
      assert(engine.changes:on { name = "a", event = "account.*", run = hook })
      assert(engine.changes:on { name = "b", event = "sync.failed", run = hook })
      server:fault("changes", { code = "network" }, 2)
      engine.sync:account(account.id, { force = true })
      engine.sync:account(account.id, { force = true })
      server:fault("calendars", { code = "unauthorized" })
      engine.sync:account(account.id, { force = true })
      jobs:run_due()
      table.sort(told)
      assert.same({ "account.reauth_required ada@fake", "sync.failed network" }, told)
      local none, err = engine.changes:on { name = "c", event = "event.moved", run = hook }
      assert.is_nil(none)
      assert.equal("event", err.field)
    end)

    it("tell of each instance that is about to start, once", function()
      now = tz.to_utc("2025-03-03T08:00:00", "UTC")
      server:put("work", "daily", {
        ["@type"] = "Event", uid = "daily", title = "Daily", start = "2025-03-03T09:00:00", duration = "PT3H", timeZone = "Etc/UTC",
        recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 3 } },
      })
      assert(engine.sync:account(account.id, { force = true }))
      engine.query = require("lunation.query").new(engine)
      local told = {}
      assert(engine.changes:on { name = "soon", event = "event.starting", before = 600, run = function(change)
        told[#told + 1] = ("%s %s in %d s"):format(change.event.title, tz.to_local(change.at, "UTC"), change.at - now)
      end })
      for _ = 1, 8 do
        now = now + 900
        jobs:run_due()
      end
      assert.same({ "Daily 2025-03-03T09:00:00 in 900 s" }, { (told[1]:gsub("in %d+ s", "in 900 s")) })
      assert.equal(1, #told)
      now = now + 2 * 86400
      jobs:run_due()
      assert.equal(3, #told)
    end)

    it("put aside what a hook fails at, and go on", function()
      local tries, told = 0, {}
      assert(engine.changes:on { name = "bad", event = "event.created", run = function(change)
        if change.event.title == "Bad" then
          tries = tries + 1
          error("cannot")
        end
        told[#told + 1] = change.event.title
      end })
      put("a", "A")
      put("b", "Bad")
      put("c", "C")
      assert(engine.sync:account(account.id, { force = true }))
      for _ = 1, 12 do
        jobs:run_due()
        now = now + 4000
      end
      assert.same({ "A", "C" }, told)
      assert.equal(8, tries)
      local letters = opened:jobs { state = "dead" }
      assert.equal(1, #letters)
      assert.equal("b", letters[1].payload.event)
    end)
  end)
end)
