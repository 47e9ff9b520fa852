-- Meetings: the copies that attendees of the same service have, their answers, cancellations, and what would have been mailed.
local answer = require "spec.emulators.microsoft.answer"
local input = require "spec.emulators.microsoft.event_input"
local series = require "spec.emulators.microsoft.series"
local times = require "spec.emulators.microsoft.times"

local M = {}

-- Each mailbox's own; the organizer's values do not reach the attendees.
local own = { isReminderOn = true, reminderMinutesBeforeStart = true, showAs = true, categories = true, response = true, isCancelled = true }

local function mail(world, kind, from, to, subject, comment)
  world.mail[#world.mail + 1] = {
    kind = kind, from = from, to = to, subject = answer.given(subject) or "", comment = answer.given(comment), at = times.utc(world:now()),
  }
end

---@param item table
---@return boolean item is the organizer's own
function M.is_organizer(box, item)
  return item.organizer.address:lower() == box.user.email:lower()
end

local function merge(target, source)
  for name in pairs(target) do
    if not own[name] and source[name] == nil then target[name] = nil end
  end
  for name, value in pairs(source) do
    if not own[name] then target[name] = answer.copy(value) end
  end
end

local function new_copy(world, box, item)
  local copy = {
    kind = "event", id = world:new_id("AAMkA", box.user.id), immutable = world:new_id("AAkAL", box.user.id), calendar = box.default, uid = item.uid,
    organizer = item.organizer, created = world:now(), exceptions = {}, cancelled = {}, attachments = {}, extensions = {}, single = {}, multi = {},
    props = {
      isReminderOn = item.props.isReminderOn, reminderMinutesBeforeStart = item.props.reminderMinutesBeforeStart,
      showAs = item.props.showAs == "free" and "free" or "tentative", response = { response = "notResponded", time = "0001-01-01T00:00:00Z" },
    },
  }
  box.items[copy], box.index[copy.id], box.index[copy.immutable] = true, copy, copy
  box.uids[copy.uid] = copy
  return copy
end

local function copy_to(world, box, item)
  local copy = box.uids[item.uid]
  local fresh = not copy
  copy = copy or new_copy(world, box, item)
  merge(copy.props, item.props)
  copy.props.isCancelled = nil
  copy.cancelled = answer.copy(item.cancelled)
  for key, exception in pairs(item.exceptions) do
    local mine = copy.exceptions[key] or { props = {}, created = world:now(), attachments = {}, extensions = {}, single = {}, multi = {} }
    merge(mine.props, exception.props)
    mine.version, mine.modified = exception.version, world:now()
    copy.exceptions[key] = mine
  end
  for key in pairs(copy.exceptions) do
    if not item.exceptions[key] then copy.exceptions[key] = nil end
  end
  series.prepare(copy)
  box:touch(copy, fresh and "created" or "updated")
  return fresh
end

local function cancel_copy(box, item)
  local copy = box.uids[item.uid]
  if not copy then return end
  copy.props.isCancelled, copy.props.showAs = true, "free"
  local subject = answer.given(copy.props.subject) or ""
  if not subject:find "^Canceled: " then copy.props.subject = "Canceled: " .. subject end
  box:touch(copy, "updated")
end

-- A room takes what it is free for.
local function room_answers(world, box, item)
  local copy = box.uids[item.uid]
  local busy = false
  for _, occurrence in ipairs(series.within(copy, copy.props.start.at, copy.props.start.at + 366 * 86400)) do
    for other in pairs(box.items) do
      if other ~= copy and not other.props.isCancelled then
        busy = busy or #series.within(other, occurrence.start, occurrence.finish) > 0
      end
    end
    if busy then break end
  end
  M.respond(world, box, series.root(copy), busy and "declined" or "accepted", { sendResponse = true })
end

