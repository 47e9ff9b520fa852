-- The automator's module: `local cal = require "lunation"`. Calendars of every account, read and written by few words;
-- hooks, schedules and routes. A script is trusted: it sees the accounts of every user.

local engines = require "lunation.engine"
local errors = require "lunation.errors"
local json = require "lunation.json"
local routes = require "lunation.routes"
local units = require "lunation.units"
local when = require "lunation.when"

local cal = {}

local PAGE = 250 -- instances that are read at once

cal.null = json.null -- empties a field in `cal.update`

-- What an event came from; events are plain tables, and this stays out of them.
local origins = setmetatable({}, { __mode = "k" })

-- Scripts get errors raised: they are short, and an unseen `nil` would go on as a wrong agenda.
local function check(value, err)
  if value ~= nil or err == nil then return value end
  error(type(err) == "string" and errors.new("invalid_request", err) or err, 0)
end

local function engine()
  return check(engines.current())
end

-- --- accounts and calendars -----------------------------------------------------------------------------------------

local function accounts_of(filter)
  return check(engine().store:accounts { ids = filter })
end

--- Every account, in the order in which they were added.
---@return fun(): lunation.Account?
function cal.accounts()
  local list, i = accounts_of(), 0
  return function()
    i = i + 1
    return list[i]
  end
end

--- One account, by its id, its name or its identity.
---@param wanted integer|string
---@return lunation.Account
function cal.account(wanted)
  local found
  for account in cal.accounts() do
    if account.id == math.tointeger(wanted) or account.name == wanted or account.identity == wanted then
      if found then error(errors.new("invalid_request", ("more than one account is called `%s`; use its id"):format(wanted)), 2) end
      found = account
    end
  end
  return found or error(errors.new("not_found", ("there is no account `%s`"):format(tostring(wanted))), 2)
end

local function calendars_of(accounts)
  local ids = {}
  for i, account in ipairs(accounts) do ids[i] = account.id end
  if #ids == 0 then return {} end
  return check(engine().store:calendars { accounts = ids })
end

--- The calendars of an account, or of all.
---@param account integer|string|lunation.Account|nil
---@return table[]
function cal.calendars(account)
  if account == nil then return calendars_of(accounts_of()) end
  return calendars_of { type(account) == "table" and account or cal.account(account) }
end

local function is_called(calendar, name)
  return calendar.id == name or calendar.title == name or (name == "primary" and calendar.primary)
end

