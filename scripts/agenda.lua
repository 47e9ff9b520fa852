-- Today's agenda of every account: lunation run scripts/agenda.lua [DAYS]
local cal = require "lunation"

local days = tonumber((...)) or 1
for event in cal.events { from = "today", to = ("+%dd"):format(days) } do
  local at = event.showWithoutTime and event.start:sub(1, 10) or event.start:sub(1, 16):gsub("T", " ")
  print(("%-16s  %-8s  %s"):format(at, cal.lasts(event), event.title or "(no title)"))
end
