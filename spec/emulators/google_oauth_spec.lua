-- OAuth, scopes and push of the Google emulator, fact by fact.

local crypto = require "lunation.crypto"
local emulator = require "spec.support.emulator"
local json = require "lunation.json"
local server = require "lunation.server"
local support = require "spec.support"

local callback = "http://127.0.0.1:9/callback?kept=1"
local calendar = "https://www.googleapis.com/auth/calendar"

describe("the Google emulator: OAuth", function()
  local google

  setup(function()
    google = emulator.start("google", { users = { "alice@example.com=token-alice", "bob@example.com=token-bob" }, args = { "--client", "app=secret" } })
  end)
  teardown(function() google.stop() end)
  before_each(function() google.reset() end)

  -- The consent page's answer: the parameters that come back.
  local function consent(more)
    local query = {
      client_id = "app", redirect_uri = callback, response_type = "code", scope = "openid email " .. calendar, state = "s&t", access_type = "offline",
    }
    for name, value in pairs(more or {}) do query[name] = value end
    local answer = google.ask("GET", "/o/oauth2/v2/auth", { query = query })
    if answer.status ~= 302 then return nil, answer end
    local location = answer.headers.location
    assert.equal(callback .. "&", location:sub(1, #callback + 1))
    return server.decode_form(location:match "%?(.*)$")
  end

  local function token(form)
    form.client_id, form.client_secret = form.client_id or "app", form.client_secret or "secret"
    return google.ask("POST", "/token", { form = form })
  end

  local function exchange(back, more)
    local form = { grant_type = "authorization_code", code = back.code, redirect_uri = callback }
    for name, value in pairs(more or {}) do form[name] = value end
    return token(form)
  end

  local function granted(more)
    local answer = exchange(assert(consent(more)))
    assert.equal(200, answer.status, answer.body)
    return answer.json
  end

  local function refused(answer, status, code)
    assert.same({ status, code }, { answer.status, answer.json.error })
  end

  it("sends back the state, the code and the scopes, for the account of login_hint", function()
    local back = consent { login_hint = "bob@example.com" }
    assert.same({ "s&t", "1", "openid email " .. calendar }, { back.state, back.kept, back.scope })
    local answer = exchange(back).json
    assert.same({ "Bearer", 3599, back.scope }, { answer.token_type, answer.expires_in, answer.scope })
    local info = google.ask("GET", "/v1/userinfo", { token = answer.access_token }).json
    assert.same({ "bob@example.com", true }, { info.email, info.email_verified })
    local claims = json.decode(crypto.unbase64url(answer.id_token:match "%.([^.]+)%."))
    assert.same({ "app", info.sub }, { claims.aud, claims.sub })
  end)

  it("takes a code once, from its client, for its address, within its time", function()
    local back = consent()
    refused(exchange(back, { redirect_uri = "http://127.0.0.1:9/callback" }), 400, "redirect_uri_mismatch")
    refused(exchange(back, { client_secret = "other" }), 401, "invalid_client")
    refused(exchange(back, { client_id = "nobody" }), 401, "invalid_client")
    local first = exchange(back).json
    refused(exchange(back), 400, "invalid_grant")
    assert.equal(401, google.ask("GET", "/calendar/v3/colors", { token = first.access_token }).status)
    back = consent()
    google.advance(601)
    refused(exchange(back), 400, "invalid_grant")
  end)

  it("checks the verifier by S256", function()
    local verifier = ("v"):rep(50)
    local challenge = { code_challenge = crypto.base64url(crypto.sha256(verifier)), code_challenge_method = "S256" }
    refused(exchange(consent(challenge)), 400, "invalid_grant")
    refused(exchange(consent(challenge), { code_verifier = ("w"):rep(50) }), 400, "invalid_grant")
    assert.equal(200, exchange(consent(challenge), { code_verifier = verifier }).status)
  end)

  it("gives a refresh token at the first consent, later only with prompt=consent, and never online", function()
    assert.is_nil(granted({ access_type = "online" }).refresh_token)
    google.reset()
    assert.is_string(granted().refresh_token)
    assert.is_nil(granted().refresh_token)
    assert.is_string(granted({ prompt = "consent" }).refresh_token)
  end)

  it("refreshes, and turns refresh tokens over when it is told to", function()
    local first = granted()
    google.advance(3600)
    assert.equal(401, google.ask("GET", "/calendar/v3/colors", { token = first.access_token }).status)
    local second = token { grant_type = "refresh_token", refresh_token = first.refresh_token }.json
    assert.same({ 3599, nil }, { second.expires_in, second.refresh_token })
    assert.equal(200, google.ask("GET", "/calendar/v3/colors", { token = second.access_token }).status)
    google.fault { match = { path = "^/token$" }, fault = "rotate_refresh" }
    local third = token { grant_type = "refresh_token", refresh_token = first.refresh_token }.json
    assert.is_string(third.refresh_token)
    refused(token { grant_type = "refresh_token", refresh_token = first.refresh_token }, 400, "invalid_grant")
    assert.equal(200, token({ grant_type = "refresh_token", refresh_token = third.refresh_token }).status)
    google.fault { match = { path = "^/token$" }, fault = "invalid_grant" }
    refused(token { grant_type = "refresh_token", refresh_token = third.refresh_token }, 400, "invalid_grant")
  end)

  it("revokes all of a grant by either of its tokens", function()
    for _, name in ipairs { "access_token", "refresh_token" } do
      local answer = granted { prompt = "consent" }
      assert.equal(200, google.ask("POST", "/revoke", { form = { token = answer[name] } }).status)
      assert.equal(401, google.ask("GET", "/calendar/v3/colors", { token = answer.access_token }).status)
      refused(token { grant_type = "refresh_token", refresh_token = answer.refresh_token }, 400, "invalid_grant")
      refused(google.ask("POST", "/revoke", { form = { token = answer[name] } }), 400, "invalid_token")
    end
  end)

  it("tells of a consent that was denied, and of one in part", function()
    google.fault { match = { path = "auth$" }, fault = "consent_denied" }
    local back = consent()
    assert.same({ "access_denied", "s&t" }, { back.error, back.state, back.code })
    google.fault { match = { path = "auth$" }, fault = "partial_consent", scopes = { "contacts.readonly" } }
    local answer = granted { scope = "openid email " .. calendar .. " https://www.googleapis.com/auth/contacts.readonly" }
    assert.equal("openid email https://www.googleapis.com/auth/contacts.readonly", answer.scope)
    local refusal = google.ask("GET", "/calendar/v3/colors", { token = answer.access_token })
    assert.same({ 403, "insufficientPermissions" }, { refusal.status, refusal.json.error.errors[1].reason })
    assert.equal("ACCESS_TOKEN_SCOPE_INSUFFICIENT", refusal.json.error.details[1].reason)
    assert.equal(200, google.ask("GET", "/v1/people/me/connections", { token = answer.access_token, query = { personFields = "names" } }).status)
  end)

  it("keeps scopes to what they open", function()
    local owned = granted({ scope = calendar .. ".events.owned" }).access_token
    local function get(path, options)
      options = options or {}
      options.token = owned
      return google.ask(options.method or "GET", path, options).status
    end
    assert.equal(200, get "/calendar/v3/calendars/primary/events")
    assert.equal(403, get "/calendar/v3/calendars/bob@example.com/events")
    assert.equal(403, get "/calendar/v3/users/me/calendarList")
    assert.equal(200, google.ask("GET", "/calendar/v3/calendars/bob@example.com/events", { token = "token-alice" }).status)
    local made = granted({ scope = calendar .. ".app.created", prompt = "consent" }).access_token
    owned = made
    assert.equal(200, get("/calendar/v3/calendars", { method = "POST", body = { summary = "Ours" } }))
    assert.equal(403, get "/calendar/v3/calendars/primary/events")
  end)

  it("shows a page for what it cannot send back", function()
    for name, value in pairs { client_id = "nobody", redirect_uri = "nowhere", response_type = "token", scope = "https://elsewhere.test/scope" } do
      local back, answer = consent { [name] = value }
      assert.is_nil(back)
      assert.is_truthy(answer.status == 400 or answer.status == 401)
      assert.is_truthy(answer.headers["content-type"]:find "html")
    end
  end)
end)

describe("the Google emulator: push", function()
  local google, heard, listener

  setup(function()
    google = emulator.start "google"
    listener = assert(server.listen("http://127.0.0.1:0", {}, function(req)
      local note = { body = req.body }
      for _, pair in ipairs(req:header_pairs()) do note[pair[1]:lower()] = pair[2] end
      heard[#heard + 1] = note
      return { status = #heard == 1 and note["x-goog-channel-token"] == "fails" and 503 or 200 }
    end))
  end)
  teardown(function()
    listener:close()
    google.stop()
  end)
  before_each(function()
    heard = {}
    google.reset()
  end)

  local own = "/calendar/v3/calendars/primary/events"

  local function watch(fields)
    local body = { id = "one", type = "web_hook", address = listener.url:gsub("/$", "") .. "/hook", token = "secret" }
    for name, value in pairs(fields or {}) do body[name] = value end
    return google.ask("POST", own .. "/watch", { token = "token-alice", body = body })
  end

  local function change()
    assert.equal(200, google.ask("POST", own .. "/quickAdd", { token = "token-alice", query = { text = "Something 2025-06-02" } }).status)
  end

  local function wait(count) support.eventually(function() return #heard >= count end, 10, count .. " notifications") end

  -- Notifications are sent in order: the one after tells that nothing stood between.
  local function pushes() return google.control("GET", "/notifications").pushes end

  it("begins with sync, then tells of changes with growing numbers and nothing more", function()
    local channel = watch({ params = { ttl = "60" } }).json
    wait(1)
    change()
    change()
    wait(3)
    assert.same({ "sync", "exists", "exists" }, { heard[1]["x-goog-resource-state"], heard[2]["x-goog-resource-state"], heard[3]["x-goog-resource-state"] })
    assert.equal("1", heard[1]["x-goog-message-number"])
    assert.is_true(tonumber(heard[2]["x-goog-message-number"]) < tonumber(heard[3]["x-goog-message-number"]))
    for _, note in ipairs(heard) do
      assert.same({ "one", "secret", channel.resourceId, channel.resourceUri, "" },
        { note["x-goog-channel-id"], note["x-goog-channel-token"], note["x-goog-resource-id"], note["x-goog-resource-uri"], note.body })
      assert.is_truthy(note["x-goog-channel-expiration"]:find "^%a+, %d+ %a+ %d+ [%d:]+ GMT$")
    end
    assert.is_true(math.abs(tonumber(channel.expiration) / 1000 - os.time() - 60) < 10)
  end)

  it("wants a new identifier of at most 64 characters and an address by HTTPS", function()
    assert.equal(200, watch().status)
    for reason, fields in pairs {
      channelIdNotUnique = {}, channelIdInvalid = { id = ("x"):rep(65) }, ["push.webhookUrlNotHttps"] = { id = "two", address = "http://example.com/hook" },
      invalid = { id = "three", type = "mail" },
    } do
      local answer = watch(fields)
      assert.same({ 400, reason }, { answer.status, answer.json.error.errors[1].reason })
    end
  end)

  it("ends by its time and by stop", function()
    local channel = watch({ params = { ttl = "60" } }).json
    wait(1)
    google.advance(61)
    change()
    assert.equal(1, #pushes())
    assert.is_false(google.control("GET", "/notifications").channels[1].active)
    local second = watch({ id = "two" }).json
    wait(2)
    assert.equal(404, google.ask("POST", "/calendar/v3/channels/stop", { token = "token-alice", body = { id = "two", resourceId = "other" } }).status)
    assert.equal(204, google.ask("POST", "/calendar/v3/channels/stop", { token = "token-alice", body = { id = "two", resourceId = second.resourceId } }).status)
    change()
    assert.equal(2, #pushes())
    assert.equal(channel.resourceId, second.resourceId)
  end)

  it("may drop a notification, send it twice, or end early", function()
    watch()
    wait(1)
    google.fault { { fault = "drop_notification", match = { path = "/events" } } }
    change()
    google.fault { { fault = "duplicate_notification" } }
    change()
    wait(3)
    assert.equal(heard[2]["x-goog-message-number"], heard[3]["x-goog-message-number"])
    assert.is_true(pushes()[2].dropped)
    google.fault { { fault = "expire_channel" } }
    change()
    change()
    assert.equal(4, #pushes())
    assert.is_true(pushes()[4].expired)
  end)

  it("tries again where the receiver fails", function()
    watch { token = "fails" }
    wait(2)
    assert.equal(heard[1]["x-goog-message-number"], heard[2]["x-goog-message-number"])
    support.eventually(function() return pushes()[1].status == 200 end)
    assert.equal(2, pushes()[1].tries)
  end)

  it("tells that a calendar is no more", function()
    local made = google.ask("POST", "/calendar/v3/calendars", { token = "token-alice", body = { summary = "Team" } }).json
    local path = "/calendar/v3/calendars/" .. made.id
    local body = { id = "team", type = "web_hook", address = listener.url:gsub("/$", "") .. "/hook" }
    assert.equal(200, google.ask("POST", path .. "/events/watch", { token = "token-alice", body = body }).status)
    wait(1)
    google.ask("DELETE", path, { token = "token-alice" })
    wait(2)
    assert.equal("not_exists", heard[2]["x-goog-resource-state"])
  end)

  it("tells of a conference that became ready by itself", function()
    watch()
    wait(1)
    local body = { start = { date = "2025-06-02" }, ["end"] = { date = "2025-06-03" }, conferenceData = { createRequest = { requestId = "a" } } }
    local made = google.ask("POST", own, { token = "token-alice", query = { conferenceDataVersion = 1 }, body = body }).json
    assert.equal("pending", made.conferenceData.createRequest.status.statusCode)
    wait(3)
    assert.not_equal(made.etag, google.ask("GET", own .. "/" .. made.id, { token = "token-alice" }).json.etag)
  end)

  it("tells the guests' calendars of what is done to them", function()
    local body = { id = "bobs", type = "web_hook", address = listener.url:gsub("/$", "") .. "/hook" }
    assert.equal(200, google.ask("POST", own .. "/watch", { token = "token-bob", body = body }).status)
    wait(1)
    google.ask("POST", own, { token = "token-alice", body = { start = { date = "2025-06-02" }, ["end"] = { date = "2025-06-03" },
      attendees = { { email = "bob@example.com" } } } })
    wait(2)
    assert.equal("exists", heard[2]["x-goog-resource-state"])
  end)
end)
