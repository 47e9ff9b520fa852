-- What Graph has no word for is kept with the event in two named properties of lunation's own (singleValueExtendedProperties):
-- one is the UID that the event was made with, by which it is found again; the other is a JSON object. They are written in the
-- same request as the event itself, so that one ETag guards both; open extensions would each need a request of their own.
-- Properties of other programs are never touched.
local json = require "lunation.json"
local mapping = require "lunation.mapping"

local M = {}

local SET = "String {3d4c2f1e-6b0a-4f57-9c1d-8e2a7b5c9f10} Name "

M.UID = SET .. "lunationUid"
M.DATA = SET .. "lunation"

---The query that asks for them.
M.expand = ("singleValueExtendedProperties($filter=id eq '%s' or id eq '%s')"):format(M.UID, M.DATA)

---The filter that finds the event of a UID.
---@param uid string
---@return string
function M.filter(uid)
  return ("singleValueExtendedProperties/Any(ep: ep/id eq '%s' and ep/value eq '%s')"):format(M.UID, (uid:gsub("'", "''")))
end

local function find(native, id)
  local list = native.singleValueExtendedProperties
  if type(list) ~= "table" then return nil end
  for index, item in ipairs(list) do
    if type(item) == "table" and (item.id == id or type(item.id) == "string" and #item.id == #id and item.id:lower() == id:lower()) then
      return item, index
    end
  end
end

---@param native table event
---@param id string
---@return string? value
function M.get(native, id)
  local item = find(native, id)
  return item and type(item.value) == "string" and item.value or nil
end

---@param native table changed in place
---@param id string
---@param value string
function M.set(native, id, value)
  local item = find(native, id)
  if item then
    item.value = value
    return
  end
  local list = type(native.singleValueExtendedProperties) == "table" and native.singleValueExtendedProperties or json.array {}
  list[#list + 1] = { id = id, value = value }
  native.singleValueExtendedProperties = list
end

local function decode(text)
  local data = text and json.decode(text)
  return type(data) == "table" and data or {}
end

---The object that lunation keeps with an event, to be read only.
---@param native table
---@param context table? of the reading of one event, of which several fields are made of it
---@return table
function M.data(native, context)
  if context and context.data_of == native then return context.data end
  local data = decode(M.get(native, M.DATA))
  if context then context.data_of, context.data = native, data end
  return data
end

---@param native table changed in place
---@param name string
---@param value any nil takes it away
function M.keep(native, name, value)
  local data = decode(M.get(native, M.DATA))
  if mapping.equal(data[name], value) then return end
  data[name] = value
  M.set(native, M.DATA, json.encode(next(data) and data or json.object {}, { sorted = true }))
end

-- An exception begins with a copy of what its series has, or shares it, as Outlook pleases. What is its own says so, and names only
-- what differs.
local OWN = "instance"

---Gives an instance what is kept with its series and, over it, what is its own.
---@param instance table changed in place
---@param master table
---@param exception table as Graph has it
function M.inherit(instance, master, exception)
  local data, own = mapping.copy(decode(M.get(master, M.DATA))), decode(M.get(exception, M.DATA))
  if own[OWN] == true then
    for name, value in pairs(own) do
      if value == json.null then data[name] = nil elseif name ~= OWN then data[name] = value end
    end
  end
  local list = exception.singleValueExtendedProperties
  instance.singleValueExtendedProperties = type(list) == "table" and mapping.copy(list) or nil
  if next(data) or M.get(instance, M.DATA) then
    M.set(instance, M.DATA, json.encode(next(data) and data or json.object {}, { sorted = true }))
  end
end

---What an instance keeps that differs from its series, as a property of its own.
---@param instance table with all that is kept, changed in place
---@param master table
function M.disinherit(instance, master)
  local data, own = decode(M.get(instance, M.DATA)), { [OWN] = true }
  local series = decode(M.get(master, M.DATA))
  for name, value in pairs(data) do
    if not mapping.equal(value, series[name]) then own[name] = value end
  end
  for name in pairs(series) do
    if data[name] == nil then own[name] = json.null end
  end
  M.set(instance, M.DATA, json.encode(own, { sorted = true }))
end

---A canonical field that is kept there.
---@param name string
---@return lunation.mapping.Entry
function M.kept(name)
  return mapping.entry {
    read = function(native, context) return mapping.copy(M.data(native, context)[name]) end,
    write = function(native, value)
      M.keep(native, name, value)
      return true
    end,
  }
end

---The UID: the one the event was made with here, else Outlook's own.
M.uid = mapping.entry {
  read = function(native)
    local uid = M.get(native, M.UID) or native.iCalUId
    return type(uid) == "string" and uid or nil
  end,
  write = function(native, value)
    if value and value ~= native.iCalUId then M.set(native, M.UID, value) end
    return true
  end,
}

return M
