-- `--state FILE`: what the emulator knows, kept in SQLite over its end. The tables are written as they hang together, so that
-- what is one thing stays one.
local json = require "lunation.json"
local sqlite = require "lunation.sqlite"
local world = require "spec.emulators.google.world"

local keeping = {}

-- What lives only as long as the process.
local passing = { cursors = true, cursor_order = true, requests = true, violations = true, seed = true, delivery = true, warm = true, pushes = true }

local database
local kept_revision

local function plain(value)
  local kind = type(value)
  return kind == "string" or kind == "number" or kind == "boolean"
end

-- Every table reached from the root with a number; a node is its keys and values, tables by their numbers.
local function flatten(root)
  local numbers, nodes, queue = { [root] = 1 }, {}, { root }
  local at = 1
  while queue[at] do
    local table_of = queue[at]
    local node = { list = json.is_array(table_of) or nil, keys = json.array {}, values = json.array {}, tables = json.array {} }
    for key, value in pairs(table_of) do
      if plain(key) and not passing[key] and (plain(value) or type(value) == "table") then
        local position = #node.keys + 1
        node.keys[position] = key
        if type(value) == "table" then
          if not numbers[value] then
            queue[#queue + 1] = value
            numbers[value] = #queue
          end
          node.values[position], node.tables[#node.tables + 1] = numbers[value], position
        else
          node.values[position] = value
        end
      end
    end
    nodes[at] = node
    at = at + 1
  end
  return nodes
end

local function unflatten(nodes)
  local tables = {}
  for i, node in ipairs(nodes) do tables[i] = node.list and json.array {} or {} end
  for i, node in ipairs(nodes) do
    local is_table = {}
    for _, position in ipairs(node.tables) do is_table[position] = true end
    for position, key in ipairs(node.keys) do
      local value = node.values[position]
      tables[i][key] = is_table[position] and tables[value] or value
    end
  end
  return tables[1]
end

--- Opens the file and takes over what stands in it.
---@param path string
---@return true? ok
---@return lunation.sqlite.Error? err
function keeping.open(path)
  local err
  database, err = sqlite.open(path)
  if not database then return nil, err end
  assert(database:exec "CREATE TABLE IF NOT EXISTS node (number INTEGER PRIMARY KEY, value TEXT NOT NULL)")
  local nodes = {}
  for _, row in ipairs(assert(database:all "SELECT value FROM node ORDER BY number")) do nodes[#nodes + 1] = json.decode(row.value) end
  if #nodes == 0 then return true end
  for name, value in pairs(unflatten(nodes)) do world[name] = value end
  for _, user in pairs(world.users) do user.warm = {} end
  return true
end

--- Writes what has changed; without a file nothing is done.
---@param method string of the request that may have changed it
---@param path string
function keeping.save(method, path)
  if not database or (kept_revision == world.revision and method == "GET" and not path:find "oauth") then return end
  kept_revision = world.revision
  local data = {}
  for name, value in pairs(world) do
    if type(value) ~= "function" then data[name] = value end
  end
  local nodes = flatten(data)
  assert(database:transaction(function()
    database:run "DELETE FROM node"
    local insert = database:prepare "INSERT INTO node (number, value) VALUES (?, ?)"
    for number, node in ipairs(nodes) do insert:run(number, assert(json.encode(node))) end
    return true
  end))
end

return keeping
