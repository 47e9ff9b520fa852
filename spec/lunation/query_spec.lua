-- The read path over a real store whose every operation yields.
local json = require("lunation.json")
local query = require("lunation.query")
local specs = require("spec.support.store")
local task = require("lunation.task")
local tz = require("lunation.tz")

local LIMITS = { agenda = 1 << 24, renderings = 1 << 22, occurrences = 10000 }

local function upsert(id, event)
  event.uid = event.uid or id
  return { id = id, uid = event.uid, etag = "1", event = event, original = { of = id }, recurring = event.recurrenceRules ~= nil }
end

local function event(start, title, fields)
  local made = { ["@type"] = "Event", start = start, duration = "PT1H", timeZone = "Etc/UTC", title = title }
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

describe("lunation.query", function()
  local store, calendars, reads, made

  -- A rendering that notes what it was asked for.
  local rendered
  local rendering = {
    name = "spec", digest = "1",
    render = function(shown, context)
      rendered[#rendered + 1] = context.id .. (context.recurrenceId and "@" .. context.recurrenceId or "")
      if shown.title == "hidden" then return nil end
      if shown.title == "broken" then error("cannot be shown") end
      return ('{"id":\1i\2,"start":\1s\2,"title":%s,"of":%s,"mode":%s}'):format(
        json.encode(shown.title), json.encode(context.original.of), json.encode(context.mode))
    end,
  }

  before_each(function()
    store = specs.open()
    rendered, reads = {}, 0
    local _, list = specs.furnish(store, { calendars = {
      { id = "work", title = "Work", components = { "VEVENT" }, timeZone = "Europe/Berlin" },
      { id = "home", title = "Home", components = { "VEVENT" } },
    } })
    calendars = list
    table.sort(calendars, function(a, b) return a.key < b.key end)
    made = query.new({ config = { limits = LIMITS }, store = setmetatable({}, {
      __index = function(_, name)
        if name == "events_since" then reads = reads + 1 end
        return store[name]
      end,
    }) })
  end)

  after_each(function() store:close() end)

  local function apply(index, upserts, deletes)
    assert(store:apply({ calendar = calendars[index].key, upserts = upserts, deletes = deletes }))
  end

  local function page(fields)
    local request = {
      calendars = calendars, from = tz.to_utc("2025-03-01"), to = tz.to_utc("2025-04-01"), limit = 100, rendering = rendering,
    }
    for name, value in pairs(fields or {}) do request[name] = value end
    local got, err = made:page(request)
    if not got then return nil, err end
    local ids, items = {}, json.decode(tostring(got.body))
    for _, item in ipairs(items) do ids[#ids + 1] = item.id end
    assert.equal(#ids, got.count)
    return ids, got.next, items
  end

  it("shows events of all calendars in order, and renders each once", function()
    apply(1, { upsert("b", event("2025-03-02T10:00:00", "two")), upsert("out", event("2025-05-02T10:00:00", "out")) })
    apply(2, { upsert("a", event("2025-03-01T10:00:00", "one")), upsert("c", event("2025-03-02T10:00:00", "three")) })
    assert.same({ "a", "b", "c" }, (page()))
    assert.same({ "a", "b", "c" }, (page()))
    table.sort(rendered)
    assert.same({ "a", "b", "c" }, rendered)
    assert.equal(2, reads)
  end)

  it("renders again only what has changed, and forgets what is gone", function()
    apply(1, { upsert("a", event("2025-03-01T10:00:00", "one")), upsert("b", event("2025-03-02T10:00:00", "two")) })
    page()
    rendered = {}
    apply(1, { upsert("b", event("2025-03-03T10:00:00", "two, later")), upsert("c", event("2025-03-02T10:00:00", "three")) }, { "a" })
    local ids, _, items = page()
    assert.same({ "c", "b" }, ids)
    assert.equal("two, later", items[2].title)
    table.sort(rendered)
    assert.same({ "b", "c" }, rendered)
  end)

  it("renders a series once and each override by itself", function()
    apply(1, { upsert("s", event("2025-03-01T10:00:00", "daily", {
      recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 5 } },
      recurrenceOverrides = { ["2025-03-02T10:00:00"] = { title = "other" }, ["2025-03-03T10:00:00"] = { excluded = true } },
    })) })
    local ids, _, items = page()
    assert.same({ "s_20250301T100000Z", "s_20250302T100000Z", "s_20250304T100000Z", "s_20250305T100000Z" }, ids)
    assert.same({ "daily", "other", "daily", "daily" }, { items[1].title, items[2].title, items[3].title, items[4].title })
    assert.same({ "s", "s@2025-03-02T10:00:00" }, rendered)
    local masters, _, shown = page({ mode = "masters" })
    assert.same({ "s" }, masters)
    assert.equal("masters", shown[1].mode)
  end)

  it("reads floating times in the zone of their calendar", function()
    local floating = event("2025-03-01T00:30:00", "early")
    floating.timeZone = nil
    apply(1, { upsert("f", floating) })
    apply(2, { upsert("g", floating) })
    local ids, _, items = page({ from = tz.to_utc("2025-02-28"), to = tz.to_utc("2025-03-02") })
    assert.same({ "f", "g" }, ids)
    assert.same({ "2025-02-28T23:30:00.000Z", "2025-03-01T00:30:00.000Z" }, { items[1].start, items[2].start })
  end)

  it("walks through pages while the mirror changes", function()
    local list = {}
    for i = 1, 40 do list[i] = upsert(("e%02d"):format(i), event(("2025-03-%02dT%02d:00:00"):format(1 + i // 2, i % 2 + 8), "t" .. i)) end
    apply(1, list)
    local seen, after, number = {}, nil, 0
    repeat
      local ids, following = page({ limit = 7, after = after })
      for _, id in ipairs(ids) do seen[id] = (seen[id] or 0) + 1 end
      number, after = number + 1, following
      apply(1, { upsert("new" .. number, event(("2025-03-%02dT07:00:00"):format(number * 2), "new")) }, { ("e%02d"):format(41 - number) })
    until not after
    for i = 1, 33 do assert.equal(1, seen[("e%02d"):format(i)]) end
    for _, count in pairs(seen) do assert.equal(1, count) end
  end)

  it("loads a calendar once for many readers", function()
    local list = {}
    for i = 1, 300 do list[i] = upsert("e" .. i, event("2025-03-02T10:00:00", "t")) end
    apply(1, list)
    local bodies = {}
    for i = 1, 20 do bodies[i] = function() return (page({ limit = 10 })) end end
    local results = task.all(bodies)
    for i = 1, 20 do assert.equal(10, #results[i][2]) end
    assert.equal(1, reads)
  end)

  it("leaves out what is rendered to nothing and what cannot be rendered", function()
    apply(1, {
      upsert("a", event("2025-03-01T10:00:00", "hidden")), upsert("b", event("2025-03-02T10:00:00", "broken")),
      upsert("c", event("2025-03-03T10:00:00", "shown")),
    })
    assert.same({ "c" }, (page({ limit = 1 })))
  end)

  it("makes renderings anew for another digest or another colour of the calendar", function()
    apply(1, { upsert("a", event("2025-03-01T10:00:00", "one")) })
    page()
    local other = { name = "spec", digest = "2", render = rendering.render }
    page({ rendering = other })
    assert.same({ "a", "a" }, rendered)
    calendars[1].color = "#ff0000"
    page()
    assert.same({ "a", "a", "a" }, rendered)
  end)

  it("works with memory for nothing", function()
    made = query.new({ config = { limits = { agenda = 1, renderings = 1, occurrences = 100 } }, store = store })
    apply(1, { upsert("a", event("2025-03-01T10:00:00", "one")) })
    apply(2, { upsert("b", event("2025-03-01T10:00:00", "two", { recurrenceRules = { { frequency = "weekly" } } })) })
    assert.equal(6, #page())
    assert.equal(6, #page())
  end)

  it("refuses a position that is none of its own", function()
    apply(1, { upsert("a", event("2025-03-01T10:00:00", "one")) })
    local ids, err = page({ after = "rubbish" })
    assert.is_nil(ids)
    assert.equal("invalid_request", err.code)
  end)

  it("writes what goes around the array into the same text", function()
    local got = made:page({ calendars = {}, from = 0, to = 1, limit = 1, rendering = rendering, prefix = '{"events":' })
    assert.equal('{"events":[],"more":false}', tostring(got:ended(',"more":false}')))
    assert.equal(26, #got.body)
  end)

  it("answers an empty window and no calendars", function()
    assert.same({}, (page({ to = tz.to_utc("2025-03-01") })))
    assert.same({}, (page({ calendars = {} })))
  end)

  it("gives instances as tables", function()
    apply(1, { upsert("s", event("2025-03-01T10:00:00", "daily", {
      recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 2 } },
      recurrenceOverrides = { ["2025-03-02T10:00:00"] = { title = "other" } },
    })) })
    local list, following = made:instances({ calendars = calendars, from = tz.to_utc("2025-03-01"), to = tz.to_utc("2025-04-01"), limit = 100 })
    assert.is_nil(following)
    assert.equal(2, #list)
    assert.equal("s", list[1].id)
    assert.equal("other", list[2].event.title)
    assert.equal("2025-03-02T10:00:00", list[2].recurrenceId)
    assert.equal(tz.to_utc("2025-03-02T10:00:00"), list[2].start)
    assert.equal(list[2].start + 3600, list[2].finish)
  end)
end)
