-- Recurrence of Microsoft's events: patternedRecurrence and rules both ways, series with their exceptions, and events at random.
local json = require "lunation.json"
local model = require "lunation.model"
local providers = require "lunation.provider"
local rule = require "lunation.ical.rule"
local tz = require "lunation.tz"

local provider = assert(assert(providers.load {}):get "microsoft")
local event = provider.event

local function fresh(text, over)
  local canonical = { ["@type"] = "Event", uid = "u1", title = "t", start = "2025-01-06T09:00:00", duration = "PT1H", timeZone = "Europe/Paris" }
  for name, value in pairs(over or {}) do canonical[name] = value ~= json.null and value or nil end
  if text then canonical.recurrenceRules = { assert(rule.from_rrule(text, canonical)) } end
  return canonical
end

local function starts(canonical, limit)
  local list = {}
  for i, each in ipairs((model.expand(canonical, 0, 2000000000, limit or 40))) do list[i] = each.start end
  return list
end

describe("a rule", function()
  local days = { "monday", "tuesday", "wednesday", "thursday", "friday" }
  -- RRULE, start, pattern, what it reads as where that is another spelling
  local cases = {
    { "FREQ=DAILY", "2025-01-06", { type = "daily", interval = 1 } },
    { "FREQ=DAILY;INTERVAL=3", "2025-01-06", { type = "daily", interval = 3 } },
    { "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "2025-01-06", { type = "weekly", interval = 1, daysOfWeek = days, firstDayOfWeek = "monday" },
      "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR" },
    { "FREQ=WEEKLY", "2025-01-08", { type = "weekly", interval = 1, daysOfWeek = { "wednesday" }, firstDayOfWeek = "monday" }, "FREQ=WEEKLY;BYDAY=WE" },
    { "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU", "2025-01-06",
      { type = "weekly", interval = 2, daysOfWeek = { "monday", "sunday" }, firstDayOfWeek = "sunday" } },
    { "FREQ=MONTHLY", "2025-01-15", { type = "absoluteMonthly", interval = 1, dayOfMonth = 15 }, "FREQ=MONTHLY;BYMONTHDAY=15" },
    { "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=31;SKIP=BACKWARD", "2025-01-31", { type = "absoluteMonthly", interval = 2, dayOfMonth = 31 } },
    { "FREQ=MONTHLY;BYMONTHDAY=28", "2025-01-28", { type = "absoluteMonthly", interval = 1, dayOfMonth = 28 } },
    { "FREQ=YEARLY;BYMONTHDAY=29;BYMONTH=2;SKIP=BACKWARD", "2024-02-29", { type = "absoluteYearly", interval = 1, dayOfMonth = 29, month = 2 } },
    { "FREQ=YEARLY;BYMONTHDAY=31;BYMONTH=1", "2025-01-31", { type = "absoluteYearly", interval = 1, dayOfMonth = 31, month = 1 } },
    { "FREQ=MONTHLY;BYDAY=2TU", "2025-01-14", { type = "relativeMonthly", interval = 1, daysOfWeek = { "tuesday" }, index = "second" } },
    { "FREQ=MONTHLY;BYDAY=-1FR", "2025-01-31", { type = "relativeMonthly", interval = 1, daysOfWeek = { "friday" }, index = "last" } },
    { "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2025-01-31", { type = "relativeMonthly", interval = 1, daysOfWeek = days, index = "last" } },
    { "FREQ=MONTHLY;BYDAY=TU;BYSETPOS=3", "2025-01-21", { type = "relativeMonthly", interval = 1, daysOfWeek = { "tuesday" }, index = "third" },
      "FREQ=MONTHLY;BYDAY=3TU" },
    { "FREQ=MONTHLY;BYDAY=TU", "2025-01-07", { type = "weekly", interval = 1, daysOfWeek = { "tuesday" }, firstDayOfWeek = "monday" },
      "FREQ=WEEKLY;BYDAY=TU" },
    { "FREQ=MONTHLY;BYMONTH=3;BYMONTHDAY=5", "2025-03-05", { type = "absoluteYearly", interval = 1, dayOfMonth = 5, month = 3 },
      "FREQ=YEARLY;BYMONTHDAY=5;BYMONTH=3" },
    { "FREQ=YEARLY", "2025-01-06", { type = "absoluteYearly", interval = 1, dayOfMonth = 6, month = 1 }, "FREQ=YEARLY;BYMONTHDAY=6;BYMONTH=1" },
    { "FREQ=YEARLY;BYDAY=4TH;BYMONTH=11", "2025-11-27",
      { type = "relativeYearly", interval = 1, daysOfWeek = { "thursday" }, index = "fourth", month = 11 } },
    { "FREQ=YEARLY;INTERVAL=2;BYMONTHDAY=28;BYMONTH=2", "2025-02-28", { type = "absoluteYearly", interval = 2, dayOfMonth = 28, month = 2 } },
    { "FREQ=YEARLY;BYMONTHDAY=6", "2025-01-06", { type = "absoluteMonthly", interval = 1, dayOfMonth = 6 }, "FREQ=MONTHLY;BYMONTHDAY=6" },
    { "FREQ=YEARLY;BYDAY=MO,TU;BYMONTH=1;BYSETPOS=1", "2025-01-06",
      { type = "relativeYearly", interval = 1, daysOfWeek = { "monday", "tuesday" }, index = "first", month = 1 } },
    { "FREQ=DAILY;BYHOUR=9;BYMINUTE=0", "2025-01-06", { type = "daily", interval = 1 }, "FREQ=DAILY" },
  }

  for _, case in ipairs(cases) do
    it(("%s is a pattern and comes back"):format(case[1]), function()
      for _, ending in ipairs { "", ";COUNT=7", ";UNTIL=20270301T235959" } do
        local canonical = fresh(case[1] .. ending, { start = case[2] .. "T09:00:00" })
        local native = assert(event:from(canonical))
        assert.same(case[3], setmetatable(json.decode(json.encode(native.recurrence.pattern)), nil))
        local range = native.recurrence.range
        assert.equal(case[2], range.startDate)
        assert.equal("Romance Standard Time", range.recurrenceTimeZone)
        assert.equal(ending == "" and "noEnd" or ending:find "COUNT" and "numbered" or "endDate", range.type)
        local back = assert(event:to(native))
        if ending == "" then assert.equal(case[4] or case[1], rule.to_rrule(back.recurrenceRules[1], back)) end
        assert.same(starts(canonical), starts(back))
      end
    end)
  end

  it("ends on the last day on which it still gives an instance", function()
    local function last(text, over)
      return assert(event:from(fresh(text, over))).recurrence.range.endDate
    end
    assert.equal("2025-01-20", last "FREQ=DAILY;UNTIL=20250120T090000")
    assert.equal("2025-01-19", last "FREQ=DAILY;UNTIL=20250120T085959")
    -- 08:30Z is 09:30 in Paris
    assert.equal("2025-01-20", last "FREQ=DAILY;UNTIL=20250120T083000Z")
    assert.equal("2025-01-19", last "FREQ=DAILY;UNTIL=20250120T073000Z")
    local dates = { start = "2025-01-06T00:00:00", showWithoutTime = true, timeZone = json.null, duration = "P1D" }
    assert.equal("2025-01-20", last("FREQ=DAILY;UNTIL=20250120", dates))
  end)

  it("begins where it first gives an instance", function()
    local native = assert(event:from(fresh("FREQ=WEEKLY;BYDAY=WE,FR;COUNT=3", { start = "2025-01-07T09:00:00" })))
    assert.equal("2025-01-08", native.recurrence.range.startDate)
    assert.equal("2025-01-08T09:00:00", native.start.dateTime)
    local found = {}
    for i, at in ipairs(starts(assert(event:to(native)))) do found[i] = (tz.to_local(at, "Europe/Paris")) end
    assert.same({ "2025-01-08T09:00:00", "2025-01-10T09:00:00", "2025-01-15T09:00:00" }, found)
  end)

  local refused = {
    { "FREQ=HOURLY", "HOURLY" }, { "FREQ=MINUTELY", "MINUTELY" }, { "FREQ=DAILY;BYHOUR=9,15", "BYHOUR" }, { "FREQ=DAILY;BYMINUTE=0,30", "BYMINUTE" },
    { "FREQ=MONTHLY;BYMONTHDAY=-1", "BYMONTHDAY=-1" }, { "FREQ=MONTHLY;BYMONTHDAY=1,15", "BYMONTHDAY" }, { "FREQ=MONTHLY;BYDAY=5MO", "number 5" },
    { "FREQ=MONTHLY;BYDAY=-2MO", "number -2" }, { "FREQ=MONTHLY;BYDAY=1MO,3MO", "BYDAY" }, { "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1,2", "BYSETPOS" },
    { "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "BYMONTHDAY" }, { "FREQ=MONTHLY;INTERVAL=2;BYDAY=MO", "BYDAY" },
    { "FREQ=MONTHLY;BYMONTHDAY=1,2;BYSETPOS=1", "BYSETPOS" },
    { "FREQ=YEARLY;BYYEARDAY=100", "BYYEARDAY" }, { "FREQ=YEARLY;BYWEEKNO=20", "BYWEEKNO" }, { "FREQ=YEARLY;BYMONTH=1,7", "BYMONTH" },
    { "FREQ=YEARLY;BYDAY=20MO", "BYDAY" }, { "FREQ=DAILY;BYMONTH=1", "BYMONTH" }, { "FREQ=DAILY;INTERVAL=2;BYDAY=MO", "BYDAY" },
    { "FREQ=WEEKLY;BYMONTH=1", "BYMONTH" }, { "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", "BYSETPOS" }, { "FREQ=MONTHLY;BYMONTH=1,2", "BYMONTH" },
    { "RSCALE=CHINESE;FREQ=YEARLY", "RSCALE" }, { "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=FORWARD;BYMONTHDAY=31", "SKIP" },
    { "FREQ=MONTHLY;BYMONTHDAY=31", "BYMONTHDAY=31" }, { "FREQ=MONTHLY;BYMONTHDAY=29", "BYMONTHDAY=29" },
    { "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "BYMONTHDAY=29" },
  }
  for _, case in ipairs(refused) do
    it(("%s is refused by name"):format(case[1]), function()
      local native, err = event:from(fresh(case[1]))
      assert.is_nil(native)
      assert.equal("invalid_request", err.code)
      assert.equal("recurrenceRules", err.field)
      assert.truthy(tostring(err):find(case[2], 1, true), tostring(err))
      assert.truthy(tostring(err):find("Outlook", 1, true))
    end)
  end

  it("stands alone", function()
    local two = fresh "FREQ=DAILY"
    two.recurrenceRules[2] = two.recurrenceRules[1]
    local native, err = event:from(two)
    assert.is_nil(native)
    assert.truthy(tostring(err):find("several rules", 1, true))
    local excluded = fresh("FREQ=DAILY", { excludedRecurrenceRules = { { frequency = "weekly" } } })
    native, err = event:from(excluded)
    assert.is_nil(native)
    assert.equal("excludedRecurrenceRules", err.field)
    local added = fresh("FREQ=DAILY", { recurrenceOverrides = { ["2025-01-07T15:00:00"] = {} } })
    native, err = event:from(added)
    assert.is_nil(native)
    assert.equal("recurrenceOverrides", err.field)
    native, err = event:from(fresh(nil, { recurrenceOverrides = { ["2025-01-07T15:00:00"] = {} } }))
    assert.is_nil(native)
    assert.equal("recurrenceOverrides", err.field)
  end)

  it("is none where Graph says something else", function()
    local good = assert(event:from(fresh "FREQ=WEEKLY;COUNT=3"))
    for _, spoil in ipairs {
      function(r) r.pattern.type = "hourly" end, function(r) r.range.type = "forever" end, function(r) r.pattern.daysOfWeek = { "someday" } end,
      function(r) r.pattern.daysOfWeek = nil end, function(r) r.pattern.interval = 0 end, function(r) r.range.numberOfOccurrences = -1 end,
      function(r) r.pattern = json.null end, function(r) r.range = nil end,
      function(r) r.range = { type = "endDate", endDate = "2025-02-30" } end,
      function(r) r.pattern = { type = "absoluteMonthly", dayOfMonth = 32 } end,
      function(r) r.pattern = { type = "relativeMonthly", daysOfWeek = { "monday" }, index = "fifth" } end,
      function(r) r.pattern = { type = "absoluteYearly", dayOfMonth = 1, month = 13 } end,
    } do
      local native = json.decode(json.encode(good))
      spoil(native.recurrence)
      local read, err = event:to(native)
      assert.is_nil(read)
      assert.equal("recurrenceRules", err.field)
    end
  end)
end)

describe("a series", function()
  local function series(over)
    local native = assert(event:from(fresh("FREQ=WEEKLY;BYDAY=MO;COUNT=10", {
      start = "2025-03-17T09:00:00", title = "Weekly", freeBusyStatus = "busy", privacy = "public",
      ["lunation:custom"] = { app = { n = 1 } } })))
    native.id, native.type, native.iCalUId = "M1", "seriesMaster", "ical1"
    for name, value in pairs(over or {}) do native[name] = value end
    return native
  end

  -- An exception as Graph gives it: an event of its own, in UTC.
  local function exception(original, start, finish, over)
    local native = {
      id = "X" .. original, type = "exception", seriesMasterId = "M1", originalStart = original, subject = "Weekly", iCalUId = "ical1",
      originalStartTimeZone = "Romance Standard Time", originalEndTimeZone = "Romance Standard Time", showAs = "busy", isAllDay = false,
      start = { dateTime = start, timeZone = "UTC" }, ["end"] = { dateTime = finish, timeZone = "UTC" }, recurrence = json.null,
      body = { contentType = "text", content = "" }, sensitivity = "normal", importance = "normal",
    }
    for name, value in pairs(over or {}) do native[name] = value end
    return native
  end

  it("is one event with its exceptions and what was cancelled", function()
    local read = assert(event:to(series {
      cancelledOccurrences = { "OID.M1.2025-03-24", "OID.AAMk-2025=.2025-04-14" },
      exceptionOccurrences = {
        exception("2025-03-31T07:00:00Z", "2025-04-01T08:00:00.0000000", "2025-04-01T09:30:00.0000000", { subject = "Moved" }),
      },
    }))
    assert.same({
      ["2025-03-24T09:00:00"] = { excluded = true }, ["2025-04-14T09:00:00"] = { excluded = true },
      ["2025-03-31T09:00:00"] = { title = "Moved", start = "2025-04-01T10:00:00", duration = "PT1H30M" },
    }, read.recurrenceOverrides)
    assert.same({ app = { n = 1 } }, model.instance(read, "2025-03-31T09:00:00")["lunation:custom"])
  end)

  it("keeps its exceptions where something else changes", function()
    local before = series { cancelledOccurrences = { "OID.M1.2025-03-24" },
      exceptionOccurrences = { exception("2025-03-31T07:00:00Z", "2025-03-31T07:00:00Z", "2025-03-31T08:00:00Z", { subject = "Other", etag = "e" }) } }
    local canonical = assert(event:to(before))
    canonical.description = "new"
    local after = assert(event:from(canonical, before))
    assert.same(before.exceptionOccurrences[1], after.exceptionOccurrences[1])
    assert.same({ "OID.M1.2025-03-24" }, json.decode(json.encode(after.cancelledOccurrences)))
    assert.same(before.recurrence, after.recurrence)
  end)

  it("takes a change of one instance as that change alone", function()
    local before = series()
    local canonical = assert(model.edit_this(assert(event:to(before)), "2025-03-31T09:00:00", { title = "Once", start = "2025-03-31T10:00:00" }))
    local after = assert(event:from(canonical, before))
    assert.equal(1, #after.exceptionOccurrences)
    local made = after.exceptionOccurrences[1]
    assert.equal("2025-03-31T07:00:00Z", made.originalStart)
    assert.equal("Once", made.subject)
    assert.same({ dateTime = "2025-03-31T10:00:00", timeZone = "Romance Standard Time" }, made.start)
    assert.is_nil(made.id)
    assert.is_nil(made.showAs)
    assert.is_nil(made.body)
    assert.same(model.instance(canonical, "2025-03-31T09:00:00").start, model.instance(assert(event:to(after)), "2025-03-31T09:00:00").start)
  end)

  it("changes an exception that is there, and takes occurrences away", function()
    local before = series { exceptionOccurrences = { exception("2025-03-31T07:00:00Z", "2025-03-31T07:00:00Z", "2025-03-31T08:00:00Z",
      { subject = "Other", unknownField = 1 }) } }
    local canonical = assert(model.edit_this(assert(event:to(before)), "2025-03-31T09:00:00", { description = "d" }))
    canonical = assert(model.edit_this(canonical, "2025-04-07T09:00:00", json.null))
    local after = assert(event:from(canonical, before))
    assert.equal("X2025-03-31T07:00:00Z", after.exceptionOccurrences[1].id)
    assert.equal("d", after.exceptionOccurrences[1].body.content)
    assert.equal(1, after.exceptionOccurrences[1].unknownField)
    assert.equal("OID.M1.2025-04-07", after.cancelledOccurrences[1])
    canonical = assert(model.edit_this(canonical, "2025-03-31T09:00:00", json.null))
    after = assert(event:from(canonical, before))
    assert.is_nil(after.exceptionOccurrences)
    assert.equal(2, #after.cancelledOccurrences)
  end)

  it("does not bring back what was cancelled", function()
    local before = series { cancelledOccurrences = { "OID.M1.2025-03-24" } }
    local canonical = assert(event:to(before))
    canonical.recurrenceOverrides = nil
    local after, err = event:from(canonical, before)
    assert.is_nil(after)
    assert.equal("recurrenceOverrides", err.field)
  end)

  it("recurs in the zone of its range", function()
    local native = series()
    native.start = { dateTime = "2025-03-17T08:00:00.0000000", timeZone = "UTC" }
    native["end"] = { dateTime = "2025-03-17T09:00:00.0000000", timeZone = "UTC" }
    native.originalStartTimeZone = "UTC"
    assert.equal("2025-03-17T09:00:00", assert(event:to(native)).start)
  end)

  it("of days has exceptions by days, east and west", function()
    for _, case in ipairs { { "New Zealand Standard Time", "2025-03-16T11:00:00", "2025-03-17T11:00:00", "2025-03-17T11:00:00Z" },
      { "Pacific Standard Time", "2025-03-17T07:00:00", "2025-03-18T07:00:00", "2025-03-18T07:00:00Z" },
      { "UTC", "2025-03-17T00:00:00", "2025-03-18T00:00:00", "2025-03-18T00:00:00Z" } } do
      local read = assert(event:to {
        id = "M", type = "seriesMaster", subject = "Days", isAllDay = true, start = { dateTime = case[2], timeZone = "UTC" },
        ["end"] = { dateTime = case[3], timeZone = "UTC" }, originalStartTimeZone = case[1], originalEndTimeZone = case[1],
        recurrence = { pattern = { type = "daily", interval = 1 },
          range = { type = "endDate", startDate = "2025-03-17", endDate = "2025-03-20", recurrenceTimeZone = case[1] } },
        cancelledOccurrences = { "OID.M.2025-03-19" },
        exceptionOccurrences = { { id = "X", type = "exception", subject = "Other", originalStart = case[4], isAllDay = true } },
      })
      assert.equal("2025-03-17T00:00:00", read.start)
      assert.same({ ["2025-03-19T00:00:00"] = { excluded = true }, ["2025-03-18T00:00:00"] = { title = "Other" } }, read.recurrenceOverrides)
      assert.equal(3, #starts(read))
    end
  end)

  it("moves with its exceptions", function()
    local before = series { cancelledOccurrences = { "OID.M1.2025-03-24" },
      exceptionOccurrences = { exception("2025-03-31T07:00:00Z", "2025-03-31T07:00:00Z", "2025-03-31T08:00:00Z", { subject = "Other" }) } }
    local canonical = assert(model.edit_all(assert(event:to(before)), { start = "2025-03-18T10:00:00" }))
    local after = assert(event:from(canonical, before))
    assert.same({ "tuesday" }, json.decode(json.encode(after.recurrence.pattern.daysOfWeek)))
    local read = assert(event:to(after))
    assert.same({ excluded = true }, read.recurrenceOverrides["2025-03-25T10:00:00"])
    assert.equal("Other", read.recurrenceOverrides["2025-04-01T10:00:00"].title)
  end)

  it("is split in two", function()
    local before = series { exceptionOccurrences = {
      exception("2025-03-24T08:00:00Z", "2025-03-24T08:00:00Z", "2025-03-24T09:00:00Z", { subject = "Early" }),
      exception("2025-04-14T07:00:00Z", "2025-04-14T07:00:00Z", "2025-04-14T08:00:00Z", { subject = "Late" }) } }
    local first, second = model.split(assert(event:to(before)), "2025-04-07T09:00:00", "u2")
    local head = assert(event:from(first, before))
    assert.equal("2025-04-06", head.recurrence.range.endDate)
    assert.equal(1, #head.exceptionOccurrences)
    local tail = assert(event:from(second, before))
    assert.equal("numbered", tail.recurrence.range.type)
    assert.equal(7, tail.recurrence.range.numberOfOccurrences)
    assert.equal("2025-04-07", tail.recurrence.range.startDate)
    assert.equal("Late", tail.exceptionOccurrences[1].subject)
    assert.equal("u2", assert(event:to(tail)).uid)
    assert.equal(10, #starts(assert(event:to(head))) + #starts(assert(event:to(tail))))
  end)
end)

describe("events at random", function()
  local random

  local function pick(list) return list[random(#list)] end

  local function generator(seed)
    local state = seed
    return function(n)
      state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (state >> 33) % n + 1
    end
  end

  local function some(chance, value) if random(100) <= chance then return value end end

  local zones = { "Europe/Paris", "America/New_York", "Asia/Tokyo", "Etc/UTC", "Australia/Sydney", "Europe/Madrid", "Asia/Kathmandu" }
  local rules = { "FREQ=DAILY;INTERVAL=2;COUNT=9", "FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT=12", "FREQ=MONTHLY;BYDAY=2TU;COUNT=5",
    "FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20261231T235959", "FREQ=YEARLY;COUNT=4", "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1;COUNT=6" }

  local function make(n)
    local all_day = random(4) == 1
    local canonical = {
      ["@type"] = "Event", uid = "uid-" .. n, title = pick { "Plan", "Überblick ✓", "a < b & c", "日本" },
      start = ("2025-%02d-%02dT%s"):format(random(12), random(28), all_day and "00:00:00" or ("%02d:%02d:00"):format(random(24) - 1, random(4) * 15 - 15)),
      duration = all_day and pick { "P1D", "P3D" } or pick { "PT30M", "PT1H", "PT26H" },
      timeZone = not all_day and pick(zones) or nil, showWithoutTime = all_day or nil,
      description = some(60, pick { "text", "two\nlines", "<tag> & more" }), privacy = pick { "public", "private", "secret" },
      freeBusyStatus = pick { "busy", "free" }, status = "confirmed", priority = some(30, pick { 1, 9 }),
      keywords = some(40, { Red = true, ["Blue category"] = true }), color = some(30, "#aabbcc"),
      locations = some(50, { ["1"] = { ["@type"] = "Location", name = "Room <1>" } }),
      alerts = some(50, { ["1"] = { ["@type"] = "Alert", action = "display",
        trigger = { ["@type"] = "OffsetTrigger", offset = pick { "-PT15M", "-PT24H", "PT0S" } } } }),
      ["lunation:custom"] = some(40, { app1 = { deep = { a = { 1, "x", true } } }, app2 = { b = 2.5 } }),
      relatedTo = some(20, { other = { ["@type"] = "Relation", relation = { first = true } } }),
    }
    canonical["lunation:showAs"] = canonical.freeBusyStatus
    if some(50, true) then
      canonical.recurrenceRules = { assert(rule.from_rrule(pick(rules), canonical)) }
      canonical.start = model.first_key(canonical)
      local keys = {}
      for _, instance in ipairs((model.expand(canonical, 0, 4000000000, 4))) do keys[#keys + 1] = instance.recurrenceId end
      if some(60, true) and keys[2] then canonical = assert(model.edit_this(canonical, keys[2], { title = "Exception", description = json.null })) end
      if some(60, true) and keys[3] then canonical = assert(model.edit_this(canonical, keys[3], json.null)) end
      if some(40, true) and keys[4] and not all_day then
        canonical = assert(model.edit_this(canonical, keys[4], { duration = "PT2H" }))
      end
      canonical.sequence, canonical.updated = nil, nil
      for _, patch in pairs(canonical.recurrenceOverrides or {}) do patch.sequence, patch.updated = nil, nil end
    end
    return canonical
  end

  it("come back as they were", function()
    for n = 1, 300 do
      random = generator(n * 7919)
      local canonical = make(n)
      local native, err = event:from(canonical)
      assert(native, tostring(err))
      local wire = json.decode(json.encode(native))
      local back = assert(event:to(wire))
      assert.equal(canonical.recurrenceRules == nil, back.recurrenceRules == nil)
      if canonical.recurrenceRules then
        assert.same(starts(canonical), starts(back))
        canonical.recurrenceRules, back.recurrenceRules = nil, nil
      end
      if back.status == "confirmed" then canonical.status = "confirmed" end
      assert.same(canonical, back, "seed " .. n)
      -- What is written again over itself is the same.
      local again = assert(event:from(assert(event:to(wire)), wire))
      assert.same(wire, json.decode(json.encode(again)), "seed " .. n)
    end
  end)
end)
