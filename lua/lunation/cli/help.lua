-- lunation help [COMMAND]

local errors = require "lunation.errors"

return {
  summary = "what the commands are, or how one is used",
  usage = { "[COMMAND]" },
  most = 1,
  run = function(words)
    local cli = require "lunation.cli"
    if words[1] then
      local command = cli.find(words[1])
      if not command then return nil, errors.new("usage", ("there is no command `%s`"):format(words[1])) end
      print(cli.help(words[1], command))
      return
    end
    print "lunation: calendars of many services through one engine, over HTTP and in Lua scripts\n"
    for _, name in ipairs(cli.commands) do print(("  lunation %-8s %s"):format(name, cli.find(name).summary)) end
    print "\n`lunation help COMMAND` and `lunation COMMAND --help` say more."
  end,
}
