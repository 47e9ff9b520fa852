--- Rows of the mirror inside a transaction: what `apply`, `event_put` and the end of an intent have in common.
--
-- Each change takes the next number of its calendar (`seq`), so that a reader who knows a number reads what came after
-- it, and nothing else. A change of the event itself is written into the feed of changes as well.

local json = require "lunation.json"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"

---@class lunation.store.Upsert
---@field id string
---@field uid string?
---@field etag string?
---@field schedule_tag string?
---@field event table canonical
---@field original any the provider's own, JSON
---@field start integer? seconds since the epoch, of the first instance
---@field finish integer? of the last; nil: it never ends
---@field recurring boolean?

local rows = {}

-- Text of a provider that is no UTF-8 is kept as well as it can be.
local TEXT = { sorted = true, utf8 = "replace" }

--- An upsert with its JSON texts and digests made; done before a transaction begins.
---@param upsert lunation.store.Upsert
---@return table? row, lunation.Error? it cannot be written as JSON
function rows.encode(upsert)
  local event, err = json.encode(upsert.event, TEXT)
  if not event then return nil, err end
  local original
  if upsert.original ~= nil then
    original, err = json.encode(upsert.original, TEXT)
    if not original then return nil, err end
  end
  local about = table.concat({ original or "", upsert.etag or "", upsert.schedule_tag or "" }, "\0")
  return {
    id = upsert.id, uid = upsert.uid, etag = upsert.etag, schedule_tag = upsert.schedule_tag,
    start = upsert.start, finish = upsert.finish, recurring = upsert.recurring and 1 or 0,
    event = event, original = original,
    digest = crypto.hex(crypto.sha256(event)):sub(1, 32) .. crypto.hex(crypto.sha256(about)):sub(1, 32),
  }
end

--- Takes a calendar for the rest of the transaction.
---@param sql lunation.store.Sql
---@param key integer
---@return table? calendar {key, account, seq, epoch, state_version, synced_at}, lunation.Error?
function rows.lock(sql, key)
  local calendar = sql.row("UPDATE calendars SET position = position WHERE key = ? " ..
    "RETURNING key, account, seq, epoch, state_version, synced_at", key)
  if not calendar then return nil, errors.new("not_found", "no such calendar") end
  return calendar
end

--- Writes the counters of a locked calendar back.
---@param sql lunation.store.Sql
---@param calendar table locked
function rows.unlock(sql, calendar)
  sql.run("UPDATE calendars SET seq = ?, epoch = ? WHERE key = ?", calendar.seq, calendar.epoch, calendar.key)
end

---@param sql lunation.store.Sql
---@param calendar table locked
---@param id string
---@return table? {key, uid, digest, revision, epoch}
function rows.find(sql, calendar, id)
  return sql.row("SELECT key, uid, digest, revision, epoch FROM events WHERE calendar = ? AND id = ?", calendar.key, id)
end

--- The epoch of the write that removed an event, 0 where none did.
---@param sql lunation.store.Sql
---@param calendar table locked
---@param id string
---@return integer
function rows.removed_in(sql, calendar, id)
  return sql.value("SELECT MAX(epoch) FROM tombstones WHERE calendar = ? AND id = ?", calendar.key, id) or 0
end

--- The first listing of a calendar makes nothing happen: what it shows has been there before.
local function record(sql, calendar, kind, id, event, context)
  if not calendar.synced_at and context.origin == "sync" then return end
  sql.run("INSERT INTO changes (account, calendar, kind, event_id, origin, at, event) VALUES (?, ?, ?, ?, ?, ?, ?)",
    calendar.account, calendar.key, kind, id, context.origin, context.now, event)
end

--- Puts one encoded upsert into the mirror.
---@param sql lunation.store.Sql
---@param calendar table locked
---@param found table? what rows.find said
---@param row table encoded
---@param context { origin: "sync"|"write", now: number, epoch: integer }
---@return "created"|"updated"|"unchanged"
function rows.put(sql, calendar, found, row, context)
  if found and found.digest == row.digest then
    if found.epoch < context.epoch then
      sql.run("UPDATE events SET epoch = ? WHERE key = ?", context.epoch, found.key)
    end
    return "unchanged"
  end
  calendar.seq = calendar.seq + 1
  if not found then
    sql.run("INSERT INTO events (calendar, id, uid, etag, schedule_tag, seq, revision, epoch, start, finish, recurring, " ..
      "digest, event, original) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
      calendar.key, row.id, row.uid, row.etag, row.schedule_tag, calendar.seq, context.epoch, row.start, row.finish,
      row.recurring, row.digest, row.event, row.original)
    record(sql, calendar, "created", row.id, row.event, context)
    return "created"
  end
  sql.run("UPDATE events SET uid = ?, etag = ?, schedule_tag = ?, seq = ?, revision = revision + 1, epoch = ?, start = ?, " ..
    "finish = ?, recurring = ?, digest = ?, event = ?, original = ? WHERE key = ?",
    row.uid, row.etag, row.schedule_tag, calendar.seq, math.max(found.epoch, context.epoch), row.start, row.finish,
    row.recurring, row.digest, row.event, row.original, found.key)
  if found.digest:sub(1, 32) == row.digest:sub(1, 32) then return "unchanged" end
  record(sql, calendar, "updated", row.id, row.event, context)
  return "updated"
end

--- Takes one event out of the mirror and leaves a tombstone.
---@param sql lunation.store.Sql
---@param calendar table locked
---@param found table what rows.find said
---@param id string
---@param context { origin: "sync"|"write", now: number, epoch: integer }
function rows.drop(sql, calendar, found, id, context)
  calendar.seq = calendar.seq + 1
  local event = sql.value("DELETE FROM events WHERE key = ? RETURNING event", found.key)
  sql.run("INSERT INTO tombstones (calendar, seq, key, id, uid, epoch, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    calendar.key, calendar.seq, found.key, id, found.uid, context.epoch, context.now)
  record(sql, calendar, "deleted", id, event, context)
end

return rows
