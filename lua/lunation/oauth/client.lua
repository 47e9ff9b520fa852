--- lunation as an OAuth client of a provider (RFC 6749, PKCE by RFC 7636, as RFC 9700 wants it): the address a person is
--- sent to, and what is said at the token endpoint. Nothing is stored here.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local form = require "lunation.oauth.form"
local http = require "lunation.http"
local timer = require "lunation.timer"

local client = {}

--- Seconds for a request to the token endpoint: an answer that comes too late may have rotated a refresh token away.
local TIMEOUT = 30
local LONGEST_ANSWER = 64 * 1024

--- Scopes of an app, from the narrowest: what a provider does not name is asked for by the next wider one.
local WIDER = { ["free-busy"] = "read", read = "read-write" }

---@class lunation.OAuthTokens what is kept as an account's credentials
---@field access_token string
---@field refresh_token string?
---@field expires number? seconds since the epoch
---@field scope string? what was granted, as the server said it

---@param url string
---@return string? "https://host:port"
local function origin(url) return url:match "^(%a+://[^/?#]+)" end

--- The address of an endpoint: the configuration's `urls` first, then the provider's, in which `{tenant}` and its like
--- stand for what the configuration says.
---@param provider lunation.Provider
---@param config table
---@param name "authorize"|"token"|"revoke"
---@return string? url
function client.endpoint(provider, config, name)
  local function own(endpoint)
    local url = provider.auth[endpoint]
    if type(url) == "function" then url = url(config) end
    return type(url) == "string" and url or nil
  end
  local url, urls = own(name), config.urls or {}
  local given = urls[name]
  -- Who takes the tokens from elsewhere gives them back there, too.
  local token = own "token"
  if not given and name == "revoke" and url and urls.token and token and origin(token) == origin(url) then given = origin(urls.token) end
  -- A bare host stands for the provider's paths on another one.
  if given and given:find "^https?://[^/]+/?$" and url then given = given:gsub("/$", "") .. (url:match "^%a+://[^/]+(/.*)$" or "") end
  url = given or url
  if not url then return nil end
  return (url:gsub("{([%w_]+)}", function(field)
    return tostring(config[field] or (provider.auth.defaults or {})[field] or "")
  end))
end

--- Whether the configuration says who we are at the provider.
---@param provider lunation.Provider
---@param config table
---@return boolean
function client.configured(provider, config)
  return provider.auth.kind == "oauth2" and type(config.client_id) == "string" and config.client_id ~= ""
end

