-- Event types: which may be made, where, with what; a type never changes.
local failure = require "spec.emulators.google.failure"

local kinds = {}

local fail = failure.fail

local known = { default = true, birthday = true, focusTime = true, fromGmail = true, outOfOffice = true, workingLocation = true }
local properties = {
  focusTime = "focusTimeProperties", outOfOffice = "outOfOfficeProperties", workingLocation = "workingLocationProperties", birthday = "birthdayProperties",
}

local function refuse(message)
  fail(400, "malformedRequest", message, { location = "eventType", locationType = "parameter" })
end

local rules = {
  birthday = function(data)
    if not data.start.date then refuse "A birthday event must be all-day." end
    local rule = data.recurrence and data.recurrence[1] or ""
    if #(data.recurrence or {}) ~= 1 or not rule:find "^RRULE:.*FREQ=YEARLY" then refuse "A birthday event must recur every year." end
    if data.visibility ~= "private" then refuse "A birthday event must have private visibility." end
    if data.transparency ~= "transparent" then refuse "A birthday event must be transparent." end
    if data.birthdayProperties and (data.birthdayProperties.type or "birthday") ~= "birthday" then refuse "Only birthdays can be created." end
  end,
  focusTime = function(data)
    if data.start.date then refuse "A focus time event cannot be all-day." end
    if data.transparency == "transparent" then refuse "A focus time event must be opaque." end
  end,
  outOfOffice = function(data)
    if data.start.date then refuse "An out of office event cannot be all-day." end
    if data.transparency == "transparent" then refuse "An out of office event must be opaque." end
  end,
  workingLocation = function(data)
    if not (data.workingLocationProperties and data.workingLocationProperties.type) then refuse "Missing working location properties." end
    if data.visibility ~= "public" then refuse "A working location event must have public visibility." end
    if data.transparency ~= "transparent" then refuse "A working location event must be transparent." end
  end,
}

--- Refuses an event that cannot be made as it is.
---@param row table
---@param body table
---@param calendar table
---@param call google.Call
function kinds.check_new(row, body, calendar, call)
  local kind = body.eventType or "default"
  if not known[kind] then fail(400, "invalid", "Invalid value for: eventType", { location = "eventType", locationType = "parameter" }) end
  for other, name in pairs(properties) do
    if body[name] and other ~= kind then refuse(name .. " do not go with an event of type " .. kind) end
  end
  if kind == "default" then return end
  if kind == "fromGmail" then refuse "Events of type fromGmail cannot be created." end
  if not calendar.primary or calendar.owner ~= call.user.email then refuse(kind .. " events can only be created on primary calendars.") end
  if row.data.attendees then refuse(kind .. " events cannot have attendees.") end
  rules[kind](row.data)
end

--- Refuses a change of type, and of what its type keeps from being changed.
---@param row table
---@param body table
function kinds.check_change(row, body)
  local kind = row.data.eventType or "default"
  if body.eventType and body.eventType ~= kind then refuse "The event type cannot be changed." end
  if kind == "fromGmail" then
    for _, name in ipairs { "summary", "start", "end", "location", "description", "recurrence", "attendees" } do
      if body[name] ~= nil then refuse "Events from Gmail cannot be changed in this way." end
    end
  end
  if kind ~= "default" and body.attendees then refuse(kind .. " events cannot have attendees.") end
end

return kinds
