-- A rich event, written to every real server and read back: what the servers do to a text, the canonical event does not feel.
-- (Commas in a category or in a conference's address do not survive all of them.)
local http = require "lunation.http"
local mapping = require "lunation.ical.mapping"
local model = require "lunation.model"
local servers = require "spec.servers"

local event = {
  ["@type"] = "Event", uid = "rich-1", start = "2027-03-22T10:00:00", timeZone = "Europe/Berlin", duration = "PT1H30M",
  title = 'Plan; "A", b\\c', description = ("Zeile über den Umbruch hinaus, mit Semikolon; "):rep(4) .. "\n\nEnde", status = "tentative",
  freeBusyStatus = "free", privacy = "private", priority = 5, color = "teal", keywords = { ["Arbeit; wichtig"] = true, plan = true },
  locations = { ["1"] = { name = "Straße 5, 1. Stock", coordinates = "geo:52.5,13.4" } },
  links = { url = { href = "https://example.com/a?b=1;c=2,3" } },
  ["lunation:conference"] = { uri = "https://zoom.us/j/123?pwd=a.b-c", provider = "zoom", name = "Join: now" },
  ["lunation:custom"] = { demo = { tags = { "a,b", "c;d" }, text = 'line\n"quoted" \\ back', n = 1.5, on = true } },
  alerts = { ["1"] = { action = "display", trigger = { offset = "-PT15M" } } },
  recurrenceRules = { { frequency = "weekly", count = 8, byDay = { { day = "mo" } } } },
  recurrenceOverrides = {
    ["2027-03-29T10:00:00"] = { excluded = true },
    ["2027-04-05T10:00:00"] = { title = "Moved", start = "2027-04-06T12:00:00", duration = "PT2H" },
  },
}

for _, name in ipairs(servers.selected()) do
  describe("a rich event on " .. name .. " #servers #slow", function()
    local server, url

    local function dav(method, path, body)
      return assert(http.request {
        method = method, url = url .. path, body = body, headers = { ["content-type"] = "text/calendar; charset=utf-8" },
        auth = { kind = "basic", username = "alice", password = server.users.alice },
      })
    end
    local function stored(path)
      local text = dav("GET", path).body
      local read = assert(mapping:to { text = text })
      -- When it was changed is the writer's and the server's to say.
      read.updated, read.created, read.virtualLocations = nil, nil, nil
      for _, patch in pairs(read.recurrenceOverrides or {}) do patch.updated, patch.created, patch.virtualLocations = nil, nil, nil end
      return read, text
    end
    local function put(path, text)
      local answer = dav("PUT", path, text)
      assert(answer.status >= 200 and answer.status < 300, ("PUT: %d %s"):format(answer.status, answer.body))
    end

    setup(function()
      server = assert(servers.start(name))
      url = servers.make_calendar(server, "alice", "rich", "Rich")
    end)
    teardown(function()
      if server then server:stop() end
    end)

    it("comes back as it was", function()
      put("rich.ics", assert(mapping:from(event)).text)
      local read = stored "rich.ics"
      for field, expected in pairs(event) do
        assert.is_true(model.equal(expected, read[field]), field)
      end
      for field in pairs(read) do
        assert.truthy(event[field] ~= nil, "new: " .. field)
      end
    end)

    it("keeps all of it through edits of one, of the following and of all instances", function()
      put("edit.ics", (assert(mapping:from(model.patch(event, { uid = "rich-2" }))).text:gsub("BEGIN:VALARM", "X-OTHER;X-P=1:kept\r\n%0", 1)))
      local now, text = stored "edit.ics"
      local this = assert(model.edit_this(now, "2027-04-12T10:00:00", { title = "One" }))
      put("edit.ics", assert(mapping:from(this, { text = text })).text)
      now, text = stored "edit.ics"
      assert.equal("One", now.recurrenceOverrides["2027-04-12T10:00:00"].title)
      local all = assert(model.edit_all(now, { start = "2027-03-22T11:00:00" }))
      put("edit.ics", assert(mapping:from(all, { text = text })).text)
      now, text = stored "edit.ics"
      assert.equal("2027-04-06T13:00:00", now.recurrenceOverrides["2027-04-05T11:00:00"].start)
      local first, second = model.split(now, "2027-04-12T11:00:00", "rich-3")
      put("second.ics", assert(mapping:from(second, { text = text })).text)
      put("edit.ics", assert(mapping:from(first, { text = text })).text)
      local head, head_text = stored "edit.ics"
      local tail, tail_text = stored "second.ics"
      assert.equal(event.description, head.description)
      assert.equal(event.description, tail.description)
      assert.is_true(model.equal(event["lunation:custom"], tail["lunation:custom"]))
      assert.truthy(head_text:find("X-OTHER;X-P=1:kept", 1, true))
      assert.truthy(tail_text:find("X-OTHER;X-P=1:kept", 1, true))
      assert.equal("One", tail.recurrenceOverrides["2027-04-12T11:00:00"].title)
      assert.equal(2, #model.expand(head))
      assert.equal(5, #model.expand(tail))
    end)
  end)
end
