-- ATTENDEE and ORGANIZER (RFC 5545 section 3.8.4, RFC 6638) to participants and replyTo (RFC 8984 section 4.4), and back.
-- A participant's key is made of the calendar address, so that it is the same in every reading.
local mapping = require "lunation.mapping"
local component = require "lunation.ical.component"

local M = {}

---@param address string calendar address or email
---@return string id for `participants`
function M.id(address)
  local bare = address:lower():gsub("^mailto:", "")
  local id = bare:gsub("[^a-z0-9%-]", "_"):sub(1, 255)
  return id ~= "" and id or "_"
end

local function email_of(property)
  local address = property.value:match("^[Mm][Aa][Ii][Ll][Tt][Oo]:(.*)$")
  if address and address ~= "" then return (address:gsub("%%40", "@")) end
  return component.param(property, "EMAIL")
end

local kinds = { INDIVIDUAL = "individual", GROUP = "group", RESOURCE = "resource", ROOM = "location" }
local kind_words = { individual = "INDIVIDUAL", group = "GROUP", resource = "RESOURCE", location = "ROOM" }

-- Other people a participant refers to: by their keys where they take part (see refer), else by their addresses.
local function addresses(list)
  local set, any = {}, false
  for _, address in ipairs(list or {}) do
    set[address], any = true, true
  end
  return any and set or nil
end

local references = { "delegatedTo", "delegatedFrom", "memberOf" }

local function refer(people)
  for _, participant in pairs(people) do
    for _, field in ipairs(references) do
      local set = participant[field]
      if set then
        local named = {}
        for address in pairs(set) do
          local id = M.id(address)
          named[people[id] and id or address] = true
        end
        participant[field] = named
      end
    end
  end
end

local function roles_of(property)
  local role = (component.param(property, "ROLE") or "REQ-PARTICIPANT"):upper()
  if role == "CHAIR" then return { attendee = true, chair = true } end
  if role == "OPT-PARTICIPANT" then return { attendee = true, optional = true } end
  if role == "NON-PARTICIPANT" then return { informational = true } end
  return { attendee = true }
end

local function role_word(roles)
  roles = roles or {}
  if roles.chair then return "CHAIR" end
  if roles.optional then return "OPT-PARTICIPANT" end
  if roles.informational and not roles.attendee then return "NON-PARTICIPANT" end
  return "REQ-PARTICIPANT"
end

local function read_attendee(p)
  local _, delegated_to = component.param(p, "DELEGATED-TO")
  local _, delegated_from = component.param(p, "DELEGATED-FROM")
  local _, member = component.param(p, "MEMBER")
  local state = component.param(p, "PARTSTAT")
  local rsvp = component.param(p, "RSVP")
  local agent = component.param(p, "SCHEDULE-AGENT")
  local scheduled = component.param(p, "SCHEDULE-STATUS")
  local name = component.param(p, "CN")
  return {
    ["@type"] = "Participant",
    name = name ~= "" and name or nil,
    email = email_of(p),
    sendTo = p.value ~= "" and { imip = p.value } or nil,
    kind = kinds[(component.param(p, "CUTYPE") or ""):upper()],
    roles = roles_of(p),
    participationStatus = state and state:lower() or nil,
    expectReply = rsvp and rsvp:upper() == "TRUE" or nil,
    scheduleAgent = agent and agent:upper() ~= "SERVER" and agent:lower() or nil,
    scheduleStatus = scheduled and { scheduled } or nil,
    delegatedTo = addresses(delegated_to),
    delegatedFrom = addresses(delegated_from),
    memberOf = addresses(member),
    language = component.param(p, "LANGUAGE"),
  }
end

