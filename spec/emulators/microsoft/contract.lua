-- The contract in the path of every request and answer: types of Microsoft's CSDL, read from a folder beside the checkout. What
-- breaks it is kept for GET /_emulator/violations; nothing is refused here.
local http_server = require "lunation.http_server"
local json = require "lunation.json"
local times = require "spec.emulators.microsoft.times"
local xml = require "lunation.xml"

local M = {}

local Contract = {}
Contract.__index = Contract

local function short(name) return (name:gsub("^microsoft%.graph%.", ""):gsub("^graph%.", "")) end

-- "Collection(graph.event)" → "event", true
local function type_of(text)
  local inner = text:match "^Collection%((.*)%)$"
  return short(inner or text), inner ~= nil
end

local function read(text)
  local root = assert(xml.parse(text, { max = 4 << 20 }))
  local types, actions = {}, {}
  local function walk(node)
    local kind, name = node.name, node.attrs and node.attrs.Name
    if kind == "EnumType" then
      local members = {}
      for _, child in ipairs(node) do
        if child.name == "Member" then members[child.attrs.Name] = true end
      end
      types[name] = { enum = members, flags = node.attrs.IsFlags == "true" }
    elseif kind == "ComplexType" or kind == "EntityType" then
      local own = { complex = kind == "ComplexType", base = node.attrs.BaseType and short(node.attrs.BaseType), open = node.attrs.OpenType == "true",
        properties = {} }
      for _, child in ipairs(node) do
        if child.name == "Property" or child.name == "NavigationProperty" then
          local of, many = type_of(child.attrs.Type)
          own.properties[child.attrs.Name] = { type = of, many = many, nullable = child.attrs.Nullable ~= "false", navigation = child.name ~= "Property" }
        end
      end
      types[name] = own
    elseif kind == "Action" then
      local parameters, bound = {}, nil
      for _, child in ipairs(node) do
        if child.name == "Parameter" then
          local of, many = type_of(child.attrs.Type)
          if child.attrs.Name:lower() == "bindingparameter" then
            bound = of
          else
            parameters[child.attrs.Name:lower()] = { type = of, many = many, nullable = child.attrs.Nullable ~= "false" }
          end
        elseif child.name == "ReturnType" then
          parameters[true] = child.attrs.Type
        end
      end
      actions[name] = { bound = bound, parameters = parameters }
    else
      for _, child in ipairs(node) do walk(child) end
    end
  end
  walk(root)
  return types, actions
end

