--- What a write does to a canonical event, by scope; computed again on a fresh copy when the provider's has moved on.

local errors = require "lunation.errors"
local json = require "lunation.json"
local model = require "lunation.model"

---@class lunation.Change
---@field scope "this"|"following"|"all"
---@field recurrenceId string? local time of the instance, as in recurrenceOverrides
---@field patch table|userdata canonical fields; json.null: the instances of the scope are deleted

local edit = {}

--- Whether an instance is the first of its series, so that all that follows is everything.
---@param event lunation.Event
---@param recurrence_id string
---@return boolean
function edit.is_first(event, recurrence_id)
  return recurrence_id <= event.start
end

--- The event after a change that leaves it one event.
---@param event lunation.Event
---@param change lunation.Change
---@return lunation.Event?, lunation.Error?
function edit.apply(event, change)
  local series = event.recurrenceRules ~= nil or event.recurrenceOverrides ~= nil
  local after, err
  if change.scope == "this" then
    after, err = model.edit_this(event, change.recurrenceId, change.patch)
  elseif change.scope == "following" then
    after, err = model.split(event, change.recurrenceId, event.uid)
  elseif series then
    after, err = model.edit_all(event, change.patch, change.recurrenceId)
  else
    after, err = model.patch(event, change.patch)
  end
  if not after then return nil, err or errors.new("not_found", "the series has no such instance") end
  local valid, problem = model.validate(after)
  if not valid then return nil, problem end
  return after
end

--- The two halves of a series that is cut before an instance, the second with the change.
---@param event lunation.Event
---@param change lunation.Change
---@param uid string of the second half
---@return lunation.Event? first, lunation.Event|lunation.Error second
function edit.split(event, change, uid)
  local first, second = model.split(event, change.recurrenceId, uid)
  if not first then return nil, second or errors.new("not_found", "the series has no such instance") end
  local changed, err = model.edit_all(second, change.patch, change.recurrenceId)
  if not changed then return nil, err end
  local valid, problem = model.validate(changed)
  if not valid then return nil, problem end
  return first, changed
end

--- Whether a series goes on at or after an instance. The one that was cut before it does not.
---@param event lunation.Event
---@param recurrence_id string
---@return boolean
function edit.goes_on(event, recurrence_id)
  local first = model.split(event, recurrence_id, event.uid)
  return first ~= nil
end

--- Two canonical events that say the same.
---@param one lunation.Event
---@param other lunation.Event
---@return boolean
function edit.same(one, other)
  return json.encode(one, { sorted = true }) == json.encode(other, { sorted = true })
end

return edit
