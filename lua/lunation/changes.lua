--- Changes: hooks that are told of events created, updated and deleted, each hook of every change once in the cluster.
--
-- A hook reads the store's feed from its own position, in a job; the position moves on after each change that it was
-- told of. What it fails at is tried again, and in the end put aside, so that one bad change does not stop the others.

local log = require "lunation.log"

---@class lunation.Changes
local Changes = {}
Changes.__index = Changes

local PAGE = 100
local SYNC_EVERY = 300

local NAMES = { ["event.created"] = "created", ["event.updated"] = "updated", ["event.deleted"] = "deleted" }

--- Hooks are told of what happens at the provider only if somebody looks: accounts are synced from time to time.
function Changes:_watch()
  if self.watched then return end
  self.watched = self.jobs:every {
    name = "sync.all", seconds = self.engine.config.sync and self.engine.config.sync.interval or SYNC_EVERY,
    run = function()
      local accounts, err = self.store:accounts()
      if not accounts then return nil, err end
      return self.engine.sync:refresh { accounts = accounts, deadline = 60 }
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
      if change.kind == hook.kind then
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
---@param wanted { name: string, event: string, run: fun(change: lunation.Change) } name: the same in every worker and at
---  every start; event: "event.created", "event.updated" or "event.deleted"
---@return table? handle with `cancel`, lunation.Error?
function Changes:on(wanted)
  local kind = assert(NAMES[wanted.event], "no such event: " .. tostring(wanted.event))
  local hook = { name = wanted.name, consumer = "hook:" .. wanted.name, kind = kind, run = wanted.run }
  local position, err = self.store:consumer(hook.consumer)
  if not position then return nil, err end
  local handler = self.jobs:handle(hook.consumer, { run = function(_, job) return self:_deliver(hook, job) end })
  local turn = self.jobs:on_turn(function()
    local stands, newest = self.store:consumer_position(hook.consumer), self.store:changes_end()
    if stands and newest and stands < newest then self.jobs:put { kind = hook.consumer, key = "feed" } end
  end)
  self:_watch()
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
