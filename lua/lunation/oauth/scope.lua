-- The three scopes of a token, from the narrowest to the widest.
local scope = {}

scope.all = { "free-busy", "read", "read-write" }

local rank = { ["free-busy"] = 1, read = 2, ["read-write"] = 3 }

-- Names that clients send for the same thing.
local aliases = {
  calendar = "read-write",
  ["calendar.readonly"] = "read",
  ["calendar.read"] = "read",
  ["calendar.freebusy"] = "free-busy",
  freebusy = "free-busy",
  ["free_busy"] = "free-busy",
  ["read_write"] = "read-write",
}

---The scope that a `scope` parameter asks for. Unknown names never fail: clients of this API send several, and mean
---read-write by them. Of several known names the widest counts.
---@param text string|nil space or comma separated
---@return "free-busy"|"read"|"read-write"
function scope.parse(text)
  local best
  for word in (text or ""):gmatch("[^%s,]+") do
    local name = rank[word] and word or aliases[word]
    if name and (not best or rank[name] > rank[best]) then best = name end
  end
  return best or "read-write"
end

-- What an app may want besides calendars; a provider asks for it where it has such a thing.
local extras = { contacts = true, resources = true }

---The extras that a `scope` parameter names.
---@param text string|nil
---@return string[]
function scope.extras(text)
  local list = {}
  for word in (text or ""):gmatch("[^%s,]+") do
    if extras[word] then list[#list + 1] = word end
  end
  return list
end

---The first word of a `scope` parameter that means nothing here: for people, whom it helps to be told.
---@param text string
---@return string|nil
function scope.unknown(text)
  for word in text:gmatch("[^%s,]+") do
    if not (rank[word] or aliases[word] or extras[word]) then return word end
  end
end

---@param name any
---@return boolean
function scope.known(name)
  return rank[name] ~= nil
end

---@param held string
---@param needed string
---@return boolean
function scope.covers(held, needed)
  return (rank[held] or 0) >= rank[needed]
end

return scope
