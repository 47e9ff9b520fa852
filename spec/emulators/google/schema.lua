-- Values against the schemas of a discovery document. Each breach is told as { where, message }.
local clock = require "spec.emulators.google.clock"
local json = require "lunation.json"

local schema = {}

local null = json.null

-- Discovery documents of Calendar name the possible values of a text only in its description.
local function values_of(node)
  if node.enum then return node.enum end
  local text = node.description
  if not text or not text:find("ossible values? [ia]") or text:find("Some of the possible values", 1, true) then return nil end
  if text:find("unfamiliar", 1, true) then return nil end
  local list = {}
  for value in text:match("ossible values? .*"):gmatch("\n%- \"([%w_]+)\"") do list[#list + 1] = value end
  return #list > 0 and list or nil
end

local enums = setmetatable({}, { __mode = "k" })

local function allowed(node)
  local list = enums[node]
  if list == nil then
    list = values_of(node) or false
    enums[node] = list
  end
  return list
end

local function one_of(value, list)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

-- A time may stand without offset beside a timeZone (EventDateTime says so).
local function is_time(value, beside)
  return clock.parse(value, type(beside) == "table" and beside.timeZone and "UTC" or nil) ~= nil
end

local formats = {
  int32 = function(value) return math.type(value) == "integer" and value >= -2 ^ 31 and value < 2 ^ 31 end,
  uint32 = function(value) return math.type(value) == "integer" and value >= 0 and value < 2 ^ 32 end,
  int64 = function(value) return type(value) == "string" and value:find("^%-?%d+$") ~= nil end,
  ["date-time"] = is_time,
  ["google-datetime"] = is_time,
  date = function(value) return clock.date(value) ~= nil end,
  byte = function(value) return type(value) == "string" and value:find("^[%w+/_%-]*=*$") ~= nil end,
}

local types = {
  string = function(value) return type(value) == "string" end,
  boolean = function(value) return type(value) == "boolean" end,
  integer = function(value) return math.type(value) == "integer" end,
  number = function(value) return type(value) == "number" end,
  array = function(value) return json.is_array(value) or (type(value) == "table" and next(value) == nil) end,
  object = function(value) return type(value) == "table" and (not json.is_array(value) or next(value) == nil) end,
}

--- Looks at a value; what is wrong is added to `report`.
---@param document table
---@param node table schema
---@param value any
---@param where string
---@param report table[]
---@param options {nulls: boolean?, readonly: boolean?}? nulls: patch semantics; readonly: what the service alone sets is refused
---@param beside table? the object that the value stands in
function schema.check(document, node, value, where, report, options, beside)
  if node["$ref"] then
    local target = document.schemas[node["$ref"]]
    if not target then return end
    return schema.check(document, target, value, where, report, options, beside)
  end
  local function breach(message) report[#report + 1] = { where = where, message = message } end
  if value == null then
    if not (options and options.nulls) then breach "is null" end
    return
  end
  local kind = node.type
  if kind == "any" or kind == nil then return end
  -- a 64-bit number may stand without its quotes
  if kind == "string" and node.format == "int64" and math.type(value) == "integer" then return end
  if not types[kind](value) then return breach(("is no %s: %s"):format(kind, type(value))) end
  if kind == "array" then
    for i, item in ipairs(value) do schema.check(document, node.items, item, where .. "[" .. i - 1 .. "]", report, options, value) end
    return
  end
  if kind == "object" then
    for name, inner in pairs(value) do
      local property = node.properties and node.properties[name]
      local place = where == "" and name or where .. "." .. name
      if not property and node.additionalProperties then property = node.additionalProperties end
      if not property then
        report[#report + 1] = { where = place, message = "is not in the contract" }
      else
        if options and options.readonly and property.readOnly and name ~= "metadata" then
          report[#report + 1] = { where = place, message = "is read-only" }
        end
        -- metadata is sent back as it was read
        local deeper = name == "metadata" and options and options.readonly and { nulls = options.nulls } or options
        schema.check(document, property, inner, place, report, deeper, value)
      end
    end
    return
  end
  local format = node.format and formats[node.format]
  if format and not format(value, beside) then return breach(("is no %s: %s"):format(node.format, tostring(value))) end
  local list = allowed(node)
  if list and not one_of(value, list) then breach(("has an unknown value: %s"):format(tostring(value))) end
end

--- Looks at the text of a query or path parameter.
---@param parameter table
---@param text string
---@return string? message what is wrong
function schema.parameter(parameter, text)
  local kind = parameter.type
  if kind == "boolean" then
    if text ~= "true" and text ~= "false" then return "is no boolean: " .. text end
  elseif kind == "integer" then
    local value = text:find("^%-?%d+$") and math.tointeger(tonumber(text))
    if not value then return "is no integer: " .. text end
    if parameter.minimum and value < tonumber(parameter.minimum) then return "is below " .. parameter.minimum end
    if parameter.maximum and value > tonumber(parameter.maximum) then return "is above " .. parameter.maximum end
  end
  if parameter.format == "date-time" and not clock.parse(text) then return "is no RFC 3339 time with an offset: " .. text end
  if parameter.enum and not one_of(text, parameter.enum) then return "has an unknown value: " .. text end
end

return schema
