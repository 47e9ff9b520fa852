-- GET /events of the connect dialect: windows, selection, pages, and their tokens.

local connect = require "spec.support.connect"
local crypto = require "lunation.crypto"
local json = require "lunation.json"

describe("connect: GET /events", function()
  local server, call, token
  local user = 0

  setup(function() server = connect.serve() end)
  teardown(function() server.stop() end)
  before_each(function()
    user = user + 1
    call, token = connect.local_user(server, "reader-" .. user)
  end)

  local function made(fields)
    local body = { provider = "local", calendarId = "primary", title = "Talk", start = "2025-11-03T09:00:00Z", ["end"] = "2025-11-03T10:00:00Z" }
    for name, value in pairs(fields or {}) do body[name] = value end
    local response = call("POST", "/event", { body = body })
    assert.equal(200, response.status, response.body)
    return response.json
  end
  local function at(day, title)
    local date = ("2025-11-%02d"):format(day)
    return made { title = title or tostring(day), start = date .. "T09:00:00Z", ["end"] = date .. "T10:00:00Z" }
  end
  local function get(query)
    return call("GET", "/events", { query = query })
  end
  local function page(query)
    local response = get(query)
    assert.equal(200, response.status, response.body)
    return response.json
  end
  local function titles(query)
    local out = {}
    for index, event in ipairs(page(query).events) do out[index] = event.title end
    return table.concat(out, ",")
  end
  local november = { start = "2025-11-01", ["end"] = "2025-12-01" }
  local function with(more)
    local query = {}
    for name, value in pairs(november) do query[name] = value end
    for name, value in pairs(more) do query[name] = value end
    return query
  end

  describe("window", function()
    it("takes what overlaps: end after its start, start before its end", function()
      at(3)
      local function found(from, to) return #page({ start = from, ["end"] = to }).events end
      assert.equal(1, found("2025-11-03T09:30:00Z", "2025-11-03T09:40:00Z"))
      assert.equal(0, found("2025-11-03T10:00:00Z", "2025-11-03T11:00:00Z"))
      assert.equal(1, found("2025-11-03T09:59:59Z", "2025-11-03T11:00:00Z"))
      assert.equal(0, found("2025-11-03T08:00:00Z", "2025-11-03T09:00:00Z"))
      assert.equal(1, found("2025-11-03T08:00:00Z", "2025-11-03T09:00:01Z"))
    end)

    it("counts an event without length if its start is inside", function()
      made { ["end"] = "2025-11-03T09:00:00Z" }
      local function found(from, to) return #page({ start = from, ["end"] = to }).events end
      assert.equal(1, found("2025-11-03T09:00:00Z", "2025-11-03T10:00:00Z"))
      assert.equal(0, found("2025-11-03T08:00:00Z", "2025-11-03T09:00:00Z"))
      assert.equal(1, found("2025-11-03T08:00:00Z", "2025-11-03T09:30:00Z"))
    end)

    it("reads dates as midnight UTC, and offsets that lost their plus sign", function()
      at(3)
      assert.equal(1, #page({ start = "2025-11-03", ["end"] = "2025-11-04" }).events)
      assert.equal(0, #page({ start = "2025-11-02", ["end"] = "2025-11-03" }).events)
      assert.equal(1, #page({ start = "2025-11-03T10:00:00 02:00", ["end"] = "2025-11-03T12:00:00+02:00" }).events)
      local response = connect.call(server, token, "GET", "/events?start=2025-11-03T10:00:00+02:00&end=2025-11-03T12:00:00%2B02:00")
      assert.equal(1, #response.json.events)
    end)

    it("is the current month when nothing is said, and that of the one bound that is", function()
      local month = os.date("!%Y-%m-")
      made { title = "Now", start = month .. "01T00:00:00Z", ["end"] = month .. "01T00:30:00Z" }
      at(3)
      assert.equal("Now", titles {})
      assert.equal("3", titles { start = "2025-11-02" })
      assert.equal("3", titles { ["end"] = "2025-11-20" })
    end)

    it("refuses what is no date, and a start after the end", function()
      for _, case in ipairs { { { start = "soon" }, "start" }, { { ["end"] = "2025-02-30" }, "end" },
        { { start = "2025-12-01", ["end"] = "2025-11-01" }, "start" } } do
        local response = get(case[1])
        assert.same({ 400, case[2] }, { response.status, response.json.details.field })
        assert.is_nil(response.json.success)
      end
      assert.equal(200, get({ start = "2025-11-01", ["end"] = "2025-11-01" }).status)
    end)

    it("sorts and filters days by midnight UTC", function()
      made { title = "Day", allDay = true, start = "2025-11-03", ["end"] = "2025-11-04" }
      made { title = "Early", start = "2025-11-03T00:30:00Z", ["end"] = "2025-11-03T01:00:00Z" }
      made { title = "Before", start = "2025-11-02T23:30:00Z", ["end"] = "2025-11-02T23:45:00Z" }
      assert.equal("Before,Day,Early", titles(november))
      assert.equal("Day,Early", titles { start = "2025-11-03", ["end"] = "2025-11-04" })
      assert.equal("", titles { start = "2025-11-04", ["end"] = "2025-11-05" })
    end)
  end)

  describe("pageSize", function()
    it("is 250 by default, at most 1000, and echoed", function()
      assert.equal(250, page(november).pageSize)
      assert.equal(1000, page(with { pageSize = 5000 }).pageSize)
      assert.equal(50, page(with { pageSize = 50 }).pageSize)
    end)
    for _, size in ipairs { "0", "-1", "many", "1.5", "1e3", "0x10" } do
      it("is not " .. size, function()
        local response = get(with { pageSize = size })
        assert.same({ 400, "pageSize" }, { response.status, response.json.details.field })
      end)
    end
  end)

  describe("pages", function()
    it("show every event once, in order", function()
      for day = 1, 7 do at(day) end
      local seen, query, pages = {}, with { pageSize = 3 }, 0
      repeat
        local answer = page(query)
        pages = pages + 1
        for _, event in ipairs(answer.events) do seen[#seen + 1] = event.title end
        query = { pageSize = 3, nextPageToken = answer.nextPageToken }
      until not answer.nextPageToken
      assert.equal("1,2,3,4,5,6,7", table.concat(seen, ","))
      assert.equal(3, pages)
    end)

    it("carry no token when nothing is left", function()
      at(1)
      at(2)
      assert.is_nil(page(with { pageSize = 2 }).nextPageToken)
      assert.is_string(page(with { pageSize = 1 }).nextPageToken)
    end)

    it("go on as they began: the token wins over every other parameter but pageSize", function()
      for day = 1, 6 do at(day) end
      local first = page(with { pageSize = 2 })
      local second = page {
        nextPageToken = first.nextPageToken, pageSize = 3, start = "2020-01-01", ["end"] = "2020-02-01", calendarIds = "{}", singleEvents = "false",
      }
      assert.same({ 3, "3" }, { #second.events, second.events[1].title })
      assert.equal(2, page({ nextPageToken = first.nextPageToken }).pageSize)
    end)

    it("continue past an event that was added or deleted before", function()
      for day = 1, 4 do at(day) end
      local first = page(with { pageSize = 2 })
      local event = first.events[1]
      assert.equal(200, call("DELETE", "/event", { query = { provider = "local", calendarId = "primary", eventId = event.id } }).status)
      made { title = "New", start = "2025-11-01T01:00:00Z", ["end"] = "2025-11-01T02:00:00Z" }
      assert.equal("3,4", titles { nextPageToken = first.nextPageToken })
    end)

    it("cut a series between instances", function()
      made { recurrence = { frequency = "DAILY", count = 5 } }
      local first = page(with { pageSize = 2 })
      local second = page { nextPageToken = first.nextPageToken, pageSize = 10 }
      assert.equal(3, #second.events)
      assert.equal("2025-11-05T09:00:00.000Z", second.events[1].start)
    end)
  end)

  describe("nextPageToken", function()
    local function first_token()
      for day = 1, 3 do at(day) end
      return page(with { pageSize = 1 }).nextPageToken
    end

    it("is Base64 of JSON, keyed by provider", function()
      local object = json.decode(crypto.unbase64(first_token()))
      assert.is_table(object["local"])
    end)

    it("is refused when altered", function()
      local good = first_token()
      local text = crypto.unbase64(good)
      local altered = {
        good:sub(1, -6) .. "AAAAA", "garbage", crypto.base64 "{}", crypto.base64(text:gsub('"size":1', '"size":9')), crypto.base64(text .. " "),
        crypto.base64((text:gsub('"mac":"..', '"mac":"AA'))), good .. good, crypto.base64(text:gsub('"user":%d+', '"user":1')), "%00", "=",
      }
      for _, bad in ipairs(altered) do
        if bad ~= good then
          local response = get { nextPageToken = bad }
          assert.equal(400, response.status, bad)
          assert.equal("nextPageToken", response.json.details.field)
        end
      end
      assert.equal(200, get({ nextPageToken = good }).status)
    end)

    it("is its user's alone", function()
      local good = first_token()
      local other = connect.token(server, "another-reader")
      assert.equal(400, connect.call(server, other, "GET", "/events", { query = { nextPageToken = good } }).status)
      other = connect.token(server, "reader-" .. user, nil, "other")
      assert.equal(400, connect.call(server, other, "GET", "/events", { query = { nextPageToken = good } }).status)
    end)

    it("shows no more to a narrower token", function()
      local good = first_token()
      local narrow = connect.token(server, "reader-" .. user, "free-busy")
      local response = connect.call(server, narrow, "GET", "/events", { query = { nextPageToken = good } })
      assert.equal("Busy", response.json.events[1].title)
    end)
  end)

  describe("calendarIds", function()
    local id
    before_each(function()
      at(3)
      id = call("GET", "/calendars").json[1].id
    end)
    local function count(value) return #page(with { calendarIds = value }).events end

    it("names calendars by provider", function()
      assert.equal(1, count(json.encode { ["local"] = { id } }))
      assert.equal(1, count(json.encode { ["local"] = { id, "unknown" }, google = json.array {} }))
      assert.equal(1, count('{"local":["primary"]}'))
    end)

    it("means nothing of a provider that is missing or empty, and never all", function()
      for _, value in ipairs { "{}", '{"local":[]}', '{"google":["x"]}', '{"local":["foreign"]}', '{"caldav":["' .. id .. '"]}', '{"unheard-of":["x"]}', "[]",
        '{"local":null}' } do
        assert.equal(0, count(value), value)
      end
    end)

    it("may be an array of ids of any provider", function()
      assert.equal(1, count(json.encode(json.array { id })))
      assert.equal(0, count '["foreign"]')
    end)

    it("is not what cannot be read", function()
      for _, value in ipairs { "{", '"text"', "5", "null", '{"local":"' .. "x" .. '"}', '{"local":[1]}', "[1]", '{"local":{"a":1}}', "undefined", "\xff" } do
        local response = get(with { calendarIds = value })
        assert.equal(400, response.status, value)
        assert.equal("calendarIds", response.json.details.field)
      end
    end)
  end)

  describe("singleEvents", function()
    it("false gives masters with an occurrence in the window, and singles; no overrides", function()
      local series = made { title = "Series", recurrence = { frequency = "DAILY", count = 3 } }
      at(9, "Single")
      made { title = "Elsewhere", start = "2025-06-01T09:00:00Z", ["end"] = "2025-06-01T10:00:00Z", recurrence = { frequency = "DAILY", count = 3 } }
      local second = page(november).events[2]
      assert.equal(200, call("PUT", "/event", { body = { provider = "local", calendarId = "primary", eventId = second.id, title = "Special" } }).status)
      local masters = page(with { singleEvents = "false" }).events
      assert.same({ 2, "Series", "Single" }, { #masters, masters[1].title, masters[2].title })
      assert.same({ frequency = "DAILY", count = 3 }, masters[1].recurrence)
      assert.equal(series.id, masters[1].id)
      assert.is_nil(masters[1].recurringEventId)
      assert.is_nil(masters[2].recurrence)
      assert.equal("Series,Special,Series,Single", titles(with { singleEvents = "true" }))
    end)

    it("is true or false", function()
      assert.equal(400, get(with { singleEvents = "maybe" }).status)
      assert.equal(200, get(with { singleEvents = "TRUE" }).status)
    end)
  end)

  it("does not list cancelled instances, but events whose status is cancelled", function()
    made { title = "Series", recurrence = { frequency = "DAILY", count = 3 } }
    made { title = "Off", status = "cancelled", start = "2025-11-09T09:00:00Z", ["end"] = "2025-11-09T10:00:00Z" }
    local second = page(november).events[2]
    assert.equal(200, call("DELETE", "/event", { query = { provider = "local", calendarId = "primary", eventId = second.id } }).status)
    assert.equal("Series,Series,Off", titles(november))
    local last = page(november).events[3]
    assert.equal("cancelled", last.status)
  end)

  it("gives every event the fields that clients ask for", function()
    made { recurrence = { frequency = "DAILY", count = 2 } }
    for _, event in ipairs(page(november).events) do
      for _, name in ipairs { "provider", "id", "calendarId", "title", "start", "end", "attendees", "availability", "privacy", "status", "original",
        "lastModified", "recurringEventId" } do
        assert.is_truthy(event[name], name)
      end
      assert.is_false(event.allDay)
    end
  end)

  it("refuses parameters that are not UTF-8", function()
    for _, query in ipairs { "start=%ff", "nextPageToken=%ff%fe", "calendarIds=%c3%28", "pageSize=%ff" } do
      assert.equal(400, connect.call(server, token, "GET", "/events?" .. query).status, query)
    end
  end)

  it("takes an empty body with a JSON content type, and parameters that are empty", function()
    assert.equal(200, connect.call(server, token, "GET", "/events?start=&end=&calendarIds=&nextPageToken=&pageSize=&singleEvents=").status)
  end)

  describe("the other routes", function()
    it("tell the calendars as a bare array", function()
      local response = call("GET", "/calendars")
      assert.equal(200, response.status)
      assert.is_true(json.is_array(response.json))
      local calendar = response.json[1]
      for _, name in ipairs { "provider", "id", "title", "timeZone", "color", "description" } do assert.is_string(calendar[name], name) end
      assert.is_table(calendar.original)
    end)

    it("refuse the calendars to free-busy", function()
      local response = connect.call(server, connect.token(server, "reader-" .. user, "free-busy"), "GET", "/calendars")
      assert.same({ 403, "Calendar list access is forbidden for free-busy scope" }, { response.status, response.json.error })
      assert.equal(response.json.error, response.json.message)
    end)

    it("tell what is connected; four keys always stand", function()
      for _, path in ipairs { "/oauth/connection-status", "/connection-status" } do
        local response = call("GET", path)
        assert.equal(200, response.status)
        for _, name in ipairs { "google", "microsoft", "apple", "caldav" } do assert.is_true(json.is_array(response.json.connections[name])) end
        assert.is_nil(response.json.connections.exchange)
        assert.is_false(response.json.limitReached)
        local account = response.json.connections["local"][1]
        assert.same({ "active", json.null }, { account.syncState, account.calendarPermissionGranted })
        assert.is_string(account.id)
        assert.is_string(account.display)
        assert.is_true(json.is_array(account.grantedScopes))
      end
    end)

    it("disconnect", function()
      at(3)
      local response = call("POST", "/oauth/disconnect?provider=local&account=nobody", { body = {} })
      assert.same({ 404, false }, { response.status, response.json.success })
      response = call("POST", "/oauth/disconnect?provider=local", { body = {} })
      assert.same({ 200, true }, { response.status, response.json.success })
      assert.equal(0, #page(november).events)
      assert.equal(0, #call("GET", "/calendars").json)
      assert.same({ 200, true }, { call("POST", "/disconnect?provider=google", { body = "" }).status, true })
      for _, query in ipairs { "", "?provider=", "?provider=nobody" } do
        response = call("POST", "/disconnect" .. query, { body = {} })
        assert.same({ 400, "provider" }, { response.status, response.json.details.field })
      end
    end)

    it("answer what is not there in the shape of the dialect", function()
      local response = call("GET", "/nothing")
      assert.same({ 404, "not_found", "Not Found" }, { response.status, response.json.code, response.json.error })
      response = call("PATCH", "/event", { body = {} })
      assert.same({ 405, "method_not_allowed", "DELETE, OPTIONS, POST, PUT" }, { response.status, response.json.code, response.headers.allow })
      assert.equal("ok", connect.call(server, nil, "GET", "/health").json.status)
    end)
  end)
end)
