-- The identity platform of the Graph emulator: what its OAuth gives, to whom, and what it refuses.
local crypto = require "lunation.crypto"
local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local http_server = require "lunation.http_server"
local json = require "lunation.json"

describe("the Graph emulator's identity platform", function()
  local graph

  setup(function() graph = emulator.start("microsoft", { users = { "alice@example.com=A", "bob@example.com=B" } }) end)
  teardown(function() graph.stop() end)
  before_each(function() graph.reset() end)

  local function ask(path, token)
    local reply = assert(http.get(graph.url .. "/v1.0" .. path, { headers = { authorization = "Bearer " .. token } }))
    local value = json.decode(reply.body)
    return reply.status, value.error and value.error.code or value
  end

  local back = "http://127.0.0.1:9/callback?x=1"

  local function authorize(parameters)
    local query = {}
    for name, value in pairs(parameters) do query[#query + 1] = name .. "=" .. value:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end) end
    local reply = assert(http.get(graph.url .. "/common/oauth2/v2.0/authorize?" .. table.concat(query, "&")))
    local target = reply.headers.location
    return target and http_server.decode_form(target:match "%?(.*)$") or {}, reply
  end

  local function token(form)
    local reply = assert(http.request { method = "POST", url = graph.url .. "/organizations/oauth2/v2.0/token", form = form })
    return json.decode(reply.body), reply
  end

  local verifier = ("v"):rep(43)
  local function code(scope, more)
    local parameters = {
      client_id = "app", response_type = "code", redirect_uri = back, scope = scope, state = "s t", code_challenge_method = "S256",
      code_challenge = crypto.base64url(crypto.sha256(verifier)), login_hint = "bob@example.com",
    }
    for name, value in pairs(more or {}) do parameters[name] = value end
    return authorize(parameters)
  end
  local function exchange(given, more)
    local form = { grant_type = "authorization_code", client_id = "app", code = given.code, redirect_uri = back, code_verifier = verifier }
    for name, value in pairs(more or {}) do form[name] = value end
    return token(form)
  end

  it("gives a code for a token, once, to who has the verifier", function()
    local given = code "openid email profile offline_access https://graph.microsoft.com/Calendars.ReadWrite User.Read"
    assert.equal("s t", given.state)
    assert.equal("1", given.x)
    assert.same({ 501481 }, exchange(given, { code_verifier = ("w"):rep(43) }).error_codes)
    local answer = exchange(given)
    assert.equal("Bearer", answer.token_type)
    assert.equal("openid email profile https://graph.microsoft.com/Calendars.ReadWrite User.Read", answer.scope)
    local claims = json.decode(crypto.unbase64url(answer.id_token:match "%.(.-)%."))
    assert.equal("bob@example.com", claims.email)
    assert.equal("Bob", claims.name)
    assert.equal("bob@example.com", select(2, ask("/me", answer.access_token)).mail)
    local again, reply = exchange(given)
    assert.equal(400, reply.status)
    assert.equal("invalid_grant", again.error)
    assert.is_truthy(again.error_description:find "^AADSTS54005: ")
    assert.same("invalid_grant", token({ grant_type = "refresh_token", client_id = "app", refresh_token = answer.refresh_token }).error)
  end)

  it("gives no refresh token without offline_access", function()
    assert.is_nil(exchange(code "Calendars.Read").refresh_token)
  end)

  it("gives a new refresh token each time; the old one lives unless rotation is asked for", function()
    local first = exchange(code "offline_access Calendars.Read")
    local form = { grant_type = "refresh_token", client_id = "app", refresh_token = first.refresh_token }
    local second = token(form)
    assert.not_equal(first.refresh_token, second.refresh_token)
    assert.is_string(token(form).access_token)
    graph.fault { match = { path = "token$" }, fault = "rotate_refresh" }
    assert.is_string(token(form).access_token)
    assert.same({ 70000 }, token(form).error_codes)
    assert.is_string(token({ grant_type = "refresh_token", client_id = "app", refresh_token = second.refresh_token }).access_token)
  end)

  it("ends tokens in time, and all of a user's at once", function()
    local answer = exchange(code "offline_access Calendars.Read")
    graph.advance(answer.expires_in + 2)
    assert.same({ 401, "InvalidAuthenticationToken" }, { ask("/me/calendars", answer.access_token) })
    graph.control("POST", "/revoke", { user = "bob@example.com" })
    assert.same({ 50173 }, token({ grant_type = "refresh_token", client_id = "app", refresh_token = answer.refresh_token }).error_codes)
    graph.fault { fault = "invalid_grant", code = 700082 }
    assert.same({ 700082 }, token({ grant_type = "refresh_token", client_id = "app", refresh_token = answer.refresh_token }).error_codes)
  end)

  it("sends those back who decline, and grants a part where only a part was agreed to", function()
    graph.fault { fault = "consent_denied" }
    local given = code "Calendars.Read"
    assert.equal("access_denied", given.error)
    assert.is_truthy(given.error_description:find "^AADSTS65004")
    graph.fault { fault = "partial_consent", scopes = { "User.Read", "openid" } }
    local answer = exchange(code "openid User.Read Calendars.ReadWrite")
    assert.equal("openid User.Read", answer.scope)
    assert.same({ 403, "ErrorAccessDenied" }, { ask("/me/calendars", answer.access_token) })
  end)

  it("refuses what is no proper request", function()
    assert.equal("invalid_scope", code("Calendars.Reed").error)
    local _, page = authorize { client_id = "app", response_type = "code", redirect_uri = back }
    assert.equal(400, page.status)
    assert.is_truthy(page.body:find("AADSTS900144", 1, true))
    assert.same({ 500112 }, exchange(code "User.Read", { redirect_uri = "http://127.0.0.1:9/other" }).error_codes)
    assert.same({ 70003 }, token({ grant_type = "password", client_id = "app" }).error_codes)
    assert.same({ 65001 }, token({
      grant_type = "refresh_token", client_id = "app", refresh_token = exchange(code "offline_access User.Read").refresh_token, scope = "Calendars.Read",
    }).error_codes)
  end)

  it("knows its clients where they are registered", function()
    local strict = emulator.start("microsoft", { args = { "--client", "app=hush" } })
    finally(function() strict.stop() end)
    local function post(form)
      return json.decode(assert(http.request { method = "POST", url = strict.url .. "/common/oauth2/v2.0/token", form = form }).body).error_codes
    end
    assert.same({ 700016 }, post { grant_type = "refresh_token", client_id = "other" })
    assert.same({ 7000215 }, post { grant_type = "refresh_token", client_id = "app", client_secret = "loud" })
    assert.same({ 70000 }, post { grant_type = "refresh_token", client_id = "app", client_secret = "hush", refresh_token = "x" })
  end)

  it("tells where it is", function()
    local found = json.decode(http.get(graph.url .. "/consumers/v2.0/.well-known/openid-configuration").body)
    assert.equal(graph.url .. "/consumers/oauth2/v2.0/token", found.token_endpoint)
    assert.equal("Ed25519", json.decode(http.get(found.jwks_uri).body).keys[1].crv)
  end)
end)
