local host = require "lunation.host"
local support = require "spec.support"
local timer = require "lunation.timer"

local function run(...) return support.lunation { ... } end

describe("the command", function()
  it("says its version", function()
    local result = run "version"
    assert.are.equal("lunation " .. host.version .. "\n", result.stdout)
    assert.are.equal(0, result.code)
    assert.are.equal(('{"version":"%s"}\n'):format(host.version), run("version", "--json").stdout)
    assert.are.equal(result.stdout, run("--version").stdout)
  end)

  it("starts in tens of milliseconds", function()
    local best = math.huge
    for _ = 1, 5 do
      local before = timer.now()
      run "version"
      best = math.min(best, timer.now() - before)
    end
    assert.is_true(best < 0.1, ("%.0f ms"):format(best * 1000))
  end)

  it("explains itself and every command", function()
    local all = run "help"
    assert.are.equal(0, all.code)
    for _, name in ipairs { "serve", "run", "app", "account", "events", "free", "expand", "import", "export", "ics", "check", "version", "help" } do
      assert.matches("lunation " .. name .. "%s+%l", all.stdout)
      local help, option = run("help", name), run(name, "--help")
      assert.are.equal(0, help.code)
      assert.are.equal(0, option.code)
      assert.matches("^usage: lunation " .. name, help.stdout)
      assert.are.equal(help.stdout, option.stdout)
    end
    for _, words in ipairs { { "app", "add" }, { "app", "token" }, { "account", "add" }, { "account", "sync" } } do
      local help = run(words[1], words[2], "--help")
      assert.are.equal(0, help.code)
      assert.matches("^usage: lunation " .. words[1] .. " " .. words[2], help.stdout)
    end
    assert.are.equal(all.stdout, run("--help").stdout)
  end)

  it("ends with 2 and says what was wrong with the words", function()
    local cases = {
      { {}, "a command is expected" },
      { { "serv" }, "no command `serv`; did you mean `serve`%?" },
      { { "help", "nope" }, "no command `nope`" },
      { { "app" }, "one of add, list, remove, token is expected" },
      { { "app", "ad" }, "there is no `ad`" },
      { { "app", "add" }, "NAME is missing" },
      { { "app", "add", "a", "b" }, "`b` is one too many" },
      { { "app", "add", "a", "--redirect" }, "no option `%-%-redirect`" },
      { { "app", "add", "a", "--redirect-uri" }, "takes a value: URI" },
      { { "app", "add", "a", "--redirect-uri", "nope" }, "an absolute URI" },
      { { "app", "list", "--json=yes" }, "takes no value" },
      { { "app", "token", "x", "--user", "u", "--scope", "all" }, "read%-write, read or free%-busy" },
      { { "app", "token", "x", "--user", "u", "--ttl", "0" }, "at least 1" },
      { { "serve", "--workers", "many" }, "whole number" },
      { { "serve", "-c", "a", "--config", "b" }, "stands twice" },
      { { "events", "--log-level", "loud" }, "debug, info, warn or error expected" },
      { { "run" }, "SCRIPT is missing" },
      { { "account", "add", "--user", "u" }, "PROVIDER is missing" },
      { { "serve", "--listen", "ftp://x" }, "not an http or https URL" },
      { { "version", "now" }, "one too many" },
    }
    for _, case in ipairs(cases) do
      local result = support.lunation(case[1])
      local said = table.concat(case[1], " ")
      assert.are.equal(2, result.code, said)
      assert.matches(case[2], result.stderr, said)
      assert.are.equal("", result.stdout, said)
    end
  end)

  it("ends with 1 where the configuration is wrong, and names the line", function()
    local path = support.write(support.tmpdir() .. "/bad.lua", "listen 'http://127.0.0.1:1'\nwrokers(2)\n")
    for _, words in ipairs { { "check" }, { "serve" }, { "app", "list" }, { "events" } } do
      local result = support.lunation { words[1], words[2] or "-c", words[2] and "-c" or path, words[2] and path }
      assert.are.equal(1, result.code)
      assert.matches("bad.lua:2: unknown word `wrokers`; did you mean `workers`%?", result.stderr)
    end
  end)
end)

