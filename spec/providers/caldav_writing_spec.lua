-- Writing to servers that do not look at conditions, change what they are given, or send invitations.
local dav = require "spec.emulators.dav"
local support = require "spec.support.caldav"

local client, ics, drain = support.client, support.ics, support.drain

describe("a CalDAV server that", function()
  local fake

  after_each(function()
    if fake then fake:stop() end
    fake = nil
  end)

  local function start(switches)
    fake = dav.start(switches)
    return fake
  end

  local function identified()
    return support.identified(fake)
  end

  describe("does not look at conditions", function()
    it("is asked before, so that nothing is overwritten", function()
      start { careless = true }
      fake:put("a.ics", ics("other"))
      local one, calendar = identified()
      local event, err = client.create(one, calendar, { text = ics("a") }, { id = "a.ics" })
      assert.is_nil(event)
      assert.equal("conflict", err.code)
      assert.equal(ics("other"), fake.resources["a.ics"].text)

      local etag = fake.resources["a.ics"].etag
      event, err = client.update(one, calendar, { id = "a.ics", text = ics("other", "Late") }, { etag = '"stale"' })
      assert.is_nil(event)
      assert.equal("precondition_failed", err.code)
      local done
      done, err = client.delete(one, calendar, "a.ics", { etag = '"stale"' })
      assert.is_nil(done)
      assert.equal("precondition_failed", err.code)
      assert.equal(etag, fake.resources["a.ics"].etag)
      assert.is_true(client.delete(one, calendar, "a.ics", { etag = etag }))
    end)

    it("is searched for the UID first", function()
      start()
      fake:put("named-otherwise.ics", ics("same"))
      fake:put("similar.ics", ics("same-but-longer"))
      local one, calendar = identified()
      local event, err = client.create(one, calendar, { text = ics("same") })
      assert.is_nil(event)
      assert.equal("named-otherwise.ics", err.details.id)
      assert(client.create(one, calendar, { text = ics("sam") }))
    end)
  end)

  describe("changes what it is given", function()
    local function rewritten(text)
      return (text:gsub("SUMMARY:", "SUMMARY:Rewritten "))
    end

    it("is read back, with or without a tag", function()
      for _, without in ipairs { false, true } do
        start { rewrite = rewritten, put_without_etag = without }
        local one, calendar = identified()
        local event = assert(client.create(one, calendar, { text = ics("a") }))
        assert.truthy(event.text:find("SUMMARY:Rewritten One", 1, true))
        assert.equal(fake.resources[event.id].etag, event.etag)
        fake:stop()
      end
      fake = nil
    end)

    it("and cannot be read back: the event stands without a tag, and the next synchronization reads it", function()
      start { rewrite = rewritten }
      local one, calendar = identified()
      fake.answer = function(req)
        if req.method == "GET" then return { status = 503, body = "" } end
      end
      local event = assert(client.create(one, calendar, { text = ics("a") }))
      assert.is_nil(event.etag)
    end)
  end)

  describe("writes its tags in its own way", function()
    for shown, sent in pairs { ['W/"%d"'] = '"%d"', ["%d"] = '"%d"', ['"%d-gzip"'] = '"%d"' } do
      it("as " .. shown, function()
        start { etags = function(clock) return shown:format(clock) end }
        fake:put("a.ics", ics("a"))
        local one, calendar = identified()
        local event = assert(client.fetch(one, calendar, "a.ics"))
        assert.equal(sent:format(fake.clock), event.etag)
        local listed = drain(one, calendar, nil)
        assert.equal("One", listed.upserts["a.ics"])
      end)
    end
  end)

  it("keeps a meeting's schedule tag through answers: the organizer's change goes through", function()
    start { schedule_tag = '"s1"' }
    fake:put("a.ics", ics("a"))
    local one, calendar = identified()
    local event = assert(client.fetch(one, calendar, "a.ics"))
    assert.equal('"s1"', event.schedule_tag)
    fake:put("a.ics", ics("a", "Answered"))
    local refused, err = client.update(one, calendar, { id = "a.ics", text = ics("a", "Two") }, { etag = event.etag })
    assert.is_nil(refused)
    assert.equal("precondition_failed", err.code)
    one.settings.server.guards = true
    assert(client.update(one, calendar, { id = "a.ics", text = ics("a", "Two") }, { etag = event.etag, schedule_tag = event.schedule_tag }))
    assert.equal(ics("a", "Two"), fake.resources["a.ics"].text)
  end)

  describe("sends invitations", function()
    local meeting = ics("m"):gsub("SUMMARY", "ORGANIZER:mailto:alice@example.org\r\nATTENDEE:mailto:bob@example.org\r\nSUMMARY")

    local function scheduling(agent)
      start()
      local one, calendar = identified()
      one.settings.scheduling = { auto = true, addresses = { "alice@example.org" } }
      one.settings.schedule_agent = agent
      return one, calendar
    end

    it("is told to leave it, by the account's own choice", function()
      local one, calendar = scheduling("none")
      assert(client.create(one, calendar, { text = meeting }))
      local text = fake.resources["m.ics"].text
      assert.truthy(text:find("ATTENDEE;SCHEDULE-AGENT=NONE:mailto:bob@example.org", 1, true))
      assert.is_nil(text:find("ORGANIZER;SCHEDULE-AGENT", 1, true))
      assert.is_true(client.delete(one, calendar, "m.ics", { etag = fake.resources["m.ics"].etag }))
      assert.equal("F", fake.requests[#fake.requests].headers["schedule-reply"])
    end)

    it("is told so on the organizer in a guest's copy", function()
      local one, calendar = scheduling("client")
      assert(client.create(one, calendar, { text = (meeting:gsub("alice@", "carol@")) }))
      local text = fake.resources["m.ics"].text
      assert.truthy(text:find("ORGANIZER;SCHEDULE-AGENT=CLIENT:mailto:carol@example.org", 1, true))
      assert.truthy(text:find("ATTENDEE:mailto:bob@example.org", 1, true))
    end)

    it("is left to it otherwise", function()
      local one, calendar = scheduling()
      assert(client.create(one, calendar, { text = meeting }))
      assert.equal(meeting, fake.resources["m.ics"].text)
      assert.is_true(client.delete(one, calendar, "m.ics", { etag = fake.resources["m.ics"].etag }))
      assert.is_nil(fake.requests[#fake.requests].headers["schedule-reply"])
    end)
  end)

  describe("took what it should not have:", function()
    local mapping = require("lunation.provider").load():get("caldav").event

    it("an instance without its series is an event of its own", function()
      local text = ics("a"):gsub("SUMMARY", "RECURRENCE-ID:20271201T100000Z\r\nSUMMARY")
      local event = assert(mapping:to { id = "a.ics", text = text })
      assert.equal("One", event.title)
      assert.equal("2027-12-01T10:00:00", event.start)
    end)

    it("two events in one resource: the first is shown, a change leaves the other alone", function()
      local text = ics("a"):gsub("END:VCALENDAR\r\n$", "") .. ics("b", "Other"):match("BEGIN:VEVENT.*$")
      local native = { id = "a.ics", text = text }
      local event = assert(mapping:to(native))
      assert.equal("One", event.title)
      event.title = "Changed"
      local changed = assert(mapping:from(event, native)).text
      assert.truthy(changed:find("SUMMARY:Changed", 1, true))
      assert.truthy(changed:find("UID:b\r\n", 1, true))
      assert.truthy(changed:find("SUMMARY:Other", 1, true))
    end)
  end)
end)
