-- The connections dialect, request by request, with two services of OAuth that the spec itself plays.

local connect = require "spec.support.connect"
local crypto = require "lunation.crypto"
local form = require "lunation.oauth.form"
local http = require "lunation.http"
local json = require "lunation.json"
local oauth = require "spec.support.oauth"
local process = require "lunation.process"
local support = require "spec.support"

local PROVIDER = [[
return {
  name = "NAME", title = "NAME", aliases = {}, can = { write = false, incremental = true }, urls = { api = "URL/api/NAME" },
  auth = {
    kind = "oauth2", authorize = "URL/authorize", token = "URL/token", revoke = "URL/revoke",
    scopes = { read = { "calendar.read" }, ["read-write"] = { "calendar" } },
  },
  event = mapping { uid = "id", title = "title", start = "start", duration = const("PT1H"), timeZone = const("Etc/UTC") },
  calendar = mapping { id = "id", title = "title" },
  identify = function(account)
    local answer, err = account.request { url = account.config.urls.api .. "/me" }
    if not answer then return nil, err end
    return { identity = answer:json().email, settings = {} }
  end,
  calendars = function(account)
    local answer, err = account.request { url = account.config.urls.api .. "/calendars" }
    if not answer then return nil, err end
    return (answer:json())
  end,
  changes = function(account, calendar, state)
    local done = false
    return function()
      if done then return nil end
      done = true
      local answer, err = account.request { url = account.config.urls.api .. "/events?since=" .. (state and state.n or 0) }
      if not answer then return nil, err end
      local page = answer:json()
      return { upserts = page.events, deletes = page.deleted, state = { n = page.n }, reset = state == nil, more = false }
    end
  end,
}
]]

