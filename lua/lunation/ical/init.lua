-- lunation.ical: iCalendar (RFC 5545, 6868, 7265, 7529, 7986, 9074) as trees, and as canonical events (JSCalendar, RFC 8984).
local component = require "lunation.ical.component"
local freebusy = require "lunation.ical.freebusy"
local instances = require "lunation.ical.instances"
local jcal = require "lunation.ical.jcal"
local mapping = require "lunation.ical.mapping"
local series = require "lunation.ical.series"
local slice = require "lunation.ical.slice"
local tree = require "lunation.ical.tree"
local write = require "lunation.ical.write"
local zone = require "lunation.ical.zone"

local M = {}

local plain = { __tostring = function(e)
  if e.line then return ("line %d: %s"):format(e.line, e.message) end
  return e.message
end }

local function failure(err)
  if getmetatable(err) ~= nil and getmetatable(err) ~= plain and err.code and not err.line then return err end
  return setmetatable({
    code = err.code or "invalid_request", message = err.message, line = err.line, column = err.column, field = err.field, part = "iCalendar",
  }, plain)
end

---Text to a tree, in one pass. Lenient unless `strict`: what is wrong comes back as warnings, and no line is lost.
---@param text string
---@param options lunation.ical.ParseOptions?
---@return lunation.ical.Component? tree
---@return table warnings_or_error
function M.parse(text, options)
  local root, second = tree.parse(text, options)
  if not root then return nil, failure(second) end
  return root, second
end

---@param node lunation.ical.Component
---@return string text CRLF, folded at 75 octets
function M.serialize(node)
  return tree.serialize(node)
end

M.escape = tree.escape
M.unescape = tree.unescape
M.split = tree.split

local function as_tree(source, options)
  if type(source) == "table" then return source, {} end
  return tree.parse(source, {
    strict = options and options.strict, max = options and options.max, depth = options and options.depth,
    properties = options and options.properties, positions = true,
  })
end

