--- Entries of the feed of changes that are of no event: what happens to accounts and their syncs.

local json = require "lunation.json"

local notes = {}

--- Writes one, inside the transaction of what it tells of.
---@param sql lunation.store.Sql
---@param note { account: integer, kind: string, about: table } kind: "account.added", "sync.failed", …
---@param now number
function notes.write(sql, note, now)
  sql.run("INSERT INTO changes (account, kind, origin, at, event) VALUES (?, ?, ?, ?, ?)",
    note.account, note.kind, note.kind:match("^sync%.") and "sync" or "write", now, json.encode(note.about, { sorted = true }))
end

--- Octets of what a provider gave that are kept with an error.
local KEPT = 4096

--- An error as it is kept on an account or a calendar: its name, its sentence, and what the provider gave, cut short.
---@param err lunation.Error|table
---@return string JSON
function notes.failure(err)
  local details = type(err.details) == "table" and err.details or nil
  if details and type(details.original) == "string" and #details.original > KEPT then
    local cut = {}
    for name, value in pairs(details) do cut[name] = value end
    cut.original = details.original:sub(1, KEPT) .. "…"
    details = cut
  end
  local kept = { code = err.code or "internal", message = tostring(err.message or err), reason = err.reason }
  return json.encode({ code = kept.code, message = kept.message, reason = kept.reason, details = details }, { sorted = true, utf8 = "replace" })
    or json.encode(kept, { sorted = true, utf8 = "replace" })
end

--- What there is to say of an account.
---@param row table of accounts
---@return table
function notes.about(row)
  return { id = row.id, app = row.app, user = row.user, provider = row.provider, identity = row.identity, name = row.name,
    status = row.status }
end

return notes
