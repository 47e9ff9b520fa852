-- What the emulated service holds: users and their mailboxes, in memory; ids, change keys, the clock.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local json = require "lunation.json"
local timer = require "lunation.timer"

local M = {}

---@class spec.graph.World
---@field users spec.graph.User[]
---@field tokens table<string, table>  access tokens
---@field switches table               see `defaults`
---@field mail table[]                 what would have been sent: {kind=, from=, to=, subject=, comment=}
---@field sequence integer             counts changes
local World = {}
World.__index = World

---@class spec.graph.Box
---@field user spec.graph.User
---@field items table      roots: single events and series, each once
---@field index table      [id] = {kind=, item=, key=}
---@field gone table[]     what was deleted: {sequence=, id=, immutable=, calendar=}
local Box = {}
Box.__index = Box

-- What a spec may switch, by POST /_emulator/switches.
M.defaults = {
  concurrency = 4,          -- requests of one mailbox at a time; 0: no limit
  requests = 10000,         -- of one mailbox in ten minutes; 0: no limit
  uploadBytes = 15 << 20,   -- to one mailbox in half a minute; 0: no limit
  latency = 0,              -- seconds that each request of a mailbox takes
  eventsDelta = true,       -- .../events/delta is there
  calendarDelta = true,     -- calendarView/delta is there for other calendars than the default one
  notifications = "normal", -- "drop", "duplicate"
  strictRotation = false,   -- a used refresh token is dead
  accessTokenLifetime = 3600,
  deltaPage = 50,           -- entities on a page of a delta where the client asks for no size
  personal = false,         -- a personal account: no getSchedule, no findMeetingTimes
}

---@param users {email:string, token:string}[]
---@return spec.graph.World
function M.new(users)
  local world = setmetatable({ seed = users, hooks = {} }, World)
  world:reset()
  return world
end

---Everything as at the start.
function World:reset()
  self.users, self.tokens, self.by_name, self.mail = {}, {}, {}, {}
  self.sequence, self.offset, self.counter = 0, 0, 0
  self.switches = answer.copy(M.defaults)
  self.subscriptions, self.grants, self.codes, self.streams = {}, {}, {}, {}
  for _, seed in ipairs(self.seed) do
    local user = self:user(seed.email) or self:add_user(seed.email)
    if seed.token then self.tokens[seed.token] = { user = user, scopes = "*" } end
  end
  for _, hook in ipairs(self.hooks.reset or {}) do hook(self) end
end

function World:on(name, fn)
  self.hooks[name] = self.hooks[name] or {}
  table.insert(self.hooks[name], fn)
end

function World:tell(name, ...)
  for _, hook in ipairs(self.hooks[name] or {}) do hook(...) end
end

---@return number Unix seconds, as `advance` has moved them
function World:now() return timer.time() + self.offset end

function World:tick()
  self.sequence = self.sequence + 1
  return self.sequence
end

-- Opaque, case-sensitive, and the same on every run of the same requests.
function World:new_id(prefix, ...)
  self.counter = self.counter + 1
  local hash = crypto.sha256(table.concat({ prefix, self.counter, ... }, "\0"))
  return prefix .. crypto.base64url(hash .. hash:sub(1, 16)) .. "AAA="
end

---A change key of a version.
function M.change_key(version)
  return crypto.base64(string.pack(">I8I8I4", 0x0f00000016000000, version, version * 2654435761 & 0xffffffff))
end

function World:user(name)
  return type(name) == "string" and self.by_name[name:lower()] or nil
end

