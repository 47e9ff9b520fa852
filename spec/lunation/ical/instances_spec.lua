-- The instances of a text are reckoned in C as far as it is plainly written, those of a tree in Lua: both must say the same.
local ical = require "lunation.ical"
local instances = require "lunation.ical.instances"
local tree = require "lunation.ical.tree"
local zone_rules = require "lunation.ical.zone"

local function sequence(seed)
  return function(n)
    seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (seed >> 33) % n + 1
  end
end

local zones = { "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Own Zone", "Pacific/Apia", "UTC", "W. Europe Standard Time", "Europe/Berlin",
  "Australia/Lord_Howe", "Nowhere/Known" }

local own_zone = "BEGIN:VTIMEZONE\r\nTZID:Own Zone\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n"
  .. "TZOFFSETFROM:+0330\r\nTZOFFSETTO:+0230\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:19700329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n"
  .. "TZOFFSETFROM:+0230\r\nTZOFFSETTO:+0330\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"

local rules = { "FREQ=DAILY", "FREQ=DAILY;INTERVAL=3;COUNT=20", "FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=%s", "FREQ=MONTHLY;BYDAY=-1SU", "FREQ=YEARLY",
  "FREQ=HOURLY;INTERVAL=7",
  "FREQ=WEEKLY;UNTIL=%sZ;INTERVAL=2", "FREQ=MONTHLY;BYMONTHDAY=31", "FREQ=WEEKLY;BYDAY=SU;WKST=SU;", "FREQ=DAILY;COUNT=0",
  "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1",
  "FREQ=NEVER", "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=FORWARD", "freq=daily;count=5", "FREQ=WEEKLY;BYDAY=+1MO", "FREQ=DAILY;UNTIL=20250330" }

