-- lunation expand: rules, calendar files and JSON lines.
local host = require "lunation.host"
local json = require "lunation.json"
local support = require "spec.support"

local function run(...) return support.lunation { "expand", ... } end

local function ask(lines)
  local done = support.lunation { "expand", "--jsonl", stdin = table.concat(lines, "\n") .. "\n" }
  local answers = {}
  for line in done.stdout:gmatch "[^\n]+" do answers[#answers + 1] = assert(json.decode(line)) end
  return answers, done
end

local calendar = [[
BEGIN:VCALENDAR
BEGIN:VEVENT
UID:standup
DTSTART;TZID=Europe/Berlin:20250328T090000
DTEND;TZID=Europe/Berlin:20250328T091500
RRULE:FREQ=DAILY;COUNT=4
END:VEVENT
BEGIN:VEVENT
UID:standup
RECURRENCE-ID;TZID=Europe/Berlin:20250329T090000
DTSTART;TZID=Europe/Berlin:20250329T110000
DTEND;TZID=Europe/Berlin:20250329T111500
END:VEVENT
END:VCALENDAR
]]

describe("lunation expand", function()
  it("prints the local times of a rule, one a line", function()
    local done = run("--dtstart", "2025-03-08T02:30:00", "--tzid", "America/New_York", "--rrule", "FREQ=DAILY;COUNT=4",
      "--exdate", "2025-03-10T02:30:00", "--rdate", "2025-03-20T09:00:00")
    assert.equal(0, done.code)
    assert.equal("2025-03-08T02:30:00\n2025-03-09T02:30:00\n2025-03-11T02:30:00\n2025-03-20T09:00:00\n", done.stdout)
  end)

  it("takes a window, a limit and UTC", function()
    local done = run("--dtstart", "1990-01-01", "--rrule", "FREQ=DAILY", "--from", "2030-01-01", "--to", "2030-01-03")
    assert.equal("2030-01-01\n2030-01-02\n", done.stdout)
    done = run("--dtstart", "2025-01-01T09:00:00", "--tzid", "Europe/Paris", "--rrule=FREQ=DAILY", "--limit", "1", "--utc")
    assert.equal("2025-01-01T08:00:00Z\n", done.stdout)
    assert.truthy(done.stderr:find("more than these 1", 1, true))
    done = run("--dtstart", "2025-01-01", "--rrule", "FREQ=DAILY;COUNT=2", "--json")
    assert.same({ occurrences = { "2025-01-01", "2025-01-02" }, truncated = false }, json.decode(done.stdout))
  end)

  it("ends with 1 for a rule that is none and 2 for wrong words", function()
    assert.equal(1, run("--dtstart", "2025-01-01", "--rrule", "FREQ=SOMETIMES").code)
    assert.equal(1, run("--dtstart", "tomorrow", "--rrule", "FREQ=DAILY").code)
    assert.equal(0, run("--dtstart", "2025-01-01", "--rrule", "FREQ=MONTHLY;BYWEEKNO=1;COUNT=1").code)
    assert.equal(1, run("--dtstart", "2025-01-01", "--rrule", "FREQ=MONTHLY;BYWEEKNO=1;COUNT=1", "--strict").code)
    assert.equal(2, run("--rrule", "FREQ=DAILY").code)
    assert.equal(2, run("--jsonl", "file.ics").code)
    assert.equal(2, run("file.ics", "other.ics").code)
  end)

  it("prints the instances of a file, overrides in their place", function()
    local path = support.write(support.tmpdir() .. "/in.ics", calendar)
    local done = run(path, "--from", "2025-03-29", "--to", "2025-04-30", "--json")
    assert.equal(0, done.code, done.stderr)
    local answer = json.decode(done.stdout)
    local starts = {}
    for i, instance in ipairs(answer.instances) do starts[i] = instance.finish - 900 == instance.start and instance.start end
    -- 11:00 and 09:00 before and after the clocks went forward on the 30th
    assert.same({ 1743242400, 1743318000, 1743404400 }, starts)
    assert.is_false(answer.truncated)
    done = run(path, "--from", "2025-03-29", "--to", "2025-03-30", "--tzid", "Europe/Berlin")
    assert.truthy(done.stdout:find("2025%-03%-29 11:00 +2025%-03%-29 11:15 +standup"), done.stdout)
    assert.equal(2, run(path).code)
    assert.equal(1, run("/nowhere/at/all.ics", "--from", "2025-01-01", "--to", "2025-01-02").code)
  end)

  it("ends by Ctrl-C and TERM while it reckons, and while it waits for input", function()
    local process = require "lunation.process"
    -- State and processor time, in ticks, of a process of ours.
    local function stat(pid)
      local file = io.open(("/proc/%d/stat"):format(pid))
      local state, user = (file and file:read "a" or ""):match "%(lunation%) (%a)%s+%-?%d+ %d+ %d+ %d+ %-?%d+ %d+ %d+ %d+ %d+ %d+ (%d+)"
      if file then file:close() end
      return state, tonumber(user)
    end
    local fifo = support.tmpdir() .. "/input"
    assert.equal(0, process.run({ args = { "mkfifo", fifo } }).code)
    local busy = { "--dtstart", "2025-01-01T00:00:00", "--rrule", "FREQ=SECONDLY", "--limit", "2000000000", "--json" }
    for _, case in ipairs { { "INT", busy, 130 }, { "TERM", busy, 143 }, { "INT", { "--jsonl" }, 130 } } do
      local child = assert(process.spawn {
        args = { "/bin/sh", "-c", 'exec "$0" "$@" <>' .. fifo, host.executable, "expand", table.unpack(case[2]) }, stdout = "ignore", stderr = "ignore",
      })
      support.eventually(function()
        local state, ticks = stat(child.pid)
        return state and (case[2] == busy and ticks > 20 or case[2] ~= busy and state == "S")
      end, 20, "work")
      process.kill(child.pid, case[1])
      local ended = child:wait(5)
      if not ended then process.kill(child.pid, "KILL") end
      assert.same({ case[3] }, { ended and ended.code }, table.concat(case[2], " "))
    end
  end)

  it("says what it left out of a file", function()
    local text = ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:20250303T100000Z\nEND:VEVENT\nBEGIN:VEVENT\nUID:2\nDTSTART:20250230\nEND:VEVENT\n"
      .. "END:VCALENDAR\n")
    local answer = support.lunation { "expand", "-", "--from", "2025-03-01", "--to", "2025-04-01", "--json", stdin = text }
    assert.equal(0, answer.code)
    assert.equal(1, #json.decode(answer.stdout).instances)
    assert.equal('standard input:8: event 2: start: "20250230" is not a date or time\n', answer.stderr)
    answer = support.lunation { "free", "--duration", "PT1H", "--window", "2025-03-03T09:00/2025-03-03T12:00", "--zone", "UTC", "-", stdin = text }
    assert.equal(0, answer.code)
    assert.matches("event 2", answer.stderr)
  end)

  it("answers each JSON line with one", function()
    local answers, done = ask {
      '{"dtstart":"2025-01-01T09:00:00","rrule":["FREQ=DAILY;COUNT=2"],"id":7}',
      '{"dtstart":"2025-01-01","rrule":"FREQ=DAILY","limit":1}',
      '{"dtstart":"2025-01-01","rrule":["FREQ=NEVER"]}',
      "{broken", "[]", '{"rrule":[]}', '{"dtstart":5}', '{"dtstart":"2025-01-01","rrule":[1]}',
      '{"dtstart":"2025-01-01","rrule":["FREQ=DAILY;COUNT=1"],"tzid":null}',
    }
    assert.equal(0, done.code)
    assert.equal(9, #answers)
    assert.same({ occurrences = { "2025-01-01T09:00:00", "2025-01-02T09:00:00" }, truncated = false }, answers[1])
    assert.same({ occurrences = { "2025-01-01" }, truncated = true }, answers[2])
    assert.equal("invalid_rule", answers[3].error.code)
    assert.equal("invalid_json", answers[4].error.code)
    assert.equal("invalid_request", answers[5].error.code)
    assert.equal("dtstart", answers[6].error.field)
    assert.equal("dtstart", answers[7].error.field)
    assert.equal("rrule", answers[8].error.field)
    assert.same({ "2025-01-01" }, answers[9].occurrences)
  end)

  it("answers the rules that all references agree on", function()
    local file = io.open(host.root .. "/../shared/corpora/rrule_cases.jsonl")
    if not file then return pending "needs ../shared" end
    local cases, lines = {}, {}
    for line in file:lines() do
      local case = json.decode(line)
      if case.class == "consensus" then
        cases[#cases + 1], lines[#lines + 1] = case, assert(json.encode(case["in"]))
      end
    end
    file:close()
    local answers = ask(lines)
    assert.equal(#cases, #answers)
    local wrong = {}
    for i, case in ipairs(cases) do
      local got = answers[i].occurrences
      if not got or table.concat(got, " ") ~= table.concat(case.expected, " ") then wrong[#wrong + 1] = case.id end
    end
    -- The window includes its start (doc/recurrence.md); the second of these is a case with two answers for one question.
    table.sort(wrong)
    assert.same({ "06083132f5", "1c2e35d70b", "549002132c" }, wrong)
  end)
end)
