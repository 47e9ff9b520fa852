-- "Lunch at Luigi's tomorrow 12pm-1pm": a title, a place, a day and a time out of one line.
local clock = require "spec.emulators.google.clock"
local tz = require "lunation.tz"

local quickadd = {}

local DAY = 86400
local months = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10, nov = 11, dec = 12 }
local weekdays = { sunday = 0, monday = 1, tuesday = 2, wednesday = 3, thursday = 4, friday = 5, saturday = 6 }

local function hour(h, m, half)
  h = tonumber(h)
  if half == "pm" and h < 12 then h = h + 12 end
  if half == "am" and h == 12 then h = 0 end
  return h * 3600 + (tonumber(m) or 0) * 60
end

-- Cuts what a pattern finds out of the text, in any letter case.
local function cut(text, pattern)
  local found = table.pack(text:lower():find(pattern))
  if not found[1] then return nil, text end
  local rest = text:sub(1, found[1] - 1) .. " " .. text:sub(found[2] + 1)
  return table.pack(table.unpack(found, 3, found.n)), rest
end

local function day_of(text, today)
  local found
  found, text = cut(text, "%f[%w](%d%d%d%d%-%d%d%-%d%d)%f[%W]")
  if found then return clock.date(found[1]), text end
  found, text = cut(text, "%f[%w]tomorrow%f[%W]")
  if found then return today + DAY, text end
  found, text = cut(text, "%f[%w]today%f[%W]")
  if found then return today, text end
  for name, number in pairs(months) do
    found, text = cut(text, "on%s+" .. name .. "%a*%s+(%d%d?)%a*%f[%W]")
    if not found then found, text = cut(text, "%f[%w]" .. name .. "%a*%s+(%d%d?)%a*%f[%W]") end
    if found then
      local year = tonumber(os.date("!%Y", today))
      local at = clock.date(("%04d-%02d-%02d"):format(year, number, tonumber(found[1])))
      if at and at < today then at = clock.date(("%04d-%02d-%02d"):format(year + 1, number, tonumber(found[1]))) end
      if at then return at, text end
    end
  end
  for name, number in pairs(weekdays) do
    found, text = cut(text, "%f[%w]" .. name .. "%f[%W]")
    if found then return today + (number - tonumber(os.date("!%w", today)) - 1) % 7 * DAY + DAY, text end
  end
  return nil, text
end

--- An event's body out of a line of text.
---@param text string
---@param now integer
---@param zone string
---@return table
function quickadd.parse(text, now, zone)
  local today = clock.date(tz.to_local(now, zone):sub(1, 10))
  local day, from, to, found
  day, text = day_of(text, today)
  found, text = cut(text, "(%d%d?):?(%d?%d?)%s*([ap]?m?)%s*%-%s*(%d%d?):?(%d?%d?)%s*([ap]m)")
  if found then
    from = hour(found[1], found[2], found[3] ~= "" and found[3] or found[6])
    to = hour(found[4], found[5], found[6])
  else
    found, text = cut(text, "%f[%w](%d%d?):?(%d?%d?)%s*([ap]m)%f[%W]")
    if found then from = hour(found[1], found[2], found[3]) end
  end
  local summary, place = text:match("^(.-)%s+at%s+(.-)%s*$")
  summary = (summary or text):gsub("%s+on%s*$", ""):gsub("%s+", " "):gsub("^%s+", ""):gsub("%s+$", "")
  if place then place = place:gsub("%s+on%s*$", ""):gsub("%s+", " "):gsub("%s+$", "") end
  local body = { summary = summary, location = place ~= "" and place or nil }
  day = day or today
  if from then
    to = to or from + 3600
    if to <= from then to = to + DAY end
    local function time(seconds)
      return { dateTime = os.date("!%Y-%m-%dT%H:%M:%S", day + seconds), timeZone = zone }
    end
    body.start, body["end"] = time(from), time(to)
  else
    body.start, body["end"] = { date = clock.day(day) }, { date = clock.day(day + DAY) }
  end
  return body
end

return quickadd
