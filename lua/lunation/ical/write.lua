-- Canonical events into iCalendar trees. A change is a patch on the stored tree: only the properties of fields that differ are
-- touched, in the master, in its overrides, among its exceptions; everything else stays as the last writer left it.
local component = require "lunation.ical.component"
local instance = require "lunation.model.instance"
local mapping = require "lunation.mapping"
local null = require "lunation.null"
local recurrence = require "lunation.ical.recurrence"
local series = require "lunation.ical.series"
local slice = require "lunation.ical.slice"
local time = require "lunation.ical.time"
local tree = require "lunation.ical.tree"
local value = require "lunation.ical.value"
local zone = require "lunation.ical.zone"
local zone_object = require "lunation.ical.zone_object"

local M = {}

M.PRODID = "-//lunation//lunation//EN"

-- --- one component ---

local function stamp_of(options, event)
  local updated = event.updated and value.parse_utc(event.updated)
  if updated then return value.format_time(updated:sub(1, 19), "utc") end
  return value.format_time(value.from_seconds(options.now or os.time()), "utc")
end

-- Writes what differs into a component and, where anything did, when that was.
local function write_node(job, node, before, after)
  local context = job.context
  context.canonical, context.memo = after, {}
  context.fresh = before == nil
  local changed, err = job.mapping:write(node, after, before, context)
  if changed == nil then return nil, err end
  if changed then
    job.changed = true
    local said = before and mapping.equal(before.updated, after.updated) and {} or after
    local stamp = stamp_of(job.options, said)
    component.set(node, "DTSTAMP", stamp)
    if before and not job.fresh then component.set(node, "LAST-MODIFIED", stamp) end
  end
  context.memo = {}
  return true
end

-- Fields that change with every edit of the series say nothing about an override in which nothing else changed.
local function settle(before, after, patch)
  local sequence, updated = after.sequence, after.updated
  for _, field in ipairs { "updated", "sequence" } do
    if patch[field] == nil then after[field] = before[field] end
  end
  if not mapping.equal(before, after) then after.sequence, after.updated = sequence, updated end
end

-- --- overrides ---

local function flat(event, key)
  local full = instance.flatten(event, key)
  if full then full.recurrenceId, full.recurrenceIdTimeZone = nil, nil end
  return full
end

