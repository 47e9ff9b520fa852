-- What an organization has: rooms and things (Admin SDK Directory, for administrators), and the people whose calendars one may
-- ask for (People API's directory).
local errors = require "lunation.errors"
local session = require "lunation.google.session"

local M = {}

local CUSTOMER = "/customer/my_customer/resources"
local MOST = 10000

local function text(v)
  return type(v) == "string" and v ~= "" and v or nil
end

local function features(list)
  local names = {}
  for _, instance in ipairs(type(list) == "table" and list or {}) do
    local feature = type(instance) == "table" and instance.feature
    local name = type(feature) == "table" and text(feature.name)
    if name then names[#names + 1] = name end
  end
  return names
end

-- Names of buildings by their ids; where they may not be read the ids do.
local function buildings(account)
  local names = {}
  local list = session.all(account, { service = "directory", path = CUSTOMER .. "/buildings", query = { maxResults = 500 } }, "buildings", MOST)
  for _, building in ipairs(list or {}) do
    if type(building) == "table" and building.buildingId then names[building.buildingId] = text(building.buildingName) end
  end
  return names
end

local function matches(query, ...)
  if not query then return true end
  for _, each in ipairs { ... } do
    if each:lower():find(query:lower(), 1, true) then return true end
  end
  return false
end

---Rooms and other resources.
---@param account table
---@param request { query: string? }? text in the name, the address or the building
---@return { id: string, name: string, email: string, capacity: integer?, building: string?, floor: string?, features: string[], kind: string,
---  description: string?, original: table }[]? list, lunation.Error? err "forbidden" where the account is no administrator
function M.resources(account, request)
  local query = request and text(request.query)
  local found, err = session.all(account, { service = "directory", path = CUSTOMER .. "/calendars", query = { maxResults = 500 } }, nil, MOST)
  if not found then
    if err.code == "forbidden" or err.code == "not_found" then
      err = errors.new("forbidden", "Google shows rooms to administrators who have granted it: the account lacks the directory's resource permission.",
        { provider = "google", reason = err.reason, upstream_status = err.upstream_status or err.status, scope = "resources" })
    end
    return nil, err
  end
  local list, names = {}, nil
  for _, resource in ipairs(found) do
    local email = type(resource) == "table" and text(resource.resourceEmail)
    if email then
      names = names or (resource.buildingId and buildings(account)) or nil
      local building = text(resource.buildingId)
      local name = text(resource.resourceName) or text(resource.generatedResourceName) or email
      building = building and names and names[building] or building
      if matches(query, name, email, building or "") then
        list[#list + 1] = {
          id = email, email = email, name = name, capacity = math.tointeger(resource.capacity), building = building,
          floor = text(resource.floorName), features = features(resource.featureInstances),
          kind = resource.resourceCategory == "OTHER" and "resource" or "room", description = text(resource.userVisibleDescription),
          original = resource,
        }
      end
    end
  end
  return list
end

local PEOPLE = {
  readMask = "names,emailAddresses", pageSize = 500,
  sources = { "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE" },
}

---People of the organization, each with the id of the calendar.
---@param account table
---@param request { query: string? }?
---@return { id: string, name: string, email: string, calendar: string, original: table }[]?, lunation.Error?
function M.coworkers(account, request)
  local query = { query = request and text(request.query) }
  for name, v in pairs(PEOPLE) do query[name] = v end
  local path = query.query and "/people:searchDirectoryPeople" or "/people:listDirectoryPeople"
  local found, err = session.all(account, { service = "people", path = path, query = query }, "people", MOST)
  if not found then return nil, err end
  local list = {}
  for _, person in ipairs(found) do
    local first = type(person) == "table" and type(person.emailAddresses) == "table" and person.emailAddresses[1]
    local email = type(first) == "table" and text(first.value)
    if email then
      local named = type(person.names) == "table" and person.names[1]
      list[#list + 1] = {
        id = text(person.resourceName) or email, email = email, calendar = email,
        name = type(named) == "table" and text(named.displayName) or email, original = person,
      }
    end
  end
  return list
end

return M
