-- The search for common time against one that looks at every half minute: required and optional calendars, attendees, buffers,
-- working hours of each calendar's zone, alignment to window and clock, notice, slots of a day, ranges, over changes of the clock.
local freebusy = require "lunation.freebusy"
local tz = require "lunation.tz"

local HALF = 30 -- with all times on whole minutes, what lies between two is alike
local DAYS = { "su", "mo", "tu", "we", "th", "fr", "sa" }

local state = 7
local function random(low, high)
  state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
  return low + (state >> 33) % (high - low + 1)
end
local function chance(percent) return random(1, 100) <= percent end

-- How many of the half minutes before each are set.
local function sums(from, to, is)
  local list, total = { [0] = 0 }, 0
  for i = 0, (to - from) // HALF - 1 do
    if is(from + i * HALF) then total = total + 1 end
    list[i + 1] = total
  end
  return function(start, finish) return list[(finish - from) // HALF] - list[(start - from) // HALF] end
end

local function inside(list)
  return function(t)
    for i = 1, #list, 2 do
      if t >= list[i] and t < list[i + 1] then return true end
    end
    return false
  end
end

local function minutes_of(text) return math.tointeger(text:sub(1, 2)) * 60 + math.tointeger(text:sub(4, 5)) end

-- Minute of the day and day of the week on a wall clock, remembered.
local seen = {}
local function clock(t, zone)
  local known = seen[zone] or {}
  seen[zone] = known
  if not known[t] then
    local localtime = tz.to_local(t, zone)
    local day = (tz.to_utc(localtime:sub(1, 10) .. "T00:00:00", "UTC") // 86400 + 4) % 7
    known[t] = minutes_of(localtime:sub(12, 16)) * 7 + day
  end
  return known[t] // 7, known[t] % 7
end

-- Whether a wall clock shows working hours, those that began the day before too.
local function at_work(hours, zone)
  local function named(hour, day)
    if not hour.days then return true end
    for _, each in ipairs(hour.days) do
      if each == DAYS[day + 1] then return true end
    end
    return false
  end
  return function(t)
    local minute, day = clock(t - t % 60, zone)
    for _, hour in ipairs(hours) do
      local from, to = minutes_of(hour.from), minutes_of(hour.to)
      if from < to then
        if minute >= from and minute < to and named(hour, day) then return true end
      elseif minute >= from and named(hour, day) or minute < to and named(hour, (day + 6) % 7) then
        return true
      end
    end
    return false
  end
end

local function oracle(q, from, to)
  local before, after = q.buffer_before or 0, q.buffer_after or 0
  local busy, off = {}, {}
  for i, calendar in ipairs(q.calendars) do
    busy[i] = sums(from, to, inside(calendar.busy))
    if calendar.hours then
      local works = type(calendar.hours[1]) == "table" and at_work(calendar.hours, calendar.tzid or q.tzid or "UTC") or inside(calendar.hours)
      off[i] = sums(from, to, function(t) return not works(t) end)
    end
  end
  local function fits(t)
    if q.not_before and t < q.not_before then return false end
    local count = 0
    for i, calendar in ipairs(q.calendars) do
      local free = busy[i](t - before, t + q.duration + after) == 0 and not (off[i] and off[i](t, t + q.duration) > 0)
      if free then count = count + 1 elseif calendar.required ~= false then return false end
    end
    return count >= (q.min_attendees or 0)
  end
  local list, windows = {}, freebusy.merge(q.windows)
  local day, of_day
  for w = 1, #windows, 2 do
    local first
    for t = windows[w], windows[w + 1] - q.duration, HALF do
      local good = fits(t)
      if not q.increment then
        if good and not first then first = t end
        if first and (not good or t == windows[w + 1] - q.duration) then
          list[#list + 1] = first
          list[#list + 1] = (good and t or t - HALF) + q.duration
          first = nil
        end
      else
        local on_grid
        if q.align == "clock" then
          on_grid = t % 60 == 0 and (clock(t, q.tzid or "UTC")) * 60 % q.increment == 0
        else
          on_grid = (t - windows[w]) % q.increment == 0
        end
        if good and on_grid then
          local today = tz.to_local(t, q.tzid or "UTC"):sub(1, 10)
          if today ~= day then day, of_day = today, 0 end
          if not q.max_per_day or of_day < q.max_per_day then
            of_day = of_day + 1
            list[#list + 1] = t
            list[#list + 1] = t + q.duration
          end
        end
      end
    end
  end
  if q.limit then
    for i = #list, 2 * q.limit + 1, -1 do list[i] = nil end
  end
  return list
end

-- Begins of three days, two of them with a change of the clock in the zones in use.
local begins = { "2025-03-29T00:00:00", "2025-10-25T00:00:00", "2025-03-08T12:00:00", "2025-11-01T12:00:00", "2025-06-02T00:00:00" }
local zones = { "Europe/Berlin", "America/New_York", "UTC", "Asia/Kolkata", "Australia/Lord_Howe" }

local function question(ranges)
  local begin = tz.to_utc(begins[random(1, #begins)], "UTC")
  local function intervals(n, most)
    local list = {}
    for i = 1, n do
      list[2 * i - 1] = begin + random(-180, 3 * 1440) * 60
      list[2 * i] = list[2 * i - 1] + random(0, most) * 60
    end
    return list
  end
  local q = {
    calendars = {}, windows = intervals(random(1, 3), 2000), duration = random(1, 120) * 60, tzid = chance(70) and zones[random(1, #zones)] or nil,
    buffer_before = chance(40) and random(0, 6) * 300 or nil, buffer_after = chance(40) and random(0, 6) * 300 or nil,
    not_before = chance(25) and begin + random(0, 3000) * 60 or nil, limit = chance(20) and random(1, 20) or nil,
  }
  if not ranges then
    q.increment = random(1, 90) * 60
    q.align = chance(50) and "clock" or chance(50) and "window" or nil
    q.max_per_day = chance(30) and random(1, 4) or nil
  end
  local optional = not ranges and chance(50)
  for i = 1, random(0, 4) do
    local calendar = { busy = intervals(random(0, 12), 240), required = not optional or chance(40) }
    if chance(30) then
      calendar.hours = intervals(5, 900)
    elseif chance(50) then
      calendar.tzid = chance(60) and zones[random(1, #zones)] or nil
      calendar.hours = {}
      for k = 1, random(1, 2) do
        -- Hours that begin or end between two and four are another spec's: there the clock changes.
        local from, to = random(4, 23), random(4, 24)
        if to == from then to = from - 1 end
        local days = {}
        for _, day in ipairs(DAYS) do
          if chance(70) then days[#days + 1] = day end
        end
        calendar.hours[k] = { from = ("%02d:%02d"):format(from, from < 23 and random(0, 1) * 30 or 0), to = ("%02d:00"):format(to),
          days = chance(70) and days or nil }
        if calendar.hours[k].from == calendar.hours[k].to then calendar.hours[k].to = "03:59" end
      end
    end
    q.calendars[i] = calendar
  end
  if optional then q.min_attendees = random(0, #q.calendars + 1) end
  return q, begin - 86400, begin + 6 * 86400
end

describe("lunation.freebusy.solve agrees with a search of every half minute", function()
  for name, ranges in pairs { slots = false, ranges = true } do
    it("in " .. name, function()
      local found = 0
      for round = 1, 40 do
        local q, from, to = question(ranges)
        local got = assert(freebusy.solve(q))
        found = found + #got // 2
        local expected = oracle(q, from, to)
        if #expected ~= #got or table.concat(expected, " ") ~= table.concat(got, " ") then
          assert.equal(table.concat(expected, " "), table.concat(got, " "), "round " .. round .. " " .. require("lunation.json").encode(q))
        end
      end
      assert.is_true(found > 40, "only " .. found)
    end)
  end

  it("where complement and intersection are asked for", function()
    for _ = 1, 200 do
      local a, b = {}, {}
      for _, list in ipairs { a, b } do
        for i = 1, random(0, 10) do
          list[2 * i - 1] = random(0, 100)
          list[2 * i] = list[2 * i - 1] + random(-2, 20)
        end
      end
      local in_a, in_b = inside(a), inside(b)
      local in_rest, in_both = inside(freebusy.complement(a, 10, 90)), inside(freebusy.intersect(a, b))
      for t = 0, 130 do
        assert.equal(t >= 10 and t < 90 and not in_a(t), in_rest(t))
        assert.equal(in_a(t) and in_b(t), in_both(t))
      end
    end
  end)

  it("where hours begin in a gap or end in an overlap", function()
    -- 30 March 2025 in Berlin has no 02:30; 26 October has it twice.
    local function hours(day, from, to)
      local midnight = tz.to_utc(day .. "T00:00:00", "Europe/Berlin")
      local list = freebusy.solve { calendars = { { hours = { { from = from, to = to } } } }, windows = { midnight, midnight + 20 * 3600 }, duration = 60,
        tzid = "Europe/Berlin" }
      return os.date("!%H:%M", list[1]), os.date("!%H:%M", list[2])
    end
    assert.same({ "01:30", "02:00" }, { hours("2025-03-30", "02:30", "04:00") })
    assert.same({ "00:00", "00:30" }, { hours("2025-10-26", "02:00", "02:30") })
    assert.same({ "23:00", "02:00" }, { hours("2025-10-26", "01:00", "03:00") })
  end)
end)
