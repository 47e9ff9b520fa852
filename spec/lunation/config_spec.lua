local config = require "lunation.config"
local fs = require "lunation.fs"
local support = require "spec.support"

local function load(text, overrides) -- the configuration of a file, and its directory
  local dir = support.tmpdir()
  local cfg, err = config.load(support.write(dir .. "/lunation.conf.lua", text), overrides)
  return assert(cfg, err), dir
end

local function refuse(text)
  local cfg, err = config.load(support.write(support.tmpdir() .. "/a.lua", text))
  assert.is_nil(cfg)
  assert.are.equal("invalid_config", err.code)
  return err
end

describe("the configuration", function()
  it("reads every word", function()
    local cfg, dir = load [[
      listen "http://127.0.0.1:8080"
      listen("https://[::1]:8443", { cert = "tls/cert.pem", key = "/etc/key.pem" })
      public_url "https://calendar.example.org/"
      store "sqlite:data/lunation.db"
      provider_path { "./providers" }
      provider("google", { client_id = env("NOT_SET_AT_ALL", "fallback"), urls = { token = "http://127.0.0.1:1/" } })
      app { id = "demo", secret = "s", name = "Demo", redirect_uris = { "http://127.0.0.1:9000/callback", "com.example:/cb" } }
      workers(2)
      sync { max_age = "1m", deadline = 2 }
      limits { body = "2MiB", ics = 5, occurrences = 99, idle_time = "PT1M" }
      outgoing { allow = { "127.0.0.1:5232" } }
      trusted_proxies { "10.0.0.0/8" }
      script "scripts/a.lua"
    ]]
    assert.are.same({
      { url = "http://127.0.0.1:8080" },
      { url = "https://[::1]:8443", cert = dir .. "/tls/cert.pem", key = "/etc/key.pem" },
    }, cfg.listeners)
    assert.are.equal("https://calendar.example.org", cfg.public_url)
    assert.are.equal("sqlite:" .. dir .. "/data/lunation.db", cfg.store)
    assert.are.equal(dir .. "/data/lunation.key", cfg.key_file)
    assert.are.same({ dir .. "/providers" }, cfg.provider_path)
    assert.are.equal("fallback", cfg.providers.google.client_id)
    assert.are.equal("com.example:/cb", cfg.apps[1].redirect_uris[2])
    assert.are.equal(2, cfg.workers)
    assert.are.same({ max_age = 60, deadline = 2 }, cfg.sync)
    assert.are.same({ 2097152, 5, 99, 60, 16384 },
      { cfg.limits.body, cfg.limits.ics, cfg.limits.occurrences, cfg.limits.idle_time, cfg.limits.header })
    assert.are.same({ "127.0.0.1:5232" }, cfg.outgoing.allow)
    assert.is_false(cfg.outgoing.allow_private)
    assert.are.same({ "10.0.0.0/8" }, cfg.trusted_proxies)
    assert.are.same({ dir .. "/scripts/a.lua" }, cfg.scripts)
  end)

  it("has defaults for everything", function()
    local cfg = load ""
    assert.are.same({ { url = "http://127.0.0.1:8080" } }, cfg.listeners)
    assert.are.equal("http://127.0.0.1:8080", cfg.public_url)
    assert.are.equal(1048576, cfg.limits.body)
    assert.are.equal(30, cfg.sync.max_age)
    assert.are.equal(1, cfg.workers)
  end)

  it("is replaced by the command line", function()
    local cfg = load("listen 'http://127.0.0.1:1' workers(3)", { listeners = { { url = "http://127.0.0.1:2" } }, workers = 4 })
    assert.are.same({ { url = "http://127.0.0.1:2" } }, cfg.listeners)
    assert.are.equal(4, cfg.workers)
  end)

  it("names the line and what is wrong", function()
    local cases = {
      { "\nlisen 'http://127.0.0.1:1'", 2, "unknown word `lisen`; did you mean `listen`%?" },
      { "listen 'ftp://x'", 1, "not an http or https URL" },
      { "listen 'http://127.0.0.1:99999'", 1, "no port 99999" },
      { "listen 'https://127.0.0.1:1'", 1, "cert=FILE" },
      { "\n\nlimits { bodi = 1 }", 3, "unknown limit `bodi`; did you mean `body`%?" },
      { "limits { body = '1 furlong' }", 1, "limits body: `1 furlong` is not a size" },
      { "app { name = 'x' }", 1, "an id is required" },
      { "app { id = 'x', secrt = 'y' }", 1, "unknown field `secrt`; did you mean `secret`%?" },
      { "app { id = 'x' }\napp { id = 'x' }", 2, "there twice" },
      { "app { id = 'x', redirect_uris = { 'http://a/#b' } }", 1, "without fragment" },
      { "workers 'two'", 1, "workers" },
      { "workers(0)", 1, "at least 1" },
      { "store 'postgres://x/y'", 1, "SQLite" },
      { "provider('g', { client_id = env 'NOT_SET_AT_ALL' })", 1, "NOT_SET_AT_ALL is not set" },
      { "outgoing { allow = '127.0.0.1' }", 1, "table expected" },
      { "log { level = 'loud' }", 1, "log level: debug, info, warn or error expected" },
      { "sync { max_age = 'soon' }", 1, "`soon` is not a duration" },
      { "x = io.open 'y'", 1, "unknown word `io`" },
      { "listen(", 1, "expected" },
      { "\nerror 'mine'", 2, "mine" },
    }
    for _, case in ipairs(cases) do
      local err = refuse(case[1])
      assert.matches(case[3], err.message, case[1])
      assert.are.equal(case[2], err.line, case[1])
      assert.matches("a.lua:" .. case[2], err.message)
    end
  end)

  it("that is not there is an error", function()
    local cfg, err = config.load "/nonexistent/lunation.conf.lua"
    assert.is_nil(cfg)
    assert.matches("cannot be read", err.message)
  end)

  it("changes nothing on disk until it is prepared; then the key is private and stays", function()
    local cfg, dir = load "store 'sqlite:deep/er/lunation.db'"
    assert.is_nil(fs.stat(dir .. "/deep"))
    assert(config.prepare(cfg))
    assert.are.equal(32, #cfg.key)
    assert.are.equal(384, fs.stat(dir .. "/deep/er/lunation.key").mode)
    assert.are.equal(448, fs.stat(dir .. "/deep/er").mode)
    local again = config.load(dir .. "/lunation.conf.lua")
    assert.are.equal(cfg.key, config.prepare(again).key)
    support.write(dir .. "/deep/er/lunation.key", "short")
    local broken = config.load(dir .. "/lunation.conf.lua")
    local ok, err = config.prepare(broken)
    assert.is_nil(ok)
    assert.matches("is not a key", err.message)
  end)
end)
