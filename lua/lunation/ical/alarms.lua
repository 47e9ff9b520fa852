-- VALARM (RFC 5545 section 3.6.6, RFC 9074) to alerts (RFC 8984 section 4.5.2), and back. Alarms of kinds that JSCalendar does
-- not have stay in the component and are not shown.
local mapping = require "lunation.mapping"
local component = require "lunation.ical.component"
local tree = require "lunation.ical.tree"
local value = require "lunation.ical.value"

local M = {}

local actions = { DISPLAY = "display", AUDIO = "display", EMAIL = "email" }

local function read_trigger(property)
  if not property then return nil end
  local as = component.param(property, "VALUE")
  local at, kind = value.parse_time(property.value)
  if (as and as:upper() == "DATE-TIME") or kind then
    if not at then return nil end
    return { ["@type"] = "AbsoluteTrigger", when = at .. "Z" }
  end
  local offset = value.normal_duration(property.value)
  if not offset then return nil end
  local related = component.param(property, "RELATED")
  return { ["@type"] = "OffsetTrigger", offset = offset, relativeTo = related and related:upper() == "END" and "end" or nil }
end

local function read_alarm(node)
  local action = actions[(component.value(node, "ACTION") or ""):upper():gsub("%s", "")]
  local trigger = read_trigger(component.find(node, "TRIGGER"))
  if not action or not trigger then return nil end
  return {
    ["@type"] = "Alert", trigger = trigger, action = action,
    acknowledged = value.parse_utc(component.value(node, "ACKNOWLEDGED")),
  }
end

local function id_of(node, ordinal)
  local uid = component.value(node, "UID") or component.value(node, "X-WR-ALARMUID")
  local id = uid and uid:gsub("[^%w_-]", "_"):sub(1, 255)
  return id and id ~= "" and id or tostring(ordinal)
end

-- The alarms of a component that JSCalendar has a word for: {id=, node=, alert=}, in order.
local function alarms(event_node)
  local list, taken = {}, {}
  for i, node in ipairs(component.children(event_node, "VALARM")) do
    local alert = read_alarm(node)
    if alert then
      local id, n = id_of(node, i), 1
      local base = id
      while taken[id] do
        n = n + 1
        id = ("%s_%d"):format(base, n)
      end
      taken[id] = true
      list[#list + 1] = { id = id, node = node, alert = alert }
    end
  end
  return list
end

local function write_trigger(node, trigger)
  if type(trigger) ~= "table" then return nil, "has no trigger" end
  local p = component.find(node, "TRIGGER") or component.add(node, component.property("TRIGGER", ""))
  if trigger.when then
    local utc = value.parse_utc(trigger.when)
    if not utc then return nil, "has a trigger that is not a time" end
    p.value = value.format_time(utc:sub(1, 19), "utc")
    component.set_param(p, "RELATED", nil)
    component.set_param(p, "VALUE", "DATE-TIME")
    return true
  end
  local offset = value.normal_duration(trigger.offset)
  if not offset then return nil, "has a trigger that is not a duration" end
  p.value = offset
  component.set_param(p, "VALUE", nil)
  component.set_param(p, "RELATED", trigger.relativeTo == "end" and "END" or nil)
  return true
end

local function write_alarm(node, alert, old)
  if not old or not mapping.equal(old.trigger, alert.trigger) then
    local done, why = write_trigger(node, alert.trigger)
    if not done then return nil, why end
  end
  local action = alert.action or "display"
  if not old or old.action ~= action then component.set(node, "ACTION", action == "email" and "EMAIL" or "DISPLAY") end
  if (old and old.acknowledged) ~= alert.acknowledged then
    local utc = alert.acknowledged and value.parse_utc(alert.acknowledged)
    component.set(node, "ACKNOWLEDGED", utc and value.format_time(utc:sub(1, 19), "utc") or nil)
  end
  return true
end

-- What RFC 5545 requires of a new alarm besides its action and trigger.
local function complete(node, event)
  local action = component.value(node, "ACTION")
  local title = event.title and event.title ~= "" and tree.escape(event.title) or "Reminder"
  if not component.find(node, "DESCRIPTION") then component.set(node, "DESCRIPTION", title) end
  if action ~= "EMAIL" then return end
  if not component.find(node, "SUMMARY") then component.set(node, "SUMMARY", title) end
  if component.find(node, "ATTENDEE") then return end
  local ids = {}
  for id in pairs(event.participants or {}) do ids[#ids + 1] = id end
  table.sort(ids)
  local to = event.replyTo and event.replyTo.imip
  for _, id in ipairs(ids) do
    local person = event.participants[id]
    if not to and type(person) == "table" and person.email then to = "mailto:" .. person.email end
  end
  component.set(node, "ATTENDEE", to or "mailto:calendar@localhost")
end

local function write(event_node, alerts, context)
  alerts = alerts or {}
  if type(alerts) ~= "table" then return nil, "is not an object of alerts" end
  local known, gone = {}, {}
  for _, alarm in ipairs(alarms(event_node)) do
    known[alarm.id] = true
    local alert = alerts[alarm.id]
    if type(alert) ~= "table" then
      gone[alarm.node] = true
    elseif not mapping.equal(alert, alarm.alert) then
      local done, why = write_alarm(alarm.node, alert, alarm.alert)
      if not done then return nil, why, "." .. alarm.id end
      complete(alarm.node, context.canonical)
    end
  end
  local kept = {}
  for _, node in ipairs(event_node.components) do
    if not gone[node] then kept[#kept + 1] = node end
  end
  event_node.components = kept
  local ids = {}
  for id, alert in pairs(alerts) do
    if not known[id] and type(alert) == "table" then ids[#ids + 1] = id end
  end
  table.sort(ids)
  for _, id in ipairs(ids) do
    local node = component.new("VALARM")
    -- A key that is not the alarm's number is kept as its UID, so that it is the same when it is read again.
    if tostring(#component.children(event_node, "VALARM") + 1) ~= id then component.set(node, "UID", id) end
    component.set(node, "ACTION", "DISPLAY")
    local done, why = write_alarm(node, alerts[id], nil)
    if not done then return nil, why, "." .. id end
    complete(node, context.canonical)
    event_node.components[#event_node.components + 1] = node
  end
  return true
end

M.fields = {
  alerts = mapping.entry {
    read = function(node)
      if #(node.components or {}) == 0 then return nil end
      local result, any = {}, false
      for _, alarm in ipairs(alarms(node)) do
        result[alarm.id], any = alarm.alert, true
      end
      return any and result or nil
    end,
    write = write,
  },
}

return M