-- A calendar in which everything that counts for instances happens, near the changes of clocks too.
local function calendar(random)
  local lines = { "BEGIN:VCALENDAR", "VERSION:2.0" }
  local function add(format, ...) lines[#lines + 1] = format:format(...) end
  if random(3) == 1 then add("X-WR-TIMEZONE:%s", zones[random(#zones)]) end
  if random(2) == 1 then lines[#lines + 1] = own_zone:sub(1, -3) end
  local function day() return ("2025%02d%02d"):format(({ 3, 4, 10, 11 })[random(4)], random(30)) end
  local function clock() return ("T%02d%02d00"):format(({ 0, 1, 2, 3, 9, 23 })[random(6)], ({ 0, 30 })[random(2)]) end
  local function at(name, kind, zone, value)
    value = value or day() .. clock()
    if kind == "date" then return ("%s;VALUE=DATE:%s"):format(name, value:sub(1, 8)) end
    if kind == "utc" then return ("%s:%sZ"):format(name, value) end
    if kind == "local" then return ("%s:%s"):format(name, value) end
    return ("%s;TZID=%s:%s"):format(name, zone, value)
  end
  local kinds = { "date", "utc", "local", "zoned", "zoned", "zoned" }
  for i = 1, random(6) do
    local uid = ("%sevent-%d"):format(random(6) == 1 and ("long-"):rep(20) or "", random(20) == 1 and 1 or i)
    local kind, zone = kinds[random(6)], zones[random(#zones)]
    local function body()
      local start = day() .. clock()
      add("%s", at("DTSTART", kind, zone, start))
      local how = random(5)
      if how == 1 then
        local lengths = { "PT1H", "P1D", "PT24H", "P1DT2H", "P1W", "PT0S", "P1D", "P1DT24H", "-PT5M", "P2D1W", "pt1h" }
        add("DURATION:%s", lengths[random(random(3) == 1 and 11 or 8)])
      elseif how < 4 then
        local later = ("2025%s%02d%s"):format(start:sub(5, 6), math.min(30, tonumber(start:sub(7, 8)) + random(2)), clock())
        add("%s", at("DTEND", random(12) == 1 and kinds[random(6)] or kind, random(6) == 1 and zones[random(#zones)] or zone,
          random(3) == 1 and start or later))
      end
      if random(3) == 1 then add("SEQUENCE:%s", ({ "0", "1", "2", "1", "2", "0", "x" })[random(7)]) end
      if random(6) == 1 then add("STATUS:CANCELLED") end
      if random(5) == 1 then add("BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\nDTSTART:20200101T000000\r\nEND:VALARM") end
      return start
    end
    add("BEGIN:VEVENT\r\nUID:%s", uid:gsub(("."):rep(60), "%0\r\n ", 1))
    local start = body()
    if random(3) > 1 then
      local rule = rules[random(#rules)]
      if random(4) > 1 then rule = rules[random(9)] end
      add("RRULE:%s", (rule:gsub("%%s", day() .. clock())))
      if random(12) == 1 then add("EXRULE:FREQ=DAILY;INTERVAL=2") end
    end
    local function near() return random(2) == 1 and day() .. start:sub(9) or random(3) == 1 and start or day() .. clock() end
    for _ = 1, random(4) - 1 do
      local name = ({ "EXDATE", "RDATE" })[random(2)]
      if random(10) == 1 then
        add("RDATE;VALUE=PERIOD:%sZ/PT3H", day() .. clock())
      elseif random(10) == 1 then
        add("%s", at(name, kinds[random(6)], zones[random(#zones)], near()))
      else
        add("%s", at(name, kind, zone, near()))
      end
      if random(5) == 1 and kind ~= "date" and kind ~= "utc" then lines[#lines] = lines[#lines] .. "," .. near() .. "," end
    end
    add("END:VEVENT")
    for _ = 1, random(4) - 1 do
      add("BEGIN:VEVENT\r\nUID:%s", uid)
      local id = at("RECURRENCE-ID", random(8) == 1 and kinds[random(6)] or kind, zone, near())
      if random(15) == 1 then id = id:gsub("RECURRENCE%-ID", "%0;RANGE=THISANDFUTURE") end
      add("%s", id)
      if random(3) == 1 then kind, zone = kinds[random(6)], zones[random(#zones)] end
      body()
      add("END:VEVENT")
    end
  end
  add("END:VCALENDAR")
  return table.concat(lines, "\r\n") .. "\r\n"
end

local function check(text, options)
  local of_text, cut = ical.instances(text, options)
  local root = ical.parse(text)
  if not root then return assert.is_nil(of_text) end
  local of_tree, cut_too = ical.instances(root, options)
  if not of_tree then return assert.is_nil(of_text) end
  -- Equal places in the order may be taken by either.
  local function lines(list)
    local found = {}
    for i, each in ipairs(list) do
      found[i] = ("%d %s %s %d %s"):format(each.start, each.uid, each.recurrenceId or "-", each.finish, each.allDay or "-")
    end
    if not cut then table.sort(found) end
    return found
  end
  assert.same(lines(of_tree), lines(of_text), text)
  assert.equal(cut_too, cut)
end

describe("the instances of a text", function()
  it("are those of its tree, whatever stands in it", function()
    local random = sequence(17)
    local plain, all = 0, 0
    for _ = 1, 200 do
      local text = calendar(random)
      local from = 1740787200 + random(30) * 86400
      check(text, {
        from = random(5) > 1 and from or nil, to = random(12) > 1 and from + random(60) * 43200 or nil, limit = random(3) == 1 and random(20) or 500,
        tzid = random(3) == 1 and zones[random(5)] or nil, include_dtstart = random(3) == 1,
      })
      local list = tree.instances(text, { limit = 50 }, function(root)
        local known = zone_rules.of(root)
        return function(id, at) return (known:zone(id, at)) end
      end)
      plain, all = plain + #list, all + #ical.instances(text, { limit = 50 })
    end
    -- Were all left to Lua, nothing would be compared.
    assert.is_true(plain > all / 3 and plain < all, ("%d of %d instances are of plain events"):format(plain, all))
  end)

  it("may be asked for by local times, and say what is no time", function()
    local text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=Europe/Berlin:20250330T023000\r\nDURATION:PT1H\r\n"
      .. "RRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    local list, truncated = ical.instances(text, { from = "2025-03-30", to = "2025-04-01", tzid = "Europe/Berlin" })
    assert.same({
      { uid = "a", start = 1743298200, finish = 1743301800, recurrenceId = "2025-03-30T02:30:00" },
      { uid = "a", start = 1743381000, finish = 1743384600, recurrenceId = "2025-03-31T02:30:00" },
    }, list)
    assert.is_false(truncated)
    local none, err = ical.instances(text, { from = "soon" })
    assert.is_nil(none)
    assert.equal("invalid_request", err.code)
    list, truncated = ical.instances(text, { limit = 2 })
    assert.equal(2, #list)
    assert.is_true(truncated)
  end)

  it("are the first of however many there are", function()
    local lines = { "BEGIN:VCALENDAR" }
    for i = 1, 3000 do
      lines[#lines + 1] = ("BEGIN:VEVENT\r\nUID:e%04d\r\nDTSTART:2025%02d01T000000Z\r\nRRULE:FREQ=SECONDLY;INTERVAL=%d\r\nEND:VEVENT")
        :format(i, i % 3 + 1, i % 7 + 1)
    end
    lines[#lines + 1] = "END:VCALENDAR\r\n"
    local text = table.concat(lines, "\r\n")
    local began = os.clock()
    local list, truncated = ical.instances(text, { limit = 2000 })
    assert.is_true(os.clock() - began < 5)
    assert.is_true(truncated)
    assert.equal(2000, #list)
    -- A thousand begin together, those of every second go on with the next.
    assert.equal(1735689600, list[1000].start)
    assert.equal(1735689601, list[1001].start)
    for i = 2, #list do assert.is_true(list[i - 1].start < list[i].start or list[i - 1].uid < list[i].uid) end
  end)

  it("of a single event without a calendar around it are found", function()
    local list = ical.instances "BEGIN:VEVENT\r\nUID:a\r\nDTSTART:20250330T023000Z\r\nEND:VEVENT\r\n"
    assert.same({ { uid = "a", start = 1743301800, finish = 1743301800 } }, list)
    assert.equal(1743301800, instances.edge("2025-03-30T02:30:00Z"))
  end)
end)
