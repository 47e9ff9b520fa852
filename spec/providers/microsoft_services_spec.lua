-- What Microsoft's provider does besides events, against the emulator: consent, calendars, free/busy, rooms, people, contacts,
-- subscriptions.
local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local json = require "lunation.json"
local microsoft = require "spec.support.microsoft"
local server = require "lunation.server"
local support = require "spec.support"

local provider = microsoft.provider()

describe("Microsoft", function()
  local graph, account

  setup(function() graph = emulator.start "microsoft" end)
  teardown(function() graph.stop() end)

  before_each(function()
    graph.clear()
    graph.reset()
    account = microsoft.account(graph.url .. "/v1.0")
  end)

  after_each(function()
    if graph.has_contract then assert.same({}, graph.violations()) end
  end)

  local function event(subject, hour, more, email)
    local body = { subject = subject, start = { dateTime = ("2026-12-07T%02d:00:00"):format(hour), timeZone = "UTC" },
      ["end"] = { dateTime = ("2026-12-07T%02d:00:00"):format(hour + 1), timeZone = "UTC" } }
    for name, value in pairs(more or {}) do body[name] = value end
    return microsoft.raw(graph, "POST", "/me/events", body, email)
  end

  it("says who it is", function()
    local found = assert(provider.identify(account))
    assert.equal("alice@example.com", found.identity)
    assert.is_string(found.subject)
    assert.equal("Etc/UTC", found.settings.timeZone)
  end)

  it("has calendars, which are made, changed and ended", function()
    local made = assert(provider.calendar_create(account, assert(provider.calendar:from { title = "Team", color = "#87d28e" }), {}))
    local calendar = assert(provider.calendar:to(made))
    assert.equal("Team", calendar.title)
    assert.is_false(calendar.readOnly)
    calendar.title = "Crew"
    assert(provider.calendar_update(account, assert(provider.calendar:from(calendar, made))))
    local titles = {}
    for _, native in ipairs(assert(provider.calendars(account))) do
      local each = assert(provider.calendar:to(native))
      titles[each.title] = each
    end
    assert.is_true(titles.Calendar.primary)
    assert.is_nil(titles.Crew.primary or nil)
    assert.is_true(provider.calendar_delete(account, made.id))
    assert.equal(1, #assert(provider.calendars(account)))
  end)

  it("tells when oneself, others and rooms are busy", function()
    event("busy", 9)
    event("away", 10, { showAs = "oof" })
    event("open", 12, { showAs = "free" })
    event("perhaps", 14, { showAs = "tentative" }, "bob@example.com")
    local from = 1796601600
    local own = assert(provider.calendars(account))[1].id
    local found = assert(provider.freebusy(account, {
      calendars = { own, "alice@example.com", "bob@example.com", "nobody@nowhere.test" }, from = from, to = from + 86400,
    }))
    local mine = { { start = from + 9 * 3600, finish = from + 10 * 3600, status = "busy" },
      { start = from + 10 * 3600, finish = from + 11 * 3600, status = "unavailable" } }
    assert.same(mine, found[own].busy)
    assert.same(mine, found["alice@example.com"].busy)
    assert.same({ { start = from + 14 * 3600, finish = from + 15 * 3600, status = "tentative" } }, found["bob@example.com"].busy)
    assert.is_not_nil(found["nobody@nowhere.test"].error)
    assert.same({}, found["nobody@nowhere.test"].busy)
  end)

  it("has no schedules of others for a personal account, and says so of each", function()
    graph.control("POST", "/switches", { personal = true })
    event("busy", 9)
    local own = assert(provider.calendars(account))[1].id
    local found = assert(provider.freebusy(account, { calendars = { own, "bob@example.com" }, from = 1796601600, to = 1796688000 }))
    graph.control("POST", "/switches", { personal = false })
    assert.equal(1, #found[own].busy)
    assert.is_not_nil(found["bob@example.com"].error)
  end)

  it("has rooms, which are invited as resources", function()
    local rooms = assert(provider.resources(account, {}))
    assert.is_true(#rooms > 0)
    local room = rooms[1]
    assert.truthy(room.email:find("@", 1, true))
    assert.equal(room.id, room.email)
    local native = assert(provider.event:from {
      uid = "r1", title = "Meeting", start = "2026-12-07T09:00:00", duration = "PT1H", timeZone = "Etc/UTC",
      participants = { room = { email = room.email, name = room.name, kind = "location", roles = { attendee = true } } },
    })
    local calendar = assert(provider.calendar:to(assert(provider.calendars(account))[1]))
    local made = assert(provider.create(account, calendar, native, { id = provider.new_id "r1" }))
    assert.equal("resource", made.attendees[1].type)
    assert.equal(1, #assert(provider.resources(account, { query = room.name })))
    assert.equal(0, #assert(provider.resources(account, { query = "no such room" })))
  end)

  it("has people one works with, whose calendars may be read", function()
    local people = assert(provider.coworkers(account, {}))
    local bob
    for _, person in ipairs(people) do
      if person.email == "bob@example.com" then bob = person end
    end
    assert.is_not_nil(bob)
    assert.equal("bob@example.com", bob.calendar)
  end)

  it("has contacts that are followed and written", function()
    local made = assert(provider.contact_create(account, assert(provider.contact:from {
      name = { full = "Ann Lee", given = "Ann", surname = "Lee" }, emails = { { address = "ann@example.com" } },
      phones = { { number = "+1 1", context = "work" }, { number = "+1 2", features = "mobile" } },
      organizations = { { name = "Example", title = "Head" } }, addresses = { { street = "Main 1", locality = "Town", context = "home" } },
      birthday = "1980-02-03", notes = "note",
    })))
    local card = assert(provider.contact:to(made))
    assert.same({ "Ann Lee", "ann@example.com", "+1 2", "Example", "1980-02-03" },
      { card.name.full, card.emails[1].address, card.phones[2].number, card.organizations[1].name, card.birthday })
    local function follow(state)
      local upserts, deletes = {}, {}
      for batch in provider.contacts(account, { state = state }) do
        for _, native in ipairs(batch.upserts) do upserts[#upserts + 1] = native.id end
        for _, id in ipairs(batch.deletes) do deletes[#deletes + 1] = id end
        state = json.decode(json.encode(batch.state or json.null)) or state
      end
      return upserts, deletes, state
    end
    local upserts, _, state = follow()
    assert.same({ made.id }, upserts)
    card.notes = "other"
    local after = assert(provider.contact_update(account, assert(provider.contact:from(card, made)), { before = made, etag = made.etag }))
    assert.equal("other", after.personalNotes)
    local refused, err = provider.contact_update(account, assert(provider.contact:from(card, made)), { etag = made.etag })
    assert.is_nil(refused)
    assert.equal("precondition_failed", err.code)
    local deletes
    upserts, _, state = follow(state)
    assert.same({ made.id }, upserts)
    assert.is_true(provider.contact_delete(account, made.id, { etag = after.etag }))
    upserts, deletes = follow(state)
    assert.same({ {}, { made.id } }, { upserts, deletes })
    graph.control("POST", "/forget")
    upserts = follow(state)
    assert.same({}, upserts)
    assert(provider.contact_create(account, assert(provider.contact:from { name = { full = "Zoe", given = "Zoe" } })))
    local found = {}
    for batch in provider.contacts(account, { query = "zo" }) do
      for _, native in ipairs(batch.upserts) do found[#found + 1] = native.displayName end
    end
    assert.same({ "Zoe" }, found)
  end)

  it("notifies a subscriber from the handshake to the end", function()
    local notices = {}
    local listener = assert(server.listen("http://127.0.0.1:0", {}, function(req)
      local got = provider.receive { method = req.method, query = req.query, body = req.body, headers = req.headers }
      for _, notice in ipairs(got.notices) do notices[#notices + 1] = notice end
      return got.response
    end))
    local made = assert(provider.watch(account, nil, { url = listener.url:gsub("/+$", "") .. "/notifications", id = "x", token = "secret", lifetime = 3600 }))
    assert.is_true(made.expires > os.time() + 1800)
    event("new", 9)
    support.eventually(function() return #notices > 0 end, 5, "a notification")
    assert.same({ made.id, "secret", "changed" }, { notices[1].subscription, notices[1].token, notices[1].kind })
    local renewed = assert(provider.renew(account, made, { lifetime = 86400 }))
    assert.is_true(renewed.expires > made.expires)
    for event_name, kind in pairs { reauthorizationRequired = "renew", missed = "missed" } do
      notices = {}
      graph.control("POST", "/lifecycle", { event = event_name, subscription = made.id })
      support.eventually(function() return #notices > 0 end, 5, event_name)
      assert.same({ made.id, kind }, { notices[1].subscription, notices[1].kind })
    end
    assert.is_true(provider.unwatch(account, made))
    assert.is_true(provider.unwatch(account, made))
    local gone, err = provider.renew(account, made, {})
    assert.is_nil(gone)
    assert.equal("not_found", err.code)
    listener:drain(1)
  end)

  it("shows when one is busy to an app that may see no more", function()
    event("secret plan", 9, { body = { contentType = "text", content = "details" } })
    graph.control("POST", "/token", { user = "alice@example.com", token = "basic", scopes = { "User.Read", "Calendars.ReadBasic" } })
    local basic = microsoft.account(graph.url .. "/v1.0", { token = "basic" })
    basic.credentials.scope = "User.Read Calendars.ReadBasic"
    local native = assert(provider.calendars(basic))[1]
    local calendar = microsoft.calendar(native.id, assert(provider.calendar:to(native)))
    assert(microsoft.pull(basic, calendar, provider))
    local _, row = next(calendar.rows)
    local canonical = assert(provider.event:to(row))
    assert.equal("2026-12-07T09:00:00", canonical.start)
    assert.equal("busy", canonical.freeBusyStatus)
  end)

  it("is used by hand as the account is", function()
    -- Every request says that ids stay and times are UTC.
    event("one", 9)
    assert(provider.calendars(account))
    local answer = assert(http.request { method = "GET", url = graph.url .. "/_emulator/requests" })
    for _, req in ipairs(json.decode(answer.body).requests) do
      local prefer = req.headers and req.headers.prefer
      if prefer then assert.truthy(prefer:find('IdType="ImmutableId"', 1, true)) end
    end
  end)
end)