-- The addresses of the OpenAPI document by their length: { parts=, methods={GET={parameters=, statuses=}} }.
local function read_paths(text)
  local out = {}
  for path, item in pairs(assert(json.decode(text, { max = 8 << 20 })).paths) do
    local parts = {}
    for part in path:gmatch "[^/]+" do parts[#parts + 1] = not part:find "^{" and part:lower() end
    local entry = { parts = parts, length = select(2, path:gsub("/", "")), methods = {} }
    for method, operation in pairs(item) do
      local parameters, statuses = {}, {}
      for _, each in ipairs(operation.parameters or {}) do
        if each["in"] == "query" then parameters[each.name:lower()] = true end
      end
      for status in pairs(operation.responses) do statuses[tostring(status)] = true end
      entry.methods[method:upper()] = { parameters = parameters, statuses = statuses }
    end
    out[entry.length] = out[entry.length] or {}
    table.insert(out[entry.length], entry)
  end
  return out
end

local function whole(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

---@param folder string? where the CSDL and the OpenAPI document lie
---@return table
function M.new(folder)
  local self = setmetatable({ loaded = false, violations = {}, types = {}, actions = {}, paths = {} }, Contract)
  local csdl, openapi = folder and whole(folder .. "/graph-calendar-subset.csdl.xml"), folder and whole(folder .. "/graph-calendar.openapi3.json")
  if csdl then
    self.types, self.actions = read(csdl)
    self.loaded = true
  end
  if openapi then self.paths = read_paths(openapi) end
  return self
end

-- What the OpenAPI document says of a request; nil where it has no such address.
function Contract:operation(c)
  local parts = {}
  for part in c.path:gmatch "[^/]+" do parts[#parts + 1] = http_server.decode(part):lower() end
  for _, entry in ipairs(self.paths[#parts] or {}) do
    local fits = true
    -- `delta` is a function, never a key
    for i, part in ipairs(parts) do fits = fits and (entry.parts[i] == part or not entry.parts[i] and part ~= "delta") end
    if fits and entry.methods[c.method] then return entry.methods[c.method] end
  end
end

-- The document does not name every system option that the pages of documentation do, so only other parameters are held against it.
function Contract:check_operation(c, report)
  local operation = self:operation(c)
  for name in pairs(operation and c.query or {}) do
    if name:sub(1, 1) ~= "$" and not operation.parameters[name] then report("?" .. name, "the address has no parameter of this name") end
  end
end

function Contract:report(c, direction, where, message)
  if #self.violations >= 1000 then return end
  self.violations[#self.violations + 1] = {
    direction = direction, method = c.method, path = c.path, query = c.raw_query, where = where, message = message, request = c.ids and c.ids.request,
  }
end

---A handler that raised is a fault of the emulator.
function Contract:crashed(c, err) self:report(c, "emulator", "", tostring(err)) end

-- --- values -----------------------------------------------------------------------------------------------------------

local function text_like(pattern)
  return function(value) return type(value) == "string" and value:find(pattern) ~= nil end
end

local edm = {
  String = function(value) return type(value) == "string" end,
  Boolean = function(value) return type(value) == "boolean" end,
  Int32 = function(value) return math.type(value) == "integer" and value >= -2 ^ 31 and value < 2 ^ 31 end,
  Int64 = function(value) return math.type(value) == "integer" end,
  Double = function(value) return type(value) == "number" or value == "INF" or value == "-INF" or value == "NaN" end,
  DateTimeOffset = function(value)
    local localtime, offset = times.read(value)
    return localtime ~= nil and offset ~= nil and #value > 10
  end,
  Date = function(value) return type(value) == "string" and #value == 10 and times.read(value) ~= nil end,
  TimeOfDay = text_like "^[0-2]%d:[0-5]%d:[0-5]%d",
  Duration = function(value) return times.duration(value) ~= nil end,
  Guid = text_like("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-" .. ("%x"):rep(12) .. "$"),
  Binary = text_like "^[%w+/%-_]*=*$",
  Stream = function() return true end,
}

-- A property of a type or of what it is made from.
function Contract:property(name, property)
  local own = self.types[name]
  while own do
    if own.properties and own.properties[property] then return own.properties[property], own end
    own = own.base and self.types[own.base]
  end
end

function Contract:is_open(name)
  -- Outlook's items are open types, but what stands in them unasked-for is a mistake; extensions are there to be open.
  if name == "event" or name == "contact" then return false end
  local own = self.types[name]
  while own do
    if own.open then return true end
    own = own.base and self.types[own.base]
  end
  return false
end

local function shown(value)
  if type(value) == "table" then return "an object or array" end
  return ("%q"):format(tostring(value)):sub(1, 80)
end

-- Properties without which a value of a complex type says nothing: those that must not be null, where no default stands in for them.
local defaulted = { recurrencePattern = true, recurrenceRange = true }

function Contract:required(name)
  local own = self.types[name]
  if own.required then return own.required end
  own.required = {}
  for key, property in pairs(own.complex and not defaulted[name] and own.properties or {}) do
    if not property.nullable and not property.many then own.required[key] = name end
  end
  return own.required
end

function Contract:value(name, value, where, report)
  if name:find "^Edm%." then
    local check = edm[name:sub(5)]
    if check and not check(value) then report(where, ("%s is no %s"):format(shown(value), name)) end
    return
  end
  local own = self.types[name]
  if not own then return end
  if own.enum then
    for word in own.flags and type(value) == "string" and value:gmatch "[^,%s]+" or function(_, last) return not last and value or nil end do
      if not own.enum[word] then report(where, ("%s is no %s"):format(shown(word), name)) end
    end
    return
  end
  if type(value) ~= "table" then return report(where, ("%s is no %s"):format(shown(value), name)) end
  local stated = value["@odata.type"]
  if type(stated) == "string" and self.types[short(stated:gsub("^#", ""))] then name = short(stated:gsub("^#", "")) end
  for key, each in pairs(value) do
    if type(key) ~= "string" then
      report(where, "an object was expected")
      break
    end
    if not key:find("@", 1, true) then
      local property = self:property(name, key)
      if property then
        self:of(property, each, where .. "/" .. key, report)
      elseif not self:is_open(name) then
        report(where .. "/" .. key, ("%s has no property of this name"):format(name))
      end
    end
  end
  for key, property in pairs(self:required(name)) do
    if value[key] == nil then report(where .. "/" .. key, ("%s is required in %s"):format(key, property)) end
  end
  if name == "dateTimeTimeZone" and type(value.dateTime) == "string" then
    local localtime, offset = times.read(value.dateTime)
    if not localtime or offset then report(where .. "/dateTime", shown(value.dateTime) .. " is no date and time without offset") end
    if type(value.timeZone) == "string" and not times.zone(value.timeZone) then report(where .. "/timeZone", shown(value.timeZone) .. " is no time zone") end
  end
end

function Contract:of(property, value, where, report)
  if value == json.null then
    if not property.nullable or property.many then
      if not property.nullable then report(where, "must not be null") end
    end
    return
  end
  if not property.many then return self:value(property.type, value, where, report) end
  if type(value) ~= "table" or next(value) ~= nil and value[1] == nil then return report(where, "an array was expected") end
  for i, each in ipairs(value) do
    if each == json.null then
      report(where .. "/" .. i - 1, "must not be null")
    else
      self:value(property.type, each, where .. "/" .. i - 1, report)
    end
  end
end

-- --- requests and answers ---------------------------------------------------------------------------------------------

local function reporter(self, c, direction)
  return function(where, message) self:report(c, direction, where, message) end
end

local function check_selection(self, c, route, report)
  local element = type_of(route.gives or route.made or "")
  if not self.types[element] then return end
  for name in (c.query["$select"] or ""):gmatch "[^,%s]+" do
    local property = name:match "^[^/]+"
    if property ~= "*" and not self:property(element, property) then report("$select", ("%s has no property '%s'"):format(element, property)) end
  end
end

---@param c spec.graph.Call
---@param route table
function Contract:request(c, route)
  if not self.loaded then return end
  local report = reporter(self, c, "request")
  check_selection(self, c, route, report)
  self:check_operation(c, report)
  if type(c.body) ~= "table" or c.method == "GET" or c.method == "DELETE" then return end
  if route.action then
    local action = self.actions[route.action]
    if not action then return end
    for name, value in pairs(c.body) do
      local parameter = action.parameters[name:lower()]
      if not parameter then
        report("/" .. name, ("the action %s has no parameter of this name"):format(route.action))
      else
        self:of(parameter, value, "/" .. name, report)
      end
    end
  elseif route.takes then
    self:value(route.takes, c.body, "", report)
    if route.takes == "subscription" and c.method == "POST" then
      for name, property in pairs(self.types.subscription.properties) do
        if not property.nullable and c.body[name] == nil then report("/" .. name, "is required to subscribe") end
      end
    end
  end
end

---@param result {status:integer, body:any}
function Contract:response(c, route, result)
  if not self.loaded or type(result.body) ~= "table" or result.status >= 300 then return end
  local report = reporter(self, c, "response")
  local operation = self:operation(c)
  if operation and not operation.statuses[tostring(result.status)] and result.status ~= 200 then
    report("", ("%d is no documented status"):format(result.status))
  end
  local body = {}
  for name, value in pairs(result.body) do
    if not name:find("@", 1, true) then body[name] = value end
  end
  body["@odata.type"] = result.body["@odata.type"]
  local gives = c.method == "POST" and route.made or route.gives
  if route.action then gives = self.actions[route.action] and self.actions[route.action].parameters[true] end
  if not gives then return end
  local element, many = type_of(gives)
  if not many then return self:value(element, body, "", report) end
  if type(body.value) ~= "table" then return report("", "a collection has no value") end
  for i, each in ipairs(body.value) do
    if not each["@removed"] then
      self:value(element, each, "/value/" .. i - 1, report)
    elseif type(each.id) ~= "string" then
      report("/value/" .. i - 1, "what was removed has no id")
    end
  end
end

return M
