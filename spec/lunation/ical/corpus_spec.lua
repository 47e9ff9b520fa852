-- Calendars of many other programs, broken ones among them, where they are at hand: nothing crashes, nothing is lost.
local fs = require "lunation.fs"
local ical = require "lunation.ical"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local tree = require "lunation.ical.tree"

local corpora = require("lunation.host").root .. "/../shared/corpora"

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

local names = fs.list(corpora .. "/ics") or {}
table.sort(names)

---@param visit fun(text: string, name: string)
local function each(visit)
  for _, name in ipairs(names) do
    local text = name:sub(1, 1) ~= "." and read(("%s/ics/%s"):format(corpora, name))
    if text then visit(text, name) end
  end
end

describe("calendars of other programs #slow", function()
  if #names == 0 then
    it("are read", function() pending("needs ../shared") end)
    return
  end

  -- Values that a text without the original cannot carry: an addition that the rule gives anyway says nothing, and DTSTAMP is new.
  local function settled(events)
    for _, event in ipairs(events) do
      event.updated = nil
      local kept, any = {}, false
      for key, patch in pairs(event.recurrenceOverrides or {}) do
        patch.updated = nil
        if next(patch) ~= nil then kept[key], any = patch, true end
      end
      event.recurrenceOverrides = any and kept or nil
    end
    return events
  end

  it("become events, become text, and are the same events", function()
    local total, unstable = 0, {}
    each(function(text, name)
      if #text > 300000 then return end
      local events = ical.events(text)
      if not events or #events == 0 then return end
      total = total + 1
      local written = assert(ical.from_events(events, { now = 0 }), name)
      assert(ical.parse(written, { strict = not written:find("[%z\1-\8\11\12\14-\31\127]") }), name)
      if not mapping.equal(settled(events), settled((ical.events(written)))) then unstable[#unstable + 1] = name end
    end)
    assert.is_true(total > 1000, "only " .. total)
    assert.is_true(#unstable <= 16, ("%d of %d changed:\n%s"):format(#unstable, total, table.concat(unstable, "\n")))
  end)

  it("are not touched by a write that changes nothing", function()
    local resource = require "lunation.ical.mapping"
    local total = 0
    each(function(text, name)
      if #text > 100000 then return end
      local native = { text = text }
      local event = resource:to(native)
      if not event then return end
      total = total + 1
      local written = assert(resource:from(event, native, { now = 0 }), name)
      assert.equal(tree.serialize(tree.parse(text)), written.text, name)
    end)
    assert.is_true(total > 1000)
  end)

  it("have the same instances in the agenda that serves pages and in the model", function()
    local agenda, model, rscale = require "lunation.agenda", require "lunation.model", require "lunation.rscale"
    local zone = "Europe/Berlin" -- of floating times
    local total, skipped = 0, 0
    local function times(list)
      local result = {}
      for i, instance in ipairs(list) do result[i] = ("%d-%d"):format(instance.start, instance.finish) end
      table.sort(result)
      return table.concat(result, " ")
    end
    each(function(text, name)
      if #text > 100000 then return end
      for _, event in ipairs(ical.events(text) or {}) do
        local calendar = agenda.new {}
        calendar:open(1, 1, zone)
        total = total + 1
        if not calendar:put(1, 1, "id", 1, json.encode(event)) then skipped = skipped + 1 return end
        calendar:loaded(1, 1)
        local start = model.bounds(event, zone)
        for _, from in ipairs { start - 86400, 1735689600 } do
          local to = from + 40 * 86400
          local expected = model.expand(event, from, to, 400, { zone = not event.showWithoutTime and zone or nil })
          if #expected < 400 then
            local tried = {}
            repeat until not rscale.supply(calendar, 1, from, to, tried, function() end)
            local found = calendar:entries { calendars = { 1 }, from = from, to = to, limit = 1000, examine = 100000 }
            assert.equal(times(expected), times(found), name .. " " .. event.uid)
          end
        end
      end
    end)
    assert.is_true(total > 4000)
    assert.is_true(skipped < 20)
  end)
end)
