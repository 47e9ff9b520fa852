-- make fuzz-rrule: random recurrence rules against python-dateutil and rrule-temporal until the time is up, then what libical makes of
-- some of them, by class. Ends with 1 where a difference has no name in spec/fixtures/recurrence_peers.lua.
--   build/lunation run tools/fuzz_rrule.lua SECONDS SEED

package.path = require("lunation.host").root .. "/?.lua;" .. package.path
local recurrence = require "spec.support.recurrence"
local timer = require "lunation.timer"

local seconds, seed = tonumber(arg[1]) or 60, math.tointeger(tonumber(arg[2])) or 1
local ends, first = timer.now() + seconds, seed
local failed = false

local totals = { dateutil = { compared = 0, exempt = {} }, temporal = { compared = 0, exempt = {} } }

local function run(peer, count)
  local report = assert(recurrence.compare(peer, seed, count))
  local total = totals[peer]
  total.compared = total.compared + report.compared
  for name, n in pairs(report.exempt) do total.exempt[name] = (total.exempt[name] or 0) + n end
  for _, difference in ipairs(report.wrong) do
    failed = true
    print(("seed %d, %s: %s"):format(seed, peer, difference))
  end
  for _, rule in ipairs(report.slow) do
    failed = true
    print(("seed %d: over 0.1 s: %s"):format(seed, rule))
  end
end

repeat
  run("dateutil", 100)
  run("temporal", 50)
  seed = seed + 1
until timer.now() >= ends

print(("seeds %d to %d"):format(first, seed - 1))
for _, peer in ipairs { "dateutil", "temporal" } do
  print(("%-10s %6d rules compared"):format(peer, totals[peer].compared))
  local names = {}
  for name in pairs(totals[peer].exempt) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do print(("%17d left out: %s"):format(totals[peer].exempt[name], name)) end
end

-- --- libical, which is reported and nothing more ---

local function class_of(ours, answer)
  if answer.error then return "refused" end
  if answer.timeout then return "hangs (over 1 s)" end
  if recurrence.same(ours, answer) then return "same" end
  if #answer.times == 0 then return "finds nothing" end
  if #ours == 0 then return "invents times" end
  table.sort(answer.times)
  if recurrence.same(ours, answer) then return "not in order" end
  local mine = {}
  for _, at in ipairs(ours) do mine[at] = true end
  local last, strange = ours[#ours], 0
  for _, at in ipairs(answer.times) do
    if not mine[at] and (at <= last or #ours < recurrence.LIMIT) then strange = strange + 1 end
  end
  return strange > 0 and "gives times that are none" or "leaves times out"
end

local questions = recurrence.questions(first, 300)
local answers = assert(recurrence.ask("libical", questions))
local counts, frequencies = {}, {}
for i, question in ipairs(questions) do
  local class = class_of(recurrence.ours(question), answers[i])
  counts[class] = (counts[class] or 0) + 1
  if class ~= "same" then
    local frequency = question.rrule:match "FREQ=(%a+)"
    frequencies[class] = frequencies[class] or {}
    frequencies[class][frequency] = (frequencies[class][frequency] or 0) + 1
  end
end
print(("libical    %6d rules of seed %d"):format(#questions, first))
local names = {}
for class in pairs(counts) do names[#names + 1] = class end
table.sort(names, function(a, b) return counts[a] > counts[b] end)
for _, class in ipairs(names) do
  local list = {}
  for frequency, n in pairs(frequencies[class] or {}) do list[#list + 1] = frequency .. " " .. n end
  table.sort(list)
  print(("%17d %s%s"):format(counts[class], class, #list > 0 and " (" .. table.concat(list, ", ") .. ")" or ""))
end
os.exit(failed and 1 or 0)
