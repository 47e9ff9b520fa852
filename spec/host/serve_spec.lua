local fs = require "lunation.fs"
local host = require "lunation.host"
local http = require "lunation.http"
local json = require "lunation.json"
local process = require "lunation.process"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

-- A script whose routes say which version of it answers, and can take their time.
local function script(version)
  return ([[
    local cal = require "lunation"
    local timer = require "lunation.timer"
    cal.route("GET", "/version", function() return { version = %d } end, { public = true })
    cal.route("GET", "/pid", function() return { pid = require("lunation.process").pid() } end, { public = true })
    cal.route("GET", "/slow/:seconds", function(req)
      timer.sleep(tonumber(req.params.seconds))
      return { version = %d }
    end, { public = true })
    cal.route("POST", "/echo/:what", function(req)
      return { what = req.params.what, arg = req:arg "a", body = req.body, header = req:header "X-Test", form = req.form.f }
    end, { public = true })
    cal.route("GET", "/whose", function(req) return { user = req.user.name, scope = req.user.scope } end)
    cal.route("GET", "/hoard", function()
      local all = {}
      for i = 1, math.maxinteger do all[i] = ("x"):rep(10000) .. i end
    end, { public = true })
    cal.route("GET", "/oops", function() error "a secret of the script" end, { public = true })
    cal.route("GET", "/exit", function() os.exit(0) end, { public = true })
    cal.route("GET", "/global", function() misspelt = 1 end, { public = true })
    cal.route("GET", "/stuck", function() while true do end end, { public = true })
    cal.route("GET", "/api/health", function() return { shadowed = true } end, { public = true })
  ]]):format(version, version)
end

local function serve(options)
  options = options or {}
  options.dir = options.dir or support.tmpdir()
  support.write(options.dir .. "/script.lua", options.script or script(1))
  options.config = (options.config or "") .. '\nscript "script.lua"\nlimits { script_memory = "16MiB", drain_time = "5s" }'
  return support.serve(options)
end

local function get(server, path, options)
  local response, err = http.get(server.url .. path, options)
  assert(response, tostring(err))
  return json.decode(response.body), response.status
end