local function title(email)
  local words = {}
  for word in email:match("^[^@]*"):gmatch "[^%._%-]+" do words[#words + 1] = word:sub(1, 1):upper() .. word:sub(2) end
  return table.concat(words, " ")
end

---@class spec.graph.User
---@field id string
---@field email string
---@field name string
---@field box spec.graph.Box

function World:add_user(email)
  local user = { id = crypto.uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", email:lower()), email = email, name = title(email) }
  self.users[#self.users + 1] = user
  self.by_name[email:lower()], self.by_name[user.id] = user, user
  user.box = self:new_box(user)
  return user
end

function World:new_box(user)
  local box = setmetatable({
    world = self, user = user, items = {}, index = {}, gone = {}, calendars = {}, groups = {}, folders = {}, contacts = {}, categories = {}, active = 0,
      uids = {}, transactions = {},
    settings = {
      archiveFolder = json.null, timeZone = "UTC", dateFormat = "M/d/yyyy", timeFormat = "h:mm tt", userPurpose = "user",
      delegateMeetingMessageDeliveryOptions = "sendToDelegateOnly", language = { locale = "en-US", displayName = "English (United States)" },
      automaticRepliesSetting = {
        status = "disabled", externalAudience = "all", internalReplyMessage = "", externalReplyMessage = "",
        scheduledStartDateTime = { dateTime = "2025-01-01T00:00:00.0000000", timeZone = "UTC" },
        scheduledEndDateTime = { dateTime = "2025-01-02T00:00:00.0000000", timeZone = "UTC" },
      },
      workingHours = {
        daysOfWeek = { "monday", "tuesday", "wednesday", "thursday", "friday" }, startTime = "08:00:00.0000000",
        endTime = "17:00:00.0000000", timeZone = { name = "UTC" },
      },
    },
  }, Box)
  local group = box:add_group("My Calendars", "0006f0b7-0000-0000-c000-000000000046")
  box:add_group("Other Calendars", "0006f0b8-0000-0000-c000-000000000046")
  box.default = box:add_calendar({ name = "Calendar" }, group)
  box.default.default = true
  box.folder = box:add_folder("Contacts")
  return box
end

---@param name string
---@param class string? GUID
function Box:add_group(name, class)
  local world = self.world
  local group = { kind = "group", id = world:new_id("AAMkG", self.user.id), name = name, class = class or crypto.uuid(), version = world:tick(),
    builtin = class ~= nil }
  self.groups[#self.groups + 1] = group
  self.index[group.id] = group
  return group
end

function Box:add_calendar(values, group)
  local world = self.world
  local calendar = {
    kind = "calendar", id = world:new_id("AAMkC", self.user.id), name = values.name, color = values.color or "auto", group = group,
    version = world:tick(), permissions = {}, single = {}, multi = {}, providers = { "teamsForBusiness" }, provider = "teamsForBusiness", tallying = true,
  }
  self.calendars[#self.calendars + 1] = calendar
  self.index[calendar.id] = calendar
  return calendar
end

function Box:add_folder(name, parent)
  local world = self.world
  local folder = {
    kind = "folder", id = world:new_id("AAMkF", self.user.id), name = name, parent = parent, version = world:tick(), single = {}, multi = {},
  }
  self.folders[#self.folders + 1] = folder
  self.index[folder.id] = folder
  return folder
end

---A stored thing of a kind, or the end of the request.
---@param id string
---@param kind string
---@return table
function Box:need(id, kind)
  local found = self.index[id]
  if not found or found.kind ~= kind then
    if not tostring(id):find "^AA" and not tostring(id):find "^OID%." then answer.fail(400, "ErrorInvalidIdMalformed", "Id is malformed.") end
    answer.missing()
  end
  return found
end

---Notes a change of an item: its version, its time, who is to hear of it.
---@param item table
---@param what "created"|"updated"|"exception"|"deleted" exception: one occurrence of it, not what they share
function Box:touch(item, what)
  local world = self.world
  item.version, item.modified = world:tick(), world:now()
  if what ~= "exception" then item.base = item.version end
  if what == "deleted" then
    self.gone[#self.gone + 1] = { sequence = item.version, id = item.id, immutable = item.immutable, item = item, calendar = item.calendar }
  end
  world:tell("changed", self, item, what)
end

function M.remove(list, value)
  for i, each in ipairs(list) do
    if each == value then
      table.remove(list, i)
      return true
    end
  end
  return false
end

---Gives an item another place, and therefore another id; the immutable one stays.
function Box:move(item, calendar)
  self.gone[#self.gone + 1] = {
    sequence = self.world:tick(), id = item.id, immutable = item.immutable, item = item, calendar = item.calendar, moved = true,
  }
  self.index[item.id] = nil
  item.calendar = calendar
  item.id = self.world:new_id("AAMkA", self.user.id)
  item.occurrence_ids = nil
  self.index[item.id] = item
  self:touch(item, "updated")
end

return M