-- "work/primary", "work/Team": an account, then a calendar's id, title or `primary`. Without "/" any account's calendar.
local function find_calendar(name)
  if type(name) == "table" then return name end
  local accounts = accounts_of()
  for _, account in ipairs(accounts) do
    for _, called in ipairs { account.name or account.identity, account.identity, tostring(account.id) } do
      if name:sub(1, #called + 1) == called .. "/" then
        local rest = name:sub(#called + 2)
        local list = calendars_of { account }
        for _, calendar in ipairs(list) do
          if is_called(calendar, rest) then return calendar end
        end
        if rest == "primary" and list[1] then return list[1] end
      end
    end
  end
  for _, calendar in ipairs(calendars_of(accounts)) do
    if is_called(calendar, name) then return calendar end
  end
  return nil, errors.new("not_found", ("there is no calendar `%s`"):format(name))
end

--- One calendar: "work/primary", "work/Team" (an account, then a calendar's id, title or `primary`), or a name without
--- account.
---@param name string|table
---@return table row
function cal.calendar(name)
  return check(find_calendar(name))
end

-- --- reading ----------------------------------------------------------------------------------------------------------

-- An instance as an event of its own: it says where it is from, and when it is in instants.
local function told_instance(item, account)
  local event, calendar = item.event, item.calendar
  event.id, event.recurrenceId = item.id, item.recurrenceId
  event.calendar, event.calendarTitle = calendar.id, calendar.title
  event.account, event.accountId = account.name or account.identity, account.id
  event.utcStart, event.utcEnd = item.start, item.finish
  origins[event] = { calendar = calendar, id = item.id, recurrenceId = item.recurrenceId }
  return event
end

local function choose(query, from, to)
  local accounts = {}
  if query.accounts then
    for i, wanted in ipairs(query.accounts) do accounts[i] = type(wanted) == "table" and wanted or cal.account(wanted) end
  else
    accounts = accounts_of()
  end
  local by_id, calendars = {}, {}
  for _, account in ipairs(accounts) do by_id[account.id] = account end
  if query.calendars then
    for i, name in ipairs(query.calendars) do calendars[i] = check(find_calendar(name)) end
    for _, calendar in ipairs(calendars) do
      by_id[calendar.account] = by_id[calendar.account] or cal.account(calendar.account)
    end
  end
  local fresh = {}
  for _, account in pairs(by_id) do fresh[#fresh + 1] = account end
  local stale = engine().sync:refresh { accounts = fresh, from = from, to = to }
  if query.stale then table.move(stale, 1, #stale, #query.stale + 1, query.stale) end
  -- asked again: a first sync has just found the calendars
  return query.calendars and calendars or calendars_of(accounts), by_id
end

--- Events in a time, in order, recurring ones as their instances. Mirrors that are too old are made fresh first.
---@param query {from: any, to: any, calendars: string[]?, accounts: any[]?, timeZone: string?, stale: table[]?} times as
---  `lunation.when.instant` takes them; stale: gets an entry for each account that is shown from an older mirror
---@return fun(): table?
function cal.events(query)
  query = query or {}
  local from = check(when.instant(query.from or "now", { zone = query.timeZone }))
  local to = check(when.instant(query.to or "+7d", { zone = query.timeZone, base = from }))
  local calendars, accounts = choose(query, from, to)
  local page, position, i, more = {}, nil, 0, #calendars > 0
  return function()
    i = i + 1
    while not page[i] and more do
      local next_position
      page, next_position = engine().query:instances {
        calendars = calendars, accounts = accounts, from = from, to = to, limit = PAGE, after = position,
      }
      check(page, next_position)
      i, position, more = 1, next_position, next_position ~= nil
    end
    local item = page[i]
    return item and told_instance(item, accounts[item.calendar.account])
  end
end

-- "PT30M", "30m", or minutes.
local function seconds_of(value, field)
  if value == nil then return nil end
  local seconds, why
  if type(value) == "number" then seconds = value * 60 else seconds, why = units.seconds(value) end
  if not seconds then error(errors.new("invalid_request", ("%s: %s"):format(field, why), { field = field }), 3) end
  return math.floor(seconds)
end

--- When all of several calendars have time. Each account is one attendee: it is busy while any of its calendars is.
---@param query {accounts: any[]?, calendars: string[]?, duration: string|number, windows: any[]?, increment: string|number|nil,
---  hours: table[]?, optional: any[]?, minAttendees: integer?, bufferBefore: string|number|nil, bufferAfter: string|number|nil,
---  notice: string|number|nil, maxPerDay: integer?, align: "window"|"clock"|nil, limit: integer?, timeZone: string?, stale: table[]?}
---  numbers are minutes; windows: "2025-11-03T09:00/2025-11-03T18:00", "now/+7d" or {from, to}, a week from now without; increment:
---  slots that often, else whole ranges; hours: {{days={"mo","tu"}, from="09:00", to="17:00"}} of everybody; optional: accounts that
---  count for minAttendees only; notice: no slot begins earlier than so long from now
---@return lunation.Availability[] in order
function cal.availability(query)
  local availability = require "lunation.availability"
  local zone = query.timeZone or when.zone()
  local windows, from, to = availability.windows(query.windows, zone)
  check(windows, from)
  local duration = seconds_of(query.duration, "duration")
  if not duration then error(errors.new("invalid_request", "duration is missing", { field = "duration" }), 2) end
  local margin = math.max(seconds_of(query.bufferBefore, "bufferBefore") or 0, seconds_of(query.bufferAfter, "bufferAfter") or 0)
  local attendees = {}
  local function ask(selection, required)
    local calendars, accounts = choose(selection)
    local of = {}
    for _, account in pairs(accounts) do of[account.id] = {} end
    for _, calendar in ipairs(calendars) do table.insert(of[calendar.account], calendar) end
    for _, list in pairs(of) do
      local busy, err = availability.of_calendars(engine().query, list, accounts, from - margin, to + margin)
      attendees[#attendees + 1] = { busy = check(busy, err), required = required, hours = query.hours }
    end
  end
  ask({ accounts = query.accounts, calendars = query.calendars, stale = query.stale }, true)
  if query.optional then ask({ accounts = query.optional, stale = query.stale }, false) end
  local notice = seconds_of(query.notice, "notice")
  return check(availability.solve {
    calendars = attendees, windows = windows, duration = duration, increment = seconds_of(query.increment, "increment"), tzid = zone,
    buffer_before = seconds_of(query.bufferBefore, "bufferBefore"), buffer_after = seconds_of(query.bufferAfter, "bufferAfter"),
    min_attendees = query.minAttendees, max_per_day = query.maxPerDay, align = query.align, limit = query.limit,
    not_before = notice and os.time() + notice,
  })
end

--- How long an event lasts, for people: "1h30m", "2 days".
---@param event table
---@return string
function cal.lasts(event)
  return when.lasts((event.utcEnd or 0) - (event.utcStart or 0))
end

-- --- writing ----------------------------------------------------------------------------------------------------------

-- Fields as scripts write them: times without seconds, dates, durations in minutes.
local function fields_of(given, creating)
  local fields = {}
  for name, value in pairs(given) do fields[name] = value end
  if type(fields.start) == "string" then
    local start, is_date = when.complete(fields.start)
    if not start then error(errors.new("invalid_request", ("start: `%s` is not a local time"):format(fields.start), { field = "start" }), 0) end
    fields.start = start
    if is_date and fields.showWithoutTime == nil then fields.showWithoutTime = true end
  end
  if type(fields.duration) == "number" then fields.duration = when.duration(math.floor(fields.duration * 60)) end
  if creating then
    if fields.showWithoutTime then
      fields.duration = fields.duration or "P1D"
    else
      fields.duration = fields.duration or "PT1H"
      fields.timeZone = fields.timeZone or when.zone()
    end
    if fields.timeZone == "UTC" then fields.timeZone = "Etc/UTC" end
  end
  return fields
end

local function remember(row, calendar)
  local event = row.event
  event.id, event.calendar = row.id, calendar.id
  origins[event] = { calendar = calendar, id = row.id }
  return event
end

--- Creates an event: first at the provider, then in the mirror.
---@param calendar string|table "account/calendar", or a calendar of `cal.calendars`
---@param event table canonical fields; start "2025-11-03T09:00" or a date, duration "PT2H" or minutes
---@return table event
function cal.create(calendar, event)
  local row = check(find_calendar(calendar))
  return remember(check(engine().write:create { calendar = row, event = fields_of(event, true) }), row)
end

local function origin_of(event)
  return origins[event] or error(errors.new("invalid_request", "an event of cal.events or cal.create is expected"), 3)
end

--- Changes an event.
---@param event table of `cal.events` or `cal.create`
---@param changes table canonical fields; `cal.null` empties one
---@param options {scope: "this"|"following"|"all"|nil}? of a series; `this` for an instance
---@return table event the whole event or series as it is now
function cal.update(event, changes, options)
  local origin = origin_of(event)
  local row = check(engine().write:update {
    calendar = origin.calendar, id = origin.id, recurrenceId = origin.recurrenceId, scope = options and options.scope,
    patch = fields_of(changes, false),
  })
  return remember(row, origin.calendar)
end

--- Deletes an event.
---@param event table of `cal.events` or `cal.create`
---@param options {scope: "this"|"following"|"all"|nil}? of a series; `this` for an instance
function cal.delete(event, options)
  local origin = origin_of(event)
  check(engine().write:delete {
    calendar = origin.calendar, id = origin.id, recurrenceId = origin.recurrenceId, scope = options and options.scope,
  })
end

-- --- hooks, schedules, routes --------------------------------------------------------------------------------------------

local counters = {}

-- A hook or schedule is known by its script and its name, else its order there: the same in every worker and at every start.
local function name_of(options)
  local source = debug.getinfo(3, "S").source
  local script = source:sub(1, 1) == "@" and require("lunation.fs").realpath(source:sub(2)) or source
  if options and options.name then return script .. "#" .. options.name end
  counters[script] = (counters[script] or 0) + 1
  return script .. "#" .. counters[script]
end

-- Hooks and schedules are jobs, which the script's own state does as well as any other.
local function jobs()
  local current = engine()
  if not current.jobs.loop then current.jobs:start() end
  return current.jobs
end

-- The event that a change is about, as `cal.events` would give it, but whole: a series is its master.
local function told_event(change)
  local current = engine()
  local calendar = current.store:calendar(change.calendar)
  local event = change.event
  if type(event) == "string" then event = json.decode(event) end
  event = event or {}
  event.id = change.event_id
  if calendar then
    event.calendar = calendar.id
    origins[event] = { calendar = calendar, id = change.event_id }
  end
  return event, { calendar = calendar, account = calendar and calendar.account, change = change.id }
end

--- Calls `fn(event, context)` for each change from now on, once in the cluster.
---@param name string "event.created", "event.updated", "event.deleted", "event.starting", "account.added", "account.removed",
---  "account.reauth_required", "account.active", "sync.finished", "sync.failed", or all of a sort: "account.*"
---@param options {name: string?, before: string|number|nil}|function before: of event.starting, "10m"; a number is minutes
---@param fn function?
---@return {cancel: function}
function cal.on(name, options, fn)
  if type(options) == "function" then options, fn = nil, options end
  local known = name_of(options)
  local before = options and options.before
  if type(before) == "string" then before = check(units.seconds(before)) elseif before then before = before * 60 end
  jobs()
  local function run(change)
    if change.event_id then return fn(told_event(change)) end
    return fn(change.event, { account = change.account, change = change.id, kind = change.kind })
  end
  return check(engine().changes:on { name = known, event = name, before = before, run = run })
end

--- Calls `fn` again and again, once in the cluster.
---@param interval string|number "15m"; a number is minutes
---@param fn function
---@param options {name: string?}?
---@return {cancel: function}
function cal.every(interval, fn, options)
  local seconds = type(interval) == "number" and interval * 60 or check(units.seconds(interval))
  return check(jobs():every { name = name_of(options), seconds = seconds, run = fn })
end

--- Calls `fn` at the times of a cron line (minute, hour, day, month, weekday), once in the cluster.
---@param cron string "0 7 * * MON-FRI"
---@param fn function
---@param options {timeZone: string?, name: string?}?
---@return {cancel: function}
function cal.at(cron, fn, options)
  return check(jobs():at { name = name_of(options), cron = cron, timeZone = options and options.timeZone or when.zone(), run = fn })
end

--- Answers requests at a path: `lunation serve` and `cal.listen` serve it. A table that is returned is sent as JSON.
---@param method string
---@param path string "/hello/:name"; the parts are in `req.params`
---@param fn fun(req: lunation.Request): any
---@param options {public: boolean?}? public: no token is asked for; else `req.user` says whose it is
function cal.route(method, path, fn, options)
  return routes.add(method, path, fn, options)
end

--- Serves this script's routes; the program then runs until it is stopped.
---@param url string? "http://127.0.0.1:0" takes any free port
---@return lunation.Listener listener its `url` has the port
function cal.listen(url)
  local router = routes.router(engine)
  return check(require("lunation.server").listen(url or "http://127.0.0.1:8080", nil, router))
end

return cal
