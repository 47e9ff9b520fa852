--- How the connect dialect says that something failed.

local errors = require "lunation.errors"
local json = require "lunation.json"

local failure = {}

local REASONS = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed", [408] = "Request Timeout",
  [409] = "Conflict", [410] = "Gone", [411] = "Length Required", [412] = "Precondition Failed", [413] = "Payload Too Large",
  [414] = "URI Too Long", [415] = "Unsupported Media Type", [417] = "Expectation Failed", [422] = "Unprocessable Entity", [429] = "Too Many Requests",
  [431] = "Request Header Fields Too Large", [500] = "Internal Server Error", [501] = "Not Implemented", [503] = "Service Unavailable",
  [505] = "HTTP Version Not Supported",
}

-- What went wrong beyond us. The documents of this API know one status for it.
local UPSTREAM = {
  provider_error = true, reauth_required = true, timeout = true, network = true, refused = true, resolve = true, tls = true,
  truncated = true, answer_not_json = true, answer_too_large = true, invalid_answer = true, endless_listing = true,
}

-- What is told of an error besides code and message.
local DETAILS = { "field", "line", "column", "part", "provider", "account" }

local WRITES = { POST = true, PUT = true, DELETE = true, PATCH = true }

---@param err lunation.Error|any
---@return integer
function failure.status(err)
  if type(err) == "table" and UPSTREAM[err.code] then return 500 end
  if type(err) == "table" and math.type(err.status) == "integer" then return err.status end
  return errors.status(err)
end

---@param req table
---@param err lunation.Error|any
---@return table response
function failure.response(req, err)
  if type(err) ~= "table" or not err.code then err = errors.new("internal", "Something went wrong here") end
  local status = failure.status(err)
  local code, message = err.code, tostring(err.message or REASONS[status] or err.code)
  -- What a bug says is for the log, not for strangers.
  if code == "internal" then message = "Something went wrong here" end
  local details = {}
  for _, name in ipairs(DETAILS) do details[name] = err[name] end
  for name, value in pairs(type(err.details) == "table" and err.details or {}) do details[name] = value end
  -- What a provider said, word for word, is for the operator.
  details.original, details.url = nil, nil
  local body = {
    error = err.title or REASONS[status] or "Error", message = message, code = code, details = json.object(details),
    accounts = err.accounts and json.array(err.accounts) or nil,
  }
  if WRITES[req.method] then body.success = false end
  local headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
  if status == 401 then headers["www-authenticate"] = 'Bearer realm="lunation"' end
  if err.retry_after or status == 429 or status == 503 then
    headers["retry-after"] = tostring(math.max(1, math.ceil(err.retry_after or 1)))
  end
  if err.stale then headers["lunation-stale"] = err.stale end
  if err.allow then headers["allow"] = type(err.allow) == "table" and table.concat(err.allow, ", ") or err.allow end
  return { status = status, headers = headers, body = json.encode(body, { sorted = true, utf8 = "replace" }) }
end

---The form of the token endpoint (RFC 6749 section 5.2), with the message that clients of this API read.
---@param err lunation.Error
---@return table response
function failure.token(err)
  local status = failure.status(err)
  local code = err.code
  if status >= 500 then code = "server_error" elseif code == "rate_limited" then code = "slow_down" end
  if not (code == "invalid_grant" or code == "invalid_client" or code == "server_error" or code == "slow_down" or code == "unsupported_grant_type") then
    code = "invalid_request"
  end
  local message = status >= 500 and "Something went wrong here" or tostring(err.message)
  local headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store", pragma = "no-cache" }
  if code == "invalid_client" then headers["www-authenticate"] = 'Basic realm="lunation"' end
  if err.retry_after then headers["retry-after"] = tostring(math.max(1, math.ceil(err.retry_after))) end
  return {
    status = status, headers = headers,
    body = json.encode({ error = code, error_description = message, message = message, code = err.code }, { sorted = true, utf8 = "replace" }),
  }
end

return failure
