-- make bench-http: a route of ours against nginx with its Lua module (LuaJIT, cjson), both making the same page in Lua.
-- Runs alternate between the two, five of each; what counts is CPU time, which a busy machine disturbs least.
-- BENCH_SECONDS (3) is the length of a run, BENCH_RUNS (5) their number.

local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local tcp = require "lunation.tcp"
local timer = require "lunation.timer"

local SECONDS = tonumber(os.getenv("BENCH_SECONDS")) or 3
local RUNS = tonumber(os.getenv("BENCH_RUNS")) or 5
local PATH = "/bench/events?calendar=work%2Fprimary&pageSize=3&from=2025-03-01"

local FLOORS = { plain = 1.05, tls = 1.05, h2 = 1.5, p99 = 1.5 }

local dir = assert(fs.mkdtemp("lunation-bench"))
local started = {}

local function write(name, text)
  local path = dir .. "/" .. name
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  return path
end

-- Two cores: the server has one to itself and the client the other. With fewer, they share.
local function on_core(core, args)
  local cores = tonumber(process.run { args = { "nproc" } }.stdout) or 1
  if cores < 2 then return args end
  return table.move(args, 1, #args, 4, { "taskset", "-c", tostring(core) })
end

local function spawn(args)
  local child = assert(process.spawn { args = args, stdout = dir .. "/log", stderr = dir .. "/log" })
  started[#started + 1] = child
  return child
end

local function certificate()
  local cert, key = dir .. "/cert.pem", dir .. "/key.pem"
  local result = process.run {
    args = { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
      "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1" },
    stderr = "pipe",
  }
  assert(result.code == 0, result.stderr)
  return cert, key
end

local NGINX = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes 1;
daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/nginx.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path @DIR@/body;
  proxy_temp_path @DIR@/proxy;
  fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi;
  scgi_temp_path @DIR@/scgi;
  init_by_lua_block {
    cjson = require "cjson"
    page = dofile("@PAGE@")
  }
  server {
    listen 127.0.0.1:@PLAIN@;
    listen 127.0.0.1:@TLS@ ssl http2;
    ssl_certificate @CERT@;
    ssl_certificate_key @KEY@;
    ssl_protocols TLSv1.2 TLSv1.3;
    location = /bench/events {
      default_type application/json;
      content_by_lua_block { ngx.print(cjson.encode(page(ngx.req.get_uri_args()))) }
    }
  }
}
]]

-- The only child of nginx's master is its worker.
local function worker_of(pid)
  local deadline = timer.now() + 5
  repeat
    local file <close> = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
    local child = file and file:read("n")
    if child then return math.tointeger(child) end
    timer.sleep(0.02)
  until timer.now() > deadline
  error("nginx has no worker: " .. (process.run { args = { "cat", dir .. "/nginx.log", dir .. "/log" } }.stdout or ""))
end

local function wait_for(url)
  local deadline = timer.now() + 10
  repeat
    local result = process.run { args = { "curl", "-sk", "--max-time", "2", url .. PATH }, stderr = "ignore" }
    if result.code == 0 and result.stdout:sub(1, 1) == "{" then return result.stdout end
    timer.sleep(0.05)
  until timer.now() > deadline
  error("no answer from " .. url .. ": " .. (process.run { args = { "tail", "-5", dir .. "/log" } }.stdout or ""))
end

local function start()
  local cert, key = certificate()
  local page = host.root .. "/bench/http_page.lua"
  local port = { process.free_port(), process.free_port(), process.free_port(), process.free_port() }
  local config = NGINX:gsub("@(%u+)@", { DIR = dir, CERT = cert, KEY = key, PAGE = page, PLAIN = port[1], TLS = port[2] })
  local nginx = spawn(on_core(0, { "nginx", "-p", dir, "-c", write("nginx.conf", config) }))
  local function urls(plain, tls) return { plain = "http://127.0.0.1:" .. plain, tls = "https://127.0.0.1:" .. tls } end
  local peer, ours = urls(port[1], port[2]), urls(port[3], port[4])
  local own = spawn(on_core(0, { host.executable, "run", host.root .. "/bench/http_server.lua", ours.plain, ours.tls, cert, key, page }))
  peer.name, ours.name = "nginx+lua", "lunation"
  peer.body, ours.body = wait_for(peer.plain), wait_for(ours.plain)
  peer.pid, ours.pid = worker_of(nginx.pid), own.pid
  wait_for(peer.tls)
  wait_for(ours.tls)
  return peer, ours
