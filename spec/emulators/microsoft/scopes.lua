-- Delegated permissions: which scope opens which part of the service.
local answer = require "spec.emulators.microsoft.answer"

local M = {}

local function words(text)
  local out = {}
  for word in text:gmatch "%S+" do out[word:lower()] = true end
  return out
end

-- [area] = { read = any of these, write = any of these }
local areas = {
  calendars = {
    read = words "Calendars.Read Calendars.ReadBasic Calendars.ReadWrite Calendars.Read.Shared Calendars.ReadWrite.Shared",
    write = words "Calendars.ReadWrite Calendars.ReadWrite.Shared",
  },
  contacts = {
    read = words "Contacts.Read Contacts.ReadWrite Contacts.Read.Shared Contacts.ReadWrite.Shared",
    write = words "Contacts.ReadWrite Contacts.ReadWrite.Shared",
  },
  people = { read = words "People.Read People.Read.All" },
  places = { read = words "Place.Read.All Place.ReadWrite.All", write = words "Place.ReadWrite.All" },
  settings = { read = words "MailboxSettings.Read MailboxSettings.ReadWrite", write = words "MailboxSettings.ReadWrite" },
  zones = { read = words "User.Read User.ReadBasic.All User.Read.All MailboxSettings.Read MailboxSettings.ReadWrite" },
  user = { read = words "User.Read User.ReadWrite User.ReadBasic.All User.Read.All" },
  directory = { read = words "User.ReadBasic.All User.Read.All User.ReadWrite.All Directory.Read.All" },
  -- what needs no writing though it is a POST
  freebusy = {
    read = words "Calendars.Read Calendars.ReadBasic Calendars.ReadWrite Calendars.Read.Shared Calendars.ReadWrite.Shared",
  },
  meetingtimes = { read = words "Calendars.Read.Shared Calendars.ReadWrite.Shared" },
  ids = { read = words "User.Read User.ReadBasic.All Mail.ReadBasic Mail.Read Calendars.Read Calendars.ReadBasic Calendars.ReadWrite Contacts.Read" },
}
for _, area in ipairs { areas.people, areas.zones, areas.freebusy, areas.meetingtimes, areas.ids, areas.user, areas.directory } do area.write = area.read end

---Every scope that there is, by its name in lower case.
M.known = words [[openid email profile offline_access User.Read User.ReadWrite User.ReadBasic.All User.Read.All User.ReadWrite.All
  Directory.Read.All Calendars.Read Calendars.ReadBasic Calendars.ReadWrite Calendars.Read.Shared Calendars.ReadWrite.Shared Contacts.Read
  Contacts.ReadWrite Contacts.Read.Shared Contacts.ReadWrite.Shared People.Read People.Read.All Place.Read.All Place.ReadWrite.All
  MailboxSettings.Read MailboxSettings.ReadWrite Mail.Read Mail.ReadBasic Mail.ReadWrite Mail.Send OnlineMeetings.ReadWrite .default]]

---The scope without its resource, in lower case.
function M.plain(scope) return (scope:lower():gsub("^https://graph%.microsoft%.com/", "")) end

local function has(token, allowed)
  if token.scopes == "*" then return true end
  for scope in pairs(token.scopes) do
    if allowed[scope] then return true end
  end
  return false
end

---Ends a request that the token's scopes do not open.
---@param c spec.graph.Call
---@param route table
---@param token table
function M.check(c, route, token)
  local area = route.area
  if not area then return end
  if area == "user" and c.box.user ~= c.user then area = "directory" end
  local reading = c.method == "GET" or c.method == "HEAD"
  local wanted = areas[area]
  if not has(token, reading and wanted.read or wanted.write or {}) then
    answer.fail(403, area == "directory" and "Authorization_RequestDenied" or "ErrorAccessDenied",
      area == "directory" and "Insufficient privileges to complete the operation." or "Access is denied. Check credentials and try again.")
  end
  if area == "calendars" and token.scopes ~= "*" then
    local full = false
    for scope in pairs(token.scopes) do full = full or wanted.read[scope] and scope ~= "calendars.readbasic" end
    c.basic = not full
    local asks = (c.path .. "?" .. c.raw_query):lower()
    if c.basic and (asks:find "/attachments" or asks:find "/extensions" or asks:find "expand=[^&]*attachments" or asks:find "expand=[^&]*extensions") then
      answer.fail(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    end
  end
end

---Whether a token may subscribe to, or otherwise read, an area.
function M.allows(scopes, area)
  return has({ scopes = scopes }, areas[area].read)
end

return M
