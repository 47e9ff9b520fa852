-- lunation free, and cal.availability behind the same search.
local ics = require "spec.support.ics"
local json = require "lunation.json"
local support = require "spec.support"

local function busy(first, last, more)
  return ics.event("DTSTART;TZID=Europe/Berlin:20250303T" .. first, "DTEND;TZID=Europe/Berlin:20250303T" .. last, table.unpack(more or {}))
end

describe("lunation free", function()
  local dir = support.tmpdir()
  local one = support.write(dir .. "/one.ics", busy("090000", "100000"))
  local two = support.write(dir .. "/two.ics", busy("110000", "120000"))
  local free = support.write(dir .. "/free.ics", busy("090000", "180000", { "TRANSP:TRANSPARENT" }))
  local day = "2025-03-03T09:00/2025-03-03T13:00"

  local function run(...) return support.lunation { "free", "--zone", "Europe/Berlin", "--window", day, ... } end

  local function times(done)
    local list = {}
    for i, slot in ipairs(json.decode(done.stdout)) do list[i] = slot.start:sub(12, 16) .. "-" .. slot.finish:sub(12, 16) end
    return table.concat(list, " ")
  end

  it("gives what all files leave of the window", function()
    assert.equal("10:00-11:00 12:00-13:00", times(run("--duration", "PT30M", "--json", one, two, free)))
    assert.equal("", times(run("--duration", "2h", "--json", one, two)))
    local done = run("--duration", "30m", one)
    assert.truthy(done.stdout:find("2025%-03%-03 10:00 +2025%-03%-03 13:00 +3h"), done.stdout)
    done = run("--duration", "4h", one)
    assert.equal(0, done.code)
    assert.equal("There is no such time.\n", done.stderr)
  end)

  it("gives slots by an increment", function()
    assert.equal("10:00-10:30 10:30-11:00 12:00-12:30 12:30-13:00", times(run("--duration", "30m", "--increment", "30", "--json", one, two)))
    assert.equal("10:00-11:00", times(run("--duration", "1h", "--increment", "15", "--limit", "1", "--json", one, two)))
  end)

  it("says what is wrong", function()
    assert.equal(2, run(one).code)
    assert.equal(2, run("--duration", "long", one).code)
    assert.equal(2, support.lunation({ "free", "--duration", "1h", "--window", "today", one }).code)
    assert.equal(1, run("--duration", "1h", dir .. "/none.ics").code)
    local bad = support.write(dir .. "/bad.ics", "<html>")
    assert.truthy(run("--duration", "1h", bad).stderr:find(bad .. ":1: ", 1, true))
  end)

  it("asks the accounts of the store, and scripts do by cal.availability", function()
    local data = support.tmpdir()
    local env = { LUNATION_DATA = data, TZ = "Europe/Berlin" }
    local function lunation(command)
      command.env = env
      local done = support.lunation(command)
      assert.equal(0, done.code, done.stderr)
      return done
    end
    lunation { "app", "add", "demo" }
    for _, name in ipairs { "Ann", "Ben" } do lunation { "account", "add", "local", "--user", name, "--name", name } end
    lunation { "account", "sync" }
    lunation { "import", "Ann/primary", one }
    lunation { "import", "Ben/primary", two }
    assert.equal("10:00-11:00 12:00-13:00", times(lunation { "free", "--duration", "1h", "--window", day, "--json" }))
    assert.equal("10:00-13:00", times(lunation { "free", "--duration", "1h", "--window", day, "--account", "1", "--json" }))
    local script = support.write(dir .. "/free.lua", [[
      local cal = require "lunation"
      local function show(query)
        query.windows = { "2025-03-03T09:00/2025-03-03T13:00" }
        local list = {}
        for i, slot in ipairs(cal.availability(query)) do list[i] = slot.start:sub(12, 16) end
        print(table.concat(list, " "))
      end
      show { duration = "PT1H" }
      show { accounts = { "Ann" }, duration = 60, increment = 60 }
      show { accounts = { "Ann" }, duration = 60, increment = 60, bufferBefore = 30 }
      show { accounts = { "Ann", "Ben" }, duration = "1h", hours = { { days = { "mo" }, from = "12:00", to = "17:00" } } }
      show { accounts = { "Ann" }, optional = { "Ben" }, minAttendees = 2, duration = "1h", increment = 60 }
    ]])
    assert.equal("10:00 12:00\n10:00 11:00 12:00\n11:00 12:00\n12:00\n10:00 12:00\n", lunation { "run", script }.stdout)
    assert.equal(1, support.lunation({ "free", "--duration", "1h", "--account", "9", env = env }).code)
  end)
end)
