-- The seams between a provider's changes and the mirror: batches that build on each other, spans, and what nobody can read.

local errors = require "lunation.errors"
local fake = require "spec.fixtures.fake_provider"
local json = require "lunation.json"
local specs = require "spec.support.store"
local support = require "spec.support"

local function event(title, start)
  return { ["@type"] = "Event", uid = title, title = title, start = start or "2025-03-03T09:00:00", duration = "PT1H", timeZone = "UTC" }
end

local function native(id, title) return { id = id, etag = title, event = event(title) } end

describe("the mirror", function()
  local opened, server, engine, account, batches, asked

  -- What the provider's `changes` gives, batch by batch; a function is called when it is its turn.
  before_each(function()
    local dir = support.tmpdir()
    opened = specs.open { path = dir .. "/store.db" }
    server = fake.open(dir .. "/server.db", { calendars = { "work", "home" } })
    account = specs.furnish(opened, { calendars = {} })
    engine = fake.engine(opened, server)
    batches, asked = {}, {}
    server.provider.changes = function(_, calendar, state)
      asked[#asked + 1] = { calendar = calendar.id, wanted = calendar.wanted, state = state }
      local list, index = batches[calendar.id] or { { upserts = {}, state = { n = 0 } } }, 0
      return function()
        index = index + 1
        local batch = list[index]
        if type(batch) == "function" then return batch(calendar) end
        return batch
      end
    end
  end)

  after_each(function()
    server:close()
    opened:close()
  end)

  local function titles(id)
    local found = {}
    for row in assert(opened:events_since(opened:calendar_by_id(account.id, id or "work").key, 0)) do
      if not row.deleted then found[row.id] = json.decode(row.event).title end
    end
    return found
  end

  it("shows a provider what it has, as soon as a batch says that it may be followed", function()
    local seen = {}
    batches.work = {
      { upserts = { native("a", "first") }, reset = true, more = true, state = { n = 1 } },
      function(calendar)
        seen.a, seen.b = calendar.mirrored("a"), calendar.mirrored("b")
        return { upserts = { native("a", seen.a.event.title .. " and second") }, more = false, state = { n = 2 } }
      end,
    }
    assert(engine.sync:account(account.id))
    assert.equal("first", seen.a.event.title)
    assert.is_nil(seen.b)
    assert.same({ a = "first and second" }, titles())
    -- A listing and an increment after it, in one run: what the listing did not name is gone, and only that.
    batches.work = {
      { upserts = { native("b", "listed") }, reset = true, more = false, state = { n = 3 } },
      { upserts = { native("c", "incremental") }, more = false, state = { n = 4 } },
    }
    assert(engine.sync:account(account.id, { force = true }))
    assert.same({ b = "listed", c = "incremental" }, titles())
  end)

  it("keeps aside what cannot be read, names it, and does the rest", function()
    local bad = { id = "x", event = { garbage = true }, note = "what it was" }
    batches.work = { { upserts = { native("a", "good"), bad }, reset = true, more = false, state = { n = 1 } } }
    local counts = assert(engine.sync:account(account.id))
    assert.equal(1, counts.skipped)
    assert.same({ a = "good" }, titles())
    local row = opened:account(account.id)
    assert.equal("active", row.status)
    assert.is_number(row.synced_at)
    assert.equal("invalid_answer", row.error.code)
    assert.equal("syntax", row.error.reason)
    assert.equal("x", row.error.details.event)
    assert.truthy(row.error.details.original:find("what it was", 1, true))
    -- An increment without it does not forget it; the event that can be read again does.
    batches.work = { { upserts = { native("b", "more") }, more = false, state = { n = 2 } } }
    assert(engine.sync:account(account.id, { force = true }))
    assert.equal("invalid_answer", opened:account(account.id).error.code)
    batches.work = { { upserts = { native("x", "fine now") }, more = false, state = { n = 3 } } }
    assert(engine.sync:account(account.id, { force = true }))
    assert.is_nil(opened:account(account.id).error)
  end)

  it("keeps the older copy of an event that a full listing names and cannot read", function()
    batches.work = { { upserts = { native("a", "good"), native("x", "old") }, reset = true, more = false, state = { n = 1 } } }
    assert(engine.sync:account(account.id))
    batches.work = { { upserts = { native("a", "good"), { id = "x", event = { garbage = true } } }, reset = true, more = false, state = { n = 2 } } }
    assert(engine.sync:account(account.id, { force = true }))
    assert.same({ a = "good", x = "old" }, titles())
    batches.work = { { upserts = { native("a", "good") }, reset = true, more = false, state = { n = 3 } } }
    assert(engine.sync:account(account.id, { force = true }))
    assert.same({ a = "good" }, titles())
    assert.is_nil(opened:account(account.id).error)
  end)

  it("bears a mapping that raises", function()
    local to = server.provider.event.to
    server.provider.event.to = function(self, given)
      if given.id == "x" then error("attempt to index a nil value") end
      return to(self, given)
    end
    batches.work = { { upserts = { native("x", "bad"), native("a", "good") }, reset = true, state = { n = 1 } } }
    assert(engine.sync:account(account.id))
    assert.same({ a = "good" }, titles())
    assert.equal("invalid_answer", opened:account(account.id).error.code)
  end)

  it("lists a calendar anew, in time, of which something could not be read", function()
    local now = opened.clock()
    opened.clock = function() return now end
    batches.work = { { upserts = { native("a", "good"), { id = "x", event = { title = 5 } } }, reset = true, more = false, state = { n = 1 } } }
    assert(engine.sync:account(account.id, { force = true }))
    assert.equal(1, opened:unreadable(account.id).count)
    batches.work = { { upserts = {}, more = false, state = { n = 1 } } }
    local function state_asked()
      asked = {}
      assert(engine.sync:account(account.id, { force = true }))
      for _, each in ipairs(asked) do
        if each.calendar == "work" then return each.state end
      end
    end
    assert.same({ n = 1 }, state_asked())
    now = now + 86401
    batches.work = { { upserts = { native("a", "good"), native("x", "mended") }, reset = true, more = false, state = { n = 2 } } }
    assert.is_nil(state_asked())
    assert.same({ a = "good", x = "mended" }, titles())
    assert.is_nil(opened:account(account.id).error)
    assert.same({ n = 2 }, state_asked())
  end)

  it("keeps a calendar that the list may name and nobody can read", function()
    batches.home = { { upserts = { native("a", "at home") }, reset = true, more = false, state = { n = 1 } } }
    assert(engine.sync:account(account.id, { force = true }))
    local key = opened:calendar_by_id(account.id, "home").key
    local to = server.provider.calendar.to
    server.provider.calendar.to = function(self, given)
      if given.id == "home" then return nil, errors.new("invalid_request", "id: is missing") end
      return to(self, given)
    end
    batches.home = { { upserts = {}, state = { n = 1 } } }
    assert(engine.sync:account(account.id, { force = true }))
    assert.equal("invalid_answer", opened:account(account.id).error.code)
    assert.same({ a = "at home" }, titles "home")
    server.provider.calendar.to = to
    assert(engine.sync:account(account.id, { force = true }))
    assert.is_nil(opened:account(account.id).error)
    assert.equal(key, opened:calendar_by_id(account.id, "home").key)
  end)

  it("syncs the other calendars when the answers about one are useless", function()
    for _, code in ipairs { "answer_not_json", "answer_too_large", "endless_listing" } do
      batches.home = { function() return nil, errors.new(code, "what came is useless", { details = { original = "<html>" } }) end }
      batches.work = { { upserts = { native("a", code) }, reset = true, more = false, state = { n = 1 } } }
      assert(engine.sync:account(account.id, { force = true }))
      assert.same({ a = code }, titles())
      local row = opened:account(account.id)
      assert.equal(code, row.error.code)
      assert.equal("<html>", row.error.details.original)
      assert.equal(code, opened:calendar_by_id(account.id, "home").error.code)
      assert.equal("active", row.status)
    end
  end)

  it("extends the span that it covers to what is read", function()
    batches.work = { { upserts = {}, reset = true, more = false, state = { n = 1 }, covers = { from = 1000, to = 2000 } } }
    assert(engine.sync:account(account.id))
    assert.same({ from = 1000, to = 2000 }, opened:calendar_by_id(account.id, "work").covers)
    asked = {}
    assert.same({}, engine.sync:refresh { accounts = { account.id }, from = 1000, to = 1500 })
    assert.equal(0, #asked)
    batches.work = { function(calendar)
      local span = calendar.wanted
      return { upserts = {}, more = false, state = { n = 2 }, covers = { from = 1000, to = math.max(2000, span and span.to or 0) } }
    end }
    assert.same({}, engine.sync:refresh { accounts = { account.id }, from = 1500, to = 3000 })
    assert.same({ from = 1500, to = 3000 }, asked[1].wanted)
    assert.same({ from = 1000, to = 3000 }, opened:calendar_by_id(account.id, "work").covers)
    -- Where it cannot be extended, the reader is told.
    batches.work = { { upserts = {}, more = false, state = { n = 3 } } }
    local stale = engine.sync:refresh { accounts = { account.id }, from = 1500, to = 9000 }
    assert.equal("error", stale[1].reason)
    -- A full listing without a span covers everything again.
    batches.work = { { upserts = {}, reset = true, more = false, state = { n = 4 } } }
    assert.same({}, engine.sync:refresh { accounts = { account.id }, from = 1500, to = 9000 })
    assert.is_nil(opened:calendar_by_id(account.id, "work").covers)
  end)

  it("extends what a first refresh covers, when a read waits for more", function()
    batches.work = { function(calendar)
      local span = calendar.wanted or { from = 1000, to = 2000 }
      return { upserts = {}, reset = true, more = false, state = { n = 1 }, covers = { from = span.from, to = span.to } }
    end }
    assert.same({}, engine.sync:refresh { accounts = { account.id }, from = 100, to = 3000 })
    assert.same({ from = 100, to = 3000 }, opened:calendar_by_id(account.id, "work").covers)
  end)
end)
