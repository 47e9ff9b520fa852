-- Keeps noon free: for the next days with nothing between 12 and 13, adds "Lunch": lunation run scripts/lunch.lua ACCOUNT/CALENDAR [ZONE]
local cal = require "lunation"

local calendar, zone = ...
if not calendar then
  io.stderr:write "usage: lunation run scripts/lunch.lua ACCOUNT/CALENDAR [ZONE]\n"
  return 2
end
zone = zone or "Etc/UTC"

for ahead = 1, 5 do
  local day = os.date("%Y-%m-%d", os.time() + ahead * 86400)
  local taken
  for event in cal.events { from = day .. "T12:00", to = day .. "T13:00", timeZone = zone } do
    taken = taken or not event.showWithoutTime and event.title
  end
  if taken then
    print(day, "taken by " .. taken)
  else
    local lunch = cal.create(calendar, { title = "Lunch", start = day .. "T12:00", duration = "PT1H", timeZone = zone, freeBusyStatus = "busy" })
    print(day, "added " .. lunch.title)
  end
end
