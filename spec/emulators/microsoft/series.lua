-- A stored event and its occurrences: where they lie, what an exception changes, which ids they have.
--
-- item = { kind="event", id=, immutable=, calendar=, props=, exceptions={[key]={props=,version=}}, cancelled={key, …} }
-- An occurrence is { item=, key=, exception=, start=, finish=, original= }; key is the original local start. A single event has no key.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local recurrence = require "spec.emulators.microsoft.recurrence"
local times = require "spec.emulators.microsoft.times"
local tz = require "lunation.tz"

local M = {}

---A property as the occurrence has it: its own, else the series'.
function M.value(occurrence, name)
  local exception = occurrence.exception
  if exception and exception.props[name] ~= nil then return exception.props[name] end
  return occurrence.item.props[name]
end

-- Days of an all-day event.
local function days(props)
  return (tz.to_utc(props["end"].localtime, "Etc/UTC") - tz.to_utc(props.start.localtime, "Etc/UTC")) // 86400
end

---Prepares an item after start, end or recurrence were set: the rule, the length, and the first occurrence as the master's own time.
function M.prepare(item)
  local props = item.props
  item.days = props.isAllDay and days(props) or nil
  item.length = props["end"].at - props.start.at
  item.set = nil
  if not props.recurrence then return end
  item.set = recurrence.compile(props.recurrence, props.start.localtime:sub(11), props.start.iana)
  local first = item.set:instants(nil, nil, 1)[1]
  if not first then answer.fail(400, "ErrorRecurrenceHasNoOccurrence", "The specified recurrence pattern has no associated occurrences within its range.") end
  if first ~= props.start.at then
    local function moved(old, at) return { localtime = (tz.to_local(at, old.iana)), zone = old.zone, iana = old.iana, at = at } end
    local finish = M.finish(item, first)
    props.start, props["end"] = moved(props.start, first), moved(props["end"], finish)
    props.recurrence.range.startDate = props.start.localtime:sub(1, 10)
    item.set = recurrence.compile(props.recurrence, props.start.localtime:sub(11), props.start.iana)
  end
end

---When an occurrence that starts at an instant ends.
function M.finish(item, at)
  if not item.days then return at + item.length end
  local iana = item.props.start.iana
  return (tz.to_utc(times.add_days((tz.to_local(at, iana)):sub(1, 10), item.days) .. "T00:00:00", iana))
end

local function is_cancelled(item, key)
  for _, each in ipairs(item.cancelled) do
    if each == key then return true end
  end
  return false
end

---@return string key original local start of an occurrence
function M.key(item, at) return (tz.to_local(at, item.props.start.iana)) end

-- One occurrence by its key; nothing is said of whether the rule has it.
local function occurrence_of(item, key, at)
  at = at or tz.to_utc(key, item.props.start.iana)
  local exception = item.exceptions[key]
  local occurrence = { item = item, key = key, exception = exception, original = at, start = at, finish = M.finish(item, at) }
  if exception and exception.props.start then
    occurrence.start, occurrence.finish = exception.props.start.at, exception.props["end"].at
  end
  return occurrence
end

---A single event, or the master of a series, as an entity of its own.
function M.root(item)
  return { item = item, start = item.props.start.at, finish = item.props["end"].at }
end

local function overlaps(occurrence, from, to)
  return occurrence.start < to and (occurrence.finish > from or occurrence.start == occurrence.finish and occurrence.start >= from)
end

---The occurrences of an item that lie in [from, to), in order of their starts.
---@param item table
---@param from integer
---@param to integer
---@return table[]
function M.within(item, from, to)
  local out = {}
  if not item.set then
    local root = M.root(item)
    if overlaps(root, from, to) then out[1] = root end
    return out
  end
  local reach = item.days and (item.days + 1) * 86400 or item.length
  for _, at in ipairs((item.set:instants(from - reach - 1, to, 100000))) do
    local key = M.key(item, at)
    if not item.exceptions[key] and not is_cancelled(item, key) then
      local occurrence = occurrence_of(item, key, at)
      if overlaps(occurrence, from, to) then out[#out + 1] = occurrence end
    end
  end
  for key in pairs(item.exceptions) do
    local occurrence = occurrence_of(item, key)
    if overlaps(occurrence, from, to) then out[#out + 1] = occurrence end
  end
  table.sort(out, function(a, b)
    if a.start ~= b.start then return a.start < b.start end
    return (a.key or "") < (b.key or "")
  end)
  return out
end

---The occurrence of a key if the series has it.
---@return table?
function M.occurrence(item, key)
  if not item.set or is_cancelled(item, key) then return nil end
  local at = tz.to_utc(key, item.props.start.iana)
  if not at or item.set:instants(at, at + 1, 1)[1] ~= at then return nil end
  return occurrence_of(item, key, at)
end

---The occurrences before and after one, as they lie now.
---@return table? before
---@return table? after
function M.neighbours(item, occurrence)
  local before, after
  local at = occurrence.original
  local earlier = item.set:instants(nil, at, 100000)
  for i = #earlier, 1, -1 do
    before = M.occurrence(item, M.key(item, earlier[i]))
    if before then break end
  end
  for next_at in item.set:iter(at + 1) do
    after = M.occurrence(item, M.key(item, next_at))
    if after then break end
  end
  return before, after
end

-- Ids of occurrences follow from the series' id, so they change with it on a move; they are known once they were shown.
local function occurrence_id(box, item, key, immutable)
  local field = immutable and "immutable_ids" or "occurrence_ids"
  item[field] = item[field] or {}
  local id = item[field][key]
  if not id then
    local root = immutable and item.immutable or item.id
    id = root:sub(1, 40) .. "-" .. crypto.base64url(crypto.sha256(root .. key):sub(1, 24)) .. (immutable and "AQ==" or "AAA=")
    item[field][key] = id
    box.index[id] = { kind = "event", item = item, key = key, occurrence = true }
  end
  return id
end

---@param box spec.graph.Box
---@param occurrence table
---@param immutable boolean?
---@return string
function M.id(box, occurrence, immutable)
  local item = occurrence.item
  if not occurrence.key then return immutable and item.immutable or item.id end
  return occurrence_id(box, item, occurrence.key, immutable)
end

---@return string the form of id in which a master names its cancelled occurrences
function M.occurrence_name(item, key, immutable)
  return "OID." .. (immutable and item.immutable or item.id) .. "." .. key:sub(1, 10)
end

---The event that an id names: a root or an occurrence.
---@param box spec.graph.Box
---@param id string
---@return table occurrence
function M.find(box, id)
  local found = box.index[id]
  if found and found.occurrence then
    local occurrence = box.index[found.item.id] and M.occurrence(found.item, found.key)
    return occurrence or answer.missing()
  end
  return M.root(box:need(id, "event"))
end

---@return integer version of what is shown
function M.version(occurrence)
  local item, exception = occurrence.item, occurrence.exception
  if not occurrence.key then return item.version end
  return exception and math.max(exception.version, item.base) or item.base
end

return M
