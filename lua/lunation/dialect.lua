-- The HTTP dialects of this run. What ships is lua/lunation/api/NAME.lua; a file dialects/NAME.lua changes it field by field:
--
--   return extend("connect", { event = { title = "subject" } })
--
-- It is looked for in the folder of the configuration file, then in those of `provider_path`.
local extension = require "lunation.extension"

local M = {}

---@class lunation.Dialect
---@field name string
---@field event lunation.Mapping   canonical event to the dialect's JSON
---@field routes fun(engine: table): { mount: string, routes: table, error: fun(req: table, err: any): table }

---All dialects, in the order in which they are mounted.
M.names = { "connect", "connections" }

---The folders that may hold a dialect's file, the first that has it wins.
---@param config table
---@return string[]
function M.folders(config)
  local folders = {}
  if config.path then folders[1] = config.path:match "^(.*)/[^/]*$" .. "/dialects" end
  for _, folder in ipairs(config.provider_path or {}) do folders[#folders + 1] = folder .. "/dialects" end
  return folders
end

local function shipped(name)
  for _, known in ipairs(M.names) do
    if known == name then return require("lunation.api." .. name) end
  end
end

local function validate(dialect, base, file)
  for field, value in pairs(dialect) do
    local below = base[field]
    if below == nil then return nil, extension.wrong(file, tostring(field), "a dialect has no such field") end
    if type(value) ~= type(below) or extension.is_mapping(below) and not extension.is_mapping(value) then
      return nil, extension.wrong(file, field, "must be a " .. (extension.is_mapping(below) and "mapping" or type(below)))
    end
  end
  for field in pairs(base) do
    if dialect[field] == nil then return nil, extension.wrong(file, field, "is missing") end
  end
  if dialect.name ~= base.name then return nil, extension.wrong(file, "name", ("is %q, but must be %q"):format(dialect.name, base.name)) end
  return dialect
end

---@class lunation.Dialects
---@field list table<string, lunation.Dialect>
local Dialects = {}
Dialects.__index = Dialects

---@param name string
---@return lunation.Dialect? nil where there is none of that name
function Dialects:get(name)
  return self.list[name]
end

---The dialects of an engine.
---@param engine { config: table? }
---@return lunation.Dialects?
---@return lunation.Error? err names file and field
function M.new(engine)
  local folders, list = M.folders(engine.config or {}), {}
  for _, name in ipairs(M.names) do
    local base = shipped(name)
    local dialect, file = extension.load(folders, name, shipped)
    if not dialect and file then return nil, file end
    local err
    if dialect then
      dialect, err = validate(dialect, base, file)
      if not dialect then return nil, err end
    end
    list[name] = dialect or base
  end
  return setmetatable({ list = list }, Dialects)
end

return M