-- The attendees of a component with their keys, in order.
local function attendees(node)
  local list, taken = {}, {}
  for _, p in ipairs(component.all(node, "ATTENDEE")) do
    local address = email_of(p) or p.value
    if address ~= "" then
      local base = M.id(address)
      local id, n = base, 1
      while taken[id] do
        n = n + 1
        id = ("%s_%d"):format(base, n)
      end
      taken[id] = p
      list[#list + 1] = { id = id, property = p }
    end
  end
  return list, taken
end

local function read(node)
  local result, any = {}, false
  local list = attendees(node)
  for _, attendee in ipairs(list) do
    result[attendee.id], any = read_attendee(attendee.property), true
  end
  local organizer = component.find(node, "ORGANIZER")
  if organizer and organizer.value ~= "" then
    local id = M.id(email_of(organizer) or organizer.value)
    local entry = result[id]
    if entry then
      entry.roles.owner = true
      if not entry.name then entry.name = component.param(organizer, "CN") end
    else
      local name = component.param(organizer, "CN")
      result[id] = {
        ["@type"] = "Participant", name = name ~= "" and name or nil, email = email_of(organizer),
        sendTo = { imip = organizer.value }, roles = { owner = true },
      }
    end
    any = true
  end
  refer(result)
  return any and result or nil
end

-- --- writing ---

local function address_of(participant)
  local to = participant.sendTo and (participant.sendTo.imip or select(2, next(participant.sendTo)))
  if to and to ~= "" then return to end
  if participant.email and participant.email ~= "" then return "mailto:" .. participant.email end
end

local function is_attendee(participant)
  local roles = participant.roles
  if not roles then return true end
  for role, on in pairs(roles) do
    if on and role ~= "owner" then return true end
  end
  return false
end

local function resolve(set, people)
  local list = {}
  for id, on in pairs(set or {}) do
    local other = on and people[id]
    local address = other and address_of(other) or (on and not other and id)
    if address then list[#list + 1] = address end
  end
  table.sort(list)
  return #list > 0 and list or nil
end

-- Writes the parameters that differ between what the property says and what it shall say.
local function write_attendee(p, participant, people)
  local old = read_attendee(p)
  for _, field in ipairs(references) do
    local named = {}
    for address in pairs(old[field] or {}) do named[people[M.id(address)] and M.id(address) or address] = true end
    old[field] = old[field] and named
  end
  local function changed(field) return not mapping.equal(old[field], participant[field]) end
  local address = address_of(participant)
  if address and address:lower() ~= p.value:lower() and M.id(address) ~= M.id(email_of(p) or p.value) then p.value = address end
  if changed "name" then component.set_param(p, "CN", participant.name) end
  if changed "kind" then component.set_param(p, "CUTYPE", kind_words[participant.kind]) end
  if role_word(old.roles) ~= role_word(participant.roles) then
    local word = role_word(participant.roles)
    component.set_param(p, "ROLE", word)
  end
  if changed "participationStatus" then
    component.set_param(p, "PARTSTAT", participant.participationStatus and participant.participationStatus:upper() or nil)
  end
  if (old.expectReply or false) ~= (participant.expectReply or false) then
    component.set_param(p, "RSVP", participant.expectReply and "TRUE" or nil)
  end
  if changed "scheduleAgent" then
    component.set_param(p, "SCHEDULE-AGENT", participant.scheduleAgent and participant.scheduleAgent:upper() or nil)
  end
  if changed "delegatedTo" then component.set_param(p, "DELEGATED-TO", resolve(participant.delegatedTo, people)) end
  if changed "delegatedFrom" then component.set_param(p, "DELEGATED-FROM", resolve(participant.delegatedFrom, people)) end
  if changed "memberOf" then component.set_param(p, "MEMBER", resolve(participant.memberOf, people)) end
  if changed "language" then component.set_param(p, "LANGUAGE", participant.language) end
end

local function write_organizer(node, event)
  local people = event.participants or {}
  local address = event.replyTo and (event.replyTo.imip or select(2, next(event.replyTo)))
  local ids = {}
  for id in pairs(people) do ids[#ids + 1] = id end
  table.sort(ids)
  local owner
  for _, id in ipairs(ids) do
    local participant = people[id]
    if type(participant) == "table" and participant.roles and participant.roles.owner then owner = owner or participant end
  end
  address = address or (owner and address_of(owner))
  if not address then
    component.remove(node, "ORGANIZER")
    return
  end
  local p = component.find(node, "ORGANIZER")
  if not p then
    p = component.property("ORGANIZER", address)
    local _, at = component.find(node, "ATTENDEE")
    table.insert(node.properties, at or #node.properties + 1, p)
  elseif M.id(email_of(p) or p.value) ~= M.id(address) then
    -- Another person: what was said of the first does not hold.
    p.value, p.params = address, {}
  end
  if owner and M.id(address_of(owner) or "") == M.id(address) and owner.name and component.param(p, "CN") ~= owner.name then
    component.set_param(p, "CN", owner.name)
  end
end

local function write(node, _, context)
  local event = context.canonical
  local people = event.participants or {}
  if type(people) ~= "table" then return nil, "is not an object of participants" end
  local list, known = attendees(node)
  local gone = {}
  for _, attendee in ipairs(list) do
    local participant = people[attendee.id]
    if type(participant) ~= "table" or not is_attendee(participant) then
      gone[attendee.property] = true
    else
      write_attendee(attendee.property, participant, people)
    end
  end
  component.remove(node, function(p) return gone[p] == true end)
  local ids = {}
  for id, participant in pairs(people) do
    if type(participant) == "table" and not known[id] and is_attendee(participant) then ids[#ids + 1] = id end
  end
  table.sort(ids)
  for _, id in ipairs(ids) do
    local participant = people[id]
    local address = address_of(participant)
    if not address then return nil, "has neither an email nor an address to send to", "." .. id end
    local p = component.property("ATTENDEE", address)
    write_attendee(p, participant, people)
    component.add(node, p)
  end
  write_organizer(node, event)
  return true
end

M.fields = {
  participants = mapping.entry { needs = { "ATTENDEE", "ORGANIZER" }, read = read, write = write, depends = { "replyTo" } },
  replyTo = mapping.entry {
    needs = "ORGANIZER",
    read = function(node)
      local p = component.find(node, "ORGANIZER")
      return p and p.value ~= "" and { imip = p.value } or nil
    end,
    write = function(node, _, context)
      write_organizer(node, context.canonical)
      return true
    end,
  },
}

return M
