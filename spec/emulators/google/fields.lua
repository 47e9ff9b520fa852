-- Partial responses: `fields=items(id,start/dateTime),nextPageToken`.
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"

local fields = {}

local function invalid(text)
  failure.fail(400, "invalidParameter", "Invalid field selection " .. text, { location = "fields", locationType = "parameter" })
end

-- selection = path *("," path); path = name ["/" path] ["(" selection ")"]
local function parse(text, at, closing)
  local tree = {}
  while true do
    local node = tree
    while true do
      local name, after = text:match("^%s*([%w_%-%*@%.]+)%s*()", at)
      if not name then invalid(text) end
      node[name] = node[name] or {}
      node, at = node[name], after
      if text:sub(at, at) ~= "/" then break end
      at = at + 1
    end
    if text:sub(at, at) == "(" then
      local inner
      inner, at = parse(text, at + 1, true)
      for name, value in pairs(inner) do node[name] = value end
    end
    local mark = text:sub(at, at)
    if mark == "," then
      at = at + 1
    elseif mark == ")" and closing then
      return tree, at + 1
    elseif mark == "" and not closing then
      return tree, at
    else
      invalid(text)
    end
  end
end

local function pick(value, tree)
  if type(value) ~= "table" or next(tree) == nil then return value end
  if json.is_array(value) then
    local out = json.array {}
    for i, item in ipairs(value) do out[i] = pick(item, tree) end
    return out
  end
  local out = json.object {}
  for name, item in pairs(value) do
    local inner = tree[name] or tree["*"]
    if inner then out[name] = pick(item, inner) end
  end
  return out
end

--- What a selection leaves of an answer.
---@param value table
---@param text string?
---@return table
function fields.select(value, text)
  if not text or text == "" or text == "*" then return value end
  return pick(value, (parse(text, 1)))
end

return fields
