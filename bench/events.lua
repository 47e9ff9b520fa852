-- GET /api/events against its peers: `make bench-events`, or build/lunation run bench/events.lua [NAME=VALUE]…
--
--   seconds=5 runs=5          of each measurement
--   peers=fastify,radicale,cyrus   which to compare with
--   growth=1                  measure larger mirrors too
--
-- A page of 250 events out of a mirror of 20,000 with 500 series, authenticated, the mirror fresh. Runs are interleaved, medians
-- are compared.

local dataset = require "bench.events.dataset"
local engines = require "lunation.engine"
local config = require "lunation.config"
local http = require "lunation.http"
local json = require "lunation.json"
local process = require "lunation.process"
local servers = require "spec.servers"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

local options = { seconds = 5, runs = 5, peers = "fastify,radicale,cyrus", growth = 1 }
for _, word in ipairs { ... } do
  local name, value = word:match "^(%w+)=(.*)$"
  options[name] = tonumber(value) or value
end

local MONTH = { from = "2025-03-01T00:00:00Z", to = "2025-04-01T00:00:00Z" }
local BASE = { name = "20,000 events, 500 series, two years", events = 20000, series = 500, days = 730 }
local LARGER = {
  { name = "200,000 events, 500 series, twenty years", events = 200000, series = 500, days = 7300 },
  { name = "20,000 events, 5,000 series, two years", events = 20000, series = 5000, days = 730 },
}

local function say(...)
  print((string.format(...)))
  io.stdout:flush()
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

-- --- our side ------------------------------------------------------------------------------------------------------

