-- jCal (RFC 7265): iCalendar trees as arrays for JSON, and back.
local component = require "lunation.ical.component"
local tree = require "lunation.ical.tree"
local value = require "lunation.ical.value"

local M = {}

-- The type of a property's value where no VALUE parameter says another (RFC 5545 section 3.8, RFC 7986).
local types = {
  DTSTART = "date-time", DTEND = "date-time", DUE = "date-time", ["RECURRENCE-ID"] = "date-time", EXDATE = "date-time",
  RDATE = "date-time", DTSTAMP = "date-time", CREATED = "date-time", ["LAST-MODIFIED"] = "date-time", COMPLETED = "date-time",
  ACKNOWLEDGED = "date-time", TZUNTIL = "date-time",
  DURATION = "duration", TRIGGER = "duration", ["REFRESH-INTERVAL"] = "duration",
  ATTENDEE = "cal-address", ORGANIZER = "cal-address",
  URL = "uri", ATTACH = "uri", TZURL = "uri", SOURCE = "uri", IMAGE = "uri", CONFERENCE = "uri",
  PRIORITY = "integer", SEQUENCE = "integer", REPEAT = "integer", ["PERCENT-COMPLETE"] = "integer",
  RRULE = "recur", EXRULE = "recur", FREEBUSY = "period", TZOFFSETFROM = "utc-offset", TZOFFSETTO = "utc-offset", GEO = "float",
}
local lists = { CATEGORIES = ",", RESOURCES = ",", EXDATE = ",", RDATE = ",", FREEBUSY = "," }
local structured = { GEO = true, ["REQUEST-STATUS"] = true }

local function long_time(text)
  local at, kind = value.parse_time(text)
  if not at then return text end
  if kind == "date" then return at:sub(1, 10) end
  return kind == "utc" and at .. "Z" or at
end

local function long_offset(text)
  local sign, h, m, s = text:match("^([+-])(%d%d)(%d%d)(%d?%d?)$")
  if not sign then return text end
  return ("%s%s:%s%s"):format(sign, h, m, s ~= "" and ":" .. s or "")
end

