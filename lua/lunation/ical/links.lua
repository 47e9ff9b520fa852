-- URL, ATTACH, IMAGE and CONFERENCE (RFC 5545 section 3.8.1.1, RFC 7986) to links, virtualLocations and the conference of an
-- event, and back.
local mapping = require "lunation.mapping"
local component = require "lunation.ical.component"

local M = {}

-- An inline attachment beyond this is left in the component: a listing is not the place to carry it.
local INLINE_LIMIT = 16384

-- An address as it is meant: some servers escape commas and semicolons in it as if it were text. A backslash is no part of a URI.
local function uri_of(p)
  return (p.value:gsub("\\([,;])", "%1"))
end

-- --- links ---

local function href_of(p)
  local encoding = component.param(p, "ENCODING")
  if encoding and encoding:upper() == "BASE64" then
    if #p.value > INLINE_LIMIT then return nil end
    return ("data:%s;base64,%s"):format(component.param(p, "FMTTYPE") or "application/octet-stream", p.value)
  end
  return p.value ~= "" and uri_of(p) or nil
end

local function read_link(p)
  local href = href_of(p)
  if not href then return nil end
  local link = { ["@type"] = "Link", href = href }
  if p.name == "URL" then return link end
  link.contentType = component.param(p, "FMTTYPE")
  link.title = component.param(p, "FILENAME") or component.param(p, "X-FILENAME")
  link.size = math.tointeger(tonumber(component.param(p, "SIZE") or ""))
  if p.name == "IMAGE" then
    link.rel = "icon"
    local display = component.param(p, "DISPLAY")
    link.display = display and display:lower() or nil
  else
    link.rel = "enclosure"
  end
  return link
end

