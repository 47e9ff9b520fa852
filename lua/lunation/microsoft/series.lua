-- A series of Graph as one native event: the master with its exceptionOccurrences (events of their own) and cancelledOccurrences
-- (names that end in a date) is a JSCalendar event with recurrenceOverrides (RFC 8984 section 4.3.5). This is the envelope of the
-- event's mapping: the mapping's own entries read and write one event, master or exception.
local errors = require "lunation.errors"
local instance = require "lunation.model.instance"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local null = require "lunation.null"
local property = require "lunation.microsoft.property"
local recurrence = require "lunation.ical.recurrence"
local time = require "lunation.microsoft.time"
local value = require "lunation.ical.value"

local M = {}

local types = { singleInstance = true, seriesMaster = true, exception = true, occurrence = true }

local function wrong(field, why)
  return nil, errors.new("invalid_request", ("%s: %s"):format(field, why), { field = field, reason = why })
end

local function list(v) return type(v) == "table" and v ~= null and v or {} end

local function is_series(native) return type(native.recurrence) == "table" and native.recurrence ~= null end
M.is_series = is_series

-- What an exception does not have of its own it has of its master.
local own = {
  id = true, recurrence = true, exceptionOccurrences = true, cancelledOccurrences = true, originalStart = true, type = true,
  seriesMasterId = true, ["@odata.etag"] = true, etag = true,
}

-- One instance as a whole event of Graph: the exception over the master.
local function whole(master, exception, event, key)
  local result = {}
  for name, v in pairs(master) do
    if not own[name] then result[name] = v end
  end
  local from = time.original(key, event)
  local moment = { dateTime = from:sub(1, 19), timeZone = "UTC" }
  local length = value.parse_duration(event.duration or "PT0S")
  local finish = value.shift(moment.dateTime, length.days * 86400 + length.seconds)
  result.start, result["end"] = moment, { dateTime = finish, timeZone = "UTC" }
  -- Its days and hours are told in the zone in which the series recurs.
  if not event.showWithoutTime then result.originalStartTimeZone = time.name(event.timeZone) end
  for name, v in pairs(exception) do result[name] = v end
  -- The page of an instance is no change of it.
  result.webLink = master.webLink
  property.inherit(result, master, exception)
  result.recurrence = nil
  return result
end

local function author_zone(native) return time.zone(native.originalStartTimeZone) end

---The date, and time if it has one, that the name of a cancelled occurrence ends in.
local function cancelled_key(name, event)
  local date, clock = tostring(name):match("(%d%d%d%d%-%d%d%-%d%d)([T%d:]*)[^%d]*$")
  if not date or not value.seconds(date) then return nil end
  if #clock == 9 then return date .. clock end
  return date .. (event.showWithoutTime and "T00:00:00" or event.start:sub(11))
end

local function read_overrides(self, native, event)
  local overrides = {}
  for _, name in ipairs(list(native.cancelledOccurrences)) do
    local key = cancelled_key(name, event)
    if not key then return wrong("cancelledOccurrences", ("%q names no day"):format(tostring(name):sub(1, 80))) end
    overrides[key] = { excluded = true }
  end
  for index, exception in ipairs(list(native.exceptionOccurrences)) do
    local field = ("exceptionOccurrences[%d]"):format(index)
    if type(exception) ~= "table" then return wrong(field, "is not an object") end
    local key = time.key(exception.originalStart, event, author_zone(native)) or cancelled_key(exception.occurrenceId, event)
    if not key then return wrong(field, "has no originalStart") end
    local full, err = self:read(whole(native, exception, event, key), { instance = true })
    if not full then return wrong(field .. "." .. (err.field or ""), err.reason or tostring(err)) end
    if exception.isCancelled == true and native.isCancelled ~= true then
      overrides[key] = { excluded = true }
    else
      overrides[key] = instance.diff(instance.base(event, key), full)
    end
  end
  return next(overrides) and overrides or nil
end

---A native event, with all that is of its series, as a canonical one.
---@param self lunation.Mapping
---@param native table
---@return table? event
---@return lunation.Error? err {field=}
function M.to(self, native)
  if type(native) ~= "table" or native == null then return wrong("event", "is not an object") end
  if native.type ~= nil and native.type ~= null and not types[native.type] then
    return wrong("type", ("%q is a word that is not known"):format(tostring(native.type)))
  end
  local event, err = self:read(native, { native = native })
  if not event then return nil, err end
  if is_series(native) then
    local overrides
    overrides, err = read_overrides(self, native, event)
    if err then return nil, err end
    event.recurrenceOverrides = overrides
  end
  return event
end

-- --- writing ---

