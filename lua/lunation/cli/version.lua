-- lunation version

local host = require "lunation.host"

return {
  summary = "the version of this program",
  options = { ["--json"] = { help = "as JSON" } },
  run = function(_, options)
    print(options.json and ('{"version":"%s"}'):format(host.version) or "lunation " .. host.version)
  end,
}
