-- The CalDAV provider against servers that fail: what breaks off, lies, refuses or is something else.
local caldav = require "lunation.caldav"
local dav = require "spec.emulators.dav"
local failure = require "lunation.caldav.failure"
local process = require "lunation.process"
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

  local function account(url)
    return support.account(url or fake.url)
  end

  local function identified()
    return support.identified(fake)
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

    it("for a while, and says for how long", function()
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

    it("data with 404, though the calendar is there", function()
      start()
      local one, calendar = identified()
      fake.answer = function(req)
        if req.method == "PUT" then return { status = 404, body = "" } end
      end
      local event, err = client.create(one, calendar, { text = ics("a") })
      assert.is_nil(event)
      assert.equal("invalid_request", err.code)
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

  it("answers its well-known address with something else is entered by its front door", function()
    start()
    fake.answer = function(req)
      if req.path == "/.well-known/caldav" then return { status = 200, headers = { ["content-type"] = "text/plain" }, body = "garbage" } end
    end
    assert.same({ fake.home }, assert(client.identify(account())).settings.homes)
  end)

  it("moved an account's home is asked where it is now", function()
    start()
    local one = identified()
    one.settings.homes = { fake.url .. "cal/moved/" }
    local list = assert(client.calendars(one))
    assert.equal(fake.calendar, list[1].href)
  end)

  describe("stands where we may not go", function()
    local function guarded(allow)
      local one = account()
      one.guard = { allow = allow or {}, allow_private = false }
      return one
    end

    it("is not asked", function()
      start()
      local found, err = client.identify(guarded())
      assert.is_nil(found)
      assert.equal("blocked_address", err.code)
      assert.equal(0, #fake.requests)
    end)

    it("is not reached by a redirect, nor by a home on another host", function()
      local inside = dav.start()
      start()
      local allowed = { fake.url:match("//([^/]*)") }
      fake.answer = function() return { status = 302, headers = { location = inside.url }, body = "" } end
      local found, err = client.identify(guarded(allowed))
      assert.is_nil(found)
      assert.equal("blocked_address", err.code)
      fake.answer = nil
      fake.switches.homes = { inside.home }
      found, err = client.identify(guarded(allowed))
      assert.is_nil(found)
      assert.equal("blocked_address", err.code)
      assert.equal(0, #inside.requests)
      inside:stop()
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
      assert.equal("team", found.title)
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
