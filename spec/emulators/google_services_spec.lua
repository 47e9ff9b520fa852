-- Contacts, rooms, batches and permissions of the Google emulator, where the vendor's clients do not reach.

local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local json = require "lunation.json"

describe("the Google emulator: services beside events", function()
  local google

  setup(function()
    google = emulator.start("google", { users = { "alice@example.com=token-alice", "bob@example.com=token-bob", "eve@gmail.com=token-eve" } })
  end)
  teardown(function() google.stop() end)
  before_each(function() google.reset() end)

  local function ask(who, method, path, options)
    options = options or {}
    options.token = "token-" .. who
    return google.ask(method, path, options)
  end

  describe("contacts", function()
    local function connections(query)
      query.personFields = "names"
      return ask("alice", "GET", "/v1/people/me/connections", { query = query }).json
    end

    it("reach those who sync after a while", function()
      google.control("POST", "/options", { people_delay = 300 })
      local first = connections { requestSyncToken = "true" }
      ask("alice", "POST", "/v1/people:createContact", { body = { names = { { givenName = "Ada" } } } })
      local second = connections { syncToken = first.nextSyncToken }
      assert.is_nil(second.connections)
      google.advance(301)
      assert.equal("Ada", connections({ syncToken = second.nextSyncToken }).connections[1].names[1].givenName)
    end)

    it("end their tokens seven days after the full sync, whatever was synced between", function()
      local first = connections { requestSyncToken = "true" }
      google.advance(4 * 86400)
      local second = connections { syncToken = first.nextSyncToken }
      google.advance(4 * 86400)
      local refused = connections { syncToken = second.nextSyncToken }
      assert.same({ "FAILED_PRECONDITION", "EXPIRED_SYNC_TOKEN" }, { refused.error.status, refused.error.details[1].reason })
    end)

    it("refuse names that there are not", function()
      for _, case in ipairs {
        { "GET", "/v1/people/me", { query = { personFields = "names,shoes" } } },
        { "GET", "/v1/people/me", { query = { personFields = "names", shoe = "x" } } },
        { "POST", "/v1/people:createContact", { body = { shoes = {} } } }, { "GET", "/v1/otherContacts", { query = { readMask = "organizations" } } },
        { "GET", "/v1/people:listDirectoryPeople", { query = { readMask = "names" } } },
      } do
        local answer = ask("alice", table.unpack(case))
        local told = answer.status == 400 and { 400, answer.json.error.status } or { answer.status }
        local by_contract = case[3].body or case[3].query.shoe
        if google.has_contract or not by_contract then assert.same({ 400, "INVALID_ARGUMENT" }, told) end
      end
    end)

    it("are met by inviting them", function()
      ask("alice", "POST", "/calendar/v3/calendars/primary/events", { body = {
        start = { date = "2025-06-02" }, ["end"] = { date = "2025-06-03" }, attendees = { { email = "carol@elsewhere.test", displayName = "Carol" } },
      } })
      local met = ask("alice", "GET", "/v1/otherContacts", { query = { readMask = "names,emailAddresses" } }).json.otherContacts
      assert.same({ "Carol", "carol@elsewhere.test" }, { met[1].names[1].givenName, met[1].emailAddresses[1].value })
    end)

    it("of the domain are for the domain", function()
      local query = { readMask = "emailAddresses", sources = "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE" }
      assert.equal(2, #ask("bob", "GET", "/v1/people:listDirectoryPeople", { query = query }).json.people)
      assert.equal(400, ask("eve", "GET", "/v1/people:listDirectoryPeople", { query = query }).status)
    end)
  end)

  describe("rooms", function()
    local function room()
      local base = "/admin/directory/v1/customer/my_customer/resources/"
      ask("alice", "POST", base .. "buildings", { body = { buildingId = "B", buildingName = "B", floorNames = { "1" } } })
      return ask("alice", "POST", base .. "calendars", { body = {
        resourceId = "r1", resourceName = "Ada", capacity = 4, buildingId = "B", floorName = "1", resourceCategory = "CONFERENCE_ROOM",
      } }).json.resourceEmail
    end

    local function book(who, email, start, finish, recurrence)
      local answer = ask(who, "POST", "/calendar/v3/calendars/primary/events", { body = {
        start = { dateTime = start, timeZone = "Europe/Berlin" }, ["end"] = { dateTime = finish, timeZone = "Europe/Berlin" }, recurrence = recurrence,
        attendees = { { email = email, resource = true } },
      } }).json
      return answer.attendees[1].responseStatus, answer
    end

    it("accept what is free and decline what is not, series too", function()
      local email = room()
      assert.equal("accepted", (book("alice", email, "2025-06-02T10:00:00", "2025-06-02T11:00:00", { "RRULE:FREQ=WEEKLY;COUNT=4" })))
      assert.equal("declined", (book("bob", email, "2025-06-16T10:30:00", "2025-06-16T12:00:00")))
      assert.equal("accepted", (book("bob", email, "2025-06-16T11:00:00", "2025-06-16T12:00:00")))
      assert.equal("accepted", (book("bob", email, "2025-06-17T10:30:00", "2025-06-17T12:00:00")))
    end)

    it("are read by administrators, and seen as busy by all of the domain", function()
      local email = room()
      book("alice", email, "2025-06-02T10:00:00", "2025-06-02T11:00:00")
      assert.equal(403, ask("bob", "GET", "/admin/directory/v1/customer/my_customer/resources/calendars").status)
      local body = { timeMin = "2025-06-02T00:00:00Z", timeMax = "2025-06-03T00:00:00Z", items = { { id = email } } }
      local function busy(who) return ask(who, "POST", "/calendar/v3/freeBusy", { body = body }).json.calendars[email] end
      assert.equal(1, #busy("bob").busy)
      assert.equal("notFound", busy("eve").errors[1].reason)
    end)
  end)

  describe("batches", function()
    local function batch(parts, headers)
      local text = {}
      for i, part in ipairs(parts) do
        text[#text + 1] = ("--b\r\nContent-Type: application/http\r\nContent-ID: <item%d>\r\n\r\n%s\r\n"):format(i, part)
      end
      headers = headers or { authorization = "Bearer token-alice" }
      headers["content-type"] = "multipart/mixed; boundary=b"
      local answer = assert(http.request {
        method = "POST", url = google.url .. "/batch/calendar/v3", headers = headers, body = table.concat(text) .. "--b--\r\n",
      })
      local boundary = (answer.headers["content-type"] or ""):match "boundary=(.*)$"
      local told = {}
      for part in answer.body:gmatch("%-%-" .. (boundary or "none"):gsub("%p", "%%%0") .. "\r\n(.-)\r\n%f[%-]") do
        told[#told + 1] = {
          id = part:match "Content%-ID: (%S+)", status = tonumber(part:match "HTTP/1%.1 (%d+)"),
          body = json.decode(part:match "\r\n\r\n.-\r\n\r\n(.*)$" or ""),
        }
      end
      return told, answer
    end

    it("answer each part by itself, under its name, as far as it may", function()
      google.fault { match = { path = "/colors$" }, fault = "status", status = 403, reason = "userRateLimitExceeded" }
      local event = json.encode { id = "event1", start = { date = "2025-06-02" }, ["end"] = { date = "2025-06-03" } }
      local told = batch {
        "POST /calendar/v3/calendars/primary/events HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: " .. #event .. "\r\n\r\n" .. event,
        "GET /calendar/v3/calendars/primary/events/event1?fields=id\r\n\r\n",
        "GET /calendar/v3/colors\r\n\r\n",
        "GET /calendar/v3/users/me/calendarList\r\nAuthorization: Bearer token-bob\r\n\r\n",
        "DELETE /calendar/v3/calendars/primary/events/event1\r\nIf-Match: \"0\"\r\n\r\n",
        "DELETE /calendar/v3/calendars/primary/events/event1\r\n\r\n",
      }
      local statuses = {}
      for i, one in ipairs(told) do statuses[i] = one.status end
      assert.same({ 200, 200, 403, 200, 412, 204 }, statuses)
      assert.same({ "<response-item1>", { id = "event1" }, "userRateLimitExceeded", "bob@example.com" },
        { told[1].id, told[2].body, told[3].body.error.errors[1].reason, told[4].body.items[1].id })
      assert.same({}, google.violations())
    end)

    it("want parts, not too many, and each its token", function()
      local _, answer = batch {}
      assert.equal(400, answer.status)
      local many = {}
      for i = 1, 1001 do many[i] = "GET /calendar/v3/colors\r\n\r\n" end
      _, answer = batch(many)
      assert.equal(400, answer.status)
      assert.equal(401, batch({ "GET /calendar/v3/colors\r\n\r\n" }, {})[1].status)
    end)
  end)

  describe("permissions", function()
    it("follow the rules of a calendar, for users, domains and all", function()
      local calendar = ask("alice", "POST", "/calendar/v3/calendars", { body = { summary = "Team" } }).json.id
      local path = "/calendar/v3/calendars/" .. calendar
      local function grant(role, kind, value)
        local answer = ask("alice", "POST", path .. "/acl", { body = { role = role, scope = { type = kind, value = value } } })
        assert.equal(200, answer.status, answer.body)
        return answer.json
      end
      assert.equal(404, ask("eve", "GET", path .. "/events").status)
      assert.equal("default", grant("reader", "default").id)
      assert.equal("reader", ask("eve", "GET", path .. "/events").json.accessRole)
      grant("writer", "domain", "example.com")
      assert.equal("writer", ask("bob", "GET", path .. "/events").json.accessRole)
      grant("none", "default")
      assert.equal(404, ask("eve", "GET", path .. "/events").status)
      assert.equal(403, ask("bob", "DELETE", path).status)
      assert.equal(403, ask("alice", "DELETE", path .. "/acl/user:alice@example.com").status)
    end)

    it("let a group in", function()
      google.control("POST", "/groups", { email = "team@example.com", members = { "eve@gmail.com" } })
      local path = "/calendar/v3/calendars/alice@example.com"
      assert.equal(404, ask("eve", "GET", path).status)
      ask("alice", "POST", path .. "/acl", { body = { role = "reader", scope = { type = "group", value = "team@example.com" } } })
      assert.equal(200, ask("eve", "GET", path).status)
    end)
  end)
end)
