--- The mirror of one calendar: the provider's batches, one after another, into the store.
--
-- Only the true end of a listing deletes what was not named, and a calendar of any size takes the memory of two batches.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local json = require "lunation.json"
local log = require "lunation.log"
local model = require "lunation.model"

local mirror = {}

--- A native event as the row that the store keeps.
---@param provider table
---@param native table
---@return lunation.store.Upsert?, lunation.Error?
function mirror.row(provider, native)
  if type(native.id) ~= "string" or native.id == "" then return nil, errors.new("invalid_answer", "it has no id", { field = "id" }) end
  local event, err = provider.event:to(native)
  if not event then return nil, err or errors.new("invalid_answer", "its mapping gives nothing") end
  local start, finish, recurring = model.span(event)
  if not start then return nil, finish or errors.new("invalid_answer", "it has no start", { field = "start" }) end
  return {
    id = native.id, uid = event.uid, etag = native.etag, schedule_tag = native.schedule_tag,
    event = event, original = native, start = start, finish = finish, recurring = recurring,
  }
end

--- What a provider has under an id now. One without anything upstream has what the mirror has.
---@param store lunation.Store
---@param provider table
---@param account table
---@param calendar lunation.CalendarRow
---@param id string
---@return table? native, lunation.Error? code not_found
function mirror.fetch(store, provider, account, calendar, id)
  if provider.fetch then return provider.fetch(account, calendar, id) end
  local row, err = store:event(calendar.key, id)
  if not row then return nil, err or errors.new("not_found", "no such event") end
  return row.original
end

--- How often a row that keeps being written is asked for before the refresh is put off.
local ATTEMPTS = 5

--- Asks the provider again for rows that were written while a batch was fetched.
local function fetch_again(store, run, calendar, ids, fresh)
  for _, id in ipairs(ids) do
    local at, missing = store:calendar_state(calendar.key)
    if not at then return nil, missing end
    local native, err = mirror.fetch(store, run.provider, run.account, calendar, id)
    if native then
      local row, unreadable = mirror.row(run.provider, native)
      if not row then return nil, unreadable end
      fresh[id] = { epoch = at.epoch, upsert = row }
    elseif err and err.code == "not_found" then
      fresh[id] = { epoch = at.epoch }
    else
      return nil, err
    end
  end
  return true
end

--- Applies a batch; rows that our own writes made younger than it are refetched until none is left.
local function apply(store, run, calendar, batch)
  for _ = 1, ATTEMPTS do
    local applied, err = store:apply(batch)
    if applied or err.code ~= "refetch" then return applied, err end
    batch.fresh = batch.fresh or {}
    local again, failure = fetch_again(store, run, calendar, err.ids, batch.fresh)
    if not again then return nil, failure end
  end
  return nil, errors.new("conflict", "events are written faster than they can be read", { account = run.account.id })
end

--- What could not be read, with as much of it as is worth keeping.
local function unreadable(calendar, native, err)
  local original = json.encode(native, { sorted = true, utf8 = "replace" })
  return {
    id = tostring(native.id),
    error = errors.new("invalid_answer", ("an event of %s cannot be read: %s"):format(calendar.title or calendar.id, tostring(err)), {
      reason = err.code, details = { event = native.id, field = err.field, original = original },
    }),
  }
end

