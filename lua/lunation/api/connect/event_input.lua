--- What a client sends of an event: checked, and made into a canonical event (create) or a patch of one (update).
--
-- A field that is null counts as one that was not sent: clients of typed languages send null for what nobody set, and
-- "omitted fields remain unchanged". To empty a field, send "" or [] or {}.

local datetime = require "lunation.api.connect.datetime"
local errors = require "lunation.errors"
local event_mapping = require "lunation.api.connect.event_mapping"
local json = require "lunation.json"
local shape = require "lunation.api.connect.shape"
local tz = require "lunation.tz"

local event_input = {}

local UTC = "Etc/UTC"

local function wrong(field, message)
  return nil, errors.new("invalid_request", ("%s %s"):format(field, message), { field = field })
end

---A duration of whole seconds; days only where they are dates.
local function duration(seconds)
  local hours, minutes, rest = seconds // 3600, seconds % 3600 // 60, seconds % 60
  if seconds == 0 then return "PT0S" end
  return "PT" .. (hours > 0 and hours .. "H" or "") .. (minutes > 0 and minutes .. "M" or "") .. (rest > 0 and rest .. "S" or "")
end

---@param body table
---@param name string
---@return lunation.connect.datetime|nil value nil when it was not sent
---@return lunation.Error|nil
local function instant(body, name)
  local text = shape.given(body, name)
  if text == nil then return nil end
  local value = datetime.parse(text)
  if not value then return wrong(name, "is an ISO 8601 date") end
  return value
end

---The instant a value means: without offset it is the wall time in the zone that the client names, else UTC.
local function epoch_in(value, zone)
  if value.offset or not zone then return value.epoch end
  return tz.to_utc(value.date .. "T" .. (value.time or "00:00:00"), zone) or value.epoch
end

local function day_number(date)
  return datetime.parse(date).epoch // 86400
end

local LONGEST = 36500 * 86400

---Dates: the date part of what the client wrote, at least one day.
---@param first string date
---@param days integer
local function set_days(patch, before, first, days)
  if days * 86400 > LONGEST then return wrong("end", "is too far from start") end
  patch.start, patch.duration, patch.showWithoutTime = first .. "T00:00:00", ("P%dD"):format(math.max(1, days)), true
  if before and before.timeZone then patch.timeZone = json.null end
  return true
end

---Start, duration and zone of an all-day event.
local function days(patch, start, finish, context)
  local before = context.before
  local was_all_day = before ~= nil and before.showWithoutTime == true
  -- A timed event that becomes one of days takes those of the wall clock that it touched.
  local zone = before and not was_all_day and (before.timeZone or context.calendar.timeZone) or UTC
  local first = start and start.date or tz.to_local(context.start, zone):sub(1, 10)
  local count
  if finish then
    count = day_number(finish.date) - day_number(first)
  elseif before then
    local touched = tz.to_local(math.max(context.start, context.finish - 1), zone):sub(1, 10)
    count = day_number(touched) - day_number(tz.to_local(context.start, zone):sub(1, 10)) + 1
  end
  return set_days(patch, before, first, count or 1)
end

---Start, duration and zone of an event with a time.
local function moments(patch, start, finish, zone, context, recurs)
  local before = context.before
  local was_all_day = before ~= nil and before.showWithoutTime == true
  if was_all_day and not start then return wrong("start", "is required to give an all-day event a time") end
  -- A series keeps its zone: the client names instants, the zone says how they recur. Nil is a floating time, read in the
  -- zone of the calendar.
  local target = UTC
  if zone then
    target = zone
  elseif before and not was_all_day then
    target = before.timeZone
  end
  local clock = target or context.calendar.timeZone or UTC
  local from = start and epoch_in(start, zone) or context.start
  local to
  if finish then
    to = epoch_in(finish, zone)
  elseif was_all_day then
    to = from + 3600
  else
    to = from + (context.finish - context.start)
  end
  if to < from then return wrong("end", "is before start") end
  if to - from > LONGEST then return wrong("end", "is too far from start") end
  local wall = tz.to_local(from, clock)
  if not recurs and tz.to_utc(wall, clock) ~= from then
    -- The second pass of an hour that a clock repeats has no wall time of its own.
    target, wall = UTC, datetime.format(from)
  end
  patch.start, patch.duration = wall, duration(to - from)
  if not before or before.timeZone ~= target then patch.timeZone = target or json.null end
  if was_all_day then patch.showWithoutTime = json.null end
  return true
end

---Start, duration and zone of the patch; nothing where the client said nothing of them.
---@param body table
---@param patch table
---@param context lunation.connect.context
---@return true|nil
---@return lunation.Error|nil
local function times(body, patch, context)
  local start, finish, err
  start, err = instant(body, "start")
  if err then return nil, err end
  finish, err = instant(body, "end")
  if err then return nil, err end
  local all_day = shape.given(body, "allDay")
  if all_day ~= nil and type(all_day) ~= "boolean" then return wrong("allDay", "is true or false") end
  local zone = shape.given(body, "timeZone")
  if zone ~= nil then
    local known = type(zone) == "string" and zone ~= "" and tz.resolve(zone)
    if not known then return wrong("timeZone", "is no time zone that is known here") end
    zone = known == "UTC" and UTC or known
  end
  local before = context.before
  local was_all_day = before ~= nil and before.showWithoutTime == true
  if all_day == nil then all_day = was_all_day end
  if before and not start and not finish and all_day == was_all_day and (zone == nil or all_day) then return true end
  if all_day then return days(patch, start, finish, context) end
  return moments(patch, start, finish, zone, context, context.recurring or shape.given(body, "recurrence") ~= nil)
end

---As a field will be: the patch's value over that of the event.
local function with_patch(before, patch, name)
  local value = patch[name]
  if value == json.null then return nil end
  if value == nil then return before and before[name] end
  return value
end

---All but the times.
---@param body table
---@param patch table has the times already
---@param context lunation.connect.context
---@return true|nil
---@return lunation.Error|nil
local function details(body, patch, context)
  local times_then = {}
  for _, name in ipairs { "timeZone", "showWithoutTime", "start" } do times_then[name] = with_patch(context.before, patch, name) end
  context.times = times_then
  local read, err = context.mapping:to(body, context)
  if not read then return wrong(event_mapping.wire_field(context.mapping, err), err.reason) end
  for name, value in pairs(read) do patch[name] = value end
  return true
end

---@param body table decoded JSON
---@param context lunation.connect.context
---@return table|nil event canonical
---@return lunation.Error|nil
function event_input.create(body, context)
  local title_field = event_mapping.wire_field(context.mapping, { field = "title" })
  local title = shape.given(body, title_field)
  if title == nil or title == "" then return wrong(title_field, "is required") end
  for _, name in ipairs { "start", "end" } do
    if shape.given(body, name) == nil then return wrong(name, "is required") end
  end
  local event = { ["@type"] = "Event" }
  for _, step in ipairs { times, details } do
    local ok, err = step(body, event, context)
    if not ok then return nil, err end
  end
  for name, value in pairs(event) do
    if value == json.null then event[name] = nil end
  end
  return event
end

---@param body table decoded JSON
---@param context lunation.connect.context with before, its start and finish (epoch), and whether it is of a series
---@return table|nil patch canonical fields
---@return lunation.Error|nil
function event_input.patch(body, context)
  local patch = {}
  for _, step in ipairs { times, details } do
    local ok, err = step(body, patch, context)
    if not ok then return nil, err end
  end
  return patch
end

return event_input