-- A store with one account whose mirror is fresh, and a server on it.
local function lunation(size)
  local began = timer.now()
  local dir = support.tmpdir()
  local text = ([[
    store "sqlite:%s/lunation.db"
    app { id="bench", secret="bench-secret", name="Bench", redirect_uris={ "http://127.0.0.1:9/" } }
    sync { max_age="30d", deadline="5s" }
    log { level="warn" }
  ]]):format(dir)
  local path = support.write(dir .. "/fill.conf.lua", text)
  local engine = assert(engines.open(assert(config.load(path, {}))))
  local store = engine.store
  if not store:app "bench" then assert(store:app_add { id = "bench", name = "Bench" }) end
  local token = assert(engine.oauth:issue { app = "bench", user = "ada", scope = "read-write", ttl = 86400 })
  local user = assert(store:user("bench", "ada", { create = true }))
  local account = assert(store:account_add {
    user = user.id, provider = "caldav", identity = "ada@bench", name = "Bench", url = "http://127.0.0.1:9/", scope = "read-write",
    credentials = { username = "ada", password = "secret" },
  })
  assert(store:calendars_sync(account.id, { { id = "http://127.0.0.1:9/alice/bench/", title = "Bench", components = { "VEVENT" } } }))
  local calendar = assert(store:calendars { account = account.id })[1]
  local batch = {}
  for upsert in dataset.events(size) do
    batch[#batch + 1] = upsert
    if #batch == 1000 then
      assert(store:apply { calendar = calendar.key, upserts = batch })
      batch = {}
    end
  end
  if #batch > 0 then assert(store:apply { calendar = calendar.key, upserts = batch }) end
  assert(store:account_update(account.id, { synced_at = timer.time(), status = "active" }))
  engine:close()
  say("  the mirror took %.1f s to fill", timer.now() - began)
  local server = support.serve { config = text, dir = dir }
  server.token = token.access_token
  return server
end

local function page_url(server)
  return ("%s/api/events?pageSize=250&start=%s&end=%s"):format(server.url, MONTH.from:gsub(":", "%%3A"), (MONTH.to:gsub(":", "%%3A")))
end

local function fetch_page(server)
  local answer = assert(http.request { url = page_url(server), headers = { authorization = "Bearer " .. server.token }, timeout = 60 })
  assert(answer.status == 200, answer.body)
  assert(not answer.headers["lunation-stale"], "the mirror is not fresh")
  return answer.body
end

-- --- load ----------------------------------------------------------------------------------------------------------

local CORES = tonumber(process.run { args = { "nproc" } }.stdout:match "%d+")

-- Processes that a process has started.
local function children_of(pid)
  local list = {}
  local file <close> = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
  for child in file and file:read("a"):gmatch "%d+" or function() end do list[#list + 1] = tonumber(child) end
  return list
end

-- The server on one core and the load on another, where there are two.
local function pin(pid, core)
  if CORES < 2 then return end
  process.run { args = { "taskset", "-a", "-p", "-c", tostring(core), tostring(pid) }, stdout = "ignore" }
  for _, child in ipairs(children_of(pid)) do pin(child, core) end
end

-- The CPU seconds that a process and its children have used.
local function cpu(pid)
  local file <close> = io.open(("/proc/%d/stat"):format(pid))
  if not file then return 0 end
  local fields = {}
  for word in file:read("a"):match("%)%s+(.*)"):gmatch "%S+" do fields[#fields + 1] = word end
  local total = (tonumber(fields[12]) + tonumber(fields[13])) / 100
  for _, child in ipairs(children_of(pid)) do total = total + cpu(child) end
  return total
end

-- Requests per second and CPU microseconds per request.
local function load(url, headers, pid)
  local args = CORES > 1 and { "taskset", "-c", "1" } or {}
  for _, word in ipairs { "wrk", "-t1", "-c16", ("-d%ds"):format(options.seconds), "--timeout", "10s" } do args[#args + 1] = word end
  for name, value in pairs(headers) do
    args[#args + 1] = "-H"
    args[#args + 1] = name .. ": " .. value
  end
  args[#args + 1] = url
  local before = cpu(pid)
  local run = process.run { args = args }
  local used = cpu(pid) - before
  assert(run.code == 0, run.stdout .. (run.stderr or ""))
  assert(not run.stdout:find "Non%-2xx", run.stdout)
  local rate, count = tonumber(run.stdout:match "Requests/sec:%s+([%d.]+)"), tonumber(run.stdout:match "(%d+) requests in")
  return rate, used / count * 1e6
end

local function compare(sides)
  for _, side in ipairs(sides) do side.rates, side.cpu = {}, {} end
  for _ = 1, options.runs do
    for _, side in ipairs(sides) do
      local rate, used = load(side.url, side.headers or {}, side.pid)
      side.rates[#side.rates + 1], side.cpu[#side.cpu + 1] = rate, used
    end
  end
  for _, side in ipairs(sides) do
    side.rate, side.cost = median(side.rates), median(side.cpu)
    say("  %-44s %9.1f requests/s  %8.1f µs CPU a request", side.name, side.rate, side.cost)
  end
end

-- --- peers ---------------------------------------------------------------------------------------------------------

local function fastify(page)
  local dir = support.tmpdir()
  local file, port = support.write(dir .. "/page.json", page), process.free_port()
  local child = assert(process.spawn {
    args = { "node", "bench/events/fastify.js", tostring(port), file }, env = { BENCH_NODE = "./build/bench-node" }, stdout = "inherit", stderr = "inherit",
  })
  support.wait_port(port, child)
  return { name = "Fastify, the same events from memory", url = ("http://127.0.0.1:%d/api/events"):format(port), pid = child.pid, child = child }
end

local QUERY = [[<?xml version="1.0" encoding="utf-8"?>
<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/></D:prop>
<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="20250301T000000Z" end="20250401T000000Z"/>
</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>]]

-- Eight at a time: Cyrus has ten processes, one for each connection.
local function put_all(url, auth)
  local following = dataset.events(BASE)
  local function putter()
    for upsert in following do
      local answer = assert(http.request {
        method = "PUT", url = url .. upsert.id, body = upsert.original.text, auth = auth, timeout = 120,
        headers = { ["content-type"] = "text/calendar; charset=utf-8" }, idempotent = true,
      })
      assert(answer.status < 300, answer.body)
    end
  end
  local putters = {}
  for index = 1, 8 do putters[index] = task.spawn(putter) end
  for _, each in ipairs(putters) do assert(each:wait()) end
end

-- Radicale keeps one file an event; 20,000 of them are written faster than put.
local function write_all(folder)
  for upsert in dataset.events(BASE) do support.write(folder .. "/" .. upsert.id, upsert.original.text) end
end

-- Requests per second of a server's calendar-query for the month, two at a time.
local function calendar_query(name)
  local server = assert(servers.start(name, 120))
  local auth = { kind = "basic", username = "alice", password = "secret" }
  local url = servers.make_calendar(server, "alice", "bench")
  local began = timer.now()
  if name == "radicale" then
    local found = process.run { args = { "find", server.state, "-type", "d", "-path", "*/alice/bench" } }.stdout:match "[^\n]+"
    write_all(found)
  else
    put_all(url, auth)
  end
  say("  %s filled in %.0f s", name, timer.now() - began)
  local request = {
    method = "REPORT", url = url, auth = auth, body = QUERY, timeout = 600, idempotent = true, max_body = 1 << 28,
    headers = { depth = "1", ["content-type"] = "application/xml; charset=utf-8" },
  }
  local first = assert(http.request(request)) -- the first fills caches
  assert(first.status == 207, first.body)
  local _, found = first.body:gsub("calendar%-data[ >]", "")
  local rates = {}
  for _ = 1, options.runs do
    local start, done = timer.now(), 0
    repeat
      for _, result in ipairs(http.all { request, request }) do assert(result[1] and result[1].status == 207, tostring(result[2])) end
      done = done + 2
    until timer.now() - start > options.seconds
    rates[#rates + 1] = done / (timer.now() - start)
  end
  server:stop()
  local rate = median(rates)
  say("  %-44s %9.2f requests/s  (%d events of the month)", name .. ", calendar-query", rate, found // 2)
  return rate
end

-- --- the measurements ----------------------------------------------------------------------------------------------

local failed = false

local function gate(what, ratio, bound, least)
  local good = least and ratio >= bound or not least and ratio <= bound
  failed = failed or not good
  say("%s %s: %.2f (%s %.1f)", good and "ok  " or "MISS", what, ratio, least and "at least" or "at most", bound)
end

local function wanted(name)
  return ("," .. options.peers .. ","):find("," .. name .. ",", 1, true) ~= nil
end

local function side(name, server)
  return { name = name, url = page_url(server), headers = { Authorization = "Bearer " .. server.token }, pid = server.child.pid }
end

local function measure()
  say("%s", BASE.name)
  local server = lunation(BASE)
  local start = timer.now()
  local page = fetch_page(server)
  say("  the first page took %.0f ms", (timer.now() - start) * 1000)
  local count = #json.decode(page).events
  assert(count == 250, "the page has " .. count .. " events")
  say("  a page is %d bytes", #page)
  pin(server.child.pid, 0)
  local ours = side("lunation, GET /api/events", server)

  if wanted "fastify" then
    local theirs = fastify(page)
    pin(theirs.pid, 0)
    compare { ours, theirs }
    theirs.child:kill "TERM"
    theirs.child:wait(10)
    gate("against Fastify, requests/s", ours.rate / theirs.rate, 3, true)
  else
    compare { ours }
  end

  if options.growth == 1 then
    for _, size in ipairs(LARGER) do
      say("%s", size.name)
      local other = lunation(size)
      fetch_page(other)
      pin(other.child.pid, 0)
      local first, second = side("lunation, " .. BASE.name, server), side("lunation, " .. size.name, other)
      compare { first, second }
      other.stop()
      gate("growth of the cost of a page", second.cost / first.cost, 1.5, false)
    end
  end
  server.stop()

  for _, name in ipairs { "radicale", "cyrus" } do
    if wanted(name) then gate("against " .. name .. "'s calendar-query, requests/s", ours.rate / calendar_query(name), 50, true) end
  end
end

local ran, problem = xpcall(measure, debug.traceback)
if not ran then
  io.stderr:write(problem, "\n")
  failed = true
end
support.cleanup()
os.exit(failed and 1 or 0)