---The events of a text as canonical events: masters with their overrides merged by UID, overrides without master as events of
---their own. An event that cannot be read is left out with a warning, or is the error where `strict` is set.
---@param source string|lunation.ical.Component
---@param options {strict: boolean?, mapping: lunation.Mapping?, max: integer?}?
---@return table[]? events
---@return table warnings_or_error
function M.events(source, options)
  local root, warnings = as_tree(source, options)
  if not root then return nil, failure(warnings) end
  local m = options and options.mapping or mapping
  local context = series.context(root, warnings)
  context.exact = options and options.exact
  local events = {}
  for i, group in ipairs(series.collect(root)) do
    if i % slice.EVENTS == 0 then slice.breathe() end
    local found, problem = series.events(m, group, context)
    if problem then
      local message = ("event %s: %s"):format(group.uid, problem.message)
      local err = failure { message = message, line = problem.line, column = problem.line and 1, field = problem.field }
      if options and options.strict then return nil, err end
      err.skipped = true
      warnings[#warnings + 1] = err
    end
    for _, event in ipairs(found) do events[#events + 1] = event end
  end
  return events, warnings
end

---Canonical events to one text, with the VTIMEZONEs that it needs.
---@param events table[]
---@param options {now: integer?, prodid: string?, method: string?, name: string?, mapping: lunation.Mapping?}?
---@return string? text
---@return table? err
function M.from_events(events, options)
  local root, err = write.tree(options and options.mapping or mapping, events, options)
  if not root then return nil, failure(err) end
  return tree.serialize(root)
end

---Changes one event of a tree and touches nothing else: properties of fields that are equal before and after stay as they are.
---@param root lunation.ical.Component stays as it is
---@param before table canonical event, as events() gave it
---@param after table canonical event
---@param options {now: integer?, mapping: lunation.Mapping?}?
---@return lunation.ical.Component? root a changed copy
---@return table? err
function M.patch(root, before, after, options)
  local changed, err = write.patch(options and options.mapping or mapping, root, before, after, options)
  if not changed then return nil, failure(err) end
  return changed
end

---@param source string|lunation.ical.Component
---@return string? uid of the first event
function M.uid(source)
  local root = as_tree(source)
  local group = root and series.collect(root)[1]
  return group and group.uid
end

-- The zone that a calendar names for all of itself: many programs write X-WR-TIMEZONE and mean their floating times by it.
local function zone_of_calendar(node)
  local name = node.name == "VCALENDAR" and component.value(node, "X-WR-TIMEZONE")
  if name then return zone.canonical(tree.unescape(name):match "^%s*(.-)%s*$") end
  for _, child in ipairs(node.name == "" and node.components or {}) do
    local found = zone_of_calendar(child)
    if found then return found end
  end
end

local function instances_of_tree(source, options)
  local root, warnings = as_tree(source, options)
  if not root then return nil, failure(warnings) end
  -- exact: an all-day event that ends where it starts has no length here; to people it is a day.
  local events, noticed = M.events(root, { strict = options.strict, mapping = options.mapping, exact = true })
  if not events then return nil, noticed end
  local list, truncated = instances.instances(events, {
    from = options.from, to = options.to, tzid = options.tzid, floating = zone_of_calendar(root), limit = options.limit,
    include_dtstart = options.include_dtstart,
  })
  if not list then return nil, failure { message = truncated } end
  for _, found in ipairs(list) do found.event = nil end
  return list, truncated, table.move(noticed, 1, #noticed, #warnings + 1, warnings)
end

-- Most events are written plainly, and are reckoned in C as they stand; the others come back as a tree.
local function instances_of_text(text, options)
  local from, why = instances.edge(options.from, options.tzid)
  local to
  if not why then to, why = instances.edge(options.to, options.tzid) end
  if why then return nil, failure { message = why } end
  local limit = options.limit or 1000
  local list, truncated, rest = tree.instances(text, {
    from = from, to = to, limit = limit, include_dtstart = options.include_dtstart, tzid = options.tzid and zone.canonical(options.tzid) or options.tzid,
    max = options.max, depth = options.depth, properties = options.properties, positions = true,
  }, function(root)
    root = root or { name = "", properties = {}, components = {} }
    local zones = zone.of(root)
    return function(id, localtime) return (zones:zone(id, localtime)) end, zone_of_calendar(root)
  end)
  if not list then return nil, failure(truncated) end
  if not rest then return list, truncated end
  local more, cut, warnings = instances_of_tree(rest, options)
  if not more then return nil, cut end
  table.move(more, 1, #more, #list + 1, list)
  list, truncated = instances.settle(list, limit, truncated or cut)
  return list, truncated, warnings
end

---The instances of a text in a window, in order of their starts, as instants.
---@param source string|lunation.ical.Component
---@param options {from: integer|string?, to: integer|string?, tzid: string?, limit: integer?, include_dtstart: boolean?}? window
---[from, to): instants, UTC times or local times of tzid, which is also what floating times are read in (without it the
---calendar's X-WR-TIMEZONE, else UTC);
---include_dtstart: DTSTART counts even where its rule does not give it
---@return {uid: string, start: integer, finish: integer, recurrenceId: string?, allDay: boolean?}[]?
---@return boolean|table truncated_or_error
---@return table[]? warnings what was mended, and what was left out (`skipped`)
function M.instances(source, options)
  options = options or {}
  if type(source) == "string" and not options.strict and not options.mapping then return instances_of_text(source, options) end
  return instances_of_tree(source, options)
end

---The busy times of a text in a window: of its events, its VFREEBUSY components and its availability (RFC 7953).
---@param source string|lunation.ical.Component
---@param options {from: integer|string, to: integer|string, tzid: string?, availability: string|lunation.ical.Component|nil} window
---[from, to) as of `instances`; availability: another text whose components count too, as CalDAV keeps VAVAILABILITY apart
---@return {type: "BUSY"|"BUSY-TENTATIVE"|"BUSY-UNAVAILABLE", start: integer, finish: integer}[]?
---@return table? err
---@return table[]? warnings
function M.freebusy(source, options)
  options = options or {}
  local trees, all = {}, {}
  for _, each in ipairs { source, options.availability } do
    local root, warnings = as_tree(each, options)
    if not root then return nil, failure(warnings) end
    local events, noticed = M.events(root, options)
    if not events then return nil, noticed end
    table.move(warnings, 1, #warnings, #all + 1, all)
    table.move(noticed, 1, #noticed, #all + 1, all)
    trees[#trees + 1] = { root = root, events = events, context = series.context(root, all), floating = zone_of_calendar(root) }
  end
  local busy, why = freebusy.freebusy(trees, {
    from = options.from, to = options.to, tzid = options.tzid, mapping = options.mapping or mapping,
  })
  if not busy then return nil, failure { message = why } end
  return busy, nil, all
end

---A tree as jCal (RFC 7265), ready for lunation.json.
---@param node lunation.ical.Component
---@return table
function M.to_jcal(node)
  return jcal.to(node)
end

---jCal as a tree.
---@param value table
---@return lunation.ical.Component? tree
---@return table? err
function M.from_jcal(value)
  local node, err = jcal.from(value)
  if not node then return nil, failure(err) end
  return node
end

M.component = component

return M
