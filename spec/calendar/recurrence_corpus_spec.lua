-- Every published recurrence case: those that all engines agree on must hold, the others hold or fall under a decision that is
-- written down.
local decisions = dofile("spec/fixtures/recurrence_decisions.lua")
local json = require("lunation.json")
local rrule = require("lunation.rrule")

local CORPORA = "../shared/corpora/"

local function cases(name)
  local file = io.open(CORPORA .. name)
  if not file then return nil end
  local list = {}
  for line in file:lines() do list[#list + 1] = assert(json.decode(line)) end
  file:close()
  return list
end

local function same(a, b)
  if not a or #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

describe("the recurrence corpus", function()
  it("holds, or falls under a decision", function()
    local list = cases("rrule_cases.jsonl")
    if not list then return pending("needs ../shared") end
    local wrong, idle, slow = {}, {}, {}
    for _, case in ipairs(list) do
      local began = os.clock()
      local got = rrule.expand(case["in"])
      if os.clock() - began > 0.25 and not table.concat(case["in"].rrule or {}):find("RSCALE=[^G]") then slow[#slow + 1] = case.id end
      local holds = same(got, case.expected)
      if holds and decisions[case.id] then idle[#idle + 1] = case.id end
      if not holds and not decisions[case.id] then wrong[#wrong + 1] = case.class .. " " .. case.id end
    end
    assert.same({}, wrong)
    assert.same({}, idle)
    assert.same({}, slow)
    assert.is_true(#list > 1700)
  end)

  it("has its invalid rules refused, in the mode that refuses them, with the part named", function()
    local list = cases("rrule_invalid.jsonl")
    if not list then return pending("needs ../shared") end
    for _, case in ipairs(list) do
      local start = type(case.dtstart) == "string" and case.dtstart or "2024-01-01T09:00:00"
      local given = { dtstart = start, rrule = { case.rrule }, limit = 5 }
      local got, err = rrule.expand(given)
      assert.equal(case.mode ~= "always", got ~= nil, case.rrule)
      given.strict = true
      local strict, strict_err = rrule.expand(given)
      assert.is_nil(strict, case.rrule)
      for _, e in ipairs({ strict_err, not got and err or nil }) do
        assert.equal("invalid_rule", e.code)
        assert.is_true(#e.part > 0, case.rrule)
        assert.is_truthy(case.rrule:upper():find(e.part, 1, true) or e.part == "FREQ", tostring(e))
      end
    end
  end)
end)
