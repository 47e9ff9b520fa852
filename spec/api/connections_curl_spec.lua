-- The connections dialect by curl, request by request as its documentation has them, in front of both services.

local connect = require "spec.support.connect"
local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local json = require "lunation.json"
local process = require "lunation.process"
local support = require "spec.support"

describe("the connections dialect by curl", function()
  local google, microsoft, server, token

  setup(function()
    google = emulator.start("google", { users = { "alice@example.com=token-a" } })
    microsoft = emulator.start("microsoft", { users = { "alice@example.org=token-m" } })
    server = connect.serve { config = ([[
      provider("google", { client_id="client", client_secret="secret",
        urls={ authorize=%q.."/o/oauth2/v2/auth", token=%q, revoke=%q, calendar=%q, people=%q, directory=%q } })
      provider("microsoft", { client_id="client", client_secret="secret", urls={ authorize=%q, token=%q, graph=%q.."/v1.0" } })
    ]]):format(google.url, google.url, google.url, google.url, google.url, google.url, microsoft.url, microsoft.url, microsoft.url) }
    token = connect.token(server, "ada")
  end)

  teardown(function()
    server.stop()
    google.stop()
    microsoft.stop()
  end)

  local function curl(method, path)
    local result = assert(process.run { stderr = "pipe", args = {
      "curl", "-sS", "-w", "\n%{http_code}", "-X", method, server.url .. "/api/v1/crm/calendar/connections" .. path,
      "-H", "Authorization: Bearer " .. token,
    } })
    assert.equal(0, result.code, result.stderr)
    local body, status = result.stdout:match "^(.*)\n(%d+)$"
    return tonumber(status), body ~= "" and assert(json.decode(body)) or nil
  end

  local function insert()
    assert.equal(200, assert(http.request {
      method = "POST", url = google.url .. "/calendar/v3/calendars/primary/events", auth = { kind = "bearer", token = "token-a" },
      json = { summary = "Lunch", start = { dateTime = "2025-11-03T12:00:00Z" }, ["end"] = { dateTime = "2025-11-03T13:00:00Z" } },
    }).status)
    assert.equal(201, assert(http.request {
      method = "POST", url = microsoft.url .. "/v1.0/me/events", auth = { kind = "bearer", token = "token-m" },
      json = {
        subject = "Lunch", start = { dateTime = "2025-11-03T12:00:00", timeZone = "UTC" },
        ["end"] = { dateTime = "2025-11-03T13:00:00", timeZone = "UTC" },
      },
    }).status)
  end

  it("connects, tells, syncs with true counts, and disconnects", function()
    insert()
    for _, path in ipairs { "google", "outlook" } do
      local status, urls = curl("GET", "/" .. path .. "/authorize")
      assert.equal(200, status, json.encode(urls))
      local back = assert(http.get(urls.authorizationUrl))
      assert.equal(302, back.status, back.body)
      status = curl("GET", (back.headers.location:match "connections(/.*)$"))
      assert.equal(200, status)
    end
    local rows
    support.eventually(function()
      local status
      status, rows = curl("GET", "/status")
      assert.equal(200, status)
      local done = true
      for _, row in ipairs(rows) do done = done and row.lastSyncStatus == "SUCCESS" end
      return done
    end, 15, "the first syncs")
    local seen = {}
    for _, row in ipairs(rows) do
      assert.is_true(row.connected)
      assert.equal(json.null, row.lastSyncError)
      seen[row.provider] = true
    end
    assert.same({ GOOGLE = true, OUTLOOK = true }, seen)
    assert.same({ 200, {} }, { curl("POST", "/sync-if-stale") })
    insert()
    for _, key in ipairs { "GOOGLE", "OUTLOOK" } do
      local status, result = curl("POST", "/" .. key .. "/sync")
      assert.same({ 200, key, true, 1, 0, 0 }, { status, result.provider, result.success, result.eventsCreated, result.eventsUpdated, result.eventsDeleted })
      status, result = curl("POST", "/" .. key .. "/sync")
      assert.same({ 200, true, 0, 0, 0, 0 },
        { status, result.success, result.eventsCreated, result.eventsUpdated, result.eventsDeleted, result.eventsPushed })
    end
    local store = server.engine.store
    for _, account in ipairs(store:accounts {}) do store:account_update(account.id, { synced_at = store.clock() - 400 }) end
    local status, results = curl("POST", "/sync-if-stale")
    assert.equal(200, status)
    assert.same({ "GOOGLE", true, "OUTLOOK", true }, { results[1].provider, results[1].success, results[2].provider, results[2].success })
    for _, key in ipairs { "GOOGLE", "OUTLOOK" } do
      assert.equal(204, (curl("DELETE", "/" .. key .. "/disconnect")))
      assert.equal(404, (curl("DELETE", "/" .. key .. "/disconnect")))
    end
    assert.same({}, store:accounts {})
    assert.same({}, google.violations())
    assert.same({}, microsoft.violations())
  end)
end)
