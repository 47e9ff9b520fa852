-- Writes to Google and Microsoft whose answers do not arrive, or say that they failed though they did not: each is there once or not at
-- all, whoever asked is not told that it is there when it is not, and the mirror says what the service has.

local json = require "lunation.json"
local log = require "lunation.log"
local services = require "spec.support.services"

local FRESH = { ["@type"] = "Event", title = "Fresh", start = "2025-05-01T09:00:00", duration = "PT1H", timeZone = "Etc/UTC" }
local MIDDLE = "2025-03-07T09:00:00"

local OPERATIONS = {
  create = function(write, calendar) return write:create { calendar = calendar, event = FRESH } end,
  this = function(write, calendar, ids)
    return write:update { calendar = calendar, id = ids.Daily, recurrenceId = MIDDLE, scope = "this", patch = { title = "Changed" } }
  end,
  following = function(write, calendar, ids)
    return write:update { calendar = calendar, id = ids.Daily, recurrenceId = MIDDLE, scope = "following", patch = { title = "Changed" } }
  end,
  delete = function(write, calendar, ids) return write:delete { calendar = calendar, id = ids.Once } end,
}

for _, name in ipairs(services.names) do
  describe("answers that are lost by " .. name .. " #slow", function()
    local service

    setup(function()
      log.configure { level = "error" }
      service = services.start(name)
    end)

    teardown(function() service.emulated.stop() end)

    local function write(dir, operation)
      local opened, engine = service:open(dir .. "/store.db")
      local calendar, ids
      for _, each in ipairs(opened:calendars { account = 1 }) do
        local found = {}
        for row in assert(opened:events_since(each.key, 0)) do
          if not row.deleted then found[json.decode(row.event).title] = row.id end
        end
        if found.Daily then calendar, ids = each, found end
      end
      local result, err = OPERATIONS[operation](engine.write, calendar, ids)
      opened:close()
      return result, err
    end

    for operation in pairs(OPERATIONS) do
      it("leave all of " .. operation .. " or nothing", function()
        local dir = service:prepare()
        local nothing = service:recovered(dir)
        assert(write(dir, operation))
        local whole = service:recovered(dir)
        for _, fault in ipairs { { fault = "cut" }, { fault = "status", status = 503, done = true } } do
          for after = 0, 2 do
            for _, method in ipairs { "POST", "PATCH", "DELETE" } do
              dir = service:prepare()
              local one = { match = { method = method, path = "/events" }, times = 1, after = after }
              for key, value in pairs(fault) do one[key] = value end
              service.emulated.fault(one)
              local result = write(dir, operation)
              service.emulated.clear()
              local there = service:recovered(dir)
              local told = ("%s, %s %s after %d"):format(operation, json.encode(fault), method, after)
              assert.is_true(there == nothing or there == whole, told .. ":\n" .. there)
              if result then assert.equal(whole, there, told) end
            end
          end
        end
      end)
    end
  end)
end
