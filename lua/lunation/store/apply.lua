--- A batch of a provider's changes and the sync token that comes with it: one transaction, or nothing.

local json = require "lunation.json"
local errors = require "lunation.errors"
local fences = require "lunation.store.fences"
local rows = require "lunation.store.rows"

---@class lunation.store.Batch
---@field calendar integer key
---@field expect integer? the version of the sync state that the batch starts from (calendar_state); anything else by now: conflict
---@field state table? the sync state after the batch; not kept before the end of a full listing
---@field epoch integer? the calendar's epoch before the batch was fetched; rows written since then are not overwritten
---@field upserts lunation.store.Upsert[]?
---@field deletes string[]? ids
---@field fresh table<string, {epoch: integer, upsert: lunation.store.Upsert?}>? what was asked for again, by id; no upsert: it is gone
---@field reset boolean? part of a full listing: what none of its batches names is gone
---@field run string? names the listing that its batches belong to
---@field first boolean? the calendar was empty when the listing began: nothing can be missing at its end
---@field more boolean? another batch follows
---@field fence lunation.store.Fence?
---@field covers { from: integer, to: integer }? the span that the mirror covers with this batch; nil: what it covered before, and
---  everything after a full listing

---@class lunation.store.Applied
---@field created integer
---@field updated integer
---@field deleted integer
---@field unchanged integer
---@field skipped integer those that cannot be written as JSON
---@field version integer of the sync state now

---@class lunation.Store
local apply = {}

--- One batch on its way into a locked calendar.
local Application = {}
Application.__index = Application

--- Whether a row was written, or removed, after the batch was fetched. It is then to be asked for again.
---@param id string
---@param found table? the row as it is stored
---@param epoch integer of the batch
---@return boolean
function Application:younger(id, found, epoch)
  local written = found and found.epoch or rows.removed_in(self.sql, self.calendar, id)
  if written <= epoch then return false end
  self.refetch[#self.refetch + 1] = id
  return true
end

--- Writes one event of the batch.
---@param row table
---@param epoch integer of the batch
function Application:put(row, epoch)
  local found = rows.find(self.sql, self.calendar, row.id)
  if self:younger(row.id, found, epoch) then return end
  local outcome = rows.put(self.sql, self.calendar, found, row, self.context)
  self.counts[outcome] = self.counts[outcome] + 1
end

--- Takes one event out, and leaves word of it for those who follow the changes.
---@param id string
---@param epoch integer of the batch
---@param found table? the row as it is stored
function Application:drop(id, epoch, found)
  found = found or rows.find(self.sql, self.calendar, id)
  if not found or self:younger(id, found, epoch) then return end
  rows.drop(self.sql, self.calendar, found, id, { origin = "sync", now = self.context.now, epoch = epoch })
  self.counts.deleted = self.counts.deleted + 1
end

--- Deletes what the finished listing did not name.
---@param batch table
---@param run string of the listing
function Application:end_listing(batch, run)
  -- Key and id stand in an index: the events themselves, which may be many, are not read.
  local missing = self.sql.all("SELECT e.key, e.id FROM events e WHERE e.calendar = ? AND NOT EXISTS " ..
    "(SELECT 1 FROM listings l WHERE l.calendar = e.calendar AND l.run = ? AND l.id = e.id)", self.calendar.key, run)
  for _, row in ipairs(missing) do
    if not (batch.fresh and batch.fresh[row.id]) then self:drop(row.id, self.epoch) end
  end
  self.sql.run("DELETE FROM listings WHERE calendar = ?", self.calendar.key)
end

--- The whole batch.
---@param batch table
---@param encoded table[] rows of its upserts, ready to be written
---@param fresh table<string, {row: table?, epoch: integer}> events that were asked for again, by id
---@param run string? of the listing that the batch belongs to
function Application:run(batch, encoded, fresh, run)
  for _, row in ipairs(encoded) do
    if batch.reset and not batch.first then
      self.sql.run("INSERT INTO listings (calendar, run, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        self.calendar.key, run, row.id)
    end
    if not fresh[row.id] then self:put(row, self.epoch) end
  end
  for _, id in ipairs(batch.deletes or {}) do
    if not fresh[id] then self:drop(id, self.epoch) end
  end
  for id, again in pairs(fresh) do
    if again.row then self:put(again.row, again.epoch) else self:drop(id, again.epoch) end
  end
  if batch.reset and not batch.more and not batch.first then self:end_listing(batch, run) end
end

--- Applies one batch. Only true differences are counted, numbered and told to hooks.
---@param batch lunation.store.Batch
---@return lunation.store.Applied?, lunation.Error? nothing was applied; conflict: the mirror has moved on, start over;
---  refetch: rows (field `ids`) were written after the batch was fetched, ask for them again and give them as `fresh`
function apply:apply(batch)
  local encoded, fresh = {}, {}
  for _, upsert in ipairs(batch.upserts or {}) do
    encoded[#encoded + 1] = rows.encode(upsert)
  end
  local skipped = #(batch.upserts or {}) - #encoded
  for id, again in pairs(batch.fresh or {}) do
    local row, err
    if again.upsert then
      row, err = rows.encode(again.upsert)
      if not row then return nil, err end
    end
    fresh[id] = { epoch = again.epoch, row = row }
  end
  local keeps_state = batch.state ~= nil and not (batch.reset and batch.more)
  local state = keeps_state and json.encode(batch.state, { sorted = true }) or nil
  return self.db:write(function(sql)
    if batch.fence and not fences.holds(sql, batch.fence) then return nil, fences.lost(batch.fence) end
    local calendar, missing = rows.lock(sql, batch.calendar)
    if not calendar then return nil, missing end
    if batch.expect and batch.expect ~= calendar.state_version then
      return nil, errors.new("conflict", "the calendar has been synced by another since")
    end
    local now = self.clock()
    local application = setmetatable({
      sql = sql, calendar = calendar, epoch = batch.epoch or calendar.epoch, refetch = {},
      context = { origin = "sync", now = now, epoch = 0 },
      counts = { created = 0, updated = 0, deleted = 0, unchanged = 0, skipped = skipped, version = calendar.state_version },
    }, Application)
    application:run(batch, encoded, fresh, batch.run or "only")
    if #application.refetch > 0 then
      return nil, errors.new("refetch", "rows were written after the batch was fetched", { ids = application.refetch })
    end
    rows.unlock(sql, calendar)
    local counts = application.counts
    if state then
      counts.version = calendar.state_version + 1
      sql.run("UPDATE calendars SET state = ?, state_version = ? WHERE key = ?", state, counts.version, calendar.key)
    end
    if batch.covers or batch.reset and not batch.more then
      local covers = batch.covers or {}
      sql.run("UPDATE calendars SET covers_from = ?, covers_to = ? WHERE key = ?", covers.from, covers.to, calendar.key)
    end
    if not batch.more then
      sql.run("UPDATE calendars SET synced_at = ?, error = NULL WHERE key = ?", now, calendar.key)
    end
    return counts
  end)
end

return apply