--- The rows of a batch; events that cannot be read stand in a list of their own.
local function rows_of(run, calendar, batch)
  local upserts, kept, read = {}, {}, {}
  for _, native in ipairs(batch.upserts or {}) do
    local fine, row, err = pcall(mirror.row, run.provider, native)
    if not fine then row, err = nil, errors.from(row) end
    if row then
      upserts[#upserts + 1], read[#read + 1] = row, row.id
    else
      run.counts.skipped = run.counts.skipped + 1
      kept[#kept + 1] = unreadable(calendar, native, err)
      log.warn("an event cannot be read", { calendar = calendar.id, event = native.id, error = tostring(err) })
    end
  end
  for _, id in ipairs(batch.deletes or {}) do read[#read + 1] = id end
  return upserts, kept, read
end

--- A listing on its way into the mirror of one calendar.
---@class lunation.mirror.Listing
---@field store lunation.Store
---@field run table
---@field calendar lunation.CalendarRow
---@field name string of the listing
---@field version integer of the state
---@field epoch integer
---@field reset boolean the batches since the last end are a full listing
---@field batches integer
---@field first boolean? the calendar was empty before
local Listing = {}
Listing.__index = Listing

--- Applies one batch; `more` says whether its listing goes on.
function Listing:apply(batch, more)
  local run, key = self.run, self.calendar.key
  self.reset = self.reset or batch.reset or false
  local upserts, kept, read = rows_of(run, self.calendar, batch)
  local ended = self.reset and not more
  local noted, failure = self.store:unreadable_note(key, { kept = kept, read = read, run = self.reset and not self.first and self.name or nil,
    over = self.reset and self.batches == 0 })
  if not noted then return nil, failure end
  local applied, problem = apply(self.store, run, self.calendar, {
    calendar = key, expect = self.version, epoch = self.epoch, state = batch.state, upserts = upserts, deletes = batch.deletes,
    reset = self.reset, run = self.name, first = self.first, fence = run.fence, more = more, covers = batch.covers,
  })
  if not applied then return nil, problem end
  self.version, self.batches = applied.version, self.batches + 1
  if ended then self.reset, self.name, self.batches, self.first = false, crypto.hex(crypto.random(8)), 0, nil end
  for _, name in ipairs { "created", "updated", "deleted", "unchanged", "skipped" } do
    run.counts[name] = run.counts[name] + applied[name]
  end
  return #(batch.upserts or {}) + #(batch.deletes or {})
end

--- How many events are read anew at once.
local AGAIN = 250

--- Reads the originals of a calendar anew, after its provider's mapping has changed. Nothing is asked of the provider.
local function map_again(store, run, calendar, at)
  local after = 0
  while true do
    local page, err = store:originals(calendar.key, after, AGAIN)
    if not page then return nil, err end
    if #page == 0 then return true end
    local natives = {}
    for index, row in ipairs(page) do natives[index], after = row.original or { id = row.id }, row.key end
    local upserts, kept, read = rows_of(run, calendar, { upserts = natives })
    local noted, failure = store:unreadable_note(calendar.key, { kept = kept, read = read })
    if not noted then return nil, failure end
    local applied, problem = apply(store, run, calendar, {
      calendar = calendar.key, expect = at.version, epoch = at.epoch, upserts = upserts, fence = run.fence, more = true,
    })
    if not applied then return nil, problem end
  end
end

--- Seconds after which a calendar of which something could not be read is listed anew: services mend what they gave.
local LOOK_AGAIN = 86400

--- Brings the mirror of one calendar up to date. A batch that says whether more follow is applied before the next is asked
--- for, so that the provider may look at the mirror (`calendar.mirrored`); of others, the next tells whether it was the last.
---@param store lunation.Store
---@param run { account: table, provider: table, fence: lunation.store.Fence?, counts: lunation.SyncCounts, mapping: string? }
---@param calendar lunation.CalendarRow
---@param told fun(events: integer)? called after each batch with the number of its events
---@return true?, lunation.Error?
function mirror.sync(store, run, calendar, told)
  local at, missing = store:calendar_state(calendar.key)
  if not at then return nil, missing end
  local unreadable_since = store:unreadable_since(calendar.key)
  local anew = unreadable_since and unreadable_since < store.clock() - LOOK_AGAIN
  if run.mapping and store:calendar_mapping(calendar.key) ~= run.mapping then
    anew = unreadable_since ~= nil
    if at.synced_at then
      local done, failure = map_again(store, run, calendar, at)
      if not done then return nil, failure end
    end
    store:calendar_mapped(calendar.key, run.mapping)
  end
  calendar.mirrored = function(id)
    local row = store:event(calendar.key, id)
    return row and row.original or nil
  end
  local following, err = run.provider.changes(run.account, calendar, not anew and at.state or nil)
  if not following then return nil, err end
  local listing = setmetatable({
    store = store, run = run, calendar = calendar, name = crypto.hex(crypto.random(8)), version = at.version, epoch = at.epoch,
    reset = false, batches = 0, first = at.state == nil and store:event_count(calendar.key) == 0 or nil,
  }, Listing)
  local batch, failure = following()
  while batch do
    local next_batch, cut_short, done, problem
    if batch.more ~= nil then
      done, problem = listing:apply(batch, batch.more)
      if not done then return nil, problem end
      next_batch, failure = following()
      cut_short = next_batch == nil and not failure and batch.more
    else
      next_batch, failure = following()
      done, problem = listing:apply(batch, next_batch ~= nil or failure ~= nil)
      if not done then return nil, problem end
    end
    if told then told(done) end
    if cut_short then
      return nil, errors.new("provider_error", "the listing ended before its end", { account = run.account.id })
    end
    batch = next_batch
  end
  if failure then return nil, failure end
  if at.version == listing.version and not at.synced_at then
    -- Nothing came at all: an empty calendar, or one without anything upstream. It is known to be so now.
    local applied, problem = store:apply { calendar = calendar.key, expect = listing.version, fence = run.fence }
    if not applied then return nil, problem end
  end
  return true
end

return mirror
