-- What the emulated Google knows: users, calendars, grants, channels, contacts, rooms, and a clock that may be put forward.
local crypto = require "lunation.crypto"
local timer = require "lunation.timer"

local world = {}

---@class google.User
---@field email string
---@field name string
---@field id string the account's number, `sub` of OpenID
---@field domain string
---@field token string? a bearer token that works without OAuth
---@field admin boolean
---@field timeZone string
---@field list table<string, table> calendar list entries by calendar id
---@field list_seq integer
---@field contacts table

local base32hex = "0123456789abcdefghijklmnopqrstuv"

--- Seconds since the epoch by the emulator's clock.
---@return number
function world.now()
  return timer.time() + world.ahead
end

--- RFC 3339 in UTC with milliseconds.
---@param at number epoch
---@return string
function world.stamp(at)
  local seconds = math.floor(at)
  return os.date("!%Y-%m-%dT%H:%M:%S", seconds) .. (".%03dZ"):format(math.floor((at - seconds) * 1000))
end

--- The next revision: grows with every change of anything, by time.
---@return integer
function world.tick()
  world.revision = math.max(world.revision + 1, math.floor(world.now() * 1000))
  return world.revision
end

--- A revision as an entity tag.
---@param revision integer
---@return string
function world.etag(revision)
  return ('"%d"'):format(revision * 2)
end

--- An identifier of the kind that events have.
---@param length integer?
---@return string
function world.new_id(length)
  return (crypto.random(length or 26):gsub(".", function(c)
    local at = c:byte() % 32 + 1
    return base32hex:sub(at, at)
  end))
end

--- A copy of a value made of tables.
---@generic T
---@param value T
---@return T
function world.copy(value)
  if type(value) ~= "table" then return value end
  local out = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do out[key] = world.copy(inner) end
  return out
end

--- A new list of the same things.
---@param list table?
---@return table
function world.copy_list(list)
  return table.move(list or {}, 1, #(list or {}), 1, {})
end

--- The rows of a calendar as a list of their own, so that they may change meanwhile.
---@return table[]
function world.copy_rows(calendar)
  local list = {}
  for _, row in pairs(calendar.events) do list[#list + 1] = row end
  return list
end

--- Whether two values made of tables are equal.
---@return boolean
function world.same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not world.same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function name_of(email)
  local words = {}
  for word in email:match("^[^@]*"):gmatch("[^%._%-]+") do words[#words + 1] = word:sub(1, 1):upper() .. word:sub(2) end
  return table.concat(words, " ")
end

--- Adds a calendar that somebody owns.
---@param fields {id: string, summary: string, owner: string, timeZone: string?, primary: boolean?, resource: boolean?}
---@return table calendar
function world.add_calendar(fields)
  local calendar = {
    id = fields.id, summary = fields.summary, owner = fields.owner, timeZone = fields.timeZone or "UTC", primary = fields.primary,
    resource = fields.resource, client = fields.client, description = fields.description, location = fields.location,
    conferenceProperties = fields.conferenceProperties or { allowedConferenceSolutionTypes = { "hangoutsMeet" } },
    rev = world.tick(), seq = 0, events = {}, by_uid = {}, acl = {}, acl_seq = 0, instances = {},
  }
  world.calendars[calendar.id] = calendar
  world.calendar_order[#world.calendar_order + 1] = calendar.id
  local function rule(kind, value, role)
    calendar.acl_seq = calendar.acl_seq + 1
    local id = kind .. ":" .. value
    calendar.acl[id] = { id = id, scope = { type = kind, value = value }, role = role, rev = world.tick(), seq = calendar.acl_seq }
  end
  rule("user", fields.owner, "owner")
  -- What a Workspace shows to the colleagues of an owner unless told otherwise.
  local domain = fields.owner:match("@(.*)$")
  if (fields.primary or fields.resource) and domain ~= "gmail.com" then rule("domain", domain, "freeBusyReader") end
  return calendar
end

--- Puts a calendar on a user's list.
---@return table entry
function world.add_entry(user, calendar_id, fields)
  user.list_seq = user.list_seq + 1
  local entry = { id = calendar_id, selected = true, colorId = "14", rev = world.tick(), seq = user.list_seq, defaultReminders = {} }
  for name, value in pairs(fields or {}) do entry[name] = value end
  user.list[calendar_id] = entry
  return entry
end

--- Adds a user with a primary calendar.
---@param fields {email: string, token: string?, name: string?, timeZone: string?, admin: boolean?}
---@return google.User
function world.add_user(fields)
  local email = fields.email
  local number = #world.user_order + 1
  local user = {
    email = email, name = fields.name or name_of(email), id = ("1%020d"):format(number * 7919), token = fields.token,
    domain = email:match("@(.*)$"), admin = fields.admin or number == 1, timeZone = fields.timeZone or "Europe/Berlin",
    list = {}, list_seq = 0, contacts = {}, contact_seq = 0, others = {}, other_seq = 0, warm = {}, rev = world.tick(),
  }
  world.users[email] = user
  world.user_order[number] = email
  world.add_calendar { id = email, summary = email, owner = email, timeZone = user.timeZone, primary = true }
  world.add_entry(user, email, { defaultReminders = { { method = "popup", minutes = 10 } } })
  if user.token then world.tokens[user.token] = { user = email } end
  return user
end

local function fill()
  world.ahead, world.revision = 0, 0
  world.users, world.user_order = {}, {}
  world.calendars, world.calendar_order = {}, {}
  world.tokens, world.refresh, world.codes, world.grants = {}, {}, {}, {}
  world.channels, world.mails, world.pushes = {}, {}, {}
  world.rooms, world.buildings, world.features, world.groups = {}, {}, {}, {}
  world.cursors, world.cursor_order = {}, {}
  world.sync_epoch = 1
  world.requests, world.violations = {}, {}
  world.meet_seconds, world.rotate, world.access_lifetime, world.people_delay = 0, false, nil, 0
end

--- Forgets everything; the users of the command line are there anew.
function world.reset()
  fill()
  for _, fields in ipairs(world.seed or {}) do world.add_user(fields) end
end

--- The user's role on a calendar: the strongest of the rules that hold for them.
---@param calendar table
---@param user google.User
---@return "none"|"freeBusyReader"|"reader"|"writer"|"owner"
function world.role(calendar, user)
  local best, rank = "none", world.rank
  for _, rule in pairs(calendar.acl) do
    local scope = rule.scope
    local holds = scope.type == "default" or (scope.type == "user" and scope.value == user.email)
      or (scope.type == "domain" and scope.value == user.domain)
      or (scope.type == "group" and world.in_group(scope.value, user.email))
    if holds and not rule.deleted and rank[rule.role] > rank[best] then best = rule.role end
  end
  return best
end

world.rank = { none = 0, freeBusyReader = 1, reader = 2, writer = 3, owner = 4 }

---@return boolean
function world.in_group(group, email)
  for _, member in ipairs(world.groups[group] or {}) do
    if member == email then return true end
  end
  return false
end

fill()

return world
