-- Calendars and the user's list of them.
local clock = require "spec.emulators.google.clock"
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local pages = require "spec.emulators.google.pages"
local palette = require "spec.emulators.google.palette"
local push = require "spec.emulators.google.push"
local rows = require "spec.emulators.google.rows"
local world = require "spec.emulators.google.world"

local calendars = {}

local fail = failure.fail
local null = json.null

local function data_owner(calendar)
  return not calendar.primary and not calendar.resource and calendar.owner or nil
end

local function render(calendar)
  return {
    kind = "calendar#calendar", etag = world.etag(calendar.rev), id = calendar.id, summary = calendar.summary, description = calendar.description,
    location = calendar.location, timeZone = calendar.timeZone, conferenceProperties = calendar.conferenceProperties, dataOwner = data_owner(calendar),
    autoAcceptInvitations = calendar.resource and true or nil,
  }
end

local function answer(resource)
  return { status = 200, headers = { etag = resource.etag }, body = resource }
end

-- The lists of all who have the calendar on theirs have changed.
local function touch_lists(calendar)
  for _, user in pairs(world.users) do
    local entry = user.list[calendar.id]
    if entry and not entry.deleted then
      user.list_seq = user.list_seq + 1
      entry.seq, entry.rev = user.list_seq, world.tick()
      push.changed("calendarList", user.email)
    end
  end
end

local function get(call)
  local calendar = call:calendar(call.params.calendarId, "freeBusyReader")
  call:condition(world.etag(calendar.rev))
  return answer(render(calendar))
end

local writable = { "summary", "description", "location", "timeZone", "conferenceProperties" }

local function set(calendar, body, merged)
  if body.timeZone ~= nil and body.timeZone ~= null and not clock.is_zone(body.timeZone) then
    fail(400, "invalid", "Invalid time zone.", { location = "timeZone", locationType = "parameter" })
  end
  for _, name in ipairs(writable) do
    local value = body[name]
    if value == null then value = nil end
    if body[name] ~= nil or (not merged and (name == "description" or name == "location")) then calendar[name] = value end
  end
  if type(calendar.summary) ~= "string" or calendar.summary == "" then fail(400, "required", "Missing summary.") end
  calendar.timeZone = calendar.timeZone or "UTC"
end

local function insert(call)
  local body = call.body or {}
  if type(body.summary) ~= "string" then fail(400, "required", "Missing title.", { location = "summary", locationType = "parameter" }) end
  local fields = { id = world.new_id() .. world.new_id(26) .. "@group.calendar.google.com", owner = call.user.email, client = call.client }
  local probe = { timeZone = call.user.timeZone }
  set(probe, body, true)
  for name, value in pairs(probe) do fields[name] = value end
  local calendar = world.add_calendar(fields)
  world.add_entry(call.user, calendar.id)
  push.changed("calendarList", call.user.email)
  return answer(render(calendar))
end

local function change(call, merged)
  local calendar = call:calendar(call.params.calendarId, "owner")
  call:condition(world.etag(calendar.rev))
  local probe = world.copy { summary = calendar.summary, description = calendar.description, location = calendar.location,
    timeZone = calendar.timeZone, conferenceProperties = calendar.conferenceProperties }
  set(probe, call.body or {}, merged)
  for _, name in ipairs(writable) do calendar[name] = probe[name] end
  calendar.rev = world.tick()
  touch_lists(calendar)
  return answer(render(calendar))
end

local function delete(call)
  local calendar = call:calendar(call.params.calendarId, "owner")
  if calendar.primary then fail(400, "cannotDeletePrimaryCalendar", "Cannot delete primary calendar.") end
  call:condition(world.etag(calendar.rev))
  for _, user in pairs(world.users) do
    local entry = user.list[calendar.id]
    if entry and not entry.deleted then
      user.list_seq = user.list_seq + 1
      entry.deleted, entry.seq, entry.rev = true, user.list_seq, world.tick()
      push.changed("calendarList", user.email)
    end
  end
  world.calendars[calendar.id] = nil
  for _, kind in ipairs { "events", "acl" } do push.changed(kind, calendar.id, "not_exists") end
  return nil
end

