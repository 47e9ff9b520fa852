-- organizer and attendees of Graph to participants and replyTo (RFC 8984 section 4.4), and back. The organizer is whose mailbox
-- it is and cannot be written.
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local model = require "lunation.model"
local null = require "lunation.null"

local M = {}

local function given(v)
  if v == null then return nil end
  return v
end

local answers = {
  none = "needs-action", notResponded = "needs-action", accepted = "accepted", declined = "declined", tentativelyAccepted = "tentative",
  organizer = "accepted",
}
local types = { required = true, optional = true, resource = true }

local function address_of(holder)
  local email = type(holder) == "table" and holder ~= null and given(holder.emailAddress)
  if type(email) ~= "table" then return nil end
  local address, name = given(email.address), given(email.name)
  if type(address) ~= "string" or address == "" then return nil end
  return address, type(name) == "string" and name ~= "" and name ~= address and name or nil
end

local function answer_of(status)
  local word = type(status) == "table" and status ~= null and given(status.response)
  if not word then return "needs-action" end
  local answer = answers[word]
  if not answer then return nil, ("an answer is %q, a word that is not known"):format(tostring(word)) end
  return answer
end

local function read_attendee(attendee)
  local address, name = address_of(attendee)
  if not address then return false end
  local kind = given(attendee.type) or "required"
  if not types[kind] then return nil, ("an attendee's type is %q, a word that is not known"):format(tostring(kind)) end
  local answer, why = answer_of(attendee.status)
  if not answer then return nil, why end
  return {
    ["@type"] = "Participant", email = address, name = name, sendTo = { imip = "mailto:" .. address },
    kind = kind == "resource" and "resource" or nil, participationStatus = answer,
    roles = kind == "optional" and { attendee = true, optional = true } or { attendee = true },
  }
end

local function list_of(native)
  local list = given(native.attendees)
  return type(list) == "table" and list or {}
end

-- An appointment of nobody but its owner is no meeting.
local function is_meeting(native)
  return #list_of(native) > 0 or native.isOrganizer == false
end

M.participants = mapping.entry {
  read = function(native)
    if native.attendees ~= nil and native.attendees ~= null and type(native.attendees) ~= "table" then return nil, "is not a list" end
    if not is_meeting(native) then return nil end
    local result = {}
    for _, attendee in ipairs(list_of(native)) do
      local participant, why = read_attendee(attendee)
      if participant == nil then return nil, why end
      if participant then result[model.participant_id(participant.email)] = participant end
    end
    local address, name = address_of(given(native.organizer))
    if address then
      local id = model.participant_id(address)
      local owner = result[id]
      if owner then
        owner.roles.owner, owner.name = true, owner.name or name
      else
        result[id] = { ["@type"] = "Participant", email = address, name = name, sendTo = { imip = "mailto:" .. address }, roles = { owner = true } }
      end
    end
    -- What one has answered stands with the event, not in one's own copy of the list.
    local me = native.isOrganizer == false and type(native.me) == "string" and result[model.participant_id(native.me)]
    if me and me.roles.attendee then
      local answer, why = answer_of(native.responseStatus)
      if not answer then return nil, why end
      if answer ~= "needs-action" then me.participationStatus = answer end
    end
    return next(result) and result or nil
  end,
  write = function(native, people)
    local known = {}
    for _, attendee in ipairs(list_of(native)) do
      local address = address_of(attendee)
      if address then known[model.participant_id(address)] = attendee end
    end
    local ids, list = {}, json.array {}
    for _, attendee in ipairs(list_of(native)) do
      local id = model.participant_id(address_of(attendee) or "")
      if people and people[id] and known[id] == attendee then ids[#ids + 1] = id end
    end
    local more = {}
    for id in pairs(people or {}) do
      if not known[id] then more[#more + 1] = id end
    end
    table.sort(more)
    table.move(more, 1, #more, #ids + 1, ids)
    for _, id in ipairs(ids) do
      local person = people[id]
      local roles = person.roles or { attendee = true }
      local only_owner = roles.owner and not (roles.attendee or roles.optional or roles.chair or roles.informational)
      local address = person.email or person.sendTo and (person.sendTo.imip or ""):match("^[mM][aA][iI][lL][tT][oO]:(.+)$")
      if not only_owner and not address then return nil, "has no e-mail address", "." .. id end
      if not only_owner then
        local attendee = known[id] and mapping.copy(known[id]) or { emailAddress = { address = address } }
        local _, name = address_of(attendee)
        if person.name and person.name ~= name then attendee.emailAddress.name = person.name end
        attendee.type = (person.kind == "resource" or person.kind == "location") and "resource" or roles.optional and "optional" or "required"
        list[#list + 1] = attendee
      end
    end
    native.attendees = list
    return true
  end,
}

---Answers go to the organizer, who is none of ours to choose.
M.reply_to = mapping.readonly(mapping.entry {
  read = function(native)
    local address = is_meeting(native) and address_of(given(native.organizer))
    return address and { imip = "mailto:" .. address } or nil
  end,
  write = function() return true end,
})

return M
