-- Leases, intents, idempotent requests and jobs: what keeps workers, and the time before and after a crash, apart.

local holder = require "lunation.store.holder"
local process = require "lunation.process"
local specs = require "spec.support.store"

--- The name that a holder had whose process has ended.
local function dead_holder()
  local child = assert(process.spawn { args = { "sleep", "60" } })
  local stat = assert(io.open("/proc/" .. child.pid .. "/stat")):read("l")
  local started, index = nil, 2
  for field in stat:match("^.*%)%s+(.*)$"):gmatch("%S+") do
    index = index + 1
    if index == 22 then started = field end
  end
  local machine = holder.name():match("^%x+")
  local name = ("%s/%d/%s/abcdef"):format(machine, child.pid, started)
  assert.is_true(holder.alive(name))
  child:kill("KILL")
  child:wait()
  return name
end

describe("holder", function()
  it("knows whether a process of this machine lives", function()
    assert.is_true(holder.alive(holder.name()))
    assert.is_false(holder.alive(dead_holder()))
    assert.is_false(holder.alive((holder.name():gsub("/%d+/(%x+)$", "/1/%1"))))
    assert.is_nil(holder.alive("0123456789ab/1/1/aa"))
    assert.is_nil(holder.alive("nonsense"))
  end)
end)

describe("store leases", function()
  local opened, now

  before_each(function()
    now = 1000
    opened = specs.open { clock = function() return now end }
  end)

  it("have one holder at a time, and a number that grows", function()
    assert.equal(1, opened:lease("x", nil, 60))
    assert.is_nil(opened:lease("x", nil, 60))
    assert.same({ true, 1 }, { opened:lease_held("x") })
    assert.is_true(opened:lease_renew("x", 1, 60))
    assert.is_true(opened:release("x", 1))
    assert.is_false(opened:lease_renew("x", 1, 60))
    assert.equal(2, opened:lease("x", nil, 60))
    assert.is_false(opened:release("x", 1))
    assert.same({ true, 2 }, { opened:lease_held("x") })
  end)

  it("are taken over when they expire, or at once when the process is dead", function()
    assert.equal(1, opened:lease("x", nil, 60))
    now = now + 61
    assert.equal(2, opened:lease("x", dead_holder(), 600))
    assert.equal(3, opened:lease("x", nil, 60))
  end)
end)

