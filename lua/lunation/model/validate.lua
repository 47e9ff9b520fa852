-- What a canonical event may be. An error names the field.
local instance = require "lunation.model.instance"
local tz = require "lunation.tz"
local value = require "lunation.ical.value"
local null = require "lunation.null"

local M = {}

M.limits = {
  text = 1048576, -- octets of one text
  participants = 5000, alerts = 200, links = 1000, overrides = 20000, rules = 20, keywords = 1000,
  custom = 262144,
}

local function wrong(field, message)
  local full = ("%s: %s"):format(field, message)
  local ok, errors = pcall(require, "lunation.errors")
  if ok and type(errors) == "table" and errors.new then return nil, errors.new("invalid_request", full, { field = field }) end
  return nil, setmetatable({ code = "invalid_request", message = full, field = field }, { __tostring = function(e) return e.message end })
end

local function is_text(v, field, limit)
  if type(v) ~= "string" then return wrong(field, "is not text") end
  if #v > (limit or M.limits.text) then return wrong(field, "is too long") end
  if not utf8.len(v) then return wrong(field, "is not UTF-8") end
  if v:find("[%z\1-\8\11\12\14-\31\127]") then return wrong(field, "has a control character") end
  return true
end

local function is_local(v, field)
  if type(v) ~= "string" or #v ~= 19 or not value.seconds(v) then return wrong(field, "is not a local time such as 2025-03-09T09:30:00") end
  return true
end

local function is_utc(v, field)
  if type(v) ~= "string" or not v:match("Z$") or not value.seconds((v:gsub("%.%d+Z$", "Z"):gsub("Z$", ""))) then
    return wrong(field, "is not a time in UTC such as 2025-03-09T09:30:00Z")
  end
  return true
end

local function is_zone(v, field)
  if type(v) ~= "string" or not tz.to_utc("2001-01-01T00:00:00", v) then
    return wrong(field, ("%s is not a time zone"):format(type(v) == "string" and ("%q"):format(v:sub(1, 60)) or "this"))
  end
  return true
end

local function is_duration(v, field, signed)
  local length = type(v) == "string" and #v < 40 and value.parse_duration(v)
  if not length then return wrong(field, "is not a duration such as PT1H30M") end
  if not signed and (length.days < 0 or length.seconds < 0) then return wrong(field, "the end is before the start") end
  return true
end

local function is_whole(low, high)
  return function(v, field)
    if math.type(v) ~= "integer" and not (math.type(v) == "float" and math.tointeger(v)) then return wrong(field, "is not a whole number") end
    if v < low or v > high then return wrong(field, ("is not between %d and %d"):format(low, high)) end
    return true
  end
end

local function one_of(...)
  local words = {}
  for _, word in ipairs { ... } do words[word] = true end
  local listed = table.concat({ ... }, ", ")
  return function(v, field)
    if not words[v] then return wrong(field, "is none of " .. listed) end
    return true
  end
end

local function is_boolean(v, field)
  if type(v) ~= "boolean" then return wrong(field, "is neither true nor false") end
  return true
end

-- An object of objects, each checked.
local function each(check, limit)
  return function(v, field)
    if type(v) ~= "table" or v == null then return wrong(field, "is not an object") end
    local count = 0
    for key, item in pairs(v) do
      count = count + 1
      if count > limit then return wrong(field, ("has more than %d entries"):format(limit)) end
      if type(key) ~= "string" then return wrong(field, "is a list; it is an object by ids") end
      local name = ("%s.%s"):format(field, key)
      if type(item) ~= "table" or item == null then return wrong(name, "is not an object") end
      local ok, err = check(item, name)
      if not ok then return nil, err end
    end
    return true
  end
end

local function optional(object, key, field, check, ...)
  local v = object[key]
  if v == nil or v == null then return true end
  return check(v, ("%s.%s"):format(field, key), ...)
end

