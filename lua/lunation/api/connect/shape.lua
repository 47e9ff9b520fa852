--- What kind of JSON value a decoded table is.

local json = require "lunation.json"

local shape = {}

local ARRAY = getmetatable(json.array {})

---@param value any
---@return boolean
function shape.is_array(value)
  return type(value) == "table" and getmetatable(value) == ARRAY
end

---@param value any
---@return boolean
function shape.is_object(value)
  return type(value) == "table" and value ~= json.null and getmetatable(value) ~= ARRAY
end

---The value of a field; null says as little as an absent one.
---@param body table
---@param name string
---@return any
function shape.given(body, name)
  local value = body[name]
  if value == json.null then return nil end
  return value
end

return shape
