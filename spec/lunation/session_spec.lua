-- The session of an account: tokens that are renewed once, limits that are kept, failures that have names.

local errors = require "lunation.errors"
local oauth = require "spec.support.oauth"
local specs = require "spec.support.store"
local support = require "spec.support"
local session = require "lunation.session"
local task = require "lunation.task"
local timer = require "lunation.timer"
local upstream = require "lunation.upstream"

describe("the session of an account", function()
  local at, store, path, provider, engine, account, config

  local function setup(options)
    at = oauth.start(options)
    provider = oauth.provider(at, options and options.provider)
    store, path = specs.open()
    config = { client_id = "client", client_secret = "secret" }
    engine = {
      config = { limits = { retry_wait = 2 }, outgoing = {} }, store = store,
      providers = { get = function() return provider end, settings = function() return config end },
    }
    local first = at.issue()
    account = specs.furnish(store, { calendars = {} })
    account = assert(store:account_update(account.id, {
      credentials = { access_token = first.access_token, refresh_token = first.refresh_token, expires = timer.time() + 3600 },
    }))
  end

  local function open()
    local _, ready = assert(upstream.open(engine, account))
    return ready
  end

  after_each(function()
    if store then store:close() end
    if at then at.stop() end
    store, at = nil, nil
  end)

  it("sends the token, and comes back with JSON", function()
    setup()
    local answer = assert(open().request { url = at.url .. "/api/x" })
    assert.same({ fine = true }, answer:json())
    assert.equal("Bearer access-1", at.requests[1].authorization)
  end)

  it("renews once for many requests after a 401, and keeps what it got", function()
    setup { rotate = true }
    at.tokens = {}
    at.token_delay = 0.05
    local ready, work = open(), {}
    for index = 1, 8 do work[index] = function() return assert(ready.request { url = at.url .. "/api/x" }) end end
    for _, result in ipairs(task.all(work)) do assert.is_true(result[1], tostring(result[2])) end
    assert.equal(1, at.refreshes)
    local kept = assert(store:credentials(account.id))
    assert.equal("access-2", kept.access_token)
    assert.equal("refresh-2", kept.refresh_token)
  end)

  it("renews once for two workers that find the token old at the same time", function()
    setup { rotate = true }
    at.tokens = {}
    at.token_delay = 0.05
    local other = specs.open { path = path }
    local second = { config = engine.config, store = other, providers = engine.providers }
    local work = {}
    for index, each in ipairs { engine, second } do
      work[index] = function()
        local _, ready = assert(upstream.open(each, account))
        return assert(ready.request { url = at.url .. "/api/x" })
      end
    end
    for _, result in ipairs(task.all(work)) do assert.is_true(result[1], tostring(result[2])) end
    assert.equal(1, at.refreshes)
    other:close()
  end)

  it("renews a token that is about to end before it is used", function()
    setup()
    store:account_update(account.id, { credentials = { access_token = "access-1", refresh_token = "refresh-1", expires = timer.time() + 5 } })
    assert(open().request { url = at.url .. "/api/x" })
    assert.equal("/token", at.requests[1].path)
    assert.equal("Bearer access-2", at.requests[2].authorization)
  end)

  it("keeps the rotated token though whoever asked gave up while the answer was on its way", function()
    setup { rotate = true }
    at.tokens = {}
    at.token_delay = 0.2
    local ready = open()
    local _, err = task.deadline(0.05, function() return ready.request { url = at.url .. "/api/x" } end)
    assert.equal("timeout", err.code)
    support.eventually(function() return store:credentials(account.id).refresh_token == "refresh-2" end)
  end)

  it("keeps the rotated token though the store is busy", function()
    setup { rotate = true }
    at.tokens = {}
    local busy, replace = 2, store.credentials_replace
    store.credentials_replace = function(...)
      busy = busy - 1
      if busy >= 0 then return nil, errors.new("busy", "the store is busy") end
      return replace(...)
    end
    assert(open().request { url = at.url .. "/api/x" })
    store.credentials_replace = nil
    assert.equal(-1, busy)
    assert.equal("refresh-2", store:credentials(account.id).refresh_token)
  end)

  it("says that the account has to be connected again when its grant is gone", function()
    setup()
    at.tokens, at.refresh = {}, {}
    local _, err = open().request { url = at.url .. "/api/x" }
    assert.equal("reauth_required", err.code)
    assert.equal("invalid_grant", err.reason)
    upstream.failed(engine, account, err)
    assert.equal("reauth_required", store:account(account.id).status)
    assert.equal("invalid_grant", store:account(account.id).error.reason)
    local seen
    for _, change in ipairs(store:changes_after(0, 10)) do seen = seen or change.kind == "account.reauth_required" end
    assert.is_true(seen)
  end)

  it("does not take a token endpoint that is down, or a wrong secret, for the end of the grant", function()
    setup()
    at.tokens = {}
    at.token_fault, at.token_status = "temporarily_unavailable", 503
    local _, err = open().request { url = at.url .. "/api/x" }
    assert.equal("unavailable", err.code)
    at.token_fault = nil
    config.client_secret = "wrong"
    _, err = open().request { url = at.url .. "/api/x" }
    assert.equal("provider_error", err.code)
    assert.equal("invalid_client", err.reason)
    assert.is_false(upstream.refused(err))
  end)

  it("tries again what may be sent twice, as Retry-After says", function()
    setup()
    at.answers = { { status = 429, headers = { ["retry-after"] = "1" } }, { status = 503 } }
    local started = timer.now()
    assert(open().request { url = at.url .. "/api/x" })
    assert.is_true(timer.now() - started >= 1)
    assert.equal(3, #at.requests)
  end)

  it("gives up where the provider asks for a longer wait than it has", function()
    setup()
    at.answers = { { status = 429, headers = { ["retry-after"] = "3600" } } }
    local _, err = open().request { url = at.url .. "/api/x" }
    assert.equal("rate_limited", err.code)
    assert.equal(3600, err.retry_after)
    assert.equal(1, #at.requests)
  end)

  it("never sends a POST twice, unless it says that it may be or was not carried out", function()
    setup()
    at.answers = { { status = 503 } }
    local _, err = open().request { method = "POST", url = at.url .. "/api/x", json = {} }
    assert.equal("unavailable", err.code)
    assert.equal(1, #at.requests)
    at.answers = { { status = 503 } }
    assert(open().request { method = "POST", url = at.url .. "/api/x", json = {}, idempotent = true })
    at.answers = { { status = 429 } }
    assert(open().request { method = "POST", url = at.url .. "/api/x", json = {} })
  end)

  it("asks the provider what a refusal means", function()
    setup { provider = { classify = function(answer)
      if answer.status == 403 and answer.body:find "rateLimit" then
        return { code = "rate_limited", reason = "rateLimitExceeded", message = "too fast" }
      end
    end } }
    at.answers = { { status = 403, body = '{"error":"rateLimit"}' }, { status = 403, body = "{}" } }
    local _, err = open().request { url = at.url .. "/api/x" }
    assert.equal("forbidden", err.code)
    assert.equal(403, err.upstream_status)
    assert.equal(2, #at.requests)
    at.answers = { { status = 404 } }
    assert.equal(404, assert(open().request { url = at.url .. "/api/x", accept = { 404 } }).status)
  end)

  it("keeps the number of requests at once", function()
    setup { provider = { limits = { concurrency = 2 } } }
    local ready, work = open(), {}
    -- One that is cut off gives its turn back.
    at.answers[1] = { delay = 0.05 }
    task.deadline(0.02, function() return ready.request { url = at.url .. "/api/x" } end)
    support.eventually(function() return at.active == 0 end)
    for index = 1, 6 do
      at.answers[index] = { delay = 0.03 }
      work[index] = function() return assert(open().request { url = at.url .. "/api/x" }) end
    end
    for _, result in ipairs(task.all(work)) do assert.is_true(result[1], tostring(result[2])) end
    assert.equal(2, at.most_active)
  end)

  it("keeps the number of requests in a span of time", function()
    setup { provider = { limits = { buckets = { { requests = 3, seconds = 60 } } } } }
    local ready = open()
    for _ = 1, 3 do assert(ready.request { url = at.url .. "/api/x" }) end
    local _, err = ready.request { url = at.url .. "/api/x" }
    assert.equal("rate_limited", err.code)
    assert.is_true(err.retry_after >= 1)
    assert.equal(3, #at.requests)
  end)

  it("names an answer that is no JSON or too large, with what came", function()
    setup()
    at.answers = { { body = "<html>Sorry</html>" } }
    local value, err = assert(open().request { url = at.url .. "/api/x?token=secret" }):json()
    assert.is_nil(value)
    assert.equal("answer_not_json", err.code)
    assert.equal("<html>Sorry</html>", err.details.original)
    assert.equal(at.url .. "/api/x", err.details.url)
    engine.config.limits.answer = 1000
    at.answers = { { body = '"' .. ("x"):rep(5000) .. '"' } }
    err = select(2, open().request { url = at.url .. "/api/x" })
    assert.equal("answer_too_large", err.code)
    assert.equal(502, errors.status(err))
  end)

  it("does not carry the token to another place that a link names", function()
    setup()
    local elsewhere = oauth.start()
    local _, err = open().request { url = elsewhere.url .. "/api/x" }
    assert.equal("foreign_link", err.reason)
    assert.equal(0, #elsewhere.requests)
    elsewhere.stop()
  end)

  it("ends a listing that goes in circles, or on and on", function()
    setup()
    engine.config.limits.pages, engine.config.limits.empty_pages = 5, 3
    local page = open().pages()
    assert(page("a", 10))
    assert(page("b", 0))
    local err = select(2, page("a", 10))
    assert.equal("endless_listing", err.code)
    page = open().pages()
    for index = 1, 2 do assert(page("e" .. index, 0)) end
    err = select(2, page("e3", 0))
    assert.truthy(err.message:find "empty")
    page = open().pages()
    for index = 1, 4 do assert(page("p" .. index, 1)) end
    err = select(2, page("p5", 1))
    assert.truthy(err.message:find "more than 5 pages")
  end)

  it("is there for an account that is not stored yet", function()
    setup()
    local first = at.issue()
    local fresh = session.attach(engine, provider, { credentials = { access_token = "gone", refresh_token = first.refresh_token }, settings = {} })
    assert(fresh.request { url = at.url .. "/api/x" })
    assert.equal("access-3", fresh.credentials.access_token)
  end)
end)
