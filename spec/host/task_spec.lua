local task = require "lunation.task"
local timer = require "lunation.timer"

describe("tasks", function()
  it("run side by side and give their results in order", function()
    local seen = {}
    local results = task.all {
      function() timer.sleep(0.02) seen[#seen + 1] = "slow" return "a", nil, "c" end,
      function() seen[#seen + 1] = "quick" return "b" end,
    }
    assert.are.same({ "quick", "slow" }, seen)
    assert.are.same({ true, "a", nil, "c", n = 4 }, results[1])
    assert.are.same({ true, "b", n = 2 }, results[2])
  end)

  it("keep to the limit", function()
    local now, most = 0, 0
    local function work()
      now = now + 1
      most = math.max(most, now)
      timer.sleep(0.001)
      now = now - 1
    end
    task.all({ work, work, work, work, work }, { limit = 2 })
    assert.are.equal(2, most)
  end)

  it("hand an error over as a value", function()
    local ok, err = task.spawn(function() error({ code = "conflict" }) end):wait()
    assert.is_nil(ok)
    assert.are.equal("conflict", err.code)
  end)

  it("close their variables when they are cancelled", function()
    local closed
    local handle = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      timer.sleep(60)
    end)
    timer.sleep(0)
    handle:cancel()
    assert.is_true(closed)
    assert.is_true(handle:done())
    local ok, err = handle:wait()
    assert.is_nil(ok)
    assert.are.equal("cancelled", err.code)
  end)

  it("leave no message handler behind when they are cancelled", function()
    for _ = 1, 3 do
      local cancelled = task.spawn(function() xpcall(timer.sleep, function() error("stale") end, 60) end)
      timer.sleep(0)
      cancelled:cancel()
      local ok, err = task.spawn(function() error({ code = "own" }) end):wait()
      assert.is_nil(ok)
      assert.are.equal("own", err.code)
    end
  end)

  it("close the variables of a coroutine that a wait passed through", function()
    local closed = {}
    local handle = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() closed[#closed + 1] = "outer" end })
      coroutine.wrap(function()
        local _ <close> = setmetatable({}, { __close = function() closed[#closed + 1] = "inner" end })
        timer.sleep(60)
      end)()
    end)
    timer.sleep(0)
    handle:cancel()
    assert.are.same({ "inner", "outer" }, closed)
  end)

  it("can be cancelled before they begin", function()
    local handle = task.spawn(function() error "never" end)
    handle:cancel()
    assert.are.equal("cancelled", select(2, handle:wait()).code)
  end)

  it("end at a deadline", function()
    local value, err = task.deadline(0.01, function() timer.sleep(60) end)
    assert.is_nil(value)
    assert.are.equal("timeout", err.code)
    assert.are.same({ 1, 2 }, { task.deadline(5, function(a) return a, 2 end, 1) })
    assert.has_error(function() task.deadline(5, function() error("oops", 0) end) end)
  end)

  it("wake a chain of waiters without growing the C stack", function()
    local last
    local first = task.spawn(function() timer.sleep(0) return 0 end)
    last = first
    for _ = 1, 5000 do
      local before = last
      last = task.spawn(function() return select(2, before:wait()) + 1 end)
    end
    assert.are.same({ true, 5000 }, { last:wait() })
  end)
end)

describe("a wait", function()
  it("passes through the user's coroutines, and their own yields do not", function()
    local co = coroutine.create(function(a)
      timer.sleep(0.001)
      local b = coroutine.yield(a + 1)
      timer.sleep(0.001)
      return b * 2
    end)
    assert.are.same({ true, 2 }, { coroutine.resume(co, 1) })
    assert.are.equal("suspended", coroutine.status(co))
    assert.are.same({ true, 10 }, { coroutine.resume(co, 5) })
    assert.are.equal("dead", coroutine.status(co))
    assert.are.same({ false, "cannot resume dead coroutine" }, { coroutine.resume(co) })
  end)

  it("works in an iterator made by coroutine.wrap", function()
    local sum = 0
    for n in coroutine.wrap(function()
      for i = 1, 3 do timer.sleep(0) coroutine.yield(i) end
    end) do sum = sum + n end
    assert.are.equal(6, sum)
  end)

  it("works under pcall, and errors keep their place", function()
    local ok, err = pcall(function()
      timer.sleep(0)
      error "after the wait"
    end)
    assert.is_false(ok)
    assert.matches("task_spec.lua:%d+: after the wait", err)
  end)

  it("is refused, by name, where a C function cannot be left", function()
    local ok, err = pcall(string.gsub, "x", "x", function() timer.sleep(0) end)
    assert.is_false(ok)
    assert.matches("cannot be left", err)
    ok, err = pcall(table.sort, { 1, 2 }, function()
      return coroutine.wrap(function() timer.sleep(0) end)()
    end)
    assert.is_false(ok)
    assert.matches("cannot be left", err)
  end)
end)

describe("timers", function()
  it("fire once, again and again, and not after cancel", function()
    local once, often = 0, 0
    timer.after(0.001, function() once = once + 1 end)
    local never = timer.after(0.001, function() once = 100 end)
    never:cancel()
    local every = timer.every(0.002, function() often = often + 1 end)
    while often < 3 do timer.sleep(0.001) end
    every:cancel()
    local then_ = often
    timer.sleep(0.01)
    assert.are.equal(then_, often)
    assert.are.equal(1, once)
  end)

  it("keep time", function()
    local before = timer.now()
    timer.sleep(0.02)
    assert.is_true(timer.now() - before >= 0.019)
    assert.is_true(math.abs(timer.time() - os.time()) < 2)
    assert.has_error(function() timer.sleep(-1) end)
    assert.has_error(function() timer.every(0, print) end)
  end)
end)
