-- Whole calendars in a window: every line of the collection holds by one of two engines' answers, or falls under a decision that
-- is written down (doc/recurrence.md) with the answer we give, and nothing else.
local corpus = require "spec.support.corpus"
local decisions = dofile "spec/fixtures/expansion_decisions.lua"
local ical = require "lunation.ical"

local function recorded(list)
  local lines = {}
  for i, instance in ipairs(list) do
    local function full(at) return ((#at == 8 and at .. "T000000" or at):gsub("Z$", "")) end
    local uid = type(instance[1]) == "string" and instance[1] or ""
    lines[i] = ("%s %s %s"):format(full(instance[2]), uid, full(instance[3]))
  end
  table.sort(lines)
  return lines
end

-- The collection keeps 1,500 instances of those that there are (`count`), and none was asked for beyond 20,000.
local function same(got, expected, count)
  if type(expected) ~= "table" or getmetatable(expected) == nil and #expected == 0 and next(expected) ~= nil then return false end
  local lines = recorded(expected)
  if not count then return table.concat(got, "\n") == table.concat(lines, "\n") end
  if #got ~= count and not (count >= 20000 and #got >= count) then return false end
  local left = {}
  for _, line in ipairs(got) do left[line] = (left[line] or 0) + 1 end
  for _, line in ipairs(lines) do
    if (left[line] or 0) == 0 then return false end
    left[line] = left[line] - 1
  end
  return true
end

describe("the corpus of calendars", function()
  it("has the instances that an engine gives, or that a decision names #slow", function()
    local list = corpus.cases "calendar_expansion_cases.jsonl"
    if not list then return pending "needs ../shared" end
    local wrong, idle, slow = {}, {}, {}
    for _, case in ipairs(list) do
      local text = assert(corpus.read("ics/" .. case.file))
      local decided = decisions[case.file]
      local holds, answer = false, nil
      for _, include in ipairs { true, false } do
        local began = os.clock()
        local found = assert(ical.instances(text, { from = case.window[1], to = case.window[2], limit = 100000, include_dtstart = include }))
        if os.clock() - began > 2 then slow[#slow + 1] = case.file end
        local got = corpus.told(found)
        answer = answer or corpus.digest(got)
        holds = holds or same(got, case.expected, case.expected_count) or same(got, case.ical_expander)
        if holds then break end
      end
      if holds and decided then idle[#idle + 1] = case.file end
      if not holds and not (decided and decided.answer == answer) then
        wrong[#wrong + 1] = ("%s %s: %s"):format(case.class, case.file, decided and decided.policy or answer)
      end
    end
    assert.same({}, wrong)
    assert.same({}, idle)
    assert.same({}, slow)
    assert.equal(1011, #list)
  end)

  it("has decisions that are written down", function()
    local file = assert(io.open "doc/recurrence.md")
    local doc = file:read("a"):gsub("%s+", " "):lower()
    file:close()
    for _, decided in pairs(decisions) do
      assert.truthy(doc:find("**" .. decided.policy:lower() .. ".**", 1, true), decided.policy)
    end
    for _, policy in pairs(dofile "spec/fixtures/recurrence_decisions.lua") do
      assert.truthy(doc:find("**" .. policy:lower() .. ".**", 1, true), policy)
    end
  end)
end)
