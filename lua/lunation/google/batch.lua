-- Google's batch: many requests in one (multipart/mixed, each part an HTTP message of its own). It saves round trips where a
-- series has several changed instances, and where several series are read again after their rule changed.
local crypto = require "lunation.crypto"
local failure = require "lunation.google.failure"
local json = require "lunation.json"
local session = require "lunation.google.session"

local M = {}

-- Requests of one batch; Google's own bound for calendars.
M.size = 50

local methods = { GET = true, POST = true, PATCH = true, PUT = true, DELETE = true }

-- The batch address beside a calendar address: …/calendar/v3 → …/batch/calendar/v3.
local function address(account)
  local base = session.base(account, "calendar")
  local origin, path = base:match("^(%a+://[^/]+)(.*)$")
  return origin .. "/batch" .. path, path
end

local function part(call, path)
  local method = call.method or "GET"
  assert(methods[method], "no method that a batch has")
  local lines = { ("%s %s%s%s HTTP/1.1"):format(method, path, call.path, session.query(call.query)) }
  for name, value in pairs(call.headers or {}) do lines[#lines + 1] = ("%s: %s"):format(name, value) end
  local body = ""
  if call.json then
    body = assert(json.encode(call.json))
    lines[#lines + 1] = "Content-Type: application/json; charset=UTF-8"
    lines[#lines + 1] = "Content-Length: " .. #body
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

local function headers_of(text)
  local headers = {}
  for name, value in text:gmatch("([%w-]+):[ \t]*([^\r\n]*)") do headers[name:lower()] = value end
  return headers
end

-- The answers of a batch, by the number in their Content-ID.
local function read(response)
  local boundary = (response.headers["content-type"] or ""):match("[Bb]oundary=\"?([^\";,]+)")
  if not boundary then return nil end
  local answers = {}
  local text = "\r\n" .. response.body:gsub("\r?\n", "\r\n")
  local mark = "\r\n--" .. boundary
  local at = select(2, text:find(mark, 1, true))
  while at do
    local first, last = text:find(mark, at + 1, true)
    if not first then break end
    local head, message = text:sub(at + 1, first - 1):match("^[^\r]*\r\n(.-)\r\n\r\n(.*)$")
    local number = head and tonumber(head:match("[Cc]ontent%-[Ii][Dd]:[ \t]*<?response%-[^\r\n]-(%d+)>?") or "")
    local status, rest = (message or ""):match("^%s*HTTP/[%d.]+ (%d%d%d)[^\r\n]*(.*)$")
    if number and status then
      local lines, body = rest:match("^(.-)\r\n\r\n(.*)$")
      answers[math.tointeger(number)] = { status = math.tointeger(tonumber(status)), headers = headers_of(lines or rest), body = body or "" }
    end
    at = last
  end
  return answers
end

local function one(account, call)
  local object, err = session.call(account, call)
  if object then return { object } end
  return { nil, err }
end

local function send(account, calls)
  local url, path = address(account)
  local boundary = "batch_" .. crypto.hex(crypto.random(12))
  local pieces, repeatable = {}, true
  for i, call in ipairs(calls) do
    repeatable = repeatable and (call.idempotent or (call.method or "GET") == "GET")
    pieces[i] = ("--%s\r\nContent-Type: application/http\r\nContent-ID: <item-%d>\r\n\r\n%s\r\n"):format(boundary, i, part(call, path))
  end
  local response, err = account.request {
    method = "POST", url = url, headers = { ["content-type"] = "multipart/mixed; boundary=" .. boundary },
    body = table.concat(pieces) .. "--" .. boundary .. "--\r\n", cost = #calls, idempotent = repeatable,
  }
  if not response then return nil, err end
  local answers = read(response)
  if not answers then
    return nil, failure.bad_answer("Google's answer to a batch is none.", { url = url, original = response.body })
  end
  return answers
end

---Sends calendar requests together. One that Google puts off (a limit, its own trouble) is sent again by itself, with the
---patience of single requests. Their order of execution is Google's: give only such that do not depend on each other.
---@param account table
---@param calls google.Call[]
---@return { [1]: table?, [2]: lunation.Error? }[]? results in the order of the calls, lunation.Error? err
function M.call(account, calls)
  local results = {}
  for first = 1, #calls, M.size do
    local some = table.move(calls, first, math.min(first + M.size - 1, #calls), 1, {})
    local answers = {}
    if #some > 1 then
      local sent, err = send(account, some)
      if not sent then return nil, err end
      answers = sent
    end
    for i, call in ipairs(some) do
      local answer = answers[i]
      local failed = answer and failure.classify(answer)
      if not answer or failed and (failed.retry or failed.code == "unauthorized") then
        results[#results + 1] = one(account, call)
      elseif failed then
        results[#results + 1] = { nil, failure.of(answer) }
      else
        local object, bad = {}, nil
        if answer.body ~= "" then object, bad = session.object(json.decode(answer.body) or answer.body, call.path) end
        results[#results + 1] = { object, bad }
      end
    end
  end
  return results
end

return M