end

-- CPU time of a process so far, in microseconds: utime and stime of /proc/PID/stat, in ticks of 10 ms.
local function cpu_of(pid)
  local file <close> = assert(io.open("/proc/" .. pid .. "/stat"))
  local fields = {}
  for field in file:read("a"):gsub("^.*%) ", ""):gmatch("%S+") do fields[#fields + 1] = field end
  return (tonumber(fields[12]) + tonumber(fields[13])) * 10000
end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local n = #sorted
  return n % 2 == 1 and sorted[n // 2 + 1] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
end

local function client(args)
  local result = assert(process.run { args = on_core(1, args), stderr = "pipe" })
  assert(result.code == 0, (result.stdout or "") .. (result.stderr or ""))
  return result.stdout
end

-- One run of wrk: { requests a second, CPU microseconds a request }.
local function wrk(side, url)
  local before = cpu_of(side.pid)
  local out = client { "wrk", "-t1", "-c64", "-d" .. SECONDS .. "s", url .. PATH }
  local after = cpu_of(side.pid)
  local requests = tonumber(out:match("(%d+) requests in"))
  assert(not out:find("Non-2xx", 1, true) and not out:find("Socket errors: connect [1-9]"), out)
  return { rate = tonumber(out:match("Requests/sec:%s*([%d.]+)")), cpu = (after - before) / requests }
end

local function h2load(side)
  local before = cpu_of(side.pid)
  local out = client { "h2load", "-c8", "-m16", "-D" .. SECONDS, side.tls .. PATH }
  local after = cpu_of(side.pid)
  local done, failed = out:match("(%d+) done"), out:match("(%d+) failed")
  assert(tonumber(failed) == 0 and out:find("Application protocol: h2", 1, true), out)
  return { rate = tonumber(out:match("([%d.]+) req/s")), cpu = (after - before) / tonumber(done) }
end

-- The time below which 99 of 100 requests stay at a steady rate, in microseconds (bench/pace.c).
local function paced(side, rate)
  local port = side.plain:match(":(%d+)$")
  local out = client { host.root .. "/build/pace", port, PATH, tostring(rate), "64", tostring(SECONDS) }
  assert(out:find("failed=0 ", 1, true), out)
  return { p50 = tonumber(out:match("p50=(%d+)")), p99 = tonumber(out:match("p99=(%d+)")) }
end

-- Alternates, beginning with either in turn.
local function alternate(peer, ours, run)
  local results = { [peer] = {}, [ours] = {} }
  for i = 1, RUNS do
    local first, second = peer, ours
    if i % 2 == 0 then first, second = ours, peer end
    for _, side in ipairs { first, second } do
      results[side][i] = run(side)
    end
  end
  local function column(side, name)
    local list = {}
    for i, result in ipairs(results[side]) do list[i] = result[name] end
    return list
  end
  return function(side, name) return median(column(side, name)) end, column
end

local function listed(values, format)
  local out = {}
  for i, value in ipairs(values) do out[i] = format:format(value) end
  return table.concat(out, " ")
end

local failed = 0
local function verdict(name, ratio, floor, at_least)
  local good = at_least and ratio >= floor or not at_least and ratio <= floor
  if not good then failed = failed + 1 end
  print(("%-44s %5.2f  (%s %.2f)  %s"):format(name, ratio, at_least and "at least" or "at most", floor, good and "holds" or "FAILS"))
end

local function report(title, middle, all, sides, name, format)
  print(title)
  for _, side in ipairs(sides) do
    print(("  %-10s median " .. format .. "   [%s]"):format(side.name, middle(side, name), listed(all(side, name), format)))
  end
end

-- What a kept connection that does nothing costs a server: resident memory, by 500 of them. The kernel's part is not in it.
local function idle(side)
  local function resident()
    local file <close> = assert(io.open("/proc/" .. side.pid .. "/status"))
    return tonumber(file:read("a"):match("VmRSS:%s*(%d+)")) * 1024
  end
  local port, peers = tonumber(side.plain:match(":(%d+)$")), {}
  local before = resident()
  for i = 1, 500 do
    peers[i] = assert(tcp.connect("127.0.0.1", port))
    assert(peers[i]:write("GET " .. PATH .. " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    assert(peers[i]:read())
  end
  local after = resident()
  for _, peer in ipairs(peers) do peer:close() end
  return (after - before) / #peers
end

local function main()
  local peer, ours = start()
  local sides = { peer, ours }
  assert(json.decode(peer.body).calendar == json.decode(ours.body).calendar)
  print(("%d runs of %g s each, alternating; bodies of %d and %d bytes\n"):format(RUNS, SECONDS, #peer.body, #ours.body))
  -- before anything has grown
  print("an idle connection, bytes of resident memory (500 of them, not gated)")
  for _, side in ipairs(sides) do print(("  %-10s %.0f"):format(side.name, idle(side))) end
  -- a first run of each that does not count: JIT, caches, connections
  for _, side in ipairs(sides) do wrk(side, side.plain) end

  local plain, plain_all = alternate(peer, ours, function(side) return wrk(side, side.plain) end)
  report("HTTP/1.1, CPU microseconds a request", plain, plain_all, sides, "cpu", "%.2f")
  report("HTTP/1.1, requests a second", plain, plain_all, sides, "rate", "%.0f")
  local tls, tls_all = alternate(peer, ours, function(side) return wrk(side, side.tls) end)
  report("HTTP/1.1 over TLS, CPU microseconds a request", tls, tls_all, sides, "cpu", "%.2f")
  report("HTTP/1.1 over TLS, requests a second", tls, tls_all, sides, "rate", "%.0f")
  local h2, h2_all = alternate(peer, ours, h2load)
  report("HTTP/2 over TLS, requests a second", h2, h2_all, sides, "rate", "%.0f")
  report("HTTP/2 over TLS, CPU microseconds a request", h2, h2_all, sides, "cpu", "%.2f")
  -- of the lowest run, so that a machine that has become busier can still keep the pace
  local half = math.floor(math.min(math.min(table.unpack(plain_all(peer, "rate"))), math.min(table.unpack(plain_all(ours, "rate")))) / 2)
  local steady, steady_all = alternate(peer, ours, function(side) return paced(side, half) end)
  report(("HTTP/1.1 at %d requests a second (half of the lowest maximum), p99 microseconds"):format(half), steady, steady_all, sides, "p99", "%.0f")

  report("  the same, p50 microseconds", steady, steady_all, sides, "p50", "%.0f")

  print()
  verdict("CPU a request, of nginx's", plain(ours, "cpu") / plain(peer, "cpu"), FLOORS.plain)
  verdict("CPU a request over TLS, of nginx's", tls(ours, "cpu") / tls(peer, "cpu"), FLOORS.tls)
  verdict("HTTP/2 requests a second, of nginx's", h2(ours, "rate") / h2(peer, "rate"), FLOORS.h2, true)
  verdict("p99 at half the saturating rate, of nginx's", steady(ours, "p99") / steady(peer, "p99"), FLOORS.p99)
end

local ok, err = xpcall(main, debug.traceback)
for _, child in ipairs(started) do child:kill("TERM") end
for _, child in ipairs(started) do child:wait(5) end
process.run { args = { "rm", "-rf", dir } }
if not ok then
  io.stderr:write(tostring(err), "\n")
  failed = failed + 1
end
os.exit(failed == 0)
