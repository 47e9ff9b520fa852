-- Pages of the agenda against a brute-force expansion of everything, over random calendars from fixed seeds.
local agenda = require("lunation.agenda")
local json = require("lunation.json")
local rrule = require("lunation.rrule")
local tz = require("lunation.tz")

local KIND = 7
local ZONE = "Europe/Berlin"

-- A generator of its own, so that a seed means the same everywhere.
local function generator(seed)
  local state = seed * 2654435761 % 4294967296
  return function(low, high)
    state = (state * 1664525 + 1013904223) % 4294967296
    return low + (state // 65536) % (high - low + 1)
  end
end

local RULES = {
  "FREQ=DAILY", "FREQ=DAILY;INTERVAL=3;COUNT=40", "FREQ=WEEKLY;BYDAY=MO,WE,FR", "FREQ=WEEKLY;INTERVAL=2", "FREQ=MONTHLY;BYDAY=-1FR",
  "FREQ=MONTHLY;BYMONTHDAY=31", "FREQ=YEARLY", "FREQ=HOURLY;INTERVAL=5;COUNT=60", "FREQ=WEEKLY;COUNT=5", "FREQ=DAILY;BYHOUR=1,2,3;COUNT=30",
}
local DENSE = { "FREQ=MINUTELY;INTERVAL=7", "FREQ=MINUTELY;INTERVAL=9;COUNT=4000" }
local ZONES = { "America/New_York", "Europe/Berlin", "Etc/UTC", "Australia/Lord_Howe", false }
local DURATIONS = { "PT0S", "PT30M", "PT1H", "P1D", "P3DT4H", "P40D", "P100D", "PT26H" }

local BEGIN = tz.to_utc("2025-01-01")

local function local_at(seconds)
  return (tz.to_local(BEGIN + seconds))
end

-- An event, its span from 2025 on for about `span` days.
local function random_event(pick, span, dense)
  local all_day = pick(1, 5) == 1
  local start = pick(0, span * 24 * 2) * 1800
  local event = { start = local_at(all_day and start // 86400 * 86400 or start), title = "t" .. pick(1, 999) }
  if all_day then
    event.showWithoutTime = true
    event.duration = ("P%dD"):format(pick(1, 4))
  else
    event.duration = DURATIONS[pick(1, #DURATIONS)]
    event.timeZone = ZONES[pick(1, #ZONES)] or nil
  end
  if pick(1, 3) > 1 then return event end
  local text = dense and pick(1, 4) == 1 and DENSE[pick(1, #DENSE)] or RULES[pick(1, #RULES)]
  event.recurrenceRules = { rrule.parse(text) }
  event.rule = text
  local overrides, some = {}, false
  local zone = event.timeZone or (not all_day and ZONE) or nil
  local set = { dtstart = all_day and event.start:sub(1, 10) or event.start, tzid = zone, rrule = { text }, limit = 20 }
  for _, original in ipairs((rrule.expand(set))) do
    if all_day then original = original .. "T00:00:00" end
    local kind = pick(1, 12)
    if kind == 1 then
      overrides[original] = { excluded = true }
    elseif kind == 2 then
      overrides[original] = { start = local_at(pick(0, span) * 86400), title = "moved" }
    elseif kind == 3 then
      overrides[original] = { duration = all_day and "P9D" or "PT90M" }
    elseif kind == 4 then
      overrides[original] = { status = "cancelled" }
    end
    some = some or kind <= 4
  end
  if pick(1, 4) == 1 then
    overrides[local_at(pick(-20, span) * 86400 + (all_day and 0 or 60))] = json.object({})
    some = true
  end
  event.recurrenceOverrides = some and overrides or nil
  return event
end

local function add_duration(start_local, duration, zone, all_day)
  local days = tonumber(duration:match("(%d+)D") or 0)
  local seconds = tonumber(duration:match("(%d+)H") or 0) * 3600 + tonumber(duration:match("(%d+)M") or 0) * 60
  local start = tz.to_utc(start_local, zone)
  local finish = start
  if days > 0 then
    finish = tz.to_utc((tz.to_local(tz.to_utc(start_local) + days * 86400)), zone)
  end
  return start, math.max(start, finish + (all_day and 0 or seconds))
end

-- All occurrences of an event that overlap [from, to), by expansion from the beginning.
local function brute(event, from, to, masters)
  local all_day = event.showWithoutTime
  local zone = not all_day and (event.timeZone or ZONE) or nil
  local found = {}
  local function add(start_local, duration, original)
    local start, finish = add_duration(start_local, duration, zone, all_day)
    if start < to and (finish > from or start >= from) then
      found[#found + 1] = { start = start, finish = finish, original = original }
    end
  end
  if not event.rule then
    add(event.start, event.duration)
    return found
  end
  local overrides = event.recurrenceOverrides or {}
  local exdate, rdate = {}, {}
  for original, patch in pairs(overrides) do
    local list = next(patch) and exdate or rdate
    list[#list + 1] = all_day and original:sub(1, 10) or original
  end
  local times = rrule.expand({
    dtstart = all_day and event.start:sub(1, 10) or event.start, tzid = zone, rrule = { event.rule }, exdate = exdate, rdate = rdate,
    to = (tz.to_local(to + 2 * 86400)), limit = 1000000,
  })
  for _, original in ipairs(times) do
    if all_day then original = original .. "T00:00:00" end
    add(original, event.duration, original)
  end
  for original, patch in pairs(overrides) do
    if next(patch) and not patch.excluded and patch.status ~= "cancelled" then
      add(patch.start or original, patch.duration or event.duration, original)
    end
  end
  if masters then
    if #found == 0 then return {} end
    local start, finish = add_duration(event.start, event.duration, zone, all_day)
    return { { start = start, finish = finish } }
  end
  return found
end

local function line(start, account, calendar, id, original, finish)
  return ("%d %d %d %s %s %d"):format(start, account, calendar, id, original or "-", finish)
end

local function before(a, b)
  if a.start ~= b.start then return a.start < b.start end
  if a.account ~= b.account then return a.account < b.account end
  if a.calendar ~= b.calendar then return a.calendar < b.calendar end
  if a.id ~= b.id then return a.id < b.id end
  return (a.original or "") < (b.original or "")
end

local function everything(world, from, to, masters)
  local all = {}
  for key, calendar in pairs(world) do
    for _, row in pairs(calendar.rows) do
      for _, item in ipairs(brute(row.event, from, to, masters)) do
        item.account, item.calendar, item.id = calendar.account, key, row.id
        all[#all + 1] = item
      end
    end
  end
  table.sort(all, before)
  local lines = {}
  for i, item in ipairs(all) do
    lines[i] = line(item.start, item.account, item.calendar, item.id, item.original, item.finish)
  end
  return lines, all
end

local function encode(event)
  local copy = {}
  for k, v in pairs(event) do
    if k ~= "rule" then copy[k] = v end
  end
  return json.encode(copy)
end

-- `count` calendars with `size` events each.
local function random_world(pick, count, size, span, dense)
  local world = {}
  for key = 1, count do
    local rows = {}
    for i = 1, size do
      rows[i] = { key = key * 1000 + i, id = ("e%03d"):format(pick(1, 999)) .. "-" .. i, revision = 1, event = random_event(pick, span, dense) }
    end
    world[key] = { account = pick(1, 3), rows = rows }
  end
  return world
end

local function load(a, world)
  for key, calendar in pairs(world) do
    a:open(key, calendar.account, ZONE)
    for _, row in pairs(calendar.rows) do
      assert(a:put(key, row.key, row.id, row.revision, encode(row.event)))
    end
    a:loaded(key, 1)
  end
end

local function request(world, from, to, limit, masters)
  local keys = {}
  for key in pairs(world) do
    keys[#keys + 1] = key
  end
  return { calendars = keys, from = from, to = to, limit = limit, masters = masters, kind = KIND + (masters and 1 or 0), examine = 100000 }
end

local function page(a, asked)
  while true do
    local found, missing, following = a:page(asked)
    if found then return json.decode(tostring(found)), following end
    assert.is_nil(missing.code)
    for _, item in ipairs(missing) do
      a:render(item.calendar, item.event, item.revision, item.original, asked.kind,
        ('{"c":%d,"i":\1i\2,"s":\1s\2,"e":\1e\2,"o":\1o\2,"override":%s}'):format(item.calendar, item.original and "true" or "false"))
    end
  end
end

local function entries(a, asked)
  local lines, accounts = {}, asked.accounts
  repeat
    local list, following = a:entries(asked)
    for _, e in ipairs(list) do
      lines[#lines + 1] = line(e.start, accounts[e.calendar].account, e.calendar, e.id, e.recurrenceId, e.finish)
    end
    asked.after = following
  until not following
  return lines
end

local function same(expected, got, message)
  for i = 1, math.max(#expected, #got) do
    if expected[i] ~= got[i] then
      error(("%s: entry %d: expected %s, got %s (%d and %d)"):format(message, i, expected[i], got[i], #expected, #got))
    end
  end
end

describe("lunation.agenda", function()
  local windows = { { 20, 24 }, { 83, 91 }, { -40, 5 }, { 0, 31 }, { 300, 420 }, { 85, 86 }, { 4000, 4040 } }

  for seed = 1, 6 do
    it("shows on pages of any size what brute force finds, seed " .. seed, function()
      local pick = generator(seed)
      local world = random_world(pick, 3, 30, 150, seed % 2 == 0)
      local a = agenda.new({ memory = seed == 3 and 20000 or nil })
      load(a, world)
      for number, window in ipairs(windows) do
        if seed % 2 == 0 and number > 3 then break end -- brute force takes long over what is dense
        local from, to = BEGIN + window[1] * 86400, BEGIN + window[2] * 86400 + 1800
        for _, masters in ipairs({ false, true }) do
          local expected = everything(world, from, to, masters)
          for _, limit in ipairs({ 1, 3, 17, 250 }) do
            if #expected < 150 * limit then
              local asked = request(world, from, to, limit, masters)
              asked.accounts = world
              same(expected, entries(a, asked), ("seed %d, days %d to %d, pages of %d"):format(seed, window[1], window[2], limit))
            end
          end
        end
      end
    end)
  end

  it("gives the same after changes as after a fresh load", function()
    local pick = generator(99)
    local world = random_world(pick, 2, 60, 100, false)
    local a = agenda.new({})
    load(a, world)
    for round = 1, 12 do
      local from = BEGIN + pick(-10, 120) * 86400
      local asked = request(world, from, from + pick(1, 40) * 86400, 50)
      asked.accounts = world
      entries(a, asked)
      for key, calendar in pairs(world) do
        for _ = 1, 8 do
          local index = pick(1, 70)
          local row = calendar.rows[index]
          if row and pick(1, 2) == 1 then
            a:drop(key, row.key)
            calendar.rows[index] = nil
          else
            row = row or { key = key * 1000 + index, id = "new-" .. index, revision = 0 }
            row.revision, row.event = row.revision + 1, random_event(pick, 100, false)
            calendar.rows[index] = row
            a:put(key, row.key, row.id, row.revision, encode(row.event))
          end
        end
        a:loaded(key, round + 1)
      end
      local fresh = agenda.new({})
      load(fresh, world)
      asked.after = nil
      local got = entries(a, asked)
      asked.after = nil
      same(entries(fresh, asked), got, "round " .. round)
      same(everything(world, asked.from, asked.to), got, "round " .. round)
    end
  end)

  it("shows what keeps its place exactly once while other events change between pages", function()
    for seed = 1, 5 do
      local pick = generator(seed + 500)
      local world = random_world(pick, 2, 60, 60, false)
      local a = agenda.new({})
      load(a, world)
      local asked = request(world, BEGIN, BEGIN + 40 * 86400, 9)
      local first = everything(world, asked.from, asked.to)
      local count = {}
      repeat
        local list, following = a:entries(asked)
        for _, e in ipairs(list) do
          local text = line(e.start, world[e.calendar].account, e.calendar, e.id, e.recurrenceId, e.finish)
          count[text] = (count[text] or 0) + 1
        end
        asked.after = following
        for key, calendar in pairs(world) do
          local row = calendar.rows[pick(1, 60)]
          row.revision, row.event = row.revision + 1, random_event(pick, 60, false)
          a:put(key, row.key, row.id, row.revision, encode(row.event))
        end
      until not following
      local last = {}
      for _, text in ipairs((everything(world, asked.from, asked.to))) do
        last[text] = true
      end
      for _, text in ipairs(first) do
        if last[text] then assert.equal(1, count[text], text) end
      end
    end
  end)

  describe("a page as JSON", function()
    local function one(event, from, to, masters)
      local a = agenda.new({})
      a:open(1, 1, ZONE)
      local good, problem = a:put(1, 1, 'a"\\.ics', 1, json.encode(event))
      a:loaded(1, 1)
      local world = { { account = 1 } }
      return page(a, request(world, tz.to_utc(from), tz.to_utc(to), 100, masters)), good, problem
    end

    local function shown(suffix, start, finish, original)
      return { c = 1, i = 'a"\\.ics' .. suffix, s = start, e = finish, o = original or start, override = false }
    end

    it("splices ids and times of instances", function()
      local got = one({
        start = "2025-03-08T02:30:00", timeZone = "America/New_York", duration = "PT1H", recurrenceRules = { { frequency = "daily", count = 2 } },
      }, "2025-03-01", "2025-04-01")
      assert.same({
        shown("_20250308T073000Z", "2025-03-08T07:30:00.000Z", "2025-03-08T08:30:00.000Z"),
        shown("_20250309T073000Z", "2025-03-09T07:30:00.000Z", "2025-03-09T08:30:00.000Z"),
      }, got)
    end)

    it("names instances of all-day and floating series by date and local time", function()
      local weekly = { { frequency = "weekly", count = 1 } }
      local day = one({ start = "2025-03-08T00:00:00", showWithoutTime = true, recurrenceRules = weekly }, "2025-03-01", "2025-04-01")
      assert.same({ shown("_20250308", "2025-03-08T00:00:00.000Z", "2025-03-09T00:00:00.000Z") }, day)
      local floating = one({ start = "2025-07-08T09:00:00", duration = "PT1H", recurrenceRules = weekly }, "2025-07-01", "2025-08-01")
      assert.equal('a"\\.ics_20250708T090000', floating[1].i)
      assert.equal("2025-07-08T07:00:00.000Z", floating[1].s)
    end)

    it("keeps the original start of a moved instance", function()
      local event = {
        start = "2025-03-08T09:00:00", timeZone = "Etc/UTC", duration = "PT1H", recurrenceRules = { { frequency = "daily", count = 3 } },
        recurrenceOverrides = { ["2025-03-09T09:00:00"] = { start = "2025-05-01T12:00:00", duration = "PT2H" } },
      }
      assert.equal(2, #one(event, "2025-03-01", "2025-04-01"))
      local expected = shown("_20250309T090000Z", "2025-05-01T12:00:00.000Z", "2025-05-01T14:00:00.000Z", "2025-03-09T09:00:00.000Z")
      expected.override = true
      assert.same({ expected }, one(event, "2025-05-01", "2025-06-01"))
    end)

    it("shows a master once and under its own id", function()
      local event = { start = "2025-03-08T09:00:00", timeZone = "Etc/UTC", duration = "PT1H", recurrenceRules = { { frequency = "daily" } } }
      local got = one(event, "2026-01-01", "2026-02-01", true)
      assert.same({ shown("", "2025-03-08T09:00:00.000Z", "2025-03-08T10:00:00.000Z") }, got)
      assert.same({}, one(event, "2024-01-01", "2024-02-01", true))
    end)

    it("counts an event of no length only where it starts inside", function()
      local event = { start = "2025-03-08T09:00:00", timeZone = "Etc/UTC" }
      assert.equal(1, #one(event, "2025-03-08T09:00:00", "2025-03-08T10:00:00"))
      assert.equal(0, #one(event, "2025-03-08T08:00:00", "2025-03-08T09:00:00"))
      assert.equal(0, #one(event, "2025-03-08T09:00:01", "2025-03-08T10:00:00"))
    end)

    it("does not count an event that ends where the window begins", function()
      local event = { start = "2025-03-08T09:00:00", timeZone = "Etc/UTC", duration = "PT1H" }
      assert.equal(0, #one(event, "2025-03-08T10:00:00", "2025-03-08T11:00:00"))
      assert.equal(1, #one(event, "2025-03-08T09:59:59", "2025-03-08T11:00:00"))
    end)

    it("shows a series whose rule nobody understands where it starts", function()
      local event = { start = "2025-03-08T09:00:00", timeZone = "Etc/UTC", recurrenceRules = { { frequency = "daily", rscale = "klingon" } } }
      local got, good, problem = one(event, "2025-03-01", "2025-04-01")
      assert.equal(1, #got)
      assert.is_nil(good)
      assert.equal("invalid_recurrence", problem.code)
    end)

    it("leaves out what is rendered to nothing, and fills the page with others", function()
      local a = agenda.new({})
      a:open(1, 1)
      for i = 1, 10 do
        assert(a:put(1, i, "e" .. i, 1, json.encode({ start = ("2025-03-%02dT09:00:00"):format(i) })))
      end
      local asked = { calendars = { 1 }, from = tz.to_utc("2025-03-01"), to = tz.to_utc("2025-04-01"), limit = 3, kind = 0 }
      local pages = {}
      repeat
        local found, count, following = a:page(asked)
        if found then
          pages[#pages + 1] = tostring(found)
          asked.after = following
        else
          for _, item in ipairs(count) do
            a:render(1, item.event, 1, nil, 0, item.event % 2 == 0 and tostring(item.event) or nil)
          end
        end
      until found and not following
      assert.same({ "[2,4,6]", "[8,10]" }, pages)
    end)
  end)

  it("refuses what is no position and no rendering", function()
    local a = agenda.new({})
    a:open(1, 1)
    a:put(1, 1, "x", 1, '{"start":"2025-03-08T09:00:00"}')
    for _, bad in ipairs({ "", "x", "1,2", "1,2,3,4", "9999999999999999,1,1,-,x", "1,1,1,x,x" }) do
      local text, err = a:page({ calendars = { 1 }, from = 0, to = 2000000000, limit = 1, kind = 0, after = bad })
      assert.is_nil(text)
      assert.equal("invalid_position", err.code)
    end
    for _, bad in ipairs({ "\1", "\1s", "\1z\2", "\1ss" }) do
      assert.has_error(function() a:render(1, 1, 1, nil, 0, bad) end)
    end
    for _, bad in ipairs({ "", "{", "[]", '{"start":5}', '{"title":"no start"}', '{"start":"2025-02-30T00:00:00"}', '{"start":"2025-03-08T09:00:00"' }) do
      local good, err = a:put(1, 2, "y", 1, bad)
      assert.is_nil(good)
      assert.equal("invalid_event", err.code)
    end
    assert.has_error(function() a:put(2, 1, "x", 1, "{}") end)
  end)

  it("survives any bytes in place of an event", function()
    local pick = generator(11)
    local a = agenda.new({})
    local texts = {}
    for i = 1, 20 do texts[i] = encode(random_event(pick, 100, true)) end
    a:open(1, 1, ZONE)
    for _ = 1, 3000 do
      local text = texts[pick(1, #texts)]
      for _ = 1, pick(1, 4) do
        local at, kind = pick(1, #text), pick(1, 3)
        local byte = kind == 1 and string.char(pick(0, 255)) or kind == 2 and "" or text:sub(at, at + pick(1, 30))
        text = text:sub(1, at - 1) .. byte .. text:sub(at + 1)
      end
      a:put(1, pick(1, 60), "x", 1, text)
    end
    a:loaded(1, 1)
    local list = a:entries({ calendars = { 1 }, from = BEGIN, to = BEGIN + 40 * 86400, limit = 200 })
    for i = 2, #list do
      assert.is_true(list[i - 1].start <= list[i].start)
    end
  end)

  it("takes a duration that no calendar holds, or that is below zero, for none", function()
    local a = agenda.new({})
    a:open(1, 1, "UTC")
    local durations = { "-P1D", "P9999999999W", "P" .. ("9999999999W"):rep(200000), "PT" .. ("9999999999H"):rep(300000), "P3D?", "P20000Y" }
    for key, duration in ipairs(durations) do
      local rule = key % 2 == 0 and ',"recurrenceRules":[{"frequency":"daily","count":1}]' or ""
      assert(a:put(1, key, "e" .. key, 1, ('{"start":"2025-01-01T10:00:00","timeZone":"Etc/UTC","duration":"%s"%s}'):format(duration, rule)))
    end
    a:loaded(1, 1)
    local begin = tz.to_utc("2025-01-01T10:00:00", "UTC")
    local found = a:entries({ from = begin - 86400, to = begin + 86400, limit = 100, examine = 100, calendars = { 1 } })
    assert.equal(#durations, #found)
    for _, entry in ipairs(found) do assert.same({ begin, begin }, { entry.start, entry.finish }) end
    assert.equal(0, #a:entries({ from = begin + 1, to = begin + 86400, limit = 100, examine = 100, calendars = { 1 } }))
  end)

  it("opens wide windows at once", function()
    local a = agenda.new({})
    a:open(1, 1, ZONE)
    for i = 1, 2000 do
      local text = '{"start":"2025-03-%02dT09:00:00","duration":"PT1H","recurrenceRules":[{"frequency":"yearly","count":3}]}'
      a:put(1, i, "e" .. i, 1, text:format(i % 28 + 1))
    end
    a:put(1, 9999, "long", 1, '{"start":"2025-01-01T09:00:00","duration":"P9999999999D","recurrenceRules":[{"frequency":"daily"}]}')
    local began = os.clock()
    for _, window in ipairs({ { "1970-01-01", "2026-01-31" }, { "0000-01-01", "9999-12-31" }, { "2600-01-01", "9999-12-31" } }) do
      local list = a:entries({ calendars = { 1 }, from = tz.to_utc(window[1]), to = tz.to_utc(window[2]), limit = 250 })
      assert.equal(250, #list)
    end
    assert.is_true(os.clock() - began < 3)
  end)

  it("streams a series that is too dense to keep, across a change of offset", function()
    local a = agenda.new({})
    a:open(1, 1)
    local event = {
      start = "2025-03-09T00:00:00", timeZone = "America/New_York", duration = "PT1M", recurrenceRules = { { frequency = "minutely", interval = 10 } },
    }
    assert(a:put(1, 1, "x", 1, json.encode(event)))
    local asked = { calendars = { 1 }, from = tz.to_utc("2025-03-09T06:00:00"), to = tz.to_utc("2025-03-09T08:00:00"), limit = 2 }
    local starts = {}
    repeat
      local list, following = a:entries(asked)
      for _, e in ipairs(list) do
        starts[#starts + 1] = e.start
      end
      asked.after = following
    until not following
    -- 01:00 to 01:50, then 02:00 to 02:50 by the offset before the gap and 03:00 to 03:50, which are the same instants
    assert.equal(6 + 12, #starts)
    for i = 2, #starts do
      assert.is_true(starts[i] >= starts[i - 1])
    end
    assert.equal(0, a:stats().chunks)
  end)

  it("stays within its memory", function()
    local pick = generator(7)
    local a = agenda.new({ memory = 2000000, renderings = 50000 })
    local world = random_world(pick, 1, 200, 300, false)
    load(a, world)
    for month = 0, 48 do
      local asked = request(world, BEGIN + month * 30 * 86400, BEGIN + (month + 1) * 30 * 86400, 100)
      page(a, asked)
      local stats = a:stats()
      assert.is_true(stats.bytes <= 2000000, stats.bytes)
      assert.is_true(stats.renderings <= 50000, stats.renderings)
    end
  end)
end)
