-- Runs the specs inside the host, so that a spec may wait: build/lunation run spec/run.lua [busted's arguments].
-- Without a path all of spec/ is run. Ends with the line "N passed, N failed".

local root = require("lunation.host").root
package.path = root .. "/?.lua;" .. package.path

local paths = false
for _, word in ipairs(arg) do
  if word:sub(1, 1) ~= "-" then paths = true end
end
table.insert(arg, 1, "--output=" .. root .. "/spec/support/report.lua")
table.insert(arg, 1, "--helper=" .. root .. "/spec/support/helper.lua")
table.insert(arg, 1, "--pattern=_spec%.lua$")
if not paths then table.insert(arg, root .. "/spec") end
arg[0] = "spec/run.lua"

require "busted.runner" { standalone = false }
