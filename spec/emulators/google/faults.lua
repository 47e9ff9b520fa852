-- What goes wrong when it is told to: POST /_emulator/faults with an array of
--   { match = { method = "GET", path = "PATTERN", query = "PATTERN", user = "EMAIL" }, times = 1, after = 0, fault = "NAME", … }
-- Patterns are Lua's, found anywhere in the text. `times` -1 is for ever; `after` lets so many pass first.
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local timer = require "lunation.timer"
local world = require "spec.emulators.google.world"

local faults = { list = {} }

--- Every fault and what more it takes.
faults.names = {
  { "status", "status=, reason=, message=, retry_after= (seconds or a date), done=true (after it was carried out)" },
  { "slow", "seconds= before the answer" },
  { "cut", "the request is carried out, its answer ends in the middle" },
  { "empty_page", "a list answers no items and a next page" },
  { "short_page", "items= (default 1) on a page that could hold more" },
  { "repeat", "a page holds its first item twice" },
  { "endless", "every page names a next one; same=true: itself" },
  { "not_json", "the answer is HTML with status 200" },
  { "missing_field", "field= (default id) is missing in the object, or in the first item" },
  { "impossible_date", "the first item (or the object) begins on the 30th of February" },
  { "unknown_enum", "field= (default status), value= (default \"quantum\") in the first item or the object" },
  { "huge", "bytes= (default 50 MB) of JSON" },
  { "conference_failure", "the conference that this write asks for fails" },
  { "drop_notification", "match path finds the watched resource's URI" },
  { "duplicate_notification", "likewise" },
  { "expire_channel", "the channel ends instead of being told" },
  { "rotate_refresh", "POST /token answers a new refresh token, the old one is dead" },
  { "invalid_grant", "POST /token refuses" },
  { "consent_denied", "the consent page sends the user back with access_denied" },
  { "partial_consent", "scopes={…} (whole or short names): only these are granted" },
}

-- What leaves an answer as the contract wants it.
local harmless = { slow = true, conference_failure = true, empty_page = true, short_page = true, ["repeat"] = true, endless = true }

local notifications = { drop_notification = true, duplicate_notification = true, expire_channel = true }

local known = {}
for _, one in ipairs(faults.names) do known[one[1]] = true end

--- Adds faults; 400 for one that there is not.
---@param list table[]
function faults.add(list)
  if not json.is_array(list) then list = { list } end
  for _, one in ipairs(list) do
    if not known[one.fault] then failure.fail(400, "invalid", "There is no fault " .. tostring(one.fault)) end
    one.left, one.skip, one.match = one.times or 1, one.after or 0, one.match or {}
    faults.list[#faults.list + 1] = one
  end
end

function faults.clear() faults.list = {} end

local function holds(match, call)
  return (not match.method or match.method == call.method) and (not match.path or (call.path or ""):find(match.path) ~= nil)
    and (not match.query or (call.query or ""):find(match.query) ~= nil) and (not match.user or (call.user and call.user.email == match.user))
end

local function use(fault)
  if fault.skip > 0 then
    fault.skip = fault.skip - 1
    return false
  end
  if fault.left == 0 then return false end
  if fault.left > 0 then fault.left = fault.left - 1 end
  return true
end

--- The faults for a request, each used once.
---@param call google.Call
---@return table[]
function faults.take(call)
  local taken = {}
  for _, fault in ipairs(faults.list) do
    if not notifications[fault.fault] and fault.left ~= 0 and holds(fault.match, call) and use(fault) then taken[#taken + 1] = fault end
  end
  return taken
end

--- The fault for a notification.
function world.take_fault(_, about)
  for _, fault in ipairs(faults.list) do
    if notifications[fault.fault] and fault.left ~= 0 and holds(fault.match, about) and use(fault) then return fault end
  end
end

local function refusal(fault, service)
  local headers = fault.retry_after and { ["retry-after"] = tostring(fault.retry_after) } or nil
  local info = service == "people" and fault.reason or nil
  return failure.render(failure.new(fault.status or 500, fault.reason, fault.message, { headers = headers, info = info }), service)
end

--- Before a request is carried out: an answer in its place, or nothing.
---@param call google.Call
---@param service string?
---@return lunation.Response?
function faults.before(call, service)
  for _, fault in ipairs(call.faults) do
    if fault.fault == "slow" then timer.sleep(fault.seconds or 1) end
  end
  for _, fault in ipairs(call.faults) do
    if fault.fault == "status" and not fault.done then return refusal(fault, service) end
    if fault.fault == "not_json" and not fault.done then
      return { status = fault.status or 200, headers = { ["content-type"] = "text/html; charset=UTF-8" }, body = "<!DOCTYPE html><title>Sorry</title>" }
    end
    if fault.fault == "huge" then
      local left = fault.bytes or 50 * 1024 * 1024
      return { status = 200, headers = { ["content-type"] = "application/json; charset=UTF-8" }, body = function(write)
        local chunk = (" "):rep(65536)
        write '{"items":['
        while left > 0 do
          write(left < #chunk and chunk:sub(1, left) or chunk)
          left = left - #chunk
        end
        write "]}"
      end }
    end
  end
end

-- The first item of a list answer, or the object itself.
local function subject(body)
  for _, name in ipairs { "items", "connections", "otherContacts", "people" } do
    if type(body[name]) == "table" and body[name][1] then return body[name][1] end
  end
  return body
end

local spoil = {
  missing_field = function(fault, body) subject(body)[fault.field or "id"] = nil end,
  impossible_date = function(_, body)
    local one = subject(body)
    if one.start and one.start.date then one.start.date = "2025-02-30" else one.start = { dateTime = "2025-02-30T25:61:00Z", timeZone = "UTC" } end
  end,
  unknown_enum = function(fault, body) subject(body)[fault.field or "status"] = fault.value or "quantum" end,
}

--- After a request was carried out: the answer as the faults leave it.
---@param call google.Call
---@param response lunation.Response
---@param service string?
---@return lunation.Response
function faults.after(call, response, service)
  for _, fault in ipairs(call.faults) do
    if fault.fault == "status" and fault.done then return refusal(fault, service) end
    local change = spoil[fault.fault]
    if change and response.status == 200 and type(response.body) == "string" then
      local body = json.decode(response.body)
      change(fault, body)
      response = { status = response.status, headers = response.headers, body = json.encode(body) }
    end
    if fault.fault == "cut" then
      local text = type(response.body) == "string" and response.body or ""
      local headers = {}
      for name, value in pairs(response.headers or {}) do headers[name] = value end
      headers["content-length"] = tostring(#text + 1)
      return { status = response.status == 204 and 200 or response.status, headers = headers, body = function(write)
        if text ~= "" then write(text:sub(1, #text // 2)) end
        error("cut off, as it was told to", 0)
      end }
    end
  end
  return response
end

--- Whether the contract is to look at the answer though it was spoiled (`judged` of the fault).
---@param call google.Call
---@return boolean
function faults.judged(call)
  for _, fault in ipairs(call.faults) do
    if fault.judged then return true end
  end
  return false
end

--- Whether the answer was spoiled on purpose, so that the contract has no say in it.
---@param call google.Call
---@return boolean
function faults.spoiled(call)
  for _, fault in ipairs(call.faults) do
    if not harmless[fault.fault] then return true end
  end
  return false
end

return faults
