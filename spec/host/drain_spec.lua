local raw = require "spec.support.raw"
local server = require "lunation.server"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

local listeners = {}
local function listen(handler)
  local listener = assert(server.listen("http://127.0.0.1:0", {}, handler))
  listeners[#listeners + 1] = listener
  return listener
end

local function text(body) return { status = 200, headers = { ["content-type"] = "text/plain" }, body = body } end

describe("a listener that drains", function()
  after_each(function()
    for _, listener in ipairs(listeners) do listener:close() end
    listeners = {}
  end)

  it("finishes what runs, ends what is idle, and lets nothing new in", function()
    local release, started = false, 0
    local listener = listen(function()
      started = started + 1
      support.eventually(function() return release end)
      return text("done")
    end)
    local url = listener.url
    local idle = raw.connect(url)
    local busy = task.spawn(function()
      local peer = raw.connect(url)
      peer:send(raw.get("/"))
      local response = peer:response()
      return response.body, response.headers.connection, (peer:ended())
    end)
    support.eventually(function() return started == 1 end)
    local drained = task.spawn(function() return listener:drain(10) end)
    assert.is_true(idle:ended())
    assert.has_error(function() raw.connect(url) end)
    release = true
    assert.are.same({ true, "done", "close", true, n = 4 }, table.pack(busy:wait()))
    assert.are.same({ true, true, n = 2 }, table.pack(drained:wait()))
  end)

  it("cuts off at the drain's deadline what does not end", function()
    local state
    local listener = listen(function()
      local _ <close> = setmetatable({}, { __close = function() state = "closed" end })
      state = "waiting"
      timer.sleep(60)
    end)
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    support.eventually(function() return state == "waiting" end)
    assert.is_false(listener:drain(0.05))
    assert.are.equal("closed", state)
    assert.is_true(peer:ended())
  end)

  it("answers requests that arrived before a drain", function()
    local listener = listen(function() return text("in time") end)
    local peers = {}
    for i = 1, 20 do
      peers[i] = raw.connect(listener.url)
      peers[i]:send(raw.get("/"))
    end
    assert.is_true(listener:drain(5))
    for _, peer in ipairs(peers) do assert.are.equal("in time", peer:response().body) end
  end)
end)

describe("TERM under load", function()
  it("ends the service without a dropped request", function()
    local service = support.serve { config = "workers(2)" }
    local answered, dropped = 0, {}
    -- Asks until it is told "connection: close", then connects again, until nobody listens any more.
    local function client()
      while true do
        local connected, peer = pcall(raw.connect, service.url)
        if not connected then return end
        repeat
          peer:send(raw.get("/api/health"))
          local response, err = peer:response { timeout = 5 }
          if not response or response.status ~= 200 then
            dropped[#dropped + 1] = tostring(response and response.status or err)
            return peer:close()
          end
          answered = answered + 1
          timer.sleep(0.0005)
        until response.headers.connection == "close"
        peer:close()
      end
    end
    local clients = {}
    for i = 1, 20 do clients[i] = task.spawn(client) end
    support.eventually(function() return answered > 500 end)
    local status = service.stop()
    for _, handle in ipairs(clients) do assert(handle:wait()) end
    assert.are.same({}, dropped)
    assert.are.equal(0, status.code)
  end)
end)
