-- What changed in a Google calendar, folded into series: whatever happens there, and whatever goes wrong on the way, a full
-- listing with any number of increments is what a fresh full listing is.
local google = require "spec.support.google"
local json = require "lunation.json"

local provider = google.provider()
local PRIMARY = "alice@example.com"
local EVENTS = "/calendars/" .. google.escape(PRIMARY) .. "/events"

describe("changes at Google", function()
  local emulated, account

  setup(function() emulated = google.start() end)
  teardown(function() emulated.stop() end)
  before_each(function()
    emulated.reset()
    account = google.account(emulated)
  end)
  after_each(function() google.assert_contract(emulated) end)

  local function raw(method, path, body, email) return google.raw(emulated, method, path, body, email) end

  local function single(fields)
    local event = { summary = "S", start = { dateTime = "2027-03-01T09:00:00Z" }, ["end"] = { dateTime = "2027-03-01T10:00:00Z" } }
    for name, v in pairs(fields or {}) do event[name] = v end
    return raw("POST", EVENTS, event)
  end

  local function weekly(fields)
    local event = {
      summary = "W", recurrence = { "RRULE:FREQ=WEEKLY;COUNT=8" },
      start = { dateTime = "2027-03-02T18:00:00", timeZone = "Europe/Berlin" }, ["end"] = { dateTime = "2027-03-02T19:00:00", timeZone = "Europe/Berlin" },
    }
    for name, v in pairs(fields or {}) do event[name] = v end
    return raw("POST", EVENTS, event)
  end

  local function instances(id)
    return raw("GET", EVENTS .. "/" .. id .. "/instances").items
  end

  local function calendar() return google.calendar(PRIMARY, { timeZone = "Europe/Berlin" }) end

  local function sync(of, state)
    local after, counts = google.sync(provider, account, of, state)
    assert(after, tostring(counts))
    return after, counts
  end

  -- The same as a listing from nothing.
  local function assert_fresh(of)
    local fresh = calendar()
    sync(fresh)
    assert.same(google.meaning(provider, fresh.rows), google.meaning(provider, of.rows))
    local function plain(rows) return json.encode(rows, { sorted = true, pretty = true }) end
    assert.equal(plain(fresh.rows), plain(of.rows))
  end

  it("come as a listing, then as what is new since", function()
    local one, two = single { summary = "One" }, single { summary = "Two" }
    local here = calendar()
    local state, counts = sync(here)
    assert.is_true(counts.reset)
    assert.same({ "One", "Two" }, { here.rows[one.id].summary, here.rows[two.id].summary })
    raw("PATCH", EVENTS .. "/" .. one.id, { summary = "Uno" })
    raw("DELETE", EVENTS .. "/" .. two.id)
    local three = single { summary = "Three" }
    state, counts = sync(here, state)
    assert.is_false(counts.reset)
    assert.same({ 2, 1 }, { counts.upserts, counts.deletes })
    assert.equal("Uno", here.rows[one.id].summary)
    assert.is_nil(here.rows[two.id])
    assert.equal("Three", here.rows[three.id].summary)
    state, counts = sync(here, state)
    assert.same({ 0, 0, 1 }, { counts.upserts, counts.deletes, counts.batches })
    assert.is_string(state.token)
    assert_fresh(here)
  end)

  it("are one native for each series, with exceptions and cancelled instances inside", function()
    local series = weekly()
    local list = instances(series.id)
    raw("PATCH", EVENTS .. "/" .. list[2].id, {
      summary = "Moved", start = { dateTime = "2027-03-10T20:00:00+01:00" }, ["end"] = { dateTime = "2027-03-10T21:00:00+01:00" },
    })
    raw("DELETE", EVENTS .. "/" .. list[3].id)
    local here = calendar()
    local state = sync(here)
    local event = google.meaning(provider, here.rows)[series.id]
    assert.same({ excluded = true }, event.recurrenceOverrides["2027-03-16T18:00:00"])
    local moved = event.recurrenceOverrides["2027-03-09T18:00:00"]
    assert.same({ "Moved", "2027-03-10T20:00:00" }, { moved.title, moved.start })
    local count = 0
    for _ in pairs(here.rows) do count = count + 1 end
    assert.equal(1, count)
    -- An exception alone is merged into the series that is there.
    raw("PATCH", EVENTS .. "/" .. list[5].id, { location = "Elsewhere" })
    raw("DELETE", EVENTS .. "/" .. list[2].id)
    state = sync(here, state)
    event = google.meaning(provider, here.rows)[series.id]
    assert.equal("Elsewhere", event.recurrenceOverrides["2027-03-30T18:00:00"].locations["1"].name)
    assert.same({ excluded = true }, event.recurrenceOverrides["2027-03-09T18:00:00"])
    assert_fresh(here)
    -- The series goes, and all of it.
    raw("DELETE", EVENTS .. "/" .. series.id)
    sync(here, state)
    assert.same({}, here.rows)
  end)

  it("find exceptions before their series, on other pages, and pages with nothing on them", function()
    for i = 1, 12 do
      local series = weekly { summary = "W" .. i }
      local list = instances(series.id)
      raw("PATCH", EVENTS .. "/" .. list[2].id, { summary = "E" .. i })
      raw("DELETE", EVENTS .. "/" .. list[3].id)
    end
    local here = calendar()
    account = google.account(emulated, nil, { config = { page_size = 3 } })
    emulated.fault {
      { match = { method = "GET", path = "/events$" }, fault = "empty_page" },
      { match = { method = "GET", path = "/events$" }, fault = "repeat", times = 2, after = 2 },
    }
    local _, counts = sync(here)
    assert.is_true(counts.batches > 10)
    account = google.account(emulated)
    assert_fresh(here)
  end)

  -- The pages of a listing, as an account whose Google answers with them.
  local function canned(pages)
    local shown = setmetatable({}, { __index = account })
    local at = 0
    shown.request = function(options)
      -- What is read again is read at Google.
      if options.url:find("iCalUID", 1, true) or options.url:find("/batch", 1, true) then return account.request(options) end
      at = at + 1
      local page = pages[at]
      page.nextPageToken = pages[at + 1] and "p" .. at or nil
      page.nextSyncToken = not pages[at + 1] and "end" or nil
      local body = json.encode(page)
      return { status = 200, body = body, headers = {}, json = function() return json.decode(body) end }
    end
    return shown
  end

  it("are the same in whatever order Google lists them", function()
    for i = 1, 6 do
      local series = weekly { summary = "W" .. i }
      local list = instances(series.id)
      raw("PATCH", EVENTS .. "/" .. list[2].id, { summary = "E" .. i })
      raw("DELETE", EVENTS .. "/" .. list[3].id)
      single { summary = "S" .. i }
    end
    local listed = raw("GET", EVENTS .. "?maxResults=2500&singleEvents=false")
    local fresh = calendar()
    sync(fresh)
    local seed = os.time()
    math.randomseed(seed)
    for _ = 1, 30 do
      local items = table.move(listed.items, 1, #listed.items, 1, {})
      for i = #items, 2, -1 do
        local j = math.random(i)
        items[i], items[j] = items[j], items[i]
      end
      local pages, size = {}, math.random(1, 9)
      for first = 1, #items, size do
        pages[#pages + 1] = { timeZone = listed.timeZone, items = json.array(table.move(items, first, math.min(first + size - 1, #items), 1, {})) }
      end
      local here = calendar()
      assert(google.sync(provider, canned(pages), here, nil))
      assert.same(google.meaning(provider, fresh.rows), google.meaning(provider, here.rows), "seed " .. seed)
      -- As an increment upon another mirror of the same series, too.
      for id, row in pairs(fresh.rows) do here.rows[id] = row end
      assert(google.sync(provider, canned(pages), here, { token = "t", query = { maxResults = 500, singleEvents = false } }))
      assert.same(google.meaning(provider, fresh.rows), google.meaning(provider, here.rows), "seed " .. seed)
    end
  end)

  it("bear what is named again on a later page, or twice on one", function()
    local series = weekly()
    local list = instances(series.id)
    raw("PATCH", EVENTS .. "/" .. list[2].id, { summary = "E" })
    local items = raw("GET", EVENTS .. "?maxResults=2500&singleEvents=false").items
    local master, exception = items[1].recurrence and items[1] or items[2], items[1].recurrence and items[2] or items[1]
    local fresh = calendar()
    sync(fresh)
    local orders = {
      { { master }, { exception }, { master } }, { { exception }, { master }, { master, exception } }, { { master, master }, { exception } },
      { { master, exception, master } }, { { exception, exception }, { master }, {}, { master } },
    }
    for number, order in ipairs(orders) do
      local pages = {}
      for i, page in ipairs(order) do pages[i] = { timeZone = "Europe/Berlin", items = json.array(json.decode(json.encode(page))) } end
      local here = calendar()
      -- What an older mirror had is nothing to a full listing.
      here.rows[series.id] = json.decode(json.encode(fresh.rows[series.id]))
      here.rows[series.id].exceptions.old = { id = "old", status = "cancelled", originalStartTime = { date = "2027-03-01" } }
      assert(google.sync(provider, canned(pages), here, nil))
      assert.same(google.meaning(provider, fresh.rows), google.meaning(provider, here.rows), "order " .. number)
    end
  end)

  it("leave an instance alone whose series is not there, until the series comes", function()
    local series = raw("POST", "/calendars/bob%40example.com/events", {
      summary = "Bob's", recurrence = { "RRULE:FREQ=WEEKLY;COUNT=5" },
      start = { dateTime = "2027-03-02T18:00:00", timeZone = "Europe/Berlin" }, ["end"] = { dateTime = "2027-03-02T19:00:00", timeZone = "Europe/Berlin" },
    }, "bob@example.com")
    local list = raw("GET", "/calendars/bob%40example.com/events/" .. series.id .. "/instances", nil, "bob@example.com").items
    local here = calendar()
    local state = sync(here)
    raw("PATCH", "/calendars/bob%40example.com/events/" .. list[2].id, { attendees = { { email = PRIMARY } } }, "bob@example.com")
    state = sync(here, state)
    local alone = here.rows[list[2].id]
    assert.equal("Bob's", alone.summary)
    local event = assert(provider.event:to(alone))
    assert.same({ "2027-03-09T18:00:00", "2027-03-09T18:00:00" }, { event.start, event.recurrenceId })
    assert.is_nil(event.recurrenceRules)
    assert_fresh(here)
    -- All of it.
    raw("PATCH", "/calendars/bob%40example.com/events/" .. series.id, { attendees = { { email = PRIMARY } } }, "bob@example.com")
    state = sync(here, state)
    assert.is_nil(here.rows[list[2].id])
    assert.is_truthy(here.rows[series.id])
    assert_fresh(here)
    raw("DELETE", "/calendars/bob%40example.com/events/" .. series.id, nil, "bob@example.com")
    sync(here, state)
    assert_fresh(here)
  end)

  it("begin anew where the token has ended, and only true differences are told", function()
    local one = single { summary = "One" }
    local two = single { summary = "Two" }
    local here = calendar()
    local state = sync(here)
    raw("DELETE", EVENTS .. "/" .. two.id)
    emulated.control("POST", "/expire")
    local counts
    state, counts = sync(here, state)
    assert.is_true(counts.reset)
    assert.equal("One", here.rows[one.id].summary)
    assert.is_nil(here.rows[two.id])
    assert.is_false(select(2, sync(here, state)).reset)
  end)

  it("ask for increments with the parameters of the listing, whatever the configuration says by then", function()
    single()
    local here = calendar()
    account = google.account(emulated, nil, { config = { page_size = 50 } })
    local state = sync(here)
    account = google.account(emulated, nil, { config = { page_size = 77 } })
    sync(here, state)
    local last
    for _, request in ipairs(emulated.requests()) do
      if request.path:find("/events$") and request.method == "GET" then last = request end
    end
    assert.truthy(json.encode(last):find("maxResults=50", 1, true) or json.encode(last):find('"maxResults":"50"', 1, true), json.encode(last))
    assert.truthy(json.encode(last):find("syncToken", 1, true))
  end)

  describe("end in a named error", function()
    local cases = {
      ["where the answer is no JSON"] = { { fault = "not_json" }, "answer_not_json" },
      ["where a listing never ends"] = { { fault = "endless", times = 100000 }, "endless_listing" },
      ["where an answer is too large"] = { { fault = "huge", bytes = 3000000 }, "answer_too_large" },
      ["where Google refuses"] = { { fault = "status", status = 403, reason = "requiredAccessLevel" }, "forbidden" },
      ["where the calendar is gone"] = { { fault = "status", status = 404, reason = "notFound" }, "not_found" },
      ["where the quota of the day is used up"] = { { fault = "status", status = 403, reason = "dailyLimitExceeded", times = 9 }, "rate_limited" },
      ["where Google is ill"] = { { fault = "status", status = 500, times = 9 }, "provider_error" },
    }
    for what, case in pairs(cases) do
      it(what, function()
        local one = single()
        local here = calendar()
        account = google.account(emulated, nil, { limits = { retry_wait = 0.05, answer = 1000000, pages = 200 } })
        local state = sync(here)
        case[1].match = { method = "GET", path = "/events$" }
        emulated.fault(case[1])
        single { summary = "New" }
        local after, err = google.sync(provider, account, here, state)
        assert.is_nil(after)
        assert.equal(case[2], err.code)
        assert.is_truthy(here.rows[one.id])
        emulated.clear()
        sync(here, state)
        assert_fresh(here)
      end)
    end
  end)

  describe("go on", function()
    for what, fault in pairs {
      ["after 429"] = { fault = "status", status = 429, times = 2 },
      ["after 429 with a time to wait"] = { fault = "status", status = 429, retry_after = 1 },
      ["after a 403 of the rate"] = { fault = "status", status = 403, reason = "userRateLimitExceeded", times = 2 },
      ["after a 403 of the quota"] = { fault = "status", status = 403, reason = "quotaExceeded" },
      ["after 503"] = { fault = "status", status = 503, times = 2 },
      ["after an answer that was cut"] = { fault = "cut" },
      ["with one that is slow"] = { fault = "slow", seconds = 0.2 },
    } do
      it(what, function()
        single()
        fault.match = { method = "GET", path = "/events$" }
        emulated.fault(fault)
        local here = calendar()
        account = google.account(emulated, nil, { limits = { retry_wait = 5 } })
        local _, counts = sync(here)
        assert.equal(1, counts.upserts)
      end)
    end
  end)

  it("give what nobody can read to the mirror as it came, and the rest beside it", function()
    local bad = {}
    local faults = { { fault = "missing_field", field = "end" }, { fault = "impossible_date" }, { fault = "unknown_enum" }, { fault = "missing_field" } }
    for _, fault in ipairs(faults) do
      emulated.reset()
      local events = { single { summary = "A" }, single { summary = "B" } }
      fault.match = { method = "GET", path = "/events$" }
      emulated.fault(fault)
      local here = calendar()
      local following = assert(provider.changes(account, here, nil))
      local upserts = {}
      for batch in following do
        for _, native in ipairs(batch.upserts) do upserts[#upserts + 1] = native end
      end
      assert.equal(#events, #upserts)
      local fine = 0
      for _, native in ipairs(upserts) do
        local event, err = provider.event:to(native)
        if event then fine = fine + 1 else bad[#bad + 1] = err.field end
      end
      assert.equal(1, fine)
    end
    assert.same({ "duration", "start", "status", "id" }, bad)
  end)

  it("add up to a full listing, whatever happens", function()
    local seed = math.tointeger(tonumber(os.getenv "SPEC_SEED" or "")) or os.time()
    math.randomseed(seed)
    local known, here, state = {}, calendar(), nil
    account = google.account(emulated, nil, { config = { page_size = 4 }, limits = { retry_wait = 1 } })
    local function any() return known[math.random(math.max(1, #known))] end
    local acts = {
      function() known[#known + 1] = { id = single { summary = "S" .. math.random(99) }.id } end,
      function() known[#known + 1] = { id = weekly { summary = "W" .. math.random(99) }.id, series = true } end,
      function()
        local event = any()
        if event then raw("PATCH", EVENTS .. "/" .. event.id, { summary = "P" .. math.random(99), colorId = tostring(math.random(11)) }) end
      end,
      function()
        local event = any()
        if not event or not event.series then return end
        local list = instances(event.id)
        local one = list[math.random(#list)]
        if one then raw("PATCH", EVENTS .. "/" .. one.id, { location = "L" .. math.random(99) }) end
      end,
      function()
        local event = any()
        if not event or not event.series then return end
        local list = instances(event.id)
        if #list > 1 then raw("DELETE", EVENTS .. "/" .. list[math.random(#list)].id) end
      end,
      function()
        local event = any()
        if not event or not event.series then return end
        local hour = math.random(10, 20)
        raw("PATCH", EVENTS .. "/" .. event.id, {
          start = { dateTime = ("2027-03-02T%02d:00:00"):format(hour), timeZone = "Europe/Berlin" },
          ["end"] = { dateTime = ("2027-03-02T%02d:30:00"):format(hour), timeZone = "Europe/Berlin" },
          recurrence = { "RRULE:FREQ=WEEKLY;COUNT=" .. math.random(2, 9) },
        })
      end,
      function()
        if #known == 0 then return end
        raw("DELETE", EVENTS .. "/" .. table.remove(known, math.random(#known)).id)
      end,
      function() emulated.control("POST", "/expire") end,
    }
    local faults = {
      { fault = "empty_page" }, { fault = "repeat", times = 3 }, { fault = "status", status = 503 },
      { fault = "status", status = 410, reason = "fullSyncRequired" },
      { fault = "cut" }, { fault = "status", status = 403, reason = "rateLimitExceeded" }, { fault = "not_json" },
      { fault = "status", status = 500, times = 9 },
    }
    for round = 1, 25 do
      for _ = 1, math.random(0, 6) do
        local act = acts[math.random(#acts)]
        if act ~= acts[#acts] or math.random() < 0.2 then act() end
      end
      if math.random() < 0.5 then
        local fault = faults[math.random(#faults)]
        fault.match = { method = "GET", path = "/events$" }
        fault.after = math.random(0, 2)
        emulated.fault(fault)
      end
      local after = google.sync(provider, account, here, state)
      state = after or state
      emulated.clear()
      if not after then state = sync(here, state) end
      local fresh = calendar()
      sync(fresh)
      assert.same(google.meaning(provider, fresh.rows), google.meaning(provider, here.rows), ("seed %d round %d"):format(seed, round))
    end
  end)
end)
