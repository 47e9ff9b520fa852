---@meta lunation.rrule

---Recurrence rules and sets (RFC 5545 sections 3.3.10 and 3.8.5, RFC 7529). Works in the host and in stock Lua 5.4; rules of other
---calendars than GREGORIAN are the host's alone, and in a task they wait.
---@class lunation.rrule
local rrule = {}

---@class lunation.rrule.Error
---@field code "invalid_rule"|"invalid_time"|"invalid_zone"|"unsupported"|"timeout"|"unavailable"|"busy"|"too_large" from the fourth on of
---rules of other calendars (RSCALE) alone
---@field message string
---@field part string? of an invalid rule: the part at fault, `BYMONTH`; `FREQ` where the whole rule is

---@class lunation.rrule.Set
---@field dtstart string `1997-09-02T09:00:00`, with a closing Z, or a date
---@field tzid string? an IANA name or anything `tz.resolve` takes; nil is UTC
---@field rrule (string[]|string)?
---@field exrule (string[]|string)?
---@field rdate string[]? forms of dtstart, with Z, and periods `start/end`, of which the start counts
---@field exdate string[]? a date removes that day's occurrences
---@field from string? window [from, to) on starts: local time of tzid, or UTC with Z
---@field to string?
---@field utc boolean? occurrences in UTC
---@field strict boolean? refuse what RFC 5545 says must not stand together
---@field limit integer? 1000 unless told

---The local start times of the occurrences, in order, each once. Where dtstart does not match a rule it is no occurrence.
---@param set lunation.rrule.Set
---@return string[]? occurrences
---@return boolean|lunation.rrule.Error truncated true exactly if more exist before `to`
function rrule.expand(set) end

---@class lunation.rrule.Compiled
local compiled = {}

---Compiles a set once; `from`, `to`, `utc` and `limit` are not looked at.
---@param set lunation.rrule.Set
---@return lunation.rrule.Compiled?
---@return lunation.rrule.Error? err
function rrule.set(set) end

---The starts in [from, to) as instants.
---@param from integer? Unix seconds
---@param to integer?
---@param limit integer? 1000 unless told
---@return integer[]? instants nil only where a rule of another calendar cannot be reckoned
---@return boolean|lunation.rrule.Error truncated
function compiled:instants(from, to, limit) end

---Iterates over the starts as instants. Raises where a rule of another calendar cannot be reckoned.
---@param from integer? Unix seconds
---@return fun(): integer?
function compiled:iter(from) end

---Reads a rule, with or without `RRULE:` in front, as a RecurrenceRule of JSCalendar (RFC 8984 section 4.3.3): `frequency`,
---`interval`, `byDay={{day="mo", nthOfPeriod=1}}`, `byMonth={"1"}`, `byMonthDay`, … `until` keeps its kind: a date, a local time,
---or a time with Z.
---@param text string
---@return table? rule
---@return lunation.rrule.Error? err
function rrule.parse(text) end

---Writes such a table as the value of RRULE.
---@param rule table
---@return string? text
---@return lunation.rrule.Error? err
function rrule.format(rule) end

return rrule
