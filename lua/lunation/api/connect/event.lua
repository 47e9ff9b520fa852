--- `POST`, `PUT` and `DELETE /event`.

local access = require "lunation.api.connect.access"
local caller = require "lunation.api.caller"
local calendars = require "lunation.api.connect.calendars"
local datetime = require "lunation.api.connect.datetime"
local errors = require "lunation.errors"
local event_input = require "lunation.api.connect.event_input"
local event_mapping = require "lunation.api.connect.event_mapping"
local model = require "lunation.model"
local occurrence = require "lunation.api.connect.occurrence"
local render = require "lunation.api.connect.render"
local shape = require "lunation.api.connect.shape"

local event = {}

---@param item { calendar: table, account: table, provider: table }
---@return true|nil
---@return lunation.Error|nil
local function writable(item)
  if item.calendar.readOnly then
    return nil, errors.new("forbidden", "The calendar is read-only", { field = "calendarId" })
  end
  return true
end

---An event as it is answered after a write: its fields at the root, and once more under `event`, because some clients
---read the one and some the other.
local function answer(engine, item, who, row, recurrence_id)
  local shown, id = row.event, row.id
  local place = {}
  if recurrence_id then
    shown = model.instance(row.event, recurrence_id) or row.event
    place.id = occurrence.id(id, recurrence_id, row.event)
  else
    place.id = id
  end
  local start, finish = occurrence.span(shown, item.calendar)
  place.start, place.finish = datetime.utc(start), datetime.utc(finish)
  local context = {
    mapping = event_mapping.of(engine), provider = item.account.provider, calendar = item.calendar, app = who.app, id = id,
    original = render.original(item.provider, row.original),
    instance = recurrence_id ~= nil, master = recurrence_id == nil and row.recurring,
  }
  local root, copy = render.event(shown, context, place), render.event(shown, context, place)
  root.success, root.event = true, copy
  return access.answer(root)
end

---`POST /event`.
---@param engine table
---@param req table
---@param who lunation.identity
---@return table? answer
---@return lunation.Error?
function event.create(engine, req, who)
  local body, err = access.body(req)
  if not body then return nil, err end
  local key
  key, err = caller.idempotency_key(req)
  if err then return nil, err end
  local item
  item, err = calendars.named(engine, who, body.provider, body.calendarId)
  if not item then return nil, err end
  local ok
  ok, err = writable(item)
  if not ok then return nil, err end
  local canonical
  canonical, err = event_input.create(body, {
    mapping = event_mapping.of(engine), app = who.app, can = item.provider.can or {}, limits = engine.config.limits, calendar = item.calendar,
  })
  if not canonical then return nil, err end
  local row
  row, err = engine.write:create { account = item.account, calendar = item.calendar, event = canonical, app = who.app, key = key }
  if not row then return nil, err end
  return answer(engine, item, who, row)
end

local SCOPES = { this = true, following = true, all = true }

---What the client wants changed of a series.
---@param mode any updateMode or deleteMode
---@param name string which of the two
---@param found lunation.connect.found
---@return "this"|"following"|"all"|nil scope
---@return lunation.Error|nil
local function scope_of(mode, name, found)
  if mode == "" then mode = nil end
  if mode ~= nil and not (type(mode) == "string" and SCOPES[mode]) then
    return nil, errors.new("invalid_request", name .. " is one of this, following, all", { field = name })
  end
  if found.recurrenceId then return mode or "this" end
  if found.row.recurring and mode == "this" then
    return nil, errors.new("invalid_request", name .. " this needs the id of an instance, not of the series", { field = name })
  end
  return "all"
end

-- What a change or deletion is about: the calendar, the event or instance in it, and the scope that `mode` names.
local function target(engine, who, body, mode)
  local item, err = calendars.named(engine, who, body.provider, body.calendarId)
  if not item then return nil, err end
  local ok
  ok, err = writable(item)
  if not ok then return nil, err end
  local found
  found, err = occurrence.find(engine, item, shape.given(body, "eventId"), shape.given(body, "recurringEventId"))
  if not found then return nil, err end
  local scope
  scope, err = scope_of(shape.given(body, mode), mode, found)
  if not scope then return nil, err end
  return item, found, scope
end

---`PUT /event`: a single event, or of a series this instance, it and the following, or all.
---@param engine table
---@param req table
---@param who lunation.identity
---@return table? answer
---@return lunation.Error?
function event.update(engine, req, who)
  local body, err = access.body(req)
  if not body then return nil, err end
  local item, found, scope = target(engine, who, body, "updateMode")
  if not item then return nil, found end
  local row = found.row
  local instance = found.recurrenceId and model.instance(row.event, found.recurrenceId)
  if instance and scope == "this" and shape.given(body, "recurrence") ~= nil then
    return nil, errors.new("invalid_request", "recurrence belongs to the series: updateMode following or all", { field = "recurrence" })
  end
  local start, finish = occurrence.span(instance or row.event, item.calendar)
  local patch
  patch, err = event_input.patch(body, {
    mapping = event_mapping.of(engine), app = who.app, can = item.provider.can or {}, limits = engine.config.limits,
    calendar = item.calendar, before = scope == "all" and row.event or instance,
    start = start, finish = finish, recurring = row.recurring,
  })
  if not patch then return nil, err end
  local changed
  changed, err = engine.write:update {
    account = item.account, calendar = item.calendar, id = row.id, recurrenceId = found.recurrenceId,
    scope = scope, patch = patch, app = who.app,
  }
  if not changed then return nil, err end
  return answer(engine, item, who, changed, scope == "this" and found.recurrenceId or nil)
end

local DELETE_FIELDS = { "provider", "calendarId", "eventId", "recurringEventId", "deleteMode" }

---`DELETE /event`, with the same choice.
---@param engine table
---@param req table
---@param who lunation.identity
---@return table? answer
---@return lunation.Error?
function event.delete(engine, req, who)
  local body, err = access.either(req, DELETE_FIELDS)
  if not body then return nil, err end
  local item, found, scope = target(engine, who, body, "deleteMode")
  if not item then return nil, found end
  local done
  done, err = engine.write:delete {
    account = item.account, calendar = item.calendar, id = found.row.id, recurrenceId = found.recurrenceId, scope = scope, app = who.app,
  }
  if not done then return nil, err end
  return access.answer { success = true, message = "Event deleted successfully" }
end

return event
