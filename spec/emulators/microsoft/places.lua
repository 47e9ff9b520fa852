-- Rooms and the lists they are in. Every world has the same ones; each room is a mailbox that answers invitations by itself.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local input = require "spec.emulators.microsoft.event_input"
local json = require "lunation.json"
local query = require "spec.emulators.microsoft.query"

local M = {}

local lists = {
  { name = "Building 1", email = "building1rooms", rooms = {
    { name = "Adams", email = "adams", capacity = 6, floor = 1, features = { "WiFi" }, audio = "Polycom" },
    { name = "Baker", email = "baker", capacity = 12, floor = 2, features = { "WiFi", "Projector" }, video = "Surface Hub" },
  } },
  { name = "Building 2", email = "building2rooms", rooms = {
    { name = "Rainier", email = "rainier", capacity = 20, floor = 3, features = { "Projector" }, wheelchair = true },
  } },
}

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

local room_schema = {
  name = "microsoft.graph.room", top = 100, max = 1000, expand = {}, unfiltered = {},
  known = set [[id displayName address geoCoordinates phone nickname emailAddress building floorNumber floorLabel label capacity bookingType
    audioDeviceName videoDeviceName displayDeviceName isWheelChairAccessible tags]],
}
local list_schema = { name = "microsoft.graph.roomList", top = 100, max = 1000, expand = {}, unfiltered = {},
  known = set "id displayName address geoCoordinates phone emailAddress" }

local function domain(world) return world.users[1].email:match "@(.*)$" end

local namespace = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

-- The places of a world, made when they are first asked for.
local function places(world)
  if world.places and world.places.of == world.by_name then return world.places end
  local found = { of = world.by_name, lists = {}, rooms = {}, index = {} }
  for _, list in ipairs(lists) do
    local email = list.email .. "@" .. domain(world)
    local made = {
      kind = "roomList", rooms = {},
      shown = {
        id = crypto.uuid5(namespace, email), displayName = list.name, phone = "", emailAddress = email,
        address = { street = "1 Main Street", city = "Redmond", state = "WA", postalCode = "98052", countryOrRegion = "USA" },
      },
    }
    found.lists[#found.lists + 1] = made
    found.index[made.shown.id], found.index[email] = made, made
    for _, room in ipairs(list.rooms) do
      local address = room.email .. "@" .. domain(world)
      local user = world:user(address) or world:add_user(address)
      user.room, user.name = true, room.name
      local entry = {
        kind = "room",
        shown = {
          id = crypto.uuid5(namespace, address), displayName = room.name, nickname = room.name, emailAddress = address, capacity = room.capacity,
          building = list.name, floorNumber = room.floor, floorLabel = tostring(room.floor), bookingType = "standard", phone = "", label = "",
          audioDeviceName = answer.or_null(room.audio), videoDeviceName = answer.or_null(room.video), displayDeviceName = json.null,
          isWheelChairAccessible = room.wheelchair == true, tags = json.array(room.features), address = made.shown.address,
          geoCoordinates = { latitude = 47.64, longitude = -122.13 },
        },
      }
      made.rooms[#made.rooms + 1], found.rooms[#found.rooms + 1] = entry, entry
      found.index[entry.shown.id], found.index[address] = entry, entry
    end
  end
  world.places = found
  return found
end
M.places = places

local function show(entry) return answer.copy(entry.shown) end

local function need(c)
  return places(c.world).index[c.params.place] or answer.fail(404, "PlaceNotFound", "The place was not found.")
end

local function entity(c, entry)
  local out = show(entry)
  out["@odata.type"] = "#microsoft.graph." .. entry.kind
  out["@odata.context"] = c:metadata "places/$entity"
  return out
end

local writable = {
  displayName = input.text, nickname = input.text, phone = input.text, building = input.text, floorLabel = input.text, label = input.text,
  floorNumber = input.number, capacity = input.number, isWheelChairAccessible = input.boolean, address = input.address, tags = input.list(input.text),
  audioDeviceName = input.text, videoDeviceName = input.text, displayDeviceName = input.text,
  bookingType = input.one_of("bookingType", "unknown standard reserved"),
  geoCoordinates = input.object("outlookGeoCoordinates", { latitude = input.number, longitude = input.number, altitude = input.number }),
}

local function update(c)
  local entry = need(c)
  for name, value in pairs(c.body) do
    if writable[name] then
      if value ~= json.null then value = writable[name](value) end
      entry.shown[name] = value
    elseif not name:find("@", 1, true) then
      input.unknown(name, "microsoft.graph.place")
    end
  end
  return entity(c, entry)
end

---@param routes table<string, table>
function M.routes(routes)
  routes["places/room"] = { area = "places", open = true, gives = "Collection(room)", GET = function(c)
    return query.page(c, room_schema, places(c.world).rooms, show, "places/microsoft.graph.room")
  end }
  routes["places/roomlist"] = { area = "places", open = true, gives = "Collection(roomList)", GET = function(c)
    return query.page(c, list_schema, places(c.world).lists, show, "places/microsoft.graph.roomList")
  end }
  routes["places/:place"] = { area = "places", open = true, GET = function(c) return entity(c, need(c)) end, PATCH = update, gives = "place", takes = "place" }
  routes["places/:place/roomlist/rooms"] = { area = "places", open = true, gives = "Collection(room)", GET = function(c)
    local list = need(c)
    if list.kind ~= "roomList" then answer.fail(400, "BadRequest", "The place is no room list.") end
    return query.page(c, room_schema, list.rooms, show, "places/microsoft.graph.room")
  end }
  routes["places/:place/rooms"] = routes["places/:place/roomlist/rooms"]
end

return M
