-- Editing a series: one instance, an instance and those after it, all of it (RFC 5545 section 3.8.5, RFC 8984 section 4.3).
-- Every function returns new objects and leaves its arguments as they are.
local expand = require "lunation.model.expand"
local instance = require "lunation.model.instance"
local null = require "lunation.null"
local recurrence = require "lunation.ical.recurrence"
local value = require "lunation.ical.value"

local M = {}

local copy = instance.copy

local function fail(code, message, field)
  local ok, errors = pcall(require, "lunation.errors")
  if ok and type(errors) == "table" and errors.new then return nil, errors.new(code, message, { field = field }) end
  return nil, setmetatable({ code = code, message = message, field = field }, { __tostring = function(e) return e.message end })
end

local function now(options)
  local seconds = options and options.now or os.time()
  return value.from_seconds(seconds) .. "Z"
end

local function bump(event, options)
  event.sequence = (math.tointeger(event.sequence) or 0) + 1
  event.updated = now(options)
  return event
end

---An event with a patch applied: fields are replaced, null takes one away, paths "participants/bob/name" go down.
---@param event table
---@param patch table
---@return table event
function M.patch(event, patch)
  return instance.apply(copy(event), patch)
end

local function is_key(event, key)
  return type(key) == "string" and value.seconds(key) ~= nil and expand.occurs(event, key)
end

-- What belongs to the series is no part of an edit of one instance.
local function of_instance(patch)
  local result = {}
  for field, v in pairs(patch) do
    if not field:find("^recurrence") and field ~= "excludedRecurrenceRules" and field ~= "uid" then result[field] = v end
  end
  return result
end

---Changes one instance of a series, or takes it away.
---@param event table canonical master
---@param key string recurrence id: local time as a key of recurrenceOverrides
---@param patch table|userdata fields of the instance; null takes the instance away
---@param options {now: integer?}?
---@return table? event
---@return lunation.Error? err not_found: the series has no such instance
function M.edit_this(event, key, patch, options)
  if not is_key(event, key) then return fail("not_found", ("the series has no instance at %s"):format(tostring(key)), "recurrenceId") end
  local result = copy(event)
  local overrides = result.recurrenceOverrides or {}
  result.recurrenceOverrides = overrides
  if patch == null or patch == nil then
    local added = not recurrence.generates(event, key)
    overrides[key] = { excluded = true }
    -- An instance that only an addition gave is gone with it.
    if added then overrides[key] = nil end
    if next(overrides) == nil then result.recurrenceOverrides = nil end
    return bump(result, options)
  end
  local before = instance.flatten(event, key)
  local full = instance.apply(copy(before), of_instance(patch))
  full.sequence = (math.tointeger(before.sequence) or 0) + 1
  full.updated = now(options)
  overrides[key] = instance.diff(instance.base(event, key), full)
  result.updated = now(options)
  return result
end

local function earlier(rule, at)
  return rule["until"] ~= nil and rule["until"] < at
end

---How many times one rule of the series fires before a key; exceptions count too (RFC 5545 section 3.3.10).
local function count_before(event, rule, key)
  local alone = { start = event.start, timeZone = event.timeZone, showWithoutTime = event.showWithoutTime, recurrenceRules = { rule } }
  return #recurrence.occurrences(alone, nil, key, rule.count)
end

