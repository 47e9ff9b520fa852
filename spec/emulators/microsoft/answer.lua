-- Answers of Graph: errors in its shape, raised where they are found and rendered in one place; etags; addresses.
local json = require "lunation.json"

local M = {}

---@class spec.graph.Failure what `fail` raises
---@field status integer
---@field code string Graph's own
---@field message string
---@field headers table?

local Failure = {}
Failure.__index = Failure
Failure.__tostring = function(self) return ("%d %s: %s"):format(self.status, self.code, self.message) end

---Ends the request.
---@param status integer
---@param code string
---@param message string?
---@param headers table?
function M.fail(status, code, message, headers)
  error(setmetatable({ status = status, code = code, message = message or code, headers = headers }, Failure), 0)
end

---@param value any
---@return boolean
function M.is_failure(value) return getmetatable(value) == Failure end

function M.missing(what)
  M.fail(404, "ErrorItemNotFound", what or "The specified object was not found in the store.")
end

function M.refuse(message) M.fail(400, "ErrorInvalidRequest", message or "Your request can't be completed.") end

function M.invalid(message) M.fail(400, "ErrorPropertyValidationFailure", message or "At least one property failed validation.") end

---The body of an error.
---@param failure {code:string, message:string}
---@param ids {date:string, request:string, client:string}
---@return table
function M.error_body(failure, ids)
  return { error = {
    code = failure.code, message = failure.message,
    innerError = { date = ids.date, ["request-id"] = ids.request, ["client-request-id"] = ids.client },
  } }
end

---Percent-encodes as an address in an answer has it.
---@param text string
---@return string
function M.escape(text)
  return (text:gsub("[^%w%-%._~]", function(char) return ("%%%02X"):format(char:byte()) end))
end

---@param key string
---@return string
function M.etag(key) return 'W/"' .. key .. '"' end

---Refuses a write whose If-Match, or changeKey in the body, is not that of the entity.
---@param c spec.graph.Call
---@param key string the entity's change key
function M.precondition(c, key)
  local given = c.headers["if-match"]
  local matches = not given or given == "*"
  if given and not matches then
    for tag in given:gmatch('"([^"]*)"') do matches = matches or tag == key end
  end
  local written = type(c.body) == "table" and c.body.changeKey
  if not matches or type(written) == "string" and written ~= key then
    M.fail(412, "ErrorIrresolvableConflict",
      "The send or update operation could not be performed because the change key passed in the request does not match the current change key for the item.")
  end
end

---A copy that shares nothing with the original.
function M.copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = M.copy(v) end
  return setmetatable(out, getmetatable(value))
end

M.null = json.null

function M.or_null(value)
  if value == nil then return json.null end
  return value
end

---nil where JSON says null.
function M.given(value)
  if value == json.null then return nil end
  return value
end

return M