describe("the connections dialect", function()
  local base = "/api/v1/crm/calendar/connections"
  local at, server, services

  setup(function()
    at = oauth.start { rotate = false }
    local dir = support.tmpdir()
    for _, name in ipairs { "google", "microsoft" } do
      support.write(dir .. "/" .. name .. ".lua", (PROVIDER:gsub("URL", at.url):gsub("NAME", name)))
    end
    server = connect.serve { config = ('provider_path { %q }\n'):format(dir) ..
      'provider("google", { client_id="client", client_secret="secret" })\nprovider("microsoft", { client_id="client", client_secret="secret" })\n' }
  end)

  teardown(function()
    server.stop()
    at.stop()
  end)

  local function event(id, title) return { id = id, title = title, start = "2025-03-03T09:00:00" } end

  before_each(function()
    at.deny, at.token_fault, at.scope = nil, nil, nil
    services = {
      google = { email = "ada@gmail.example", pages = { [0] = { events = { event("a", "A"), event("b", "B") }, deleted = {}, n = 1 } } },
      microsoft = { email = "ada@outlook.example", pages = { [0] = { events = { event("m", "M") }, deleted = {}, n = 1 } } },
    }
    at.api = function(req)
      local service = services[req.path:match "^/api/(%w+)"]
      if service.fault then return service.fault end
      local what = req.path:match "([^/]+)$"
      if what == "me" then return { body = json.encode { email = service.email } } end
      if what == "calendars" then
        return { body = json.encode(service.calendars or { { id = service.email, title = "Main" } }) }
      end
      local since = tonumber(req.query:match "since=(%d+)")
      return { body = json.encode(service.pages[since] or { events = json.array {}, deleted = json.array {}, n = since }) }
    end
  end)

  local function call(token, method, path, headers)
    local sent = {}
    if token then sent.authorization = "Bearer " .. token end
    for name, value in pairs(headers or {}) do sent[name] = value end
    local answer = assert(http.request { method = method, url = server.url .. base .. path, headers = sent })
    if #answer.body > 0 then answer.json = assert(json.decode(answer.body)) end
    return answer
  end

  local function token_of(user, scope) return connect.token(server, user, scope) end

  local function problem(answer, status)
    assert.equal(status, answer.status, answer.body)
    assert.equal("application/json", answer.headers["content-type"])
    local fields = {}
    for name, value in pairs(answer.json) do
      assert.is_string(value)
      fields[#fields + 1] = name
    end
    table.sort(fields)
    assert.same({ "detail", "time", "title" }, fields)
    assert.truthy(answer.json.time:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
    return answer.json.detail
  end

  -- To the provider's page and agreed there; gives the address that the browser is sent back to.
  local function agree(token, path)
    local answer = call(token, "GET", "/" .. path .. "/authorize")
    assert.equal(200, answer.status, answer.body)
    assert.equal(answer.json.url, answer.json.authorizationUrl)
    return assert(http.get(answer.json.url)).headers.location
  end

  local function account_of(user, provider)
    local row = server.engine.store:user(connect.app, user)
    return row and server.engine.store:accounts { app = connect.app, user = row.id, provider = provider }[1]
  end

  local function connected(user, path, provider)
    local token = token_of(user)
    assert.equal(200, assert(http.get(agree(token, path))).status)
    local account = account_of(user, provider or path)
    support.eventually(function() return server.engine.store:account(account.id).synced_at end)
    return token, account
  end

  it("sends a person to the provider and back, and has the account for every dialect", function()
    local token = token_of "u1"
    local back = agree(token, "google")
    assert.equal(server.url .. base .. "/google/callback", at.asked.redirect_uri)
    assert.equal("S256", at.asked.code_challenge_method)
    local answer = assert(http.get(back))
    assert.equal(200, answer.status)
    assert.equal("", answer.body)
    assert.equal("ada@gmail.example", account_of("u1", "google").identity)
    assert.equal("ada@gmail.example", connect.call(server, token, "GET", "/oauth/connection-status").json.connections.google[1].id)
    local events = support.eventually(function()
      local list = connect.call(server, token, "GET", "/events", { query = { start = "2025-03-01", ["end"] = "2025-04-01" } }).json.events
      return #list == 2 and list
    end)
    assert.equal("A", events[1].title)
  end)

  it("takes a state once, of its own provider and user, and no other", function()
    local token = token_of "u2"
    local back = agree(token, "google")
    -- The path of the other provider, a token of another user, no state at all.
    problem(call(nil, "GET", (back:match "connections(.*)$":gsub("google", "outlook"))), 401)
    problem(call(nil, "GET", "/google/callback?code=x&state=" .. crypto.base64url(crypto.random(32))), 401)
    problem(call(nil, "GET", "/google/callback?code=x"), 401)
    problem(call(nil, "GET", "/google/callback"), 401)
    problem(call("forged", "GET", back:match "connections(.*)$"), 401)
    assert.equal(200, call(token, "GET", back:match "connections(.*)$").status)
    problem(call(token, "GET", back:match "connections(.*)$"), 401)
    back = agree(token, "google")
    problem(call(token_of "mallory", "GET", back:match "connections(.*)$"), 401)
    problem(call(token, "GET", back:match "connections(.*)$"), 401)
    assert.is_nil(account_of("mallory", "google"))
  end)

  it("says why a sign-in came to nothing", function()
    local token = token_of "u3"
    at.deny = true
    problem(call(nil, "GET", agree(token, "outlook"):match "connections(.*)$"), 403)
    at.deny = nil
    local back = agree(token, "outlook")
    problem(call(nil, "GET", (back:match "connections(.*)$":gsub("code=[^&]*", "code="))), 400)
    back = agree(token, "outlook")
    problem(call(nil, "GET", (back:match "connections(.*)$":gsub("code=[^&]*", "code=forged"))), 400)
    back = agree(token, "outlook")
    at.token_fault = "invalid_client"
    assert.truthy(problem(call(nil, "GET", back:match "connections(.*)$"), 502):find("client_id", 1, true))
    assert.is_nil(account_of("u3", "microsoft"))
  end)

  it("tells of both providers, connected or not", function()
    local off = { connected = false, calendarId = json.null, lastSyncAt = json.null, lastSyncError = json.null, lastSyncStatus = "PENDING" }
    local function unconnected(key)
      local row = { provider = key }
      for name, value in pairs(off) do row[name] = value end
      return row
    end
    local answer = call(token_of "u4", "GET", "/status")
    assert.equal(200, answer.status)
    assert.same({ unconnected "GOOGLE", unconnected "OUTLOOK" }, answer.json)
    services.microsoft.calendars = { { id = "main", title = "Main" }, { id = "team", title = "Team" } }
    local token, account = connected("u4", "outlook", "microsoft")
    local rows = call(token, "GET", "/status").json
    assert.same(unconnected "GOOGLE", rows[1])
    assert.equal(3, #rows)
    for index, id in ipairs { "main", "team" } do
      local row = rows[index + 1]
      assert.same({ "OUTLOOK", true, id, "SUCCESS", json.null },
        { row.provider, row.connected, row.calendarId, row.lastSyncStatus, row.lastSyncError })
      assert.truthy(row.lastSyncAt:find "^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
    end
    -- A failure is said, and when it last went well.
    services.microsoft.fault = { status = 404, body = "{}" }
    server.engine.store:account_update(account.id, { calendars_at = json.null })
    local result = call(token, "POST", "/OUTLOOK/sync").json
    assert.is_false(result.success)
    assert.equal(rows[2].lastSyncAt, call(token, "GET", "/status").json[2].lastSyncAt)
    assert.equal("FAILED", call(token, "GET", "/status").json[2].lastSyncStatus)
    assert.equal(result.error, call(token, "GET", "/status").json[2].lastSyncError)
  end)

  it("syncs now, and counts what really changed", function()
    local token = connected("u5", "google")
    local function counts(result)
      return { result.provider, result.success, result.error, result.eventsCreated, result.eventsUpdated, result.eventsDeleted, result.eventsPushed }
    end
    services.google.pages[1] = { events = { event("b", "B2"), event("c", "C"), event("d", "D") }, deleted = { "a" }, n = 2 }
    assert.same({ "GOOGLE", true, json.null, 2, 1, 1, 0 }, counts(call(token, "POST", "/GOOGLE/sync").json))
    assert.same({ "GOOGLE", true, json.null, 0, 0, 0, 0 }, counts(call(token, "POST", "/GOOGLE/sync").json))
    services.google.fault = { status = 403, body = "{}" }
    local result = call(token, "POST", "/GOOGLE/sync")
    assert.equal(200, result.status)
    assert.is_false(result.json.success)
    assert.is_string(result.json.error)
    services.google.fault = nil
    -- Twice under one key is once.
    services.google.pages[2] = { events = { event("e", "E") }, deleted = json.array {}, n = 3 }
    for _ = 1, 2 do
      assert.equal(1, call(token, "POST", "/GOOGLE/sync", { ["idempotency-key"] = "k1" }).json.eventsCreated)
    end
    assert.equal(0, call(token, "POST", "/GOOGLE/sync").json.eventsCreated)
  end)

  it("syncs what is stale, each provider once and all at once", function()
    local token, google = connected("u6", "google")
    local _, microsoft = connected("u6", "outlook", "microsoft")
    assert.same({}, call(token, "POST", "/sync-if-stale").json)
    assert.equal("[]", call(token, "POST", "/sync-if-stale").body)
    local store = server.engine.store
    store:account_update(google.id, { synced_at = store.clock() - 301 })
    services.google.pages[1] = { events = { event("c", "C") }, deleted = json.array {}, n = 2 }
    local results = call(token, "POST", "/sync-if-stale").json
    assert.equal(1, #results)
    assert.same({ "GOOGLE", true, 1 }, { results[1].provider, results[1].success, results[1].eventsCreated })
    assert.same({}, call(token, "POST", "/sync-if-stale").json)
    for _, account in ipairs { google, microsoft } do store:account_update(account.id, { synced_at = 1 }) end
    services.microsoft.fault = { status = 403, body = "{}" }
    results = call(token, "POST", "/sync-if-stale").json
    assert.same({ "GOOGLE", true, "OUTLOOK", false }, { results[1].provider, results[1].success, results[2].provider, results[2].success })
  end)

  it("disconnects: the grant is revoked, credentials and mirror are gone", function()
    local token, account = connected("u7", "google")
    local kept = server.engine.store:credentials(account.id)
    problem(call(token_of("u7", "free-busy"), "DELETE", "/GOOGLE/disconnect"), 403)
    -- Another user's account of the same person keeps its grant, which services revoke for both.
    assert.equal(204, call(token, "DELETE", "/GOOGLE/disconnect").status)
    assert.is_nil(server.engine.store:account(account.id))
    assert.same({}, server.engine.store:calendars { account = account.id })
    assert.is_not_nil(kept.refresh_token)
    problem(call(token, "DELETE", "/GOOGLE/disconnect"), 404)
    problem(call(token, "POST", "/GOOGLE/sync"), 404)
    services.google.email = "only@gmail.example"
    token, account = connected("u7", "google")
    kept = server.engine.store:credentials(account.id)
    assert.equal(204, call(token, "DELETE", "/GOOGLE/disconnect").status)
    assert.equal(kept.refresh_token, at.revoked[#at.revoked])
  end)

  it("answers every mistake with its problem", function()
    local token = token_of "u8"
    for _, each in ipairs {
      { "GET", "/google/authorize" }, { "GET", "/outlook/authorize" }, { "GET", "/status" }, { "POST", "/sync-if-stale" },
      { "POST", "/GOOGLE/sync" }, { "DELETE", "/GOOGLE/disconnect" },
    } do
      local answer = call(nil, each[1], each[2])
      problem(answer, 401)
      assert.truthy(answer.headers["www-authenticate"])
      problem(call("x.y.z", each[1], each[2]), 401)
    end
    for _, name in ipairs { "google", "Google", "APPLE", "OUTLOOK%20", "microsoft" } do
      problem(call(token, "POST", "/" .. name .. "/sync"), 400)
      problem(call(token, "DELETE", "/" .. name .. "/disconnect"), 400)
    end
    problem(call(token, "GET", "/nothing"), 404)
    local answer = call(token, "PUT", "/status")
    problem(answer, 405)
    assert.truthy(answer.headers.allow:find("GET", 1, true))
    problem(call(token, "POST", "/sync-if-stale", { ["idempotency-key"] = ("k"):rep(300) }), 400)
  end)

  it("answers curl as its documentation has it, line by line", function()
    local token = token_of "curl"
    local function curl(method, path)
      local result = assert(process.run {
        args = { "curl", "-sS", "-o", "-", "-w", "\n%{http_code}", "-X", method, server.url .. base .. path, "-H", "Authorization: Bearer " .. token },
      })
      assert.equal(0, result.code, result.stderr)
      local body, status = result.stdout:match "^(.*)\n(%d+)$"
      return tonumber(status), body ~= "" and json.decode(body) or body
    end
    for _, each in ipairs { { "google", "GOOGLE" }, { "outlook", "OUTLOOK" } } do
      local status, urls = curl("GET", "/" .. each[1] .. "/authorize")
      assert.equal(200, status)
      local query = form.decode(assert(http.get(urls.authorizationUrl)).headers.location:match "?(.*)$")
      local body
      status, body = curl("GET", ("/%s/callback?code=%s&state=%s"):format(each[1], query.code, query.state))
      assert.same({ 200, "" }, { status, body })
    end
    local status, rows = curl("GET", "/status")
    assert.same({ 200, true, true }, { status, rows[1].connected, rows[2].connected })
    assert.same({ 200, {} }, { curl("POST", "/sync-if-stale") })
    local result
    status, result = curl("POST", "/GOOGLE/sync")
    assert.same({ 200, "GOOGLE", true }, { status, result.provider, result.success })
    assert.same({ 204, "" }, { curl("DELETE", "/GOOGLE/disconnect") })
    status, rows = curl("GET", "/status")
    assert.same({ 200, false, true }, { status, rows[1].connected, rows[2].connected })
  end)
end)
