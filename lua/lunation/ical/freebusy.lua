-- When the owner of a calendar text is busy: its events (RFC 4791 section 7.10), its VFREEBUSY components (RFC 5545 section
-- 3.6.4), and its availability (VAVAILABILITY, RFC 7953).
--
-- Policies where the RFCs leave room: times of one type are joined, those of different types may overlap; an FBTYPE that is not
-- known counts as BUSY (RFC 5545 section 3.2.9). Where there is an availability, it is a coat of paint: components of low priority
-- first, then those of higher ones, and on top of them all what events and VFREEBUSY say, so that no two types overlap it.
local component = require "lunation.ical.component"
local instances = require "lunation.ical.instances"
local series = require "lunation.ical.series"
local time = require "lunation.ical.time"
local value = require "lunation.ical.value"
local clock = require "lunation.ical.clock"

local M = {}

local TYPES = { BUSY = "BUSY", ["BUSY-TENTATIVE"] = "BUSY-TENTATIVE", ["BUSY-UNAVAILABLE"] = "BUSY-UNAVAILABLE", FREE = "FREE" }
-- The most instances that are looked at: a text of more in the window is refused, as an answer from a part of them would be wrong.
local LIMIT = 250000

-- --- sets of intervals: sorted arrays of {start, finish} ---

