---@meta lunation.freebusy
-- Sets of intervals and the search for common time. Intervals are flat arrays {s1, e1, s2, e2, …} of instants (seconds since the
-- Unix epoch), half-open. Wrong types raise.

local freebusy = {}

---The union: sorted, without overlaps, touching intervals joined, empty and reversed ones left out.
---@param intervals integer[]
---@return integer[]
function freebusy.merge(intervals) end

---What the union of the intervals leaves of [from, to).
---@param intervals integer[]
---@param from integer
---@param to integer
---@return integer[]
function freebusy.complement(intervals, from, to) end

---What two unions share.
---@param a integer[]
---@param b integer[]
---@return integer[]
function freebusy.intersect(a, b) end

---@class lunation.freebusy.Hours of every week, in the calendar's zone
---@field days? string[] of "mo" "tu" "we" "th" "fr" "sa" "su"; every day where absent
---@field from string "09:00"
---@field to string "17:00"; "24:00" is midnight, an earlier time than `from` is on the next day

---@class lunation.freebusy.Calendar
---@field busy? integer[]
---@field hours? integer[]|lunation.freebusy.Hours[] when slots may lie; at any time where absent. Buffers may reach out of them.
---@field required? boolean default true; optional calendars count only where min_attendees is given
---@field tzid? string zone of the hours; else the question's

---@class lunation.freebusy.Question
---@field calendars lunation.freebusy.Calendar[]
---@field windows integer[] slots lie wholly in one of them (overlapping and touching ones are joined first)
---@field duration integer seconds
---@field increment? integer seconds from one start to the next; nil or 0: ranges
---@field align? "window"|"clock" starts count from the window's start (default) or from local midnight of `tzid`
---@field buffer_before? integer seconds before a slot in which nobody may be busy either
---@field buffer_after? integer
---@field min_attendees? integer how many calendars, required ones included, are free for the whole of a slot
---@field not_before? integer instant: no slot starts earlier
---@field max_per_day? integer slots that start on one local day of `tzid`
---@field tzid? string IANA, Windows or prefixed name; UTC where absent
---@field limit? integer slots or ranges at most

---Slots in order, or (without an increment) ranges: each from the first start of a run of possible starts to the end of the slot
---at its last; with min_attendees ranges may overlap, as different people are free in them.
---@param question lunation.freebusy.Question
---@return integer[]? slots
---@return table? err {code="invalid_zone", message=}
function freebusy.solve(question) end

return freebusy
