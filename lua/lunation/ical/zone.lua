-- VTIMEZONE (RFC 5545 section 3.6.5): which zone a TZID means, and the definitions that a text needs.
-- A TZID means the IANA zone of its name, unless the text defines it otherwise for the year in use: then it becomes a zone of
-- its own, "/" and its rules as a POSIX TZ string, behind the changes before they hold (tz.h), kept with its definition in `timeZones` of the event.
local tz = require "lunation.tz"
local component = require "lunation.ical.component"
local history = require "lunation.ical.history"
local value = require "lunation.ical.value"
local tree = require "lunation.ical.tree"
local zone_object = require "lunation.ical.zone_object"

local M = {}

local utc_names = { ["utc"] = true, ["etc/utc"] = true, ["z"] = true, ["zulu"] = true, ["etc/zulu"] = true,
  ["uct"] = true, ["etc/uct"] = true, ["universal"] = true, ["etc/universal"] = true }

---@param name string?
---@return boolean
function M.is_utc(name)
  return name ~= nil and utc_names[name:lower()] == true
end

---The canonical name of what a TZID or a caller calls a zone.
---@param name string
---@return string? zone IANA name as given ("US/Pacific" stays), "Etc/UTC" for every name of UTC
function M.canonical(name)
  if M.is_utc(name) then return "Etc/UTC" end
  local resolved = tz.resolve(name)
  if resolved and M.is_utc(resolved) then return "Etc/UTC" end
  return resolved
end

-- --- observances: what a VTIMEZONE says of one year ---

local offset_of = zone_object.offset

local weekday_index = { SU = 0, MO = 1, TU = 2, WE = 3, TH = 4, FR = 5, SA = 6 }

local function days_in_month(y, m)
  if m == 12 then return 31 end
  return value.days(y, m + 1, 1) - value.days(y, m, 1)
end

-- The yearly change of an observance as month, week (1 to 4, 5 is the last) and weekday; nil where it is none.
local function yearly_change(observance)
  local parts = {}
  for name, v in (observance.rrule or ""):upper():gmatch("([%w-]+)=([^;]+)") do parts[name] = v end
  if parts.FREQ ~= "YEARLY" then return nil end
  local month = tonumber(parts.BYMONTH or observance.start:sub(6, 7))
  local nth, day = (parts.BYDAY or ""):match("^([+-]?%d*)(%a%a)$")
  if not day or not weekday_index[day] or not month then return nil end
  local week = tonumber(nth)
  if not week then
    local first = tonumber((parts.BYMONTHDAY or ""):match("^(%d+)"))
    if not first then return nil end
    week = (first - 1) // 7 + 1
    if first > days_in_month(2001, month) - 7 then week = 5 end
  end
  if week == -1 then week = 5 end
  if week < 1 or week > 5 then return nil end
  local until_year = parts.UNTIL and tonumber(parts.UNTIL:sub(1, 4))
  return { month = month, week = week, weekday = weekday_index[day], last_year = until_year }
end

-- Onset, in local seconds before the change, of an observance in a year; nil where it has none then.
local function onset(observance, year)
  local first = value.seconds(observance.start)
  local change = observance.change
  if change then
    if year < tonumber(observance.start:sub(1, 4)) or (change.last_year and year > change.last_year) then return nil end
    local length = days_in_month(year, change.month)
    local month_start = value.days(year, change.month, 1)
    local weekday = (month_start + 4) % 7
    local day = 1 + (change.weekday - weekday) % 7 + (change.week - 1) * 7
    while day > length do day = day - 7 end
    return (month_start + day - 1) * 86400 + first % 86400
  end
  local found
  if tonumber(observance.start:sub(1, 4)) == year then found = first end
  for _, at in ipairs(observance.dates) do
    if tonumber(at:sub(1, 4)) == year then found = math.max(found or value.seconds(at), value.seconds(at)) end
  end
  return found
end