--- What is asked for: the scopes of what the app may do, and of the extras that it wants.
---@param provider lunation.Provider
---@param scope "free-busy"|"read"|"read-write"
---@param extras string[]? "contacts", "resources", …
---@return string[]
function client.scopes(provider, scope, extras)
  local known = provider.auth.scopes or {}
  local list, seen = {}, {}
  local function take(names)
    for _, name in ipairs(names or {}) do
      if not seen[name] then
        seen[name] = true
        list[#list + 1] = name
      end
    end
  end
  local base = scope
  while base and not known[base] do base = WIDER[base] end
  take(known[base])
  for _, extra in ipairs(extras or {}) do take(known[extra]) end
  return list
end

--- A verifier and its challenge (RFC 7636 section 4, S256).
---@return string verifier
---@return string challenge
function client.proof()
  local verifier = crypto.base64url(crypto.random(32))
  return verifier, crypto.base64url(crypto.sha256(verifier))
end

---@class lunation.OAuthRequest
---@field redirect_uri string
---@field state string
---@field challenge string
---@field scopes string[]
---@field login_hint string?

--- Where the person's browser is sent (RFC 6749 section 4.1.1).
---@param provider lunation.Provider
---@param config table
---@param request lunation.OAuthRequest
---@return string? url
---@return lunation.Error?
function client.authorize_url(provider, config, request)
  local endpoint = client.endpoint(provider, config, "authorize")
  if not endpoint or not client.configured(provider, config) then
    return nil, errors.new("unsupported", ("%s is not configured: `provider(\"%s\", { client_id=…, client_secret=… })`")
      :format(provider.title, provider.name), { provider = provider.name })
  end
  local params = {
    { "response_type", "code" }, { "client_id", config.client_id }, { "redirect_uri", request.redirect_uri },
    { "scope", table.concat(request.scopes, " ") }, { "state", request.state },
    { "code_challenge", request.challenge }, { "code_challenge_method", "S256" }, { "login_hint", request.login_hint },
  }
  local names = {}
  for name in pairs(provider.auth.parameters or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do params[#params + 1] = { name, provider.auth.parameters[name] } end
  return endpoint .. (endpoint:find("?", 1, true) and "&" or "?") .. form.encode(params)
end

--- What an error of the token endpoint means for us (RFC 6749 section 5.2).
local CODES = {
  invalid_grant = "invalid_grant", temporarily_unavailable = "unavailable", server_error = "provider_error", slow_down = "rate_limited",
  -- Microsoft's words for a grant that wants the person again (OpenID Connect Core section 3.1.2.6).
  interaction_required = "invalid_grant", consent_required = "invalid_grant", login_required = "invalid_grant",
}

local function refused(provider, answer)
  local said = answer:json()
  said = type(said) == "table" and said or {}
  local reason = type(said.error) == "string" and said.error or nil
  local code = CODES[reason] or answer.status == 429 and "rate_limited" or "provider_error"
  local description = type(said.error_description) == "string" and said.error_description:sub(1, 500) or nil
  local message = ("%s refuses at its token endpoint: %s"):format(provider.title, description or reason or "status " .. answer.status)
  if reason == "invalid_client" or reason == "unauthorized_client" then
    message = ("%s does not know this client_id and client_secret (%s)"):format(provider.title, description or reason)
  end
  return errors.new(code, message, {
    reason = reason, provider = provider.name, upstream_status = answer.status, retry_after = http.retry_after(answer.headers["retry-after"]),
  })
end

--- Says something at the token endpoint; the secret goes as the configuration's `auth_method` says, in the body or
--- (`"basic"`) in the header (RFC 6749 section 2.3.1).
local function send(provider, config, endpoint, fields)
  local url = client.endpoint(provider, config, endpoint)
  if not url then return nil, errors.new("unsupported", provider.title .. " has no " .. endpoint .. " endpoint") end
  local auth
  if config.auth_method == "basic" and config.client_secret then
    auth = { kind = "basic", username = form.escape(config.client_id), password = form.escape(config.client_secret) }
  else
    fields.client_id, fields.client_secret = config.client_id, config.client_secret
  end
  local answer, err = http.request {
    method = "POST", url = url, form = fields, auth = auth, timeout = TIMEOUT, max_body = LONGEST_ANSWER, ca_file = config.ca_file,
    headers = { accept = "application/json" },
  }
  if not answer then return nil, err end
  if answer.status ~= 200 then return nil, refused(provider, answer) end
  return answer
end

local function tokens_of(provider, answer, before)
  local said = answer:json()
  local kind = type(said) == "table" and said.token_type
  if type(said) ~= "table" or type(said.access_token) ~= "string" or said.access_token == "" then
    return nil, errors.new("provider_error", provider.title .. " gives no access token", { reason = "no_access_token" })
  end
  if type(kind) ~= "string" or kind:lower() ~= "bearer" then
    return nil, errors.new("provider_error", provider.title .. " gives a token that is no Bearer token", { reason = "token_type" })
  end
  local seconds = tonumber(said.expires_in)
  return {
    access_token = said.access_token,
    -- A server that does not rotate says nothing of the one it gave before.
    refresh_token = type(said.refresh_token) == "string" and said.refresh_token ~= "" and said.refresh_token or before and before.refresh_token,
    expires = seconds and timer.time() + seconds or nil,
    scope = type(said.scope) == "string" and said.scope or before and before.scope,
  }, said
end

--- Exchanges a code (RFC 6749 section 4.1.3).
---@param provider lunation.Provider
---@param config table
---@param request { code: string, redirect_uri: string, verifier: string }
---@return lunation.OAuthTokens?
---@return table|lunation.Error answer as it came
function client.exchange(provider, config, request)
  local answer, err = send(provider, config, "token", {
    grant_type = "authorization_code", code = request.code, redirect_uri = request.redirect_uri, code_verifier = request.verifier,
  })
  if not answer then return nil, err end
  return tokens_of(provider, answer)
end

--- Refreshes (RFC 6749 section 6).
---@param provider lunation.Provider
---@param config table
---@param tokens lunation.OAuthTokens
---@return lunation.OAuthTokens?
---@return table|lunation.Error answer as it came; invalid_grant: the person has to connect anew
function client.refresh(provider, config, tokens)
  local answer, err = send(provider, config, "token", { grant_type = "refresh_token", refresh_token = tokens.refresh_token })
  if not answer then return nil, err end
  return tokens_of(provider, answer, tokens)
end

--- Revokes what was granted (RFC 7009); a provider without such an endpoint has nothing to be told.
---@param provider lunation.Provider
---@param config table
---@param tokens lunation.OAuthTokens
---@return true?
---@return lunation.Error?
function client.revoke(provider, config, tokens)
  if not client.endpoint(provider, config, "revoke") then return true end
  local token = tokens.refresh_token or tokens.access_token
  if not token then return true end
  local answer, err = send(provider, config, "revoke", { token = token })
  if answer or err.upstream_status == 400 then return true end
  return nil, err
end

return client
