---@meta lunation.tz

---Local times and instants by the IANA database of the system (RFC 9636). Instants are seconds since the Unix epoch, UTC;
---local times are `2025-03-09T02:30:00` or `2025-03-09` (its midnight). A zone is an IANA name, anything `resolve` takes, or
---nil for UTC; behind a slash stands a POSIX TZ string as a zone of its own (`/CET-1CEST,M3.5.0,M10.5.0/3`). Works in the host and in stock Lua 5.4.
---@class lunation.tz
local tz = {}

---@class lunation.tz.Error
---@field code "invalid_zone"|"invalid_time"
---@field message string

---The instant of a local time. In a gap the offset before the gap holds; of two instants the first is taken
---(RFC 5545 section 3.3.5). A time that ends in Z is UTC whatever the zone.
---@param localtime string
---@param zone string?
---@return integer? instant
---@return lunation.tz.Error? err
function tz.to_utc(localtime, zone) end

---The local time of an instant.
---@param instant integer
---@param zone string?
---@return string? localtime
---@return integer|lunation.tz.Error offset seconds east of Greenwich
---@return string? abbreviation such as `CEST`
function tz.to_local(instant, zone) end

---What holds in a zone at an instant.
---@param instant integer
---@param zone string?
---@return integer? offset seconds east of Greenwich
---@return string|lunation.tz.Error abbreviation
---@return boolean? dst
function tz.offset(instant, zone) end

---The IANA name that a text means: IANA names in any letter case (returned as they are, `US/Pacific` stays), Windows names,
---TZIDs with a vendor's prefix, quoted ones, display names such as `(UTC+01:00) Amsterdam, Berlin`, `UTC`.
---@param name string
---@return string? iana
---@return lunation.tz.Error? err
function tz.resolve(name) end

---The Windows name of an IANA zone (CLDR), nil if it has none.
---@param iana string
---@return string?
function tz.windows(iana) end

---@class lunation.tz.Transition
---@field at integer instant of the change
---@field before integer offset before it, seconds
---@field offset integer offset from it on, seconds
---@field abbreviation string
---@field dst boolean

---The changes of offset in [from, to), in order.
---@param zone string?
---@param from integer
---@param to integer
---@return lunation.tz.Transition[]?
---@return lunation.tz.Error? err
function tz.transitions(zone, from, to) end

---@class lunation.tz.Rule
---@field dst boolean the rule begins daylight saving time
---@field before integer offset before the change, seconds
---@field offset integer offset from it on, seconds
---@field abbreviation string
---@field start string local time of the change in the year asked, in the offset before it
---@field rrule string? the yearly rule (`FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU`); nil where RFC 5545 has none for it

---The rules by which a zone changes each year from now on: standard time first, then daylight; empty where it does not change.
---@param zone string?
---@param year integer
---@return lunation.tz.Rule[]?
---@return lunation.tz.Error? err
function tz.rules(zone, year) end

---The rule of a zone for the years to come as a POSIX TZ string (`CET-1CEST,M3.5.0,M10.5.0/3`), nil if its file has none.
---@param zone string?
---@return string?
---@return lunation.tz.Error? err
function tz.posix(zone) end

---Forgets the zones read so far, so that a new tzdata is seen.
function tz.reload() end

return tz
