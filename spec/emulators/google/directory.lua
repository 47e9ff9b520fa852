-- The Admin SDK's Directory as far as calendars need it: rooms with their buildings and features, and the domain's users.
local crypto = require "lunation.crypto"
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local pages = require "spec.emulators.google.pages"
local world = require "spec.emulators.google.world"

local directory = {}

local fail = failure.fail
local null = json.null
local base = "/admin/directory/v1/customer/:customer/resources/"

-- Only administrators, and only of their own customer.
local function admit(call)
  if not call.user.admin then fail(403, "forbidden", "Not Authorized to access this resource/api") end
  local customer = call.params.customer
  if customer and customer ~= "my_customer" and not customer:find "^C%w+$" then fail(400, "invalid", "Bad Request") end
end

local kinds = {
  calendars = {
    key = "resourceId", one = "admin#directory#resources#calendars#CalendarResource", tag = "etags", items = "items",
    list = "admin#directory#resources#calendars#calendarResourcesList", required = { "resourceId", "resourceName" }, store = "rooms",
    fields = { "resourceId", "resourceName", "resourceType", "resourceDescription", "capacity", "buildingId", "floorName", "floorSection",
      "resourceCategory", "userVisibleDescription", "featureInstances" },
  },
  buildings = {
    key = "buildingId", one = "admin#directory#resources#buildings#Building", tag = "etags", items = "buildings",
    list = "admin#directory#resources#buildings#buildingsList", required = { "buildingId", "buildingName", "floorNames" }, store = "buildings",
    fields = { "buildingId", "buildingName", "description", "floorNames", "coordinates", "address" },
  },
  features = {
    key = "name", one = "admin#directory#resources#features#Feature", tag = "etags", items = "features",
    list = "admin#directory#resources#features#featuresList", required = { "name" }, store = "features", fields = { "name" },
  },
}

