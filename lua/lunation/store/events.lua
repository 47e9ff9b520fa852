--- Events of the mirror: one by id, all since a change number, and those that our own writes put there.

local json = require "lunation.json"
local errors = require "lunation.errors"
local rows = require "lunation.store.rows"

---@class lunation.EventRow
---@field key integer
---@field calendar integer key of the calendar
---@field id string the provider's
---@field uid string?
---@field etag string?
---@field schedule_tag string?
---@field seq integer number of its last change in the calendar
---@field revision integer of this row, from 1
---@field start integer?
---@field finish integer? nil: it never ends
---@field recurring boolean
---@field event table|string canonical; its JSON text in events_since
---@field original any the provider's own
---@field deleted boolean? in events_since: gone; only key, id, uid and seq are told

---@class lunation.Store
local events = {}

local COLUMNS = "key, calendar, id, uid, etag, schedule_tag, seq, revision, start, finish, recurring, event, original"

local function from_row(row)
  if not row then return nil end
  row.recurring = row.recurring == 1
  row.event = json.decode(row.event)
  if row.original then row.original = json.decode(row.original) end
  return row
end

--- One event by its id.
---@param calendar integer key
---@param id string
---@return lunation.EventRow?, lunation.Error?
function events:event(calendar, id)
  return self.db:read(function(sql)
    return from_row(sql.row("SELECT " .. COLUMNS .. " FROM events WHERE calendar = ? AND id = ?", calendar, id))
  end)
end

---@param key integer
---@return lunation.EventRow?, lunation.Error?
function events:event_by_key(key)
  return self.db:read(function(sql)
    return from_row(sql.row("SELECT " .. COLUMNS .. " FROM events WHERE key = ?", key))
  end)
end

--- Events of a calendar with an iCalendar UID.
---@param calendar integer key
---@param uid string
---@return lunation.EventRow[]?, lunation.Error?
function events:events_by_uid(calendar, uid)
  return self.db:read(function(sql)
    local found = sql.all("SELECT " .. COLUMNS .. " FROM events WHERE calendar = ? AND uid = ? ORDER BY key", calendar, uid)
    for _, row in ipairs(found) do from_row(row) end
    return found
  end)
end

local PAGE = 256

local SINCE = "SELECT key, id, uid, seq, revision, start, finish, recurring, event, 0 AS deleted FROM events " ..
  "WHERE calendar = ? AND seq > ? "
local REMOVED = "UNION ALL SELECT key, id, uid, seq, NULL, NULL, NULL, 0, NULL, 1 FROM tombstones " ..
  "WHERE calendar = ? AND seq > ? "

