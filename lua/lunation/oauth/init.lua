-- The authorization server (RFC 6749 as RFC 9700 wants it): grants, access tokens, refresh tokens.
--
-- A *grant* is what a user allowed an application once. Access tokens and refresh tokens are JWTs that name their grant
-- in `jti`; the signature says that we issued them, the row of the grant, read on every request, says that they still
-- hold. A refresh token also names its generation: the store counts how often the grant was refreshed, so that a copy
-- that was rotated away is recognized without a row for every token.
local clients = require "lunation.oauth.clients"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local jwt = require "lunation.oauth.jwt"
local scopes = require "lunation.oauth.scope"

local oauth = {}
oauth.__index = oauth

oauth.new_secret = clients.new_secret
oauth.new_id = clients.new_id

-- Seconds. `GRACE` is how long the refresh token that was just rotated is still taken: instances of one application
-- that refresh at the same moment each get an answer.
local ACCESS_TTL = 3600
local CODE_TTL = 600
local GRACE = 60

-- Wrong secrets that an address may send in so many seconds.
local CLIENT_ATTEMPTS, CLIENT_WINDOW = 30, 300

-- Verified signatures, by hash of the token: two halves, so that the oldest half can be dropped at once.
local CACHE_HALF = 2048

---@class lunation.identity
---@field app string
---@field user integer
---@field name string the application's own name of the user
---@field scope "free-busy"|"read"|"read-write"
---@field grant integer

---@param engine table
---@return table oauth
function oauth.new(engine)
  return setmetatable({ engine = engine, store = engine.store, fresh = {}, stale = {}, cached = 0 }, oauth)
end

-- Claims hold whole seconds.
local function now(self)
  return math.floor(self.store.clock())
end

---@param self table
---@return lunation.jwt.key current
---@return table<string, lunation.jwt.key> by_header
local function signing_keys(self)
  if not self.keys then
    local rows, err = self.store:signing_keys()
    if not rows then error(errors.new("internal", "no signing key: " .. tostring(err))) end
    local keys, by_header = {}, {}
    for i, row in ipairs(rows) do
      keys[i] = jwt.key(row.kid, row.public, row.private)
      by_header[keys[i].header] = keys[i]
    end
    self.keys, self.by_header = keys, by_header
  end
  return self.keys[1], self.by_header
end

---@param grant lunation.Grant
local function access_token(self, grant, ttl)
  local at = now(self)
  return jwt.sign(signing_keys(self), {
    sub = grant.name, aud = grant.app, projectId = grant.app, scope = grant.scope,
    iat = at, exp = at + ttl, jti = grant.id .. "." .. crypto.base64url(crypto.random(12)),
  })
end

---@param grant lunation.Grant
local function refresh_token(self, grant, generation)
  return jwt.sign(signing_keys(self), {
    sub = grant.name, aud = grant.app, projectId = grant.app, type = "refresh",
    jti = ("%d.%d.%s"):format(grant.id, generation, crypto.base64url(crypto.random(12))),
  })
end

---@param grant lunation.Grant
local function token_answer(self, grant, generation)
  return {
    access_token = access_token(self, grant, ACCESS_TTL), token_type = "Bearer", expires_in = ACCESS_TTL,
    refresh_token = refresh_token(self, grant, generation), scope = grant.scope,
  }
end

---Issue an access token without a browser, for the operator.
---@param want { app: string, user: string, scope?: string, ttl?: integer } user: the application's name of the user
---@return { access_token: string, token_type: string, expires_in: integer, scope: string }|nil
---@return lunation.Error|nil
function oauth:issue(want)
  local scope = want.scope or "read-write"
  if not scopes.known(scope) then
    return nil, errors.new("invalid_request", "scope is one of " .. table.concat(scopes.all, ", "), { field = "scope" })
  end
  local app = self.store:app(want.app)
  if not app then return nil, errors.new("not_found", "there is no application " .. tostring(want.app), { field = "app" }) end
  local user, err = self.store:user(app.id, want.user, { create = true })
  if not user then return nil, err end
  local ttl = want.ttl or ACCESS_TTL
  local id, failed = self.store:grant_add { app = app.id, user = user.id, scope = scope }
  if not id then return nil, failed end
  local token = access_token(self, { id = id, app = app.id, name = user.name, scope = scope }, ttl)
  return { access_token = token, token_type = "Bearer", expires_in = ttl, scope = scope }
end

