--- The fields of a connect event beside its times, both ways: how each reads from the canonical event, and what a
--- client's value makes of it.
--
-- `read(event, context)` gives the JSON value, nil where the field is left out. `write(value, patch, context)` checks
-- the value and sets canonical fields in the patch; it answers an error message, or nil when all is well. In a patch
-- json.null takes a field away.

local json = require "lunation.json"
local model = require "lunation.model"
local shape = require "lunation.api.connect.shape"

---@class lunation.connect.context
---@field app string whose `custom` is meant
---@field before table|nil canonical: the event as it stands, when it is changed
---@field can table what the provider can do
---@field limits table of the configuration

local fields = {}

local function null_if_empty(text)
  if text == "" then return json.null end
  return text
end

---A text field of the same name on both sides.
local function text(name)
  return {
    read = function(event) return event[name] end,
    write = function(value, patch)
      if type(value) ~= "string" then return "is a string" end
      patch[name] = null_if_empty(value)
    end,
  }
end

---A field with a closed vocabulary. `names` maps canonical values to the dialect's.
local function choice(name, default, names)
  local canonical, listed = {}, {}
  for ours, theirs in pairs(names) do
    canonical[theirs] = ours
    listed[#listed + 1] = theirs
  end
  table.sort(listed)
  local message = "is one of " .. table.concat(listed, ", ")
  return {
    read = function(event) return names[event[name]] or default end,
    write = function(value, patch)
      local ours = type(value) == "string" and canonical[value:lower()]
      if not ours then return message end
      patch[name] = ours
    end,
  }
end

fields.title = {
  read = function(event) return event.title or "" end,
  write = function(value, patch)
    if type(value) ~= "string" then return "is a string" end
    patch.title = value
  end,
}

fields.description = text "description"
fields.availability = choice("freeBusyStatus", "busy", { busy = "busy", free = "free" })
fields.privacy = choice("privacy", "public", { public = "public", private = "private", secret = "confidential" })
fields.status = choice("status", "confirmed", { confirmed = "confirmed", tentative = "tentative", cancelled = "cancelled" })

fields.color = {
  read = function(event, context) return event.color or context.calendar and context.calendar.color end,
  write = function(value, patch)
    if type(value) ~= "string" or #value > 64 or value:find("[^%w#%-]") then return "is a colour, as #9fc6e7" end
    patch.color = null_if_empty(value)
  end,
}

---The first by key, so that an event renders the same every time.
local function first(map, wanted)
  local best
  for key, value in pairs(map or {}) do
    if (best == nil or key < best) and (not wanted or wanted(value)) then best = key end
  end
  return best and map[best]
end

fields.location = {
  read = function(event)
    local place = first(event.locations, function(location) return type(location.name) == "string" end)
    return place and place.name
  end,
  write = function(value, patch, context)
    if type(value) ~= "string" then return "is a string" end
    local before = context.before and fields.location.read(context.before)
    -- The same name again keeps what else is known of the place.
    if before == value then return nil end
    patch.locations = value == "" and json.null or { ["1"] = { ["@type"] = "Location", name = value } }
  end,
}

-- Participants --------------------------------------------------------------------------------------------------------

local ANSWERS = { accepted = "accepted", declined = "declined", tentative = "tentative" }

---@param participant table
---@return string|nil address
local function address(participant)
  if participant.email then return participant.email end
  local imip = participant.sendTo and participant.sendTo.imip
  return imip and imip:gsub("^[mM][aA][iI][lL][tT][oO]:", "") or nil
end

fields.attendees = {
  read = function(event)
    local list = {}
    for _, participant in pairs(event.participants or {}) do
      local email = address(participant)
      if email then
        list[#list + 1] = {
          email = email, status = ANSWERS[participant.participationStatus] or "none",
          organizer = participant.roles and participant.roles.owner and true or nil,
        }
      end
    end
    table.sort(list, function(a, b)
      if a.organizer ~= b.organizer then return a.organizer == true end
      return a.email < b.email
    end)
    return json.array(list)
  end,
  write = function(value, patch, context)
    if not shape.is_array(value) then return "is an array of addresses" end
    local most = context.limits and context.limits.attendees or 1000
    if #value > most then return ("holds more than %d addresses"):format(most) end
    local before = context.before and context.before.participants or {}
    local known, participants, count = {}, {}, 0
    for id, participant in pairs(before) do
      local email = address(participant)
      if email then known[email:lower()] = id end
    end
    for index, item in ipairs(value) do
      local email, name = item, nil
      if shape.is_object(item) then email, name = item.email, item.name end
      email = type(email) == "string" and email:gsub("^%s*[mM][aA][iI][lL][tT][oO]:", ""):gsub("^%s+", ""):gsub("%s+$", "") or nil
      if not email or #email > 320 or not email:find("^[^%s@<>\",;]+@[^%s@<>\",;]+$") then
        return "holds an address that is none", ("attendees[%d]"):format(index - 1)
      end
      local id = known[email:lower()]
      if id then
        participants[id] = before[id]
      else
        id = model.participant_id(email)
        participants[id] = {
          ["@type"] = "Participant", email = email, name = type(name) == "string" and name or nil,
          sendTo = { imip = "mailto:" .. email }, roles = { attendee = true },
          participationStatus = "needs-action", expectReply = true,
        }
      end
      count = count + 1
    end
    if count == 0 then
      -- Nobody is left to meet: it is no meeting any more.
      patch.participants = context.before and context.before.participants and json.null or nil
      patch.replyTo = context.before and context.before.replyTo and json.null or nil
      return nil
    end
    -- Who owns the meeting stays its owner, listed or not.
    for id, participant in pairs(before) do
      if participant.roles and participant.roles.owner then participants[id] = participant end
    end
    patch.participants = participants
  end,
}

-- Conferences ---------------------------------------------------------------------------------------------------------

-- Kinds of meeting rooms that an address gives away.
local HOSTS = {
  { "meet%.google%.com$", "google-meet" }, { "teams%.microsoft%.com$", "microsoft-teams" }, { "teams%.live%.com$", "microsoft-teams" },
  { "zoom%.us$", "zoom" }, { "zoom%.com$", "zoom" }, { "webex%.com$", "webex" },
}

local function kind_of(uri)
  local host = type(uri) == "string" and uri:match("^%a[%w+.-]*://([^/:?#]+)")
  for _, pair in ipairs(HOSTS) do
    if host and host:lower():find(pair[1]) then return pair[2] end
  end
end

---The conference of an event: ours, or a virtual location that somebody else's client wrote.
local function conference(event)
  local own = event["lunation:conference"]
  if own then return own end
  local virtual = first(event.virtualLocations, function(location) return type(location.uri) == "string" end)
  return virtual and { uri = virtual.uri }
end

fields.conference = {
  read = function(event)
    local found = conference(event)
    return found and found.uri
  end,
}

fields.conferenceData = {
  read = function(event)
    local found = conference(event)
    if not found then return nil end
    local data = {}
    for key, value in pairs(type(found.data) == "table" and found.data or {}) do data[key] = value end
    data.provider = found.provider or kind_of(found.uri)
    return next(data) and data or nil
  end,
}

---`conference` and `conferenceData` together: one names the address, the other its kind, or asks for a new room.
---@param body table
---@param patch table
---@param context lunation.connect.context
---@return string|nil message
---@return string|nil field
function fields.write_conference(body, patch, context)
  local uri, kind, generate = nil, nil, false
  local given, data = body.conference, body.conferenceData
  if data ~= nil then
    if not shape.is_object(data) then return "is an object", "conferenceData" end
    if data.provider ~= nil and data.provider ~= json.null then
      if type(data.provider) ~= "string" then return "is a string", "conferenceData.provider" end
      kind = data.provider
    end
    if data.autoGenerate ~= nil and data.autoGenerate ~= json.null then
      if type(data.autoGenerate) ~= "boolean" then return "is true or false", "conferenceData.autoGenerate" end
      generate = data.autoGenerate
    end
  end
  if shape.is_object(given) then
    uri, kind = given.url or given.uri, kind or (type(given.provider) == "string" and given.provider or nil)
    if uri == nil or uri == json.null then uri = nil
    elseif type(uri) ~= "string" then return "is a string", "conference.url" end
    if type(given.autoGenerate) == "boolean" then generate = generate or given.autoGenerate end
  elseif given ~= nil then
    if type(given) ~= "string" then return "is a string or an object with url", "conference" end
    uri = given
  end
  if uri and (#uri > 2048 or uri:find("[%c%s]") or (uri ~= "" and not uri:find("^%a[%w+.-]*:"))) then return "is an address", "conference" end
  if generate and context.can.conference then
    patch["lunation:conference"] = { generate = true, provider = kind }
    return nil
  end
  if uri == "" then
    patch["lunation:conference"], patch.virtualLocations = json.null, context.before and context.before.virtualLocations and json.null or nil
  elseif uri then
    patch["lunation:conference"] = { uri = uri, provider = kind or kind_of(uri) }
  elseif kind and context.before then
    local found = conference(context.before)
    if found then patch["lunation:conference"] = { uri = found.uri, provider = kind } end
  end
end

-- The rest ------------------------------------------------------------------------------------------------------------

fields.custom = {
  read = function(event, context)
    local all = event["lunation:custom"]
    return all and all[context.app] or nil
  end,
  write = function(value, patch, context)
    if not shape.is_object(value) then return "is an object" end
    local most = context.limits and context.limits.custom or 65536
    if #json.encode(value) > most then return ("is larger than %d bytes"):format(most) end
    local all = {}
    for app, properties in pairs(context.before and context.before["lunation:custom"] or {}) do all[app] = properties end
    all[context.app] = next(value) ~= nil and value or nil
    if next(all) == nil and not (context.before and context.before["lunation:custom"]) then return nil end
    patch["lunation:custom"] = next(all) and all or json.null
  end,
}

fields.link = {
  read = function(event)
    local link = first(event.links, function(value)
      return type(value.href) == "string" and value.href:find("^https?://") and (value.rel == nil or value.rel == "describedby" or value.rel == "alternate")
    end)
    return link and link.href
  end,
}

fields.lastModified = {
  read = function(event)
    local stamp = event.updated
    if type(stamp) ~= "string" then return nil end
    local second, fraction = stamp:match("^(%d+%-%d+%-%d+T%d+:%d+:%d+)%.?(%d*)Z$")
    return second and ("%s.%sZ"):format(second, (fraction .. "000"):sub(1, 3))
  end,
}

return fields
