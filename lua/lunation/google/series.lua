-- A series as one native: Google's master with the instances that differ from it under `exceptions`, by their original start.
-- What is cancelled is kept as that alone. Both directions of the mapping of such a native are here, and the folding of single
-- resources into it.
local clock = require "lunation.ical.clock"
local errors = require "lunation.errors"
local instance = require "lunation.model.instance"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local properties = require "lunation.google.properties"
local recurrence = require "lunation.google.recurrence"
local rules = require "lunation.ical.recurrence"
local time = require "lunation.google.time"
local value = require "lunation.ical.value"

local M = {}

---@class google.Event: table an event resource; further fields of ours begin with "lunation:"
---@field id string
---@field etag string?
---@field exceptions table<string, google.Event>? of a master: by original start, "20250309T063000Z" or "20250309"

-- What belongs to one resource and to no other.
local identity = {
  "id", "etag", "iCalUID", "htmlLink", "created", "updated", "sequence", "creator", "organizer", "recurringEventId", "originalStartTime",
  "exceptions", "hangoutLink", "locked", "privateCopy", "kind", "href", "schedule_tag",
}

-- --- folding ---

---The place of an instance among the exceptions of its series.
---@param event google.Event
---@return string
function M.place(event)
  local original = event.originalStartTime
  if type(original) == "table" then
    if type(original.date) == "string" then return (original.date:gsub("-", "")) end
    local at = clock.to_local(time.instant(original), "UTC")
    if at then return (at:gsub("[-:]", "")) .. "Z" end
  end
  return "id:" .. tostring(event.id)
end

---An instance as its series keeps it.
---@param event google.Event
---@return google.Event
function M.exception(event)
  if event.status ~= "cancelled" then return event end
  return { id = event.id, recurringEventId = event.recurringEventId, originalStartTime = event.originalStartTime, status = "cancelled" }
end

---A copy of a series with instances folded in; the later one of the same place holds.
---@param master google.Event
---@param instances google.Event[]
---@return google.Event
function M.fold(master, instances)
  local folded, exceptions = {}, {}
  for name, v in pairs(master) do folded[name] = v end
  for place, event in pairs(master.exceptions or {}) do exceptions[place] = event end
  for _, event in ipairs(instances) do exceptions[M.place(event)] = M.exception(event) end
  folded.exceptions = next(exceptions) ~= nil and exceptions or nil
  return folded
end

---What Google has: without what was folded in, and without our own marks.
---@param native google.Event
---@return table
function M.original(native)
  local shown = {}
  for name, v in pairs(native) do
    if name ~= "exceptions" and name:sub(1, 9) ~= "lunation:" then shown[name] = v end
  end
  return shown
end

-- --- reading ---

---The recurrence id that the original start of an exception is in a series.
local function key_of(event, series)
  local original = event.originalStartTime
  if type(original) ~= "table" then return nil end
  if series.showWithoutTime then
    local date = type(original.date) == "string" and original.date or tostring(original.dateTime):sub(1, 10)
    return date:find("^%d%d%d%d%-%d%d%-%d%d$") and date .. "T00:00:00" or nil
  end
  if type(original.date) == "string" then return original.date .. series.start:sub(11) end
  return clock.key(time.instant(original), series)
end

local function refuse(native, field, why)
  return nil, errors.new("invalid_request", ("%s: %s"):format(field, why), { field = field, reason = why, details = { id = native.id } })
end

-- Whether the rules alone give an instance. A start that they do not give is none.
local function given(event, key)
  if not event.recurrenceRules then return key == event.start end
  return rules.occurrences(event, key, value.shift(key, event.showWithoutTime and 86400 or 1), 1)[1] == key
end

