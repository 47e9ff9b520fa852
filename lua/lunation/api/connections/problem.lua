--- How the connections dialect says that something failed: `{detail, time, title}` with the status that it has.

local errors = require "lunation.errors"
local json = require "lunation.json"

local problem = {}

local TITLES = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed", [408] = "Request Timeout",
  [409] = "Conflict", [410] = "Gone", [411] = "Length Required", [412] = "Precondition Failed", [413] = "Content Too Large", [414] = "URI Too Long",
  [415] = "Unsupported Media Type", [417] = "Expectation Failed", [422] = "Unprocessable Content", [429] = "Too Many Requests",
  [431] = "Request Header Fields Too Large", [500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway",
  [503] = "Service Unavailable", [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported",
}

---@param _ lunation.Request
---@param err lunation.Error|any
---@return table response
function problem.response(_, err)
  if type(err) ~= "table" or not err.code then err = errors.new("internal", "Something went wrong here") end
  local status = math.type(err.status) == "integer" and err.status or errors.status(err)
  -- The account upstream has lost its grant; whoever asks here is known.
  if err.code == "reauth_required" then status = 409 end
  local detail = err.code == "internal" and "Something went wrong here" or tostring(err.message or TITLES[status])
  local headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
  if status == 401 then headers["www-authenticate"] = 'Bearer realm="lunation"' end
  if err.retry_after or status == 429 or status == 503 then
    headers["retry-after"] = tostring(math.max(1, math.ceil(err.retry_after or 1)))
  end
  if err.allow then headers.allow = type(err.allow) == "table" and table.concat(err.allow, ", ") or err.allow end
  return {
    status = status, headers = headers,
    body = json.encode({ detail = detail, time = os.date "!%Y-%m-%dT%H:%M:%SZ", title = TITLES[status] or "Error" }, { sorted = true, utf8 = "replace" }),
  }
end

return problem
