-- When an event happens: its instances in a window, its whole span, whether an instance exists.
local instance = require "lunation.model.instance"
local recurrence = require "lunation.ical.recurrence"
local clock = require "lunation.ical.clock"
local value = require "lunation.ical.value"

local M = {}

-- How far the wall clock may be put forward or back around the ends of a window, in seconds: Samoa left out a day.
local SLACK = 25 * 3600
-- How many times a thousand occurrences are asked for before a window counts as too full.
local MAX_ROUNDS = 200
-- The most occurrences that a span counts through before it calls a series endless.
local SPAN_LIMIT = 20000

local function instant(at, zone)
  return clock.to_utc(at, zone or "UTC")
end

---@param start string local time
---@param duration string?
---@param zone string?
---@param all_day boolean?
---@return integer? start
---@return integer? finish P1D is a day of the wall clock, PT24H is 24 hours
local function bounds(start, duration, zone, all_day)
  if all_day then zone = nil end
  local from = instant(start, zone)
  if not from then return nil end
  local length = duration and value.parse_duration(duration)
  if not length then
    if all_day then return from, from + 86400 end
    return from, from
  end
  local to = from
  if length.days ~= 0 then
    local later = value.shift(start, length.days * 86400)
    to = later and instant(later, zone) or from + length.days * 86400
  end
  return from, to + length.seconds
end

---Start and end of a single event or a flattened instance, as instants; floating times and dates are read in `zone`, else UTC.
---@param event table
---@param zone string? for floating times
---@return integer? start
---@return integer? finish
function M.bounds(event, zone)
  return bounds(event.start, event.duration, event.timeZone or zone, event.showWithoutTime)
end

local function finite(rules)
  for _, rule in ipairs(rules) do
    if not rule.count and not rule["until"] then return false end
  end
  return true
end

local function recurring(event)
  return event.recurrenceRules ~= nil and #event.recurrenceRules > 0
end

-- Whether every rule ended before the series begins.
local function ended(event)
  for _, rule in ipairs(event.recurrenceRules) do
    if not rule["until"] or rule["until"] >= event.start then return false end
  end
  return true
end

