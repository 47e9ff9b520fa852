-- reminders of a Google event (the calendar's own, or at most five of its own: popup or email, minutes before the start) to
-- alerts of JSCalendar (RFC 8984 section 4.5.2), and back.
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local model = require "lunation.model.expand"
local value = require "lunation.ical.value"

local M = {}

local MOST, LONGEST = 5, 40320

local function overrides(native)
  local reminders = native.reminders
  if type(reminders) ~= "table" then return nil end
  return type(reminders.overrides) == "table" and reminders.overrides or {}, reminders.useDefault == true
end

local function alert_of(reminder)
  local minutes = type(reminder) == "table" and math.tointeger(reminder.minutes)
  if not minutes or (reminder.method ~= "popup" and reminder.method ~= "email") then return nil end
  return ("%s_%d"):format(reminder.method, minutes), {
    ["@type"] = "Alert", action = reminder.method == "email" and "email" or "display",
    trigger = { ["@type"] = "OffsetTrigger", offset = value.format_duration { days = 0, seconds = -minutes * 60 } },
  }
end

local function read_alerts(native)
  local list, default = overrides(native)
  if not list or default then return nil end
  local result, any = {}, false
  for _, reminder in ipairs(list) do
    local id, alert = alert_of(reminder)
    if id then result[id], any = alert, true end
  end
  return any and result or nil
end

-- Minutes before the start.
local function minutes_of(alert, event)
  local trigger = type(alert) == "table" and alert.trigger
  if type(trigger) ~= "table" then return nil, "has no trigger" end
  local start, finish = model.bounds(event)
  local before
  if trigger.when then
    local at = value.parse_utc(trigger.when)
    local instant = at and value.seconds(at:sub(1, 19))
    if not instant or not start then return nil, "has a trigger that is not a time" end
    if event.recurrenceRules then return nil, "is at one moment, which Google cannot say of a series" end
    before = start - instant
  else
    local offset = value.parse_duration(tostring(trigger.offset))
    if not offset then return nil, "has a trigger that is not a duration" end
    before = -(offset.days * 86400 + offset.seconds)
    if trigger.relativeTo == "end" and start and finish then before = before - (finish - start) end
  end
  local minutes = before // 60
  if minutes < 0 then return nil, "is after the start; Google reminds before it" end
  if minutes > LONGEST then return nil, "is more than four weeks before the start" end
  return minutes
end

local function write_alerts(native, event)
  if event.useDefaultAlerts then
    native.reminders = { useDefault = true }
    return true
  end
  local ids, known = {}, {}
  for id, alert in pairs(event.alerts or {}) do
    if alert ~= json.null then ids[#ids + 1] = id end
  end
  table.sort(ids)
  local list, seen = json.array {}, {}
  for _, reminder in ipairs((overrides(native))or {}) do
    local id = alert_of(reminder)
    if id then known[id] = reminder elseif type(reminder) == "table" then list[#list + 1] = reminder end
  end
  for _, id in ipairs(ids) do
    local alert = event.alerts[id]
    local minutes, why = minutes_of(alert, event)
    if not minutes then return nil, why, "." .. id end
    local method = alert.action == "email" and "email" or "popup"
    local name = ("%s_%d"):format(method, minutes)
    if not seen[name] then
      seen[name] = true
      list[#list + 1] = known[name] or { method = method, minutes = minutes }
    end
  end
  if #list > MOST then return nil, ("has more than %d reminders, which is all that Google keeps"):format(MOST) end
  native.reminders = { useDefault = false, overrides = list }
  return true
end

M.fields = {
  alerts = mapping.entry {
    depends = { "useDefaultAlerts" },
    read = read_alerts,
    write = function(native, _, context) return write_alerts(native, context.canonical) end,
  },
  useDefaultAlerts = mapping.entry {
    depends = { "alerts" },
    read = function(native)
      local _, default = overrides(native)
      return default or nil
    end,
    write = function(native, on, context)
      -- The reminders themselves are the alerts' to write, and to refuse.
      if on or not context.canonical.alerts then return write_alerts(native, context.canonical) end
      return true
    end,
  },
}

return M