-- Every property that is a link, with its key: {id=, property=, link=}.
local function links(node)
  local list, attached, images = {}, 0, 0
  for _, p in ipairs(node.properties) do
    local id
    if p.name == "URL" then
      id = "url"
    elseif p.name == "ATTACH" then
      attached = attached + 1
      id = ("attach_%d"):format(attached)
    elseif p.name == "IMAGE" then
      images = images + 1
      id = ("image_%d"):format(images)
    end
    local link = id and read_link(p)
    if link then list[#list + 1] = { id = id, property = p, link = link } end
  end
  return list
end

local function make_link(link)
  if type(link.href) ~= "string" then return nil, "has no href" end
  local rel = link.rel
  if rel == nil then return component.property("URL", link.href) end
  local p = component.property(rel == "icon" and "IMAGE" or "ATTACH", link.href)
  local kind, data = link.href:match("^data:([^;,]*);base64,(.*)$")
  if data then
    p.value = data
    component.set_param(p, "VALUE", "BINARY")
    component.set_param(p, "ENCODING", "BASE64")
  elseif rel == "icon" then
    component.set_param(p, "VALUE", "URI")
  end
  local content_type = link.contentType or (kind ~= "" and kind or nil)
  component.set_param(p, "FMTTYPE", content_type)
  if link.title then component.set_param(p, "FILENAME", link.title) end
  if link.size then component.set_param(p, "SIZE", ("%d"):format(link.size)) end
  if link.display then component.set_param(p, "DISPLAY", link.display:upper()) end
  return p
end

local function write_links(node, value)
  value = value or {}
  local known, gone = {}, {}
  for _, entry in ipairs(links(node)) do
    known[entry.id] = true
    local link = value[entry.id]
    if type(link) ~= "table" then
      gone[entry.property] = true
    elseif not mapping.equal(link, entry.link) then
      local made, why = make_link(link)
      if not made then return nil, why, "." .. entry.id end
      entry.property.name, entry.property.value, entry.property.params = made.name, made.value, made.params
      entry.property.spelling = nil
    end
  end
  component.remove(node, function(p) return gone[p] == true end)
  local ids = {}
  for id, link in pairs(value) do
    if not known[id] and type(link) == "table" then ids[#ids + 1] = id end
  end
  table.sort(ids)
  for _, id in ipairs(ids) do
    local made, why = make_link(value[id])
    if not made then return nil, why, "." .. id end
    if made.name == "URL" and component.find(node, "URL") then
      made.name = "ATTACH" -- URL stands once
    end
    component.add(node, made)
  end
  return true
end

-- --- conferences ---

local function features_of(p)
  local _, parameter = component.param(p, "FEATURE")
  if not parameter then return nil end
  local set = {}
  for _, words in ipairs(parameter) do
    -- Some servers quote the list as one value.
    for word in words:gmatch("[^,]+") do set[word:lower()] = true end
  end
  return set
end

local function read_places(node)
  local result, any = {}, false
  for i, p in ipairs(component.all(node, "CONFERENCE")) do
    if p.value ~= "" then
      result[tostring(i)] = { ["@type"] = "VirtualLocation", uri = uri_of(p), name = component.param(p, "LABEL"), features = features_of(p) }
      any = true
    end
  end
  return any and result or nil
end

local function set_place(p, place)
  p.value = place.uri
  component.set_param(p, "VALUE", "URI")
  local words = {}
  for word, on in pairs(place.features or {}) do
    if on then words[#words + 1] = word:upper() end
  end
  table.sort(words)
  component.set_param(p, "FEATURE", #words > 0 and words or nil)
  component.set_param(p, "LABEL", place.name)
end

local function write_places(node, value)
  value = value or {}
  local known, gone = {}, {}
  local before = read_places(node) or {}
  for i, p in ipairs(component.all(node, "CONFERENCE")) do
    local id = tostring(i)
    known[id] = true
    local place = value[id]
    if type(place) ~= "table" then
      gone[p] = true
    elseif not mapping.equal(place, before[id]) then
      if type(place.uri) ~= "string" then return nil, "has no uri", "." .. id end
      set_place(p, place)
    end
  end
  component.remove(node, function(p) return gone[p] == true end)
  local ids = {}
  for id, place in pairs(value) do
    if not known[id] and type(place) == "table" then ids[#ids + 1] = id end
  end
  table.sort(ids)
  for _, id in ipairs(ids) do
    if type(value[id].uri) ~= "string" then return nil, "has no uri", "." .. id end
    local p = component.property("CONFERENCE", "")
    set_place(p, value[id])
    component.add(node, p)
  end
  return true
end

local hosts = {
  { "zoom%.us$", "zoom" }, { "zoom%.com$", "zoom" }, { "zoomgov%.com$", "zoom" },
  { "meet%.google%.com$", "google-meet" }, { "hangouts%.google%.com$", "google-meet" },
  { "teams%.microsoft%.com$", "microsoft-teams" }, { "teams%.live%.com$", "microsoft-teams" },
  { "webex%.com$", "webex" }, { "gotomeet", "gotomeeting" }, { "gotomeeting%.com$", "gotomeeting" },
  { "meet%.jit%.si$", "jitsi" }, { "whereby%.com$", "whereby" }, { "facetime%.apple%.com$", "facetime" },
}

---Whose conference an address is.
---@param uri string
---@return string? provider "zoom", "google-meet", "microsoft-teams", …
function M.conference_provider(uri)
  local host = uri:lower():match("^%w+://([^/?#:]+)")
  for _, known in ipairs(host and hosts or {}) do
    if host:find(known[1]) then return known[2] end
  end
end

-- Where a conference is kept: vendors' own properties first, then RFC 7986's.
local vendors = {
  { "X-GOOGLE-CONFERENCE", "google-meet" }, { "X-MICROSOFT-SKYPETEAMSMEETINGURL", "microsoft-teams" },
  { "X-MICROSOFT-ONLINEMEETINGEXTERNALLINK", "microsoft-teams" },
}

local conference_names = { "CONFERENCE" }
for _, vendor in ipairs(vendors) do conference_names[#conference_names + 1] = vendor[1] end

local function conference_property(node)
  for _, vendor in ipairs(vendors) do
    local p = component.find(node, vendor[1])
    if p and p.value ~= "" then return p, vendor[2] end
  end
  return (component.find(node, "CONFERENCE"))
end

local function read_conference(node)
  local p, provider = conference_property(node)
  if not p or p.value == "" then return nil end
  return {
    uri = uri_of(p), name = component.param(p, "LABEL"),
    provider = component.param(p, "X-PROVIDER") or M.conference_provider(p.value) or provider,
  }
end

local function write_conference(node, value)
  local p, vendor = conference_property(node)
  if value == nil then
    if p then component.remove(node, function(other) return other == p end) end
    return true
  end
  if type(value) ~= "table" or type(value.uri) ~= "string" or value.uri == "" then return nil, "has no uri" end
  local provider = value.provider
  if p and vendor and (provider or M.conference_provider(value.uri) or vendor) ~= vendor then
    -- The vendor's property names its own service only.
    component.remove(node, function(other) return other == p end)
    p, vendor = (component.find(node, "CONFERENCE")), nil
  end
  if not p then
    p = component.add(node, component.property("CONFERENCE", value.uri, {
      { name = "VALUE", "URI" }, { name = "FEATURE", "AUDIO", "VIDEO" },
    }))
  end
  p.value = value.uri
  if not vendor then
    if component.param(p, "LABEL") ~= value.name then component.set_param(p, "LABEL", value.name) end
    local guess = M.conference_provider(value.uri)
    component.set_param(p, "X-PROVIDER", provider ~= guess and provider or nil)
  end
  return true
end

M.fields = {
  links = mapping.entry {
    needs = { "URL", "ATTACH", "IMAGE" },
    read = function(node)
      local result, any = {}, false
      for _, entry in ipairs(links(node)) do
        if not result[entry.id] then
          result[entry.id], any = entry.link, true
        end
      end
      return any and result or nil
    end,
    write = write_links,
  },
  virtualLocations = mapping.entry { needs = "CONFERENCE", read = read_places, write = write_places },
  ["lunation:conference"] = mapping.entry { needs = conference_names, read = read_conference, write = write_conference },
}

return M