local function clear(call)
  local calendar = call:calendar(call.params.calendarId, "owner")
  if not calendar.primary then fail(400, "invalid", "Only primary calendars can be cleared.") end
  for _, row in pairs(world.copy_rows(calendar)) do
    if row.status ~= "cancelled" and not row.master then rows.cancel(calendar, row) end
  end
  return nil
end

-- --- the list -----------------------------------------------------------------------------------------------------

local function render_entry(user, entry)
  if entry.deleted then
    return { kind = "calendar#calendarListEntry", etag = world.etag(entry.rev), id = entry.id, deleted = true }
  end
  local calendar = world.calendars[entry.id]
  local colour = palette.calendar[entry.colorId]
  return {
    kind = "calendar#calendarListEntry", etag = world.etag(entry.rev), id = calendar.id, summary = calendar.summary, description = calendar.description,
    location = calendar.location, timeZone = calendar.timeZone, summaryOverride = entry.summaryOverride, colorId = entry.colorId,
    backgroundColor = entry.backgroundColor or colour and colour.background, foregroundColor = entry.foregroundColor or colour and colour.foreground,
    selected = entry.selected or nil, hidden = entry.hidden or nil, accessRole = world.role(calendar, user),
    primary = calendar.primary and calendar.owner == user.email or nil, defaultReminders = json.array(world.copy(entry.defaultReminders)),
    notificationSettings = entry.notificationSettings, conferenceProperties = calendar.conferenceProperties, dataOwner = data_owner(calendar),
    autoAcceptInvitations = calendar.resource and true or nil,
  }
end

local function entry_of(call)
  local id = call.params.calendarId
  local entry = call.user.list[id == "primary" and call.user.email or id]
  if not entry or entry.deleted then fail(404, "notFound") end
  return entry
end

