-- lunation ics FILE|-: iCalendar text as canonical events.

local errors = require "lunation.errors"
local output = require "lunation.cli.output"

return {
  summary = "the events of an iCalendar file as a JSON array",
  usage = { "FILE|-" },
  help = "Events are JSCalendar (RFC 8984), masters with their overrides. Bad input ends with status 1 and names the line.",
  least = 1,
  options = { ["--json"] = { help = "accepted; the output is always JSON" } },
  run = function(words)
    local path = words[1]
    local text
    if path == "-" then
      text = io.read "a"
    else
      local file, err = io.open(path, "rb")
      if not file then return nil, errors.new("not_found", err) end
      text = file:read "a"
      file:close()
      if not text then return nil, errors.new("invalid_request", path .. " is not a file") end
    end
    local events, err = require("lunation.ical").events(text)
    if not events then
      local place = path == "-" and "standard input" or path
      return nil, errors.new("invalid_request", ("%s:%s: %s"):format(place, err.line or "?", tostring(err)))
    end
    output.json(require("lunation.json").array(events))
  end,
}
