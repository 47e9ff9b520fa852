-- Calendar files in and out: an import that can be undone, and an export of any size.

local errors = require "lunation.errors"
local feed = require "lunation.feed"
local json = require "lunation.json"
local model = require "lunation.model"
local mapping = require "lunation.ical.mapping"
local task = require "lunation.task"
local component = require "lunation.ical.component"
local tree = require "lunation.ical.tree"
local tz = require "lunation.tz"
local zone = require "lunation.ical.zone"

local transfer = {}

-- Writes that are under way at once: providers answer one by one, and most of the time is waiting.
local AT_ONCE = 4

-- What a store adds or counts by itself, and no file means to change.
local OWN = { ["@type"] = true, uid = true, created = true, updated = true, sequence = true, prodId = true, ["lunation:custom"] = true }

--- What makes of one event another; nil where they say the same.
---@param there table canonical, as it is
---@param wanted table canonical
---@return table? patch
function transfer.difference(there, wanted)
  local patch
  for field, value in pairs(wanted) do
    if not OWN[field] and not model.equal(there[field], value) then
      patch = patch or {}
      patch[field] = value
    end
  end
  for field in pairs(there) do
    if not OWN[field] and wanted[field] == nil then
      patch = patch or {}
      patch[field] = json.null
    end
  end
  return patch
end

local function is_older(wanted, there)
  return (wanted.sequence or 0) < (there.sequence or 0)
end

-- A change is written down before it is made: an import that is killed can be undone like any other.
local function noted(engine, import, id, before, change)
  local good, err = engine.store:import_note(import, id, before)
  if not good then return nil, err end
  local row
  row, err = change()
  engine.store:import_done(import, row and row.id or id, row and row.revision)
  return row, err
end

---@class lunation.Imported
---@field id integer? of the import; nil where nothing was to be changed
---@field created integer
---@field updated integer
---@field unchanged integer
---@field skipped integer it was there, in a newer version or with `existing = "skip"`
---@field failed { uid: string, message: string }[]
---@field others table<string, integer> components of the file that are no events, by name: they were left out

-- Where iCalendar is what a provider keeps, its own mapping reads the text, and properties that no field stands for come
-- along; for others the text is only what the event is read from.
local function read_item(provider, item)
  local native = { text = item.text }
  local ran, event = pcall(provider.event.to, provider.event, native)
  if ran and type(event) == "table" and event.uid and event.start then return event, native end
  return mapping:to(native)
end

local function import_item(engine, run, item)
  local calendar = run.calendar
  local wanted, native = read_item(run.provider, item)
  local err = not wanted and native
  if not wanted then return nil, err, item.id end
  wanted = model.normalize(wanted)
  local rows
  rows, err = engine.store:events_by_uid(calendar.key, wanted.uid)
  if not rows then return nil, err, wanted.uid end
  local row = rows[1]
  if not row then
    local made
    made, err = noted(engine, run.open(), run.provider.new_id(wanted.uid), nil, function()
      return engine.write:create { calendar = calendar, event = wanted, like = native }
    end)
    return made and "created", err, wanted.uid
  end
  local patch = transfer.difference(row.event, wanted)
  if not patch then return "unchanged" end
  if run.existing == "skip" or is_older(wanted, row.event) then return "skipped" end
  local changed
  changed, err = noted(engine, run.open(), row.id, row.event, function()
    return engine.write:update { calendar = calendar, id = row.id, scope = "all", patch = patch }
  end)
  return changed and "updated", err, wanted.uid
end

--- Writes the events of a calendar text into a calendar: each master with its overrides is one event.
---@param engine lunation.Engine
---@param options {calendar: table, text: string, source: string, existing: "update"|"skip"|nil, progress: fun(done: integer, total: integer)?}
---@return lunation.Imported?, lunation.Error?
function transfer.import(engine, options)
  local calendar = options.calendar
  local parts, bad = feed.split(options.text)
  if not parts then return nil, bad end
  local account, missing = engine.store:account(calendar.account)
  if not account then return nil, missing end
  local provider = engine.providers:get(account.provider)
  if not provider or not provider.create or calendar.readOnly then
    return nil, errors.new("forbidden", ("the calendar `%s` cannot be written"):format(calendar.title or calendar.id))
  end
  local counts = { created = 0, updated = 0, unchanged = 0, skipped = 0, failed = {}, others = parts.others }
  local run = { calendar = calendar, provider = provider, existing = options.existing }
  function run.open()
    if not counts.id then
      local id, err = engine.store:import_begin(calendar.key, options.source)
      counts.id = counts.id or id or error(err, 0)
    end
    return counts.id
  end
  local total, at, done = #parts.items, 0, 0
  local function work()
    while at < total do
      at = at + 1
      local item = parts.items[at]
      parts.items[at] = false
      local outcome, err, uid = import_item(engine, run, item)
      if outcome then
        counts[outcome] = counts[outcome] + 1
      else
        table.insert(counts.failed, { uid = uid or item.id, message = tostring(err) })
      end
      done = done + 1
      if options.progress then options.progress(done, total) end
    end
  end
  local workers = {}
  for i = 1, math.min(AT_ONCE, total) do workers[i] = work end
  for _, ended in ipairs(task.all(workers)) do
    if not ended[1] then return nil, errors.from(ended[2]) end
  end
  return counts
