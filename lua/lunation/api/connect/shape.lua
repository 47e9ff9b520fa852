--- What kind of JSON value a decoded table is.

local json = require "lunation.json"

local shape = {}

---@param value any
---@return boolean
function shape.is_array(value)
  return json.is_array(value)
end

---@param value any
---@return boolean
function shape.is_object(value)
  return type(value) == "table" and not json.is_array(value)
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
