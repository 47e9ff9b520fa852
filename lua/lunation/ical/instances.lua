-- What a calendar text amounts to in a window: its instances, and the times it is busy.
local expand = require "lunation.model.expand"
local series = require "lunation.ical.series"
local clock = require "lunation.ical.clock"
local value = require "lunation.ical.value"

local M = {}

---An end of a window: an instant, a UTC time, or a local time of `zone`.
local function edge(at, zone)
  if at == nil then return nil end
  if math.type(at) == "integer" then return at end
  local localtime, kind = value.parse_time(tostring(at))
  if not localtime then return nil, ("%q is not a time"):format(tostring(at)) end
  return clock.to_utc(localtime, kind == "utc" and "UTC" or zone or "UTC")
end

---@param events table[] canonical events
---@param options {from: integer|string?, to: integer|string?, tzid: string?, limit: integer?, include_dtstart: boolean?}
---@return table[]? instances {uid, start, finish, recurrenceId?, allDay?, event}
---@return boolean|string truncated_or_why
function M.instances(events, options)
  local from, why = edge(options.from, options.tzid)
  if why then return nil, why end
  local to
  to, why = edge(options.to, options.tzid)
  if why then return nil, why end
  local limit = options.limit or 1000
  local list, truncated = {}, false
  -- An override without a master stands beside a master of the same uid as the instance it names.
  for _, event in ipairs(events) do
    local found, more = expand.expand(event, from, to, limit, {
      zone = options.tzid, include_start = options.include_dtstart, cancelled = true,
    })
    truncated = truncated or more
    for _, instance in ipairs(found) do
      local shown = instance.override or event
      list[#list + 1] = {
        uid = series.is_made(event.uid) and "" or event.uid, start = instance.start, finish = instance.finish, recurrenceId = instance.recurrenceId,
        allDay = shown.showWithoutTime or nil, event = shown,
      }
    end
  end
  table.sort(list, function(a, b)
    if a.start ~= b.start then return a.start < b.start end
    if a.uid ~= b.uid then return a.uid < b.uid end
    return (a.recurrenceId or "") < (b.recurrenceId or "")
  end)
  if #list > limit then
    truncated = true
    for i = #list, limit + 1, -1 do list[i] = nil end
  end
  return list, truncated
end

local function merge(intervals)
  table.sort(intervals, function(a, b) return a.start < b.start end)
  local merged = {}
  for _, interval in ipairs(intervals) do
    local last = merged[#merged]
    if last and interval.start <= last.finish then
      if interval.finish > last.finish then last.finish = interval.finish end
    else
      merged[#merged + 1] = { start = interval.start, finish = interval.finish }
    end
  end
  return merged
end

---Busy times of opaque events that are not cancelled, cut to the window and merged; tentative ones apart (RFC 5545 section 3.6.4).
---@param events table[] canonical events
---@param options {from: integer|string, to: integer|string, tzid: string?}
---@return {type: string, start: integer, finish: integer}[]?
---@return string? why
function M.freebusy(events, options)
  local list, why = M.instances(events, { from = options.from, to = options.to, tzid = options.tzid, limit = 1000000 })
  if not list then return nil, why end
  local from, to = edge(options.from, options.tzid), edge(options.to, options.tzid)
  local by_type = { BUSY = {}, ["BUSY-TENTATIVE"] = {} }
  for _, instance in ipairs(list) do
    local event = instance.event
    if event.freeBusyStatus ~= "free" and event.status ~= "cancelled" and instance.finish > instance.start then
      local kind = event.status == "tentative" and "BUSY-TENTATIVE" or "BUSY"
      local start = from and math.max(from, instance.start) or instance.start
      local finish = to and math.min(to, instance.finish) or instance.finish
      by_type[kind][#by_type[kind] + 1] = { start = start, finish = finish }
    end
  end
  local busy = {}
  for kind, intervals in pairs(by_type) do
    for _, interval in ipairs(merge(intervals)) do
      busy[#busy + 1] = { type = kind, start = interval.start, finish = interval.finish }
    end
  end
  table.sort(busy, function(a, b)
    if a.start ~= b.start then return a.start < b.start end
    return a.type < b.type
  end)
  return busy
end

return M
