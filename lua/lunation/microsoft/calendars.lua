-- The account and its calendars.
local errors = require "lunation.errors"
local json = require "lunation.json"
local request = require "lunation.microsoft.request"
local time = require "lunation.microsoft.time"

local M = {}

local function text(v) return type(v) == "string" and v ~= "" and v or nil end

-- --- consent ---

local function short(scope) return (scope:lower():gsub("^https://[^/]+/", "")) end
local said_otherwise = { openid = true, profile = true, email = true, offline_access = true }

---What of the scopes that were asked for was given.
---@param answer {scope: string?} of the token endpoint
---@param asked string[]
---@return {calendar: boolean, missing: string[]}
function M.granted(answer, asked)
  if type(answer.scope) ~= "string" then return { calendar = true, missing = {} } end
  local given = {}
  for scope in answer.scope:gmatch("%S+") do given[short(scope)] = true end
  local missing, calendar, wants = {}, false, false
  for _, scope in ipairs(asked) do
    local name = short(scope)
    local there = given[name] or given[name:gsub("%.read$", ".readwrite")] or given[name:gsub("%.readbasic$", ".read")]
      or given[name:gsub("%.readbasic$", ".readwrite")]
    if name:find("^calendars%.") then
      wants = true
      calendar = calendar or there ~= nil
    end
    if not there and not said_otherwise[name] then missing[#missing + 1] = scope end
  end
  return { calendar = calendar or not wants, missing = missing }
end

-- --- the account ---

-- The zone of the mailbox; one who may not see it reads in UTC.
local function mailbox_zone(account)
  local settings, err = request.get(account, "/me/mailboxSettings")
  if settings then return time.zone(settings.timeZone) or "Etc/UTC", settings.timeZone end
  if err.code == "forbidden" or err.code == "not_found" or err.code == "unsupported" or err.code == "invalid_request" then return nil end
  return nil, nil, err
end

---Who the account is. The address is what its tenant wrote there; the id is what stays.
---@param account table
---@return {identity: string, subject: string?, name: string, settings: table}?
---@return lunation.Error?
function M.identify(account)
  local me, err = request.get(account, "/me")
  if not me then return nil, err end
  local identity = text(me.mail) or text(me.userPrincipalName)
  if not identity then
    return nil, errors.new("provider_error", "Microsoft Graph does not say whose account it is", { reason = "no_identity" })
  end
  local zone, name, failure = mailbox_zone(account)
  if failure then return nil, failure end
  return {
    identity = identity, subject = text(me.id), name = text(me.displayName) or identity,
    settings = { user = text(me.id), timeZone = zone, zoneName = text(name) },
  }
end

-- --- calendars ---

---@param account table
---@return table[]? natives with the zone of the mailbox
---@return lunation.Error?
function M.list(account)
  local items, err = request.all(account, "/me/calendars" .. request.query { { "$top", 100 } })
  if not items then return nil, err end
  local zone, _, failure = mailbox_zone(account)
  if failure then return nil, failure end
  zone = zone or account.settings and account.settings.timeZone
  local result = {}
  for index, item in ipairs(items) do
    local native = { original = item, mailboxZone = zone }
    for name, v in pairs(item) do native[name] = v end
    result[index] = native
  end
  return result
end

---The zone of a calendar is that of its mailbox.
M.zone = { to = function(native) return native.mailboxZone end, from = function() return true end }

-- Outlook's colours by name, as it shows them.
local palette = {
  lightBlue = "#a6d1f5", lightGreen = "#87d28e", lightOrange = "#fcab73", lightGray = "#c0c0c0", lightYellow = "#f5e25a", lightTeal = "#7ce0e0",
  lightPink = "#f08cc0", lightBrown = "#cba287", lightRed = "#f88c9b", maxColor = "#a6d1f5",
}
local names = {}
for name in pairs(palette) do names[#names + 1] = name end
table.sort(names)

local function rgb(hex)
  local r, g, b = hex:match("^#(%x%x)(%x%x)(%x%x)$")
  if r then return tonumber(r, 16), tonumber(g, 16), tonumber(b, 16) end
end

local function nearest(hex)
  local r, g, b = rgb(hex:lower())
  if not r then return "auto" end
  local best, least
  for _, name in ipairs(names) do
    local x, y, z = rgb(palette[name])
    local distance = (r - x) ^ 2 + (g - y) ^ 2 + (b - z) ^ 2
    if name ~= "maxColor" and (not least or distance < least) then best, least = name, distance end
  end
  return best
end

---"#rrggbb": the calendar's own, else that of its name. Written as the name that comes nearest.
M.color = {
  to = function(native)
    local hex = text(native.hexColor)
    if hex and rgb(hex:lower()) then return hex:lower() end
    return type(native.color) == "string" and palette[native.color] or nil
  end,
  from = function(native, color)
    native.color = color and nearest(color) or "auto"
    native.hexColor = nil
    return true
  end,
}

local function sent_of(native)
  return { name = native.name, color = native.color ~= json.null and native.color or nil }
end

---@param account table
---@param native table
---@param options {group: string?}? id of a group of calendars
---@return table? native
---@return lunation.Error?
function M.create(account, native, options)
  local group = options and options.group
  local path = group and "/me/calendarGroups/" .. request.encode(group) .. "/calendars" or "/me/calendars"
  local answer, err = request.send(account, "POST", path, { json = sent_of(native) })
  if not answer then return nil, err end
  local made = { original = answer.value, mailboxZone = account.settings and account.settings.timeZone }
  for name, v in pairs(answer.value) do made[name] = v end
  return made
end

---@param account table
---@param native table
---@return table? native
---@return lunation.Error?
function M.update(account, native)
  local answer, err = request.send(account, "PATCH", request.calendar(native), { json = sent_of(native) })
  if not answer then return nil, err end
  local made = { original = answer.value, mailboxZone = native.mailboxZone }
  for name, v in pairs(answer.value) do made[name] = v end
  return made
end

---@param account table
---@param id string
---@return true?
---@return lunation.Error?
function M.delete(account, id)
  local answer, err = request.send(account, "DELETE", request.calendar { id = type(id) == "table" and id.id or id })
  if not answer then return nil, err end
  return true
end

---The groups that calendars stand in.
---@param account table
---@return table[]? groups {id=, name=}
---@return lunation.Error?
function M.groups(account) return request.all(account, "/me/calendarGroups") end

return M