local function plain_patch(patch)
  local fields = {}
  for field, v in pairs(patch) do
    if v ~= nil and not (field == "excluded" and v == false) then fields[#fields + 1] = field end
  end
  return #fields == 0, #fields == 1 and fields[1] == "duration" and patch.duration ~= null
end

-- A new override: what the master is, with all that this program does not know, made the instance.
local function new_override(job, master, after, key)
  local node = component.copy(master)
  for _, name in ipairs { "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID" } do component.remove(node, name) end
  local id = component.property("RECURRENCE-ID", "")
  job.context.canonical = after
  time.set_key(id, key, after, job.context, component.find(master, "DTSTART"))
  local _, at = component.find(node, "UID")
  table.insert(node.properties, (at or 0) + 1, id)
  local done, err = write_node(job, node, instance.base(after, after.start), flat(after, key))
  if not done then return nil, err end
  if not job.fresh then component.set(node, "DTSTAMP", stamp_of(job.options, {})) end
  job.changed = true
  return node
end

local function remove_nodes(parent, gone)
  local kept = {}
  for _, node in ipairs(parent.components) do
    if not gone[node] then kept[#kept + 1] = node end
  end
  parent.components = kept
end

-- Where the series moves, an override that stands at the moved place is the same one: its component goes with it.
local function follow_shift(before, after, nodes)
  local shift = value.seconds(after.start) - value.seconds(before.start)
  local moved = {}
  if shift == 0 then return nodes, moved end
  local old, new = before.recurrenceOverrides or {}, after.recurrenceOverrides or {}
  local result = {}
  for key, found in pairs(nodes) do
    local target = value.shift(key, shift)
    if target and new[target] and not (new[key] and not old[target]) then
      result[target], moved[target] = found, key
    else
      result[key] = found
    end
  end
  return result, moved
end

local function sorted_keys(...)
  local set, keys = {}, {}
  for _, t in ipairs { ... } do
    for key in pairs(t) do
      if not set[key] then
        set[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  table.sort(keys)
  return keys
end

---@class lunation.ical.Exceptions what is to be done to EXDATE, RDATE and components when all overrides have been looked at
---@field exdates string[] keys to add
---@field rdates {key: string, duration: string?}[]
---@field gone_exdates table<string, boolean>
---@field gone_rdates table<string, boolean>
---@field gone_nodes table<lunation.ical.Component, boolean>

local function drop_nodes(plan, found)
  for _, node in ipairs(found and found.all or {}) do plan.gone_nodes[node] = true end
end

-- An override that has a component: its fields, and its RECURRENCE-ID where the series moved.
local function change_override(job, master, found, before, old_key, after, key, retype)
  local before_full, after_full = flat(before, old_key), flat(after, key)
  settle(before_full, after_full, after.recurrenceOverrides[key])
  if old_key ~= key or retype then
    job.context.canonical = after
    time.set_key(component.find(found.node, "RECURRENCE-ID"), key, after, job.context, component.find(master, "DTSTART"))
    job.changed = true
  end
  return write_node(job, found.node, before_full, after_full)
end

-- An override that has none: a new component, or an RDATE where it only adds an instance.
local function add_override(job, plan, group, master, was, after, key)
  local is = after.recurrenceOverrides[key]
  local empty, only_duration = plain_patch(is)
  local added = was and not was.excluded
  -- Whether the rules give the instance anyway is asked only where the answer matters: it takes an expansion.
  if not empty and not (only_duration and not recurrence.generates(after, key)) then
    local node, err = new_override(job, master, after, key)
    if not node then return nil, err end
    group.parent.components[#group.parent.components + 1] = node
    if was == nil and not recurrence.generates(after, key) then plan.rdates[#plan.rdates + 1] = { key = key } end
  elseif not recurrence.generates(after, key) then
    if added then plan.gone_rdates[key] = true end
    plan.rdates[#plan.rdates + 1] = { key = key, duration = is.duration }
  end
  return true
end

-- All dates of a series whose zone or kind of time changed are written anew.
local function retype_dates(plan, old, nodes, after)
  local listed = {}
  for _, r in ipairs(plan.rdates) do listed[r.key] = true end
  for key, patch in pairs(old) do
    if patch.excluded then plan.gone_exdates[key] = true else plan.gone_rdates[key] = true end
    local still = after.recurrenceOverrides and after.recurrenceOverrides[key]
    if still and not still.excluded and not nodes[key] and not listed[key] and plain_patch(still) and not recurrence.generates(after, key) then
      plan.rdates[#plan.rdates + 1] = { key = key, duration = still.duration }
    end
  end
end

local function carry_out(job, plan, group, master, before, after)
  local context = job.context
  context.canonical = before or after
  if next(plan.gone_exdates) then recurrence.remove_dates(master, "EXDATE", plan.gone_exdates, context.canonical, context) end
  if next(plan.gone_rdates) then recurrence.remove_dates(master, "RDATE", plan.gone_rdates, context.canonical, context) end
  context.canonical = after
  for _, key in ipairs(plan.exdates) do recurrence.add_date(master, "EXDATE", key, nil, after, context) end
  for _, r in ipairs(plan.rdates) do recurrence.add_date(master, "RDATE", r.key, r.duration, after, context) end
  if next(plan.gone_nodes) then remove_nodes(group.parent, plan.gone_nodes) end
  if next(plan.gone_exdates) or next(plan.gone_rdates) or next(plan.gone_nodes) or plan.exdates[1] or plan.rdates[1] then job.changed = true end
end

---Writes the overrides and exceptions of a series.
---@param job table {mapping, context, options}
---@param group table series of the stored tree
---@param master lunation.ical.Component as it is written already
---@param before table|nil canonical
---@param after table canonical
---@return boolean? done
---@return table? err
local function write_overrides(job, group, master, before, after)
  job.context.canonical = before or after
  local old, new = before and before.recurrenceOverrides or {}, after.recurrenceOverrides or {}
  local nodes, moved = series.by_key(group.overrides, before or after, job.context), {}
  local retype = before ~= nil and (before.timeZone ~= after.timeZone or (before.showWithoutTime or false) ~= (after.showWithoutTime or false))
  if before then nodes, moved = follow_shift(before, after, nodes) end
  local plan = { exdates = {}, rdates = {}, gone_exdates = {}, gone_rdates = {}, gone_nodes = {} }

  for _, key in ipairs(sorted_keys(old, new, nodes)) do
    local was, is, found = old[moved[key] or key], new[key], nodes[key]
    local was_excluded, is_excluded = was and was.excluded == true, is and is.excluded == true
    local done, err = true, nil
    if is_excluded then
      if not was_excluded then drop_nodes(plan, found) end
      if not was_excluded or retype or moved[key] then plan.exdates[#plan.exdates + 1] = key end
    elseif is and found and was and not was_excluded then
      done, err = change_override(job, master, found, before, moved[key] or key, after, key, retype)
    elseif is then
      -- A component that the caller did not know of, or that EXDATE took away as well, is written over.
      drop_nodes(plan, found)
      if not (was and not was_excluded and mapping.equal(was, is) and not retype) then
        done, err = add_override(job, plan, group, master, was, after, key)
      end
    elseif was then
      drop_nodes(plan, found)
    end
    if not done then return nil, err end
    if was_excluded and (not is_excluded or retype) then plan.gone_exdates[key] = true end
    if was and not was_excluded and (is == nil or is_excluded) then plan.gone_rdates[key] = true end
  end
  for target, key in pairs(moved) do
    if old[key] and old[key].excluded and not (new[target] or {}).excluded then plan.gone_exdates[key] = true end
  end
  if before and before.start ~= after.start then
    -- Dates of the old times that the new series no longer names.
    for key, patch in pairs(old) do
      if not new[key] then
        if patch.excluded then plan.gone_exdates[key] = true else plan.gone_rdates[key] = true end
      end
    end
  end
  if retype then retype_dates(plan, old, nodes, after) end
  carry_out(job, plan, group, master, before, after)
  return true
end

-- --- zones ---

-- Every TZID of the events gets a definition where it has none (RFC 5545 section 3.6.5).
local function define_zones(root, job)
  local calendar = root.name == "VCALENDAR" and root
  if not calendar then
    for _, child in ipairs(root.components) do calendar = calendar or (child.name == "VCALENDAR" and child) end
  end
  if not calendar then return end
  local defined, wanted, order = {}, {}, {}
  for _, node in ipairs(component.children(calendar, "VTIMEZONE")) do
    defined[component.value(node, "TZID") or ""] = true
  end
  for _, node in ipairs(calendar.components) do
    if node.name == "VEVENT" then
      for _, p in ipairs(node.properties) do
        local id = component.param(p, "TZID")
        local at = id and not defined[id] and value.parse_time((p.value:gsub("[,/].*", "")))
        if at then
          if not wanted[id] then order[#order + 1] = id end
          if not wanted[id] or at < wanted[id] then wanted[id] = at end
        end
      end
    end
  end
  local made = {}
  for _, id in ipairs(order) do
    local node
    for _, definition in pairs(job.zones or {}) do
      if definition.tzId == id then node = node or zone_object.from(definition, id) end
    end
    local name = not node and zone.canonical(id)
    node = node or (name and zone.definition(name, wanted[id], id))
    made[#made + 1] = node or nil
  end
  if #made == 0 then return end
  local at = 1
  while calendar.components[at] and calendar.components[at].name == "VTIMEZONE" do at = at + 1 end
  for i, node in ipairs(made) do table.insert(calendar.components, at + i - 1, node) end
end

-- --- whole texts ---

local function new_job(m, root, options, event)
  return { mapping = m, context = series.context(root), options = options or {}, zones = event.timeZones, changed = false }
end

local function add_event(job, root, event)
  local node = component.new("VEVENT")
  root.components[#root.components + 1] = node
  node.properties[1] = component.property("DTSTAMP", stamp_of(job.options, event))
  if event.uid then table.insert(node.properties, 1, component.property("UID", tree.escape(event.uid))) end
  if event.recurrenceId then
    local id = component.property("RECURRENCE-ID", "")
    job.context.canonical = event
    local like = { timeZone = event.recurrenceIdTimeZone or event.timeZone, showWithoutTime = event.showWithoutTime }
    time.set_key(id, event.recurrenceId, like, job.context)
    table.insert(node.properties, 2, id)
  end
  local done, err = write_node(job, node, nil, event)
  if not done then return nil, err end
  local group = { uid = event.uid, masters = { node }, overrides = {}, parent = root }
  return write_overrides(job, group, node, nil, event)
end

---A new VCALENDAR.
---@param options {prodid: string?, method: string?, name: string?}?
---@return lunation.ical.Component
function M.calendar(options)
  local root = component.new("VCALENDAR")
  local function add(name, text) root.properties[#root.properties + 1] = component.property(name, text) end
  add("VERSION", "2.0")
  add("PRODID", options and options.prodid or M.PRODID)
  add("CALSCALE", "GREGORIAN")
  if options and options.method then add("METHOD", options.method) end
  if options and options.name then
    add("NAME", tree.escape(options.name))
    add("X-WR-CALNAME", tree.escape(options.name))
  end
  return root
end

---@param m lunation.Mapping of one VEVENT
---@param events table[] canonical
---@param options table? {now=, prodid=, method=, name=}
---@return lunation.ical.Component? root
---@return table? err
function M.tree(m, events, options)
  local root = M.calendar(options)
  local job = new_job(m, root, options, {})
  job.fresh, job.zones = true, {}
  for i, event in ipairs(events) do
    if i % slice.EVENTS == 0 then slice.breathe() end
    for name, definition in pairs(event.timeZones or {}) do job.zones[name] = definition end
    local done, err = add_event(job, root, event)
    if not done then return nil, err end
  end
  define_zones(root, job)
  return root
end

---Changes a tree from one canonical event to another, and nothing else.
---@param m lunation.Mapping of one VEVENT
---@param root lunation.ical.Component stays as it is
---@param before table canonical event as it was read (of this tree or of an earlier version of it)
---@param after table canonical event as it shall be
---@param options {now: integer?}?
---@return lunation.ical.Component? root a changed copy
---@return table? err
function M.patch(m, root, before, after, options)
  root = component.copy(root)
  local group
  for _, candidate in ipairs(series.collect(root)) do
    if not group or candidate.uid == before.uid then
      group = candidate
      if candidate.uid == before.uid then break end
    end
  end
  if not group then return nil, { code = "not_found", message = "the calendar text has no event" } end
  local job = new_job(m, root, options, after)
  local master = series.chosen_master(group)
  if not master then
    -- Overrides alone: the first of them stands for the event, as it did when it was read.
    local orphans = {}
    for _, node in ipairs(group.overrides) do
      local moment = time.moment(component.find(node, "RECURRENCE-ID"), job.context)
      orphans[#orphans + 1] = { node = node, at = moment and moment.at or "" }
    end
    table.sort(orphans, function(a, b) return a.at < b.at end)
    master = orphans[1].node
    local others = {}
    for _, node in ipairs(group.overrides) do
      if node ~= master then others[#others + 1] = node end
    end
    group.overrides = others
  end
  local done, err = write_node(job, master, before, after)
  if not done then return nil, err end
  done, err = write_overrides(job, group, master, before, after)
  if not done then return nil, err end
  if before.uid ~= after.uid then
    for _, node in ipairs(group.parent.components) do
      if node.name == "VEVENT" then component.set(node, "UID", tree.escape(after.uid)) end
    end
  end
  if job.changed then define_zones(root, job) end
  return root
end

return M