-- "Berlin-2-Ada (8)": how calendars call a room.
local function generated_name(room)
  local text = {}
  for _, name in ipairs { "buildingId", "floorName", "resourceName" } do
    if room[name] and room[name] ~= "" then text[#text + 1] = room[name] end
  end
  local words = table.concat(text, "-")
  return room.capacity and ("%s (%d)"):format(words, room.capacity) or words
end

local function render(kind, stored)
  local out = { kind = kind.one, [kind.tag] = world.etag(stored.rev) }
  for _, name in ipairs(kind.fields) do out[name] = stored.data[name] end
  if kind == kinds.calendars then
    out.resourceEmail, out.generatedResourceName = stored.email, generated_name(stored.data)
    out.resourceCategory = out.resourceCategory or "CATEGORY_UNKNOWN"
    if out.featureInstances then
      local list = json.array {}
      for i, one in ipairs(out.featureInstances) do list[i] = { feature = { kind = kinds.features.one, name = one.feature.name } } end
      out.featureInstances = list
    end
  end
  return out
end

local function check(kind, data)
  for _, name in ipairs(kind.required) do
    if data[name] == nil or data[name] == "" then fail(400, "required", "Missing required field: " .. name) end
  end
  if kind == kinds.calendars then
    if data.buildingId and not world.buildings[data.buildingId] then fail(400, "invalid", "Invalid Input: buildingId") end
    for _, one in ipairs(data.featureInstances or {}) do
      local name = type(one) == "table" and type(one.feature) == "table" and one.feature.name
      if not name or not world.features[name] then fail(400, "invalid", "Invalid Input: featureInstances") end
    end
    if data.resourceCategory == "CONFERENCE_ROOM" and not (data.buildingId and data.floorName and data.capacity) then
      fail(400, "invalid", "Invalid Input: a conference room has a building, a floor and a capacity")
    end
  end
end

local function fill(kind, data, body, merged)
  for _, name in ipairs(kind.fields) do
    local value = body[name]
    if value == null then
      data[name] = nil
    elseif value ~= nil then
      data[name] = world.copy(value)
    elseif not merged and name ~= kind.key then
      data[name] = nil
    end
  end
  check(kind, data)
end

local function answer(kind, stored)
  return { status = 200, headers = { etag = world.etag(stored.rev) }, body = render(kind, stored) }
end

local function find(kind, call)
  admit(call)
  return world[kind.store][call.params.key] or fail(404, "notFound", "Resource Not Found: " .. call.params.key)
end

local function insert(kind, call)
  admit(call)
  local data = {}
  fill(kind, data, call.body or {}, true)
  local store = world[kind.store]
  if store[data[kind.key]] then fail(409, "duplicate", "Entity already exists.") end
  local stored = { data = data, rev = world.tick() }
  if kind == kinds.calendars then
    stored.email = "c_" .. crypto.hex(crypto.sha256(data.resourceId)):sub(1, 26) .. "@resource.calendar.google.com"
    world.add_calendar { id = stored.email, summary = generated_name(data), owner = call.user.email, timeZone = call.user.timeZone, resource = true }
  end
  store[data[kind.key]] = stored
  return answer(kind, stored)
end

local function change(kind, call, merged)
  local stored = find(kind, call)
  local data = world.copy(stored.data)
  fill(kind, data, call.body or {}, merged)
  stored.data, stored.rev = data, world.tick()
  local calendar = stored.email and world.calendars[stored.email]
  if calendar then calendar.summary, calendar.rev = generated_name(data), world.tick() end
  return answer(kind, stored)
end

local function delete(kind, call)
  local stored = find(kind, call)
  world[kind.store][call.params.key] = nil
  if stored.email then world.calendars[stored.email] = nil end
  return nil
end

-- --- queries: `buildingId=B1 AND NOT capacity=4 AND featureInstances.feature.name:Pho*` ---------------------------------

local names = { name = "resourceName", floor_name = "floorName" }

local function values(stored, field)
  if field == "featureInstances.feature.name" then
    local list = {}
    for i, one in ipairs(stored.data.featureInstances or {}) do list[i] = one.feature.name end
    return list
  end
  if field == "generatedResourceName" then return { generated_name(stored.data) } end
  if field == "resourceEmail" then return { stored.email } end
  return { tostring(stored.data[names[field] or field] or "") }
end

local function clause_of(text)
  local negated = text:match "^%s*NOT%s+(.+)$"
  local field, operator, value = (negated or text):match '^%s*([%w_%.]+)%s*(!?[=:])%s*"?(.-)"?%s*$'
  if not field then fail(400, "invalid", "Invalid Input: query") end
  return function(stored)
    local found = false
    for _, held in ipairs(values(stored, field)) do
      if operator == ":" then
        local prefix = value:match "^(.*)%*$"
        found = found or prefix and held:sub(1, #prefix):lower() == prefix:lower() or held:lower():find(value:lower(), 1, true) ~= nil
      else
        found = found or held:lower() == value:lower()
      end
    end
    if operator == "!=" then found = not found end
    if negated then return not found end
    return found
  end
end

local function clauses(text)
  local list = {}
  for one in (text .. " AND "):gmatch "(.-)%s+AND%s+" do
    if one ~= "" then list[#list + 1] = clause_of(one) end
  end
  return list
end

local function order_of(text)
  local keys = {}
  for part in text:gmatch "[^,]+" do
    local field, way = part:match "^%s*(%w+)%s*(%a*)%s*$"
    if not field or (way ~= "" and way:lower() ~= "asc" and way:lower() ~= "desc") then fail(400, "invalid", "Invalid Input: orderBy") end
    keys[#keys + 1] = { field = field, down = way:lower() == "desc" }
  end
  return function(a, b)
    for _, key in ipairs(keys) do
      local x, y = a.data[key.field], b.data[key.field]
      if x ~= y then
        if x == nil or y == nil then return (x == nil) ~= key.down end
        if key.down then return x > y end
        return x < y
      end
    end
    return a.rev < b.rev
  end
end

local function page(call, found, most)
  local signature = pages.signature(call)
  if call.args.pageToken then
    local cursor, at = pages.continue(call.args.pageToken, signature)
    return pages.slice(call, cursor, at, call:integer("maxResults", most, 500))
  end
  return pages.slice(call, pages.begin(found, { signature = signature }), 0, call:integer("maxResults", most, 500))
end

local function list(kind, call)
  admit(call)
  local found, wanted = {}, kind == kinds.calendars and clauses(call.args.query or "") or {}
  for _, stored in pairs(world[kind.store]) do
    local fits = true
    for _, clause in ipairs(wanted) do fits = fits and clause(stored) end
    if fits then found[#found + 1] = stored end
  end
  table.sort(found, order_of(kind == kinds.calendars and call.args.orderBy or kind.key))
  local items, next_token = page(call, found, 100)
  local out = json.array {}
  for i, stored in ipairs(items) do out[i] = render(kind, stored) end
  return { kind = kind.list, etag = world.etag(world.revision), [kind.items] = #out > 0 and out or nil, nextPageToken = next_token }
end

-- --- users ----------------------------------------------------------------------------------------------------------

local function user_resource(user)
  local given, family = user.name:match "^(%S+)%s+(.+)$"
  return {
    kind = "admin#directory#user", id = user.id, etag = world.etag(user.rev), primaryEmail = user.email, isAdmin = user.admin, suspended = false,
    name = { givenName = given or user.name, familyName = family or "", fullName = user.name }, customerId = "C0lunation",
    emails = { { address = user.email, primary = true } },
  }
end

local function users(call)
  if not call.user.admin and call.args.viewType ~= "domain_public" then fail(403, "forbidden", "Not Authorized to access this resource/api") end
  if not call.args.customer and not call.args.domain then fail(400, "badRequest", "Bad Request") end
  local found = {}
  for _, email in ipairs(world.user_order) do
    local user = world.users[email]
    local query = (call.args.query or ""):gsub("^[%w]+[:=]", ""):gsub("[%*']", ""):lower()
    if user.domain == call.user.domain and (query == "" or user.email:find(query, 1, true) or user.name:lower():find(query, 1, true)) then
      found[#found + 1] = user
    end
  end
  local items, next_token = page(call, found, 100)
  local out = json.array {}
  for i, user in ipairs(items) do out[i] = user_resource(user) end
  return { kind = "admin#directory#users", etag = world.etag(world.revision), users = #out > 0 and out or nil, nextPageToken = next_token }
end

local function one_user(call)
  if not call.user.admin and call.args.viewType ~= "domain_public" then fail(403, "forbidden", "Not Authorized to access this resource/api") end
  local user = world.users[call.params.key]
  if not user then fail(404, "notFound", "Resource Not Found: userKey") end
  return user_resource(user)
end

directory.routes = {
  ["/admin/directory/v1/users"] = { GET = { handler = users, id = "directory.users.list" } },
  ["/admin/directory/v1/users/:key"] = { GET = { handler = one_user, id = "directory.users.get" } },
}
for name, kind in pairs(kinds) do
  local id = "directory.resources." .. name .. "."
  directory.routes[base .. name] = {
    GET = { handler = function(call) return list(kind, call) end, id = id .. "list" },
    POST = { handler = function(call) return insert(kind, call) end, id = id .. "insert" },
  }
  directory.routes[base .. name .. "/:key"] = {
    GET = { handler = function(call) return answer(kind, find(kind, call)) end, id = id .. "get" },
    PATCH = { handler = function(call) return change(kind, call, true) end, id = id .. "patch" },
    PUT = { handler = function(call) return change(kind, call, false) end, id = id .. "update" },
    DELETE = { handler = function(call) return delete(kind, call) end, id = id .. "delete" },
  }
end

return directory