---Brings the attendees' copies to what the organizer has.
---@param box spec.graph.Box the organizer's
---@param item table
---@param before table[]? attendees until now
function M.share(box, item, before)
  local world = box.world
  if not M.is_organizer(box, item) then return end
  local invited = {}
  for _, attendee in ipairs(item.props.attendees or {}) do
    local address = attendee.emailAddress.address
    invited[address:lower()] = true
    local user = world:user(address)
    if user and user.box ~= box then
      local fresh = copy_to(world, user.box, item)
      if user.room and fresh then room_answers(world, user.box, item) end
      mail(world, fresh and "invitation" or "update", box.user.email, address, item.props.subject)
    elseif not user then
      local known = false
      for _, old in ipairs(before or {}) do known = known or old.emailAddress.address:lower() == address:lower() end
      mail(world, known and "update" or "invitation", box.user.email, address, item.props.subject)
    end
  end
  for _, attendee in ipairs(before or {}) do
    local address = attendee.emailAddress.address
    if not invited[address:lower()] then
      local user = world:user(address)
      if user and user.box ~= box then cancel_copy(user.box, item) end
      mail(world, "cancellation", box.user.email, address, item.props.subject)
    end
  end
end

---Tells the attendees that a meeting, or one occurrence, is off.
---@param comment string?
function M.cancel(box, occurrence, comment)
  local world, item = box.world, occurrence.item
  if not M.is_organizer(box, item) then return end
  for _, attendee in ipairs(series.value(occurrence, "attendees") or {}) do
    local address = attendee.emailAddress.address
    local user = world:user(address)
    if user and user.box ~= box then
      if occurrence.key then
        local copy = user.box.uids[item.uid]
        if copy then
          copy.cancelled[#copy.cancelled + 1], copy.exceptions[occurrence.key] = occurrence.key, nil
          user.box:touch(copy, "exception")
        end
      else
        cancel_copy(user.box, item)
      end
    end
    mail(world, "cancellation", box.user.email, address, series.value(occurrence, "subject"), comment)
  end
end

---The exception that stands for an occurrence; made where there is none.
---@return table
function M.exception(box, occurrence)
  local item = occurrence.item
  local exception = item.exceptions[occurrence.key]
  if not exception then
    exception = { props = {}, created = item.created, attachments = {}, extensions = {}, single = {}, multi = {}, version = 0 }
    item.exceptions[occurrence.key] = exception
  end
  exception.version, exception.modified = box.world.sequence + 1, box.world:now() -- what `touch` makes next
  occurrence.exception = exception
  return exception
end

-- Where a value of one occurrence, or of the whole, is kept.
local function holder(box, occurrence)
  return occurrence.key and M.exception(box, occurrence).props or occurrence.item.props
end

local shows = { accepted = "busy", tentativelyAccepted = "tentative", declined = "free" }

---An attendee's answer.
---@param box spec.graph.Box the attendee's
---@param occurrence table
---@param response "accepted"|"tentativelyAccepted"|"declined"
---@param given {sendResponse:boolean?, comment:string?, proposedNewTime:table?}
function M.respond(world, box, occurrence, response, given)
  local item = occurrence.item
  local stamp = times.utc(world:now())
  local mine = holder(box, occurrence)
  mine.response, mine.showAs = { response = response, time = stamp }, shows[response]
  box:touch(item, occurrence.key and "exception" or "updated")
  if response == "declined" then M.drop(box, occurrence) end
  if given.sendResponse == false then return end
  mail(world, "response", box.user.email, item.organizer.address, series.value(occurrence, "subject"), given.comment)
  world.mail[#world.mail].response = response
  local organizer = world:user(item.organizer.address)
  local original = organizer and organizer.box.uids[item.uid]
  if not original then return end
  local theirs = occurrence.key and series.occurrence(original, occurrence.key) or not occurrence.key and series.root(original)
  if not theirs then return end
  local attendees = answer.copy(series.value(theirs, "attendees") or {})
  for _, attendee in ipairs(attendees) do
    if attendee.emailAddress.address:lower() == box.user.email:lower() then
      attendee.status, attendee.proposedNewTime = { response = response, time = stamp }, given.proposedNewTime
    end
  end
  holder(organizer.box, theirs).attendees = attendees
  organizer.box:touch(original, theirs.key and "exception" or "updated")
end

---Takes an event, or one occurrence, out of a mailbox.
function M.drop(box, occurrence)
  local item = occurrence.item
  if occurrence.key then
    item.exceptions[occurrence.key] = nil
    item.cancelled[#item.cancelled + 1] = occurrence.key
    table.sort(item.cancelled)
    box:touch(item, "exception")
    return
  end
  box.items[item], box.index[item.id], box.index[item.immutable], box.uids[item.uid] = nil, nil, nil, nil
  box:touch(item, "deleted")
end

-- --- actions ----------------------------------------------------------------------------------------------------------

local slot = input.object("timeSlot", { start = input.zoned, ["end"] = input.zoned })
local answers = { accept = "accepted", decline = "declined", tentativelyAccept = "tentativelyAccepted" }

-- Names of action parameters are matched in any case.
local function parameters(c, allowed)
  local out = {}
  for name, value in pairs(c.body or {}) do
    local short = name:sub(1, 1):lower() .. name:sub(2)
    if not allowed[short] then
      answer.fail(400, "RequestBodyRead", ("The parameter '%s' in the request payload is not a valid parameter for the operation."):format(name))
    end
    out[short] = answer.given(value)
  end
  return out
end

local function respond(action)
  return function(c)
    local occurrence = series.find(c.box, c.params.event)
    local given = parameters(c, { comment = true, sendResponse = true, proposedNewTime = action ~= "accept" })
    if M.is_organizer(c.box, occurrence.item) then
      answer.refuse "Your request can't be completed. You can't respond to this meeting because you're the meeting organizer."
    end
    if series.value(occurrence, "responseRequested") == false and given.sendResponse ~= false then
      answer.refuse "Your request can't be completed. The meeting organizer hasn't requested a response."
    end
    if given.proposedNewTime then
      slot(given.proposedNewTime)
      if given.sendResponse == false or series.value(occurrence, "allowNewTimeProposals") == false then
        answer.refuse "Your request can't be completed. A new time can't be proposed for this meeting."
      end
    end
    M.respond(c.world, c.box, occurrence, answers[action], given)
    return nil, 202
  end
end

local function cancel(c)
  local occurrence = series.find(c.box, c.params.event)
  local given = parameters(c, { comment = true })
  if not M.is_organizer(c.box, occurrence.item) then
    answer.refuse "Your request can't be completed. You need to be an organizer to cancel a meeting."
  end
  M.cancel(c.box, occurrence, given.comment)
  M.drop(c.box, occurrence)
  return nil, 202
end

local function forward(c)
  local occurrence = series.find(c.box, c.params.event)
  local given = parameters(c, { comment = true, toRecipients = true })
  local recipients = type(given.toRecipients) == "table" and given.toRecipients or {}
  if #recipients == 0 then answer.fail(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.") end
  for _, recipient in ipairs(recipients) do
    local address = type(recipient) == "table" and recipient.emailAddress and recipient.emailAddress.address
    if type(address) ~= "string" or not address:find "^[^@%s]+@[^@%s]+$" then
      answer.fail(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
    end
    mail(c.world, "forward", c.user.email, address, series.value(occurrence, "subject"), given.comment)
    local user, organizer = c.world:user(address), c.world:user(occurrence.item.organizer.address)
    local original = organizer and organizer.box.uids[occurrence.item.uid]
    if user and original and user ~= organizer then copy_to(c.world, user.box, original) end
  end
  return nil, 202
end

local function snooze(c)
  local occurrence = series.find(c.box, c.params.event)
  local given = parameters(c, { newReminderTime = true })
  holder(c.box, occurrence).reminder = times.need(given.newReminderTime, "NewReminderTime")
  return nil, 200
end

local function dismiss(c)
  local occurrence = series.find(c.box, c.params.event)
  holder(c.box, occurrence).dismissed = true
  return nil, 200
end

---@type table<string, table> suffix of an event's address = route
M.actions = {
  ["/accept"] = { POST = respond "accept", action = "accept" },
  ["/decline"] = { POST = respond "decline", action = "decline" },
  ["/tentativelyAccept"] = { POST = respond "tentativelyAccept", action = "tentativelyAccept" },
  ["/cancel"] = { POST = cancel, action = "cancel" },
  ["/forward"] = { POST = forward, action = "forward" },
  ["/snoozeReminder"] = { POST = snooze, action = "snoozeReminder" },
  ["/dismissReminder"] = { POST = dismiss, action = "dismissReminder" },
}

return M
