-- What Google's answers mean where they are no success: calendar's errors name a reason (domain global, usageLimits, calendar),
-- those of People and Directory also a status and an ErrorInfo.
local errors = require "lunation.errors"
local http = require "lunation.http"
local json = require "lunation.json"

local M = {}

---@class google.Failure
---@field code string of lunation.errors
---@field message string for people
---@field reason string? Google's own word
---@field retry boolean may be sent again after a while
---@field retry_after number? seconds

-- The reasons that decide, whatever the status says beside them.
local reasons = {
  -- Too fast: the same request will do later.
  rateLimitExceeded = { "rate_limited", retry = true },
  userRateLimitExceeded = { "rate_limited", retry = true },
  quotaExceeded = { "rate_limited", retry = true },
  RATE_LIMIT_EXCEEDED = { "rate_limited", retry = true },
  -- Too much: no hurry helps.
  calendarUsageLimitsExceeded = { "rate_limited", "The calendar has reached a limit of Google's; it takes no more changes for some hours.", wait = 3600 },
  dailyLimitExceeded = { "rate_limited", "The daily quota of this application at Google is used up.", wait = 3600 },
  -- Not allowed, by anybody or by this account.
  forbiddenForNonOrganizer = { "forbidden", "Only the organizer may change this of an event." },
  requiredAccessLevel = { "forbidden", "The account may not do this in the calendar." },
  insufficientPermissions = { "forbidden", "The account has not granted the permission that this needs." },
  ACCESS_TOKEN_SCOPE_INSUFFICIENT = { "forbidden", "The account has not granted the permission that this needs." },
  accessNotConfigured = { "forbidden", "This API is not enabled for the application at Google." },
  SERVICE_DISABLED = { "forbidden", "This API is not enabled for the application at Google." },
  domainPolicy = { "forbidden", "The organization's administrator does not allow this." },
  notACalendarUser = { "forbidden", "The account does not use Google Calendar." },
  -- Things that were, or are, there.
  duplicate = { "conflict", "There is already one with this id." },
  deleted = { "gone", "It has been deleted." },
  fullSyncRequired = { "gone", "The sync token is no longer good." },
  updatedMinTooLongAgo = { "gone", "The sync token is no longer good." },
  EXPIRED_SYNC_TOKEN = { "gone", "The sync token is no longer good." },
  conditionNotMet = { "precondition_failed", "It was changed in the meantime." },
  failedPrecondition = { "precondition_failed", "It was changed in the meantime." },
  authError = { "unauthorized", "Google does not accept the access token." },
  -- Google's own trouble.
  backendError = { "provider_error", retry = true },
  internalError = { "provider_error", retry = true },
}

local statuses = {
  [400] = { "invalid_request" },
  [401] = { "unauthorized", "Google does not accept the access token." },
  [403] = { "forbidden", "Google does not allow this." },
  [404] = { "not_found", "Google knows no such thing." },
  [408] = { "provider_error", retry = true },
  [409] = { "conflict", "There is already one with this id." },
  [410] = { "gone", "It has been deleted." },
  [412] = { "precondition_failed", "It was changed in the meantime." },
  [413] = { "too_large", "It is larger than Google takes." },
  [429] = { "rate_limited", retry = true },
}

-- The words of an error body: reason, message, location.
local function read(body)
  local answer = type(body) == "string" and json.decode(body)
  local said = type(answer) == "table" and answer.error
  if type(said) ~= "table" then
    -- The token endpoint's form, which some refusals have too.
    local description = type(answer) == "table" and answer.error_description
    return nil, type(description) == "string" and description or nil
  end
  local first = type(said.errors) == "table" and said.errors[1]
  local reason = type(first) == "table" and first.reason
  for _, detail in ipairs(type(said.details) == "table" and said.details or {}) do
    if type(detail) == "table" and type(detail.reason) == "string" then reason = detail.reason end
  end
  if not reason and said.status == "FAILED_PRECONDITION" then reason = "failedPrecondition" end
  return type(reason) == "string" and reason or nil, type(said.message) == "string" and said.message or nil
end

---What an answer means where it is no success. Pure.
---@param response { status: integer, headers: table<string, string>?, body: string? }
---@return google.Failure? nil: it is a success
function M.classify(response)
  local status = response.status
  if status < 400 then return nil end
  local reason, said = read(response.body)
  -- A full listing that Google asks for ("invalid" token) is told by the caller, who knows whether it sent one.
  local kind = reasons[reason] or statuses[status] or { "provider_error", retry = status >= 500 }
  local message = kind[2] or said or ("Google answered %d."):format(status)
  return {
    code = kind[1], message = said and kind[2] and ("%s (%s)"):format(kind[2], said) or message, reason = reason,
    retry = kind.retry or false, retry_after = http.retry_after((response.headers or {})["retry-after"]) or kind.wait,
  }
end

---The error of an answer.
---@param response table
---@return lunation.Error
function M.of(response)
  local failure = M.classify(response) or { code = "provider_error", message = "Google's answer is not understood." }
  return errors.new(failure.code, failure.message, {
    provider = "google", reason = failure.reason, retry_after = failure.retry_after, retry = failure.retry, upstream_status = response.status,
  })
end

local KEPT = 4096

---An answer that is none: without what it must have. What there was is kept for diagnosis.
---@param message string
---@param details { url: string?, original: string?, [string]: any }?
---@return lunation.Error
function M.bad_answer(message, details)
  details = details or {}
  if details.original then details.original = details.original:sub(1, KEPT) end
  return errors.new("invalid_answer", message, { provider = "google", details = details })
end

return M