describe("lunation run", function()
  local function script(text, ...)
    return run("run", support.write(support.tmpdir() .. "/script.lua", text), ...)
  end

  it("gives the script its arguments and takes its status", function()
    local result = script("local a, b = ... print(a, b, #arg, arg[0]:match('script.lua$')) return 7", "--one", "two words")
    assert.are.equal("--one\ttwo words\t2\tscript.lua\n", result.stdout)
    assert.are.equal(7, result.code)
    assert.are.equal(0, script("").code)
    assert.are.equal(3, script("os.exit(3)").code)
    assert.are.equal(1, script("os.exit(false)").code)
    assert.are.equal(0, script("return 'text'").code)
  end)

  it("logs as it is told to", function()
    local path = support.write(support.tmpdir() .. "/s.lua", "require('lunation.log').debug('hello', { n = 1 })")
    assert.matches('^{"time":"[^"]+","level":"debug","message":"hello","n":1}\n$', run("run", "--log-json", "--log-level", "debug", path).stderr)
    assert.are.equal("", run("run", path).stderr)
  end)

  it("reads the script from standard input", function()
    local result = support.lunation { "run", "-", "x", stdin = "print('in', ...)" }
    assert.are.equal("in\tx\n", result.stdout)
  end)

  it("ends when nothing is left", function()
    local result = script [[
      local timer = require "lunation.timer"
      timer.after(0.03, function() print "third" end)
      require("lunation.task").spawn(function() timer.sleep(0.01) print "second" end)
      print "first"
    ]]
    assert.are.equal("first\nsecond\nthird\n", result.stdout)
    assert.are.equal(0, result.code)
  end)

  it("says where it failed", function()
    local result = script "\nlocal t = nil\nprint(t.x)"
    assert.are.equal(1, result.code)
    assert.matches("script.lua:3: attempt to index a nil value", result.stderr)
    assert.matches("stack traceback", result.stderr)
    result = script "x = = 1"
    assert.are.equal(1, result.code)
    assert.matches("script.lua:1:", result.stderr)
    result = script "local cal = require 'lunation'\ncal.every('soon', print)"
    assert.are.equal(1, result.code)
    assert.are.equal(1, run("run", "/nonexistent.lua").code)
  end)

  it("ends at once when the script fails, with its children and timers", function()
    local result = script [[
      local process = require "lunation.process"
      print(process.spawn({ args = { "sleep", "63" } }).pid)
      require("lunation.timer").every(1, function() end)
      require("lunation.task").spawn(function() require("lunation.timer").sleep(60) end)
      error "over"
    ]]
    assert.are.equal(1, result.code)
    assert.matches("over", result.stderr)
    local pid = math.tointeger(tonumber(result.stdout))
    support.eventually(function() return not require("lunation.process").kill(pid, 0) end)
  end)

  it("ends when it waits for what cannot happen", function()
    local result = script "require('lunation.task.core').park({})"
    assert.are.equal(1, result.code)
    assert.matches("can no longer happen", result.stderr)
  end)
end)

