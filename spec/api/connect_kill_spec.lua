-- A worker of `serve` is killed while it answers POST /api/event; the client asks again under the same Idempotency-Key
-- until it is answered. However often that happens, each key has made one event on the server.

local http = require "lunation.http"
local json = require "lunation.json"
local process = require "lunation.process"
local servers = require "spec.servers"
local support = require "spec.support"
local timer = require "lunation.timer"

if not servers.has("radicale") then return end

describe("a client that asks again after its worker was killed #slow #servers", function()
  local radicale, server, token, calendar

  setup(function()
    radicale = assert(servers.start("radicale"))
    calendar = servers.make_calendar(radicale, "alice", "work", "Work")
    local dir = support.tmpdir()
    local config = 'workers(2)\noutgoing { allow={ "127.0.0.1/32" } }\n'
    local path = support.write(dir .. "/lunation.conf.lua", config)
    local function command(words)
      for _, word in ipairs { "--json", "-c", path } do words[#words + 1] = word end
      words.env = { LUNATION_DATA = dir }
      local result = support.lunation(words)
      if result.code ~= 0 then error(result.stderr, 2) end
      return json.decode(result.stdout)
    end
    local app = command { "app", "add", "Demo", "--redirect-uri", "http://127.0.0.1/cb" }
    command { "account", "add", "caldav", "--user", "ada", "--url", radicale.url, "--username", "alice", "--password-stdin",
      stdin = radicale.users.alice }
    token = command({ "app", "token", app.client_id, "--user", "ada" }).access_token
    server = support.serve { dir = dir, config = config }
  end)

  teardown(function()
    if server then server.stop() end
    if radicale then radicale:stop() end
  end)

  local function workers()
    local file <close> = assert(io.open(("/proc/%d/task/%d/children"):format(server.child.pid, server.child.pid)))
    local pids = {}
    for pid in file:read("a"):gmatch("%d+") do pids[#pids + 1] = math.tointeger(tonumber(pid)) end
    return pids
  end

  local function post(key)
    return http.request {
      method = "POST", url = server.url .. "/api/event", http2 = false, timeout = 20,
      headers = { authorization = "Bearer " .. token, ["content-type"] = "application/json", ["idempotency-key"] = key },
      body = json.encode {
        provider = "caldav", calendarId = calendar, title = key, start = "2025-05-01T09:00:00Z", ["end"] = "2025-05-01T10:00:00Z",
      },
    }
  end

  it("finds one event of each request", function()
    assert.equal(200, assert(http.get(server.url .. "/api/calendars", { headers = { authorization = "Bearer " .. token } })).status)
    local answers = {}
    for round = 1, 6 do
      local key = "key-" .. round
      -- Ever later in the life of a request, from before it is read to after it is answered.
      local killer = timer.after(round * 0.004, function()
        for _, pid in ipairs(workers()) do process.kill(pid, "KILL") end
      end)
      answers[key] = support.eventually(function()
        local answer = post(key)
        return answer and answer.status == 200 and json.decode(answer.body)
      end, 30, key .. " is answered")
      killer:cancel()
    end
    local listing = assert(http.request {
      method = "PROPFIND", url = calendar, headers = { depth = "1" },
      auth = { kind = "basic", username = "alice", password = radicale.users.alice },
    })
    local count = 0
    for _ in listing.body:gmatch("%.ics</[^>]*href>") do count = count + 1 end
    assert.equal(6, count)
    local ids = {}
    for key, answer in pairs(answers) do
      assert.equal(key, answer.title)
      assert.is_nil(ids[answer.id])
      ids[answer.id] = true
    end
  end)
end)
