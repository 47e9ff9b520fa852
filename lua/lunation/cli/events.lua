-- lunation events: the agenda of every account.

local errors = require "lunation.errors"
local input = require "lunation.cli.input"
local output = require "lunation.cli.output"
local tz = require "lunation.tz"
local when = require "lunation.when"

local function run(_, options, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  local accounts
  accounts, err = input.ids(options.account)
  if err then return nil, err end
  require("lunation.engine").provide(function() return engine end)
  local cal = require "lunation"
  local listed, stale = {}, {}
  local ok, failure = pcall(function()
    for event in cal.events {
      from = options.from or "today", to = options.to or "+7d", timeZone = options.zone, accounts = accounts,
      calendars = options.calendar, stale = stale,
    } do listed[#listed + 1] = event end
  end)
  if not ok then
    if type(failure) == "table" and failure.code == "invalid_request" then return nil, errors.new("usage", failure.message) end
    if type(failure) == "table" and failure.code then return nil, failure end
    error(failure, 0)
  end
  for _, late in ipairs(stale) do
    io.stderr:write(("lunation events: account %d is shown as it was %d s ago (%s)\n"):format(late.account, late.age, late.reason))
  end
  if options.json then
    output.json(require("lunation.json").array(listed))
    return
  end
  local zone = options.zone or when.zone()
  output.table(listed, {
    { "START (" .. zone .. ")", function(event)
      if event.showWithoutTime then return event.start:sub(1, 10) end
      return (tz.to_local(event.utcStart, zone):sub(1, 16):gsub("T", " "))
    end },
    { "LASTS", function(event) return cal.lasts(event) end },
    { "TITLE", "title" },
    { "CALENDAR", function(event) return event.calendarTitle or event.calendar end },
    { "ACCOUNT", "account" },
  }, "There is nothing in that time.")
end

return {
  summary = "the agenda of every account",
  usage = { "[--from TIME] [--to TIME] [--account ID]… [--calendar NAME]…" },
  help = "TIME is a date, a local time, now, today, tomorrow, or a distance from --from like +7d. The default is a week from today.",
  configured = true,
  options = {
    ["--from"] = { value = "TIME", help = "the beginning; today" },
    ["--to"] = { value = "TIME", help = "the end, exclusive; +7d" },
    ["--account"] = { value = "ID", many = true, help = "only these accounts" },
    ["--calendar"] = { value = "NAME", many = true, help = "only these calendars: id, title, or ACCOUNT/CALENDAR" },
    ["--zone"] = {
      value = "ZONE", help = "the time zone of --from, --to and the table; this machine's",
      read = input.zone,
    },
    ["--json"] = { help = "as JSON" },
  },
  run = run,
}
