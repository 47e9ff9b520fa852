local http = require "lunation.http"
local json = require "lunation.json"
local support = require "spec.support"

-- Hooks and schedules of the scripts of `serve`: they are loaded by every worker, and run once.
describe("scripts of serve", function()
  local server

  after_each(function()
    if server and server.child:running() then server.stop "KILL" end
    server = nil
  end)

  local function lines(path)
    local file <close> = io.open(path)
    local list = {}
    for line in file and file:lines() or function() end do list[#list + 1] = line end
    return list
  end

  it("run each hook once for a change, whatever the number of workers, also after a reload", function()
    local dir = support.tmpdir()
    local told = dir .. "/told"
    support.write(dir .. "/hook.lua", ([[
      local cal = require "lunation"
      cal.on("event.created", function(event, ctx)
        local file <close> = io.open(%q, "a")
        file:write(event.title, " in ", ctx.calendar.title, "\n")
      end)
      cal.every("1s", function()
        local file <close> = io.open(%q, "a")
        file:write "tick\n"
      end, { name = "ticks" })
    ]]):format(told, dir .. "/ticks"))
    server = support.serve { dir = dir, config = 'app { id = "demo", secret = "s" } script "hook.lua"', args = { "--workers", "2" } }
    local env = { LUNATION_DATA = dir }
    local function run(words)
      words.env = env
      return support.lunation(words)
    end
    assert.are.equal(0, run({ "account", "add", "local", "--user", "alice", "--name", "work", "-c", server.config }).code)
    assert.are.equal(0, run({ "account", "sync", "-c", server.config }).code)
    local token = run({ "app", "token", "demo", "--user", "alice", "-c", server.config }).stdout:gsub("%s", "")
    local headers = { Authorization = "Bearer " .. token, ["content-type"] = "application/json" }
    local calendars = json.decode(assert(http.get(server.url .. "/api/calendars", { headers = headers })).body)
    local function create(title)
      local body = json.encode {
        provider = "local", calendarId = calendars[1].id, title = title, start = "2025-11-03T09:00:00Z", ["end"] = "2025-11-03T10:00:00Z",
      }
      local response = assert(http.post(server.url .. "/api/event", body, { headers = headers }))
      assert.are.equal(200, response.status // 100 * 100, response.body)
    end
    for i = 1, 5 do create("event " .. i) end
    support.eventually(function() return #lines(told) >= 5 end, 20, "five calls")
    server.child:kill "HUP"
    support.eventually(function() return select(2, support.read(server.log):gsub("reloaded", "")) == 2 end)
    for i = 6, 8 do create("event " .. i) end
    support.eventually(function() return #lines(told) >= 8 end, 20, "eight calls")
    support.eventually(function() return #lines(dir .. "/ticks") >= 2 end)
    local seen = {}
    for _, line in ipairs(lines(told)) do
      assert.is_nil(seen[line], line)
      seen[line] = true
    end
    for i = 1, 8 do assert.is_true(seen["event " .. i .. " in work"], "event " .. i) end
    assert.are.same({ code = 0 }, server.stop())
  end)
end)
