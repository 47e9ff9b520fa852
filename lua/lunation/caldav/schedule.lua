-- Meetings on servers that send invitations themselves (RFC 6638). What is written to such a server decides whether mail goes
-- out: an ORGANIZER makes it the server's business, SCHEDULE-AGENT (section 7.1) takes it away again.
local errors = require "lunation.errors"
local ical = require "lunation.ical.tree"

local M = {}

---Who sends invitations for an account's events: "SERVER", "CLIENT" or "NONE".
---@param account table     .settings.schedule_agent is the account's own choice
---@param options {schedule_agent:string?}?
---@return string
function M.agent(account, options)
  local settings = account.settings or {}
  return (options and options.schedule_agent or settings.schedule_agent or "server"):upper()
end

---Whether the account's server sends invitations.
---@param account table
---@return boolean
function M.is_automatic(account)
  local scheduling = account.settings and account.settings.scheduling
  return scheduling ~= nil and scheduling.auto == true
end

local function address(property)
  return (property.value or ""):lower()
end

local function parameter(property, name)
  for _, each in ipairs(property.params or {}) do
    if each.name == name then return each end
  end
end

local function set_agent(property, agent)
  local existing = parameter(property, "SCHEDULE-AGENT")
  if existing then return false end
  property.params = property.params or {}
  property.params[#property.params + 1] = { name = "SCHEDULE-AGENT", agent }
  return true
end

-- One VEVENT: an organizer where there are attendees and none is named, and the agent that was asked for.
local function prepare_event(event, own, agent)
  local organizer, attendees, changed = nil, {}, false
  for _, property in ipairs(event.properties) do
    if property.name == "ORGANIZER" then organizer = property end
    if property.name == "ATTENDEE" then attendees[#attendees + 1] = property end
  end
  if #attendees == 0 then return false end
  if not organizer and own[1] then
    organizer = { name = "ORGANIZER", params = {}, value = "mailto:" .. own[1] }
    event.properties[#event.properties + 1] = organizer
    changed = true
  end
  if agent == "SERVER" or not organizer then return changed end
  local mine = false
  for _, mail in ipairs(own) do mine = mine or address(organizer) == "mailto:" .. mail end
  if mine then
    for _, attendee in ipairs(attendees) do changed = set_agent(attendee, agent) or changed end
  else
    -- A guest's copy: the parameter on ORGANIZER speaks of the reply.
    changed = set_agent(organizer, agent) or changed
  end
  return changed
end

---The text to send to a server: as it is, unless the server schedules and the event has attendees.
---@param text string
---@param account table
---@param options {schedule_agent:string?}?
---@return string?, lunation.Error? err
function M.prepare(text, account, options)
  if not M.is_automatic(account) or not text:upper():find("\nATTENDEE", 1, true) then return text end
  local tree, err = ical.parse(text)
  if not tree then return nil, errors.new("invalid_request", err.message or tostring(err), { line = err.line }) end
  local own = account.settings.scheduling.addresses or {}
  local changed = false
  for _, component in ipairs(tree.components) do
    if component.name == "VEVENT" then changed = prepare_event(component, own, M.agent(account, options)) or changed end
  end
  return changed and ical.serialize(tree) or text
end

return M
