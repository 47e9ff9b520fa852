-- Loaded by busted before the first spec: what the specs made is removed when they have ended.

local busted = require "busted"

busted.subscribe({ "exit" }, function()
  require("spec.support").cleanup()
  return nil, true
end)

return true
