-- Writes to Google and Microsoft, with the writer killed at any step: what the service has after the recovery by a new process is all of
-- the write or nothing of it, nothing is there twice, and the mirror says the same.

local host = require "lunation.host"
local json = require "lunation.json"
local log = require "lunation.log"
local process = require "lunation.process"
local services = require "spec.support.services"

local with_exceptions = { following = true, all = true, delete_rest = true }

for _, name in ipairs(services.names) do
  describe("a process killed while it writes to " .. name .. " #slow", function()
    local service

    setup(function()
      log.configure { level = "error" }
      service = services.start(name)
    end)

    teardown(function() service.emulated.stop() end)

    local function run(dir, operation, step)
      local result = assert(process.run {
        args = { host.executable, "run", host.root .. "/spec/fixtures/kill_service.lua", dir .. "/store.db", name, service.emulated.url, operation,
          tostring(step) },
        stderr = "pipe",
      })
      if result.signal then return nil end
      assert(result.code == 0, result.stderr)
      return json.decode(result.stdout)
    end

    for _, operation in ipairs { "create", "create_once", "create_series", "this", "following", "all", "delete", "delete_following", "delete_rest" } do
      it(operation .. " leaves all of it or nothing", function()
        local also = with_exceptions[operation] and services.course or nil
        local dir = service:prepare(also)
        local nothing = service:recovered(dir)
        local steps = assert(run(dir, operation, 0)).steps
        local whole = service:recovered(dir)
        assert.not_equal(nothing, whole)
        local outcomes = { [nothing] = 0, [whole] = 0 }
        for step = 1, steps do
          dir = service:prepare(also)
          assert(run(dir, operation, step) == nil, "step " .. step .. " was not reached")
          if operation == "create_once" then
            -- The client asks again under the same key: the event is there once.
            run(dir, operation, 0)
            assert.equal(whole, service:recovered(dir), "step " .. step)
          else
            local there = service:recovered(dir)
            assert.is_true(there == nothing or there == whole, ("step %d of %d:\n%s"):format(step, steps, there))
            outcomes[there] = outcomes[there] + 1
          end
        end
        assert.is_true(operation == "create_once" or outcomes[nothing] > 0 and outcomes[whole] > 0)
      end)
    end
  end)
end
