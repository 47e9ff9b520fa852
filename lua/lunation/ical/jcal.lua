-- jCal (RFC 7265): iCalendar trees as arrays for JSON, and back. A value that is none of its type stands as it was written, under
-- the type "unknown" (section 5.1), so that nothing is lost on the way.
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
local lists = { CATEGORIES = true, RESOURCES = true, EXDATE = true, RDATE = true, FREEBUSY = true }
local structured = { GEO = true, ["REQUEST-STATUS"] = true }

-- A line that is no property at all, under a name of ours.
local STRAY = "x-lunation-line"
local DEPTH = 64

local function usual_type(name)
  return types[name] or (name:match "^X%-" and "unknown") or "text"
end

-- --- values: of each type both ways; nil where it is none ---

local function long_time(text)
  local at, kind = value.parse_time(text)
  if not at then return nil end
  if kind == "date" then return at:sub(1, 10) end
  return kind == "utc" and at .. "Z" or at
end

local function short_time(v)
  local text = tostring(v)
  if text:match "^%d%d%d%d%-%d%d%-%d%d$" or text:match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ?$" then return (text:gsub("[-:]", "")) end
  return text
end

local function parts_of(text)
  local parts = {}
  for part in text:upper():gmatch "[^;%s]+" do parts[#parts + 1] = part end
  table.sort(parts)
  return table.concat(parts, ";")
end

local from_value
local to_value = {
  ["date-time"] = long_time, date = long_time,
  time = function(text)
    local h, m, s, z = text:match "^(%d%d)(%d%d)(%d%d)(Z?)$"
    return h and ("%s:%s:%s%s"):format(h, m, s, z) or nil
  end,
  integer = function(text) return text:match "^[+-]?%d+$" and math.tointeger(tonumber(text)) or nil end,
  float = function(text) return text:match "^[+-]?%d+%.?%d*$" and tonumber(text) or nil end,
  boolean = function(text)
    if text:upper() == "TRUE" then return true end
    if text:upper() == "FALSE" then return false end
    return nil
  end,
  text = tree.unescape,
  ["utc-offset"] = function(text)
    local sign, h, m, s = text:match "^([+-])(%d%d)(%d%d)(%d?%d?)$"
    if not sign or #s == 1 then return nil end
    return ("%s%s:%s%s"):format(sign, h, m, s ~= "" and ":" .. s or "")
  end,
  recur = function(text)
    local object = {}
    for name, v in text:gmatch "([^=;%s]+)=([^;]*)" do
      name = name:lower()
      local items = {}
      for item in v:gmatch "[^,]+" do
        items[#items + 1] = name == "until" and long_time(item) or (item:match "^[+-]?%d+$" and math.tointeger(tonumber(item))) or item
      end
      object[name] = #items > 1 and items or items[1]
    end
    -- What the object cannot hold (a part twice, a part without a name) makes it no rule.
    local back = from_value.recur(object)
    return back and parts_of(back) == parts_of(text) and object or nil
  end,
  period = function(text)
    local first, rest = text:match "^([^/]+)/(.+)$"
    local start = first and long_time(first)
    local finish = rest and (value.parse_duration(rest) and rest or long_time(rest))
    return start and finish and { start, finish } or nil
  end,
}

local function plain(v)
  local kind = type(v)
  if kind == "string" or kind == "boolean" then return tostring(v) end
  if kind == "number" then return math.type(v) == "float" and v == v // 1 and ("%.1f"):format(v) or tostring(v) end
  return nil
end

from_value = {
  ["date-time"] = short_time, date = short_time, time = function(v) return (tostring(v):gsub(":", "")) end,
  ["utc-offset"] = function(v) return (tostring(v):gsub(":", "")) end,
  boolean = function(v) return v == true and "TRUE" or v == false and "FALSE" or plain(v) end,
  text = function(v) return tree.escape(tostring(v)) end,
  recur = function(v)
    if type(v) ~= "table" then return plain(v) end
    local names, parts = {}, {}
    for name in pairs(v) do
      if type(name) ~= "string" then return nil end
      if name ~= "freq" and name ~= "rscale" then names[#names + 1] = name end
    end
    table.sort(names)
    if v.freq ~= nil then table.insert(names, 1, "freq") end
    if v.rscale ~= nil then table.insert(names, 1, "rscale") end
    for _, name in ipairs(names) do
      local items = type(v[name]) == "table" and v[name] or { v[name] }
      if #items == 0 then return nil end
      local written = {}
      for i, item in ipairs(items) do
        written[i] = name == "until" and short_time(plain(item) or "") or plain(item)
        if not written[i] or written[i]:find "[;,%c]" then return nil end
      end
      parts[#parts + 1] = name:upper() .. "=" .. table.concat(written, ",")
    end
    return table.concat(parts, ";")
  end,
  period = function(v)
    if type(v) ~= "table" then return plain(v) end
    local start, finish = plain(v[1]), plain(v[2])
    return start and finish and ("%s/%s"):format(short_time(start), value.parse_duration(finish) and finish or short_time(finish)) or nil
  end,
}

local function written(kind, v)
  if plain(v) == nil and not (type(v) == "table" and (kind == "recur" or kind == "period")) then return nil end
  local convert = from_value[kind]
  if convert then return convert(v) end
  return plain(v)
end

-- Whether a value comes back from its type as what it was: in other letters it may be, not in another sense.
local function comes_back(kind, made, text)
  local back = written(kind, made)
  if kind == "text" then return back ~= nil and tree.unescape(back) == made end
  if kind == "float" then return tonumber(back) == made end
  if kind == "integer" or kind == "recur" or kind == "boolean" then return back ~= nil end
  return back == text
end

-- --- to ---

local function array(list)
  local found, json = pcall(require, "lunation.json")
  return found and type(json) == "table" and json.array and json.array(list) or list
end

local function object(map)
  local found, json = pcall(require, "lunation.json")
  if next(map) == nil and found and type(json) == "table" and json.object then return json.object(map) end
  return map
end

local function convert(kind, text)
  local to = to_value[kind]
  if not to then return text end
  local made = to(text)
  if made == nil or not comes_back(kind, made, text) then return nil end
  return made
end

-- The values of a property by its type; nil where one of them is none.
local function values_of(p, kind)
  local list = {}
  if structured[p.name] then
    for i, part in ipairs(tree.split(p.value, ";", true)) do
      list[i] = convert(kind, part)
      if list[i] == nil then return nil end
    end
    return { array(list) }
  end
  if not lists[p.name] then
    local made = convert(kind, p.value)
    if made == nil then return nil end
    return { made }
  end
  for i, part in ipairs(tree.split(p.value, ",", true)) do
    list[i] = convert(kind, part)
    if list[i] == nil then return nil end
  end
  return #list > 0 and list or nil
end

local function property_to(p)
  if p.name == "" then return array { STRAY, object {}, "unknown", p.value } end
  local params, explicit = {}, nil
  for _, parameter in ipairs(p.params) do
    local name = parameter.name:lower()
    if name == "value" and not explicit and parameter[1] then
      explicit = parameter[1]
    else
      local all = type(params[name]) == "table" and params[name] or { params[name] }
      for _, v in ipairs(parameter) do all[#all + 1] = v end
      params[name] = all[2] and all or all[1] or ""
    end
  end
  local kind = explicit and explicit:lower() or usual_type(p.name)
  local values = values_of(p, kind)
  if not values then
    values, kind = { p.value }, "unknown"
    -- The type that the text gives it is kept beside, as no type of jCal.
    params.value = explicit
  end
  return array { p.name:lower(), object(params), kind, table.unpack(values) }
end

---@param node lunation.ical.Component
---@return table jcal {"vcalendar", {properties}, {components}}; a text of several calendars is a component without a name, a line
---that is no property an `x-lunation-line`
function M.to(node)
  local properties, components = {}, {}
  for i, p in ipairs(node.properties) do properties[i] = property_to(p) end
  for i, child in ipairs(node.components) do components[i] = M.to(child) end
  return array { node.name:lower(), array(properties), array(components) }
end

-- --- from ---

local function bad(message)
  return nil, { code = "invalid_request", message = "not jCal: " .. message }
end

-- Names of the wild hold most letters; those that would end the name when it is written are refused.
local function is_name(text, enders)
  return type(text) == "string" and not text:find(enders)
end

local function parameters(given)
  local names, list = {}, {}
  for name in pairs(type(given) == "table" and given or {}) do
    if not is_name(name, "[\r\n:;=]") or name == "" then return nil end
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    local parameter = { name = name:upper() }
    local values = type(given[name]) == "table" and given[name] or { given[name] }
    if #values == 0 and next(values) ~= nil then return nil end
    for _, v in ipairs(values) do
      local text = plain(v)
      if not text then return nil end
      parameter[#parameter + 1] = text
    end
    list[i] = parameter
  end
  return list
end

local function property_from(p)
  if type(p) ~= "table" or not is_name(p[1], "[\r\n:;]") or type(p[3]) ~= "string" or p[4] == nil then
    return bad "a property is [name, parameters, type, value…]"
  end
  if p[1]:lower() == STRAY and p[3]:lower() == "unknown" then return { name = "", params = {}, value = plain(p[4]) or "" } end
  local name, kind = p[1]:upper(), p[3]:lower()
  local params = parameters(p[2])
  if not params then return bad "parameters are an object of texts" end
  if kind ~= usual_type(name) and kind ~= "unknown" then table.insert(params, 1, { name = "VALUE", kind:upper() }) end
  local values, from, separator = p, 4, ","
  if structured[name] and type(p[4]) == "table" then values, from, separator = p[4], 1, ";" end
  local parts = {}
  for i = from, #values do
    local text = written(kind, values[i])
    if not text then return bad(("a value of %s is none of type %s"):format(p[1]:sub(1, 40), kind:sub(1, 40))) end
    parts[#parts + 1] = text
  end
  return component.property(name, table.concat(parts, separator), params)
end

---@param jcal table
---@param depth integer? how deep the component stands
---@return lunation.ical.Component? node
---@return table? err
function M.from(jcal, depth)
  depth = depth or 1
  if depth > DEPTH or type(jcal) ~= "table" or not is_name(jcal[1], "[\r\n]") or type(jcal[2]) ~= "table" then
    return bad "a component is [name, properties, components]"
  end
  local node = component.new(jcal[1]:upper())
  for i, p in ipairs(jcal[2]) do
    local property, err = property_from(p)
    if not property then return nil, err end
    node.properties[i] = property
  end
  for i, child in ipairs(type(jcal[3]) == "table" and jcal[3] or {}) do
    local made, err = M.from(child, depth + 1)
    if not made then return nil, err end
    node.components[i] = made
  end
  return node
end

return M
