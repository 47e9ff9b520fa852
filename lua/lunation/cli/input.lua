-- What commands read: the texts of files and of standard input, and times and zones as options give them.

local errors = require "lunation.errors"
local tz = require "lunation.tz"

local input = {}

--- A whole file, or standard input for `-`.
---@param path string
---@return string|nil text, lunation.Error?
function input.text(path)
  if path == "-" then return io.read "a" end
  local file, why = io.open(path, "rb")
  if not file then return nil, errors.new("not_found", why) end
  local text = file:read "a"
  file:close()
  if not text then return nil, errors.new("invalid_request", path .. " is not a file") end
  return text
end

--- What a text is called in messages.
---@param path string
---@return string
function input.place(path)
  return path == "-" and "standard input" or path
end

--- A problem of a text with the place it was found at: `FILE:LINE: what`.
---@param path string
---@param problem table of lunation.ical
---@return string
function input.at(path, problem)
  return ("%s:%s: %s"):format(input.place(path), problem.line or "?", problem.message or tostring(problem))
end

--- Says on standard error what was mended in a text, or left out of it.
---@param path string
---@param warnings table[]? of lunation.ical
function input.warn(path, warnings)
  for _, warning in ipairs(warnings or {}) do io.stderr:write(input.at(path, warning), "\n") end
end

--- A reader of options that take a time zone.
---@param text string
---@return string? zone
---@return string? why
function input.zone(text)
  local zone = tz.resolve(text)
  if zone then return zone end
  return nil, "a time zone like Europe/Paris expected"
end

--- Account ids as options give them.
---@param texts string[]?
---@return integer[]|nil ids, lunation.Error?
function input.ids(texts)
  local ids = {}
  for i, text in ipairs(texts or {}) do
    ids[i] = math.tointeger(tonumber(text))
    if not ids[i] then return nil, errors.new("usage", ("`%s` is not an account's id"):format(text)) end
  end
  return texts and ids
end

--- The calendar that a word of the command line names, made fresh first.
---@param engine lunation.Engine
---@param name string id, title, or ACCOUNT/CALENDAR
---@return table|nil row, lunation.Error?
function input.calendar(engine, name)
  require("lunation.engine").provide(function() return engine end)
  local cal = require "lunation"
  local accounts, err = engine.store:accounts {}
  if not accounts then return nil, err end
  local found, calendar = pcall(cal.calendar, name)
  if found then accounts = { (engine.store:account(calendar.account)) } end
  engine.sync:refresh { accounts = accounts }
  found, calendar = pcall(cal.calendar, name)
  if found then return calendar end
  if type(calendar) == "table" and calendar.code then return nil, calendar end
  error(calendar, 0)
end

return input
