local freebusy = require "lunation.freebusy"
local tz = require "lunation.tz"

local HOUR, DAY = 3600, 86400

local function at(text, zone) return assert(tz.to_utc(text, zone or "UTC")) end

-- Minutes of a flat list as a set, for the oracle.
local function minutes(list)
  local set = {}
  for i = 1, #list, 2 do
    for minute = list[i] // 60, (list[i + 1] - 1) // 60 do set[minute] = true end
  end
  return set
end

-- The slots of a question whose every time is a whole minute, by asking each minute of each slot.
local function brute(q)
  local slots, before, after = {}, (q.buffer_before or 0) // 60, (q.buffer_after or 0) // 60
  local busy, hours = {}, {}
  for i, calendar in ipairs(q.calendars) do
    busy[i] = minutes(calendar.busy or {})
    hours[i] = calendar.hours and minutes(calendar.hours)
  end
  local function free(i, start)
    for minute = start - before, start + q.duration // 60 + after - 1 do
      if busy[i][minute] then return false end
    end
    for minute = start, start + q.duration // 60 - 1 do
      if hours[i] and not hours[i][minute] then return false end
    end
    return true
  end
  local windows = freebusy.merge(q.windows)
  for w = 1, #windows, 2 do
    for t = windows[w], windows[w + 1] - q.duration, q.increment do
      local good, count = not (q.not_before and t < q.not_before), 0
      for i, calendar in ipairs(q.calendars) do
        local is_free = free(i, t // 60)
        if is_free then count = count + 1 elseif calendar.required ~= false then good = false end
      end
      if good and count >= (q.min_attendees or 0) then
        slots[#slots + 1] = t
        slots[#slots + 1] = t + q.duration
      end
    end
  end
  return slots
end

describe("lunation.freebusy sets", function()
  it("joins what overlaps or touches, and drops what is empty", function()
    assert.same({}, freebusy.merge {})
    assert.same({ 1, 9 }, freebusy.merge { 5, 9, 1, 3, 3, 5 })
    assert.same({ 1, 2, 4, 8 }, freebusy.merge { 4, 8, 9, 9, 1, 2, 20, 10, 5, 6 })
    assert.same({ -100, 100 }, freebusy.merge { 0, 100, -100, 1 })
    assert.same({ math.mininteger, math.maxinteger }, freebusy.merge { 5, math.maxinteger, math.mininteger, 7 })
  end)

  it("complements and intersects", function()
    assert.same({ 0, 1, 3, 5, 8, 10 }, freebusy.complement({ 5, 8, 1, 3 }, 0, 10))
    assert.same({}, freebusy.complement({ 0, 10 }, 2, 5))
    assert.same({ 2, 5 }, freebusy.complement({}, 2, 5))
    assert.same({ 3, 4, 6, 7 }, freebusy.intersect({ 1, 4, 6, 9 }, { 3, 7 }))
  end)

  it("says what is no list", function()
    assert.has_error(function() freebusy.merge { 1 } end, "intervals: starts and ends in pairs expected")
    assert.has_error(function() freebusy.merge { 1, "x" } end, "intervals: element 2 is no instant")
    assert.has_error(function() freebusy.merge(5) end, "intervals: a flat array of instants expected")
  end)

  it("joins any number in any order as one by one would", function()
    math.randomseed(7)
    -- dense and sparse, within 32 bits and beyond them, few and many
    for _, case in ipairs { { 30, 100 }, { 3000, 20000 }, { 3000, 2 ^ 31 }, { 3000, 2 ^ 40 }, { 300000, 2 ^ 27 }, { 300000, 2 ^ 36 } } do
      local list, seen = {}, {}
      for i = 1, case[1] do
        local start = math.random(0, case[2] // 1 | 0) - 1000
        local length = math.random(0, math.max(1, case[2] // case[1] | 0))
        list[2 * i - 1], list[2 * i] = start, start + length
        seen[i] = { start, start + length }
      end
      table.sort(seen, function(a, b) return a[1] < b[1] end)
      local expected, n = {}, 0
      for _, interval in ipairs(seen) do
        if interval[2] > interval[1] then
          if n > 0 and interval[1] <= expected[n] then
            expected[n] = math.max(expected[n], interval[2])
          else
            expected[n + 1], expected[n + 2] = interval[1], interval[2]
            n = n + 2
          end
        end
      end
      local merged = freebusy.merge(list)
      assert.equal(#expected, #merged)
      for i = 1, n do
        if expected[i] ~= merged[i] then assert.equal(expected[i], merged[i]) end
      end
    end
  end)
end)

describe("lunation.freebusy.solve", function()
  local monday = at "2025-03-03T00:00:00"
  local window = { monday + 9 * HOUR, monday + 12 * HOUR }

  it("finds slots aligned to the window", function()
    assert.same({ monday + 9 * HOUR, monday + 10 * HOUR, monday + 10 * HOUR + 1800, monday + 11 * HOUR + 1800, monday + 11 * HOUR, monday + 12 * HOUR },
      freebusy.solve { calendars = { { busy = { monday + 10 * HOUR, monday + 10 * HOUR + 1800 } } }, windows = window, duration = HOUR, increment = 1800 })
  end)

  it("finds ranges", function()
    local q = { calendars = { { busy = { monday + 10 * HOUR, monday + 10 * HOUR + 600 } } }, windows = window, duration = HOUR }
    assert.same({ monday + 9 * HOUR, monday + 10 * HOUR, monday + 10 * HOUR + 600, monday + 12 * HOUR }, freebusy.solve(q))
    q.duration = 2 * HOUR
    assert.same({}, freebusy.solve(q))
    q.calendars = {}
    assert.same(window, freebusy.solve(q))
  end)

  it("keeps buffers free, outside of the window too", function()
    local q = { calendars = { { busy = { monday + 8 * HOUR, monday + 9 * HOUR, monday + 12 * HOUR, monday + 13 * HOUR } } }, windows = window, duration = HOUR }
    q.buffer_before, q.buffer_after = 900, 600
    assert.same({ window[1] + 900, window[2] - 600 }, freebusy.solve(q))
  end)

  it("aligns to the clock of a zone, through its changes", function()
    -- Berlin leaves 02:00 for 03:00 on 30 March 2025 and repeats 02:00 to 03:00 on 26 October.
    local function starts(from, to, increment)
      local slots = freebusy.solve { calendars = {}, windows = { at(from), at(to) }, duration = 600, increment = increment, align = "clock",
        tzid = "Europe/Berlin" }
      local list = {}
      for i = 1, #slots, 2 do list[#list + 1] = tz.to_local(slots[i], "Europe/Berlin"):sub(12, 16) end
      return list
    end
    assert.same({ "01:00", "01:30", "03:00", "03:30", "04:00" }, starts("2025-03-29T23:40:00", "2025-03-30T02:10:00", 1800))
    assert.same({ "02:00", "02:30", "02:00", "02:30", "03:00" }, starts("2025-10-25T23:50:00", "2025-10-26T02:10:00", 1800))
    assert.same({ "21:00", "22:30", "00:00", "01:30" }, starts("2025-03-04T20:00:00", "2025-03-05T00:45:00", 5400))
  end)

  it("keeps to working hours of each calendar's own zone", function()
    local hours = { { days = { "mo", "tu", "we", "th", "fr" }, from = "09:00", to = "17:00" } }
    local q = { calendars = { { hours = hours, tzid = "Europe/Berlin" }, { hours = hours, tzid = "America/New_York" } },
      windows = { monday, monday + 7 * DAY }, duration = HOUR }
    -- 14:00Z is nine in New York, 16:00Z five in Berlin.
    local expected = {}
    for day = 0, 4 do
      expected[#expected + 1] = monday + day * DAY + 14 * HOUR
      expected[#expected + 1] = monday + day * DAY + 16 * HOUR
    end
    assert.same(expected, freebusy.solve(q))
    q.calendars = { { hours = { { from = "22:00", to = "02:00" } } } }
    q.windows = { monday, monday + DAY }
    assert.same({ monday, monday + 2 * HOUR, monday + 22 * HOUR, monday + DAY }, freebusy.solve(q))
    q.calendars = { { hours = {} } }
    assert.same({}, freebusy.solve(q))
    q.calendars = { { hours = { { from = "00:00", to = "24:00" } } } }
    assert.same({ monday, monday + DAY }, freebusy.solve(q))
  end)

  it("counts who is free", function()
    local q = {
      calendars = {
        { busy = { monday + 9 * HOUR, monday + 10 * HOUR } }, { required = false, busy = { monday + 10 * HOUR, monday + 11 * HOUR } },
        { required = false, busy = { monday + 11 * HOUR, monday + 12 * HOUR } },
      },
      windows = window, duration = HOUR,
    }
    assert.same({ monday + 10 * HOUR, monday + 12 * HOUR }, freebusy.solve(q))
    q.min_attendees = 2
    -- From ten the third is free, from eleven the second: never the same two over a slot between.
    assert.same({ monday + 10 * HOUR, monday + 11 * HOUR, monday + 11 * HOUR, monday + 12 * HOUR }, freebusy.solve(q))
    q.min_attendees = 3
    assert.same({}, freebusy.solve(q))
    q.min_attendees = 4
    assert.same({}, freebusy.solve(q))
  end)

  it("bounds by notice, day and number", function()
    local q = { calendars = {}, windows = { monday, monday + 3 * DAY }, duration = HOUR, increment = HOUR, max_per_day = 2, tzid = "America/New_York" }
    local slots = freebusy.solve(q)
    assert.same({ monday, monday + HOUR, monday + HOUR, monday + 2 * HOUR, monday + 5 * HOUR, monday + 6 * HOUR },
      table.move(slots, 1, 6, 1, {}))
    assert.equal(16, #slots)
    q.not_before = monday + 30 * HOUR + 1
    assert.equal(monday + 31 * HOUR, freebusy.solve(q)[1])
    q.limit = 1
    assert.same({ monday + 31 * HOUR, monday + 32 * HOUR }, freebusy.solve(q))
    q.not_before = monday + 5 * DAY
    assert.same({}, freebusy.solve(q))
  end)

  it("says what is wrong", function()
    local slots, err = freebusy.solve { calendars = {}, windows = {}, duration = 60, tzid = "Mars/Base" }
    assert.is_nil(slots)
    assert.equal("invalid_zone", err.code)
    for _, q in ipairs {
      { windows = {}, duration = 60 }, { calendars = {}, duration = 60 }, { calendars = {}, windows = {} }, { calendars = {}, windows = {}, duration = 0 },
      { calendars = {}, windows = {}, duration = 60, increment = -1 }, { calendars = {}, windows = {}, duration = 60, align = "moon" },
      { calendars = { 5 }, windows = {}, duration = 60 }, { calendars = { { busy = { 1 } } }, windows = {}, duration = 60 },
      { calendars = { { hours = { "x" } } }, windows = {}, duration = 60 },
      { calendars = { { hours = { { from = "9", to = "10:00" } } } }, windows = {}, duration = 60 },
      { calendars = { { hours = { { from = "09:00", to = "10:00", days = { "xx" } } } } }, windows = {}, duration = 60 },
      { calendars = {}, windows = { 0, math.maxinteger }, duration = 60 }, { calendars = {}, windows = {}, duration = math.maxinteger },
    } do
      assert.has_error(function() freebusy.solve(q) end)
    end
    assert.same({}, freebusy.solve { calendars = { { busy = { math.mininteger, math.maxinteger } } }, windows = window, duration = 60 })
  end)

  it("agrees with a search minute by minute", function()
    math.randomseed(20250303)
    local function intervals(n, most)
      local list = {}
      for _ = 1, n do
        local start = monday + math.random(-120, 3 * 1440) * 60
        list[#list + 1] = start
        list[#list + 1] = start + math.random(0, most) * 60
      end
      return list
    end
    for round = 1, 300 do
      local q = {
        calendars = {}, windows = intervals(math.random(1, 4), 900), duration = math.random(1, 90) * 60, increment = math.random(1, 60) * 60,
        buffer_before = math.random(0, 3) * 600, buffer_after = math.random(0, 3) * 300,
      }
      local some_optional = math.random() < 0.5
      for i = 1, math.random(0, 5) do
        q.calendars[i] = { busy = intervals(math.random(0, 12), 200), required = not some_optional or math.random() < 0.3 }
        if math.random() < 0.3 then q.calendars[i].hours = intervals(6, 700) end
      end
      if some_optional then q.min_attendees = math.random(0, #q.calendars + 1) end
      if math.random() < 0.2 then q.not_before = monday + math.random(0, 2000) * 60 end
      local expected, found = brute(q), freebusy.solve(q)
      assert.same(expected, found, "round " .. round)
    end
  end)
end)
