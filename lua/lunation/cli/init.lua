-- The command: finds the file of the sub-command, parses nothing else itself, and turns the outcome into an exit status.

local cli = {}

--- Sub-commands in the order of `lunation help`; each is the file lua/lunation/cli/NAME.lua.
cli.commands = { "run", "version" }

local function find(name)
  for _, known in ipairs(cli.commands) do
    if known == name then return require("lunation.cli." .. name) end
  end
end

--- Runs a command line.
---@param argv string[] `argv[0]` is the program, `argv[1]` the sub-command
---@return integer status 0 done, 1 failed, 2 wrong usage
function cli.main(argv)
  local name = argv[1]
  local command = name and find(name)
  if not command then
    io.stderr:write("lunation: ", name and ("there is no command `" .. name .. "`") or "a command is expected", "\n")
    return 2
  end
  return command.main(table.move(argv, 2, #argv, 1, {})) or 0
end

return cli
