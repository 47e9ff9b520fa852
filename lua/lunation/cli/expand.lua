-- lunation expand: the occurrences of a recurrence rule, the instances of a calendar file, or answers line by line.

local errors = require "lunation.errors"
local arguments = require "lunation.cli.arguments"
local input = require "lunation.cli.input"
local output = require "lunation.cli.output"
local jsonl = require "lunation.cli.jsonl"
local tz = require "lunation.tz"

-- --- JSON lines ---

local function answer_lines()
  io.stdout:setvbuf "full"
  for line in io.lines() do
    if line:find "%S" then io.write(jsonl.answer(line), "\n") end
  end
  io.stdout:flush()
end

-- --- a rule of the command line ---

local function expand_rule(options)
  local occurrences, truncated = require("lunation.rrule").expand {
    dtstart = options.dtstart, tzid = options.tzid, rrule = options.rrule, exrule = options.exrule, rdate = options.rdate,
    exdate = options.exdate, from = options.from, to = options.to, limit = options.limit, strict = options.strict, utc = options.utc,
  }
  if not occurrences then return nil, truncated end
  if options.json then
    output.json { occurrences = require("lunation.json").array(occurrences), truncated = truncated }
    return
  end
  for _, at in ipairs(occurrences) do print(at) end
  if truncated then io.stderr:write(("lunation expand: there are more than these %d; --limit takes another number\n"):format(#occurrences)) end
end

-- --- a calendar file ---

local function expand_file(path, options)
  local text, err = input.text(path)
  if not text then return nil, err end
  if not (options.from and options.to) then return nil, errors.new("usage", "a calendar file is expanded between --from and --to") end
  local instances, truncated, warnings = require("lunation.ical").instances(text, {
    from = options.from, to = options.to, tzid = options.tzid, limit = options.limit, strict = options.strict, include_dtstart = options.include_dtstart,
  })
  if not instances then return nil, errors.new("invalid_request", truncated.line and input.at(path, truncated) or tostring(truncated)) end
  input.warn(path, warnings)
  if options.json then
    output.json { instances = require("lunation.json").array(instances), truncated = truncated }
    return
  end
  local zone = options.tzid or "UTC"
  local function shown(field)
    return function(instance)
      if instance.allDay then return (tz.to_local(instance[field], options.tzid):sub(1, 10)) end
      return (tz.to_local(instance[field], zone):sub(1, 16):gsub("T", " "))
    end
  end
  output.table(instances, { { "START (" .. zone .. ")", shown "start" }, { "END", shown "finish" }, { "UID", "uid" } },
    "There is nothing in that time.")
  if truncated then io.stderr:write(("lunation expand: there are more than these %d; --limit takes another number\n"):format(#instances)) end
end

return {
  summary = "the occurrences of a rule, or the instances of a calendar file",
  usage = {
    "--dtstart TIME [--tzid ZONE] --rrule RULE [--exdate TIME]… [--rdate TIME]… [--from TIME --to TIME]",
    "FILE.ics|- --from TIME --to TIME", "--jsonl",
  },
  help = "TIME is a local time (2025-03-09T02:30:00), a date, or UTC with Z; a window begins at --from and ends before --to.\n"
    .. "--jsonl answers each line of standard input, a JSON object with dtstart, tzid, rrule, exrule, rdate, exdate, from, to, utc,\n"
    .. 'strict and limit (at most a million), with a line: {"occurrences":[…],"truncated":false} or {"error":{…}}.',
  most = 1,
  options = {
    ["--dtstart"] = { value = "TIME", help = "where the series begins" },
    ["--tzid"] = { value = "ZONE", read = input.zone, help = "its time zone; of a file the zone of floating times and of what is shown; UTC" },
    ["--rrule"] = { value = "RULE", many = true, help = "FREQ=WEEKLY;BYDAY=MO and so on" },
    ["--exrule"] = { value = "RULE", many = true, help = "what this rule gives is left out" },
    ["--rdate"] = { value = "TIME", many = true, help = "one more occurrence" },
    ["--exdate"] = { value = "TIME", many = true, help = "an occurrence that is left out; a date leaves out its day" },
    ["--from"] = { value = "TIME", help = "the beginning of the window" },
    ["--to"] = { value = "TIME", help = "its end, exclusive" },
    ["--limit"] = { value = "N", read = arguments.count(1), help = "as many at most; 1000" },
    ["--utc"] = { help = "occurrences in UTC" },
    ["--strict"] = { help = "refuse what RFC 5545 says must not be" },
    ["--include-dtstart"] = { help = "of a file: the start of a series counts even where its rule does not give it" },
    ["--jsonl"] = { help = "questions and answers as JSON lines" },
    ["--json"] = { help = "as JSON" },
  },
  run = function(words, options)
    if options.jsonl then
      if words[1] then return nil, errors.new("usage", "--jsonl reads standard input, and no file") end
      return answer_lines()
    end
    if words[1] then return expand_file(words[1], options) end
    if not options.dtstart then return nil, errors.new("usage", "one of --dtstart, FILE.ics and --jsonl is expected") end
    return expand_rule(options)
  end,
}
