-- What calendars of other programs are like: each way of being wrong has its small case here, with what becomes of it.
local ical = require "lunation.ical"

local function calendar(lines, eol)
  return table.concat(lines, eol or "\r\n") .. (eol or "\r\n")
end

local function wrapped(...)
  local lines = { "BEGIN:VCALENDAR", "VERSION:2.0", ... }
  lines[#lines + 1] = "END:VCALENDAR"
  return calendar(lines)
end

local function event(...)
  local lines = { "BEGIN:VEVENT", "UID:1", ... }
  lines[#lines + 1] = "END:VEVENT"
  return wrapped(table.unpack(lines))
end

-- Starts and ends of all instances as UTC, in order.
local function told(text, options)
  local list = assert(ical.instances(text, options))
  local lines = {}
  for i, one in ipairs(list) do
    lines[i] = os.date("!%Y%m%dT%H%M", one.start) .. "-" .. os.date("!%Y%m%dT%H%M", one.finish)
  end
  return lines
end

-- The warnings of reading the events, as "line:column message".
local function warned(text)
  local _, warnings = ical.events(text)
  local lines = {}
  for i, each in ipairs(warnings) do
    assert.is_true(each.line >= 1 and each.column >= 1, each.message)
    lines[i] = ("%d:%d %s"):format(each.line, each.column, each.message)
  end
  return lines
end

local one_hour = { "BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", "UID:1", "DTSTART:20250601T100000Z", "DTEND:20250601T110000Z", "SUMMARY:caf\xC3\xA9",
  "END:VEVENT", "END:VCALENDAR" }

describe("line ends", function()
  for name, eol in pairs { ["CRLF"] = "\r\n", ["bare LF"] = "\n", ["bare CR"] = "\r" } do
    it("of " .. name .. " are read", function()
      local text = calendar(one_hour, eol)
      assert.same({ "20250601T1000-20250601T1100" }, told(text))
      assert.equal("caf\xC3\xA9", ical.events(text)[1].title)
      -- Strictly the first line that ends otherwise is the error.
      local tree, err = ical.parse(text, { strict = true })
      if eol == "\r\n" then assert.truthy(tree) else assert.same({ nil, 1 }, { tree, err.line }) end
    end)
  end

  it("may be mixed, and missing at the end", function()
    local text = calendar(one_hour):gsub("\r\n", "\n", 3):gsub("[\r\n]+$", "")
    assert.same({ "20250601T1000-20250601T1100" }, told(text))
  end)

  it("may be folded by tabs", function()
    local text = calendar(one_hour):gsub("SUMMARY:caf", "SUMMARY:c\r\n\taf")
    assert.equal("caf\xC3\xA9", ical.events(text)[1].title)
  end)

  it("may be folded in the middle of a character", function()
    local text = calendar(one_hour):gsub("\xC3\xA9", "\xC3\r\n \xA9")
    assert.equal("caf\xC3\xA9", ical.events(text)[1].title)
  end)
end)

describe("a missing END", function()
  it("of the event before another leaves both", function()
    local text = wrapped("BEGIN:VEVENT", "UID:1", "DTSTART:20250601T100000Z", "BEGIN:VEVENT", "UID:2", "DTSTART:20250602T100000Z", "END:VEVENT")
    assert.same({ "20250601T1000-20250601T1000", "20250602T1000-20250602T1000" }, told(text))
    assert.same({ "10:1 VEVENT of line 3 has no END" }, warned(text))
  end)

  it("that is misspelt leaves what follows", function()
    local text = wrapped("BEGIN:VTODO", "UID:t", "END:VTOOD", "BEGIN:VEVENT", "UID:2", "DTSTART:20250602T100000Z", "END:VEVENT")
    assert.same({ "20250602T1000-20250602T1000" }, told(text))
    assert.same({ "5:5 END:VTOOD without its BEGIN", "10:1 VTODO of line 3 has no END" }, warned(text))
  end)

  it("of everything is the end of the text", function()
    assert.same({ "20250601T1000-20250601T1000" }, told("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20250601T100000Z"))
  end)
end)

describe("another charset", function()
  it("of one byte is read as Windows-1252, and said", function()
    local text = calendar(one_hour):gsub("\xC3\xA9", "\xE9 \x80")
    assert.equal("caf\xC3\xA9 \xE2\x82\xAC", ical.events(text)[1].title)
    assert.equal(1, #warned(text))
  end)

  it("of two bytes is told by its mark", function()
    local utf16 = calendar(one_hour):gsub("\xC3\xA9", "e"):gsub(".", "%0\0")
    assert.equal("cafe", ical.events("\xFF\xFE" .. utf16)[1].title)
  end)
end)

describe("a TZID", function()
  local function at(tzid, ...)
    return told(wrapped(...) and wrapped(..., "BEGIN:VEVENT", "UID:1", ("DTSTART;TZID=%s:20250701T100000"):format(tzid), "END:VEVENT"))[1]:sub(1, 13)
  end

  local zone = { "BEGIN:VTIMEZONE", "TZID:%s", "BEGIN:STANDARD", "DTSTART:20200101T000000", "TZOFFSETFROM:+0530", "TZOFFSETTO:+0530", "END:STANDARD",
    "END:VTIMEZONE" }
  local function defined(tzid)
    return (table.concat(zone, "\r\n"):gsub("%%s", tzid))
  end

  for tzid, expected in pairs {
    ["W. Europe Standard Time"] = "20250701T0800", ['"W. Europe Standard Time"'] = "20250701T0800",
    ['"(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"'] = "20250701T0800",
    ["/freeassociation.sourceforge.net/Europe/Berlin"] = "20250701T0800", ["/freeassociation.sourceforge.net/Tzfile/Europe/Berlin"] = "20250701T0800",
    ["/mozilla.org/20070129_1/Europe/Berlin"] = "20250701T0800", ["/softwarestudio.org/Olson_20011030_5/Europe/Berlin"] = "20250701T0800",
    ["/citadel.org/20250101_1/America/New_York"] = "20250701T1400", ["US/Eastern"] = "20250701T1400", ['"tzone://Microsoft/Utc"'] = "20250701T1000",
    ["UTC"] = "20250701T1000", ["GMT"] = "20250701T1000", ["Asia/Calcutta"] = "20250701T0430",
  } do
    it(tzid .. " is known", function()
      assert.equal(expected, at(tzid, "X-A:1"))
    end)
  end

  for _, names in ipairs { { "Office", "Office" }, { "Kuala Lumpur\\, Singapore", '"Kuala Lumpur, Singapore"' }, { " 1", " 1" }, { "Zone ", "Zone" } } do
    it(("%q is what its VTIMEZONE says"):format(names[2]), function()
      assert.equal("20250701T0430", at(names[2], defined(names[1])))
    end)
  end

  it("that nobody knows is floating time, and said", function()
    local text = event("DTSTART;TZID=Nowhere:20250701T100000")
    assert.same({ "20250701T1000-20250701T1000" }, told(text))
    assert.same({ '5:1 TZID "Nowhere" is neither a known zone nor defined; the time is taken as floating' }, warned(text))
  end)
end)

describe("a VTIMEZONE of somebody's own", function()
  local function zone(...)
    local lines = { "BEGIN:VTIMEZONE", "TZID:Mine" }
    for _, o in ipairs { ... } do
      lines[#lines + 1] = "BEGIN:" .. o[1]
      lines[#lines + 1] = "DTSTART:" .. o[2]
      lines[#lines + 1] = "TZOFFSETFROM:" .. o[3]
      lines[#lines + 1] = "TZOFFSETTO:" .. o[4]
      for i = 5, #o do lines[#lines + 1] = o[i] end
      lines[#lines + 1] = "END:" .. o[1]
    end
    lines[#lines + 1] = "END:VTIMEZONE"
    return table.concat(lines, "\r\n")
  end

  local function starts(definition, ...)
    local lines = { definition, "BEGIN:VEVENT", "UID:1", ... }
    lines[#lines + 1] = "END:VEVENT"
    local list = {}
    for i, each in ipairs(told(wrapped(table.unpack(lines)))) do list[i] = each:sub(1, 13) end
    return list
  end

  it("counts with all of its single changes, in a series that crosses them too", function()
    local mine = zone({ "STANDARD", "20240101T000000", "+1000", "+1200" }, { "DAYLIGHT", "20240505T080000", "+1200", "+1000" })
    assert.same({ "20240503T2100", "20240504T2300", "20240506T2300" },
      starts(mine, "DTSTART;TZID=Mine:20240504T090000", "RRULE:FREQ=DAILY;COUNT=4", "EXDATE;TZID=Mine:20240506T090000"))
    assert.same({ "20231231T1300" }, starts(mine, "DTSTART;TZID=Mine:20231231T230000"))
    -- 07:00 happens twice on the day of the second change: the first counts.
    assert.same({ "20240504T1900" }, starts(mine, "DTSTART;TZID=Mine:20240505T070000"))
  end)

  it("counts with changes given by RDATE", function()
    local mine = zone({ "STANDARD", "20240101T000000", "+0200", "+0200" }, { "DAYLIGHT", "20240401T000000", "+0200", "+0300", "RDATE:20250401T000000" },
      { "STANDARD", "20240901T000000", "+0300", "+0200" })
    assert.same({ "20240301T0800", "20240601T0700", "20241001T0800", "20250601T0700" },
      starts(mine, "DTSTART;TZID=Mine:20240301T100000", "RDATE;TZID=Mine:20240601T100000,20241001T100000,20250601T100000"))
  end)

  it("counts with yearly rules", function()
    local mine = zone({ "STANDARD", "16010101T030000", "+0300", "+0200", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10" },
      { "DAYLIGHT", "16010101T020000", "+0200", "+0300", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3" })
    assert.same({ "20250329T0800", "20250330T0700" }, starts(mine, "DTSTART;TZID=Mine:20250329T100000", "RRULE:FREQ=DAILY;COUNT=2"))
  end)

  it("that has nothing in it means nothing", function()
    assert.same({ "20240301T1000" }, starts("BEGIN:VTIMEZONE\r\nTZID:Mine\r\nEND:VTIMEZONE", "DTSTART;TZID=Mine:20240301T100000"))
  end)
end)

describe("X-WR-TIMEZONE", function()
  local text = wrapped("X-WR-TIMEZONE:America/New_York", "BEGIN:VEVENT", "UID:a", "DTSTART:20250701T100000", "END:VEVENT",
    "BEGIN:VEVENT", "UID:b", "DTSTART:20250701T100000Z", "RRULE:FREQ=MONTHLY;COUNT=6", "END:VEVENT", "BEGIN:VEVENT", "UID:c", "DTSTART;VALUE=DATE:20250702",
    "END:VEVENT")
  it("is what floating times are read in, and nothing else", function()
    local list = told(text)
    assert.equal("20250701T1000-20250701T1000", list[1])
    assert.equal("20250701T1400-20250701T1400", list[2])
    assert.equal("20250702T0000-20250703T0000", list[3])
    assert.equal("20251201T1000-20251201T1000", list[#list])
  end)
  it("gives way to the zone that is asked for", function()
    assert.equal("20250701T0800-20250701T0800", told(text, { tzid = "Europe/Berlin" })[1])
  end)
end)

describe("events that share a UID", function()
  it("are one, the highest SEQUENCE and then the last; the other is named", function()
    local function both(first, second)
      return wrapped("BEGIN:VEVENT", "UID:1", "DTSTART:20250601T100000Z", first, "END:VEVENT", "BEGIN:VEVENT", "UID:1", "DTSTART:20250602T100000Z", second,
        "END:VEVENT")
    end
    assert.same({ "20250601T1000-20250601T1000" }, told(both("SEQUENCE:2", "SEQUENCE:1")))
    assert.same({ "20250602T1000-20250602T1000" }, told(both("X-A:1", "X-A:2")))
    assert.same({ '3:1 another event of this text has the UID "1" too and counts instead' }, warned(both("X-A:1", "X-A:2")))
  end)

  it("and a RECURRENCE-ID likewise", function()
    local text = wrapped("BEGIN:VEVENT", "UID:1", "DTSTART:20250601T100000Z", "RRULE:FREQ=DAILY;COUNT=2", "END:VEVENT",
      "BEGIN:VEVENT", "UID:1", "RECURRENCE-ID:20250602T100000Z", "SEQUENCE:3", "DTSTART:20250602T120000Z", "END:VEVENT",
      "BEGIN:VEVENT", "UID:1", "RECURRENCE-ID:20250602T100000Z", "SEQUENCE:2", "DTSTART:20250602T140000Z", "END:VEVENT")
    assert.same({ "20250601T1000-20250601T1000", "20250602T1200-20250602T1200" }, told(text))
    assert.same({ "14:1 another component has the RECURRENCE-ID 2025-06-02T10:00:00 too and counts instead" }, warned(text))
  end)
end)

describe("a RECURRENCE-ID", function()
  it("of 1970 is none", function()
    assert.same({ "20250601T0000-20250602T0000", "20250602T0000-20250603T0000" },
      told(event("RECURRENCE-ID:19700101T070000Z", "DTSTART;VALUE=DATE:20250601", "RRULE:FREQ=DAILY;COUNT=2")))
  end)
  it("makes one instance of what has a rule", function()
    assert.same({ "20250603T0000-20250604T0000" },
      told(event("RECURRENCE-ID;VALUE=DATE:20250602", "DTSTART;VALUE=DATE:20250603", "RRULE:FREQ=DAILY;COUNT=2")))
  end)
end)

describe("values that are not what they should be", function()
  for name, case in pairs {
    ["dates without VALUE=DATE"] = { { "DTSTART:20250601", "DTEND:20250603" }, { "20250601T0000-20250603T0000" }, 0 },
    ["DTEND before DTSTART"] = { { "DTSTART:20250601T100000Z", "DTEND:20250601T090000Z" }, { "20250601T1000-20250601T1000" }, 1 },
    ["DTEND before DTSTART, all day"] = { { "DTSTART;VALUE=DATE:20250603", "DTEND;VALUE=DATE:20250601" }, { "20250603T0000-20250603T0000" }, 1 },
    ["a time of day in a DATE"] = { { "DTSTART;VALUE=DATE:20250601T100000" }, { "20250601T0000-20250602T0000" }, 1 },
    ["a DATE-TIME that is none in DTEND"] = { { "DTSTART:20250601T100000Z", "DTEND:20250632T100000Z" }, { "20250601T1000-20250601T1000" }, 1 },
    ["DURATION beside DTEND"] = { { "DTSTART:20250601T100000Z", "DTEND:20250601T120000Z", "DURATION:PT1H" }, { "20250601T1000-20250601T1200" }, 0 },
    ["a DURATION that is none"] = { { "DTSTART:20250601T100000Z", "DURATION:PT1W" }, { "20250601T1000-20250601T1000" }, 1 },
    ["spaces around values"] = { { "DTSTART: 20250601T100000Z ", "DTEND:20250601T110000Z " }, { "20250601T1000-20250601T1100" }, 0 },
    ["a rule escaped like text"] = { { "DTSTART:20250601T100000Z", "RRULE:FREQ=DAILY\\;COUNT=2\\;BYDAY=SU\\,MO" },
      { "20250601T1000-20250601T1000", "20250602T1000-20250602T1000" }, 0 },
    ["a rule with a part that does not exist"] = { { "DTSTART:20250601T100000Z", "RRULE:FREQ=DAILY;UNTL=20250603" }, { "20250601T1000-20250601T1000" }, 1 },
    ["an empty EXDATE"] = { { "DTSTART:20250601T100000Z", "RRULE:FREQ=DAILY;COUNT=2", "EXDATE:" },
      { "20250601T1000-20250601T1000", "20250602T1000-20250602T1000" }, 0 },
    ["UNTIL without a zone"] = { { "DTSTART;TZID=America/New_York:20250601T200000", "RRULE:FREQ=DAILY;UNTIL=20250602T200000" },
      { "20250602T0000-20250602T0000", "20250603T0000-20250603T0000" }, 0 },
    ["UNTIL as a date"] = { { "DTSTART;TZID=America/New_York:20250601T200000", "RRULE:FREQ=DAILY;UNTIL=20250602" },
      { "20250602T0000-20250602T0000", "20250603T0000-20250603T0000" }, 0 },
    ["EXDATE as a date"] = { { "DTSTART:20250601T100000Z", "RRULE:FREQ=DAILY;COUNT=2", "EXDATE;VALUE=DATE:20250601" }, { "20250602T1000-20250602T1000" }, 0 },
  } do
    it(name, function()
      local text = event(table.unpack(case[1]))
      assert.same(case[2], told(text))
      assert.equal(case[3], #warned(text))
    end)
  end

  it("leave the other events alone, and say what was left out", function()
    local text = wrapped("BEGIN:VEVENT", "UID:1", "DTSTART:20250230T100000Z", "END:VEVENT", "BEGIN:VEVENT", "UID:2", "SUMMARY:no start", "END:VEVENT",
      "BEGIN:VEVENT", "UID:3", "DTSTART:20250601T100000Z", "END:VEVENT")
    assert.same({ "20250601T1000-20250601T1000" }, told(text))
    assert.same({ '5:1 event 1: start: "20250230T100000Z" is not a date or time', "7:1 event 2: start: is missing" }, warned(text))
  end)
end)
