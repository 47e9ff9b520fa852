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

--- What there is to say of an account.
---@param row table of accounts
---@return table
function notes.about(row)
  return { id = row.id, app = row.app, user = row.user, provider = row.provider, identity = row.identity, name = row.name,
    status = row.status }
end

return notes
