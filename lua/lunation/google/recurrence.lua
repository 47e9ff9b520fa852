-- The `recurrence` lines of a Google event (RRULE, EXRULE, RDATE, EXDATE of RFC 5545; its start stands elsewhere) to rules and
-- single dates of JSCalendar, and back.
local clock = require "lunation.ical.clock"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local rule = require "lunation.ical.rule"
local time = require "lunation.google.time"
local value = require "lunation.ical.value"
local zone = require "lunation.ical.zone"

local M = {}

-- Name, zone and value of a line.
local function split(line)
  local name, parameters, text = tostring(line):match("^%s*([%a-]+)([^:]*):(.*)$")
  if not name then return nil end
  return name:upper(), parameters:match(";[Tt][Zz][Ii][Dd]=\"?([^;\"]+)"), text
end

local function lines_of(native)
  return type(native.recurrence) == "table" and native.recurrence or {}
end

---The recurrence id that a date of a line stands for.
---@param text string
---@param tzid string?
---@param event table start, timeZone, showWithoutTime of the series
---@return string?
local function key_of(text, tzid, event)
  local at, kind = value.parse_time(text:match("^%s*([^/]*)"))
  if not at or not kind then return nil end
  if event.showWithoutTime then return at:sub(1, 10) .. "T00:00:00" end
  if kind == "date" then return at:sub(1, 10) .. event.start:sub(11) end
  local from = kind == "utc" and "UTC" or tzid and zone.canonical(tzid) or event.timeZone
  if from == event.timeZone then return at end
  return clock.key(clock.to_utc(at, from), event)
end

-- --- rules ---

local function frame(native, context)
  local canonical = context.frame_of == native and context.frame
  if canonical then return canonical end
  local times = time.read(native)
  context.frame_of, context.frame = native, times and { start = times.start, timeZone = times.zone, showWithoutTime = times.all_day } or nil
  return context.frame
end

-- Whether a rule ends at a date, a local time, an instant, or not by a time.
local function kind_of_until(text)
  local _, kind = value.parse_time(text:upper():match("UNTIL=([^;]*)") or "")
  return kind
end

local function rules(name)
  return mapping.entry {
    depends = { "start", "timeZone", "showWithoutTime" },
    read = function(native, context)
      if native.recurrence == nil or native.recurrence == json.null then return nil end
      local event = frame(native, context)
      if not event then return nil end
      if type(native.recurrence) ~= "table" and name == "RRULE" then return nil, "is not a list of lines" end
      local list = {}
      for _, line in ipairs(lines_of(native)) do
        local kind, _, text = split(line)
        if kind == name then
          local parsed, why = rule.from_rrule(text, event)
          if not parsed then return nil, why end
          list[#list + 1] = parsed
        end
      end
      return #list > 0 and list or nil
    end,
    write = function(native, list, context)
      local event, kept, before, at = context.canonical, {}, {}, nil
      for _, line in ipairs(lines_of(native)) do
        local kind, _, text = split(line)
        if kind == name then
          at = at or #kept + 1
          before[#before + 1] = { line = line, rule = rule.from_rrule(text, event) }
        else
          kept[#kept + 1] = line
        end
      end
      at = at or (name == "RRULE" and 1 or #kept + 1)
      for i, wanted in ipairs(list or {}) do
        if type(wanted) ~= "table" or not wanted.frequency then return nil, "has no frequency", ("[%d]"):format(i) end
        if wanted.rscale and wanted.rscale ~= "gregorian" or wanted.skip and wanted.skip ~= "omit" then
          return nil, "is a rule of RFC 7529 (RSCALE), which Google does not have", ("[%d]"):format(i)
        end
        local old, text = before[i], rule.to_rrule(wanted, event)
        -- A rule that says the same keeps its words, unless its UNTIL is of another kind than the start now.
        local same = old and mapping.equal(old.rule, wanted) and kind_of_until(text) == kind_of_until(old.line)
        table.insert(kept, at + i - 1, same and old.line or name .. ":" .. text)
      end
      native.recurrence = #kept > 0 and json.array(kept) or nil
      return true
    end,
  }
end

M.fields = { recurrenceRules = rules "RRULE", excludedRecurrenceRules = rules "EXRULE" }

-- --- dates ---

---The dates that the lines add and take away, by recurrence id.
---@param native table
---@param event table start, timeZone, showWithoutTime of the series
---@return table<string, true> added
---@return table<string, true> excluded
---@return string? why a date cannot be read
function M.dates(native, event)
  local added, excluded = {}, {}
  for _, line in ipairs(lines_of(native)) do
    local kind, tzid, text = split(line)
    local set = kind == "RDATE" and added or kind == "EXDATE" and excluded
    if set then
      for item in text:gmatch("[^,]+") do
        local key = key_of(item, tzid, event)
        if not key then return added, excluded, ("%s has %q, which is no date"):format(kind, item:sub(1, 40)) end
        set[key] = true
      end
    elseif not kind then
      return added, excluded, ("%q is no line of a recurrence"):format(tostring(line):sub(1, 40))
    end
  end
  return added, excluded
end

local function line_of(name, keys, event)
  local list = {}
  for key in pairs(keys) do list[#list + 1] = key end
  if #list == 0 then return nil end
  table.sort(list)
  for i, key in ipairs(list) do list[i] = value.format_time(key, event.showWithoutTime and "date" or "local") end
  local text = table.concat(list, ",")
  if event.showWithoutTime then return ("%s;VALUE=DATE:%s"):format(name, text) end
  if not event.timeZone or zone.is_utc(event.timeZone) then
    return ("%s:%s"):format(name, (text:gsub("(%d%d%d%d%d%dT%d+)", "%1Z")))
  end
  return ("%s;TZID=%s:%s"):format(name, event.timeZone, text)
end

local function same_set(a, b)
  for key in pairs(a) do if not b[key] then return false end end
  for key in pairs(b) do if not a[key] then return false end end
  return true
end

-- Whether the dates of the lines are of the kind that the start is.
local function fits(native, event)
  for _, line in ipairs(lines_of(native)) do
    local name, _, text = split(line)
    for item in (name == "RDATE" or name == "EXDATE") and text:gmatch("[^,]+") or function() end do
      local _, kind = value.parse_time(item:match("^%s*([^/]*)"))
      if (kind == "date") ~= (event.showWithoutTime == true) then return false end
    end
  end
  return true
end

---Makes the lines say these dates. Lines whose dates are the same keep their words.
---@param native table
---@param event table canonical series
---@param added table<string, true>
---@param excluded table<string, true>
---@return nil
function M.set_dates(native, event, added, excluded)
  local had_added, had_excluded, broken = M.dates(native, event)
  if not broken and same_set(added, had_added) and same_set(excluded, had_excluded) and fits(native, event) then return end
  local kept = {}
  for _, line in ipairs(lines_of(native)) do
    local kind = split(line)
    if kind ~= "RDATE" and kind ~= "EXDATE" then kept[#kept + 1] = line end
  end
  kept[#kept + 1] = line_of("RDATE", added, event)
  kept[#kept + 1] = line_of("EXDATE", excluded, event)
  native.recurrence = #kept > 0 and json.array(kept) or nil
end

return M
