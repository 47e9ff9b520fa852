-- Recurrence: the instances of a series in its zone, their identifiers, and which of them are rows of their own.
local clock = require "spec.emulators.google.clock"
local rrule = require "lunation.rrule"
local tz = require "lunation.tz"

local series = {}

-- A series without an end is shown so far where no window is asked for.
local MOST = 730

local compiled = setmetatable({}, { __mode = "k" })

-- "EXDATE;TZID=Europe/Berlin:20250309T090000,…" as the values that the rule module takes.
local function dates(line, zone)
  local parameters, values = line:match("^%u+([^:]*):(.*)$")
  local own = parameters:match(";TZID=([^;:]+)")
  local out = {}
  for value in values:gmatch("[^,]+") do
    local y, m, d, rest = value:match("^(%d%d%d%d)(%d%d)(%d%d)(.*)$")
    if not y then return nil end
    local day = ("%s-%s-%s"):format(y, m, d)
    local hh, mm, ss, utc = rest:match("^T(%d%d)(%d%d)(%d%d)(Z?)$")
    if rest == "" then
      out[#out + 1] = day
    elseif not hh then
      return nil
    else
      local face = ("%sT%s:%s:%s"):format(day, hh, mm, ss)
      if utc == "" and own and own ~= zone then
        local at = tz.to_utc(face, own)
        if not at then return nil end
        face, utc = os.date("!%Y-%m-%dT%H:%M:%S", at), "Z"
      end
      out[#out + 1] = face .. utc
    end
  end
  return out
end

local kinds = { RRULE = "rrule", EXRULE = "exrule", RDATE = "rdate", EXDATE = "exdate" }

--- Reads the lines of `recurrence` for an event that begins then.
---@param lines string[]
---@param start {date: string?, dateTime: string?, timeZone: string?}
---@return table? set of the rule module
---@return string? err
function series.compile(lines, start)
  local zone = start.timeZone
  local spec = { rrule = {}, exrule = {}, rdate = {}, exdate = {} }
  for _, line in ipairs(lines) do
    local name = type(line) == "string" and line:match("^(%u+)[;:]")
    local kind = kinds[name]
    if not kind then return nil, "Invalid recurrence rule." end
    if name == "RRULE" or name == "EXRULE" then
      table.insert(spec[kind], line:match(":(.*)$"))
    else
      local values = dates(line, zone)
      if not values then return nil, "Invalid recurrence rule." end
      table.move(values, 1, #values, #spec[kind] + 1, spec[kind])
    end
  end
  if start.date then
    spec.dtstart = start.date
  else
    local at = clock.parse(start.dateTime, zone)
    spec.dtstart, spec.tzid = tz.to_local(at, zone), zone
  end
  local set, err = rrule.set(spec)
  if not set then return nil, "Invalid recurrence rule: " .. tostring(err) end
  return set
end

-- The compiled set of a series, made again when its row has changed.
local function set_of(row)
  local known = compiled[row]
  if known and known.rev == row.rev then return known.set end
  local set = assert(series.compile(row.data.recurrence, row.data.start))
  compiled[row] = { rev = row.rev, set = set }
  return set
end

--- The identifier of an instance.
---@param master_id string
---@param original integer
---@param all_day boolean
---@return string
function series.id(master_id, original, all_day)
  return master_id .. "_" .. os.date(all_day and "!%Y%m%d" or "!%Y%m%dT%H%M%SZ", original)
end

--- Takes an instance's identifier apart.
---@param id string
---@return string? master_id
---@return integer? original
function series.parse_id(id)
  local master, y, m, d, rest = id:match("^(.+)_(%d%d%d%d)(%d%d)(%d%d)(%w*)$")
  if not master then return nil end
  local day = ("%s-%s-%s"):format(y, m, d)
  if rest == "" then return master, clock.date(day) end
  local hh, mm, ss = rest:match("^T(%d%d)(%d%d)(%d%d)Z$")
  if not hh then return nil end
  return master, clock.parse(("%sT%s:%s:%sZ"):format(day, hh, mm, ss))
end

--- When the instances of a series begin by its rule, in [from, to).
---@param row table
---@param from integer?
---@param to integer?
---@return integer[]
function series.originals(row, from, to)
  return (set_of(row):instants(from, to, to and 100000 or MOST))
end

---@return boolean
function series.has(row, original)
  return #series.originals(row, original, original + 1) > 0
end

--- The start of an instance as `originalStartTime` says it.
function series.original_start(row, original)
  if row.data.start.date then return { date = clock.day(original) } end
  return { dateTime = clock.format(original, row.data.start.timeZone), timeZone = row.data.start.timeZone }
end

--- An instance that is no row of its own: as the series says.
---@param row table
---@param original integer
---@return table
function series.instance(row, original)
  local data = setmetatable({}, { __index = row.data })
  local all_day = row.data.start.date ~= nil
  local length = row.to - row.from
  data.recurrence = false
  data.originalStartTime = series.original_start(row, original)
  if all_day then
    data.start, data["end"] = { date = clock.day(original) }, { date = clock.day(original + length) }
  else
    data.start = { dateTime = clock.format(original, row.data.start.timeZone), timeZone = row.data.start.timeZone }
    data["end"] = { dateTime = clock.format(original + length, row.data["end"].timeZone), timeZone = row.data["end"].timeZone }
  end
  return {
    id = series.id(row.id, original, all_day), uid = row.uid, master = row.id, original = original, from = original, to = original + length,
    seq = row.seq, rev = row.rev, created = row.created, updated = row.updated, creator = row.creator, organizer = row.organizer,
    home = row.home, status = row.status, data = data, virtual = true,
  }
end

return series
