--- The door of the dialect: who asks, with what, and how answers leave.

local caller = require "lunation.api.caller"
local errors = require "lunation.errors"
local failure = require "lunation.api.connect.failure"
local form = require "lunation.oauth.form"
local json = require "lunation.json"
local shape = require "lunation.api.connect.shape"

local access = {}

local function is_text(value) return type(value) == "string" or type(value) == "userdata" end

---@param value any encodable, or JSON as a string or a text (lunation.Text)
---@param headers table|nil
---@return table response
function access.answer(value, headers)
  headers = headers or {}
  headers["content-type"] = "application/json"
  headers["cache-control"] = headers["cache-control"] or "no-store"
  return { status = 200, headers = headers, body = is_text(value) and value or json.encode(value, { sorted = true, utf8 = "replace" }) }
end

---The body of a request as an object. Clients declare JSON on every call, with and without a body.
---@param req table
---@return table|nil fields
---@return lunation.Error|nil
function access.body(req)
  local text = req.body
  if text == nil or text:find("^%s*$") then return {} end
  -- What begins like an object is one: tools call JSON a form when nobody tells them otherwise.
  local declared = (req:header "content-type" or ""):lower()
  if declared:find("application/x-www-form-urlencoded", 1, true) and not text:find("^%s*{") then
    local fields = form.decode(text)
    for name, value in pairs(fields) do
      if not utf8.len(name) or not utf8.len(value) then
        return nil, errors.new("invalid_request", "The form is not valid UTF-8", { field = "body" })
      end
    end
    return fields
  end
  local value, err = json.decode(text)
  if err then
    return nil, errors.new("invalid_request", "The body is not valid JSON: " .. tostring(err.message or err),
      { field = "body", line = err.line, column = err.column })
  end
  if not shape.is_object(value) then return nil, errors.new("invalid_request", "The body is not a JSON object", { field = "body" }) end
  return value
end

---A parameter of the query; empty counts as absent.
---@param req table
---@param name string
---@return string|nil value
---@return lunation.Error|nil
function access.argument(req, name)
  local value = req:arg(name)
  if value == nil or value == "" then return nil end
  if not utf8.len(value) then return nil, errors.new("invalid_request", name .. " is not valid UTF-8", { field = name }) end
  return value
end

---Query and body together, for the calls that are made both ways; the body wins.
---@param req table
---@param names string[]
---@return table|nil fields
---@return lunation.Error|nil
function access.either(req, names)
  local body, err = access.body(req)
  if not body then return nil, err end
  for _, name in ipairs(names) do
    if shape.given(body, name) == nil then
      body[name], err = access.argument(req, name)
      if err then return nil, err end
    end
  end
  return body
end

---A handler for whoever has a token.
---@param engine table
---@param needs "free-busy"|"read"|"read-write" the least scope
---@param handler fun(engine: table, req: table, who: lunation.identity): table|nil, lunation.Error|nil
---@return fun(req: table): table
function access.token(engine, needs, handler)
  return function(req)
    local who, err = caller.identity(engine, req)
    if who and not caller.allows(who, needs) then
      -- The contract answers a write with a narrower token by 401.
      who, err = nil, errors.new("insufficient_scope", "Write access denied for current scope", { status = 401 })
    end
    if not who then return failure.response(req, err) end
    local response
    response, err = handler(engine, req, who)
    if not response then return failure.response(req, err) end
    return response
  end
end

return access
