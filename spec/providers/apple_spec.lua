-- iCloud's ways, through a proxy that has them, over a real Cyrus.
local icloud = require "spec.emulators.icloud"
local provider_registry = require "lunation.provider"
local servers = require "spec.servers"

if servers.has("cyrus") then
  describe("the apple provider #servers", function()
    local cyrus, cloud, provider
    local password = "abcd-efgh-ijkl-mnop"

    local function account(username, secret)
      return {
        provider = "apple", url = cloud.url, username = username or "alice@icloud.example",
        credentials = { username = username or "alice@icloud.example", password = secret or password },
      }
    end

    local function identified()
      local one = account()
      one.settings = assert(provider.identify(one)).settings
      return one
    end

    setup(function()
      cyrus = assert(servers.start("cyrus"))
      cloud = icloud.start { upstream = cyrus.base, user = "alice", password = "secret", address = "alice@icloud.example", app_password = password }
      provider = assert(assert(provider_registry.load()):get("icloud_calendar"))
    end)

    teardown(function()
      if cloud then cloud.stop() end
      if cyrus then cyrus:stop() end
    end)

    it("finds the partition that holds the calendars", function()
      local found = assert(provider.identify(account()))
      assert.equal("alice@icloud.example", found.identity)
      assert.equal("Alice Appleseed", found.name)
      assert.same({ cloud.partition .. "/1042417/calendars/" }, found.settings.homes)
      assert.equal("icloud", found.settings.server.kind)
    end)

    it("begins at iCloud's own address where none is given", function()
      local asked
      -- Nothing answers there from here; what counts is where the request went.
      local http = require "lunation.http"
      local request = http.request
      http.request = function(options)
        asked = asked or options.url
        return nil, { code = "resolve", message = "not here" }
      end
      local nothing = { provider = "apple", username = "alice@icloud.example", credentials = { username = "alice@icloud.example", password = password } }
      local found, err = provider.identify(nothing)
      http.request = request
      assert.is_nil(found)
      assert.equal("resolve", err.cause)
      assert.equal("https://caldav.icloud.com/.well-known/caldav", asked)
    end)

    it("asks for an app-specific password where another was given", function()
      for _, wrong in ipairs { "secret", "Hunter2!", "zzzz-zzzz-zzzz-zzzz" } do
        local found, err = provider.identify(account(nil, wrong))
        assert.is_nil(found)
        assert.equal("unauthorized", err.code)
        assert.equal("apple", err.provider)
        assert.truthy(err.message:find("app-specific password", 1, true))
      end
    end)

    it("asks for an address where another name was given, before anything is sent", function()
      local before = #cloud.seen
      local found, err = provider.identify(account("alice"))
      assert.is_nil(found)
      assert.equal("invalid_request", err.code)
      assert.equal("username", err.field)
      assert.equal(before, #cloud.seen)
    end)

    it("lists the calendars by their absolute addresses", function()
      local list = assert(provider.calendars(identified()))
      assert.equal(1, #list)
      local calendar = assert(provider.calendar:to(list[1]))
      assert.equal(cloud.partition .. "/1042417/calendars/Default/", calendar.id)
      assert.is_false(calendar.readOnly)
      assert.is_true(calendar.primary)
    end)

    it("creates, synchronizes, changes and deletes on the partition alone", function()
      local one = identified()
      local calendar = assert(provider.calendar:to(assert(provider.calendars(one))[1]))
      local event = {
        ["@type"] = "Event", uid = "apple-1", title = "Keynote", start = "2027-06-07T10:00:00", timeZone = "America/Los_Angeles", duration = "PT2H",
      }
      local first = #cloud.seen + 1
      local native = assert(provider.create(one, calendar, assert(provider.event:from(event)), { id = provider.new_id("apple-1") }))
      assert.equal("Keynote", provider.event:to(native).title)
      assert.equal(calendar.id .. "apple-1.ics", native.href)

      local batch = assert(provider.changes(one, calendar, nil)())
      assert.equal("apple-1.ics", batch.upserts[1].id)
      assert.equal(native.etag, batch.upserts[1].etag)

      event.title = "Keynote, again"
      local changed = assert(provider.update(one, calendar, assert(provider.event:from(event, native)), { etag = native.etag }))
      local late, err = provider.update(one, calendar, assert(provider.event:from(event, native)), { etag = native.etag })
      assert.is_nil(late)
      assert.equal("precondition_failed", err.code)
      local more = assert(provider.changes(one, calendar, batch.state)())
      assert.equal("Keynote, again", provider.event:to(more.upserts[1]).title)
      assert.is_true(provider.delete(one, calendar, changed.id, { etag = changed.etag }))
      local last = assert(provider.changes(one, calendar, more.state)())
      assert.same({ "apple-1.ics" }, last.deletes)
      for index = first, #cloud.seen do assert.equal("partition", cloud.seen[index].host) end
    end)
  end)
end
