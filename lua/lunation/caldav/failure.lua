-- What a refusal of a CalDAV server means: a status, and often a DAV:error element that names the condition that did not hold
-- (RFC 4791 sections 1.3 and 5.3.2.1, RFC 6638 section 3.2.4, RFC 4918 section 16).
local errors = require "lunation.errors"

local M = {}

---Condition → code and sentence for people.
---@type table<string, {[1]:string, [2]:string}>
M.conditions = {
  -- RFC 4791
  ["no-uid-conflict"] = { "conflict", "The calendar already holds an event with this UID." },
  ["valid-calendar-data"] = { "invalid_request", "The server finds the event's iCalendar data invalid." },
  ["valid-calendar-object-resource"] = { "invalid_request", "The server finds that the event breaks its rules for one resource." },
  ["supported-calendar-component"] = { "unsupported", "This calendar does not take events." },
  ["supported-calendar-data"] = { "unsupported", "The server does not take this kind of calendar data." },
  ["max-resource-size"] = { "too_large", "The event is larger than the server allows." },
  ["min-date-time"] = { "invalid_request", "The event is earlier than the server allows." },
  ["max-date-time"] = { "invalid_request", "The event is later than the server allows." },
  ["max-instances"] = { "invalid_request", "The event repeats more often than the server allows." },
  ["max-attendees-per-instance"] = { "invalid_request", "The event has more attendees than the server allows." },
  -- RFC 6638
  ["unique-scheduling-object-resource"] = { "conflict", "Another calendar of this account already holds this meeting." },
  ["same-organizer-in-all-components"] = { "invalid_request", "All instances of a meeting must name the same organizer." },
  ["allowed-organizer-scheduling-object-change"] = { "forbidden", "The server does not let the organizer change this." },
  ["allowed-attendee-scheduling-object-change"] = { "forbidden", "An attendee may change only the answer and what is private to it." },
  -- RFC 3744, 4331, 4918, 6578
  ["need-privileges"] = { "forbidden", "The account has no right to do this in the calendar." },
  ["quota-not-exceeded"] = { "provider_error", "The account's storage is full." },
  ["sufficient-disk-space"] = { "provider_error", "The server's storage is full." },
  ["no-conflicting-lock"] = { "busy", "The event is locked by another client." },
  ["lock-token-submitted"] = { "busy", "The event is locked by another client." },
  ["cannot-modify-protected-property"] = { "forbidden", "The server does not let this property be changed." },
  ["supported-report"] = { "unsupported", "The server does not offer this report." },
  ["valid-sync-token"] = { "gone", "The server no longer knows the synchronization token." },
  ["number-of-matches-within-limits"] = { "provider_error", "The answer is larger than the server gives at once." },
}

---@type table<integer, {[1]:string, [2]:string}>
local statuses = {
  [400] = { "invalid_request", "The server could not read the request." },
  [402] = { "forbidden", "The server asks for a payment." },
  [403] = { "forbidden", "The server does not allow this." },
  [404] = { "not_found", "There is nothing at this address." },
  [405] = { "unsupported", "The server does not support this here." },
  [406] = { "unsupported", "The server has no fitting answer." },
  [409] = { "conflict", "The event conflicts with what the server holds." },
  [410] = { "not_found", "What was at this address is gone." },
  [412] = { "precondition_failed", "The event was changed by somebody else in the meantime." },
  [413] = { "too_large", "The event is larger than the server allows." },
  [415] = { "invalid_request", "The server does not take the event's data." },
  [422] = { "invalid_request", "The server finds the request invalid." },
  [423] = { "busy", "The event is locked by another client." },
  [429] = { "rate_limited", "The server asks to slow down." },
  [501] = { "unsupported", "The server does not support this." },
  [503] = { "unavailable", "The server is not available at the moment." },
  [507] = { "provider_error", "The server's storage is full." },
}

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

-- Days since 1970-01-01 of a Gregorian date.
local function days(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

---Seconds to wait by a Retry-After header: a number, or an HTTP date (RFC 9110 section 10.2.3).
---@param value string?
---@param now number  Unix seconds
---@return integer?  between 0 and a day
function M.retry_after(value, now)
  if not value then return nil end
  local seconds = tonumber(value:match("^%s*(%d+)%s*$"))
  if not seconds then
    local day, name, year, hour, minute, second = value:match("(%d%d?) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT")
    local month = months[name]
    if not month then return nil end
    seconds = days(math.tointeger(year), month, math.tointeger(day)) * 86400 + hour * 3600 + minute * 60 + second - now
  end
  return math.ceil(math.max(0, math.min(seconds, 86400)))
end

---The error of a refused request.
---@param status integer
---@param condition string?  local name of the first child of DAV:error
---@param fields table?      further fields: retry_after, details …
---@return lunation.Error
function M.of(status, condition, fields)
  local known = M.conditions[condition] or statuses[status]
    or (status >= 500 and { "provider_error", "The server failed." })
    or { "provider_error", "The server gave an unexpected answer." }
  fields = fields or {}
  fields.upstream_status = status
  fields.condition = condition
  return errors.new(known[1], ("%s (HTTP %d%s)"):format(known[2], status, condition and ", " .. condition or ""), fields)
end

local transport = {
  refused = "The server refused the connection.",
  resolve = "The server's name could not be resolved.",
  tls = "No secure connection to the server could be made.",
  truncated = "The server closed the connection before its answer was complete.",
  network = "The connection to the server failed.",
}

---The error of a request that got no answer.
---@param err {code:string, message:string}  of lunation.http
---@return lunation.Error
function M.transport(err)
  if err.code == "timeout" then return errors.new("timeout", "The server did not answer in time.", { cause = err.code }) end
  if err.code == "blocked_address" then return errors.new("blocked_address", err.message, { cause = err.code }) end
  if err.code == "too_large" then
    return errors.new("provider_error", "The server's answer is larger than is accepted.", { cause = err.code })
  end
  local detail = err.message and " (" .. err.message .. ")" or ""
  return errors.new("provider_error", (transport[err.code] or transport.network) .. detail, { cause = err.code })
end

---A web page, or anything else that is no WebDAV answer, where one was due.
---@return lunation.Error
function M.not_dav()
  return errors.new("provider_error", "The address answers, but not as a calendar server: it sent a page or other data that is not WebDAV.",
    { cause = "not_dav" })
end

return M
