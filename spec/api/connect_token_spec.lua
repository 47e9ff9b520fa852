-- The token endpoint of the connect dialect and what its tokens open: exchange, PKCE, rotation, reuse, revocation.

local connect = require "spec.support.connect"
local crypto = require "lunation.crypto"
local json = require "lunation.json"
local pages = require "spec.support.pages"

describe("connect: tokens", function()
  local server

  setup(function() server = connect.serve() end)
  teardown(function() server.stop() end)

  local function basic(id, secret) return "Basic " .. crypto.base64((id or connect.app) .. ":" .. (secret or connect.secret)) end
  local function post(path, fields, headers)
    local all = { ["content-type"] = "application/x-www-form-urlencoded" }
    for name, value in pairs(headers or { authorization = basic() }) do all[name] = value end
    return connect.call(server, nil, "POST", path, { body = connect.query(fields), headers = all })
  end
  local function exchange(code, more, headers)
    local fields = { grant_type = "authorization_code", code = code, redirect_uri = connect.redirect_uri }
    for name, value in pairs(more or {}) do fields[name] = value or nil end
    return post("/oauth/token", fields, headers)
  end
  local function refresh(token, headers)
    return post("/oauth/token", { grant_type = "refresh_token", refresh_token = token }, headers)
  end
  local function opens(token)
    return connect.call(server, token, "GET", "/oauth/connection-status").status == 200
  end
  local counter = 0
  ---A code for a new user who has one account.
  local function code_for(options)
    counter = counter + 1
    return pages.authorize(server, "token-user-" .. counter, options)
  end
  local function tokens(options)
    local response = exchange(code_for(options))
    assert.equal(200, response.status, response.body)
    return response.json
  end
  local function claims(token)
    return json.decode(crypto.unbase64url(token:match("^[^.]+%.([^.]+)%.")))
  end

  it("exchanges a code", function()
    local response = exchange(code_for())
    assert.equal(200, response.status)
    assert.same({ "Bearer", 3600 }, { response.json.token_type, response.json.expires_in })
    assert.equal("no-store", response.headers["cache-control"])
    assert.is_true(opens(response.json.access_token))
    local access = claims(response.json.access_token)
    assert.same({ "token-user-" .. counter, "demo", "demo", "read-write" }, { access.sub, access.aud, access.projectId, access.scope })
    assert.equal(3600, access.exp - access.iat)
    assert.is_string(access.jti)
    local renewal = claims(response.json.refresh_token)
    assert.same({ "token-user-" .. counter, "demo", "demo", "refresh" }, { renewal.sub, renewal.aud, renewal.projectId, renewal.type })
    assert.is_nil(renewal.exp)
    assert.is_string(renewal.jti)
  end)

  it("takes every way in which clients send the request", function()
    -- As the vendor's clients do, with CLIENT_ID.
    assert.equal(200, exchange(code_for(), nil, { authorization = basic(), client_id = "demo" }).status)
    -- Credentials in the body, no redirect_uri, the path without prefix.
    assert.equal(200, post("/token", { grant_type = "authorization_code", code = code_for(), client_id = "demo", client_secret = connect.secret }, {}).status)
    -- JSON.
    local response = connect.call(server, nil, "POST", "/oauth/token",
      { body = { grant_type = "authorization_code", code = code_for(), client_id = "demo", client_secret = connect.secret } })
    assert.equal(200, response.status)
  end)

  it("takes a code once, and a second use ends what the first gave", function()
    local code = code_for()
    local first = exchange(code)
    assert.is_true(opens(first.json.access_token))
    local second = exchange(code)
    assert.same({ 400, "invalid_grant", "Invalid authorization code" }, { second.status, second.json.error, second.json.error_description })
    assert.equal(second.json.error_description, second.json.message)
    assert.is_false(opens(first.json.access_token))
    assert.equal(400, refresh(first.json.refresh_token).status)
  end)

  it("refuses codes that are not the client's, or go to another address", function()
    local code = code_for()
    local response = exchange(code, { redirect_uri = "http://127.0.0.1:9/other" }, { authorization = basic("other", "other-secret-of-the-specs") })
    assert.same({ 400, "invalid_grant", "Client mismatch" }, { response.status, response.json.error, response.json.error_description })
    response = exchange(code, { redirect_uri = connect.redirect_uri .. "/" })
    assert.same({ 400, "invalid_grant" }, { response.status, response.json.error })
    response = exchange("no-such-code")
    assert.same({ 400, "invalid_grant", "Invalid authorization code" }, { response.status, response.json.error, response.json.error_description })
    assert.equal(200, exchange(code).status)
  end)

  it("refuses clients that do not prove who they are", function()
    local code = code_for()
    for _, headers in ipairs { { authorization = basic("demo", "wrong") }, { authorization = basic("nobody") }, { authorization = "Basic ???" }, {} } do
      local response = exchange(code, nil, headers)
      assert.equal(401, response.status)
      assert.equal("invalid_client", response.json.error)
      assert.is_truthy(response.headers["www-authenticate"])
    end
    assert.equal(200, exchange(code).status)
  end)

  it("names what is missing", function()
    local cases = {
      { {}, "invalid_request" }, { { grant_type = "password" }, "unsupported_grant_type" }, { { grant_type = "authorization_code" }, "invalid_request" },
      { { grant_type = "refresh_token" }, "invalid_request" }, { { grant_type = "refresh_token", refresh_token = "x.y.z" }, "invalid_grant" },
    }
    for _, case in ipairs(cases) do
      local response = post("/oauth/token", case[1])
      assert.same({ 400, case[2] }, { response.status, response.json.error })
    end
    local response = connect.call(server, nil, "POST", "/oauth/token", { body = "{", headers = { authorization = basic() } })
    assert.same({ 400, "invalid_request" }, { response.status, response.json.error })
    response = connect.call(server, nil, "POST", "/oauth/token", { body = { grant_type = 5 }, headers = { authorization = basic() } })
    assert.same({ 400, "invalid_request" }, { response.status, response.json.error })
    assert.equal(405, connect.call(server, nil, "GET", "/oauth/token").status)
  end)

  describe("PKCE", function()
    local verifier = ("v"):rep(50)
    local challenge = crypto.base64url(crypto.sha256(verifier))

    it("asks for the verifier of the challenge", function()
      local options = { code_challenge = challenge, code_challenge_method = "S256" }
      assert.equal(200, exchange(code_for(options), { code_verifier = verifier }).status)
      for _, wrong in ipairs { false, ("w"):rep(50), "short", challenge } do
        local response = exchange(code_for(options), { code_verifier = wrong })
        assert.same({ 400, "invalid_grant" }, { response.status, response.json.error })
      end
    end)

    it("refuses a verifier where there was no challenge", function()
      assert.equal(400, exchange(code_for(), { code_verifier = verifier }).status)
    end)

    it("refuses plain", function()
      for _, options in ipairs {
        { code_challenge = verifier, code_challenge_method = "plain" }, { code_challenge = challenge },
        { code_challenge_method = "S256" }, { code_challenge = "short", code_challenge_method = "S256" },
      } do
        local response = pages.begin(server, "anybody", options)
        assert.equal(302, response.status)
        local location = response.headers.location
        assert.is_truthy(location:find("^" .. connect.redirect_uri:gsub("%p", "%%%0") .. "%?error=invalid_request&"))
        assert.is_truthy(location:find("state=s%26t", 1, true))
      end
    end)
  end)

  describe("refresh", function()
    it("rotates, and inherits the scope", function()
      local first = tokens { scope = "read" }
      local response = refresh(first.refresh_token)
      assert.equal(200, response.status)
      assert.not_equal(first.refresh_token, response.json.refresh_token)
      assert.not_equal(first.access_token, response.json.access_token)
      assert.equal("read", claims(response.json.access_token).scope)
      assert.is_true(opens(response.json.access_token))
      -- A scope that is asked for with the refresh changes nothing.
      response = post("/oauth/token", { grant_type = "refresh_token", refresh_token = response.json.refresh_token, scope = "read-write" })
      assert.equal("read", claims(response.json.access_token).scope)
    end)

    it("takes the token that was just rotated, from an instance that refreshes at the same time", function()
      local first = tokens()
      local one, two = refresh(first.refresh_token), refresh(first.refresh_token)
      assert.same({ 200, 200 }, { one.status, two.status })
      assert.is_true(opens(one.json.access_token))
      assert.is_true(opens(two.json.access_token))
      assert.equal(200, refresh(two.json.refresh_token).status)
      assert.equal(200, refresh(one.json.refresh_token).status)
    end)

    it("ends the grant when a copy two rotations old comes", function()
      local first = tokens()
      local second = refresh(first.refresh_token).json
      local third = refresh(second.refresh_token).json
      local response = refresh(first.refresh_token)
      assert.same({ 400, "invalid_grant", "Invalid refresh token" }, { response.status, response.json.error, response.json.error_description })
      assert.is_false(opens(third.access_token))
      assert.equal(400, refresh(third.refresh_token).status)
    end)

    it("is for the client that the token was given to", function()
      local first = tokens()
      local response = refresh(first.refresh_token, { authorization = basic("other", "other-secret-of-the-specs") })
      assert.same({ 400, "invalid_grant" }, { response.status, response.json.error })
      assert.equal(200, refresh(first.refresh_token).status)
    end)

    it("does not take access tokens, nor is a refresh token one", function()
      local first = tokens()
      assert.equal(400, refresh(first.access_token).status)
      assert.is_false(opens(first.refresh_token))
    end)
  end)

  describe("revoke", function()
    it("ends every token of the user and the client, at once", function()
      for _, name in ipairs { "access_token", "refresh_token" } do
        local first = tokens()
        local second = refresh(first.refresh_token).json
        assert.is_true(opens(first.access_token))
        local response = connect.call(server, nil, "POST", name == "access_token" and "/oauth/revoke" or "/revoke", { body = { token = second[name] } })
        assert.same({ 200, '{"success":true}' }, { response.status, response.body })
        assert.is_false(opens(first.access_token))
        assert.is_false(opens(second.access_token))
        assert.equal(400, refresh(second.refresh_token).status)
      end
    end)

    it("says so too for what is no token", function()
      assert.equal(200, connect.call(server, nil, "POST", "/oauth/revoke", { body = { token = "nothing" } }).status)
    end)

    it("asks for a token", function()
      for _, body in ipairs { "", "{}", '{"token":5}', '{"token":""}', '{"token":null}', "[]", "{" } do
        local response = connect.call(server, nil, "POST", "/oauth/revoke", { body = body })
        assert.equal(400, response.status, body)
      end
    end)

    it("leaves other users alone", function()
      local mine, other = tokens(), tokens()
      connect.call(server, nil, "POST", "/oauth/revoke", { body = { token = mine.access_token } })
      assert.is_true(opens(other.access_token))
    end)
  end)

  it("are the same to every worker", function()
    local several = connect.serve { args = { "--workers", "2" } }
    -- A connection for each request, so that the kernel spreads them.
    local function call(token, method, path, options)
      options = options or {}
      options.headers = options.headers or {}
      options.headers.connection = "close"
      return connect.call(several, token, method, path, options)
    end
    local code = pages.authorize(several, "u", nil)
    local function exchanged(fields)
      return call(nil, "POST", "/oauth/token", { body = connect.query(fields), headers = {
        authorization = basic(), ["content-type"] = "application/x-www-form-urlencoded",
      } })
    end
    local answer = exchanged { grant_type = "authorization_code", code = code }
    assert.equal(200, answer.status)
    local refreshed
    for _ = 1, 6 do
      refreshed = exchanged { grant_type = "refresh_token", refresh_token = (refreshed or answer).json.refresh_token }
      assert.equal(200, refreshed.status)
      for _ = 1, 4 do assert.equal(200, call(refreshed.json.access_token, "GET", "/calendars").status) end
    end
    call(nil, "POST", "/oauth/revoke", { body = { token = refreshed.json.refresh_token } })
    for _ = 1, 8 do assert.equal(401, call(refreshed.json.access_token, "GET", "/calendars").status) end
    several.stop()
  end)

  describe("a bearer token", function()
    it("is asked for everywhere", function()
      for _, route in ipairs { "GET /events", "GET /calendars", "POST /event", "PUT /event", "DELETE /event", "GET /oauth/connection-status",
        "GET /connection-status", "POST /oauth/disconnect", "POST /disconnect" } do
        local method, path = route:match("^(%S+) (%S+)$")
        local response = connect.call(server, nil, method, path)
        assert.equal(401, response.status, route)
        assert.equal("unauthorized", response.json.code)
        assert.equal("Unauthorized", response.json.error)
        assert.is_string(response.json.message)
        assert.is_truthy(response.headers["www-authenticate"]:find("^Bearer"))
      end
    end)

    it("is ours, unaltered, and not of another algorithm", function()
      local token = connect.token(server, "u1")
      assert.is_true(opens(token))
      local header, payload, signature = token:match("^([^.]+)%.([^.]+)%.([^.]+)$")
      assert.equal("EdDSA", json.decode(crypto.unbase64url(header)).alg)
      local other = json.decode(crypto.unbase64url(payload))
      other.sub = "somebody-else"
      local forged = crypto.base64url(json.encode(other))
      local none = crypto.base64url('{"alg":"none","typ":"JWT"}')
      local hmac = crypto.base64url('{"alg":"HS256","typ":"JWT"}')
      local last = signature:sub(-1) == "A" and "B" or "A"
      for _, bad in ipairs {
        header .. "." .. forged .. "." .. signature, none .. "." .. payload .. ".", none .. "." .. payload .. "." .. signature,
        hmac .. "." .. payload .. "." .. crypto.base64url(crypto.hmac("sha256", "key", hmac .. "." .. payload)),
        header .. "." .. payload, token .. "=", token .. ".x", header .. "." .. payload .. "." .. signature:sub(1, -2) .. last, "x", ("x"):rep(9000),
      } do
        local status = connect.call(server, bad, "GET", "/oauth/connection-status").status
        assert.is_true(status == 401, bad)
      end
      for _, value in ipairs { "Basic " .. token, "Bearer", "Bearer a b", token } do
        assert.equal(401, connect.call(server, nil, "GET", "/calendars", { headers = { authorization = value } }).status)
      end
      assert.equal(200, connect.call(server, nil, "GET", "/calendars", { headers = { authorization = "bearer   " .. token } }).status)
    end)

    it("ends when its time is over", function()
      local answer = connect.command(server, { "app", "token", "demo", "--user", "u1", "--ttl", "1" })
      assert.equal(1, answer.expires_in)
      require("spec.support").eventually(function() return not opens(answer.access_token) end, 5)
    end)

    it("ends with its app", function()
      connect.command(server, { "app", "add", "Gone", "--redirect-uri", "http://127.0.0.1:9/gone" })
      local id
      for _, app in ipairs(connect.command(server, { "app", "list" })) do
        if app.name == "Gone" then id = app.id end
      end
      local token = connect.token(server, "u1", nil, id)
      assert.is_true(opens(token))
      connect.command(server, { "app", "remove", id })
      assert.is_false(opens(token))
    end)
  end)
end)
