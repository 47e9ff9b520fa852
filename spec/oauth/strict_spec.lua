-- lunation as a client of a strict OAuth server that is not ours (npm oidc-provider).

local connect = require "spec.support.connect"
local fs = require "lunation.fs"
local host = require "lunation.host"
local http = require "lunation.http"
local json = require "lunation.json"
local pages = require "spec.support.pages"
local process = require "lunation.process"
local support = require "spec.support"
local upstream = require "lunation.upstream"

local PROVIDER = [[
return {
  name = "strict", title = "Strict", aliases = {}, can = { write = false }, urls = { api = "URL/api" },
  auth = {
    kind = "oauth2", authorize = "URL/auth", token = "URL/token", revoke = "URL/token/revocation", parameters = { prompt = "consent" },
    scopes = { read = { "openid", "email", "offline_access", "calendar" } },
  },
  event = mapping { title = "title" }, calendar = mapping { id = "id" },
  identify = function(account)
    local answer, err = account.request { url = account.config.urls.api .. "/me" }
    if not answer then return nil, err end
    return { identity = answer:json().email, settings = {} }
  end,
  calendars = function() return {} end,
  changes = function() return function() return nil end end,
}
]]

for _, method in ipairs { "post", "basic" } do
  describe("the client side of OAuth, its secret sent by " .. method .. ", before a strict server #clients", function()
    local server, node, url

    setup(function()
      local modules = host.root .. "/build/node/node_modules"
      assert(fs.stat(modules .. "/oidc-provider"), "`make clients` installs the clients")
      local port, dir = process.free_port(), support.tmpdir()
      url = "http://127.0.0.1:" .. port
      support.write(dir .. "/strict.lua", (PROVIDER:gsub("URL", url)))
      server = connect.serve { config = ('provider_path { %q }\nprovider("strict", { client_id=%q, client_secret="secret-of-the-specs", auth_method=%q })\n')
        :format(dir, method, method) }
      node = assert(process.spawn {
        args = { "node", host.root .. "/spec/clients/oidc_server.mjs", modules, tostring(port), server.url .. "/api/oauth/callback/strict" },
        stdout = dir .. "/node.log", stderr = dir .. "/node.log",
      })
      support.wait_port(port, node)
    end)

    teardown(function()
      node:kill "TERM"
      node:wait(10)
      server.stop()
    end)

    -- A person's browser at the server: it follows where it is sent, with its cookies, until it is sent back to us.
    local function abroad(location)
      local cookies = {}
      for _ = 1, 12 do
        local list = {}
        for name, value in pairs(cookies) do list[#list + 1] = name .. "=" .. value end
        local answer = assert(http.get(location, { headers = { cookie = table.concat(list, "; ") } }))
        assert.truthy(answer.status >= 300 and answer.status < 400, location .. " " .. answer.body)
        for name, value in (", " .. (answer.headers["set-cookie"] or "")):gmatch ", ([%w_.]+)=([^;]*)" do cookies[name] = value end
        location = answer.headers.location
        if location:sub(1, 1) == "/" then location = url .. location end
        if location:sub(1, #server.url) == server.url then return location end
      end
      error "the server sends the browser in circles"
    end

    local function connect_account(user)
      local browser = pages.browser(server)
      local first = browser:open("/api/oauth/authorize?" .. connect.query {
        client_id = connect.app, user_id = user, redirect_uri = connect.redirect_uri, response_type = "code", scope = "read",
      })
      local href = pages.unescape(assert(first.body:match 'href="([^"]*/accounts/add/strict[^"]*)"', first.body))
      return browser:open(abroad(browser:request("GET", href).headers.location))
    end

    local function account_of(user)
      local row = server.engine.store:user(connect.app, user)
      return row and server.engine.store:accounts { app = connect.app, user = row.id }[1]
    end

    local function refresh(token)
      local fields = { grant_type = "refresh_token", refresh_token = token }
      local auth
      if method == "basic" then
        auth = { kind = "basic", username = method, password = "secret-of-the-specs" }
      else
        fields.client_id, fields.client_secret = method, "secret-of-the-specs"
      end
      return assert(http.request { method = "POST", url = url .. "/token", form = fields, auth = auth })
    end

    it("connects, refreshes with rotation, and revokes", function()
      local last = connect_account "ada"
      assert.equal(200, last.status)
      assert.truthy(last.body:find("alice@example.com", 1, true), last.body)
      local engine, account = server.engine, account_of "ada"
      local store = engine.store
      local first = assert(store:credentials(account.id))
      assert.is_string(first.refresh_token)
      assert.is_true(account.settings.calendarPermissionGranted ~= false)
      -- Twice, each time with what the last refresh has left.
      local before = first
      for _ = 1, 2 do
        before.expires = store.clock() - 1
        store:account_update(account.id, { credentials = before })
        local _, ready = assert(upstream.open(engine, account))
        assert.equal("alice@example.com", assert(ready.request { url = url .. "/api/me" }):json().email)
        local now = assert(store:credentials(account.id))
        assert.are_not.equal(before.refresh_token, now.refresh_token)
        before = now
      end
      local token = connect.token(server, "ada")
      assert.equal(200, connect.call(server, token, "POST", "/oauth/disconnect", { query = { provider = "strict" }, body = {} }).status)
      assert.equal("invalid_grant", json.decode(refresh(before.refresh_token).body).error)
    end)

    it("says that the account has to be connected anew when an old copy was used and the grant is gone", function()
      connect_account "bob"
      local engine, account = server.engine, account_of "bob"
      local old = assert(engine.store:credentials(account.id)).refresh_token
      old = { first = old, second = json.decode(refresh(old).body).refresh_token }
      assert.equal("invalid_grant", json.decode(refresh(old.first).body).error)
      assert.equal("invalid_grant", json.decode(refresh(old.second).body).error)
      local credentials = engine.store:credentials(account.id)
      credentials.expires = 1
      engine.store:account_update(account.id, { credentials = credentials, synced_at = 1, calendars_at = 1 })
      local _, ready = assert(upstream.open(engine, account))
      local _, err = ready.request { url = url .. "/api/me" }
      assert.equal("reauth_required", err.code)
    end)

    it("tells a person who did not agree", function()
      assert(http.get(url .. "/deny/yes"))
      assert.truthy(connect_account("carol").body:find("Access was not given", 1, true))
      assert(http.get(url .. "/deny/no"))
      assert.is_nil(account_of "carol")
    end)
  end)
end
