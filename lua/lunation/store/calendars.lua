--- Calendars of an account: the canonical calendar, its counters, and the state of its sync.

local json = require "lunation.json"
local errors = require "lunation.errors"
local fences = require "lunation.store.fences"
local notes = require "lunation.store.notes"

---@class lunation.CalendarRow: lunation.Calendar
---@field key integer
---@field account integer
---@field seq integer the number of the last change
---@field pruned integer tombstones up to this number are gone
---@field epoch integer the number of the last write of our own
---@field synced_at number?
---@field error table?
---@field covers { from: integer, to: integer }? the span that the mirror covers, seconds since the epoch; nil: all of it

---@class lunation.Store
local calendars = {}

local COLUMNS = "key, account, id, seq, pruned, epoch, synced_at, error, covers_from, covers_to, calendar"

local function from_row(row)
  if not row then return nil end
  local calendar = json.decode(row.calendar)
  calendar.id = row.id
  calendar.key, calendar.account = row.key, row.account
  calendar.seq, calendar.pruned, calendar.epoch = row.seq, row.pruned, row.epoch
  calendar.synced_at = row.synced_at
  calendar.covers = row.covers_from and { from = row.covers_from, to = row.covers_to } or nil
  calendar.error = row.error and json.decode(row.error) or nil
  return calendar
end

--- Calendars in the order of their accounts, then as the provider lists them.
---@param filter { account: integer?, accounts: integer[]? }
---@return lunation.CalendarRow[]?, lunation.Error?
function calendars:calendars(filter)
  local ids = filter.accounts or { filter.account }
  return self.db:read(function(sql)
    local found = {}
    for _, id in ipairs(ids) do
      for _, row in ipairs(sql.all("SELECT " .. COLUMNS .. " FROM calendars WHERE account = ? ORDER BY position, key", id)) do
        found[#found + 1] = from_row(row)
      end
    end
    return found
  end)
end

---@param key integer
---@return lunation.CalendarRow?, lunation.Error?
function calendars:calendar(key)
  return self.db:read(function(sql)
    return from_row(sql.row("SELECT " .. COLUMNS .. " FROM calendars WHERE key = ?", key))
  end)
end

--- A calendar by the id that its provider gives it.
---@param account integer
---@param id string
---@return lunation.CalendarRow?, lunation.Error?
function calendars:calendar_by_id(account, id)
  return self.db:read(function(sql)
    return from_row(sql.row("SELECT " .. COLUMNS .. " FROM calendars WHERE account = ? AND id = ?", account, id))
  end)
end

--- The change numbers of calendars, and nothing else of them: the cheapest question whether something is new.
---@param keys integer[]
---@return table<integer, integer>? seq by key; a calendar that is gone is missing, lunation.Error?
function calendars:calendar_seqs(keys)
  return self.db:read(function(sql)
    local found = {}
    for _, key in ipairs(keys) do found[key] = sql.value("SELECT seq FROM calendars WHERE key = ?", key) end
    return found
  end)
end

--- Whether a span reaches beyond what the mirror of an account covers.
---@param account integer
---@param from integer seconds since the epoch
---@param to integer
---@return boolean?, lunation.Error?
function calendars:calendars_outside(account, from, to)
  return self.db:read(function(sql)
    return sql.value("SELECT 1 FROM calendars WHERE account = ? AND covers_from IS NOT NULL AND (covers_from > ? OR covers_to < ?) LIMIT 1",
      account, from, to) ~= nil
  end)
end

--- Where the sync of a calendar stands. The state may be large, which is why rows do not carry it.
---@param key integer
---@return { state: table?, version: integer, epoch: integer, synced_at: number? }?, lunation.Error?
function calendars:calendar_state(key)
  return self.db:read(function(sql)
    local row = sql.row("SELECT state, state_version AS version, epoch, synced_at FROM calendars WHERE key = ?", key)
    if not row then return nil, errors.new("not_found", "no such calendar") end
    row.state = row.state and json.decode(row.state) or nil
    return row
  end)
end

--- Whether some calendar of an account was mirrored by another mapping.
---@param account integer
---@param digest string of the mapping now
---@return boolean?, lunation.Error?
function calendars:mapping_changed(account, digest)
  return self.db:read(function(sql)
    return sql.value("SELECT 1 FROM calendars WHERE account = ? AND synced_at IS NOT NULL AND mapping IS NOT ? LIMIT 1", account, digest) ~= nil
  end)
end

--- The mapping that a calendar was mirrored by.
---@param key integer
---@return string? digest nil: it is not known, lunation.Error?
function calendars:calendar_mapping(key)
  return self.db:read(function(sql) return sql.value("SELECT mapping FROM calendars WHERE key = ?", key) end)
end

---@param key integer
---@param digest string
---@return true?, lunation.Error?
function calendars:calendar_mapped(key, digest)
  return self.db:write(function(sql)
    sql.run("UPDATE calendars SET mapping = ? WHERE key = ?", digest, key)
    return true
  end)
end

--- Remembers that the sync of one calendar failed, or (without an error) that it did not.
---@param key integer
---@param err table?
---@return true?, lunation.Error?
function calendars:calendar_failed(key, err)
  local text = err and notes.failure(err) or nil
  return self.db:write(function(sql)
    sql.run("UPDATE calendars SET error = ? WHERE key = ?", text, key)
    return true
  end)
end

--- Makes the calendars of an account those of the list: one not in it goes, with its events.
---@param account integer
---@param list lunation.Calendar[] canonical
---@param fence lunation.store.Fence?
---@param incomplete boolean? there are further ones, nobody knows which: none goes
---@return { created: integer, updated: integer, deleted: integer }?, lunation.Error?
function calendars:calendars_sync(account, list, fence, incomplete)
  local texts = {}
  for index, calendar in ipairs(list) do
    local text, unfit = json.encode(calendar, { sorted = true, utf8 = "replace" })
    if not text then return nil, unfit end
    texts[index] = text
  end
  return self.db:write(function(sql)
    if fence and not fences.holds(sql, fence) then return nil, fences.lost(fence) end
    if not sql.row("SELECT id FROM accounts WHERE id = ?", account) then
      return nil, errors.new("not_found", "no such account")
    end
    local counts = { created = 0, updated = 0, deleted = 0 }
    local known, named = {}, {}
    for _, row in ipairs(sql.all("SELECT key, id, calendar, position FROM calendars WHERE account = ?", account)) do
      known[row.id] = row
    end
    for position, calendar in ipairs(list) do
      local row = known[calendar.id]
      -- A server that lists a calendar twice has it once.
      local again = named[calendar.id]
      if not row and not again then
        sql.run("INSERT INTO calendars (account, id, position, calendar) VALUES (?, ?, ?, ?)",
          account, calendar.id, position, texts[position])
        counts.created = counts.created + 1
      elseif not again and (row.calendar ~= texts[position] or row.position ~= position) then
        sql.run("UPDATE calendars SET calendar = ?, position = ? WHERE key = ?", texts[position], position, row.key)
        if row.calendar ~= texts[position] then counts.updated = counts.updated + 1 end
      end
      named[calendar.id] = true
    end
    for id, row in pairs(known) do
      if not named[id] and not incomplete then
        sql.run("DELETE FROM calendars WHERE key = ?", row.key)
        counts.deleted = counts.deleted + 1
      end
    end
    sql.run("UPDATE accounts SET calendars_at = ? WHERE id = ?", self.clock(), account)
    return counts
  end)
end

return calendars