-- The overrides of a series: dates of its lines, and its exceptions.
local function read_overrides(of, native, event)
  local added, excluded, why = recurrence.dates(native, event)
  if why then return refuse(native, "recurrence", why) end
  local overrides = {}
  for key in pairs(added) do
    if key ~= event.start or not given(event, key) then overrides[key] = {} end
  end
  for key in pairs(excluded) do overrides[key] = { excluded = true } end
  for _, exception in pairs(native.exceptions or {}) do
    local name = "exceptions." .. tostring(exception.id)
    local key = key_of(exception, event)
    if not key then return refuse(native, name .. ".originalStartTime", "is missing or is no time") end
    if exception.status == "cancelled" then
      overrides[key] = { excluded = true }
    else
      local full, err = of:read(exception, {})
      if not full then return refuse(native, ("%s.%s"):format(name, err.field), err.reason or "cannot be read") end
      -- What a series is related to is said of it, and not again of each exception.
      full.relatedTo = event.relatedTo
      overrides[key] = instance.diff(instance.base(event, key), full)
    end
  end
  return overrides
end

local function to(of, native, context)
  if type(native) ~= "table" then return nil, errors.new("invalid_request", "the event is not an object") end
  if type(native.id) ~= "string" or native.id == "" then return refuse(native, "id", "is missing") end
  local event, err = of:read(native, context or {})
  if not event then
    err.details = { id = native.id }
    return nil, err
  end
  if native.recurringEventId then
    -- An instance whose series is not on this calendar.
    event.recurrenceId = key_of(native, event)
    event.recurrenceIdTimeZone = event.recurrenceId and event.timeZone or nil
  elseif native.recurrence or native.exceptions then
    local overrides, bad = read_overrides(of, native, event)
    if not overrides then return nil, bad end
    event.recurrenceOverrides = next(overrides) ~= nil and overrides or nil
  end
  return event
end

-- --- writing ---

local function without(native, names)
  local rest = {}
  for name, v in pairs(native) do rest[name] = mapping.copy(v) end
  for _, name in ipairs(names) do rest[name] = nil end
  return rest
end

---A native of which an instance begins: what the series is, without its identity, at the instance's time.
---@param master google.Event
---@param key string recurrence id
---@return google.Event
function M.base(master, key)
  local native, times = without(master, identity), time.read(master)
  local event = {
    start = key, duration = times.duration, timeZone = times.zone, showWithoutTime = times.all_day, ["lunation:endTimeZone"] = times.end_zone,
  }
  native.recurrence = nil
  native.recurringEventId, native.iCalUID = master.id, master.iCalUID
  native.originalStartTime = time.original_start(key, event)
  time.write(native, event)
  return native
end

---As M.base, for an instance that is known by its original start.
---@param master google.Event
---@param event google.Event
---@return google.Event? nil where it has none
function M.base_of(master, event)
  local times = time.read(master)
  local key = times and key_of(event, { start = times.start, timeZone = times.zone, showWithoutTime = times.all_day })
  return key and M.base(master, key) or nil
end

-- An instance's fields, of which the series' own are none.
local function flat(event, key)
  local full = instance.flatten(event, key)
  full.recurrenceId, full.recurrenceIdTimeZone, full.relatedTo = nil, nil, nil
  return full
end

-- Writes into a native what an instance is.
local function write_instance(of, native, wanted)
  local before, err = of:read(native, {})
  if not before then return nil, err end
  -- Neither is an instance's own to say.
  before.relatedTo, wanted.uid = nil, before.uid
  local done
  done, err = of:write(native, wanted, before, { canonical = wanted })
  if done == nil then return nil, err end
  if native.status == "cancelled" then native.status = "confirmed" end
  return native
end

local Overrides = {}
Overrides.__index = Overrides

-- The exceptions that are there, by recurrence id.
local function known_exceptions(patch_of, before)
  local known = {}
  for _, exception in pairs(patch_of and patch_of.exceptions or {}) do
    local key = key_of(exception, before)
    if key then known[key] = exception end
  end
  return known
end

function Overrides:add(exception)
  self.exceptions[M.place(exception)] = exception
end

-- Whether an exception that is known still stands where the instance begins now: another zone moves it to another moment.
function Overrides:stays(key, old)
  return not self.fresh and M.place(old) == M.place { originalStartTime = time.original_start(key, self.event) }
end

