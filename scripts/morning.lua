-- Every working day at seven, the agenda of the day to a webhook: script "scripts/morning.lua" in the configuration.
-- MORNING_WEBHOOK is the address that takes {"text": …}.
local cal = require "lunation"
local http = require "lunation.http"
local log = require "lunation.log"

cal.at("0 7 * * MON-FRI", function()
  local lines = {}
  for event in cal.events { from = "today", to = "+1d" } do
    lines[#lines + 1] = ("%s  %s"):format(event.start:sub(12, 16), event.title or "(no title)")
  end
  local url = os.getenv "MORNING_WEBHOOK"
  if not url or #lines == 0 then return end
  local answer, err = http.post(url, nil, { json = { text = table.concat(lines, "\n") } })
  if not answer then log.warn("the agenda was not sent", { error = tostring(err) }) end
end, { name = "morning", timeZone = "Europe/Paris" })
