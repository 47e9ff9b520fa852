-- Loaded by busted before the first spec: what the specs made is removed when they have ended.

local busted = require "busted"
-- Loaded here, it is the same for all files: busted forgets what a spec's own file loads when that file ends.
local support = require "spec.support"

busted.subscribe({ "exit" }, function()
  support.cleanup()
  return nil, true
end)

return true
