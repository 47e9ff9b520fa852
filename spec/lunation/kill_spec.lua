-- SIGKILL between any two steps of a write: afterwards a new process finds neither a doubled nor a half-split event, nor
-- has an acknowledged one been lost; the mirror says what the provider has, and nothing stays open.

local fake = require "spec.fixtures.fake_provider"
local host = require "lunation.host"
local json = require "lunation.json"
local model = require "lunation.model"
local operations = require "spec.fixtures.kill_operations"
local process = require "lunation.process"
local specs = require "spec.support.store"
local support = require "spec.support"
local task = require "lunation.task"
local tz = require "lunation.tz"

local template

local function prepare()
  local dir = support.tmpdir()
  local opened = specs.open { path = dir .. "/store.db", plain = true }
  local server = fake.open(dir .. "/server.db")
  local account = specs.furnish(opened, { calendars = {} })
  server:put("work", "series.ics", operations.series)
  server:put("work", "single.ics", operations.single)
  assert(fake.engine(opened, server).sync:account(account.id))
  opened:close()
  server:close()
  return dir
end

--- What a kill leaves: the databases and their logs.
local function copy(dir)
  local target = support.tmpdir()
  for _, name in ipairs { "store.db", "store.db-wal", "server.db", "server.db-wal" } do
    local file <close> = io.open(dir .. "/" .. name, "rb")
    if file then support.write(target .. "/" .. name, file:read("a")) end
  end
  return target
end

local function run(dir, operation, step)
  local result = assert(process.run {
    args = { host.executable, "run", host.root .. "/spec/fixtures/kill_write.lua", dir .. "/store.db", dir .. "/server.db",
      operation, tostring(step) },
    stderr = "pipe",
  })
  if result.signal then
    assert(result.signal == 9 or result.signal == "KILL", "ended by " .. tostring(result.signal))
    return nil
  end
  assert(result.code == 0, result.stderr)
  return json.decode(result.stdout)
end

--- "2025-03-07 Changed" for each instance of all events of a server, in order.
local function instances(server)
  local found = {}
  local from, to = tz.to_utc("2025-01-01T00:00:00", "UTC"), tz.to_utc("2026-01-01T00:00:00", "UTC")
  for _, native in ipairs(server:all("work")) do
    for _, one in ipairs(assert(model.expand(native.event, from, to, 1000))) do
      local shown = one.recurrenceId and model.instance(native.event, one.recurrenceId) or native.event
      found[#found + 1] = tz.to_local(one.start, "UTC"):sub(1, 10) .. " " .. shown.title
    end
  end
  table.sort(found)
  return table.concat(found, "\n")
end

local function recovered(dir)
  local opened = specs.open { path = dir .. "/store.db" }
  local server = fake.open(dir .. "/server.db")
  local engine = fake.engine(opened, server)
  engine.write:recover()
  assert.same({}, opened:intents())
  local key = opened:calendar_by_id(1, "work").key
  -- What recovery has put into the mirror is already what the provider has.
  local mirrored, there = {}, {}
  for row in assert(opened:events_since(key, 0)) do mirrored[row.id] = row.event end
  for _, native in ipairs(server:all("work")) do there[native.id] = json.encode(native.event, { sorted = true }) end
  assert(engine.sync:account(1, { force = true }))
  local synced = {}
  for row in assert(opened:events_since(key, 0)) do synced[row.id] = row.event end
  assert.same(there, synced)
  return { opened = opened, server = server, engine = engine, mirrored = mirrored, there = there }
end

describe("a process killed at any step of #slow", function()
  setup(function() template = prepare() end)

  local function expected(operation)
    local dir = copy(template)
    local ended = assert(run(dir, operation, 0))
    local server = fake.open(dir .. "/server.db")
    local after = instances(server)
    server:close()
    return ended.steps, after
  end

  local function before()
    local server = fake.open(template .. "/server.db")
    local found = instances(server)
    server:close()
    return found
  end

  it("its own recovery leaves all of it or nothing", function()
    local steps, whole = expected("following")
    local nothing = before()
    -- The first step after which the second half is there and the first is whole.
    local half
    for step = 1, steps do
      local dir = copy(template)
      run(dir, "following", step)
      local server = fake.open(dir .. "/server.db")
      local now, events = instances(server), #server:all("work")
      server:close()
      if events == 3 and now ~= whole then
        half = dir
        break
      end
    end
    assert.is_truthy(half, "the series is never half split")
    local recovery = assert(run(copy(half), "recover", 0)).steps
    assert.is_true(recovery > 6)
    local work = {}
    for step = 1, recovery do
      work[step] = function()
        local dir = copy(half)
        assert(run(dir, "recover", step) == nil, "step " .. step .. " was not reached")
        local found = recovered(dir)
        local now = instances(found.server)
        if now ~= whole and now ~= nothing then error("killed at step " .. step .. " of the recovery:\n" .. now, 0) end
        found.opened:close()
        found.server:close()
      end
    end
    for _, result in ipairs(task.all(work, { limit = 2 })) do
      if not result[1] then error(result[2], 0) end
    end
  end)

  for _, operation in ipairs {
    "create", "create_once", "this", "following", "all", "delete", "delete_this", "delete_following",
  } do
    it(operation .. " leaves all of it or nothing", function()
      local steps, whole = expected(operation)
      local nothing = before()
      assert.is_true(steps > 6)
      assert.not_equal(nothing, whole)
      local outcomes = { [nothing] = 0, [whole] = 0 }
      local work = {}
      for step = 1, steps do
        work[step] = function()
          local dir = copy(template)
          assert(run(dir, operation, step) == nil, "step " .. step .. " was not reached")
          local found = recovered(dir)
          local now = instances(found.server)
          if not outcomes[now] then error("killed at step " .. step .. ":\n" .. now, 0) end
          outcomes[now] = outcomes[now] + 1
          if operation == "create_once" then
            -- The client that got no answer asks again.
            local calendar = found.opened:calendar_by_id(1, "work")
            assert(operations.create_once(found.engine.write, calendar))
            assert(operations.create_once(found.engine.write, calendar))
            assert(instances(found.server) == whole, "asked again after step " .. step)
          end
          found.opened:close()
          found.server:close()
        end
      end
      for _, result in ipairs(task.all(work, { limit = 2 })) do
        if not result[1] then error(result[2], 0) end
      end
      -- Both ends are seen: early kills leave nothing, late ones all of it.
      assert.is_true(outcomes[nothing] > 0)
      assert.is_true(outcomes[whole] > 0)
    end)
  end
end)
