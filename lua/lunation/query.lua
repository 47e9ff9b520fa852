--- The read path: pages of events out of the mirror.
--
-- A worker keeps the times of a calendar's events in memory (lunation.agenda), brings them up to date by the calendar's
-- change counter before each page, and has events rendered only once; C finds, merges and splices.

local agenda = require "lunation.agenda"
local errors = require "lunation.errors"
local log = require "lunation.log"
local model = require "lunation.model"
local rscale = require "lunation.rscale"
local task = require "lunation.task"
local timer = require "lunation.timer"

---@class lunation.Rendering how a dialect shows an event
---@field name string
---@field variant string? which of its ways
---@field digest string? of the mapping: another one, another rendering
---@field render fun(event: table, context: lunation.RenderingContext): string? JSON text with slots; nil leaves the event out

---@class lunation.RenderingContext
---@field calendar table its row
---@field account table its row
---@field id string of the event, the series' for an instance
---@field original any the provider's own
---@field recurrenceId string? of an override, which `event` then is
---@field mode "instances"|"masters"
---@field recurring boolean

---@class lunation.PageRequest
---@field calendars table[] rows
---@field accounts table<integer, table>? rows by id, those not given are looked up
---@field from integer window [from, to), Unix seconds; what overlaps it is found
---@field to integer
---@field mode ("instances"|"masters")? masters: series once and without overrides, if an occurrence is in the window
---@field limit integer
---@field after string? the position that the page before ended at
---@field rendering lunation.Rendering
---@field prefix string? what stands before the array in the page's body

---@class lunation.Page
---@field count integer
---@field next string? position of the next page
---@field body lunation.Text prefix and JSON array
local Page = {}
Page.__index = Page

---What the page is, with a suffix, as the body of a response; to be asked for once.
---@param suffix string
---@return lunation.Text
function Page:ended(suffix) return agenda.append(self.body, suffix) end

---@class lunation.Query
---@field engine table
---@field agenda table
local Query = {}
Query.__index = Query

-- Rounds in which a page catches up with changes that arrive while it is made.
local ROUNDS = 16
-- Rows that are loaded before others may run.
local STRIDE = 2048

local query = {}

---@param engine lunation.Engine
---@return lunation.Query
function query.new(engine)
  local limits = engine.config.limits
  return setmetatable({
    engine = engine,
    agenda = agenda.new { memory = limits.agenda, renderings = limits.renderings },
    examine = limits.occurrences,
    kinds = {}, nkinds = 0,
    loading = {},
    shapes = {},
  }, Query)
end

-- --- calendars in memory -------------------------------------------------------------------------------------------

-- Rows are put one by one; the agenda sorts when it is next looked at.
local function load_rows(self, key, seq)
  local rows, err = self.engine.store:events_since(key, seq)
  if not rows then return nil, err end
  local count = 0
  for row in rows do
    if row.deleted then
      self.agenda:drop(key, row.key)
    else
      local good, problem = self.agenda:put(key, row.key, row.id, row.revision, row.event)
      if not good then
        log.warn("an event cannot be placed in time", { calendar = key, event = row.id, error = tostring(problem) })
      end
    end
    seq, count = row.seq, count + 1
    if count % STRIDE == 0 then timer.sleep(0) end
  end
  return seq
end

-- `known` is the calendar's change number from before: where its last changes were deletions, no row carries it.
local function load(self, calendar, known)
  local key, zone = calendar.key, calendar.timeZone
  local seq = self.agenda:open(key, calendar.account, zone)
  local reached, err = load_rows(self, key, seq)
  if not reached and err.code == "gone" then
    self.agenda:close(key)
    self.agenda:open(key, calendar.account, zone)
    reached, err = load_rows(self, key, 0)
  end
  if not reached then
    self.agenda:close(key)
    return nil, err
  end
  self.agenda:loaded(key, math.max(reached, known))
  return true
end

-- One load of a calendar at a time; who comes meanwhile waits for it.
local function load_once(self, calendar, known)
  local key = calendar.key
  local running = self.loading[key]
  if not running then
    running = task.spawn(function()
      local mark <close> = setmetatable({}, { __close = function() self.loading[key] = nil end })
      return load(self, calendar, known), mark and nil
    end)
    self.loading[key] = running
  end
  local ran, good, err = running:wait()
  if not ran then
    self.agenda:close(key)
    return nil, good
  end
  return good, err
end

-- What of a calendar's row shows in renderings of its events; another shape, other renderings.
local function check_shape(self, calendar)
  local shape = table.concat({ calendar.id, calendar.title or "", calendar.color or "", tostring(calendar.readOnly) }, "\0")
  local known = self.shapes[calendar.key]
  if known ~= shape then
    if known then self.agenda:forget(calendar.key) end
    self.shapes[calendar.key] = shape
  end
end

