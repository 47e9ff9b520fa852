-- lunation free: when all accounts and all given calendar files have time.

local arguments = require "lunation.cli.arguments"
local errors = require "lunation.errors"
local input = require "lunation.cli.input"
local output = require "lunation.cli.output"
local when = require "lunation.when"

local function minutes(text)
  if text:find "^%d+$" then return tonumber(text) * 60 end
  return arguments.seconds(text)
end

-- One attendee for each account that is asked for; all of the store's where neither accounts nor files are named.
local function of_accounts(attendees, words, options, from, to, context)
  if #words > 0 and not options.account then return true end
  local ids, err = input.ids(options.account)
  if err then return nil, err end
  local engine
  engine, err = context:engine()
  if not engine then return nil, err end
  local accounts
  accounts, err = engine.store:accounts { ids = ids }
  if not accounts then return nil, err end
  for _, id in ipairs(ids or {}) do
    local known
    for _, account in ipairs(accounts) do known = known or account.id == id end
    if not known then return nil, errors.new("not_found", ("there is no account %d"):format(id)) end
  end
  if #accounts == 0 then return nil, errors.new("not_found", "there is no account yet; a calendar file can be named instead") end
  for _, late in ipairs(engine.sync:refresh { accounts = accounts, from = from, to = to }) do
    io.stderr:write(("lunation free: account %d is taken as it was %d s ago (%s)\n"):format(late.account, late.age, late.reason))
  end
  for _, account in ipairs(accounts) do
    local calendars, busy
    calendars, err = engine.store:calendars { account = account.id }
    if not calendars then return nil, err end
    busy, err = require("lunation.availability").of_calendars(engine.query, calendars, { [account.id] = account }, from, to)
    if not busy then return nil, err end
    attendees[#attendees + 1] = { busy = busy }
  end
  return true
end

local function run(words, options, context)
  local availability = require "lunation.availability"
  if not options.duration then return nil, errors.new("usage", "`--duration PT30M` is required") end
  local zone = options.zone or when.zone()
  local windows, from, to = availability.windows(options.window, zone)
  if not windows then return nil, errors.new("usage", tostring(from)) end
  local attendees = {}
  for _, path in ipairs(words) do
    local text, err = input.text(path)
    if not text then return nil, err end
    local busy, warnings
    busy, err, warnings = availability.of_text(text, from, to, zone)
    if not busy then return nil, errors.new("invalid_request", input.at(path, err)) end
    input.warn(path, warnings)
    attendees[#attendees + 1] = { busy = busy }
  end
  local good, err = of_accounts(attendees, words, options, from, to, context)
  if not good then return nil, err end
  local found
  found, err = availability.solve {
    calendars = attendees, windows = windows, duration = options.duration, increment = options.increment, tzid = zone,
    align = options.align, limit = options.limit,
  }
  if not found then return nil, err end
  if options.json then
    output.json(require("lunation.json").array(found))
    return
  end
  local function shown(field)
    return function(slot) return (slot[field]:sub(1, 16):gsub("T", " ")) end
  end
  output.table(found, {
    { "FROM (" .. zone .. ")", shown "start" }, { "TO", shown "finish" },
    { "LASTS", function(slot) return when.lasts(slot.utcEnd - slot.utcStart) end },
  }, "There is no such time.")
end

return {
  summary = "when everybody has time",
  usage = { "--duration PT30M [--window A/B]… [--increment 15] [--account ID]… [FILE.ics]…" },
  help = "Each account and each file is one attendee. Without either, all accounts are. A and B are times as `lunation events` takes\n"
    .. "them (2025-11-03T09:00/2025-11-03T18:00, today/+7d); without a window it is a week from now.\n"
    .. "Free, and not listed as busy: events that are cancelled, or marked as free.",
  configured = true,
  most = 1000,
  options = {
    ["--duration"] = { value = "DURATION", read = arguments.seconds, help = "how long: PT30M, 45m, 1h30m" },
    ["--window"] = { value = "A/B", many = true, help = "look between these times" },
    ["--increment"] = { value = "MINUTES", read = minutes, help = "list slots that often, instead of whole ranges" },
    ["--align"] = {
      value = "HOW", help = "slots count from the window's begin (window, the default) or from midnight (clock)",
      read = function(text)
        if text == "window" or text == "clock" then return text end
        return nil, "window or clock expected"
      end,
    },
    ["--account"] = { value = "ID", many = true, help = "only these accounts" },
    ["--zone"] = { value = "ZONE", read = input.zone, help = "the time zone of windows, of floating times and of the table; this machine's" },
    ["--limit"] = { value = "N", read = arguments.count(1), help = "as many at most" },
    ["--json"] = { help = "as JSON" },
  },
  run = run,
}