---The claims of a token whose signature was checked, now or before.
local function claims_of(self, token)
  if type(token) ~= "string" then return nil end
  local key = crypto.sha256(token)
  local claims = self.fresh[key] or self.stale[key]
  if claims then return claims end
  local _, by_header = signing_keys(self)
  claims = jwt.verify(token, by_header)
  if not claims then
    -- Another worker, or a rotation of the keys, may have made a key since this one looked.
    local kid_unknown = not by_header[token:match("^[^.]*") or ""]
    if kid_unknown and (self.looked or 0) + 10 < now(self) then
      self.looked, self.keys = now(self), nil
      _, by_header = signing_keys(self)
      claims = jwt.verify(token, by_header)
    end
    if not claims then return nil end
  end
  local grant, generation = tostring(claims.jti):match("^(%d+)%.?(%d*)%.[%w_-]+$")
  claims.grant = math.tointeger(tonumber(grant))
  claims.generation = claims.type == "refresh" and math.tointeger(tonumber(generation)) or nil
  if not claims.grant then return nil end
  if self.cached >= CACHE_HALF then self.stale, self.fresh, self.cached = self.fresh, {}, 0 end
  self.fresh[key], self.cached = claims, self.cached + 1
  return claims
end

---Who presents this access token?
---@param token string|nil
---@return lunation.identity|nil
---@return lunation.Error|nil unauthorized
function oauth:verify(token)
  local claims = claims_of(self, token)
  if not claims or claims.type == "refresh" then return nil, errors.new("unauthorized", "The access token is not valid") end
  if (math.tointeger(claims.exp) or 0) <= now(self) then return nil, errors.new("unauthorized", "The access token has expired") end
  local grant, err = self.store:grant(claims.grant)
  if err then return nil, err end
  if not grant or grant.revoked or grant.app ~= claims.aud or grant.name ~= claims.sub then
    return nil, errors.new("unauthorized", "The access token was revoked")
  end
  return { app = grant.app, user = grant.user, name = grant.name, scope = grant.scope, grant = grant.id }
end

---Make the code that a browser carries back to the application.
---@param code { app: string, user: integer, scope: string, redirect_uri: string, challenge: string|nil }
---@return string|nil
---@return lunation.Error|nil
function oauth:code(code)
  local text = crypto.base64url(crypto.random(32))
  local added, err = self.store:code_add {
    hash = crypto.hex(crypto.sha256(text)), app = code.app, user = code.user, scope = code.scope,
    redirect_uri = code.redirect_uri, challenge = code.challenge, expires = now(self) + CODE_TTL,
  }
  if not added then return nil, err end
  return text
end

local function invalid_grant(message)
  return nil, errors.new("invalid_grant", message)
end

---Does the verifier belong to the challenge (RFC 7636, S256)?
local function proves(challenge, verifier)
  if type(verifier) ~= "string" or not verifier:find("^[%w%-._~]+$") or #verifier < 43 or #verifier > 128 then return false end
  return crypto.equal(crypto.base64url(crypto.sha256(verifier)), challenge)
end

---Exchange a code (RFC 6749 section 4.1.3).
---@param app table the authenticated application
---@param params { code: string, redirect_uri: string|nil, code_verifier: string|nil }
---@return table|nil answer of the token endpoint
---@return lunation.Error|nil
function oauth:exchange(app, params)
  if type(params.code) ~= "string" or params.code == "" then return nil, errors.new("invalid_request", "code is required", { field = "code" }) end
  local code, missing = self.store:code(crypto.hex(crypto.sha256(params.code)))
  if missing then return nil, missing end
  if not code then return invalid_grant("Invalid authorization code") end
  if code.app ~= app.id then return invalid_grant("Client mismatch") end
  if code.grant_id then
    -- A code that comes twice was seen by somebody else: what its first use gave is taken back (RFC 6749, 4.1.2).
    self.store:grant_revoke(code.grant_id)
    return invalid_grant("Invalid authorization code")
  end
  if params.redirect_uri and params.redirect_uri ~= code.redirect_uri then return invalid_grant("Redirect URI mismatch") end
  if code.challenge and not proves(code.challenge, params.code_verifier) then return invalid_grant("Invalid code verifier") end
  -- A verifier without a challenge means that somebody cut the challenge out of the first request (RFC 9700, 4.8.2).
  if not code.challenge and params.code_verifier then return invalid_grant("Invalid code verifier") end
  if code.expires <= now(self) then return invalid_grant("Authorization code expired") end
  local id, err = self.store:code_spend(code)
  if not id then
    if err and err.code ~= "conflict" then return nil, err end
    local spent = self.store:code(code.hash)
    if spent and spent.grant_id then self.store:grant_revoke(spent.grant_id) end
    return invalid_grant("Invalid authorization code")
  end
  local grant, failed = self.store:grant(id)
  if not grant then return nil, failed end
  return token_answer(self, grant, 0)
