-- The collection of calendars and cases of other projects beside the checkout, where it is at hand.
local crypto = require "lunation.crypto"
local host = require "lunation.host"
local json = require "lunation.json"

local M = { root = host.root .. "/../shared/corpora/" }

---@param name string path below the collection
---@return string? content
function M.read(name)
  local file = io.open(M.root .. name, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

---@param name string of a file of JSON lines
---@return table[]? cases nil where the collection is missing
function M.cases(name)
  local text = M.read(name)
  if not text then return nil end
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = assert(json.decode(line)) end
  return list
end

---Instances as sorted lines "start uid end".
---@param list {uid: string, start: integer, finish: integer}[]
---@return string[]
function M.told(list)
  local lines = {}
  for i, instance in ipairs(list) do
    lines[i] = ("%s %s %s"):format(os.date("!%Y%m%dT%H%M%S", instance.start), instance.uid, os.date("!%Y%m%dT%H%M%S", instance.finish))
  end
  table.sort(lines)
  return lines
end

---A few letters that stand for an answer.
---@param lines string[]
---@return string
function M.digest(lines)
  return crypto.hex(crypto.sha256(table.concat(lines, "\n"))):sub(1, 8)
end

return M
