-- iCalendar as jCal (RFC 7265), there and back.
local ical = require "lunation.ical"
local json = require "lunation.json"

local function calendar(lines)
  return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n" .. table.concat(lines, "\r\n") .. "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
end

-- One property as jCal.
local function property(line)
  local tree = ical.to_jcal(assert(ical.parse(calendar { line })))
  return json.encode(tree[3][1][2][1], { sorted = true })
end

describe("jCal", function()
  it("has a type for every value, and parameters in lower case", function()
    for line, expected in pairs {
      ["UID:1"] = '["uid",{},"text","1"]',
      ["DTSTART;TZID=Europe/Paris:20250309T100000"] = '["dtstart",{"tzid":"Europe/Paris"},"date-time","2025-03-09T10:00:00"]',
      ["DTSTART;VALUE=DATE:20250309"] = '["dtstart",{},"date","2025-03-09"]',
      ["DTSTAMP:20250101T000000Z"] = '["dtstamp",{},"date-time","2025-01-01T00:00:00Z"]',
      ["SEQUENCE:2"] = '["sequence",{},"integer",2]',
      ["GEO:37.5;-122.25"] = '["geo",{},"float",[37.5,-122.25]]',
      ["CATEGORIES:a,b\\,c"] = '["categories",{},"text","a","b,c"]',
      ["RRULE:FREQ=WEEKLY;COUNT=3;BYDAY=MO,TU"] = '["rrule",{},"recur",{"byday":["MO","TU"],"count":3,"freq":"WEEKLY"}]',
      ["RDATE;VALUE=PERIOD:20250310T100000Z/PT1H"] = '["rdate",{},"period",["2025-03-10T10:00:00Z","PT1H"]]',
      ["REQUEST-STATUS:2.0;Success"] = '["request-status",{},"text",["2.0","Success"]]',
      ["X-NOTE;X-P=a:bar\\nbaz"] = '["x-note",{"x-p":"a"},"unknown","bar\\\\nbaz"]',
    } do
      assert.equal(expected, property(line))
    end
  end)

  it("comes back as the same text", function()
    local text = calendar {
      "UID:1", "DTSTAMP:20250101T000000Z", "DTSTART;TZID=Europe/Paris:20250309T100000", "DURATION:PT1H",
      "SUMMARY:One\\, two\\; three\\nfour", "CATEGORIES:a,b\\,c", "EXDATE;TZID=Europe/Paris:20250310T100000,20250311T100000",
      'ATTENDEE;DELEGATED-TO="mailto:a@b.c","mailto:d@b.c":mailto:e@b.c', "X-NOTE:bar\\nbaz",
      "BEGIN:VALARM", "TRIGGER:-PT15M", "ACTION:DISPLAY", "END:VALARM",
    }
    -- By way of the JSON that a client would send.
    local sent = json.decode(json.encode(ical.to_jcal(assert(ical.parse(text)))))
    assert.equal(text, ical.serialize(assert(ical.from_jcal(sent))))
  end)

  it("that is none is refused", function()
    for _, bad in ipairs { '["vcalendar"]', '{}', '[1,[],[]]', '["vcalendar",[["version"]],[]]', '["vcalendar",[],["vevent"]]', '["vcalendar",7,8]' } do
      local tree, err = ical.from_jcal(json.decode(bad))
      assert.is_nil(tree, bad)
      assert.matches("jCal", tostring(err), bad)
    end
    local deep = json.array { "vcalendar", json.array {}, json.array {} }
    for _ = 1, 500 do deep = json.array { "vcalendar", json.array {}, json.array { deep } } end
    local tree, err = ical.from_jcal(deep)
    assert.is_nil(tree)
    assert.is_truthy(err.code)
  end)
end)
