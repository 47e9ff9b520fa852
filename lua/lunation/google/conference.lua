-- conferenceData of a Google event to a conference of the canonical event and to virtualLocations (RFC 8984 section 4.2.6), and
-- back. A Meet room is asked for by a createRequest, which Google fulfils after a while.
local json = require "lunation.json"
local links = require "lunation.ical.links"
local mapping = require "lunation.mapping"
local properties = require "lunation.google.properties"

local M = {}

local PLACE = "conference"

local titles = {
  ["google-meet"] = "Google Meet", zoom = "Zoom", ["microsoft-teams"] = "Microsoft Teams", webex = "Webex", whereby = "Whereby", jitsi = "Jitsi",
}
local kinds = { hangoutsMeet = "google-meet", eventHangout = "google-hangouts", eventNamedHangout = "google-hangouts" }

local function data_of(native)
  return type(native.conferenceData) == "table" and native.conferenceData or nil
end

local function entry_points(native)
  local data = data_of(native)
  return data and type(data.entryPoints) == "table" and data.entryPoints or {}
end

---Whether Google is still making the room.
---@param native table
---@return "pending"|"success"|"failure"|nil
function M.status(native)
  local data = data_of(native)
  local request = data and data.createRequest
  local status = type(request) == "table" and request.status
  return type(status) == "table" and status.statusCode or nil
end

-- The address by which one joins.
local function uri_of(native)
  local other
  for _, point in ipairs(entry_points(native)) do
    if type(point) == "table" and type(point.uri) == "string" then
      if point.entryPointType == "video" then return point.uri end
      other = other or point.uri
    end
  end
  return type(native.hangoutLink) == "string" and native.hangoutLink or other
end

local function own(native)
  local uri = uri_of(native)
  if not uri then return nil end
  local data = data_of(native)
  local solution = data and type(data.conferenceSolution) == "table" and data.conferenceSolution or {}
  local key = type(solution.key) == "table" and solution.key.type
  return { uri = uri, provider = links.conference_provider(uri) or kinds[key], data = data and mapping.copy(data) or nil }
end

local function read(native)
  local room = own(native)
  local kept = properties.get(native, "private", PLACE)
  if type(kept) ~= "table" or type(kept.uri) ~= "string" then return room end
  -- What was written by hand is shown as it was written, also where Google has dropped it.
  if room and room.uri ~= kept.uri then return room end
  return { uri = kept.uri, provider = kept.provider, name = kept.name, data = room and room.data or nil }
end

local schemes = { http = "video", https = "video", tel = "phone", sip = "sip", sips = "sip" }

-- A room that somebody made elsewhere.
local function room_data(room)
  local scheme = room.uri:match("^(%a[%w+.-]*):")
  local point = scheme and schemes[scheme:lower()]
  if not point or #room.uri > 1300 then return nil end
  local provider = room.provider or links.conference_provider(room.uri)
  local code = room.uri:match("^https://meet%.google%.com/([%a%d-]+)$")
  return {
    conferenceId = code, entryPoints = json.array { { entryPointType = point, uri = room.uri } },
    conferenceSolution = { key = { type = code and "hangoutsMeet" or "addOn" }, name = room.name or titles[provider] or provider or "Conference" },
  }
end

local function write(native, room)
  if room == nil then
    native.conferenceData, native.hangoutLink = nil, nil
    return properties.set(native, "private", PLACE, nil)
  end
  if type(room) ~= "table" then return nil, "is not an object" end
  local there = read(native)
  if room.generate then
    -- One that is there already, or on its way, is what is asked for.
    if there and there.provider == "google-meet" or M.status(native) == "pending" then return true end
    native.conferenceData = { createRequest = { conferenceSolutionKey = { type = "hangoutsMeet" } } }
    return properties.set(native, "private", PLACE, nil)
  end
  if type(room.uri) ~= "string" or room.uri == "" then return nil, "has no uri" end
  if there and there.uri == room.uri then
    local provider, name = room.provider or there.provider, room.name
    if provider == there.provider and name == there.name then return true end
  else
    native.conferenceData, native.hangoutLink = room_data(room), nil
  end
  -- Google keeps no room that it does not know; its address is kept beside it.
  return properties.set(native, "private", PLACE, { uri = room.uri, provider = room.provider, name = room.name })
end

local features = { phone = { phone = true }, sip = { audio = true, video = true } }

M.fields = {
  ["lunation:conference"] = mapping.entry { read = read, write = write },
  -- Other ways in than the one that the conference names.
  virtualLocations = mapping.entry {
    read = function(native)
      local result, any, main = {}, false, uri_of(native)
      for i, point in ipairs(entry_points(native)) do
        if type(point) == "table" and type(point.uri) == "string" and point.uri ~= main then
          result[tostring(i)], any = {
            ["@type"] = "VirtualLocation", uri = point.uri, name = type(point.label) == "string" and point.label or nil,
            features = features[point.entryPointType],
          }, true
        end
      end
      return any and result or nil
    end,
    write = function(native, value, context)
      if context.canonical["lunation:conference"] ~= nil or value == nil then return true end
      local ids = {}
      for id in pairs(value) do ids[#ids + 1] = id end
      table.sort(ids)
      local first = value[ids[1]]
      if type(first) ~= "table" or type(first.uri) ~= "string" or native.conferenceData then return true end
      native.conferenceData = room_data { uri = first.uri, name = first.name }
      return true
    end,
  },
}

return M