---The exceptions and cancelled occurrences of a native series by their keys.
---@param native table
---@param event table canonical: start, timeZone, showWithoutTime
---@return table<string, table> exceptions
---@return table<string, string> cancelled
function M.index(native, event)
  local exceptions, cancelled = {}, {}
  for _, name in ipairs(list(native.cancelledOccurrences)) do
    local key = cancelled_key(name, event)
    if key then cancelled[key] = name end
  end
  for _, exception in ipairs(list(native.exceptionOccurrences)) do
    local key = type(exception) == "table" and time.key(exception.originalStart, event, author_zone(native))
    if key then exceptions[key] = exception end
  end
  return exceptions, cancelled
end

-- Whether Graph takes the exceptions away: it does where the series is at other times.
local function moved(before, after)
  for _, field in ipairs { "start", "duration", "timeZone", "showWithoutTime", "lunation:endTimeZone", "recurrenceRules" } do
    if not mapping.equal(before[field], after[field]) then return true end
  end
  return false
end

-- An instance that a patch makes: written over the exception that is there, or as what differs from the series.
local function write_instance(self, native, event, key, existing)
  local wanted = instance.flatten(event, key)
  wanted.recurrenceId, wanted.recurrenceIdTimeZone = nil, nil
  local base = whole(native, existing or {}, event, key)
  local before, err = self:read(base, { instance = true })
  if not before then return nil, err end
  local written = mapping.copy(base)
  local done
  done, err = self:write(written, wanted, before, { canonical = wanted, before = before, native = base, instance = true })
  if done == nil then return nil, err end
  if property.get(written, property.DATA) ~= property.get(base, property.DATA) then property.disinherit(written, native) end
  local result = existing and mapping.copy(existing) or { type = "exception", originalStart = time.original(key, event) }
  for name, v in pairs(written) do
    if not mapping.equal(v, base[name]) then result[name] = v end
  end
  return result
end

local function write_overrides(self, native, event, before, was)
  local wanted, had = event.recurrenceOverrides or {}, before and before.recurrenceOverrides or {}
  local there, gone = M.index(was or {}, before or event)
  local keys, seen = {}, {}
  for _, overrides in ipairs { wanted, had } do
    for key in pairs(overrides) do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  table.sort(keys)
  local again = before == nil or moved(before, event)
  local exceptions, cancelled = json.array {}, json.array {}
  local function refuse(key, why) return wrong("recurrenceOverrides", ("%s: %s"):format(key, why)) end
  for _, key in ipairs(keys) do
    local now, then_ = wanted[key], had[key]
    if now and mapping.equal(now, then_) and (now.excluded or not again) then
      if now.excluded then cancelled[#cancelled + 1] = gone[key] or ("OID..%s"):format(key:sub(1, 10)) end
      if there[key] then exceptions[#exceptions + 1] = there[key] end
    elseif now and now.excluded then
      if recurrence.generates(event, key) then cancelled[#cancelled + 1] = ("OID.%s.%s"):format(native.id or "", key:sub(1, 10)) end
    elseif now == nil and then_.excluded then
      if not again and recurrence.generates(event, key) then return refuse(key, "Outlook does not bring a cancelled occurrence back") end
    elseif now == nil then
      -- What was an exception is as the series again.
      if not again and there[key] and recurrence.generates(event, key) then
        local made, err = write_instance(self, native, event, key, there[key])
        if not made then return nil, err end
        exceptions[#exceptions + 1] = made
      end
    else
      if then_ and then_.excluded and not again then return refuse(key, "Outlook does not bring a cancelled occurrence back") end
      if not recurrence.generates(event, key) then return refuse(key, "Outlook has no occurrences besides those of the rule") end
      -- One that has to be made again is what differs from the series as it will be.
      local made, err = write_instance(self, native, event, key, not again and there[key] or nil)
      if not made then return wrong(("recurrenceOverrides.%s.%s"):format(key, err.field or ""), err.reason or tostring(err)) end
      exceptions[#exceptions + 1] = made
    end
  end
  native.exceptionOccurrences = #exceptions > 0 and exceptions or nil
  native.cancelledOccurrences = #cancelled > 0 and cancelled or nil
  return true
end

---A canonical event as a native one, or the native one changed to it.
---@param self lunation.Mapping
---@param canonical table
---@param patch_of table?
---@return table? native
---@return lunation.Error? err {field=}
function M.from(self, canonical, patch_of)
  if type(canonical) ~= "table" then return wrong("event", "is not an object") end
  local native, before, err = {}
  if patch_of ~= nil then
    native = mapping.copy(patch_of)
    before, err = M.to(self, patch_of)
    if not before then return nil, err end
  end
  local done
  done, err = self:write(native, canonical, before, { canonical = canonical, before = before, native = patch_of })
  if done == nil then return nil, err end
  if canonical.recurrenceRules then
    done, err = write_overrides(self, native, canonical, before, patch_of)
    if not done then return nil, err end
  elseif canonical.recurrenceOverrides and next(canonical.recurrenceOverrides) then
    return wrong("recurrenceOverrides", "Outlook has no occurrences besides those of a rule")
  else
    native.exceptionOccurrences, native.cancelledOccurrences = nil, nil
  end
  return native
end

return M
