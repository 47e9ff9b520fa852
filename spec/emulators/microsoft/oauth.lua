-- The Microsoft identity platform's v2.0 endpoints: authorize (consent is given at once, or as POST /_emulator/consent says), token
-- (code with PKCE, refresh), keys, discovery, userinfo, logout. Errors carry AADSTS numbers.
local crypto = require "lunation.crypto"
local http_server = require "lunation.http_server"
local json = require "lunation.json"
local scopes = require "spec.emulators.microsoft.scopes"
local times = require "spec.emulators.microsoft.times"

local M = {}

local tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
local keys = crypto.keypair "ed25519"

local OAuth = {}
OAuth.__index = OAuth

---@param world spec.graph.World
---@param clients table<string, {secret:string?}> registered ones; empty: any client is known
function M.new(world, clients)
  return setmetatable({ world = world, clients = clients }, OAuth)
end

local JSON = { ["content-type"] = "application/json; charset=utf-8", ["cache-control"] = "no-store, no-cache", pragma = "no-cache" }

local function answer(status, body, headers)
  local out = {}
  for name, value in pairs(JSON) do out[name] = value end
  for name, value in pairs(headers or {}) do out[name] = value end
  return { status = status, headers = out, body = json.encode(body, { sorted = true }) }
end

---An error of the token endpoint.
---@param code integer AADSTS number
function OAuth:failure(status, name, code, message, headers)
  local trace, correlation, stamp = crypto.uuid(), crypto.uuid(), times.utc(self.world:now()):gsub("T", " ")
  return answer(status, {
    error = name, error_codes = json.array { code }, timestamp = stamp, trace_id = trace, correlation_id = correlation,
    error_description = ("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s"):format(code, message, trace, correlation, stamp),
    error_uri = "https://login.microsoftonline.com/error?code=" .. code,
  }, headers)
end

local function escape(text)
  return (text:gsub("[^%w%-%._~]", function(char) return ("%%%02X"):format(char:byte()) end))
end

local function page(status, code, message)
  return {
    status = status, headers = { ["content-type"] = "text/html; charset=utf-8" },
    body = (
      "<!DOCTYPE html><title>Sign in to your account</title><h1>Sorry, but we're having trouble signing you in.</h1><p>AADSTS%d: %s</p>"):format(code, message),
  }
end

