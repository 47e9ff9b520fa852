-- Events of a mailbox: listed, viewed as a calendar, made, changed, deleted; one by one or as occurrences of a series.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local extras = require "spec.emulators.microsoft.extras"
local input = require "spec.emulators.microsoft.event_input"
local json = require "lunation.json"
local meetings = require "spec.emulators.microsoft.meetings"
local query = require "spec.emulators.microsoft.query"
local recurrence = require "spec.emulators.microsoft.recurrence"
local series = require "spec.emulators.microsoft.series"
local shape = require "spec.emulators.microsoft.event_shape"
local times = require "spec.emulators.microsoft.times"
local tz = require "lunation.tz"
local world_of = require "spec.emulators.microsoft.world"

local M = {}

local defaults = {
  importance = "normal", sensitivity = "normal", isAllDay = false, isReminderOn = true, reminderMinutesBeforeStart = 15,
  responseRequested = true, allowNewTimeProposals = true, hideAttendees = false,
}

---The calendar that an address means.
---@param c spec.graph.Call
---@return table
function M.calendar(c)
  local id = c.params.calendar
  local calendar = id and c.box:need(id, "calendar") or c.box.default
  if c.params.group and calendar.group.id ~= c.params.group then answer.missing() end
  return calendar
end

---The event that an address means; within its calendar where the address has one.
function M.find(c)
  local occurrence = series.find(c.box, c.params.event)
  if (c.params.calendar or c.params.in_calendar) and occurrence.item.calendar ~= M.calendar(c) then answer.missing() end
  return occurrence
end

