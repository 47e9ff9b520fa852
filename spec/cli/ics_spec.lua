-- lunation ics: canonical events as JSON, and errors that name the line.
local ics = require "spec.support.ics"
local json = require "lunation.json"
local support = require "spec.support"

local function run(text)
  local path = support.tmpdir() .. "/in.ics"
  support.write(path, text)
  return support.lunation { "ics", path }, path
end

describe("lunation ics", function()
  it("prints canonical events as a JSON array", function()
    local done = run(ics.fixture "series")
    assert.equal(0, done.code)
    local events = json.decode(done.stdout)
    assert.equal(1, #events)
    assert.equal("series-1", events[1].uid)
    assert.equal("Review with the board", events[1].recurrenceOverrides["2025-03-17T10:00:00"].title)
  end)
  it("prints an empty array for a calendar without events", function()
    local done = run("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n")
    assert.equal(0, done.code)
    assert.equal("[]", done.stdout:match("^%s*(.-)%s*$"))
  end)
  it("ends with 1 and the line of what is wrong", function()
    for text, line in pairs { ["<html>no</html>"] = 1, [ics.event "DTSTART:tomorrow"] = 5, [""] = 1, [("\0\255"):rep(100)] = 1 } do
      local done, path = run(text)
      assert.equal(1, done.code)
      assert.equal("", done.stdout)
      assert.truthy(done.stderr:find(("%s:%d: "):format(path, line), 1, true), done.stderr)
    end
  end)
  it("notes what it mended and goes on", function()
    local done, path = run(ics.event("DTSTART:20250303T100000Z", "what is this"))
    assert.equal(0, done.code)
    assert.truthy(done.stderr:find(path .. ":6: ", 1, true))
  end)
  it("ends with 1 for a file that is not there, and 2 without one", function()
    assert.equal(1, support.lunation({ "ics", "/nowhere/at/all.ics" }).code)
    assert.equal(2, support.lunation({ "ics" }).code)
  end)
end)