describe("lunation ics", function()
  local good = table.concat({
    "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//spec//EN", "BEGIN:VEVENT", "UID:one", "DTSTAMP:20250101T000000Z",
    "DTSTART;TZID=Europe/Paris:20250309T090000", "DURATION:PT1H", "SUMMARY:Breakfast", "END:VEVENT", "END:VCALENDAR", "",
  }, "\r\n")

  it("prints the events of a file and of standard input", function()
    local path = support.write(support.tmpdir() .. "/a.ics", good)
    local result = run("ics", path)
    assert.are.equal(0, result.code)
    local events = require("lunation.json").decode(result.stdout)
    assert.are.equal(1, #events)
    assert.are.equal("Breakfast", events[1].title)
    assert.are.equal("2025-03-09T09:00:00", events[1].start)
    assert.are.equal("Europe/Paris", events[1].timeZone)
    assert.are.equal(result.stdout, support.lunation({ "ics", "-", stdin = good }).stdout)
  end)

  it("names the line of bad input", function()
    local result = support.lunation { "ics", "-", stdin = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n" }
    assert.are.equal(1, result.code)
    assert.matches("standard input:3: ", result.stderr)
    assert.are.equal("", result.stdout)
    assert.are.equal(1, support.lunation({ "ics", "-", stdin = "garbage\0\xff" }).code)
    assert.are.equal(1, run("ics", "/nonexistent.ics").code)
  end)
end)

describe("lunation check", function()
  it("loads everything and changes nothing", function()
    local dir = support.tmpdir()
    support.write(dir .. "/s.lua", "error 'is not run'")
    local path = support.write(dir .. "/c.lua", "store 'sqlite:data/x.db' script 's.lua'")
    local result = support.lunation { "check", "-c", path, env = { LUNATION_DATA = dir .. "/data" } }
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.code)
    assert.is_nil(require("lunation.fs").stat(dir .. "/data"))
  end)

  it("says all that is wrong", function()
    local dir = support.tmpdir()
    require("lunation.fs").mkdir(dir .. "/providers")
    support.write(dir .. "/providers/odd.lua", "return { name = 'other' }")
    support.write(dir .. "/s.lua", "x = = 1")
    local path = support.write(dir .. "/c.lua", [[
      provider_path { "providers" }
      script "s.lua"
      listen("https://127.0.0.1:1", { cert = "none.pem", key = "none.pem" })
    ]])
    local result = run("check", "-c", path)
    assert.are.equal(1, result.code)
    assert.matches("odd.lua", result.stderr)
    assert.matches("s.lua:1:", result.stderr)
    assert.matches("none.pem", result.stderr)
  end)

  it("knows the settings of providers that are misspelt", function()
    local dir = support.tmpdir()
    local cases = {
      { "google", 'clientid = "a"', "there is no setting `clientid`; there are auth_method, " },
      { "google", 'client_secret = "s"', "client_id is missing" },
      { "google", "client_id = 5", "client_id is no string" },
      { "microsoft", 'client_id = "a", tenant = 7', "tenant is no string" },
      { "microsoft", 'client_id = "a", auth_method = "bsic"', "auth_method is \"post\" or \"basic\"" },
      { "microsoft", 'client_id = "a", extras = { "mail" }', "extras: Microsoft Outlook has no `mail`" },
      { "google", 'client_id = "a", redirect_uris = { conect = "http://x/" }', "redirect_uris.conect: there is no such address" },
      { "google", 'client_id = "a", urls = { calender = "http://x" }', "urls.calender: there is no such address" },
      { "google", 'client_id = "a", urls = { calendar = "ftp://x" }', "urls.calendar is no http or https address" },
      { "gogle", 'client_id = "a"', "there is no such provider" },
    }
    for _, case in ipairs(cases) do
      local path = support.write(dir .. "/c.lua", ('provider("%s", { %s })'):format(case[1], case[2]))
      local result = run("check", "-c", path)
      assert.are.equal(1, result.code, case[2])
      assert.truthy(result.stderr:find(case[3], 1, true), result.stderr)
      assert.is_nil(result.stderr:find("\n.", 1), result.stderr)
    end
    local good = support.write(dir .. "/good.lua", [[
      provider("google", { client_id = "a", client_secret = "b", extras = { "contacts" }, page_size = 10,
        redirect_uris = { command = "http://localhost:8400/" }, urls = { calendar = "http://127.0.0.1:9", token = "http://127.0.0.1:9" } })
      provider("microsoft", { client_id = "a", auth_method = "basic", tenant = "common", subscription_lifetime = "1h" })
    ]])
    assert.are.equal("", run("check", "-c", good).stderr)
  end)
end)
