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
    local place = path == "-" and "standard input" or path
    local function at(problem)
      local message = problem.message or tostring(problem)
      return ("%s:%s: %s"):format(place, problem.line or "?", message)
    end
    local events, warnings = require("lunation.ical").events(text)
    if not events then return nil, errors.new("invalid_request", at(warnings)) end
    for _, warning in ipairs(warnings) do
      -- An event that cannot be read would be missing from the output: that is bad input, not a remark.
      if warning.skipped then return nil, errors.new("invalid_request", at(warning)) end
      io.stderr:write(at(warning), "\n")
    end
    output.json(require("lunation.json").array(events))
  end,
}
