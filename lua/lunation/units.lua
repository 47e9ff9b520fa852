-- Durations and sizes as people write them ("30s", "PT15M", "1MiB") as numbers, and the nearest known name of a wrong one.

local units = {}

local seconds_in = { s = 1, m = 60, h = 3600, d = 86400, w = 604800 }
local bytes_in = {
  B = 1, KB = 1000, MB = 1000000, GB = 1000000000, KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30,
}

-- ISO 8601 durations of fixed length: weeks, or days and a time (RFC 5545 section 3.3.6).
local function iso(text)
  local weeks = text:match "^P(%d+)W$"
  if weeks then return tonumber(weeks) * 604800 end
  local date, time = text:match "^P(%d*D?)T([%dHMS]+)$"
  if not date then date, time = text:match "^P(%d+D)$", "" end
  if not date or (date ~= "" and not date:find "%dD$") then return nil end
  local total, used = (tonumber(date:match "%d+") or 0) * 86400, 0
  for number, unit in time:gmatch "(%d+)([HMS])" do
    total = total + tonumber(number) * seconds_in[unit:lower()]
    used = used + #number + 1
  end
  return used == #time and total or nil
end

--- A duration in seconds: a number is seconds, text is "10s", "15m", "2h", "7d", "1h30m" or ISO 8601 ("PT15M").
---@param value number|string
---@return number|nil, string?
function units.seconds(value)
  if type(value) == "number" then
    if value >= 0 and value < math.huge then return value end
    return nil, "a duration is not negative"
  end
  if type(value) == "string" then
    local total, used = 0, 0
    for number, unit in value:gmatch "(%d+%.?%d*)([smhdw])" do
      total = total + tonumber(number) * seconds_in[unit]
      used = used + #number + 1
    end
    if used > 0 and used == #value then return math.tointeger(total) or total end
    local seconds = iso(value)
    if seconds then return seconds end
  end
  return nil, ("`%s` is not a duration (30s, 15m, 2h, 7d, PT15M)"):format(tostring(value))
end

--- A size in bytes: a number is bytes, text is "16KiB", "1MB" …
---@param value integer|string
---@return integer|nil, string?
function units.bytes(value)
  if math.type(value) == "integer" and value >= 0 then return value end
  if type(value) == "string" then
    local number, unit = value:match "^(%d+)%s*(%a+)$"
    if number and bytes_in[unit] then return math.tointeger(tonumber(number) * bytes_in[unit]) end
  end
  return nil, ("`%s` is not a size (16KiB, 1MB)"):format(tostring(value))
end

-- Levenshtein distance; names are short.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

--- "; did you mean `x`?" for the known name nearest to a wrong one, else "".
---@param wrong string
---@param known table<string, any>
---@return string
function units.suggestion(wrong, known)
  local best, name
  if #wrong > 40 then return "" end
  for candidate in pairs(known) do
    local d = distance(wrong, candidate)
    if not best or d < best or (d == best and candidate < name) then best, name = d, candidate end
  end
  return best and best <= math.max(1, #wrong // 3) and ("; did you mean `%s`?"):format(name) or ""
end

return units
