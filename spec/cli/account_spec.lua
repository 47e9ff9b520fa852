local json = require "lunation.json"
local support = require "spec.support"

describe("apps and accounts on the command line", function()
  local env

  local function run(words)
    words.env = env
    return support.lunation(words)
  end

  local function done(words)
    local result = run(words)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.code)
    return result.stdout
  end

  local function object(words)
    words[#words + 1] = "--json"
    return json.decode(done(words))
  end

  before_each(function() env = { LUNATION_DATA = support.tmpdir() } end)

  it("add, list and remove an app; its secret is shown once", function()
    local app = object { "app", "add", "Demo", "--redirect-uri", "http://127.0.0.1:9/cb", "--redirect-uri=app:/cb", "--webhook-url", "http://127.0.0.1:9/h" }
    assert.are.equal(app.id, app.client_id)
    assert.is_true(#app.client_secret >= 40)
    assert.are.same({ "http://127.0.0.1:9/cb", "app:/cb" }, { app.redirect_uris[1], app.redirect_uris[2] })
    local list = object { "app", "list" }
    assert.are.equal(1, #list)
    assert.are.equal("Demo", list[1].name)
    assert.is_nil(list[1].client_secret)
    local table_text = done { "app", "list" }
    assert.matches("^ID%s+NAME%s+REDIRECT URIS\n" .. app.id .. "%s+Demo", table_text)
    local second = run { "app", "add", "Other" }
    assert.matches("client id%s+%S+\nclient secret%s+%S+\n", second.stdout)
    assert.matches("not shown again", second.stderr)
    done { "app", "remove", app.id }
    assert.are.equal(1, #object { "app", "list" })
    assert.are.equal(1, run({ "app", "remove", app.id }).code)
    assert.are.equal(1, run({ "app", "add", "Again", "--id", object({ "app", "list" })[1].id }).code)
  end)

  it("make a token for a user of an app", function()
    local app = object { "app", "add", "Demo" }
    local token = object { "app", "token", app.id, "--user", "alice", "--scope", "read", "--ttl", "60" }
    assert.are.equal("Bearer", token.token_type)
    assert.are.equal(60, token.expires_in)
    assert.are.equal("read", token.scope)
    assert.matches("^[%w_-]+%.[%w_-]+%.[%w_-]+$", token.access_token)
    assert.matches("^[%w_-]+%.[%w_-]+%.[%w_-]+\n$", done { "app", "token", app.id, "--user", "alice" })
    assert.are.equal(2, run({ "app", "token", app.id }).code)
    assert.are.equal(1, run({ "app", "token", "nobody", "--user", "alice" }).code)
  end)

  it("add a local account, list it, sync it and remove it", function()
    local app = object { "app", "add", "Demo" }
    local account = object { "account", "add", "local", "--user", "alice", "--name", "work" }
    assert.are.equal("integer", math.type(account.id))
    assert.are.equal(app.id, account.app)
    local list = object { "account", "list" }
    assert.are.same({ account.id, "local", "work", "alice", "active" },
      { list[1].id, list[1].provider, list[1].name, list[1].user, list[1].status })
    assert.matches("ID%s+PROVIDER%s+ACCOUNT.*" .. account.id .. "%s+local%s+work%s+work%s+%S+%s+alice%s+never%s+active", done { "account", "list" })
    assert.are.equal(account.id .. " work: 0 created, 0 updated, 0 deleted\n", done { "account", "sync" })
    local synced = object { "account", "sync", tostring(account.id) }
    assert.are.equal(account.id, synced[1].account)
    assert.are.equal(tostring(account.id) .. "\n", done { "account", "add", "local", "--user", "alice", "--name", "work" })
    done { "account", "remove", tostring(account.id) }
    assert.are.same(0, #object { "account", "list" })
  end)

  it("say what is missing or wrong", function()
    local cases = {
      { { "account", "add", "local" }, 2, "`%-%-user USER` is required" },
      { { "account", "add", "nope", "--user", "a" }, 2, "no provider `nope`; there are .*caldav" },
      { { "account", "add", "local", "--user", "a" }, 1, "there is no app yet" },
      { { "account", "add", "local", "--user", "a", "--app", "x" }, 1, "there is no app `x`" },
      { { "account", "sync", "x" }, 2, "not an account's id" },
      { { "account", "sync", "9" }, 1, "there is no account 9" },
      { { "account", "remove", "9" }, 1, "there is no account 9" },
      { { "account", "token", "9" }, 1, "accounts dialect" },
    }
    for _, case in ipairs(cases) do
      local result = run(case[1])
      assert.are.equal(case[2], result.code, table.concat(case[1], " "))
      assert.matches(case[3], result.stderr)
    end
    done { "app", "add", "One", "--json" }
    local caldav = { "account", "add", "caldav", "--user", "a", "--url", "http://127.0.0.1:9/" }
    assert.matches("`%-%-username NAME` is required", run(caldav).stderr)
    table.move({ "--username", "bob" }, 1, 2, #caldav + 1, caldav)
    assert.matches("%-%-password%-stdin", run(caldav).stderr)
    caldav[#caldav + 1] = "--password-stdin"
    caldav.stdin = "\n"
    assert.matches("the password is empty", run(caldav).stderr)
    caldav.stdin = "secret\n"
    local refused = run(caldav)
    assert.are.equal(1, refused.code)
    assert.is_nil(refused.stderr:find "secret")
    done { "app", "add", "Two", "--json" }
    assert.matches("there are 2 apps", run({ "account", "add", "local", "--user", "a" }).stderr)
  end)

  it("read the configuration's app, which stands in the store once something ran on it", function()
    local dir = env.LUNATION_DATA
    local path = support.write(dir .. "/c.lua", 'app { id = "demo", secret = "s3cret", redirect_uris = { "http://127.0.0.1:9/cb" } }')
    local token = object { "app", "token", "demo", "--user", "alice", "-c", path }
    assert.is_string(token.access_token)
    assert.are.equal("demo", object({ "app", "list", "-c", path })[1].id)
  end)
end)

describe("lunation events", function()
  it("prints the agenda as a table and as JSON", function()
    local env = { LUNATION_DATA = support.tmpdir() }
    support.lunation { "app", "add", "Demo", env = env }
    support.lunation { "account", "add", "local", "--user", "alice", "--name", "work", env = env }
    support.lunation { "account", "sync", env = env }
    local script = support.write(env.LUNATION_DATA .. "/s.lua", [[
      local cal = require "lunation"
      cal.create("work/primary", { title = "Focus", start = "2025-11-03T09:00", duration = 90, timeZone = "Europe/Paris" })
      cal.create("work/primary", { title = "Holiday", start = "2025-11-04" })
    ]])
    assert.are.equal(0, support.lunation({ "run", script, env = env }).code)
    local words = { "events", "--from", "2025-11-03", "--to", "+2d", "--zone", "Europe/London", env = env }
    local result = support.lunation(words)
    assert.are.equal("", result.stderr)
    assert.are.equal("START (Europe/London)  LASTS  TITLE    CALENDAR  ACCOUNT\n"
      .. "2025-11-03 08:00       1h30m  Focus    work      work\n2025-11-04             1 day  Holiday  work      work\n", result.stdout)
    words[#words + 1] = "--json"
    local events = json.decode(support.lunation(words).stdout)
    assert.are.equal(2, #events)
    assert.are.same({ "Focus", "2025-11-03T09:00:00", "PT1H30M", "Europe/Paris", "work" },
      { events[1].title, events[1].start, events[1].duration, events[1].timeZone, events[1].account })
    assert.is_true(events[2].showWithoutTime)
    local none = support.lunation { "events", "--from", "2030-01-01", env = env }
    assert.are.equal(0, none.code)
    assert.matches("nothing in that time", none.stderr)
    local bad = support.lunation { "events", "--from", "someday", env = env }
    assert.are.equal(2, bad.code)
    assert.matches("`someday` is not a time", bad.stderr)
    assert.are.equal(1, support.lunation({ "events", "--calendar", "nope", env = env }).code)
  end)
end)
