-- Calendars, the groups they lie in, and who else may see them.
local answer = require "spec.emulators.microsoft.answer"
local extras = require "spec.emulators.microsoft.extras"
local input = require "spec.emulators.microsoft.event_input"
local json = require "lunation.json"
local query = require "spec.emulators.microsoft.query"
local world_of = require "spec.emulators.microsoft.world"

local M = {}

local hex = {
  auto = "", lightBlue = "#a6d1f5", lightGreen = "#87d28e", lightOrange = "#fcab73", lightGray = "#c0c0c0", lightYellow = "#f5eb8b",
  lightTeal = "#4adacc", lightPink = "#e4a3c9", lightBrown = "#bc6a3c", lightRed = "#ff8c94", maxColor = "#000000",
}

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

M.schema = {
  name = "Microsoft.OutlookServices.Calendar",
  known = set [[id name color hexColor isDefaultCalendar changeKey canShare canViewPrivateItems canEdit allowedOnlineMeetingProviders
    defaultOnlineMeetingProvider isTallyingResponses isRemovable owner]],
  expand = set "singleValueExtendedProperties multiValueExtendedProperties", unfiltered = set "owner allowedOnlineMeetingProviders",
  top = 10, max = 1000,
}

local group_schema = {
  name = "Microsoft.OutlookServices.CalendarGroup", known = set "id name classId changeKey", expand = {}, unfiltered = {}, top = 10, max = 1000,
}

---@param c spec.graph.Call
---@param calendar table
---@return table
function M.render(c, calendar)
  local key = world_of.change_key(calendar.version)
  local owner = c.box.user
  return {
    id = calendar.id, name = calendar.name, color = calendar.color, hexColor = calendar.hex or hex[calendar.color] or "",
    isDefaultCalendar = calendar.default == true, changeKey = key, canShare = true, canViewPrivateItems = true,
    canEdit = c.may_edit ~= false, allowedOnlineMeetingProviders = json.array(answer.copy(calendar.providers)),
    defaultOnlineMeetingProvider = calendar.provider, isTallyingResponses = calendar.tallying, isRemovable = calendar.default ~= true,
    owner = { name = owner.name, address = owner.email },
  }
end

local function fill(c)
  local wanted = query.expansions(c.query["$expand"], M.schema.expand)
  if next(wanted) == nil then return nil end
  return function(entity, calendar)
    for name, options in pairs(wanted) do entity[name] = extras.expand(name, { item = calendar }, options) end
    return entity
  end
end

local function find(c)
  local id = c.params.calendar
  if not id then return c.box.default end
  local calendar = c.box:need(id, "calendar")
  if c.params.group and calendar.group.id ~= c.params.group then answer.missing() end
  return calendar
end

local function entity(c, calendar)
  local out = M.render(c, calendar)
  local expand = fill(c)
  if expand then expand(out, calendar) end
  local wanted = query.selection(c.query["$select"], M.schema)
  out = query.pick(out, wanted)
  out["@odata.context"] = c:metadata(("users('%s')/calendars/$entity"):format(c.box.user.id))
  return out
end

