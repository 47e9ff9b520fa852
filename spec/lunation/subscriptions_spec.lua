-- Subscriptions to notices: asked for, renewed, stopped; notices that prove themselves queue one sync.

local connect = require "spec.support.connect"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local fake = require "spec.fixtures.fake_provider"
local http = require "lunation.http"
local log = require "lunation.log"
local notifications = require "lunation.notifications"
local router = require "lunation.router"
local specs = require "spec.support.store"
local support = require "spec.support"
local subscriptions = require "lunation.subscriptions"
local task = require "lunation.task"
local timer = require "lunation.timer"

describe("subscriptions", function()
  local opened, server, engine, account, provider, now, calls

  local function clock() return now end

  before_each(function()
    local dir = support.tmpdir()
    now = 1000000
    opened = specs.open { path = dir .. "/store.db", clock = clock }
    server = fake.open(dir .. "/server.db", { calendars = { "work", "home" } })
    account = specs.furnish(opened, { calendars = {} })
    engine = fake.engine(opened, server)
    engine.config.public_url = "https://calendar.example"
    engine.subscriptions = subscriptions.new(engine)
    provider, calls = server.provider, { watch = {}, unwatch = {} }
    provider.can.push, provider.watches = true, "calendar"
    provider.watch = function(_, calendar, options)
      calls.watch[#calls.watch + 1] = { calendar = calendar and calendar.id, options = options }
      if provider.refuse then return nil, errors.new(provider.refuse, "no") end
      return { id = options.id, resource = "r" .. #calls.watch, expires = now + 1000, data = { n = #calls.watch } }
    end
    provider.unwatch = function(_, subscription)
      calls.unwatch[#calls.unwatch + 1] = subscription
      return true
    end
    provider.receive = function(req)
      if req.query ~= "" then return { response = { status = 200, headers = { ["content-type"] = "text/plain" }, body = req.query } } end
      return { notices = { { subscription = req.headers["x-channel"], token = req.headers["x-token"], kind = req.headers["x-kind"] or "changed" } } }
    end
    assert(engine.sync:account(account.id))
  end)

  after_each(function()
    server:close()
    opened:close()
  end)

  local function jobs(kind) return opened:jobs { kind = kind } end

  local function keep()
    assert(engine.subscriptions:keep(account.id))
    return opened:subscriptions(account.id)
  end

  it("are asked for after the first sync, one for each calendar, with a secret of which the hash is kept", function()
    assert.equal(1, #jobs "push.keep")
    local rows = keep()
    assert.equal(2, #rows)
    assert.same({ "home", "work" }, { calls.watch[1].calendar, calls.watch[2].calendar })
    local options = calls.watch[1].options
    assert.equal("https://calendar.example/notifications/fake", options.url)
    assert.equal(43, #options.token)
    for _, row in ipairs(rows) do
      assert.equal("active", row.state)
      assert.equal(now + 1000, row.expires)
      assert.equal(now + 500, row.renew_at)
      assert.are_not.equal(options.token, row.token)
    end
    keep()
    assert.equal(2, #calls.watch)
    assert.equal("push", engine.subscriptions:way(account))
  end)

  it("are one for an account where the service has it so", function()
    provider.watches = "account"
    assert.equal(1, #keep())
    assert.is_nil(calls.watch[1].calendar)
  end)

  it("are renewed at half of their life: the new one stands before the old one goes", function()
    local before = keep()
    now = now + 501
    assert.same({ account.id }, opened:subscriptions_due(now))
    local order = {}
    local watch, unwatch = provider.watch, provider.unwatch
    provider.watch = function(...) order[#order + 1] = "watch" return watch(...) end
    provider.unwatch = function(...) order[#order + 1] = "unwatch" return unwatch(...) end
    local after = keep()
    assert.equal(2, #after)
    assert.equal("watch", order[1])
    assert.equal(4, #order)
    assert.are_not.equal(before[1].id, after[1].id)
    assert.equal("r1", calls.unwatch[1].resource)
    assert.same({}, opened:subscriptions_due(now))
  end)

  it("are renewed in place where the service can", function()
    local before = keep()
    provider.renew = function(_, subscription) return { id = subscription.id, expires = now + 2000 } end
    now = now + 501
    local after = keep()
    assert.same({ before[1].id, before[2].id }, { after[1].id, after[2].id })
    assert.equal(now + 2000, after[1].expires)
    assert.equal(2, #calls.watch)
    provider.renew = function() return nil, errors.new("not_found", "it is gone") end
    now = now + 1001
    assert.are_not.equal(before[1].id, keep()[1].id)
  end)

  it("are not asked for again and again where the service refuses them", function()
    provider.refuse = "invalid_request"
    local rows = keep()
    assert.same({ "refused", "refused" }, { rows[1].state, rows[2].state })
    assert.equal("poll", engine.subscriptions:way(account))
    keep()
    assert.equal(2, #calls.watch)
    now, provider.refuse = now + 86401, nil
    assert.equal("active", keep()[1].state)
    assert.same({}, calls.unwatch)
  end)

  it("are tried again when the service fails for now", function()
    provider.refuse = "unavailable"
    local done, err = engine.subscriptions:keep(account.id)
    assert.is_nil(done)
    assert.equal("unavailable", err.code)
    assert.same({}, opened:subscriptions(account.id))
  end)

  it("are none where nobody can reach us", function()
    engine.config.public_url = "http://127.0.0.1:8080"
    assert.same({}, keep())
    engine.config.sync = { push = "always" }
    assert.equal(2, #keep())
    engine.config.sync = { push = "never" }
    assert.is_false(engine.subscriptions:reachable())
  end)

  it("are stopped with their account", function()
    keep()
    assert(require("lunation.accounts").remove(engine, account))
    assert.equal(2, #calls.unwatch)
    assert.same({}, opened:subscriptions(account.id))
  end)

  describe("and notices", function()
    local routes, rows

    before_each(function()
      rows = keep()
      local mounted = notifications.routes(engine)
      routes = router.new()
      routes:mount(mounted.mount, mounted.routes, { error = mounted.error })
      for _, job in ipairs(opened:jobs()) do opened:job_remove(job.kind, job.key) end
    end)

    local function post(headers, path, query)
      return routes:dispatch {
        method = "POST", path = path or "/notifications/fake", query = query or "", headers = headers or {}, body = "", id = "r", remote = "192.0.2.1",
        header = function(self, name) return self.headers[name] end,
      }
    end

    local function notice(kind, token, index)
      return post { ["x-channel"] = calls.watch[index or 1].options.id, ["x-token"] = token or calls.watch[index or 1].options.token, ["x-kind"] = kind }
    end

    it("queue one sync, however many come", function()
      for _ = 1, 5 do assert.equal(202, notice().status) end
      notice("changed", nil, 2)
      assert.equal(1, #jobs "push.sync")
      -- One that runs may have looked already.
      now = now + 1
      local job = assert(opened:job_claim({ "push.sync" }, 60))
      notice()
      notice()
      assert.equal(2, #jobs "push.sync")
      assert(opened:job_done(job))
    end)

    it("are passed over when they prove nothing", function()
      assert.equal(202, notice("changed", "forged").status)
      assert.equal(202, post({ ["x-channel"] = crypto.uuid(), ["x-token"] = "x" }).status)
      assert.equal(202, post().status)
      assert.same({}, jobs "push.sync")
    end)

    it("are looked at no further when many prove nothing", function()
      local asked, subscription = 0, opened.subscription
      opened.subscription = function(...)
        asked = asked + 1
        return subscription(...)
      end
      provider.receive = function()
        local notices = {}
        for index = 1, 500 do notices[index] = { subscription = "s" .. index, token = "t", kind = "changed" } end
        return { notices = notices }
      end
      assert.equal(202, post().status)
      opened.subscription = nil
      assert.equal(20, asked)
    end)

    it("that say hello ask for nothing", function()
      assert.equal(202, notice("sync").status)
      assert.same({}, jobs "push.sync")
    end)

    it("of a subscription's life have it looked after", function()
      notice("renew")
      assert.equal(1, #jobs "push.keep")
      assert.same({}, jobs "push.sync")
      assert.same({ account.id }, opened:subscriptions_due(now))
      notice "missed"
      assert.equal(1, #jobs "push.sync")
      notice("removed", nil, 2)
      assert.equal(1, #opened:subscriptions(account.id))
      assert.equal(1, #rows - 1)
    end)

    it("and handshakes are answered, strangers and wrong addresses are not", function()
      local answer = post({}, nil, "validationToken=x")
      assert.same({ 200, "validationToken=x" }, { answer.status, answer.body })
      provider.receive = function() error "no such field" end
      assert.equal(400, post().status)
      provider.receive = nil
      assert.equal(404, post().status)
    end)
  end)

  it("bring what changed, through the job", function()
    engine.providers.names = function() return { "fake" } end
    engine.providers.settings = function() return { client_id = "x" } end
    keep()
    engine.subscriptions:start()
    server:put("work", "new", { ["@type"] = "Event", uid = "new", title = "New", start = "2025-03-03T09:00:00", duration = "PT1H", timeZone = "UTC" })
    local options = calls.watch[1].options
    assert.is_true(engine.subscriptions:notice(provider, { subscription = options.id, token = options.token, kind = "changed" }))
    now = now + 1
    engine.jobs:run_due()
    assert.is_not_nil(opened:event(opened:calendar_by_id(account.id, "work").key, "new"))
    assert.same({}, jobs "push.sync")
  end)

  it("are not needed for a fresh look while another sync runs", function()
    server:fault("changes", { sleep = 0.1 })
    local first = task.spawn(function() return engine.sync:account(account.id, { force = true }) end)
    timer.sleep(0.03)
    local before = server:calls "changes"
    local work = {}
    for index = 1, 3 do work[index] = function() return assert(engine.sync:account(account.id, { fresh = true })) end end
    for _, done in ipairs(task.all(work)) do assert.is_true(done[1], tostring(done[2])) end
    assert(first:wait())
    -- The one that ran (of two calendars), and one after it for all three.
    assert.is_true(server:calls "changes" - before <= 3, tostring(server:calls "changes" - before))
    assert.is_true(server:calls "changes" - before >= 2)
  end)
end)

describe("a server that services cannot reach", function()
  it("says once that it polls, and answers notices at once", function()
    log.configure { level = "error" }
    local served = connect.serve { config = 'log { level="info" }\nprovider("google", { client_id="client", client_secret="secret" })\n' }
    local text = support.eventually(function()
      local read = support.read(served.log)
      return read:find("polled", 1, true) and read
    end)
    assert.equal(1, select(2, text:gsub("calendars are polled", "")))
    local answer = assert(http.post(served.url .. "/notifications/google", "",
      { headers = { ["x-goog-channel-id"] = "a", ["x-goog-resource-state"] = "exists" } }))
    assert.equal(200, answer.status)
    assert.equal(404, assert(http.post(served.url .. "/notifications/local", "")).status)
    served.stop()
  end)
end)
