-- Free/busy: getSchedule for people and rooms by their addresses, the calendar view for calendars of one's own.
local clock = require "lunation.ical.clock"
local errors = require "lunation.errors"
local json = require "lunation.json"
local request = require "lunation.microsoft.request"
local time = require "lunation.microsoft.time"
local value = require "lunation.ical.value"

local M = {}

--- Schedules in one request, and days that one may span.
local SCHEDULES, DAYS = 20, 42
--- Minutes of a digit of availabilityView.
local INTERVAL = 30

local statuses = { busy = "busy", tentative = "tentative", oof = "unavailable", unknown = "busy" }
local digits = { ["1"] = "tentative", ["2"] = "busy", ["3"] = "unavailable" }

local function text(instant) return value.from_seconds(instant) end

local function instant(moment)
  if type(moment) ~= "table" or moment == json.null then return nil end
  local at = time.local_time(moment.dateTime)
  local zone = type(moment.timeZone) == "string" and time.zone(moment.timeZone) or "UTC"
  return at and clock.to_utc(at, zone)
end

local function add(busy, start, finish, status, window)
  start, finish = math.max(start, window.from), math.min(finish, window.to)
  if start < finish then busy[#busy + 1] = { start = start, finish = finish, status = status } end
end

-- Where only the digits are shown.
local function from_view(busy, view, from, window)
  local at = 1
  while at <= #view do
    local digit = view:sub(at, at)
    local last = at
    while view:sub(last + 1, last + 1) == digit do last = last + 1 end
    if digits[digit] then add(busy, from + (at - 1) * INTERVAL * 60, from + last * INTERVAL * 60, digits[digit], window) end
    at = last + 1
  end
end

local codes = { ErrorMailRecipientNotFound = "not_found", ErrorInvalidSmtpAddress = "invalid_request", ErrorNoFreeBusyAccess = "forbidden",
  ErrorMailboxMoveInProgress = "unavailable" }

local function schedule_error(said)
  local reason = type(said.responseCode) == "string" and said.responseCode or nil
  local message = type(said.message) == "string" and said.message or "this schedule cannot be seen"
  return errors.new(codes[reason] or "forbidden", message, { reason = reason })
end

local function read(answer, span, window, result)
  for _, schedule in ipairs(answer.value) do
    local id = type(schedule) == "table" and schedule.scheduleId
    if type(id) == "string" then
      local entry = result[id] or { busy = {} }
      for known in pairs(result) do
        if known:lower() == id:lower() then entry = result[known] end
      end
      if type(schedule.error) == "table" and schedule.error ~= json.null then
        entry.error = schedule_error(schedule.error)
      elseif type(schedule.scheduleItems) == "table" and schedule.scheduleItems ~= json.null then
        for _, item in ipairs(schedule.scheduleItems) do
          local start, finish = instant(item.start), instant(item["end"])
          if start and finish and statuses[item.status] then add(entry.busy, start, finish, statuses[item.status], window) end
        end
      elseif type(schedule.availabilityView) == "string" then
        from_view(entry.busy, schedule.availabilityView, span.from, window)
      end
    end
  end
end

local function of_people(account, addresses, window, result)
  for first = 1, #addresses, SCHEDULES do
    local chunk = json.array(table.move(addresses, first, math.min(first + SCHEDULES - 1, #addresses), 1, {}))
    local from = window.from
    while from < window.to do
      local to = math.min(window.to, from + DAYS * 86400)
      local answer, err = request.send(account, "POST", "/me/calendar/getSchedule", { idempotent = true, json = {
        schedules = chunk, availabilityViewInterval = INTERVAL,
        startTime = { dateTime = text(from), timeZone = "UTC" }, endTime = { dateTime = text(to), timeZone = "UTC" },
      } })
      if not answer then
        -- Personal accounts have no schedules of others; one bad request is not every calendar's.
        if err.code ~= "invalid_request" and err.code ~= "forbidden" and err.code ~= "not_found" and err.code ~= "unsupported"
          and err.code ~= "method_not_allowed" then return nil, err end
        for _, address in ipairs(chunk) do result[address].error = err end
        break
      end
      if type(answer.value.value) ~= "table" then return nil, request.wrong(answer, "has no list of values") end
      read(answer.value, { from = from }, window, result)
      from = to
    end
  end
  return true
end

local function of_calendar(account, id, window, entry)
  local path = request.calendar { id = id } .. "/calendarView" .. request.query {
    { "startDateTime", text(window.from) .. "Z" }, { "endDateTime", text(window.to) .. "Z" },
    { "$select", "id,start,end,showAs,isCancelled" }, { "$top", 500 },
  }
  local items, err = request.all(account, path)
  if not items then
    entry.error = err
    return
  end
  for _, item in ipairs(items) do
    local start, finish = instant(item.start), instant(item["end"])
    local status = statuses[item.showAs]
    if start and finish and status and item.isCancelled ~= true then add(entry.busy, start, finish, status, window) end
  end
end

---When calendars are busy.
---@param account table
---@param question {calendars: string[], from: integer, to: integer} ids of one's own calendars, or addresses
---@return table<string, {busy: {start: integer, finish: integer, status: string}[], error: lunation.Error?}>?
---@return lunation.Error?
function M.freebusy(account, question)
  local result, addresses = {}, {}
  for _, id in ipairs(question.calendars) do
    if not result[id] then
      result[id] = { busy = {} }
      if id:find("@", 1, true) then addresses[#addresses + 1] = id else of_calendar(account, id, question, result[id]) end
    end
  end
  local done, err = of_people(account, addresses, question, result)
  if not done then return nil, err end
  for _, entry in pairs(result) do
    table.sort(entry.busy, function(a, b) return a.start < b.start or a.start == b.start and a.finish < b.finish end)
  end
  return result
end

return M
