local json = require "lunation.json"
local support = require "spec.support"

-- Each case is a script of its own, run as a user runs it, on a store with one local account called "work".
describe("the automator's module", function()
  local env

  local function script(text, ...)
    local path = support.write(env.LUNATION_DATA .. "/script.lua", "local cal = require 'lunation'\n" .. text)
    return support.lunation { "run", path, env = env, ... }
  end

  local function prints(expected, text, ...)
    local result = script(text, ...)
    assert.are.equal("", result.stderr)
    assert.are.equal(expected, result.stdout)
    assert.are.equal(0, result.code)
  end

  local function fails(pattern, text)
    local result = script(text)
    assert.are.equal(1, result.code)
    assert.matches(pattern, result.stderr)
  end

  before_each(function()
    env = { LUNATION_DATA = support.tmpdir(), TZ = "Europe/Paris" }
    support.lunation { "app", "add", "Demo", env = env }
    support.lunation { "account", "add", "local", "--user", "alice", "--name", "work", env = env }
    support.lunation { "account", "sync", env = env }
  end)

  it("names accounts and calendars", function()
    prints("1 work local\n1\nwork true\n", [[
      for account in cal.accounts() do print(account.id .. " " .. account.name .. " " .. account.provider) end
      print(cal.account("work").id)
      for _, calendar in ipairs(cal.calendars "work") do print(calendar.title .. " " .. tostring(calendar.primary)) end
    ]])
    fails("script.lua:2: there is no account `home`", "cal.account 'home'")
  end)

  it("creates, lists, changes and deletes events", function()
    prints([[
2025-11-03T09:00:00 Focus 2h
2025-11-04T00:00:00 Holiday 1 day
2025-11-05T10:00:00 Short 45m
Deep focus 2025-11-03T11:00:00
2025-11-03T11:00:00 Deep focus 2h
2025-11-04T00:00:00 Holiday 1 day
]], [[
      local function list()
        for event in cal.events { from = "2025-11-03", to = "+7d" } do print(event.start .. " " .. event.title .. " " .. cal.lasts(event)) end
      end
      local event = cal.create("work/primary", { title = "Focus", start = "2025-11-03T09:00", duration = "PT2H", timeZone = "Europe/Paris" })
      cal.create("work/primary", { title = "Holiday", start = "2025-11-04" })
      local short = cal.create("work", { title = "Short", start = "2025-11-05T10:00", duration = 45 })
      list()
      local changed = cal.update(event, { title = "Deep focus", start = "2025-11-03T11:00" })
      print(changed.title .. " " .. changed.start)
      cal.delete(short)
      list()
    ]])
  end)

  it("edits one instance, those that follow, and a whole series", function()
    prints([[
03 Daily 09:00
04 Moved 11:00
06 Daily 09:00
07 Late 15:00
08 Late 15:00
--
07 Late 15:00
08 Late 15:00
]], [[
      local function list()
        for event in cal.events { from = "2025-11-01", to = "2025-11-30" } do
          print(event.start:sub(9, 10) .. " " .. event.title .. " " .. event.start:sub(12, 16))
        end
      end
      local series = cal.create("work/primary", { title = "Daily", start = "2025-11-03T09:00", duration = 30, timeZone = "Europe/Paris",
        recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 6 } } })
      local function on(day)
        for event in cal.events { from = "2025-11-" .. day, to = "+1d" } do return event end
      end
      cal.update(on "04", { title = "Moved", start = "2025-11-04T11:00" }, { scope = "this" })
      cal.delete(on "05", { scope = "this" })
      cal.update(on "07", { title = "Late", start = "2025-11-07T15:00" }, { scope = "following" })
      list()
      print "--"
      cal.delete(series, { scope = "all" })
      list()
    ]])
  end)

  it("raises what is wrong, with the line of the script", function()
    fails("script.lua:2: there is no calendar `work/nope`", "cal.create('work/nope', { title = 'x', start = '2025-11-03' })")
    fails("script.lua:2: start: `tomorrow` is not a local time", "cal.create('work/primary', { title = 'x', start = 'tomorrow' })")
    fails("script.lua:2: an event of cal.events or cal.create is expected", "cal.update({ id = 'x' }, {})")
    fails("script.lua:2: `whenever` is not a time", "cal.events { from = 'whenever' }")
    fails("script.lua:2: `sometimes` is not a duration", "cal.every('sometimes', print)")
    fails("script.lua:2: route: a path", "cal.route('GET', 'hello', print)")
    fails("script.lua:3: route: GET /a is there already", "cal.route('GET', '/a', print)\ncal.route('GET', '/a', print)")
  end)

  it("calls a hook for each change, with the event and where it is from", function()
    prints("created One work\nupdated Two work\ndeleted\n", [[
      local event
      cal.on("event.created", function(ev, ctx) print("created " .. ev.title .. " " .. ctx.calendar.title) cal.update(ev, { title = "Two" }) end)
      cal.on("event.updated", function(ev, ctx) print("updated " .. ev.title .. " " .. ctx.calendar.title) cal.delete(event) end)
      cal.on("event.deleted", function() print "deleted" os.exit(0) end)
      event = cal.create("work/primary", { title = "One", start = "2025-11-03T09:00" })
    ]])
  end)

  it("calls a function again and again, and at the times of a cron line", function()
    prints("tick\n", [[
      cal.every("1s", function() print "tick" os.exit(0) end)
      cal.at("0 7 * * MON-FRI", function() print "never" end, { timeZone = "Europe/Paris" })
    ]])
  end)

  it("serves a script's routes until it is stopped", function()
    local path = support.write(env.LUNATION_DATA .. "/routes.lua", [[
      local cal = require "lunation"
      cal.route("GET", "/hello/:name", function(req) return { hello = req.params.name } end, { public = true })
      cal.route("GET", "/mine", function(req) return { user = req.user.name } end)
      print(cal.listen("http://127.0.0.1:0").url)
    ]])
    local process, http = require "lunation.process", require "lunation.http"
    local log = env.LUNATION_DATA .. "/out"
    local child = assert(process.spawn { args = { require("lunation.host").executable, "run", path }, env = env, stdout = log, stderr = log })
    local url = support.eventually(function() return (support.read(log):match "http://127.0.0.1:%d+") end)
    assert.are.same({ hello = "Ada" }, json.decode(assert(http.get(url .. "/hello/Ada")).body))
    assert.are.equal(401, assert(http.get(url .. "/mine")).status)
    local app = json.decode(support.lunation({ "app", "list", "--json", env = env }).stdout)[1].id
    local token = support.lunation({ "app", "token", app, "--user", "alice", env = env }).stdout:gsub("%s", "")
    local mine = assert(http.get(url .. "/mine", { headers = { Authorization = "Bearer " .. token } }))
    assert.are.same({ user = "alice" }, json.decode(mine.body))
    child:kill "INT"
    assert.are.equal(130, child:wait(5).code)
  end)
end)
