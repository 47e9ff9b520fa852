-- Accounts of OAuth providers: connected on the pages and from the terminal, given back when they are removed.

local connect = require "spec.support.connect"
local crypto = require "lunation.crypto"
local form = require "lunation.oauth.form"
local host = require "lunation.host"
local http = require "lunation.http"
local json = require "lunation.json"
local oauth = require "spec.support.oauth"
local pages = require "spec.support.pages"
local process = require "lunation.process"
local support = require "spec.support"

-- A provider in a file, whose service is the server of the spec.
local PROVIDER = [[
return {
  name = "acme", title = "Acme", aliases = {}, can = { write = false }, urls = { api = "URL/api" },
  auth = {
    kind = "oauth2", authorize = "URL/authorize", token = "URL/token", revoke = "URL/revoke", parameters = { prompt = "consent" },
    scopes = { ["free-busy"] = { "openid", "freebusy" }, read = { "openid", "calendar.read" }, ["read-write"] = { "openid", "calendar" },
      contacts = { "openid", "people" } },
    granted = function(answer)
      return { calendar = (answer.scope or "calendar"):find("calendar", 1, true) ~= nil }
    end,
  },
  event = mapping { title = "title" }, calendar = mapping { id = "id", title = "title" },
  identify = function(account)
    local answer, err = account.request { url = account.config.urls.api .. "/me" }
    if not answer then return nil, err end
    local me = answer:json()
    return { identity = me.email, name = me.name, subject = me.id, settings = { home = me.email } }
  end,
  calendars = function(account)
    local answer, err = account.request { url = account.config.urls.api .. "/calendars" }
    if not answer then return nil, err end
    return { { id = "main", title = "Main" } }
  end,
  changes = function() return function() return nil end end,
}
]]

