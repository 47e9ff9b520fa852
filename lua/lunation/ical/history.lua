-- The changes of a VTIMEZONE, one by one, as far as its rules are not the same in all years: every observance counts from its DTSTART,
-- at its RDATEs and as often as its RRULE says, and each holds until the next (RFC 5545 section 3.6.5).
local value = require "lunation.ical.value"
local zone_object = require "lunation.ical.zone_object"

local M = {}

-- More changes than any zone had.
local LIMIT = 4000
-- The longest name of a zone (tz.h); one up to the second is given for all years.
local LONGEST, SHORT = 2000, 250
local YEAR = 366 * 86400

local function is_open(o)
  local rule = (o.rrule or ""):upper()
  return o.rrule ~= nil and not rule:find("UNTIL=", 1, true) and not rule:find("COUNT=", 1, true)
end

-- Onsets of an observance in local seconds; of an endless rule those before `stop`.
local function onsets_of(o, stop)
  local seen, list = {}, {}
  local function add(at)
    local seconds = at and value.seconds(at)
    if seconds and not seen[seconds] then
      seen[seconds] = true
      list[#list + 1] = seconds
    end
  end
  add(o.start)
  for _, at in ipairs(o.dates) do add(at) end
  if o.rrule then
    local rrule = require "lunation.rrule"
    local expanded = rrule.expand {
      dtstart = o.start, rrule = { zone_object.local_rule(o.rrule, o.before) }, to = stop and value.from_seconds(stop), limit = LIMIT,
    }
    for _, at in ipairs(expanded or {}) do add(at) end
  end
  return list
end

-- What a clock without further changes, or with two a year, is from the last change on; nil: the rules are of another kind.
local function rest_of(open, last, write)
  if #open == 0 then return write.constant(last) end
  if #open == 1 then return write.constant(open[1]) end
  local standard, daylight = open[1], open[2]
  if standard.dst then standard, daylight = daylight, standard end
  if #open > 2 or standard.dst or not daylight.dst or not standard.change or not daylight.change then return nil end
  if standard.offset == daylight.offset then return write.constant(standard) end
  return write.yearly(standard, daylight)
end

local function by_instant(a, b)
  if a.at ~= b.at then return a.at < b.at end
  return a.to.start < b.to.start
end

-- Every change up to the one from which the endless rules alone decide, as {at = instant, to = observance}.
local function changes_of(list)
  local changes, open, settled = {}, {}, nil
  for _, o in ipairs(list) do
    if is_open(o) then
      open[#open + 1] = o
      settled = math.max(settled or math.mininteger, value.seconds(o.start))
    else
      for _, seconds in ipairs(onsets_of(o)) do
        changes[#changes + 1] = { at = seconds - o.before, to = o }
        settled = math.max(settled or math.mininteger, seconds)
      end
    end
  end
  local stop
  for _, o in ipairs(open) do
    for _, seconds in ipairs(onsets_of(o, settled + 2 * YEAR)) do
      changes[#changes + 1] = { at = seconds - o.before, to = o }
      if seconds >= settled and (not stop or seconds - o.before < stop) then stop = seconds - o.before end
    end
  end
  table.sort(changes, by_instant)
  while stop and #changes > 0 and changes[#changes].at > stop do changes[#changes] = nil end
  return changes, open, settled
end

-- The text from the change `first` on; the offset before it goes first.
local function text_of(changes, first, rest, write)
  local before = first > 1 and changes[first - 1].to or { offset = changes[1].to.before }
  local parts, held, length = { write.constant(before) }, before.offset, #rest
  for i = first, #changes do
    local change = changes[i]
    if change.to.offset ~= held then
      local part = ("@%d@%s"):format(change.at, write.constant(change.to))
      length = length + #part
      if length > LONGEST then break end
      parts[#parts + 1], held = part, change.to.offset
    end
  end
  if #parts == 1 then return rest end
  -- What holds after the last change is what the rest says.
  parts[#parts] = parts[#parts]:match "^@%-?%d+@" .. rest
  return table.concat(parts)
end

---The rules of a definition as the name of a zone (tz.h) that holds its changes; nil where the rules of the time's year say all of it
---from then on, or cannot be said so.
---@param list table[] observances
---@param seconds integer local time of the earliest use
---@param write {constant: fun(o: table): string, yearly: fun(standard: table, daylight: table): string}
---@return string? rules
function M.rules(list, seconds, write)
  local changes, open, settled = changes_of(list)
  local year_start = value.days(value.civil(seconds // 86400), 1, 1) * 86400
  if #changes == 0 or settled < year_start then return nil end
  local rest = rest_of(open, changes[#changes].to, write)
  if not rest then return nil end
  local whole = text_of(changes, 1, rest, write)
  if #whole <= SHORT then return whole end
  local first = 1
  while first < #changes and changes[first].at <= year_start - 86400 do first = first + 1 end
  return text_of(changes, first, rest, write)
end

return M