local function participant(p, field)
  local ok, err = optional(p, "email", field, is_text, 1000)
  if ok then ok, err = optional(p, "name", field, is_text, 10000) end
  if not ok then return nil, err end
  if p.email and not p.email:match("^[^%s@<>,;]+@[^%s@<>,;]+$") and not p.sendTo then
    return wrong(field .. ".email", ("%q is not an email address"):format(p.email:sub(1, 100)))
  end
  if not p.email and not p.sendTo then return wrong(field .. ".email", "is missing") end
  if p.roles ~= nil and type(p.roles) ~= "table" then return wrong(field .. ".roles", "is not an object") end
  ok, err = optional(p, "participationStatus", field, one_of("needs-action", "accepted", "declined", "tentative", "delegated"))
  return ok, err
end

local function alert(a, field)
  local trigger = a.trigger
  if type(trigger) ~= "table" then return wrong(field .. ".trigger", "is missing") end
  if trigger.when ~= nil then return is_utc(trigger.when, field .. ".trigger.when") end
  return is_duration(trigger.offset, field .. ".trigger.offset", true)
end

local function with_uri(name)
  return function(object, field) return is_text(object[name], ("%s.%s"):format(field, name)) end
end

local frequencies = one_of("yearly", "monthly", "weekly", "daily", "hourly", "minutely", "secondly")
local weekday = one_of("mo", "tu", "we", "th", "fr", "sa", "su")

local by_numbers = {
  bySecond = { 0, 60 }, byMinute = { 0, 59 }, byHour = { 0, 23 },
  byMonthDay = { -31, 31 }, byYearDay = { -366, 366 }, byWeekNo = { -53, 53 }, bySetPosition = { -366, 366 },
}

-- The years of other calendars have more of these (RFC 7529).
local by_numbers_elsewhere = setmetatable({ byYearDay = { -385, 385 }, byWeekNo = { -55, 55 } }, { __index = by_numbers })

local skips = one_of("omit", "backward", "forward")

-- A calendar that lunation.rrule knows.
local function is_calendar(v, field)
  if type(v) == "string" and v:find "^[%w-]+$" and require("lunation.rrule").parse("FREQ=DAILY;RSCALE=" .. v) then return true end
  return wrong(field, "is no calendar that is known")
end

local function list_of(v, field, limit, check)
  if type(v) ~= "table" then return wrong(field, "is not a list") end
  local n = #v
  if n > limit then return wrong(field, ("has more than %d entries"):format(limit)) end
  for key in pairs(v) do
    if math.type(key) ~= "integer" or key < 1 or key > n then return wrong(field, "is not a list") end
  end
  for i = 1, n do
    local ok, err = check(v[i], ("%s[%d]"):format(field, i))
    if not ok then return nil, err end
  end
  return true
end

local function rule(r, field)
  if type(r) ~= "table" then return wrong(field, "is not a rule") end
  local ok, err = frequencies(r.frequency, field .. ".frequency")
  if ok then ok, err = optional(r, "interval", field, is_whole(1, 100000)) end
  if ok then ok, err = optional(r, "count", field, is_whole(1, 100000000)) end
  if ok then ok, err = optional(r, "until", field, is_local) end
  if ok then ok, err = optional(r, "firstDayOfWeek", field, weekday) end
  if ok then ok, err = optional(r, "rscale", field, is_calendar) end
  if ok then ok, err = optional(r, "skip", field, skips) end
  if not ok then return nil, err end
  local foreign = r.rscale ~= nil and r.rscale:lower() ~= "gregorian"
  if r.count and r["until"] then return wrong(field, "has both count and until; it may have one of them") end
  for name in pairs(by_numbers) do
    if r[name] ~= nil then
      local range = (foreign and by_numbers_elsewhere or by_numbers)[name]
      local check = is_whole(range[1], range[2])
      ok, err = list_of(r[name], ("%s.%s"):format(field, name), 400, function(v, at)
        if v == 0 and range[1] < 0 then return wrong(at, "is 0") end
        return check(v, at)
      end)
      if not ok then return nil, err end
    end
  end
  if r.byDay ~= nil then
    ok, err = list_of(r.byDay, field .. ".byDay", 400, function(v, at)
      if type(v) ~= "table" then return wrong(at, "is not a day") end
      local fine, problem = weekday(v.day, at .. ".day")
      if not fine then return nil, problem end
      if v.nthOfPeriod == 0 then return wrong(at .. ".nthOfPeriod", "is 0") end
      return optional(v, "nthOfPeriod", at, is_whole(-53, 53))
    end)
    if not ok then return nil, err end
  end
  if r.byMonth ~= nil then
    ok, err = list_of(r.byMonth, field .. ".byMonth", 30, function(v, at)
      local month = tonumber((tostring(v):match(foreign and "^(%d%d?)L?$" or "^(%d%d?)$")))
      if not month or month < 1 or month > (foreign and 13 or 12) then return wrong(at, "is not a month") end
      return true
    end)
  end
  return ok, err
