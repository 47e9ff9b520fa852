-- The CalDAV provider against five real servers, which differ in most of what the RFCs leave open (and in some of what they do not).
local caldav = require "lunation.caldav"
local href = require "lunation.caldav.href"
local http = require "lunation.http"
local object = require "lunation.caldav.object"
local servers = require "spec.servers"
local session = require "lunation.caldav.session"
local support = require "spec.support"

local client = caldav.client { provider = "caldav" }

local serial = 0
local function uid()
  serial = serial + 1
  return ("spec-%d-%d@example.org"):format(os.time(), serial)
end

local function ics(id, lines, more)
  local text = { "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//lunation//spec//EN", "BEGIN:VEVENT", "UID:" .. id, "DTSTAMP:20260101T000000Z",
    "DTSTART:20271201T100000Z", "DTEND:20271201T110000Z" }
  for _, line in ipairs(lines or { "SUMMARY:Standup" }) do text[#text + 1] = line end
  text[#text + 1] = "END:VEVENT"
  for _, line in ipairs(more or {}) do text[#text + 1] = line end
  text[#text + 1] = "END:VCALENDAR"
  return table.concat(text, "\r\n") .. "\r\n"
end

local function lines_of(text)
  local set = {}
  for line in text:gsub("\r?\n[ \t]", ""):gmatch("[^\r\n]+") do set[line] = true end
  return set
end

for _, name in ipairs(servers.selected()) do
  describe("caldav on " .. name .. " #servers", function()
    local server

    local function account(user, password)
      return {
        provider = "caldav", url = server.url, username = user or "alice", settings = nil,
        credentials = { username = user or "alice", password = password or "secret" },
      }
    end

    local function identified(user)
      local one = account(user)
      one.settings = assert(client.identify(one)).settings
      return one
    end

    local function raw(method, url, body, headers)
      headers = headers or {}
      return assert(http.request {
        method = method, url = url, body = body, headers = headers, auth = { kind = "basic", username = "alice", password = "secret" },
      })
    end

    -- A calendar of its own for each group of checks.
    local function fresh(slug)
      local one = identified()
      return one, { id = href.canonical(servers.make_calendar(server, "alice", slug, "Spec " .. slug)) }
    end

    local function drain(one, calendar, state)
      local all = { upserts = {}, deletes = {}, batches = 0, reset = false }
      local next_batch = client.changes(one, calendar, state)
      while true do
        local batch, err = next_batch()
        if not batch then
          assert.is_nil(err and tostring(err))
          break
        end
        all.batches = all.batches + 1
        all.reset = all.reset or batch.reset
        for _, event in ipairs(batch.upserts) do all.upserts[event.id] = event end
        for _, id in ipairs(batch.deletes) do all.deletes[id] = true end
        state = batch.state
        all.more = batch.more
      end
      all.state = state
      return all
    end

    local function count(map)
      local n = 0
      for _ in pairs(map) do n = n + 1 end
      return n
    end

    setup(function()
      server = assert(servers.start(name))
      if name == "radicale" then servers.make_calendar(server, "alice", "first", "First") end
    end)

    teardown(function()
      if server then server:stop() end
    end)

    describe("discovery", function()
      it("finds the account from the server's address alone", function()
        local found = assert(client.identify(account()))
        assert.equal("alice@" .. server.base:match("//(.*)$"), found.identity)
        assert.same({ href.canonical(server.home("alice")) }, found.settings.homes)
        assert.equal(name, found.settings.server.kind)
        assert.is_string(found.settings.principal)
      end)

      it("finds the same from the principal, the home and a calendar", function()
        local found = assert(client.identify(account()))
        local calendars = assert(client.calendars { settings = found.settings, credentials = account().credentials })
        for _, url in ipairs { found.settings.principal, found.settings.homes[1], calendars[1].href } do
          local one = account()
          one.url = url
          assert.same(found.settings.homes, assert(client.identify(one)).settings.homes, url)
        end
      end)

      it("falls back to the well-known address from a path that is nothing", function()
        local one = account()
        one.url = server.base .. "/no/such/place/"
        local found = assert(client.identify(one))
        assert.same({ href.canonical(server.home("alice")) }, found.settings.homes)
      end)

      if servers.kinds[name].auth then
        it("names a wrong password", function()
          local found, err = client.identify(account("alice", "wrong"))
          assert.is_nil(found)
          assert.equal("unauthorized", err.code)
          assert.truthy(err.message:find("password", 1, true))
        end)
      end

      it("knows whether the server sends invitations", function()
        local scheduling = identified().settings.scheduling
        assert.equal(servers.kinds[name].scheduling == true, scheduling.auto)
        if scheduling.auto then
          assert.same({ "alice@example.org" }, scheduling.addresses)
          assert.is_string(scheduling.outbox)
        end
      end)
    end)

    describe("calendars", function()
      it("lists calendars of events only, each with what the server tells", function()
        local url = servers.make_calendar(server, "alice", "listed", name == "davical" and "Listed" or "Listed & shown")
        raw("PROPPATCH", url, [[<?xml version="1.0"?>
          <D:propertyupdate xmlns:D="DAV:" xmlns:A="http://apple.com/ns/ical/" xmlns:C="urn:ietf:params:xml:ns:caldav">
          <D:set><D:prop><A:calendar-color>#FF2968CC</A:calendar-color></D:prop></D:set>
          <D:set><D:prop><C:calendar-description>Ours</C:calendar-description></D:prop></D:set></D:propertyupdate>]],
          { ["content-type"] = "application/xml" })
        local list = assert(client.calendars(identified()))
        local listed, primaries
        primaries = 0
        for _, calendar in ipairs(list) do
          local segment = href.name((calendar.href:gsub("/$", ""))):lower()
          assert.is_nil(segment:find("inbox", 1, true))
          assert.is_nil(segment:find("outbox", 1, true))
          if calendar.primary then primaries = primaries + 1 end
          if segment == "listed" then listed = calendar end
        end
        assert.equal(1, primaries)
        -- DAViCal keeps the name as the XML had it, escapes and all.
        assert.equal(name == "davical" and "Listed" or "Listed & shown", listed.displayname)
        assert.equal(href.canonical(url), listed.href)
        assert.is_false(caldav.read_only(listed))
        -- Xandikos and old sabre keep some properties from being set this way; what they do tell must be read.
        if listed.color then assert.equal("#ff2968", caldav.color(listed.color)) end
        if name == "radicale" or name == "cyrus" then
          assert.equal("#ff2968", caldav.color(listed.color))
          assert.equal("Ours", listed.description)
        end
        local holds = false
        for _, component in ipairs(listed.components) do holds = holds or component == "VEVENT" end
        assert.is_true(holds)
      end)
    end)

    describe("events", function()
      local one, calendar
      setup(function() one, calendar = fresh("events") end)

      it("are created once under their id, and read as the server keeps them", function()
        local id = uid()
        local event = assert(client.create(one, calendar, { text = ics(id) }))
        assert.equal(client.new_id(id), event.id)
        assert.is_string(event.etag)
        local stored = raw("GET", event.href)
        assert.equal(200, stored.status)
        assert.equal(stored.body, event.text)
        local read = assert(client.fetch(one, calendar, event.id))
        assert.equal(event.etag, read.etag)
        assert.truthy(lines_of(read.text)["SUMMARY:Standup"])

        local again, err = client.create(one, calendar, { text = ics(id, { "SUMMARY:Other" }) })
        assert.is_nil(again)
        assert.equal("conflict", err.code)
        assert.equal(event.id, err.details.id)
        assert.truthy(lines_of(raw("GET", event.href).body)["SUMMARY:Standup"])
      end)

      it("with a UID that is there under another name are refused, and the other is named", function()
        local id = uid()
        local event = assert(client.create(one, calendar, { text = ics(id) }))
        local again, err = client.create(one, calendar, { text = ics(id) }, { id = "another-name.ics" })
        assert.is_nil(again)
        assert.equal("conflict", err.code)
        assert.equal(event.id, err.details.id)
        assert.equal(404, raw("GET", calendar.id .. "another-name.ics").status)
      end)

      it("are changed only from the state that was read", function()
        local event = assert(client.create(one, calendar, { text = ics(uid()) }))
        local changed = event.text:gsub("SUMMARY:Standup", "SUMMARY:Changed")
        local newer = assert(client.update(one, calendar, { id = event.id, href = event.href, text = changed }, { etag = event.etag }))
        assert.are_not.equal(event.etag, newer.etag)
        assert.truthy(lines_of(raw("GET", event.href).body)["SUMMARY:Changed"])

        local late = event.text:gsub("SUMMARY:Standup", "SUMMARY:Late")
        local refused, err = client.update(one, calendar, { id = event.id, href = event.href, text = late }, { etag = event.etag })
        assert.is_nil(refused)
        assert.equal("precondition_failed", err.code)
        assert.truthy(lines_of(raw("GET", event.href).body)["SUMMARY:Changed"])
      end)

      it("are deleted only in the state that was read, and once", function()
        local event = assert(client.create(one, calendar, { text = ics(uid()) }))
        local done, err = client.delete(one, calendar, event.id, { etag = '"something-else"' })
        assert.is_nil(done)
        assert.equal("precondition_failed", err.code)
        assert.equal(200, raw("GET", event.href).status)
        assert.is_true(client.delete(one, calendar, event.id, { etag = event.etag }))
        assert.equal(404, raw("GET", event.href).status)
        done, err = client.delete(one, calendar, event.id, { etag = event.etag })
        assert.is_nil(done)
        assert.equal("not_found", err.code)
        done, err = client.fetch(one, calendar, event.id)
        assert.is_nil(done)
        assert.equal("not_found", err.code)
      end)

      it("that are gone cannot be changed", function()
        local event = assert(client.create(one, calendar, { text = ics(uid()) }))
        assert(client.delete(one, calendar, event.id, { etag = event.etag }))
        local done, err = client.update(one, calendar, { id = event.id, href = event.href, text = event.text }, { etag = event.etag })
        assert.is_nil(done)
        assert.equal("not_found", err.code)
        assert.equal(404, raw("GET", event.href).status)
      end)

      it("keep unknown properties and alarms", function()
        local event = assert(client.create(one, calendar, { text = ics(uid(), {
          "SUMMARY:Kept", "X-ACME-TRACK;X-LEVEL=3:a b", "BEGIN:VALARM", "ACTION:DISPLAY", "DESCRIPTION:Soon", "TRIGGER:-PT10M", "END:VALARM",
        }) }))
        local read = lines_of(assert(client.fetch(one, calendar, event.id)).text)
        assert.truthy(read["X-ACME-TRACK;X-LEVEL=3:a b"])
        assert.truthy(read["TRIGGER:-PT10M"] or read["TRIGGER;VALUE=DURATION:-PT10M"])
      end)

      it("may have names that must be percent-encoded", function()
        local id = href.segment("ä b+c@d;e.ics")
        local event = assert(client.create(one, calendar, { text = ics(uid()) }, { id = id }))
        assert.equal(id, event.id)
        local listing = drain(one, calendar, nil)
        assert.equal(event.etag, listing.upserts[id].etag)
        assert.equal(id, assert(client.fetch(one, calendar, id)).id)
        assert.is_true(client.delete(one, calendar, id, { etag = event.etag }))
      end)

      it("of garbage are refused and leave nothing", function()
        local done, err = client.create(one, calendar, { text = "this is not a calendar" }, { id = "garbage.ics" })
        assert.is_nil(done)
        assert.equal("invalid_request", err.code)
        assert.equal(404, raw("GET", calendar.id .. "garbage.ics").status)
      end)

      it("in a calendar that is gone are refused as such", function()
        local done, err = client.create(one, { id = server.home("alice") .. "no-such-calendar/" }, { text = ics(uid()) })
        assert.is_nil(done)
        assert.equal("not_found", err.code)
      end)

      it("are read in batches, and what is missing is named", function()
        local some = {}
        for index = 1, 3 do some[index] = assert(client.create(one, calendar, { text = ics(uid()) })) end
        local missing = calendar.id .. "missing.ics"
        local result = assert(object.get_many(session.new(one), calendar.id, { some[1].href, missing, some[2].href, some[3].href }))
        assert.equal(3, #result.found)
        assert.same({ missing }, result.gone)
        assert.same({}, result.failed)
        for _, event in ipairs(result.found) do assert.equal(event.etag, assert(client.fetch(one, calendar, event.id)).etag) end
      end)
    end)

    describe("synchronization", function()
      it("gives everything, then what changed, then nothing", function()
        local one, calendar = fresh("sync")
        local a = assert(client.create(one, calendar, { text = ics(uid()) }))
        local b = assert(client.create(one, calendar, { text = ics(uid()) }))
        local first = drain(one, calendar, nil)
        assert.is_true(first.reset)
        assert.is_false(first.more)
        assert.equal(2, count(first.upserts))
        assert.equal(a.etag, first.upserts[a.id].etag)
        assert.equal(name == "sabre" and "etag" or "sync", first.state.method)

        local nothing = drain(one, calendar, first.state)
        assert.equal(0, count(nothing.upserts))
        assert.equal(0, count(nothing.deletes))

        local changed = a.text:gsub("SUMMARY:Standup", "SUMMARY:Again")
        a = assert(client.update(one, calendar, { id = a.id, href = a.href, text = changed }, { etag = a.etag }))
        assert(client.delete(one, calendar, b.id, { etag = b.etag }))
        local c = assert(client.create(one, calendar, { text = ics(uid()) }))
        local second = drain(one, calendar, first.state)
        assert.equal(2, count(second.upserts))
        assert.equal(a.etag, second.upserts[a.id].etag)
        assert.truthy(lines_of(second.upserts[a.id].text)["SUMMARY:Again"])
        assert.equal(c.etag, second.upserts[c.id].etag)
        -- A server that gives a full listing instead says so; then what it does not name is gone.
        assert.is_true(second.deletes[b.id] or second.reset)

        local third = drain(one, calendar, second.state)
        assert.equal(0, count(third.upserts))
        assert.equal(0, count(third.deletes))
      end)

      it("leaves tasks out", function()
        local one, calendar = fresh("tasks")
        local state = drain(one, calendar, nil).state
        local answer = raw("PUT", calendar.id .. "task.ics",
          "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//lunation//spec//EN\r\nBEGIN:VTODO\r\nUID:" .. uid()
            .. "\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Do\r\nEND:VTODO\r\nEND:VCALENDAR\r\n",
          { ["content-type"] = "text/calendar; charset=utf-8" })
        assert.truthy(answer.status == 201 or answer.status == 204)
        assert.equal(0, count(drain(one, calendar, state).upserts))
        assert.equal(0, count(drain(one, calendar, nil).upserts))
      end)

      it("survives a token that the server does not know, without false deletions", function()
        local one, calendar = fresh("tokens")
        local a = assert(client.create(one, calendar, { text = ics(uid()) }))
        local b = assert(client.create(one, calendar, { text = ics(uid()) }))
        local state = drain(one, calendar, nil).state
        local forgotten = { method = state.method, token = "http://example.org/forgotten/1", ctag = "forgotten", etags = {}, count = state.count }
        if name == "davical" then forgotten.token = "data:,999999" end
        assert(client.delete(one, calendar, b.id, { etag = b.etag }))
        local all = drain(one, calendar, forgotten)
        assert.equal(1, count(all.upserts))
        assert.equal(a.etag, all.upserts[a.id].etag)
        assert.is_nil(all.deletes[a.id])
        if state.method == "sync" then assert.is_true(all.reset) end
        assert.equal(0, count(drain(one, calendar, all.state).upserts))
      end)

      it("reads a long listing in pages and batches", function()
        local one, calendar = fresh("pages")
        for _ = 1, 7 do assert(client.create(one, calendar, { text = ics(uid()) })) end
        one.settings.sync_limit = 2
        local all = drain(one, calendar, nil)
        assert.equal(7, count(all.upserts))
        assert.is_true(all.reset)
        local new = {}
        for index = 1, 5 do new[index] = assert(client.create(one, calendar, { text = ics(uid()) })) end
        local more = drain(one, calendar, all.state)
        for _, event in ipairs(new) do assert.equal(event.etag, more.upserts[event.id].etag) end
        -- DAViCal's tokens stand for seconds: what happened in the same second is told again.
        assert.truthy(name == "davical" or count(more.upserts) == 5)
        -- Cyrus keeps to the limit: several pages, each with the token to go on from.
        if name == "cyrus" then assert.equal(3, more.batches) end
      end)

      it("names a calendar that is gone", function()
        local one, calendar = fresh("vanishing")
        local state = drain(one, calendar, nil).state
        assert.truthy(raw("DELETE", calendar.id).status < 300)
        local batch, err = client.changes(one, calendar, state)()
        assert.is_nil(batch)
        assert.equal("not_found", err.code)
      end)
    end)

    if servers.kinds[name].scheduling then
      describe("scheduling", function()
        local function meeting(id)
          return ics(id, { "SUMMARY:Review", "ORGANIZER:mailto:alice@example.org", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:alice@example.org",
            "ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob@example.org" })
        end

        -- Bob's copy of a meeting, in whichever of his calendars it was put.
        local function copy_of(bob, id)
          for _, calendar in ipairs(assert(client.calendars(bob))) do
            local found = object.find_uid(session.new(bob), calendar.href, id)
            if found and found[1] then return { event = found[1], calendar = { id = calendar.href } } end
          end
        end

        it("delivers an invitation, and an answer does not stand in the organizer's way", function()
          local alice, calendar = fresh("meetings")
          local bob = identified("bob")
          local id = uid()
          local event = assert(client.create(alice, calendar, { text = meeting(id) }))
          assert.is_string(event.etag)
          local copy = support.eventually(function() return copy_of(bob, id) end, 10, "bob's copy")
          local accepted = copy.event.text:gsub("(PARTSTAT=)NEEDS%-ACTION", "%1ACCEPTED")
          assert(client.update(bob, copy.calendar, { id = copy.event.id, href = copy.event.href, text = accepted }, { etag = copy.event.etag }))
          local answered = support.eventually(function()
            local now = assert(client.fetch(alice, calendar, event.id))
            return now.etag ~= event.etag and now
          end, 10, "bob's answer")
          assert.truthy(answered.text:gsub("\r?\n ", ""):find("ATTENDEE[^\n]*ACCEPTED[^\n]*:mailto:bob@example%.org"))
        end)

        if name == "cyrus" then
          it("changes a meeting by its schedule tag, whatever became of its entity tag", function()
            local alice, calendar = fresh("tags")
            local event = assert(client.create(alice, calendar, { text = meeting(uid()) }))
            assert.is_string(event.schedule_tag)
            local text = event.text:gsub("SUMMARY:Review", "SUMMARY:Long review")
            local changed = { id = event.id, href = event.href, text = text }
            local refused, err = client.update(alice, calendar, changed, { etag = event.etag, schedule_tag = '"not-this-one"' })
            assert.is_nil(refused)
            assert.equal("precondition_failed", err.code)
            local newer = assert(client.update(alice, calendar, changed, { etag = '"old"', schedule_tag = event.schedule_tag }))
            assert.truthy(lines_of(newer.text)["SUMMARY:Long review"])
          end)
        end

        it("leaves the mail to us where it is asked to", function()
          local alice, calendar = fresh("quiet")
          local bob = identified("bob")
          local quiet, loud = uid(), uid()
          assert(client.create(alice, calendar, { text = meeting(quiet) }, { schedule_agent = "client" }))
          assert(client.create(alice, calendar, { text = meeting(loud) }))
          support.eventually(function() return copy_of(bob, loud) end, 10, "the other invitation")
          assert.is_nil((copy_of(bob, quiet)))
        end)

        it("names the organizer where the event does not", function()
          local alice, calendar = fresh("unnamed")
          local event = assert(client.create(alice, calendar, { text = ics(uid(), { "SUMMARY:Call", "ATTENDEE:mailto:bob@example.org" }) }))
          assert.truthy(event.text:gsub("\r?\n ", ""):find("ORGANIZER[^\n]*:mailto:alice@example%.org"))
        end)
      end)
    end
  end)
end
