-- VEVENTs of one UID to one canonical event: the master and its overrides (RFC 5545 section 3.8.4.4). An override without a
-- master is an event of its own; of two with the same RECURRENCE-ID the one with the higher SEQUENCE counts, then the later.
local component = require "lunation.ical.component"
local instance = require "lunation.model.instance"
local recurrence = require "lunation.ical.recurrence"
local time = require "lunation.ical.time"
local tree = require "lunation.ical.tree"
local value = require "lunation.ical.value"
local zone = require "lunation.ical.zone"

local M = {}

-- How many instances a RANGE=THISANDFUTURE override is written out for.
local RANGE_LIMIT = 1000

---What reading and writing share: the zones of the text, what was noticed, what was worked out already.
---@param root lunation.ical.Component
---@param warnings table?
---@return table context
function M.context(root, warnings)
  return {
    zones = zone.of(root), memo = {},
    used = function() end,
    warn = function(at, message)
      if warnings and #warnings < 1000 then
        warnings[#warnings + 1] = { code = "invalid_request", message = message, line = at and at.line, column = at and at.line and 1 or nil }
      end
    end,
  }
end

local function sequence(node)
  return tonumber(component.value(node, "SEQUENCE") or "") or 0
end

-- Whether a component stands for one instance of a series. Some programs write the first second of 1970, in some zone, where they
-- mean nothing at all.
local function is_override(node, id)
  if not id then return false end
  local unset = id:find "^%s*1970010[12]" or id:find "^%s*19691231"
  return not unset or (component.value(node, "DTSTART") or ""):find "^%s*19[67]" ~= nil
end

---The events of a text by UID, in order of appearance.
---@param root lunation.ical.Component
---@return table[] series {uid=, masters={nodes}, overrides={nodes}, parent=}
function M.collect(root)
  local list, by_uid = {}, {}
  local function visit(node)
    for _, child in ipairs(node.components) do
      if child.name == "VEVENT" then
        local uid, id
        for _, p in ipairs(child.properties) do
          if p.name == "UID" then uid = uid or p.value elseif p.name == "RECURRENCE-ID" then id = id or p.value end
        end
        if uid and uid:find "[%s\\]" then uid = tree.unescape(uid):match("^%s*(.-)%s*$") end
        if not uid or uid == "" then uid = M.made_uid(child) end
        local series = by_uid[uid]
        if not series then
          series = { uid = uid, masters = {}, overrides = {}, parent = node }
          by_uid[uid] = series
          list[#list + 1] = series
        end
        local group = is_override(child, id) and series.overrides or series.masters
        group[#group + 1] = child
      end
      -- Where an END is missing or misspelt, the next event stands inside of what came before it.
      if #child.components > 0 then visit(child) end
    end
  end
  if root.name == "VEVENT" then
    visit { components = { root } }
  else
    visit(root)
  end
  return list
end

---A UID for an event that has none: the same for the same text.
---@param node lunation.ical.Component
---@return string
function M.made_uid(node)
  local hash = 0xcbf29ce484222325
  for _, name in ipairs { "DTSTART", "DTEND", "DURATION", "SUMMARY", "RRULE", "LOCATION" } do
    local text = name .. (component.value(node, name) or "")
    for i = 1, #text do hash = (hash ~ text:byte(i)) * 0x100000001b3 end
  end
  return ("no-uid-%016x"):format(hash)
end

---@param uid string
---@return boolean whether the text had no UID
function M.is_made(uid)
  return uid:find("^no%-uid%-%x+$") ~= nil
end

---Which of the masters counts: the highest SEQUENCE, then the last. With a context the others are warned of.
---@param series table as collect gives it
---@param context table?
---@return lunation.ical.Component?
local function chosen_master(series, context)
  local best
  for _, node in ipairs(series.masters) do
    if not best or sequence(node) >= sequence(best) then best = node end
  end
  for _, node in ipairs(context and series.masters or {}) do
    if node ~= best then context.warn(node, ("another event of this text has the UID %q too and counts instead"):format(series.uid)) end
  end
  return best
end

---@return table? event
---@return table? err
local function read(m, node, context)
  context.present = component.look(node)
  local event, err = m:read(node, context)
  context.present = nil
  component.look(nil)
  if not event then
    err.line = node.line
    local p = err.field == "start" and component.find(node, "DTSTART")
    if p and p.line then err.line = p.line end
    return nil, err
  end
  local times = time.times(node, context)
  if times and times.definition and event.timeZone then
    event.timeZones = { [event.timeZone] = times.definition }
  end
  if times and times.end_zone and times.end_definition then
    event.timeZones = event.timeZones or {}
    event.timeZones[times.end_zone] = times.end_definition
  end
  return event
end

local function recurrence_id(node, context)
  local p = component.find(node, "RECURRENCE-ID")
  local moment = time.moment(p, context)
  if not moment then context.warn(p, ("RECURRENCE-ID %q is not a date or time"):format(p.value:sub(1, 40))) end
  local range = component.param(p, "RANGE")
  return moment, range and range:upper() == "THISANDFUTURE"
end

---The override components of a master by key, the one that counts for each.
---@param nodes lunation.ical.Component[]
---@param event table canonical master
---@param context table of the text that is read
---@return table<string, {node: table, range: boolean, others: table[]}>
function M.by_key(nodes, event, context)
  local found = {}
  for _, node in ipairs(nodes) do
    local moment, range = recurrence_id(node, context)
    local key = moment and time.key(moment, event)
    if key then
      local known = found[key]
      if not known then
        found[key] = { node = node, range = range, all = { node } }
      else
        known.all[#known.all + 1] = node
        local newer = sequence(node) >= sequence(known.node)
        context.warn(newer and known.node or node, ("another component has the RECURRENCE-ID %s too and counts instead"):format(key))
        if newer then known.node, known.range = node, range end
      end
    end
  end
  return found
end

local function override_patch(m, master, key, node, context)
  local full, err = read(m, node, context)
  if not full then
    context.warn(component.find(node, "RECURRENCE-ID"), ("an override is left out: %s"):format(err.message))
    return nil
  end
  local zones = full.timeZones
  if zones then
    master.timeZones = master.timeZones or {}
    for name, definition in pairs(zones) do master.timeZones[name] = definition end
  end
  -- An override written in UTC means the zone of its series.
  if full.timeZone == "Etc/UTC" and master.timeZone and master.timeZone ~= "Etc/UTC" then
    full.start = time.key({ at = full.start, kind = "utc", zone = "Etc/UTC" }, master)
    full.timeZone = master.timeZone
  end
  return instance.diff(instance.base(master, key), full), full
end

-- RANGE=THISANDFUTURE: later instances move by as much, take its length and what else it changes.
local function spread(master, ranges, overrides)
  table.sort(ranges, function(a, b) return a.key < b.key end)
  for i, range in ipairs(ranges) do
    local to = ranges[i + 1] and ranges[i + 1].key
    local shift = value.seconds(range.patch.start or range.key) - value.seconds(range.key)
    local keys = recurrence.occurrences(master, range.key, to, RANGE_LIMIT)
    for key, patch in pairs(overrides) do
      -- Instances that RDATE added move too.
      if next(patch) == nil and key > range.key and (not to or key < to) then keys[#keys + 1] = key end
    end
    for _, key in ipairs(keys) do
      if key ~= range.key and (not overrides[key] or next(overrides[key]) == nil) then
        local patch = instance.copy(range.patch)
        if shift ~= 0 then patch.start = value.shift(key, shift) else patch.start = nil end
        overrides[key] = patch
      end
    end
  end
end

---@param m lunation.Mapping of one VEVENT
---@param series table as collect gives it
---@param context table
---@param options {merge: boolean?}? merge: overrides without a master become one event, as a resource of CalDAV asks
---@return table[] events
---@return table? err of an event that could not be read
function M.events(m, series, context, options)
  local node = chosen_master(series, context)
  local events, problem = {}, nil
  if not node then
    local orphans = {}
    for _, child in ipairs(series.overrides) do
      local moment, range = recurrence_id(child, context)
      local event, err = read(m, child, context)
      if event then
        event.recurrenceRules, event.excludedRecurrenceRules = nil, nil
        event.uid = event.uid or series.uid
        event.recurrenceId = moment and time.key(moment, event) or event.start
        event.recurrenceIdTimeZone = event.timeZone
        orphans[#orphans + 1] = { event = event, node = child, range = range }
      else
        problem = problem or err
      end
    end
    if options and options.merge and #orphans > 0 then
      return { M.merged(m, orphans, context) }, problem
    end
    local chosen, order = {}, {}
    for _, orphan in ipairs(orphans) do
      local key = orphan.event.recurrenceId
      if not chosen[key] then order[#order + 1] = key end
      if not chosen[key] or sequence(orphan.node) >= sequence(chosen[key].node) then chosen[key] = orphan end
    end
    for _, key in ipairs(order) do events[#events + 1] = chosen[key].event end
    return events, problem
  end
  local master, err = read(m, node, context)
  if not master then return {}, err end
  master.uid = master.uid or series.uid
  local overrides = recurrence.read_dates(node, master, context)
  local ranges = {}
  for key, found in pairs(M.by_key(series.overrides, master, context)) do
    -- An instance that EXDATE takes away is gone, whatever an override says of it.
    local excluded = overrides[key] and overrides[key].excluded
    local patch = not excluded and override_patch(m, master, key, found.node, context)
    if patch then
      overrides[key] = patch
      if found.range then ranges[#ranges + 1] = { key = key, patch = patch } end
    end
  end
  if #ranges > 0 then spread(master, ranges, overrides) end
  if next(overrides) ~= nil then master.recurrenceOverrides = overrides end
  return { master }, nil
end

---The first of several overrides without a master as an event, the others as instances added to it.
---@param orphans table[] {event=, node=}
---@param m lunation.Mapping
---@param context table of the text that is read
---@return table event
function M.merged(m, orphans, context)
  table.sort(orphans, function(a, b) return a.event.recurrenceId < b.event.recurrenceId end)
  local first = orphans[1]
  local nodes = {}
  for i = 2, #orphans do nodes[#nodes + 1] = orphans[i].node end
  local overrides = {}
  for key, found in pairs(M.by_key(nodes, first.event, context)) do
    if key ~= first.event.recurrenceId then overrides[key] = override_patch(m, first.event, key, found.node, context) end
  end
  if next(overrides) ~= nil then first.event.recurrenceOverrides = overrides end
  return first.event, first.node
end

M.chosen_master = chosen_master

return M
