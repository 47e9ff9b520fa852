-- Rooms of the organization, and the people one works with.
local json = require "lunation.json"
local request = require "lunation.microsoft.request"

local M = {}

local function text(v) return type(v) == "string" and v ~= "" and v or nil end

local function says(query, ...)
  if not query or query == "" then return true end
  for _, part in ipairs { ... } do
    if part:lower():find(query:lower(), 1, true) then return true end
  end
  return false
end

local function features_of(room)
  local list = json.array {}
  for _, tag in ipairs(type(room.tags) == "table" and room.tags or {}) do list[#list + 1] = tostring(tag) end
  for _, name in ipairs { "audioDeviceName", "videoDeviceName", "displayDeviceName" } do
    if text(room[name]) then list[#list + 1] = room[name] end
  end
  if room.isWheelChairAccessible == true then list[#list + 1] = "wheelchair accessible" end
  return list
end

local function resource(room)
  local address = text(room.emailAddress)
  if not address then return nil end
  local number = math.tointeger(tonumber(room.floorNumber))
  return {
    id = address, email = address, name = text(room.displayName) or text(room.nickname) or address,
    capacity = math.tointeger(tonumber(room.capacity)), building = text(room.building), floor = text(room.floorLabel) or number and tostring(number) or nil,
    features = features_of(room), original = room,
  }
end

-- Where all rooms at once may not be asked for, those of the lists.
local function by_lists(account)
  local lists, err = request.all(account, "/places/microsoft.graph.roomlist" .. request.query { { "$top", 100 } })
  if not lists then return nil, err end
  local rooms = {}
  for _, list in ipairs(lists) do
    local key = text(list.emailAddress) or text(list.id)
    local some = key and request.all(account, "/places/" .. request.encode(key) .. "/microsoft.graph.roomlist/rooms")
    for _, room in ipairs(some or {}) do rooms[#rooms + 1] = room end
  end
  return rooms
end

---Rooms that may be invited.
---@param account table
---@param question {query: string?}?
---@return table[]? resources {id=, name=, email=, capacity=, building=, floor=, features=, original=}
---@return lunation.Error?
function M.resources(account, question)
  local rooms, err = request.all(account, "/places/microsoft.graph.room" .. request.query { { "$top", 100 } })
  if not rooms and (err.code == "not_found" or err.code == "invalid_request") then rooms, err = by_lists(account) end
  if not rooms then return nil, err end
  local result, seen = json.array {}, {}
  for _, room in ipairs(rooms) do
    local found = resource(room)
    if found and not seen[found.id] and says(question and question.query, found.name, found.email, found.building or "") then
      seen[found.id] = true
      result[#result + 1] = found
    end
  end
  return result
end

local function address_of(person)
  for _, scored in ipairs(type(person.scoredEmailAddresses) == "table" and person.scoredEmailAddresses or {}) do
    if text(scored.address) then return scored.address end
  end
  return text(person.userPrincipalName)
end

---People of the organization, each with the id of the calendar.
---@param account table
---@param question {query: string?}?
---@return table[]? coworkers {id=, name=, email=, calendar=, original=}
---@return lunation.Error?
function M.coworkers(account, question)
  local query = question and question.query
  local people, err = request.all(account, "/me/people" .. request.query {
    { "$top", 100 }, { "$search", query and query ~= "" and ('"%s"'):format((query:gsub('"', ""))) or nil },
  })
  if not people then return nil, err end
  local result = json.array {}
  for _, person in ipairs(people) do
    local kind = type(person.personType) == "table" and person.personType ~= json.null and person.personType or {}
    local email = address_of(person)
    local works_here = kind.subclass == nil or kind.subclass == json.null or kind.subclass == "OrganizationUser"
    if email and works_here and (kind.class == nil or kind.class == json.null or kind.class == "Person") then
      result[#result + 1] = { id = text(person.id) or email, name = text(person.displayName) or email, email = email, calendar = email, original = person }
    end
  end
  return result
end

return M
