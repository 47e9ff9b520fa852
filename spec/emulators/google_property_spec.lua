-- A client that begins with a full listing and follows the sync tokens holds what a fresh listing shows, whatever is done between.

local emulator = require "spec.support.emulator"
local json = require "lunation.json"

describe("the Google emulator: a full listing and its increments", function()
  local google
  local own = "/calendar/v3/calendars/primary/events"
  local rules = {
    "RRULE:FREQ=DAILY;COUNT=4", "RRULE:FREQ=WEEKLY;BYDAY=MO,TH;COUNT=5", "RRULE:FREQ=MONTHLY;UNTIL=20250801T000000Z",
    "RRULE:FREQ=DAILY;INTERVAL=3;COUNT=3",
  }

  setup(function() google = emulator.start "google" end)
  teardown(function() google.stop() end)
  before_each(function() google.reset() end)

  -- A generator of its own, so that a seed means the same on every machine.
  local function generator(seed)
    return function(n)
      seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (seed >> 33) % n + 1
    end
  end

  local function ask(who, method, path, options)
    options = options or {}
    options.token = "token-" .. who
    local answer = google.ask(method, path, options)
    assert.is_true(answer.status < 300 or answer.status == 410 or answer.status == 403, answer.body)
    return answer.json or {}
  end

  local function at(day, hour)
    return { dateTime = ("2025-%02d-%02dT%02d:00:00"):format(day // 28 % 12 + 1, day % 28 + 1, hour), timeZone = "Europe/Berlin" }
  end

  local function change(random, known)
    local pick = known[random(math.max(#known, 1))]
    local kind = pick and random(9) or 1
    if kind <= 2 then
      local day, hour = random(150), random(20)
      local body = { summary = "event " .. random(1000), start = at(day, hour), ["end"] = at(day, hour + 1) }
      if random(2) == 1 then body.recurrence = { rules[random(#rules)] } end
      if random(3) == 1 then body.attendees = { { email = "bob@example.com" } } end
      known[#known + 1] = ask("alice", "POST", own, { body = body }).id
      return
    end
    local path = own .. "/" .. pick
    if ask("alice", "GET", path).status == "cancelled" then return end
    if kind == 3 then
      ask("alice", "PATCH", path, { body = { summary = "event " .. random(1000) } })
    elseif kind == 4 then
      local day = random(150)
      ask("alice", "PATCH", path, { body = { start = at(day, 5), ["end"] = at(day, 7) } })
    elseif kind == 5 then
      ask("alice", "PATCH", path, { body = { recurrence = { rules[random(#rules)] } } })
    elseif kind == 9 then
      ask("alice", "PATCH", path, { body = { attendees = random(2) == 1 and { { email = "bob@example.com" } } or json.array {} } })
    elseif kind == 6 and random(3) == 1 then
      ask("alice", "DELETE", path)
    else
      local instances = ask("alice", "GET", path .. "/instances").items or {}
      local one = instances[random(math.max(#instances, 1))]
      if not one then return end
      local there = own .. "/" .. one.id
      local what = random(4)
      if what == 1 then
        ask("alice", "DELETE", there)
      elseif what == 2 then
        local day = random(150)
        ask("alice", "PATCH", there, { body = { start = at(day, 8), ["end"] = at(day, 9) } })
      elseif what == 3 and google.ask("GET", there, { token = "token-bob" }).status == 200 then
        ask("bob", "PATCH", there, { body = { attendees = { { email = "bob@example.com", responseStatus = "tentative" } }, attendeesOmitted = true } })
      else
        ask("alice", "PATCH", there, { body = { summary = "instance " .. random(1000) } })
      end
    end
  end

  -- Follows pages and gives the sync token.
  local function list(who, query, each)
    local token
    repeat
      query.pageToken = token
      local page = ask(who, "GET", own, { query = query })
      for _, one in ipairs(page.items) do each(one) end
      token = page.nextPageToken
      if not token then return page.nextSyncToken end
    until false
  end

  -- What a client keeps: cancelled instances of a series as long as it is there.
  local function keep(held, single)
    return function(one)
      if one.status == "cancelled" and (single or not one.recurringEventId or not held[one.recurringEventId]) then
        held[one.id] = nil
        for id, other in pairs(held) do
          if other.recurringEventId == one.id then held[id] = nil end
        end
      else
        held[one.id] = one
      end
    end
  end

  local function digest(held)
    local out = {}
    for id, one in pairs(held) do
      out[id] = ("%s %s %s %s"):format(one.status, one.summary, one.start and (one.start.dateTime or one.start.date), one.etag)
    end
    return out
  end

  for _, single in ipairs { false, true } do
    for seed = 1, 6 do
      it(("is the same as a fresh one, %s, seed %d"):format(single and "as single events" or "as series", seed), function()
        local random, known = generator(seed), {}
        for _ = 1, 6 do change(random, known) end
        for _, who in ipairs { "alice", "bob" } do
          local held = {}
          local query = { singleEvents = single and "true" or nil, maxResults = 7 }
          local token = list(who, query, keep(held, single))
          for _ = 1, 6 do
            for _ = 1, random(4) do change(random, known) end
            token = list(who, { singleEvents = query.singleEvents, maxResults = 3, syncToken = token }, keep(held, single))
            local fresh = {}
            list(who, { singleEvents = query.singleEvents }, keep(fresh, single))
            -- an instance that the series no longer has says nothing any more
            for id, one in pairs(held) do
              if one.status == "cancelled" and not fresh[id] then held[id] = nil end
            end
            assert.same(digest(fresh), digest(held))
          end
        end
        assert.same({}, google.violations())
      end)
    end
  end
end)
