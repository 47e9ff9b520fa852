--- Changes: hooks that are told of what happens to events, accounts and syncs, each hook of every change once in the cluster.
--
-- A hook reads the store's feed from its own position, in a job; the position moves on after each change that it was
-- told of. What it fails at is tried again, and in the end put aside, so that one bad change does not stop the others.

local errors = require "lunation.errors"
local log = require "lunation.log"
local starting = require "lunation.starting"
local task = require "lunation.task"

---@class lunation.Changes
local Changes = {}
Changes.__index = Changes

local PAGE = 100
--- Seconds.
local SYNC_EVERY = 300
local SIDE_BY_SIDE = 8

local EVENTS = { ["event.created"] = "created", ["event.updated"] = "updated", ["event.deleted"] = "deleted" }

local KINDS = {
  "created", "updated", "deleted", "account.added", "account.removed", "account.active", "account.reauth_required",
  "sync.finished", "sync.failed",
}

--- Which kinds a hook wants: "event.created", "account.added", or all of one sort, "account.*".
local function wanted_kinds(name)
  local kinds, prefix = {}, name:match("^(%a+%.)%*$")
  for _, kind in ipairs(KINDS) do
    local full = EVENTS["event." .. kind] and "event." .. kind or kind
    if full == name or prefix and full:sub(1, #prefix) == prefix then kinds[kind] = true end
  end
  return next(kinds) and kinds
end

--- Hooks are told of what happens at the provider only if somebody looks: accounts are synced from time to time.
function Changes:_watch()
  if self.watched then return end
  local interval = self.engine.config.sync and self.engine.config.sync.interval or SYNC_EVERY
  self.watched = self.jobs:every {
    name = "sync.all", seconds = interval,
    run = function()
      local accounts, err = self.store:accounts()
      if not accounts then return nil, err end
      local late = self.store.clock() - interval / 2
      local work = {}
      for _, account in ipairs(accounts) do
        if account.status == "active" and (account.synced_at or 0) < late then
          work[#work + 1] = function() self.engine.sync:account(account.id) end
        end
      end
      -- A failure is noted on its account, and told of there.
      task.all(work, { limit = SIDE_BY_SIDE })
      return true
    end,
  }
end

--- Tells one hook of what it has not been told yet.
function Changes:_deliver(hook, job)
  local position, err = self.store:consumer(hook.consumer)
  if not position then return nil, err end
  while true do
    local page, failure = self.store:changes_after(position, PAGE)
    if not page then return nil, failure end
    if #page == 0 then return true end
    for _, change in ipairs(page) do
      if hook.kinds[change.kind] then
        local told, problem = pcall(hook.run, change)
        if not told then
          if job.attempts < job.max_attempts then return nil, problem end
          log.error("a hook is not told of a change", { hook = hook.name, change = change.id, error = tostring(problem) })
          self.jobs:put { kind = "letter:" .. hook.consumer, key = tostring(change.id),
            payload = { event = change.event_id, kind = change.kind }, error = { code = "internal", message = tostring(problem) } }
        end
      end
      local moved, lost = self.store:consumer_move(hook.consumer, change.id, job)
      if not moved then return nil, lost end
      position = change.id
    end
  end
end

--- Calls a function with every change of a kind from now on.
---@param wanted { name: string, event: string, before: number?, run: fun(change: lunation.Change) } name: the same in every
---  worker and at every start; event: "event.created", "account.*", …, or "event.starting" with `before`, in seconds
---@return table? handle with `cancel`, lunation.Error?
function Changes:on(wanted)
  self:_watch()
  if wanted.event == "event.starting" then return starting.watch(self, wanted) end
  local kinds = wanted_kinds(wanted.event)
  if not kinds then
    return nil, errors.new("invalid_request", "nothing is told under the name " .. tostring(wanted.event), { field = "event" })
  end
  local consumer = "hook:" .. wanted.event .. ":" .. wanted.name
  local hook = { name = wanted.name, consumer = consumer, kinds = kinds, run = wanted.run }
  local position, err = self.store:consumer(consumer)
  if not position then return nil, err end
  local handler = self.jobs:handle(consumer, { run = function(_, job) return self:_deliver(hook, job) end })
  local turn = self.jobs:on_turn(function()
    local stands, newest = self.store:consumer_position(consumer), self.store:changes_end()
    if stands and newest and stands < newest then self.jobs:put { kind = consumer, key = "feed" } end
  end)
  return {
    cancel = function()
      handler:cancel()
      turn:cancel()
    end,
  }
end

local changes = {}

---@param engine table
---@return lunation.Changes
function changes.new(engine)
  return setmetatable({ engine = engine, store = engine.store, jobs = engine.jobs }, Changes)
end

return changes