local function recur_object(text)
  local object = {}
  for name, v in text:gmatch("([^=;]+)=([^;]*)") do
    name = name:lower()
    local items = {}
    for item in v:gmatch("[^,]+") do
      items[#items + 1] = name == "until" and long_time(item) or (item:match("^[+-]?%d+$") and math.tointeger(tonumber(item))) or item
    end
    object[name] = #items > 1 and items or items[1]
  end
  return object
end

local to_value = {
  ["date-time"] = long_time, date = long_time,
  integer = function(text) return math.tointeger(tonumber(text)) or text end,
  float = function(text) return tonumber(text) or text end,
  boolean = function(text) return text:upper() == "TRUE" end,
  text = tree.unescape,
  ["utc-offset"] = long_offset,
  recur = recur_object,
  period = function(text)
    local first, rest = text:match("^([^/]+)/(.+)$")
    if not first then return text end
    return { long_time(first), value.parse_duration(rest) and rest or long_time(rest) }
  end,
}

local function property_to(p)
  local params = {}
  local kind = types[p.name] or (p.name:match("^X%-") and "unknown") or "text"
  for _, parameter in ipairs(p.params) do
    if parameter.name == "VALUE" then
      kind = (parameter[1] or "unknown"):lower()
    else
      local v = parameter[2] and { table.unpack(parameter) } or parameter[1]
      params[parameter.name:lower()] = v or ""
    end
  end
  local convert = to_value[kind] or function(text) return text end
  local result = { p.name:lower(), params, kind }
  local separator = lists[p.name]
  if structured[p.name] then
    local parts = {}
    for i, part in ipairs(tree.split(p.value, ";", true)) do parts[i] = convert(part) end
    result[4] = parts
  elseif separator then
    for _, part in ipairs(tree.split(p.value, separator, true)) do result[#result + 1] = convert(part) end
  else
    result[4] = convert(p.value)
  end
  return result
end

local function array(list)
  local found, json = pcall(require, "lunation.json")
  return found and type(json) == "table" and json.array and json.array(list) or list
end

local function object(map)
  local found, json = pcall(require, "lunation.json")
  if next(map) == nil and found and type(json) == "table" and json.object then return json.object(map) end
  return map
end

---@param node lunation.ical.Component
---@return table jcal {"vcalendar", {properties}, {components}}; lines that are no properties are left out
function M.to(node)
  local properties, components = {}, {}
  for _, p in ipairs(node.properties) do
    if p.name ~= "" then
      local made = property_to(p)
      made[2] = object(made[2])
      properties[#properties + 1] = array(made)
    end
  end
  for _, child in ipairs(node.components) do components[#components + 1] = M.to(child) end
  return array { node.name:lower(), array(properties), array(components) }
end

local function short_time(text)
  return (tostring(text):gsub("[-:]", ""))
end

local from_value = {
  ["date-time"] = short_time, date = short_time, time = short_time,
  ["utc-offset"] = function(text) return (tostring(text):gsub(":", "")) end,
  boolean = function(v) return v and "TRUE" or "FALSE" end,
  integer = function(v) return ("%d"):format(v) end,
  text = function(v) return tree.escape(tostring(v)) end,
  recur = function(v)
    if type(v) ~= "table" then return tostring(v) end
    local parts, names = {}, {}
    for name in pairs(v) do
      if name ~= "freq" and name ~= "rscale" then names[#names + 1] = name end
    end
    table.sort(names)
    if v.freq then table.insert(names, 1, "freq") end
    if v.rscale then table.insert(names, 1, "rscale") end
    for _, name in ipairs(names) do
      local items = type(v[name]) == "table" and v[name] or { v[name] }
      local written = {}
      for i, item in ipairs(items) do written[i] = name == "until" and short_time(item) or tostring(item) end
      parts[#parts + 1] = name:upper() .. "=" .. table.concat(written, ",")
    end
    return table.concat(parts, ";")
  end,
  period = function(v)
    if type(v) ~= "table" then return tostring(v) end
    return ("%s/%s"):format(short_time(v[1]), value.parse_duration(tostring(v[2])) and v[2] or short_time(v[2]))
  end,
}

---@param jcal table
---@param depth integer? how deep the component stands
---@return lunation.ical.Component? node
---@return table? err
function M.from(jcal, depth)
  depth = depth or 1
  local bad = { code = "invalid_request", message = "not jCal: a component is [name, properties, components]" }
  if depth > 64 or type(jcal) ~= "table" or type(jcal[1]) ~= "string" or type(jcal[2]) ~= "table" then return nil, bad end
  local node = component.new(jcal[1]:upper())
  for _, p in ipairs(jcal[2]) do
    if type(p) ~= "table" or type(p[1]) ~= "string" or type(p[3]) ~= "string" or p[4] == nil then
      return nil, { code = "invalid_request", message = "not jCal: a property is [name, parameters, type, value…]" }
    end
    local name, kind = p[1]:upper(), p[3]:lower()
    local params = {}
    for key, v in pairs(type(p[2]) == "table" and p[2] or {}) do params[key:upper()] = v end
    local usual = types[name] or (name:match("^X%-") and "unknown") or "text"
    if kind ~= usual and kind ~= "unknown" then params.VALUE = kind:upper() end
    local convert = from_value[kind] or function(v) return tostring(v) end
    local parts = {}
    local values, from, separator = p, 4, ","
    if structured[name] and type(p[4]) == "table" then values, from, separator = p[4], 1, ";" end
    for i = from, #values do parts[#parts + 1] = convert(values[i]) end
    node.properties[#node.properties + 1] = component.property(name, table.concat(parts, separator), params)
  end
  for _, child in ipairs(type(jcal[3]) == "table" and jcal[3] or {}) do
    local made, err = M.from(child, depth + 1)
    if not made then return nil, err end
    node.components[#node.components + 1] = made
  end
  return node
end

return M
