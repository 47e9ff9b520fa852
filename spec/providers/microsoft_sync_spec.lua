-- Changes of Microsoft's calendars, against the emulator: what a full listing and increments bring, what the window does not show, and
-- what Graph may do wrong.
local emulator = require "spec.support.emulator"
local json = require "lunation.json"
local microsoft = require "spec.support.microsoft"
local providers = require "lunation.provider"

local provider = assert(assert(providers.load {}):get "microsoft")
local DAY = 86400

describe("a calendar of Microsoft", function()
  local graph, account, calendar

  setup(function() graph = emulator.start "microsoft" end)
  teardown(function() graph.stop() end)

  before_each(function()
    graph.clear()
    graph.reset()
    account = microsoft.account(graph.url .. "/v1.0")
    local native = assert(provider.calendars(account))[1]
    calendar = microsoft.calendar(native.id, assert(provider.calendar:to(native)))
  end)

  after_each(function()
    if graph.has_contract then assert.same({}, graph.violations()) end
  end)

  local function raw(method, path, body) return microsoft.raw(graph, method, path, body) end

  -- A time of the emulator's calendar, days from now.
  local function at(days, hour) return os.date("!%Y-%m-%d", os.time() + days * DAY) .. ("T%02d:00:00"):format(hour or 9) end

  local function add(subject, days, more)
    local event = {
      subject = subject, start = { dateTime = at(days), timeZone = "UTC" }, ["end"] = { dateTime = at(days, 10), timeZone = "UTC" },
    }
    for name, value in pairs(more or {}) do event[name] = value end
    return raw("POST", "/me/events", event).id
  end

  local function weekly(days, count)
    local start = at(days):sub(1, 10)
    return { pattern = { type = "daily", interval = 7 }, range = { type = "numbered", startDate = start, numberOfOccurrences = count } }
  end

  local function pull() return assert(microsoft.pull(account, calendar, provider)) end

  local function titles()
    local list = {}
    for _, native in pairs(calendar.rows) do list[#list + 1] = native.subject end
    table.sort(list)
    return list
  end

  local function true_to_the_server()
    assert.same({}, microsoft.differences(account, calendar, provider))
  end

  local function instances(id, days)
    return raw("GET", ("/me/events/%s/instances?startDateTime=%s&endDateTime=%s"):format(id, at(days - 1), at(days + 120))).value
  end

  local function asked(pattern)
    local count = 0
    for _, req in ipairs(graph.requests()) do
      if req.method == "GET" and req.path:find(pattern) then count = count + 1 end
    end
    return count
  end

  it("is listed whole, series as one", function()
    add("one", 3)
    local series = add("series", 1, { recurrence = weekly(1, 8) })
    local found = instances(series, 1)
    raw("PATCH", "/me/events/" .. found[2].id, { subject = "second" })
    raw("DELETE", "/me/events/" .. found[3].id)
    add("past", -300)
    pull()
    assert.same({ "one", "past", "series" }, titles())
    local event = assert(provider.event:to(calendar.rows[series]))
    local excluded, changed = 0, 0
    for _, patch in pairs(event.recurrenceOverrides) do
      if patch.excluded then excluded = excluded + 1 else changed = changed + 1 end
    end
    assert.same({ 1, 1 }, { excluded, changed })
    local counts = pull()
    assert.same({ 0, 0 }, { counts.upserts, counts.deletes })
  end)

  it("tells what has changed, been added and gone", function()
    local one, two = add("one", 3), add("two", 4)
    pull()
    raw("PATCH", "/me/events/" .. one, { subject = "uno" })
    raw("DELETE", "/me/events/" .. two)
    add("three", 5)
    local counts = pull()
    assert.same({ "three", "uno" }, titles())
    assert.equal(3, #counts.changed)
    assert.equal(0, #pull().changed)
    true_to_the_server()
  end)

  it("tells what happened to instances", function()
    local series = add("series", 1, { recurrence = weekly(1, 8) })
    pull()
    local found = instances(series, 1)
    raw("PATCH", "/me/events/" .. found[2].id, { subject = "second" })
    pull()
    true_to_the_server()
    raw("DELETE", "/me/events/" .. found[4].id)
    pull()
    true_to_the_server()
    raw("DELETE", "/me/events/" .. found[2].id)
    pull()
    true_to_the_server()
    assert.equal(2, #calendar.rows[series].cancelledOccurrences)
    raw("DELETE", "/me/events/" .. series)
    pull()
    assert.same({}, titles())
  end)

  it("notices what happens beyond the window", function()
    local past, future = add("past", -300), add("future", 900)
    pull()
    raw("PATCH", "/me/events/" .. past, { subject = "changed" })
    raw("DELETE", "/me/events/" .. future)
    add("far", 1000)
    calendar.wanted = { from = os.time() - 400 * DAY, to = os.time() + 1100 * DAY }
    pull()
    assert.same({ "changed", "far" }, titles())
    assert.is_true(calendar.covers.from <= calendar.wanted.from and calendar.covers.to >= calendar.wanted.to)
    true_to_the_server()
    calendar.wanted = nil
    pull()
    assert.is_true(calendar.covers.to < os.time() + 900 * DAY)
    -- Once a day, unasked.
    raw("DELETE", "/me/events/" .. past)
    calendar.state.compared = calendar.state.compared - 2 * DAY
    pull()
    assert.same({ "far" }, titles())
  end)

  it("begins a new chain before its window runs out", function()
    add("one", 3)
    local series = add("series", 1, { recurrence = weekly(1, 8) })
    pull()
    local link = calendar.state.link
    add("two", 4)
    raw("PATCH", "/me/events/" .. instances(series, 1)[2].id, { subject = "second" })
    account.now = os.time() + 250 * DAY
    local counts = pull()
    assert.not_equal(link, calendar.state.link)
    assert.equal(2, #counts.changed)
    assert.is_true(calendar.state.window.to > account.now + 300 * DAY)
    true_to_the_server()
    assert.equal(0, #pull().changed)
  end)

  it("is listed anew where the chain is over, and only what differs is a change", function()
    local one = add("one", 3)
    add("two", 4)
    add("series", 1, { recurrence = weekly(1, 3) })
    pull()
    raw("PATCH", "/me/events/" .. one, { subject = "uno" })
    local three = add("three", 5)
    graph.control("POST", "/forget")
    local counts = pull()
    table.sort(counts.changed)
    local expected = { one, three }
    table.sort(expected)
    assert.same(expected, counts.changed)
    true_to_the_server()
    for _, reason in ipairs { "resyncRequired", "SyncStateNotFound" } do
      graph.fault { match = { path = "/delta" }, fault = "status", status = 410, reason = reason }
      assert.equal(0, #pull().changed)
    end
  end)

  it("loses an event to another calendar", function()
    local other = raw("POST", "/me/calendars", { name = "Other" }).id
    local one = add("one", 3)
    local theirs = microsoft.calendar(other)
    pull()
    assert(microsoft.pull(account, theirs, provider))
    graph.control("POST", "/move", { event = one, calendar = other, user = "alice@example.com" })
    pull()
    assert(microsoft.pull(account, theirs, provider))
    assert.same({}, titles())
    assert.is_not_nil(theirs.rows[one])
  end)

  it("is compared each time where there is no delta", function()
    graph.control("POST", "/switches", { calendarDelta = false, eventsDelta = false })
    local one = add("one", 3)
    local other = microsoft.calendar(raw("POST", "/me/calendars", { name = "Other" }).id)
    local two = raw("POST", "/me/calendars/" .. other.id .. "/events", { subject = "two",
      start = { dateTime = at(1), timeZone = "UTC" }, ["end"] = { dateTime = at(1, 10), timeZone = "UTC" } }).id
    assert(microsoft.pull(account, other, provider))
    assert.equal("list", other.state.method)
    assert.is_not_nil(other.rows[two])
    assert.is_nil(other.rows[one])
    raw("PATCH", "/me/events/" .. two, { subject = "zwei" })
    local counts = assert(microsoft.pull(account, other, provider))
    assert.same({ two }, counts.changed)
    raw("DELETE", "/me/events/" .. two)
    counts = assert(microsoft.pull(account, other, provider))
    assert.same({ two }, counts.changed)
    assert.same({}, other.rows)
    graph.control("POST", "/switches", { calendarDelta = true, eventsDelta = true })
  end)

  it("is followed by its events where that is looked for and found", function()
    account.config.events_delta = "probe"
    local series = add("series", 1, { recurrence = weekly(1, 8) })
    pull()
    assert.equal("events", calendar.state.method)
    raw("PATCH", "/me/events/" .. instances(series, 1)[2].id, { subject = "second" })
    local two = add("two", 5)
    pull()
    true_to_the_server()
    raw("DELETE", "/me/events/" .. two)
    raw("DELETE", "/me/events/" .. instances(series, 1)[3].id)
    pull()
    true_to_the_server()
  end)

  it("bears empty pages, entities that come twice, and much on the way", function()
    for n = 1, 30 do add("e" .. n, n % 20) end
    graph.fault { match = { path = "/events" }, fault = "repeat", times = 2 }
    graph.fault { match = { path = "/delta" }, fault = "empty_page" }
    pull()
    assert.equal(30, #titles())
    true_to_the_server()
    add("new", 2)
    graph.fault { match = { path = "/delta" }, fault = "repeat" }
    graph.fault { match = { path = "/delta" }, fault = "empty_page" }
    pull()
    assert.equal(31, #titles())
    for _, fault in ipairs { { fault = "status", status = 503 }, { fault = "status", status = 429, retry_after = 0 }, { fault = "status", status = 504 },
      { fault = "cut" } } do
      add("more", 2)
      fault.match = { path = "/delta" }
      graph.fault(fault)
      pull()
      true_to_the_server()
    end
  end)

  it("asks for a shorter window where Graph cannot answer for the long one", function()
    account = microsoft.account(graph.url .. "/v1.0", { limits = { retry_wait = 0.01 } })
    add("one", 1)
    graph.fault { match = { path = "/calendarView/delta" }, fault = "status", status = 504, times = 5 }
    pull()
    assert.same({ "one" }, titles())
    local long = microsoft.calendar(calendar.id)
    assert(microsoft.pull(account, long, provider))
    local function length(state) return state.window.to - state.window.from end
    assert.is_true(length(calendar.state) < length(long.state))
    add("two", 2)
    pull()
    assert.same({ "one", "two" }, titles())
    -- Before it runs out there is another.
    account.now = calendar.state.window.to - 30 * DAY
    local link = calendar.state.link
    pull()
    assert.not_equal(link, calendar.state.link)
    assert.equal(0, #pull().changed)
  end)

  it("ends a listing that does not", function()
    for n = 1, 10 do add("e" .. n, n) end
    account = microsoft.account(graph.url .. "/v1.0", { limits = { pages = 20, empty_pages = 5 } })
    graph.fault { match = { path = "/calendarView/delta" }, fault = "endless", times = 200 }
    local counts, err = microsoft.pull(account, calendar, provider)
    assert.is_nil(counts)
    assert.equal("endless_listing", err.code)
    graph.clear()
    pull()
    assert.equal(10, #titles())
  end)

  it("names an answer that is too large, or none", function()
    add("one", 1)
    account = microsoft.account(graph.url .. "/v1.0", { limits = { answer = 1024 * 1024 } })
    graph.fault { match = { path = "/events$" }, fault = "huge", times = 10 }
    local counts, err = microsoft.pull(account, calendar, provider)
    assert.is_nil(counts)
    assert.equal("answer_too_large", err.code)
    graph.clear()
    -- A page of fewer events is tried first.
    graph.fault { match = { path = "/events$" }, fault = "huge" }
    pull()
    assert.same({ "one" }, titles())
  end)

  -- With `everywhere` events are far off, too, and ids are compared each time; else the chain alone tells.
  local function stays_true(seed, everywhere)
    local state = seed
    local function random(n)
      state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (state >> 33) % n + 1
    end
    local faults = {
      { fault = "repeat" }, { fault = "empty_page" }, { fault = "status", status = 503 }, { fault = "status", status = 429, retry_after = 0 },
      { fault = "status", status = 410, reason = "SyncStateNotFound" }, { fault = "cut" },
    }
    local singles, series, n = {}, {}, 0
    local function step()
      n = n + 1
      local kind = random(9)
      if kind <= 2 or #singles == 0 then
        singles[#singles + 1] = add("s" .. n, everywhere and random(700) - 300 or random(300) - 50)
      elseif kind == 3 or #series == 0 then
        series[#series + 1] = add("r" .. n, random(60) - 30, { recurrence = weekly(0, 3 + random(10)) })
      elseif kind == 4 then
        raw("PATCH", "/me/events/" .. singles[random(#singles)], { subject = "c" .. n, start = { dateTime = at(random(50)), timeZone = "UTC" },
          ["end"] = { dateTime = at(60), timeZone = "UTC" } })
      elseif kind == 5 then
        raw("DELETE", "/me/events/" .. table.remove(singles, random(#singles)))
      elseif kind == 6 then
        raw("PATCH", "/me/events/" .. series[random(#series)], { subject = "m" .. n })
      elseif kind == 7 and #series > 2 then
        raw("DELETE", "/me/events/" .. table.remove(series, random(#series)))
      else
        local found = instances(series[random(#series)], -40)
        local one = found[random(math.max(1, #found))]
        if one and kind == 8 then raw("PATCH", "/me/events/" .. one.id, { subject = "x" .. n }) end
        if one and kind ~= 8 and #found > 1 then raw("DELETE", "/me/events/" .. one.id) end
      end
    end
    for _ = 1, 12 do step() end
    pull()
    for round = 1, 14 do
      for _ = 1, random(5) do step() end
      if random(2) == 1 then
        local fault = json.decode(json.encode(faults[random(#faults)]))
        fault.match = { path = random(2) == 1 and "/delta" or "/events" }
        graph.fault(fault)
      end
      if everywhere and calendar.state then calendar.state.compared = 0 end
      local counts, err = microsoft.pull(account, calendar, provider)
      if not counts then
        assert.truthy(({ gone = 1, unavailable = 1, network = 1, truncated = 1, rate_limited = 1 })[err.code], tostring(err) .. " " .. tostring(err.code))
      end
      graph.clear()
      assert(microsoft.pull(account, calendar, provider))
      assert.same({}, microsoft.differences(account, calendar, provider), "round " .. round)
    end
  end

  it("stays true under random changes and faults", function() stays_true(20261121, false) end)

  it("stays true under random changes and faults beyond its window", function() stays_true(20261122, true) end)

  it("costs the same to follow, however much there is", function()
    add("one", 3)
    pull()
    for n = 1, 25 do add("e" .. n, n % 9) end
    pull()
    local before = asked "."
    add("new", 4)
    pull()
    assert.is_true(asked "." - before <= 3)
    local series = add("series", 1, { recurrence = weekly(1, 8) })
    pull()
    local found = instances(series, 1)
    before = asked "."
    raw("DELETE", "/me/events/" .. found[3].id)
    pull()
    assert.equal(1, #calendar.rows[series].cancelledOccurrences)
    assert.is_true(asked "." - before <= 4)
  end)
end)
