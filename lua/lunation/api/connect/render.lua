--- An event as the connect dialect shows it.
--
-- Rendered once for each event and kept (lunation.query); what varies by instance, and the times, are slots.

local event_mapping = require "lunation.api.connect.event_mapping"
local json = require "lunation.json"

local render = {}

---@class lunation.connect.place the values that the caller knows, or slots for them
---@field id any
---@field start any
---@field finish any

---@param event table canonical; an overridden instance is flattened
---@param context lunation.connect.context also provider, id (of the event or the series), original, and whether this is an instance
---@param place lunation.connect.place
---@return table fields
function render.event(event, context, place)
  context.event = event
  local whole = {}
  for name, value in pairs(event_mapping.defaults) do whole[name] = value end
  for name, value in pairs(event) do whole[name] = value end
  local out = assert(context.mapping:from(whole, nil, context))
  out.color = out.color or context.calendar.color
  out.provider, out.calendarId = context.provider, context.calendar.id
  out.id, out.start, out["end"] = place.id, place.start, place.finish
  out.allDay = event.showWithoutTime == true
  out.recurringEventId = context.instance and context.id or nil
  out.original = context.original or json.object {}
  return out
end

---A block of busy time, and nothing that says with what.
---@param event table canonical
---@param context lunation.connect.context
---@param place lunation.connect.place
---@return table|nil fields nil where the time is free
function render.busy(event, context, place)
  if event.freeBusyStatus == "free" or event.status == "cancelled" then return nil end
  return {
    provider = context.provider, calendarId = context.calendar.id,
    id = place.id, title = "Busy", start = place.start, ["end"] = place.finish,
    allDay = event.showWithoutTime == true,
    recurringEventId = context.instance and context.id or nil,
    availability = "busy", privacy = "public", status = event.status == "tentative" and "tentative" or "confirmed",
    attendees = json.array {}, original = json.object {},
  }
end

---The provider's own form of an event, as it is shown.
---@param provider table|nil
---@param native any what the store keeps of it
---@return table
function render.original(provider, native)
  local shown = native ~= nil and provider and provider.original and provider.original(native) or native
  return type(shown) == "table" and shown or json.object {}
end

local SLOT_START, SLOT_FINISH, SLOT_ID = json.raw "\1s\2", json.raw "\1e\2", json.raw "\1i\2"

---The rendering that lunation.query asks for pages.
---@param engine table
---@param scope "free-busy"|"read"
---@param app string
---@return table rendering
local function rendering(engine, scope, app)
  local write = scope == "free-busy" and render.busy or render.event
  local mapping = event_mapping.of(engine)
  return {
    name = "connect", variant = scope .. ":" .. app, digest = mapping:digest(),
    render = function(event, context)
      local recurring = context.recurring
      local shown = write(event, {
        mapping = mapping, provider = context.account.provider, calendar = context.calendar, app = app, id = context.id,
        original = scope == "read" and render.original(engine.providers:get(context.account.provider), context.original) or nil,
        instance = recurring and context.mode ~= "masters", master = recurring and context.mode == "masters",
      }, { id = recurring and context.mode ~= "masters" and SLOT_ID or context.id, start = SLOT_START, finish = SLOT_FINISH })
      return shown and json.encode(shown, { sorted = true, utf8 = "replace" })
    end,
  }
end

---@param engine table
---@param scope "free-busy"|"read"|"read-write"
---@param app string
---@return table rendering the same object for the same question
function render.rendering(engine, scope, app)
  local made = engine.connect_renderings or {}
  engine.connect_renderings = made
  local variant = scope == "free-busy" and scope or "read"
  local key = variant .. ":" .. app
  made[key] = made[key] or rendering(engine, variant, app)
  return made[key]
end

return render
