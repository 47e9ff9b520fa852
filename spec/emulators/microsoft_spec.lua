-- What the Graph emulator does beside its answers to well-behaved clients: its faults, its contract, and the
-- corners of series, change tracking and notifications that a provider must get right.
local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local json = require "lunation.json"
local process = require "lunation.process"
local server = require "lunation.server"
local support = require "spec.support"

describe("the Graph emulator", function()
  local graph
  local ZONE = "W. Europe Standard Time"

  setup(function() graph = emulator.start("microsoft", { users = { "alice@example.com=A", "bob@example.com=B" } }) end)
  teardown(function() graph.stop() end)
  before_each(function() graph.reset() end)

  local function ask(method, path, body, options)
    options = options or {}
    local headers = { authorization = "Bearer " .. (options.token or "A"), prefer = options.prefer, ["if-match"] = options.match }
    if body ~= nil then headers["content-type"] = "application/json" end
    local url = path:find "^http" and path or graph.url .. "/v1.0" .. path
    local reply, err = http.request {
      method = method, url = url, headers = headers, body = body and json.encode(body), timeout = options.timeout or 20, max_body = options.max_body,
    }
    if not reply then return nil, err end
    return reply, reply.body ~= "" and json.decode(reply.body) or nil
  end

  local function good(method, path, body, options)
    local reply, value = ask(method, path, body, options)
    assert(reply, value)
    assert(reply.status < 300, reply.body)
    return value, reply
  end

  local function refusal(method, path, body, options)
    local reply, value = ask(method, path, body, options)
    return { reply.status, value.error.code }, reply
  end

  local function at(text, zone) return { dateTime = text, timeZone = zone or ZONE } end

  local function event(subject, from, to, more)
    local out = { subject = subject, start = at(from), ["end"] = at(to) }
    for name, value in pairs(more or {}) do out[name] = value end
    return out
  end

  local function weekly(subject, date)
    return event(subject, date .. "T09:00:00", date .. "T10:00:00", { recurrence = {
      pattern = { type = "weekly", interval = 1, daysOfWeek = { "monday" } }, range = { type = "noEnd", startDate = date },
    } })
  end

  local function starts(list)
    local out = {}
    for i, each in ipairs(list) do out[i] = each.start.dateTime:sub(1, 16) end
    return out
  end

  local window = "startDateTime=2025-03-01T00:00:00Z&endDateTime=2025-04-01T00:00:00Z"

  describe("faults", function()
    it("answer every status, with and without Retry-After", function()
      local codes = {
        [401] = "InvalidAuthenticationToken", [403] = "ErrorAccessDenied", [404] = "ErrorItemNotFound", [409] = "ErrorIrresolvableConflict",
        [410] = "SyncStateNotFound", [412] = "ErrorIrresolvableConflict", [429] = "ApplicationThrottled", [500] = "InternalServerError",
        [503] = "ServiceUnavailable", [504] = "GatewayTimeout",
      }
      for status, code in pairs(codes) do
        graph.fault { match = { method = "GET", path = "/me/calendars$" }, fault = "status", status = status }
        local told, reply = refusal("GET", "/me/calendars")
        assert.same({ status, code }, told)
        assert.is_nil(reply.headers["retry-after"])
        assert.is_string(reply.headers["request-id"])
      end
      graph.fault { fault = "status", status = 429, retry_after = 7, after = 1 }
      good("GET", "/me/calendars")
      local _, reply = refusal("GET", "/me/calendars")
      assert.equal("7", reply.headers["retry-after"])
      good("GET", "/me/calendars")
    end)

    it("carry a request out and lose its answer", function()
      graph.fault { match = { method = "POST" }, fault = "cut" }
      local reply, err = ask("POST", "/me/events", event("Cut", "2025-03-03T09:00:00", "2025-03-03T10:00:00", { transactionId = "t1" }))
      assert.is_nil(reply)
      assert.equal("truncated", err.code)
      graph.fault { match = { method = "POST" }, fault = "status", status = 503, done = true }
      assert.same({ 503, "ServiceUnavailable" },
        (refusal("POST", "/me/events", event("Cut", "2025-03-03T09:00:00", "2025-03-03T10:00:00", { transactionId = "t1" }))))
      assert.equal(1, #good("GET", "/me/events").value)
    end)

    it("spoil answers", function()
      good("POST", "/me/events", event("One", "2025-03-03T09:00:00", "2025-03-03T10:00:00"))
      local function spoilt(fault)
        graph.fault(fault)
        local _, value = ask("GET", "/me/events")
        return value
      end
      graph.fault { fault = "not_json" }
      local reply = ask("GET", "/me/events")
      assert.equal("text/html", reply.headers["content-type"])
      assert.is_nil(spoilt({ fault = "missing_field" }).value[1].id)
      assert.is_nil(spoilt({ fault = "missing_field", field = "start" }).value[1].start)
      assert.equal("2025-02-30T25:61:00.0000000", spoilt({ fault = "impossible_date" }).value[1].start.dateTime)
      assert.equal("quantum", spoilt({ fault = "unknown_enum" }).value[1].showAs)
      assert.same({ unexpected = true }, spoilt({ fault = "wrong_type" }).value[1].subject)
      local twice = spoilt({ fault = "repeat" }).value
      assert.equal(twice[1].id, twice[2].id)
      local empty = spoilt { fault = "empty_page" }
      assert.same({}, empty.value)
      assert.equal("One", good("GET", empty["@odata.nextLink"]).value[1].subject)
      assert.equal(graph.url .. "/v1.0/me/events", spoilt({ fault = "endless" })["@odata.nextLink"])
      graph.fault { fault = "huge" }
      local huge = assert(http.request {
        url = graph.url .. "/v1.0/me/events", headers = { authorization = "Bearer A" }, max_body = 64 << 20, timeout = 60,
      })
      assert.is_true(#huge.body > 50 * 1024 * 1024)
      graph.fault { fault = "slow", seconds = 5 }
      local _, err = ask("GET", "/me/events", nil, { timeout = 0.3 })
      assert.equal("timeout", err.code)
    end)

    it("meet one request of a batch alone", function()
      graph.fault { match = { path = "/me/calendar$" }, fault = "status", status = 429, retry_after = 3 }
      local answers = good("POST", "/$batch", { requests = {
        { id = "a", method = "GET", url = "/me/calendar" }, { id = "b", method = "GET", url = "/me/calendars" },
      } }).responses
      assert.same({ 429, "3", 200 }, { answers[1].status, answers[1].headers["Retry-After"], answers[2].status })
    end)
  end)

  describe("contract", function()
    local function wheres()
      local out = {}
      for _, each in ipairs(graph.violations()) do out[#out + 1] = each.direction .. " " .. each.where end
      table.sort(out)
      return out
    end

    it("finds what a request says wrong", function()
      if not graph.has_contract then return pending "no contract was found" end
      ask("POST", "/me/events", event("x", "2025-03-03T09:00:00", "2025-03-03T10:00:00", { colour = "red" }))
      ask("POST", "/me/events", event("x", "2025-03-03T09:00:00Z", "2025-03-03T10:00:00", { showAs = "Busy", reminderMinutesBeforeStart = "5" }))
      ask("GET", "/me/events?$select=title")
      ask("POST", "/me/calendar/getSchedule", { schedules = { 1 }, until_ = "x" })
      ask("GET", "/me/nothing")
      ask("POST", "/subscriptions", { changeType = "created", resource = "me/events", expirationDateTime = "tomorrow" })
      ask("GET", "/me/events?startDateTime=2025-01-01T00:00:00Z")
      assert.same({
        "request ", "request $select", "request /colour", "request /expirationDateTime", "request /notificationUrl",
          "request /reminderMinutesBeforeStart", "request /schedules/0", "request /showAs",
        "request /start/dateTime", "request /until_", "request ?startdatetime",
      }, wheres())
    end)

    it("finds nothing in what the emulator answers by itself", function()
      if not graph.has_contract then return pending "no contract was found" end
      good("POST", "/me/events", weekly("Series", "2025-03-03"))
      for _, path in ipairs {
        "/me", "/me/calendar", "/me/calendars", "/me/events", "/me/calendarView?" .. window, "/me/calendarView/delta?" .. window, "/me/mailboxSettings",
        "/me/contactFolders", "/me/people", "/places/microsoft.graph.room", "/users", "/me/outlook/supportedTimeZones",
      } do
        good("GET", path)
      end
      assert.same({}, wheres())
    end)

    it("says when there is none", function()
      local bare = emulator.start("microsoft", { contract = "none" })
      finally(function() bare.stop() end)
      assert.is_false(bare.has_contract)
    end)
  end)

  describe("series", function()
    it("stand where clocks on the wall do, in all kinds of zones", function()
      local cases = {
        { "Pacific Standard Time", { "2025-03-03T17:00", "2025-03-10T16:00" } }, { "America/Sao_Paulo", { "2025-03-03T12:00", "2025-03-10T12:00" } },
        { "Asia/Kathmandu", { "2025-03-03T03:15", "2025-03-10T03:15" } }, { "UTC", { "2025-03-03T09:00", "2025-03-10T09:00" } },
      }
      for _, case in ipairs(cases) do
        local zone = case[1]
        local body = weekly(zone, "2025-03-03")
        body.start.timeZone, body["end"].timeZone = zone, zone
        body.recurrence.range = { type = "numbered", numberOfOccurrences = 2, startDate = "2025-03-03" }
        local made = good("POST", "/me/events", body)
        assert.same(case[2], starts(good("GET", "/me/events/" .. made.id .. "/instances?" .. window).value))
        assert.equal(zone, made.originalStartTimeZone)
      end
    end)

    it("mean by each pattern what Outlook means", function()
      local workdays = { "monday", "tuesday", "wednesday", "thursday", "friday" }
      local cases = {
        { { type = "daily", interval = 3 }, "2025-03-28", "2025-03-28 2025-03-31 2025-04-03" },
        { { type = "weekly", interval = 2, daysOfWeek = { "sunday", "monday" }, firstDayOfWeek = "sunday" }, "2025-03-02", "2025-03-02 2025-03-03 2025-03-16" },
        { { type = "weekly", interval = 2, daysOfWeek = { "sunday", "monday" }, firstDayOfWeek = "monday" }, "2025-03-02", "2025-03-02 2025-03-10 2025-03-16" },
        { { type = "absoluteMonthly", interval = 1, dayOfMonth = 31 }, "2025-01-31", "2025-01-31 2025-02-28 2025-03-31" },
        { { type = "absoluteMonthly", interval = 2, dayOfMonth = 15 }, "2025-01-15", "2025-01-15 2025-03-15 2025-05-15" },
        { { type = "relativeMonthly", interval = 1, daysOfWeek = { "friday" }, index = "last" }, "2025-03-28", "2025-03-28 2025-04-25 2025-05-30" },
        { { type = "relativeMonthly", interval = 1, daysOfWeek = { "saturday", "sunday" } }, "2025-03-01", "2025-03-01 2025-04-05 2025-05-03" },
        { { type = "relativeMonthly", interval = 1, daysOfWeek = workdays, index = "fourth" }, "2025-03-06", "2025-03-06 2025-04-04 2025-05-06" },
        { { type = "relativeMonthly", interval = 1, daysOfWeek = workdays, index = "last" }, "2025-05-30", "2025-05-30 2025-06-30 2025-07-31" },
        { { type = "absoluteYearly", interval = 1, dayOfMonth = 29, month = 2 }, "2024-02-29", "2024-02-29 2025-02-28 2026-02-28" },
        { { type = "absoluteYearly", interval = 4, dayOfMonth = 29, month = 2 }, "2024-02-29", "2024-02-29 2028-02-29 2032-02-29" },
        { { type = "relativeYearly", interval = 1, daysOfWeek = { "tuesday" }, month = 3, index = "second" }, "2025-03-11",
          "2025-03-11 2026-03-10 2027-03-09" },
      }
      for _, case in ipairs(cases) do
        local body = event("x", case[2] .. "T12:00:00", case[2] .. "T13:00:00", {
          recurrence = { pattern = case[1], range = { type = "numbered", startDate = case[2], numberOfOccurrences = 3 } },
        })
        local made = good("POST", "/me/events", body)
        local list = good("GET", "/me/events/" .. made.id .. "/instances?startDateTime=2024-01-01T00:00:00Z&endDateTime=2033-01-01T00:00:00Z").value
        local days = {}
        for i, each in ipairs(list) do days[i] = each.start.dateTime:sub(1, 10) end
        assert.equal(case[3], table.concat(days, " "))
      end
    end)

    it("end on the last day, in the zone in which it is told", function()
      local body = weekly("Late", "2025-03-03")
      body.start, body["end"] = at("2025-03-03T20:00:00", "Pacific Standard Time"), at("2025-03-03T21:00:00", "Pacific Standard Time")
      body.recurrence.pattern = { type = "daily", interval = 1 }
      body.recurrence.range = { type = "endDate", startDate = "2025-03-03", endDate = "2025-03-05", recurrenceTimeZone = "Pacific Standard Time" }
      local made = good("POST", "/me/events", body)
      assert.equal(3, #good("GET", "/me/events/" .. made.id .. "/instances?" .. window).value)
    end)

    it("begin with the first day that matches", function()
      local body = weekly("Later", "2025-03-05")
      local made = good("POST", "/me/events", body)
      assert.same({ "2025-03-10T08:00:00.0000000", "2025-03-10" }, { made.start.dateTime, made.recurrence.range.startDate })
    end)

    it("refuse patterns and ranges that do not hold together", function()
      local function with(pattern, range)
        local body = weekly("x", "2025-03-03")
        for name, value in pairs(pattern) do body.recurrence.pattern[name] = value end
        for name, value in pairs(range or {}) do body.recurrence.range[name] = value end
        return refusal("POST", "/me/events", body)
      end
      local invalid = { 400, "ErrorPropertyValidationFailure" }
      assert.same(invalid, with { daysOfWeek = json.null })
      assert.same(invalid, with { dayOfMonth = 4 })
      assert.same(invalid, with { interval = 0 })
      assert.same(invalid, with { type = "hourly" })
      assert.same(invalid, with { type = "absoluteMonthly", dayOfMonth = 40, daysOfWeek = json.null })
      assert.same(invalid, with({}, { type = "numbered" }))
      assert.same(invalid, with({}, { type = "endDate", endDate = "2025-02-01" }))
      assert.same(invalid, with({}, { type = "noEnd", numberOfOccurrences = 3 }))
      assert.same({ 400, "TimeZoneNotSupportedException" }, with({}, { recurrenceTimeZone = "Moon/Base" }))
      assert.same({ 400, "ErrorRecurrenceHasNoOccurrence" }, with({}, { type = "endDate", startDate = "2025-03-04", endDate = "2025-03-05" }))
      -- the service's own defaults may come back
      local body = weekly("y", "2025-03-03")
      local made = good("POST", "/me/events", body)
      good("PATCH", "/me/events/" .. made.id, { recurrence = made.recurrence })
    end)

    it("lose their exceptions with another pattern, keep them with another subject", function()
      local made = good("POST", "/me/events", weekly("Old", "2025-03-03"))
      local path = "/me/events/" .. made.id
      local list = good("GET", path .. "/instances?" .. window).value
      good("PATCH", "/me/events/" .. list[2].id, { location = { displayName = "Roof" } })
      good("PATCH", path, { subject = "New" })
      list = good("GET", path .. "/instances?" .. window).value
      assert.same({ "exception", "New", "Roof" }, { list[2].type, list[2].subject, list[2].location.displayName })
      good("PATCH", path, { start = at "2025-03-03T11:00:00", ["end"] = at "2025-03-03T12:00:00" })
      list = good("GET", path .. "/instances?" .. window).value
      assert.same({ "occurrence", "2025-03-10T10:00" }, { list[2].type, starts(list)[2] })
    end)

    it("of whole days lie on their days in every zone", function()
      local body = event("Days", "2025-03-29T00:00:00", "2025-03-31T00:00:00", { isAllDay = true, recurrence = {
        pattern = { type = "weekly", interval = 1, daysOfWeek = { "saturday" } }, range = { type = "numbered", numberOfOccurrences = 2,
          startDate = "2025-03-29" },
      } })
      for _, zone in ipairs { "Tokyo Standard Time", "Pacific Standard Time" } do
        body.start.timeZone, body["end"].timeZone = zone, zone
        local made = good("POST", "/me/events", body)
        local list = good("GET", "/me/events/" .. made.id .. "/instances?startDateTime=2025-03-20T00:00:00Z&endDateTime=2025-04-20T00:00:00Z", nil,
          { prefer = 'outlook.timezone="Europe/London"' }).value
        assert.same({ "2025-03-29T00:00", "2025-04-05T00:00" }, starts(list))
        assert.equal("2025-03-31T00:00:00.0000000", list[1]["end"].dateTime)
      end
    end)

    it("are copied to their guests with what is particular to a day", function()
      local body = weekly("Both", "2025-03-03")
      body.attendees = { { emailAddress = { address = "bob@example.com" }, type = "required" } }
      local made = good("POST", "/me/events", body)
      local list = good("GET", "/me/events/" .. made.id .. "/instances?" .. window).value
      good("PATCH", "/me/events/" .. list[2].id, { start = at "2025-03-11T14:00:00", ["end"] = at "2025-03-11T15:00:00" })
      good("DELETE", "/me/events/" .. list[3].id)
      local theirs = good("GET", "/me/calendarView?" .. window, nil, { token = "B" }).value
      assert.same({ "2025-03-03T08:00", "2025-03-11T13:00", "2025-03-24T08:00", "2025-03-31T07:00" }, starts(theirs))
      good("POST", "/me/events/" .. theirs[2].id .. "/accept", { sendResponse = true }, { token = "B" })
      local mine = good("GET", "/me/calendarView?" .. window).value
      assert.same({ "none", "accepted" }, { mine[1].attendees[1].status.response, mine[2].attendees[1].status.response })
      good("DELETE", "/me/events/" .. made.id)
      theirs = good("GET", "/me/calendarView?" .. window, nil, { token = "B" }).value
      assert.same({ true, "Canceled: Both" }, { theirs[1].isCancelled, theirs[1].subject })
    end)
  end)

  describe("change tracking", function()
    local function drain(url)
      local all, page = {}, nil
      repeat
        page = good("GET", page and page["@odata.nextLink"] or url)
        table.move(page.value, 1, #page.value, #all + 1, all)
      until page["@odata.deltaLink"]
      return all, page["@odata.deltaLink"]
    end

    it("tells of changes outside of the window as removed, and of moves by new ids", function()
      local inside = good("POST", "/me/events", event("In", "2025-03-03T09:00:00", "2025-03-03T10:00:00"))
      local _, link = drain("/me/calendarView/delta?" .. window)
      local outside = good("POST", "/me/events", event("Out", "2025-05-05T09:00:00", "2025-05-05T10:00:00"))
      good("PATCH", "/me/events/" .. inside.id, { start = at "2025-06-03T09:00:00", ["end"] = at "2025-06-03T10:00:00" })
      local changes, then_ = drain(link)
      local removed = {}
      for _, each in ipairs(changes) do removed[each.id] = each["@removed"].reason end
      assert.same({ [inside.id] = "deleted", [outside.id] = "deleted" }, removed)
      assert.same({}, (drain(then_)))
      assert.equal(2, #(drain(link)))
      local other = good("POST", "/me/calendars", { name = "Other" })
      graph.control("POST", "/move", { user = "alice@example.com", event = outside.id, calendar = other.id })
      assert.same({ { id = outside.id, ["@removed"] = { reason = "deleted" } } }, (drain(then_)))
    end)

    it("keeps to its window, to its ids and to one mailbox", function()
      local _, link = drain("/me/calendarView/delta?" .. window)
      assert.same({ 400, "ErrorInvalidUrlQuery" }, (refusal("GET", link .. "&startDateTime=2025-01-01T00:00:00Z")))
      assert.same({ 400, "ErrorInvalidRequest" }, (refusal("GET", link, nil, { prefer = 'IdType="ImmutableId"' })))
      assert.same({ 410, "SyncStateNotFound" }, (refusal("GET", link, nil, { token = "B" })))
      for _, option in ipairs { "$select=subject", "$filter=isAllDay%20eq%20true", "$orderby=subject", "$expand=attachments", "$top=3" } do
        assert.same({ 400, "ErrorInvalidUrlQuery" }, (refusal("GET", "/me/calendarView/delta?" .. window .. "&" .. option)))
      end
      graph.control("POST", "/switches", { calendarDelta = false, eventsDelta = false })
      local other = good("POST", "/me/calendars", { name = "Other" })
      assert.same({ 400, "ErrorInvalidRequest" }, (refusal("GET", "/me/calendars/" .. other.id .. "/calendarView/delta?" .. window)))
      assert.same({ 400, "ErrorInvalidRequest" }, (refusal("GET", "/me/events/delta")))
    end)

    it("of events tells masters and exceptions, not occurrences", function()
      local made = good("POST", "/me/events", weekly("Series", "2025-03-03"))
      local list = good("GET", "/me/events/" .. made.id .. "/instances?" .. window).value
      local all, link = drain "/me/calendar/events/delta?startDateTime=2025-03-01T00:00:00Z"
      assert.equal(1, #all)
      good("PATCH", "/me/events/" .. list[2].id, { subject = "Other" })
      local types = {}
      for _, each in ipairs((drain(link))) do types[each.type] = each.subject end
      assert.same({ seriesMaster = "Series", exception = "Other" }, types)
    end)
  end)

  describe("notifications", function()
    local receiver, got

    before_each(function()
      got = {}
      receiver = assert(server.listen("http://127.0.0.1:0", {}, function(req)
        local token = req:arg "validationToken"
        if token then return { status = 200, headers = { ["content-type"] = "text/plain" }, body = token } end
        for _, each in ipairs(json.decode(req.body).value) do got[#got + 1] = each end
        return { status = 202, body = "" }
      end))
    end)
    after_each(function() receiver:close() end)

    local function subscribe(more)
      local body = {
        changeType = "created,updated,deleted", notificationUrl = receiver.url .. "/n", lifecycleNotificationUrl = receiver.url .. "/l", resource = "me/events",
        clientState = "s", expirationDateTime = os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + 3600),
      }
      for name, value in pairs(more or {}) do body[name] = value end
      return good("POST", "/subscriptions", body)
    end
    local function make(subject) return good("POST", "/me/events", event(subject, "2025-03-03T09:00:00", "2025-03-03T10:00:00")) end
    local function come(n) support.eventually(function() return #got >= n end, 5, n .. " notifications") end

    it("are dropped and doubled on demand", function()
      local made = subscribe()
      graph.fault { fault = "drop_notification" }
      make "one"
      graph.fault { fault = "duplicate_notification" }
      local second = make "two"
      come(2)
      assert.same({ second.id, second.id }, { got[1].resourceData.id, got[2].resourceData.id })
      assert.equal(made.id, got[1].subscriptionId)
      graph.fault { fault = "expire_subscription" }
      make "three"
      assert.same({ 404, "ResourceNotFound" }, (refusal("GET", "/subscriptions/" .. made.id)))
      assert.equal(2, #got)
    end)

    it("carry immutable ids where the subscription was made with them", function()
      local reply = good("POST", "/subscriptions", {
        changeType = "created", notificationUrl = receiver.url .. "/n", resource = "me/events", expirationDateTime = os.date("!%Y-%m-%dT%H:%M:%SZ",
          os.time() + 7200),
      }, { prefer = 'IdType="ImmutableId"' })
      assert.is_string(reply.id)
      local made = make "one"
      come(1)
      assert.not_equal(made.id, got[1].resourceData.id)
      assert.equal("one", good("GET", "/me/events/" .. got[1].resourceData.id).subject)
    end)

    it("remind before the end, and end", function()
      local made = subscribe()
      graph.advance(3600 - 600)
      come(1)
      assert.same({ "reauthorizationRequired", made.id, "s" }, { got[1].lifecycleEvent, got[1].subscriptionId, got[1].clientState })
      good("POST", "/subscriptions/" .. made.id .. "/reauthorize")
      graph.advance(700)
      assert.same({ 404, "ResourceNotFound" }, (refusal("PATCH", "/subscriptions/" .. made.id, { expirationDateTime = "2099-01-01T00:00:00Z" })))
      local again = subscribe { expirationDateTime = os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + 86400) }
      graph.control("POST", "/lifecycle", { subscription = again.id, event = "subscriptionRemoved" })
      come(2)
      assert.equal("subscriptionRemoved", got[2].lifecycleEvent)
      assert.same({}, good("GET", "/subscriptions").value)
    end)

    it("need a receiver that proves itself", function()
      local function refused(url) return (refusal("POST", "/subscriptions", {
        changeType = "created", notificationUrl = url, resource = "me/events", expirationDateTime = os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + 7200),
      })) end
      assert.same({ 400, "ValidationError" }, refused("http://127.0.0.1:" .. process.free_port() .. "/n"))
      assert.same({ 400, "InvalidRequest" }, refused "http://example.com/n")
    end)
  end)

  it("throttles a mailbox by its requests in ten minutes and its octets in half a one", function()
    graph.control("POST", "/switches", { requests = 3 })
    for _ = 1, 3 do good("GET", "/me") end
    local told, reply = refusal("GET", "/me")
    assert.same({ 429, "ApplicationThrottled" }, told)
    local wait = tonumber(reply.headers["retry-after"])
    assert.is_true(wait > 590 and wait <= 600, reply.headers["retry-after"])
    good("GET", "/me", nil, { token = "B" })
    graph.advance(wait)
    good("GET", "/me")
    graph.control("POST", "/switches", { requests = 0, uploadBytes = 1000 })
    local function large() return event(("x"):rep(200), "2025-03-03T09:00:00", "2025-03-03T10:00:00", { body = { contentType = "text", content = (
      "x"):rep(500) } }) end
    good("POST", "/me/events", large())
    assert.same({ 429, "ApplicationThrottled" }, (refusal("POST", "/me/events", large())))
  end)

  describe("permissions", function()
    local function with(...)
      graph.control("POST", "/token", { user = "alice@example.com", token = "some", scopes = { ... } })
      return { token = "some" }
    end

    it("show the basics only to those who have the basics", function()
      local made = good("POST", "/me/events", event("Seen", "2025-03-03T09:00:00", "2025-03-03T10:00:00", { body = { contentType = "text",
        content = "Hidden" } }))
      local basic = good("GET", "/me/events/" .. made.id, nil, with "Calendars.ReadBasic")
      assert.same({ "Seen", nil, nil }, { basic.subject, basic.body, basic.bodyPreview })
      assert.same({ 403, "ErrorAccessDenied" }, (refusal("GET", "/me/events/" .. made.id .. "/attachments", nil, with "Calendars.ReadBasic")))
      assert.same({ 403, "ErrorAccessDenied" }, (refusal("DELETE", "/me/events/" .. made.id, nil, with "Calendars.Read")))
      assert.same({ 403, "ErrorAccessDenied" }, (refusal("GET", "/places/microsoft.graph.room", nil, with "Calendars.ReadWrite")))
      assert.same({ 403, "Authorization_RequestDenied" }, (refusal("GET", "/users", nil, with "User.Read")))
    end)

    it("end at another's mailbox, unless it is shared", function()
      assert.same({ 403, "ErrorAccessDenied" }, (refusal("GET", "/users/bob@example.com/events")))
      local role = good("POST", "/me/calendar/calendarPermissions", { role = "write", emailAddress = { address = "alice@example.com",
        name = "Alice" } }, { token = "B" })
      local made = good("POST", "/users/bob@example.com/calendar/events", event("By Alice", "2025-03-03T09:00:00", "2025-03-03T10:00:00"))
      assert.equal("By Alice", good("GET", "/me/events/" .. made.id, nil, { token = "B" }).subject)
      good("DELETE", "/me/calendar/calendarPermissions/" .. role.id, nil, { token = "B" })
      assert.same({ 403, "ErrorAccessDenied" }, (refusal("GET", "/users/bob@example.com/calendarView?" .. window)))
    end)

    it("of personal accounts hold no schedules", function()
      graph.control("POST", "/switches", { personal = true })
      assert.same({ 403, "ErrorAccessDenied" }, (refusal("POST", "/me/calendar/getSchedule", {
        schedules = { "bob@example.com" }, startTime = at "2025-03-03T09:00:00", endTime = at "2025-03-03T10:00:00",
      })))
    end)
  end)

  it("names what it applied, and does not let a meeting live without its blob", function()
    local made, reply = good("POST", "/me/events", event("Online", "2025-03-03T09:00:00", "2025-03-03T10:00:00", { isOnlineMeeting = true }), {
      prefer = 'IdType="ImmutableId", outlook.timezone="Europe/Berlin", outlook.body-content-type="text"',
    })
    assert.same('IdType="ImmutableId", outlook.timezone="Europe/Berlin", outlook.body-content-type="text"', reply.headers["preference-applied"])
    assert.same({ "Europe/Berlin", "text", true }, { made.start.timeZone, made.body.contentType, made.isOnlineMeeting })
    local whole = good("GET", "/me/events/" .. made.id)
    local kept = good("PATCH", "/me/events/" .. made.id, { body = { contentType = "html", content = "<p>Agenda</p>" .. whole.body.content } })
    assert.equal(whole.onlineMeeting.joinUrl, kept.onlineMeeting.joinUrl)
    local lost = good("PATCH", "/me/events/" .. made.id, { body = { contentType = "html", content = "<p>Agenda</p>" } })
    assert.same({ false, json.null, "unknown" }, { lost.isOnlineMeeting, lost.onlineMeeting, lost.onlineMeetingProvider })
    graph.control("POST", "/calendar-providers", { user = "alice@example.com", providers = { "skypeForBusiness" } })
    assert.same({ 400, "ErrorInvalidRequest" }, (refusal("POST", "/me/events", event("x", "2025-03-03T09:00:00", "2025-03-03T10:00:00", {
      isOnlineMeeting = true, onlineMeetingProvider = "teamsForBusiness",
    }))))
  end)

  it("explains itself", function()
    local result = support.lunation { "run", "spec/emulators/microsoft.lua", "--help" }
    assert.equal(0, result.code)
    assert.is_truthy(result.stdout:find("--user EMAIL=TOKEN", 1, true))
    assert.equal(2, support.lunation({ "run", "spec/emulators/microsoft.lua", "--bogus" }).code)
  end)
end)
