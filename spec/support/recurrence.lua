-- Random recurrence rules from a seed, and what other engines make of them.
local json = require "lunation.json"
local process = require "lunation.process"
local rrule = require "lunation.rrule"
local tz = require "lunation.tz"

local recurrence = {}

recurrence.LIMIT = 40

-- A generator of its own, so that a seed means the same everywhere.
local function generator(seed)
  local state = seed * 2654435761 % 4294967296
  return function(low, high)
    state = (state * 1664525 + 1013904223) % 4294967296
    return low + (state // 65536) % (high - low + 1)
  end
end

local DAYS = { "MO", "TU", "WE", "TH", "FR", "SA", "SU" }

local function some(pick, most, make)
  local list, seen = {}, {}
  for _ = 1, pick(1, most) do
    local item = tostring(make())
    if not seen[item] then list[#list + 1], seen[item] = item, true end
  end
  return table.concat(list, ",")
end

local function signed(pick, most) return pick(1, 3) == 1 and -pick(1, most) or pick(1, most) end

-- What each part may be, and in how many of a hundred rules it is there, by frequency.
local parts = {
  { "BYMONTH", function(pick) return some(pick, 3, function() return pick(1, 12) end) end,
    { YEARLY = 45, MONTHLY = 20, WEEKLY = 15, DAILY = 20, HOURLY = 12, MINUTELY = 8, SECONDLY = 6 } },
  { "BYWEEKNO", function(pick) return some(pick, 2, function() return signed(pick, 53) end) end, { YEARLY = 12 } },
  { "BYYEARDAY", function(pick) return some(pick, 3, function() return signed(pick, 366) end) end, { YEARLY = 12, HOURLY = 4, MINUTELY = 3 } },
  { "BYMONTHDAY", function(pick) return some(pick, 3, function() return signed(pick, 31) end) end,
    { YEARLY = 30, MONTHLY = 40, DAILY = 20, HOURLY = 10, MINUTELY = 8, SECONDLY = 6 } },
  { "BYDAY", function(pick, frequency, weeks)
    return some(pick, 3, function()
      local day = DAYS[pick(1, 7)]
      if weeks or (frequency ~= "YEARLY" and frequency ~= "MONTHLY") or pick(1, 2) == 1 then return day end
      return signed(pick, frequency == "MONTHLY" and 5 or 20) .. day
    end)
  end, { YEARLY = 40, MONTHLY = 45, WEEKLY = 60, DAILY = 20, HOURLY = 12, MINUTELY = 10, SECONDLY = 6 } },
  { "BYHOUR", function(pick) return some(pick, 3, function() return pick(0, 23) end) end,
    { YEARLY = 10, MONTHLY = 10, WEEKLY = 10, DAILY = 25, HOURLY = 25, MINUTELY = 25, SECONDLY = 15 } },
  { "BYMINUTE", function(pick) return some(pick, 2, function() return pick(0, 59) end) end,
    { YEARLY = 6, MONTHLY = 6, WEEKLY = 6, DAILY = 15, HOURLY = 20, MINUTELY = 20, SECONDLY = 20 } },
  { "BYSECOND", function(pick) return some(pick, 2, function() return pick(0, 59) end) end,
    { YEARLY = 3, MONTHLY = 3, WEEKLY = 3, DAILY = 6, HOURLY = 8, MINUTELY = 15, SECONDLY = 20 } },
}
local FREQUENCIES = { "YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY" }
local INTERVALS = { YEARLY = 4, MONTHLY = 14, WEEKLY = 6, DAILY = 40, HOURLY = 50, MINUTELY = 200, SECONDLY = 5000 }

local function random_rule(pick, start)
  local frequency = FREQUENCIES[pick(1, 12)] or FREQUENCIES[pick(1, 4)]
  local list, by, weeks = { "FREQ=" .. frequency }, 0, false
  if pick(1, 2) == 1 then list[#list + 1] = "INTERVAL=" .. pick(1, INTERVALS[frequency]) end
  for _, part in ipairs(parts) do
    if pick(1, 100) <= (part[3][frequency] or 0) then
      weeks = weeks or part[1] == "BYWEEKNO"
      list[#list + 1] = part[1] .. "=" .. part[2](pick, frequency, weeks)
      by = by + 1
    end
  end
  if by > 0 and pick(1, 6) == 1 then list[#list + 1] = "BYSETPOS=" .. some(pick, 2, function() return signed(pick, 6) end) end
  if pick(1, 4) == 1 then list[#list + 1] = "WKST=" .. DAYS[pick(1, 7)] end
  local ending = pick(1, 4)
  if ending == 1 then
    list[#list + 1] = "COUNT=" .. pick(1, 60)
  elseif ending == 2 then
    local stop = tz.to_local(tz.to_utc(start) + pick(0, 5000) * 86400 + pick(0, 86399))
    list[#list + 1] = "UNTIL=" .. stop:gsub("[-:]", "")
  end
  return table.concat(list, ";")
end

local EDGES = { "02-28", "02-29", "12-31", "01-01", "01-31", "12-28", "01-04", "03-01" }

local function random_start(pick)
  local day
  if pick(1, 3) == 1 then
    local year = pick(1970, 2040)
    local edge = EDGES[pick(1, #EDGES)]
    if edge == "02-29" then year = year // 4 * 4 end
    day = ("%d-%s"):format(year, edge)
  else
    day = tz.to_local(pick(0, 25000) * 86400):sub(1, 10)
  end
  return ("%sT%02d:%02d:%02d"):format(day, pick(0, 23), pick(1, 2) == 1 and 0 or pick(0, 59), pick(1, 3) == 1 and pick(0, 59) or 0)
end

local ZONES = { "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Asia/Tehran", "Africa/Casablanca" }

---Rules that RFC 5545 allows, each with a start.
---@param seed integer
---@param count integer
---@param zoned boolean? half of them in a time zone
---@return {dtstart: string, rrule: string, limit: integer, tzid: string?}[]
function recurrence.questions(seed, count, zoned)
  local pick, list = generator(seed), {}
  while #list < count do
    local start = random_start(pick)
    local rule = random_rule(pick, start)
    if rrule.set { dtstart = start, rrule = { rule }, strict = true } then
      list[#list + 1] = { dtstart = start, rrule = rule, limit = recurrence.LIMIT, tzid = zoned and ZONES[pick(1, 2 * #ZONES)] or nil }
    end
  end
  return list
end

---@param question table
---@return string[] times local, in UTC where there is a zone
function recurrence.ours(question)
  return (assert(rrule.expand {
    dtstart = question.dtstart, tzid = question.tzid, rrule = { question.rrule }, limit = question.limit, utc = question.tzid ~= nil,
  }))
end

local commands = {
  dateutil = { "timeout", "-s", "KILL", "600", "/usr/bin/python3", "spec/clients/recurrence_dateutil.py" },
  temporal = { "timeout", "-s", "KILL", "600", "node", "spec/clients/recurrence_temporal.mjs" },
  libical = { "timeout", "-s", "KILL", "600", "build/recurrence-libical" },
}

---What a peer answers.
---@param peer "dateutil"|"temporal"|"libical"
---@param questions table[]
---@return {times: string[]?, timeout: boolean?, error: string?}[]? answers
---@return string? why there are none
function recurrence.ask(peer, questions)
  local lines = {}
  for i, question in ipairs(questions) do
    if peer == "libical" then
      lines[i] = ("%s\t%s\t%d"):format((question.dtstart:gsub("[-:]", "")), question.rrule, question.limit)
    else
      lines[i] = assert(json.encode(question, { sorted = true }))
    end
  end
  local done, err = process.run { args = commands[peer], stdin = table.concat(lines, "\n") .. "\n", stderr = "pipe" }
  if not done then return nil, tostring(err) end
  local answers = {}
  for line in done.stdout:gmatch "[^\n]+" do answers[#answers + 1] = assert(json.decode(line)) end
  if #answers ~= #questions then return nil, ("%d answers to %d questions: %s"):format(#answers, #questions, done.stderr:sub(-400)) end
  return answers
end

---Compares with what a peer found; where it was cut short by time that is the beginning.
---@param ours string[]
---@param answer {times: string[]?, timeout: boolean?}
---@return boolean
function recurrence.same(ours, answer)
  local times = answer.times or {}
  if not answer.timeout and #times ~= #ours then return false end
  for i, at in ipairs(times) do
    if ours[i] ~= at then return false end
  end
  return true
end

local known = require "spec.fixtures.recurrence_peers"

---Under which name a rule is left out of a comparison with a peer, if it is.
---@param peer "dateutil"|"temporal"
---@param question table
---@return string? name
function recurrence.exempt(peer, question)
  local rule = assert(rrule.parse(question.rrule))
  for _, fault in ipairs(known[peer]) do
    if fault.applies(rule) then return fault.name end
  end
end

---Compares random rules of a seed with what a peer makes of them.
---@param peer "dateutil"|"temporal"
---@param seed integer
---@param count integer
---@return {compared: integer, exempt: table<string, integer>, wrong: string[], slow: string[]}? report
---@return string? why there is none
function recurrence.compare(peer, seed, count)
  local questions = recurrence.questions(seed, count, peer == "dateutil")
  local answers, err = recurrence.ask(peer, questions)
  if not answers then return nil, err end
  local report = { compared = 0, exempt = {}, wrong = {}, slow = {} }
  for i, question in ipairs(questions) do
    local began = os.clock()
    local ours = recurrence.ours(question)
    if os.clock() - began > 0.1 then report.slow[#report.slow + 1] = question.rrule end
    local answer = answers[i]
    if answer.error and answer.error:find("empty set", 1, true) then answer = { times = {} } end -- how dateutil says it
    local name = answer.error and "it raises an error" or recurrence.exempt(peer, question)
    if name then
      report.exempt[name] = (report.exempt[name] or 0) + 1
    else
      report.compared = report.compared + 1
      if not recurrence.same(ours, answer) then
        report.wrong[#report.wrong + 1] = ("%s %s %s\n  ours:   %s\n  theirs: %s"):format(question.dtstart, question.tzid or "", question.rrule,
          table.concat(ours, " ", 1, math.min(#ours, 6)), table.concat(answer.times, " ", 1, math.min(#answer.times, 6)))
      end
    end
  end
  return report
end

return recurrence