--- What has changed in a calendar after a change number, in the order of the changes; after 0 all that is there.
--- The rows come in pages, so that a calendar of any size takes the memory of one page. The reader's next number is
--- that of the last row.
---@param calendar integer key
---@param seq integer
---@return (fun(): lunation.EventRow?)? iterator, lunation.Error? code gone: tombstones after that number were pruned, read from 0
function events:events_since(calendar, seq)
  local pruned, err = self.db:read(function(sql)
    return sql.value("SELECT pruned FROM calendars WHERE key = ?", calendar)
  end)
  if err then return nil, err end
  if not pruned then return nil, errors.new("not_found", "no such calendar") end
  if seq > 0 and seq < pruned then return nil, errors.new("gone", "changes that old are forgotten") end
  local removed = seq > 0
  local text = SINCE .. (removed and REMOVED or "") .. "ORDER BY seq LIMIT " .. PAGE
  local page, index = {}, 0
  return function()
    index = index + 1
    if index > #page then
      if #page > 0 and #page < PAGE then return nil end
      local failure
      page, failure = self.db:read(function(sql)
        if removed then return sql.all(text, calendar, seq, calendar, seq) end
        return sql.all(text, calendar, seq)
      end)
      if not page then error(failure, 0) end
      if #page == 0 then return nil end
      index, seq = 1, page[#page].seq
    end
    local row = page[index]
    row.recurring = row.recurring == 1
    row.deleted = row.deleted == 1 or nil
    return row
  end
end

--- Events whose span (of a series: from its first to its last instance) overlaps a window, in the order of their starts.
---@param calendar integer key
---@param from integer seconds since the epoch
---@param to integer
---@param limit integer?
---@return lunation.EventRow[]? rows with `event` as JSON text, without the original, lunation.Error?
function events:events_between(calendar, from, to, limit)
  return self.db:read(function(sql)
    local found = sql.all("SELECT key, id, uid, seq, revision, start, finish, recurring, event FROM events " ..
      "WHERE calendar = ? AND recurring IN (0, 1) AND start < ? AND (finish IS NULL OR finish > ? OR finish = start AND start >= ?) " ..
      "ORDER BY start, key LIMIT ?", calendar, to, from, from, limit or 1000)
    for _, row in ipairs(found) do row.recurring = row.recurring == 1 end
    return found
  end)
end

--- Originals of a calendar's events, some at a time.
---@param calendar integer key
---@param after integer key of the last one that was read; 0 to begin with
---@param limit integer
---@return { key: integer, id: string, original: any }[]?, lunation.Error?
function events:originals(calendar, after, limit)
  return self.db:read(function(sql)
    local found = sql.all("SELECT key, id, original FROM events WHERE calendar = ? AND key > ? ORDER BY key LIMIT ?", calendar, after, limit)
    for _, row in ipairs(found) do row.original = row.original and json.decode(row.original) or nil end
    return found
  end)
end

--- How many events a calendar has.
---@param calendar integer key
---@return integer?, lunation.Error?
function events:event_count(calendar)
  return self.db:read(function(sql)
    return sql.value("SELECT COUNT(*) FROM events WHERE calendar = ?", calendar)
  end)
end

--- Puts an event that a write of our own has just made, and keeps batches that were fetched earlier from undoing it.
---@param put { calendar: integer, expect: integer|false|nil } and the fields of an upsert; expect: the revision that must still stand, false: none must
---@return lunation.EventRow?, lunation.Error? code conflict: the row is another by now
function events:event_put(put)
  local encoded, unfit = rows.encode(put)
  if not encoded then return nil, unfit end
  local done, err = self.db:write(function(sql)
    local calendar, missing = rows.lock(sql, put.calendar)
    if not calendar then return nil, missing end
    local found = rows.find(sql, calendar, put.id)
    if put.expect ~= nil and (found and found.revision or false) ~= put.expect then
      return nil, errors.new("conflict", "the event has changed in the mirror")
    end
    calendar.epoch = calendar.epoch + 1
    rows.put(sql, calendar, found, encoded, { origin = "write", now = self.clock(), epoch = calendar.epoch })
    rows.unlock(sql, calendar)
    return true
  end)
  if not done then return nil, err end
  return self:event(put.calendar, put.id)
end

--- Takes out an event that a write of our own has just deleted.
---@param calendar_key integer
---@param id string
---@return boolean? it was there, lunation.Error?
function events:event_drop(calendar_key, id)
  return self.db:write(function(sql)
    local calendar, missing = rows.lock(sql, calendar_key)
    if not calendar then return nil, missing end
    local found = rows.find(sql, calendar, id)
    calendar.epoch = calendar.epoch + 1
    if found then
      rows.drop(sql, calendar, found, id, { origin = "write", now = self.clock(), epoch = calendar.epoch })
    end
    rows.unlock(sql, calendar)
    return found ~= nil
  end)
end

--- Forgets what nobody needs any more: old tombstones, changes, answers of idempotent requests.
---@param ages { tombstones: number?, changes: number? }? seconds; a week
---@return true?, lunation.Error?
function events:prune(ages)
  local week = 7 * 86400
  local now = self.clock()
  return self.db:write(function(sql)
    local old = now - (ages and ages.tombstones or week)
    for _, row in ipairs(sql.all("SELECT calendar, MAX(seq) AS seq FROM tombstones WHERE at < ? GROUP BY calendar", old)) do
      sql.run("UPDATE calendars SET pruned = ? WHERE key = ? AND pruned < ?", row.seq, row.calendar, row.seq)
      sql.run("DELETE FROM tombstones WHERE calendar = ? AND seq <= ?", row.calendar, row.seq)
    end
    sql.run("DELETE FROM changes WHERE at < ?", now - (ages and ages.changes or week))
    sql.run("DELETE FROM consumers WHERE seen_at < ?", now - 30 * 86400)
    sql.run("DELETE FROM idempotency WHERE expires < ?", now)
    return true
  end)
end

return events
