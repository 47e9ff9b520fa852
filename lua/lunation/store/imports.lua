--- Imports of calendar files: what each one made and changed, written down before and after every event.

local json = require "lunation.json"

---@class lunation.store.Import
---@field id integer
---@field calendar integer key
---@field source string name of the file
---@field created number
---@field undone number?

---@class lunation.store.ImportItem
---@field event string id
---@field revision integer? nil: the import ended before it was known
---@field before table? canonical; nil: the import made the event

---@class lunation.Store
local imports = {}

---@param calendar integer key
---@param source string
---@return integer? id, lunation.Error?
function imports:import_begin(calendar, source)
  return self.db:write(function(sql)
    return sql.value("INSERT INTO imports (calendar, source, created) VALUES (?, ?, ?) RETURNING id", calendar, source, self.clock())
  end)
end

--- Notes an event that is about to be made or changed.
---@param import integer
---@param event string id
---@param before table? canonical
---@return true?, lunation.Error?
function imports:import_note(import, event, before)
  local text = before and json.encode(before, { sorted = true, utf8 = "replace" })
  return self.db:write(function(sql)
    sql.run("INSERT INTO import_items (import, event, before) VALUES (?, ?, ?) ON CONFLICT (import, event) DO NOTHING", import, event, text)
    return true
  end)
end

--- Notes what has become of it: the revision of its row, or nil where nothing was done after all.
---@param import integer
---@param event string id
---@param revision integer?
---@return true?, lunation.Error?
function imports:import_done(import, event, revision)
  return self.db:write(function(sql)
    if revision then
      sql.run("UPDATE import_items SET revision = ? WHERE import = ? AND event = ?", revision, import, event)
    else
      sql.run("DELETE FROM import_items WHERE import = ? AND event = ? AND revision IS NULL", import, event)
    end
    return true
  end)
end

---@param id integer
---@return lunation.store.Import? nil without an error where there is none, lunation.Error?
function imports:import(id)
  return self.db:read(function(sql) return sql.row("SELECT * FROM imports WHERE id = ?", id) end)
end

---@param id integer
---@return lunation.store.ImportItem[]?, lunation.Error?
function imports:import_items(id)
  return self.db:read(function(sql)
    local items = sql.all("SELECT event, revision, before FROM import_items WHERE import = ? ORDER BY event", id)
    for _, item in ipairs(items) do item.before = item.before and json.decode(item.before) end
    return items
  end)
end

--- An event of an import that is undone now.
---@param id integer
---@param event string
---@return true?, lunation.Error?
function imports:import_forget(id, event)
  return self.db:write(function(sql)
    sql.run("DELETE FROM import_items WHERE import = ? AND event = ?", id, event)
    return true
  end)
end

---@param id integer
---@return true?, lunation.Error?
function imports:import_undone(id)
  return self.db:write(function(sql)
    sql.run("UPDATE imports SET undone = ? WHERE id = ?", self.clock(), id)
    return true
  end)
end

return imports
