-- Contacts and their folders, with change tracking; and the people of a mailbox, who follow from them and from its meetings.
local answer = require "spec.emulators.microsoft.answer"
local delta = require "spec.emulators.microsoft.delta"
local extras = require "spec.emulators.microsoft.extras"
local input = require "spec.emulators.microsoft.event_input"
local json = require "lunation.json"
local query = require "spec.emulators.microsoft.query"
local times = require "spec.emulators.microsoft.times"
local world_of = require "spec.emulators.microsoft.world"

local M = {}

local strings = [[assistantName businessHomePage companyName department displayName fileAs generation givenName initials jobTitle manager middleName
  mobilePhone nickName officeLocation personalNotes profession spouseName surname title yomiCompanyName yomiGivenName yomiSurname]]
local lists = "businessPhones children homePhones imAddresses categories"
local addresses = "businessAddress homeAddress otherAddress"

local writable, known = {}, {}
for word in strings:gmatch "%S+" do writable[word] = input.text end
for word in lists:gmatch "%S+" do writable[word] = input.list(input.text) end
for word in addresses:gmatch "%S+" do writable[word] = input.address end

local address_list = input.list(input.email)
function writable.emailAddresses(value)
  local out = address_list(value)
  if #out > 3 then answer.invalid "A contact has up to three email addresses." end
  return out
end
function writable.birthday(value)
  local localtime = times.read(value)
  if not localtime then answer.fail(400, "RequestBodyRead", "Cannot convert the value of property 'birthday' to the expected type 'Edm.DateTimeOffset'.") end
  return localtime:sub(1, 10) .. "T11:59:00Z" -- a day, kept at noon
end
function writable.parentFolderId(value) return input.text(value) end

for name in pairs(writable) do known[name] = true end
for word in (
  "id createdDateTime lastModifiedDateTime changeKey primaryEmailAddress secondaryEmailAddress tertiaryEmailAddress"):gmatch "%S+" do known[word] = true end

local function contains(entity, words)
  words = words:gsub('^"(.*)"$', "%1"):lower()
  for _, name in ipairs { "displayName", "givenName", "surname", "companyName" } do
    local value = answer.given(entity[name])
    if value and value:lower():find(words, 1, true) then return true end
  end
  for _, each in ipairs(entity.emailAddresses or entity.scoredEmailAddresses or {}) do
    if (each.address or ""):lower():find(words, 1, true) then return true end
  end
  return false
end

---@type spec.graph.Schema
M.schema = {
  name = "Microsoft.OutlookServices.Contact", known = known, top = 10, max = 1000, unfiltered = { personalNotes = true, birthday = true },
  expand = { singleValueExtendedProperties = true, multiValueExtendedProperties = true, extensions = true, photo = true }, search = contains,
}

local function render(_, contact)
  local key = world_of.change_key(contact.version)
  local out = {
    ["@odata.etag"] = answer.etag(key), id = contact.id, changeKey = key, parentFolderId = contact.folder.id,
    createdDateTime = times.stamp(contact.created), lastModifiedDateTime = times.stamp(contact.modified),
  }
  for word in strings:gmatch "%S+" do out[word] = answer.or_null(contact.props[word]) end
  for word in lists:gmatch "%S+" do out[word] = json.array(answer.copy(contact.props[word] or {})) end
  for word in addresses:gmatch "%S+" do out[word] = json.object(answer.copy(contact.props[word] or {})) end
  local emails = json.array {}
  for i, each in ipairs(contact.props.emailAddresses or {}) do
    emails[i] = { name = each.name or each.address, address = each.address }
    out[({ "primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress" })[i]] = emails[i]
  end
  out.emailAddresses, out.birthday = emails, answer.or_null(contact.props.birthday)
  return out
end

