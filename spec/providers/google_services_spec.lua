-- What Google has besides events: calendars, busy times, contacts, rooms, people, notifications; who an account is, what its
-- consent allows, and what Google's refusals mean.
local crypto = require "lunation.crypto"
local google = require "spec.support.google"
local http = require "lunation.http"
local json = require "lunation.json"
local log = require "lunation.log"
local support = require "spec.support"

local provider = google.provider()

-- Rooms that come late are what one of these is about.
log.configure { level = "error" }
local PRIMARY = "alice@example.com"

describe("Google", function()
  local emulated, account

  setup(function() emulated = google.start() end)
  teardown(function() emulated.stop() end)
  before_each(function()
    emulated.reset()
    account = google.account(emulated, nil, { limits = { retry_wait = 1 } })
  end)
  after_each(function() google.assert_contract(emulated) end)

  local function raw(...) return google.raw(emulated, ...) end

  -- --- accounts ---

  it("says whose an account is", function()
    local found = assert(provider.identify(account))
    assert.equal(PRIMARY, found.identity)
    assert.same({ PRIMARY }, found.settings.addresses)
    local claims = crypto.base64url(json.encode { email = "Ada@Example.org", name = "Ada", sub = "1099" })
    account.answer = { id_token = "x." .. claims .. ".y" }
    found = assert(provider.identify(account))
    assert.same({ "ada@example.org", "Ada", "1099" }, { found.identity, found.name, found.subject })
  end)

  it("refuses a token that is none", function()
    account = google.account(emulated)
    account.credentials = { token = "wrong" }
    local found, err = provider.identify(account)
    assert.is_nil(found)
    assert.equal("unauthorized", err.code)
  end)

  describe("tells what was granted", function()
    local read_write = provider.auth.scopes["read-write"]
    local function granted(scope) return provider.auth.granted({ scope = scope }, read_write) end
    local who = "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile "

    it("where all was", function()
      local result = granted(who .. "https://www.googleapis.com/auth/calendar")
      assert.is_true(result.calendar)
      assert.same({}, result.missing)
    end)

    it("where the calendar was withheld", function()
      local result = granted(who)
      assert.is_false(result.calendar)
      assert.same({ "https://www.googleapis.com/auth/calendar" }, result.missing)
    end)

    it("where a wider permission holds the one that was asked", function()
      local result = provider.auth.granted({ scope = who .. "https://www.googleapis.com/auth/calendar" }, provider.auth.scopes["free-busy"])
      assert.is_true(result.calendar)
      assert.same({}, result.missing)
    end)

    it("where contacts were withheld", function()
      local contacts = provider.auth.scopes.contacts
      local asked = table.move(contacts, 1, #contacts, #read_write + 1, table.move(read_write, 1, #read_write, 1, {}))
      local result = provider.auth.granted({ scope = who .. "https://www.googleapis.com/auth/calendar" }, asked)
      assert.is_true(result.calendar)
      assert.equal(3, #result.missing)
    end)
  end)

  describe("means by", function()
    local function of(status, reason, headers)
      local body = { error = { code = status, message = "said", errors = { { reason = reason } } } }
      return provider.classify { status = status, headers = headers or {}, body = json.encode(body) }
    end
    local cases = {
      { 401, "authError", "unauthorized", false }, { 403, "userRateLimitExceeded", "rate_limited", true }, { 403, "rateLimitExceeded", "rate_limited", true },
      { 403, "quotaExceeded", "rate_limited", true }, { 403, "calendarUsageLimitsExceeded", "rate_limited", false },
      { 403, "dailyLimitExceeded", "rate_limited", false }, { 403, "forbiddenForNonOrganizer", "forbidden", false },
      { 403, "insufficientPermissions", "forbidden", false }, { 403, "something else", "forbidden", false }, { 404, "notFound", "not_found", false },
      { 409, "duplicate", "conflict", false }, { 410, "deleted", "gone", false }, { 410, "fullSyncRequired", "gone", false },
      { 410, "updatedMinTooLongAgo", "gone", false }, { 412, "conditionNotMet", "precondition_failed", false },
      { 429, "rateLimitExceeded", "rate_limited", true },
      { 400, "invalid", "invalid_request", false }, { 500, "backendError", "provider_error", true }, { 503, "unheard of", "provider_error", true },
    }
    for _, case in ipairs(cases) do
      it(("%d %s"):format(case[1], case[2]), function()
        local meant = of(case[1], case[2])
        assert.same({ case[3], case[4], case[2] }, { meant.code, meant.retry, meant.reason })
        assert.is_string(meant.message)
      end)
    end

    it("a time to wait, in either form", function()
      assert.equal(7, of(429, "rateLimitExceeded", { ["retry-after"] = "7" }).retry_after)
      local date = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 60)
      local after = of(503, "backendError", { ["retry-after"] = date }).retry_after
      assert.is_true(after > 50 and after <= 60)
    end)

    it("an ended token of the People API, and a contact that has changed", function()
      local function said(status, reason)
        return provider.classify { status = status, headers = {}, body = json.encode { error = { code = status, message = "m", status = reason,
          details = reason ~= "FAILED_PRECONDITION" and { { reason = "EXPIRED_SYNC_TOKEN" } } or nil } } }
      end
      assert.equal("gone", said(400, "INVALID_ARGUMENT").code)
      assert.equal("precondition_failed", said(400, "FAILED_PRECONDITION").code)
    end)

    it("success nothing, and what is not JSON what its status says", function()
      assert.is_nil(provider.classify { status = 204, headers = {}, body = "" })
      assert.equal("provider_error", provider.classify({ status = 502, headers = {}, body = "<html>" }).code)
    end)
  end)

  -- --- calendars ---

  it("makes, changes and removes calendars", function()
    local wanted = { title = "Side", description = "Mine", timeZone = "Asia/Tokyo", color = "#ff8800" }
    local made = assert(provider.calendar_create(account, assert(provider.calendar:from(wanted))))
    local calendar = assert(provider.calendar:to(made))
    for name, v in pairs(wanted) do assert.equal(v, calendar[name]) end
    assert.is_false(calendar.readOnly)
    calendar.title, calendar.description = "Other", nil
    local changed = assert(provider.calendar:to(assert(provider.calendar_update(account, assert(provider.calendar:from(calendar, made))))))
    assert.equal("Other", changed.title)
    assert.is_nil(changed.description)
    assert.is_true(provider.calendar_delete(account, made.id))
    for _, entry in ipairs(assert(provider.calendars(account))) do assert.are_not.equal(made.id, entry.id) end
    local kept, err = provider.calendar_delete(account, PRIMARY)
    assert.is_nil(kept)
    assert.same({ "unsupported", "primary" }, { err.code, err.reason })
  end)

  it("says what a role may do", function()
    for role, read_only in pairs { owner = false, writer = false, reader = true, freeBusyReader = true, none = true } do
      local calendar = assert(provider.calendar:to { id = "x", summary = "X", summaryOverride = "Mine", accessRole = role })
      assert.equal(read_only, calendar.readOnly)
      assert.equal("Mine", calendar.title)
    end
    assert.same({ "read-free-busy" }, provider.calendar:to({ id = "x", summary = "X", accessRole = "freeBusyReader" }).privileges)
  end)

  -- --- busy times ---

  it("says when calendars are busy, fifty in a request, each with its own error", function()
    raw("POST", "/calendars/bob%40example.com/events", {
      summary = "B", start = { dateTime = "2027-03-02T10:00:00Z" }, ["end"] = { dateTime = "2027-03-02T11:00:00Z" } }, "bob@example.com")
    local calendars = { "bob@example.com" }
    for i = 1, 119 do calendars[#calendars + 1] = ("nobody%d@example.com"):format(i) end
    local from = 1803945600 -- 2027-03-02T00:00:00Z
    local found = assert(provider.freebusy(account, { calendars = calendars, from = from, to = from + 86400 }))
    assert.same({ { start = from + 36000, finish = from + 39600, status = "busy" } }, found["bob@example.com"].busy)
    assert.equal("not_found", found["nobody7@example.com"].error.code)
    local asked = 0
    for _, request in ipairs(emulated.requests()) do asked = asked + (request.path:find "/freeBusy$" and 1 or 0) end
    assert.equal(3, asked)
  end)

  -- --- contacts ---

  local function contacts(state)
    local rows, after = {}, nil
    local reset = false
    local following = assert(provider.contacts(account, { state = state }))
    while true do
      local batch, err = following()
      if not batch then
        assert(not err, tostring(err))
        return after, rows, reset
      end
      reset = reset or batch.reset or false
      for _, native in ipairs(batch.upserts) do rows[native.id] = assert(provider.contact:to(native)) end
      for _, id in ipairs(batch.deletes) do rows[id] = false end
      after = batch.state or after
    end
  end

  it("keeps contacts, and tells what changed among them", function()
    emulated.control("POST", "/options", { people_delay = 0 })
    local card = { name = { given = "Grace", surname = "Hopper" }, emails = { { address = "grace@x.example", context = "work" } },
      phones = { { number = "+1 555", context = "mobile" } }, organizations = { { name = "Navy", title = "Admiral" } }, birthday = "1906-12-09", notes = "bug" }
    local made = assert(provider.contact_create(account, assert(provider.contact:from(card))))
    local shown = assert(provider.contact:to(made))
    assert.same({ "Grace Hopper", "Grace", "Hopper" }, { shown.name.full, shown.name.given, shown.name.surname })
    assert.same({ "grace@x.example", "work", "1906-12-09", "bug", "Admiral" },
      { shown.emails[1].address, shown.emails[1].context, shown.birthday, shown.notes, shown.organizations[1].title })
    local state, rows, reset = contacts()
    assert.is_true(reset)
    assert.equal("Grace Hopper", rows[made.id].name.full)
    shown.notes = "a moth"
    local changed = assert(provider.contact_update(account, assert(provider.contact:from(shown, made)), { etag = made.etag }))
    assert.equal("a moth", provider.contact:to(changed).notes)
    local stale, err = provider.contact_update(account, assert(provider.contact:from(shown, made)), { etag = made.etag })
    assert.is_nil(stale)
    assert.equal("precondition_failed", err.code)
    -- What was written shows after a while.
    local function next_of(id)
      return support.eventually(function()
        state, rows, reset = contacts(state)
        assert.is_false(reset)
        return rows[id] ~= nil and { rows[id] }
      end, 10)[1]
    end
    assert.equal("a moth", next_of(made.id).notes)
    assert.is_true(provider.contact_delete(account, made.id))
    assert.is_false(next_of(made.id))
    -- A token that has ended begins anew.
    emulated.control("POST", "/expire")
    reset = select(3, contacts(state))
    assert.is_true(reset)
  end)

  it("finds contacts by a text", function()
    emulated.control("POST", "/options", { people_delay = 0 })
    for _, name in ipairs { "Ada", "Grace" } do
      local card = { name = { given = name }, emails = { { address = name:lower() .. "@x.example" } } }
      assert(provider.contact_create(account, assert(provider.contact:from(card))))
    end
    local following = assert(provider.contacts(account, { query = "grac" }))
    local batch = assert(following())
    assert.equal(1, #batch.upserts)
    assert.equal("grace@x.example", provider.contact:to(batch.upserts[1]).emails[1].address)
    assert.is_nil(following())
  end)

  it("shows other contacts, which are only read", function()
    emulated.control("POST", "/other-contacts", { user = PRIMARY, email = "seen@x.example", name = "Seen Once" })
    local _, rows = contacts()
    local id = next(rows)
    assert.same({ "Seen Once", true, "seen@x.example" }, { rows[id].name.full, rows[id].readOnly, rows[id].emails[1].address })
    local done, err = provider.contact_delete(account, id)
    assert.is_nil(done)
    assert.same({ "forbidden", "read_only" }, { err.code, err.reason })
  end)

  -- --- rooms and people ---

  it("lists rooms for an administrator, and says what others lack", function()
    local base = emulated.url .. "/admin/directory/v1/customer/my_customer/resources/"
    local function make(what, body)
      local answer = assert(http.request { method = "POST", url = base .. what, json = body, auth = { kind = "bearer", token = "token-alice" } })
      assert(answer.status < 300, answer.body)
    end
    make("buildings", { buildingId = "hq", buildingName = "Headquarters", floorNames = { "1" } })
    make("calendars", { resourceId = "r1", resourceName = "Aquarium", capacity = 8, buildingId = "hq", floorName = "1", resourceCategory = "CONFERENCE_ROOM" })
    make("calendars", { resourceId = "r2", resourceName = "Beamer", resourceCategory = "OTHER" })
    local list = assert(provider.resources(account))
    local by_name = {}
    for _, room in ipairs(list) do by_name[room.name] = room end
    assert.same({ 8, "Headquarters", "1", "room" }, { by_name.Aquarium.capacity, by_name.Aquarium.building, by_name.Aquarium.floor, by_name.Aquarium.kind })
    assert.truthy(by_name.Aquarium.email:find "@")
    assert.equal("resource", by_name.Beamer.kind)
    assert.equal(1, #assert(provider.resources(account, { query = "aqua" })))
    local none, err = provider.resources(google.account(emulated, "bob@example.com"))
    assert.is_nil(none)
    assert.same({ "forbidden", "resources" }, { err.code, err.scope })
    assert.truthy(tostring(err):find("administrator", 1, true))
  end)

  it("lists the people of the organization with their calendars", function()
    local list = assert(provider.coworkers(account))
    local found
    for _, person in ipairs(list) do found = person.email == "bob@example.com" and person or found end
    assert.same({ "bob@example.com", "bob@example.com" }, { found.email, found.calendar })
    list = assert(provider.coworkers(account, { query = "bob" }))
    assert.equal(1, #list)
  end)

  -- --- notifications ---

  it("watches a calendar, and stops", function()
    local calendar = google.calendar(PRIMARY)
    local id = crypto.uuid()
    local made = assert(provider.watch(account, calendar, { url = "https://127.0.0.1:1/hook", id = id, token = "secret", lifetime = 3600 }))
    assert.equal(id, made.id)
    assert.is_string(made.resource)
    assert.is_true(math.abs(made.expires - os.time() - 3600) < 60)
    local other = assert(provider.watch(account, calendar, { url = "https://127.0.0.1:1/hook", id = crypto.uuid(), token = "secret" }))
    assert.equal(made.resource, other.resource)
    assert.is_true(provider.unwatch(account, made))
    assert.is_true(provider.unwatch(account, made))
    local plain, err = provider.watch(account, calendar, { url = "http://127.0.0.1:1/hook", id = crypto.uuid(), token = "secret" })
    assert.is_nil(plain)
    assert.same({ "unsupported", "push_address" }, { err.code, err.reason })
    local again
    again, err = provider.watch(account, calendar, { url = "https://127.0.0.1:1/hook", id = other.id, token = "secret" })
    assert.is_nil(again)
    assert.is_string(err.code)
  end)

  it("reads what a notification says", function()
    local function notice(state, more)
      local headers = { ["x-goog-channel-id"] = "c", ["x-goog-channel-token"] = "t", ["x-goog-resource-id"] = "r", ["x-goog-resource-state"] = state,
        ["x-goog-message-number"] = "3" }
      for name, v in pairs(more or {}) do headers[name] = v or nil end
      return provider.receive { headers = headers, body = "" }
    end
    assert.same({ { subscription = "c", token = "t", resource = "r", kind = "sync", number = 3 } }, notice("sync").notices)
    assert.equal("changed", notice("exists").notices[1].kind)
    assert.equal("removed", notice("not_exists").notices[1].kind)
    assert.equal(200, notice("exists").response.status)
    assert.same({ response = { status = 400 }, notices = {} }, provider.receive { headers = {} })
  end)

  -- --- batch ---

  it("changes many instances in one request, and those that are put off one by one", function()
    local calendar = google.calendar(PRIMARY, { timeZone = "Europe/Berlin" })
    local event = { ["@type"] = "Event", uid = "batch", title = "B", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT1H",
      recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 9 } }, recurrenceOverrides = {} }
    for day = 3, 8 do event.recurrenceOverrides[("2027-03-%02dT18:00:00"):format(day)] = { title = "D" .. day } end
    emulated.fault { match = { method = "PATCH", path = "20270305" }, fault = "status", status = 403, reason = "rateLimitExceeded" }
    local made = assert(provider.create(account, calendar, assert(provider.event:from(event)), { id = provider.new_id "batch" }))
    local shown = assert(provider.event:to(made))
    for day = 3, 8 do assert.equal("D" .. day, shown.recurrenceOverrides[("2027-03-%02dT18:00:00"):format(day)].title) end
    local sent = 0
    for _, request in ipairs(emulated.requests()) do sent = sent + (request.path:find("/batch", 1, true) and 1 or 0) end
    assert.is_true(sent >= 1)
  end)

  it("is used through its own addresses where the configuration says only hosts", function()
    local session = require "lunation.google.session"
    local here = { config = { urls = { calendar = "http://h:1/", people = "http://h:1/other/v1/", directory = "http://h:1" } } }
    assert.equal("http://h:1/calendar/v3", session.base(here, "calendar"))
    assert.equal("http://h:1/other/v1", session.base(here, "people"))
    assert.equal("http://h:1/admin/directory/v1", session.base(here, "directory"))
  end)

  it("is waited for no longer than a room takes", function()
    emulated.control("POST", "/options", { meet_seconds = 3600 })
    local calendar = google.calendar(PRIMARY)
    local event = { ["@type"] = "Event", uid = "late", title = "L", start = "2027-03-02T18:00:00", timeZone = "Europe/Berlin", duration = "PT1H",
      ["lunation:conference"] = { generate = true } }
    local native = assert(provider.event:from(event))
    local began = os.time()
    local made = assert(provider.create(account, calendar, native, { id = provider.new_id "late", transaction = "one" }))
    assert.is_true(os.time() - began < 10)
    assert.is_nil(provider.event:to(made)["lunation:conference"])
    assert.equal("one", made.conferenceData.createRequest.requestId)
    support.eventually(function()
      emulated.advance(3600)
      return provider.event:to(assert(provider.fetch(account, calendar, made.id)))["lunation:conference"]
    end, 5)
    calendar.original = { conferenceProperties = { allowedConferenceSolutionTypes = { "eventHangout" } } }
    local refused, err = provider.create(account, calendar, native, { id = provider.new_id "none" })
    assert.is_nil(refused)
    assert.same({ "unsupported", "conference" }, { err.code, err.reason })
  end)
end)
