--- An event as the connect dialect shows it.
--
-- Rendered once for each event and kept (lunation.query); what varies by instance, and the times, are slots.

local crypto = require "lunation.crypto"
local fields = require "lunation.api.connect.fields"
local json = require "lunation.json"
local recurrence = require "lunation.api.connect.recurrence"

local render = {}

-- Counted up when what is rendered changes, so that renderings kept anywhere are made anew.
local VERSION = 1

local SHOWN = {
  "title", "description", "location", "color", "attendees", "custom", "conference", "conferenceData",
  "availability", "privacy", "status", "link", "lastModified",
}

---@class lunation.connect.place the values that the caller knows, or slots for them
---@field id any
---@field start any
---@field finish any

---@param event table canonical; an overridden instance is flattened
---@param context { provider: string, calendar: table, app: string, id: string, original: table|nil, instance: boolean, master: boolean }
---@param place lunation.connect.place
---@return table fields
function render.event(event, context, place)
  local out = {
    provider = context.provider, calendarId = context.calendar.id,
    id = place.id, start = place.start, ["end"] = place.finish,
    allDay = event.showWithoutTime == true,
    recurringEventId = context.instance and context.id or nil,
    recurrence = context.master and recurrence.write(event) or nil,
    original = context.original or json.object {},
  }
  for _, name in ipairs(SHOWN) do out[name] = fields[name].read(event, context) end
  return out
end

---A block of busy time, and nothing that says with what.
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
  return {
    name = "connect", variant = scope .. ":" .. app, digest = crypto.hex(crypto.sha256("connect:" .. VERSION)):sub(1, 16),
    render = function(event, context)
      local recurring = context.recurring
      local shown = write(event, {
        provider = context.account.provider, calendar = context.calendar, app = app, id = context.id,
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
