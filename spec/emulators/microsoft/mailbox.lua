-- The user and the mailbox around the calendar: /me, settings, time zones, categories, ids in other forms.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local input = require "spec.emulators.microsoft.event_input"
local json = require "lunation.json"
local query = require "spec.emulators.microsoft.query"
local series = require "spec.emulators.microsoft.series"
local times = require "spec.emulators.microsoft.times"
local tz = require "lunation.tz"

local M = {}

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

local user_schema = {
  name = "microsoft.graph.user", expand = {}, unfiltered = {}, top = 100, max = 999,
  known = set "id displayName mail userPrincipalName mailboxSettings",
}

local function render_user(user)
  return { id = user.id, displayName = user.name, mail = user.email, userPrincipalName = user.email }
end

local function me(c)
  local wanted = query.selection(c.query["$select"], user_schema)
  local out = render_user(c.box.user)
  if wanted and wanted.mailboxSettings then out.mailboxSettings = c.box.settings end
  out = query.pick(out, wanted)
  out["@odata.context"] = c:metadata("users" .. (c.query["$select"] and "(" .. c.query["$select"] .. ")" or "") .. "/$entity")
  return out
end

local function users(c)
  local list = {}
  for _, user in ipairs(c.world.users) do
    if not user.room then list[#list + 1] = user end
  end
  return query.page(c, user_schema, list, render_user, "users")
end

-- --- settings ---------------------------------------------------------------------------------------------------------

local day = input.one_of("daysOfWeek", "sunday monday tuesday wednesday thursday friday saturday")
local function clock(value)
  local hour, minute = tostring(value):match "^(%d%d):(%d%d)"
  if not hour or tonumber(hour) > 23 or tonumber(minute) > 59 then answer.invalid "The working hours are no times of day." end
  return value
end
local function zone(value)
  times.need_zone(value)
  return value
end

local writable = {
  timeZone = zone, dateFormat = input.text, timeFormat = input.text,
  language = input.object("localeInfo", { locale = input.text, displayName = input.text }),
  delegateMeetingMessageDeliveryOptions = input.one_of("delegateMeetingMessageDeliveryOptions",
    "sendToDelegateAndInformationToPrincipal sendToDelegateAndPrincipal sendToDelegateOnly"),
  workingHours = input.object("workingHours", {
    daysOfWeek = input.list(day), startTime = clock, endTime = clock,
    timeZone = input.object("timeZoneBase", { name = zone }),
  }),
  automaticRepliesSetting = input.object("automaticRepliesSetting", {
    status = input.one_of("status", "disabled alwaysEnabled scheduled"), externalAudience = input.one_of("externalAudience", "none contactsOnly all"),
    internalReplyMessage = input.text, externalReplyMessage = input.text, scheduledStartDateTime = input.zoned, scheduledEndDateTime = input.zoned,
  }),
}

local function settings(c)
  local out = answer.copy(c.box.settings)
  out["@odata.context"] = c:metadata(("users('%s')/mailboxSettings"):format(c.box.user.id))
  return out
end

local function update_settings(c)
  local current = c.box.settings
  for name, value in pairs(c.body) do
    if writable[name] then
      value = writable[name](value)
      if type(value) == "table" and type(current[name]) == "table" then
        for key, each in pairs(value) do current[name][key] = each end
      else
        current[name] = value
      end
    elseif not name:find("@", 1, true) then
      input.unknown(name, "microsoft.graph.mailboxSettings")
    end
  end
  return settings(c)
end

local function setting(c)
  local name = c.params.setting
  local value
  for each, current in pairs(c.box.settings) do
    if each:lower() == name:lower() then name, value = each, current end
  end
  if value == nil then answer.fail(400, "BadRequest", ("Resource not found for the segment '%s'."):format(name)) end
  local context = c:metadata(("users('%s')/mailboxSettings/%s"):format(c.box.user.id, name))
  if type(value) ~= "table" then return { ["@odata.context"] = context, value = value } end
  local out = answer.copy(value)
  out["@odata.context"] = context
  return out
end

-- --- zones and languages ----------------------------------------------------------------------------------------------

local function offset_text(name, now)
  local seconds = tz.offset(now, times.zone(name)) or 0
  local sign = seconds < 0 and "-" or "+"
  seconds = math.abs(seconds)
  return ("(UTC%s%02d:%02d)"):format(sign, seconds // 3600, seconds % 3600 // 60)
end

local function zones(c)
  local windows, iana = times.zones()
  local standard = c.arguments.timezonestandard
  local list = windows
  if standard then
    local kind = standard:match "'(%a+)'" or standard
    if kind:lower() == "iana" then
      list = iana
    elseif kind:lower() ~= "windows" then
      answer.fail(400, "BadRequest", "The time zone standard is unknown.")
    end
  end
  local out = json.array {}
  for i, name in ipairs(list) do
    out[i] = { alias = name, displayName = list == iana and name or offset_text(name, math.floor(c.world:now())) .. " " .. name }
  end
  return { ["@odata.context"] = c:metadata "Collection(microsoft.graph.timeZoneInformation)", value = out }
end

local function languages(c)
  return { ["@odata.context"] = c:metadata "Collection(microsoft.graph.localeInfo)", value = json.array {
    { locale = "en-US", displayName = "English (United States)" }, { locale = "de-DE", displayName = "German (Germany)" },
    { locale = "fr-FR", displayName = "French (France)" },
  } }
end

-- --- categories -------------------------------------------------------------------------------------------------------

local preset = input.one_of("color", "none preset0 preset1 preset2 preset3 preset4 preset5 preset6 preset7 preset8 preset9 preset10 preset11 preset12"
  .. " preset13 preset14 preset15 preset16 preset17 preset18 preset19 preset20 preset21 preset22 preset23 preset24")

local function find_category(c)
  for i, each in ipairs(c.box.categories) do
    if each.id == c.params.category then return each, i end
  end
  answer.missing()
end

local function category_entity(c, category)
  local out = answer.copy(category)
  out["@odata.context"] = c:metadata(("users('%s')/outlook/masterCategories/$entity"):format(c.box.user.id))
  return out
end

local categories = {
  list = function(c)
    return { ["@odata.context"] = c:metadata(("users('%s')/outlook/masterCategories"):format(c.box.user.id)),
      value = json.array(answer.copy(c.box.categories)) }
  end,
  create = function(c)
    local name = input.text(c.body.displayName)
    for _, each in ipairs(c.box.categories) do
      if each.displayName == name then answer.fail(409, "ErrorItemExists", "A category of this name is there already.") end
    end
    local category = { id = crypto.uuid(), displayName = name, color = c.body.color and preset(c.body.color) or "none" }
    table.insert(c.box.categories, category)
    return category_entity(c, category), 201
  end,
  get = function(c) return category_entity(c, (find_category(c))) end,
  update = function(c)
    local category = find_category(c)
    if c.body.displayName then answer.refuse "The displayName of a category can't be changed." end
    category.color = preset(c.body.color)
    return category_entity(c, category)
  end,
  delete = function(c)
    local _, at = find_category(c)
    table.remove(c.box.categories, at)
    return nil, 204
  end,
}

-- --- ids --------------------------------------------------------------------------------------------------------------

local formats = input.one_of("idType", "entryId ewsId immutableEntryId restId restImmutableEntryId")

local function translate(c)
  local given = {} -- parameters of actions are named in any case
  for name, value in pairs(c.body) do given[name:lower()] = value end
  local target = formats(given.targetidtype)
  formats(given.sourceidtype)
  if type(given.inputids) ~= "table" or #given.inputids > 1000 then answer.invalid "'inputIds' holds up to 1000 ids." end
  local out = json.array {}
  for i, id in ipairs(given.inputids) do
    local found = c.box.index[id]
    local entry = { sourceId = id }
    if found and found.kind == "event" then
      local occurrence = found.occurrence and series.occurrence(found.item, found.key) or series.root(found)
      entry.targetId = series.id(c.box, occurrence, target == "restImmutableEntryId" or target == "immutableEntryId")
    elseif found then
      entry.targetId = id
    else
      entry.errorDetails = { code = "ErrorItemNotFound", message = "The specified object was not found in the store." }
    end
    out[i] = entry
  end
  return { ["@odata.context"] = c:metadata "Collection(microsoft.graph.convertIdResult)", value = out }
end

local function photo() answer.fail(404, "ImageNotFound", "Exception of type 'Microsoft.Fast.Profile.Core.Exception.ImageNotFoundException' was thrown.") end

---@param routes table<string, table>
function M.routes(routes)
  routes["~"] = { area = "user", open = true, GET = me, gives = "user" }
  routes["users"] = { area = "directory", open = true, GET = users, gives = "Collection(user)" }
  routes["~/photo"] = { area = "user", open = true, GET = photo }
  routes["~/photo/$value"] = { area = "user", open = true, GET = photo }
  routes["~/mailboxSettings"] = { area = "settings", GET = settings, PATCH = update_settings, takes = "mailboxSettings", gives = "mailboxSettings" }
  routes["~/mailboxSettings/:setting"] = { area = "settings", GET = setting }
  routes["~/outlook/supportedTimeZones"] = { area = "zones", GET = zones, gives = "Collection(timeZoneInformation)" }
  routes["~/outlook/supportedLanguages"] = { area = "zones", GET = languages, gives = "Collection(localeInfo)" }
  routes["~/outlook/masterCategories"] = { area = "settings", GET = categories.list, POST = categories.create }
  routes["~/outlook/masterCategories/:category"] = { area = "settings", GET = categories.get, PATCH = categories.update, DELETE = categories.delete }
  routes["~/translateExchangeIds"] = { area = "ids", POST = translate, action = "translateExchangeIds" }
end

return M
