-- The calendars of an account: its calendar list, and making, changing and removing calendars.
local errors = require "lunation.errors"
local session = require "lunation.google.session"

local M = {}

local LIST = "/users/me/calendarList"

local function entry_path(id)
  return LIST .. "/" .. session.escape(id)
end

---@param account table
---@return table[]? entries of the calendar list, lunation.Error?
function M.list(account)
  local found, err = session.all(account, { path = LIST, query = { maxResults = 250 } })
  if not found then return nil, err end
  local list = {}
  for _, entry in ipairs(found) do
    if type(entry) == "table" and entry.deleted ~= true then list[#list + 1] = entry end
  end
  return list
end

-- What a role may do, as privileges of a calendar (RFC 3744's words).
local privileges = {
  none = {},
  freeBusyReader = { "read-free-busy" },
  reader = { "read-free-busy", "read" },
  writer = { "read-free-busy", "read", "write-content", "bind", "unbind" },
  owner = { "read-free-busy", "read", "write-content", "bind", "unbind", "write-properties", "read-acl", "write-acl" },
}

---@param role any accessRole
---@return string[]
function M.privileges(role)
  return privileges[role] or {}
end

---@param role any accessRole
---@return boolean
function M.read_only(role)
  return role ~= "writer" and role ~= "owner"
end

local function text(v)
  return type(v) == "string" and v or nil
end

-- The part of a calendar that is the calendar's own, and that which belongs to this account's list.
local function own_part(native)
  return { summary = text(native.summary), description = text(native.description), timeZone = text(native.timeZone), location = text(native.location) }
end

local function set_colour(account, id, colour)
  if not colour then return true end
  return session.call(account, {
    method = "PATCH", path = entry_path(id), query = { colorRgbFormat = true }, json = { backgroundColor = colour, foregroundColor = "#000000" },
  })
end

---@param account table
---@param native table with summary, and description, timeZone, backgroundColor
---@return table? entry of the calendar list, lunation.Error?
function M.create(account, native)
  if not text(native.summary) or native.summary == "" then
    return nil, errors.new("invalid_request", "title: a calendar has one", { field = "title" })
  end
  local made, err = session.call(account, { method = "POST", path = "/calendars", json = own_part(native) })
  if not made then return nil, err end
  local coloured
  coloured, err = set_colour(account, made.id, native.backgroundColor)
  if not coloured then return nil, err end
  return session.call(account, { path = entry_path(made.id) })
end

---Changes a calendar. What may not be changed in the calendar itself, as its title by one who only reads it, is changed in
---the account's own list.
---@param account table
---@param native table entry with id and what is to be
---@return table? entry, lunation.Error?
function M.update(account, native)
  local before, err = session.call(account, { path = entry_path(native.id) })
  if not before then return nil, err end
  local patch, any = {}, false
  local wanted = own_part(native)
  for name, v in pairs(wanted) do
    if v ~= before[name] then patch[name], any = v, true end
  end
  for _, name in ipairs { "description", "location" } do
    if wanted[name] == nil and text(before[name]) then patch[name], any = "", true end
  end
  if any and before.accessRole == "owner" then
    local done
    done, err = session.call(account, { method = "PATCH", path = "/calendars/" .. session.escape(native.id), json = patch })
    if not done then return nil, err end
  elseif any then
    if patch.description or patch.timeZone or patch.location then
      return nil, errors.new("forbidden", "Only who owns the calendar may change this of it.", { provider = "google", reason = "requiredAccessLevel" })
    end
    local done
    done, err = session.call(account, { method = "PATCH", path = entry_path(native.id), json = { summaryOverride = patch.summary } })
    if not done then return nil, err end
  end
  if native.backgroundColor and native.backgroundColor ~= before.backgroundColor then
    local done
    done, err = set_colour(account, native.id, native.backgroundColor)
    if not done then return nil, err end
  end
  return session.call(account, { path = entry_path(native.id) })
end

---Removes a calendar: deleted where the account owns it, else taken off its list.
---@param account table
---@param id string
---@return true?, lunation.Error?
function M.delete(account, id)
  local entry, err = session.call(account, { path = entry_path(id) })
  if not entry then return nil, err end
  if entry.primary == true then
    return nil, errors.new("unsupported", "Google's primary calendar cannot be removed.", { provider = "google", reason = "primary" })
  end
  local path = entry.accessRole == "owner" and "/calendars/" .. session.escape(id) or entry_path(id)
  local done
  done, err = session.call(account, { method = "DELETE", path = path })
  if not done then return nil, err end
  return true
end

return M
