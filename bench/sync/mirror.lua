-- Two mirrors, measured from within: `lunation run bench/sync/mirror.lua DIRECTORY ROUNDS LARGE SMALL` syncs the accounts of two feeds
-- (bench/sync/feed.lua), each into a new store, and prints what it took as JSON. The rounds of increments take turns.
local config = require "lunation.config"
local engines = require "lunation.engine"
local http = require "lunation.http"
local json = require "lunation.json"
local timer = require "lunation.timer"

local directory, rounds, large, small = ...
local changes = 10

local function peak()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmHWM:%s+(%d+) kB"
    if kib then return tonumber(kib) * 1024 end
  end
end

local function open(name, url)
  local path = ("%s/%s.conf.lua"):format(directory, name)
  local file <close> = assert(io.open(path, "w"))
  file:write(([[
    store "sqlite:%s/%s.db"
    provider("google", { client_id="bench", client_secret="bench", urls={ calendar=%q } })
    log { level="warn" }
  ]]):format(directory, name, url))
  file:close()
  local engine = assert(engines.open(assert(config.load(path))))
  assert(engine.store:app_add { id = "bench", name = "Bench" })
  local user = assert(engine.store:user("bench", "ada", { create = true }))
  local account = assert(engine.store:account_add {
    user = user.id, provider = "google", identity = "ada@example.org", credentials = { token = "bench" }, settings = {},
  })
  local began = timer.now()
  local counts = assert(engine.sync:account(account.id, { force = true }))
  return { engine = engine, account = account.id, url = url, created = counts.created, seconds = timer.now() - began, quickest = math.huge }
end

-- Others on the machine only ever make a round longer: the quickest counts.
local function round(mirror, counted)
  assert(http.get(mirror.url .. "/change?n=" .. changes))
  local start = timer.now()
  local done = assert(mirror.engine.sync:account(mirror.account, { fresh = true }))
  if counted then mirror.quickest = math.min(mirror.quickest, timer.now() - start) end
  assert(done.updated == changes and done.created == 0, json.encode(done))
end

local first = open("large", large)
local memory = peak()
local second = open("small", small)
-- A few rounds are not counted: statements are prepared, a connection is made.
for number = 1, tonumber(rounds) + 2 do
  round(first, number > 2)
  round(second, number > 2)
end
first.engine:close()
second.engine:close()
print(json.encode { created = first.created, seconds = first.seconds, large = first.quickest, small = second.quickest, peak = memory })
