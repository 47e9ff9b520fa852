-- Rules of other calendars (RFC 7529): dates that are known from elsewhere, and the guard around who reckons them.
local ical = require "lunation.ical"
local json = require "lunation.json"
local model = require "lunation.model"
local query = require "lunation.query"
local rrule = require "lunation.rrule"
local rscale = require "lunation.rscale"
local specs = require "spec.support.store"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"
local tz = require "lunation.tz"

local function dates(start, rule, more)
  local given = { dtstart = start, rrule = { rule } }
  for name, value in pairs(more or {}) do given[name] = value end
  return rrule.expand(given)
end

describe("rules of other calendars", function()
  it("are reckoned in their calendar", function()
    local known = {
      { "2023-01-22", "RSCALE=CHINESE;FREQ=YEARLY;COUNT=4", "2023-01-22 2024-02-10 2025-01-29 2026-02-17" },
      { "2017-07-23", "RSCALE=CHINESE;FREQ=YEARLY;BYMONTH=6L;BYMONTHDAY=1;COUNT=3", "2017-07-23 2025-07-25 2036-07-23" },
      { "2023-09-16", "RSCALE=HEBREW;FREQ=YEARLY;COUNT=4", "2023-09-16 2024-10-03 2025-09-23 2026-09-12" },
      { "2023-03-07", "RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=6;BYMONTHDAY=14;COUNT=3", "2023-03-07 2024-03-24 2025-03-14" },
      { "2022-09-11", "RSCALE=ETHIOPIC;FREQ=YEARLY;COUNT=4", "2022-09-11 2023-09-12 2024-09-11 2025-09-11" },
      { "2023-03-21", "RSCALE=PERSIAN;FREQ=YEARLY;COUNT=3", "2023-03-21 2024-03-20 2025-03-21" },
      { "2024-02-10", "rscale=chinese;freq=monthly;count=3", "2024-02-10 2024-03-10 2024-04-09" },
    }
    for _, case in ipairs(known) do assert.equal(case[3], table.concat(assert(dates(case[1], case[2])), " "), case[2]) end
  end)

  it("leave out, put back or put forward what a year does not have", function()
    -- The first day of Adar I, which every second or third year has.
    local rule = "RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L;BYMONTHDAY=1;COUNT=3"
    assert.same({ "2024-02-10", "2027-02-08", "2030-02-04" }, (dates("2024-02-10", rule)))
    assert.same({ "2024-02-10", "2025-03-01", "2026-02-18" }, (dates("2024-02-10", rule .. ";SKIP=FORWARD")))
    assert.same({ "2024-02-10", "2025-01-30", "2026-01-19" }, (dates("2024-02-10", rule .. ";SKIP=BACKWARD")))
  end)

  it("of days and weeks are quick where they are rare", function()
    -- The sixth month of 2017, 2025 and 2036 has a leap month behind it.
    local rule = "RSCALE=CHINESE;FREQ=DAILY;BYMONTH=6L;BYMONTHDAY=1"
    assert.same({ "2017-07-23", "2025-07-25", "2036-07-23" }, (dates("1995-01-01", rule, { to = "2040-01-01" })))
    assert.same({ 29 + 30 }, { #dates("2010-01-01", "RSCALE=CHINESE;FREQ=DAILY;BYMONTH=6L", { to = "2030-01-01" }) })
    local sundays = dates("2010-01-03", "RSCALE=CHINESE;FREQ=WEEKLY;BYMONTH=6L", { to = "2030-01-01" })
    assert.same({ "2017-07-23", "2017-07-30", "2017-08-06", "2017-08-13", "2017-08-20" }, table.move(sundays, 1, 5, 1, {}))
    assert.same({ "2024-02-09", "2024-03-10", "2024-04-08" }, (dates("2024-01-25", "RSCALE=HEBREW;FREQ=DAILY;BYMONTHDAY=-1;COUNT=3")))
    assert.same({ "2024-10-03", "2025-09-23" }, (dates("2024-01-25", "RSCALE=HEBREW;FREQ=DAILY;BYYEARDAY=1;COUNT=2")))
    assert.same({ "2024-10-02", "2025-09-22" }, (dates("2024-01-25", "RSCALE=HEBREW;FREQ=DAILY;BYYEARDAY=-1;COUNT=2")))
    assert.same({ "2024-02-10T09:00:00", "2024-02-10T21:00:00", "2024-03-11T09:00:00" },
      (dates("2024-01-25T09:00:00", "RSCALE=HEBREW;FREQ=DAILY;BYMONTHDAY=1;BYHOUR=9,21;COUNT=3")))
  end)

  it("stand in sets with zones, windows, UNTIL, dates and other rules", function()
    local newyear = "RSCALE=CHINESE;FREQ=YEARLY"
    local given = {
      dtstart = "2013-02-10T09:00:00", tzid = "Asia/Shanghai", rrule = { newyear, "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1" },
      exdate = { "2025-01-29T09:00:00" }, rdate = { "2025-06-01T09:00:00" }, from = "2024-12-01T00:00:00", to = "2026-03-01T00:00:00",
    }
    local got, truncated = rrule.expand(given)
    assert.same({ "2025-01-01T09:00:00", "2025-06-01T09:00:00", "2026-01-01T09:00:00", "2026-02-17T09:00:00" }, got)
    assert.is_false(truncated)
    given.limit = 2
    assert.same({ { "2025-01-01T09:00:00", "2025-06-01T09:00:00" }, true }, { rrule.expand(given) })
    assert.same({ { "2013-02-10", "2014-01-31" }, false }, { dates("2013-02-10", newyear .. ";UNTIL=20150201") })
    got = dates("2024-02-08T01:00:00Z", "FREQ=DAILY;COUNT=4", { exrule = { "RSCALE=CHINESE;FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1" } })
    assert.same({ "2024-02-08T01:00:00Z", "2024-02-09T01:00:00Z", "2024-02-11T01:00:00Z" }, got)
  end)

  it("go on far from DTSTART, and as long as they are asked", function()
    local set = assert(rrule.set { dtstart = "1990-01-27T08:30:00", tzid = "America/New_York", rrule = { "RSCALE=CHINESE;FREQ=DAILY;BYMONTHDAY=1" } })
    local year = set:instants(tz.to_utc("2025-01-01"), tz.to_utc("2026-01-01"))
    assert.equal(12, #year)
    assert.equal("2025-01-29T08:30:00", (tz.to_local(year[1], "America/New_York")))
    local n, last = 0, nil
    for at in set:iter(tz.to_utc("2024-01-01")) do
      n = n + 1
      assert.is_true(last == nil or at > last)
      last = at
      if n == 120 then break end
    end
    assert.equal("2033", (tz.to_local(last, "America/New_York")):sub(1, 4)) -- 120 months of 29.53 days later
    assert.equal(400, #dates("2024-01-11", "RSCALE=HEBREW;FREQ=DAILY", { limit = 400 }))
  end)

  it("have a set that many walk at once", function()
    local set = assert(rrule.set { dtstart = "1990-01-01T09:00:00", rrule = { "RSCALE=HEBREW;FREQ=DAILY", "RSCALE=HEBREW;FREQ=YEARLY" } })
    local slow, at = set:iter(tz.to_utc("1990-06-01")), tz.to_utc("1990-06-01T09:00:00")
    for i = 0, 400 do
      assert.equal(at + i * 86400, slow())
      -- others ask for other stretches meanwhile
      if i % 50 == 0 then assert.equal(7, #set:instants(tz.to_utc("2030-01-01") + i * 86400, tz.to_utc("2030-01-08") + i * 86400)) end
    end
  end)

  it("say that they are cut where libical's years end", function()
    local got, truncated = dates("2570-02-20", "RSCALE=ETHIOPIC;FREQ=YEARLY")
    assert.is_true(#got >= 12 and #got <= 13)
    assert.is_true(truncated)
    got, truncated = dates("2570-02-20", "RSCALE=ETHIOPIC;FREQ=YEARLY", { to = "2572-01-01" })
    assert.same({ 2, false }, { #got, truncated })
  end)

  it("are refused where the calendar, the rule or libical does not have them", function()
    for rule, code in pairs {
      ["RSCALE=RUSSIAN;FREQ=YEARLY"] = "invalid_rule",
      ["RSCALE=;FREQ=YEARLY"] = "invalid_rule",
      ["RSCALE=CHINESE;FREQ=YEARLY;BYMONTHDAY=31"] = "unsupported",
      ["RSCALE=HEBREW;FREQ=DAILY;INTERVAL=2;BYMONTHDAY=-1"] = "unsupported",
      ["RSCALE=HEBREW;FREQ=DAILY;INTERVAL=2;BYYEARDAY=1"] = "unsupported",
      ["RSCALE=HEBREW;FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1"] = "unsupported",
      -- There is no such month; libical gives Wednesdays.
      ["RSCALE=CHINESE;FREQ=YEARLY;BYMONTH=12L;BYDAY=1MO"] = "unsupported",
    } do
      local got, err = dates("2024-01-25", rule)
      assert.is_nil(got, rule)
      assert.same({ code, "RSCALE" }, { err.code, err.part }, rule)
    end
    local _, err = dates("2024-01-01", "FREQ=YEARLY;BYMONTH=5L")
    assert.equal("BYMONTH", err.part)
    _, err = dates("2024-01-01", "RSCALE=GREGORIAN;FREQ=YEARLY;BYMONTH=13")
    assert.equal("BYMONTH", err.part)
    _, err = dates("2024-01-01", "RSCALE=GREGORIAN;FREQ=YEARLY;BYYEARDAY=370")
    assert.equal("BYYEARDAY", err.part)
  end)

  it("are tables as JSCalendar has them", function()
    local rule = assert(rrule.parse "RSCALE=HEBREW;FREQ=YEARLY;SKIP=FORWARD;BYMONTH=5,5L;BYMONTHDAY=8;BYYEARDAY=-385")
    assert.same({ "hebrew", "forward", { "5", "5L" }, { -385 } }, { rule.rscale, rule.skip, rule.byMonth, rule.byYearDay })
    assert.same(rule, rrule.parse(assert(rrule.format(rule))))
  end)

  it("are looked at before they are stored, and edited one by one", function()
    local function event(rule)
      return model.normalize { ["@type"] = "Event", uid = "a", title = "x", start = "2024-02-10T09:00:00", timeZone = "Asia/Shanghai",
        duration = "PT1H", recurrenceRules = { rule } }
    end
    local function problem(rule)
      local good, err = model.validate(event(rule))
      return not good and err.field or nil
    end
    assert.is_nil(problem { frequency = "yearly", rscale = "chinese", byMonth = { "6L" }, byYearDay = { 380 }, skip = "forward" })
    assert.equal("recurrenceRules[1].rscale", problem { frequency = "yearly", rscale = "klingon" })
    assert.equal("recurrenceRules[1].skip", problem { frequency = "yearly", skip = "never" })
    assert.equal("recurrenceRules[1].byMonth[1]", problem { frequency = "yearly", byMonth = { "6L" } })
    assert.equal("recurrenceRules[1].byYearDay[1]", problem { frequency = "yearly", rscale = "gregorian", byYearDay = { 380 } })
    local newyear = event { frequency = "yearly", rscale = "chinese" }
    assert.is_true(model.occurs(newyear, "2025-01-29T09:00:00"))
    assert.is_false(model.occurs(newyear, "2025-02-10T09:00:00"))
    local edited = assert(model.edit_this(newyear, "2025-01-29T09:00:00", { title = "snake" }, { now = 1704067200 }))
    assert.equal("snake", edited.recurrenceOverrides["2025-01-29T09:00:00"].title)
    local before, after = model.split(newyear, "2026-02-17T09:00:00", "b", { now = 1704067200 })
    assert.equal(2, #model.expand(before, nil, nil, 10))
    assert.equal("2026-02-17T09:00:00", after.start)
    assert.equal("2027", model.expand(after, nil, nil, 2)[2].recurrenceId:sub(1, 4))
    newyear.recurrenceRules[1].byMonthDay, newyear.start = { 10 }, "2024-02-10T09:00:00"
    local moved = assert(model.edit_all(newyear, { start = "2024-02-12T09:00:00" }))
    assert.same({ 10 }, moved.recurrenceRules[1].byMonthDay)
  end)

  it("come where nothing may wait, too", function()
    local got
    local text = ("x"):gsub("x", function()
      got = assert(dates("2024-10-03", "RSCALE=HEBREW;FREQ=YEARLY;COUNT=2"))
      return "y"
    end)
    assert.equal("y", text)
    assert.same({ "2024-10-03", "2025-09-23" }, got)
    local inner = coroutine.wrap(function() return dates("2024-10-03", "RSCALE=HEBREW;FREQ=YEARLY;COUNT=3") end)
    assert.equal(3, #inner())
  end)

  it("are let go by tasks that end before them", function()
    local long = "RSCALE=CHINESE;FREQ=YEARLY;BYMONTH=1L" -- some tenths of a second
    local handles = {}
    for i = 1, 3 do handles[i] = task.spawn(function() return dates("2024-01-25", long .. ";INTERVAL=" .. i) end) end
    timer.sleep(0.01)
    for _, handle in ipairs(handles) do handle:cancel() end
    local done, err = task.deadline(0.005, dates, "2024-01-25", long .. ";INTERVAL=5")
    assert.is_nil(done)
    assert.equal("timeout", err.code)
    assert.same({ "2024-10-03" }, (dates("2024-10-03", "RSCALE=HEBREW;FREQ=YEARLY;COUNT=1")))
  end)

  it("have a budget of occurrences", function()
    rscale.configure { rscale_steps = 50 }
    finally(function() rscale.configure {} end)
    local got, err = dates("2024-01-11", "RSCALE=INDIAN;FREQ=DAILY", { limit = 60 })
    assert.is_nil(got)
    assert.same({ "too_large", "RSCALE" }, { err.code, err.part })
    assert.equal(40, #dates("2024-01-11", "RSCALE=INDIAN;FREQ=DAILY", { limit = 40 }))
  end)

  local function calendar(rule)
    return table.concat({
      "BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:one", "DTSTART;VALUE=DATE:20240210", "RRULE:" .. rule, "END:VEVENT",
      "BEGIN:VEVENT", "UID:two", "DTSTART;VALUE=DATE:20250301", "END:VEVENT", "END:VCALENDAR", "",
    }, "\r\n")
  end

  it("stand in calendars; one that cannot be reckoned is there with its start and an error", function()
    local function starts(rule)
      local list, problems = {}, {}
      for i, instance in ipairs((assert(ical.instances(calendar(rule), { from = "2024-01-01", to = "2026-01-01" })))) do
        list[i] = instance.uid .. " " .. os.date("!%Y-%m-%d", instance.start)
        if instance.error then problems[#problems + 1] = instance.uid .. " " .. instance.error.part end
      end
      return list, problems
    end
    assert.same({ { "one 2024-02-10", "one 2025-01-29", "two 2025-03-01" }, {} }, { starts "RSCALE=CHINESE;FREQ=YEARLY" })
    assert.same({ { "one 2024-02-10", "two 2025-03-01" }, { "one RSCALE" } }, { starts "RSCALE=CHINESE;FREQ=YEARLY;BYMONTHDAY=31" })
    local events = ical.events(calendar "RSCALE=CHINESE;FREQ=YEARLY;BYMONTH=6L")
    assert.same({ "chinese", { "6L" } }, { events[1].recurrenceRules[1].rscale, events[1].recurrenceRules[1].byMonth })
    assert.truthy(ical.from_events(events):find("RRULE:RSCALE=CHINESE;FREQ=YEARLY;BYMONTH=6L", 1, true))
  end)

  it("stand on pages of the mirror, whatever window comes first", function()
    local store = specs.open()
    finally(function() store:close() end)
    local _, calendars = specs.furnish(store, { calendars = { { id = "work", title = "Work", components = { "VEVENT" } } } })
    local function upsert(id, rule)
      return { id = id, uid = id, etag = "1", original = {}, recurring = true, event = {
        ["@type"] = "Event", uid = id, start = "2024-02-10T00:00:00", showWithoutTime = true, duration = "P1D", recurrenceRules = { rrule.parse(rule) },
      } }
    end
    assert(store:apply { calendar = calendars[1].key, upserts = {
      upsert("lunar", "RSCALE=CHINESE;FREQ=YEARLY"), upsert("never", "RSCALE=CHINESE;FREQ=YEARLY;BYMONTHDAY=31"), upsert("own", "FREQ=YEARLY;COUNT=2"),
    } })
    local made = query.new { config = { limits = { agenda = 1 << 24, renderings = 1 << 22, occurrences = 10000 } }, store = store }
    local function shown(from, to)
      local list = {}
      for i, each in ipairs(assert(made:instances { calendars = calendars, from = tz.to_utc(from), to = tz.to_utc(to), limit = 100 })) do
        list[i] = each.id .. " " .. each.event.start:sub(1, 10)
      end
      return list
    end
    assert.same({ "lunar 2031-01-23" }, shown("2031-01-01", "2031-03-01"))
    assert.same({ "lunar 2024-02-10", "never 2024-02-10", "own 2024-02-10" }, shown("2024-01-01", "2024-03-01"))
    assert.same({ "lunar 2025-01-29", "own 2025-02-10", "lunar 2026-02-17" }, shown("2025-01-01", "2026-12-01"))
    assert.same({ "lunar 2050-01-23" }, shown("2050-01-01", "2050-03-01"))
    assert.same({ "lunar 2031-01-23" }, shown("2031-01-01", "2031-03-01"))
  end)

  it("that keep libical for ever are given up, others go on meanwhile, and there are no more until the next start", function()
    local dir = support.tmpdir()
    local path = support.write(dir .. "/stuck.lua", [[
      local json = require "lunation.json"
local model = require "lunation.model"
      local rrule = require "lunation.rrule"
      local task = require "lunation.task"
      local timer = require "lunation.timer"
      require("lunation.rscale").configure { rscale_time = 0.4 }
      local told, turns = {}, 0
      local clock = timer.every(0.01, function() turns = turns + 1 end)
      local function ask(name, rule)
        local got, err = rrule.expand { dtstart = "2024-01-25T09:00:00", rrule = { rule } }
        told[name] = got and #got or { code = err.code, part = err.part, message = err.message }
      end
      task.all {
        function() ask("stuck", "RSCALE=ETHIOPIC;FREQ=SECONDLY;BYMONTH=13;BYMONTHDAY=6;BYHOUR=3") end,
        function() timer.sleep(0.05) ask("behind", "RSCALE=HEBREW;FREQ=YEARLY;COUNT=3") end,
      }
      told.turns = turns
      clock:cancel()
      ask("later", "RSCALE=HEBREW;FREQ=YEARLY;COUNT=3")
      ask("gregorian", "RSCALE=GREGORIAN;FREQ=YEARLY;COUNT=3")
      print(json.encode(told))
    ]])
    local done = support.lunation { "run", path }
    assert.equal(0, done.code, done.stderr)
    local told = json.decode(done.stdout)
    assert.same({ "timeout", "RSCALE" }, { told.stuck.code, told.stuck.part })
    assert.equal("unavailable", told.behind.code)
    assert.same({ "unavailable", "RSCALE" }, { told.later.code, told.later.part })
    assert.truthy(told.later.message:find("until the program is started anew", 1, true))
    assert.equal(3, told.gregorian)
    assert.truthy(done.stderr:find("RSCALE is off until the next start", 1, true), done.stderr)
    assert.is_true(told.turns > 5, "the loop turned " .. told.turns .. " times")
  end)
end)