describe("store intents", function()
  local opened, account, calendar, now

  before_each(function()
    now = 1000
    opened = specs.open { clock = function() return now end }
    local list
    account, list = specs.furnish(opened)
    calendar = list[1].key
  end)

  local function begin(event, id)
    return opened:intent_begin {
      id = id or "i-" .. event, account = account.id, calendar = calendar, event = event, kind = "create",
      plan = { why = "spec" }, ttl = 60,
    }
  end

  it("are one an event at most", function()
    local open = assert(begin("a"))
    assert.same({ why = "spec" }, open.plan)
    local none, err = begin("a", "second")
    assert.is_nil(none)
    assert.equal("i-a", err.intent.id)
    assert(begin("b"))
    assert.equal(2, #opened:intents { account = account.id })
    assert.equal(1, #opened:intents { calendar = calendar, event = "b" })
  end)

  it("end together with what they did to the mirror", function()
    local open = assert(begin("a"))
    assert(opened:intent_step(open, { step = 1, ttl = 60, plan = { second = "z" } }))
    assert.equal(1, opened:intents()[1].step)
    local done, err = opened:intent_end(open, { puts = { { id = "a", event = { title = "A" }, expect = 3 } } })
    assert.is_nil(done)
    assert.equal("precondition_failed", err.code)
    assert.equal("a", err.id)
    assert.equal(1, #opened:intents())
    assert.is_nil(opened:event(calendar, "a"))
    assert(opened:intent_end(open, { puts = { { id = "a", event = { title = "A" }, expect = false } } }))
    assert.equal(0, #opened:intents())
    assert.equal("A", opened:event(calendar, "a").event.title)
    assert.equal("write", specs.feed(opened)[1].origin)
    open = assert(begin("a"))
    assert(opened:intent_end(open, { drops = { { id = "a" } } }))
    assert.is_nil(opened:event(calendar, "a"))
  end)

  it("are taken over only from writers who are gone, and fence those off", function()
    local open = assert(begin("a"))
    assert.is_nil(opened:intent_take(open, { ttl = 60 }))
    local taken = assert(opened:intent_take(open, { ttl = 60, orphan = true }))
    local late, err = opened:intent_step(open, { step = 2, ttl = 60 })
    assert.is_nil(late)
    assert.equal("conflict", err.code)
    late, err = opened:intent_end(open, {})
    assert.is_nil(late)
    assert.equal("conflict", err.code)
    assert(opened:intent_end(taken, {}))

    local name = opened.holder
    opened.holder = dead_holder()
    open = assert(begin("b"))
    opened.holder = name
    assert.equal(2, assert(opened:intent_take(open, { ttl = 60 })).fence)

    opened.holder = "0123456789ab/1/1/aa"
    open = assert(begin("c"))
    opened.holder = name
    assert.is_nil(opened:intent_take(open, { ttl = 60 }))
    now = now + 61
    assert(opened:intent_take(open, { ttl = 60 }))
  end)
end)

describe("store idempotency", function()
  local opened, once, now

  before_each(function()
    now = 1000
    opened = specs.open { clock = function() return now end }
    local account = specs.furnish(opened)
    once = { app = "demo", user = account.user, route = "event", key = "k1" }
  end)

  it("answers the same request again, for a while", function()
    assert.equal("new", opened:idempotency_begin(once, "d", 100))
    assert.equal("busy", opened:idempotency_begin(once, "d", 100))
    assert(opened:idempotency_end(once, '{"a":1}'))
    assert.same({ "done", '{"a":1}' }, { opened:idempotency_begin(once, "d", 100) })
    local none, err = opened:idempotency_begin(once, "other", 100)
    assert.is_nil(none)
    assert.equal("conflict", err.code)
    once.route = "disconnect"
    assert.equal("new", opened:idempotency_begin(once, "other", 100))
    once.route, now = "event", now + 101
    assert.equal("new", opened:idempotency_begin(once, "other", 100))
  end)

  it("lets a request that failed, or whose process died, be tried again", function()
    assert.equal("new", opened:idempotency_begin(once, "d", 100))
    assert(opened:idempotency_forget(once))
    local name = opened.holder
    opened.holder = dead_holder()
    assert.equal("new", opened:idempotency_begin(once, "d", 100))
    opened.holder = name
    assert.equal("again", opened:idempotency_begin(once, "d", 100))
    assert(opened:idempotency_leave(once))
    assert.equal("again", opened:idempotency_begin(once, "d", 100))
  end)
end)

describe("store jobs", function()
  local opened, now

  before_each(function()
    now = 1000
    opened = specs.open { clock = function() return now end }
  end)

  it("are claimed by one, in the order in which they are due", function()
    assert(opened:job_put { kind = "mail", payload = { n = 1 }, run_at = 1010 })
    assert(opened:job_put { kind = "mail", payload = { n = 2 } })
    assert(opened:job_put { kind = "other" })
    local job = assert(opened:job_claim({ "mail" }, 60))
    assert.same({ 2, 1, "leased" }, { job.payload.n, job.attempts, job.state })
    assert.is_nil(opened:job_claim({ "mail" }, 60))
    assert.is_nil(opened:job_claim({}, 60))
    assert.equal(1010, opened:job_next { "mail" })
    now = 1010
    assert.equal(1, opened:job_claim({ "mail" }, 60).payload.n)
    assert(opened:job_done(job))
    assert.equal(2, #opened:jobs())
  end)

  it("are one of a kind and key", function()
    local id = assert(opened:job_put { kind = "mail", key = "a", payload = { n = 1 }, run_at = 2000 })
    assert.equal(id, opened:job_put { kind = "mail", key = "a", payload = { n = 2 } })
    assert.equal(1, opened:jobs()[1].payload.n)
    assert.equal(id, opened:job_put { kind = "mail", key = "a", payload = { n = 2 }, replace = "changed", run_at = 1500 })
    assert.equal(1500, opened:jobs()[1].run_at)
    assert.equal(id, opened:job_put { kind = "mail", key = "a", payload = { n = 2 }, replace = "changed", run_at = 1700 })
    assert.equal(1500, opened:jobs()[1].run_at)
    assert.is_true(opened:job_remove("mail", "a"))
  end)

  it("go to another when their lease is over, and the first can no longer write", function()
    assert(opened:job_put { kind = "mail" })
    local first = assert(opened:job_claim({ "mail" }, 60))
    assert(opened:job_renew(first, 60))
    now = now + 61
    local second = assert(opened:job_claim({ "mail" }, 60))
    assert.equal(2, second.attempts)
    for _, late in ipairs {
      { opened:job_done(first) }, { opened:job_renew(first, 60) }, { opened:job_failed(first, 1, { code = "x", message = "y" }) },
    } do
      assert.is_nil(late[1])
      assert.equal("conflict", late[2].code)
    end
    assert(opened:job_failed(second, now + 5, { code = "x", message = "not now" }))
    assert.is_nil(opened:job_claim({ "mail" }, 60))
    now = now + 5
    local third = assert(opened:job_claim({ "mail" }, 60))
    assert.equal("not now", third.error.message)
    assert(opened:job_failed(third, nil, { code = "x", message = "never" }))
    assert.equal("dead", opened:jobs { state = "dead" }[1].state)
    now = now + 1000
    assert.is_nil(opened:job_claim({ "mail" }, 60))
  end)

  it("of dead processes are freed at once", function()
    assert(opened:job_put { kind = "mail" })
    local name = opened.holder
    opened.holder = dead_holder()
    assert(opened:job_claim({ "mail" }, 60))
    opened.holder = name
    assert.is_nil(opened:job_claim({ "mail" }, 60))
    assert.equal(1, opened:job_reap())
    assert.equal(2, opened:job_claim({ "mail" }, 60).fence)
    assert.equal(0, opened:job_reap())
  end)
end)
