local ratelimit = require "lunation.ratelimit"

describe("a rate limit", function()
  it("lets a minute's worth through at once and then as many as come back", function()
    local now = 100.0
    local limit = ratelimit.new(60, function() return now end)
    for _ = 1, 60 do assert.is_true(limit:take("a")) end
    assert.are.same({ false, 1, n = 2 }, table.pack(limit:take("a")))
    assert.is_true(limit:take("b"))
    now = now + 0.5
    assert.is_false(limit:take("a"))
    now = now + 0.5
    assert.is_true(limit:take("a"))
    assert.is_false(limit:take("a"))
    now = now + 3600
    for _ = 1, 60 do assert.is_true(limit:take("a")) end
    assert.is_false(limit:take("a"))
  end)

  it("says how long to wait, in whole seconds", function()
    local now = 0.0
    local limit = ratelimit.new(2, function() return now end)
    assert.is_true(limit:take("a"))
    assert.is_true(limit:take("a"))
    assert.are.same({ false, 30, n = 2 }, table.pack(limit:take("a")))
    now = 29.5
    assert.are.same({ false, 1, n = 2 }, table.pack(limit:peek("a")))
    now = 30
    assert.is_true(limit:peek("a"))
    assert.is_true(limit:take("a"))
  end)

  it("stays bounded however many keys come", function()
    local now = 0.0
    local limit = ratelimit.new(1, function() return now end)
    for i = 1, 30000 do
      now = now + 0.001
      limit:take("key " .. i)
    end
    local n = 0
    for _ in pairs(limit.level) do n = n + 1 end
    assert.is_true(n <= 10001)
  end)
end)
