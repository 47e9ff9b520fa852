--- People on their way to a provider and back: what has to be known when they return, once.

local crypto = require "lunation.crypto"
local json = require "lunation.json"

---@class lunation.store.Connecting
---@field state string hash of what the browser carries
---@field app string
---@field user integer? nil: the user comes to be with the account
---@field provider string
---@field verifier string of PKCE
---@field redirect_uri string
---@field data table
---@field expires number

---@class lunation.Store
local connecting = {}

--- Keeps one.
---@param row lunation.store.Connecting
---@return true?, lunation.Error?
function connecting:connecting_add(row)
  local data, sealed = json.encode(row.data), crypto.seal(self.key, row.verifier, row.state)
  return self.db:write(function(sql)
    sql.run("INSERT INTO connecting (state, app, user_id, provider, verifier, redirect_uri, data, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      row.state, row.app, row.user, row.provider, sql.blob(sealed), row.redirect_uri, data, row.expires)
    return true
  end)
end

--- Takes one out: whoever comes second finds nothing.
---@param state string hash
---@param wanted { provider: string, kind: string } what it must have been begun for; others are left alone
---@return lunation.store.Connecting? nil: there is none, or it is too old, lunation.Error?
function connecting:connecting_take(state, wanted)
  local now = self.clock()
  local row, err = self.db:write(function(sql)
    local found = sql.row("SELECT provider, data FROM connecting WHERE state = ?", state)
    if not found or found.provider ~= wanted.provider or json.decode(found.data).kind ~= wanted.kind then return nil end
    return sql.row("DELETE FROM connecting WHERE state = ? RETURNING state, app, user_id AS user, provider, verifier, redirect_uri, data, expires",
      state)
  end)
  if not row or row.expires <= now then return nil, err end
  row.data, row.verifier = json.decode(row.data), crypto.open(self.key, row.verifier, row.state)
  return row.verifier and row or nil
end

return connecting
