-- Copies of an event on the calendars of those invited, their answers on the organizer's, rooms that answer by themselves,
-- and the mails that would be sent.
local event = require "spec.emulators.google.event"
local failure = require "spec.emulators.google.failure"
local rows = require "spec.emulators.google.rows"
local series = require "spec.emulators.google.series"
local world = require "spec.emulators.google.world"

local guests = {}

-- What belongs to a copy and not to the event.
local own = { reminders = true, colorId = true }

local function attendee(row, email)
  for _, one in ipairs(row.data.attendees or {}) do
    if one.email:lower() == email:lower() then return one end
  end
end

--- Records the mails of a change, by sendUpdates (or the sendNotifications that it replaced).
---@param call google.Call
---@param kind "invitation"|"update"|"cancellation"|"response"
---@param row table
---@param calendar table
---@param addresses string[]
function guests.mail(call, kind, row, calendar, addresses)
  local send = call.args.sendUpdates or (call.args.sendNotifications == "true" and "all") or "none"
  local to = {}
  for _, email in ipairs(addresses) do
    local outside = world.users[email] == nil and world.calendars[email] == nil
    if email ~= call.user.email and (send == "all" or (send == "externalOnly" and outside)) then to[#to + 1] = email end
  end
  world.mails[#world.mails + 1] = {
    kind = kind, event = row.id, calendar = calendar.id, summary = row.data.summary, sendUpdates = call.args.sendUpdates, to = to, by = call.user.email,
  }
end

local function addresses(row)
  local list = {}
  for _, one in ipairs(row.data.attendees or {}) do
    if one.email ~= row.organizer.email then list[#list + 1] = one.email end
  end
  return list
end

-- A room is taken when something else stands there in the time of any of the next instances.
local function room_answer(room, row)
  local function spans(one, from, to)
    if one.status == "cancelled" or one.data.transparency == "transparent" then return {} end
    if not one.data.recurrence then return { { event.span(one, room) } } end
    local list, length = {}, one.to - one.from
    for _, at in ipairs(series.originals(one, from and from - length, to)) do
      local differs = (room.instances[one.id] or {})[series.id(one.id, at, one.data.start.date ~= nil)]
      if not differs then list[#list + 1] = { at, at + length } end
    end
    return list
  end
  local mine = spans(row)
  for _, other in pairs(room.events) do
    local answer = attendee(other, room.id)
    if other.uid ~= row.uid and (not answer or answer.responseStatus ~= "declined") then
      for _, a in ipairs(mine) do
        for _, b in ipairs(spans(other, a[1], a[2])) do
          if a[1] < b[2] and b[1] < a[2] then return "declined" end
        end
      end
    end
  end
  return "accepted"
end

local function copy_of(row, calendar, target)
  local copy = target.events[row.id]
  if copy and not copy.home then return nil end
  local data = {}
  for name, value in pairs(row.data) do
    if not own[name] then data[name] = value end
  end
  data.extendedProperties = row.data.extendedProperties and { shared = row.data.extendedProperties.shared } or nil
  if copy then
    for name in pairs(own) do data[name] = copy.data[name] end
    local mine = copy.data.extendedProperties and copy.data.extendedProperties.private
    if mine then
      data.extendedProperties = data.extendedProperties or {}
      data.extendedProperties.private = mine
    end
    if data.extendedProperties and not next(data.extendedProperties) then data.extendedProperties = nil end
    if copy.status == row.status and world.same(copy.data, data) and copy.sequence == row.sequence then return nil end
    rows.remember(target, copy, data)
  else
    copy = {}
    if data.extendedProperties and not data.extendedProperties.shared then data.extendedProperties = nil end
  end
  copy.id, copy.uid, copy.master, copy.original, copy.from, copy.to = row.id, row.uid, row.master, row.original, row.from, row.to
  copy.creator, copy.organizer, copy.home, copy.sequence, copy.status = row.creator, row.organizer, calendar.id, row.sequence, row.status
  copy.data = data
  return copy
end

-- Takes the event, or this instance of it, from a calendar.
local function withdraw(calendar, row, target)
  local copy = target.events[row.id]
  local stored = copy ~= nil
  -- the series stays; this instance of it goes
  if not copy and row.master and target.events[row.master] then copy = copy_of(row, calendar, target) end
  if copy and copy.home == calendar.id and not (stored and copy.status == "cancelled") then rows.cancel(target, copy) end
end

--- Brings every invited calendar of the emulator in step with the organizer's row; those no longer invited lose theirs.
---@param calendar table
---@param row table
---@param before table[]? attendees before the change
function guests.spread(calendar, row, before)
  if row.data.privateCopy then return end
  local invited = {}
  for _, one in ipairs(row.data.attendees or {}) do
    local target = world.calendars[one.email]
    if target and target.resource then
      one.resource = true
      if one.responseStatus == "needsAction" then one.responseStatus = room_answer(target, row) end
    end
  end
  for _, one in ipairs(row.data.attendees or {}) do
    local target = world.calendars[one.email]
    invited[one.email] = true
    if target and target ~= calendar and row.status ~= "cancelled" then
      local copy = copy_of(row, calendar, target)
      if copy then
        rows.put(target, copy)
        if not copy.master then rows.reset_instances(target, copy) end
      end
    elseif not target then
      guests.met(world.users[calendar.owner], one)
    end
  end
  local left = world.copy_list(before)
  if row.status == "cancelled" then table.move(row.data.attendees or {}, 1, #(row.data.attendees or {}), #left + 1, left) end
  for _, one in ipairs(left) do
    local target = world.calendars[one.email]
    if target and target ~= calendar and (row.status == "cancelled" or not invited[one.email]) then withdraw(calendar, row, target) end
  end
end

--- A person met by inviting them becomes one of the user's other contacts.
function guests.met(user, person)
  if not user then return end
  for _, other in pairs(user.others) do
    if other.email == person.email then return end
  end
  user.other_seq = user.other_seq + 1
  local id = "c" .. (9000000000 + user.other_seq)
  user.others[id] = { id = id, email = person.email, name = person.displayName, seq = user.other_seq, rev = world.tick() }
end

--- The invitations, updates or cancellations after the organizer's write.
---@param call google.Call
---@param calendar table
---@param row table
---@param before table[]? attendees before
---@param fresh boolean? the event is new
function guests.announce(call, calendar, row, before, fresh)
  local known, added, kept, gone = {}, {}, {}, {}
  for _, one in ipairs(before or {}) do known[one.email] = true end
  for _, email in ipairs(addresses(row)) do
    table.insert((fresh or not known[email]) and added or kept, email)
    known[email] = nil
  end
  for email in pairs(known) do
    if email ~= row.organizer.email then gone[#gone + 1] = email end
  end
  if row.status == "cancelled" then
    guests.mail(call, "cancellation", row, calendar, addresses(row))
    return
  end
  if #added > 0 then guests.mail(call, "invitation", row, calendar, added) end
  if #kept > 0 then guests.mail(call, "update", row, calendar, kept) end
  if #gone > 0 then guests.mail(call, "cancellation", row, calendar, gone) end
end

--- An attendee's answer on their copy is seen by the organizer and by all who are invited.
---@param call google.Call
---@param calendar table the attendee's
---@param copy table
---@param answer {responseStatus: string, comment: string?, additionalGuests: integer?}
function guests.answer(call, calendar, copy, answer)
  local home = world.calendars[copy.home]
  local row = home and rows.find(home, copy.id)
  if not row then return end
  row = rows.detach(row)
  local mine = attendee(row, calendar.id)
  if not mine then return end
  row.data.attendees = world.copy(row.data.attendees)
  mine = attendee(row, calendar.id)
  mine.responseStatus, mine.comment, mine.additionalGuests = answer.responseStatus, answer.comment, answer.additionalGuests
  rows.put(home, row)
  guests.spread(home, row)
  guests.mail(call, "response", row, home, { row.organizer.email })
end

-- What belongs to all copies of an event.
local function shared_of(data)
  local out = {}
  for name, value in pairs(data) do
    if not own[name] and name ~= "extendedProperties" and name ~= "conferenceData" and name ~= "hangoutLink" then out[name] = value end
  end
  return out
end

--- What a guest may change for all: everything where guests can modify, else who is invited besides.
---@param before table the copy
---@param after table the copy as it is now
function guests.propose(before, after)
  local home = world.calendars[before.home]
  local row = home and rows.find(home, before.id)
  if not row then return end
  row = rows.detach(row)
  local invited = row.data.attendees
  local fields = shared_of(row.data)
  if before.data.guestsCanModify then
    fields = shared_of(after.data)
  else
    fields.attendees = world.copy_list(invited)
    for _, one in ipairs(after.data.attendees or {}) do
      if not attendee(row, one.email) then table.insert(fields.attendees, world.copy(one)) end
    end
  end
  if world.same(fields, shared_of(row.data)) then return end
  local data = {}
  for name, value in pairs(row.data) do
    if own[name] or name == "extendedProperties" or name == "conferenceData" or name == "hangoutLink" then data[name] = value end
  end
  for name, value in pairs(fields) do data[name] = world.copy(value) end
  rows.remember(home, row, data)
  row.data = data
  if before.data.guestsCanModify then row.from, row.to, row.sequence = after.from, after.to, after.sequence end
  rows.put(home, row)
  if not row.master then rows.reset_instances(home, row) end
  guests.spread(home, row, invited)
end

guests.attendee = attendee

--- Refuses what only the organizer may change.
---@param old_row table the copy
---@param new_row table as it was asked for
---@param email string the attendee
function guests.check(old_row, new_row, email)
  local before, after = old_row.data, new_row.data
  if before.guestsCanModify then return end
  if old_row.from ~= new_row.from or old_row.to ~= new_row.to then failure.fail(403, "forbiddenForNonOrganizer") end
  for _, name in ipairs { "summary", "description", "location", "recurrence", "guestsCanModify", "guestsCanInviteOthers" } do
    if not world.same(before[name] or nil, after[name] or nil) then failure.fail(403, "forbiddenForNonOrganizer") end
  end
  if not world.same((before.extendedProperties or {}).shared, (after.extendedProperties or {}).shared) then
    failure.fail(403, "forbiddenForNonOrganizer")
  end
  local known = {}
  for _, one in ipairs(before.attendees or {}) do known[one.email:lower()] = one end
  for _, one in ipairs(after.attendees or {}) do
    local old = known[one.email:lower()]
    known[one.email:lower()] = nil
    if not old and before.guestsCanInviteOthers == false then failure.fail(403, "forbiddenForNonOrganizer") end
    if old and one.email:lower() ~= email and old.responseStatus ~= one.responseStatus then failure.fail(403, "forbiddenForNonOrganizer") end
  end
  if next(known) then failure.fail(403, "forbiddenForNonOrganizer") end
end

return guests
