-- OAuth 2 as accounts.google.com and oauth2.googleapis.com speak it: the consent page (which agrees by itself), codes with PKCE,
-- refresh tokens, revocation, userinfo.
local crypto = require "lunation.crypto"
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local scopes = require "spec.emulators.google.scopes"
local server = require "lunation.server"
local world = require "spec.emulators.google.world"

local oauth = {}

local CODE_LIFE = 600
local TOKEN_LIFE = 3599
local auth = "https://www.googleapis.com/auth/"
local identity = { openid = true, email = true, profile = true, [auth .. "userinfo.email"] = true, [auth .. "userinfo.profile"] = true }

local pair = crypto.keypair "ed25519"

local function refuse(status, code, description)
  failure.fail(status, code, description)
end

local function escape(text)
  return (text:gsub("[^%w%-%._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function page(status, title, text)
  return {
    status = status, headers = { ["content-type"] = "text/html; charset=UTF-8" },
    body = "<!DOCTYPE html><title>" .. title .. "</title><h1>" .. title .. "</h1><p>" .. text .. "</p>",
  }
end

local function back(redirect_uri, values)
  local words = {}
  for _, pair_of in ipairs(values) do
    if pair_of[2] then words[#words + 1] = pair_of[1] .. "=" .. escape(pair_of[2]) end
  end
  local joint = redirect_uri:find("?", 1, true) and "&" or "?"
  return { status = 302, headers = { location = redirect_uri .. joint .. table.concat(words, "&") }, body = "" }
end

-- The scopes that the user leaves ticked; those of identity are no boxes.
local function granted(asked, fault)
  if not fault then return asked end
  local kept, out = {}, {}
  for _, name in ipairs(fault.scopes or {}) do kept[name] = true end
  for scope in asked:gmatch("%S+") do
    if identity[scope] or kept[scope] or kept[scope:gsub("^" .. auth:gsub("%p", "%%%0"), "")] then out[#out + 1] = scope end
  end
  return table.concat(out, " ")
end

local function known_client(id)
  return not oauth.clients or oauth.clients[id] ~= nil
end

local function authorize(call)
  local args = call.args
  if not args.client_id or not known_client(args.client_id) then return page(401, "Error 401: invalid_client", "The OAuth client was not found.") end
  if not args.redirect_uri or not args.redirect_uri:find("^https?://") then
    return page(400, "Error 400: invalid_request", "Missing required parameter: redirect_uri")
  end
  if args.response_type ~= "code" then return page(400, "Error 400: unsupported_response_type", "Only codes are given.") end
  if not args.scope or args.scope == "" then return page(400, "Error 400: invalid_request", "Missing required parameter: scope") end
  if args.code_challenge and args.code_challenge_method and args.code_challenge_method ~= "S256" and args.code_challenge_method ~= "plain" then
    return page(400, "Error 400: invalid_request", "Invalid code_challenge_method.")
  end
  for scope in args.scope:gmatch("%S+") do
    if not identity[scope] and not scope:find("^https://www%.google.*apis?%.com/") then
      return page(400, "Error 400: invalid_scope", "Some requested scopes were invalid.")
    end
  end
  if call:fault "consent_denied" then return back(args.redirect_uri, { { "error", "access_denied" }, { "state", args.state } }) end
  local user = args.login_hint and world.users[args.login_hint:lower()] or world.users[world.user_order[1]]
  for _, email in ipairs(world.user_order) do
    if args.login_hint and world.users[email].id == args.login_hint then user = world.users[email] end
  end
  if not user then return page(400, "Error 400: invalid_request", "There is no account.") end
  local scope = granted(args.scope, call:fault "partial_consent")
  local key = args.client_id .. " " .. user.email
  if args.include_granted_scopes == "true" and world.grants[key] then
    local held = scopes.parse(scope)
    for before in pairs(world.grants[key].scopes) do
      if not held[before] then scope = scope .. " " .. before end
    end
  end
  local code = "4/" .. crypto.base64url(crypto.random(32))
  world.codes[code] = {
    user = user.email, client = args.client_id, redirect_uri = args.redirect_uri, scope = scope, expires = world.now() + CODE_LIFE,
    challenge = args.code_challenge, method = args.code_challenge_method or "plain", nonce = args.nonce,
    offline = args.access_type == "offline", fresh = (args.prompt or ""):find "consent" ~= nil or world.grants[key] == nil,
  }
  return back(args.redirect_uri, {
    { "state", args.state }, { "iss", "https://accounts.google.com" }, { "code", code }, { "scope", scope }, { "authuser", "0" },
    { "hd", user.domain }, { "prompt", args.prompt or "none" },
  })
end

-- The client of a token request, from its body or from Basic.
local function client_of(call, form)
  local id, secret = form.client_id, form.client_secret
  local basic = (call.headers["authorization"] or ""):match("^[Bb]asic%s+(%S+)$")
  if basic then
    id, secret = (crypto.unbase64(basic) or ""):match("^([^:]*):(.*)$")
    id, secret = server.decode(id or "", true), server.decode(secret or "", true)
  end
  if not id or id == "" then refuse(400, "invalid_request", "Could not determine client ID from request.") end
  if not known_client(id) then refuse(401, "invalid_client", "The OAuth client was not found.") end
  if oauth.clients and oauth.clients[id] ~= secret then refuse(401, "invalid_client", "Unauthorized") end
  return id
end

local function identity_token(user, client, nonce)
  local now = math.floor(world.now())
  local head = crypto.base64url(json.encode { alg = "EdDSA", typ = "JWT", kid = "emulator" })
  local claims = crypto.base64url(json.encode {
    iss = "https://accounts.google.com", aud = client, azp = client, sub = user.id, email = user.email, email_verified = true, name = user.name,
    hd = user.domain, iat = now, exp = now + 3600, nonce = nonce,
  })
  return head .. "." .. claims .. "." .. crypto.base64url(crypto.sign(pair.private, head .. "." .. claims))
end

local function access(grant, scope)
  local text = "ya29." .. crypto.base64url(crypto.random(32))
  local life = world.access_lifetime or TOKEN_LIFE
  world.tokens[text] = {
    user = grant.user, client = grant.client, scopes = scopes.parse(scope), scope = scope, expires = world.now() + life, grant = grant,
  }
  return { access_token = text, expires_in = life, scope = scope, token_type = "Bearer" }
end

local function new_refresh(grant)
  local text = "1//" .. crypto.base64url(crypto.random(40))
  world.refresh[text] = grant
  return text
end

-- Nothing that came of a grant works any more.
local function finish(grant)
  grant.revoked = true
  for text, one in pairs(world.tokens) do
    if one.grant == grant then world.tokens[text] = nil end
  end
  world.grants[grant.client .. " " .. grant.user] = nil
end

local function by_code(call, form, client)
  local held = world.codes[form.code or ""]
  if not held or held.client ~= client then refuse(400, "invalid_grant", "Malformed auth code.") end
  if held.used then
    -- a code that comes twice ends what it gave
    if held.grant then finish(held.grant) end
    refuse(400, "invalid_grant", "Bad Request")
  end
  if held.expires <= world.now() then refuse(400, "invalid_grant", "Bad Request") end
  if form.redirect_uri ~= held.redirect_uri then refuse(400, "redirect_uri_mismatch", "Bad Request") end
  if held.challenge then
    local verifier = form.code_verifier
    if not verifier then refuse(400, "invalid_grant", "Missing code verifier.") end
    if #verifier < 43 or #verifier > 128 or verifier:find "[^%w%-%._~]" then refuse(400, "invalid_grant", "Invalid code verifier.") end
    local made = held.method == "S256" and crypto.base64url(crypto.sha256(verifier)) or verifier
    if made ~= held.challenge then refuse(400, "invalid_grant", "Invalid code verifier.") end
  elseif form.code_verifier then
    refuse(400, "invalid_grant", "Code verifier without a challenge.")
  end
  held.used = true
  local grant = { user = held.user, client = client, scope = held.scope, scopes = scopes.parse(held.scope) }
  held.grant = grant
  local answer = access(grant, grant.scope)
  if held.offline and held.fresh then answer.refresh_token = new_refresh(grant) end
  world.grants[client .. " " .. held.user] = grant
  if grant.scopes.openid then answer.id_token = identity_token(world.users[held.user], client, held.nonce) end
  call.user = world.users[held.user]
  return answer
end

local function by_refresh(call, form, client)
  local grant = world.refresh[form.refresh_token or ""]
  if not grant or grant.revoked then refuse(400, "invalid_grant", "Token has been expired or revoked.") end
  if grant.client ~= client then refuse(401, "unauthorized_client", "Unauthorized") end
  call.user = world.users[grant.user]
  if form.scope and form.scope ~= "" then
    for scope in form.scope:gmatch("%S+") do
      if not grant.scopes[scope] then refuse(400, "invalid_scope", "Some requested scopes were invalid.") end
    end
  end
  local answer = access(grant, form.scope ~= "" and form.scope or grant.scope)
  if call:fault "rotate_refresh" or world.rotate then
    world.refresh[form.refresh_token] = nil
    answer.refresh_token = new_refresh(grant)
  end
  if grant.scopes.openid then answer.id_token = identity_token(call.user, client) end
  return answer
end

local function token(call)
  if not (call.headers["content-type"] or ""):find "^application/x%-www%-form%-urlencoded" then
    refuse(400, "invalid_request", "The body is to be application/x-www-form-urlencoded.")
  end
  local form = server.decode_form(call.text)
  local client = client_of(call, form)
  if call:fault "invalid_grant" then refuse(400, "invalid_grant", "Token has been expired or revoked.") end
  local answer
  if form.grant_type == "authorization_code" then
    answer = by_code(call, form, client)
  elseif form.grant_type == "refresh_token" then
    answer = by_refresh(call, form, client)
  else
    refuse(400, "unsupported_grant_type", "Invalid grant_type: " .. tostring(form.grant_type))
  end
  return { status = 200, headers = { ["cache-control"] = "no-store" }, body = answer }
end

local function revoke(call)
  local form = server.decode_form(call.text)
  local text = form.token or call.args.token
  local held = text and (world.refresh[text] or world.tokens[text] and world.tokens[text].grant)
  if not held or held.revoked then refuse(400, "invalid_token", "Token expired or revoked") end
  finish(held)
  return { status = 200, body = json.object {} }
end

-- Who holds the token; what is told depends on the scopes of identity.
local function userinfo(call)
  local text = (call.headers["authorization"] or ""):match("^[Bb]earer%s+(%S+)$") or call.args.access_token
  local held = world.tokens[text or ""]
  if not held or (held.expires and held.expires <= world.now()) then refuse(401, "invalid_request", "Invalid Credentials") end
  local user = world.users[held.user]
  local function may(name) return not held.scopes or held.scopes[name] or held.scopes[auth .. "userinfo." .. name] end
  if held.scopes and not (held.scopes.openid or may "email" or may "profile") then refuse(403, "insufficient_scope", "Forbidden") end
  local info = { sub = user.id, hd = user.domain }
  if call.path:find "v2" then info.id = user.id end
  if may "email" then
    info.email, info.email_verified = user.email, true
    if call.path:find "v2" then info.verified_email = true end
  end
  if may "profile" then
    info.name, info.given_name = user.name, user.name:match "^%S+"
    info.family_name, info.picture = user.name:match "%s(.+)$", "https://lh3.googleusercontent.com/a/" .. user.id
  end
  return { status = 200, body = info }
end

local function tokeninfo(call)
  local form = server.decode_form(call.text)
  local text = call.args.access_token or form.access_token or (call.headers["authorization"] or ""):match "^[Bb]earer%s+(%S+)$"
  local held = world.tokens[text or ""]
  if not held or (held.expires and held.expires <= world.now()) then refuse(400, "invalid_token", "Invalid Value") end
  return { status = 200, body = {
    aud = held.client, azp = held.client, sub = world.users[held.user].id, email = held.user, email_verified = "true", scope = held.scope or "",
    expires_in = held.expires and ("%d"):format(math.floor(held.expires - world.now())) or nil, access_type = "offline",
  } }
end

local function keys()
  return { keys = { { kty = "OKP", crv = "Ed25519", alg = "EdDSA", use = "sig", kid = "emulator", x = crypto.base64url(pair.raw_public) } } }
end

local function configuration(call)
  local base = call.req.scheme .. "://" .. call.req.host
  return {
    issuer = "https://accounts.google.com", authorization_endpoint = base .. "/o/oauth2/v2/auth", token_endpoint = base .. "/token",
    userinfo_endpoint = base .. "/v1/userinfo", revocation_endpoint = base .. "/revoke", jwks_uri = base .. "/oauth2/v3/certs",
    response_types_supported = { "code" }, subject_types_supported = { "public" }, id_token_signing_alg_values_supported = { "EdDSA" },
    scopes_supported = { "openid", "email", "profile" }, code_challenge_methods_supported = { "plain", "S256" },
    token_endpoint_auth_methods_supported = { "client_secret_post", "client_secret_basic" },
    grant_types_supported = { "authorization_code", "refresh_token" },
  }
end

local info = { GET = { handler = userinfo }, POST = { handler = userinfo } }
oauth.routes = {
  ["/o/oauth2/v2/auth"] = { GET = { handler = authorize } },
  ["/o/oauth2/auth"] = { GET = { handler = authorize } },
  ["/token"] = { POST = { handler = token } },
  ["/o/oauth2/token"] = { POST = { handler = token } },
  ["/revoke"] = { POST = { handler = revoke } },
  ["/o/oauth2/revoke"] = { POST = { handler = revoke } },
  ["/v1/userinfo"] = info, ["/oauth2/v3/userinfo"] = info, ["/oauth2/v2/userinfo"] = info,
  ["/tokeninfo"] = { GET = { handler = tokeninfo }, POST = { handler = tokeninfo } },
  ["/oauth2/v3/certs"] = { GET = { handler = keys } },
  ["/.well-known/openid-configuration"] = { GET = { handler = configuration } },
}

return oauth
