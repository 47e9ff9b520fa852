-- When several calendars have time: busy times out of the mirror and out of calendar texts, and the search over them.

local errors = require "lunation.errors"
local freebusy = require "lunation.freebusy"
local tz = require "lunation.tz"
local when = require "lunation.when"

local availability = {}

-- Instances that are read at once.
local PAGE = 1000

--- Whether an instance takes its owner's time.
---@param event table canonical, flattened
---@return boolean
function availability.takes_time(event)
  return event.freeBusyStatus ~= "free" and event.status ~= "cancelled"
end

--- The busy times of calendars of the mirror.
---@param query lunation.Query
---@param calendars table[] rows
---@param accounts table<integer, table>
---@param from integer
---@param to integer
---@return integer[]|nil busy flat array of starts and ends, lunation.Error?
function availability.of_calendars(query, calendars, accounts, from, to)
  local busy, position = {}, nil
  if #calendars == 0 then return busy end
  repeat
    local page, following = query:instances {
      calendars = calendars, accounts = accounts, from = from, to = to, limit = PAGE, after = position,
    }
    if not page then return nil, following end
    for _, item in ipairs(page) do
      if availability.takes_time(item.event) then
        busy[#busy + 1] = item.start
        busy[#busy + 1] = item.finish
      end
    end
    position = following
  until not position
  return busy
end

--- The busy times of a calendar text, its VFREEBUSY among them.
---@param text string
---@param from integer
---@param to integer
---@param zone string? of floating times
---@return integer[]|nil busy, lunation.Error?
---@return table[]? warnings of what was mended or left out
function availability.of_text(text, from, to, zone)
  local list, err, warnings = require("lunation.ical").freebusy(text, { from = from, to = to, tzid = zone })
  if not list then return nil, err end
  local busy = {}
  for _, interval in ipairs(list) do
    busy[#busy + 1] = interval.start
    busy[#busy + 1] = interval.finish
  end
  return busy, nil, warnings
end

-- "A/B" with times as people write them; B may be a distance from A.
local function window_of(given, zone, now)
  local first, last
  if type(given) == "table" then
    first, last = given.from or given[1], given.to or given[2]
  else
    first, last = tostring(given):match "^(.-)/(.+)$"
    if last and last:find "^P" then last = "+" .. last end
  end
  if not first or not last then return nil, errors.new("invalid_request", ("`%s` is no window: two times with / between them"):format(tostring(given))) end
  local from, err = when.instant(first, { zone = zone, now = now })
  if not from then return nil, err end
  local to
  to, err = when.instant(last, { zone = zone, base = from, now = now })
  if not to then return nil, err end
  if to <= from then return nil, errors.new("invalid_request", ("the window `%s` ends before it begins"):format(tostring(given))) end
  return { from, to }
end

--- Windows as a flat array and their hull; a week from now where none is given.
---@param given (string|table)[]?
---@param zone string
---@param now integer?
---@return integer[]|nil windows, integer|lunation.Error from, integer? to
function availability.windows(given, zone, now)
  local windows, from, to = {}, math.maxinteger, math.mininteger
  if not given or #given == 0 then given = { { "now", "+7d" } } end
  for _, each in ipairs(given) do
    local window, err = window_of(each, zone, now)
    if not window then return nil, err end
    windows[#windows + 1], windows[#windows + 2] = window[1], window[2]
    from, to = math.min(from, window[1]), math.max(to, window[2])
  end
  return windows, from, to
end

---@class lunation.Availability
---@field utcStart integer
---@field utcEnd integer
---@field start string local time of timeZone
---@field finish string
---@field timeZone string

--- The common time of calendars, as `lunation.freebusy` finds it.
---@param question table `freebusy.solve`'s, with tzid
---@return lunation.Availability[]|nil, lunation.Error?
function availability.solve(question)
  local ran, found, err = pcall(freebusy.solve, question)
  if not ran then return nil, errors.new("invalid_request", tostring(found)) end
  if not found then return nil, err end
  local list = {}
  for i = 1, #found, 2 do
    list[#list + 1] = {
      utcStart = found[i], utcEnd = found[i + 1], timeZone = question.tzid,
      start = (tz.to_local(found[i], question.tzid)), finish = (tz.to_local(found[i + 1], question.tzid)),
    }
  end
  return list
end

return availability
