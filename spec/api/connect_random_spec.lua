-- Requests that nobody would write, by the hundred: every answer is one of the dialect's, and none is our own fault.

local connect = require "spec.support.connect"
local json = require "lunation.json"

describe("connect: requests made at random", function()
  local server, call

  setup(function()
    server = connect.serve()
    call = connect.local_user(server, "random")
  end)
  teardown(function() server.stop() end)

  -- A generator of its own, so that a failure comes again.
  local state = 20251121
  local function random(n)
    state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (state >> 33) % n + 1
  end
  local function pick(list) return list[random(#list)] end

  local TEXTS = {
    "", " ", "x", "2025-11-03T09:00:00Z", "2025-11-03", "9999-12-31T23:59:59Z", "0000-01-01", "0001-01-01T00:00:00+23:59", "-1", "1e309", "null", "primary",
    "local", "caldav", "bob@example.org", "@", "Europe/Berlin", "UTC", "Etc/UTC", "/<X>1", "MO", "-53SU", "DAILY", "this", "following", "all",
    "https://zoom.us/j/1", "javascript:1", ("long "):rep(400),
    "\u{202e}\u{0}x", "é\u{301}", "😀", "\r\nX: y", "20251103T090000Z", "a_20251103T090000Z", "__proto__",
    "#fff", "PT1H", "%00", "../../..", "BEGIN:VEVENT\r\nEND:VEVENT",
  }
  local NAMES = {
    "title", "start", "end", "allDay", "timeZone", "description", "location", "attendees", "recurrence", "custom", "conference",
    "conferenceData", "availability", "privacy", "status", "color", "eventId", "recurringEventId", "updateMode", "deleteMode",
  }
  local RULE = { "frequency", "interval", "count", "until", "byDay", "byMonthDay", "byMonth", "bySetPos", "byHour", "weekStart" }

  local function value(depth)
    local kind = random(depth > 0 and 9 or 6)
    if kind <= 3 then return pick(TEXTS) end
    if kind == 4 then return pick { 0, 1, -1, 2147483648, 9007199254740993, 1.5, -0.0, 31, 53 } end
    if kind == 5 then return pick { true, false } end
    if kind == 6 then return json.null end
    if kind == 7 then
      local list = {}
      for i = 1, random(4) - 1 do list[i] = value(depth - 1) end
      return json.array(list)
    end
    local object = {}
    for _ = 1, random(5) do object[pick(kind == 8 and RULE or { "email", "name", "url", "provider", "autoGenerate", "x" })] = value(depth - 1) end
    return json.object(object)
  end
  local function body()
    local fields = {
      provider = "local", calendarId = "primary", title = "Random", start = "2025-11-03T09:00:00Z", ["end"] = "2025-11-03T10:00:00Z",
    }
    for _ = 1, random(4) do fields[pick(NAMES)] = value(3) end
    return fields
  end

  it("answers every one of them", function()
    local ids, counts = {}, {}
    for round = 1, 400 do
      local fields = body()
      local method = pick { "POST", "POST", "PUT", "PUT", "PUT", "DELETE" }
      if method ~= "POST" and #ids > 0 and random(4) > 1 then fields.eventId = pick(ids) end
      local response = call(method, "/event", { body = fields })
      counts[response.status] = (counts[response.status] or 0) + 1
      local shown = ("%d: %s %s → %d %s"):format(round, method, json.encode(fields), response.status, response.body)
      assert.is_true(response.status < 500, shown)
      assert.is_table(response.json, shown)
      if response.status >= 400 then
        assert.is_false(response.json.success, shown)
        assert.is_string(response.json.message, shown)
        if response.status == 400 then assert.is_string(response.json.details.field, shown) end
      elseif method ~= "DELETE" then
        ids[#ids + 1] = response.json.id
      end
    end
    -- Some pass and some do not, or nothing was tried.
    assert.is_true((counts[200] or 0) > 20 and (counts[400] or 0) > 100, json.encode(counts))
    local response = call("GET", "/events", { query = { start = "1900-01-01", ["end"] = "2100-01-01", pageSize = 1000 } })
    assert.equal(200, response.status)
  end)

  it("answers queries made at random", function()
    for round = 1, 300 do
      local query = {}
      for _ = 1, random(4) do
        query[pick { "start", "end", "pageSize", "calendarIds", "nextPageToken", "singleEvents" }] = random(3) == 1 and json.encode(value(2)) or pick(TEXTS)
      end
      local response = call("GET", "/events", { query = query })
      local shown = ("%d: %s → %d %s"):format(round, json.encode(query), response.status, response.body)
      assert.is_true(response.status == 200 or response.status == 400, shown)
    end
  end)
end)
