--- Connecting an account by OAuth: begun where a person is sent to the provider, finished where they come back.
--
-- The `state` is random, kept as its hash, bound to the user, good once and for ten minutes (RFC 9700 section 4.7); the proof
-- of PKCE stays here.

local accounts = require "lunation.oauth.accounts"
local client = require "lunation.oauth.client"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local json = require "lunation.json"
local session = require "lunation.session"
local task = require "lunation.task"

local connecting = {}

--- Seconds.
local LIFETIME = 600

--- What is kept of a state.
---@param state string
---@return string
function connecting.hash(state)
  return crypto.hex(crypto.sha256(state))
end

---@class lunation.Connecting
---@field app string
---@field user integer?
---@field provider lunation.Provider
---@field scope "free-busy"|"read"|"read-write"
---@field extras string[]? "contacts", "resources"
---@field redirect_uri string
---@field kind string who finishes it: "pages", "connections", …
---@field data table? what else has to be known then
---@field login_hint string?

--- Where the configuration, or `public_url`, has the provider send people back to.
---@param engine table
---@param provider lunation.Provider
---@param kind string
---@param path string
---@return string
function connecting.redirect_uri(engine, provider, kind, path)
  local configured = session.config(engine, provider).redirect_uris or {}
  return configured[kind] or (engine.config.public_url or "") .. path
end

