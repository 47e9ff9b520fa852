-- What goes wrong on demand: POST /_emulator/faults with an array of { match={method=,path=}, times=n, fault=…, … }.
--
-- Patterns are Lua's; match also takes query= and user=. `times` -1 is for ever; `after` lets so many pass first.
--   before the answer: status (status, code, message, retry_after; done=true: after the request was carried out), slow (seconds)
--   with the answer:   cut (carried out, the answer ends in the middle), not_json, missing_field (field), impossible_date, unknown_enum (field,
--                      value), wrong_type, huge (bytes), empty_page, repeat, endless (the next link is this page)
--   the token endpoint: invalid_grant (code), rotate_refresh (the refresh token that was used is dead); authorize: consent_denied,
--                      partial_consent (scopes)
--   notifications:     drop_notification, duplicate_notification, expire_subscription (it ends instead of being told)
local answer = require "spec.emulators.microsoft.answer"
local json = require "lunation.json"
local timer = require "lunation.timer"

local M = {}

local codes = {
  [400] = "BadRequest", [401] = "InvalidAuthenticationToken", [403] = "ErrorAccessDenied", [404] = "ErrorItemNotFound", [409] = "ErrorIrresolvableConflict",
  [410] = "SyncStateNotFound", [412] = "ErrorIrresolvableConflict", [413] = "RequestEntityTooLarge", [423] = "ErrorFolderSavePropertyError",
  [429] = "ApplicationThrottled", [500] = "InternalServerError", [502] = "BadGateway", [503] = "ServiceUnavailable", [504] = "GatewayTimeout",
  [507] = "ErrorQuotaExceeded", [509] = "BandwidthLimitExceeded",
}

local early = { status = true, slow = true }
local identity = { invalid_grant = "token", rotate_refresh = "token", consent_denied = "authorize", partial_consent = "authorize" }
local notices = { drop_notification = true, duplicate_notification = true, expire_subscription = true }

local Faults = {}
Faults.__index = Faults

function M.new()
  return setmetatable({ list = {} }, Faults)
end