local function list(c)
  local calendars = c.box.calendars
  if c.params.group or c.params.default_group then
    local group = c.params.group and c.box:need(c.params.group, "group") or c.box.groups[1]
    calendars = {}
    for _, each in ipairs(c.box.calendars) do
      if each.group == group then calendars[#calendars + 1] = each end
    end
  end
  return query.page(c, M.schema, calendars, function(each) return M.render(c, each) end, ("users('%s')/calendars"):format(c.box.user.id), fill(c))
end

local colour = input.one_of("color", "auto lightBlue lightGreen lightOrange lightGray lightYellow lightTeal lightPink lightBrown lightRed maxColor")
local writable = {
  name = input.text, color = colour, hexColor = input.text, isDefaultCalendar = input.boolean, isTallyingResponses = input.boolean,
  defaultOnlineMeetingProvider = input.one_of("defaultOnlineMeetingProvider", "unknown skypeForBusiness skypeForConsumer teamsForBusiness"),
}
-- shown by the service, let pass where they come back
local readonly = set [[id changeKey canShare canViewPrivateItems canEdit allowedOnlineMeetingProviders isRemovable owner singleValueExtendedProperties
  multiValueExtendedProperties]]

local function read(c)
  if type(c.body) ~= "table" then answer.fail(400, "BadRequest", "Empty Payload. JSON content expected.") end
  local values = {}
  for name, value in pairs(c.body) do
    if writable[name] then
      if value ~= json.null then values[name] = writable[name](value) end
    elseif not readonly[name] and not name:find("@odata", 1, true) then
      input.unknown(name, M.schema.name)
    end
  end
  return values
end

local function unique(c, name, except)
  for _, each in ipairs(c.box.calendars) do
    if each ~= except and each.name:lower() == name:lower() then
      answer.fail(409, "ErrorFolderExists", "A folder with the specified name already exists., Could not create folder.")
    end
  end
end

local function apply(calendar, values)
  calendar.name = values.name or calendar.name
  if values.color then calendar.color, calendar.hex = values.color, nil end
  calendar.hex = values.hexColor or calendar.hex
  calendar.provider = values.defaultOnlineMeetingProvider or calendar.provider
  if values.isTallyingResponses ~= nil then calendar.tallying = values.isTallyingResponses end
end

local function create(c)
  local values = read(c)
  if not values.name or values.name == "" then answer.fail(400, "ErrorInvalidArgument", "The property 'name' is required.") end
  unique(c, values.name)
  local group = c.params.group and c.box:need(c.params.group, "group") or c.box.groups[1]
  local calendar = c.box:add_calendar(values, group)
  apply(calendar, values)
  extras.take_values(calendar, c.body)
  return entity(c, calendar), 201
end

local function update(c)
  local calendar = find(c)
  local values = read(c)
  answer.precondition(c, world_of.change_key(calendar.version))
  if values.name then unique(c, values.name, calendar) end
  apply(calendar, values)
  if values.isDefaultCalendar then
    c.box.default.default, c.box.default, calendar.default = nil, calendar, true
  end
  extras.take_values(calendar, c.body)
  calendar.version = c.world:tick()
  return entity(c, calendar)
end

local function delete(c)
  local calendar = find(c)
  if calendar.default then
    answer.fail(400, "ErrorInvalidRequest", "Your request can't be completed. The default calendar can't be deleted.")
  end
  local meetings, series = require "spec.emulators.microsoft.meetings", require "spec.emulators.microsoft.series"
  local inside = {}
  for item in pairs(c.box.items) do
    if item.calendar == calendar then inside[#inside + 1] = item end
  end
  for _, item in ipairs(inside) do
    meetings.cancel(c.box, series.root(item))
    meetings.drop(c.box, series.root(item))
  end
  c.box.index[calendar.id] = nil
  world_of.remove(c.box.calendars, calendar)
  return nil, 204
end

-- --- groups -----------------------------------------------------------------------------------------------------------

local function render_group(group)
  return { id = group.id, name = group.name, classId = group.class, changeKey = world_of.change_key(group.version) }
end

local function group_entity(c, group)
  local out = query.pick(render_group(group), query.selection(c.query["$select"], group_schema))
  out["@odata.context"] = c:metadata(("users('%s')/calendarGroups/$entity"):format(c.box.user.id))
  return out
end

local function group_name(c)
  local name = type(c.body) == "table" and c.body.name
  for key in pairs(type(c.body) == "table" and c.body or {}) do
    if not group_schema.known[key] and not key:find "@" then input.unknown(key, group_schema.name) end
  end
  if type(name) ~= "string" or name == "" then answer.fail(400, "ErrorInvalidArgument", "The property 'name' is required.") end
  for _, each in ipairs(c.box.groups) do
    if each.name:lower() == name:lower() and each.id ~= c.params.group then answer.fail(409, "ErrorFolderExists",
      "A calendar group of this name is there already.") end
  end
  return name
end

local groups = {
  list = function(c)
    return query.page(c, group_schema, c.box.groups, render_group, ("users('%s')/calendarGroups"):format(c.box.user.id))
  end,
  create = function(c) return group_entity(c, c.box:add_group(group_name(c))), 201 end,
  get = function(c) return group_entity(c, c.box:need(c.params.group, "group")) end,
  update = function(c)
    local group = c.box:need(c.params.group, "group")
    group.name, group.version = group_name(c), c.world:tick()
    return group_entity(c, group)
  end,
  delete = function(c)
    local group = c.box:need(c.params.group, "group")
    if group.builtin then answer.fail(400, "ErrorInvalidRequest", "The calendar group can't be deleted.") end
    for _, each in ipairs(c.box.calendars) do
      if each.group == group then answer.fail(400, "ErrorCalendarGroupNotEmpty", "The calendar group is not empty.") end
    end
    c.box.index[group.id] = nil
    world_of.remove(c.box.groups, group)
    return nil, 204
  end,
}

-- --- permissions ------------------------------------------------------------------------------------------------------

local roles = { "freeBusyRead", "limitedRead", "read", "write" }

local function render_permission(permission)
  return {
    id = permission.id, role = permission.role, isRemovable = permission.removable, isInsideOrganization = true,
    allowedRoles = json.array(answer.copy(roles)), emailAddress = { name = permission.name, address = permission.address },
  }
end

local function permissions_of(c)
  local calendar = find(c)
  if #calendar.permissions == 0 then
    calendar.permissions[1] = { id = "RGVmYXVsdA==", role = "freeBusyRead", name = "My Organization", removable = false }
  end
  return calendar, calendar.permissions
end

local function find_permission(c)
  local calendar, list_of = permissions_of(c)
  for i, each in ipairs(list_of) do
    if each.id == c.params.permission then return each, i, calendar end
  end
  answer.missing()
end

local function permission_entity(c, permission)
  local out = render_permission(permission)
  if not out.emailAddress.address then out.emailAddress.address = nil end
  out["@odata.context"] = c:metadata(("users('%s')/calendar/calendarPermissions/$entity"):format(c.box.user.id))
  return out
end

local role = input.one_of("role", "none freeBusyRead limitedRead read write delegateWithoutPrivateEventAccess delegateWithPrivateEventAccess custom")

local permissions = {
  list = function(c)
    local _, list_of = permissions_of(c)
    local out = json.array {}
    for i, each in ipairs(list_of) do out[i] = render_permission(each) end
    return { ["@odata.context"] = c:metadata(("users('%s')/calendar/calendarPermissions"):format(c.box.user.id)), value = out }
  end,
  create = function(c)
    local calendar = permissions_of(c)
    local given = c.body or {}
    local address = type(given.emailAddress) == "table" and given.emailAddress.address
    if type(address) ~= "string" or not given.role then answer.invalid "A permission needs 'emailAddress' and 'role'." end
    local permission = {
      id = c.world:new_id("RGV", address), role = role(given.role), name = answer.given(given.emailAddress.name) or address, address = address,
      removable = true,
    }
    calendar.permissions[#calendar.permissions + 1] = permission
    return permission_entity(c, permission), 201
  end,
  get = function(c) return permission_entity(c, (find_permission(c))) end,
  update = function(c)
    local permission = find_permission(c)
    permission.role = role((c.body or {}).role)
    return permission_entity(c, permission)
  end,
  delete = function(c)
    local permission, at, calendar = find_permission(c)
    if not permission.removable then answer.refuse "Your request can't be completed. The permission can't be removed." end
    table.remove(calendar.permissions, at)
    return nil, 204
  end,
}

---@param routes table<string, table>
function M.routes(routes)
  local area = "calendars"
  routes["~/calendars"] = { area = area, GET = list, POST = create, takes = "calendar", gives = "Collection(calendar)", made = "calendar" }
  routes["~/calendarGroup/calendars"] = {
    area = area, GET = list, POST = create, takes = "calendar", gives = "Collection(calendar)", made = "calendar", marks = { default_group = true },
  }
  routes["~/calendarGroups"] = { area = area, GET = groups.list, POST = groups.create, takes = "calendarGroup", gives = "Collection(calendarGroup)",
    made = "calendarGroup" }
  routes["~/calendarGroups/:group"] = {
    area = area, GET = groups.get, PATCH = groups.update, DELETE = groups.delete, takes = "calendarGroup", gives = "calendarGroup",
  }
  routes["~/calendarGroups/:group/calendars"] = routes["~/calendars"]
  for _, prefix in ipairs { "~/calendar", "~/calendars/:calendar", "~/calendarGroups/:group/calendars/:calendar", "~/calendarGroup/calendars/:calendar" } do
    routes[prefix] = { area = area, GET = function(c) return entity(c, find(c)) end, PATCH = update, DELETE = delete, takes = "calendar", gives = "calendar" }
    routes[prefix .. "/permanentDelete"] = { area = area, POST = delete, action = "permanentDelete" }
    routes[prefix .. "/calendarPermissions"] = {
      area = area, GET = permissions.list, POST = permissions.create, takes = "calendarPermission", gives = "Collection(calendarPermission)",
        made = "calendarPermission",
    }
    routes[prefix .. "/calendarPermissions/:permission"] = {
      area = area, GET = permissions.get, PATCH = permissions.update, DELETE = permissions.delete, takes = "calendarPermission", gives = "calendarPermission",
    }
  end
end

return M