end

---@class lunation.Undone
---@field removed integer
---@field restored integer
---@field kept { event: string, message: string }[] left as they are

local function undo_item(engine, calendar, item)
  local row, err = engine.store:event(calendar.key, item.event)
  if err then return nil, err end
  if not row then return item.before and "kept" or "gone", "it was deleted since" end
  if item.revision and row.revision ~= item.revision then return "kept", "it was changed since" end
  if not item.before then
    local good
    good, err = engine.write:delete { calendar = calendar, id = item.event, scope = "all" }
    return good and "removed", err
  end
  local patch = transfer.difference(row.event, item.before)
  if not patch then return "restored" end
  local good
  good, err = engine.write:update { calendar = calendar, id = item.event, scope = "all", patch = patch }
  return good and "restored", err
end

--- Takes back what an import did. Events that were changed since are left as they are, and named.
---@param engine lunation.Engine
---@param id integer
---@param progress fun(done: integer, total: integer)?
---@return lunation.Undone?, lunation.Error?
function transfer.undo(engine, id, progress)
  local import, err = engine.store:import(id)
  if err then return nil, err end
  if not import then return nil, errors.new("not_found", ("there is no import %d"):format(id)) end
  if import.undone then return nil, errors.new("conflict", ("the import %d is undone already"):format(id)) end
  local calendar, items
  calendar, err = engine.store:calendar(import.calendar)
  if not calendar then return nil, err or errors.new("not_found", "the calendar is gone") end
  items, err = engine.store:import_items(id)
  if not items then return nil, err end
  local counts, failure = { removed = 0, restored = 0, kept = {} }, nil
  for done, item in ipairs(items) do
    local outcome, why = undo_item(engine, calendar, item)
    if not outcome then
      failure = why
    elseif outcome == "kept" then
      table.insert(counts.kept, { event = item.event, message = why })
    elseif outcome ~= "gone" then
      counts[outcome] = counts[outcome] + 1
    end
    if outcome then engine.store:import_forget(id, item.event) end
    if progress then progress(done, #items) end
  end
  -- What could not be reached is tried again by the next call.
  if failure then return nil, failure end
  local good
  good, err = engine.store:import_undone(id)
  if not good then return nil, err end
  return counts
end

-- --- export ---

-- The components of an event's own text where the provider keeps one; else of a text that is made, whose zones begin
-- with the first event of the calendar, not of this one.
local function components_of(row, earliest)
  local text = type(row.original) == "table" and row.original.text
  local made = not text
  if made then
    local err
    text, err = require("lunation.ical").from_events { row.event }
    if not text then return nil, err end
  end
  local root, err = tree.parse(text)
  if not root then return nil, err end
  for i, node in ipairs(root.components) do
    local id = made and node.name == "VTIMEZONE" and component.value(node, "TZID")
    local name = id and zone.canonical(id)
    root.components[i] = name and zone.definition(name, earliest, id) or node
  end
  return root.components
end

-- The day on which the first event begins.
local function earliest_of(engine, calendar)
  local rows, err = engine.store:events_since(calendar.key, 0)
  if not rows then return nil, err end
  local first
  for row in rows do
    if row.start and (not first or row.start < first) then first = row.start end
  end
  return (tz.to_local((first or 0) - 86400, "UTC"))
end

--- Writes a calendar as iCalendar text, event by event: masters with their overrides, each zone once.
---@param engine lunation.Engine
---@param calendar table
---@param write fun(chunk: string)
---@param progress fun(done: integer)?
---@return integer? count of events, lunation.Error?
function transfer.export(engine, calendar, write, progress)
  local root = require("lunation.ical.write").calendar { name = calendar.title }
  local head = tree.serialize(root)
  local tail = "END:VCALENDAR\r\n"
  write(head:sub(1, -#tail - 1))
  local earliest, unread = earliest_of(engine, calendar)
  if not earliest then return nil, unread end
  local rows, err = engine.store:events_since(calendar.key, 0)
  if not rows then return nil, err end
  local zones, count = {}, 0
  for brief in rows do
    local row
    row, err = engine.store:event_by_key(brief.key)
    if err then return nil, err end
    if row then
      local components
      components, err = components_of(row, earliest)
      if not components then return nil, err end
      for _, node in ipairs(components) do
        local text = tree.serialize(node)
        local id = node.name == "VTIMEZONE" and (component.value(node, "TZID") or "")
        -- The first definition of a zone is the one: the texts of one calendar mean the same by a name.
        if not id or not zones[id] then write(text) end
        if id then zones[id] = true end
      end
      count = count + 1
      if progress then progress(count) end
    end
  end
  write(tail)
  return count
end

return transfer
