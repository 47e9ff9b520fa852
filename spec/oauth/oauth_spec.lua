-- The authorization server with a clock of its own: what ends by time, and what several workers agree on.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local oauth = require "lunation.oauth"
local store = require "lunation.store"
local support = require "spec.support"

describe("the authorization server", function()
  local now, path, key, opened

  ---A worker: a store of its own on the same file, and an authorization server over it.
  local function worker()
    local open = assert(store.open { store = "sqlite:" .. path, key = key, clock = function() return now end })
    opened[#opened + 1] = open
    return oauth.new { store = open, config = { key = key, limits = {} } }, open
  end

  local server, db, app, user
  before_each(function()
    now, path, key, opened = 1800000000, support.tmpdir() .. "/tokens.db", crypto.random(32), {}
    server, db = worker()
    app = assert(db:app_add { id = "app", name = "App", redirect_uris = { "https://app.example.org/" } })
    user = assert(db:user("app", "u", { create = true }))
  end)
  after_each(function()
    for _, open in ipairs(opened) do open:close() end
  end)

  local function code(options)
    local all = { app = "app", user = user.id, scope = "read-write", redirect_uri = "https://app.example.org/" }
    for name, value in pairs(options or {}) do all[name] = value end
    return assert(server:code(all))
  end
  local function fails(message, ...)
    local result, err = ...
    assert.is_nil(result)
    assert.equal(message, err.message)
    return err
  end

  it("ends a code after ten minutes", function()
    local late = code()
    now = now + 599
    assert.is_table(server:exchange(app, { code = code() }))
    now = now + 1
    fails("Authorization code expired", server:exchange(app, { code = late }))
  end)

  it("looks at client, address, verifier and time in this order", function()
    local one = code { challenge = crypto.base64url(crypto.sha256(("v"):rep(43))) }
    now = now + 3600
    fails("Client mismatch", server:exchange({ id = "another" }, { code = one, redirect_uri = "x" }))
    fails("Redirect URI mismatch", server:exchange(app, { code = one, redirect_uri = "x" }))
    fails("Invalid code verifier", server:exchange(app, { code = one }))
    fails("Authorization code expired", server:exchange(app, { code = one, code_verifier = ("v"):rep(43) }))
  end)

  it("ends an access token after an hour", function()
    local token = server:exchange(app, { code = code() }).access_token
    assert.equal(user.id, server:verify(token).user)
    now = now + 3599
    assert.is_table(server:verify(token))
    now = now + 1
    assert.equal("unauthorized", fails("The access token has expired", server:verify(token)).code)
  end)

  it("takes the token that was just rotated for a minute, and then no more, without ending the grant", function()
    local first = server:exchange(app, { code = code() }).refresh_token
    local second = server:refresh(app, first)
    now = now + 60
    assert.is_table(server:refresh(app, first))
    now = now + 1
    fails("Invalid refresh token", server:refresh(app, first))
    assert.is_table(server:refresh(app, second.refresh_token))
  end)

  it("never lets a refresh widen the scope", function()
    local first = server:exchange(app, { code = code { scope = "free-busy" } })
    assert.equal("free-busy", server:verify(first.access_token).scope)
    assert.equal("free-busy", server:verify(server:refresh(app, first.refresh_token).access_token).scope)
  end)

  it("is one for all workers: what one issues another takes, and what one revokes no other takes", function()
    local second = worker()
    local tokens = server:exchange(app, { code = code() })
    assert.equal("u", second:verify(tokens.access_token).name)
    second:revoke(tokens.refresh_token)
    fails("The access token was revoked", server:verify(tokens.access_token))
    fails("Invalid refresh token", second:refresh(app, tokens.refresh_token))
  end)

  it("exchanges a code once, whichever worker is asked", function()
    local second = worker()
    local one = code()
    local tokens = server:exchange(app, { code = one })
    fails("Invalid authorization code", second:exchange(app, { code = one }))
    fails("The access token was revoked", server:verify(tokens.access_token))
  end)

  it("makes one signing key, however many workers start, and seals it", function()
    local a, b = worker(), worker()
    local token = a:issue({ app = "app", user = "u" }).access_token
    assert.is_table(b:verify(token))
    assert.is_table(server:verify(token))
    local keys = assert(db:signing_keys())
    assert.equal(1, #keys)
    assert.is_nil(support.read(path):find("PRIVATE KEY", 1, true))
    assert.is_nil((io.open(path .. "-wal", "rb"):read("a")):find("PRIVATE KEY", 1, true))
  end)

  it("signs with the newest key and verifies with the older ones", function()
    local old = server:issue({ app = "app", user = "u" }).access_token
    local pair = crypto.keypair "ed25519"
    now = now + 1
    assert(db.db:write(function(sql)
      sql.run("INSERT INTO signing_keys (kid, public_key, private_key, created) VALUES (?, ?, ?, ?)", "second", pair.public,
        crypto.base64(crypto.seal(key, pair.private, "second")), now)
      return true
    end))
    local second = worker()
    local new = second:issue({ app = "app", user = "u" }).access_token
    assert.is_table(second:verify(old))
    -- A worker that started before the key was made looks again.
    now = now + 11
    assert.is_table(server:verify(new))
  end)

  it("ends tokens with their user and app", function()
    local token = server:issue({ app = "app", user = "u" }).access_token
    assert.is_table(server:verify(token))
    assert(db:app_remove "app")
    fails("The access token was revoked", server:verify(token))
  end)

  it("counts attempts by window", function()
    for _ = 1, 3 do assert.is_true(server:attempt("x", 3, 60)) end
    local err = fails("Too many attempts", server:attempt("x", 3, 60))
    assert.same({ "rate_limited", 60 }, { err.code, err.retry_after })
    assert.is_true(server:attempt("y", 3, 60))
    now = now + 60
    assert.is_true(server:attempt("x", 3, 60))
  end)

  it("limits guesses at a client secret by address, but not an app that has shown the right one", function()
    local clients = require "lunation.oauth.clients"
    assert(db:app_add { id = "app", name = "App", secret = clients.hash "right", redirect_uris = {} })
    assert(db:app_add { id = "late", name = "Late", secret = clients.hash "right too", redirect_uris = {} })
    assert.equal("app", server:client("app", "right", "192.0.2.1").id)
    for _ = 1, 30 do assert.equal("invalid_client", select(2, server:client("nobody", "wrong", "192.0.2.1")).code) end
    assert.equal("rate_limited", select(2, server:client("nobody", "wrong", "192.0.2.1")).code)
    assert.equal("invalid_client", select(2, server:client("nobody", "wrong", "192.0.2.2")).code)
    assert.equal("app", server:client("app", "right", "192.0.2.1").id)
    -- Looking costs tens of milliseconds, so that from here nobody new is looked at for a while.
    assert.equal("rate_limited", select(2, server:client("late", "right too", "192.0.2.1")).code)
    assert.equal("late", server:client("late", "right too", "192.0.2.2").id)
    now = now + 3600
    assert.equal("invalid_client", select(2, server:client("app", "wrong", "192.0.2.1")).code)
  end)

  it("keeps secrets as salted hashes", function()
    local clients = require "lunation.oauth.clients"
    local one, two = clients.hash "secret", clients.hash "secret"
    assert.not_equal(one, two)
    assert.is_nil(one:find("secret", 1, true))
    assert.is_true(clients.verify(one, "secret"))
    assert.is_true(clients.verify(one, "secret"))
    assert.is_false(clients.verify(one, "Secret"))
    assert.is_false(clients.verify(one, nil))
    assert.is_false(clients.verify("secret", "secret"))
    assert.is_false(clients.verify(nil, "secret"))
  end)

  it("forgets what time has made useless, and nothing else", function()
    local spent = code()
    local tokens = server:exchange(app, { code = spent })
    assert(db:authorization_add { id = "r", browser = "b", app = "app", data = {}, expires = now + 7200 })
    server:attempt("x", 3, 60)
    now = now + 3600
    assert.is_true(db:tokens_prune())
    assert.is_table(db:authorization "r")
    now = now + 3601
    assert.is_true(db:tokens_prune())
    assert.is_nil(db:authorization "r")
    assert.is_table(db:code(crypto.hex(crypto.sha256(spent))))
    now = now + 2 * 86400
    assert.is_true(db:tokens_prune())
    assert.is_nil(db:code(crypto.hex(crypto.sha256(spent))))
    local refreshed = server:refresh(app, tokens.refresh_token)
    assert.is_table(refreshed)
    server:revoke(refreshed.access_token)
    now = now + 31 * 86400
    assert.is_true(db:tokens_prune())
    fails("Invalid refresh token", server:refresh(app, refreshed.refresh_token))
  end)

  it("issues only scopes that there are, for apps that there are", function()
    assert.equal("invalid_request", select(2, server:issue { app = "app", user = "u", scope = "everything" }).code)
    assert.equal("not_found", select(2, server:issue { app = "none", user = "u" }).code)
    assert.equal(errors.status(select(2, server:issue { app = "none", user = "u" })), 404)
  end)

  it("asks accounts whose calendars were withheld to be connected again", function()
    local calendars = require "lunation.api.connect.calendars"
    local engine = { store = db, config = { limits = {} } }
    local who = { app = "app", user = user.id, scope = "read" }
    assert(db:account_add { user = user.id, provider = "google", identity = "a@x", settings = { calendarPermissionGranted = false } })
    local accounts, err = calendars.accounts(engine, who)
    assert.is_nil(accounts)
    assert.equal("calendar_permission_required", err.code)
    local response = require("lunation.api.connect.failure").response({ method = "GET" }, err)
    assert.equal(403, response.status)
    assert.same({ { provider = "google", account = "a@x" } }, require("lunation.json").decode(response.body).accounts)
    -- One account that can be read is enough.
    assert(db:account_add { user = user.id, provider = "caldav", identity = "b@x" })
    assert.equal(1, #calendars.accounts(engine, who))
  end)
end)
