-- Calendars to measure with: the same events as canonical rows for the mirror and as iCalendar for the servers that are compared.
local mapping = require "lunation.ical.mapping"
local model = require "lunation.model"
local tz = require "lunation.tz"

local dataset = {}

-- A generator of its own, so that every run measures the same events.
local function generator(seed)
  local state = seed
  return function(low, high)
    state = (state * 1664525 + 1013904223) % 4294967296
    return low + (state // 65536) % (high - low + 1)
  end
end

local WORDS = { "Review", "Planning", "Lunch", "Interview", "Standup", "Workshop", "Retrospective", "Call", "Travel", "Focus" }
local RULES = {
  { frequency = "weekly", byDay = { { day = "mo" }, { day = "we" } } },
  { frequency = "weekly" },
  { frequency = "weekly", interval = 2 },
  { frequency = "monthly", byDay = { { day = "fr", nthOfPeriod = -1 } } },
  { frequency = "yearly" },
  { frequency = "daily", count = 30 },
}

---@param pick fun(low: integer, high: integer): integer
local function event(pick, index, day, series)
  local start = tz.to_local(tz.to_utc("2024-01-01") + day * 86400 + pick(14, 36) * 1800)
  local made = {
    ["@type"] = "Event", uid = ("bench-%06d@example.org"):format(index), start = start, timeZone = "Europe/Berlin",
    duration = ("PT%dM"):format(pick(1, 8) * 15), title = WORDS[pick(1, #WORDS)] .. " " .. index,
    description = ("What is to be said about it, at some length, so that it is an event as people write them. "):rep(2),
    status = "confirmed", created = "2024-01-01T00:00:00Z", updated = "2024-01-02T00:00:00Z",
    locations = { ["1"] = { ["@type"] = "Location", name = "Room " .. pick(1, 40) } },
    participants = {
      ada_example_org = {
        ["@type"] = "Participant", name = "Ada", email = "ada@example.org", sendTo = { imip = "mailto:ada@example.org" },
        roles = { attendee = true, owner = true }, participationStatus = "accepted",
      },
      bob_example_org = {
        ["@type"] = "Participant", name = "Bob", email = "bob@example.org", sendTo = { imip = "mailto:bob@example.org" },
        roles = { attendee = true }, participationStatus = "needs-action",
      },
    },
  }
  if series then
    local rule = { ["@type"] = "RecurrenceRule" }
    for name, value in pairs(RULES[pick(1, #RULES)]) do rule[name] = value end
    made.recurrenceRules = { rule }
  end
  return made
end

---The events of a mirror, one after the other.
---@param size { events: integer, series: integer, days: integer }
---@return fun(): table? upsert of `store:apply`, with `original.text` as iCalendar
function dataset.events(size)
  local pick, index = generator(42), 0
  local every = size.events // size.series
  return function()
    index = index + 1
    if index > size.events then return nil end
    local canonical = event(pick, index, pick(0, size.days - 1), index % every == 0)
    local native = assert(mapping.event:from(canonical, nil))
    local id = ("bench-%06d.ics"):format(index)
    local start, finish, recurring = model.span(canonical)
    return {
      id = id, uid = canonical.uid, etag = ('"%d"'):format(index), event = canonical, start = start, finish = finish, recurring = recurring,
      original = { id = id, href = "/alice/bench/" .. id, etag = ('"%d"'):format(index), text = native.text },
    }
  end
end

return dataset
