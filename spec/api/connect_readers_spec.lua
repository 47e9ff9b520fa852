-- Two workers of `serve` and a hundred readers of an expired mirror: the provider is asked once, and all are answered
-- with what it said. What is late or fails is named in Lunation-Stale.

local http = require "lunation.http"
local json = require "lunation.json"
local specs = require "spec.support.store"
local support = require "spec.support"
local timer = require "lunation.timer"

-- Notes each call in a file, answers slowly, and fails or is slower where a file says so.
local PROVIDER = [[
local timer = require "lunation.timer"
local dir = %q

local function has(name)
  local file = io.open(dir .. "/" .. name)
  return file and (file:close() or true)
end

return {
  name = "counted", title = "Counted", auth = { kind = "none" }, can = { write = false },
  event = { to = function(_, native) return native end, from = function(_, event) return event end },
  calendar = { to = function(_, native) return native end, from = function(_, calendar) return calendar end },
  calendars = function() return { { id = "home", title = "Home", components = { "VEVENT" }, readOnly = true } } end,
  changes = function()
    local log = io.open(dir .. "/calls", "a")
    log:write("called\n")
    log:close()
    timer.sleep(has("slow") and 3 or 0.15)
    if has("broken") then return nil, { code = "provider_error", message = "The server failed." } end
    local count = 0
    for _ in io.lines(dir .. "/calls") do count = count + 1 end
    local given = false
    return function()
      if given then return nil end
      given = true
      return { reset = true, deletes = {}, state = { n = count }, upserts = { {
        ["@type"] = "Event", id = "one", uid = "one", title = "Call " .. count, start = "2025-03-03T09:00:00", duration = "PT1H",
        timeZone = "Etc/UTC",
      } } }
    end
  end,
}
]]

describe("readers of an expired mirror over HTTP #slow", function()
  local server, opened, token, id

  setup(function()
    local dir = support.tmpdir()
    support.write(dir .. "/counted.lua", PROVIDER:format(dir))
    local config = ('workers(2)\nprovider_path { %q }\nsync { max_age = "30s", deadline = "1s" }\n'):format(dir)
    local path = support.write(dir .. "/lunation.conf.lua", config)
    local function command(words)
      words[#words + 1], words[#words + 2], words[#words + 3] = "--json", "-c", path
      words.env = { LUNATION_DATA = dir }
      local result = support.lunation(words)
      if result.code ~= 0 then error(result.stderr, 2) end
      return json.decode(result.stdout)
    end
    local app = command { "app", "add", "Demo", "--redirect-uri", "http://127.0.0.1/cb" }
    id = command({ "account", "add", "counted", "--user", "ada", "--name", "Ada" }).id
    token = command({ "app", "token", app.client_id, "--user", "ada" }).access_token
    server = support.serve { dir = dir, config = config }
    local key = support.read(dir .. "/lunation.key")
    opened = specs.open { path = dir .. "/lunation.db", key = #key == 32 and key or nil, plain = true }
  end)

  teardown(function()
    if server then server.stop() end
  end)

  local function calls()
    local count = 0
    local file = io.open(server.dir .. "/calls")
    for _ in file and file:lines() or function() end do count = count + 1 end
    return count
  end

  local function request()
    return {
      url = server.url .. "/api/events?start=2025-03-01&end=2025-03-31", headers = { authorization = "Bearer " .. token },
      http2 = false, timeout = 20,
    }
  end

  local function expire()
    assert(opened:account_update(id, { synced_at = timer.time() - 3600, retry_at = json.null }))
  end

  it("make one call, and all see its answer", function()
    assert.equal(200, assert(http.request(request())).status)
    expire()
    local before = calls()
    local requests = {}
    for index = 1, 100 do requests[index] = request() end
    for _, result in ipairs(http.all(requests)) do
      local answer = assert(result[1], tostring(result[2]))
      assert.equal(200, answer.status)
      assert.is_nil(answer.headers["lunation-stale"])
      assert.equal("Call " .. before + 1, json.decode(answer.body).events[1].title)
    end
    assert.equal(before + 1, calls())
  end)

  it("are answered from the old mirror at the deadline, or when the provider fails", function()
    expire()
    support.write(server.dir .. "/slow", "")
    local began = timer.now()
    local answer = assert(http.request(request()))
    assert.is_true(timer.now() - began < 2.5)
    assert.equal(200, answer.status)
    assert.truthy(answer.headers["lunation-stale"]:find(("^account=%d;age=36%%d%%d;reason=timeout$"):format(id)))
    os.remove(server.dir .. "/slow")
    support.eventually(function() return timer.time() - opened:account(id).synced_at < 60 end, 10)
    expire()
    support.write(server.dir .. "/broken", "")
    answer = assert(http.request(request()))
    assert.equal(200, answer.status)
    assert.truthy(answer.headers["lunation-stale"]:find("reason=error", 1, true))
    os.remove(server.dir .. "/broken")
  end)
end)