local function list(call)
  local user = call.user
  local signature = pages.signature(call) .. "|" .. (call.args.syncToken or "")
  local cursor
  local at = 0
  local kept = pages.signature(call, { maxResults = true, showDeleted = true, showHidden = true })
  if call.args.pageToken then
    cursor, at = pages.continue(call.args.pageToken, signature)
  else
    local since
    if call.args.syncToken then
      local held = pages.unseal(call.args.syncToken)
      if not held or held.list ~= user.email then fail(400, "invalid", "Invalid sync token value.", { location = "syncToken", locationType = "parameter" }) end
      if held.epoch ~= world.sync_epoch then fail(410, "fullSyncRequired") end
      if call.args.minAccessRole then fail(400, "badRequest", "Sync token cannot be used with minAccessRole.") end
      for _, name in ipairs { "showDeleted", "showHidden" } do
        if call.args[name] == "false" then fail(400, "badRequest", "Sync token cannot be used with " .. name .. "=false.") end
      end
      since = held.seq
    end
    local least = world.rank[call.args.minAccessRole or "none"] or 0
    local found = {}
    for id, entry in pairs(user.list) do
      local calendar = world.calendars[id]
      local role = calendar and world.role(calendar, user) or "none"
      local wanted
      if since then
        wanted = entry.seq > since
      else
        wanted = (not entry.deleted or call:flag "showDeleted") and (not entry.hidden or call:flag "showHidden")
          and (entry.deleted or (calendar ~= nil and world.rank[role] >= math.max(least, 1)))
      end
      if wanted then found[#found + 1] = entry end
    end
    table.sort(found, function(a, b) return a.seq < b.seq end)
    cursor = pages.begin(found, { signature = signature, seq = user.list_seq })
  end
  local items, next_token = pages.slice(call, cursor, at, call:integer("maxResults", 100, 250))
  local out = json.array {}
  for i, entry in ipairs(items) do
    local shown = entry
    if not entry.deleted and not world.calendars[entry.id] then shown = { id = entry.id, rev = entry.rev, deleted = true } end
    out[i] = render_entry(user, shown)
  end
  return {
    kind = "calendar#calendarList", etag = world.etag(user.list_seq + user.rev), items = out, nextPageToken = next_token,
    nextSyncToken = not next_token and pages.seal { list = user.email, seq = cursor.seq, epoch = world.sync_epoch, signature = kept } or nil,
  }
end

local entry_fields = { "summaryOverride", "colorId", "hidden", "selected", "defaultReminders", "notificationSettings" }

local function set_entry(call, entry, body, merged)
  if body.colorId and body.colorId ~= null and not palette.calendar[body.colorId] then fail(400, "invalid", "Invalid color id.") end
  for _, name in ipairs(entry_fields) do
    local value = body[name]
    if value == null then
      entry[name] = nil
    elseif value ~= nil then
      entry[name] = world.copy(value)
    elseif not merged then
      entry[name] = nil
    end
  end
  entry.defaultReminders, entry.colorId = entry.defaultReminders or {}, entry.colorId or "14"
  if body.backgroundColor and body.backgroundColor ~= null and call:flag "colorRgbFormat" then
    if not body.backgroundColor:find("^#%x%x%x%x%x%x$") then fail(400, "invalid", "Invalid color.") end
    entry.backgroundColor, entry.foregroundColor = body.backgroundColor, body.foregroundColor
  elseif body.colorId then
    entry.backgroundColor, entry.foregroundColor = nil, nil
  end
  call.user.list_seq = call.user.list_seq + 1
  entry.seq, entry.rev = call.user.list_seq, world.tick()
  push.changed("calendarList", call.user.email)
end

local function change_entry(call, merged)
  local entry = entry_of(call)
  call:condition(world.etag(entry.rev))
  set_entry(call, entry, call.body or {}, merged)
  return answer(render_entry(call.user, entry))
end

local function insert_entry(call)
  local body = call.body or {}
  local calendar = call:calendar(body.id or "", "freeBusyReader")
  local entry = call.user.list[calendar.id]
  if not entry or entry.deleted then entry = world.add_entry(call.user, calendar.id, { deleted = nil }) end
  set_entry(call, entry, body, true)
  return answer(render_entry(call.user, entry))
end

local function delete_entry(call)
  local entry = entry_of(call)
  local calendar = world.calendars[entry.id]
  if calendar and calendar.owner == call.user.email then fail(403, "cannotUnsubscribeOwner", "A calendar's owner cannot take it off their list.") end
  entry.deleted = true
  call.user.list_seq = call.user.list_seq + 1
  entry.seq, entry.rev = call.user.list_seq, world.tick()
  push.changed("calendarList", call.user.email)
  return nil
end

local list_uri = "https://www.googleapis.com/calendar/v3/users/me/calendarList?alt=json"

calendars.routes = {
  ["/calendar/v3/calendars"] = { POST = { handler = insert, id = "calendar.calendars.insert" } },
  ["/calendar/v3/calendars/:calendarId"] = {
    GET = { handler = get, id = "calendar.calendars.get" },
    PATCH = { handler = function(call) return change(call, true) end, id = "calendar.calendars.patch" },
    PUT = { handler = function(call) return change(call, false) end, id = "calendar.calendars.update" },
    DELETE = { handler = delete, id = "calendar.calendars.delete" },
  },
  ["/calendar/v3/calendars/:calendarId/clear"] = { POST = { handler = clear, id = "calendar.calendars.clear" } },
  ["/calendar/v3/users/me/calendarList"] = {
    GET = { handler = list, id = "calendar.calendarList.list" }, POST = { handler = insert_entry, id = "calendar.calendarList.insert" },
  },
  ["/calendar/v3/users/me/calendarList/watch"] = {
    POST = { handler = function(call) return push.open(call, "calendarList", call.user.email, list_uri) end, id = "calendar.calendarList.watch" },
  },
  ["/calendar/v3/users/me/calendarList/:calendarId"] = {
    GET = { handler = function(call)
      local entry = entry_of(call)
      call:condition(world.etag(entry.rev))
      return answer(render_entry(call.user, entry))
    end, id = "calendar.calendarList.get" },
    PATCH = { handler = function(call) return change_entry(call, true) end, id = "calendar.calendarList.patch" },
    PUT = { handler = function(call) return change_entry(call, false) end, id = "calendar.calendarList.update" },
    DELETE = { handler = delete_entry, id = "calendar.calendarList.delete" },
  },
}

return calendars