local function fill(c)
  local wanted = query.expansions(c.query["$expand"], M.schema.expand)
  if next(wanted) == nil then return nil end
  return function(entity, contact)
    for name, options in pairs(wanted) do
      entity[name] = name ~= "photo" and extras.expand(name, { item = contact }, options) or nil
    end
    return entity
  end
end

function M.schema.filterable(entity, contact)
  local whole = setmetatable({}, { __index = entity })
  whole.singleValueExtendedProperties, whole.multiValueExtendedProperties = contact.single, contact.multi
  return whole
end

local function folder_of(c)
  local id = c.params.child or c.params.folder
  if not id then return c.box.folder end
  return c.box:need(id, "folder")
end

local function contacts_in(box, folder)
  local out = {}
  for _, contact in ipairs(box.contacts) do
    if not folder or contact.folder == folder then out[#out + 1] = contact end
  end
  return out
end

local function entity(c, contact)
  local out = render(c, contact)
  local expand = fill(c)
  if expand then expand(out, contact) end
  local wanted = query.selection(c.query["$select"], M.schema)
  out = query.pick(out, wanted)
  out["@odata.context"] = c:metadata(("users('%s')/contacts/$entity"):format(c.box.user.id))
  return out
end

local function list(c)
  return query.page(c, M.schema, contacts_in(c.box, folder_of(c)), function(each) return render(c, each) end,
    ("users('%s')/contacts"):format(c.box.user.id), fill(c))
end

local skipped = {}
for word in ([[id changeKey createdDateTime lastModifiedDateTime primaryEmailAddress secondaryEmailAddress tertiaryEmailAddress
  singleValueExtendedProperties multiValueExtendedProperties extensions]]):gmatch "%S+" do skipped[word] = true end

local function read(c, props)
  for name, value in pairs(c.body) do
    if writable[name] then
      if value == json.null then props[name] = nil else props[name] = writable[name](value) end
    elseif not skipped[name] and not name:find("@", 1, true) then
      input.unknown(name, M.schema.name)
    end
  end
  return props
end

local function name_of(props)
  if props.displayName then return props.displayName end
  local words = {}
  for _, name in ipairs { "givenName", "middleName", "surname" } do words[#words + 1] = props[name] end
  return #words > 0 and table.concat(words, " ") or props.companyName or props.emailAddresses and props.emailAddresses[1] and props.emailAddresses[1].address
end

local function create(c)
  local props = read(c, {})
  local folder = props.parentFolderId and c.box:need(props.parentFolderId, "folder") or folder_of(c)
  props.parentFolderId = nil
  if next(props) == nil then answer.invalid "The contact is empty." end
  props.displayName = name_of(props)
  props.fileAs = props.fileAs or props.surname and props.givenName and props.surname .. ", " .. props.givenName or props.displayName
  local now = c.world:now()
  local contact = {
    kind = "contact", id = c.world:new_id("AAMkN", c.box.user.id), folder = folder, props = props, created = now, modified = now,
    single = {}, multi = {}, extensions = {}, attachments = {},
  }
  contact.immutable = contact.id
  extras.take(c, contact, c.body)
  c.box.contacts[#c.box.contacts + 1], c.box.index[contact.id] = contact, contact
  c.box:touch(contact, "created")
  return entity(c, contact), 201
end

local function need(c)
  local contact = c.box:need(c.params.contact, "contact")
  if c.params.folder and contact.folder ~= folder_of(c) then answer.missing() end
  return contact
end

local function update(c)
  local contact = need(c)
  answer.precondition(c, world_of.change_key(contact.version))
  local props = read(c, answer.copy(contact.props))
  if props.parentFolderId then
    contact.folder = c.box:need(props.parentFolderId, "folder")
    props.parentFolderId = nil
  end
  if c.body.displayName == nil and (c.body.givenName ~= nil or c.body.surname ~= nil) then
    props.displayName = nil
    props.displayName = name_of(props)
  end
  contact.props = props
  extras.take(c, contact, c.body)
  c.box:touch(contact, "updated")
  return entity(c, contact)
end

local function delete(c)
  local contact = need(c)
  answer.precondition(c, world_of.change_key(contact.version))
  world_of.remove(c.box.contacts, contact)
  c.box.index[contact.id] = nil
  c.box:touch(contact, "deleted")
  return nil, 204
end

local function contact_delta(c)
  local folder = folder_of(c)
  return delta.answer(c, "Contact", function()
    local wanted = query.selection(c.query["$select"], M.schema)
    return {
      box = c.box, context = "Collection(contact)", immutable = c.prefer.immutable or false,
      list = function(call)
        local out = {}
        for i, contact in ipairs(contacts_in(call.box, folder)) do
          out[i] = { id = contact.id, version = contact.version, render = function() return query.pick(render(call, contact), wanted) end }
        end
        return out
      end,
    }
  end, { ["$select"] = true })
end

-- --- folders ----------------------------------------------------------------------------------------------------------

local folder_schema = {
  name = "Microsoft.OutlookServices.ContactFolder", known = { id = true, displayName = true, parentFolderId = true },
  expand = { singleValueExtendedProperties = true, multiValueExtendedProperties = true }, unfiltered = {}, top = 10, max = 1000,
}

local function render_folder(c, folder)
  return { id = folder.id, displayName = folder.name, parentFolderId = folder.parent and folder.parent.id or "AAMkRoot" .. c.box.user.id }
end

local function folder_entity(c, folder)
  local out = render_folder(c, folder)
  for name, options in pairs(query.expansions(c.query["$expand"], folder_schema.expand)) do out[name] = extras.expand(name, { item = folder }, options) end
  out["@odata.context"] = c:metadata(("users('%s')/contactFolders/$entity"):format(c.box.user.id))
  return out
end

local function folders_under(c)
  local parent = c.params.folder and c.box:need(c.params.folder, "folder")
  local out = {}
  for _, folder in ipairs(c.box.folders) do
    if folder ~= c.box.folder and (folder.parent == parent or not parent and folder.parent == nil) then out[#out + 1] = folder end
  end
  return out
end

local function folder_name(c)
  local name = c.body.displayName
  if type(name) ~= "string" or name == "" then answer.fail(400, "ErrorInvalidArgument", "The property 'displayName' is required.") end
  for key in pairs(c.body) do
    if not folder_schema.known[key] and not folder_schema.expand[key] and not key:find("@", 1, true) then input.unknown(key, folder_schema.name) end
  end
  return name
end

local folders = {
  list = function(c)
    return query.page(c, folder_schema, folders_under(c), function(each) return render_folder(c, each) end, (
      "users('%s')/contactFolders"):format(c.box.user.id))
  end,
  create = function(c)
    local folder = c.box:add_folder(folder_name(c), c.params.folder and c.box:need(c.params.folder, "folder") or nil)
    extras.take_values(folder, c.body)
    return folder_entity(c, folder), 201
  end,
  get = function(c) return folder_entity(c, folder_of(c)) end,
  update = function(c)
    local folder = folder_of(c)
    if c.body.displayName ~= nil then folder.name = folder_name(c) end
    extras.take_values(folder, c.body)
    folder.version = c.world:tick()
    return folder_entity(c, folder)
  end,
  delete = function(c)
    local folder = folder_of(c)
    if folder == c.box.folder then answer.refuse "Your request can't be completed. The default folder can't be deleted." end
    for _, contact in ipairs(contacts_in(c.box, folder)) do
      world_of.remove(c.box.contacts, contact)
      c.box.index[contact.id] = nil
      c.box:touch(contact, "deleted")
    end
    world_of.remove(c.box.folders, folder)
    c.box.index[folder.id] = nil
    return nil, 204
  end,
  delta = function(c)
    return delta.answer(c, "ContactFolder", function()
      return {
        box = c.box, context = "Collection(contactFolder)", immutable = c.prefer.immutable or false,
        list = function(call)
          local out = {}
          for i, folder in ipairs(call.box.folders) do
            out[i] = { id = folder.id, version = folder.version, render = function(now) return render_folder(now, folder) end }
          end
          return out
        end,
      }
    end, { ["$select"] = true })
  end,
}

-- --- people -----------------------------------------------------------------------------------------------------------

local people_schema = {
  name = "microsoft.graph.person", top = 10, max = 1000, expand = {}, unfiltered = { scoredEmailAddresses = true }, search = contains, known = {},
}
for word in ([[id displayName givenName surname birthday personNotes isFavorite jobTitle companyName yomiCompany department officeLocation profession
  userPrincipalName imAddress scoredEmailAddresses phones postalAddresses websites personType]]):gmatch "%S+" do people_schema.known[word] = true end

local function people(c)
  local out, seen = {}, {}
  local function add(name, address, subclass, contact)
    if not address or seen[address:lower()] or address:lower() == c.box.user.email:lower() then return end
    seen[address:lower()] = true
    local given, surname = (name or ""):match "^(%S+)%s+(.+)$"
    out[#out + 1] = {
      id = require("lunation.crypto").uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", address:lower()), displayName = name or address,
      givenName = answer.or_null(given), surname = answer.or_null(surname), companyName = answer.or_null(contact and contact.companyName),
      jobTitle = answer.or_null(contact and contact.jobTitle), isFavorite = false, phones = json.array {},
      userPrincipalName = subclass == "OrganizationUser" and address or "",
      scoredEmailAddresses = json.array { { address = address, relevanceScore = 30.0 - #out, selectionLikelihood = "notSpecified" } },
      personType = { class = "Person", subclass = subclass },
    }
  end
  for _, user in ipairs(c.world.users) do
    if not user.room then add(user.name, user.email, "OrganizationUser") end
  end
  for _, contact in ipairs(c.box.contacts) do
    for _, email in ipairs(contact.props.emailAddresses or {}) do add(contact.props.displayName, email.address, "PersonalContact", contact.props) end
  end
  return query.page(c, people_schema, out, answer.copy, ("users('%s')/people"):format(c.box.user.id))
end

---@param routes table<string, table>
function M.routes(routes)
  local area = "contacts"
  local one = { area = area, GET = function(c) return entity(c, need(c)) end, PATCH = update, DELETE = delete, takes = "contact", gives = "contact" }
  local all = { area = area, GET = list, POST = create, takes = "contact", gives = "Collection(contact)", made = "contact" }
  for _, prefix in ipairs { "~", "~/contactFolders/:folder", "~/contactFolders/:folder/childFolders/:child" } do
    routes[prefix .. "/contacts"], routes[prefix .. "/contacts/:contact"] = all, one
    routes[prefix .. "/contacts/delta"] = { area = area, GET = contact_delta, gives = "Collection(contact)", delta = true }
    for suffix, methods in pairs(extras.routes) do
      if suffix:find "^/extensions" then
        local route = { area = area }
        for name, value in pairs(methods) do route[name] = value end
        routes[prefix .. "/contacts/:contact" .. suffix] = route
      end
    end
  end
  local folder = { area = area, GET = folders.get, PATCH = folders.update, DELETE = folders.delete, takes = "contactFolder", gives = "contactFolder" }
  local several = { area = area, GET = folders.list, POST = folders.create, takes = "contactFolder", gives = "Collection(contactFolder)",
    made = "contactFolder" }
  routes["~/contactFolders"], routes["~/contactFolders/:folder/childFolders"] = several, several
  routes["~/contactFolders/:folder"], routes["~/contactFolders/:folder/childFolders/:child"] = folder, folder
  routes["~/contactFolders/delta"] = { area = area, GET = folders.delta, gives = "Collection(contactFolder)", delta = true }
  routes["~/people"] = { area = "people", GET = people, gives = "Collection(person)" }
end

return M
