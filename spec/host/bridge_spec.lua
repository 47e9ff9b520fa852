local bridge = require "lunation.bridge"
local host = require "lunation.host"
local support = require "spec.support"
local task = require "lunation.task"

local MODULE = "spec.fixtures.bridge.far"

describe("a bridge to another state", function()
  local far

  before_each(function()
    far = bridge.open(8 * 1024 * 1024)
    -- the far state has only the product's own search path
    assert(far:call("lunation.strict", "path", host.root))
  end)

  after_each(function() far:close() end)

  it("copies plain values both ways", function()
    local value = { 1, 2.5, "three", nested = { yes = true, [7] = "seven" } }
    assert.are.same({ true, value, nil, false, "\0\xff", n = 5 }, table.pack(far:call(MODULE, "echo", value, nil, false, "\0\xff")))
    assert.are.same({ true, {} }, { far:call(MODULE, "echo", { print = print }) })
  end)

  it("waits over there while others run here", function()
    local order = {}
    task.all {
      function()
        local _, word = far:call(MODULE, "sleep", 0.02)
        order[#order + 1] = word
      end,
      function() order[#order + 1] = "quick" end,
    }
    assert.are.same({ "quick", "slept" }, order)
  end)

  it("hands errors over", function()
    local ok, err = far:call(MODULE, "fail", { code = "conflict", message = "no" })
    assert.is_nil(ok)
    assert.are.equal("conflict", err.code)
    assert.are.equal("no", tostring(err))
    ok, err = far:call(MODULE, "fail", "text")
    assert.is_nil(ok)
    assert.are.equal("internal", err.code)
    assert.matches("text", err.message)
    ok, err = far:call("no.such.module", "x")
    assert.is_nil(ok)
    assert.matches("no.such.module", err.message)
  end)

  it("survives a far side that is out of memory", function()
    local ok, err = far:call(MODULE, "hoard")
    assert.is_nil(ok)
    assert.matches("not enough memory", err.message)
    assert.are.same({ true, "still here" }, { far:call(MODULE, "echo", "still here") })
    local _, peak = far:memory()
    assert.is_true(peak <= 8 * 1024 * 1024 + 65536)
  end)

  it("ends the far task when the caller goes", function()
    local caller = task.spawn(function() far:call(MODULE, "guarded") end)
    support.eventually(function() return select(2, far:call(MODULE, "count", "begun")) == 1 end)
    caller:cancel()
    support.eventually(function() return select(2, far:call(MODULE, "count", "closed")) == 1 end)
  end)

  it("refuses to be used when it is closed, and ends what runs", function()
    local caller = task.spawn(function() return far:call(MODULE, "sleep", 60) end)
    far:call(MODULE, "echo")
    far:close()
    local _, ok, err = caller:wait()
    assert.is_nil(ok)
    assert.are.equal("cancelled", err.code)
    assert.has_error(function() far:call(MODULE, "echo") end)
  end)
end)