local function children(pid)
  local list = {}
  for _, name in ipairs(fs.list "/proc") do
    local file = name:find "^%d+$" and io.open("/proc/" .. name .. "/stat")
    local stat = file and file:read "a"
    if file then file:close() end
    if stat and tonumber(stat:match "^%d+ %b() %S (%d+)") == pid then list[#list + 1] = tonumber(name) end
  end
  return list
end

local function logged(server, pattern)
  support.eventually(function() return support.read(server.log):find(pattern) end, 10, pattern)
end

describe("lunation serve", function()
  local server

  after_each(function()
    if server and server.child:running() then server.stop "KILL" end
    server = nil
  end)

  it("serves the dialects and the scripts' routes, and no route covers a dialect's", function()
    server = serve()
    assert.are.same({ status = "ok" }, (get(server, "/api/health")))
    assert.are.same({ version = 1 }, (get(server, "/version")))
    local echo = assert(http.post(server.url .. "/echo/w%C3%B6rld?a=b+c", "f=1%202", {
      headers = { ["X-Test"] = "yes", ["content-type"] = "application/x-www-form-urlencoded" },
    }))
    assert.are.same({ what = "wörld", arg = "b c", body = "f=1%202", header = "yes", form = "1 2" }, json.decode(echo.body))
    local _, missing = get(server, "/nothing")
    assert.are.equal(404, missing)
  end)

  it("asks for a token where a route is not public", function()
    server = serve { config = 'app { id = "demo", secret = "s3cret" }' }
    local answer, status = get(server, "/whose")
    assert.are.equal(401, status)
    assert.are.equal("unauthorized", answer.error)
    local token = support.lunation { "app", "token", "demo", "--user", "alice", "-c", server.config, env = { LUNATION_DATA = server.dir } }
    answer = get(server, "/whose", { headers = { Authorization = "Bearer " .. token.stdout:gsub("%s", "") } })
    assert.are.same({ user = "alice", scope = "read-write" }, answer)
  end)

  it("keeps serving when a script fails or runs out of memory, and tells the client nothing of it", function()
    server = serve()
    local answer, status = get(server, "/oops")
    assert.are.equal(500, status)
    assert.is_nil(answer.message:find "secret")
    logged(server, "a secret of the script")
    answer, status = get(server, "/hoard", { timeout = 60 })
    assert.are.equal("internal", answer.error)
    assert.are.equal(500, status)
    logged(server, "not enough memory")
    for path, reason in pairs { ["/exit"] = "does not end the process", ["/global"] = "the global `misspelt` would be made here" } do
      assert.are.equal("internal", get(server, path).error)
      logged(server, reason)
    end
    assert.are.same({ version = 1 }, (get(server, "/version")))
    assert.are.same({ status = "ok" }, (get(server, "/api/health")))
  end)

  it("finishes what is under way at TERM, takes nothing new, and ends with 0", function()
    server = serve()
    local slow = task.spawn(function() return get(server, "/slow/0.6") end)
    timer.sleep(0.2)
    local before = timer.now()
    server.child:kill "TERM"
    support.eventually(function() return not http.get(server.url .. "/version", { retries = 0 }) end)
    local ok, answer = slow:wait()
    assert.is_true(ok)
    assert.are.same({ version = 1 }, answer)
    assert.are.same({ code = 0 }, server.child:wait(10))
    assert.is_true(timer.now() - before < 5)
    assert.are.equal(0, #children(server.child.pid))
  end)

  it("ends in order at Ctrl-C, which reaches the workers too", function()
    server = serve { group = true, args = { "--workers", "2" } }
    local slow = task.spawn(function() return get(server, "/slow/0.5") end)
    timer.sleep(0.2)
    server.child:kill "INT"
    local ok, answer = slow:wait()
    assert.is_true(ok)
    assert.are.same({ version = 1 }, answer)
    assert.are.same({ code = 0 }, server.child:wait(10))
    local _, drains = support.read(server.log):gsub("drained", "")
    assert.are.equal(2, drains)
  end)

  it("does not wait for ever: what is late is cut off at the drain deadline", function()
    server = serve { config = "limits { drain_time = 1 }" }
    support.write(server.config, (support.read(server.config):gsub("drain_time = \"5s\"", "drain_time = 1")))
    server.child:kill "HUP"
    logged(server, "reloaded")
    local slow = task.spawn(function() return http.get(server.url .. "/slow/30", { retries = 0 }) end)
    timer.sleep(0.2)
    local before = timer.now()
    server.child:kill "TERM"
    assert.are.same({ code = 0 }, server.child:wait(15))
    assert.is_true(timer.now() - before < 8)
    local ok, response = slow:wait()
    assert.is_true(ok)
    assert.is_nil(response)
  end)

  it("reloads at HUP without a dropped request; the old state finishes what it began", function()
    server = serve()
    local slow = task.spawn(function() return get(server, "/slow/1") end)
    local failures, answered, stop = 0, 0, false
    local steady = {}
    for i = 1, 4 do
      steady[i] = task.spawn(function()
        while not stop do
          local response = http.get(server.url .. "/version", { retries = 0 })
          if response and response.status == 200 then answered = answered + 1 else failures = failures + 1 end
          timer.sleep(0.001)
        end
      end)
    end
    timer.sleep(0.1)
    support.write(server.dir .. "/script.lua", script(2))
    server.child:kill "HUP"
    support.eventually(function() return get(server, "/version").version == 2 end)
    local worker = children(server.child.pid)[1]
    local files = #fs.list("/proc/" .. worker .. "/fd")
    for version = 3, 12 do
      support.write(server.dir .. "/script.lua", script(version))
      server.child:kill "HUP"
      support.eventually(function() return get(server, "/version").version == version end)
    end
    local ok, answer = slow:wait()
    assert.is_true(ok)
    assert.are.same({ version = 1 }, answer)
    stop = true
    for _, each in ipairs(steady) do each:wait() end
    assert.are.equal(0, failures)
    assert.is_true(answered > 20, "answered " .. answered)
    support.eventually(function() return #fs.list("/proc/" .. worker .. "/fd") <= files + 6 end, 15, "no descriptor for each reload")
    assert.are.same({ code = 0 }, server.stop())
  end)

  it("keeps the old state when the new one does not load, and says why", function()
    server = serve()
    support.write(server.dir .. "/script.lua", "local x = nil\nreturn x.y")
    server.child:kill "HUP"
    logged(server, "script.lua:2: attempt to index a nil value")
    assert.are.same({ version = 1 }, (get(server, "/version")))
    local config = support.read(server.config)
    support.write(server.config, "wrokers(2)")
    server.child:kill "HUP"
    logged(server, "unknown word `wrokers`")
    assert.are.same({ version = 1 }, (get(server, "/version")))
    support.write(server.config, config)
    support.write(server.dir .. "/script.lua", script(6))
    server.child:kill "HUP"
    support.eventually(function() return get(server, "/version").version == 6 end)
  end)

  it("keeps every listener when the new state cannot have one of them", function()
    local dir, port = support.tmpdir(), process.free_port()
    local made = process.run { args = { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
      "-keyout", dir .. "/key.pem", "-out", dir .. "/cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1" }, stderr = "ignore" }
    assert.are.equal(0, made.code)
    local first = process.free_port()
    local listeners = ('listen "http://127.0.0.1:%d"\nlisten("https://127.0.0.1:%d", { cert = "%%s", key = "key.pem" })\n'):format(first, port)
    local config = support.write(dir .. "/c.lua", listeners:format "cert.pem")
    local child = assert(process.spawn {
      args = { require("lunation.host").executable, "serve", "-c", config }, env = { LUNATION_DATA = dir }, stderr = dir .. "/serve.log",
    })
    server = { child = child, log = dir .. "/serve.log", url = "http://127.0.0.1:" .. first, stop = function() child:kill "TERM" return child:wait(10) end }
    local function both()
      local plain = http.get(server.url .. "/api/health", { retries = 0 })
      local tls = http.get(("https://127.0.0.1:%d/api/health"):format(port), { insecure = true, retries = 0 })
      return plain and plain.status == 200 and tls and tls.status == 200
    end
    support.eventually(both)
    support.write(config, listeners:format "missing.pem")
    child:kill "HUP"
    logged(server, "the reload failed.*missing.pem")
    assert.is_true(both())
    support.write(config, listeners:format "cert.pem")
    child:kill "HUP"
    logged(server, "reloaded")
    assert.is_true(both())
    -- a listener that the configuration no longer names is closed
    support.write(config, listeners:format("cert.pem"):match "^[^\n]+\n")
    child:kill "HUP"
    support.eventually(function() return not http.get(("https://127.0.0.1:%d/"):format(port), { insecure = true, retries = 0 }) end)
    assert.are.equal(200, assert(http.get(server.url .. "/api/health")).status)
    assert.are.same({ code = 0 }, server.stop())
  end)

  it("replaces a worker that a script holds for ever", function()
    server = serve { config = 'limits { stuck_time = "3s" }' }
    local held = task.spawn(function() return http.get(server.url .. "/stuck", { retries = 0 }) end)
    logged(server, "worker 1 has not moved for 3 s")
    held:wait()
    support.eventually(function()
      local response = http.get(server.url .. "/version", { retries = 0 })
      return response and response.status == 200
    end)
  end)

  it("reloads by itself under --watch", function()
    server = serve { args = { "--watch" } }
    support.write(server.dir .. "/script.lua", script(7))
    support.eventually(function() return get(server, "/version").version == 7 end)
  end)

  it("shares the port among workers and replaces one that dies", function()
    server = serve { args = { "--workers", "2" } }
    support.eventually(function() return #children(server.child.pid) == 2 end)
    local seen, count = {}, 0
    support.eventually(function()
      local response = http.get(server.url .. "/pid", { headers = { connection = "close" } })
      local pid = response and json.decode(response.body).pid
      if pid and not seen[pid] then seen[pid], count = true, count + 1 end
      return count == 2
    end)
    local victim = next(seen)
    assert(process.kill(victim, "KILL"))
    logged(server, "was ended by signal 9")
    support.eventually(function()
      local now = children(server.child.pid)
      return #now == 2 and now[1] ~= victim and now[2] ~= victim
    end)
    support.eventually(function()
      local response = http.get(server.url .. "/pid", { headers = { connection = "close" } })
      return response and not seen[json.decode(response.body).pid]
    end)
    assert.are.same({ code = 0 }, server.stop())
  end)

  it("replaces a worker that was killed before it could answer", function()
    local dir, port = support.tmpdir(), process.free_port()
    local child = assert(process.spawn {
      args = { host.executable, "serve", "--listen", "http://127.0.0.1:" .. port, "--workers", "2" },
      env = { LUNATION_DATA = dir }, cwd = dir, stdout = "ignore", stderr = dir .. "/serve.log",
    })
    local first = support.eventually(function()
      local found = children(child.pid)
      return #found == 2 and found
    end)
    for _, pid in ipairs(first) do process.kill(pid, "KILL") end
    support.eventually(function() return http.get(("http://127.0.0.1:%d/api/health"):format(port), { retries = 0 }) end)
    assert.truthy(support.read(dir .. "/serve.log"):find("was ended by signal 9", 1, true))
    child:kill "TERM"
    assert.are.same({ code = 0 }, child:wait(10))
  end)

  it("takes its workers along when the supervisor is killed", function()
    server = serve { args = { "--workers", "2" } }
    local workers = support.eventually(function()
      local list = children(server.child.pid)
      return #list == 2 and list
    end)
    server.child:kill "KILL"
    server.child:wait()
    support.eventually(function() return not process.kill(workers[1], 0) and not process.kill(workers[2], 0) end)
    assert.is_false(support.listening(server.port))
  end)

  it("tells systemd when it is ready", function()
    local dir = support.tmpdir()
    local listener = support.write(dir .. "/listen.py", [[
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
say("bound")
while True:
    say(s.recv(100).decode())
]])
    local systemd = assert(process.spawn { args = { "python3", listener, dir .. "/notify" }, stdout = "pipe" })
    assert.are.equal("bound\n", systemd:read())
    server = serve { env = { NOTIFY_SOCKET = dir .. "/notify" } }
    assert.are.equal("READY=1\n", systemd:read())
    server.child:kill "HUP"
    assert.are.equal("RELOADING=1\n", systemd:read())
    assert.are.equal("READY=1\n", systemd:read())
    server.stop()
    assert.are.equal("STOPPING=1\n", systemd:read())
    systemd:kill()
    systemd:wait()
  end)

  it("ends with 1 and says why where it cannot start", function()
    server = serve()
    local second = support.lunation { "serve", "--listen", server.url, env = { LUNATION_DATA = support.tmpdir() } }
    assert.are.equal(1, second.code)
    assert.matches(server.url .. ": Address already in use", second.stderr)
    local dir = support.tmpdir()
    support.write(dir .. "/bad.lua", "error 'at load'")
    local config = support.write(dir .. "/c.lua", "script 'bad.lua'")
    local result = support.lunation {
      "serve", "-c", config, "--listen", "http://127.0.0.1:" .. process.free_port(), env = { LUNATION_DATA = dir },
    }
    assert.are.equal(1, result.code)
    assert.matches("at load", result.stderr)
    assert.is_nil(result.stderr:find "a new one starts")
  end)

  it("writes its log as JSON where asked", function()
    server = serve { args = { "--log-json" } }
    server.stop()
    for line in support.read(server.log):gmatch "[^\n]+" do
      local entry = assert(json.decode(line))
      assert.is_string(entry.time)
      assert.is_string(entry.level)
      assert.is_string(entry.message)
    end
  end)

  it("answers within a moment of its start", function()
    local best = math.huge
    for _ = 1, 3 do
      local before = timer.now()
      local fresh = support.serve { dir = support.tmpdir() }
      assert(http.get(fresh.url .. "/api/health"))
      best = math.min(best, timer.now() - before)
      fresh.stop()
    end
    assert.is_true(best < 1, ("%.0f ms"):format(best * 1000))
  end)
end)
