local raw = require "spec.support.raw"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

describe("TERM under load", function()
  it("ends the service without a dropped request", function()
    local server = support.serve { config = "workers(2)" }
    local answered, dropped = 0, {}
    -- Asks until it is told "connection: close", then connects again, until nobody listens any more.
    local function client()
      while true do
        local connected, peer = pcall(raw.connect, server.url)
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
    local status = server.stop()
    for _, handle in ipairs(clients) do assert(handle:wait()) end
    assert.are.same({}, dropped)
    assert.are.equal(0, status.code)
  end)
end)
