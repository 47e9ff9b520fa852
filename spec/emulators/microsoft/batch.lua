-- $batch: up to twenty requests in one, each with its own status and headers; dependsOn orders them.
local answer = require "spec.emulators.microsoft.answer"
local json = require "lunation.json"

local M = {}

local methods = { GET = true, POST = true, PATCH = true, PUT = true, DELETE = true }

local function check(list)
  if type(list) ~= "table" or #list == 0 then answer.fail(400, "BadRequest", "Invalid batch payload format.") end
  if #list > 20 then answer.fail(400, "BadRequest", "Number of batch requests exceeds the maximum of 20.") end
  local ids = {}
  for _, each in ipairs(list) do
    if type(each) ~= "table" or type(each.id) ~= "string" or not methods[type(each.method) == "string" and each.method:upper()]
      or type(each.url) ~= "string" then
      answer.fail(400, "BadRequest", "Each request of a batch needs an id, a method and a url.")
    end
    if ids[each.id] then answer.fail(400, "BadRequest", ("The request id '%s' is there twice."):format(each.id)) end
    if each.body ~= nil and each.body ~= json.null then
      local kind
      for name, value in pairs(each.headers or {}) do kind = kind or name:lower() == "content-type" and value end
      if not kind then answer.fail(400, "BadRequest", ("Write request id : %s does not contain Content-Type header or body."):format(each.id)) end
    end
    ids[each.id] = true
  end
  local seen = {}
  for _, each in ipairs(list) do
    for _, id in ipairs(answer.given(each.dependsOn) or {}) do
      if not seen[id] then answer.fail(400, "BadRequest", ("The request '%s' depends on '%s', which is not before it."):format(each.id, tostring(id))) end
    end
    seen[each.id] = true
  end
end

local function inner(c, each)
  local path, query = each.url:match "^([^?]*)%??(.*)$"
  local headers = {}
  for name, value in pairs(answer.given(each.headers) or {}) do headers[name:lower()] = tostring(value) end
  headers["authorization"] = headers["authorization"] or c.headers["authorization"]
  local result = c.service:graph({
    method = each.method:upper(), path = "/v1.0" .. (path:sub(1, 1) == "/" and "" or "/") .. path, query = query, headers = headers,
    body = answer.given(each.body) or "", base = c.base,
  }, true)
  local shown = { ["Content-Type"] = result.body ~= nil and "application/json" or nil }
  local names = {
    ["retry-after"] = "Retry-After", ["location"] = "Location", ["preference-applied"] = "Preference-Applied", ["request-id"] = "request-id",
    ["client-request-id"] = "client-request-id",
  }
  for name, as in pairs(names) do shown[as] = result.headers[name] end
  local body = result.body
  if result.raw then body = require("lunation.crypto").base64(body) end
  return { id = each.id, status = result.status, headers = shown, body = body }
end

local function batch(c)
  check(c.body.requests)
  local out, failed = json.array {}, {}
  for _, each in ipairs(c.body.requests) do
    local blocked = false
    for _, id in ipairs(answer.given(each.dependsOn) or {}) do blocked = blocked or failed[id] end
    local result
    if blocked then
      result = { id = each.id, status = 424, headers = json.object {}, body = { error = {
        code = "FailedDependency", message = "The request was not run because a request it depends on failed.",
      } } }
    else
      result = inner(c, each)
    end
    failed[each.id] = result.status >= 400
    out[#out + 1] = result
  end
  return { responses = out }
end

---@param routes table<string, table>
function M.routes(routes)
  routes["$batch"] = { POST = batch, unlimited = true }
end

return M
