-- Change tracking: rounds of pages ($skiptoken) that end in a token for the next round ($deltatoken). A token carries the window
-- it was made with; what it says is told apart from what the client was told before.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local events = require "spec.emulators.microsoft.events"
local json = require "lunation.json"
local series = require "spec.emulators.microsoft.series"
local shape = require "spec.emulators.microsoft.event_shape"
local times = require "spec.emulators.microsoft.times"

local M = {}

local kept = 64 -- rounds of a mailbox that are remembered

local refused = { "$orderby", "$filter", "$select", "$expand", "$search", "$top", "$skip", "$count" }

local function refuse_options(c, kind, allowed)
  for _, name in ipairs(refused) do
    if c.query[name] and not allowed[name] then
      answer.fail(400, "ErrorInvalidUrlQuery",
        ("The following parameters are not supported with change tracking over the '%s' resource: '%s'."):format(kind, table.concat(refused, ", ")))
    end
  end
end

function M.lost(code)
  answer.fail(410, code or "SyncStateNotFound", "The sync state generation is not found; generation=''.")
end

-- --- streams ----------------------------------------------------------------------------------------------------------

-- A stream is what a chain of tokens is about: { box=, path=, view=function() → {id → {version=, render=}}, ids in order, outside=… }.
-- A round is { stream=, seen={[id]=version}, sequence= }: what the client knows when it holds the round's token.

