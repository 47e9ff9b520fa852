-- What the Google emulator does wrong when it is told to, and what it notes of requests that break the contract.

local emulator = require "spec.support.emulator"
local support = require "spec.support"
local timer = require "lunation.timer"

describe("the Google emulator: faults", function()
  local google
  local own = "/calendar/v3/calendars/primary/events"

  setup(function() google = emulator.start "google" end)
  teardown(function() google.stop() end)
  before_each(function() google.reset() end)

  local function ask(method, path, options)
    options = options or {}
    options.token = options.token or "token-alice"
    return google.ask(method, path, options)
  end

  local function add(id)
    local body = { id = id, start = { dateTime = "2025-06-02T10:00:00Z" }, ["end"] = { dateTime = "2025-06-02T11:00:00Z" } }
    return ask("POST", own, { body = body })
  end

  it("are statuses with Google's reasons, with and without Retry-After", function()
    local cases = {
      { 401, "authError" }, { 403, "userRateLimitExceeded" }, { 403, "rateLimitExceeded" }, { 403, "quotaExceeded" }, { 403, "dailyLimitExceeded" },
      { 403, "calendarUsageLimitsExceeded" }, { 403, "forbiddenForNonOrganizer" }, { 403, "insufficientPermissions" }, { 404, "notFound" },
      { 409, "duplicate" }, { 410, "deleted" }, { 410, "fullSyncRequired" }, { 410, "updatedMinTooLongAgo" }, { 412, "conditionNotMet" },
      { 429, "rateLimitExceeded", 7 }, { 429, "rateLimitExceeded" }, { 500, "backendError" }, { 502, "backendError" },
      { 503, "backendError", "Fri, 21 Nov 2036 09:00:00 GMT" },
    }
    for _, case in ipairs(cases) do
      google.fault { fault = "status", status = case[1], reason = case[2], retry_after = case[3] }
      local answer = ask("GET", own)
      assert.same({ case[1], case[2], case[1] }, { answer.status, answer.json.error.errors[1].reason, answer.json.error.code })
      assert.equal(case[3] and tostring(case[3]) or nil, answer.headers["retry-after"])
    end
    assert.equal(200, ask("GET", own).status)
    google.fault { fault = "status", status = 429, match = { path = "^/v1/" } }
    local answer = ask("GET", "/v1/people/me", { query = { personFields = "names" } })
    assert.same({ 429, "RESOURCE_EXHAUSTED" }, { answer.status, answer.json.error.status })
  end)

  it("hold for what matches, after so many, so many times", function()
    google.fault { match = { method = "GET", path = "/colors$" }, after = 1, times = 2, fault = "status", status = 503 }
    local told = {}
    for i = 1, 4 do told[i] = ask("GET", "/calendar/v3/colors").status end
    assert.same({ 200, 503, 503, 200 }, told)
    google.fault { match = { user = "bob@example.com", query = "x=1" }, times = -1, fault = "status", status = 500 }
    assert.equal(200, ask("GET", "/calendar/v3/colors", { query = { quotaUser = "x" } }).status)
    for _ = 1, 2 do assert.equal(500, ask("GET", "/calendar/v3/colors", { token = "token-bob", query = { x = 1 } }).status) end
    google.clear()
    assert.equal(200, ask("GET", "/calendar/v3/colors", { token = "token-bob" }).status)
    assert.is_false(pcall(google.fault, { fault = "no such fault" }))
  end)

  it("may come after the work is done: the event is there though the answer is not", function()
    google.fault { match = { method = "POST" }, fault = "cut" }
    assert.is_truthy(add("event1").error)
    google.fault { match = { method = "POST" }, fault = "status", status = 503, done = true }
    assert.equal(503, add("event2").status)
    assert.equal(409, add("event1").status)
    assert.equal(409, add("event2").status)
  end)

  it("are slowness, HTML, fifty megabytes, lists without end, things twice", function()
    add "event1"
    add "event2"
    google.fault { fault = "slow", seconds = 0.3 }
    local before = timer.now()
    assert.equal(200, ask("GET", own).status)
    assert.is_true(timer.now() - before >= 0.3)
    google.fault { fault = "not_json" }
    local answer = ask("GET", own)
    assert.same({ 200, nil, 1 }, { answer.status, answer.json, (answer.body:find("<!DOCTYPE", 1, true)) })
    google.fault { fault = "huge" }
    assert.is_true(#ask("GET", own).body > 50 * 1024 * 1024)
    google.fault { fault = "repeat" }
    local items = ask("GET", own).json.items
    assert.same({ "event1", "event2", "event1" }, { items[1].id, items[2].id, items[3].id })
    google.fault { fault = "endless", times = 3 }
    local token, seen
    for _ = 1, 3 do
      local page = ask("GET", own, { query = { pageToken = token } }).json
      assert.is_nil(page.nextSyncToken)
      assert.not_equal(seen, page.nextPageToken)
      token, seen = page.nextPageToken, page.nextPageToken
    end
  end)

  it("are wrong values in the first item", function()
    add "event1"
    add "event2"
    local function first(fault)
      google.fault(fault)
      return ask("GET", own).json.items[1]
    end
    assert.is_nil(first({ fault = "missing_field" }).id)
    assert.is_nil(first({ fault = "missing_field", field = "start" }).start)
    assert.equal("2025-02-30T25:61:00Z", first({ fault = "impossible_date" }).start.dateTime)
    assert.equal("quantum", first({ fault = "unknown_enum" }).status)
    assert.equal("hologram", first({ fault = "unknown_enum", field = "eventType", value = "hologram" }).eventType)
    assert.same({}, google.violations())
  end)

  it("leave a record of what was asked", function()
    ask("GET", "/calendar/v3/colors", { query = { quotaUser = "q" } })
    local one = google.requests()[1]
    assert.same({ "GET", "/calendar/v3/colors", "quotaUser=q", "alice@example.com", 200, "calendar.colors.get" },
      { one.method, one.path, one.query, one.user, one.status, one.id })
  end)
end)

describe("the Google emulator: the contract", function()
  local google

  setup(function() google = emulator.start "google" end)
  teardown(function() google.stop() end)
  before_each(function() google.reset() end)

  local function noted(method, path, options)
    options = options or {}
    options.token = "token-alice"
    google.ask(method, path, options)
    local list = {}
    for i, one in ipairs(google.violations()) do list[i] = one.where .. " " .. one.message end
    table.sort(list)
    return list
  end

  local own = "/calendar/v3/calendars/primary/events"
  local function body(more)
    local fields = { start = { dateTime = "2025-06-02T10:00:00Z" }, ["end"] = { dateTime = "2025-06-02T11:00:00Z" } }
    for name, value in pairs(more) do fields[name] = value end
    return { body = fields }
  end

  local cases = {
    ["a path that there is not"] = { { "path is not in the contract" }, "GET", "/calendar/v3/calendars/primary/nothing" },
    ["a method that there is not"] = { { "method there is only GET" }, "PUT", "/calendar/v3/colors" },
    ["a parameter that there is not"] = { { "query.timemin is not in the contract" }, "GET", own, { query = { timemin = "2025-01-01T00:00:00Z" } } },
    ["a number that is none"] = { { "query.maxResults is no integer: many" }, "GET", own, { query = { maxResults = "many" } } },
    ["a boolean that is none"] = { { "query.singleEvents is no boolean: 1" }, "GET", own, { query = { singleEvents = 1 } } },
    ["a time without offset"] = {
      { "query.timeMin is no RFC 3339 time with an offset: 2025-01-01T00:00:00" }, "GET", own, { query = { timeMin = "2025-01-01T00:00:00" } },
    },
    ["an unknown value of a parameter"] = { { "query.orderBy has an unknown value: end" }, "GET", own, { query = { orderBy = "end" } } },
    ["a parameter twice"] = { { "query.q is given more than once" }, "GET", own, { query = { q = { "a", "b" } } } },
    ["a field that there is not"] = { { "body.title is not in the contract" }, "POST", own, body { title = "x" } },
    ["a field of a wrong type"] = { { "body.sequence is no integer: string" }, "POST", own, body { sequence = "1" } },
    ["a wrong field deep down"] = {
      { "body.attendees[0].mail is not in the contract" }, "POST", own, body { attendees = { { email = "b@x.test", mail = "x" } } },
    },
    ["an unknown value"] = { { "body.transparency has an unknown value: busy" }, "POST", own, body { transparency = "busy" } },
    ["a date that there is not"] = { { "body.start.date is no date: 2025-02-30" }, "POST", own, body { start = { date = "2025-02-30" } } },
    ["a new event without an end"] = { { "body.end is missing" }, "POST", own, { body = { start = { date = "2025-06-02" } } } },
    ["what only the service sets"] = { { "body.htmlLink is read-only" }, "POST", own, body { htmlLink = "https://x.test" } },
    ["a body where none goes"] = { { "body is not asked for" }, "POST", own .. "/quickAdd?text=x", { body = {} } },
    ["no body where one goes"] = { { "body is missing" }, "POST", own },
    ["two names for one event"] = { { "body only one of id and iCalUID is to be given" }, "POST", own, body { id = "abcde", iCalUID = "x@y" } },
    ["what a person's service sets"] = {
      { "body.names[0].displayName is read-only" }, "POST", "/v1/people:createContact", { body = { names = { { displayName = "x" } } } },
    },
    ["a required parameter"] = { { "query.destination is missing" }, "POST", own .. "/abcde/move" },
  }
  for what, case in pairs(cases) do
    it("notes " .. what, function()
      if not google.has_contract then return pending "no contract was found" end
      assert.same(case[1], noted(case[2], case[3], case[4]))
      assert.equal("request", google.violations()[1].direction)
    end)
  end

  it("is held against answers too", function()
    if not google.has_contract then return pending "no contract was found" end
    local event = google.ask("POST", own, { token = "token-alice", body = body({ id = "event1" }).body }).json
    google.fault {
      { fault = "unknown_enum", field = "visibility", value = "hologram", judged = true }, { fault = "impossible_date", judged = true },
    }
    assert.same({ "body.items[0].start.dateTime is no date-time: 2025-02-30T25:61:00Z", "body.items[0].visibility has an unknown value: hologram" },
      noted("GET", own))
    assert.equal("answer", google.violations()[1].direction)
    assert.equal("event1", event.id)
  end)

  it("says so where it finds none", function()
    local bare = emulator.start("google", { contract = support.tmpdir() })
    local _ <close> = setmetatable({}, { __close = function() bare.stop() end })
    assert.is_false(bare.has_contract)
    bare.ask("GET", "/calendar/v3/nothing", { token = "token-alice" })
    assert.same({}, bare.violations())
  end)

  it("keeps its state in a file", function()
    local args = { "--state", support.tmpdir() .. "/state.db" }
    local first = emulator.start("google", { args = args })
    local token = "token-alice"
    local start = {
      id = "series1", recurrence = { "RRULE:FREQ=DAILY;COUNT=3" }, attendees = { { email = "bob@example.com" } },
      start = { dateTime = "2025-06-02T10:00:00", timeZone = "Europe/Berlin" }, ["end"] = { dateTime = "2025-06-02T11:00:00", timeZone = "Europe/Berlin" },
    }
    assert.equal(200, first.ask("POST", own, { token = token, body = start }).status)
    assert.equal(204, first.ask("DELETE", own .. "/series1_20250603T080000Z", { token = token }).status)
    local before = first.ask("GET", own, { token = "token-bob" }).json
    first.stop()
    local second = emulator.start("google", { args = args })
    local _ <close> = setmetatable({}, { __close = function() second.stop() end })
    local after = second.ask("GET", own, { token = "token-bob" }).json
    assert.same(before.items, after.items)
    assert.same({}, second.ask("GET", own, { token = "token-bob", query = { syncToken = before.nextSyncToken } }).json.items)
    assert.equal(200, second.ask("PATCH", own .. "/series1_20250604T080000Z", { token = token, body = { summary = "x" } }).status)
    assert.equal(3, #second.ask("GET", own, { token = "token-bob" }).json.items)
  end)

  it("speaks HTTPS too", function()
    local secure = emulator.start("google", { tls = true })
    local _ <close> = setmetatable({}, { __close = function() secure.stop() end })
    assert.equal("https://", secure.url:sub(1, 8))
    assert.equal(200, secure.ask("GET", "/calendar/v3/colors", { token = "token-bob" }).status)
    assert.equal("ca " .. secure.ca_file, support.read(secure.log:gsub("%.err$", ".out")):match "^[^\n]+")
  end)

  it("tells how it is used", function()
    local help = support.lunation { "run", "spec/emulators/google.lua", "--help" }
    assert.equal(0, help.code)
    assert.is_truthy(help.stdout:find("--user EMAIL=TOKEN", 1, true) and help.stdout:find("rotate_refresh", 1, true))
    assert.equal(2, support.lunation({ "run", "spec/emulators/google.lua", "--port", "0" }).code)
  end)
end)
