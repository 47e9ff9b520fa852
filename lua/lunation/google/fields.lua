-- Small pieces of Google's mappings: words, places, names.
local mapping = require "lunation.mapping"
local properties = require "lunation.google.properties"
local value = require "lunation.ical.value"
local zone = require "lunation.ical.zone"

local M = {}

---Text as Google keeps it; "" is none.
---@param path string
---@return lunation.mapping.Entry
function M.text(path)
  return mapping.codec(path, {
    to = function(v)
      if type(v) ~= "string" then return nil, "is not text" end
      return v ~= "" and v or nil
    end,
    from = function(v)
      if type(v) ~= "string" then return nil, "is not text" end
      return v
    end,
  })
end

---A field with a closed vocabulary. A word that Google's contract does not have is an error, and not a guess.
---@param path string
---@param words table<string, string> canonical word = Google's
---@param silent table<string, true>? words of Google that say nothing
---@return lunation.mapping.Entry
function M.word(path, words, silent)
  local back = {}
  for canonical, word in pairs(words) do back[word] = canonical end
  return mapping.codec(path, {
    words = words,
    to = function(v)
      if back[v] == nil and not (silent and silent[v]) then return nil, ("%q is no word that is known"):format(tostring(v):sub(1, 40)) end
      return back[v]
    end,
    from = function(v)
      if words[v] == nil then return nil, ("%s is none of the words it can be"):format(tostring(v)) end
      return words[v]
    end,
  })
end

-- The UID by which an event was made here, as long as it is that event and no copy; else the one that Google gave it.
M.uid = mapping.entry {
  read = function(native)
    local own = properties.get(native, "private", "uid")
    if type(own) == "table" and type(own[2]) == "string" and (own[1] == native.id or own[1] == native.recurringEventId) then return own[2] end
    local uid = native.iCalUID
    if uid ~= nil and type(uid) ~= "string" then return nil, "is not text" end
    return uid or native.recurringEventId or native.id
  end,
  write = function(native, v)
    native.iCalUID = v
    return properties.set(native, "private", "uid", nil)
  end,
}

-- What kind of event it is, where it is none of the ordinary ones.
M.kind = {
  to = function(kind) return type(kind) == "string" and kind ~= "default" and kind or nil end,
  from = function(kind) return kind end,
}

-- A place is a name.
M.place = {
  to = function(v)
    if type(v) ~= "string" then return nil, "is not text" end
    return v ~= "" and { ["1"] = { ["@type"] = "Location", name = v } } or nil
  end,
  from = function(locations)
    local ids, names = {}, {}
    for id in pairs(locations) do ids[#ids + 1] = id end
    table.sort(ids)
    for _, id in ipairs(ids) do
      local name = type(locations[id]) == "table" and (locations[id].name or locations[id].description)
      if type(name) == "string" and name ~= "" then names[#names + 1] = name end
    end
    return #names > 0 and table.concat(names, "; ") or nil
  end,
}

-- A moment that Google tells: UTCDateTime without needless zeros (RFC 8984 section 1.4.4).
M.instant = {
  to = function(v)
    if type(v) ~= "string" then return nil, "is not a time" end
    local second, fraction, rest = v:match("^(%d%d%d%d%-%d%d%-%d%d[Tt]%d%d:%d%d:%d%d)%.?(%d*)(.*)$")
    local at = second and value.seconds((second:gsub("t", "T")))
    if not at then return nil, "is not a time" end
    if rest:upper() ~= "Z" then
      local sign, hours, minutes = rest:match("^([+-])(%d%d):?(%d%d)$")
      if not sign then return nil, "is not a time" end
      local offset = math.tointeger(hours * 3600 + minutes * 60)
      at = sign == "-" and at + offset or at - offset
    end
    fraction = fraction:gsub("0+$", "")
    return value.from_seconds(at) .. (fraction ~= "" and "." .. fraction or "") .. "Z"
  end,
  from = function(v) return v end,
}

---The canonical name of a zone that Google names.
---@param name any
---@return string?
function M.zone(name)
  return type(name) == "string" and zone.canonical(name) or nil
end

-- A calendar's title is what its user calls it, else what it is called.
M.title = mapping.entry {
  read = function(native)
    for _, title in ipairs { native.summaryOverride or false, native.summary or false } do
      if type(title) == "string" and title ~= "" then return title end
    end
  end,
  write = function(native, title)
    native.summary, native.summaryOverride = title, nil
    return true
  end,
}

-- --- contacts ---

local function first(native, list)
  local item = type(native[list]) == "table" and native[list][1]
  return type(item) == "table" and item or nil
end

-- The whole name, which Google makes of its parts; written only where there are none.
M.full_name = mapping.entry {
  read = function(native)
    local name = first(native, "names")
    return name and (name.displayName or name.unstructuredName) or nil
  end,
  write = function(native, full)
    local name = first(native, "names")
    if name and (name.givenName or name.familyName) then return true end
    native.names = full and { { unstructuredName = full } } or nil
    return true
  end,
}

-- A date without, or with a year: "--03-09", "1980-03-09".
M.birthday = mapping.entry {
  read = function(native)
    local birthday = first(native, "birthdays")
    local date = birthday and birthday.date
    if type(date) ~= "table" or not math.tointeger(date.month) or not math.tointeger(date.day) then return nil end
    local year = math.tointeger(date.year)
    if year and year > 0 then return ("%04d-%02d-%02d"):format(year, date.month, date.day) end
    return ("--%02d-%02d"):format(date.month, date.day)
  end,
  write = function(native, text)
    if text == nil then
      native.birthdays = nil
      return true
    end
    local year, month, day = tostring(text):match("^(%d*%-?)%-?(%d%d)%-(%d%d)$")
    if not month or not value.seconds(("%s-%s-%s"):format(year:match("%d%d%d%d") or "2000", month, day)) then return nil, "is not a date" end
    native.birthdays = { { date = {
      year = math.tointeger(tonumber(year:match("%d+") or "")), month = math.tointeger(tonumber(month)), day = math.tointeger(tonumber(day)),
    } } }
    return true
  end,
}

-- Google's types of addresses and numbers; others are its users' own words.
local contexts = { home = "home", work = "work", other = "other", mobile = "mobile", main = "main" }
M.context = {
  to = function(v) return type(v) == "string" and (contexts[v] or v) or nil end,
  from = function(v) return v end,
}

return M
