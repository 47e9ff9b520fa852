-- Several processes that write and sync the same account at the same time, while other clients change it too.

local fake = require "spec.fixtures.fake_provider"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local specs = require "spec.support.store"
local support = require "spec.support"

describe("three workers on one account #slow", function()
  it("lose nothing, double nothing, and end with the provider's state", function()
    local dir = support.tmpdir()
    local opened = specs.open { path = dir .. "/store.db" }
    local server = fake.open(dir .. "/server.db", { page = 7 })
    local account = specs.furnish(opened, { calendars = {} })
    local engine = fake.engine(opened, server)
    assert(engine.sync:account(account.id))
    local workers, made = {}, 0
    for index = 1, 3 do
      workers[index] = assert(process.spawn {
        args = { host.executable, "run", host.root .. "/spec/fixtures/busy_worker.lua", dir .. "/store.db", dir .. "/server.db",
          tostring(index), "150" },
        stdout = "pipe", stderr = "inherit",
      })
    end
    for _, worker in ipairs(workers) do
      local text = worker:read_all()
      assert.equal(0, worker:wait(60).code)
      made = made + tonumber(text)
    end
    assert.same({}, opened:intents())
    assert(engine.sync:account(account.id, { force = true }))
    local there, here, ours = {}, {}, 0
    for _, native in ipairs(server:all("work")) do
      there[native.id] = { native.etag, native.event }
      if not native.id:find("^other") then ours = ours + 1 end
    end
    local key = opened:calendar_by_id(account.id, "work").key
    for row in assert(opened:events_since(key, 0)) do
      here[row.id] = { opened:event_by_key(row.key).etag, json.decode(row.event) }
    end
    assert.same(there, here)
    -- A deletion by one worker may be of an event that was changed elsewhere, never of one that was not there.
    assert.is_true(ours >= made)
    server:close()
  end)
end)
