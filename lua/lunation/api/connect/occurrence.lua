--- Which event, or which instance of a series, an id of the dialect means; and when it is.
--
-- The id of an instance is the id of its series, an underscore, and its original start: `20250309T063000Z`, for dates
-- `20250309`, without zone `20250309T063000`.

local clock = require "lunation.ical.clock"
local datetime = require "lunation.api.connect.datetime"
local errors = require "lunation.errors"
local model = require "lunation.model"
local tz = require "lunation.tz"

local occurrence = {}

---The zone in which an event's times are read: its own; floating ones are the calendar's.
---@param event table
---@param calendar table
---@return string
local function zone_of(event, calendar)
  if event.showWithoutTime then return "UTC" end
  return event.timeZone or calendar.timeZone or "UTC"
end

---@param text string an ISO 8601 duration of weeks, days and time
---@return integer days
---@return integer seconds
local function parse_duration(text)
  local date, time = (text or "PT0S"):match("^%+?P([^T]*)T?(.*)$")
  local function part(of, unit) return math.tointeger((of or ""):match("(%d+)" .. unit)) or 0 end
  local days = part(date, "W") * 7 + part(date, "D")
  return days, part(time, "H") * 3600 + part(time, "M") * 60 + part(time, "S")
end

---When a single event, an instance or the first occurrence of a series is.
---@param event table canonical, flattened where it is an instance
---@param calendar table
---@return integer start epoch
---@return integer finish epoch
function occurrence.span(event, calendar)
  local zone = zone_of(event, calendar)
  local start = tz.to_utc(event.start, zone)
  local days, seconds = parse_duration(event.duration)
  local finish = start
  -- Days are days of the wall clock, hours are hours.
  if days > 0 then
    local wall = datetime.parse(event.start).epoch + days * 86400
    finish = tz.to_utc(datetime.format(wall), zone)
  end
  if event.showWithoutTime and days == 0 then finish = start + 86400 end
  return start, finish + (event.showWithoutTime and 0 or seconds)
end

---@param master string
---@param recurrence_id string local time, a key of recurrenceOverrides
---@param event table the series
---@return string
function occurrence.id(master, recurrence_id, event)
  local text
  if event.showWithoutTime then
    text = recurrence_id:sub(1, 10):gsub("-", "")
  elseif event.timeZone then
    text = datetime.format(tz.to_utc(recurrence_id, event.timeZone)):gsub("[-:]", "") .. "Z"
  else
    text = recurrence_id:gsub("[-:]", "")
  end
  return master .. "_" .. text
end

---The recurrence id that a suffix means in a series; nil when the suffix has the form of another kind of event.
local function recurrence_id(suffix, event)
  local value = datetime.parse(suffix)
  if not value then return nil end
  if event.showWithoutTime then return not value.time and value.date .. "T00:00:00" or nil end
  if not value.time then return nil end
  if event.timeZone then return value.offset and clock.key(value.epoch, event) or nil end
  return not value.offset and value.date .. "T" .. value.time or nil
end

---@class lunation.connect.found
---@field row table of the store: the single event, or the series
---@field recurrenceId string|nil the instance that was named

---@param store table
---@param calendar table
---@param id string
---@return lunation.connect.found|nil
---@return lunation.Error|nil
local function look(store, calendar, id)
  local row, err = store:event(calendar.key, id)
  if row then return { row = row } end
  if err and err.code ~= "not_found" then return nil, err end
  local base, suffix = id:match("^(.+)_(%d%d%d%d%d%d%d%d[T%dZ]*)$")
  if not base then return nil end
  row, err = store:event(calendar.key, base)
  if not row then return nil, err and err.code ~= "not_found" and err or nil end
  local at = row.recurring and recurrence_id(suffix, row.event)
  if not at or not model.occurs(row.event, at) then return nil end
  return { row = row, recurrenceId = at }
end

---@param engine table
---@param item { calendar: table, account: table }
---@param id any the body's `eventId`
---@param series any the body's `recurringEventId`
---@return lunation.connect.found|nil
---@return lunation.Error|nil
function occurrence.find(engine, item, id, series)
  if id == nil or id == "" then return nil, errors.new("invalid_request", "eventId is required", { field = "eventId" }) end
  if type(id) ~= "string" then return nil, errors.new("invalid_request", "eventId is a string", { field = "eventId" }) end
  if series ~= nil and type(series) ~= "string" then
    return nil, errors.new("invalid_request", "recurringEventId is a string", { field = "recurringEventId" })
  end
  local found, err = look(engine.store, item.calendar, id)
  if err then return nil, err end
  if not found then
    -- The mirror may be behind.
    engine.sync:refresh { accounts = { item.account.id } }
    found, err = look(engine.store, item.calendar, id)
    if err then return nil, err end
  end
  if not found then return nil, errors.new("not_found", "Event not found", { field = "eventId" }) end
  if series and series ~= "" and series ~= found.row.id then
    return nil, errors.new("invalid_request", "recurringEventId is not the series of eventId", { field = "recurringEventId" })
  end
  return found
end

return occurrence
