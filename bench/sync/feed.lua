-- A calendar service that answers from memory: `lunation run bench/sync/feed.lua EVENTS` prints its address. The same events in every
-- run, as Google sends them; GET /change?n=10 changes so many of them, and every sync token then brings what changed since.
local crypto = require "lunation.crypto"
local http_form = require "lunation.oauth.form"
local json = require "lunation.json"
local server = require "lunation.server"
local tz = require "lunation.tz"

local count = assert(tonumber((...)), "how many events?")

local WORDS = { "Review", "Planning", "Lunch", "Interview", "Standup", "Workshop", "Retrospective", "Call", "Travel", "Focus" }
local RULES = {
  "RRULE:FREQ=WEEKLY;BYDAY=MO,WE", "RRULE:FREQ=WEEKLY", "RRULE:FREQ=WEEKLY;INTERVAL=2", "RRULE:FREQ=MONTHLY;BYDAY=-1FR", "RRULE:FREQ=YEARLY",
  "RRULE:FREQ=DAILY;COUNT=30",
}

-- A generator of its own, so that every run measures the same events.
local state = 42
local function pick(low, high)
  state = (state * 1664525 + 1013904223) % 4294967296
  return low + (state // 65536) % (high - low + 1)
end

local function timed(epoch)
  local at, offset = tz.to_local(epoch, "Europe/Berlin")
  return { dateTime = ("%s+%02d:00"):format(at, offset // 3600), timeZone = "Europe/Berlin" }
end

-- changed: which events each version has changed
local events, changed, version = {}, {}, 1

for index = 1, count do
  local start = tz.to_utc("2024-01-01T00:00:00", "UTC") + pick(0, 730) * 86400 + pick(14, 36) * 1800
  local id = ("bench%08dv"):format(index):gsub("[^0-9a-v]", "0")
  events[index] = {
    kind = "calendar#event", id = id, etag = ('"%d"'):format(index * 1000), status = "confirmed",
    htmlLink = "https://www.google.com/calendar/event?eid=" .. crypto.base64url(id .. " ada@example.org"),
    created = "2024-01-01T00:00:00.000Z", updated = "2024-01-02T00:00:00.000Z", summary = WORDS[pick(1, #WORDS)] .. " " .. index,
    description = ("What is to be said about it, at some length, so that it is an event as people write them. "):rep(2),
    location = "Room " .. pick(1, 40), creator = { email = "ada@example.org", self = true }, organizer = { email = "ada@example.org", self = true },
    start = timed(start), ["end"] = timed(start + pick(1, 8) * 900), iCalUID = id .. "@google.com", sequence = 0,
    attendees = {
      { email = "ada@example.org", displayName = "Ada", organizer = true, self = true, responseStatus = "accepted" },
      { email = "bob@example.org", displayName = "Bob", responseStatus = "needsAction" },
    },
    recurrence = index % 40 == 0 and { RULES[pick(1, #RULES)] } or nil, reminders = { useDefault = true }, eventType = "default",
  }
end

local function answer(value)
  return { status = 200, headers = { ["content-type"] = "application/json" }, body = json.encode(value) }
end

-- Made once, as a recording is: what it costs to write JSON is not what is measured.
local pages = {}

local function page(query)
  local size = tonumber(query.maxResults) or 250
  local since = query.syncToken and tonumber(query.syncToken)
  if since then
    local items, seen = {}, {}
    for at = since + 1, version do
      for _, which in ipairs(changed[at]) do
        if not seen[which] then items[#items + 1], seen[which] = events[which], true end
      end
    end
    return answer { kind = "calendar#events", summary = "Bench", timeZone = "Europe/Berlin", items = json.array(items), nextSyncToken = tostring(version) }
  end
  local first = tonumber(query.pageToken) or 1
  local key = first .. "/" .. size
  if not pages[key] then
    local last = math.min(first + size - 1, count)
    pages[key] = answer {
      kind = "calendar#events", summary = "Bench", timeZone = "Europe/Berlin", items = json.array(table.move(events, first, last, 1, {})),
      nextPageToken = last < count and tostring(last + 1) or nil, nextSyncToken = last >= count and tostring(version) or nil,
    }
  end
  return pages[key]
end

local function change(query)
  version = version + 1
  changed[version] = {}
  for index = 1, tonumber(query.n) do
    local which = (index * 7919 + version * 104729) % count + 1
    local event = events[which]
    event.summary, event.etag = event.summary:gsub(" v%d+$", "") .. " v" .. version, ('"%d"'):format(which * 1000 + version)
    changed[version][index] = which
  end
  return answer { version = version }
end

local listener = assert(server.listen("http://127.0.0.1:0", {}, function(req)
  local query = http_form.decode(req.query)
  if req.path == "/change" then return change(query) end
  if req.path == "/calendar/v3/users/me/calendarList" then
    return answer { kind = "calendar#calendarList", nextSyncToken = "1", items = { {
      kind = "calendar#calendarListEntry", id = "ada@example.org", etag = '"1"', summary = "Bench", timeZone = "Europe/Berlin", accessRole = "owner",
      primary = true, selected = true, backgroundColor = "#9fe1e7", foregroundColor = "#000000",
    } } }
  end
  if req.path:find "^/calendar/v3/calendars/[^/]+/events$" then return page(query) end
  return { status = 404, headers = { ["content-type"] = "application/json" }, body = '{"error":{"code":404,"message":"Not Found"}}' }
end))

-- A first reader has every page written.
local first = 1
while first do
  local next_page = page { maxResults = "500", pageToken = tostring(first) }
  first = tonumber(next_page.body:match '"nextPageToken":"(%d+)"')
end
print(listener.url)
io.stdout:flush()
require("lunation.timer").sleep(3600)