---What a VTIMEZONE consists of.
---@param node lunation.ical.Component
---@return table[] observances {dst, start, before, offset, name, rrule, change, dates}
local function observances_of(node)
  local list = {}
  for _, child in ipairs(node.components) do
    local start = value.parse_time(component.value(child, "DTSTART") or "")
    local offset = offset_of(component.value(child, "TZOFFSETTO"))
    if (child.name == "STANDARD" or child.name == "DAYLIGHT") and start and offset then
      local o = {
        dst = child.name == "DAYLIGHT", start = start, offset = offset,
        before = offset_of(component.value(child, "TZOFFSETFROM")) or offset,
        name = component.value(child, "TZNAME"), rrule = component.value(child, "RRULE"), dates = {},
      }
      for _, p in ipairs(component.all(child, "RDATE")) do
        for _, item in ipairs(tree.split(p.value, ",")) do
          o.dates[#o.dates + 1] = (value.parse_time(item))
        end
      end
      o.change = yearly_change(o)
      list[#list + 1] = o
    end
  end
  return list
end

-- The observance that holds at a local time (seconds), the way RFC 5545 asks: the latest onset before it.
local function observance_at(list, seconds)
  local year = value.civil(seconds // 86400)
  local best, best_at
  for _, o in ipairs(list) do
    local at
    for y = year, year - 1, -1 do
      local candidate = onset(o, y)
      if candidate and candidate <= seconds then
        at = candidate
        break
      end
    end
    if not at and not o.change then
      local first = value.seconds(o.start)
      if first <= seconds then at = first end
      for _, date in ipairs(o.dates) do
        local s = value.seconds(date)
        if s <= seconds and s > (at or s - 1) then at = s end
      end
    elseif not at and o.change and o.change.last_year and o.change.last_year < year then
      at = onset(o, o.change.last_year)
    end
    if at and (not best_at or at > best_at) then best, best_at = o, at end
  end
  return best
end

local function posix_offset(offset)
  local seconds = -offset
  local sign = seconds < 0 and "-" or ""
  seconds = math.abs(seconds)
  local text = sign .. seconds // 3600
  if seconds % 3600 ~= 0 then
    text = ("%s:%02d"):format(text, seconds // 60 % 60)
    if seconds % 60 ~= 0 then text = ("%s:%02d"):format(text, seconds % 60) end
  end
  return text
end

local function posix_name(o)
  if o.name and o.name:match("^%a%a%a+$") and #o.name <= 6 then return o.name end
  local seconds = math.abs(o.offset)
  local text = ("%s%02d"):format(o.offset < 0 and "-" or "+", seconds // 3600)
  if seconds % 3600 ~= 0 then text = ("%s%02d"):format(text, seconds // 60 % 60) end
  return "<" .. text .. ">"
end

local function posix_change(o)
  local at = value.seconds(o.start) % 86400
  local text = ("M%d.%d.%d"):format(o.change.month, o.change.week, o.change.weekday)
  if at ~= 7200 then
    text = text .. "/" .. at // 3600
    if at % 3600 ~= 0 then text = ("%s:%02d"):format(text, at // 60 % 60) end
  end
  return text
end

local posix = {}

function posix.constant(o)
  return posix_name(o) .. posix_offset(o.offset)
end

function posix.yearly(standard, daylight)
  local summer = posix_name(daylight)
  -- An hour more than standard time goes without saying.
  if daylight.offset ~= standard.offset + 3600 then summer = summer .. posix_offset(daylight.offset) end
  return ("%s%s,%s,%s"):format(posix.constant(standard), summer, posix_change(daylight), posix_change(standard))
end

-- The rules that hold around a local time as a POSIX TZ string.
local function posix_of(list, seconds)
  local now = observance_at(list, seconds)
  if not now then
    -- Before the first onset: the earliest observance's offset before it (as libical and others read it).
    for _, o in ipairs(list) do
      if not now or o.start < now.start then now = o end
    end
    if not now then return nil end
  end
  local year = value.civil(seconds // 86400)
  local standard, daylight
  for _, o in ipairs(list) do
    if o.change and onset(o, year) then
      if o.dst then
        if not daylight or o.start > daylight.start then daylight = o end
      elseif not standard or o.start > standard.start then
        standard = o
      end
    end
  end
  if standard and daylight and standard.offset ~= daylight.offset then return posix.yearly(standard, daylight) end
  return posix.constant(now)
end

-- Whether a definition and an IANA zone agree through the year of a local time. A definition that has no change in that year
-- (cut short, frozen in another year) says nothing against the name.
local function agrees(list, zone, seconds)
  local year = value.civil(seconds // 86400)
  if year < 1900 or year > 2500 then return true end
  local says, recurs, last = false, false, nil
  for _, o in ipairs(list) do
    local at = onset(o, year)
    says = says or at ~= nil
    recurs = recurs or o.change ~= nil
    if at and (not last or at > last) then last = at end
  end
  if not says then return true end
  for month = 1, 12 do
    for _, day in ipairs { 1, 15 } do
      local at = value.days(year, month, day) * 86400 + 43200
      local o = observance_at(list, at)
      -- Behind the last of changes that are all written out one by one, nothing is said either.
      if o and (recurs or at < last + 32 * 86400) then
        local instant = at - o.offset
        local offset = tz.offset(instant, zone)
        if offset ~= o.offset then return false end
      end
    end
  end
  return true
end

-- --- the zones of one text ---

---@class lunation.ical.Zones
local Zones = {}
Zones.__index = Zones

---@param root lunation.ical.Component VCALENDAR (or several under one node)
---@return lunation.ical.Zones
function M.of(root)
  local self = setmetatable({ nodes = {}, known = {}, definitions = {} }, Zones)
  local function collect(node)
    for _, child in ipairs(node.components) do
      if child.name == "VTIMEZONE" then
        local id = component.value(child, "TZID")
        if id and not self.nodes[id] then self.nodes[id] = child end
        -- The property is TEXT and may have backslashes, the parameter that names it has none.
        local plain = id and tree.unescape(id):match "^%s*(.-)%s*$"
        if id and not self.nodes[plain] then self.nodes[plain] = child end
      elseif child.name == "VCALENDAR" then
        collect(child)
      end
    end
  end
  collect(root)
  return self
end

---The zone that a TZID means for a time.
---@param id string value of the TZID parameter
---@param localtime string
---@return string? zone IANA name, "Etc/UTC", "/POSIX rules" ; nil: nothing is known of it
---@return table? definition TimeZone (RFC 8984 section 4.7.2) of a zone of its own
function Zones:zone(id, localtime)
  local years, year = self.known[id], localtime:sub(1, 4)
  if not years then
    years = {}
    self.known[id] = years
  end
  local known = years[year]
  if known == nil then
    known = self:_resolve(id, value.seconds(localtime) or 0) or false
    years[year] = known
  end
  if not known then return nil end
  return known, self.definitions[known]
end

function Zones:_resolve(id, seconds)
  local node = self.nodes[id] or self.nodes[id:gsub('^"(.*)"$', "%1")] or self.nodes[id:match "^%s*(.-)%s*$"]
  local zone = M.canonical(id)
  if not node then return zone end
  local location = component.value(node, "X-LIC-LOCATION")
  if not zone and location then zone = M.canonical(location) end
  local list = observances_of(node)
  if zone and agrees(list, zone, seconds) then return zone end
  local rules = #list > 1 and history.rules(list, seconds, posix)
  -- What cannot be read so is as good as what holds around the time.
  if not rules or not tz.to_utc("2001-01-01T00:00:00", "/" .. rules) then rules = posix_of(list, seconds) end
  if not rules or not tz.to_utc("2001-01-01T00:00:00", "/" .. rules) then return zone end
  local name = "/" .. rules
  self.definitions[name] = zone_object.to(node, id)
  return name
end

-- --- definitions for a text ---

local format_offset = zone_object.format_offset

local function observance(o)
  local node = component.new(o.dst and "DAYLIGHT" or "STANDARD")
  local function add(name, text) node.properties[#node.properties + 1] = component.property(name, text) end
  add("DTSTART", value.format_time(o.start, "local"))
  add("TZOFFSETFROM", format_offset(o.before))
  add("TZOFFSETTO", format_offset(o.offset))
  if o.abbreviation and o.abbreviation ~= "" then add("TZNAME", o.abbreviation) end
  if o.rrule then add("RRULE", o.rrule) end
  for _, date in ipairs(o.dates or {}) do add("RDATE", value.format_time(date, "local")) end
  return node
end

local function year_start(year)
  return value.days(year, 1, 1) * 86400
end

-- The first year from which every change up to `last` is the one that today's rules give.
local function steady_year(zone, first, last)
  for year = last, first, -1 do
    local rules = tz.rules(zone, year) or {}
    local changes = tz.transitions(zone, year_start(year), year_start(year + 1)) or {}
    if #rules ~= #changes then return year + 1 end
    for _, change in ipairs(changes) do
      local at = value.from_seconds(change.at + change.before)
      local found = false
      for _, rule in ipairs(rules) do
        if rule.start == at and rule.offset == change.offset and rule.before == change.before then found = true end
      end
      if not found then return year + 1 end
    end
  end
  return first
end

local function build(zone, id, first, last)
  local node = component.new("VTIMEZONE")
  node.properties[1] = component.property("TZID", id)
  local rules = tz.rules(zone, last)
  if not rules then return nil end
  local expressible = true
  for _, rule in ipairs(rules) do expressible = expressible and rule.rrule ~= nil end
  local steady
  if not expressible then
    last = last + 10
    steady = last + 1
  else
    steady = steady_year(zone, first, last)
  end
  local groups, order = {}, {}
  local changes = tz.transitions(zone, year_start(first), year_start(steady)) or {}
  for _, change in ipairs(changes) do
    local key = ("%s %d %d %s"):format(change.dst, change.before, change.offset, change.abbreviation)
    local at = value.from_seconds(change.at + change.before)
    local group = groups[key]
    if group then
      group.dates[#group.dates + 1] = at
    else
      group = { dst = change.dst, before = change.before, offset = change.offset, abbreviation = change.abbreviation,
        start = at, dates = {} }
      groups[key] = group
      order[#order + 1] = group
    end
  end
  local onset_first = order[1]
  if expressible then
    for _, rule in ipairs(tz.rules(zone, steady) or {}) do
      order[#order + 1] = rule
      if not onset_first then onset_first = rule end
      if rule.start < onset_first.start then onset_first = rule end
    end
  end
  -- What held before the first change listed.
  local base, abbreviation, dst = tz.offset(year_start(first) - 86400, zone)
  if not onset_first or tonumber(onset_first.start:sub(1, 4)) > first then
    local start = onset_first and value.from_seconds(year_start(first)) or "1970-01-01T00:00:00"
    table.insert(order, 1, { dst = dst, before = base, offset = base, abbreviation = abbreviation, start = start })
  end
  for _, o in ipairs(order) do node.components[#node.components + 1] = observance(o) end
  return node
end

local built, built_count = {}, 0

---The VTIMEZONE of a zone from the system's tzdata, right from the year of the earliest use on.
---@param zone string IANA name
---@param earliest string? local time of the earliest use; this year's rules alone otherwise
---@param id string? TZID to give it; the zone's name otherwise
---@return lunation.ical.Component? node nil for a zone that is not known
function M.definition(zone, earliest, id)
  local this_year = tonumber(os.date("!%Y"))
  local first = math.max(1900, math.min((earliest and tonumber(earliest:sub(1, 4)) or this_year), this_year) - 1)
  local key = ("%s\0%s\0%d\0%d"):format(zone, id or zone, first, this_year)
  if built[key] == nil then
    -- Zones by years are many; what is kept of them is bounded.
    if built_count >= 500 then built, built_count = {}, 0 end
    built[key], built_count = build(zone, id or zone, first, this_year + 1) or false, built_count + 1
  end
  return built[key] and component.copy(built[key]) or nil
end

return M
