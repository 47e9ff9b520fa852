-- Entries of the event's mapping that are more than a path: words, people, places, reminders, how the time shows, conferences.
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local model = require "lunation.model"
local null = require "lunation.null"
local property = require "lunation.microsoft.property"
local time = require "lunation.microsoft.time"
local value = require "lunation.ical.value"

local M = {}

local function given(v)
  if v == null then return nil end
  return v
end

local function get(native, path)
  local at = native
  for part in path:gmatch("[^.]+") do
    if type(at) ~= "table" or at == null then return nil end
    at = at[part]
  end
  return given(at)
end

---A field with a closed vocabulary: canonical word = Graph's, the first of several is written. A word that is not listed is an
---error, so that an event is never shown as something that it is not.
---@param path string
---@param words table<string, string|string[]|false> false: written by nothing
---@param usual string? Graph's word where the event says none; null unless told
---@return lunation.mapping.Entry
function M.words(path, words, usual)
  local back, forth = {}, {}
  for canonical, native in pairs(words) do
    for i, word in ipairs(type(native) == "table" and native or { native }) do
      back[word] = canonical
      if i == 1 then forth[canonical] = word end
    end
  end
  return mapping.entry {
    path = path, words = words,
    read = function(native)
      local word = get(native, path)
      if word == nil then return nil end
      if not back[word] then return nil, ("%q is a word that is not known"):format(tostring(word)) end
      return back[word]
    end,
    write = function(native, word)
      if word == nil then
        native[path] = usual or null
        return true
      end
      if not forth[word] then return nil, ("%s is none of the words it can be"):format(tostring(word)) end
      -- Two words of Graph may read as one: the stored one stays.
      if back[get(native, path)] ~= word then native[path] = forth[word] end
      return true
    end,
  }
end

---A time of Graph's own clock, read only.
---@param path string
---@return lunation.mapping.Entry
function M.utc(path)
  return mapping.readonly(mapping.entry {
    read = function(native)
      local at = get(native, path)
      if at == nil then return nil end
      local utc = time.utc(at)
      if not utc then return nil, ("%q is not a date and time"):format(tostring(at):sub(1, 40)) end
      return utc
    end,
    write = function() return true end,
  })
end

M.title = mapping.entry {
  read = function(native)
    local subject = given(native.subject)
    if subject ~= nil and type(subject) ~= "string" then return nil, "is not text" end
    return subject
  end,
  write = function(native, title)
    native.subject = title or ""
    return true
  end,
}

M.priority = mapping.entry {
  read = function(native)
    local word = given(native.importance)
    if word == nil or word == "normal" then return nil end
    local number = ({ high = 1, low = 9 })[word]
    if not number then return nil, ("%q is a word that is not known"):format(tostring(word)) end
    return number
  end,
  write = function(native, number)
    number = tonumber(number) or 0
    native.importance = number >= 1 and number <= 4 and "high" or number > 5 and "low" or "normal"
    return true
  end,
}

