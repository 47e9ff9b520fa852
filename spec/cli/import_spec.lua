-- lunation import and export: files in, the same events out, and imports that are taken back.
local ical = require "lunation.ical"
local ics = require "spec.support.ics"
local json = require "lunation.json"
local support = require "spec.support"

describe("lunation import", function()
  local dir, env
  local function run(...) return support.lunation { env = env, ... } end
  local function good(...)
    local done = run(...)
    assert.equal(0, done.code, done.stderr)
    return done
  end
  local function import(...) return json.decode(good("import", "Home", "--json", ...).stdout) end
  local function events() return assert(ical.events(good("export", "Home", "-").stdout)) end

  before_each(function()
    dir = support.tmpdir()
    env = { LUNATION_DATA = dir, TZ = "Europe/Berlin" }
    good("app", "add", "demo")
    good("account", "add", "local", "--user", "ann", "--name", "Home")
    good("account", "sync")
  end)

  local function file(name, text) return support.write(dir .. "/" .. name, text) end

  it("writes a series whole, and takes it back", function()
    local path = file("series.ics", ics.fixture "series")
    local counts = import(path)
    assert.same({ created = 1, updated = 0, unchanged = 0, skipped = 0, failed = {}, id = 1 }, counts)
    local list = events()
    assert.equal(1, #list)
    assert.equal("Review with the board", list[1].recurrenceOverrides["2025-03-17T10:00:00"].title)
    assert.same({ created = 0, updated = 0, unchanged = 1, skipped = 0, failed = {} }, import(path))
    assert.truthy(good("import", "--undo", "1").stdout:find("1 removed", 1, true))
    assert.equal(0, #events())
    local again = run("import", "--undo", "1")
    assert.equal(1, again.code)
    assert.truthy(again.stderr:find("undone already", 1, true))
    assert.equal(1, run("import", "--undo", "99").code)
  end)

  it("updates what is there in an older version, and undoing puts it back", function()
    import(file("a.ics", ics.event("DTSTART:20250303T100000Z", "SUMMARY:First", "LOCATION:Here")))
    local newer = file("b.ics", ics.event("DTSTART:20250303T110000Z", "SUMMARY:Second", "SEQUENCE:3"))
    assert.equal(1, import("--existing", "skip", newer).skipped)
    local counts = import(newer)
    assert.equal(1, counts.updated)
    assert.equal("Second", events()[1].title)
    assert.is_nil(events()[1].locations)
    assert.equal(1, import(dir .. "/a.ics").skipped)
    local undone = json.decode(good("import", "--json", "--undo", tostring(counts.id)).stdout)
    assert.equal(1, undone.restored)
    local event = events()[1]
    assert.equal("First", event.title)
    assert.equal("2025-03-03T10:00:00", event.start)
    assert.is_not_nil(event.locations)
  end)

  it("leaves what was changed since, and names it", function()
    local counts = import(file("a.ics", ics.event("DTSTART:20250303T100000Z", "SUMMARY:First")))
    local script = file("change.lua", [[
      local cal = require "lunation"
      for event in cal.events { from = "2025-03-01", to = "2025-04-01" } do cal.update(event, { title = "Mine now" }) end
    ]])
    good("run", script)
    local done = good("import", "--undo", tostring(counts.id))
    assert.truthy(done.stderr:find("it was changed since", 1, true))
    assert.equal("Mine now", events()[1].title)
  end)

  it("imports many, in any state of repair, and exports them to a file", function()
    local lines = { "BEGIN:VCALENDAR" }
    for i = 1, 300 do
      lines[#lines + 1] = ("BEGIN:VEVENT\nUID:e%d\nDTSTART;TZID=America/New_York:%04d0101T100000\nSUMMARY:N %d\nEND:VEVENT"):format(i, 1980 + i % 50, i)
    end
    lines[#lines + 1] = "BEGIN:VEVENT\nUID:broken\nDTSTART:nonsense\nEND:VEVENT\nEND:VCALENDAR\n"
    local done = run("import", "Home/primary", "--json", file("many.ics", table.concat(lines, "\n")))
    assert.equal(1, done.code)
    local counts = json.decode(done.stdout)
    assert.equal(300, counts.created)
    assert.equal("broken", counts.failed[1].uid)
    local path = dir .. "/out.ics"
    assert.equal("300 events\n", good("export", "Home", path).stdout)
    local text = support.read(path)
    assert(ical.parse(text, { strict = true }))
    assert.equal(1, select(2, text:gsub("BEGIN:VTIMEZONE", "")))
    assert.truthy(text:find("DTSTART:19%d%d%d%d%d%dT"), "the zone begins with the first event")
    assert.equal(300, #assert(ical.events(text)))
    assert.truthy(good("import", "--undo", tostring(counts.id)).stdout:find("300 removed", 1, true))
  end)

  it("finds events behind a missing END, with their zones, and names what it leaves out", function()
    local text = table.concat({ "BEGIN:VCALENDAR", "BEGIN:VTIMEZONE", "TZID:Here\\, there", "BEGIN:STANDARD", "DTSTART:20200101T000000", "TZOFFSETFROM:+0530",
      "TZOFFSETTO:+0530", "END:STANDARD", "END:VTIMEZONE", "BEGIN:VTODO", "UID:t", "END:VTOOD", "BEGIN:VEVENT", "UID:1", "DTSTART:20250303T100000Z",
      "BEGIN:VEVENT", "UID:2", 'DTSTART;TZID="Here, there":20250304T100000', "END:VEVENT", "END:VCALENDAR", "" }, "\r\n")
    local done = good("import", "Home", file("nested.ics", text))
    assert.matches("^2 created", done.stdout)
    assert.equal("lunation import: left out, as they are no events: 1 VTODO\n", done.stderr)
    local found = assert(ical.instances(good("export", "Home", "-").stdout, {}))
    assert.same({ 1740996000, 1741062600 }, { found[1].start, found[2].start })
    assert.equal(2, #found)
  end)

  it("says what is wrong", function()
    assert.equal(2, run("import", "Home").code)
    assert.equal(1, run("import", "Nowhere", file("a.ics", ics.event "DTSTART:20250303T100000Z")).code)
    assert.equal(1, run("export", "Nowhere", "-").code)
    local bad = file("bad.ics", "hello")
    local done = run("import", "Home", bad)
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find(bad .. ":", 1, true), done.stderr)
    assert.equal(1, run("export", "Home", "/nowhere/at/all.ics").code)
  end)
end)
