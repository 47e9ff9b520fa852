-- What a calendar text amounts to in a window: its instances, in order.
local expand = require "lunation.model.expand"
local series = require "lunation.ical.series"
local clock = require "lunation.ical.clock"
local value = require "lunation.ical.value"

local M = {}

---An end of a window: an instant, a UTC time, or a local time of `zone`.
---@param at integer|string|nil
---@param zone string?
---@return integer? instant
---@return string? why
function M.edge(at, zone)
  if at == nil then return nil end
  if math.type(at) == "integer" then return at end
  local localtime, kind = value.parse_time(tostring(at))
  if not localtime then return nil, ("%q is not a time"):format(tostring(at)) end
  return clock.to_utc(localtime, kind == "utc" and "UTC" or zone or "UTC")
end

---@param events table[] canonical events
---@param options {from: integer|string?, to: integer|string?, tzid: string?, floating: string?, limit: integer?, include_dtstart: boolean?}
---floating: the zone of floating times where no tzid is asked for
---@return table[]? instances {uid, start, finish, recurrenceId?, allDay?, event, error?}; error: the event's rules cannot be reckoned
---(RSCALE), and only its start and its overrides are there
---@return boolean|string truncated_or_why
function M.instances(events, options)
  local from, why = M.edge(options.from, options.tzid)
  if why then return nil, why end
  local to
  to, why = M.edge(options.to, options.tzid)
  if why then return nil, why end
  local limit = options.limit or 1000
  local list, truncated = {}, false
  -- An override without a master stands beside a master of the same uid as the instance it names.
  for _, event in ipairs(events) do
    local found, more, problem = expand.expand(event, from, to, limit, {
      zone = options.tzid or not event.showWithoutTime and options.floating or nil, days = options.tzid,
      include_start = options.include_dtstart, cancelled = true,
    })
    truncated = truncated or more
    for _, instance in ipairs(found) do
      local shown = instance.override or event
      list[#list + 1] = {
        uid = series.is_made(event.uid) and "" or event.uid, start = instance.start, finish = instance.finish, recurrenceId = instance.recurrenceId,
        allDay = shown.showWithoutTime or nil, event = shown, error = problem,
      }
    end
  end
  return M.settle(list, limit, truncated)
end

---Puts instances in order and keeps the first.
---@param list table[]
---@param limit integer
---@param truncated boolean
---@return table[] list
---@return boolean truncated
function M.settle(list, limit, truncated)
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

return M
