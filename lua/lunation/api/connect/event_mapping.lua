--- The event of the connect dialect as a mapping (lunation.mapping): canonical field to where it stands in the dialect's
--- JSON, both ways. `from` renders; `to` reads what a client sent into canonical fields, a patch of those that were sent.
--
-- The context of both directions is a lunation.connect.context. In a patch json.null takes a field away. Times, ids and what
-- depends on the place of an event are not here: lunation.api.connect.render and event_input add them.

local json = require "lunation.json"
local mapping = require "lunation.mapping"
local model = require "lunation.model"
local recurrence = require "lunation.api.connect.recurrence"
local shape = require "lunation.api.connect.shape"

---@class lunation.connect.context
---@field mapping lunation.Mapping
---@field app string whose `custom` is meant
---@field calendar table the row
---@field master boolean|nil rendering: show the rule
---@field event table|nil rendering: the whole canonical event
---@field before table|nil reading: canonical, the event as it stands
---@field times { timeZone: string|nil, showWithoutTime: boolean|nil, start: string }|nil reading: as they will be
---@field can table|nil reading: what the provider can do
---@field limits table|nil reading: of the configuration
---@field start integer|nil reading: when the event, or the instance that is changed, is (epoch)
---@field finish integer|nil
---@field recurring boolean|nil

local codec, entry = mapping.codec, mapping.entry

local function null_if_empty(text)
  if text == "" then return json.null end
  return text
end

---A text of the client's; empty takes it away.
local function text(path)
  return codec(path, {
    to = function(value)
      if type(value) ~= "string" then return nil, "is a string" end
      return null_if_empty(value)
    end,
    from = function(value) return value end,
  })
end

