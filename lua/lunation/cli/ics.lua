-- lunation ics FILE|-: iCalendar text as canonical events.

local errors = require "lunation.errors"
local input = require "lunation.cli.input"
local output = require "lunation.cli.output"

return {
  summary = "the events of an iCalendar file as a JSON array",
  usage = { "FILE|-" },
  help = "Events are JSCalendar (RFC 8984), masters with their overrides. Bad input ends with status 1 and names the line.",
  least = 1,
  options = { ["--json"] = { help = "accepted; the output is always JSON" } },
  run = function(words)
    local path = words[1]
    local text, err = input.text(path)
    if not text then return nil, err end
    local events, warnings = require("lunation.ical").events(text)
    if not events then return nil, errors.new("invalid_request", input.at(path, warnings)) end
    for _, warning in ipairs(warnings) do
      -- An event that cannot be read would be missing from the output: that is bad input, not a remark.
      if warning.skipped then return nil, errors.new("invalid_request", input.at(path, warning)) end
      io.stderr:write(input.at(path, warning), "\n")
    end
    output.json(require("lunation.json").array(events))
  end,
}
