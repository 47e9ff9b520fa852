-- Recurrence: RFC 5545's examples and the policies for what it leaves open, each in its own case.
local rrule = require("lunation.rrule")
local cases = dofile("spec/fixtures/rrule_cases.lua")

describe("lunation.rrule", function()
  describe("expand", function()
    for _, case in ipairs(cases) do
      it(case.name, function()
        local got, truncated = rrule.expand(case.given)
        assert.same(case.expected, got)
        assert.equal(case.truncated or false, truncated)
      end)
    end

    it("refuses what is no rule", function()
      for _, text in ipairs({
        "", "FREQ=", "FREQ=FORTNIGHTLY", "COUNT=3", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=-1", "FREQ=DAILY;COUNT=x",
        "FREQ=DAILY;BYMONTH=13", "FREQ=DAILY;BYMONTHDAY=0", "FREQ=DAILY;BYMONTHDAY=-32", "FREQ=YEARLY;BYYEARDAY=367", "FREQ=YEARLY;BYDAY=0MO",
        "FREQ=YEARLY;BYDAY=54MO", "FREQ=YEARLY;BYDAY=XX", "FREQ=DAILY;BYHOUR=24", "FREQ=DAILY;BYMINUTE=60", "FREQ=DAILY;BYSECOND=61",
        "FREQ=DAILY;BYSETPOS=0", "FREQ=YEARLY;BYWEEKNO=54", "FREQ=DAILY;WKST=XX", "FREQ=DAILY;UNTIL=soon", "FREQ=DAILY;FOO=1", "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;BYDAY=MO=", "FREQ", "FREQ=DAILY;SKIP=MAYBE", "RSCALE=KLINGON;FREQ=DAILY", "FREQ=DAILY;COUNT=1.5", ("FREQ=DAILY;X=1"):rep(2000),
      }) do
        local got, err = rrule.expand({ dtstart = "2025-01-01T09:00:00", rrule = { text } })
        assert.is_nil(got, text)
        assert.equal("invalid_rule", err.code)
        assert.is_true(#tostring(err) > 5)
      end
    end)

    it("refuses times and zones that are none", function()
      local function code(set)
        local got, err = rrule.expand(set)
        assert.is_nil(got)
        return err.code
      end
      assert.equal("invalid_time", code({ dtstart = "today" }))
      assert.equal("invalid_time", code({ dtstart = "2025-01-01", rdate = { "x" } }))
      assert.equal("invalid_time", code({ dtstart = "2025-01-01", from = "x" }))
      assert.equal("invalid_zone", code({ dtstart = "2025-01-01", tzid = "Mars/Olympus" }))
      assert.has_error(function() rrule.expand({}) end)
    end)

    it("refuses forbidden combinations only when strict", function()
      for _, text in ipairs({
        "FREQ=DAILY;BYDAY=1MO", "FREQ=WEEKLY;BYDAY=1MO", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "FREQ=MONTHLY;BYWEEKNO=10", "FREQ=MONTHLY;BYYEARDAY=14",
        "FREQ=WEEKLY;BYMONTHDAY=20", "FREQ=DAILY;BYSETPOS=1", "FREQ=DAILY;COUNT=2;UNTIL=20250601T000000", "FREQ=DAILY;UNTIL=20250601",
      }) do
        assert.is_table((rrule.expand({ dtstart = "2025-01-01T09:00:00", rrule = { text }, limit = 3 })), text)
        local got, err = rrule.expand({ dtstart = "2025-01-01T09:00:00", rrule = { text }, strict = true })
        assert.is_nil(got, text)
        assert.equal("invalid_rule", err.code)
      end
    end)

    it("ends a search that finds nothing", function()
      local began = os.clock()
      for _, text in ipairs({
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=SECONDLY;INTERVAL=60;BYSECOND=30", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;INTERVAL=1440;BYHOUR=5", "FREQ=YEARLY;BYMONTH=6;BYWEEKNO=1", "FREQ=DAILY;BYHOUR=1;BYSETPOS=2",
      }) do
        local got, truncated = rrule.expand({ dtstart = "2025-01-01T09:00:00", rrule = { text } })
        assert.same({}, got)
        assert.is_false(truncated)
      end
      assert.same({}, (rrule.expand({ dtstart = "2025-01-01T09:00:00", rrule = { "FREQ=DAILY" }, exrule = { "FREQ=DAILY" } })))
      assert.is_true(os.clock() - began < 10)
    end)
  end)

  describe("a compiled set", function()
    local set = assert(rrule.set({ dtstart = "2025-03-08T02:30:00", tzid = "America/New_York", rrule = { "FREQ=DAILY;COUNT=4" } }))

    it("gives instants", function()
      assert.same({ 1741419000, 1741505400, 1741588200, 1741674600 }, (set:instants()))
      assert.same({ 1741505400 }, (set:instants(1741505400, 1741588200)))
      local first, truncated = set:instants(0, 4000000000, 2)
      assert.same({ 1741419000, 1741505400 }, first)
      assert.is_true(truncated)
    end)

    it("iterates from an instant on", function()
      local seen = {}
      for t in set:iter(1741505401) do
        seen[#seen + 1] = t
      end
      assert.same({ 1741588200, 1741674600 }, seen)
    end)

    it("gives the same from any beginning", function()
      for _, text in ipairs({
        "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=YEARLY;BYWEEKNO=1,53",
        "FREQ=HOURLY;INTERVAL=7", "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=FORWARD", "FREQ=MONTHLY;COUNT=30", "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=2,-1",
      }) do
        local any = assert(rrule.set({ dtstart = "2025-01-31T10:00:00", tzid = "Europe/Berlin", rrule = { text } }))
        local all = any:instants(0, 1900000000, 100000)
        local index = 1
        for from = 1738000000, 1890000000, 5000003 do
          while all[index] and all[index] < from do
            index = index + 1
          end
          assert.equal(all[index], any:instants(from, 1900000000, 1)[1], text)
        end
      end
    end)
  end)

  it("survives any bytes in place of a rule, and ends", function()
    local state = 5
    local function pick(low, high)
      state = (state * 1664525 + 1013904223) % 4294967296
      return low + (state // 65536) % (high - low + 1)
    end
    local parts = {
      "FREQ=DAILY", "FREQ=YEARLY", "FREQ=SECONDLY", "BYDAY=1MO,-5SU,TU", "BYMONTHDAY=31,-1", "BYYEARDAY=366,-366", "BYWEEKNO=53,-1", "BYMONTH=2",
      "BYSETPOS=1,-366", "BYHOUR=0,23", "INTERVAL=999999999999999", "COUNT=3", "UNTIL=20300101T000000Z", "WKST=SU", "SKIP=FORWARD",
      "RSCALE=GREGORIAN", "BYSECOND=60", "INTERVAL=7",
    }
    local began = os.clock()
    for _ = 1, 400 do
      local chosen = {}
      for i = 1, pick(1, 6) do chosen[i] = parts[pick(1, #parts)] end
      local text = table.concat(chosen, ";")
      if pick(1, 3) == 1 then
        local at = pick(1, #text)
        text = text:sub(1, at - 1) .. string.char(pick(0, 255)) .. text:sub(at + pick(0, 2))
      end
      local got = rrule.expand({ dtstart = "2025-01-31T09:00:00", tzid = "Europe/Berlin", rrule = { text }, limit = 20 })
      for i = 2, got and #got or 0 do
        assert.is_true(got[i - 1] < got[i], text)
      end
    end
    assert.is_true(os.clock() - began < 60)
  end)

  it("reads and writes rules as tables", function()
    local rule = rrule.parse("RRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=-1FR,2MO;BYMONTH=6,1;UNTIL=20300101T000000Z;WKST=SU;")
    assert.same({
      frequency = "monthly", interval = 2, byDay = { { day = "mo", nthOfPeriod = 2 }, { day = "fr", nthOfPeriod = -1 } },
      byMonth = { "1", "6" }, ["until"] = "2030-01-01T00:00:00Z", firstDayOfWeek = "su",
    }, rule)
    assert.equal("FREQ=MONTHLY;UNTIL=20300101T000000Z;INTERVAL=2;BYDAY=2MO,-1FR;BYMONTH=1,6;WKST=SU", rrule.format(rule))
    for _, text in ipairs({
      "FREQ=DAILY;COUNT=10", "FREQ=WEEKLY;UNTIL=20250101;BYDAY=MO,WE,FR", "FREQ=YEARLY;BYYEARDAY=1,100,-1", "FREQ=YEARLY;BYDAY=MO;BYWEEKNO=20,-1",
      "FREQ=DAILY;BYSECOND=0,30;BYMINUTE=0,20;BYHOUR=9,10", "FREQ=MONTHLY;BYDAY=MO,TU,WE;BYSETPOS=1,-1", "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=FORWARD",
      "FREQ=MONTHLY;BYMONTHDAY=1,15,-1",
    }) do
      assert.equal(text, rrule.format(assert(rrule.parse(text))))
    end
    local text, err = rrule.format({ frequency = "often" })
    assert.is_nil(text)
    assert.equal("invalid_rule", err.code)
  end)
end)

describe("the published cases of other engines", function()
  it("of what is no rule are refused as they say", function()
    local file = io.open("../shared/corpora/rrule_invalid.jsonl")
    if not file then
      return pending("needs ../shared")
    end
    local json = require("cjson")
    for line in file:lines() do
      local case = json.decode(line)
      local start = case.dtstart ~= json.null and case.dtstart or "2024-01-01T09:00:00"
      assert.is_nil((rrule.expand({ dtstart = start, rrule = { case.rrule }, strict = true })), case.rrule)
      local lenient = rrule.expand({ dtstart = start, rrule = { case.rrule }, limit = 3 })
      assert.equal(case.mode == "strict", lenient ~= nil, case.rrule)
    end
    file:close()
  end)

  it("agree with ours where those engines agree", function()
    local file = io.open("../shared/corpora/rrule_cases.jsonl")
    if not file then
      return pending("needs ../shared")
    end
    local json = require("cjson")
    local count, good = {}, {}
    for line in file:lines() do
      local case = json.decode(line)
      local got = rrule.expand(case["in"])
      local same = got ~= nil and #got == #case.expected
      for i = 1, same and #got or 0 do
        same = same and got[i] == case.expected[i]
      end
      count[case.class] = (count[case.class] or 0) + 1
      good[case.class] = (good[case.class] or 0) + (same and 1 or 0)
    end
    file:close()
    -- what is left of the consensus: calendars other than the Gregorian, and three whose window leaves out its first instant
    assert.is_true(good.consensus >= 1424, ("%d of %d"):format(good.consensus, count.consensus))
    assert.is_true(good.majority >= 189, ("%d of %d"):format(good.majority, count.majority))
  end)
end)
