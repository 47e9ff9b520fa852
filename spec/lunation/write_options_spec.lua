-- What a write says to its provider besides the event: what was there before, what names the creation, who is told; and answers
-- to invitations, which have a call of their own.

local fake = require "spec.fixtures.fake_provider"
local json = require "lunation.json"
local operations = require "spec.fixtures.kill_operations"
local specs = require "spec.support.store"
local support = require "spec.support"

local UUID = "^%x+%-%x+%-%x+%-%x+%-%x+$"

describe("a write tells its provider", function()
  local opened, server, engine, calendar, write, calls

  before_each(function()
    local dir = support.tmpdir()
    opened = specs.open { path = dir .. "/store.db" }
    server = fake.open(dir .. "/server.db")
    local account = specs.furnish(opened, { calendars = {}, identity = "ada@example.com" })
    engine = fake.engine(opened, server)
    calls = {}
    for _, name in ipairs { "create", "update", "delete" } do
      local inner = server.provider[name]
      server.provider[name] = function(a, c, native, options)
        calls[#calls + 1] = { name, options }
        return inner(a, c, native, options)
      end
    end
    server:put("work", "series.ics", operations.series)
    local meeting = json.decode(json.encode(operations.series))
    meeting.uid, meeting.participants = "meeting", {
      ada = { ["@type"] = "Participant", email = "ada@example.com", roles = { attendee = true }, participationStatus = "needs-action" },
      bob = { ["@type"] = "Participant", email = "bob@example.com", roles = { owner = true }, participationStatus = "accepted" },
    }
    server:put("work", "meeting.ics", meeting)
    assert(engine.sync:account(account.id))
    calendar = opened:calendar_by_id(account.id, "work")
    write = engine.write
  end)

  after_each(function()
    assert.same({}, opened:intents())
    server:close()
    opened:close()
  end)

  it("what was there before, and who is told", function()
    local before = server:get("work", "series.ics")
    assert(write:update { calendar = calendar, id = "series.ics", scope = "all", patch = { title = "Other" }, notify = "none" })
    assert.same(before.event, calls[1][2].before.event)
    assert.equal("Other", calls[1][2].event.after.title)
    assert.equal("none", calls[1][2].notify)
    assert(write:delete { calendar = calendar, id = "series.ics", notify = "all" })
    assert.same({ "delete", "all" }, { calls[2][1], calls[2][2].notify })
  end)

  it("what names a creation: the same for the same Idempotency-Key", function()
    local function create(key)
      assert(write:create { calendar = calendar, event = operations.fresh, app = "demo", user = 1, key = key, notify = "external" })
      return calls[#calls][2]
    end
    local first = create()
    assert.truthy(first.transaction:find(UUID))
    assert.equal("external", first.notify)
    assert.are_not.equal(first.transaction, create().transaction)
    server:fault("create", { code = "rate_limited" })
    local _, err = write:create { calendar = calendar, event = operations.fresh, app = "demo", user = 1, key = "k" }
    assert.equal("rate_limited", err.code)
    local once = calls[#calls][2].transaction
    assert.equal(once, create("k").transaction)
  end)

  describe("of an answer to an invitation", function()
    local answers
    before_each(function()
      answers = {}
      server.provider.rsvp = function(_, of, id, wanted)
        answers[#answers + 1] = wanted
        local stored = server:get(of.id, id)
        local me = stored.event.participants.ada
        if not wanted.recurrenceId then me.participationStatus = wanted.status end
        return server:put(of.id, id, stored.event)
      end
    end)

    local function participants(status, comment)
      local people = json.decode(json.encode(opened:event(calendar.key, "meeting.ics").event.participants))
      people.ada.participationStatus, people.ada.participationComment = status, comment
      return people
    end

    it("for the series and for one instance", function()
      local row = assert(write:update { calendar = calendar, id = "meeting.ics", scope = "all", notify = "all",
        patch = { participants = participants("accepted", "gladly"), title = opened:event(calendar.key, "meeting.ics").event.title } })
      assert.same({ { status = "accepted", comment = "gladly", notify = "all" } }, answers)
      assert.equal("accepted", row.event.participants.ada.participationStatus)
      assert.equal(0, #calls)
      local key = opened:event(calendar.key, "meeting.ics").event.start
      assert(write:update { calendar = calendar, id = "meeting.ics", recurrenceId = key, scope = "this", patch = { participants = participants "declined" } })
      assert.same({ status = "declined", recurrenceId = key }, answers[2])
    end)

    it("and of nothing else", function()
      local function update(patch) assert(write:update { calendar = calendar, id = "meeting.ics", scope = "all", patch = patch }) end
      update { participants = participants("accepted"), title = "Other" }
      local people = participants("accepted")
      people.bob.participationStatus = "declined"
      update { participants = people }
      people = participants("accepted")
      people.carol = { ["@type"] = "Participant", email = "carol@example.com", roles = { attendee = true } }
      update { participants = people }
      update { participants = participants("needs-action") }
      assert.same({}, answers)
      assert.equal(4, #calls)
    end)
  end)
end)
