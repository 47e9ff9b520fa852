-- Errors: one shape, one table of codes, and the only place where a code becomes an HTTP status.

---@class lunation.Error
---@field code string       a key of `errors.statuses`, or a code of a lower layer (`busy`, `cancelled`, `syntax`)
---@field message string    for people
---@field field string?     the input field that is wrong
---@field line integer?
---@field column integer?
---@field part string?      the part of a value that is wrong (a recurrence rule's BYDAY)
---@field retry_after integer? seconds
---@field provider string?
---@field account integer?
---@field details any?

local errors = {}

--- Code to HTTP status (RFC 9110 section 15; 429 is RFC 6585). Dialects may map further, never back.
errors.statuses = {
  invalid_request = 400,
  invalid_grant = 400,
  blocked_address = 400,
  invalid_client = 401,
  unauthorized = 401,
  reauth_required = 401,
  forbidden = 403,
  calendar_permission_required = 403,
  not_found = 404,
  method_not_allowed = 405,
  conflict = 409,
  gone = 410,
  precondition_failed = 412,
  request_timeout = 408,
  too_large = 413,
  uri_too_long = 414,
  expectation_failed = 417,
  unsupported = 422,
  rate_limited = 429,
  header_too_large = 431,
  internal = 500,
  not_implemented = 501,
  provider_error = 502,
  -- what a provider gave, and nobody can use
  answer_not_json = 502,
  answer_too_large = 502,
  invalid_answer = 502,
  endless_listing = 502,
  unavailable = 503,
  busy = 503,
  timeout = 504,
  version_not_supported = 505,
}

local metatable = {
  __name = "lunation.error",
  __tostring = function(err) return tostring(err.message or err.code) end,
}

--- Makes an error value, to be returned as `nil, err`.
---@param code string
---@param message string
---@param fields table? further fields; the table is taken, not copied
---@return lunation.Error
function errors.new(code, message, fields)
  local err = fields or {}
  err.code, err.message = code, message
  return setmetatable(err, metatable)
end

--- Makes an error of whatever was raised or returned: tables with a code pass, text becomes `internal`.
---@param raised any
---@return lunation.Error
function errors.from(raised)
  if type(raised) == "table" and raised.code then return raised end
  return errors.new("internal", tostring(raised))
end

--- The HTTP status of an error. What is not in the table is our own fault: 500.
---@param err lunation.Error|any
---@return integer
function errors.status(err)
  return type(err) == "table" and errors.statuses[err.code] or 500
end

return errors
