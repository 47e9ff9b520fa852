-- The canonical event: JSCalendar (RFC 8984) as Lua tables, with extensions under "lunation:". What it may be, when it happens,
-- and how a series is edited.
local edit = require "lunation.model.edit"
local expand = require "lunation.model.expand"
local instance = require "lunation.model.instance"
local people = require "lunation.ical.people"
local validate = require "lunation.model.validate"

local M = {}

M.validate = validate.event
M.normalize = validate.normalize

M.span = expand.span
M.bounds = expand.bounds
M.expand = expand.expand
M.occurs = expand.occurs

M.patch = edit.patch
M.edit_this = edit.edit_this
M.split = edit.split
M.edit_all = edit.edit_all
M.first_key = edit.first_key

M.copy = instance.copy
M.equal = instance.equal

---An instance of a series as an event of its own, with recurrenceId.
---@param event table canonical master
---@param key string recurrence id: local time as a key of recurrenceOverrides
---@return table? instance
---@return lunation.Error? err not_found: it is taken away
function M.instance(event, key)
  local found = instance.flatten(event, key)
  if found then return found end
  local errors = require "lunation.errors"
  return nil, errors.new("not_found", ("the series has no instance at %s"):format(key), { field = "recurrenceId" })
end

---The key that a participant has in `participants`: the same wherever the address is written.
---@param email string
---@return string
function M.participant_id(email)
  return people.id(email)
end

---Whether a calendar is one of events; others hold tasks or journals alone (RFC 4791, section 5.2.3).
---@param calendar { components: string[]? } canonical
---@return boolean
function M.holds_events(calendar)
  local components = calendar.components or {}
  for _, name in ipairs(components) do
    if name == "VEVENT" then return true end
  end
  return #components == 0
end

-- The name space of the second halves of series.
local SPLIT_NAMESPACE = "6f3c1f8e-3d55-5d6b-9a5c-7e1d2c0b4a93"

---The uid of the second half of a series cut at an instance: the same each time it is asked.
---@param uid string
---@param key string recurrence id
---@return string uuid (RFC 4122, version 5)
function M.split_uid(uid, key)
  return require("lunation.crypto").uuid5(SPLIT_NAMESPACE, uid .. "\n" .. key)
end

return M
