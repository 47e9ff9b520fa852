-- What services should never answer, through the whole of a sync: each has a name on its account, with the original kept, and the rest
-- of the sync is done.

local config = require "lunation.config"
local emulator = require "spec.support.emulator"
local engines = require "lunation.engine"
local http = require "lunation.http"
local json = require "lunation.json"
local log = require "lunation.log"
local support = require "spec.support"

local SERVICES = {
  google = {
    user = { "alice@example.com", "token-a" }, urls = function(url) return { calendar = url } end, events = "/events$",
    calendar = function(url) return url .. "/calendar/v3/calendars" end, made = function(calendar) return { summary = calendar } end,
    event = function(url, id) return url .. "/calendar/v3/calendars/" .. id .. "/events" end,
    body = function(title)
      return { summary = title, start = { dateTime = "2025-11-03T12:00:00Z" }, ["end"] = { dateTime = "2025-11-03T13:00:00Z" } }
    end,
  },
  microsoft = {
    user = { "alice@example.org", "token-m" }, urls = function(url) return { graph = url .. "/v1.0" } end, events = "/events$",
    calendar = function(url) return url .. "/v1.0/me/calendars" end, made = function(calendar) return { name = calendar } end,
    event = function(url, id) return url .. "/v1.0/me/calendars/" .. id .. "/events" end,
    body = function(title)
      return {
        subject = title, start = { dateTime = "2025-11-03T12:00:00", timeZone = "UTC" }, ["end"] = { dateTime = "2025-11-03T13:00:00", timeZone = "UTC" },
      }
    end,
  },
}

for name, service in pairs(SERVICES) do
  describe("useless answers of " .. name, function()
    local emulated, engine, account, calendars

    local function post(url, body)
      local answer = assert(http.request { method = "POST", url = url, json = body, auth = { kind = "bearer", token = service.user[2] } })
      assert.truthy(answer.status < 300, answer.body)
      return answer:json()
    end

    setup(function()
      log.configure { level = "error" }
      emulated = emulator.start(name, { users = { service.user[1] .. "=" .. service.user[2] } })
      local dir = support.tmpdir()
      local path = support.write(dir .. "/lunation.conf.lua", ('store "sqlite:%s/lunation.db"\nlimits { pages=30, retry_wait="1s" }\n')
        :format(dir))
      local cfg = assert(config.load(path))
      cfg.providers[name] = { urls = service.urls(emulated.url) }
      engine = assert(engines.open(cfg))
      assert(engine.store:app_add { id = "demo", name = "Demo" })
      local user = assert(engine.store:user("demo", "ada", { create = true }))
      account = assert(engine.store:account_add {
        user = user.id, provider = name, identity = service.user[1], credentials = { token = service.user[2] }, settings = {},
      })
      calendars = {}
      for _, title in ipairs { "Sound", "Broken" } do
        local made = post(service.calendar(emulated.url), service.made(title))
        calendars[title] = made.id
        for index = 1, 3 do post(service.event(emulated.url, made.id), service.body(title .. " " .. index)) end
      end
    end)

    teardown(function()
      engine:close()
      emulated.stop()
    end)

    -- Forgets the mirror of the calendar that breaks, so that the next sync lists it.
    local function forget()
      local row = engine.store:calendar_by_id(account.id, calendars.Broken)
      if row then
        engine.store.db:write(function(sql)
          sql.run("UPDATE calendars SET state = NULL, state_version = state_version + 1 WHERE key = ?", row.key)
          return true
        end)
      end
    end

    local function titles(title)
      local found = {}
      for row in assert(engine.store:events_since(engine.store:calendar_by_id(account.id, calendars[title]).key, 0)) do
        if not row.deleted then found[#found + 1] = json.decode(row.event).title end
      end
      table.sort(found)
      return found
    end

    local function literal(text) return (text:gsub("%p", "%%%0")) end

    local function broken(fault)
      forget()
      fault.match = { path = literal(calendars.Broken) .. service.events, method = "GET" }
      fault.times = fault.times or 1
      emulated.fault(fault)
      post(service.event(emulated.url, calendars.Sound), service.body("after " .. fault.fault))
      engine.sync:account(account.id, { force = true })
      emulated.clear()
      -- The other calendar has what is new.
      local seen
      for _, title in ipairs(titles "Sound") do seen = seen or title == "after " .. fault.fault end
      assert.is_true(seen, fault.fault)
      return engine.store:account(account.id)
    end

    it("of a page have a name, and leave the mirror as it was", function()
      assert(engine.sync:account(account.id, { force = true }))
      for _, each in ipairs {
        { { fault = "not_json", times = 9 }, "answer_not_json", "<" },
        { { fault = "huge", times = 9 }, "answer_too_large" },
        { { fault = "endless", same = true, times = 99 }, "endless_listing" },
        { { fault = "endless", times = 99 }, "endless_listing" },
      } do
        local row = broken(each[1])
        assert.equal(each[2], row.error and row.error.code, each[1].fault)
        assert.is_string(row.error.message)
        if each[3] then assert.truthy(row.error.details.original:find(each[3], 1, true), each[1].fault) end
        assert.same({ "Broken 1", "Broken 2", "Broken 3" }, titles "Broken")
      end
    end)

    it("of one event leave the others, and the event has a name", function()
      for _, fault in ipairs { "impossible_date", "missing_field", "unknown_enum" } do
        local row = broken { fault = fault }
        assert.equal("active", row.status, fault)
        assert.equal("invalid_answer", row.error and row.error.code, fault)
        assert.is_string(row.error.details.original, fault)
      end
      -- The next listing without faults is whole again.
      forget()
      assert(engine.sync:account(account.id, { force = true }))
      assert.is_nil(engine.store:account(account.id).error)
      assert.same({ "Broken 1", "Broken 2", "Broken 3" }, titles "Broken")
    end)
  end)
end
