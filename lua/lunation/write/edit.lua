--- What a write does to a canonical event, by scope; computed again on a fresh copy when the provider's has moved on.

local errors = require "lunation.errors"
local model = require "lunation.model"
local tz = require "lunation.tz"

---@class lunation.Change
---@field scope "this"|"following"|"all"
---@field recurrenceId string? local time of the instance, as in recurrenceOverrides
---@field patch table|userdata|nil canonical fields; json.null: the instances of the scope are deleted
---@field uid string? of the second half of a split

local edit = {}

--- Whether an instance is the first of its series, so that all that follows is everything.
---@param event lunation.Event
---@param recurrence_id string
---@return boolean
function edit.is_first(event, recurrence_id)
  return recurrence_id <= model.first_key(event)
end

--- An event as it is kept, or what is wrong with it.
---@param event lunation.Event
---@param before lunation.Event? what it was: fields that a server had odd and this change leaves alone are let be
---@return lunation.Event?, lunation.Error?
function edit.checked(event, before)
  local normal = model.normalize(event)
  local valid, problem = model.validate(normal, before)
  if not valid then return nil, problem end
  return normal
end

--- The event after a change that leaves it one event.
---@param event lunation.Event
---@param change lunation.Change
---@return lunation.Event?, lunation.Error?
function edit.apply(event, change)
  local after, err
  if change.scope == "this" then
    after, err = model.edit_this(event, change.recurrenceId, change.patch)
  elseif change.scope == "following" then
    after, err = model.split(event, change.recurrenceId, change.uid or event.uid)
  else
    after, err = model.edit_all(event, change.patch, change.recurrenceId)
  end
  if not after then return nil, err or errors.new("not_found", "the series has no such instance") end
  return edit.checked(after, event)
end

--- The two halves of a series that is cut before an instance, the second with the change.
---@param event lunation.Event
---@param change lunation.Change
---@param uid string of the second half
---@return lunation.Event? first, lunation.Event|lunation.Error second
function edit.split(event, change, uid)
  local first, second = model.split(event, change.recurrenceId, uid)
  if first == false then return nil, errors.new("conflict", "nothing of the series is left before this instance") end
  if not first then return nil, second or errors.new("not_found", "the series has no such instance") end
  local changed, err = model.edit_all(second, change.patch, change.recurrenceId)
  if not changed then return nil, err end
  changed, err = edit.checked(changed, event)
  if not changed then return nil, err end
  return first, changed
end

--- How many instances are looked at: one that was moved to a later time may stand before those that count.
local LOOK = 64

--- Whether a series goes on at or after an instance. The one that was cut before it does not.
---@param event lunation.Event
---@param recurrence_id string
---@return boolean
function edit.goes_on(event, recurrence_id)
  local from = tz.to_utc(recurrence_id, not event.showWithoutTime and event.timeZone or "UTC")
  for _, instance in ipairs(model.expand(event, from, nil, LOOK)) do
    if (instance.recurrenceId or event.start) >= recurrence_id then return true end
  end
  return false
end

return edit