function Overrides:cancel(key)
  -- A rule that is written anyway says what it leaves out.
  if self.fresh or self.moved then
    self.excluded[key] = true
    return
  end
  local old = self.known[key]
  if self.had_excluded[key] then
    self.excluded[key] = true
    if not old or old.status ~= "cancelled" then return end
  end
  if old and old.status == "cancelled" then
    self:add(old)
    return
  end
  self:add {
    id = old and old.id, etag = old and old.etag, recurringEventId = self.native.id, status = "cancelled",
    originalStartTime = old and old.originalStartTime or time.original_start(key, self.event),
  }
end

function Overrides:change(key, patch)
  local old = self.known[key]
  if old and old.status == "cancelled" then old = nil end
  if self.had_added[key] and not self.moved then
    self.added[key] = true
  elseif not (old and not self.fresh and not self.moved) and not given(self.event, key) then
    self.added[key] = true
  end
  if not old and next(patch) == nil and not self.known[key] then return true end
  local native
  if old and self:stays(key, old) then
    native = mapping.copy(old)
  elseif old then
    native = without(old, identity)
    properties.set(native, "private", "uid", nil)
    native.originalStartTime, native.recurringEventId = time.original_start(key, self.event), self.native.id
    native.iCalUID = self.native.iCalUID
  else
    native = M.base(self.native, key)
    local gone = self.known[key]
    native.id = gone and self:stays(key, gone) and gone.id or nil
  end
  local done, err = write_instance(self.of, native, flat(self.event, key))
  if not done then return nil, err end
  self:add(native)
  return true
end

-- An exception that nobody wants any more becomes what the rule gives, where it gives anything.
function Overrides:reset(key)
  if self.fresh or not given(self.event, key) then return true end
  return self:change(key, {})
end

-- The dates and exceptions of a changed series.
local function write_overrides(of, native, event, patch_of, before, fresh)
  local had_added, had_excluded = {}, {}
  if patch_of then had_added, had_excluded = recurrence.dates(patch_of, before) end
  local job = setmetatable({
    of = of, native = native, event = event, fresh = fresh, known = known_exceptions(patch_of, before), exceptions = {},
    had_added = had_added, had_excluded = had_excluded, added = {}, excluded = {},
    moved = not before or before.start ~= event.start or before.timeZone ~= event.timeZone
      or not mapping.equal(before.recurrenceRules, event.recurrenceRules),
  }, Overrides)
  if had_added[event.start] and not job.moved then job.added[event.start] = true end
  for key, patch in pairs(event.recurrenceOverrides or {}) do
    if patch.excluded then
      job:cancel(key)
    else
      local done, err = job:change(key, patch)
      if not done then return nil, err end
    end
  end
  for key in pairs(job.known) do
    if not (event.recurrenceOverrides or {})[key] then
      local done, err = job:reset(key)
      if not done then return nil, err end
    end
  end
  recurrence.set_dates(native, event, job.added, job.excluded)
  native.exceptions = next(job.exceptions) ~= nil and job.exceptions or nil
  return true
end

local function from(of, event, patch_of, context)
  if type(event) ~= "table" then return nil, errors.new("invalid_request", "the event is not an object") end
  local native, before = {}, nil
  local fresh = patch_of == nil
  if patch_of then
    local err
    before, err = of:read(patch_of, {})
    if not before then return nil, err end
    -- Another event that is like this one: it has all of it but its name.
    fresh = event.uid ~= nil and before.uid ~= event.uid
    native = without(patch_of, fresh and identity or { "exceptions" })
  end
  context = context or {}
  context.canonical = event
  local done, err = of:write(native, event, before, context)
  if done == nil then return nil, err end
  if event.recurrenceRules or event.recurrenceOverrides then
    done, err = write_overrides(of, native, event, patch_of, before, fresh)
    if not done then return nil, err end
  else
    native.recurrence = nil
  end
  return native
end

---How whole natives are read and written (lunation.mapping).
M.envelope = { to = to, from = from }

---Whether a resource is a master of a series.
---@param event google.Event
---@return boolean
function M.is_master(event)
  return type(event.recurrence) == "table" and event.recurrence ~= json.null and #event.recurrence > 0
end

return M
