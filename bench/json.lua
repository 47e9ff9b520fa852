-- JSON of a page of 250 events, ours beside lua-cjson: `build/lunation run bench/json.lua`. Interleaved, the median of nine
-- rounds each, CPU time.

local cjson = require("cjson")
local json = require("lunation.json")

local events = json.array()
for i = 1, 250 do
  events[i] = {
    id = ("ev%06d_20250309T063000Z"):format(i), calendarId = "https://dav.example.org/alice/work/", provider = "caldav", account = 7,
    title = "Weekly review " .. i, description = ("Notes for the meeting, with a \"quote\", a line\nand Zürich. "):rep(6),
    start = "2025-03-09T06:30:00.000Z", ["end"] = "2025-03-09T07:00:00.000Z", allDay = i % 10 == 0, location = "Room 4",
    availability = "busy", privacy = "public", status = "confirmed", lastModified = "2025-03-01T10:00:00.000Z",
    attendees = {
      { email = "alice@example.org", name = "Alice", status = "accepted", organizer = true },
      { email = "bob@example.org", name = "Bob", status = "tentative", organizer = false },
    },
    recurrence = { frequency = "WEEKLY", interval = 1, byDay = { "MO", "WE" }, count = 20 }, updated = 1700000000 + i,
  }
end
local text = assert(json.encode(events))

local function once(fn, argument)
  local n, started = 0, os.clock()
  repeat
    fn(argument)
    n = n + 1
  until os.clock() - started > 0.1
  return (os.clock() - started) / n * 1e6
end

local function median(list)
  table.sort(list)
  return list[#list // 2 + 1]
end

local peers = { { "encode", json.encode, cjson.encode, events }, { "decode", json.decode, cjson.decode, text } }
print(("%d events, %d bytes"):format(#events, #text))
for _, peer in ipairs(peers) do
  local ours, theirs = {}, {}
  for i = 1, 9 do
    ours[i] = once(peer[2], peer[4])
    theirs[i] = once(peer[3], peer[4])
  end
  local a, b = median(ours), median(theirs)
  print(("%s: ours %.0f us (%.0f MB/s), lua-cjson %.0f us (%.0f MB/s), ratio %.2f"):format(peer[1], a, #text / a, b, #text / b, a / b))
end
