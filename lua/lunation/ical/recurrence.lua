-- RRULE, EXRULE, EXDATE and RDATE of a series (RFC 5545 section 3.8.5): the rules as fields, the dates as keys of
-- recurrenceOverrides, and both back.
local mapping = require "lunation.mapping"
local component = require "lunation.ical.component"
local rule = require "lunation.ical.rule"
local time = require "lunation.ical.time"
local value = require "lunation.ical.value"

local M = {}

-- --- rules ---

local function master_of(node, context)
  if context.canonical then return context.canonical end
  local times = time.times(node, context) or {}
  return { start = times.start, timeZone = times.zone, showWithoutTime = times.all_day }
end

local function rules(name)
  return mapping.entry {
    name = name, needs = name,
    depends = { "timeZone", "showWithoutTime" },
    read = function(node, context)
      local list = {}
      local event = master_of(node, context)
      for _, p in ipairs(component.all(node, name)) do
        local parsed, why = rule.from_rrule(p.value, event)
        if parsed then list[#list + 1] = parsed else context.warn(p, ("%s: %s"):format(name, why)) end
      end
      return #list > 0 and list or nil
    end,
    write = function(node, list, context)
      local event = context.canonical
      local form = event.showWithoutTime and "date" or event.timeZone and "utc" or "local"
      local i, gone = 0, {}
      for _, p in ipairs(component.all(node, name)) do
        local parsed = rule.from_rrule(p.value, event)
        -- A rule that could not be read was never shown: it stays with the others, and goes when they do.
        if parsed or not list then
          i = i + 1
          local wanted = list and list[i]
          local stop = p.value:upper():match("UNTIL=([^;]*)")
          local _, kind = value.parse_time(stop or "")
          if not wanted then
            gone[p] = true
          elseif not mapping.equal(parsed, wanted) or (stop and kind ~= form) then
            p.value = rule.to_rrule(wanted, event)
          end
        end
      end
      component.remove(node, function(p) return gone[p] == true end)
      for n = i + 1, #(list or {}) do
        if type(list[n]) ~= "table" or not list[n].frequency then return nil, "has no frequency", ("[%d]"):format(n) end
        component.add(node, component.property(name, rule.to_rrule(list[n], event)))
      end
      return true
    end,
  }
end

M.fields = { recurrenceRules = rules "RRULE", excludedRecurrenceRules = rules "EXRULE" }

-- --- occurrences, by lunation.rrule where an answer needs them ---

local function rrules(list, event)
  local texts = {}
  for i, r in ipairs(list or {}) do texts[i] = rule.to_rrule(r, event) end
  return texts
end

---The local starts that the rules of a series give (with dtstart where they give it), overrides not counted. Where the rules cannot
---be reckoned (RSCALE) that is the start alone.
---@param event table canonical master
---@param from string? local time, inclusive
---@param to string? local time, exclusive
---@param limit integer
---@return string[] keys
---@return lunation.Error? err why the rules cannot be reckoned
function M.occurrences(event, from, to, limit)
  local function start_alone()
    if (not from or event.start >= from) and (not to or event.start < to) then return { event.start } end
    return {}
  end
  if not event.recurrenceRules then return start_alone() end
  local rrule = require "lunation.rrule"
  local all_day = event.showWithoutTime
  local function form(at) return at and (all_day and at:sub(1, 10) or at) end
  local list, err = rrule.expand {
    dtstart = form(event.start), tzid = not all_day and event.timeZone or nil,
    rrule = rrules(event.recurrenceRules, event), exrule = rrules(event.excludedRecurrenceRules, event),
    from = form(from), to = form(to), limit = limit,
  }
  if not list then return start_alone(), err end
  local keys = {}
  for i, at in ipairs(list) do keys[i] = #at == 10 and at .. "T00:00:00" or at end
  return keys
end

---Whether the rules of a series give an instance at this key.
---@param event table canonical master
---@param key string
---@return boolean
function M.generates(event, key)
  if key == event.start then return true end
  if not event.recurrenceRules then return false end
  local after = event.showWithoutTime and value.shift(key, 86400) or value.shift(key, 1)
  local found = M.occurrences(event, key, after, 1)
  return found[1] == key
end

-- --- dates ---

local sub_daily = { hourly = true, minutely = true, secondly = true }

-- The keys that a DATE among the exceptions of a timed series takes away: all of that day.
local function keys_of_day(moment, event)
  for _, r in ipairs(event.recurrenceRules or {}) do
    if sub_daily[r.frequency] or r.byHour or r.byMinute or r.bySecond then
      local day = moment.at:sub(1, 10)
      return M.occurrences(event, day .. "T00:00:00", value.shift(day, 86400), 86400)
    end
  end
  return { time.key(moment, event) }
end

---@param text string one value of an EXDATE or RDATE property, or of a period
---@return string[] keys
---@return string? duration of a period
local function keys_of(p, text, event, context)
  local first, rest = text:match("^%s*([^/]+)/(.*)$")
  local moment = time.moment(p, context, first or text)
  if not moment then
    if text:match("%S") then context.warn(p, ("%s: %q is not a date or time"):format(p.name, text:sub(1, 40))) end
    return {}
  end
  if moment.kind == "date" and not event.showWithoutTime and p.name == "EXDATE" then return keys_of_day(moment, event) end
  local key = time.key(moment, event)
  if not key then return {} end
  local duration
  if rest then
    duration = value.normal_duration(rest)
    local finish = not duration and time.moment(p, context, rest)
    if finish then
      local length = (time.instant(finish) or 0) - (time.instant(moment) or 0)
      duration = value.format_duration { days = 0, seconds = math.max(0, length) }
    end
  end
  return { key }, duration
end

local function items(p)
  local list = {}
  for item in p.value:gmatch("[^,]+") do list[#list + 1] = item end
  return list
end

---What EXDATE and RDATE say, as entries of recurrenceOverrides.
---@param node lunation.ical.Component
---@param event table canonical master
---@param context table of the text that is read
---@return table<string, table>
function M.read_dates(node, event, context)
  local overrides = {}
  for _, p in ipairs(component.all(node, "RDATE")) do
    for _, text in ipairs(items(p)) do
      local keys, duration = keys_of(p, text, event, context)
      for _, key in ipairs(keys) do
        if key ~= event.start or duration then overrides[key] = { duration = duration ~= event.duration and duration or nil } end
      end
    end
  end
  for _, p in ipairs(component.all(node, "EXDATE")) do
    for _, text in ipairs(items(p)) do
      for _, key in ipairs((keys_of(p, text, event, context))) do overrides[key] = { excluded = true } end
    end
  end
  return overrides
end

---Takes the values that stand for the given keys out of EXDATE or RDATE.
---@param node lunation.ical.Component
---@param name "EXDATE"|"RDATE"
---@param gone table<string, boolean>
---@param event table canonical master by which the stored values are read
---@param context table of the text that is written
---@return boolean? changed
function M.remove_dates(node, name, gone, event, context)
  component.remove(node, function(p)
    if p.name ~= name then return false end
    local kept, removed = {}, false
    for _, text in ipairs(items(p)) do
      local keep = true
      for _, key in ipairs((keys_of(p, text, event, context))) do
        if gone[key] then keep = false end
      end
      if keep then kept[#kept + 1] = text else removed = true end
    end
    if removed then p.value = table.concat(kept, ",") end
    return removed and #kept == 0
  end)
end

---Adds a date in the form of DTSTART; with a duration it is a period.
---@param node lunation.ical.Component
---@param name "EXDATE"|"RDATE"
---@param key string
---@param duration string?
---@param event table canonical master
---@param context table of the text that is written
function M.add_date(node, name, key, duration, event, context)
  local p = component.property(name, "")
  time.set_key(p, key, event, context, component.find(node, "DTSTART"))
  if duration then
    p.value = ("%s/%s"):format(event.showWithoutTime and value.format_time(key, "local") or p.value, duration)
    component.set_param(p, "VALUE", "PERIOD")
  end
  component.add(node, p)
end

return M
