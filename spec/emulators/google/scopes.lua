-- Which scopes open which method. A token of the command line has them all.
local scopes = {}

local prefix = "https://www.googleapis.com/auth/"

local function set(text)
  local names = {}
  for name in text:gmatch("%S+") do names[#names + 1] = name end
  return names
end

local events_write = set "calendar calendar.app.created calendar.events calendar.events.owned"
local events_read = set [[calendar calendar.app.created calendar.events calendar.events.freebusy calendar.events.owned
  calendar.events.owned.readonly calendar.events.public.readonly calendar.events.readonly calendar.readonly]]
local list_read = set "calendar calendar.app.created calendar.calendarlist calendar.calendarlist.readonly calendar.readonly"
local list_write = set "calendar calendar.app.created calendar.calendarlist"
local calendars_write = set "calendar calendar.app.created calendar.calendars"
local acl_read = set "calendar calendar.acls calendar.acls.readonly"
local acl_write = set "calendar calendar.acls"
local settings = set "calendar calendar.readonly calendar.settings.readonly"
local person = set [[contacts contacts.other.readonly contacts.readonly directory.readonly user.addresses.read user.birthday.read
  user.emails.read user.gender.read user.organization.read user.phonenumbers.read userinfo.email userinfo.profile]]
local contacts_read = set "contacts contacts.readonly"
local contacts_write = set "contacts"
local rooms_write = set "admin.directory.resource.calendar"
local rooms_read = set "admin.directory.resource.calendar admin.directory.resource.calendar.readonly"
local users_read = set "admin.directory.user admin.directory.user.readonly cloud-platform"

local methods = {
  ["calendar.acl.get"] = set "calendar calendar.acls calendar.acls.readonly calendar.readonly",
  ["calendar.acl.list"] = acl_read, ["calendar.acl.watch"] = acl_read,
  ["calendar.acl.insert"] = acl_write, ["calendar.acl.patch"] = acl_write, ["calendar.acl.update"] = acl_write, ["calendar.acl.delete"] = acl_write,
  ["calendar.calendarList.get"] = list_read,
  ["calendar.calendarList.list"] = set "calendar calendar.calendarlist calendar.calendarlist.readonly calendar.readonly",
  ["calendar.calendarList.watch"] = set "calendar calendar.calendarlist calendar.calendarlist.readonly calendar.readonly",
  ["calendar.calendarList.insert"] = set "calendar calendar.calendarlist",
  ["calendar.calendarList.patch"] = list_write, ["calendar.calendarList.update"] = list_write, ["calendar.calendarList.delete"] = list_write,
  ["calendar.calendars.get"] = set "calendar calendar.app.created calendar.calendars calendar.calendars.readonly calendar.readonly",
  ["calendar.calendars.insert"] = calendars_write, ["calendar.calendars.patch"] = calendars_write,
  ["calendar.calendars.update"] = calendars_write, ["calendar.calendars.delete"] = calendars_write,
  ["calendar.calendars.clear"] = set "calendar calendar.calendars",
  ["calendar.channels.stop"] = set [[calendar calendar.acls calendar.acls.readonly calendar.app.created calendar.calendarlist
    calendar.calendarlist.readonly calendar.events calendar.events.freebusy calendar.events.owned calendar.events.owned.readonly
    calendar.events.public.readonly calendar.events.readonly calendar.readonly calendar.settings.readonly]],
  ["calendar.colors.get"] = set [[calendar calendar.app.created calendar.calendarlist calendar.calendarlist.readonly calendar.events.freebusy
    calendar.events.owned calendar.events.owned.readonly calendar.events.public.readonly calendar.readonly]],
  ["calendar.events.list"] = events_read, ["calendar.events.get"] = events_read, ["calendar.events.instances"] = events_read,
  ["calendar.events.watch"] = events_read,
  ["calendar.events.insert"] = events_write, ["calendar.events.import"] = events_write, ["calendar.events.patch"] = events_write,
  ["calendar.events.update"] = events_write, ["calendar.events.delete"] = events_write, ["calendar.events.quickAdd"] = events_write,
  ["calendar.events.move"] = set "calendar calendar.events calendar.events.owned",
  ["calendar.freebusy.query"] = set "calendar calendar.events.freebusy calendar.freebusy calendar.readonly",
  ["calendar.settings.get"] = settings, ["calendar.settings.list"] = settings, ["calendar.settings.watch"] = settings,
  ["people.people.get"] = person, ["people.people.getBatchGet"] = person,
  ["people.people.connections.list"] = contacts_read, ["people.people.searchContacts"] = contacts_read,
  ["people.people.createContact"] = contacts_write, ["people.people.updateContact"] = contacts_write,
  ["people.people.deleteContact"] = contacts_write, ["people.people.batchCreateContacts"] = contacts_write,
  ["people.people.batchUpdateContacts"] = contacts_write, ["people.people.batchDeleteContacts"] = contacts_write,
  ["people.otherContacts.list"] = set "contacts.other.readonly", ["people.otherContacts.search"] = set "contacts.other.readonly",
  ["people.otherContacts.copyOtherContactToMyContactsGroup"] = set "contacts",
  ["people.people.listDirectoryPeople"] = set "directory.readonly", ["people.people.searchDirectoryPeople"] = set "directory.readonly",
  ["directory.users.list"] = users_read, ["directory.users.get"] = users_read,
}
for _, kind in ipairs { "calendars", "buildings", "features" } do
  for _, verb in ipairs { "insert", "patch", "update", "delete" } do methods["directory.resources." .. kind .. "." .. verb] = rooms_write end
  for _, verb in ipairs { "list", "get" } do methods["directory.resources." .. kind .. "." .. verb] = rooms_read end
end

--- Scopes as a set, from the text that OAuth has them in.
---@param text string
---@return table<string, boolean>
function scopes.parse(text)
  local held = {}
  for scope in text:gmatch("%S+") do held[scope] = true end
  return held
end

--- The scopes held that open a method; nil where none does.
---@param id string
---@param held table<string, boolean>
---@return table<string, boolean>? opening short names
function scopes.opening(id, held)
  local found
  for _, name in ipairs(methods[id] or {}) do
    if held[prefix .. name] then
      found = found or {}
      found[name] = true
    end
  end
  return found
end

return scopes