local function joined(intervals)
  table.sort(intervals, function(a, b) return a[1] < b[1] end)
  local list = {}
  for _, interval in ipairs(intervals) do
    local last = list[#list]
    if interval[2] > interval[1] then
      if last and interval[1] <= last[2] then
        if interval[2] > last[2] then last[2] = interval[2] end
      else
        list[#list + 1] = { interval[1], interval[2] }
      end
    end
  end
  return list
end

-- What of sorted intervals a sorted set leaves.
local function without(intervals, set)
  local list, first = {}, 1
  for _, interval in ipairs(intervals) do
    local start = interval[1]
    while set[first] and set[first][2] <= start do first = first + 1 end
    local i = first
    while set[i] and set[i][1] < interval[2] do
      if set[i][1] > start then list[#list + 1] = { start, set[i][1] } end
      start = math.max(start, set[i][2])
      i = i + 1
    end
    if start < interval[2] then list[#list + 1] = { start, interval[2] } end
  end
  return list
end

-- --- what takes time ---

local function add(busy, kind, start, finish, window)
  start, finish = math.max(start, window.from), math.min(finish, window.to)
  if finish > start and kind ~= "FREE" then table.insert(busy[kind], { start, finish }) end
end

-- Events that can take no time need no expanding: those without a length, and what is free or cancelled, all of it.
local function takes_time(event)
  if event.recurrenceOverrides then return true end
  if event.freeBusyStatus == "free" or event.status == "cancelled" then return false end
  return event.duration ~= nil or event.showWithoutTime == true
end

local function add_events(busy, events, window, zone, floating)
  local left = LIMIT
  for _, each in ipairs(events) do
    if takes_time(each) then
      local list, more = instances.instances({ each }, { from = window.from, to = window.to, tzid = zone, floating = floating, limit = left })
      if not list then return nil, more end
      if more then return nil, ("more than %d instances are in that time"):format(LIMIT) end
      left = left - #list
      for _, instance in ipairs(list) do
        local event = instance.event
        if event.freeBusyStatus ~= "free" and event.status ~= "cancelled" then
          add(busy, event.status == "tentative" and "BUSY-TENTATIVE" or "BUSY", instance.start, instance.finish, window)
        end
      end
    end
  end
  return true
end

local function instant_of(moment, zone)
  return moment and clock.to_utc(moment.at, moment.zone or zone or "UTC")
end

-- One period of a FREEBUSY property: start/end or start/duration.
local function period(property, text, context, zone)
  local first, second = text:match "^%s*([^/]+)/%s*(.-)%s*$"
  local start = first and instant_of(time.moment(property, context, first), zone)
  if not start then return nil end
  local length = value.parse_duration(second)
  if length then return start, start + length.days * 86400 + length.seconds end
  return start, instant_of(time.moment(property, context, second), zone)
end

local function add_freebusy(busy, node, context, window, zone)
  for _, property in ipairs(component.all(node, "FREEBUSY")) do
    local kind = TYPES[(component.param(property, "FBTYPE") or "BUSY"):upper()] or "BUSY"
    for text in property.value:gmatch "[^,]+" do
      local start, finish = period(property, text, context, zone)
      if start and finish then
        add(busy, kind, start, finish, window)
      else
        context.warn(property, ("FREEBUSY %q is no period"):format(text:sub(1, 60)))
      end
    end
  end
end

-- --- availability ---

local function bounds(node, context, zone, window)
  local property = component.find(node, "DTSTART")
  local start = property and instant_of(time.moment(property, context), zone)
  local finish
  local last, length = component.find(node, "DTEND"), component.find(node, "DURATION")
  if last then
    finish = instant_of(time.moment(last, context), zone)
  elseif length and start then
    local duration = value.parse_duration(length.value)
    local moment = time.moment(property, context)
    local later = duration and value.shift(moment.at, duration.days * 86400)
    finish = later and (instant_of({ at = later, zone = moment.zone }, zone) or start) + duration.seconds
  end
  return start or window.from, finish or window.to
end

-- AVAILABLE components recur and are overridden as events are: they are read as such.
local function available(node, root, context, options, window)
  local calendar = component.new("VCALENDAR")
  for _, child in ipairs(root.components) do
    if child.name == "VTIMEZONE" then table.insert(calendar.components, child) end
  end
  for _, child in ipairs(node.components) do
    if child.name == "AVAILABLE" then
      local event = component.copy(child)
      event.name = "VEVENT"
      component.remove(event, "TRANSP")
      component.remove(event, "STATUS")
      table.insert(calendar.components, event)
    end
  end
  local events = {}
  for _, group in ipairs(series.collect(calendar)) do
    for _, event in ipairs((series.events(options.mapping, group, context))) do events[#events + 1] = event end
  end
  local busy = { BUSY = {} }
  local good, why = add_events(busy, events, window, options.tzid)
  if not good then return nil, why end
  return joined(busy.BUSY)
end

-- 1 is the highest priority, 9 the lowest, and 0 or nothing lower still (RFC 7953 section 3.1).
local function priority(node)
  local number = math.tointeger(tonumber(component.value(node, "PRIORITY") or "")) or 0
  return number == 0 and 10 or number
end

-- Paints the availability components of a calendar, the lowest priority first.
local function availability(painted, root, context, options, window)
  local nodes = component.children(root, "VAVAILABILITY")
  local order = {}
  for i, node in ipairs(nodes) do order[node] = i end
  table.sort(nodes, function(a, b)
    if priority(a) ~= priority(b) then return priority(a) > priority(b) end
    return order[a] < order[b]
  end)
  for _, node in ipairs(nodes) do
    local start, finish = bounds(node, context, options.tzid, window)
    start, finish = math.max(start, window.from), math.min(finish, window.to)
    if finish > start then
      local free, why = available(node, root, context, options, { from = start, to = finish })
      if not free then return nil, why end
      local kind = TYPES[(component.value(node, "BUSYTYPE") or ""):upper()] or "BUSY-UNAVAILABLE"
      local place = { { start, finish } }
      for name, intervals in pairs(painted) do painted[name] = without(intervals, place) end
      if kind ~= "FREE" then
        for _, interval in ipairs(without(place, free)) do table.insert(painted[kind], interval) end
        painted[kind] = joined(painted[kind])
      end
    end
  end
  return #nodes > 0
end

-- --- all of it ---

local function calendars_in(root, list)
  if root.name == "VCALENDAR" then list[#list + 1] = root end
  for _, child in ipairs(root.components) do calendars_in(child, list) end
  return list
end

local function empty() return { BUSY = {}, ["BUSY-TENTATIVE"] = {}, ["BUSY-UNAVAILABLE"] = {} } end

---@param trees {root: lunation.ical.Component, events: table[], context: table, floating: string?}[]
---@param options {from: integer|string, to: integer|string, tzid: string?, mapping: lunation.Mapping}
---@return {type: string, start: integer, finish: integer}[]?
---@return string? why
function M.freebusy(trees, options)
  local window = {}
  for _, name in ipairs { "from", "to" } do
    local at, problem = instances.edge(options[name], options.tzid)
    if problem then return nil, problem end
    window[name] = at
  end
  window.from, window.to = window.from or -62135510400, window.to or 253402214400
  local busy, painted, covered = empty(), empty(), false
  for _, each in ipairs(trees) do
    local good, why = add_events(busy, each.events, window, options.tzid, each.floating)
    if not good then return nil, why end
    for _, calendar in ipairs(calendars_in(each.root, {})) do
      for _, node in ipairs(component.children(calendar, "VFREEBUSY")) do add_freebusy(busy, node, each.context, window, options.tzid) end
      local has
      has, why = availability(painted, calendar, each.context, options, window)
      if why then return nil, why end
      covered = covered or has
    end
  end
  local taken = {}
  for kind, intervals in pairs(busy) do
    busy[kind] = joined(intervals)
    if covered then table.move(busy[kind], 1, #busy[kind], #taken + 1, taken) end
  end
  taken = joined(taken)
  local list = {}
  for kind, intervals in pairs(busy) do
    for _, interval in ipairs(covered and without(painted[kind], taken) or {}) do intervals[#intervals + 1] = interval end
    for _, interval in ipairs(joined(intervals)) do
      list[#list + 1] = { type = kind, start = interval[1], finish = interval[2] }
    end
  end
  table.sort(list, function(a, b)
    if a.start ~= b.start then return a.start < b.start end
    return a.type < b.type
  end)
  return list
end

return M
