-- The command: finds the file of the sub-command, reads the words by its table, and turns the outcome into an exit status.

local arguments = require "lunation.cli.arguments"

local cli = {}

--- Sub-commands in the order of `lunation help`; each is the file lua/lunation/cli/NAME.lua.
cli.commands = { "serve", "run", "app", "account", "events", "free", "expand", "import", "export", "ics", "check", "version", "help" }

--- What every command takes.
cli.common = {
  ["-h"] = { field = "help", help = "this text" },
}
cli.common["--help"] = cli.common["-h"]

local log_levels = { debug = true, info = true, warn = true, error = true }

--- What commands that read the configuration take besides.
cli.configured = {
  ["-c"] = { field = "config", value = "FILE", help = "the configuration, instead of ./lunation.conf.lua" },
  ["--log-json"] = { help = "log lines as JSON" },
  ["--log-level"] = {
    value = "LEVEL", help = "debug, info, warn or error",
    read = function(text)
      if log_levels[text] then return text end
      return nil, "debug, info, warn or error expected"
    end,
  },
}
cli.configured["--config"] = cli.configured["-c"]

---@class lunation.Command
---@field summary string         one line
---@field usage string[]?        what follows the command's name
---@field help string?           more, below the usage
---@field options table<string, lunation.Option>?
---@field configured boolean?    takes `cli.configured`
---@field rest boolean?          words after the first positional one are not ours to read
---@field least integer?         positional words, at least
---@field most integer?          and at most (nil: as many as least)
---@field commands table<string, lunation.Command>?
---@field order string[]?        of `commands`
---@field run fun(words: string[], options: table, context: lunation.CommandContext): integer?, lunation.Error?

--- The command's table, or nil.
---@param name string
---@return lunation.Command?
function cli.find(name)
  for _, known in ipairs(cli.commands) do
    if known == name then return require("lunation.cli." .. name) end
  end
end

local function options_of(command)
  local all = {}
  for _, set in ipairs { cli.common, command.configured and cli.configured or {}, command.options or {} } do
    for name, option in pairs(set) do all[name] = option end
  end
  return all
end

--- The help text of a command.
---@param name string as it is called: "app add"
---@param command lunation.Command
---@return string
function cli.help(name, command)
  local lines = {}
  for _, sub in ipairs(command.order or {}) do
    for _, usage in ipairs(command.commands[sub].usage or { "" }) do
      lines[#lines + 1] = ("lunation %s %s %s"):format(name, sub, usage)
    end
  end
  for _, usage in ipairs(command.commands and {} or command.usage or { "" }) do
    lines[#lines + 1] = ("lunation %s %s"):format(name, usage)
  end
  for i, line in ipairs(lines) do lines[i] = (i == 1 and "usage: " or "       ") .. line:gsub("%s+$", "") end
  lines[#lines + 1] = ""
  lines[#lines + 1] = command.summary:sub(1, 1):upper() .. command.summary:sub(2) .. "."
  if command.help then lines[#lines + 1] = command.help end
  for _, sub in ipairs(command.order or {}) do
    lines[#lines + 1] = ("  %-8s %s"):format(sub, command.commands[sub].summary)
  end
  if not command.commands then
    lines[#lines + 1] = ""
    table.move(arguments.describe(options_of(command)), 1, 100, #lines + 1, lines)
  end
  return table.concat(lines, "\n")
end

---@class lunation.CommandContext
---@field name string
---@field options table
local Context = {}
Context.__index = Context

--- The configuration, with what the command line says.
---@return table|nil, lunation.Error?
function Context:config()
  local options = self.options
  local overrides = { listeners = {}, workers = options.workers, log = { level = options.log_level, json = options.log_json } }
  for _, url in ipairs(options.listen or {}) do table.insert(overrides.listeners, { url = url }) end
  local cfg, err = require("lunation.config").load(options.config, overrides)
  if not cfg then return nil, err end
  require("lunation.log").configure { level = cfg.log.level, json = cfg.log.json, color = require("lunation.fs").isatty(2) }
  return cfg
end

--- The engine on that configuration; closed when the command ends.
---@return lunation.Engine|nil, lunation.Error?
function Context:engine()
  if self.opened then return self.opened end
  local cfg, err = self:config()
  if not cfg then return nil, err end
  self.opened, err = require("lunation.engine").open(cfg)
  return self.opened, err
end

--- Closes the engine where one was opened.
function Context:close()
  if self.opened then self.opened:close() end
  self.opened = nil
end

local function say(name, text)
  io.stderr:write("lunation ", name, ": ", text, "\n")
end

local function misused(name, text)
  say(name, text)
  io.stderr:write(("Try `lunation %s`.\n"):format(name == "help" and name or name .. " --help"))
  return 2
end

-- What the usage text calls the positional word of this number.
local function placeholder(command, number)
  local index = 0
  for word in ((command.usage or {})[1] or ""):gsub("%b[]", ""):gmatch "%S+" do
    if word:find "^%-" then break end
    index = index + 1
    if index == number then return word end
  end
  return "an argument"
end

local function dispatch(name, command, words)
  if command.commands then
    local sub = words[1]
    if sub == "-h" or sub == "--help" then
      print(cli.help(name, command))
      return 0
    end
    if not sub or not command.commands[sub] then
      return misused(name, sub and ("there is no `%s`"):format(sub) or "one of " .. table.concat(command.order, ", ") .. " is expected")
    end
    return dispatch(name .. " " .. sub, command.commands[sub], table.move(words, 2, #words, 1, {}))
  end
  local options, positional = arguments.read(words, options_of(command), command.rest)
  if not options then return misused(name, positional.message) end
  if options.help then
    print(cli.help(name, command))
    return 0
  end
  local least = command.least or 0
  if #positional < least then return misused(name, placeholder(command, #positional + 1) .. " is missing") end
  if not command.rest and #positional > (command.most or least) then
    return misused(name, ("`%s` is one too many"):format(positional[(command.most or least) + 1]))
  end
  if options.log_json or options.log_level then
    require("lunation.log").configure { json = options.log_json, level = options.log_level }
  end
  local context = setmetatable({ name = name, options = options }, Context)
  local status, err = command.run(positional, options, context)
  context:close()
  if err then
    if err.code == "usage" then return misused(name, err.message) end
    say(name, tostring(err))
    return 1, true
  end
  return status or 0
end

--- Runs a command line.
---@param argv string[] `argv[0]` is the program, `argv[1]` the sub-command
---@return integer status 0 done, 1 failed, 2 wrong usage
---@return boolean? over it failed: whatever still runs is ended
function cli.main(argv)
  local name = argv[1]
  if name == "-h" or name == "--help" then name = "help" end
  if name == "-V" or name == "--version" then name = "version" end
  local command = name and cli.find(name)
  if not command then
    local known = {}
    for _, each in ipairs(cli.commands) do known[each] = true end
    io.stderr:write("lunation: ", name and ("there is no command `%s`%s"):format(name, require("lunation.units").suggestion(name, known))
      or "a command is expected", "\nTry `lunation help`.\n")
    return 2
  end
  return dispatch(name, command, table.move(argv, 2, #argv, 1, {}))
end

return cli
