-- Rules of other calendars (RSCALE, RFC 7529), for lunation.rrule: their times come from libical with ICU, behind a guard.
-- The rule has been read by lunation.rrule before it comes here. How long one may take and how many times it may give are
-- limits of the configuration; one that is stuck switches all of this off until the program is started anew.

local config = require "lunation.config"
local core = require "lunation.rscale.core"
local errors = require "lunation.errors"
local log = require "lunation.log"
local rrule = require "lunation.rrule"

local rscale = {}

-- Answers that are kept; when there are as many, all are given up.
local KEPT = 64

local kept, nkept = {}, 0

core.limit(config.limits.rscale_steps[2], config.limits.rscale_time[2], true)

--- Takes the limits of a configuration, for all Lua states of the process.
---@param given {rscale_steps: integer?, rscale_time: number?} what is missing is what it is by default
function rscale.configure(given)
  core.limit(given.rscale_steps or config.limits.rscale_steps[2], given.rscale_time or config.limits.rscale_time[2])
  kept, nkept = {}, 0
end

-- What the core says in place of an answer.
local said = {
  stuck = { "timeout", "the rule did not end in its time; rules of other calendars are off until the program is started anew" },
  off = { "unavailable", "rules of other calendars are off since one did not end in its time, until the program is started anew" },
  slow = { "timeout", "the rule takes too long" },
  steps = { "too_large", "the rule has too many occurrences" },
  busy = { "busy", "another rule is being reckoned" },
  refused = { "unsupported", "the rule cannot be reckoned in its calendar" },
  astray = { "unsupported", "libical gives times that cannot be the rule's" },
  absent = { "unavailable", "rules of other calendars need libical (libical3), which is not installed" },
  memory = { "internal", "not enough memory" },
}

-- These would be the same again.
local lasting = { slow = true, steps = true, refused = true, astray = true }

local function failure(word)
  return errors.new(said[word][1], "RSCALE: " .. said[word][2], { part = "RSCALE" })
end

local strides = { weekly = 7 * 86400, daily = 86400, hourly = 3600, minutely = 60, secondly = 1 }

-- Weeks and what is shorter are the same in all calendars: without COUNT and positions a rule of those may begin later, by
-- whole intervals.
local function later_start(rule, start, from)
  local stride = strides[rule.frequency]
  if not stride or rule.count or rule.bySetPosition then return start end
  stride = stride * (rule.interval or 1)
  return from > start and start + (from - start) // stride * stride or start
end

local function negative(list)
  for _, number in ipairs(list or {}) do
    if number < 0 then return true end
  end
  return false
end

local weekdays = { "mo", "tu", "we", "th", "fr", "sa", "su" }
-- Their days are reckoned from the moon, and libical tries each day of a rule of days: minutes from one leap month to the next.
local costly = { chinese = true, dangi = true }

-- Puts a rule of single days or weeks as one of months or years, which has the same days: where trying day by day is costly, and where
-- libical is wrong about days that count from an end.
local function simpler(rule, start)
  local daily = rule.frequency == "daily"
  if not (daily or rule.frequency == "weekly") or rule.interval or rule.bySetPosition or rule.byWeekNo then return end
  if daily and rule.byYearDay and not (rule.byMonth or rule.byMonthDay or rule.byDay) then
    rule.frequency, rule.skip = "yearly", nil
    return
  end
  if rule.byYearDay or rule.byMonthDay and rule.byDay or not (costly[rule.rscale] or negative(rule.byMonthDay)) then return end
  if daily and rule.byMonthDay or rule.byMonth then
    if not rule.byMonthDay and not rule.byDay then
      local days = {}
      for i, day in ipairs(daily and weekdays or { weekdays[(start // 86400 + 3) % 7 + 1] }) do days[i] = { day = day } end
      rule.byDay = days
    end
    rule.frequency, rule.skip = "monthly", nil
  end
end

-- Where a rule of weeks or less counts them from the end of the month or year, libical finds none, and it looks at no positions of such.
local function misread(rule)
  return strides[rule.frequency] ~= nil and (rule.bySetPosition ~= nil or negative(rule.byMonthDay) or negative(rule.byYearDay))
end

-- The weekdays of BYDAY as bits, Sunday first.
local function weekday_bits(rule)
  local bits = 0
  for i, day in ipairs(weekdays) do
    for _, by in ipairs(rule.byDay or {}) do
      if by.day == day then bits = bits | 1 << i % 7 end
    end
  end
  return bits
end

local function keep(key, answer)
  if nkept >= KEPT then kept, nkept = {}, 0 end
  if not kept[key] then nkept = nkept + 1 end
  kept[key] = answer
end

--- The local times of a rule from `from` on, up to the first that is not before `to`, or `most` of them. In a task it waits.
---@param text string the rule; UNTIL is the caller's to judge
---@param start integer DTSTART, local, in seconds as if it were UTC
---@param date boolean DTSTART is a DATE
---@param from integer not before `start`
---@param to integer
---@param most integer
---@return string|nil times 64-bit integers as they stand in memory, some of them before `from`
---@return integer|lunation.Error begin all times of [begin, covered) are among them
---@return integer? covered
---@return integer? known nobody knows what there is from here on; math.maxinteger: all is known
function rscale.occurrences(text, start, date, from, to, most)
  local rule, err = rrule.parse(text)
  if not rule then return nil, err end
  simpler(rule, start)
  if misread(rule) then return nil, failure "refused" end
  rule["until"] = nil
  local count = rule.count
  local begin = later_start(rule, start, from)
  local canonical = assert(rrule.format(rule))
  local key = table.concat({ canonical, start, tostring(date) }, "|")
  local known = kept[key]
  if known then
    if known.failed and known.begin == begin and known.to <= to and known.most <= most then return nil, failure(known.failed) end
    if known.times and known.begin <= from and known.covered >= to then return known.times, known.begin, known.covered, known.known end
  end
  local times, covered, last = core.times(canonical, begin, date, from, to, most, count, weekday_bits(rule))
  if not times then
    if covered == "stuck" then
      log.error("a recurrence rule of another calendar did not end: RSCALE is off until the next start", { rule = canonical, dtstart = start })
    end
    if lasting[covered] then keep(key, { failed = covered, begin = begin, to = to, most = most }) end
    return nil, failure(covered)
  end
  keep(key, { times = times, begin = begin, covered = covered, known = last })
  return times, begin, covered, last
end

--- Has an agenda know the times of what repeats by another calendar, around a window. A series of which they are not to be had is
--- shown where it starts.
---@param agenda lunation.Agenda
---@param calendar integer key
---@param from integer instant
---@param to integer
---@param tried table<string, boolean> what was asked for already; it is added to
---@param failed fun(id: string, err: lunation.Error) told of an event whose times are not to be had
---@return boolean waited others had their turn meanwhile
function rscale.supply(agenda, calendar, from, to, tried, failed)
  local waited = false
  for _, want in ipairs(agenda:lacks(calendar, from, to) or {}) do
    local name = calendar .. "," .. want.event .. "," .. want.rule
    if not tried[name] then
      tried[name], waited = true, true
      local times, begin, covered = rscale.occurrences(want.text, want.start, want.date, want.from, want.to, math.maxinteger)
      if times then
        agenda:give(calendar, want, times, begin, covered)
      elseif begin.code == "busy" then -- the next page asks again
        agenda:give(calendar, want, string.pack("j", want.start), want.start, want.start)
        failed(want.id, begin)
      else
        agenda:give(calendar, want)
        failed(want.id, begin)
      end
    end
  end
  return waited
end

return rscale