--- Makes the address that a person is sent to, and what has to be known when they come back. Nothing is stored.
---@param engine table
---@param wanted lunation.Connecting
---@return { url: string, state: string, row: lunation.store.Connecting }?
---@return lunation.Error?
function connecting.prepare(engine, wanted)
  local provider = wanted.provider
  local config = session.config(engine, provider)
  local verifier, challenge = client.proof()
  local state = crypto.base64url(crypto.random(32))
  local extras = table.move(config.extras or {}, 1, #(config.extras or {}), 1, {})
  table.move(wanted.extras or {}, 1, #(wanted.extras or {}), #extras + 1, extras)
  local scopes = client.scopes(provider, wanted.scope, extras)
  local url, err = client.authorize_url(provider, config, {
    redirect_uri = wanted.redirect_uri, state = state, challenge = challenge, scopes = scopes, login_hint = wanted.login_hint,
  })
  if not url then return nil, err end
  local data = { kind = wanted.kind, scope = wanted.scope, asked = json.array(scopes) }
  for name, value in pairs(wanted.data or {}) do data[name] = value end
  return {
    url = url, state = state,
    row = {
      state = connecting.hash(state), app = wanted.app, user = wanted.user, provider = provider.name, verifier = verifier,
      redirect_uri = wanted.redirect_uri, data = data, expires = engine.store.clock() + LIFETIME,
    },
  }
end

--- Begins: the address for the browser. What has to be known later stands in the store.
---@param engine table
---@param wanted lunation.Connecting
---@return string? url
---@return lunation.Error?
function connecting.begin(engine, wanted)
  local prepared, err = connecting.prepare(engine, wanted)
  if not prepared then return nil, err end
  local kept, failure = engine.store:connecting_add(prepared.row)
  if not kept then return nil, failure end
  return prepared.url
end

--- What was begun under a state; it cannot be taken a second time.
---@param engine table
---@param state string?
---@param provider string
---@param kind string
---@return lunation.store.Connecting? nil: it is unknown, used, or too old
---@return lunation.Error?
function connecting.take(engine, state, provider, kind)
  if type(state) ~= "string" or #state ~= 43 then return nil end
  return engine.store:connecting_take(connecting.hash(state), { provider = provider, kind = kind })
end

-- What was granted of what was asked for (RFC 6749 section 3.3: an answer without scope grants all of it).
local function granted(provider, answer, row)
  local list = {}
  if type(answer.scope) == "string" then
    for name in answer.scope:gmatch "%S+" do list[#list + 1] = name end
  else
    list = table.move(row.data.asked, 1, #row.data.asked, 1, {})
  end
  local verdict = provider.auth.granted and provider.auth.granted(answer, row.data.asked) or nil
  if not verdict then
    local has, missing = {}, {}
    for _, name in ipairs(list) do has[name] = true end
    for _, name in ipairs(row.data.asked) do
      if not has[name] and name ~= "offline_access" then missing[#missing + 1] = name end
    end
    verdict = { missing = missing }
  end
  return { list = list, calendar = verdict.calendar, missing = verdict.missing or {} }
end

-- Who somebody is by their ID token. It came straight from the token endpoint, so that its signature proves nothing more
-- (OpenID Connect Core section 3.1.3.7).
local function email_of(answer)
  local payload = type(answer.id_token) == "string" and answer.id_token:match "^[^.]+%.([%w_-]+)%."
  local text = payload and crypto.unbase64url(payload)
  local claims = text and json.decode(text)
  return type(claims) == "table" and type(claims.email) == "string" and claims or nil
end

local function identify(engine, provider, row, tokens, answer, permitted)
  local account = session.attach(engine, provider, {
    provider = provider.name, app = row.app, user = row.user, credentials = tokens, settings = {}, remote = true,
    answer = answer,
  })
  local known, err = task.deadline(engine.config.limits.sign_in_time or 20, provider.identify, account)
  if not known and permitted.calendar == false then
    -- Without the calendar's scope the service may not say who it is; the account is there all the same, and says what it lacks.
    local claims = email_of(answer)
    known = claims and { identity = claims.email, name = claims.name, subject = claims.sub, settings = {} }
  end
  if not known then return nil, errors.from(err) end
  return known, account.credentials
end

-- The account that is there under an identity already. An address may come to somebody else, and with some services whoever
-- runs a tenant writes any into it: where the provider names a subject that stays, that one has to be the same.
local function earlier(engine, row, provider, known)
  local list, err = engine.store:accounts { user = row.user, provider = provider.name, identity = known.identity }
  if not list then return nil, err end
  local before = list[1]
  local subject = before and before.settings.subject
  if subject and subject ~= known.subject then
    return nil, errors.new("conflict", ("%s is connected as another person's; that account has to be disconnected first"):format(known.identity),
      { reason = "other_subject", provider = provider.name, account = before.id })
  end
  return before
end

-- A service that has given a refresh token before need not give one again.
local function with_refresh_token(engine, before, credentials)
  if credentials.refresh_token or not before then return credentials end
  local kept = engine.store:credentials(before.id)
  credentials.refresh_token = kept and kept.refresh_token
  return credentials
end

--- Finishes: exchanges the code, asks who it is, and keeps the account.
---@param engine table
---@param row lunation.store.Connecting taken, with its user by now
---@param params { code: string?, error: string?, error_description: string? } what the browser brought
---@param options { sync: boolean? }? of `accounts.keep`
---@return lunation.Account?
---@return lunation.Error? forbidden with reason access_denied: the person did not agree
function connecting.finish(engine, row, params, options)
  local provider, unknown = engine.providers:get(row.provider)
  if not provider then return nil, unknown end
  if params.error or not params.code or params.code == "" then
    local denied = params.error == "access_denied" or params.error == "consent_required" or params.error == "interaction_required"
    return nil, errors.new(denied and "forbidden" or "provider_error",
      denied and "Access was not given" or ("%s sent the person back with an error: %s"):format(provider.title, params.error or "no code"),
      { reason = denied and "access_denied" or params.error or "no_code", provider = provider.name })
  end
  local config = session.config(engine, provider)
  local tokens, answer = client.exchange(provider, config, { code = params.code, redirect_uri = row.redirect_uri, verifier = row.verifier })
  if not tokens then return nil, answer end
  local permitted = granted(provider, answer, row)
  local known, credentials = identify(engine, provider, row, tokens, answer, permitted)
  if not known then return nil, credentials end
  local before, other = earlier(engine, row, provider, known)
  if other then return nil, other end
  local full, failed = accounts.full(engine, { app = row.app, id = row.user }, provider.name, known.identity)
  if failed then return nil, failed end
  if full then return nil, errors.new("forbidden", "no further account", { field = "accounts" }) end
  local settings = known.settings or {}
  settings.grantedScopes = json.array(permitted.list)
  settings.calendarPermissionGranted = permitted.calendar
  settings.subject = known.subject
  return accounts.keep(engine, {
    user = row.user, provider = provider.name, identity = known.identity, name = known.name, url = known.url,
    username = known.username or known.identity, scope = row.data.scope,
    credentials = with_refresh_token(engine, before, credentials), settings = settings,
  }, options)
end

return connecting
