-- Batches: multipart/mixed, each part a request of its own (application/http) that goes the way of all requests.
local crypto = require "lunation.crypto"
local failure = require "spec.emulators.google.failure"
local server = require "lunation.server"

local batch = {}

local MOST = 1000

local reasons = { [200] = "OK", [204] = "No Content", [304] = "Not Modified", [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden",
  [404] = "Not Found", [409] = "Conflict", [410] = "Gone", [412] = "Precondition Failed", [429] = "Too Many Requests", [500] = "Internal Server Error",
  [503] = "Service Unavailable" }

local function headers_of(text)
  local headers = {}
  for line in text:gmatch "[^\r\n]+" do
    local name, value = line:match "^([%w%-]+):%s*(.-)%s*$"
    if name then headers[name:lower()] = value end
  end
  return headers
end

-- Head and body of a message, with either kind of line end.
local function halves(text)
  local head, body = text:match "^(.-)\r\n\r\n(.*)$"
  if not head then head, body = text:match "^(.-)\n\n(.*)$" end
  return head or text, body or ""
end

local Part = {}
Part.__index = Part

function Part:header(name) return self.headers[name:lower()] end
function Part:arg(name) return (server.decode_form(self.query))[name] end
function Part:args_all(name) return server.decode_form(self.query, name) end

-- A part as a request like one from the wire.
local function request_of(text, outer)
  local line, rest = text:match "^%s*([^\r\n]+)\r?\n?(.*)$"
  local method, target = (line or ""):match "^(%u+)%s+(%S+)"
  if not method then failure.fail(400, "badRequest", "Failed to parse batch request, error: no request line.") end
  target = target:gsub("^https?://[^/]+", "")
  local head, body = halves("\r\n" .. rest)
  if not rest:find "\n" and not head:find ":" then body = "" end
  local path, query = target:match "^([^?]*)%??(.*)$"
  local headers = headers_of(head)
  headers.authorization = headers.authorization or outer.headers.authorization
  if headers["content-length"] then body = body:sub(1, tonumber(headers["content-length"])) end
  return setmetatable({
    method = method, path = path, query = query, target = target, headers = headers, body = (body:gsub("[\r\n]+$", "")), remote = outer.remote,
    host = outer.host, scheme = outer.scheme, batched = true,
  }, Part)
end

local function part_answer(response, id)
  local lines = { "Content-Type: application/http" }
  if id then lines[2] = "Content-ID: <response-" .. id:gsub("^<", ""):gsub(">$", "") .. ">" end
  lines[#lines + 1] = ""
  lines[#lines + 1] = ("HTTP/1.1 %d %s"):format(response.status, reasons[response.status] or "Status")
  local body = type(response.body) == "string" and response.body or ""
  for name, value in pairs(response.headers or {}) do
    if name ~= "content-length" then lines[#lines + 1] = name:gsub("%f[%a]%a", string.upper) .. ": " .. tostring(value) end
  end
  lines[#lines + 1] = "Content-Length: " .. #body
  lines[#lines + 1] = ""
  lines[#lines + 1] = body
  return table.concat(lines, "\r\n")
end

local function run(call)
  local service = require "spec.emulators.google.service"
  local boundary = (call.headers["content-type"] or ""):match '^multipart/mixed;.*boundary="?([^";]+)"?'
  if not boundary then failure.fail(400, "badRequest", "Missing or malformed multipart boundary.") end
  local parts = {}
  local text = "\r\n" .. call.text
  local mark = "\n--" .. boundary
  local at = text:find(mark, 1, true)
  while at do
    local begin = at + #mark
    if text:sub(begin, begin + 1) == "--" then break end
    local following = text:find(mark, begin, true)
    if not following then break end
    parts[#parts + 1] = text:sub(begin, following - 1):gsub("^%s-\n", "", 1):gsub("\r$", "")
    at = following
  end
  if #parts == 0 then failure.fail(400, "badRequest", "The batch has no parts.") end
  if #parts > MOST then failure.fail(400, "badRequest", "The batch request contains too many calls.") end
  local out, seal = {}, "batch_" .. crypto.base64url(crypto.random(12))
  for i, part in ipairs(parts) do
    local head, inner = halves(part)
    local response = service.answer(request_of(inner, call.req))
    out[i] = "--" .. seal .. "\r\n" .. part_answer(response, headers_of(head)["content-id"])
  end
  out[#out + 1] = "--" .. seal .. "--\r\n"
  return { status = 200, headers = { ["content-type"] = "multipart/mixed; boundary=" .. seal }, body = table.concat(out, "\r\n") }
end

batch.routes = {
  ["/batch/calendar/v3"] = { POST = { handler = run } },
  ["/batch"] = { POST = { handler = run } },
  ["/batch/people/v1"] = { POST = { handler = run } },
  ["/batch/admin/directory_v1"] = { POST = { handler = run } },
}

return batch