describe("an account of an OAuth provider", function()
  local at, server, config

  setup(function()
    at = oauth.start()
    local dir = support.tmpdir()
    support.write(dir .. "/acme.lua", (PROVIDER:gsub("URL", at.url)))
    config = ('provider_path { %q }\nprovider("acme", { client_id="client", client_secret="secret" })\n'):format(dir)
    server = connect.serve { config = config }
  end)

  teardown(function()
    server.stop()
    at.stop()
  end)

  before_each(function()
    at.scope, at.deny, at.answers, at.token_fault = nil, nil, {}, nil
  end)

  local function me(email, id)
    return { body = json.encode { email = email, name = "Alice", id = id } }
  end

  local function begin(browser, user, scope)
    return browser:open("/api/oauth/authorize?" .. connect.query {
      client_id = connect.app, user_id = user, redirect_uri = connect.redirect_uri, response_type = "code", scope = scope or "read-write", state = "s",
    })
  end

  -- From the list of accounts to the provider and back; gives the address that the provider sends the browser to.
  local function abroad(browser, first)
    local href = pages.unescape(assert(first.body:match('href="([^"]*/accounts/add/acme[^"]*)"'), first.body))
    local there = browser:request("GET", href)
    assert.equal(303, there.status)
    local answer = assert(http.get(there.headers.location))
    assert.equal(302, answer.status)
    return answer.headers.location, form.decode(there.headers.location:match "?(.*)$")
  end

  local function account_of(user)
    local row = server.engine.store:user(connect.app, user)
    return row and server.engine.store:accounts { app = connect.app, user = row.id }[1]
  end

  it("is offered where the configuration knows us there, and connected with PKCE and a state", function()
    local browser = pages.browser(server)
    local back, asked = abroad(browser, begin(browser, "u1"))
    assert.equal("S256", asked.code_challenge_method)
    assert.equal(43, #asked.code_challenge)
    assert.equal("openid calendar", asked.scope)
    assert.equal("consent", asked.prompt)
    assert.equal(server.url .. "/api/oauth/callback/acme", asked.redirect_uri)
    assert.truthy(#asked.state >= 43)
    at.answers = { me "alice@example.com" }
    local last = browser:open(back)
    assert.equal(200, last.status)
    assert.truthy(last.body:find("alice@example.com", 1, true), last.body)
    local account = account_of "u1"
    assert.equal("alice@example.com", account.identity)
    assert.equal("read-write", account.scope)
    local token = connect.token(server, "u1")
    local status = connect.call(server, token, "GET", "/oauth/connection-status").json.connections.acme[1]
    assert.same({ "openid", "calendar" }, status.grantedScopes)
    assert.is_true(status.calendarPermissionGranted)
    -- Good once.
    local again = browser:open(back)
    assert.equal(400, again.status)
  end)

  it("is asked for contacts where the app wants them", function()
    local browser = pages.browser(server)
    local _, asked = abroad(browser, begin(browser, "u7", "read contacts unknown"))
    assert.equal("openid calendar.read people", asked.scope)
  end)

  it("is not connected by a state that came to another browser, or that nobody began", function()
    local browser = pages.browser(server)
    local back = abroad(browser, begin(browser, "u2"))
    local other = pages.browser(server)
    begin(other, "mallory")
    assert.equal(403, other:open(back).status)
    assert.is_nil(account_of "u2")
    assert.equal(400, browser:open(back).status)
    assert.equal(400, browser:open("/api/oauth/callback/acme?code=x&state=" .. crypto.base64url(crypto.random(32))).status)
  end)

  it("is not connected when the person does not agree, which the page says", function()
    at.deny = true
    local browser = pages.browser(server)
    local last = browser:open((abroad(browser, begin(browser, "u3"))))
    assert.equal(200, last.status)
    assert.truthy(last.body:find("Access was not given", 1, true))
    assert.is_nil(account_of "u3")
  end)

  it("is there without the calendar when only a part was granted, and says so", function()
    at.scope = "openid"
    local browser = pages.browser(server)
    local back = abroad(browser, begin(browser, "u4", "read"))
    at.answers = { me "part@example.com" }
    local last = browser:open(back)
    assert.truthy(last.body:find("Access to the calendar was not given", 1, true), last.body)
    local token = connect.token(server, "u4")
    local status = connect.call(server, token, "GET", "/oauth/connection-status").json.connections.acme[1]
    assert.is_false(status.calendarPermissionGranted)
    local refused = connect.call(server, token, "GET", "/calendars")
    assert.equal(403, refused.status)
    assert.equal("calendar_permission_required", refused.json.code)
    assert.same({ { provider = "acme", account = "part@example.com" } }, refused.json.accounts)
  end)

  it("is not taken over by another person under the same address", function()
    local browser = pages.browser(server)
    local back = abroad(browser, begin(browser, "u9"))
    at.answers = { me("shared@example.com", "first") }
    browser:open(back)
    local account = account_of "u9"
    local credentials = server.engine.store:credentials(account.id)
    local other = pages.browser(server)
    back = abroad(other, begin(other, "u9"))
    at.answers = { me("shared@example.com", "second") }
    local last = other:open(back)
    assert.is_nil(last.body:find("shared@example.com", 1, true))
    assert.same(credentials, server.engine.store:credentials(account.id))
    -- The first one may come again from anywhere.
    back = abroad(other, begin(other, "u9"))
    at.answers = { me("shared@example.com", "first") }
    assert.truthy(other:open(back).body:find("shared@example.com", 1, true))
    assert.equal(account.id, account_of("u9").id)
  end)

  it("is revoked where its tokens came from", function()
    local client = require "lunation.oauth.client"
    local provider = { auth = { token = "https://a.example/token", revoke = "https://a.example/revoke", authorize = "https://b.example/auth" } }
    local function endpoint(name, urls) return client.endpoint(provider, { urls = urls }, name) end
    assert.equal("https://a.example/revoke", endpoint("revoke", {}))
    assert.equal("http://127.0.0.1:9/revoke", endpoint("revoke", { token = "http://127.0.0.1:9/token" }))
    assert.equal("http://127.0.0.1:8/x", endpoint("revoke", { token = "http://127.0.0.1:9/token", revoke = "http://127.0.0.1:8/x" }))
    assert.equal("http://127.0.0.1:8/auth", endpoint("authorize", { authorize = "http://127.0.0.1:8" }))
    provider.auth.revoke = nil
    assert.is_nil(endpoint("revoke", { token = "http://127.0.0.1:9/token" }))
  end)

  it("gives its grant back when it is disconnected", function()
    local browser = pages.browser(server)
    local back = abroad(browser, begin(browser, "u5"))
    at.answers = { me "gone@example.com" }
    browser:open(back)
    local kept = assert(server.engine.store:credentials(account_of("u5").id))
    local token = connect.token(server, "u5")
    assert.equal(200, connect.call(server, token, "POST", "/oauth/disconnect", { query = { provider = "acme" }, body = {} }).status)
    assert.equal(kept.refresh_token, at.revoked[#at.revoked])
    assert.is_nil(account_of "u5")
  end)

  it("says in status and in the next answer that it has to be connected again", function()
    local browser = pages.browser(server)
    local back = abroad(browser, begin(browser, "u6"))
    at.answers = { me "late@example.com" }
    browser:open(back)
    local account = account_of "u6"
    support.eventually(function() return server.engine.store:account(account.id).synced_at end)
    at.tokens, at.refresh = {}, {}
    server.engine.store:account_update(account.id, { synced_at = 1, calendars_at = 1 })
    local token = connect.token(server, "u6")
    local answer = connect.call(server, token, "GET", "/events")
    assert.equal(200, answer.status)
    assert.truthy(answer.headers["lunation-stale"]:find("reason=reauth", 1, true))
    local status = connect.call(server, token, "GET", "/oauth/connection-status").json.connections.acme[1]
    assert.equal("reauth_required", status.syncState)
    -- Connected again, it is the same account, and well.
    back = abroad(browser, begin(browser, "u6"))
    at.answers = { me "late@example.com" }
    browser:open(back)
    assert.equal(account.id, account_of("u6").id)
    assert.equal("active", account_of("u6").status)
  end)

  describe("from the terminal", function()
    local function add(more)
      local args = { host.executable, "account", "add", "acme", "--app", connect.app, "--user", "cli", "--json", "-c", server.config }
      for _, word in ipairs(more or {}) do args[#args + 1] = word end
      return assert(process.spawn { args = args, env = { LUNATION_DATA = server.dir }, cwd = server.dir, stdout = "pipe", stderr = "pipe" })
    end

    -- The first line that it prints, however it arrives.
    local function first_line(child)
      local text = ""
      while not text:find "\n" do text = text .. assert(child:read(), "it has ended") end
      return json.decode(text:match "^[^\n]*").url
    end

    it("is connected by the browser that comes back to this machine", function()
      local child = add { "--scope", "read contacts" }
      local url = first_line(child)
      assert.equal("openid calendar.read people", form.decode(url:match "?(.*)$").scope)
      local answer = assert(http.get(url))
      assert.equal(400, assert(http.get((answer.headers.location:gsub("state=.", "state=-")))).status)
      at.answers = { me "cli@example.com" }
      local last = assert(http.get(answer.headers.location))
      assert.equal(200, last.status, last.body)
      local printed = json.decode(child:read_all())
      assert.equal("cli@example.com", printed.identity)
      assert.equal(0, child:wait(10).code)
      assert.equal("cli@example.com", account_of("cli").identity)
    end)

    it("is told of what was withheld, and of a scope that there is not", function()
      at.scope = "openid"
      local child = add()
      local answer = assert(http.get(first_line(child)))
      at.answers = { me "part@example.com" }
      assert.equal(200, assert(http.get(answer.headers.location)).status)
      assert.equal(0, child:wait(10).code)
      assert.matches("did not give access to its calendars", child:read_all "stderr")
      child = add { "--scope", "read,mail" }
      assert.equal(2, child:wait(10).code)
    end)

    it("is not waited for longer than told, and not after Ctrl-C", function()
      local child = add { "--wait", "1" }
      first_line(child)
      assert.equal(1, child:wait(10).code)
      child = add()
      local port = tonumber(form.decode(first_line(child):match "?(.*)$").redirect_uri:match ":(%d+)/")
      child:kill "INT"
      child:wait(10)
      assert.is_false(support.listening(port))
    end)

    it("gives its grant back when its application is removed", function()
      local store = server.engine.store
      assert(store:app_add { id = "leaving", name = "Leaving", redirect_uris = {} })
      local user = assert(store:user("leaving", "u", { create = true }))
      local account = assert(store:account_add {
        user = user.id, provider = "acme", identity = "leaving@example.com", credentials = { access_token = "a", refresh_token = "leaving-refresh" },
      })
      local result = support.lunation {
        "app", "remove", "leaving", "-c", server.config, env = { LUNATION_DATA = server.dir }, cwd = server.dir,
      }
      assert.equal(0, result.code, result.stderr)
      assert.equal("leaving-refresh", at.revoked[#at.revoked])
      assert.is_nil(store:account(account.id))
    end)

    it("takes a token that works already", function()
      at.tokens.fixed = true
      at.answers = { me "fixed@example.com" }
      local result = support.lunation {
        "account", "add", "acme", "--app", connect.app, "--user", "fixed", "--token-stdin", "--json", "-c", server.config,
        env = { LUNATION_DATA = server.dir }, cwd = server.dir, stdin = "fixed\n",
      }
      assert.equal(0, result.code, result.stderr)
      assert.equal("fixed@example.com", account_of("fixed").identity)
    end)
  end)
end)
