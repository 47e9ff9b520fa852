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

  -- KDE's own answers where we decide otherwise: an override that carries a rule is one instance; its reader of US-Eastern's VTIMEZONE
  -- misses the changes of 1997; DTSTART off its rule counts for us where it is asked for; a series whose UNTIL lies before DTSTART is
  -- empty; RDATE in an all-day series counts by its date.
  local not_kde = {
    "ConnectDaily", "RFC2445_RRULETest%d+%.ics", "KOrganizer_Test01", "KOrganizer_Test10", "KOrganizer_Test13", "Until_TestCase02", "unsorted/rdate",
  }

  it("has KDE's next instants", function()
    local list = cases("kde_next_cases.jsonl")
    if not list then return pending("needs ../shared") end
    local ical = require("lunation.ical")
    local wrong = {}
    for _, case in ipairs(list) do
      local file = io.open(CORPORA .. "ics/" .. case.file, "rb")
      local got = file and ical.instances(file:read("a"), { from = 0, to = 253402300799, limit = case.limit, include_dtstart = true })
      if file then file:close() end
      local same_all = got ~= nil
      for i, expected in ipairs(case.expected) do
        same_all = same_all and got[i] ~= nil and os.date("!%Y%m%dT%H%M%SZ", got[i].start):sub(1, #expected) == expected
      end
      local decided = false
      for _, pattern in ipairs(not_kde) do decided = decided or case.source:find(pattern) ~= nil end
      if not same_all and not decided then wrong[#wrong + 1] = case.source end
    end
    assert.same({}, wrong)
  end)

  it("has Thunderbird's recurrence cases", function()
    local list = cases("thunderbird_recur_cases.jsonl")
    if not list then return pending("needs ../shared") end
    local ical = require("lunation.ical")
    for _, case in ipairs(list) do
      local got = assert(ical.instances(case.ics, {
        from = case.window[1], to = case.window[2], limit = 1000,
        include_dtstart = (case.policy or ""):find("include", 1, true) ~= nil,
      }))
      local starts = {}
      for i, instance in ipairs(got) do starts[i] = os.date("!%Y%m%dT%H%M%SZ", instance.start):sub(1, #case.expected_starts[1]) end
      assert.same(case.expected_starts, starts, case.name)
    end
  end)
end)
