-- How Microsoft's provider speaks to Graph, against a server that answers as it is told: headers, pages, batches, errors, and all
-- that is not events.
local json = require "lunation.json"
local microsoft = require "spec.support.microsoft"
local request = require "lunation.microsoft.request"

local provider = microsoft.provider()

describe("Graph", function()
  local graph

  after_each(function()
    if graph then graph.stop() end
    graph = nil
  end)

  local function start(answer, options)
    graph = microsoft.scripted(answer)
    return microsoft.account(graph.url .. "/v1.0", options)
  end

  local function fail(status, code, headers)
    return { status = status, headers = headers or {}, body = { error = { code = code, message = code } } }
  end

  it("is asked for ids that stay and times in UTC, each time", function()
    local account = start(function(req)
      if req.path == "/v1.0/me" then return { id = "u", mail = "alice@example.com", displayName = "Alice" } end
      if req.path == "/v1.0/me/mailboxSettings" then return { timeZone = "W. Europe Standard Time" } end
      if req.path == "/v1.0/me/calendars" then return { value = { { id = "c", name = "Calendar", isDefaultCalendar = true, canEdit = true } } } end
    end)
    local found = assert(provider.identify(account))
    assert.equal("alice@example.com", found.identity)
    assert.equal("Alice", found.name)
    assert.equal("Europe/Berlin", found.settings.timeZone)
    local list = assert(provider.calendars(account))
    local calendar = assert(provider.calendar:to(list[1]))
    assert.same({ "c", "Calendar", "Europe/Berlin", false, true },
      { calendar.id, calendar.title, calendar.timeZone, calendar.readOnly, calendar.primary })
    for _, req in ipairs(graph.requests) do
      assert.truthy(req.prefer:find('IdType="ImmutableId"', 1, true))
      assert.truthy(req.prefer:find('outlook.timezone="UTC"', 1, true))
      assert.equal("Bearer token-alice", req.authorization)
    end
  end)

  it("may keep the mailbox's settings to itself", function()
    local account = start(function(req)
      if req.path == "/v1.0/me" then return { id = "u", mail = json.null, userPrincipalName = "bob@example.com" } end
      if req.path == "/v1.0/me/mailboxSettings" then return fail(403, "ErrorAccessDenied") end
    end)
    local found = assert(provider.identify(account))
    assert.equal("bob@example.com", found.identity)
    assert.is_nil(found.settings.timeZone)
  end)

  it("gives consent in part", function()
    local granted = provider.auth.granted
    local asked = provider.auth.scopes["read-write"]
    assert.same({ calendar = true, missing = {} }, granted({ scope = "openid User.Read Calendars.ReadWrite MailboxSettings.Read" }, asked))
    local long = ("User.Read Calendars.ReadWrite MailboxSettings.Read"):gsub("%S+", "https://graph.microsoft.com/%0")
    assert.same({ calendar = true, missing = {} }, granted({ scope = long }, asked))
    local without = granted({ scope = "User.Read MailboxSettings.Read" }, asked)
    assert.is_false(without.calendar)
    assert.same({ "Calendars.ReadWrite" }, without.missing)
    assert.is_true(granted({ scope = "User.Read Calendars.ReadWrite" }, provider.auth.scopes.read).calendar)
    assert.is_false(granted({ scope = "User.Read Calendars.Read" }, asked).calendar)
  end)

  it("has errors with names", function()
    local cases = {
      { 401, "InvalidAuthenticationToken", "unauthorized" }, { 403, "ErrorAccessDenied", "forbidden" }, { 404, "ErrorItemNotFound", "not_found" },
      { 400, "ErrorInvalidIdMalformed", "not_found" }, { 409, "ErrorDuplicateTransactionId", "conflict" }, { 410, "SyncStateNotFound", "gone" },
      { 400, "SyncStateNotFound", "gone" }, { 410, "resyncRequired", "gone" }, { 412, "ErrorIrresolvableConflict", "precondition_failed" },
      { 409, "ErrorIrresolvableConflict", "precondition_failed" }, { 429, "TooManyRequests", "rate_limited", true },
      { 429, "ApplicationThrottled", "rate_limited", true }, { 503, "ServiceUnavailable", "unavailable", true },
      { 504, "GatewayTimeout", "timeout", true }, { 500, "InternalServerError", "provider_error" },
      { 404, "MailboxNotEnabledForRESTAPI", "unsupported" }, { 400, "ErrorOccurrenceCrossingBoundary", "invalid_request" },
      { 400, "ErrorPropertyValidationFailure", "invalid_request" }, { 418, "whatever", "provider_error" },
    }
    for _, case in ipairs(cases) do
      local said = provider.classify { status = case[1], headers = {}, body = json.encode { error = { code = case[2], message = "m" } } }
      assert.same({ case[3], case[2] }, { said.code, said.reason })
      if case[4] then assert.is_true(said.retry) end
    end
    assert.truthy(provider.classify { status = 400, body = '{"error":{"code":"ErrorOccurrenceCrossingBoundary","message":"m"}}' }.message:find "neighbour")
    assert.equal("unavailable", provider.classify({ status = 503, body = "<html>" }).code)
    assert.equal("provider_error", provider.classify({ status = 500, body = "" }).code)
  end)

  it("answers a batch part by part, and what was throttled again", function()
    local tries = {}
    local account = start(function(req)
      local responses = json.array {}
      assert.is_true(#req.json.requests <= 20)
      for _, each in ipairs(req.json.requests) do
        assert.equal('IdType="ImmutableId", outlook.timezone="UTC"', each.headers.Prefer)
        tries[each.url] = (tries[each.url] or 0) + 1
        local n = tonumber(each.url:match "%d+$")
        if n % 7 == 0 and tries[each.url] == 1 then
          responses[#responses + 1] = { id = each.id, status = 429, headers = { ["Retry-After"] = "0" }, body = { error = { code = "TooManyRequests" } } }
        elseif n % 5 == 0 then
          responses[#responses + 1] = { id = each.id, status = 404, body = { error = { code = "ErrorItemNotFound", message = "m" } } }
        else
          table.insert(responses, 1, { id = each.id, status = 200, body = { n = n } })
        end
      end
      return { responses = responses }
    end)
    local paths = {}
    for n = 1, 45 do paths[n] = "/me/events/" .. n end
    local answers = assert(request.batch(account, paths))
    for n = 1, 45 do
      assert.equal(n % 5 == 0 and 404 or 200, answers[n].status)
      if n % 5 ~= 0 then assert.equal(n, answers[n].value.n) end
      assert.equal(n % 7 == 0 and 2 or 1, tries[paths[n]])
    end
  end)

  it("is believed when a batch stays throttled", function()
    local account = start(function(req)
      local responses = {}
      for i, each in ipairs(req.json.requests) do responses[i] = { id = each.id, status = 429, headers = { ["Retry-After"] = "600" } } end
      return { responses = responses }
    end)
    local answers, err = request.batch(account, { "/me/events/1" })
    assert.is_nil(answers)
    assert.same({ "rate_limited", 600 }, { err.code, err.retry_after })
  end)

  local window = { from = 1762000000, to = 1762000000 + 7 * 86400 }

  it("tells when people are busy, each with an error of their own", function()
    local account = start(function(req)
      assert.is_true(#req.json.schedules <= 20)
      local value = json.array {}
      for _, id in ipairs(req.json.schedules) do
        if id == "nobody@example.com" then
          value[#value + 1] = { scheduleId = id, error = { responseCode = "ErrorMailRecipientNotFound", message = "unknown" } }
        elseif id == "view@example.com" then
          value[#value + 1] = { scheduleId = id, availabilityView = "0022300" }
        else
          value[#value + 1] = { scheduleId = id:upper(), scheduleItems = {
            { status = "busy", start = { dateTime = "2025-11-03T10:00:00.0000000", timeZone = "Pacific Standard Time" },
              ["end"] = { dateTime = "2025-11-03T11:00:00.0000000", timeZone = "Pacific Standard Time" } },
            { status = "oof", start = { dateTime = "2025-11-02T10:00:00", timeZone = "UTC" },
              ["end"] = { dateTime = "2025-11-02T12:00:00", timeZone = "UTC" } },
            { status = "free", start = { dateTime = "2025-11-04T10:00:00", timeZone = "UTC" },
              ["end"] = { dateTime = "2025-11-04T12:00:00", timeZone = "UTC" } },
          } }
        end
      end
      return { value = value }
    end)
    local asked = { "nobody@example.com", "view@example.com" }
    for n = 1, 41 do asked[#asked + 1] = ("p%d@example.com"):format(n) end
    local found = assert(provider.freebusy(account, { calendars = asked, from = window.from, to = window.to }))
    assert.equal(3, #graph.requests)
    assert.equal("not_found", found["nobody@example.com"].error.code)
    assert.same({ { start = window.from + 3600, finish = window.from + 7200, status = "busy" },
      { start = window.from + 7200, finish = window.from + 9000, status = "unavailable" } }, found["view@example.com"].busy)
    local busy = found["p41@example.com"].busy
    assert.equal(2, #busy)
    assert.same({ 1762077600, "unavailable" }, { busy[1].start, busy[1].status })
    assert.same({ 1762192800, 1762196400, "busy" }, { busy[2].start, busy[2].finish, busy[2].status })
  end)

  it("has no schedules for personal accounts, and calendars of one's own all the same", function()
    local account = start(function(req)
      if req.method == "POST" then return fail(400, "ErrorNotSupported") end
      return { value = { { id = "e", showAs = "tentative", isCancelled = false, start = { dateTime = "2025-11-02T10:00:00", timeZone = "UTC" },
        ["end"] = { dateTime = "2025-11-02T12:00:00", timeZone = "UTC" } } } }
    end)
    local found = assert(provider.freebusy(account, { calendars = { "AAMk=", "bob@example.com" }, from = window.from, to = window.to }))
    assert.equal("invalid_request", found["bob@example.com"].error.code)
    assert.same({ { start = 1762077600, finish = 1762084800, status = "tentative" } }, found["AAMk="].busy)
  end)

  it("has rooms, in lists where they may not be had at once", function()
    local room = { id = "r", displayName = "Rainier", emailAddress = "rainier@example.com", capacity = 12, building = "B1", floorNumber = 3,
      tags = { "bean bags" }, isWheelChairAccessible = true, floorLabel = json.null }
    local account = start(function(req)
      if req.path == "/v1.0/places/microsoft.graph.room" then return fail(404, "ResourceNotFound") end
      if req.path == "/v1.0/places/microsoft.graph.roomlist" then return { value = { { id = "l", emailAddress = "bldg@example.com" } } } end
      if req.path == "/v1.0/places/bldg@example.com/microsoft.graph.roomlist/rooms" then return { value = { room, room } } end
    end)
    local rooms = assert(provider.resources(account, {}))
    assert.equal(1, #rooms)
    assert.same({ "rainier@example.com", "Rainier", 12, "B1", "3" }, { rooms[1].id, rooms[1].name, rooms[1].capacity, rooms[1].building, rooms[1].floor })
    assert.same({ "bean bags", "wheelchair accessible" }, { table.unpack(rooms[1].features) })
    assert.equal(0, #assert(provider.resources(account, { query = "hood" })))
  end)

  it("has people one works with", function()
    local account = start(function()
      return { value = {
        { id = "1", displayName = "Bob", userPrincipalName = "bob@example.com", personType = { class = "Person", subclass = "OrganizationUser" },
          scoredEmailAddresses = { { address = "bob@example.com" } } },
        { id = "2", displayName = "Else", scoredEmailAddresses = { { address = "else@other.com" } },
          personType = { class = "Person", subclass = "PersonalContact" } },
        { id = "3", displayName = "All", userPrincipalName = "all@example.com", personType = { class = "Group", subclass = "UnifiedGroup" } },
      } }
    end)
    local people = assert(provider.coworkers(account, { query = "bo" }))
    assert.equal(1, #people)
    assert.same({ "Bob", "bob@example.com", "bob@example.com" }, { people[1].name, people[1].email, people[1].calendar })
    assert.truthy(graph.requests[1].query:find("%$search=%%22bo%%22"))
  end)

  it("makes, changes and ends calendars", function()
    local account = start(function(req)
      if req.method == "POST" then return { status = 201, body = { id = "new", name = req.json.name, color = req.json.color, canEdit = true } } end
      if req.method == "PATCH" then return { id = "new", name = req.json.name, color = req.json.color, canEdit = true } end
      if req.method == "DELETE" then return { status = 204, body = "" } end
    end)
    local native = assert(provider.calendar:from { title = "Team", color = "#a6d1f5" })
    local made = assert(provider.calendar_create(account, native, {}))
    assert.same({ name = "Team", color = "lightBlue" }, graph.requests[1].json)
    local calendar = assert(provider.calendar:to(made))
    assert.same({ "new", "Team", "#a6d1f5" }, { calendar.id, calendar.title, calendar.color })
    assert(provider.calendar_create(account, native, { group = "g1" }))
    assert.equal("/v1.0/me/calendarGroups/g1/calendars", graph.requests[2].path)
    calendar.title = "Crew"
    made = assert(provider.calendar_update(account, assert(provider.calendar:from(calendar, made))))
    assert.equal("Crew", made.name)
    assert.is_true(provider.calendar_delete(account, "new"))
    assert.equal("/v1.0/me/calendars/new", graph.requests[4].path)
  end)

  it("subscribes to a mailbox, obeys the end that it is given, and renews", function()
    local account = start(function(req)
      if req.method == "POST" then
        return { status = 201, body = { id = "s1", resource = req.json.resource, expirationDateTime = "2026-01-02T03:04:05.678Z" } }
      end
      if req.method == "PATCH" then return { id = "s1", resource = "/me/events", expirationDateTime = "2026-01-03T03:04:05Z" } end
      if req.method == "DELETE" then return fail(404, "ResourceNotFound") end
    end)
    account.now = 1767225600
    local made = assert(provider.watch(account, nil, { url = "https://l.test/n", id = "x", token = ("t"):rep(200), lifetime = 600 }))
    assert.same({ "s1", 1767323045 }, { made.id, made.expires })
    local sent = graph.requests[1].json
    assert.equal("created,updated,deleted", sent.changeType)
    assert.equal("/me/events", sent.resource)
    assert.equal("2026-01-01T00:45:00Z", sent.expirationDateTime)
    assert.equal(128, #sent.clientState)
    assert.equal("https://l.test/n", sent.lifecycleNotificationUrl)
    local renewed = assert(provider.renew(account, made, { lifetime = 86400 }))
    assert.equal(1767409445, renewed.expires)
    assert.same({ expirationDateTime = "2026-01-02T00:00:00Z" }, graph.requests[2].json)
    assert.is_true(provider.unwatch(account, made))
  end)

  it("is told the validation token as plain text", function()
    local got = provider.receive { method = "POST", query = "validationToken=Validation%3A+a%3Cb%3E%26%2B", body = "" }
    assert.equal(200, got.response.status)
    assert.equal("Validation: a<b>&+", got.response.body)
    assert.truthy(got.response.headers["content-type"]:find("text/plain", 1, true))
    assert.same({}, got.notices)
  end)

  it("notifies, several at once", function()
    local got = provider.receive { query = "", body = json.encode { value = {
      { subscriptionId = "s1", clientState = "t", changeType = "updated", resource = "Users/u/Events/e" },
      { subscriptionId = "s1", clientState = "t", lifecycleEvent = "reauthorizationRequired" },
      { subscriptionId = "s1", clientState = "t", lifecycleEvent = "subscriptionRemoved" }, { subscriptionId = "s2", lifecycleEvent = "missed" },
      { nonsense = true }, 7,
    } } }
    assert.equal(202, got.response.status)
    local kinds = {}
    for i, notice in ipairs(got.notices) do kinds[i] = notice.subscription .. " " .. notice.kind end
    assert.same({ "s1 changed", "s1 renew", "s1 removed", "s2 missed" }, kinds)
    assert.same({ "t", "Users/u/Events/e" }, { got.notices[1].token, got.notices[1].resource })
    for _, body in ipairs { "", "<xml>", "[]", '{"value":7}' } do
      local bad = provider.receive { query = "", body = body }
      assert.equal(#bad.notices, 0)
    end
  end)

  it("has contacts, and tells what changed of them", function()
    local answers = {}
    local account
    account = start(function(req)
      if req.method == "GET" and req.path == "/v1.0/me/contacts/delta" then
        local said = answers[req.query]
        return said and said() or fail(410, "SyncStateNotFound")
      end
    end)
    local function contact(id, name) return { id = id, ["@odata.etag"] = "e" .. id, displayName = name, givenName = name } end
    answers[""] = function() return { value = { contact("1", "A") }, ["@odata.nextLink"] = graph.url .. "/v1.0/me/contacts/delta?$skiptoken=2" } end
    answers["$skiptoken=2"] = function()
      return { value = { contact("2", "B") }, ["@odata.deltaLink"] = graph.url .. "/v1.0/me/contacts/delta?$deltatoken=3" }
    end
    answers["$deltatoken=3"] = function()
      return { value = { { id = "1", ["@removed"] = { reason = "deleted" } } }, ["@odata.deltaLink"] = graph.url .. "/v1.0/me/contacts/delta?$deltatoken=4" }
    end
    local function all(options)
      local batches, following = {}, provider.contacts(account, options)
      for batch in following do batches[#batches + 1] = batch end
      return batches
    end
    local batches = all {}
    assert.equal(2, #batches)
    assert.same({ true, true, true, false }, { batches[1].reset, batches[1].more, batches[2].reset, batches[2].more })
    assert.equal("A", assert(provider.contact:to(batches[1].upserts[1])).name.full)
    local later = all { state = batches[2].state }
    assert.same({ "1" }, later[1].deletes)
    assert.is_false(later[1].reset)
    -- The chain is over: everything again.
    local again = all { state = later[1].state }
    assert.equal(2, #again)
    assert.is_true(again[1].reset)
  end)

  it("maps contacts both ways", function()
    local native = {
      id = "1", displayName = "Dr. Ann B. Lee Jr.", givenName = "Ann", middleName = "B.", surname = "Lee", title = "Dr.", generation = "Jr.",
      nickName = "Annie", emailAddresses = { { address = "ann@example.com", name = "Ann" } }, businessPhones = { "+1 1", "+1 2" }, homePhones = { "+1 3" },
      mobilePhone = "+1 4", companyName = "Example", department = "Sales", jobTitle = "Head", birthday = "1604-02-29T00:00:00Z",
      businessAddress = { street = "Main 1", city = "Town", countryOrRegion = "US" }, personalNotes = "n", yomiSurname = "kept",
      businessHomePage = "https://example.com", lastModifiedDateTime = "2025-01-01T00:00:00Z", homeAddress = json.object {},
    }
    local card = assert(provider.contact:to(native))
    assert.equal("Ann", card.name.given)
    assert.equal("ann@example.com", card.emails[1].address)
    assert.equal(4, #card.phones)
    assert.equal("--02-29", card.birthday)
    assert.same({ name = "Example", department = "Sales", title = "Head" }, card.organizations[1])
    assert.same({ street = "Main 1", locality = "Town", country = "US", context = "work" }, card.addresses[1])
    card.phones = { { number = "+1 9", features = "mobile" } }
    card.notes = nil
    local after = assert(provider.contact:from(card, native))
    assert.same({ "+1 9", 0, "kept" }, { after.mobilePhone, #after.businessPhones, after.yomiSurname })
    assert.same("Ann", after.emailAddresses[1].name)
    card.emails = { { address = "a@b.c" }, { address = "b@b.c" }, { address = "c@b.c" }, { address = "d@b.c" } }
    local refused, err = provider.contact:from(card, native)
    assert.is_nil(refused)
    assert.equal("emails", err.field)
  end)

  it("writes contacts by what changed, under their ETags", function()
    local account = start(function(req)
      if req.method == "POST" then return { status = 201, body = { id = "1", displayName = req.json.displayName, ["@odata.etag"] = "e1" } } end
      if req.method == "PATCH" then
        if req.if_match ~= "e1" then return fail(412, "ErrorIrresolvableConflict") end
        return { id = "1", displayName = req.json.displayName, ["@odata.etag"] = "e2" }
      end
      if req.method == "DELETE" then return { status = 204, body = "" } end
    end)
    local made = assert(provider.contact_create(account, assert(provider.contact:from { name = { full = "A" } })))
    assert.same({ displayName = "A" }, graph.requests[1].json)
    local card = assert(provider.contact:to(made))
    card.name = { full = "B" }
    local after = assert(provider.contact_update(account, assert(provider.contact:from(card, made)), { before = made, etag = made.etag }))
    assert.same({ displayName = "B" }, graph.requests[2].json)
    local refused, err = provider.contact_update(account, assert(provider.contact:from(card, made)), { before = made, etag = "old" })
    assert.is_nil(refused)
    assert.equal("precondition_failed", err.code)
    assert.is_true(provider.contact_delete(account, "1", { etag = after.etag }))
  end)
end)
