--- The feed of changes: every event that was created, updated or deleted, in order; each reader has its own position.

local json = require "lunation.json"
local errors = require "lunation.errors"
local notes = require "lunation.store.notes"

---@class lunation.Change
---@field id integer position in the feed
---@field account integer
---@field calendar integer? key
---@field kind string "created", "updated", "deleted" of an event; else "account.added" and its like, "sync.failed", …
---@field event_id string?
---@field origin "sync"|"write" write: made through lunation itself
---@field at number
---@field event table canonical; as it last was, where it is deleted; of no event: what the change is about

---@class lunation.Store
local changes = {}

--- The position of a reader; one that is new begins at the end of the feed, or where it is told.
---@param name string
---@param first integer? for readers of something else than the feed
---@return integer? position, lunation.Error?
function changes:consumer(name, first)
  return self.db:write(function(sql)
    return sql.value("INSERT INTO consumers (name, position, seen_at) " ..
      "VALUES (?, COALESCE(?, (SELECT MAX(id) FROM changes), 0), ?) " ..
      "ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at RETURNING position", name, first, self.clock())
  end)
end

--- Writes something into the feed that is of no event.
---@param note { account: integer, kind: string, about: table }
---@return true?, lunation.Error?
function changes:change_note(note)
  return self.db:write(function(sql)
    notes.write(sql, note, self.clock())
    return true
  end)
end

--- Where a reader stands, without anything being written.
---@param name string
---@return integer? position nil without an error: it has never read, lunation.Error?
function changes:consumer_position(name)
  return self.db:read(function(sql) return sql.value("SELECT position FROM consumers WHERE name = ?", name) end)
end

--- Changes after a position.
---@param position integer
---@param limit integer
---@return lunation.Change[]?, lunation.Error?
function changes:changes_after(position, limit)
  return self.db:read(function(sql)
    local found = sql.all("SELECT id, account, calendar, kind, event_id, origin, at, event FROM changes " ..
      "WHERE id > ? ORDER BY id LIMIT ?", position, limit)
    for _, row in ipairs(found) do row.event = json.decode(row.event) end
    return found
  end)
end

--- Moves a reader on; refused when the job in whose name it reads is another's by now.
---@param name string
---@param position integer
---@param job lunation.store.Job
---@return true?, lunation.Error?
function changes:consumer_move(name, position, job)
  return self.db:write(function(sql)
    if sql.value("SELECT fence FROM jobs WHERE id = ? AND state = 'leased'", job.id) ~= job.fence then
      return nil, errors.new("conflict", "the job is another's by now")
    end
    sql.run("UPDATE consumers SET position = ?, seen_at = ? WHERE name = ?", position, self.clock(), name)
    return true
  end)
end

--- The position of the newest change.
---@return integer?, lunation.Error?
function changes:changes_end()
  return self.db:read(function(sql) return sql.value("SELECT COALESCE(MAX(id), 0) FROM changes") end)
end

return changes
