-- The rows of a calendar: single events, series, and the instances that differ from their series.
local push = require "spec.emulators.google.push"
local series = require "spec.emulators.google.series"
local world = require "spec.emulators.google.world"

local rows = {}

--- The row of an identifier, or the instance that a series has under it; nil where there is neither.
---@param calendar table
---@param id string
---@return table? row `virtual` where it is not stored
function rows.find(calendar, id)
  local row = calendar.events[id]
  if row then return row end
  local master_id, original = series.parse_id(id)
  local master = master_id and original and calendar.events[master_id]
  if not master or not master.data.recurrence or master.status == "cancelled" then return nil end
  if series.id(master_id, original, master.data.start.date ~= nil) ~= id or not series.has(master, original) then return nil end
  return series.instance(master, original)
end

--- Stores a row as changed now and tells who watches.
---@param calendar table
---@param row table
---@param quiet boolean? what does not change `updated`, such as reminders
function rows.put(calendar, row, quiet)
  row.rev = world.tick()
  if not quiet or not row.updated then row.updated = world.stamp(row.rev / 1000) end
  row.created = row.created or row.updated
  calendar.seq = calendar.seq + 1
  row.seq = calendar.seq
  if not calendar.events[row.id] then
    calendar.order = (calendar.order or 0) + 1
    row.order = calendar.order
  end
  calendar.events[row.id] = row
  if row.master then
    calendar.instances[row.master] = calendar.instances[row.master] or {}
    calendar.instances[row.master][row.id] = row
  else
    calendar.by_uid[row.uid] = row.id
  end
  push.changed("events", calendar.id)
end

--- An instance as a row of its own, with what it says kept apart from its series.
---@param instance table
---@return table row
function rows.detach(instance)
  if not instance.virtual then return instance end
  local row = {}
  for name, value in pairs(instance) do row[name] = value end
  row.virtual = nil
  row.data = {}
  for name, value in pairs(getmetatable(instance.data).__index) do row.data[name] = world.copy(value) end
  for name, value in pairs(instance.data) do row.data[name] = value end
  row.data.recurrence = nil
  return row
end

--- Remembers how a series is before its times change, for those who sync its instances.
---@param calendar table
---@param row table
---@param data table what it is going to say
---@return boolean moved
function rows.remember(calendar, row, data)
  local old = row.data
  local moved = not (world.same(old.start, data.start) and world.same(old["end"], data["end"]) and world.same(old.recurrence, data.recurrence))
  if moved and (old.recurrence or data.recurrence) then
    local before = {}
    for name, value in pairs(row) do before[name] = value end
    -- a revision of its own, so that its instances are worked out anew
    before.past, before.rev = nil, -world.tick()
    row.past = world.copy_list(row.past)
    table.insert(row.past, { seq = calendar.seq + 1, row = before })
  end
  return moved
end

--- Marks a row as deleted; a series takes its instances with it.
---@param calendar table
---@param row table
function rows.cancel(calendar, row)
  rows.remember(calendar, row, {})
  row.status = "cancelled"
  rows.put(calendar, row)
  for _, instance in pairs(calendar.instances[row.id] or {}) do
    if not instance.orphan then
      instance.status, instance.orphan = "cancelled", true
      rows.put(calendar, instance)
    end
  end
end

-- An instance that had lost its place has it again: it says what the series says.
local function revive(calendar, master, row)
  local fresh = rows.detach(series.instance(master, row.original))
  fresh.order = row.order
  rows.put(calendar, fresh)
end

--- After a change of a series' times: instances that it no longer has are given up, as the service resets them; those that it
--- has again come back.
---@param calendar table
---@param master table
function rows.reset_instances(calendar, master)
  local list = {}
  for _, instance in pairs(calendar.instances[master.id] or {}) do list[#list + 1] = instance end
  local lines, all_day = master.data.recurrence, master.data.start.date ~= nil
  for _, instance in ipairs(list) do
    local has = lines and (instance.data.originalStartTime.date ~= nil) == all_day and series.has(master, instance.original)
    if has and instance.orphan then
      revive(calendar, master, instance)
    elseif not has and not instance.orphan then
      instance.status, instance.orphan = "cancelled", true
      rows.put(calendar, instance)
    end
  end
end

return rows
