-- A first sync against SQLite's own pace, its memory, and what an increment costs in a large mirror: `make bench-sync`, or
-- build/lunation run bench/sync.lua [events=20000] [rounds=40].
--
-- The service is a process of its own that answers from memory; the mirror is one too, so that its memory is its own. SQLite inserts the
-- rows that the sync has made into the same tables, page by page, without a host around it.

local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local sqlite = require "lunation.sqlite"
local timer = require "lunation.timer"

local options = { events = 20000, small = 200, rounds = 40 }
for _, word in ipairs { ... } do
  local name, value = word:match "^(%w+)=(%d+)$"
  options[assert(name and options[name] and name, "events=N, small=N or rounds=N")] = tonumber(value)
end

local MIB = 1024 * 1024
local PAGE = 500

local function run(...)
  return assert(process.spawn { args = { host.executable, "run", ... }, stdout = "pipe", stderr = "inherit" })
end

local function remove(directory)
  process.run { args = { "rm", "-rf", directory } }
end

local function feed(events)
  local child = run("bench/sync/feed.lua", tostring(events))
  local url = ""
  while not url:find "\n" do url = url .. assert(child:read(), "the feed has ended") end
  return url:match "^%S+", child
end

-- Both mirrors, from nothing.
local function measure(directory)
  local large, first = feed(options.events)
  local small, second = feed(options.small)
  local mirror = run("bench/sync/mirror.lua", directory, tostring(options.rounds), large, small)
  local text = mirror:read_all()
  assert(mirror:wait(600).code == 0, "the mirror failed")
  for _, child in ipairs { first, second } do
    child:kill "TERM"
    child:wait(10)
  end
  return assert(json.decode(text))
end

-- The rows of the mirror, put into tables of the same form by nothing but SQLite.
local function alone(directory)
  local source = assert(sqlite.open(directory .. "/large.db", { wal = true }))
  local target = assert(sqlite.open(directory .. "/alone.db", { wal = true }))
  assert(target:exec "PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=OFF")
  for _, row in ipairs(source:prepare("SELECT sql FROM sqlite_master WHERE tbl_name = 'events' AND sql IS NOT NULL ORDER BY type DESC"):all()) do
    assert(target:exec(row.sql))
  end
  local rows = source:prepare("SELECT * FROM events ORDER BY key"):all()
  local insert = target:prepare("INSERT INTO events (key, calendar, id, uid, etag, schedule_tag, seq, revision, epoch, start, finish, recurring, digest, " ..
    "event, original) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
  local began = timer.now()
  for first = 1, #rows, PAGE do
    assert(target:transaction(function()
      for index = first, math.min(first + PAGE - 1, #rows) do
        local row = rows[index]
        assert(insert:run(row.key, row.calendar, row.id, row.uid, row.etag, row.schedule_tag, row.seq, row.revision, row.epoch, row.start, row.finish,
          row.recurring, row.digest, row.event, row.original))
      end
      return true
    end))
  end
  local seconds = timer.now() - began
  target:close()
  source:close()
  return seconds, #rows
end

local failed = false
local function row(work, ours, peer, ratio, bound, ok)
  if not ok then failed = true end
  print(("%-52s | %14s | %16s | %8s | %-8s | %s"):format(work, ours, peer, ratio, bound, ok and "ok" or "BELOW"))
  io.stdout:flush()
end

print(("%-52s | %14s | %16s | %8s | %-8s | %s"):format("work", "ours", "peer", "ratio", "floor", "ok"))
local directory = assert(fs.mkdtemp "lunation-bench")
local _ <close> = setmetatable({}, { __close = function() remove(directory) end })
local measured = measure(directory)
local seconds, count = alone(directory)
assert(measured.created == options.events and count == options.events, "not all events came")
local ours, peer = options.events / measured.seconds, count / seconds
row(("first sync of %d events, against SQLite's inserts"):format(options.events), ("%.0f/s"):format(ours), ("%.0f/s"):format(peer),
  ("%.3f"):format(ours / peer), ">= 0.1", ours / peer >= 0.1)
row("resident memory at its highest", ("%.1f MiB"):format(measured.peak / MIB), "64 MiB", ("%.2f"):format(measured.peak / (64 * MIB)), "<= 1",
  measured.peak <= 64 * MIB)
local growth = measured.large / measured.small
row(("%d changes in %d events, against in %d"):format(10, options.events, options.small), ("%.2f ms"):format(measured.large * 1000),
  ("%.2f ms"):format(measured.small * 1000), ("%.2f"):format(growth), "<= 1.3", growth <= 1.3)
remove(directory)
os.exit(failed and 1 or 0)
