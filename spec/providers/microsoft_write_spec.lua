-- Writes to Microsoft's calendars, against the emulator: what is sent and what becomes of it.
local emulator = require "spec.support.emulator"
local json = require "lunation.json"
local microsoft = require "spec.support.microsoft"
local model = require "lunation.model"
local property = require "lunation.microsoft.property"
local providers = require "lunation.provider"
local rule = require "lunation.ical.rule"
local tz = require "lunation.tz"

local provider = assert(assert(providers.load {}):get "microsoft")

describe("an event written to Microsoft", function()
  local graph, account, calendar

  setup(function() graph = emulator.start "microsoft" end)
  teardown(function() graph.stop() end)

  local function calendar_of(user)
    local one = microsoft.account(graph.url .. "/v1.0", { token = graph.users[user], identity = user })
    local native = assert(provider.calendars(one))[1]
    local row = assert(provider.calendar:to(native))
    row.original = native.original
    return one, microsoft.calendar(native.id, row)
  end

  before_each(function()
    graph.clear()
    graph.reset()
    account, calendar = calendar_of "alice@example.com"
  end)

  after_each(function()
    if graph.has_contract then assert.same({}, graph.violations()) end
  end)

  local serial = 0

  local function canonical(over, text)
    local event = { ["@type"] = "Event", title = "Plan", start = "2026-12-07T09:00:00", duration = "PT1H", timeZone = "Europe/Paris" }
    for name, value in pairs(over or {}) do event[name] = value ~= json.null and value or nil end
    if text then event.recurrenceRules = { assert(rule.from_rrule(text, event)) } end
    return event
  end

  local function create(over, text, options)
    serial = serial + 1
    local event = canonical(over, text)
    event.uid = event.uid or "uid-" .. serial
    options = options or { id = provider.new_id(event.uid), transaction = ("00000000-0000-4000-8000-%012d"):format(serial) }
    local native, err = provider.event:from(event)
    if not native then return nil, err end
    native, err = provider.create(account, calendar, native, options)
    if not native then return nil, err end
    calendar.rows[native.id] = json.decode(json.encode(native))
    return native, event
  end

  local function read(native) return assert(provider.event:to(json.decode(json.encode(native)))) end

  local function update(native, change)
    local before = json.decode(json.encode(native))
    local after = change(read(before)) or error "no change"
    local made, err = provider.event:from(after, before)
    if not made then return nil, err end
    return provider.update(account, calendar, made, { id = before.id, etag = before.etag, before = before })
  end

  local function sent(method)
    local list = {}
    for _, req in ipairs(graph.requests()) do
      if req.method == method then list[#list + 1] = type(req.body) == "string" and json.decode(req.body) or req.body or json.object {} end
    end
    return list
  end

  local function same_as_upstream(native)
    assert.same(json.encode(assert(provider.fetch(account, calendar, native.id)), { sorted = true }), json.encode(native, { sorted = true }))
  end

  it("is made, and found again by its handle", function()
    local native, event = create({ description = "a\nb", locations = { ["1"] = { name = "Hall" } }, keywords = { Red = true }, privacy = "private",
      alerts = { ["1"] = { trigger = { offset = "-PT10M" } } }, ["lunation:custom"] = { app = { k = "v" } }, freeBusyStatus = "free" })
    local back = read(native)
    for _, field in ipairs { "uid", "title", "start", "duration", "timeZone", "description", "privacy", "freeBusyStatus" } do
      assert.equal(event[field], back[field])
    end
    assert.equal("Hall", back.locations["1"].name)
    assert.same({ Red = true }, back.keywords)
    assert.equal("-PT10M", back.alerts["1"].trigger.offset)
    assert.same({ app = { k = "v" } }, back["lunation:custom"])
    local found = assert(provider.fetch(account, calendar, provider.new_id(event.uid)))
    assert.equal(native.id, found.id)
    local missing, err = provider.fetch(account, calendar, provider.new_id "nobody's")
    assert.is_nil(missing)
    assert.equal("not_found", err.code)
    missing, err = provider.fetch(account, calendar, "AAMkNothing=")
    assert.is_nil(missing)
    assert.equal("not_found", err.code)
    same_as_upstream(native)
  end)

  it("is made once, however often it is sent", function()
    local options = { id = provider.new_id "once", transaction = "11111111-1111-4111-8111-111111111111" }
    local first = assert(create({ uid = "once" }, nil, options))
    local second = assert(create({ uid = "once" }, nil, options))
    assert.equal(first.id, second.id)
    -- The answer is lost after the work is done.
    graph.fault { match = { method = "POST", path = "/events" }, fault = "status", status = 504, done = true }
    local third = assert(create({ uid = "third" }))
    graph.fault { match = { method = "POST", path = "/events" }, fault = "cut" }
    assert(create({ uid = "fourth" }))
    local there, count = microsoft.anew(account, calendar, provider).rows, 0
    for _ in pairs(there) do count = count + 1 end
    assert.equal(3, count)
    assert.is_not_nil(there[third.id])
  end)

  it("is patched by what changed", function()
    local native = create { description = "text" }
    local after = assert(update(native, function(event)
      event.title = "Other"
      return event
    end))
    assert.same({ subject = "Other" }, sent("PATCH")[1])
    assert.equal("Other", read(after).title)
    assert.equal("text", read(after).description)
    after = assert(update(after, function(event)
      event["lunation:custom"] = { app = { n = 1 } }
      return event
    end))
    local body = sent("PATCH")[2]
    assert.equal(1, #body.singleValueExtendedProperties)
    assert.equal(property.DATA, body.singleValueExtendedProperties[1].id)
    assert.is_nil(body.subject)
    after = assert(update(after, function(event)
      event.start, event.duration = "2026-12-08T10:00:00", "PT30M"
      return event
    end))
    assert.equal("2026-12-08T10:00:00", read(after).start)
    assert.equal("Europe/Paris", read(after).timeZone)
    after = assert(update(after, function(event)
      event.description, event.alerts = nil, nil
      return event
    end))
    assert.is_nil(read(after).description)
    assert.is_nil(read(after).alerts)
    local count = #sent "PATCH"
    assert(update(after, function(event) return event end))
    assert.equal(count, #sent "PATCH")
    same_as_upstream(after)
  end)

  it("is refused where another has changed it", function()
    local native = create()
    microsoft.raw(graph, "PATCH", "/me/events/" .. native.id, { importance = "high" })
    local after, err = update(native, function(event)
      event.title = "Mine"
      return event
    end)
    assert.is_nil(after)
    assert.equal("precondition_failed", err.code)
    local deleted
    deleted, err = provider.delete(account, calendar, native.id, { etag = native.etag })
    assert.is_nil(deleted)
    assert.equal("precondition_failed", err.code)
    local fresh = assert(provider.fetch(account, calendar, native.id))
    assert.is_true(provider.delete(account, calendar, native.id, { etag = fresh.etag }))
    after, err = provider.fetch(account, calendar, native.id)
    assert.is_nil(after)
    assert.equal("not_found", err.code)
  end)

  it("lasts whole days in the calendar's zone", function()
    for _, zone in ipairs { "Etc/UTC", "Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin" } do
      calendar.timeZone = zone
      local native = create { start = "2026-12-07T00:00:00", duration = "P2D", showWithoutTime = true, timeZone = json.null }
      local back = read(native)
      assert.same({ "2026-12-07T00:00:00", "P2D", true }, { back.start, back.duration, back.showWithoutTime })
      local after = assert(update(native, function(event)
        event.start = "2026-12-09T00:00:00"
        return event
      end))
      assert.equal("2026-12-09T00:00:00", read(after).start)
      after = assert(update(after, function(event)
        event.showWithoutTime, event.start, event.duration, event.timeZone = nil, "2026-12-09T15:00:00", "PT1H", "Asia/Tokyo"
        return event
      end))
      back = read(after)
      assert.same({ "2026-12-09T15:00:00", "PT1H", "Asia/Tokyo" }, { back.start, back.duration, back.timeZone })
      assert.is_nil(back.showWithoutTime)
      local series = create({ start = "2026-12-07T00:00:00", duration = "P1D", showWithoutTime = true, timeZone = json.null }, "FREQ=DAILY;COUNT=5")
      after = assert(update(series, function(event) return model.edit_this(event, "2026-12-09T00:00:00", { title = "Other" }) end))
      after = assert(update(after, function(event) return model.edit_this(event, "2026-12-10T00:00:00", json.null) end))
      back = read(after)
      assert.same({ ["2026-12-09T00:00:00"] = { title = "Other" }, ["2026-12-10T00:00:00"] = { excluded = true } }, back.recurrenceOverrides)
    end
  end)

  it("is at the calendar's time where it floats", function()
    calendar.timeZone = "Europe/Berlin"
    local native = assert(create { timeZone = json.null })
    assert.same({ dateTime = "2026-12-07T08:00:00.0000000", timeZone = "UTC" }, native.start)
    local back = read(native)
    assert.same({ "2026-12-07T09:00:00", "PT1H", "Europe/Berlin" }, { back.start, back.duration, back.timeZone })
    native = assert(create({ timeZone = json.null, recurrenceOverrides = {
      ["2026-12-08T09:00:00"] = { title = "Other", start = "2026-12-08T10:00:00" }, ["2026-12-09T09:00:00"] = { excluded = true },
    } }, "FREQ=DAILY;COUNT=4"))
    back = read(native)
    assert.same({ "2026-12-07T09:00:00", "Europe/Berlin" }, { back.start, back.timeZone })
    assert.same({
      ["2026-12-08T09:00:00"] = { title = "Other", start = "2026-12-08T10:00:00" }, ["2026-12-09T09:00:00"] = { excluded = true },
    }, back.recurrenceOverrides)
    local after = assert(update(create(), function(event)
      event.timeZone, event.start = nil, "2026-12-10T07:00:00"
      return event
    end))
    back = read(after)
    assert.same({ "2026-12-10T07:00:00", "Europe/Berlin" }, { back.start, back.timeZone })
    same_as_upstream(after)
  end)

  local function overrides(native)
    local list = {}
    for key, patch in pairs(read(native).recurrenceOverrides or {}) do
      list[key] = patch.excluded and "excluded" or patch.title or patch.start or "changed"
    end
    return list
  end

  it("is a series of which one instance is changed, moved, cancelled", function()
    local native = create(nil, "FREQ=WEEKLY;COUNT=10")
    local after = assert(update(native, function(event) return model.edit_this(event, "2026-12-14T09:00:00", { title = "Once" }) end))
    assert.same({ subject = "Once" }, sent("PATCH")[1])
    assert.same({ ["2026-12-14T09:00:00"] = "Once" }, overrides(after))
    after = assert(update(after, function(event) return model.edit_this(event, "2026-12-21T09:00:00", { start = "2026-12-22T11:00:00" }) end))
    assert.equal("2026-12-22T11:00:00", overrides(after)["2026-12-21T09:00:00"])
    after = assert(update(after, function(event) return model.edit_this(event, "2026-12-28T09:00:00", json.null) end))
    after = assert(update(after, function(event) return model.edit_this(event, "2026-12-14T09:00:00", json.null) end))
    assert.same({ ["2026-12-14T09:00:00"] = "excluded", ["2026-12-21T09:00:00"] = "2026-12-22T11:00:00", ["2026-12-28T09:00:00"] = "excluded" },
      overrides(after))
    after = assert(update(after, function(event)
      return model.edit_this(event, "2026-12-21T09:00:00", { ["lunation:custom"] = { app = { only = "here" } } })
    end))
    assert.same({ app = { only = "here" } }, model.instance(read(after), "2026-12-21T09:00:00")["lunation:custom"])
    assert.is_nil(read(after)["lunation:custom"])
    same_as_upstream(after)
    assert.equal(8, #(model.expand(read(after), 0, 2000000000)))
  end)

  it("keeps instances away from the days of their neighbours", function()
    local native = create(nil, "FREQ=DAILY;COUNT=10")
    local after, err = update(native, function(event) return model.edit_this(event, "2026-12-09T09:00:00", { start = "2026-12-10T11:00:00" }) end)
    assert.is_nil(after)
    assert.equal("invalid_request", err.code)
    assert.equal("ErrorOccurrenceCrossingBoundary", err.reason)
    assert.truthy(tostring(err):find("neighbour", 1, true))
  end)

  it("is a series that is changed whole, its exceptions kept or moved", function()
    local native = create(nil, "FREQ=WEEKLY;COUNT=6")
    local after = assert(update(native, function(event) return model.edit_this(event, "2026-12-14T09:00:00", { title = "Once" }) end))
    after = assert(update(after, function(event) return model.edit_this(event, "2026-12-21T09:00:00", json.null) end))
    after = assert(update(after, function(event) return model.edit_all(event, { description = "for all" }) end))
    assert.same({ ["2026-12-14T09:00:00"] = "Once", ["2026-12-21T09:00:00"] = "excluded" }, overrides(after))
    after = assert(update(after, function(event) return model.edit_all(event, { start = "2026-12-08T10:30:00" }) end))
    assert.same({ ["2026-12-15T10:30:00"] = "Once", ["2026-12-22T10:30:00"] = "excluded" }, overrides(after))
    assert.equal("tu", read(after).recurrenceRules[1].byDay[1].day)
    assert.equal("for all", read(after).description)
    after = assert(update(after, function(event) return model.edit_all(event, { recurrenceRules = { { frequency = "weekly", interval = 2, count = 4 } } }) end))
    assert.same({ ["2026-12-22T10:30:00"] = "excluded" }, overrides(after))
    after = assert(update(after, function(event) return model.edit_all(event, { recurrenceRules = json.null }) end))
    assert.is_nil(read(after).recurrenceRules)
    assert.equal("singleInstance", after.type)
    after = assert(update(after, function(event) return model.edit_all(event, { recurrenceRules = { { frequency = "daily", count = 3 } } }) end))
    assert.equal("seriesMaster", after.type)
    assert.equal(3, #(model.expand(read(after), 0, 2000000000)))
  end)

  it("takes a change of its times and its text together, its exceptions with what is theirs", function()
    local native = create(nil, "FREQ=WEEKLY;COUNT=6")
    local after = assert(update(native, function(event) return model.edit_this(event, "2026-12-14T09:00:00", { start = "2026-12-14T15:00:00" }) end))
    after = assert(update(after, function(event) return model.edit_this(event, "2026-12-21T09:00:00", { description = "own" }) end))
    after = assert(update(after, function(event) return model.edit_all(event, { duration = "PT2H", title = "Longer" }) end))
    local now = read(after)
    assert.same({ ["2026-12-14T09:00:00"] = { start = "2026-12-14T15:00:00" }, ["2026-12-21T09:00:00"] = { description = "own" } }, (function()
      for _, patch in pairs(now.recurrenceOverrides) do patch.updated = nil end
      return now.recurrenceOverrides
    end)())
    assert.same({ "Longer", "PT2H" }, { now.title, now.duration })
  end)

  it("is made with its exceptions", function()
    local native = assert(create({ recurrenceOverrides = { ["2026-12-08T09:00:00"] = { title = "Second", duration = "PT2H" },
      ["2026-12-09T09:00:00"] = { excluded = true } } }, "FREQ=DAILY;COUNT=5"))
    assert.same({ ["2026-12-08T09:00:00"] = "Second", ["2026-12-09T09:00:00"] = "excluded" }, overrides(native))
    assert.equal("PT2H", model.instance(read(native), "2026-12-08T09:00:00").duration)
  end)

  it("keeps time over a change of clocks", function()
    local native = assert(create({ start = "2027-03-08T09:00:00", timeZone = "America/New_York" }, "FREQ=WEEKLY;COUNT=4"))
    local after = assert(update(native, function(event) return model.edit_this(event, "2027-03-22T09:00:00", { title = "After" }) end))
    assert.same({ ["2027-03-22T09:00:00"] = "After" }, overrides(after))
    assert.equal("America/New_York", read(after).timeZone)
    local last = model.expand(read(after), 0, 2000000000)[4]
    assert.equal(tz.to_utc("2027-03-29T09:00:00", "America/New_York"), last.start)
  end)

  it("has an instance at a time that the clocks skip that day", function()
    local native = assert(create({ start = "2027-03-26T02:30:00" }, "FREQ=DAILY;COUNT=5"))
    local key = "2027-03-28T02:30:00"
    native = assert(update(native, function(event) return model.edit_this(event, key, { title = "Later" }) end))
    same_as_upstream(native)
    local found = read(native).recurrenceOverrides
    assert.equal(key, (next(found)))
    assert.equal("Later", found[key].title)
    assert.is_nil(next(found, key))
    native = assert(update(native, function(event) return model.edit_this(event, key, json.null) end))
    same_as_upstream(native)
    assert.same({ [key] = { excluded = true } }, read(native).recurrenceOverrides)
  end)

  it("has a meeting in Teams, once and for all", function()
    local native = assert(create { ["lunation:conference"] = { generate = true, provider = "microsoft-teams" }, description = "Agenda" })
    local room = read(native)["lunation:conference"]
    assert.equal("microsoft-teams", room.provider)
    assert.truthy(room.uri:find "^https://teams")
    assert.equal("Agenda", read(native).description)
    local after = assert(update(native, function(event)
      event.description = "Another agenda"
      return event
    end))
    assert.equal("Another agenda", read(after).description)
    assert.equal(room.uri, read(after)["lunation:conference"].uri)
    assert.truthy(after.body.content:find("teams", 1, true))
    local refused, err = update(after, function(event)
      event["lunation:conference"] = nil
      return event
    end)
    assert.is_nil(refused)
    assert.equal("lunation:conference", err.field)
    local later = assert(create())
    later = assert(update(later, function(event)
      event["lunation:conference"] = { generate = true }
      return event
    end))
    assert.truthy(read(later)["lunation:conference"].uri)
    calendar.original = { allowedOnlineMeetingProviders = json.array {} }
    refused, err = create { ["lunation:conference"] = { generate = true } }
    assert.is_nil(refused)
    assert.equal("lunation:conference", err.field)
  end)

  local function invite(people)
    local participants = {}
    for _, email in ipairs(people) do
      participants[model.participant_id(email)] = { ["@type"] = "Participant", email = email, roles = { attendee = true } }
    end
    return participants
  end

  it("is answered by those who are invited", function()
    local native = create { participants = invite { "bob@example.com", "carol@elsewhere.com" } }
    assert.equal(2, #native.attendees)
    local bob, his = calendar_of "bob@example.com"
    assert(microsoft.pull(bob, his, provider))
    local id, copy = next(his.rows)
    assert.equal(false, copy.isOrganizer)
    assert.equal("needs-action", read(copy).participants[model.participant_id "bob@example.com"].participationStatus)
    local answered = assert(provider.rsvp(bob, his, id, { status = "tentative", comment = "perhaps" }))
    assert.equal("tentative", read(answered).participants[model.participant_id "bob@example.com"].participationStatus)
    native = assert(provider.fetch(account, calendar, native.id))
    assert.equal("tentative", read(native).participants[model.participant_id "bob@example.com"].participationStatus)
    assert(provider.rsvp(bob, his, id, { status = "accepted", notify = "none" }))
    local refused, err = provider.rsvp(account, calendar, native.id, { status = "accepted" })
    assert.is_nil(refused)
    assert.equal("invalid_request", err.code)
    refused, err = provider.rsvp(bob, his, id, { status = "perhaps" })
    assert.is_nil(refused)
    assert.equal("status", err.field)
    -- Those who stay keep their answers.
    local after = assert(update(native, function(event)
      event.participants[model.participant_id "carol@elsewhere.com"] = nil
      return event
    end))
    assert.equal(1, #after.attendees)
    assert.equal("bob@example.com", after.attendees[1].emailAddress.address)
    assert.is_true(provider.delete(account, calendar, native.id, { comment = "called off" }))
    assert(microsoft.pull(bob, his, provider))
    local left = his.rows[id]
    if left then assert.equal("cancelled", read(left).status) end
  end)

  it("is answered for one instance of a series", function()
    local native = create({ participants = invite { "bob@example.com" } }, "FREQ=DAILY;COUNT=4")
    local bob, his = calendar_of "bob@example.com"
    assert(microsoft.pull(bob, his, provider))
    local id = next(his.rows)
    local answered = assert(provider.rsvp(bob, his, id, { status = "tentative", recurrenceId = "2026-12-08T09:00:00" }))
    local me = model.participant_id "bob@example.com"
    assert.equal("tentative", model.instance(read(answered), "2026-12-08T09:00:00").participants[me].participationStatus)
    assert.equal("needs-action", read(answered).participants[me].participationStatus)
    assert.is_not_nil(native)
  end)

  it("is not cancelled by its status, nor are copies of what was cancelled edited", function()
    local native = create()
    local refused, err = update(native, function(event)
      event.status = "cancelled"
      return event
    end)
    assert.is_nil(refused)
    assert.equal("status", err.field)
    native.isCancelled = true
    refused, err = provider.update(account, calendar, native, { before = native, etag = native.etag })
    assert.is_nil(refused)
    assert.equal("cancelled", err.reason)
  end)

  it("has links to what is attached, and keeps those it is given", function()
    local native = create { links = { doc = { ["@type"] = "Link", href = "https://x.test/doc.pdf", rel = "enclosure", title = "Doc" } } }
    microsoft.raw(graph, "POST", "/me/events/" .. native.id .. "/attachments",
      { ["@odata.type"] = "#microsoft.graph.fileAttachment", name = "menu.txt", contentType = "text/plain", contentBytes = "bWFj" })
    local after = assert(provider.fetch(account, calendar, native.id))
    local links = read(after).links
    assert.equal("https://x.test/doc.pdf", links.doc.href)
    assert.equal("menu.txt", links.attachment1.title)
    assert.equal("enclosure", links.attachment1.rel)
    after = assert(update(after, function(event)
      event.links.doc = nil
      return event
    end))
    assert.is_nil(read(after).links.doc)
    assert.equal("menu.txt", read(after).links.attachment1.title)
  end)

  it("leaves the properties of other programs alone", function()
    local native = create()
    local theirs = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Theirs"
    microsoft.raw(graph, "PATCH", "/me/events/" .. native.id, { singleValueExtendedProperties = { { id = theirs, value = "kept" } } })
    microsoft.raw(graph, "POST", "/me/events/" .. native.id .. "/extensions",
      { ["@odata.type"] = "microsoft.graph.openTypeExtension", extensionName = "com.theirs", kept = true })
    native = assert(provider.fetch(account, calendar, native.id))
    assert(update(native, function(event)
      event["lunation:custom"] = { app = { k = 1 } }
      return event
    end))
    local found = microsoft.raw(graph, "GET", "/me/events/" .. native.id
      .. "?$expand=singleValueExtendedProperties($filter=id%20eq%20'" .. theirs:gsub(" ", "%%20"):gsub("[{}]", { ["{"] = "%7B", ["}"] = "%7D" })
      .. "'),extensions")
    assert.equal("kept", found.singleValueExtendedProperties[1].value)
    assert.equal("com.theirs", found.extensions[1].extensionName)
  end)

  it("is what the edits make of it, at random", function()
    local state = 4711
    local function random(n)
      state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (state >> 33) % n + 1
    end
    local function shown(event)
      local list = {}
      for i, each in ipairs((model.expand(event, 0, 2000000000, 60))) do
        local one = each.recurrenceId and model.instance(event, each.recurrenceId) or event
        list[i] = ("%d-%d %s %s %s"):format(each.start, each.finish, tostring(one.title), tostring(one.description),
          json.encode(one["lunation:custom"] or json.null, { sorted = true }))
      end
      return list
    end
    local rules = { "FREQ=DAILY;INTERVAL=2;COUNT=8", "FREQ=WEEKLY;BYDAY=MO,TH;COUNT=8", "FREQ=MONTHLY;BYDAY=2TU;COUNT=6",
      "FREQ=MONTHLY;BYMONTHDAY=7;UNTIL=20270601T000000Z" }
    local zones = { "Europe/Paris", "America/New_York", "Australia/Sydney", "Etc/UTC" }
    for round = 1, 12 do
      local all_day = random(4) == 1
      local over = { timeZone = not all_day and zones[random(#zones)] or json.null, duration = all_day and "P1D" or "PT1H",
        start = all_day and "2026-12-07T00:00:00" or "2026-12-07T09:00:00", showWithoutTime = all_day or nil }
      local native = assert(create(over, rules[random(#rules)]))
      for step = 1, 6 do
        local expected
        local after, err = update(native, function(event)
          local list = model.expand(event, 0, 2000000000, 60)
          local key = list[random(#list)].recurrenceId
          local kind = random(8)
          if kind == 1 and #list > 2 then
            expected = model.edit_this(event, key, json.null)
          elseif kind == 2 and not all_day then
            expected = model.edit_this(event, key, { start = model.instance(event, key).start:sub(1, 11) .. ("%02d:15:00"):format(8 + random(10)) })
          elseif kind == 3 then
            expected = model.edit_this(event, key, { description = "d" .. step, ["lunation:custom"] = { app = { step = step } } })
          elseif kind == 4 then
            expected = model.edit_all(event, { title = "all " .. step, ["lunation:custom"] = { app = { all = step } }, description = "all " .. step })
          elseif kind == 5 and not all_day then
            expected = model.edit_all(event, { start = event.start:sub(1, 11) .. ("%02d:30:00"):format(8 + random(10)), title = "moved " .. step })
          elseif kind == 6 and not all_day then
            expected = model.edit_all(event, { duration = ("PT%dM"):format(30 * random(4)), description = "length " .. step })
          else
            expected = model.edit_this(event, key, { title = "one " .. step })
          end
          return expected
        end)
        assert(after, ("round %d step %d: %s"):format(round, step, tostring(err)))
        assert.same(shown(expected), shown(read(after)), ("round %d step %d"):format(round, step))
        native = after
      end
      same_as_upstream(native)
    end
  end)

  it("is written when Graph that throttles says when to come again", function()
    local native = create { privacy = "private" }
    graph.fault { match = { method = "PATCH" }, fault = "status", status = 503, retry_after = 0 }
    local after = assert(update(native, function(event)
      event.title, event.privacy = "again", nil
      return event
    end))
    assert.same({ "again", "public" }, { read(after).title, read(after).privacy })
    for _, body in ipairs(sent "PATCH") do assert.same({ subject = "again", sensitivity = "normal" }, body) end
  end)

  it("is written in spite of what passes", function()
    local native = create()
    for _, fault in ipairs { { fault = "status", status = 503 }, { fault = "status", status = 429, retry_after = 0 } } do
      fault.match = { method = "PATCH" }
      graph.fault(fault)
      local after, err = update(native, function(event)
        event.title = "again " .. tostring(fault.status)
        return event
      end)
      -- A patch is not sent twice where it may have been carried out; who asked is told.
      if not after then
        assert.truthy(err.code == "unavailable", tostring(err.code))
      else
        native = after
      end
    end
    graph.fault { match = { method = "PATCH" }, fault = "status", status = 403, reason = "ErrorAccessDenied" }
    local after, err = update(native, function(event)
      event.title = "no"
      return event
    end)
    assert.is_nil(after)
    assert.equal("forbidden", err.code)
  end)
end)
