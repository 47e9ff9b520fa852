--- What the authorization server keeps: signing keys, grants, codes, browsers on their way, counted attempts.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local json = require "lunation.json"

local tokens = {}

---@class lunation.Grant
---@field id integer
---@field app string
---@field user integer
---@field name string the app's own name of the user
---@field scope "free-busy"|"read"|"read-write"
---@field generation integer how often its refresh token was rotated
---@field rotated number? when it was last
---@field revoked number? when the grant ended

---@class lunation.Code
---@field hash string
---@field app string
---@field user integer
---@field scope string
---@field redirect_uri string
---@field challenge string? of PKCE, S256
---@field grant_id integer? what it was exchanged for
---@field expires number

--- The signing keys, the one that signs first. The first call on a new store makes the first key.
---@return { kid: string, public: string, private: string }[]?, lunation.Error?
function tokens:signing_keys()
  local function opened(rows)
    local keys = {}
    for index, row in ipairs(rows) do
      local private = crypto.open(self.key, crypto.unbase64(row.private_key), row.kid)
      if not private then return nil, errors.new("internal", "the signing key was sealed with another key of the store") end
      keys[index] = { kid = row.kid, public = row.public_key, private = private }
    end
    return keys
  end
  local text = "SELECT kid, public_key, private_key FROM signing_keys ORDER BY created DESC, kid"
  local rows, err = self.db:read(function(sql) return sql.all(text) end)
  if not rows then return nil, err end
  if #rows > 0 then return opened(rows) end
  local pair = crypto.keypair("ed25519")
  local kid = crypto.base64url(crypto.sha256(pair.raw_public)):sub(1, 16)
  local sealed = crypto.base64(crypto.seal(self.key, pair.private, kid))
  rows, err = self.db:write(function(sql)
    -- Workers start at the same moment on a new store: whoever comes second takes the key of the first.
    local found = sql.all(text)
    if #found > 0 then return found end
    sql.run("INSERT INTO signing_keys (kid, public_key, private_key, created) VALUES (?, ?, ?, ?)",
      kid, pair.public, sealed, self.clock())
    return sql.all(text)
  end)
  if not rows then return nil, err end
  return opened(rows)
end

local GRANT = "SELECT g.id, g.app, g.user_id AS user, u.name, g.scope, g.generation, g.rotated, g.revoked " ..
  "FROM grants g JOIN users u ON u.id = g.user_id WHERE g.id = ?"

---@param id integer
---@return lunation.Grant?, lunation.Error?
function tokens:grant(id)
  return self.db:read(function(sql) return sql.row(GRANT, id) end)
end

local function add_grant(sql, grant, now)
  return sql.value("INSERT INTO grants (app, user_id, scope, generation, created) VALUES (?, ?, ?, 0, ?) RETURNING id",
    grant.app, grant.user, grant.scope, now)
end

---@param grant { app: string, user: integer, scope: string }
---@return integer? id, lunation.Error?
function tokens:grant_add(grant)
  return self.db:write(function(sql) return add_grant(sql, grant, self.clock()) end)
end

--- Moves the refresh token of a grant from one generation to the next.
---@param id integer
---@param generation integer the one presented
---@return boolean? moved false: another refresh came first, lunation.Error?
function tokens:grant_rotate(id, generation)
  return self.db:write(function(sql)
    return sql.run("UPDATE grants SET generation = generation + 1, rotated = ? " ..
      "WHERE id = ? AND generation = ? AND revoked IS NULL", self.clock(), id, generation) == 1
  end)
end

---@param id integer
---@return boolean?, lunation.Error?
function tokens:grant_revoke(id)
  return self.db:write(function(sql)
    return sql.run("UPDATE grants SET revoked = ? WHERE id = ? AND revoked IS NULL", self.clock(), id) == 1
  end)
end

--- Ends all that an app holds for a user.
---@param app string
---@param user integer
---@return integer? ended, lunation.Error?
function tokens:grants_revoke(app, user)
  return self.db:write(function(sql)
    return sql.run("UPDATE grants SET revoked = ? WHERE user_id = ? AND app = ? AND revoked IS NULL", self.clock(), user, app)
  end)
end

---@param code lunation.Code
---@return true?, lunation.Error?
function tokens:code_add(code)
  return self.db:write(function(sql)
    sql.run("INSERT INTO codes (hash, app, user_id, scope, redirect_uri, challenge, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
      code.hash, code.app, code.user, code.scope, code.redirect_uri, code.challenge, code.expires)
    return true
  end)
end

---@param hash string
---@return lunation.Code?, lunation.Error?
function tokens:code(hash)
  return self.db:read(function(sql)
    return sql.row("SELECT hash, app, user_id AS user, scope, redirect_uri, challenge, grant_id, expires " ..
      "FROM codes WHERE hash = ?", hash)
  end)
