-- The mapping of a calendar resource: iCalendar text with one event in it, as CalDAV stores it, to a canonical event and back.
-- The fields are those of one VEVENT; an integrator changes them as in any mapping:
--
--   local ical = require("lunation.ical.mapping").property
--   return extend("caldav", { event = { title = ical("X-MY-TITLE") } })
local alarms = require "lunation.ical.alarms"
local component = require "lunation.ical.component"
local fields = require "lunation.ical.fields"
local links = require "lunation.ical.links"
local mapping = require "lunation.mapping"
local people = require "lunation.ical.people"
local recurrence = require "lunation.ical.recurrence"
local series = require "lunation.ical.series"
local time = require "lunation.ical.time"
local tree = require "lunation.ical.tree"
local write = require "lunation.ical.write"

local function failure(err, code)
  local ok, errors = pcall(require, "lunation.errors")
  err.code = err.code or code or "invalid_request"
  if ok and type(errors) == "table" and errors.new then return errors.new(err.code, err.message, err) end
  return setmetatable(err, { __tostring = function(e) return e.message end })
end

-- start writes all of the time; the others are parts of it.
local function part_of_time(name)
  return mapping.entry {
    read = function(node, context)
      local times = time.times(node, context)
      return times and times[name]
    end,
    write = function() return true end,
  }
end

local all = {
  ["@type"] = mapping.const("Event"),
  start = mapping.required(mapping.entry {
    depends = { "duration", "timeZone", "showWithoutTime", "lunation:endTimeZone" },
    read = function(node, context)
      local times, why = time.times(node, context)
      if not times then return nil, why end
      return times.start
    end,
    write = function(node, _, context) return time.write(node, context) end,
  }),
  duration = part_of_time "duration",
  timeZone = part_of_time "zone",
  showWithoutTime = part_of_time "all_day",
  ["lunation:endTimeZone"] = part_of_time "end_zone",
}
for _, part in ipairs { fields, people, alarms, links, recurrence } do
  for field, entry in pairs(part.fields) do all[field] = entry end
end

local envelope = {}

---@param native {text: string}
function envelope.to(m, native)
  if type(native) ~= "table" or type(native.text) ~= "string" then
    return nil, failure { message = "a calendar resource is a table with its text" }
  end
  local root, problem = tree.parse(native.text, { positions = true })
  if not root then return nil, failure(problem) end
  local context = series.context(root)
  local list = series.collect(root)
  if #list == 0 then return nil, failure({ message = "the calendar text has no event" }, "unsupported") end
  local events, err = series.events(m, list[1], context, { merge = true })
  if #events == 0 then
    return nil, err and failure(err) or failure({ message = "the calendar text has no event" }, "unsupported")
  end
  return events[1]
end

---@param canonical table
---@param patch_of {text: string}?
---@param options {now: integer?}?
function envelope.from(m, canonical, patch_of, options)
  local root, err
  if patch_of == nil then
    root, err = write.tree(m, { canonical }, options)
    if not root then return nil, failure(err) end
    return { text = tree.serialize(root) }
  end
  local before
  before, err = envelope.to(m, patch_of)
  if not before then return nil, err end
  local stored = tree.parse(patch_of.text)
  root, err = write.patch(m, stored, before, canonical, options)
  if not root then return nil, failure(err) end
  local native = component.copy(patch_of)
  native.text = tree.serialize(root)
  return native
end

local event = mapping(all, envelope)

event.event = event
event.property = fields.property
event.words = fields.words

return event