---A field with a closed vocabulary, canonical word = the dialect's word; every other word reads as `otherwise`.
local function choice(path, words, otherwise)
  local back, listed = {}, {}
  for canonical, word in pairs(words) do
    back[word] = canonical
    listed[#listed + 1] = word
  end
  table.sort(listed)
  local message = "is one of " .. table.concat(listed, ", ")
  return codec(path, {
    to = function(value)
      local canonical = type(value) == "string" and back[value:lower()]
      if not canonical then return nil, message end
      return canonical
    end,
    from = function(value) return words[value] or otherwise end,
  })
end

---The first by key, so that an event renders the same every time.
local function first(map, wanted)
  local best
  for key, value in pairs(map or {}) do
    if (best == nil or key < best) and wanted(value) then best = key end
  end
  return best and map[best]
end

-- Places ----------------------------------------------------------------------------------------------------------

local function place_name(locations)
  local place = first(locations, function(location) return type(location.name) == "string" end)
  return place and place.name
end

local locations = codec("location", {
  to = function(value, context)
    if type(value) ~= "string" then return nil, "is a string" end
    local before = context.before and context.before.locations
    -- The same name again keeps what else is known of the place.
    if before and place_name(before) == value then return before end
    if value == "" then return json.null end
    return { ["1"] = { ["@type"] = "Location", name = value } }
  end,
  from = function(value) return place_name(value) end,
})

-- People ----------------------------------------------------------------------------------------------------------

local ANSWERS = { accepted = "accepted", declined = "declined", tentative = "tentative" }

---@param participant table
---@return string|nil address
local function address(participant)
  if participant.email then return participant.email end
  local imip = participant.sendTo and participant.sendTo.imip
  return imip and imip:gsub("^[mM][aA][iI][lL][tT][oO]:", "") or nil
end

---The address that an attendee is named by: text, or an object with `email`.
local function named(item)
  local email, name = item, nil
  if shape.is_object(item) then email, name = item.email, item.name end
  if type(email) ~= "string" then return nil end
  email = email:gsub("^%s*[mM][aA][iI][lL][tT][oO]:", ""):gsub("^%s+", ""):gsub("%s+$", "")
  if #email > 320 or not email:find("^[^%s@<>\",;]+@[^%s@<>\",;]+$") then return nil end
  return email, type(name) == "string" and name or nil
end

local function is_owner(participant)
  return participant.roles and participant.roles.owner == true
end

local participants = codec("attendees", {
  to = function(value, context)
    if not shape.is_array(value) then return nil, "is an array of addresses" end
    local most = context.limits and context.limits.attendees or 1000
    if #value > most then return nil, ("holds more than %d addresses"):format(most) end
    local before = context.before and context.before.participants or {}
    local known, kept = {}, {}
    for id, participant in pairs(before) do
      local email = address(participant)
      if email then known[email:lower()] = id end
    end
    for index, item in ipairs(value) do
      local email, name = named(item)
      if not email then return nil, "is no e-mail address", ("[%d]"):format(index - 1) end
      local id = known[email:lower()]
      if id then
        -- Those who stay keep their answers.
        kept[id] = before[id]
      else
        kept[model.participant_id(email)] = {
          ["@type"] = "Participant", email = email, name = name, sendTo = { imip = "mailto:" .. email }, roles = { attendee = true },
          participationStatus = "needs-action", expectReply = true,
        }
      end
    end
    -- Nobody is left to meet: it is no meeting any more.
    if next(kept) == nil then return json.null end
    for id, participant in pairs(before) do
      if is_owner(participant) then kept[id] = participant end
    end
    return kept
  end,
  from = function(value)
    local list = {}
    for _, participant in pairs(value) do
      local email = address(participant)
      if email then
        list[#list + 1] = {
          email = email, status = ANSWERS[participant.participationStatus] or "none", organizer = is_owner(participant) or nil,
        }
      end
    end
    table.sort(list, function(a, b)
      if a.organizer ~= b.organizer then return a.organizer == true end
      return a.email < b.email
    end)
    return json.array(list)
  end,
})

---A meeting that loses its last attendee has nobody to reply to.
local reply_to = entry {
  read = function(body, context)
    if shape.is_array(body.attendees) and #body.attendees == 0 and context.before and context.before.replyTo then return json.null end
  end,
  write = function() return true end,
}

-- Conferences -----------------------------------------------------------------------------------------------------

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

local function virtual_room(event)
  return first(event and event.virtualLocations, function(location) return type(location.uri) == "string" end)
end

local function show_room(native, room)
  native.conference = room.uri
  local data = {}
  for key, value in pairs(type(room.data) == "table" and room.data or {}) do data[key] = value end
  data.provider = room.provider or kind_of(room.uri)
  native.conferenceData = next(data) and data or nil
  return true
end

---The value of a part of a room, or why it cannot be that.
local function part(object, key, kind, description)
  local value = shape.given(object, key)
  if value ~= nil and type(value) ~= kind then return nil, description end
  return value
end

---What the client says of the room: its address, its kind, whether one should be made.
---@return { uri: string|nil, kind: string|nil, generate: boolean }|nil
---@return string|nil why
---@return string|nil where
local function room_wanted(body)
  local wanted = { generate = false }
  local why
  local data = shape.given(body, "conferenceData")
  if data ~= nil then
    if not shape.is_object(data) then return nil, "is an object", "conferenceData" end
    wanted.kind, why = part(data, "provider", "string", "is a string")
    if why then return nil, why, "conferenceData.provider" end
    wanted.generate, why = part(data, "autoGenerate", "boolean", "is true or false")
    if why then return nil, why, "conferenceData.autoGenerate" end
  end
  local given = shape.given(body, "conference")
  if shape.is_object(given) then
    wanted.uri, why = part(given, "url", "string", "is a string")
    if why then return nil, why, "conference.url" end
    local kind = part(given, "provider", "string", "")
    wanted.kind = wanted.kind or kind
    wanted.generate = wanted.generate or part(given, "autoGenerate", "boolean", "") or false
  elseif given ~= nil then
    if type(given) ~= "string" then return nil, "is a string or an object with url", "conference" end
    wanted.uri = given
  end
  local uri = wanted.uri
  if uri and (#uri > 2048 or uri:find("[%c%s]") or (uri ~= "" and not uri:find("^%a[%w+.-]*:"))) then return nil, "is an address", "conference" end
  return wanted
end

local room = entry {
  read = function(body, context)
    local wanted, why, where = room_wanted(body)
    if not wanted then return nil, why, where end
    -- Where nothing can make a room, being asked to counts as not being asked.
    if wanted.generate and context.can and context.can.conference then return { generate = true, provider = wanted.kind } end
    if wanted.uri == "" then return json.null end
    if wanted.uri then return { uri = wanted.uri, provider = wanted.kind or kind_of(wanted.uri) } end
    local there = wanted.kind and context.before and (context.before["lunation:conference"] or virtual_room(context.before))
    return there and { uri = there.uri, provider = wanted.kind } or nil
  end,
  write = function(native, value) return value == nil or show_room(native, value) end,
}

---Rooms that another client wrote. They are shown where there is none of ours, and go when the client takes the room away.
local virtual_locations = entry {
  read = function(body, context)
    if (body.conference == "" or shape.is_object(body.conference) and body.conference.url == "") and context.before
      and context.before.virtualLocations then return json.null end
  end,
  write = function(native, value)
    local found = value and not native.conference and virtual_room { virtualLocations = value }
    return not found or show_room(native, found)
  end,
}

-- The rest --------------------------------------------------------------------------------------------------------

---The properties of the app that asks; those of others stay.
local custom = codec("custom", {
  to = function(value, context)
    if not shape.is_object(value) then return nil, "is an object" end
    local most = context.limits and context.limits.custom or 65536
    if #json.encode(value) > most then return nil, ("is larger than %d bytes"):format(most) end
    local before = context.before and context.before["lunation:custom"]
    local all = {}
    for app, properties in pairs(before or {}) do all[app] = properties end
    all[context.app] = next(value) ~= nil and value or nil
    if next(all) == nil then return before and json.null or nil end
    return all
  end,
  from = function(value, context) return value[context.app] end,
})

local colour = codec("color", {
  to = function(value)
    if type(value) ~= "string" or #value > 64 or value:find("[^%w#%-]") then return nil, "is a colour, as #9fc6e7" end
    return null_if_empty(value)
  end,
  from = function(value) return value end,
})

local LINKS = { describedby = true, alternate = true }

local links = entry {
  read = function() return nil end,
  write = function(native, value)
    local link = first(value, function(item)
      return type(item.href) == "string" and item.href:find("^https?://") and (item.rel == nil or LINKS[item.rel])
    end)
    native.link = link and link.href
    return true
  end,
}

local updated = entry {
  read = function() return nil end,
  write = function(native, value)
    local second, fraction = tostring(value):match("^(%d+%-%d+%-%d+T%d+:%d+:%d+)%.?(%d*)Z$")
    native.lastModified = second and ("%s.%sZ"):format(second, (fraction .. "000"):sub(1, 3))
    return true
  end,
}

local rules = entry {
  read = function(body, context)
    local value = shape.given(body, "recurrence")
    if value == nil then return nil end
    local rule, why, where = recurrence.read(value, context.times)
    if not rule then return nil, why, where end
    if rule["until"] and rule["until"] < context.times.start then return nil, "is before the series starts", "recurrence.until" end
    return json.array { rule }
  end,
  write = function(native, value, context)
    native.recurrence = value and context.master and recurrence.write(context.event) or nil
    return true
  end,
}

local event = mapping {
  title = codec("title", {
    to = function(value)
      if type(value) ~= "string" then return nil, "is a string" end
      return value
    end,
    from = function(value) return value end,
  }),
  description = text "description",
  locations = locations,
  participants = participants,
  replyTo = reply_to,
  color = colour,
  freeBusyStatus = choice("availability", { busy = "busy", free = "free" }, "busy"),
  privacy = choice("privacy", { public = "public", private = "private", secret = "confidential" }, "public"),
  status = choice("status", { confirmed = "confirmed", tentative = "tentative", cancelled = "cancelled" }, "confirmed"),
  ["lunation:conference"] = room,
  virtualLocations = virtual_locations,
  ["lunation:custom"] = custom,
  links = links,
  updated = updated,
  recurrenceRules = rules,
}

local event_mapping = { event = event }

---What the answer says where the event says nothing.
event_mapping.defaults = { title = "", freeBusyStatus = "busy", privacy = "public", status = "confirmed", participants = {} }

---The mapping that this engine speaks with: the shipped one, or what dialects/connect.lua made of it.
---@param engine table
---@return lunation.Mapping
function event_mapping.of(engine)
  local dialect = engine.dialects and engine.dialects:get "connect"
  return dialect and dialect.event or event
end

---The field of the client's JSON that an error of the mapping is about.
---@param used lunation.Mapping
---@param err lunation.Error of `event:to`
---@return string
function event_mapping.wire_field(used, err)
  for field, item in pairs(used.fields) do
    if err.field:sub(1, #field) == field then
      local below = err.field:sub(#field + 1)
      local path = item.path or item.inner and item.inner.path
      -- An entry over the whole object names the place itself.
      if path then return path .. below end
      if below ~= "" then return below end
    end
  end
  return err.field
end

return event_mapping
