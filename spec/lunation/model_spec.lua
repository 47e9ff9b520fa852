-- The canonical event: what it may be, its instances, and the three ways to edit a series.
local model = require "lunation.model"
local null = require "lunation.null"

local at = { now = 1750000000 }
local now = "2025-06-15T15:06:40Z"

local function series(fields)
  local event = {
    ["@type"] = "Event", uid = "s", title = "Stand-up", start = "2025-03-03T10:00:00", timeZone = "Europe/Berlin", duration = "PT1H", sequence = 4,
    recurrenceRules = { { frequency = "weekly", count = 6, byDay = { { day = "mo" } } } },
    recurrenceOverrides = { ["2025-03-24T10:00:00"] = { title = "Other", start = "2025-03-24T15:00:00" }, ["2025-03-10T10:00:00"] = { excluded = true } },
  }
  for k, v in pairs(fields or {}) do
    if v == null then event[k] = nil else event[k] = v end
  end
  return event
end

local function starts(event, from, to, limit)
  local list, truncated = model.expand(event, from, to, limit)
  local keys = {}
  for i, instance in ipairs(list) do keys[i] = instance.recurrenceId or instance.start end
  return keys, truncated, list
end

describe("model.validate", function()
  it("takes a whole event", function()
    assert.is_true(model.validate(series {
      participants = { bob = { email = "bob@example.com", roles = { attendee = true }, participationStatus = "accepted" } },
      alerts = { ["1"] = { trigger = { offset = "-PT15M" }, action = "display" } }, keywords = { a = true }, privacy = "secret", status = "tentative",
      freeBusyStatus = "free", priority = 0, color = "#ff0000", ["lunation:custom"] = { app = { a = 1 } }, ["lunation:conference"] = { uri = "https://x" },
      locations = { ["1"] = { name = "here" } }, links = { url = { href = "https://x" } }, created = now, updated = "2025-01-01T00:00:00.123Z",
    }))
  end)

  local cases = {
    { "start", { start = null } }, { "start", { start = 5 } }, { "start", { start = "2025-02-30T10:00:00" } }, { "start", { start = "2025-03-03" } },
    { "start", { start = "2025-03-03T10:00:00Z" } }, { "start", { showWithoutTime = true } },
    { "duration", { duration = "-PT1H" } }, { "duration", { duration = "1 hour" } },
    { "duration", { showWithoutTime = true, start = "2025-03-03T00:00:00", duration = "PT5H", recurrenceOverrides = null } },
    { "timeZone", { timeZone = "Mars/Olympus" } }, { "timeZone", { timeZone = 3 } }, { "title", { title = {} } }, { "title", { title = "a\0b" } },
    { "title", { title = "\xff" } }, { "description", { description = ("x"):rep(1048577) } }, { "status", { status = "maybe" } },
    { "privacy", { privacy = "confidential" } }, { "freeBusyStatus", { freeBusyStatus = "out" } }, { "showWithoutTime", { showWithoutTime = "yes" } },
    { "priority", { priority = 10 } }, { "sequence", { sequence = -1 } }, { "created", { created = "yesterday" } },
    { "recurrenceRules[1]", { recurrenceRules = { { frequency = "daily", count = 1, ["until"] = "2026-01-01T00:00:00" } } } },
    { "recurrenceRules[1].frequency", { recurrenceRules = { { frequency = "often" } } } },
    { "recurrenceRules[1].interval", { recurrenceRules = { { frequency = "daily", interval = 0 } } } },
    { "recurrenceRules[1].count", { recurrenceRules = { { frequency = "daily", count = "5" } } } },
    { "recurrenceRules[1].until", { recurrenceRules = { { frequency = "daily", ["until"] = "2026-01-01" } } } },
    { "recurrenceRules[1].until", { recurrenceRules = { { frequency = "daily", ["until"] = "2024-01-01T00:00:00" } } } },
    { "recurrenceRules[1].byDay[1].day", { recurrenceRules = { { frequency = "daily", byDay = { { day = "xx" } } } } } },
    { "recurrenceRules[1].byDay[1].nthOfPeriod", { recurrenceRules = { { frequency = "monthly", byDay = { { day = "mo", nthOfPeriod = 0 } } } } } },
    { "recurrenceRules[1].byMonthDay[2]", { recurrenceRules = { { frequency = "monthly", byMonthDay = { 1, 32 } } } } },
    { "recurrenceRules[1].byMonth[1]", { recurrenceRules = { { frequency = "yearly", byMonth = { "14" } } } } },
    { "recurrenceRules", { recurrenceRules = { frequency = "daily" } } },
    { "recurrenceOverrides.soon", { recurrenceOverrides = { soon = {} } } },
    { "recurrenceOverrides.2025-03-10T10:00:00.title", { recurrenceOverrides = { ["2025-03-10T10:00:00"] = { title = 1 } } } },
    { "participants", { participants = { "bob@example.com" } } }, { "participants.a.email", { participants = { a = { name = "A" } } } },
    { "participants.a.email", { participants = { a = { email = "not an address" } } } },
    { "participants.a.participationStatus", { participants = { a = { email = "a@x", participationStatus = "perhaps" } } } },
    { "alerts.1.trigger", { alerts = { ["1"] = {} } } }, { "alerts.1.trigger.offset", { alerts = { ["1"] = { trigger = { offset = "soon" } } } } },
    { "keywords", { keywords = { "a" } } }, { "lunation:custom", { ["lunation:custom"] = "x" } }, { "lunation:conference.uri",
      { ["lunation:conference"] = {} } },
  }
  for i, case in ipairs(cases) do
    it(("names the wrong field: %s (%d)"):format(case[1], i), function()
      local ok, err = model.validate(series(case[2]))
      assert.is_nil(ok)
      assert.equal("invalid_request", err.code)
      assert.equal(case[1], err.field)
      assert.equal(case[1] .. ": ", tostring(err):sub(1, #case[1] + 2))
    end)
  end

  it("lets be what was odd before and is not touched", function()
    local odd = series { priority = 42, participants = { a = { name = "A" } }, duration = "-PT5M",
      recurrenceRules = { { frequency = "daily", ["until"] = "2020-01-01T00:00:00" } } }
    assert.is_nil(model.validate(odd))
    local changed = model.patch(odd, { title = "New" })
    assert.is_true(model.validate(changed, odd))
    changed.priority = 43
    assert.equal("priority", select(2, model.validate(changed, odd)).field)
    changed = model.patch(odd, { title = {} })
    assert.equal("title", select(2, model.validate(changed, odd)).field)
  end)

  it("normalizes what people write", function()
    assert.same({ ["@type"] = "Event", start = "2025-03-03T00:00:00", showWithoutTime = true, duration = "P1D" },
      model.normalize { start = "2025-03-03", showWithoutTime = true, timeZone = "Europe/Berlin", title = null })
    assert.same({ ["@type"] = "Event", start = "2025-03-03T09:30:00", timeZone = "Etc/UTC", duration = "PT1H30M" },
      model.normalize { start = "2025-03-03T09:30", timeZone = "UTC", duration = "PT90M" })
  end)
end)

describe("model.expand", function()
  it("gives instants over a change of the clocks, moved and without what is taken away", function()
    local keys, truncated, list = starts(series())
    assert.same({ "2025-03-03T10:00:00", "2025-03-17T10:00:00", "2025-03-24T10:00:00", "2025-03-31T10:00:00", "2025-04-07T10:00:00" }, keys)
    assert.is_false(truncated)
    assert.same({ 1740992400, 1742202000, 1742824800, 1743408000, 1744012800 },
      { list[1].start, list[2].start, list[3].start, list[4].start, list[5].start })
    assert.equal(3600, list[3].finish - list[3].start)
    assert.equal("Other", list[3].override.title)
    assert.is_nil(list[1].override)
  end)
  it("asks for overlap with the window, and for a start inside where there is no length", function()
    local event = { uid = "e", start = "2025-03-03T10:00:00", timeZone = "Etc/UTC", duration = "PT1H" }
    local start = 1740996000
    assert.equal(1, #model.expand(event, start + 3599, start + 9999))
    assert.equal(0, #model.expand(event, start + 3600, start + 9999))
    assert.equal(0, #model.expand(event, start - 100, start))
    event.duration = nil
    assert.equal(1, #model.expand(event, start, start + 1))
    assert.equal(0, #model.expand(event, start - 1, start))
  end)
  it("finds an override that was moved into the window from outside, and not one moved out", function()
    local event = series()
    assert.same({ "2025-03-24T10:00:00" }, (starts(event, 1742824800, 1742824801)))
    assert.same({}, (starts(event, 1742806800, 1742810400)))
  end)
  it("cuts at the limit and says so", function()
    local keys, truncated = starts(series(), nil, nil, 2)
    assert.same({ "2025-03-03T10:00:00", "2025-03-17T10:00:00" }, keys)
    assert.is_true(truncated)
    local _, endless = starts(series { recurrenceRules = { { frequency = "daily" } } }, nil, nil, 100)
    assert.is_true(endless)
  end)
  it("leaves out instances that are cancelled alone", function()
    local event = series()
    event.recurrenceOverrides["2025-03-17T10:00:00"] = { status = "cancelled" }
    assert.equal(4, #model.expand(event))
    assert.equal(5, #model.expand(event, nil, nil, nil, { cancelled = true }))
  end)
  it("reads days and floating times in the zone that is asked", function()
    local days = { uid = "d", start = "2025-03-03T00:00:00", showWithoutTime = true, duration = "P2D" }
    local list = model.expand(days)
    assert.equal(1740960000, list[1].start)
    assert.equal(2 * 86400, list[1].finish - list[1].start)
    local floating = { uid = "f", start = "2025-03-03T10:00:00", duration = "PT1H" }
    assert.equal(1740992400, model.expand(floating, nil, nil, nil, { zone = "Europe/Berlin" })[1].start)
    assert.equal(1740996000, model.expand(floating)[1].start)
  end)
  it("keeps P1D a day and PT24H 24 hours", function()
    local event = series { start = "2025-03-29T12:00:00", recurrenceRules = null, recurrenceOverrides = null, duration = "P1D" }
    local _, _, list = starts(event)
    assert.equal(23 * 3600, list[1].finish - list[1].start)
    event.duration = "PT24H"
    _, _, list = starts(event)
    assert.equal(24 * 3600, list[1].finish - list[1].start)
  end)
end)

describe("model.span", function()
  it("is from the first start to the last end", function()
    assert.same({ 1740992400, 1744016400, true }, { model.span(series()) })
    assert.same({ 1740996000, 1740999600, false }, { model.span { start = "2025-03-03T10:00:00", duration = "PT1H" } })
  end)
  it("has no end where a rule has none", function()
    local start, finish, recurring = model.span(series { recurrenceRules = { { frequency = "daily" } } })
    assert.equal(1740992400, start)
    assert.is_nil(finish)
    assert.is_true(recurring)
  end)
  it("counts overrides moved before the first and after the last", function()
    local event = series { recurrenceOverrides = { ["2025-03-17T10:00:00"] = { start = "2024-01-01T10:00:00" },
      ["2026-01-01T10:00:00"] = { duration = "P2D" } } }
    assert.same({ 1704099600, 1767430800, true }, { model.span(event) })
  end)
end)

describe("model.instance and model.occurs", function()
  it("flatten one instance", function()
    local instance = model.instance(series(), "2025-03-24T10:00:00")
    assert.equal("Other", instance.title)
    assert.equal("2025-03-24T15:00:00", instance.start)
    assert.equal("2025-03-24T10:00:00", instance.recurrenceId)
    assert.is_nil(instance.recurrenceRules)
    assert.equal("2025-03-17T10:00:00", model.instance(series(), "2025-03-17T10:00:00").start)
    local none, err = model.instance(series(), "2025-03-10T10:00:00")
    assert.is_nil(none)
    assert.equal("not_found", err.code)
  end)
  it("know what there is", function()
    local event = series()
    event.recurrenceOverrides["2025-03-05T09:00:00"] = {}
    for key, expected in pairs {
      ["2025-03-03T10:00:00"] = true, ["2025-03-10T10:00:00"] = false, ["2025-03-24T10:00:00"] = true, ["2025-03-05T09:00:00"] = true,
      ["2025-03-04T10:00:00"] = false, ["2025-04-14T10:00:00"] = false, rubbish = false,
    } do
      assert.equal(expected, model.occurs(event, key), key)
    end
  end)
  it("apply paths and nulls of a patch", function()
    local event = series { participants = { ["a/b"] = { name = "A" }, c = { name = "C" } } }
    event.recurrenceOverrides["2025-03-17T10:00:00"] = { ["participants/a~1b/name"] = "B", ["participants/c"] = null, title = null, ["no/such/path"] = 1 }
    local instance = model.instance(event, "2025-03-17T10:00:00")
    assert.same({ ["a/b"] = { name = "B" } }, instance.participants)
    assert.is_nil(instance.title)
    assert.equal("A", event.participants["a/b"].name)
  end)
end)

describe("model.edit_this", function()
  it("makes an override of what differs", function()
    local before = series()
    local event = model.edit_this(before, "2025-03-17T10:00:00", { title = "New", duration = "PT1H" }, at)
    assert.same({ title = "New", sequence = 5, updated = now }, event.recurrenceOverrides["2025-03-17T10:00:00"])
    assert.equal(4, event.sequence)
    assert.same(series(), before)
  end)
  it("goes on from an override that stands", function()
    local event = model.edit_this(series(), "2025-03-24T10:00:00", { description = "d", recurrenceRules = {}, uid = "no" }, at)
    assert.same({ title = "Other", start = "2025-03-24T15:00:00", description = "d", sequence = 5, updated = now },
      event.recurrenceOverrides["2025-03-24T10:00:00"])
    assert.equal("s", event.uid)
  end)
  it("takes an instance away", function()
    local event = model.edit_this(series(), "2025-03-24T10:00:00", null, at)
    assert.same({ excluded = true }, event.recurrenceOverrides["2025-03-24T10:00:00"])
    assert.equal(5, event.sequence)
    local added = series { recurrenceOverrides = { ["2025-03-05T09:00:00"] = {} } }
    assert.is_nil(model.edit_this(added, "2025-03-05T09:00:00", null, at).recurrenceOverrides)
  end)
  it("refuses an instance that is not there", function()
    for _, key in ipairs { "2025-03-10T10:00:00", "2025-03-11T10:00:00", "never" } do
      local event, err = model.edit_this(series(), key, { title = "x" }, at)
      assert.is_nil(event)
      assert.equal("not_found", err.code)
    end
  end)
end)

describe("model.split", function()
  it("ends the first half strictly before and leaves the second what remains of COUNT", function()
    local whole = series()
    whole.recurrenceOverrides["2025-04-09T08:00:00"] = {}
    local first, second = model.split(whole, "2025-03-17T10:00:00", "s2", at)
    assert.same({ { frequency = "weekly", ["until"] = "2025-03-17T09:59:59", byDay = { { day = "mo" } } } }, first.recurrenceRules)
    assert.same({ ["2025-03-10T10:00:00"] = { excluded = true } }, first.recurrenceOverrides)
    assert.equal(5, first.sequence)
    assert.same({ { frequency = "weekly", count = 4, byDay = { { day = "mo" } } } }, second.recurrenceRules)
    assert.same({ ["2025-03-24T10:00:00"] = { title = "Other", start = "2025-03-24T15:00:00" }, ["2025-04-09T08:00:00"] = {} }, second.recurrenceOverrides)
    assert.equal("2025-03-17T10:00:00", second.start)
    assert.equal("s2", second.uid)
    assert.equal(0, second.sequence)
    assert.same({ relation = { first = true }, ["@type"] = "Relation" }, second.relatedTo.s)
    assert.same({ relation = { next = true }, ["@type"] = "Relation" }, first.relatedTo.s2)
    local all, head, tail = starts(whole), starts(first), starts(second)
    for _, key in ipairs(tail) do head[#head + 1] = key end
    assert.same(all, head)
  end)
  it("of days ends on the day before", function()
    local first, second = model.split({ uid = "d", start = "2025-03-03T00:00:00", showWithoutTime = true, duration = "P1D",
      recurrenceRules = { { frequency = "daily" } } },
      "2025-03-05T00:00:00", "d2", at)
    assert.equal("2025-03-04T00:00:00", first.recurrenceRules[1]["until"])
    assert.same({ { frequency = "daily" } }, second.recurrenceRules)
  end)
  it("keeps UNTIL and the phase of an interval", function()
    local whole = series { recurrenceRules = { { frequency = "weekly", interval = 2, ["until"] = "2025-06-01T00:00:00" } }, recurrenceOverrides = null }
    local first, second = model.split(whole, "2025-03-31T10:00:00", "s2", at)
    assert.equal("2025-06-01T00:00:00", second.recurrenceRules[1]["until"])
    local all, head, tail = starts(whole), starts(first), starts(second)
    for _, key in ipairs(tail) do head[#head + 1] = key end
    assert.same(all, head)
  end)
  it("before the first instance there is nothing to cut", function()
    local first, second = model.split(series(), "2025-03-03T10:00:00", "s2", at)
    assert.is_false(first)
    assert.same(series(), second)
  end)
  it("after additions alone is a single event", function()
    local whole = { uid = "r", start = "2025-03-03T10:00:00", timeZone = "Etc/UTC", recurrenceOverrides = { ["2025-03-09T10:00:00"] = { title = "last" } } }
    local first, second = model.split(whole, "2025-03-09T10:00:00", "r2", at)
    assert.is_nil(first.recurrenceOverrides)
    assert.equal("last", second.title)
    assert.equal("2025-03-09T10:00:00", second.start)
    assert.is_nil(second.recurrenceOverrides)
    assert.is_nil(second.recurrenceId)
  end)
  it("refuses what is no instance, and what does not recur", function()
    local first, err = model.split(series(), "2025-03-18T10:00:00", "s2", at)
    assert.is_nil(first)
    assert.equal("not_found", err.code)
    first, err = model.split({ uid = "x", start = "2025-03-03T10:00:00" }, "2025-03-03T10:00:00", "s2", at)
    assert.is_nil(first)
    assert.equal("invalid_request", err.code)
  end)
  it("gives the second half the same uid each time", function()
    assert.equal(model.split_uid("s", "2025-03-18T10:00:00"), model.split_uid("s", "2025-03-18T10:00:00"))
    assert.not_equal(model.split_uid("s", "2025-03-18T10:00:00"), model.split_uid("s", "2025-03-25T10:00:00"))
    assert.truthy(model.split_uid("s", "x"):match("^%x+%-%x+%-5%x+%-[89ab]%x+%-%x+$"))
  end)
end)

describe("model.edit_all", function()
  it("changes fields of the series and leaves overrides alone", function()
    local event = model.edit_all(series(), { title = "All", description = "d" }, nil, at)
    assert.equal("All", event.title)
    assert.same(series().recurrenceOverrides, event.recurrenceOverrides)
    assert.equal(5, event.sequence)
    assert.equal(now, event.updated)
  end)
  it("moves overrides and exceptions with the start", function()
    local event = model.edit_all(series(), { start = "2025-03-03T11:30:00" }, nil, at)
    assert.same({ ["2025-03-24T11:30:00"] = { title = "Other", start = "2025-03-24T16:30:00" }, ["2025-03-10T11:30:00"] = { excluded = true } },
      event.recurrenceOverrides)
  end)
  it("takes the start of the instance that is meant, and turns the weekdays with it", function()
    local event = model.edit_all(series(), { start = "2025-03-18T10:00:00" }, "2025-03-17T10:00:00", at)
    assert.equal("2025-03-04T10:00:00", event.start)
    assert.same({ { day = "tu" } }, event.recurrenceRules[1].byDay)
    assert.same({ "2025-03-04T10:00:00", "2025-03-18T10:00:00", "2025-03-25T10:00:00", "2025-04-01T10:00:00", "2025-04-08T10:00:00" }, (starts(event)))
  end)
  it("measures from where the override of that instance is", function()
    local event = model.edit_all(series(), { start = "2025-03-24T16:00:00" }, "2025-03-24T10:00:00", at)
    assert.equal("2025-03-03T11:00:00", event.start)
  end)
  it("turns an nth weekday, a day of the month, a month", function()
    local function turned(start, rule, new)
      local event = model.edit_all(series { start = start, recurrenceRules = { rule }, recurrenceOverrides = null }, { start = new }, nil, at)
      return event.recurrenceRules[1]
    end
    assert.same({ { day = "th", nthOfPeriod = 3 } }, turned("2025-03-11T10:00:00", { frequency = "monthly", byDay = { { day = "tu",
      nthOfPeriod = 2 } } }, "2025-03-20T10:00:00").byDay)
    assert.same({ 20 }, turned("2025-03-11T10:00:00", { frequency = "monthly", byMonthDay = { 11 } }, "2025-03-20T10:00:00").byMonthDay)
    assert.same({ "4" }, turned("2025-03-11T10:00:00", { frequency = "yearly", byMonth = { "3" }, byMonthDay = { 11 } }, "2025-04-11T10:00:00").byMonth)
    assert.equal("2025-05-02T10:00:00", turned("2025-03-11T10:00:00", { frequency = "daily", ["until"] = "2025-05-01T10:00:00" },
      "2025-03-12T10:00:00")["until"])
  end)
  it("drops what the new rules have no instance for", function()
    local event = model.edit_all(series(), { recurrenceRules = { { frequency = "weekly", count = 3, byDay = { { day = "mo" } } } } }, nil, at)
    assert.same({ ["2025-03-10T10:00:00"] = { excluded = true } }, event.recurrenceOverrides)
    event = model.edit_all(series(), { recurrenceRules = null }, nil, at)
    assert.is_nil(event.recurrenceRules)
    assert.is_nil(event.recurrenceOverrides)
  end)
  it("makes days of times and keeps the overrides", function()
    local event = model.edit_all(series(), { showWithoutTime = true, duration = "P1D" }, nil, at)
    assert.equal("2025-03-03T00:00:00", event.start)
    assert.is_nil(event.timeZone)
    assert.same({ ["2025-03-24T00:00:00"] = { title = "Other" }, ["2025-03-10T00:00:00"] = { excluded = true } }, event.recurrenceOverrides)
  end)
  it("refuses a start that is none", function()
    for _, start in ipairs { null, 5, "soon" } do
      local event, err = model.edit_all(series(), { start = start }, nil, at)
      assert.is_nil(event)
      assert.equal("start", err.field)
    end
  end)
end)

it("participants have the same key wherever their address is written", function()
  assert.equal("bob_example_com", model.participant_id("Bob@Example.com"))
  assert.equal("bob_example_com", model.participant_id("mailto:bob@example.com"))
end)
