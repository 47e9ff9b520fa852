-- The CalDAV provider against servers that fail: what breaks off, lies, forgets, repeats itself or answers something else.
local caldav = require "lunation.caldav"
local dav = require "spec.emulators.dav"
local failure = require "lunation.caldav.failure"
local object = require "lunation.caldav.object"
local process = require "lunation.process"
local session = require "lunation.caldav.session"

local client = caldav.client { provider = "caldav" }

local function ics(uid, summary)
  return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//lunation//spec//EN\r\nBEGIN:VEVENT\r\nUID:" .. uid
    .. "\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20271201T100000Z\r\nDTEND:20271201T110000Z\r\nSUMMARY:" .. (summary or "One")
    .. "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
end

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

  local function account(url)
    return { provider = "caldav", url = url or fake.url, username = "alice", credentials = { username = "alice", password = "secret" }, timeout = 5 }
  end

  local function identified()
    local one = account()
    one.settings = assert(client.identify(one)).settings
    return one, { id = fake.calendar }
  end

  local function drain(one, calendar, state)
    local all = { upserts = {}, deletes = {}, order = {}, batches = 0 }
    local next_batch = client.changes(one, calendar, state)
    while true do
      local batch, err = next_batch()
      if not batch then
        all.err = err
        break
      end
      all.batches = all.batches + 1
      all.reset = all.reset or batch.reset
      for _, event in ipairs(batch.upserts) do
        all.upserts[event.id] = event.text:match("SUMMARY:([^\r\n]*)")
        all.order[#all.order + 1] = event.id
      end
      for _, id in ipairs(batch.deletes) do all.deletes[#all.deletes + 1] = id end
      state = batch.state
    end
    all.state = state
    return all
  end

  describe("is no calendar server", function()
    it("answers with a page", function()
      start()
      fake.answer = function() return { status = 200, headers = { ["content-type"] = "text/html" }, body = "<html><body>Welcome</body></html>" } end
      local found, err = client.identify(account())
      assert.is_nil(found)
      assert.equal("provider_error", err.code)
      assert.equal("not_dav", err.cause)
      assert.truthy(err.message:find("not as a calendar server", 1, true))
    end)

    it("answers 207 with a page inside", function()
      start()
      fake.answer = function() return { status = 207, headers = { ["content-type"] = "text/html" }, body = "<html><body>Welcome</body></html>" } end
      local found, err = client.identify(account())
      assert.is_nil(found)
      assert.equal("not_dav", err.cause)
    end)

    it("is a page where an event should be", function()
      start()
      local one, calendar = identified()
      fake.answer = function(req)
        if req.method == "GET" then return { status = 200, headers = { ["content-type"] = "text/html" }, body = "<html>Sign in</html>" } end
      end
      local event, err = client.fetch(one, calendar, "a.ics")
      assert.is_nil(event)
      assert.equal("not_dav", err.cause)
    end)

    it("is not there", function()
      local found, err = client.identify { url = "http://127.0.0.1:" .. process.free_port() .. "/", credentials = {} }
      assert.is_nil(found)
      assert.equal("provider_error", err.code)
      assert.equal("refused", err.cause)
    end)

    it("is no address at all", function()
      for _, url in ipairs { "", "   ", "ftp://example.org/", "javascript:alert(1)", "http://" } do
        local found, err = client.identify { url = url, credentials = {} }
        assert.is_nil(found)
        assert.equal("invalid_request", err.code, url)
        assert.equal("url", err.field)
      end
    end)
  end)

  describe("breaks off", function()
    local child

    local function cut(mode)
      child = assert(process.spawn { args = { "python3", "spec/emulators/cut.py", mode }, stdout = "pipe" })
      return ("http://127.0.0.1:%s/"):format(child:read():match("%d+"))
    end

    after_each(function()
      if child then child:kill("KILL") end
      child = nil
    end)

    for mode, causes in pairs { half = { truncated = true, network = true }, head = { truncated = true, network = true } } do
      it("in the " .. (mode == "half" and "body" or "head"), function()
        local found, err = client.identify(account(cut(mode)))
        assert.is_nil(found)
        assert.equal("provider_error", err.code)
        assert.is_true(causes[err.cause])
      end)
    end

    it("after the request, without a word", function()
      local one = account(cut "hang")
      one.timeout = 0.5
      local found, err = client.identify(one)
      assert.is_nil(found)
      assert.equal("timeout", err.code)
    end)

    it("never", function()
      local one = account(cut "endless")
      local small = caldav.client { provider = "caldav", max_answer = 1024 * 1024 }
      local found, err = small.identify(one)
      assert.is_nil(found)
      assert.equal("provider_error", err.code)
      assert.equal("too_large", err.cause)
    end)

    it("in the middle of a synchronization, and nothing is taken for deleted", function()
      start()
      fake:put("a.ics", ics("a"))
      local one, calendar = identified()
      local state = drain(one, calendar, nil).state
      fake.answer = function(req)
        if req.method == "REPORT" then return { status = 207, headers = { ["content-type"] = "application/xml" }, body = "<?xml version='1.0'?><D:mul" } end
      end
      local all = drain(one, calendar, state)
      assert.equal("provider_error", all.err.code)
      assert.equal(0, all.batches)
      assert.equal(state, all.state)
    end)
  end)

  describe("refuses", function()
    it("without saying who is there", function()
      start { unauthenticated = true }
      local found, err = client.identify(account())
      assert.is_nil(found)
      assert.equal("unauthorized", err.code)
    end)

    it("for now, and says for how long", function()
      start()
      local one, calendar = identified()
      for status, code in pairs { [503] = "unavailable", [429] = "rate_limited" } do
        fake.answer = function() return { status = status, headers = { ["retry-after"] = "17" }, body = "" } end
        local event, err = client.fetch(one, calendar, "a.ics")
        assert.is_nil(event)
        assert.equal(code, err.code)
        assert.equal(17, err.retry_after)
        assert.equal(0, drain(one, calendar, { method = "sync", token = "t1" }).batches)
      end
    end)

    it("with a date to come back at", function()
      assert.equal(60, failure.retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684799 - 60))
      assert.equal(0, failure.retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684799 + 5))
      assert.equal(86400, failure.retry_after("999999999", 0))
      assert.is_nil(failure.retry_after("soon", 0))
    end)

    it("with a condition by name", function()
      start()
      local one, calendar = identified()
      for condition, code in pairs {
        ["C:valid-calendar-data"] = "invalid_request", ["C:max-resource-size"] = "too_large", ["C:supported-calendar-component"] = "unsupported",
        ["D:need-privileges"] = "forbidden", ["D:quota-not-exceeded"] = "provider_error", ["D:lock-token-submitted"] = "busy",
      } do
        fake.answer = function(req)
          if req.method == "PUT" then return dav.refusal(403, condition) end
        end
        local event, err = client.create(one, calendar, { text = ics("a") })
        assert.is_nil(event)
        assert.equal(code, err.code, condition)
        assert.equal(condition:sub(3), err.condition)
      end
    end)

    it("a PUT inside a 207", function()
      start { hidden_refusal = true }
      local one, calendar = identified()
      local event, err = client.create(one, calendar, { text = ics("a") })
      assert.is_nil(event)
      assert.equal("forbidden", err.code)
    end)
  end)

  describe("sends the client elsewhere", function()
    it("to another host, with its credentials", function()
      start()
      local other = dav.start()
      fake.answer = function(req)
        if req.path == "/.well-known/caldav" then return { status = 301, headers = { location = other.url }, body = "" } end
        return { status = 404, body = "" }
      end
      local found = assert(client.identify(account()))
      assert.same({ other.home }, found.settings.homes)
      assert.truthy(other.requests[1].headers["authorization"])
      other:stop()
    end)

    it("round in circles", function()
      start()
      fake.answer = function(req) return { status = 302, headers = { location = req.path }, body = "" } end
      local found, err = client.identify(account())
      assert.is_nil(found)
      assert.equal("provider_error", err.code)
      assert.is_true(fake:count("PROPFIND") < 30)
    end)

    it("to homes on several hosts", function()
      local other = dav.start()
      start()
      fake.switches.homes = { "/cal/alice/", other.home }
      local one = identified()
      assert.same({ fake.home, other.home }, one.settings.homes)
      local ids = {}
      for _, calendar in ipairs(assert(client.calendars(one))) do ids[calendar.href] = calendar.displayname end
      assert.same({ [fake.calendar] = "Work", [other.calendar] = "Work" }, ids)
      other:stop()
    end)
  end)

  describe("describes its calendars", function()
    local mapping = require("lunation.provider").load():get("caldav").calendar

    local function only(properties)
      start { properties = properties }
      local one = identified()
      local list = assert(client.calendars(one))
      return list[1] and assert(mapping:to(list[1])), #list
    end

    local calendar = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>"

    it("in every detail", function()
      local found = only(calendar .. "<D:displayname>Work</D:displayname><A:calendar-color>#FF2968FF</A:calendar-color>"
        .. "<C:calendar-description>All of it</C:calendar-description><D:current-user-privilege-set><D:privilege><D:read/></D:privilege>"
        .. "<D:privilege><D:write-content/></D:privilege></D:current-user-privilege-set><C:supported-calendar-component-set>"
        .. '<C:comp name="VEVENT"/></C:supported-calendar-component-set><C:calendar-timezone>BEGIN:VCALENDAR&#13;\nBEGIN:VTIMEZONE&#13;\n'
        .. "TZID:Europe/Berlin&#13;\nEND:VTIMEZONE&#13;\nEND:VCALENDAR&#13;\n</C:calendar-timezone>")
      assert.same({
        id = fake.calendar, title = "Work", color = "#ff2968", description = "All of it", privileges = { "read", "write-content" },
        components = { "VEVENT" }, timeZone = "Europe/Berlin", readOnly = false, primary = true,
      }, found)
    end)

    it("as only to be read", function()
      local found = only(calendar .. "<D:current-user-privilege-set><D:privilege><D:read/></D:privilege></D:current-user-privilege-set>")
      assert.is_true(found.readOnly)
      assert.equal("work", found.title)
    end)

    it("which are no calendars of events", function()
      local _, none = only(calendar .. '<C:supported-calendar-component-set><C:comp name="VTODO"/></C:supported-calendar-component-set>')
      assert.equal(0, none)
      fake:stop()
      _, none = only("<D:resourcetype><D:collection/><C:calendar/><C:schedule-inbox/></D:resourcetype>")
      assert.equal(0, none)
    end)

    it("with colours in several forms", function()
      for text, expected in pairs { ["#0E61B9FF"] = "#0e61b9", ["#fff"] = "#ffffff", ["0e61b9"] = "#0e61b9", [" #A1B2C3 "] = "#a1b2c3" } do
        assert.equal(expected, caldav.color(text))
      end
      assert.is_nil(caldav.color("blue"))
      assert.is_nil(caldav.color("#12345"))
    end)
  end)

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
        if req.method == "REPORT" then return dav.multistatus { dav.response("/cal/alice/work/", nil, 503) } end
      end
      local all = drain(one, calendar, state)
      assert.equal("unavailable", all.err.code)
      assert.equal(0, all.batches)
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

  describe("does not look at conditions", function()
    it("is asked before, so that nothing is overwritten", function()
      start { careless = true }
      fake:put("a.ics", ics("other"))
      local one, calendar = identified()
      local event, err = client.create(one, calendar, { text = ics("a") }, { id = "a.ics" })
      assert.is_nil(event)
      assert.equal("conflict", err.code)
      assert.equal(ics("other"), fake.resources["a.ics"].text)

      local etag = fake.resources["a.ics"].etag
      event, err = client.update(one, calendar, { id = "a.ics", text = ics("other", "Late") }, { etag = '"stale"' })
      assert.is_nil(event)
      assert.equal("precondition_failed", err.code)
      local done
      done, err = client.delete(one, calendar, "a.ics", { etag = '"stale"' })
      assert.is_nil(done)
      assert.equal("precondition_failed", err.code)
      assert.equal(etag, fake.resources["a.ics"].etag)
      assert.is_true(client.delete(one, calendar, "a.ics", { etag = etag }))
    end)

    it("is searched for the UID first", function()
      start()
      fake:put("named-otherwise.ics", ics("same"))
      fake:put("similar.ics", ics("same-but-longer"))
      local one, calendar = identified()
      local event, err = client.create(one, calendar, { text = ics("same") })
      assert.is_nil(event)
      assert.equal("named-otherwise.ics", err.details.id)
      assert(client.create(one, calendar, { text = ics("sam") }))
    end)
  end)

  describe("changes what it is given", function()
    local function rewritten(text)
      return (text:gsub("SUMMARY:", "SUMMARY:Rewritten "))
    end

    it("is read back, with or without a tag", function()
      for _, without in ipairs { false, true } do
        start { rewrite = rewritten, put_without_etag = without }
        local one, calendar = identified()
        local event = assert(client.create(one, calendar, { text = ics("a") }))
        assert.truthy(event.text:find("SUMMARY:Rewritten One", 1, true))
        assert.equal(fake.resources[event.id].etag, event.etag)
        fake:stop()
      end
      fake = nil
    end)

    it("and cannot be read back: the event stands without a tag, and the next synchronization reads it", function()
      start { rewrite = rewritten }
      local one, calendar = identified()
      fake.answer = function(req)
        if req.method == "GET" then return { status = 503, body = "" } end
      end
      local event = assert(client.create(one, calendar, { text = ics("a") }))
      assert.is_nil(event.etag)
    end)
  end)

  describe("writes its tags in its own way", function()
    for shown, sent in pairs { ['W/"%d"'] = '"%d"', ["%d"] = '"%d"', ['"%d-gzip"'] = '"%d"' } do
      it("as " .. shown, function()
        start { etags = function(clock) return shown:format(clock) end }
        fake:put("a.ics", ics("a"))
        local one, calendar = identified()
        local event = assert(client.fetch(one, calendar, "a.ics"))
        assert.equal(sent:format(fake.clock), event.etag)
        local listed = drain(one, calendar, nil)
        assert.equal("One", listed.upserts["a.ics"])
      end)
    end
  end)

  it("keeps a meeting's schedule tag through answers: the organizer's change goes through", function()
    start { schedule_tag = '"s1"' }
    fake:put("a.ics", ics("a"))
    local one, calendar = identified()
    local event = assert(client.fetch(one, calendar, "a.ics"))
    assert.equal('"s1"', event.schedule_tag)
    fake:put("a.ics", ics("a", "Answered"))
    local refused, err = client.update(one, calendar, { id = "a.ics", text = ics("a", "Two") }, { etag = event.etag })
    assert.is_nil(refused)
    assert.equal("precondition_failed", err.code)
    one.settings.server.guards = true
    assert(client.update(one, calendar, { id = "a.ics", text = ics("a", "Two") }, { etag = event.etag, schedule_tag = event.schedule_tag }))
    assert.equal(ics("a", "Two"), fake.resources["a.ics"].text)
  end)

  it("is given a token is given it as a bearer", function()
    start()
    local one = account()
    one.credentials = { token = "abc" }
    one.username = nil
    local found = assert(client.identify(one))
    assert.equal("Bearer abc", fake.requests[1].headers["authorization"])
    assert.equal("me@" .. fake.url:match("//([^/]*)"), found.identity)
  end)
end)