end

---Refresh (RFC 6749 section 6), with rotation and detection of reuse (RFC 9700, 4.14.2).
---@param app table the authenticated application
---@param token string|nil
---@return table|nil answer of the token endpoint
---@return lunation.Error|nil
function oauth:refresh(app, token)
  if type(token) ~= "string" or token == "" then return nil, errors.new("invalid_request", "refresh_token is required", { field = "refresh_token" }) end
  local claims = claims_of(self, token)
  if not claims or not claims.generation then return invalid_grant("Invalid refresh token") end
  local grant, err = self.store:grant(claims.grant)
  if err then return nil, err end
  if not grant or grant.revoked or grant.name ~= claims.sub then return invalid_grant("Invalid refresh token") end
  if grant.app ~= app.id then return invalid_grant("Client mismatch") end
  if claims.generation == grant.generation then
    local moved
    moved, err = self.store:grant_rotate(grant.id, grant.generation)
    if err then return nil, err end
    if moved then return token_answer(self, grant, grant.generation + 1) end
  end
  -- An older generation, or one that another refresh has moved on meanwhile.
  grant, err = self.store:grant(claims.grant)
  if err then return nil, err end
  if not grant or grant.revoked then return invalid_grant("Invalid refresh token") end
  if claims.generation == grant.generation - 1 then
    -- Just rotated, by this client's other instance: a sibling of the token that one got.
    if now(self) - (grant.rotated or 0) <= GRACE then return token_answer(self, grant, grant.generation) end
    return invalid_grant("Invalid refresh token")
  end
  -- Two or more rotations old: a copy that should not exist any more is in use, so nobody keeps the grant.
  if claims.generation < grant.generation then self.store:grant_revoke(grant.id) end
  return invalid_grant("Invalid refresh token")
end

---Revoke everything the token's application holds for its user. A token that is not ours has nothing to revoke.
---@param token string access or refresh token
---@return true|nil
---@return lunation.Error|nil
function oauth:revoke(token)
  local claims = claims_of(self, token)
  if not claims then return true end
  local grant, err = self.store:grant(claims.grant)
  if grant and grant.name == claims.sub then
    local ended
    ended, err = self.store:grants_revoke(grant.app, grant.user)
    if ended then return true end
  end
  if err then return nil, err end
  return true
end

local function too_many(self, counted)
  return errors.new("rate_limited", "Too many attempts", { retry_after = math.max(1, math.ceil(counted.resets - self.store.clock())) })
end

---Count an attempt at something that a stranger may guess.
---@param key string
---@param limit integer attempts allowed in the window
---@param window integer seconds
---@return true|nil
---@return lunation.Error|nil rate_limited with retry_after
function oauth:attempt(key, limit, window)
  local counted, err = self.store:attempt(key, window)
  if not counted then return nil, err end
  if counted.count <= limit then return true end
  return nil, too_many(self, counted)
end

---The application that authenticates with these credentials.
---@param id string|nil
---@param secret string|nil
---@param remote string address of the client
---@return table|nil app
---@return lunation.Error|nil invalid_client, or rate_limited
function oauth:client(id, secret, remote)
  local app, failed
  if type(id) == "string" then app, failed = self.store:app(id) end
  if failed then return nil, failed end
  if app and clients.remembered(app.secret, secret) then return app end
  -- Only failures count, and they count for an address, so that nobody makes an application elsewhere wait by guessing
  -- at its secret. Looked at before the secret is, which takes the whole worker for tens of milliseconds.
  local name = "client:" .. tostring(remote)
  local before, unread = self.store:attempts(name)
  if unread then return nil, unread end
  if before and before.count >= CLIENT_ATTEMPTS then return nil, too_many(self, before) end
  if app and clients.verify(app.secret, secret) then return app end
  local ok, err = self:attempt(name, CLIENT_ATTEMPTS, CLIENT_WINDOW)
  if not ok then return nil, err end
  return nil, errors.new("invalid_client", "Client authentication failed")
end

return oauth
