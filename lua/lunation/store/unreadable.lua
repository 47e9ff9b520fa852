--- What a provider gave and nobody could read: kept aside by calendar and id, with the reason and what it was.

local json = require "lunation.json"
local notes = require "lunation.store.notes"

---@class lunation.store.Unreadable
---@field id string
---@field error lunation.Error with details.original

---@class lunation.Store
local unreadable = {}

--- Notes what could not be read and forgets what was read again or is gone, in one transaction.
---@param calendar integer key
---@param change { kept: lunation.store.Unreadable[]?, read: string[]?, run: string?, over: boolean? } read: ids that are fine or gone;
---  run: the listing that names the kept ones, so that the mirror's older rows of them stay; over: nothing but `kept` is unreadable
---@return true?, lunation.Error?
function unreadable:unreadable_note(calendar, change)
  local now, texts = self.clock(), {}
  for index, item in ipairs(change.kept or {}) do texts[index] = notes.failure(item.error) end
  return self.db:write(function(sql)
    local any = sql.value("SELECT 1 FROM unreadable WHERE calendar = ? LIMIT 1", calendar)
    if not any and #texts == 0 then return true end
    if change.over then
      sql.run("DELETE FROM unreadable WHERE calendar = ?", calendar)
    else
      for _, id in ipairs(any and change.read or {}) do
        sql.run("DELETE FROM unreadable WHERE calendar = ? AND id = ?", calendar, id)
      end
    end
    if not sql.value("SELECT 1 FROM calendars WHERE key = ?", calendar) then return true end
    for index, item in ipairs(change.kept or {}) do
      sql.run("INSERT INTO unreadable (calendar, id, error, at) VALUES (?, ?, ?, ?) " ..
        "ON CONFLICT (calendar, id) DO UPDATE SET error = excluded.error, at = excluded.at", calendar, item.id, texts[index], now)
      if change.run then
        sql.run("INSERT INTO listings (calendar, run, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", calendar, change.run, item.id)
      end
    end
    return true
  end)
end

--- Since when something of a calendar cannot be read.
---@param calendar integer key
---@return number? at nil: everything can, lunation.Error?
function unreadable:unreadable_since(calendar)
  return self.db:read(function(sql) return sql.value("SELECT MIN(at) FROM unreadable WHERE calendar = ?", calendar) end)
end

--- What cannot be read of an account: how many, and the newest.
---@param account integer
---@return { count: integer, calendar: string?, id: string?, error: table? }?, lunation.Error?
function unreadable:unreadable(account)
  return self.db:read(function(sql)
    local count = sql.value("SELECT COUNT(*) FROM unreadable u JOIN calendars c ON c.key = u.calendar WHERE c.account = ?", account)
    if count == 0 then return { count = 0 } end
    local row = sql.row("SELECT c.id AS calendar, u.id AS id, u.error AS error FROM unreadable u JOIN calendars c ON c.key = u.calendar " ..
      "WHERE c.account = ? ORDER BY u.at DESC, u.id LIMIT 1", account)
    return { count = count, calendar = row.calendar, id = row.id, error = json.decode(row.error) }
  end)
end

return unreadable