local function remember(world, box, record)
  local token = crypto.base64url(crypto.random(48))
  local list = world.streams[box] or {}
  world.streams[box] = list
  list[#list + 1] = token
  world.streams[token] = record
  if #list > kept then world.streams[table.remove(list, 1)] = nil end
  return token
end

local function size_of(c)
  if c.prefer.pagesize then
    c:applied("odata.maxpagesize=" .. c.prefer.pagesize)
    return math.min(c.prefer.pagesize, 999)
  end
  return c.world.switches.deltaPage
end

-- Hands out a page of what is pending.
local function page(c, record)
  local size = size_of(c)
  local value = json.array {}
  local at = record.at
  while at <= #record.pending and #value < size do
    value[#value + 1] = record.pending[at](c)
    at = at + 1
  end
  local body = { ["@odata.context"] = c:metadata(record.stream.context), value = value }
  local here = c.base .. c.path
  if at <= #record.pending then
    local token = remember(c.world, c.box, { stream = record.stream, pending = record.pending, at = at, seen = record.seen, sequence = record.sequence })
    body["@odata.nextLink"] = here .. "?$skiptoken=" .. token
  else
    local token = remember(c.world, c.box, { stream = record.stream, seen = record.seen, sequence = record.sequence })
    body["@odata.deltaLink"] = here .. "?$deltatoken=" .. token
  end
  return body
end

local function removed(id, reason)
  return function() return { id = id, ["@removed"] = { reason = reason or "deleted" } } end
end

-- What differs between what the client knows and what there is.
local function round(c, stream, before)
  local list = stream.list(c)
  local seen, pending = {}, {}
  for _, entry in ipairs(list) do
    seen[entry.id] = entry.version
    if not before or before.seen[entry.id] ~= entry.version then pending[#pending + 1] = entry.render end
  end
  if before then
    for id in pairs(before.seen) do
      if not seen[id] then pending[#pending + 1] = removed(id, stream.reason and stream.reason(id)) end
    end
    for _, id in ipairs(stream.outside and stream.outside(c, before.sequence, seen, before.seen) or {}) do pending[#pending + 1] = removed(id) end
  end
  return page(c, { stream = stream, pending = pending, at = 1, seen = seen, sequence = c.world.sequence })
end

---Answers a request of a chain.
---@param c spec.graph.Call
---@param kind string as errors call the resource
---@param start fun(): table makes the stream of a first request
---@param allowed table<string, boolean> options that a first request may have
function M.answer(c, kind, start, allowed)
  local token = c.query["$skiptoken"] or c.query["$deltatoken"]
  if not token then
    refuse_options(c, kind, allowed)
    return round(c, start(), nil)
  end
  if token == "latest" then
    local stream = start()
    local seen = {}
    for _, entry in ipairs(stream.list(c)) do seen[entry.id] = entry.version end
    return page(c, { stream = stream, pending = {}, at = 1, seen = seen, sequence = c.world.sequence })
  end
  for name in pairs(c.query) do
    if name ~= "$skiptoken" and name ~= "$deltatoken" then
      answer.fail(400, "ErrorInvalidUrlQuery", "The parameters of the first request are in the token; no others may stand beside it.")
    end
  end
  local record = c.world.streams[token]
  if not record or record.stream.box ~= c.box then M.lost() end
  if record.stream.immutable ~= (c.prefer.immutable or false) then
    answer.fail(400, "ErrorInvalidRequest", "The id type preferred is not the one that the token was made with.")
  end
  if record.pending then return page(c, record) end
  return round(c, record.stream, record)
end

-- --- events -----------------------------------------------------------------------------------------------------------

-- The masters of series come whole, then their exceptions whole and occurrences with little more than their times.
local function view_entries(c, calendar, from, to)
  local list, masters = {}, {}
  for _, occurrence in ipairs(events.view(c.box, calendar, from, to)) do
    local item = occurrence.item
    if occurrence.key and not masters[item] then
      masters[item] = true
      local root = series.root(item)
      list[#list + 1] = {
        id = series.id(c.box, root, c.prefer.immutable), version = series.version(root),
        render = function(call) return shape.render(call, series.root(item)) end,
      }
    end
    local brief = occurrence.key and not occurrence.exception
    list[#list + 1] = {
      id = series.id(c.box, occurrence, c.prefer.immutable), version = series.version(occurrence),
      render = function(call)
        local out = (brief and shape.brief or shape.render)(call, occurrence)
        out["@odata.type"] = "#microsoft.graph.event"
        return out
      end,
    }
  end
  return list
end

-- Roots that changed but do not show in the window: they too are told, as removed.
local function outside(c, calendar, since, seen, before)
  local out = {}
  local function tell(id)
    if not seen[id] and not before[id] then out[#out + 1] = id end
  end
  for item in pairs(c.box.items) do
    if item.calendar == calendar and item.version > since then tell(c.prefer.immutable and item.immutable or item.id) end
  end
  for _, gone in ipairs(c.box.gone) do
    if gone.calendar == calendar and gone.sequence > since then tell(c.prefer.immutable and gone.immutable or gone.id) end
  end
  table.sort(out)
  return out
end

local function view_delta(c)
  local calendar = events.calendar(c)
  if not calendar.default and not c.world.switches.calendarDelta then
    answer.fail(400, "ErrorInvalidRequest", "Change tracking is not supported over this calendar.")
  end
  return M.answer(c, "CalendarView", function()
    local from, to = events.window(c)
    return {
      box = c.box, context = "Collection(event)", immutable = c.prefer.immutable or false,
      list = function(call) return view_entries(call, calendar, from, to) end,
      outside = function(call, since, seen, before) return outside(call, calendar, since, seen, before) end,
    }
  end, {})
end

-- Masters, single events and exceptions, from a time on.
local function event_entries(c, calendar, from)
  local list = {}
  local function put(occurrence)
    list[#list + 1] = {
      id = series.id(c.box, occurrence, c.prefer.immutable), version = series.version(occurrence),
      render = function(call) return shape.render(call, occurrence) end,
    }
  end
  for _, item in ipairs(events.roots(c.box, calendar)) do
    local lasting = not from or item.props["end"].at >= from or item.set and item.set:instants(from, nil, 1)[1] ~= nil
    if lasting then
      put(series.root(item))
      local keys = {}
      for key in pairs(item.exceptions) do keys[#keys + 1] = key end
      table.sort(keys)
      for _, key in ipairs(keys) do
        local occurrence = series.occurrence(item, key)
        if occurrence then put(occurrence) end
      end
    end
  end
  return list
end

local function event_delta(c)
  if not c.world.switches.eventsDelta then answer.fail(400, "ErrorInvalidRequest", "Change tracking is not supported over the 'Event' resource.") end
  local calendar = (c.params.calendar or c.params.in_calendar) and events.calendar(c)
  return M.answer(c, "Event", function()
    local from = c.query.startdatetime and times.need_instant(c.query.startdatetime, "StartDateTime")
    if c.query.enddatetime then answer.fail(400, "ErrorInvalidUrlQuery",
      "The parameter 'endDateTime' is not supported with change tracking over the 'Event' resource.") end
    return {
      box = c.box, context = "Collection(event)", immutable = c.prefer.immutable or false,
      list = function(call) return event_entries(call, calendar or nil, from) end,
    }
  end, {})
end

---@param routes table<string, table>
function M.routes(routes)
  for _, prefix in ipairs { "~", "~/calendar", "~/calendars/:calendar", "~/calendarGroups/:group/calendars/:calendar" } do
    local marks = prefix ~= "~" and { in_calendar = true } or nil
    routes[prefix .. "/calendarView/delta"] = { area = "calendars", GET = view_delta, gives = "Collection(event)", delta = true, marks = marks }
    routes[prefix .. "/events/delta"] = { area = "calendars", GET = event_delta, gives = "Collection(event)", delta = true, marks = marks }
  end
end

return M