-- The scopes of a request: a list in its order, and as a set of plain names.
local function asked(text)
  local list, set = {}, {}
  for word in (text or ""):gmatch "%S+" do
    local plain = scopes.plain(word)
    if not scopes.known[plain] then return nil, word end
    list[#list + 1], set[plain] = word, true
  end
  return list, set
end

local function back(redirect, values, fragment)
  local parts = {}
  for _, pair in ipairs(values) do
    if pair[2] then parts[#parts + 1] = pair[1] .. "=" .. escape(pair[2]) end
  end
  local mark = fragment and "#" or redirect:find("?", 1, true) and "&" or "?"
  return { status = 302, headers = { location = redirect .. mark .. table.concat(parts, "&"), ["cache-control"] = "no-store" }, body = "" }
end

function OAuth:authorize(req, fault)
  local given = http_server.decode_form(req.query)
  for _, name in ipairs { "client_id", "response_type", "scope" } do
    if not given[name] or given[name] == "" then
      return page(400, 900144, ("The request body must contain the following parameter: '%s'."):format(name))
    end
  end
  local client = self.clients[given.client_id]
  if next(self.clients) and not client then
    return page(400, 700016, ("Application with identifier '%s' was not found in the directory."):format(given.client_id))
  end
  local redirect = given.redirect_uri
  if not redirect or not redirect:find "^https?://" then
    return page(400, 50011, "The redirect URI specified in the request does not match the redirect URIs configured for the application.")
  end
  local function refuse(name, code, message)
    return back(redirect, { { "error", name }, { "error_description", ("AADSTS%d: %s"):format(code, message) }, { "state", given.state } })
  end
  if given.response_type ~= "code" then return refuse("unsupported_response_type", 70005, "The response type is not supported.") end
  if given.response_mode and given.response_mode ~= "query" then return refuse("invalid_request", 9002325, "The response mode is not supported.") end
  local list, set = asked(given.scope)
  if not list then return refuse("invalid_scope", 70011, (
    "The provided value for the input parameter 'scope' is not valid. The scope %s is not valid."):format(set)) end
  local method = given.code_challenge_method
  if given.code_challenge and method ~= "S256" and method ~= "plain" and method ~= nil then
    return refuse("invalid_request", 501491, "The code challenge method is not supported.")
  end
  local world = self.world
  local consent = world.consent or {}
  if fault and fault.fault == "consent_denied" then consent = { deny = true } end
  if fault and fault.fault == "partial_consent" then consent = { scopes = fault.scopes, user = consent.user } end
  local user = world:user(consent.user) or world:user(given.login_hint) or world.users[1]
  if given.prompt == "none" and consent.interaction then
    return refuse("interaction_required", 50058, "A silent sign-in request was sent but no user is signed in.")
  end
  if consent.deny then return refuse("access_denied", 65004, "User declined to consent to access the app.") end
  local granted = {}
  for _, word in ipairs(list) do
    local fine = not consent.scopes
    for _, each in ipairs(consent.scopes or {}) do fine = fine or scopes.plain(each) == scopes.plain(word) end
    if fine then granted[#granted + 1] = word end
  end
  local code = "M.C5_" .. crypto.base64url(crypto.random(40))
  world.codes[code] = {
    user = user, client = given.client_id, redirect = redirect, scopes = granted, challenge = given.code_challenge, method = method or "plain",
    nonce = given.nonce, expires = world:now() + 600,
  }
  return back(redirect, { { "code", code }, { "state", given.state }, { "session_state", crypto.uuid() } }, false)
end

local function jwt(claims)
  local head = crypto.base64url(json.encode({ alg = "EdDSA", typ = "JWT", kid = "emulator" }, { sorted = true }))
  local body = head .. "." .. crypto.base64url(json.encode(claims, { sorted = true }))
  return body .. "." .. crypto.base64url(crypto.sign(keys.private, body))
end

-- The answer of the token endpoint; a refresh token only to those who asked for offline_access.
function OAuth:grant(base, grant, list)
  local world = self.world
  local set, resource = {}, {}
  for _, word in ipairs(list) do
    local plain = scopes.plain(word)
    set[plain] = true
    if plain ~= "offline_access" then resource[#resource + 1] = word end
  end
  local now, lifetime = math.floor(world:now()), world.switches.accessTokenLifetime
  local access = "EwB4A8l6BAAU" .. crypto.base64url(crypto.random(60))
  world.tokens[access] = { user = grant.user, scopes = set, client = grant.client, expires = now + lifetime, grant = grant }
  local body = {
    token_type = "Bearer", scope = table.concat(resource, " "), expires_in = lifetime - 1 > 0 and lifetime - 1 or lifetime, ext_expires_in = lifetime,
    access_token = access,
  }
  if set.offline_access then
    local refresh = "M.C5_BAY.-" .. crypto.base64url(crypto.random(60))
    world.grants[refresh] = { user = grant.user, client = grant.client, scopes = grant.scopes, family = grant.family or refresh, issued = now }
    body.refresh_token = refresh
  end
  if set.openid then
    body.id_token = jwt {
      iss = base .. "/" .. tenant .. "/v2.0", aud = grant.client, sub = crypto.base64url(crypto.sha256(grant.client .. grant.user.id)),
      oid = grant.user.id, tid = tenant, ver = "2.0", iat = now, nbf = now, exp = now + 3600, nonce = grant.nonce,
      name = set.profile and grant.user.name or nil, preferred_username = set.profile and grant.user.email or nil,
      email = set.email and grant.user.email or nil,
    }
  end
  return answer(200, body)
end

local function pkce(code, verifier)
  if not code.challenge then return true end
  if not verifier then return false end
  if code.method == "S256" then verifier = crypto.base64url(crypto.sha256(verifier)) end
  return crypto.equal(verifier, code.challenge)
end

local function by_code(self, base, given, client)
  local world = self.world
  local code = world.codes[given.code or ""]
  if not code then return self:failure(400, "invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.") end
  if code.used then
    for token, record in pairs(world.grants) do
      if record.family == code.family then world.grants[token] = nil end
    end
    return self:failure(400, "invalid_grant", 54005,
      "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
  end
  if code.expires <= world:now() then
    return self:failure(400, "invalid_grant", 70008,
      "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request.")
  end
  if code.client ~= client then return self:failure(400, "invalid_grant", 700005,
    "Provided Authorization Code is intended to use against other tenant or application.") end
  if code.redirect ~= given.redirect_uri then
    return self:failure(400, "invalid_client", 500112, "The reply address does not match the reply address provided when requesting Authorization code.")
  end
  if not pkce(code, given.code_verifier) then
    return self:failure(400, "invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
  end
  code.used, code.family = true, given.code
  return self:grant(base, { user = code.user, client = client, scopes = code.scopes, nonce = code.nonce, family = code.family }, code.scopes)
end

local function by_refresh(self, base, given, client, fault)
  local world = self.world
  local record = world.grants[given.refresh_token or ""]
  if not record then
    return self:failure(400, "invalid_grant", 70000, "The provided value for the input parameter 'refresh_token' or 'assertion' is not valid.")
  end
  if record.revoked then
    return self:failure(400, "invalid_grant", 50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed.")
  end
  if record.issued + 90 * 86400 <= world:now() then
    return self:failure(400, "invalid_grant", 700082, "The refresh token has expired due to inactivity.")
  end
  if record.client ~= client then return self:failure(400, "invalid_grant", 700005, "The refresh token was issued to another application.") end
  local list = record.scopes
  if given.scope then
    local wanted, set = asked(given.scope)
    if not wanted then return self:failure(400, "invalid_scope", 70011, ("The scope %s is not valid."):format(set)) end
    local had = {}
    for _, word in ipairs(list) do had[scopes.plain(word)] = true end
    for _, word in ipairs(wanted) do
      if not had[scopes.plain(word)] then
        return self:failure(400, "invalid_grant", 65001,
          "The user or administrator has not consented to use the application. Send an interactive authorization request for this user and resource.")
      end
    end
    list = wanted
    local offline = false
    for _, word in ipairs(list) do offline = offline or scopes.plain(word) == "offline_access" end
    if not offline and had.offline_access then list[#list + 1] = "offline_access" end
  end
  if world.switches.strictRotation or fault and fault.fault == "rotate_refresh" then world.grants[given.refresh_token] = nil end
  return self:grant(base, { user = record.user, client = client, scopes = record.scopes, family = record.family }, list)
end

function OAuth:token(req, base, fault)
  local kind = req.headers["content-type"] or ""
  if not kind:lower():find "^application/x%-www%-form%-urlencoded" then
    return self:failure(400, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.")
  end
  local given = http_server.decode_form(req.body)
  local client, secret = given.client_id, given.client_secret
  local basic = (req.headers["authorization"] or ""):match "^[Bb]asic%s+(%S+)$"
  if basic then
    local name, password = (crypto.unbase64(basic) or ""):match "^([^:]*):(.*)$"
    client, secret = name and http_server.decode(name, true), password and http_server.decode(password, true)
  end
  if not client then
    return self:failure(400, "invalid_request", 900144, "The request body must contain the following parameter: 'client_id'.")
  end
  local known = self.clients[client]
  if next(self.clients) and not known then
    return self:failure(400, "unauthorized_client", 700016, ("Application with identifier '%s' was not found in the directory."):format(client))
  end
  if known and known.secret and not secret then
    return self:failure(401, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
  end
  if known and known.secret and not crypto.equal(secret, known.secret) then
    return self:failure(401, "invalid_client", 7000215,
      "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.")
  end
  if given.grant_type == "authorization_code" then return by_code(self, base, given, client) end
  if given.grant_type == "refresh_token" then return by_refresh(self, base, given, client, fault) end
  if not given.grant_type then
    return self:failure(400, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.")
  end
  return self:failure(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '" .. given.grant_type .. "'.")
end

local function discovery(base, name)
  local at = base .. "/" .. name
  return answer(200, {
    issuer = base .. "/" .. tenant .. "/v2.0", authorization_endpoint = at .. "/oauth2/v2.0/authorize", token_endpoint = at .. "/oauth2/v2.0/token",
    end_session_endpoint = at .. "/oauth2/v2.0/logout", jwks_uri = at .. "/discovery/v2.0/keys", userinfo_endpoint = base .. "/oidc/userinfo",
    response_types_supported = { "code" }, response_modes_supported = { "query" }, subject_types_supported = { "pairwise" },
    scopes_supported = { "openid", "profile", "email", "offline_access" }, id_token_signing_alg_values_supported = { "EdDSA" },
    token_endpoint_auth_methods_supported = { "client_secret_post", "client_secret_basic" }, code_challenge_methods_supported = { "S256", "plain" },
  })
end

function OAuth:userinfo(req)
  local token = self.world.tokens[(req.headers["authorization"] or ""):match "^[Bb]earer%s+(%S+)$" or ""]
  if not token or token.expires and token.expires <= self.world:now() then return answer(401, { error = "invalid_token" }) end
  return answer(200, { sub = token.user.id, name = token.user.name, email = token.user.email })
end

---Answers a request that is the identity platform's; nil where it is not.
---@param req lunation.Request
---@param base string
---@param fault table? of `faults`, to be minded
---@return lunation.Response?
function OAuth:serve(req, base, fault)
  local name, rest = req.path:match "^/([^/]+)/(.+)$"
  if req.path == "/oidc/userinfo" then return self:userinfo(req) end
  if not name or name:find "^_" then return nil end
  if rest == "v2.0/.well-known/openid-configuration" then return discovery(base, name) end
  if rest == "discovery/v2.0/keys" then
    return answer(200, { keys = { { kty = "OKP", crv = "Ed25519", use = "sig", alg = "EdDSA", kid = "emulator", x = crypto.base64url(keys.raw_public) } } })
  end
  if rest == "oauth2/v2.0/authorize" and req.method == "GET" then return self:authorize(req, fault) end
  if rest == "oauth2/v2.0/token" then
    if req.method ~= "POST" then
      return self:failure(400, "invalid_request", 900561, "The endpoint only accepts POST requests. Received a " .. req.method .. " request.")
    end
    return self:token(req, base, fault)
  end
  if rest == "oauth2/v2.0/logout" then
    local target = http_server.decode_form(req.query).post_logout_redirect_uri
    if target then return { status = 302, headers = { location = target }, body = "" } end
    return { status = 200, headers = { ["content-type"] = "text/html" }, body = "<!DOCTYPE html><p>You signed out of your account." }
  end
  return nil
end

return M
