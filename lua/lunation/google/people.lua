-- attendees and organizer of a Google event to participants of JSCalendar (RFC 8984 section 4.4.6), and back. Who organizes
-- takes part only where the guest list says so.
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local people = require "lunation.ical.people"

local M = {}

local answers = { needsAction = "needs-action", declined = "declined", tentative = "tentative", accepted = "accepted" }
local words = { delegated = "needsAction" }
for word, status in pairs(answers) do words[status] = word end

local function read_attendee(attendee)
  local roles = { attendee = true }
  if attendee.organizer == true then roles.owner = true end
  if attendee.optional == true then roles.optional = true end
  local name, comment = attendee.displayName, attendee.comment
  return {
    ["@type"] = "Participant",
    name = type(name) == "string" and name ~= "" and name or nil,
    email = attendee.email,
    sendTo = { imip = "mailto:" .. attendee.email },
    kind = attendee.resource == true and "resource" or nil,
    roles = roles,
    participationStatus = answers[attendee.responseStatus],
    participationComment = type(comment) == "string" and comment ~= "" and comment or nil,
  }
end

-- The guests that have an address, with their keys, in order.
local function guests(native)
  local list, by_id = {}, {}
  for _, attendee in ipairs(type(native.attendees) == "table" and native.attendees or {}) do
    if type(attendee) == "table" and type(attendee.email) == "string" and attendee.email ~= "" then
      local id = people.id(attendee.email)
      local base, n = id, 1
      while by_id[id] do
        n = n + 1
        id = ("%s_%d"):format(base, n)
      end
      by_id[id] = attendee
      list[#list + 1] = { id = id, attendee = attendee }
    end
  end
  return list, by_id
end

local function read(native)
  if native.attendees == nil or native.attendees == json.null then return nil end
  if type(native.attendees) ~= "table" then return nil, "is not a list" end
  local result, any = {}, false
  for _, guest in ipairs(guests(native)) do
    result[guest.id], any = read_attendee(guest.attendee), true
  end
  return any and result or nil
end

local function address_of(participant)
  if type(participant.email) == "string" and participant.email ~= "" then return participant.email end
  local imip = type(participant.sendTo) == "table" and participant.sendTo.imip
  return type(imip) == "string" and imip:match("^[mM][aA][iI][lL][tT][oO]:(.+)$") or nil
end

local function write_attendee(attendee, participant)
  local before = attendee.email and read_attendee(attendee) or { roles = {} }
  local roles = participant.roles or {}
  if before.name ~= participant.name then attendee.displayName = participant.name end
  if (roles.optional or false) ~= (before.roles.optional or false) then attendee.optional = roles.optional and true or nil end
  if before.participationStatus ~= participant.participationStatus or not attendee.responseStatus then
    attendee.responseStatus = words[participant.participationStatus] or "needsAction"
  end
  if before.participationComment ~= participant.participationComment then attendee.comment = participant.participationComment end
  local resource = participant.kind == "resource" or participant.kind == "location"
  if resource and not before.kind then attendee.resource = true end
  return attendee
end

local function is_guest(participant)
  if type(participant) ~= "table" then return false end
  for role, on in pairs(participant.roles or { attendee = true }) do
    if on and role ~= "owner" then return true end
  end
  return false
end

local function write(native, value)
  value = value or {}
  if type(value) ~= "table" then return nil, "is not an object of participants" end
  if native.attendeesOmitted == true then
    return nil, "cannot be changed: Google shows only a part of so long a list of guests"
  end
  local list, known = guests(native)
  local kept, ids = {}, {}
  for _, guest in ipairs(list) do
    if is_guest(value[guest.id]) then kept[#kept + 1] = write_attendee(mapping.copy(guest.attendee), value[guest.id]) end
  end
  for id, participant in pairs(value) do
    if not known[id] and is_guest(participant) then ids[#ids + 1] = id end
  end
  table.sort(ids)
  for _, id in ipairs(ids) do
    local address = address_of(value[id])
    if not address then return nil, "has no email", "." .. id end
    local attendee = write_attendee({}, value[id])
    attendee.email = address
    kept[#kept + 1] = attendee
  end
  native.attendees = (#kept > 0 or #list > 0) and json.array(kept) or nil
  return true
end

M.fields = {
  participants = mapping.entry { read = read, write = write },
  -- Where answers go: only a meeting says it.
  replyTo = mapping.readonly(mapping.entry {
    read = function(native)
      local organizer = native.organizer
      if type(organizer) ~= "table" or type(organizer.email) ~= "string" then return nil end
      if type(native.attendees) ~= "table" or #native.attendees == 0 then return nil end
      return { imip = "mailto:" .. organizer.email }
    end,
    write = function() return true end,
  }),
}

---The address under which the account itself takes part in an event.
---@param native table
---@return string? email nil: it is not invited
function M.own_address(native)
  for _, attendee in ipairs(type(native.attendees) == "table" and native.attendees or {}) do
    if attendee.self == true then return attendee.email end
  end
end

---Google's word for an answer.
---@param status string "accepted", "declined", "tentative", "needs-action"
---@return string?
function M.answer(status)
  return words[status]
end

return M
