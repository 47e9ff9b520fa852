-- What `make run` needs before `lunation serve`: an app, a user and a local calendar that holds a week of events. What is there
-- already is left as it is. Prints what is served, a token and three requests to try.

local config = require "lunation.config"
local engines = require "lunation.engine"
local server = require "lunation.server"
local tz = require "lunation.tz"

local APP, USER, NOTE = "demo", "demo", "demo-note"
local TOKEN_TTL = 30 * 86400

local function try(value, err)
  if value == nil or value == false then error(tostring(err), 0) end
  return value
end

local function zone_here()
  local file = io.open("/etc/timezone")
  local name = os.getenv "TZ" or file and file:read "l"
  if file then file:close() end
  return name and tz.resolve(name) or "Etc/UTC"
end

-- Monday of this week, as the days since the epoch count (1970-01-01 was a Thursday).
local function monday()
  local today = os.time() // 86400
  return today - (today + 3) % 7
end

local function day(number)
  return os.date("!%Y-%m-%d", number * 86400)
end

-- { day of the week from 0, time or nil for all day, ISO 8601 duration, title, more fields }
local week = {
  { 0, "09:15", "PT15M", "Stand-up", { recurrenceRules = {
    { ["@type"] = "RecurrenceRule", frequency = "weekly", byDay = {
      { ["@type"] = "NDay", day = "mo" }, { ["@type"] = "NDay", day = "tu" }, { ["@type"] = "NDay", day = "we" },
      { ["@type"] = "NDay", day = "th" }, { ["@type"] = "NDay", day = "fr" },
    } },
  } } },
  { 0, "14:00", "PT1H", "Planning", { locations = { ["1"] = { ["@type"] = "Location", name = "Room Selene" } } } },
  { 1, "12:30", "PT45M", "Lunch with Ada", { freeBusyStatus = "free" } },
  { 2, "10:00", "PT1H30M", "Design review", { description = "Bring one sketch each." } },
  { 3, nil, "P1D", "Release day", { color = "#3a6ea5" } },
  { 3, "16:00", "PT30M", "Release notes" },
  { 4, "15:00", "PT1H", "Retrospective", { status = "tentative" } },
  { 5, "10:30", "PT2H", "Long run", { privacy = "private" } },
}

local function event_of(first, zone, index, row)
  local event = {
    ["@type"] = "Event", uid = "demo-" .. index, title = row[4], duration = row[3],
    start = day(first + row[1]) .. "T" .. (row[2] or "00:00") .. ":00",
  }
  if row[2] then event.timeZone = zone else event.showWithoutTime = true end
  for name, value in pairs(row[5] or {}) do event[name] = value end
  return event
end

local function demo_account(engine)
  local user = try(engine.store:user(APP, USER, { create = true }))
  local account = try(engine.store:accounts { user = user.id })[1]
  if account then return account, false end
  local provider = try(engine.providers:get "local")
  local identity = try(provider.identify { provider = "local", username = "demo", name = "Demo calendar", settings = {}, credentials = {} })
  return try(engine.store:account_add {
    user = user.id, provider = "local", identity = identity.identity, name = identity.name, username = "demo", scope = "read-write",
    credentials = {}, settings = identity.settings,
  }), true
end

local cfg = try(config.load(os.getenv "LUNATION_CONFIG"))
-- Nothing is promised of an address that another program has.
local bound, why = server.bind(cfg.listeners[1].url, false)
if not bound then
  io.stderr:write(("%s; a line `listen \"http://127.0.0.1:PORT\"` in ./lunation.conf.lua takes another address\n"):format(tostring(why)))
  return 1
end
local engine = try(engines.open(cfg))
if not engine.store:app(APP) then
  try(engine.store:app_add { id = APP, name = "Demo", redirect_uris = { "http://127.0.0.1:9000/callback" } })
end
local account, fresh = demo_account(engine)
try(engine.sync:account(account.id, { force = true }))
local calendar = try(engine.store:calendars { account = account.id })[1]
local zone, first = zone_here(), monday()

local function create(event)
  try(engine.write:create { account = account, calendar = calendar, event = event, app = APP })
end

if fresh then
  for index, row in ipairs(week) do create(event_of(first, zone, index, row)) end
end
if not engine.store:event(calendar.key, NOTE) then
  create { ["@type"] = "Event", uid = NOTE, title = "A note to delete", start = day(first + 4) .. "T08:00:00", timeZone = zone, duration = "PT10M" }
end
local token = try(engine.oauth:issue { app = APP, user = USER, scope = "read-write", ttl = TOKEN_TTL }).access_token
engine:close()

local base = cfg.public_url or cfg.listeners[1].url
local auth = ("-H 'Authorization: Bearer %s'"):format(token)
local body = ('{"provider":"local","calendarId":"%s","title":"Tea","start":"%sT16:00:00Z","end":"%sT16:30:00Z"}')
  :format(calendar.id, day(first + 2), day(first + 2))

print(([[
lunation serves %s/api: a local calendar with a week of events, of the user `%s` of the app `%s`.
The data is in %s and stays there; Ctrl-C ends the server.

A token, good for 30 days:
%s

List a page of this week:
curl -s %s '%s/api/events?start=%s&end=%s&pageSize=5'

Create an event:
curl -s %s -H 'Content-Type: application/json' -d '%s' %s/api/event

Delete one:
curl -s %s -X DELETE '%s/api/event?provider=local&calendarId=%s&eventId=%s'
]]):format(base, USER, APP, cfg.data_dir, token, auth, base, day(first), day(first + 7), auth, body, base, auth, base, calendar.id, NOTE))