end

--- Spends a code, once: its grant comes to be in the same transaction.
---@param code lunation.Code
---@return integer? grant, lunation.Error? code conflict: it was spent meanwhile
function tokens:code_spend(code)
  return self.db:write(function(sql)
    local row = sql.row("SELECT grant_id FROM codes WHERE hash = ?", code.hash)
    if not row or row.grant_id then return nil, errors.new("conflict", "the code was used") end
    local id = add_grant(sql, code, self.clock())
    sql.run("UPDATE codes SET grant_id = ? WHERE hash = ?", id, code.hash)
    return id
  end)
end

---@param request { id: string, browser: string, app: string, data: table, expires: number }
---@return true?, lunation.Error?
function tokens:authorization_add(request)
  local data = json.encode(request.data)
  return self.db:write(function(sql)
    sql.run("INSERT INTO authorizations (id, browser, app, data, expires) VALUES (?, ?, ?, ?, ?)",
      request.id, request.browser, request.app, data, request.expires)
    return true
  end)
end

---@param id string
---@return { id: string, browser: string, app: string, data: table, finished: number?, expires: number }?, lunation.Error?
function tokens:authorization(id)
  local row, err = self.db:read(function(sql)
    return sql.row("SELECT id, browser, app, data, finished, expires FROM authorizations WHERE id = ?", id)
  end)
  if row then row.data = json.decode(row.data) end
  return row, err
end

---@param id string
---@return boolean? first false: it was finished before, lunation.Error?
function tokens:authorization_finish(id)
  return self.db:write(function(sql)
    return sql.run("UPDATE authorizations SET finished = ? WHERE id = ? AND finished IS NULL", self.clock(), id) == 1
  end)
end

--- Remembers that a browser has shown the credentials of an account.
---@param browser string hash of its cookie
---@param account integer
---@return true?, lunation.Error?
function tokens:browser_account_add(browser, account)
  return self.db:write(function(sql)
    sql.run("INSERT INTO browser_accounts (browser, account, created) VALUES (?, ?, ?) " ..
      "ON CONFLICT (browser, account) DO UPDATE SET created = excluded.created", browser, account, self.clock())
    return true
  end)
end

---@param browser string
---@return table<integer, boolean>? accounts, lunation.Error?
function tokens:browser_accounts(browser)
  return self.db:read(function(sql)
    local known = {}
    for _, row in ipairs(sql.all("SELECT account FROM browser_accounts WHERE browser = ?", browser)) do
      known[row.account] = true
    end
    return known
  end)
end

--- Counts an attempt. A window begins with the first attempt after the last one ended.
---@param name string what is limited
---@param window integer seconds
---@return { count: integer, resets: number }? this one included, lunation.Error?
function tokens:attempt(name, window)
  local now = self.clock()
  return self.db:write(function(sql)
    return sql.row("INSERT INTO attempts (name, count, resets) VALUES (?1, 1, ?2) " ..
      "ON CONFLICT (name) DO UPDATE SET count = CASE WHEN attempts.resets <= ?3 THEN 1 ELSE attempts.count + 1 END, " ..
      "resets = CASE WHEN attempts.resets <= ?3 THEN ?2 ELSE attempts.resets END RETURNING count, resets",
      name, now + window, now)
  end)
end

--- What was counted in the window that runs; nil where none does.
---@param name string what is limited
---@return { count: integer, resets: number }?, lunation.Error?
function tokens:attempts(name)
  local now = self.clock()
  return self.db:read(function(sql) return sql.row("SELECT count, resets FROM attempts WHERE name = ? AND resets > ?", name, now) end)
end

---@param name string
---@return true?, lunation.Error?
function tokens:attempt_forget(name)
  return self.db:write(function(sql)
    sql.run("DELETE FROM attempts WHERE name = ?", name)
    return true
  end)
end

--- Forgets what time has made useless. Codes stay a day, so that a second use is still noticed; a browser's proof of its
--- accounts as long as its cookie.
---@return true?, lunation.Error?
function tokens:tokens_prune()
  local now, day = self.clock(), 86400
  return self.db:write(function(sql)
    sql.run("DELETE FROM authorizations WHERE expires < ?", now)
    sql.run("DELETE FROM connecting WHERE expires < ?", now)
    sql.run("DELETE FROM codes WHERE expires < ?", now - day)
    sql.run("DELETE FROM attempts WHERE resets < ?", now)
    sql.run("DELETE FROM browser_accounts WHERE created < ?", now - 90 * day)
    sql.run("DELETE FROM grants WHERE revoked < ?", now - 30 * day)
    return true
  end)
end

return tokens
