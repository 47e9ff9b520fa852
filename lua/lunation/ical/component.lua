-- Reading and changing nodes of an iCalendar tree: what lunation.ical.tree makes of a text.
local M = {}

---@param name string
---@param value string raw value
---@param params table? array of {name=, values…}, or a map from name to value
---@return lunation.ical.Property
function M.property(name, value, params)
  local list = {}
  if params then
    if params[1] then
      list = params
    else
      local names = {}
      for key in pairs(params) do names[#names + 1] = key end
      table.sort(names)
      for _, key in ipairs(names) do
        local v = params[key]
        list[#list + 1] = type(v) == "table" and { name = key, table.unpack(v) } or { name = key, v }
      end
    end
  end
  return { name = name, params = list, value = value }
end

---@param name string
---@return lunation.ical.Component
function M.new(name)
  return { name = name, properties = {}, components = {} }
end

-- The properties that were looked over last, by name: reading an event asks for dozens, most of which it does not have.
local properties, count, first, others

---Looks a component over, for what is asked of it until the next one. It must not change meanwhile.
---@param node lunation.ical.Component? nil: nothing is remembered
---@return table<string, lunation.ical.Property>? present what it has, by name
function M.look(node)
  properties, first, others = nil, nil, nil
  if not node then return nil end
  properties, count, first = node.properties, #node.properties, {}
  for i = 1, count do
    local p = properties[i]
    local name = p.name
    if not first[name] then
      first[name] = p
    else
      others = others or {}
      local list = others[name]
      if list then list[#list + 1] = p else others[name] = { p } end
    end
  end
  return first
end

---@param node lunation.ical.Component
---@param name string upper case
---@return lunation.ical.Property? first one of that name
---@return integer? index where the component is not one that was looked over
function M.find(node, name)
  if node.properties == properties and #properties == count then return first[name] end
  for i, p in ipairs(node.properties) do
    if p.name == name then return p, i end
  end
end

---@param node lunation.ical.Component
---@param name string upper case
---@return lunation.ical.Property[]
function M.all(node, name)
  if node.properties == properties and #properties == count then
    local p = first[name]
    local more = p and others and others[name]
    return more and { p, table.unpack(more) } or { p }
  end
  local found = {}
  for _, p in ipairs(node.properties) do
    if p.name == name then found[#found + 1] = p end
  end
  return found
end

---@param node lunation.ical.Component
---@param name string
---@return string? raw value of the first property of that name
function M.value(node, name)
  local p = M.find(node, name)
  return p and p.value
end

---@param property lunation.ical.Property
---@param name string upper case
---@return string? first value of the parameter
---@return lunation.ical.Parameter? parameter
function M.param(property, name)
  for _, p in ipairs(property.params) do
    if p.name == name then return p[1], p end
  end
end

---Sets, replaces or (with nil) removes a parameter; the others keep their place.
---@param property lunation.ical.Property
---@param name string
---@param value string|string[]|nil
function M.set_param(property, name, value)
  for i, p in ipairs(property.params) do
    if p.name == name then
      if value == nil then
        table.remove(property.params, i)
      else
        property.params[i] = type(value) == "table" and { name = name, table.unpack(value) } or { name = name, value }
      end
      return
    end
  end
  if value ~= nil then
    property.params[#property.params + 1] = type(value) == "table" and { name = name, table.unpack(value) } or { name = name, value }
  end
end

---Removes every property for which `test` holds (or that has this name).
---@param node lunation.ical.Component
---@param test string|fun(property: lunation.ical.Property): boolean
---@return integer count
function M.remove(node, test)
  if type(test) == "string" and not M.find(node, test) then return 0 end
  local kept, removed = {}, 0
  for _, p in ipairs(node.properties) do
    local drop
    if type(test) == "string" then drop = p.name == test else drop = test(p) end
    if drop then removed = removed + 1 else kept[#kept + 1] = p end
  end
  node.properties = kept
  return removed
end

---Replaces the value of the first property of that name and leaves its parameters, or adds the property.
---@param node lunation.ical.Component
---@param name string
---@param value string? raw; nil removes every property of the name
---@param params table? replaces the parameters where given
---@return lunation.ical.Property?
function M.set(node, name, value, params)
  if value == nil then
    M.remove(node, name)
    return nil
  end
  local p = M.find(node, name)
  if p then
    p.value = value
    if params then p.params = M.property(name, value, params).params end
    return p
  end
  return M.add(node, M.property(name, value, params))
end

---Appends a property, beside others of its name where there are any.
---@param node lunation.ical.Component
---@param property lunation.ical.Property
---@return lunation.ical.Property
function M.add(node, property)
  local at
  for i, p in ipairs(node.properties) do
    if p.name == property.name then at = i end
  end
  table.insert(node.properties, (at or #node.properties) + 1, property)
  return property
end

---@param node lunation.ical.Component
---@param name string upper case
---@return lunation.ical.Component[] children of that name
function M.children(node, name)
  local found = {}
  for _, c in ipairs(node.components or {}) do
    if c.name == name then found[#found + 1] = c end
  end
  return found
end

---@generic T
---@param value T
---@return T copy, all the way down
function M.copy(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for k, v in pairs(value) do copy[k] = M.copy(v) end
  return setmetatable(copy, getmetatable(value))
end

return M
