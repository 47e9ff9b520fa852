-- Errors as Google's services tell them. `fail` raises one; whoever runs a handler renders what was raised.
local json = require "lunation.json"

local failure = {}

---@class google.Failure
---@field status integer
---@field reason string
---@field message string
---@field rpc string? status of google.rpc
---@field headers table?

local Failure = {}
Failure.__index = Failure
Failure.__name = "google.Failure"
Failure.__tostring = function(self) return self.status .. " " .. self.reason .. ": " .. self.message end

local rpc_status = {
  [400] = "INVALID_ARGUMENT", [401] = "UNAUTHENTICATED", [403] = "PERMISSION_DENIED", [404] = "NOT_FOUND", [409] = "ALREADY_EXISTS",
  [410] = "FAILED_PRECONDITION", [412] = "FAILED_PRECONDITION", [429] = "RESOURCE_EXHAUSTED", [500] = "INTERNAL", [503] = "UNAVAILABLE",
  [504] = "DEADLINE_EXCEEDED",
}

-- The reason that goes with a status where none is named, and the words of it.
local usual = {
  [400] = "badRequest", [401] = "authError", [403] = "forbidden", [404] = "notFound", [409] = "duplicate", [410] = "deleted",
  [412] = "conditionNotMet", [429] = "rateLimitExceeded", [500] = "backendError", [502] = "backendError", [503] = "backendError",
  [504] = "backendError",
}
local words = {
  authError = "Invalid Credentials", notFound = "Not Found", duplicate = "The requested identifier already exists.",
  deleted = "Resource has been deleted", conditionNotMet = "Precondition Failed", rateLimitExceeded = "Rate Limit Exceeded",
  userRateLimitExceeded = "User Rate Limit Exceeded", quotaExceeded = "Calendar usage limits exceeded.",
  calendarUsageLimitsExceeded = "Calendar usage limits exceeded.", backendError = "Backend Error",
  forbiddenForNonOrganizer = "Shared properties can only be changed by the organizer of the event.",
  fullSyncRequired = "Sync token is no longer valid, a full sync is required.",
  updatedMinTooLongAgo = "The requested minimum modification time lies too far in the past.",
  insufficientPermissions = "Request had insufficient authentication scopes.", dailyLimitExceeded = "Daily Limit Exceeded",
  requiredAccessLevel = "You need to have writer access to this calendar.", forbidden = "Forbidden",
  variableTermLimitExceeded = "Calendar usage limits exceeded.",
}
local domains = {
  rateLimitExceeded = "usageLimits", userRateLimitExceeded = "usageLimits", quotaExceeded = "usageLimits", dailyLimitExceeded = "usageLimits",
  calendarUsageLimitsExceeded = "usageLimits", variableTermLimitExceeded = "usageLimits", conditionNotMet = "global",
  fullSyncRequired = "calendar", updatedMinTooLongAgo = "calendar", forbiddenForNonOrganizer = "calendar", timeRangeEmpty = "calendar",
  requiredAccessLevel = "calendar", eventTypeRestriction = "calendar", cannotChangeOrganizer = "calendar", malformedRequest = "calendar",
}

--- An error of a service.
---@param status integer
---@param reason string?
---@param message string?
---@param more {location: string?, locationType: string?, headers: table?, rpc: string?, details: table?, domain: string?}?
---@return google.Failure
function failure.new(status, reason, message, more)
  reason = reason or usual[status] or "backendError"
  local self = {
    status = status, reason = reason, message = message or words[reason] or reason, domain = domains[reason] or "global", rpc = rpc_status[status],
  }
  for name, value in pairs(more or {}) do self[name] = value end
  return setmetatable(self, Failure)
end

--- Raises it.
function failure.fail(...)
  error(failure.new(...), 0)
end

---@param value any
---@return boolean
function failure.is(value)
  return getmetatable(value) == Failure
end

local function legacy(self)
  local item = { domain = self.domain, reason = self.reason, message = self.message }
  item.location, item.locationType = self.location, self.locationType
  if self.status == 401 then item.locationType, item.location = "header", "Authorization" end
  if self.status == 412 then item.locationType, item.location = "header", "If-Match" end
  return { error = { code = self.status, message = self.message, errors = { item } } }
end

-- The services made later say it in google.rpc's way (an ErrorInfo names the reason).
local function rpc(self)
  local details = self.details
  if not details and self.info then
    details = { { ["@type"] = "type.googleapis.com/google.rpc.ErrorInfo", reason = self.info, domain = "googleapis.com" } }
  end
  return { error = { code = self.status, message = self.message, status = self.rpc or "UNKNOWN", details = details } }
end

--- As a response; `service` chooses the shape.
---@param self google.Failure
---@param service "calendar"|"people"|"directory"|"oauth"|nil
---@return lunation.Response
function failure.render(self, service)
  local headers = { ["content-type"] = "application/json; charset=UTF-8" }
  for name, value in pairs(self.headers or {}) do headers[name] = value end
  if self.status == 401 then headers["www-authenticate"] = 'Bearer realm="https://accounts.google.com/", error="invalid_token"' end
  if service == "oauth" then
    return { status = self.status, headers = headers, body = json.encode { error = self.reason, error_description = self.message } }
  end
  local body = service == "people" and rpc(self) or legacy(self)
  if self.reason == "insufficientPermissions" then
    body.error.status = "PERMISSION_DENIED"
    body.error.details = { {
      ["@type"] = "type.googleapis.com/google.rpc.ErrorInfo", reason = "ACCESS_TOKEN_SCOPE_INSUFFICIENT", domain = "googleapis.com",
    } }
    headers["www-authenticate"] = 'Bearer realm="https://accounts.google.com/", error="insufficient_scope"'
  end
  return { status = self.status, headers = headers, body = json.encode(body) }
end

return failure
