local http = require "lunation.http"
local ratelimit = require "lunation.ratelimit"
local support = require "spec.support"
local timer = require "lunation.timer"

describe("a rate limit", function()
  it("lets a minute's worth through at once and then as many as come back", function()
    local now = 100.0
    local limit = ratelimit.new(60, { clock = function() return now end })
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
    local limit = ratelimit.new(2, { clock = function() return now end })
    assert.is_true(limit:take("a"))
    assert.is_true(limit:take("a"))
    assert.are.same({ false, 30, n = 2 }, table.pack(limit:take("a")))
    now = 29.5
    assert.are.same({ false, 1, n = 2 }, table.pack(limit:peek("a")))
    now = 30
    assert.is_true(limit:peek("a"))
    assert.is_true(limit:take("a"))
  end)

  it("counts together what has one name, and apart what has none", function()
    local function new(name) return ratelimit.new(1, { name = name, clock = function() return 50.0 end }) end
    assert.is_true(new("spec together"):take("a"))
    assert.is_false(new("spec together"):take("a"))
    assert.is_true(new("spec other"):take("a"))
    assert.is_true(new():take("a"))
    assert.is_true(new():take("a"))
  end)

  it("takes any number of keys", function()
    local now = 10.0
    local limit = ratelimit.new(1, { clock = function() return now end })
    local allowed = 0
    for i = 1, 50000 do
      now = now + 0.0001
      if limit:take("key " .. i) then allowed = allowed + 1 end
    end
    assert.are.equal(50000, allowed)
    assert.is_true(limit:take("still"))
    assert.is_false(limit:take("still"))
  end)

  it("holds over all workers, and over a reload", function()
    local server = support.serve { config = 'workers(2) limits { requests_per_minute = 20 }' }
    local statuses, began = { [200] = 0, [429] = 0 }, timer.now()
    -- one comes back every three seconds; the wait for the first answer has taken one or two
    local function most() return 20 + math.ceil((timer.now() - began) / 3) end
    local function ask(n)
      for _ = 1, n do
        local client = http.client { headers = { ["connection"] = "close" } }
        local response = assert(client:get(server.url .. "/api/health"))
        statuses[response.status] = statuses[response.status] + 1
        client:close()
      end
    end
    ask(30)
    assert.is_true(statuses[200] >= 17 and statuses[200] <= most(), statuses[200] .. " let through")
    server.child:kill("HUP")
    support.eventually(function()
      local _, n = support.read(server.log):gsub("reloaded", "")
      return n >= 2
    end)
    ask(5)
    server.stop()
    assert.is_true(statuses[200] <= most(), statuses[200] .. " let through after the reload")
  end)
end)
