-- lunation export CALENDAR FILE.ics: a calendar as iCalendar text.

local errors = require "lunation.errors"
local input = require "lunation.cli.input"
local output = require "lunation.cli.output"

return {
  summary = "a calendar as an iCalendar file",
  usage = { "CALENDAR FILE.ics|-" },
  help = "CALENDAR is an id, a title or ACCOUNT/CALENDAR. The file appears when it is complete; `-` is standard output.",
  configured = true,
  least = 2,
  run = function(words, _, context)
    local engine, err = context:engine()
    if not engine then return nil, err end
    local calendar
    calendar, err = input.calendar(engine, words[1])
    if not calendar then return nil, err end
    local path, file, why = words[2], io.stdout, nil
    local part = path .. ".part"
    if path ~= "-" then
      file, why = io.open(part, "wb")
      if not file then return nil, errors.new("invalid_request", why) end
    end
    local good = true
    local bar = output.bar("exporting")
    local count
    count, err = require("lunation.transfer").export(engine, calendar, function(chunk)
      local written, problem = file:write(chunk)
      if not written and good then good, why = false, problem end
    end, bar.update)
    bar.finish()
    if path == "-" then
      file:flush()
    else
      good = file:close() and good
      if count and good then good, why = os.rename(part, path) else os.remove(part) end
    end
    if not count then return nil, err end
    if not good then return nil, errors.new("internal", ("%s cannot be written: %s"):format(path, why or "the disk is full")) end
    if path ~= "-" then print(("%d events"):format(count)) end
  end,
}