M.keywords = mapping.entry {
  read = function(native)
    local list = given(native.categories)
    if list == nil then return nil end
    if type(list) ~= "table" then return nil, "is not a list" end
    local set = {}
    for _, word in ipairs(list) do set[tostring(word)] = true end
    return next(set) and set or nil
  end,
  write = function(native, set)
    local list, had = json.array {}, {}
    for _, word in ipairs(type(native.categories) == "table" and native.categories or {}) do
      if set and set[word] and not had[word] then
        had[word] = true
        list[#list + 1] = word
      end
    end
    local more = {}
    for word, on in pairs(set or {}) do
      if on == true and not had[word] then more[#more + 1] = word end
    end
    table.sort(more)
    table.move(more, 1, #more, #list + 1, list)
    native.categories = list
    return true
  end,
}

-- --- how the time shows ---

local shows = { free = true, tentative = true, busy = true, oof = true, workingElsewhere = true }
local is_free = { free = true, workingElsewhere = true }

-- What the three canonical fields that showAs stands for ask for together; the one that was changed decides.
local function wanted_show(event, before, now)
  local function changed(field) return before == nil and event[field] ~= nil or before ~= nil and before[field] ~= event[field] end
  if changed "lunation:showAs" and event["lunation:showAs"] then return event["lunation:showAs"] end
  if changed "status" and event.status == "tentative" then return "tentative" end
  if changed "freeBusyStatus" then
    if event.freeBusyStatus == "free" then return is_free[now] and now or "free" end
    if event.freeBusyStatus == "busy" and (now == nil or is_free[now]) then return "busy" end
  end
  if changed "status" and now == "tentative" then return event.freeBusyStatus == "free" and "free" or "busy" end
  return now
end

local function show_entry(read)
  return mapping.entry {
    read = function(native)
      local word = given(native.showAs)
      if word ~= nil and word ~= "unknown" and not shows[word] then return nil, ("showAs is %q, a word that is not known"):format(tostring(word)) end
      return read(native, word ~= "unknown" and word or nil)
    end,
    write = function(native, _, context)
      local event = context.canonical
      if event.status == "cancelled" and not (context.before and context.before.status == "cancelled") then
        return nil, "an Outlook event is cancelled by deleting it, not by its status"
      end
      local word = wanted_show(event, context.before, context.native and given(context.native.showAs) or nil)
      if word and not shows[word] then return nil, ("%s is none of the words it can be"):format(tostring(word)) end
      if word then native.showAs = word end
      return true
    end,
  }
end

M.status = show_entry(function(native, word)
  if native.isCancelled == true then return "cancelled" end
  return word == "tentative" and "tentative" or "confirmed"
end)
M.free_busy = show_entry(function(_, word)
  if word == nil then return nil end
  return is_free[word] and "free" or "busy"
end)
M.show_as = show_entry(function(_, word) return word end)

-- --- reminders ---

M.alerts = mapping.entry {
  read = function(native)
    if native.isReminderOn ~= true then return nil end
    local minutes = math.tointeger(tonumber(given(native.reminderMinutesBeforeStart) or 0))
    if not minutes then return nil, "reminderMinutesBeforeStart is no number" end
    local offset = value.format_duration { days = 0, seconds = -minutes * 60 }
    return { ["1"] = { ["@type"] = "Alert", action = "display", trigger = { ["@type"] = "OffsetTrigger", offset = offset } } }
  end,
  write = function(native, alerts, context)
    local ids = {}
    for id in pairs(alerts or {}) do ids[#ids + 1] = id end
    if #ids == 0 then
      native.isReminderOn = false
      return true
    end
    if #ids > 1 then return nil, "Outlook keeps one reminder of an event" end
    local alert = alerts[ids[1]]
    if alert.action and alert.action ~= "display" then return nil, "Outlook's reminders are shown, not sent" end
    local trigger = alert.trigger or {}
    local before
    if trigger.when then
      local event = context.canonical
      local start = model.bounds(event)
      local at = start and value.seconds(tostring(trigger.when):sub(1, 19))
      before = at and start - at
    elseif trigger.offset then
      local offset = value.parse_duration(trigger.offset)
      if offset and trigger.relativeTo ~= "end" then before = -(offset.days * 86400 + offset.seconds) end
    end
    if not before or before < 0 or before % 60 ~= 0 then return nil, "Outlook reminds whole minutes before the start" end
    native.isReminderOn, native.reminderMinutesBeforeStart = true, before // 60
    return true
  end,
}

-- --- places ---

local function place_of(location)
  local place = { ["@type"] = "Location" }
  local name = given(location.displayName)
  place.name = type(name) == "string" and name ~= "" and name or nil
  local coordinates = given(location.coordinates)
  local latitude = type(coordinates) == "table" and tonumber(given(coordinates.latitude))
  local longitude = latitude and tonumber(given(coordinates.longitude))
  if longitude then place.coordinates = ("geo:%.14g,%.14g"):format(latitude, longitude) end
  return (place.name or place.coordinates) and place or nil
end

local function places_of(native)
  local list = type(native.locations) == "table" and native.locations ~= null and native.locations or {}
  if #list == 0 and type(native.location) == "table" and native.location ~= null then list = { native.location } end
  local found = {}
  for _, location in ipairs(list) do
    local place = type(location) == "table" and place_of(location)
    if place then found[#found + 1] = { place = place, native = location } end
  end
  return found
end

M.locations = mapping.entry {
  read = function(native)
    local result = {}
    for i, found in ipairs(places_of(native)) do result[("%d"):format(i)] = found.place end
    return next(result) and result or nil
  end,
  write = function(native, places)
    local known = {}
    for _, found in ipairs(places_of(native)) do
      if found.place.name then known[found.place.name] = known[found.place.name] or found.native end
    end
    local ids, list = {}, json.array {}
    for id in pairs(places or {}) do ids[#ids + 1] = id end
    table.sort(ids, function(a, b) return (tonumber(a) or math.huge) < (tonumber(b) or math.huge) or tonumber(a) == tonumber(b) and a < b end)
    for _, id in ipairs(ids) do
      local place = places[id]
      local latitude, longitude = (place.coordinates or ""):match("^geo:([+-]?[%d.]+),([+-]?[%d.]+)")
      -- A place that stays keeps what else Outlook knows of it: its address, its mailbox.
      local location = place.name and known[place.name] and mapping.copy(known[place.name]) or { displayName = place.name or "" }
      local old = place_of(location)
      if latitude and (not old or old.coordinates ~= place.coordinates) then
        location.coordinates = { latitude = tonumber(latitude), longitude = tonumber(longitude) }
      end
      list[#list + 1] = location
    end
    native.locations = list
    native.location = list[1] and mapping.copy(list[1]) or { displayName = "" }
    return true
  end,
}

-- --- conferences ---

local kinds = { teamsForBusiness = "microsoft-teams", skypeForBusiness = "skype", skypeForConsumer = "skype" }
local makers = { ["microsoft-teams"] = "teamsForBusiness", teams = "teamsForBusiness", skype = "skypeForBusiness" }

local function join_url(native)
  local meeting = given(native.onlineMeeting)
  local uri = type(meeting) == "table" and given(meeting.joinUrl) or given(native.onlineMeetingUrl)
  return type(uri) == "string" and uri ~= "" and uri or nil
end

M.conference = mapping.entry {
  read = function(native, context)
    local uri = join_url(native)
    if not uri then return mapping.copy(property.data(native, context).conference) end
    local provider = given(native.onlineMeetingProvider)
    if provider ~= nil and provider ~= "unknown" and not kinds[provider] then
      return nil, ("onlineMeetingProvider is %q, a word that is not known"):format(tostring(provider))
    end
    local meeting = given(native.onlineMeeting)
    return { uri = uri, provider = kinds[provider] or (uri:find("teams.", 1, true) and "microsoft-teams") or nil,
      data = meeting and { onlineMeeting = mapping.copy(meeting) } or nil }
  end,
  write = function(native, room)
    local there = join_url(native)
    if there or native.isOnlineMeeting == true then
      -- Outlook makes a meeting an online one once and for all.
      if room == nil then return nil, "an online meeting cannot be taken out of an Outlook event" end
      if room.uri and there and room.uri ~= there then return nil, "the online meeting of an Outlook event cannot be replaced" end
      return true
    end
    if room and room.generate then
      native.isOnlineMeeting, native.onlineMeetingProvider = true, makers[room.provider] or "teamsForBusiness"
      property.keep(native, "conference", nil)
      return true
    end
    property.keep(native, "conference", room and { uri = room.uri, provider = room.provider, data = room.data } or nil)
    return true
  end,
}

-- --- links ---

local function attachment_link(attachment)
  local name, kind, size = given(attachment.name), given(attachment.contentType), given(attachment.size)
  return {
    ["@type"] = "Link", rel = "enclosure", title = type(name) == "string" and name or nil,
    contentType = type(kind) == "string" and kind or nil, size = math.tointeger(tonumber(size)),
    href = given(attachment.sourceUrl) or given(attachment.href) or "cid:" .. tostring(attachment.id),
  }
end

---The page of the event, what is attached to it, and links that Graph has no place for: its attachments by reference cannot be
---given an address in v1.0.
M.links = mapping.entry {
  read = function(native, context)
    local result = {}
    for id, link in pairs(property.data(native, context).links or {}) do result[id] = mapping.copy(link) end
    for i, attachment in ipairs(type(native.attachments) == "table" and native.attachments ~= null and native.attachments or {}) do
      if type(attachment) == "table" then result[("attachment%d"):format(i)] = attachment_link(attachment) end
    end
    local page = given(native.webLink)
    if type(page) == "string" and page ~= "" then result.web = { ["@type"] = "Link", href = page, rel = "alternate" } end
    return next(result) and result or nil
  end,
  write = function(native, links)
    local own = {}
    for id, link in pairs(links or {}) do
      if id ~= "web" and not id:find("^attachment%d+$") then own[id] = link end
    end
    property.keep(native, "links", next(own) and own or nil)
    return true
  end,
}

return M