---Cuts a series in two before an instance. The second half is an event of its own with a new uid, the overrides and exceptions
---from there on, and what is left of COUNT; both name each other in relatedTo.
---@param event table canonical master
---@param key string recurrence id of the first instance of the second half
---@param uid string of the second half (model.split_uid makes one that is the same each time)
---@param options {now: integer?}?
---@return table|false|nil first false: there is nothing before the cut, the second is the whole series under its own uid
---@return table|lunation.Error second_or_error
function M.split(event, key, uid, options)
  if not event.recurrenceRules and not event.recurrenceOverrides then
    return fail("invalid_request", "the event does not recur", "recurrenceId")
  end
  if not is_key(event, key) then return fail("not_found", ("the series has no instance at %s"):format(tostring(key)), "recurrenceId") end
  if M.first_key(event) >= key then return false, copy(event) end

  local first, second = copy(event), copy(event)
  local stop = value.shift(key, event.showWithoutTime and -86400 or -1)
  local head, tail = {}, {}
  for i, rule in ipairs(event.recurrenceRules or {}) do
    local cut = copy(rule)
    if not earlier(rule, key) then
      cut.count, cut["until"] = nil, stop
    end
    head[i] = cut
    local rest = copy(rule)
    if rule.count then
      local left = rule.count - count_before(event, rule, key)
      rest.count = left
      if left >= 1 then tail[#tail + 1] = rest end
    elseif not earlier(rule, key) then
      tail[#tail + 1] = rest
    end
  end
  first.recurrenceRules = #head > 0 and head or nil
  second.recurrenceRules = #tail > 0 and tail or nil
  for _, half in ipairs { first, second } do
    local kept = {}
    for id, patch in pairs(event.recurrenceOverrides or {}) do
      if (half == second) == (id >= key) then kept[id] = copy(patch) end
    end
    half.recurrenceOverrides = next(kept) ~= nil and kept or nil
  end
  second.uid, second.start = uid, key
  -- The start of the second half is its first instance: an addition there needs no entry of its own.
  local at_start = second.recurrenceOverrides and second.recurrenceOverrides[key]
  if at_start and next(at_start) == nil then
    second.recurrenceOverrides[key] = nil
    if next(second.recurrenceOverrides) == nil then second.recurrenceOverrides = nil end
  elseif at_start and not second.recurrenceRules and not second.recurrenceOverrides[next(second.recurrenceOverrides, key)] then
    -- One instance is left: it is a single event as the override has it.
    local only = instance.flatten(second, key)
    only.recurrenceId, only.recurrenceIdTimeZone = nil, nil
    second = only
  end
  first.relatedTo = first.relatedTo or {}
  first.relatedTo[uid] = { ["@type"] = "Relation", relation = { next = true } }
  second.relatedTo = second.relatedTo or {}
  second.relatedTo[event.uid] = { ["@type"] = "Relation", relation = { first = true } }
  bump(first, options)
  second.sequence, second.created, second.updated = 0, now(options), now(options)
  return first, second
end

---The key of the first instance of a series, taken away or not.
---@param event table canonical master
---@return string
function M.first_key(event)
  local first = recurrence.occurrences(event, nil, nil, 1)[1] or event.start
  for key, patch in pairs(event.recurrenceOverrides or {}) do
    if not patch.excluded and key < first then first = key end
  end
  return first
end

-- --- moving a series ---

local weekdays = { "mo", "tu", "we", "th", "fr", "sa", "su" }
local weekday_number = {}
for i, day in ipairs(weekdays) do weekday_number[day] = i end

local function weekday_of(at)
  return (value.seconds(at:sub(1, 10)) // 86400 + 3) % 7 + 1
end

-- A rule whose parts name the old start's day names the new one's, so that the series keeps to it: every weekday of a weekly
-- rule turns by as many days; a day of the month, an nth weekday, a month or an hour that was the start's own follows it. Days and
-- months of other calendars stay as they are.
local function turn_rule(rule, old, new)
  local foreign = rule.rscale ~= nil and rule.rscale:lower() ~= "gregorian"
  local days = (value.seconds(new:sub(1, 10)) - value.seconds(old:sub(1, 10))) // 86400
  if days ~= 0 then
    if rule.byDay and rule.frequency == "weekly" then
      for _, day in ipairs(rule.byDay) do day.day = weekdays[(weekday_number[day.day] - 1 + days) % 7 + 1] end
      table.sort(rule.byDay, function(a, b) return weekday_number[a.day] < weekday_number[b.day] end)
    elseif not foreign and rule.byDay and #rule.byDay == 1 and weekday_number[rule.byDay[1].day] == weekday_of(old) then
      local day = rule.byDay[1]
      day.day = weekdays[weekday_of(new)]
      if day.nthOfPeriod and day.nthOfPeriod > 0 and (rule.frequency == "monthly" or rule.byMonth) then
        day.nthOfPeriod = (tonumber(new:sub(9, 10)) - 1) // 7 + 1
      end
    end
    if not foreign and rule.byMonthDay and #rule.byMonthDay == 1 and rule.byMonthDay[1] == tonumber(old:sub(9, 10)) then
      rule.byMonthDay = { math.tointeger(tonumber(new:sub(9, 10))) }
    end
    if not foreign and rule.byMonth and #rule.byMonth == 1 and tonumber(rule.byMonth[1]) == tonumber(old:sub(6, 7)) and rule.frequency == "yearly" then
      rule.byMonth = { ("%d"):format(tonumber(new:sub(6, 7))) }
    end
  end
  if rule.byHour and #rule.byHour == 1 and rule.byHour[1] == tonumber(old:sub(12, 13)) then
    rule.byHour = { math.tointeger(tonumber(new:sub(12, 13))) }
  end
  if rule.byMinute and #rule.byMinute == 1 and rule.byMinute[1] == tonumber(old:sub(15, 16)) then
    rule.byMinute = { math.tointeger(tonumber(new:sub(15, 16))) }
  end
  return rule
end

local function shift_overrides(event, overrides, shift, all_day)
  local moved = {}
  for key, patch in pairs(overrides) do
    local target = value.shift(key, shift)
    local changed = copy(patch)
    if type(changed.start) == "string" then changed.start = value.shift(changed.start, shift) end
    if all_day ~= (event.showWithoutTime or false) then
      -- A length or a time of the other kind means nothing here.
      changed.duration, changed.showWithoutTime, changed.timeZone, changed["lunation:endTimeZone"] = nil, nil, nil, nil
    end
    if all_day and target then
      target = target:sub(1, 10) .. "T00:00:00"
      if type(changed.start) == "string" then changed.start = changed.start:sub(1, 10) .. "T00:00:00" end
    end
    if changed.start == target then changed.start = nil end
    if target then moved[target] = changed end
  end
  return moved
end

---Changes a whole series. Where the start moves, the overrides and exceptions move with it; those that the new rules have no
---instance for are dropped.
---@param event table canonical master
---@param patch table fields; null takes one away
---@param key string? recurrence id of the instance that `patch.start` speaks of; the first otherwise
---@param options {now: integer?}?
---@return table? event
---@return lunation.Error? err
function M.edit_all(event, patch, key, options)
  patch = copy(patch)
  local new_start = patch.start
  if new_start == null then return fail("invalid_request", "start: an event has one", "start") end
  if new_start then
    if type(new_start) ~= "string" or not value.seconds(new_start) then
      return fail("invalid_request", "start: is not a local time", "start")
    end
    if #new_start == 10 then new_start = new_start .. "T00:00:00" end
    if key and (event.recurrenceRules or event.recurrenceOverrides) then
      local at = instance.flatten(event, key)
      if not at then return fail("not_found", ("the series has no instance at %s"):format(key), "recurrenceId") end
      local shift = value.seconds(new_start) - value.seconds(at.start)
      new_start = value.shift(event.start, shift)
    end
    patch.start = new_start
  end
  local result = instance.apply(copy(event), patch)
  local all_day = result.showWithoutTime == true
  if all_day then
    result.start = result.start:sub(1, 10) .. "T00:00:00"
    if result.timeZone ~= nil and patch.timeZone == nil then result.timeZone = nil end
  end
  local shift = value.seconds(result.start) - value.seconds(event.start)
  if shift ~= 0 then
    for _, rules in ipairs { "recurrenceRules", "excludedRecurrenceRules" } do
      if patch[rules] == nil then
        for _, rule in ipairs(result[rules] or {}) do
          turn_rule(rule, event.start, result.start)
          if rule["until"] then rule["until"] = value.shift(rule["until"], shift) end
        end
      end
    end
  end
  for _, rule in ipairs(result.recurrenceRules or {}) do
    if all_day and rule["until"] then rule["until"] = rule["until"]:sub(1, 10) .. "T00:00:00" end
  end
  local overrides = result.recurrenceOverrides
  local retype = all_day ~= (event.showWithoutTime or false)
  if overrides and patch.recurrenceOverrides == nil and (shift ~= 0 or retype) then
    overrides = shift_overrides(event, overrides, shift, all_day)
    result.recurrenceOverrides = overrides
  end
  if overrides and patch.recurrenceRules ~= nil then
    if result.recurrenceRules == nil then
      result.recurrenceOverrides = nil
    else
      for at, override in pairs(copy(overrides)) do
        local back = value.shift(at, -shift)
        local was_given = override.excluded or recurrence.generates(event, back or at)
        if was_given and not recurrence.generates(result, at) then overrides[at] = nil end
      end
    end
  end
  if result.recurrenceOverrides and next(result.recurrenceOverrides) == nil then result.recurrenceOverrides = nil end
  return bump(result, options)
end

return M