end

local function rules(v, field)
  return list_of(v, field, M.limits.rules, rule)
end

local function flags(limit)
  return function(v, field)
    if type(v) ~= "table" then return wrong(field, "is not an object") end
    local count = 0
    for key, on in pairs(v) do
      count = count + 1
      if type(key) ~= "string" or on ~= true then return wrong(field, "is not an object of words with true") end
      if count > limit then return wrong(field, ("has more than %d entries"):format(limit)) end
    end
    return true
  end
end

local function custom(v, field)
  if type(v) ~= "table" or v == null then return wrong(field, "is not an object") end
  local found, json = pcall(require, "lunation.json")
  if found and type(json) == "table" then
    local ok, text = pcall(json.encode, v)
    if not ok or not text then return wrong(field, "cannot be written as JSON") end
    if #text > M.limits.custom then return wrong(field, "is too large") end
  end
  return true
end

local fields = {
  uid = function(v, field) return is_text(v, field, 1024) end,
  title = is_text, description = is_text,
  start = is_local, duration = is_duration, timeZone = is_zone, ["lunation:endTimeZone"] = is_zone, showWithoutTime = is_boolean,
  status = one_of("confirmed", "tentative", "cancelled"),
  freeBusyStatus = one_of("busy", "free"),
  privacy = one_of("public", "private", "secret"),
  priority = is_whole(0, 9), sequence = is_whole(0, 2147483647),
  created = is_utc, updated = is_utc,
  color = function(v, field) return is_text(v, field, 100) end,
  keywords = flags(M.limits.keywords),
  participants = each(participant, M.limits.participants),
  alerts = each(alert, M.limits.alerts),
  links = each(with_uri "href", M.limits.links),
  virtualLocations = each(with_uri "uri", M.limits.links),
  locations = each(function(place, field)
    local ok, err = optional(place, "name", field, is_text)
    if ok then ok, err = optional(place, "coordinates", field, is_text, 200) end
    return ok, err
  end, M.limits.links),
  recurrenceRules = rules, excludedRecurrenceRules = rules,
  ["lunation:conference"] = function(v, field)
    if type(v) ~= "table" then return wrong(field, "is not an object") end
    -- A room that the provider is asked to make has no address yet.
    if v.generate == true and v.uri == nil then return true end
    return is_text(v.uri, field .. ".uri", 65536)
  end,
  ["lunation:custom"] = custom,
  ["lunation:showAs"] = one_of("free", "tentative", "busy", "oof", "workingElsewhere"),
}
-- In this order errors are found, so that the same mistake is always named the same way.
local order = {}
for name in pairs(fields) do order[#order + 1] = name end
table.sort(order)

local function check_fields(event, prefix, before)
  for _, name in ipairs(order) do
    local v = event[name]
    if v ~= nil and v ~= null and not (before and instance.equal(before[name], v)) then
      local ok, err = fields[name](v, prefix .. name)
      if not ok then return nil, err end
    end
  end
  return true
end

local function overrides(v, event, before)
  if type(v) ~= "table" then return wrong("recurrenceOverrides", "is not an object") end
  local count = 0
  for key, patch in pairs(v) do
    count = count + 1
    if count > M.limits.overrides then return wrong("recurrenceOverrides", "has too many entries") end
    local name = ("recurrenceOverrides.%s"):format(tostring(key))
    local ok, err = is_local(key, name)
    if not ok then return nil, err end
    if type(patch) ~= "table" or patch == null then return wrong(name, "is not an object") end
    if event.showWithoutTime and key:sub(11) ~= "T00:00:00" then return wrong(name, "is not a day") end
    ok, err = check_fields(patch, name .. ".", before and before[key])
    if not ok then return nil, err end
  end
  return true
end

---@param event table canonical event
---@param before table? the event as it stood: what a server had odd and nobody touched is not held against a change
---@return boolean? ok
---@return lunation.Error? err {code="invalid_request", field=}
function M.event(event, before)
  before = before or {}
  if type(event) ~= "table" then return wrong("event", "is not an object") end
  if event.start == nil or event.start == null then return wrong("start", "is missing") end
  local ok, err = check_fields(event, "", before)
  if not ok then return nil, err end
  if event.showWithoutTime and not (before.start == event.start and before.duration == event.duration) then
    if event.start:sub(11) ~= "T00:00:00" then return wrong("start", "an event of whole days starts at midnight") end
    local length = event.duration and value.parse_duration(event.duration)
    if length and length.seconds % 86400 ~= 0 then return wrong("duration", "an event of whole days lasts days") end
  end
  if event.recurrenceOverrides ~= nil and event.recurrenceOverrides ~= null then
    ok, err = overrides(event.recurrenceOverrides, event, before.recurrenceOverrides)
    if not ok then return nil, err end
  end
  local moved = before.start ~= event.start or not instance.equal(before.recurrenceRules, event.recurrenceRules)
  for i, r in ipairs(moved and event.recurrenceRules or {}) do
    if r["until"] and r["until"] < event.start then
      return wrong(("recurrenceRules[%d].until"):format(i), "is before the start")
    end
  end
  return true
end

---The event as it is stored: dates as midnights, seconds added, the shortest durations, UTC by one name, no nulls.
---@param event table canonical event as a caller wrote it
---@return table event a copy
function M.normalize(event)
  local zone = require "lunation.ical.zone"
  local result = instance.copy(event)
  for field, v in pairs(event) do
    if v == null then result[field] = nil end
  end
  local function full(at)
    if type(at) ~= "string" then return at end
    if at:match("^%d%d%d%d%-%d%d%-%d%d$") then return at .. "T00:00:00" end
    if at:match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d$") then return at .. ":00" end
    return at
  end
  result["@type"] = "Event"
  result.start = full(result.start)
  result.duration = value.normal_duration(result.duration) or result.duration
  if result.duration == "PT0S" and not result.showWithoutTime then result.duration = nil end
  if type(result.timeZone) == "string" and zone.is_utc(result.timeZone) then result.timeZone = "Etc/UTC" end
  if result.showWithoutTime == true then
    result.timeZone = nil
    local length = value.parse_duration(result.duration or "P1D")
    if length and length.seconds % 86400 == 0 then
      result.duration = value.format_duration { days = math.max(1, length.days + length.seconds // 86400), seconds = 0 }
    end
  elseif result.showWithoutTime == false then
    result.showWithoutTime = nil
  end
  for _, r in ipairs(type(result.recurrenceRules) == "table" and result.recurrenceRules or {}) do
    if type(r) == "table" then r["until"] = full(r["until"]) end
  end
  return result
end

return M
