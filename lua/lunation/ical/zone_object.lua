-- A VTIMEZONE as the TimeZone object of an event's `timeZones` (RFC 8984 section 4.7.2), and back.
local component = require "lunation.ical.component"
local rule = require "lunation.ical.rule"
local tree = require "lunation.ical.tree"
local value = require "lunation.ical.value"

local M = {}

local kinds = { { "STANDARD", "standard" }, { "DAYLIGHT", "daylight" } }

local function offset_text(seconds, colon)
  local sign = seconds < 0 and "-" or "+"
  seconds = math.abs(seconds)
  local text = ("%s%02d%s%02d"):format(sign, seconds // 3600, colon, seconds // 60 % 60)
  if seconds % 60 ~= 0 then text = ("%s%s%02d"):format(text, colon, seconds % 60) end
  return text
end

---@param text string? "+0530", "+05:30"
---@return integer? seconds
function M.offset(text)
  local sign, h, m, s = (text or ""):match("^%s*([+-]?)(%d%d):?(%d%d):?(%d?%d?)%s*$")
  if not sign then return nil end
  local seconds = h * 3600 + m * 60 + (tonumber(s) or 0)
  return math.tointeger(sign == "-" and -seconds or seconds)
end

---@param seconds integer
---@return string text "+0530"
function M.format_offset(seconds)
  return offset_text(seconds, "")
end

---A rule of an observance whose UNTIL is a time of the clock before it, as its other times are; iCalendar has it in UTC.
---@param text string value of RRULE
---@param before integer offset, seconds
---@return string
function M.local_rule(text, before)
  return (text:upper():gsub("UNTIL=(%d+T%d+)Z", function(at)
    local utc = value.parse_time(at)
    return "UNTIL=" .. (utc and value.format_time(value.shift(utc, before) or utc, "local") or at)
  end))
end

local function rule_text(object, before)
  local copy = {}
  for k, v in pairs(object) do copy[k] = v end
  local stop = copy["until"]
  copy["until"] = nil
  local text = rule.to_rrule(copy, {})
  local utc = stop and value.shift(stop, -before)
  return utc and ("%s;UNTIL=%s"):format(text, value.format_time(utc, "utc")) or text
end

local function read_observance(node)
  local start = value.parse_time(component.value(node, "DTSTART") or "")
  local to = M.offset(component.value(node, "TZOFFSETTO"))
  if not start or not to then return nil end
  local from = M.offset(component.value(node, "TZOFFSETFROM")) or to
  local object = {
    ["@type"] = "TimeZoneRule", start = start, offsetFrom = offset_text(from, ":"), offsetTo = offset_text(to, ":"),
  }
  for _, p in ipairs(component.all(node, "RRULE")) do
    local parsed = rule.from_rrule(M.local_rule(p.value, from), {})
    if parsed then
      object.recurrenceRules = object.recurrenceRules or {}
      table.insert(object.recurrenceRules, parsed)
    end
  end
  for _, p in ipairs(component.all(node, "RDATE")) do
    for _, item in ipairs(tree.split(p.value, ",")) do
      local at = value.parse_time(item)
      if at then
        object.recurrenceOverrides = object.recurrenceOverrides or {}
        object.recurrenceOverrides[at] = {}
      end
    end
  end
  for _, p in ipairs(component.all(node, "TZNAME")) do
    object.names = object.names or {}
    object.names[tree.unescape(p.value)] = true
  end
  return object
end

---@param node lunation.ical.Component VTIMEZONE
---@param id string what TZID parameters call it
---@return table zone TimeZone
function M.to(node, id)
  local url = component.value(node, "TZURL")
  local zone = { ["@type"] = "TimeZone", tzId = id, updated = value.parse_utc(component.value(node, "LAST-MODIFIED")), url = url ~= "" and url or nil }
  for _, kind in ipairs(kinds) do
    for _, child in ipairs(component.children(node, kind[1])) do
      local object = read_observance(child)
      if object then
        zone[kind[2]] = zone[kind[2]] or {}
        table.insert(zone[kind[2]], object)
      end
    end
  end
  return zone
end

local function write_observance(name, object)
  local from, to = M.offset(object.offsetFrom), M.offset(object.offsetTo)
  if not from or not to or type(object.start) ~= "string" then return nil end
  local node = component.new(name)
  local function add(property, text) node.properties[#node.properties + 1] = component.property(property, text) end
  add("DTSTART", value.format_time(object.start, "local"))
  add("TZOFFSETFROM", M.format_offset(from))
  add("TZOFFSETTO", M.format_offset(to))
  local function sorted(set)
    local list = {}
    for key in pairs(set or {}) do list[#list + 1] = key end
    table.sort(list)
    return list
  end
  for _, text in ipairs(sorted(object.names)) do add("TZNAME", tree.escape(text)) end
  for _, each in ipairs(object.recurrenceRules or {}) do add("RRULE", rule_text(each, from)) end
  for _, at in ipairs(sorted(object.recurrenceOverrides)) do add("RDATE", value.format_time(at, "local")) end
  return node
end

---@param zone table TimeZone
---@param id string
---@return lunation.ical.Component? node VTIMEZONE; nil for an object without rules
function M.from(zone, id)
  local node = component.new "VTIMEZONE"
  node.properties[1] = component.property("TZID", tree.escape(id))
  local utc = zone.updated and value.parse_utc(zone.updated)
  if utc then component.set(node, "LAST-MODIFIED", value.format_time(utc:sub(1, 19), "utc")) end
  if zone.url then component.set(node, "TZURL", zone.url) end
  for _, kind in ipairs(kinds) do
    for _, object in ipairs(zone[kind[2]] or {}) do
      node.components[#node.components + 1] = write_observance(kind[1], object)
    end
  end
  return #node.components > 0 and node or nil
end

return M