---@param event table canonical master
---@return integer? start first instant of any instance
---@return integer? finish last instant of any instance; nil: there is no end
---@return boolean recurring
function M.span(event)
  local start, finish = M.bounds(event)
  local repeats = recurring(event)
  if not repeats and not event.recurrenceOverrides then return start, finish, false end
  local length = (finish or 0) - (start or 0)
  if repeats then
    if not finite(event.recurrenceRules) then
      finish = nil
    else
      local keys, err = recurrence.occurrences(event, nil, nil, SPAN_LIMIT)
      if err or #keys >= SPAN_LIMIT then
        finish = nil
      elseif #keys > 0 then
        local _, last = bounds(keys[#keys], event.duration, event.timeZone, event.showWithoutTime)
        finish = math.max(finish, last or finish)
      end
    end
  end
  for key, patch in pairs(event.recurrenceOverrides or {}) do
    if not patch.excluded then
      local from, to
      if patch.start or patch.duration or patch.timeZone or patch.showWithoutTime ~= nil then
        from, to = M.bounds(instance.flatten(event, key) or event)
      else
        from = instant(key, not event.showWithoutTime and event.timeZone or nil)
        to = from and from + length
      end
      if from and start and from < start then start = from end
      if to and finish and to > finish then finish = to end
    end
  end
  return start, finish, repeats or event.recurrenceOverrides ~= nil
end

---Whether a series has an instance of this key: given by its rules or its overrides and not taken away.
---@param event table canonical master
---@param key string local time
---@return boolean
function M.occurs(event, key)
  local patch = (event.recurrenceOverrides or {})[key]
  if patch then return patch.excluded ~= true end
  if not value.seconds(key) then return false end
  if not recurring(event) then return key == event.start and event.recurrenceOverrides ~= nil end
  local after = value.shift(key, event.showWithoutTime and 86400 or 1)
  return recurrence.occurrences(event, key, after, 1)[1] == key
end

---The instances that overlap [from, to), in order of their starts. Instances that are cancelled alone are left out.
---@param event table canonical master or single event
---@param from integer? instant
---@param to integer? instant
---@param limit integer? 1000 unless told
---@param options {zone: string?, include_start: boolean?, cancelled: boolean?, days: string?}? zone for floating times; days:
---the zone whose days all-day events are, UTC unless told; include_start: the
---start counts as an instance even where no rule gives it; cancelled: instances that are cancelled alone are listed too
---@return {start: integer, finish: integer, recurrenceId: string?, override: table?}[]
---@return boolean truncated
---@return lunation.Error? err why the rules cannot be reckoned (RSCALE): then the start stands for what they give
function M.expand(event, from, to, limit, options)
  limit = limit or 1000
  options = options or {}
  local zone = event.timeZone or options.zone
  if event.showWithoutTime then zone = options.zone end
  local list = {}
  -- Dates are days of UTC, unless another zone is asked for.
  local function bounds_of(full)
    if full.showWithoutTime and options.days then return bounds(full.start, full.duration or "P1D", options.days, false) end
    return M.bounds(full, options.zone)
  end
  local function inside(start, finish)
    if to and start >= to then return false end
    if not from then return true end
    return finish > from or (start == finish and start >= from)
  end
  local overrides = event.recurrenceOverrides
  if not recurring(event) and not overrides then
    local start, finish = bounds_of(event)
    if start and inside(start, finish) then list[1] = { start = start, finish = finish, recurrenceId = event.recurrenceId } end
    return list, false
  end
  overrides = overrides or {}
  local function bounds_at(key, duration)
    if event.showWithoutTime then
      local start, finish = bounds(key, duration or event.duration, zone, false)
      if not (duration or event.duration) then finish = start and start + 86400 end
      return start, finish
    end
    return bounds(key, duration or event.duration, zone, false)
  end
  local function add(key)
    local start, finish = bounds_at(key)
    if start and inside(start, finish) then list[#list + 1] = { start = start, finish = finish, recurrenceId = key } end
  end
  for key, patch in pairs(overrides) do
    local cancelled = patch.status == "cancelled" and event.status ~= "cancelled" and not options.cancelled
    if not patch.excluded and not cancelled then
      local full = instance.flatten(event, key)
      local start, finish = bounds_of(full)
      if start and inside(start, finish) then
        list[#list + 1] = { start = start, finish = finish, recurrenceId = key, override = next(patch) ~= nil and full or nil }
      end
    end
  end
  -- Local times of the window, wider by what clocks may be put forward or back.
  local first, last = bounds_at(event.start)
  local length = first and last - first or 0
  local shown = not event.showWithoutTime and zone or nil
  local low = from and value.shift(clock.to_local(from - length, shown), -SLACK)
  -- Of a window of days the time of its end is left out, and the day with it.
  local high = to and value.shift(clock.to_local(to, shown), event.showWithoutTime and SLACK + 86400 or SLACK)
  local wanted, truncated, err = math.max(limit, 1000) + 1, false, nil
  for round = 1, MAX_ROUNDS do
    local keys
    keys, err = recurrence.occurrences(event, low, high, wanted)
    for _, key in ipairs(keys) do
      if not overrides[key] then add(key) end
    end
    if #keys < wanted then break end
    if #list > limit or round == MAX_ROUNDS then
      truncated = true
      break
    end
    low = value.shift(keys[#keys], 1)
  end
  if options.include_start and recurring(event) and not overrides[event.start] and not ended(event) then
    local known = false
    for _, found in ipairs(list) do known = known or found.recurrenceId == event.start end
    if not known then add(event.start) end
  end
  table.sort(list, function(a, b)
    if a.start ~= b.start then return a.start < b.start end
    return (a.recurrenceId or "") < (b.recurrenceId or "")
  end)
  if #list > limit then
    truncated = true
    for i = #list, limit + 1, -1 do list[i] = nil end
  end
  return list, truncated, err
end

return M
