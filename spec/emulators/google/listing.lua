-- events.list and events.instances: filters, order, pages, and what has changed since a sync token.
local clock = require "spec.emulators.google.clock"
local conference = require "spec.emulators.google.conference"
local event = require "spec.emulators.google.event"
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local pages = require "spec.emulators.google.pages"
local rows = require "spec.emulators.google.rows"
local series = require "spec.emulators.google.series"
local world = require "spec.emulators.google.world"

local listing = {}

local fail = failure.fail
local DAY = 86400
-- How far back changes are kept for updatedMin.
local MEMORY = 28 * DAY

local function parameter_error(name, message, reason)
  fail(400, reason or "invalidParameter", message, { location = name, locationType = "parameter" })
end

local function instant(call, name)
  local text = call.args[name]
  if not text then return nil end
  return clock.parse(text) or parameter_error(name, "Bad Request", "badRequest")
end

-- With a sync token these would make a hole in what the client knows.
local forbidden = { "iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax", "updatedMin" }

local function check_sync(call)
  for _, name in ipairs(forbidden) do
    if call.args[name] then
      parameter_error(name, "Sync token cannot be used with " .. name .. ".", "badRequest")
    end
  end
  if call.args.showDeleted == "false" then parameter_error("showDeleted", "Sync token cannot be used with showDeleted=false.", "badRequest") end
end

-- What a list call asks for, checked.
local function query_of(call)
  local query = {
    from = instant(call, "timeMin"), to = instant(call, "timeMax"), updated = instant(call, "updatedMin"), single = call:flag "singleEvents",
    deleted = call:flag "showDeleted", uid = call.args.iCalUID, order = call.args.orderBy, text = call.args.q,
    private = call:repeated "privateExtendedProperty", shared = call:repeated "sharedExtendedProperty", types = call:repeated "eventTypes",
    size = call:integer("maxResults", 250, 2500),
  }
  if query.from and query.to and query.to <= query.from then
    fail(400, "timeRangeEmpty", "The specified time range is empty.", { location = "timeMax", locationType = "parameter" })
  end
  if query.order and query.order ~= "startTime" and query.order ~= "updated" then parameter_error("orderBy", "Invalid value for orderBy.") end
  if query.order == "startTime" and not query.single then
    parameter_error("orderBy", "The requested ordering is not available for the particular query.", "badRequest")
  end
  if query.updated and query.updated < world.now() - MEMORY then
    fail(410, "updatedMinTooLongAgo", nil, { location = "updatedMin", locationType = "parameter" })
  end
  if call.args.timeZone and not clock.is_zone(call.args.timeZone) then parameter_error("timeZone", "Invalid time zone.") end
  for _, list in ipairs { query.private, query.shared } do
    for _, one in ipairs(list) do
      if not one:find("=", 1, true) then parameter_error("extendedProperty", "Invalid extended property constraint: " .. one) end
    end
  end
  return query
end

