-- Google and Microsoft as specs of writes meet them: an emulator with a daily series of ten and a single event, a store that mirrors
-- them, and what there is after a recovery.

local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local json = require "lunation.json"
local model = require "lunation.model"
local service_engine = require "spec.fixtures.service_engine"
local specs = require "spec.support.store"
local support = require "spec.support"
local tz = require "lunation.tz"

local services = {}

services.names = { "google", "microsoft" }

--- A series that takes several requests: itself, and what differs from it.
services.course = {
  ["@type"] = "Event", title = "Course", start = "2025-06-02T09:00:00", duration = "PT1H", timeZone = "Etc/UTC",
  recurrenceRules = { { ["@type"] = "RecurrenceRule", frequency = "daily", count = 6 } },
  recurrenceOverrides = {
    ["2025-06-03T09:00:00"] = { title = "Special" }, ["2025-06-04T09:00:00"] = { excluded = true }, ["2025-06-06T09:00:00"] = { title = "Late" },
  },
}

local KINDS = {
  google = {
    identity = "alice@example.com", token = "token-a", path = "/calendar/v3/calendars/primary/events",
    events = {
      { summary = "Daily", start = { dateTime = "2025-03-03T09:00:00Z", timeZone = "UTC" }, ["end"] = { dateTime = "2025-03-03T10:00:00Z", timeZone = "UTC" },
        recurrence = { "RRULE:FREQ=DAILY;COUNT=10" } },
      { summary = "Once", start = { dateTime = "2025-04-01T09:00:00Z" }, ["end"] = { dateTime = "2025-04-01T10:00:00Z" } },
    },
  },
  microsoft = {
    identity = "alice@example.org", token = "token-m", path = "/v1.0/me/events",
    events = {
      { subject = "Daily", start = { dateTime = "2025-03-03T09:00:00", timeZone = "UTC" }, ["end"] = { dateTime = "2025-03-03T10:00:00", timeZone = "UTC" },
        recurrence = {
          pattern = { type = "daily", interval = 1 },
          range = { type = "numbered", startDate = "2025-03-03", numberOfOccurrences = 10, recurrenceTimeZone = "UTC" },
        } },
      { subject = "Once", start = { dateTime = "2025-04-01T09:00:00", timeZone = "UTC" }, ["end"] = { dateTime = "2025-04-01T10:00:00", timeZone = "UTC" } },
    },
  },
}

---@class spec.Service
---@field name string
---@field emulated spec.Emulator
---@field kind table
local Service = {}
Service.__index = Service

function Service:open(path)
  local opened = specs.open { path = path, plain = true }
  return opened, service_engine.open(opened, self.name, self.emulated.url)
end

--- The service as every run begins with it, mirrored in a store of its own.
---@param also table? a further event
function Service:prepare(also)
  self.emulated.reset()
  for _, event in ipairs(self.kind.events) do
    local made = assert(http.request {
      method = "POST", url = self.emulated.url .. self.kind.path, json = event, auth = { kind = "bearer", token = self.kind.token },
    })
    assert(made.status < 300, made.body)
  end
  local dir = support.tmpdir()
  local opened, engine = self:open(dir .. "/store.db")
  local account = service_engine.account(opened, self.name, self.kind.identity, self.kind.token)
  assert(engine.sync:account(account.id))
  if also then
    for _, calendar in ipairs(opened:calendars { account = account.id }) do
      if calendar.primary then assert(engine.write:create { calendar = calendar, event = also }) end
    end
  end
  opened:close()
  return dir
end

local function instances_of(opened)
  local found = {}
  local from, to = tz.to_utc("2025-01-01T00:00:00", "UTC"), tz.to_utc("2026-01-01T00:00:00", "UTC")
  for _, calendar in ipairs(opened:calendars { account = 1 }) do
    for row in assert(opened:events_since(calendar.key, 0)) do
      local event = not row.deleted and json.decode(row.event)
      -- What a series bears while it is being made is gone when it is.
      local kept = event and opened:event_by_key(row.key)
      assert(not kept or not json.encode(kept.original):find("unfinished", 1, true), "a mark is left")
      for _, one in ipairs(event and assert(model.expand(event, from, to, 1000)) or {}) do
        local shown = one.recurrenceId and model.instance(event, one.recurrenceId) or event
        found[#found + 1] = tz.to_local(one.start, "UTC"):sub(1, 10) .. " " .. shown.title
      end
    end
  end
  table.sort(found)
  return table.concat(found, "\n")
end

--- What the service has, seen by a store that knows nothing, after a new process has recovered; and the mirror agrees.
function Service:recovered(dir)
  local opened, engine = self:open(dir .. "/store.db")
  engine.write:recover()
  assert(#opened:intents() == 0, "an intent is left open")
  assert(engine.sync:account(1, { force = true }))
  local mirrored = instances_of(opened)
  opened:close()
  local fresh, other = self:open(support.tmpdir() .. "/store.db")
  service_engine.account(fresh, self.name, self.kind.identity, self.kind.token)
  assert(other.sync:account(1))
  local there = instances_of(fresh)
  fresh:close()
  assert(there == mirrored, "the mirror is not what the service has:\n" .. mirrored .. "\n--\n" .. there)
  return there
end

--- Starts one; `service.emulated.stop()` ends it.
---@param name "google"|"microsoft"
---@return spec.Service
function services.start(name)
  local kind = KINDS[name]
  return setmetatable({
    name = name, kind = kind, emulated = emulator.start(name, { users = { kind.identity .. "=" .. kind.token } }),
  }, Service)
end

return services
