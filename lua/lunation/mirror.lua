--- The mirror of one calendar: the provider's batches, one after another, into the store.
--
-- A batch is applied while the next one is on its way already known to exist or not, so that only the true end of a
-- listing deletes what was not named, and a calendar of any size takes the memory of two batches.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local log = require "lunation.log"
local model = require "lunation.model"

local mirror = {}

--- A native event as the row that the store keeps.
---@param provider table
---@param native table
---@return lunation.store.Upsert?, lunation.Error?
function mirror.row(provider, native)
  local event, err = provider.event:to(native)
  if not event then return nil, err end
  local start, finish, recurring = model.span(event)
  if not start then return nil, finish end
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

local function rows_of(run, calendar, batch)
  local upserts = {}
  for _, native in ipairs(batch.upserts or {}) do
    local row, err = mirror.row(run.provider, native)
    if row then
      upserts[#upserts + 1] = row
    else
      run.counts.skipped = run.counts.skipped + 1
      log.warn("an event cannot be read", { calendar = calendar.id, event = native.id, error = tostring(err) })
    end
  end
  return upserts
end

--- Brings the mirror of one calendar up to date.
---@param store lunation.Store
---@param run { account: table, provider: table, fence: lunation.store.Fence?, counts: lunation.SyncCounts }
---@param calendar lunation.CalendarRow
---@param told fun(events: integer)? called after each batch with the number of its events
---@return true?, lunation.Error?
function mirror.sync(store, run, calendar, told)
  local at, missing = store:calendar_state(calendar.key)
  if not at then return nil, missing end
  local following, err = run.provider.changes(run.account, calendar, at.state)
  if not following then return nil, err end
  local listing, version, reset = crypto.hex(crypto.random(8)), at.version, false
  local batch, failure = following()
  while batch do
    local next_batch
    next_batch, failure = following()
    reset = reset or batch.reset or false
    local upserts = rows_of(run, calendar, batch)
    local cut_short = next_batch == nil and not failure and batch.more
    local applied, problem = apply(store, run, calendar, {
      calendar = calendar.key, expect = version, epoch = at.epoch, state = batch.state, upserts = upserts,
      deletes = batch.deletes, reset = reset, run = listing, fence = run.fence,
      more = next_batch ~= nil or failure ~= nil or cut_short or false,
    })
    if not applied then return nil, problem end
    version = applied.version
    for _, name in ipairs { "created", "updated", "deleted", "unchanged", "skipped" } do
      run.counts[name] = run.counts[name] + applied[name]
    end
    if told then told(#upserts + #(batch.deletes or {})) end
    if cut_short then
      return nil, errors.new("provider_error", "the listing ended before its end", { account = run.account.id })
    end
    batch = next_batch
  end
  if failure then return nil, failure end
  if at.version == version and not at.synced_at then
    -- Nothing came at all: an empty calendar, or one without anything upstream. It is known to be so now.
    local applied, problem = store:apply { calendar = calendar.key, expect = version, fence = run.fence }
    if not applied then return nil, problem end
  end
  return true
end

return mirror