local function searched(row)
  local data, words = row.data, {}
  local function add(value) words[#words + 1] = value end
  add(data.summary) add(data.description) add(data.location)
  add(row.organizer.email) add(row.organizer.displayName)
  for _, one in ipairs(data.attendees or {}) do
    add(one.email) add(one.displayName)
  end
  local place = data.workingLocationProperties
  if place then
    for _, kind in ipairs { place.officeLocation or {}, place.customLocation or {} } do
      add(kind.label) add(kind.buildingId) add(kind.deskId)
    end
  end
  return table.concat(words, "\n"):lower()
end

local function has_properties(row, kind, wanted)
  local held = row.data.extendedProperties and row.data.extendedProperties[kind] or {}
  for _, one in ipairs(wanted) do
    local name, value = one:match("^(.-)=(.*)$")
    if held[name] ~= value then return false end
  end
  return true
end

-- Filters that look at what an event says, whatever its time.
local function matches(row, query)
  if query.uid and row.uid ~= query.uid then return false end
  if #query.types > 0 then
    local found
    for _, kind in ipairs(query.types) do found = found or kind == (row.data.eventType or "default") end
    if not found then return false end
  end
  if query.text then
    local text = searched(row)
    for term in query.text:lower():gmatch("%S+") do
      if not text:find(term, 1, true) then return false end
    end
  end
  return has_properties(row, "private", query.private) and has_properties(row, "shared", query.shared)
end

local function in_window(row, calendar, query)
  if not query.from and not query.to then return true end
  local from, to = event.span(row, calendar)
  -- both bounds are exclusive; what takes no time is where it begins
  return (not query.from or to > query.from or (from == to and from >= query.from)) and (not query.to or from < query.to)
end

-- An instance that was moved away still tells that its place in the series is empty.
local function original_in_window(row, query)
  return (not query.from or row.original + (row.to - row.from) > query.from) and (not query.to or row.original < query.to)
end

--- The instances of a series in a window, as rows: its own where they differ, else as the series says.
---@param calendar table
---@param master table
---@param query {from: integer?, to: integer?}
---@return table[]
function listing.instances(calendar, master, query)
  local list = {}
  local differing = calendar.instances[master.id] or {}
  local length = master.to - master.from
  local all_day = master.data.start.date ~= nil
  -- days are days of a zone; which of them are in the window is looked at below
  local slack = all_day and DAY or 0
  for _, at in ipairs(series.originals(master, query.from and query.from - length - slack, query.to and query.to + slack)) do
    if not differing[series.id(master.id, at, all_day)] then
      local one = series.instance(master, at)
      if in_window(one, calendar, query) then list[#list + 1] = one end
    end
  end
  for _, one in pairs(differing) do
    if not one.orphan and in_window(one, calendar, query) then list[#list + 1] = one end
  end
  return list
end

local function series_in_window(calendar, master, query)
  if not query.from and not query.to then return true end
  for _, one in ipairs(listing.instances(calendar, master, query)) do
    if one.status ~= "cancelled" then return true end
  end
  return false
end

local function wanted_status(row, calendar, query)
  if row.status ~= "cancelled" then return true end
  if query.deleted then return true end
  if query.updated then return true end
  -- an instance taken out of a series that goes on
  return not query.single and row.master ~= nil and not row.orphan and calendar.events[row.master] ~= nil
end

local function updated_after(row, query)
  return not query.updated or row.rev / 1000 >= query.updated
end

local function full(calendar, query)
  local list = {}
  for _, row in pairs(calendar.events) do
    if matches(row, query) then
      if query.single and row.data.recurrence then
        if row.status ~= "cancelled" then
          for _, one in ipairs(listing.instances(calendar, row, query)) do
            if one.virtual and updated_after(one, query) then list[#list + 1] = one end
          end
        end
      elseif wanted_status(row, calendar, query) and updated_after(row, query) then
        if row.data.recurrence then
          if series_in_window(calendar, row, query) then list[#list + 1] = row end
        elseif in_window(row, calendar, query) or (row.master and not query.single and original_in_window(row, query)) then
          list[#list + 1] = row
        end
      end
    end
  end
  return list
end

-- The instances that a series had when the token was made and has no more.
local function vanished(calendar, row, seq, query)
  local before
  for i = #(row.past or {}), 1, -1 do
    if row.past[i].seq > seq then before = row.past[i].row end
  end
  if not before then return {} end
  if not before.data.recurrence then
    -- it was one event, and is a series now
    if not row.data.recurrence then return {} end
    return { { id = row.id, uid = row.uid, status = "cancelled", seq = row.seq, rev = row.rev, from = row.from, to = row.to, data = {} } }
  end
  local have, list = {}, {}
  if row.status ~= "cancelled" and row.data.recurrence then
    for _, one in ipairs(listing.instances(calendar, row, query)) do have[one.id] = true end
  end
  for _, at in ipairs(series.originals(before, query.from and query.from - DAY, query.to)) do
    local one = series.instance(before, at)
    if not have[one.id] and not calendar.events[one.id] then
      one.status, one.seq, one.rev = "cancelled", row.seq, row.rev
      list[#list + 1] = one
    end
  end
  return list
end

local function changed(calendar, query, seq)
  local list = {}
  for _, row in pairs(calendar.events) do
    if row.seq > seq then
      if query.single and (row.data.recurrence or row.past) and not row.master then
        if row.status ~= "cancelled" and row.data.recurrence then
          for _, one in ipairs(listing.instances(calendar, row, query)) do
            if one.virtual then list[#list + 1] = one end
          end
        elseif row.status ~= "cancelled" then
          list[#list + 1] = row
        end
        for _, one in ipairs(vanished(calendar, row, seq, query)) do list[#list + 1] = one end
      else
        list[#list + 1] = row
      end
    end
  end
  if #query.types > 0 then
    local kept = {}
    for _, row in ipairs(list) do
      if row.status == "cancelled" or matches(row, query) then kept[#kept + 1] = row end
    end
    list = kept
  end
  return list
end

local orders = {
  startTime = function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.row.id < b.row.id
  end,
  updated = function(a, b)
    if a.row.rev ~= b.row.rev then return a.row.rev < b.row.rev end
    return a.row.id < b.row.id
  end,
  stored = function(a, b)
    local x, y = a.row.order or 0, b.row.order or 0
    if x ~= y then return x < y end
    return a.row.id < b.row.id
  end,
}

local function sorted(list, calendar, order)
  local keyed = {}
  for i, row in ipairs(list) do keyed[i] = { row = row, at = order == "startTime" and event.span(row, calendar) or 0 } end
  table.sort(keyed, orders[order or "stored"])
  for i, one in ipairs(keyed) do list[i] = one.row end
  return list
end

local function envelope(call, calendar, role, items)
  local out = json.array {}
  for i, row in ipairs(items) do
    conference.settle(row, calendar)
    out[i] = event.render(row, calendar, call, role)
  end
  local entry = call.user.list[calendar.id]
  return {
    kind = "calendar#events", etag = world.etag(calendar.seq + calendar.rev), summary = calendar.summary, description = calendar.description,
    updated = world.stamp((calendar.rev + calendar.seq) / 1000), timeZone = call.args.timeZone or calendar.timeZone, accessRole = role,
    defaultReminders = json.array(entry and world.copy(entry.defaultReminders) or {}), items = out,
  }
end

-- The listing that a token goes on with, in full or from its state.
local function from_token(call, calendar, signature)
  local held = pages.unseal(call.args.syncToken)
  if not held or held.calendar ~= calendar.id then
    fail(400, "invalid", "Invalid sync token value.", { location = "syncToken", locationType = "parameter" })
  end
  if held.epoch ~= world.sync_epoch or held.at + MEMORY < world.now() then
    fail(410, "fullSyncRequired", nil, { location = "syncToken", locationType = "parameter" })
  end
  check_sync(call)
  local same = pages.signature(call, listing.differing)
  if held.signature ~= same then
    call:violation("query", ("the sync token was made with `%s`, not `%s`"):format(held.signature, same))
  end
  local query = query_of(call)
  query.from, query.to = held.from, held.to
  local cursor = pages.begin(sorted(changed(calendar, query, held.seq), calendar), {
    signature = signature, seq = calendar.seq, from = held.from, to = held.to, token_signature = held.signature,
  })
  return cursor
end

--- Parameters that a sync token does not hold, or that may differ with it.
listing.differing = {
  timeMin = true, timeMax = true, updatedMin = true, maxResults = true, orderBy = true, q = true, iCalUID = true, privateExtendedProperty = true,
  sharedExtendedProperty = true, showDeleted = true, alwaysIncludeEmail = true,
}

function listing.list(call)
  local calendar, role = call:calendar(call.params.calendarId, "freeBusyReader")
  local signature = pages.signature(call) .. "|" .. (call.args.syncToken or "")
  local query = query_of(call)
  local cursor
  local at = 0
  if call.args.pageToken then
    cursor, at = pages.continue(call.args.pageToken, signature)
  elseif call.args.syncToken then
    cursor = from_token(call, calendar, signature)
  else
    local list = sorted(full(calendar, query), calendar, query.order)
    cursor = pages.begin(list, {
      signature = signature, seq = calendar.seq, from = query.from, to = query.to, token_signature = pages.signature(call, listing.differing),
      untracked = #query.private > 0 or #query.shared > 0 or query.text or query.uid or query.updated or query.order,
    })
  end
  local items, next_token = pages.slice(call, cursor, at, query.size)
  local answer = envelope(call, calendar, role, items)
  answer.nextPageToken = next_token
  if not next_token and not cursor.untracked then
    answer.nextSyncToken = pages.seal {
      calendar = calendar.id, seq = cursor.seq, epoch = world.sync_epoch, at = math.floor(world.now()), from = cursor.from, to = cursor.to,
      signature = cursor.token_signature,
    }
  end
  return answer
end

function listing.of_series(call)
  local calendar, role = call:calendar(call.params.calendarId, "freeBusyReader")
  local master = rows.find(calendar, call.params.eventId)
  if not master then fail(404, "notFound") end
  local signature = pages.signature(call)
  local query = { from = instant(call, "timeMin"), to = instant(call, "timeMax") }
  local size = call:integer("maxResults", 250, 2500)
  local cursor
  local at = 0
  if call.args.pageToken then
    cursor, at = pages.continue(call.args.pageToken, signature)
  else
    local list = {}
    if master.status ~= "cancelled" and master.data.recurrence then
      for _, one in ipairs(listing.instances(calendar, master, query)) do
        local wanted = one.status ~= "cancelled" or call:flag "showDeleted"
        local original = call.args.originalStart
        if original then
          local asked = clock.parse(original, master.data.start.timeZone) or clock.date(original)
          wanted = wanted and asked == one.original
        end
        if wanted then list[#list + 1] = one end
      end
    elseif master.status ~= "cancelled" and in_window(master, calendar, query) then
      list[1] = master
    end
    cursor = pages.begin(sorted(list, calendar, "startTime"), { signature = signature })
  end
  local items, next_token = pages.slice(call, cursor, at, size)
  local answer = envelope(call, calendar, role, items)
  answer.nextPageToken = next_token
  return answer
end

return listing
