-- Notices of Google and Microsoft, from the subscription to the event in the mirror: both services post to an https address in front
-- of the server, nobody asks for anything.

local certificate = require "spec.support.certificate"
local connect = require "spec.support.connect"
local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local server = require "lunation.server"
local support = require "spec.support"

describe("notices of services", function()
  local google, microsoft, served, door, accounts

  setup(function()
    google = emulator.start("google", { users = { "alice@example.com=token-a" } })
    microsoft = emulator.start("microsoft", { users = { "alice@example.org=token-m" } })
    local cert, key = certificate.make()
    -- What a proxy does for a server that speaks plain HTTP behind it.
    door = assert(server.listen("https://127.0.0.1:0", { cert = cert, key = key }, function(req)
      local answer = assert(http.request {
        method = req.method, url = served.url .. req.target, body = req.body, headers = (function()
          local headers = {}
          for _, pair in ipairs(req:header_pairs()) do
            if pair[1] ~= "host" and pair[1] ~= "content-length" then headers[pair[1]] = pair[2] end
          end
          return headers
        end)(),
      })
      return { status = answer.status, headers = { ["content-type"] = answer.headers["content-type"] }, body = answer.body }
    end))
    served = connect.serve { config = ([[
      public_url %q
      sync { max_age="1d" }
      provider("google", { client_id="client", client_secret="secret", urls={ calendar=%q } })
      provider("microsoft", { client_id="client", client_secret="secret", urls={ graph=%q.."/v1.0" } })
    ]]):format(door.url:gsub("/$", ""), google.url, microsoft.url) }
    local store = served.engine.store
    local user = assert(store:user(connect.app, "ada", { create = true }))
    accounts = {}
    for name, each in pairs { google = { "alice@example.com", "token-a" }, microsoft = { "alice@example.org", "token-m" } } do
      accounts[name] = assert(store:account_add {
        user = user.id, provider = name, identity = each[1], credentials = { token = each[2] }, settings = {},
      })
    end
  end)

  teardown(function()
    served.stop()
    door:close()
    google.stop()
    microsoft.stop()
  end)

  local function insert(title)
    assert(http.request {
      method = "POST", url = google.url .. "/calendar/v3/calendars/primary/events", auth = { kind = "bearer", token = "token-a" },
      json = { summary = title, start = { dateTime = "2025-11-03T12:00:00Z" }, ["end"] = { dateTime = "2025-11-03T13:00:00Z" } },
    })
    assert(http.request {
      method = "POST", url = microsoft.url .. "/v1.0/me/events", auth = { kind = "bearer", token = "token-m" },
      json = {
        subject = title, start = { dateTime = "2025-11-03T12:00:00", timeZone = "UTC" },
        ["end"] = { dateTime = "2025-11-03T13:00:00", timeZone = "UTC" },
      },
    })
  end

  local function mirrored(name)
    local count = 0
    for _, calendar in ipairs(served.engine.store:calendars { account = accounts[name].id }) do
      count = count + served.engine.store:event_count(calendar.key)
    end
    return count
  end

  it("bring what changed, and the subscriptions end with their accounts", function()
    local token = connect.token(served, "ada")
    assert.equal(200, connect.call(served, token, "GET", "/events").status)
    local store = served.engine.store
    support.eventually(function()
      local subscribed = store:subscribed_accounts()
      return subscribed[accounts.google.id] and subscribed[accounts.microsoft.id]
    end, 15, "subscriptions of both")
    local before = { google = mirrored "google", microsoft = mirrored "microsoft" }
    for round = 1, 2 do
      insert("Told " .. round)
      support.eventually(function()
        return mirrored "google" == before.google + round and mirrored "microsoft" == before.microsoft + round
      end, 15, "the events that notices told of")
    end
    for _, name in ipairs { "google", "microsoft" } do
      for _, row in ipairs(store:subscriptions(accounts[name].id)) do
        if row.state == "active" then assert.is_true(row.expires > store.clock() + 3600 and row.renew_at < row.expires) end
      end
      assert.equal(200, connect.call(served, token, "POST", "/oauth/disconnect", { query = { provider = name }, body = {} }).status)
      assert.same({}, store:subscriptions(accounts[name].id))
    end
    assert.same({}, google.violations())
    assert.same({}, microsoft.violations())
  end)
end)