---The roots of a calendar, or of the mailbox, oldest first.
---@param calendar table?
function M.roots(box, calendar)
  local list = {}
  for item in pairs(box.items) do
    if not calendar or item.calendar == calendar then list[#list + 1] = item end
  end
  table.sort(list, function(a, b)
    if a.props.start.at ~= b.props.start.at then return a.props.start.at > b.props.start.at end
    return a.id < b.id
  end)
  return list
end

---Everything that shows in a span of a calendar, by start.
function M.view(box, calendar, from, to)
  local list = {}
  for item in pairs(box.items) do
    if item.calendar == calendar then
      for _, occurrence in ipairs(series.within(item, from, to)) do list[#list + 1] = occurrence end
    end
  end
  table.sort(list, function(a, b)
    if a.start ~= b.start then return a.start < b.start end
    return series.id(box, a) < series.id(box, b)
  end)
  return list
end

-- --- reading ----------------------------------------------------------------------------------------------------------

local function expander(c, text)
  local wanted = query.expansions(text, shape.schema.expand)
  if next(wanted) == nil then return nil end
  return function(entity, occurrence)
    for name, options in pairs(wanted) do
      if name == "calendar" then
        entity.calendar = require("spec.emulators.microsoft.calendars").render(c, occurrence.item.calendar)
      elseif name == "exceptionOccurrences" or name == "instances" then
        local list = json.array {}
        for _, each in ipairs(occurrence.item.set and not occurrence.key and series.within(occurrence.item, -1 << 40, 1 << 40) or {}) do
          if name == "instances" or each.exception then list[#list + 1] = shape.render(c, each) end
        end
        entity[name] = list
      else
        entity[name] = extras.expand(name, occurrence, options)
      end
    end
    return entity
  end
end

local function filterable(entity, occurrence)
  local whole = setmetatable({}, { __index = entity })
  whole.singleValueExtendedProperties, whole.multiValueExtendedProperties = extras.values(occurrence)
  return whole
end
shape.schema.filterable = filterable

local function answer_prefer(c)
  if c.prefer.zone then c:applied(('outlook.timezone="%s"'):format(c.prefer.zone)) end
  if c.prefer.body then c:applied(('outlook.body-content-type="%s"'):format(c.prefer.body)) end
end

local function listing(c, list, context)
  answer_prefer(c)
  return query.page(c, shape.schema, list, function(occurrence) return shape.render(c, occurrence) end, context, expander(c, c.query["$expand"]))
end

---@param c spec.graph.Call
---@param occurrence table
---@param selected boolean?
function M.entity(c, occurrence, selected)
  answer_prefer(c)
  local entity = shape.render(c, occurrence)
  local expand = expander(c, c.query["$expand"])
  if expand then expand(entity, occurrence) end
  local wanted = selected and query.selection(c.query["$select"], shape.schema)
  for name in pairs(wanted and query.expansions(c.query["$expand"], shape.schema.expand) or {}) do wanted[name] = true end
  local out = query.pick(entity, wanted)
  local choice = selected and c.query["$select"] and "(" .. c.query["$select"] .. ")" or ""
  out["@odata.context"] = c:metadata(("users('%s')/events%s/$entity"):format(c.box.user.id, choice))
  return out
end

local function list(c)
  local calendar = (c.params.calendar or c.params.in_calendar) and M.calendar(c) or c.box.default -- /me/events is the default calendar's
  local roots = {}
  for i, item in ipairs(M.roots(c.box, calendar)) do roots[i] = series.root(item) end
  return listing(c, roots, ("users('%s')/events"):format(c.box.user.id))
end

local function count(c)
  local calendar = (c.params.calendar or c.params.in_calendar) and M.calendar(c) or c.box.default
  return { raw = tostring(#M.roots(c.box, calendar)), type = "text/plain" }
end

---The window of calendarView, of a delta, of instances.
---@return integer from
---@return integer to
function M.window(c)
  local from, to = c.query.startdatetime, c.query.enddatetime
  if not from or not to then
    answer.fail(400, "ErrorInvalidParameter", "This request requires a time window specified by the query string parameters StartDateTime and EndDateTime.")
  end
  from, to = times.need_instant(from, "StartDateTime"), times.need_instant(to, "EndDateTime")
  if to < from then answer.fail(400, "ErrorInvalidParameter", "The end of the time window is before its start.") end
  return from, to
end

local function view(c)
  local from, to = M.window(c)
  if to - from > 1825 * 86400 then
    answer.fail(400, "ErrorInvalidParameter", "The requested duration is too long; the maximum is 1825 days.")
  end
  return listing(c, M.view(c.box, M.calendar(c), from, to), ("users('%s')/calendarView"):format(c.box.user.id))
end

local function instances(c)
  local occurrence = M.find(c)
  local from, to = M.window(c)
  if not occurrence.item.set or occurrence.key then answer.refuse "Your request can't be completed. The event isn't a series master." end
  return listing(c, series.within(occurrence.item, from, to),
    ("users('%s')/events('%s')/instances"):format(c.box.user.id, answer.escape(c.params.event)))
end

-- --- writing ----------------------------------------------------------------------------------------------------------

local provider_words = input.one_of("onlineMeetingProvider", "unknown skypeForBusiness skypeForConsumer teamsForBusiness")

local function new_meeting(item, provider)
  local thread = crypto.hex(crypto.sha256(item.immutable)):sub(1, 40)
  return { provider = provider, url = ("https://teams.microsoft.com/l/meetup-join/19%%3ameeting_%s%%40thread.v2/0"):format(thread) }
end

-- The text with which Outlook puts a meeting into the body; without it the meeting is off.
local function blob(meeting)
  return '<div><span>' .. ("_"):rep(80) .. '</span></div><div class="me-email-text"><a class="me-email-headline" href="' .. meeting.url
    .. '">Join the meeting now</a></div>'
end

-- isOnlineMeeting opens a door that only goes one way: once there, a meeting stays with its provider, but not without its blob.
local function see_to_meeting(item, props, given, old)
  local wanted, provider = answer.given(given.isOnlineMeeting), answer.given(given.onlineMeetingProvider)
  if wanted ~= nil then input.boolean(wanted) end
  if provider then provider = provider_words(provider) end
  if old then
    if props.body and not props.body.content:find(old.url, 1, true) then return json.null end
    return nil
  end
  if not wanted then return nil end
  local calendar = item.calendar
  if provider and provider ~= "unknown" then
    local allowed = false
    for _, each in ipairs(calendar.providers) do allowed = allowed or each == provider end
    if not allowed then answer.refuse "Your request can't be completed. The online meeting provider isn't allowed for this calendar." end
  end
  local meeting = new_meeting(item, provider ~= "unknown" and provider or calendar.provider)
  local body = props.body or item.props.body
  local html = body.contentType == "html" and body.content or shape.body(body, "html").content
  props.body = { contentType = "html", content = html:find "</body>" and html:gsub("</body>", blob(meeting):gsub("%%", "%%%%") .. "</body>", 1)
    or html .. blob(meeting) }
  return meeting
end

local function complete_locations(props)
  if props.locations and not props.location then props.location = props.locations[1] or {} end
  if props.location and not props.locations then props.locations = next(props.location) and { props.location } or {} end
end

---Makes an event.
---@param c spec.graph.Call
---@param calendar table
---@param given table the request's body
---@return table item
function M.create(c, calendar, given)
  local box, world = c.box, c.world
  local transaction = type(given) == "table" and answer.given(given.transactionId)
  local known = transaction and box.transactions[transaction]
  if known and box.items[known] then return known end
  local props = input.read(given)
  for name, value in pairs(defaults) do
    if props[name] == nil then props[name] = value end
  end
  if props.showAs == nil then props.showAs = props.isAllDay and "free" or "busy" end
  props.body = props.body or { contentType = "html", content = "" }
  complete_locations(props)
  input.read_times(props, given)
  local organizer = { name = box.user.name, address = box.user.email }
  local now = world:now()
  local item = {
    kind = "event", id = world:new_id("AAMkA", box.user.id), immutable = world:new_id("AAkAL", box.user.id), calendar = calendar,
    uid = "040000008200E00074C5B7101A82E008" .. crypto.hex(crypto.sha256(tostring(world.counter) .. box.user.id)):sub(1, 80):upper(),
    created = now, modified = now, props = props, organizer = organizer, transaction = transaction or nil,
    exceptions = {}, cancelled = {}, attachments = {}, extensions = {}, single = {}, multi = {},
  }
  if answer.given(given.recurrence) then props.recurrence = recurrence.accept(given.recurrence, props.start.zone) end
  props.response = { response = "organizer", time = "0001-01-01T00:00:00Z" }
  props.meeting = see_to_meeting(item, props, given, nil)
  series.prepare(item)
  extras.take(c, item, given)
  box.items[item], box.index[item.id], box.index[item.immutable], box.uids[item.uid] = true, item, item, item
  if transaction then box.transactions[transaction] = item end
  box:touch(item, "created")
  meetings.share(box, item)
  return item
end

local function create(c)
  local item = M.create(c, M.calendar(c), c.body)
  c.response_headers.location = c.base .. "/v1.0/users('" .. c.box.user.id .. "')/events('" .. answer.escape(item.id) .. "')"
  return M.entity(c, series.root(item)), 201
end

-- An occurrence stays between its neighbours, whole days apart.
local function stay_between(item, occurrence, start)
  local before, after = series.neighbours(item, occurrence)
  local day = start.localtime:sub(1, 10)
  local zone = item.props.start.iana
  local function day_of(at) return (tz.to_local(at, zone)):sub(1, 10) end
  if start.iana ~= zone then day = day_of(start.at) end
  if before and day <= day_of(before.start) or after and day >= day_of(after.start) then
    answer.fail(400, "ErrorOccurrenceCrossingBoundary", "Modified occurrence is crossing or overlapping adjacent occurrence.")
  end
end

local function update_occurrence(c, occurrence, given, props)
  local box, item = c.box, occurrence.item
  if answer.given(given.recurrence) then
    answer.refuse "Your request can't be completed. The recurrence of an occurrence can't be changed."
  end
  if answer.given(given.start) or answer.given(given["end"]) or props.isAllDay ~= nil then
    local function moved(name, at)
      local old = item.props[name]
      return { localtime = (tz.to_local(at, old.iana)), zone = old.zone, iana = old.iana, at = at }
    end
    props.isAllDay = nil
    input.read_times(props, given, { start = moved("start", occurrence.start), ["end"] = moved("end", occurrence.finish), isAllDay = item.props.isAllDay })
    stay_between(item, occurrence, props.start)
  end
  local exception = meetings.exception(box, occurrence)
  complete_locations(props)
  for name, value in pairs(props) do exception.props[name] = value end
  extras.take(c, exception, given)
  box:touch(item, "exception")
end

local function changes_series(item, given, props)
  return given.recurrence ~= nil or answer.given(given.start) ~= nil or answer.given(given["end"]) ~= nil
    or props.isAllDay ~= nil and props.isAllDay ~= item.props.isAllDay
end

local function update_root(c, item, given, props)
  local before = item.props
  local reshaped = changes_series(item, given, props)
  local merged = setmetatable({}, getmetatable(before))
  for name, value in pairs(before) do merged[name] = value end
  if reshaped then
    local asked = {}
    for name, value in pairs(props) do asked[name] = value end
    input.read_times(asked, given, before)
    props.start, props["end"] = asked.start, asked["end"]
    if given.recurrence == json.null then
      merged.recurrence = nil
    elseif given.recurrence ~= nil then
      merged.recurrence = recurrence.accept(given.recurrence, props.start.zone)
    elseif before.recurrence then
      merged.recurrence = answer.copy(before.recurrence)
      if answer.given(given.start) then merged.recurrence.range.startDate = props.start.localtime:sub(1, 10) end
    end
  end
  local meeting = see_to_meeting(item, props, given, answer.given(before.meeting))
  complete_locations(props)
  for name, value in pairs(props) do merged[name] = value end
  if meeting == json.null then
    merged.meeting = nil
  elseif meeting then
    merged.meeting = meeting
  end
  -- responses of those who stay are kept, unless the time moved
  for _, attendee in ipairs(props.attendees or {}) do
    for _, old in ipairs(before.attendees or {}) do
      if old.emailAddress.address:lower() == attendee.emailAddress.address:lower() and not reshaped then attendee.status = old.status end
    end
  end
  local kept = item.props
  item.props = merged
  if reshaped then
    local ok, failure = pcall(series.prepare, item)
    if not ok then
      item.props = kept
      series.prepare(item)
      error(failure, 0)
    end
    item.exceptions, item.cancelled = {}, {} -- they were of another pattern
  end
  extras.take(c, item, given)
  c.box:touch(item, "updated")
  return kept.attendees
end

local function update(c)
  local occurrence = M.find(c)
  local item, given = occurrence.item, c.body
  local props = input.read(given)
  answer.precondition(c, world_of.change_key(series.version(occurrence)))
  if answer.given(given.transactionId) and given.transactionId ~= item.transaction then
    answer.refuse "Your request can't be completed. The transactionId can't be changed."
  end
  local before = item.props.attendees
  if occurrence.key then
    update_occurrence(c, occurrence, given, props)
  else
    before = update_root(c, item, given, props)
  end
  meetings.share(c.box, item, before)
  local now = occurrence.key and series.occurrence(item, occurrence.key) or series.root(item)
  return M.entity(c, now)
end

local function delete(c)
  local occurrence = M.find(c)
  answer.precondition(c, world_of.change_key(series.version(occurrence)))
  meetings.cancel(c.box, occurrence)
  meetings.drop(c.box, occurrence)
  return nil, 204
end

-- --- routes -----------------------------------------------------------------------------------------------------------

local calendars = { "~/calendar", "~/calendars/:calendar", "~/calendarGroups/:group/calendars/:calendar", "~/calendarGroup/calendars/:calendar" }

---@param routes table<string, table>
function M.routes(routes)
  local function event(prefix, marks)
    local function add(suffix, methods)
      local route = { area = "calendars", marks = marks }
      for name, value in pairs(methods) do route[name] = value end
      routes[prefix .. suffix] = route
    end
    add("/events", { GET = list, POST = create, takes = "event", gives = "Collection(event)", made = "event" })
    add("/events/$count", { GET = count })
    add("/events/:event", { GET = function(c) return M.entity(c, M.find(c), true) end, PATCH = update, DELETE = delete, takes = "event", gives = "event" })
    add("/events/:event/instances", { GET = instances, gives = "Collection(event)" })
    add("/events/:event/permanentDelete", { POST = delete, action = "permanentDelete" })
    for suffix, methods in pairs(meetings.actions) do add("/events/:event" .. suffix, methods) end
    for suffix, methods in pairs(extras.routes) do add("/events/:event" .. suffix, methods) end
    add("/calendarView", { GET = view, gives = "Collection(event)" })
  end
  event("~", nil)
  for _, prefix in ipairs(calendars) do event(prefix, { in_calendar = true }) end
end

return M