---@param given table[]
function Faults:add(given)
  if given.fault or given.status then given = { given } end
  for _, fault in ipairs(given) do
    fault.fault = fault.fault or "status"
    if not early[fault.fault] and not identity[fault.fault] and not notices[fault.fault] and not M.changes[fault.fault] then
      return nil, "there is no fault `" .. tostring(fault.fault) .. "`"
    end
    fault.times, fault.skip, fault.match = fault.times or 1, fault.after or 0, fault.match or {}
    self.list[#self.list + 1] = fault
  end
  return true
end

-- The first fault that `wanted` takes and a request meets, used once.
local function take(self, wanted, request)
  for i, fault in ipairs(self.list) do
    local match = fault.match
    local fits = wanted(fault) and (not match.method or match.method == request.method) and (not match.path or request.path:find(match.path))
      and (not match.query or (request.raw_query or request.query or ""):find(match.query))
      and (not match.user or request.user and request.user.email == match.user)
    if fits and fault.skip > 0 then
      fault.skip, fits = fault.skip - 1, false
    end
    if fits then
      fault.times = fault.times - 1
      if fault.times == 0 then table.remove(self.list, i) end
      return fault
    end
  end
end

local function is_early(fault) return early[fault.fault] and not fault.done end
local function is_late(fault) return M.changes[fault.fault] or fault.fault == "status" and fault.done end

-- A body that breaks off: the server notices the error and closes the connection.
local function cut_off(result)
  local text = result.body and (result.raw and result.body or json.encode(result.body, { sorted = true, utf8 = "replace" })) or "{"
  result.headers["content-type"] = "application/json"
  result.response = { status = result.status, headers = result.headers, body = function(write)
    write(text:sub(1, math.max(1, #text // 2)))
    error({ code = "cut", message = "the answer was cut off as asked" }, 0)
  end }
end

local function status_failure(fault)
  local headers = {}
  if fault.retry_after ~= nil and fault.retry_after ~= json.null then headers["retry-after"] = tostring(fault.retry_after) end
  answer.fail(fault.status, fault.code or fault.reason or codes[fault.status] or "UnknownError", fault.message or "A fault was asked for.", headers)
end

---Before a request is looked at, alone or in a batch.
---@param c spec.graph.Call
function Faults:before(c)
  local fault = take(self, is_early, c)
  if not fault then return end
  if fault.fault == "status" then status_failure(fault) end
  timer.sleep(fault.seconds or 1)
  self:before(c)
end

---@return boolean path is the identity platform's
function M.is_oauth(path) return path:find "/oauth2/v2%.0/" ~= nil end

---What is to happen to a request of the identity platform.
---@return lunation.Response? instead of the platform's
---@return table? fault for the platform to mind
function Faults:oauth(req, oauth)
  local endpoint = req.path:match "[^/]*$"
  local fault = take(self, function(each) return is_early(each) or identity[each.fault] == endpoint end, req)
  if not fault then return nil end
  if fault.fault == "slow" then
    timer.sleep(fault.seconds or 1)
    return self:oauth(req, oauth)
  end
  if fault.fault == "invalid_grant" then
    return oauth:failure(400, "invalid_grant", fault.code or 50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed.")
  end
  if fault.fault ~= "status" then return nil, fault end
  local headers = fault.retry_after and { ["retry-after"] = tostring(fault.retry_after) } or nil
  local name = fault.code or fault.reason or (fault.status >= 500 and "temporarily_unavailable" or "invalid_request")
  return oauth:failure(fault.status, name, 90033, "A transient error has occurred. Please try again.", headers)
end

---What is to happen to a notification.
---@param user spec.graph.User
---@return string? fault
function Faults:notice(user)
  local fault = take(self, function(fault) return notices[fault.fault] end, { method = "POST", path = "", user = user })
  return fault and fault.fault
end

local function first(body)
  return type(body) == "table" and (body.value and body.value[1] or body.id and body) or nil
end

-- Each changes an answer; what it gives back stands in its place.
M.changes = {
  cut = cut_off,
  not_json = function(result)
    result.headers["content-type"] = "text/html"
    result.body, result.raw = "<!DOCTYPE html><html><body><h1>Service unavailable</h1></body></html>", true
  end,
  missing_field = function(result, fault)
    local entity = first(result.body)
    if entity then entity[fault.field or "id"] = nil end
  end,
  impossible_date = function(result)
    local entity = first(result.body)
    if entity and entity.start then entity.start.dateTime = "2025-02-30T25:61:00.0000000" end
  end,
  unknown_enum = function(result, fault)
    local entity = first(result.body)
    if entity then entity[fault.field or "showAs"] = fault.value or "quantum" end
  end,
  wrong_type = function(result, fault)
    local entity = first(result.body)
    if entity then entity[fault.field or "subject"] = { unexpected = true } end
  end,
  empty_page = function(result, _, address)
    if type(result.body) ~= "table" or not result.body.value then return end
    result.body.value, result.body["@odata.deltaLink"] = json.array {}, nil
    result.body["@odata.nextLink"] = address
  end,
  ["repeat"] = function(result)
    local entity = first(result.body)
    if entity and result.body.value then table.insert(result.body.value, answer.copy(entity)) end
  end,
  endless = function(result, _, address)
    if type(result.body) ~= "table" or not result.body.value then return end
    result.body["@odata.deltaLink"], result.body["@odata.nextLink"] = nil, address
  end,
  huge = function(result, fault)
    local size = fault.bytes or 50 * 1024 * 1024
    result.response = { status = 200, headers = { ["content-type"] = "application/json" }, body = function(write)
      write '{"value":[{"id":"AAMkHuge","subject":"'
      local piece = ("lunation "):rep(7282)
      for _ = 1, size // #piece + 1 do write(piece) end
      write '"}]}'
    end }
  end,
}

---After a request was answered.
function Faults:after(result)
  local c = result.call
  if not c or result.status >= 400 then return result end
  local fault = take(self, is_late, c)
  if not fault then return result end
  if fault.fault ~= "status" then
    M.changes[fault.fault](result, fault, c.base .. c.path .. (c.raw_query ~= "" and "?" .. c.raw_query or ""))
    return result
  end
  local ok, failure = pcall(status_failure, fault)
  result.status, result.raw, result.body = failure.status, nil, answer.error_body(failure, c.ids)
  for name, value in pairs(not ok and failure.headers or {}) do result.headers[name] = value end
  return result
end

return M
