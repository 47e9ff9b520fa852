-- Lua files that replace what ships or change it field by field: providers, and dialects. A file NAME.lua of an earlier folder
-- shadows those of later ones; `extend("name", {…})` in it stands for the next file of that name, or for what ships, with these
-- fields laid over it.
local errors = require "lunation.errors"
local mapping = require "lunation.mapping"

local M = {}

---@param value any
---@return boolean
function M.is_mapping(value)
  return type(value) == "table" and type(value.to) == "function" and type(value.from) == "function"
end

---What is wrong with a file, by field.
---@param file string
---@param field string
---@param why string
---@return lunation.Error
function M.wrong(file, field, why)
  return errors.new("invalid_request", ("%s: %s: %s"):format(file, field, why), { file = file, field = field })
end

---A table with another's fields laid over it. Mappings are extended, plain tables merged, everything else replaced.
local function overlay(base, over)
  local result = {}
  for key, value in pairs(base) do result[key] = value end
  for key, value in pairs(over) do
    local below = base[key]
    if M.is_mapping(below) and type(value) == "table" and not M.is_mapping(value) then
      result[key] = below:extend(value)
    elseif type(below) == "table" and type(value) == "table" and not M.is_mapping(value) and #value == 0 and #below == 0 then
      result[key] = overlay(below, value)
    else
      result[key] = value
    end
  end
  return result
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

-- The folder from `first` on that has NAME.lua.
local function find(folders, name, first)
  for index = first, #folders do
    local path = folders[index] .. "/" .. name .. ".lua"
    local text = read(path)
    if text then return path, text, index end
  end
end

local words = { "enum", "const", "list", "codec", "any", "path", "nested", "entry", "readonly", "writeonly", "required", "default" }

---@class lunation.extension.Source
---@field folders string[]
---@field shipped (fun(name: string): table?)? what is extended where no folder has another file
---@field texts string[]   sources that were read, for the digest

local evaluate

-- What stands in a file besides Lua itself: the mapping's words, and `extend`.
local function environment(source, name, index)
  local env = { mapping = mapping }
  for _, word in ipairs(words) do env[word] = mapping[word] end
  env.extend = function(base_name, over)
    if type(base_name) ~= "string" or type(over) ~= "table" then error('extend takes a name and a table: extend("caldav", { … })', 2) end
    local start = base_name == name and index + 1 or 1
    local path, text, found = find(source.folders, base_name, start)
    if not path then
      local shipped = source.shipped and source.shipped(base_name)
      if shipped then return overlay(shipped, over) end
      error(("there is no other file %s.lua to extend"):format(base_name), 2)
    end
    local base, err = evaluate(source, base_name, path, text, found)
    if not base then error(err, 0) end
    return overlay(base, over)
  end
  return setmetatable(env, { __index = _G })
end

function evaluate(source, name, path, text, index)
  source.depth = (source.depth or 0) + 1
  if source.depth > 16 then return nil, M.wrong(path, "extend", "goes round in circles") end
  source.texts[#source.texts + 1] = text
  local chunk, syntax = load(text, "@" .. path, "t", environment(source, name, index))
  if not chunk then
    local line, why = syntax:match(":(%d+): (.*)$")
    return nil, errors.new("invalid_request", ("%s:%s: %s"):format(path, line or "?", why or syntax), { file = path, line = math.tointeger(tonumber(line)) })
  end
  local ok, result = xpcall(chunk, function(raised)
    if type(raised) == "table" and raised.code then return raised end
    local message = tostring(raised)
    -- What a word of the mapping refuses is told where it was written.
    if not message:find(path, 1, true) then message = path .. ": " .. message end
    return errors.new("invalid_request", message, { file = path })
  end)
  source.depth = source.depth - 1
  if not ok then return nil, result end
  if type(result) ~= "table" then return nil, M.wrong(path, "return", "the file returns a table") end
  return result
end

---Runs the first NAME.lua of the folders.
---@param folders string[]
---@param name string
---@param shipped (fun(name: string): table?)? what a file may extend where no other folder has that name
---@return table? result nil without an error where no folder has the file
---@return string|lunation.Error|nil path of the file, or what is wrong with it: file, and line or field
---@return string[]? texts of all files that were read
function M.load(folders, name, shipped)
  local path, text, index = find(folders, name, 1)
  if not path then return nil end
  local source = { folders = folders, shipped = shipped, texts = {} }
  local result, err = evaluate(source, name, path, text, index)
  if not result then return nil, err end
  return result, path, source.texts
end

return M
