-- Feeds: files and URLs that hold a whole calendar.
local fs = require "lunation.fs"
local process = require "lunation.process"
local server = require "lunation.server"
local support = require "spec.support"

local provider = assert(assert(require("lunation.provider").load()):get("ics"))

local head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Club//Feed//EN\r\nX-WR-CALNAME:Club\\, all dates\r\nX-WR-TIMEZONE:Europe/Berlin\r\n"
  .. "X-APPLE-CALENDAR-COLOR:#FF2968\r\n"
local zone = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n"
  .. "END:STANDARD\r\nEND:VTIMEZONE\r\n"

local function event(uid, summary, more)
  return "BEGIN:VEVENT\r\nUID:" .. uid .. "\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Europe/Berlin:20271201T100000\r\nDURATION:PT1H\r\nSUMMARY:"
    .. summary .. "\r\n" .. (more or "") .. "END:VEVENT\r\n"
end

local function feed(events, properties)
  return head .. (properties or "") .. zone .. table.concat(events) .. "END:VCALENDAR\r\n"
end

local function take(account, state)
  local next_batch = provider.changes(account, { id = account.url }, state)
  local batch, err = next_batch()
  if not batch then return nil, err end
  assert.is_nil((next_batch()))
  local ids = {}
  for _, item in ipairs(batch.upserts) do ids[#ids + 1] = item.id end
  table.sort(ids)
  return { ids = ids, deletes = batch.deletes, reset = batch.reset, state = batch.state, upserts = batch.upserts }
end

describe("a feed in a file", function()
  local path
  before_each(function() path = support.tmpdir() .. "/club.ics" end)

  local function identified()
    local account = { provider = "ics", url = path, credentials = {} }
    local found = assert(provider.identify(account))
    account.settings, account.url = found.settings, found.url
    return account, found
  end

  it("is one calendar that can only be read", function()
    support.write(path, feed { event("a", "One") })
    local account, found = identified()
    assert.equal("file://" .. fs.realpath(path), found.identity)
    assert.equal("Club, all dates", found.name)
    local calendars = assert(provider.calendars(account))
    assert.same({
      id = found.url, title = "Club, all dates", color = "#ff2968", timeZone = "Europe/Berlin", readOnly = true, components = { "VEVENT" }, primary = true,
    }, provider.calendar:to(calendars[1]))
    assert.is_nil(provider.create)
    assert.is_false(provider.can.write)
  end)

  it("is split into events, overrides with their series, each with the zones it names", function()
    support.write(path, feed {
      event("a", "One"), event("series", "Weekly", "RRULE:FREQ=WEEKLY;COUNT=4\r\n"),
      event("series", "Moved", "RECURRENCE-ID;TZID=Europe/Berlin:20271208T100000\r\n"),
    })
    local all = assert(take(identified(), nil))
    assert.is_true(all.reset)
    assert.same({ "a", "series" }, all.ids)
    local series = all.upserts[2]
    local _, count = series.text:gsub("BEGIN:VEVENT", "")
    assert.equal(2, count)
    assert.truthy(series.text:find("BEGIN:VTIMEZONE", 1, true))
    assert.is_nil(series.text:find("X-WR-CALNAME", 1, true))
    local canonical = assert(provider.event:to(series))
    assert.equal("Weekly", canonical.title)
    assert.equal("Europe/Berlin", canonical.timeZone)
    assert.equal("Moved", canonical.recurrenceOverrides["2027-12-08T10:00:00"].title)
  end)

  it("gives only what changed, and not for a new time stamp alone", function()
    support.write(path, feed { event("a", "One"), event("b", "Two"), event("c", "Three") })
    local account = identified()
    local first = assert(take(account, nil))
    support.write(path, (feed { event("a", "One"), event("b", "Changed"), event("d", "Four") }):gsub("20260101T", "20260202T"))
    local second = assert(take(account, first.state))
    assert.same({ "b", "d" }, second.ids)
    assert.same({ "c" }, second.deletes)
    assert.is_false(second.reset)
    support.write(path, (feed { event("a", "One"), event("b", "Changed"), event("d", "Four") }):gsub("20260101T", "20260303T"))
    local third = assert(take(account, second.state))
    assert.same({}, third.ids)
    assert.same({}, third.deletes)
  end)

  it("keeps its mirror when it turns to garbage, is cut or goes away", function()
    support.write(path, feed { event("a", "One") })
    local account = identified()
    local state = assert(take(account, nil)).state
    local whole = feed { event("a", "One"), event("b", "Two") }
    for what, text in pairs {
      garbage = "<html>404</html>", empty = "", cut = whole:sub(1, -40), ["cut at a line"] = whole:gsub("END:VCALENDAR\r\n", ""), zeros = ("\0"):rep(1000),
    } do
      support.write(path, text)
      local batch, err = take(account, state)
      assert.is_nil(batch, what)
      assert.equal("provider_error", err.code, what)
    end
    os.remove(path)
    local batch, err = take(account, state)
    assert.is_nil(batch)
    assert.equal("not_found", err.code)
    support.write(path, whole)
    assert.same({ "b" }, assert(take(account, state)).ids)
  end)

  it("may hold events without UID, and UIDs without measure", function()
    local without = event("x", "Nameless"):gsub("UID:x\r\n", "")
    support.write(path, feed { without, event(("long"):rep(200), "Long") })
    local account = identified()
    local all = assert(take(account, nil))
    assert.equal(2, #all.ids)
    for _, id in ipairs(all.ids) do assert.is_true(#id <= 255) end
    assert.same(all.ids, assert(take(account, nil)).ids)
  end)

  it("is not read for somebody outside", function()
    support.write(path, feed { event("a", "One") })
    for _, url in ipairs { path, "file://" .. path } do
      local found, err = provider.identify { provider = "ics", url = url, credentials = {}, remote = true }
      assert.is_nil(found)
      assert.equal("invalid_request", err.code)
      assert.equal("url", err.field)
    end
  end)
end)

describe("a feed at a URL", function()
  local listener, base, requests, answer

  setup(function()
    base = "http://127.0.0.1:" .. process.free_port()
    listener = assert(server.listen(base, {}, function(req)
      requests[#requests + 1] = req.headers
      return answer(req)
    end))
  end)
  teardown(function() listener:close() end)
  before_each(function() requests = {} end)

  local function serve(text, headers)
    answer = function(req)
      if headers and headers.etag and req.headers["if-none-match"] == headers.etag then return { status = 304, body = "" } end
      if headers and headers["last-modified"] and req.headers["if-modified-since"] == headers["last-modified"] then return { status = 304, body = "" } end
      local all = { ["content-type"] = "text/calendar" }
      for name, value in pairs(headers or {}) do all[name] = value end
      return { status = 200, headers = all, body = text }
    end
  end

  local function identified(url)
    local account = { provider = "ics", url = url or base .. "/club.ics?key=a%2Bb", credentials = {} }
    local found = assert(provider.identify(account))
    account.settings = found.settings
    return account, found
  end

  it("keeps its address to the letter", function()
    serve(feed { event("a", "One") })
    local _, found = identified()
    assert.equal(base .. "/club.ics?key=a%2Bb", found.url)
  end)

  for name, value in pairs { etag = '"v1"', ["last-modified"] = "Sat, 01 Jan 2028 00:00:00 GMT" } do
    it("is not sent again while its " .. name .. " stands", function()
      serve(feed { event("a", "One") }, { [name] = value })
      local account = identified()
      local state = assert(take(account, nil)).state
      requests = {}
      assert.is_nil((take(account, state)))
      assert.equal(1, #requests)
      assert.equal(value, requests[1][name == "etag" and "if-none-match" or "if-modified-since"])
      serve(feed { event("a", "Two") }, { [name] = value .. "x" })
      assert.same({ "a" }, assert(take(account, state)).ids)
    end)
  end

  for _, property in ipairs { "REFRESH-INTERVAL;VALUE=DURATION:PT1H", "X-PUBLISHED-TTL:PT1H" } do
    it("is not asked before it wants to be: " .. property, function()
      serve(feed({ event("a", "One") }, property .. "\r\n"))
      local account = identified()
      local state = assert(take(account, nil)).state
      requests = {}
      assert.is_nil((take(account, state)))
      assert.equal(0, #requests)
      state.next = state.next - 3601
      assert.same({}, assert(take(account, state)).ids)
      assert.equal(1, #requests)
    end)
  end

  it("keeps its mirror while its server fails, and says why", function()
    serve(feed { event("a", "One") })
    local account = identified()
    local state = assert(take(account, nil)).state
    for status, code in pairs { [500] = "provider_error", [404] = "not_found", [410] = "not_found", [401] = "unauthorized", [503] = "unavailable" } do
      answer = function() return { status = status, headers = { ["retry-after"] = "30" }, body = "" } end
      local batch, err = take(account, state)
      assert.is_nil(batch)
      assert.equal(code, err.code, status)
      if status == 503 then assert.equal(30, err.retry_after) end
    end
    answer = function() return { status = 200, headers = { ["content-type"] = "text/html" }, body = "<html>Sign in</html>" } end
    local batch, err = take(account, state)
    assert.is_nil(batch)
    assert.equal("provider_error", err.code)
  end)

  it("follows redirects, and takes its password only to where it was meant for", function()
    local other = "http://127.0.0.1:" .. process.free_port()
    local seen
    local second = assert(server.listen(other, {}, function(req)
      seen = req.headers["authorization"] or "none"
      return { status = 200, headers = { ["content-type"] = "text/calendar" }, body = feed { event("a", "One") } }
    end))
    answer = function(req)
      if req.path == "/moved.ics" then return { status = 302, headers = { location = "/here.ics" }, body = "" } end
      return { status = 302, headers = { location = other .. "/club.ics" }, body = "" }
    end
    local account = { provider = "ics", url = base .. "/moved.ics", credentials = { username = "alice", password = "secret" } }
    assert.equal("Club, all dates", assert(provider.identify(account)).name)
    assert.equal("none", seen)
    assert.truthy(requests[1]["authorization"])
    assert.truthy(requests[2]["authorization"])
    second:close()
    answer = function(req) return { status = 302, headers = { location = req.path }, body = "" } end
    local found, err = provider.identify(account)
    assert.is_nil(found)
    assert.equal("provider_error", err.code)
  end)

  it("is refused where its address is none", function()
    for _, url in ipairs { "", "ftp://example.org/a.ics", "http://" } do
      local found, err = provider.identify { provider = "ics", url = url, credentials = {} }
      assert.is_nil(found)
      assert.equal("invalid_request", err.code, url)
    end
  end)
end)
