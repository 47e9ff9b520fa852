-- `serve --watch`: looks every second whether a file that was loaded has changed, and reloads this worker.

local core = require "lunation.worker.core"
local fs = require "lunation.fs"
local host = require "lunation.host"
local timer = require "lunation.timer"

local watch = {}

local function add_tree(seen, directory)
  for _, name in ipairs(fs.list(directory) or {}) do
    local path = directory .. "/" .. name
    local stat = fs.stat(path)
    if stat and stat.type == "directory" then
      add_tree(seen, path)
    elseif stat and name:find "%.lua$" then
      seen[path] = stat.mtime
    end
  end
end

local function look(cfg)
  local seen = {}
  for _, path in ipairs(cfg.provider_path) do add_tree(seen, path) end
  for _, path in ipairs(require("lunation.dialect").folders(cfg)) do add_tree(seen, path) end
  add_tree(seen, host.root .. "/lua")
  add_tree(seen, host.root .. "/providers")
  for _, path in ipairs { cfg.path, table.unpack(cfg.scripts) } do
    local stat = path and fs.stat(path)
    if stat then seen[path] = stat.mtime end
  end
  return seen
end

local function differs(before, now)
  for path, mtime in pairs(now) do
    if before[path] ~= mtime then return path end
  end
  for path in pairs(before) do
    if not now[path] then return path end
  end
end

--- Begins to watch; ends with the state.
---@param cfg table
---@param seconds number? between two looks
function watch.start(cfg, seconds)
  local before = look(cfg)
  timer.every(seconds or 1, function()
    local now = look(cfg)
    local path = differs(before, now)
    before = now
    if path then
      require("lunation.log").info("a file has changed", { path = path })
      core.reload()
    end
  end):unref()
end

return watch
