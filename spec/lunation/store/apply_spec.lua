local json = require "lunation.json"
local specs = require "spec.support.store"

local function upsert(id, title, more)
  local row = { id = id, uid = id .. "@x", etag = title, event = { title = title }, original = { text = title }, start = 100, finish = 200 }
  for name, value in pairs(more or {}) do row[name] = value end
  return row
end

local function titles(opened, key)
  local found = {}
  for row in assert(opened:events_since(key, 0)) do found[row.id] = json.decode(row.event).title end
  return found
end

local function pick(counts)
  return { counts.created, counts.updated, counts.deleted, counts.unchanged }
end

describe("store apply", function()
  local opened, calendar, account

  before_each(function()
    local list
    opened = specs.open()
    account, list = specs.furnish(opened)
    calendar = list[1].key
  end)

  it("counts and numbers true differences only", function()
    local first = assert(opened:apply { calendar = calendar, state = { token = "1" }, upserts = { upsert("a", "A"), upsert("b", "B") } })
    assert.same({ 2, 0, 0, 0 }, pick(first))
    assert.equal(2, opened:calendar(calendar).seq)
    local second = assert(opened:apply {
      calendar = calendar, expect = first.version, state = { token = "2" },
      upserts = { upsert("a", "A"), upsert("b", "B2"), upsert("c", "C") }, deletes = { "nobody" },
    })
    assert.same({ 1, 1, 0, 1 }, pick(second))
    assert.equal(4, opened:calendar(calendar).seq)
    assert.same({ a = "A", b = "B2", c = "C" }, titles(opened, calendar))
    assert.same({ token = "2" }, opened:calendar_state(calendar).state)
    local row = opened:event(calendar, "b")
    assert.equal(2, row.revision)
    assert.same({ text = "B2" }, row.original)
    assert.same({ title = "B2" }, row.event)
    assert.is_false(row.recurring)
  end)

  it("renumbers what only the provider's own differs in, and tells no hook", function()
    assert(opened:apply { calendar = calendar, upserts = { upsert("a", "A") } })
    local last = opened:changes_end()
    local counts = assert(opened:apply { calendar = calendar, upserts = { upsert("a", "A", { etag = "other" }) } })
    assert.same({ 0, 0, 0, 1 }, pick(counts))
    assert.equal("other", opened:event(calendar, "a").etag)
    assert.equal(2, opened:event(calendar, "a").revision)
    assert.equal(last, opened:changes_end())
  end)

  it("keeps text that is no UTF-8 as well as it can be, and leaves out what is no JSON", function()
    local endless = {}
    endless.again = endless
    local counts = assert(opened:apply {
      calendar = calendar, upserts = { upsert("a", "A"), upsert("b", "caf\xe9"), upsert("c", "C", { original = endless }) },
    })
    assert.equal(2, counts.created)
    assert.equal(1, counts.skipped)
    assert.same({ a = "A", b = "caf\u{FFFD}" }, titles(opened, calendar))
  end)

  it("refuses a batch that starts from another state, and changes nothing", function()
    local first = assert(opened:apply { calendar = calendar, state = { token = "1" }, upserts = { upsert("a", "A") } })
    assert(opened:apply { calendar = calendar, expect = first.version, state = { token = "2" } })
    local none, err = opened:apply {
      calendar = calendar, expect = first.version, state = { token = "3" }, upserts = { upsert("b", "B") },
    }
    assert.is_nil(none)
    assert.equal("conflict", err.code)
    assert.same({ a = "A" }, titles(opened, calendar))
    assert.same({ token = "2" }, opened:calendar_state(calendar).state)
  end)

  it("refuses a batch whose lease is another's by now", function()
    local fence = assert(opened:lease("sync:1", "one", -1))
    assert.equal(fence + 1, opened:lease("sync:1", "two", 60))
    local none, err = opened:apply { calendar = calendar, upserts = { upsert("a", "A") }, fence = { name = "sync:1", fence = fence } }
    assert.is_nil(none)
    assert.equal("conflict", err.code)
    assert(opened:apply { calendar = calendar, upserts = { upsert("a", "A") }, fence = { name = "sync:1", fence = fence + 1 } })
  end)

  it("deletes what a full listing does not name, at its end and not before", function()
    assert(opened:apply { calendar = calendar, upserts = { upsert("a", "A"), upsert("b", "B"), upsert("c", "C") }, state = { t = 1 } })
    local last = opened:changes_end()
    assert(opened:apply { calendar = calendar, reset = true, run = "r", more = true, upserts = { upsert("c", "C") }, state = { t = 2 } })
    assert.same({ a = "A", b = "B", c = "C" }, titles(opened, calendar))
    assert.same({ t = 1 }, opened:calendar_state(calendar).state)
    local counts = assert(opened:apply { calendar = calendar, reset = true, run = "r", upserts = { upsert("a", "A2") }, state = { t = 3 } })
    assert.same({ 0, 1, 1, 0 }, pick(counts))
    assert.same({ a = "A2", c = "C" }, titles(opened, calendar))
    assert.same({ t = 3 }, opened:calendar_state(calendar).state)
    local kinds = {}
    for _, change in ipairs(specs.feed(opened, last)) do kinds[change.event_id] = change.kind end
    assert.same({ a = "updated", b = "deleted" }, kinds)
  end)

  it("begins a listing that was cut off again, without what the first had named", function()
    assert(opened:apply { calendar = calendar, upserts = { upsert("a", "A") } })
    assert(opened:apply { calendar = calendar, reset = true, run = "one", more = true, upserts = { upsert("a", "A") } })
    assert(opened:apply { calendar = calendar, reset = true, run = "two", upserts = { upsert("b", "B") } })
    assert.same({ b = "B" }, titles(opened, calendar))
  end)

  it("does not tell hooks of the first listing", function()
    assert(opened:apply { calendar = calendar, reset = true, upserts = { upsert("a", "A") } })
    assert.same({}, specs.feed(opened))
    assert(opened:apply { calendar = calendar, upserts = { upsert("b", "B") }, deletes = { "a" } })
    local feed = specs.feed(opened)
    assert.equal("created", feed[1].kind)
    assert.equal("deleted", feed[2].kind)
    assert.same({ title = "A" }, feed[2].event)
    assert.equal(account.id, feed[1].account)
  end)

  describe("after a write of our own", function()
    local epoch

    before_each(function()
      assert(opened:apply { calendar = calendar, upserts = { upsert("a", "A"), upsert("b", "B") } })
      epoch = opened:calendar_state(calendar).epoch
    end)

    it("names the written row for a refetch and applies nothing", function()
      assert(opened:event_put(upsert("a", "mine", { calendar = calendar })))
      local none, err = opened:apply { calendar = calendar, epoch = epoch, state = { t = 9 }, upserts = { upsert("a", "old"), upsert("b", "B2") } }
      assert.is_nil(none)
      assert.equal("refetch", err.code)
      assert.same({ "a" }, err.ids)
      assert.same({ a = "mine", b = "B" }, titles(opened, calendar))
      local counts = assert(opened:apply {
        calendar = calendar, epoch = epoch, state = { t = 9 }, upserts = { upsert("a", "old"), upsert("b", "B2") },
        fresh = { a = { epoch = opened:calendar_state(calendar).epoch, upsert = upsert("a", "newest") } },
      })
      assert.same({ 0, 2, 0, 0 }, pick(counts))
      assert.same({ a = "newest", b = "B2" }, titles(opened, calendar))
    end)

    it("does not bring a deleted row back", function()
      assert.is_true(opened:event_drop(calendar, "a"))
      local none, err = opened:apply { calendar = calendar, epoch = epoch, upserts = { upsert("a", "old") } }
      assert.is_nil(none)
      assert.same({ "a" }, err.ids)
      local fresh = { a = { epoch = opened:calendar_state(calendar).epoch } }
      assert(opened:apply { calendar = calendar, epoch = epoch, upserts = { upsert("a", "old") }, fresh = fresh })
      assert.same({ b = "B" }, titles(opened, calendar))
    end)

    it("does not let a listing that is older delete what was created", function()
      assert(opened:event_put(upsert("new", "mine", { calendar = calendar, expect = false })))
      local listing = { upsert("a", "A"), upsert("b", "B") }
      local none, err = opened:apply { calendar = calendar, epoch = epoch, reset = true, upserts = listing }
      assert.is_nil(none)
      assert.same({ "new" }, err.ids)
      local fresh = { new = { epoch = opened:calendar_state(calendar).epoch, upsert = upsert("new", "mine") } }
      assert(opened:apply { calendar = calendar, epoch = epoch, reset = true, upserts = listing, fresh = fresh })
      assert.same({ a = "A", b = "B", new = "mine" }, titles(opened, calendar))
    end)

    it("puts only on the revision that it has read", function()
      local none, err = opened:event_put(upsert("a", "mine", { calendar = calendar, expect = 7 }))
      assert.is_nil(none)
      assert.equal("conflict", err.code)
      none, err = opened:event_put(upsert("a", "mine", { calendar = calendar, expect = false }))
      assert.is_nil(none)
      assert.equal("conflict", err.code)
      local row = assert(opened:event_put(upsert("a", "mine", { calendar = calendar, expect = 1 })))
      assert.equal(2, row.revision)
    end)
  end)

  it("finds what overlaps a window by its span", function()
    local endless = upsert("endless", "E", { start = 50, recurring = true })
    endless.finish = nil
    assert(opened:apply { calendar = calendar, upserts = {
      upsert("a", "A", { start = 100, finish = 200 }), upsert("b", "B", { start = 200, finish = 300 }),
      upsert("moment", "M", { start = 200, finish = 200 }), endless,
      upsert("over", "O", { start = 60, finish = 150, recurring = true }),
    } })
    local function ids(from, to)
      local found = {}
      for index, row in ipairs(assert(opened:events_between(calendar, from, to))) do found[index] = row.id end
      return table.concat(found, " ")
    end
    assert.equal("endless b moment", ids(200, 300))
    assert.equal("endless over a", ids(100, 200))
    assert.equal("", ids(0, 50))
    assert.equal("endless", ids(1000, 2000))
  end)

  describe("events_since", function()
    it("gives what came after a number, removed ones too", function()
      assert(opened:apply { calendar = calendar, upserts = { upsert("a", "A"), upsert("b", "B") } })
      local key = opened:event(calendar, "a").key
      local series = upsert("c", "C", { recurring = true })
      series.finish = nil
      assert(opened:apply { calendar = calendar, upserts = { upsert("b", "B2"), series }, deletes = { "a" } })
      local seen = {}
      for row in assert(opened:events_since(calendar, 2)) do seen[#seen + 1] = row end
      assert.equal(3, #seen)
      assert.equal("b", seen[1].id)
      assert.equal("c", seen[2].id)
      assert.is_true(seen[2].recurring)
      assert.is_nil(seen[2].finish)
      assert.same({ "a", true, key }, { seen[3].id, seen[3].deleted, seen[3].key })
      assert.equal(opened:calendar(calendar).seq, seen[3].seq)
      assert.is_nil(assert(opened:events_since(calendar, 5))())
    end)

    it("goes through many pages, each event once", function()
      local many = {}
      for index = 1, 1000 do many[index] = upsert("e" .. index, "T" .. index) end
      assert(opened:apply { calendar = calendar, upserts = many })
      local count, last = 0, 0
      for row in assert(opened:events_since(calendar, 0)) do
        count = count + 1
        assert.is_true(row.seq > last)
        last = row.seq
      end
      assert.equal(1000, count)
      assert.equal(1000, opened:event_count(calendar))
    end)

    it("says when tombstones that old are forgotten", function()
      local now = 1000
      opened.clock = function() return now end
      assert(opened:apply { calendar = calendar, upserts = { upsert("a", "A"), upsert("b", "B") } })
      assert(opened:apply { calendar = calendar, deletes = { "a" } })
      now = now + 8 * 86400
      assert(opened:apply { calendar = calendar, deletes = { "b" } })
      assert(opened:prune())
      local none, err = opened:events_since(calendar, 1)
      assert.is_nil(none)
      assert.equal("gone", err.code)
      local rest = assert(opened:events_since(calendar, 3))()
      assert.same({ "b", true }, { rest.id, rest.deleted })
      assert.is_nil(assert(opened:events_since(calendar, 0))())
    end)
  end)
end)
