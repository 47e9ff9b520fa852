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

  it("keeps what is no value of its type as it stands", function()
    for line, expected in pairs {
      ["DTSTART:2025-03-09T10:00:00"] = '["dtstart",{},"unknown","2025-03-09T10:00:00"]',
      ["DTSTART;VALUE=DATE:20250309T100000"] = '["dtstart",{},"date","2025-03-09T10:00:00"]',
      ["DTEND;VALUE=DATE:soon"] = '["dtend",{"value":"DATE"},"unknown","soon"]',
      ["SEQUENCE:0x10"] = '["sequence",{},"unknown","0x10"]',
      ["GEO:north;west"] = '["geo",{},"unknown","north;west"]',
      ["RRULE:DAILY;COUNT=2"] = '["rrule",{},"unknown","DAILY;COUNT=2"]',
      ["TZOFFSETTO:+1"] = '["tzoffsetto",{},"unknown","+1"]',
      ["EXDATE:20250310T100000Z,later"] = '["exdate",{},"unknown","20250310T100000Z,later"]',
      ["FREEBUSY:20250310T100000Z"] = '["freebusy",{},"unknown","20250310T100000Z"]',
      ["X-A;VALUE=BOOLEAN:maybe"] = '["x-a",{"value":"BOOLEAN"},"unknown","maybe"]',
      ["ATTENDEE;ROLE=CHAIR;ROLE=X:mailto:a@b.c"] = '["attendee",{"role":["CHAIR","X"]},"cal-address","mailto:a@b.c"]',
      ["this is no property"] = '["x-lunation-line",{},"unknown","this is no property"]',
    } do
      assert.equal(expected, property(line))
      local sent = json.decode(json.encode(ical.to_jcal(assert(ical.parse(calendar { line })))))
      local back = assert(ical.from_jcal(sent))
      assert.equal(json.encode(ical.to_jcal(back), { sorted = true }), json.encode(sent, { sorted = true }))
      assert.equal((line:match ":(.*)$" or line), back.components[1].properties[1].value)
    end
  end)

  it("from strangers breaks nothing", function()
    for _, bad in ipairs {
      '["x\\r\\ny",{},"text","1"]', '["a:b",{},"text","1"]', '["a",{"b\\n":"1"},"text","1"]', '["a",{"":"1"},"text","1"]', '["a",{"b":{"c":{}}},"text","1"]',
      '["sequence",{},"integer",{}]', '["rrule",{},"recur",{"freq":{"a":{}}}]', '["rrule",{},"recur",{"freq":"DAILY;COUNT=1"}]', '["rdate",{},"period",[]]',
      '["rdate",{},"period",[{},{}]]', '["dtstart",{},"date",null]', '["summary",{},"text",[[1]]]', '["geo",{},"float",[null]]',
    } do
      local tree, err = ical.from_jcal(json.decode(('["vcalendar",[%s],[]]'):format(bad)))
      assert.is_nil(tree, bad)
      assert.matches("^not jCal: ", err.message, bad)
    end
    for _, odd in ipairs {
      '["sequence",{},"integer","seven"]', '["geo",{},"float",[1e300,"x"]]', '["x",{"p":[]},"boolean",1]',
      '["summary",{},"text","a\\r\\nEND:VCALENDAR"]',
    } do
      local tree = assert(ical.from_jcal(json.decode(('["vcalendar",[%s],[]]'):format(odd))), odd)
      assert.equal(1, #assert(ical.parse(ical.serialize(tree))).properties)
    end
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
