-- The connect dialect in front of a CalDAV account: what others wrote, what a write leaves alone, and a server that fails.

local connect = require "spec.support.connect"
local http = require "lunation.http"
local json = require "lunation.json"
local servers = require "spec.servers"
local support = require "spec.support"

local ALICE = { kind = "basic", username = "alice", password = "secret" }

describe("connect: a CalDAV account", function()
  local server, radicale, calendar, call, token
  local user = 0

  setup(function()
    radicale = assert(servers.start "radicale")
    server = connect.serve {
      config = ('outgoing { allow={ "%s" } }\nsync { max_age="0s", deadline="3s" }\n'):format(radicale.base:match("//(.*)$")),
    }
  end)
  teardown(function()
    server.stop()
    if radicale then radicale:stop() end
  end)

  ---A user with alice's account, and a calendar of its own there.
  local function fresh_user(at)
    user = user + 1
    calendar = servers.make_calendar(at or radicale, "alice", "calendar-" .. user, "Calendar " .. user)
    local name = "caldav-user-" .. user
    connect.command(server, { "account", "add", "caldav", "--app", connect.app, "--user", name, "--url", (at or radicale).url,
      "--username", "alice", "--password-stdin" }, "secret\n")
    token = connect.token(server, name)
    call = function(method, path, options) return connect.call(server, token, method, path, options) end
  end
  before_each(function() fresh_user() end)

  local function put(name, lines)
    local text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//another//EN\r\n" .. lines:gsub("\n%s*", "\r\n") .. "END:VCALENDAR\r\n"
    local answer = assert(http.request {
      method = "PUT", url = calendar .. name, auth = ALICE, headers = { ["content-type"] = "text/calendar; charset=utf-8" }, body = text,
    })
    assert(answer.status < 300, answer.status .. answer.body)
  end
  local function get(name)
    local answer = assert(http.request { url = calendar .. name, auth = ALICE })
    return answer.status, answer.body:gsub("\r\n[ \t]", "")
  end
  local function page(query)
    local all = { start = "2025-11-01", ["end"] = "2025-12-01", calendarIds = json.encode { caldav = { calendar } } }
    for name, value in pairs(query or {}) do all[name] = value end
    local response = call("GET", "/events", { query = all })
    assert.equal(200, response.status, response.body)
    return response.json.events, response
  end
  local function body(fields)
    local all = { provider = "caldav", calendarId = calendar, title = "Talk", start = "2025-11-03T09:00:00Z", ["end"] = "2025-11-03T10:00:00Z" }
    for name, value in pairs(fields or {}) do all[name] = value end
    return all
  end

  it("shows an event that another client wrote", function()
    put("meeting.ics", [[BEGIN:VEVENT
      UID:meeting@example.org
      DTSTAMP:20251001T000000Z
      LAST-MODIFIED:20251002T101112Z
      DTSTART;TZID=Europe/Berlin:20251103T100000
      DTEND;TZID=Europe/Berlin:20251103T113000
      SUMMARY:Meeting\, weekly
      DESCRIPTION:First line\nSecond line
      LOCATION:Room 5
      CLASS:CONFIDENTIAL
      TRANSP:TRANSPARENT
      STATUS:TENTATIVE
      URL:https://example.org/meeting
      ORGANIZER;CN=Alice:mailto:alice@example.org
      ATTENDEE;PARTSTAT=ACCEPTED;CN=Bob:mailto:bob@example.org
      ATTENDEE;PARTSTAT=DECLINED:mailto:carol@example.org
      ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:dave@example.org
      END:VEVENT
      ]])
    local events = page()
    assert.equal(1, #events)
    local event = events[1]
    assert.same({ "caldav", calendar, "meeting.ics", "Meeting, weekly", "First line\nSecond line", "Room 5" },
      { event.provider, event.calendarId, event.id, event.title, event.description, event.location })
    assert.same({ "2025-11-03T09:00:00.000Z", "2025-11-03T10:30:00.000Z", false }, { event.start, event["end"], event.allDay })
    assert.same({ "confidential", "free", "tentative", "https://example.org/meeting", "2025-10-02T10:11:12.000Z" },
      { event.privacy, event.availability, event.status, event.link, event.lastModified })
    assert.same({
      { email = "alice@example.org", organizer = true, status = event.attendees[1].status },
      { email = "bob@example.org", status = "accepted" }, { email = "carol@example.org", status = "declined" },
      { email = "dave@example.org", status = "none" },
    }, event.attendees)
    assert.same({ "etag", "href", "ics" }, (function()
      local names = {}
      for name in pairs(event.original) do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
    assert.is_truthy(event.original.ics:find("BEGIN:VEVENT", 1, true))
    assert.equal(calendar .. "meeting.ics", event.original.href)
  end)

  it("reads floating times in the calendar's zone, days as days", function()
    put("floating.ics", [[BEGIN:VEVENT
      UID:floating@example.org
      DTSTAMP:20251001T000000Z
      DTSTART:20251103T100000
      DTEND:20251103T110000
      SUMMARY:Floating
      END:VEVENT
      ]])
    put("days.ics", [[BEGIN:VEVENT
      UID:days@example.org
      DTSTAMP:20251001T000000Z
      DTSTART;VALUE=DATE:20251104
      DTEND;VALUE=DATE:20251106
      SUMMARY:Days
      END:VEVENT
      ]])
    local events = page()
    assert.same({ "2025-11-03T10:00:00.000Z", "2025-11-04T00:00:00.000Z", "2025-11-06T00:00:00.000Z", true },
      { events[1].start, events[2].start, events[2]["end"], events[2].allDay })
  end)

  it("reads floating times in the zone that the calendar has", function()
    local answer = assert(http.request {
      method = "PROPPATCH", url = calendar, auth = ALICE, headers = { ["content-type"] = "application/xml" },
      body = [[<?xml version="1.0"?><D:propertyupdate xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop><C:calendar-timezone>]]
        .. "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//another//EN\r\nBEGIN:VTIMEZONE\r\nTZID:Asia/Tokyo\r\nBEGIN:STANDARD\r\n"
        .. "DTSTART:19700101T000000\r\nTZOFFSETFROM:+0900\r\nTZOFFSETTO:+0900\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nEND:VCALENDAR\r\n"
        .. "</C:calendar-timezone></D:prop></D:set></D:propertyupdate>",
    })
    assert.equal(207, answer.status)
    put("floating.ics", [[BEGIN:VEVENT
      UID:floating@example.org
      DTSTAMP:20251001T000000Z
      DTSTART:20251103T100000
      DTEND:20251103T110000
      RRULE:FREQ=DAILY;COUNT=2
      SUMMARY:Floating
      END:VEVENT
      ]])
    local events = page()
    assert.same({ "2025-11-03T01:00:00.000Z", "2025-11-03T02:00:00.000Z", "2025-11-04T01:00:00.000Z" },
      { events[1].start, events[1]["end"], events[2].start })
    assert.equal("floating.ics_20251104T100000", events[2].id)
    for _, item in ipairs(call("GET", "/calendars").json) do
      if item.id == calendar then assert.equal("Asia/Tokyo", item.timeZone) end
    end
    local response = call("PUT", "/event", { body = { provider = "caldav", calendarId = calendar, eventId = events[2].id, title = "Moved" } })
    assert.same({ 200, "Moved", "2025-11-04T01:00:00.000Z", events[2].id },
      { response.status, response.json.title, response.json.start, response.json.id })
    -- An instant that the client names is that instant; the event goes on floating.
    response = call("PUT", "/event", { body = {
      provider = "caldav", calendarId = calendar, eventId = events[1].id, start = "2025-11-03T03:00:00Z", ["end"] = "2025-11-03T05:00:00Z",
    } })
    assert.same({ 200, "2025-11-03T03:00:00.000Z", "2025-11-03T05:00:00.000Z" }, { response.status, response.json.start, response.json["end"] })
    assert.equal("2025-11-03T03:00:00.000Z", page()[1].start)
    local _, text = get "floating.ics"
    assert.is_truthy(text:find("DTSTART:20251103T120000\r?\n"), text)
  end)

  it("keeps what other apps wrote into custom", function()
    local made = call("POST", "/event", { body = body { custom = { ours = 1 } } })
    connect.command(server, { "account", "add", "caldav", "--app", "other", "--user", "theirs-" .. user, "--url", radicale.url,
      "--username", "alice", "--password-stdin" }, "secret\n")
    local other = connect.token(server, "theirs-" .. user, nil, "other")
    local where = { provider = "caldav", calendarId = calendar, eventId = made.json.id }
    local function with(fields)
      for name, value in pairs(where) do fields[name] = value end
      return fields
    end
    local response = connect.call(server, other, "PUT", "/event", { body = with { title = "Theirs" } })
    assert.equal(200, response.status, response.body)
    assert.is_nil(response.json.custom)
    response = connect.call(server, other, "PUT", "/event", { body = with { custom = { theirs = json.array { 2 } } } })
    assert.same({ theirs = { 2 } }, response.json.custom)
    assert.same({ ours = 1 }, page()[1].custom)
    response = call("PUT", "/event", { body = with { custom = {} } })
    assert.is_nil(response.json.custom)
    response = connect.call(server, other, "GET", "/events", { query = { start = "2025-11-01", ["end"] = "2025-12-01" } })
    local found
    for _, event in ipairs(response.json.events) do
      if event.id == made.json.id and event.calendarId == calendar then found = event end
    end
    assert.same({ theirs = { 2 } }, found.custom)
  end)

  it("leaves alone what it does not understand", function()
    put("rich.ics", [[BEGIN:VEVENT
      UID:rich@example.org
      DTSTAMP:20251001T000000Z
      DTSTART:20251103T100000Z
      DTEND:20251103T110000Z
      SUMMARY:Rich
      X-ANOTHER;X-P=1:kept
      CATEGORIES:A,B
      BEGIN:VALARM
      ACTION:DISPLAY
      TRIGGER:-PT15M
      DESCRIPTION:Soon
      END:VALARM
      END:VEVENT
      ]])
    page()
    local response = call("PUT", "/event", { body = { provider = "caldav", calendarId = calendar, eventId = "rich.ics", title = "Richer" } })
    assert.equal(200, response.status, response.body)
    local _, text = get "rich.ics"
    for _, part in ipairs { "SUMMARY:Richer", "X-ANOTHER;X-P=1:kept", "CATEGORIES:A,B", "BEGIN:VALARM", "TRIGGER:-PT15M", "UID:rich@example.org" } do
      assert.is_truthy(text:find(part, 1, true), part .. "\n" .. text)
    end
  end)

  it("keeps the answers of attendees that stay", function()
    put("people.ics", [[BEGIN:VEVENT
      UID:people@example.org
      DTSTAMP:20251001T000000Z
      DTSTART:20251103T100000Z
      DTEND:20251103T110000Z
      SUMMARY:People
      ORGANIZER:mailto:alice@example.org
      ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.org
      ATTENDEE;PARTSTAT=ACCEPTED:mailto:carol@example.org
      END:VEVENT
      ]])
    page()
    local response = call("PUT", "/event", { body = {
      provider = "caldav", calendarId = calendar, eventId = "people.ics", attendees = { "BOB@example.org", "eve@example.org" },
    } })
    local status = {}
    for _, attendee in ipairs(response.json.attendees) do status[attendee.email] = attendee.organizer and "organizer" or attendee.status end
    assert.same({ ["alice@example.org"] = "organizer", ["bob@example.org"] = "accepted", ["eve@example.org"] = "none" }, status)
  end)

  it("keeps custom, conference and the rest across the server", function()
    local custom = { text = "x\ny", number = 12345678901234567, list = json.array { 1, json.object { a = true } } }
    local made = call("POST", "/event", { body = body {
      custom = custom, conference = "https://meet.example.org/x", conferenceData = { provider = "jitsi" }, color = "#336699",
      privacy = "private", availability = "free", status = "tentative", timeZone = "Europe/Paris",
      recurrence = { frequency = "MONTHLY", byDay = { "-1FR" }, count = 4 },
    } })
    assert.equal(200, made.status, made.body)
    local master = page({ singleEvents = "false", ["end"] = "2026-06-01" })[1]
    assert.same(custom, master.custom)
    assert.same({ "https://meet.example.org/x", "jitsi" }, { master.conference, master.conferenceData.provider })
    assert.same({ "private", "free", "tentative" }, { master.privacy, master.availability, master.status })
    assert.same({ frequency = "MONTHLY", byDay = { "-1FR" }, count = 4 }, master.recurrence)
    -- The calendar as another client sees it.
    local _, text = get(master.id)
    assert.is_truthy(text:find("DTSTART;TZID=Europe/Paris:20251103T100000", 1, true), text)
    assert.is_truthy(text:find("BEGIN:VTIMEZONE", 1, true))
  end)

  it("finds an event that was written there since the last read", function()
    page()
    put("late.ics", [[BEGIN:VEVENT
      UID:late@example.org
      DTSTAMP:20251001T000000Z
      DTSTART:20251103T100000Z
      DTEND:20251103T110000Z
      SUMMARY:Late
      END:VEVENT
      ]])
    local response = call("PUT", "/event", { body = { provider = "caldav", calendarId = calendar, eventId = "late.ics", location = "There" } })
    assert.same({ 200, "Late", "There" }, { response.status, response.json.title, response.json.location })
  end)

  it("deletes there", function()
    local made = call("POST", "/event", { body = body() })
    assert.equal(200, (get(made.json.id)))
    assert.equal(200, call("DELETE", "/event?" .. connect.query { provider = "caldav", calendarId = calendar, eventId = made.json.id }).status)
    assert.equal(404, (get(made.json.id)))
  end)

  it("answers 400 for a calendar under another provider", function()
    for _, name in ipairs { "apple", "google", "local" } do
      local response = call("POST", "/event", { body = body { provider = name } })
      assert.same({ 400, "provider" }, { response.status, response.json.details.field }, name)
    end
    assert.equal(200, call("POST", "/event", { body = body { calendarId = "primary" } }).status)
  end)

  it("merges a change that another client made to the same event meanwhile", function()
    local made = call("POST", "/event", { body = body { description = "ours" } })
    local _, text = get(made.json.id)
    text = text:gsub("SUMMARY:Talk", "SUMMARY:Theirs")
    assert(http.request { method = "PUT", url = calendar .. made.json.id, auth = ALICE, headers = { ["content-type"] = "text/calendar" }, body = text })
    local response = call("PUT", "/event", { body = { provider = "caldav", calendarId = calendar, eventId = made.json.id, location = "Ours" } })
    assert.same({ 200, "Theirs", "Ours" }, { response.status, response.json.title, response.json.location })
  end)

  describe("beside others", function()
    local name
    before_each(function()
      name = "caldav-user-" .. user
      connect.command(server, { "account", "add", "local", "--app", connect.app, "--user", name })
    end)

    it("is one of a listing in the order of time", function()
      call("POST", "/event", { body = body { title = "Second", start = "2025-11-03T09:00:00Z", ["end"] = "2025-11-03T10:00:00Z" } })
      for _, event in ipairs { { "First", "2025-11-02" }, { "Third", "2025-11-04" } } do
        local made = call("POST", "/event", { body = {
          provider = "local", calendarId = "primary", title = event[1], start = event[2] .. "T09:00:00Z", ["end"] = event[2] .. "T10:00:00Z",
        } })
        assert.equal(200, made.status, made.body)
      end
      local seen, query = {}, { start = "2025-11-01", ["end"] = "2025-12-01", pageSize = 1 }
      repeat
        local response = call("GET", "/events", { query = query })
        for _, event in ipairs(response.json.events) do
          if event.provider == "local" or event.calendarId == calendar then seen[#seen + 1] = event.provider .. " " .. event.title end
        end
        query = { nextPageToken = response.json.nextPageToken, pageSize = 1 }
      until not response.json.nextPageToken
      assert.same({ "local First", "caldav Second", "local Third" }, seen)
    end)

    it("leaves primary to the account that was connected first", function()
      connect.command(server, { "account", "add", "local", "--app", connect.app, "--user", name, "--name", "Second" })
      local made = call("POST", "/event", { body = body { provider = "local", calendarId = "primary" } })
      assert.equal(200, made.status, made.body)
      local first
      for _, item in ipairs(call("GET", "/calendars").json) do
        if item.provider == "local" and not first then first = item end
      end
      assert.equal(first.id, made.json.calendarId)
      assert.equal(2, #call("GET", "/oauth/connection-status").json.connections["local"])
    end)

    it("is disconnected alone", function()
      local status = call("GET", "/oauth/connection-status").json.connections
      assert.same({ 1, 1 }, { #status.caldav, #status["local"] })
      local response = call("POST", "/oauth/disconnect?" .. connect.query { provider = "caldav", account = status.caldav[1].id }, { body = {} })
      assert.equal(200, response.status)
      status = call("GET", "/oauth/connection-status").json.connections
      assert.same({ 0, 1 }, { #status.caldav, #status["local"] })
      response = call("POST", "/event", { body = body() })
      assert.equal(404, response.status)
    end)

    it("answers a repeated disconnect with an Idempotency-Key as the first", function()
      local options = { body = {}, headers = { ["idempotency-key"] = "once" } }
      local first = call("POST", "/oauth/disconnect?provider=caldav", options)
      local second = call("POST", "/oauth/disconnect?provider=caldav", options)
      assert.same({ 200, "Account disconnected" }, { first.status, first.json.message })
      assert.equal(first.body, second.body)
    end)

    it("may be read-only", function()
      local feed = support.write(support.tmpdir() .. "/feed.ics", table.concat({
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//another//EN", "BEGIN:VEVENT", "UID:feed@example.org", "DTSTAMP:20251001T000000Z",
        "DTSTART:20251105T100000Z", "DTEND:20251105T110000Z", "SUMMARY:From a feed", "END:VEVENT", "END:VCALENDAR", "",
      }, "\r\n"))
      connect.command(server, { "account", "add", "ics", "--app", connect.app, "--user", name, "--url", feed })
      local found
      for _, event in ipairs(call("GET", "/events", { query = { start = "2025-11-01", ["end"] = "2025-12-01" } }).json.events) do
        if event.provider == "ics" then found = event end
      end
      assert.equal("From a feed", found.title)
      local where = { provider = "ics", calendarId = found.calendarId, eventId = found.id }
      for _, response in ipairs {
        call("POST", "/event", { body = body { provider = "ics", calendarId = found.calendarId } }),
        call("PUT", "/event", { body = { provider = "ics", calendarId = found.calendarId, eventId = found.id, title = "x" } }),
        call("DELETE", "/event?" .. connect.query(where)),
      } do
        assert.same({ 403, "forbidden", false }, { response.status, response.json.code, response.json.success })
      end
    end)
  end)

  describe("whose server fails", function()
    local other
    before_each(function()
      other = assert(servers.start "radicale")
      server.stop()
      server = connect.serve {
        config = ('outgoing { allow={ "%s", "%s" } }\nsync { max_age="0s", deadline="3s" }\n')
          :format(radicale.base:match("//(.*)$"), other.base:match("//(.*)$")),
      }
      fresh_user(other)
    end)
    after_each(function() other:stop() end)

    it("is served from its mirror, and named", function()
      assert.equal(200, call("POST", "/event", { body = body() }).status)
      local _, fresh = page()
      assert.is_nil(fresh.headers["lunation-stale"])
      other:stop()
      local events, stale = page()
      assert.equal(1, #events)
      assert.is_truthy(stale.headers["lunation-stale"]:find("^account=%d+;age=%d+;reason=%a+$"), stale.headers["lunation-stale"])
      assert.equal(200, call("GET", "/calendars").status)
      local response = call("POST", "/event", { body = body { title = "Lost" } })
      assert.equal(500, response.status)
      assert.same({ "Internal Server Error", false }, { response.json.error, response.json.success })
      assert.is_string(response.json.message)
      assert.equal(1, #(page()))
    end)

    it("is an error where there is no mirror", function()
      other:stop()
      for _, path in ipairs { "/events", "/calendars" } do
        local response = call("GET", path)
        assert.equal(500, response.status)
        assert.is_truthy(response.headers["lunation-stale"])
        assert.is_nil(response.json.success)
      end
    end)

    it("needs to be connected again when the password is another", function()
      page()
      local users = other.state .. "/radicale/htpasswd"
      local found = support.read(users)
      assert.is_string(found)
      support.write(users, (found:gsub("alice:[^\n]*", "alice:another")))
      local account
      support.eventually(function()
        local _, response = page()
        account = call("GET", "/oauth/connection-status").json.connections.caldav[1]
        return account.syncState == "reauth_required" and (response.headers["lunation-stale"] or ""):find("reason=reauth", 1, true)
      end)
      assert.is_truthy(account.syncStateUpdatedAt:find("^%d+%-%d%d%-%d%dT.*Z$"))
      local response = call("POST", "/event", { body = body() })
      assert.same({ 500, "reauth_required", false }, { response.status, response.json.code, response.json.success })
    end)
  end)

  it("limits requests, and says when to come back", function()
    local limited = connect.serve { config = "limits { requests_per_minute=5 }\n" }
    local one = connect.token(limited, "busy")
    local response
    for _ = 1, 8 do response = connect.call(limited, one, "GET", "/calendars") end
    assert.same({ 429, "rate_limited", "Too Many Requests" }, { response.status, response.json.code, response.json.error })
    assert.is_truthy(response.headers["retry-after"]:find("^%d+$"))
    limited.stop()
  end)
end)
