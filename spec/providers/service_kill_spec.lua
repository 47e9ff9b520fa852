-- Writes to Google and Microsoft, with the writer killed at any step: what the service has after the recovery by a new process is all of
-- the write or nothing of it, nothing is there twice, and the mirror says the same.

local emulator = require "spec.support.emulator"
local host = require "lunation.host"
local http = require "lunation.http"
local json = require "lunation.json"
local log = require "lunation.log"
local model = require "lunation.model"
local process = require "lunation.process"
local service_engine = require "spec.fixtures.service_engine"
local specs = require "spec.support.store"
local support = require "spec.support"
local tz = require "lunation.tz"

local SERVICES = {
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

for name, service in pairs(SERVICES) do
  describe("a process killed while it writes to " .. name .. " #slow", function()
    local emulated

    setup(function()
      log.configure { level = "error" }
      emulated = emulator.start(name, { users = { service.identity .. "=" .. service.token } })
    end)

    teardown(function() emulated.stop() end)

    local function open(path)
      local opened = specs.open { path = path, plain = true }
      return opened, service_engine.open(opened, name, emulated.url)
    end

    -- The service as every run begins with it, mirrored in a store of its own.
    local function prepare()
      emulated.reset()
      for _, event in ipairs(service.events) do
        local made = assert(http.request {
          method = "POST", url = emulated.url .. service.path, json = event, auth = { kind = "bearer", token = service.token },
        })
        assert.truthy(made.status < 300, made.body)
      end
      local dir = support.tmpdir()
      local opened, engine = open(dir .. "/store.db")
      local account = service_engine.account(opened, name, service.identity, service.token)
      assert(engine.sync:account(account.id))
      opened:close()
      return dir
    end

    local function run(dir, operation, step)
      local result = assert(process.run {
        args = { host.executable, "run", host.root .. "/spec/fixtures/kill_service.lua", dir .. "/store.db", name, emulated.url, operation, tostring(step) },
        stderr = "pipe",
      })
      if result.signal then return nil end
      assert(result.code == 0, result.stderr)
      return json.decode(result.stdout)
    end

    local function instances_of(opened)
      local found = {}
      local from, to = tz.to_utc("2025-01-01T00:00:00", "UTC"), tz.to_utc("2026-01-01T00:00:00", "UTC")
      for _, calendar in ipairs(opened:calendars { account = 1 }) do
        for row in assert(opened:events_since(calendar.key, 0)) do
          local event = not row.deleted and json.decode(row.event)
          for _, one in ipairs(event and assert(model.expand(event, from, to, 1000)) or {}) do
            local shown = one.recurrenceId and model.instance(event, one.recurrenceId) or event
            found[#found + 1] = tz.to_local(one.start, "UTC"):sub(1, 10) .. " " .. shown.title
          end
        end
      end
      table.sort(found)
      return table.concat(found, "\n")
    end

    -- What the service has, seen by a store that knows nothing, after a new process has recovered; and the mirror agrees.
    local function recovered(dir)
      local opened, engine = open(dir .. "/store.db")
      engine.write:recover()
      assert.same({}, opened:intents())
      assert(engine.sync:account(1, { force = true }))
      local mirrored = instances_of(opened)
      opened:close()
      local fresh, other = open(support.tmpdir() .. "/store.db")
      service_engine.account(fresh, name, service.identity, service.token)
      assert(other.sync:account(1))
      local there = instances_of(fresh)
      fresh:close()
      assert.equal(there, mirrored)
      return there
    end

    for _, operation in ipairs { "create", "create_once", "this", "following", "delete", "delete_following" } do
      it(operation .. " leaves all of it or nothing", function()
        local dir = prepare()
        local nothing = recovered(dir)
        local steps = assert(run(dir, operation, 0)).steps
        local whole = recovered(dir)
        assert.not_equal(nothing, whole)
        local outcomes = { [nothing] = 0, [whole] = 0 }
        for step = 1, steps do
          dir = prepare()
          assert(run(dir, operation, step) == nil, "step " .. step .. " was not reached")
          if operation == "create_once" then
            -- The client asks again under the same key: the event is there once.
            run(dir, operation, 0)
            assert.equal(whole, recovered(dir), "step " .. step)
          else
            local there = recovered(dir)
            assert.is_true(there == nothing or there == whole, ("step %d of %d:\n%s"):format(step, steps, there))
            outcomes[there] = outcomes[there] + 1
          end
        end
        assert.is_true(operation == "create_once" or outcomes[nothing] > 0 and outcomes[whole] > 0)
      end)
    end
  end)
end
