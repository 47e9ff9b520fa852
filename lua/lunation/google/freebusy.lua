-- When calendars are busy (freeBusy), fifty at a time.
local errors = require "lunation.errors"
local session = require "lunation.google.session"
local time = require "lunation.google.time"
local value = require "lunation.ical.value"

local M = {}

local MOST = 50

local codes = { notFound = "not_found", internalError = "provider_error", groupTooBig = "too_large", tooManyCalendarsRequested = "too_large" }
local messages = { notFound = "Google knows no such calendar, or does not show when it is busy." }

local function one(found)
  if type(found) ~= "table" then
    return { busy = {}, error = errors.new("not_found", "Google's answer says nothing of this calendar.", { provider = "google" }) }
  end
  local problem = type(found.errors) == "table" and found.errors[1]
  if type(problem) == "table" then
    local reason = tostring(problem.reason)
    local message = messages[reason] or ("Google does not say when it is busy: %s"):format(reason)
    return { busy = {}, error = errors.new(codes[reason] or "provider_error", message, { provider = "google", reason = reason }) }
  end
  local busy = {}
  for _, period in ipairs(type(found.busy) == "table" and found.busy or {}) do
    local start, finish = time.parse(period.start), time.parse(period["end"])
    if start and finish and finish > start then busy[#busy + 1] = { start = start, finish = finish, status = "busy" } end
  end
  return { busy = busy }
end

---@param account table
---@param request { calendars: string[], from: integer, to: integer } instants
---@return table<string, { busy: { start: integer, finish: integer, status: string }[], error: lunation.Error? }>? by_id, lunation.Error?
function M.query(account, request)
  local result = {}
  for first = 1, #request.calendars, MOST do
    local items = {}
    for i = first, math.min(first + MOST - 1, #request.calendars) do items[#items + 1] = { id = request.calendars[i] } end
    local answer, err = session.call(account, {
      method = "POST", path = "/freeBusy", idempotent = true,
      json = { timeMin = value.from_seconds(request.from) .. "Z", timeMax = value.from_seconds(request.to) .. "Z", items = items },
    })
    if not answer then return nil, err end
    local calendars = type(answer.calendars) == "table" and answer.calendars or {}
    for _, item in ipairs(items) do result[item.id] = one(calendars[item.id]) end
  end
  return result
end

return M