-- Brings calendars up to date. What was loaded early may have changed, or been given up, while another was loaded: then again.
local function refresh(self, calendars, keys, from, to)
  local tried = {}
  for _ = 1, ROUNDS do
    local seqs, err = self.engine.store:calendar_seqs(keys)
    if not seqs then return nil, err end
    local waited = false
    for _, calendar in ipairs(calendars) do
      local have = self.agenda:open(calendar.key, calendar.account, calendar.timeZone)
      if have < (seqs[calendar.key] or 0) or self.loading[calendar.key] then
        local good
        good, err = load_once(self, calendar, seqs[calendar.key] or 0)
        if not good then return nil, err end
        waited = true
      end
      check_shape(self, calendar)
      waited = rscale.supply(self.agenda, calendar.key, from, to, tried, function(id, problem)
        log.warn("an event cannot be placed in time", { calendar = calendar.key, event = id, error = tostring(problem) })
      end) or waited
    end
    if not waited then return true end
  end
  return nil, errors.new("busy", "the calendars change faster than they can be read")
end

-- --- pages ---------------------------------------------------------------------------------------------------------

local function kind_of(self, rendering, mode)
  local name = table.concat({ rendering.name, rendering.variant or "", rendering.digest or "", mode }, "\0")
  local kind = self.kinds[name]
  if not kind then
    kind = self.nkinds
    self.nkinds = kind + 1
    self.kinds[name] = kind
  end
  return kind
end

local function account_of(self, request, id)
  local accounts = request.accounts
  if not accounts then
    accounts = {}
    request.accounts = accounts
  end
  local account = accounts[id]
  if not account then
    local err
    account, err = self.engine.store:account(id)
    if not account then return nil, err end
    accounts[id] = account
  end
  return account
end

-- The row that an item was found by, and its event: the instance itself where an override is meant. Nil without an error when
-- it has changed meanwhile.
local function read_item(self, item)
  local row, err = self.engine.store:event_by_key(item.event)
  if not row then return nil, nil, err and err.code ~= "not_found" and err or nil end
  if row.revision ~= item.revision then return nil end
  local event = row.event
  if item.original then event = model.instance(event, item.original) end
  return row, event
end

local function render(self, request, calendar, item, kind)
  local row, event, err = read_item(self, item)
  if not row then return err == nil, err end
  local account
  account, err = account_of(self, request, calendar.account)
  if not account then return nil, err end
  local good, text = true, nil
  if event then
    good, text = pcall(request.rendering.render, event, {
      calendar = calendar, account = account, id = row.id, original = row.original, recurrenceId = item.original,
      mode = request.mode or "instances", recurring = item.recurring,
    })
  end
  if not good then
    log.error("an event cannot be rendered and is left out", { calendar = calendar.key, event = row.id, error = tostring(text) })
    text = nil
  end
  self.agenda:render(calendar.key, item.event, item.revision, item.original, kind, text)
  return true
end

local function sorted_out(request)
  local keys, by_key = {}, {}
  for index, calendar in ipairs(request.calendars) do
    keys[index] = calendar.key
    by_key[calendar.key] = calendar
  end
  return keys, by_key
end

---A page of what overlaps a window, in the order of start, account, calendar, id, original start. An event whose place does
---not change between pages is on exactly one of them.
---@param request lunation.PageRequest
---@return lunation.Page?, lunation.Error?
function Query:page(request)
  local keys, by_key = sorted_out(request)
  local kind = kind_of(self, request.rendering, request.mode or "instances")
  local wanted = {
    calendars = keys, from = request.from, to = request.to, limit = request.limit, examine = self.examine,
    masters = request.mode == "masters", after = request.after, kind = kind, prefix = request.prefix,
  }
  for _ = 1, ROUNDS do
    local good, err = refresh(self, request.calendars, keys, request.from, request.to)
    if not good then return nil, err end
    local body, count, next_position = self.agenda:page(wanted)
    if body then return setmetatable({ body = body, count = count, next = next_position }, Page) end
    local missing = count
    if missing.code then return nil, errors.new("invalid_request", missing.message, { field = "after" }) end
    for _, item in ipairs(missing) do
      good, err = render(self, request, by_key[item.calendar], item, kind)
      if not good then return nil, err end
    end
  end
  return nil, errors.new("busy", "the events change faster than they can be read")
end

---@class lunation.Instance
---@field calendar table row
---@field id string of the event, the series' for an occurrence
---@field event table canonical; an occurrence is flattened
---@field start integer Unix seconds
---@field finish integer
---@field recurrenceId string? local start by the series

---The same as tables, for scripts and the command.
---@param request lunation.PageRequest `rendering` is not needed
---@return lunation.Instance[]?, string|lunation.Error|nil next position of the next page
function Query:instances(request)
  local keys, by_key = sorted_out(request)
  local good, err = refresh(self, request.calendars, keys, request.from, request.to)
  if not good then return nil, err end
  local found, next_position = self.agenda:entries {
    calendars = keys, from = request.from, to = request.to, limit = request.limit, examine = self.examine,
    masters = request.mode == "masters", after = request.after,
  }
  if not found then return nil, errors.new("invalid_request", next_position.message, { field = "after" }) end
  local list, rows = {}, {}
  for _, entry in ipairs(found) do
    local row = rows[entry.event]
    if not row then
      row, err = self.engine.store:event_by_key(entry.event)
      if err and err.code ~= "not_found" then return nil, err end
      rows[entry.event] = row or false
    end
    local event = row and row.event
    if event and entry.recurrenceId then event = model.instance(event, entry.recurrenceId) end
    if event then
      list[#list + 1] = {
        calendar = by_key[entry.calendar], id = entry.id, event = event, start = entry.start, finish = entry.finish,
        recurrenceId = entry.recurrenceId,
      }
    end
  end
  return list, next_position
end

return query
