-- Sign-ins at Google and Microsoft through the connections API: agreed in part, not at all, and taken back later.

local connect = require "spec.support.connect"
local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local json = require "lunation.json"
local support = require "spec.support"

local SERVICES = {
  google = {
    user = "alice@example.com=token-a", path = "google", key = "GOOGLE", consent = "/o/oauth2/v2/auth", token = "^/token$",
    config = function(url) return ('urls={ authorize=%q, token=%q, calendar=%q, people=%q, directory=%q }'):format(url, url, url, url, url) end,
  },
  microsoft = {
    user = "alice@example.org=token-m", path = "outlook", key = "OUTLOOK", consent = "/authorize$", token = "/token$",
    config = function(url) return ('urls={ authorize=%q, token=%q, graph=%q }'):format(url, url, url .. "/v1.0") end,
  },
}

for name, service in pairs(SERVICES) do
  describe("a sign-in at " .. name, function()
    local emulated, server

    setup(function()
      emulated = emulator.start(name, { users = { service.user } })
      server = connect.serve { config = ('provider(%q, { client_id="client", client_secret="secret", %s })\n'):format(name, service.config(emulated.url)) }
    end)

    teardown(function()
      server.stop()
      emulated.stop()
    end)

    after_each(function() emulated.clear() end)

    local function call(token, method, path)
      local answer = assert(http.request {
        method = method, url = server.url .. "/api/v1/crm/calendar/connections" .. path, auth = { kind = "bearer", token = token },
      })
      if #answer.body > 0 then answer.json = json.decode(answer.body) end
      return answer
    end

    local function sign_in(user)
      local token = connect.token(server, user)
      local urls = call(token, "GET", "/" .. service.path .. "/authorize")
      assert.equal(200, urls.status, urls.body)
      local back = assert(http.get(urls.json.url)).headers.location
      return call(token, "GET", (back:match "connections(/.*)$")), token
    end

    local function account_of(user)
      local row = server.engine.store:user(connect.app, user)
      return row and server.engine.store:accounts { app = connect.app, user = row.id }[1]
    end

    it("that was not agreed to connects nothing", function()
      emulated.fault { match = { path = service.consent }, fault = "consent_denied" }
      assert.equal(403, (sign_in("denied")).status)
      assert.is_nil(account_of "denied")
    end)

    it("that was agreed to without the calendar leaves an account that says so", function()
      emulated.fault { match = { path = service.consent }, fault = "partial_consent", scopes = { "openid", "email", "User.Read" } }
      local answer, token = sign_in "partial"
      assert.equal(200, answer.status, answer.body)
      assert.is_false(account_of("partial").settings.calendarPermissionGranted)
      assert.is_false(connect.call(server, token, "GET", "/oauth/connection-status").json.connections[name][1].calendarPermissionGranted)
      assert.equal("calendar_permission_required", connect.call(server, token, "GET", "/events").json.code)
    end)

    it("that is taken back later is said in status, and mended by signing in again", function()
      local answer, token = sign_in "later"
      assert.equal(200, answer.status, answer.body)
      local account = account_of "later"
      local store = server.engine.store
      support.eventually(function() return store:account(account.id).synced_at end)
      local kept = store:credentials(account.id)
      kept.expires = 1
      store:account_update(account.id, { credentials = kept })
      emulated.fault { match = { path = service.token }, fault = "invalid_grant", times = 9 }
      local result = call(token, "POST", "/" .. service.key .. "/sync").json
      assert.is_false(result.success)
      assert.equal("reauth_required", store:account(account.id).status)
      local row
      for _, each in ipairs(call(token, "GET", "/status").json) do
        if each.provider == service.key then row = each end
      end
      assert.same({ true, "FAILED" }, { row.connected, row.lastSyncStatus })
      assert.is_string(row.lastSyncError)
      emulated.clear()
      assert.equal(200, (sign_in("later")).status)
      assert.equal(account.id, account_of("later").id)
      assert.is_true(call(token, "POST", "/" .. service.key .. "/sync").json.success)
    end)

    it("keeps a refresh token that the service rotates", function()
      sign_in "rotated"
      local account, store = account_of "rotated", server.engine.store
      support.eventually(function() return store:account(account.id).synced_at end)
      local kept = store:credentials(account.id)
      local before = kept.refresh_token
      kept.expires = 1
      store:account_update(account.id, { credentials = kept })
      emulated.fault { match = { path = service.token }, fault = "rotate_refresh" }
      assert.is_true(call(connect.token(server, "rotated"), "POST", "/" .. service.key .. "/sync").json.success)
      local after = store:credentials(account.id)
      assert.are_not.equal(before, after.refresh_token)
      after.expires = 1
      store:account_update(account.id, { credentials = after })
      assert.is_true(call(connect.token(server, "rotated"), "POST", "/" .. service.key .. "/sync").json.success)
    end)
  end)
end
