-- Random rules from fixed seeds against two engines that are right nearly always; where they are not is named in
-- spec/fixtures/recurrence_peers.lua. `make fuzz-rrule` goes on with other seeds.
local process = require "lunation.process"
local recurrence = require "spec.support.recurrence"
local rrule = require "lunation.rrule"

local function holds(peer, seed, count)
  local report = assert(recurrence.compare(peer, seed, count))
  assert.same({}, report.wrong)
  assert.same({}, report.slow)
  assert.is_true(report.compared > count * 0.75, report.compared .. " of " .. count .. " compared")
end

local function has(command)
  local done = process.run { args = command, stderr = "ignore" }
  return done and done.code == 0
end

describe("random rules", function()
  it("are what python-dateutil makes of them", function()
    if not has { "/usr/bin/python3", "-c", "import dateutil.rrule" } then return pending "needs python3-dateutil" end
    for seed = 1, 3 do holds("dateutil", seed, 80) end
  end)

  it("are what rrule-temporal makes of them #clients", function()
    if not has { "node", "-e", "require('./build/node/node_modules/rrule-temporal')" } then return pending "needs make clients" end
    for seed = 11, 12 do holds("temporal", seed, 60) end
  end)

  it("give the same in any window as without one", function()
    for _, question in ipairs(recurrence.questions(21, 400)) do
      local all = recurrence.ours(question)
      local from, to = all[#all // 3 + 1], all[#all]
      if from and to > from then
        local expected = {}
        for _, at in ipairs(all) do
          if at >= from and at < to then expected[#expected + 1] = at end
        end
        local got, truncated = rrule.expand { dtstart = question.dtstart, rrule = { question.rrule }, from = from, to = to }
        assert.same(expected, got, question.dtstart .. " " .. question.rrule)
        assert.is_false(truncated)
      end
    end
  end)
end)
