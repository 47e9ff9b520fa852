-- What Google has no field for, in extendedProperties: the properties of apps, and of JSCalendar what would else be lost. Those
-- of other programs stay as they are.
--
-- A value is JSON, cut into pieces where it is longer than Google keeps: "lunation.NAME", "lunation.NAME~1", …
local crypto = require "lunation.crypto"
local json = require "lunation.json"
local mapping = require "lunation.mapping"

local M = {}

-- Google's limits: what is longer is cut or dropped there without a word.
M.limits = { key = 44, value = 1024, count = 300, total = 32768 }

local PREFIX = "lunation."

local function store_of(native, kind)
  local all = native.extendedProperties
  local found = type(all) == "table" and all[kind]
  return type(found) == "table" and found or nil
end

---@param native table
---@param kind "private"|"shared"
---@param name string
---@return any value nil where there is none, or it is damaged
function M.get(native, kind, name)
  local store = store_of(native, kind)
  local text = store and store[PREFIX .. name]
  if type(text) ~= "string" then return nil end
  local n = 1
  while type(store[PREFIX .. name .. "~" .. n]) == "string" do
    text = text .. store[PREFIX .. name .. "~" .. n]
    n = n + 1
  end
  return (json.decode(text))
end

-- Pieces of at most so many bytes that do not cut a character.
local function pieces(text)
  local list, first = {}, 1
  while first <= #text do
    local last = math.min(first + M.limits.value - 1, #text)
    while last < #text and text:byte(last + 1) & 0xC0 == 0x80 do last = last - 1 end
    list[#list + 1] = text:sub(first, last)
    first = last + 1
  end
  return list
end

local function check(store)
  local count, total = 0, 0
  for key, text in pairs(store) do
    count, total = count + 1, total + #key + #tostring(text)
  end
  if count > M.limits.count then return nil, ("is more than the %d properties that Google keeps of an event"):format(M.limits.count) end
  if total > M.limits.total then return nil, ("is larger than the %d KiB that Google keeps of an event's properties"):format(M.limits.total // 1024) end
  return true
end

---@param native table
---@param kind "private"|"shared"
---@param name string
---@param value any nil takes it away
---@return boolean? ok
---@return string? why
function M.set(native, kind, name, value)
  local key = PREFIX .. name
  local all = type(native.extendedProperties) == "table" and native.extendedProperties or {}
  local store = type(all[kind]) == "table" and all[kind] or {}
  for other in pairs(store) do
    if other == key or other:sub(1, #key + 1) == key .. "~" and other:find("^~%d+$", #key + 1) then store[other] = nil end
  end
  if value ~= nil then
    local text, err = json.encode(value, { sorted = true })
    if not text then return nil, "cannot be kept: " .. tostring(err) end
    local list = pieces(text)
    if #key + (#list > 1 and 1 + #tostring(#list - 1) or 0) > M.limits.key then return nil, "has too long a name for Google" end
    for i, piece in ipairs(list) do store[i == 1 and key or key .. "~" .. i - 1] = piece end
    local ok, why = check(store)
    if not ok then return nil, why end
  end
  all[kind] = next(store) ~= nil and store or nil
  native.extendedProperties = next(all) ~= nil and all or nil
  return true
end

-- --- properties of apps ---

local MARK = "app."

local function name_of(app)
  if #app <= 24 and app:find("^[%w_-]+$") then return MARK .. app end
  return MARK .. "#" .. crypto.hex(crypto.sha256(app)):sub(1, 20)
end

local function read_apps(native, kind)
  local store = store_of(native, kind)
  if not store then return nil end
  local result, any = {}, false
  for key in pairs(store) do
    local name = key:match("^" .. PREFIX:gsub("%p", "%%%0") .. "(" .. MARK:gsub("%p", "%%%0") .. "[%w_#-]+)$")
    local kept = name and M.get(native, kind, name)
    if type(kept) == "table" and type(kept[1]) == "string" and type(kept[2]) == "table" then
      result[kept[1]], any = kept[2], true
    end
  end
  return any and result or nil
end

---The properties of apps, each app's by itself, in one of Google's two places.
---@param kind "private"|"shared" shared: seen by the other attendees too
---@return lunation.mapping.Entry
function M.apps(kind)
  return mapping.entry {
    kind = kind,
    read = function(native) return read_apps(native, kind) end,
    write = function(native, value)
      local before = read_apps(native, kind) or {}
      for app in pairs(before) do
        if type((value or {})[app]) ~= "table" then M.set(native, kind, name_of(app), nil) end
      end
      for app, properties in pairs(value or {}) do
        if type(properties) == "table" and not mapping.equal(before[app], properties) then
          if next(properties) == nil then properties = json.object {} end
          local ok, why = M.set(native, kind, name_of(app), json.array { app, properties })
          if not ok then return nil, why end
        end
      end
      return true
    end,
  }
end

-- --- what Google has no word for ---

-- A value without the part that is the service's alone.
local function without(value, part)
  if part == nil or type(value) ~= "table" then return value end
  local rest = {}
  for key, v in pairs(value) do
    if key ~= part then rest[key] = v end
  end
  return next(rest) ~= nil and rest or nil
end

---An entry that keeps the value exactly where Google's own field can say only a part of it, as long as that part stays what
---it was. Without an entry the value is kept entirely.
---@param name string
---@param of lunation.mapping.Entry? Google's own field
---@param theirs string? a key of the value that Google alone writes
---@return lunation.mapping.Entry
function M.kept(name, of, theirs)
  return mapping.entry {
    name = name, of = of, depends = of and of.depends,
    read = function(native, context)
      local own, why, below
      if of then own, why, below = of:read(native, context) end
      if why then return nil, why, below end
      local kept = M.get(native, "private", name)
      if type(kept) ~= "table" or kept.is == nil then return own end
      if of and not mapping.equal(kept.as, without(own, theirs)) then return own end
      if theirs and own then kept.is[theirs] = own[theirs] end
      return kept.is
    end,
    write = function(native, value, context)
      if of then
        local done, why, below = of:write(native, value, context)
        if done == nil and why then return nil, why, below end
      end
      local own
      if of then own = without(of:read(native, context), theirs) end
      value = without(value, theirs)
      if value == nil or mapping.equal(own, value) then return M.set(native, "private", name, nil) end
      return M.set(native, "private", name, { is = value, as = own })
    end,
  }
end

return M
