-- Synchronization with servers that forget, repeat, cut and fail in the middle.
local dav = require "spec.emulators.dav"
local object = require "lunation.caldav.object"
local session = require "lunation.caldav.session"
local support = require "spec.support.caldav"

local client, ics, drain = support.client, support.ics, support.drain

describe("a CalDAV server that", function()
  local fake

  after_each(function()
    if fake then fake:stop() end
    fake = nil
  end)

  local function start(switches)
    fake = dav.start(switches)
    return fake
  end

  local function identified()
    return support.identified(fake)
  end

  describe("forgets a token", function()
    for _, mode in ipairs { "refuse", 400, 403, 409, 410, 412, 500, "full" } do
      it(("(%s) is read as a whole, and what is gone is gone"):format(mode), function()
        start { tokens = mode }
        fake:put("a.ics", ics("a"))
        fake:put("b.ics", ics("b"))
        local one, calendar = identified()
        local state = drain(one, calendar, nil).state
        assert.equal("sync", state.method)
        fake:remove("b.ics")
        fake:put("c.ics", ics("c"))
        fake.forgotten = true
        local all = drain(one, calendar, state)
        assert.is_nil(all.err)
        assert.is_true(all.reset)
        assert.same({ ["a.ics"] = "One", ["c.ics"] = "One" }, all.upserts)
        fake.forgotten = false
        assert.equal(0, #drain(one, calendar, all.state).order)
      end)
    end

    it("but not for a moment's failure", function()
      start()
      fake:put("a.ics", ics("a"))
      local one, calendar = identified()
      local state = drain(one, calendar, nil).state
      fake.answer = function(req)
        if req.method == "REPORT" then return { status = 502, body = "" } end
      end
      local all = drain(one, calendar, state)
      assert.equal("provider_error", all.err.code)
      assert.equal(0, all.batches)
    end)
  end)

  describe("tells its changes", function()
    it("in pages, each with the token to go on from", function()
      start { limit = 2 }
      for index = 1, 5 do fake:put(index .. ".ics", ics(tostring(index))) end
      local one, calendar = identified()
      local all = drain(one, calendar, nil)
      assert.equal(5, #all.order)
      assert.is_true(all.reset)
      for index = 6, 10 do fake:put(index .. ".ics", ics(tostring(index))) end
      local more = drain(one, calendar, all.state)
      assert.equal(5, #more.order)
      assert.is_falsy(more.reset)
      assert.equal(3, more.batches)
    end)

    it("whole, and says that they are cut all the same", function()
      start()
      for index = 1, 3 do fake:put(index .. ".ics", ics(tostring(index))) end
      local one, calendar = identified()
      local pages = 0
      fake.answer = function(req)
        if req.method ~= "REPORT" or not req.body:find("sync-collection", 1, true) or req.body:find("<D:sync-token>t", 1, true) then return end
        pages = pages + 1
        local parts = { dav.response("/cal/alice/team/", nil, 507) }
        for index = 1, 3 do parts[#parts + 1] = dav.response(("/cal/alice/team/%d.ics"):format(index), "<D:getetag>&quot;x&quot;</D:getetag>") end
        return dav.multistatus(parts, "t" .. fake.clock)
      end
      local all = drain(one, calendar, nil)
      assert.equal(3, #all.order)
      assert.equal(1, pages)
      assert.equal("sync", all.state.method)
    end)

    it("cut, with a token that stands still: by tags instead, whole", function()
      start { limit = 2, stuck = true }
      for index = 1, 5 do fake:put(index .. ".ics", ics(tostring(index))) end
      local one, calendar = identified()
      local all = drain(one, calendar, nil)
      assert.is_nil(all.err)
      assert.equal(5, #all.order)
      assert.equal("etag", all.state.method)
    end)

    it("again and again within one second", function()
      start { stuck = true, headers = { dav = "1, calendar-access", server = "SOGo" } }
      fake:put("a.ics", ics("a"))
      fake:put("b.ics", ics("b"))
      local one, calendar = identified()
      local state = { method = "sync", token = "t2", count = 2 }
      for _ = 1, 3 do
        local all = drain(one, calendar, state)
        assert.is_nil(all.err)
        assert.equal("t2", all.state.token)
        assert.equal("One", all.upserts["b.ics"])
        state = all.state
      end
    end)

    it("with an error for one resource, which is asked for again", function()
      start()
      fake:put("a.ics", ics("a"))
      fake:put("b.ics", ics("b"))
      local one, calendar = identified()
      local state = drain(one, calendar, nil).state
      fake.switches.failing = { ["b.ics"] = 500 }
      fake:put("a.ics", ics("a", "Two"))
      fake:put("b.ics", ics("b", "Two"))
      local all = drain(one, calendar, state)
      assert.same({ ["a.ics"] = "Two" }, all.upserts)
      assert.same({}, all.deletes)
      assert.same({ "b.ics" }, all.state.retry)
      fake.switches.failing = nil
      local later = drain(one, calendar, all.state)
      assert.same({ ["b.ics"] = "Two" }, later.upserts)
      assert.is_nil(later.state.retry)
    end)

    it("with an error in place of the result", function()
      start()
      fake:put("a.ics", ics("a"))
      local one, calendar = identified()
      local state = drain(one, calendar, nil).state
      fake.answer = function(req)
        if req.method == "REPORT" then return dav.multistatus { dav.response("/cal/alice/team/", nil, 503) } end
      end
      local all = drain(one, calendar, state)
      assert.equal("unavailable", all.err.code)
      assert.equal(0, all.batches)
    end)

    it("under the name of a host that only it knows", function()
      start { inside = "http://dav.internal:8080" }
      fake:put("a.ics", ics("a"))
      local one, calendar = identified()
      local all = drain(one, calendar, nil)
      assert.same({ ["a.ics"] = "One" }, all.upserts)
      fake:put("a.ics", ics("a", "Two"))
      local batch = assert(client.changes(one, calendar, all.state)())
      assert.equal(fake.calendar .. "a.ics", batch.upserts[1].href)
      assert.equal(ics("a", "Two"), batch.upserts[1].text)
    end)

    it("without bodies", function()
      start { inline = false }
      fake:put("a.ics", ics("a"))
      local one, calendar = identified()
      local state = drain(one, calendar, nil).state
      fake:put("a.ics", ics("a", "Two"))
      assert.same({ ["a.ics"] = "Two" }, drain(one, calendar, state).upserts)
    end)

    it("by tags alone, or not even by a ctag", function()
      for _, no_ctag in ipairs { false, true } do
        start { tokens = "none", no_ctag = no_ctag }
        fake:put("a.ics", ics("a"))
        fake:put("b.ics", ics("b"))
        local one, calendar = identified()
        local all = drain(one, calendar, nil)
        assert.equal("etag", all.state.method)
        fake:put("a.ics", ics("a", "Two"))
        fake:remove("b.ics")
        local more = drain(one, calendar, all.state)
        assert.same({ ["a.ics"] = "Two" }, more.upserts)
        assert.same({ "b.ics" }, more.deletes)
        local before = fake:count("PROPFIND")
        assert.equal(0, drain(one, calendar, more.state).batches)
        assert.equal(no_ctag and 2 or 1, fake:count("PROPFIND") - before)
        fake:stop()
      end
      fake = nil
    end)

    it("while they go on changing: what was listed and is gone is no error", function()
      for _, missing in ipairs { "inside", "omit", "whole" } do
        start { missing = missing }
        fake:put("a.ics", ics("a"))
        fake:put("b.ics", ics("b"))
        local one, calendar = identified()
        local urls = { fake.calendar .. "a.ics", fake.calendar .. "gone.ics", fake.calendar .. "b.ics" }
        local result = assert(object.get_many(session.new(one), calendar.id, urls))
        assert.equal(2, #result.found, missing)
        assert.same({ fake.calendar .. "gone.ics" }, result.gone)
        fake:stop()
      end
      fake = nil
    end)
  end)
end)
