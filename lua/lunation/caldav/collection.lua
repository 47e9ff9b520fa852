-- The calendars of an account: PROPFIND on its home collections (RFC 4791 section 5.2, RFC 6638, Apple's colour and ctag).
local errors = require "lunation.errors"
local href = require "lunation.caldav.href"
local multistatus = require "lunation.caldav.multistatus"
local tz = require "lunation.tz"

local M = {}

local dav, caldav, calendarserver, apple = multistatus.dav, multistatus.caldav, multistatus.calendarserver, multistatus.apple

local properties = {
  "D:resourcetype", "D:displayname", "D:current-user-privilege-set", "D:supported-report-set", "D:sync-token", "S:getctag", "A:calendar-color",
  "A:calendar-order", "C:calendar-description", "C:calendar-timezone", "C:calendar-timezone-id", "C:supported-calendar-component-set",
}

---A calendar as a CalDAV server describes it.
---@class caldav.Calendar
---@field href string           absolute URL: the calendar's id
---@field displayname string
---@field color string?         as the server gives it: "#RRGGBB", "#RRGGBBAA"
---@field order integer?
---@field description string?
---@field timezone string?      iCalendar text with a VTIMEZONE
---@field timezone_id string?   IANA name (RFC 7809)
---@field privileges string[]?  nil where the server does not tell
---@field components string[]
---@field ctag string?
---@field sync_token string?
---@field primary boolean

local function names(node)
  local list = {}
  for _, privilege in ipairs(node:children(dav, "privilege")) do
    for _, child in ipairs(privilege) do list[#list + 1] = child.name end
  end
  table.sort(list)
  return list
end

local function components(node)
  local list = {}
  for _, child in ipairs(node and node:children(caldav, "comp") or {}) do
    if child.attrs and child.attrs.name then list[#list + 1] = child.attrs.name:upper() end
  end
  -- Without the property a calendar takes every component (RFC 4791 section 5.2.3).
  if #list == 0 then return { "VEVENT" } end
  return list
end

local function holds_events(list)
  for _, name in ipairs(list) do
    if name == "VEVENT" then return true end
  end
  return false
end

local function is_calendar(response)
  local kind = response:node(dav, "resourcetype")
  return kind and kind:child(caldav, "calendar") and not kind:child(caldav, "schedule-inbox") and not kind:child(caldav, "schedule-outbox")
end

-- A server without a name for a calendar may give its path.
local function title(response, url)
  local text = response:text(dav, "displayname")
  if text and "/" .. text .. "/" ~= href.decode(href.path(url)) then return text end
  return href.decode(href.name((url:gsub("/$", ""))))
end

local function native(response)
  local privileges = response:node(dav, "current-user-privilege-set")
  local url = href.collection(response.href)
  return {
    href = url,
    displayname = title(response, url),
    color = response:text(apple, "calendar-color"),
    order = math.tointeger(tonumber(response:text(apple, "calendar-order"))),
    description = response:text(caldav, "calendar-description"),
    timezone = response:text(caldav, "calendar-timezone"),
    timezone_id = response:text(caldav, "calendar-timezone-id"),
    privileges = privileges and names(privileges) or nil,
    components = components(response:node(caldav, "supported-calendar-component-set")),
    ctag = response:text(calendarserver, "getctag"),
    sync_token = response:text(dav, "sync-token"),
    primary = false,
  }
end

-- Names that servers give to the calendar they make for a new account.
local usual = { default = true, personal = true, calendar = true, home = true, work = true }

local function choose_primary(list, settings)
  local default = settings.scheduling and settings.scheduling.default
  local choice
  for _, calendar in ipairs(list) do
    if default and calendar.href == default then choice = calendar end
  end
  for _, calendar in ipairs(list) do
    choice = choice or usual[href.name((calendar.href:gsub("/$", ""))):lower()] and calendar
  end
  choice = choice or list[1]
  if choice then choice.primary = true end
end

---Lists the calendars that hold events.
---@param session caldav.Session
---@param account table
---@return caldav.Calendar[]?, lunation.Error? err
function M.list(session, account)
  local settings = account.settings or {}
  local list, seen = {}, {}
  local function add(url, depth)
    local result, err = session:propfind(url, depth, properties)
    if not result then return nil, err end
    for _, response in ipairs(result.responses) do
      if is_calendar(response) then
        local calendar = native(response)
        if holds_events(calendar.components) and not seen[calendar.href] then
          seen[calendar.href] = true
          list[#list + 1] = calendar
        end
      end
    end
    return true
  end
  for _, home in ipairs(settings.homes or {}) do
    local ok, err = add(home, "1")
    if not ok then return nil, err end
  end
  for _, url in ipairs(settings.calendars or {}) do
    local ok, err = add(url, "0")
    if not ok then return nil, err end
  end
  if not settings.homes and not settings.calendars then
    return nil, errors.new("internal", "The account was not discovered.", { provider = session.provider })
  end
  choose_primary(list, settings)
  return list
end

---"#rrggbb" of a colour property, which may carry an alpha channel or be abbreviated; nil of anything else.
---@param text string?
---@return string?
function M.color(text)
  if not text then return nil end
  local hex = text:match("^%s*#?(%x+)%s*$")
  if not hex then return nil end
  if #hex == 3 or #hex == 4 then hex = hex:sub(1, 3):gsub("%x", "%0%0") end
  if #hex ~= 6 and #hex ~= 8 then return nil end
  return "#" .. hex:sub(1, 6):lower()
end

---The IANA zone of a calendar, from its name or its VTIMEZONE.
---@param calendar caldav.Calendar
---@return string?
function M.zone(calendar)
  local name = calendar.timezone_id
  if not name and calendar.timezone then
    local unfolded = calendar.timezone:gsub("\r?\n[ \t]", "")
    name = unfolded:match("BEGIN:VTIMEZONE.-\nTZID[^:\r\n]*:([^\r\n]+)")
  end
  return name and tz.resolve(name) or nil
end

local writing = { all = true, write = true, ["write-content"] = true, bind = true }

---Whether the account may only read a calendar. Where the server does not tell, it may write.
---@param calendar caldav.Calendar
---@return boolean
function M.read_only(calendar)
  if not calendar.privileges or #calendar.privileges == 0 then return false end
  for _, name in ipairs(calendar.privileges) do
    if writing[name] then return false end
  end
  return true
end

return M
