--- Sync: keeps the mirror of an account fresh.
--
-- A read asks for accounts no older than `max_age` and waits up to `deadline`. Whatever the number of readers and
-- workers, an account is refreshed once: readers of one worker share a task, workers exclude each other by a lease. A
-- refresh that is late goes on after the deadline; failures back off.

local errors = require "lunation.errors"
local json = require "lunation.json"
local log = require "lunation.log"
local task = require "lunation.task"
local timer = require "lunation.timer"
local mirror = require "lunation.mirror"
local upstream = require "lunation.upstream"

---@class lunation.Stale
---@field account integer
---@field age integer seconds since the mirror was fresh (since the account was added, where it never was)
---@field reason "initial"|"timeout"|"error"|"reauth"

---@class lunation.SyncCounts
---@field calendars integer
---@field created integer
---@field updated integer
---@field deleted integer
---@field unchanged integer
---@field skipped integer events that cannot be read
---@field pushed integer? writes of our own that a crash had cut off, and that are settled now

---@class lunation.Sync
local Sync = {}
Sync.__index = Sync

--- Seconds. The lease is renewed well before it expires; the list of calendars changes rarely, and an account is tried
--- again soon after its first failure and ever later after more.
local LEASE_TTL, LEASE_RENEW = 60, 20
local CALENDARS_AGE = 900
local FIRST_BACKOFF, LONGEST_BACKOFF = 2, 900
local LONGEST_RUN = 3600
local SIDE_BY_SIDE = 4

local function lease_name(id) return "sync:" .. id end

--- A lease that is kept alive while a refresh runs and given back at its end.
local function hold_lease(store, id, fence, on_lost)
  local name = lease_name(id)
  local beat = timer.every(LEASE_RENEW, function()
    local kept = store:lease_renew(name, fence, LEASE_TTL)
    if kept == false then on_lost() end
  end)
  local released = false
  return setmetatable({
    fence = { name = name, fence = fence },
    release = function()
      released = true
      beat:cancel()
      store:release(name, fence)
    end,
  }, { __close = function()
    if released then return end
    beat:cancel()
    -- A task that is cancelled cannot wait; the lease expires by itself where giving it back would have to.
    pcall(store.release, store, name, fence)
  end })
end

--- Fetches the list of calendars when it is old, and makes the store's that list.
function Sync:_calendars(run)
  local account = run.account
  local age = self.config.calendars_age or CALENDARS_AGE
  if not run.force and account.calendars_at and account.calendars_at > run.started - age then return true end
  local natives, err = run.provider.calendars(account)
  if not natives then return nil, err end
  local list, incomplete = {}, false
  for _, native in ipairs(natives) do
    local calendar, failure = run.provider.calendar:to(native)
    if calendar then
      local row = { original = native.original or native }
      for field, value in pairs(calendar) do row[field] = value end
      list[#list + 1] = row
    else
      incomplete = true
      local original = json.encode(native, { sorted = true, utf8 = "replace" })
      run.problem = run.problem or errors.new("invalid_answer", "a calendar cannot be read: " .. tostring(failure),
        { reason = errors.from(failure).code, details = { original = original } })
      log.warn("a calendar cannot be read", { account = account.id, error = tostring(failure) })
    end
  end
  local counts, problem = self.store:calendars_sync(account.id, list, run.fence, incomplete)
  if not counts then return nil, problem end
  account.calendars_at = run.started
  return true
end

--- What refuses one calendar and says nothing about the others.
local ONLY_THIS_CALENDAR = {
  forbidden = true, not_found = true, gone = true, unsupported = true,
  answer_not_json = true, answer_too_large = true, invalid_answer = true, endless_listing = true,
}

--- What has to be known of an account though it was synced: the calendar or event that nobody could read.
local function remaining_problem(store, run)
  if run.problem then return run.problem end
  local unreadable = store:unreadable(run.account.id)
  if not unreadable or unreadable.count == 0 then return nil end
  local err = unreadable.error
  if unreadable.count > 1 then err.message = ("%s (and %d more)"):format(err.message, unreadable.count - 1) end
  return err
end

--- Syncs every calendar, some side by side. The first failure that is of the account is returned.
function Sync:_events(run)
  local calendars, err = self.store:calendars { account = run.account.id }
  if not calendars then return nil, err end
  run.counts.calendars = #calendars
  local work = {}
  for index, calendar in ipairs(calendars) do
    work[index] = function()
      local function told(events)
        run.events = run.events + events
        run.tell { account = run.account.id, calendar = calendar.title or calendar.id, index = index,
          calendars = #calendars, events = run.events }
      end
      calendar.wanted = run.wanted
      local done, failure = mirror.sync(self.store, run, calendar, told)
      if not done then self.store:calendar_failed(calendar.key, errors.from(failure)) end
      return done, failure
    end
  end
  local first, refused
  local all = 0
  for index, result in ipairs(task.all(work, { limit = SIDE_BY_SIDE })) do
    local failure
    if not result[1] then failure = errors.from(result[2]) elseif not result[2] then failure = errors.from(result[3]) end
    if failure and failure.code == "not_found" then run.relist = true end
    if failure and ONLY_THIS_CALENDAR[failure.code] then
      run.problem = run.problem or failure
      refused = refused or failure
      all = all + 1
      log.warn("a calendar cannot be synced",
        { account = run.account.id, calendar = calendars[index].id, error = tostring(failure) })
    elseif failure and (not first or upstream.refused(failure)) then
      first = failure
    end
  end
  -- Where no calendar is left, there is nothing that was synced.
  if not first and all == #calendars and refused and not run.relist then first = refused end
  if first then return nil, first end
  return true
end

function Sync:_run(account, fence, entry)
  local provider, ready = upstream.open(self.engine, account)
  if not provider then return nil, ready end
  local run = {
    account = ready, provider = provider, fence = fence, force = entry.force, wanted = entry.wanted, started = self.store.clock(), events = 0,
    counts = { calendars = 0, created = 0, updated = 0, deleted = 0, unchanged = 0, skipped = 0 },
    tell = function(news)
      for _, listener in ipairs(entry.listeners) do listener(news) end
    end,
  }
  -- What a crash left half done is finished before the mirror is compared with the provider.
  local settled = self.engine.write and self.engine.write:recover { account = account.id }
  local providers = self.engine.providers
  run.mapping = providers.digest and providers:digest(account.provider) or nil
  -- What the calendars are called may have changed with it.
  if run.mapping and self.store:mapping_changed(account.id, run.mapping) then ready.calendars_at = nil end
  local listed, err = self:_calendars(run)
  if not listed then return nil, err end
  local synced, failure = self:_events(run)
  if run.relist and not run.force then
    run.force = true
    listed, err = self:_calendars(run)
    if not listed then return nil, err end
  end
  if not synced then return nil, failure end
  local kept, lost = self.store:account_update(account.id, {
    synced_at = run.started, failures = 0, retry_at = json.null, status = "active",
    error = remaining_problem(self.store, run) or json.null,
    status_at = account.status ~= "active" and run.started or nil,
  }, fence)
  if not kept then return nil, lost end
  local counts = run.counts
  if self.engine.subscriptions then self.engine.subscriptions:look(account, provider) end
  if settled and settled.finished > 0 then counts.pushed = settled.finished end
  if counts.created + counts.updated + counts.deleted > 0 then
    self.store:change_note { account = account.id, kind = "sync.finished", about = counts }
  end
  return counts
end

--- Notes a failed refresh on the account: when to try again, or that it has to be connected anew.
function Sync:_failed(account, err)
  local now = self.store.clock()
  log.warn("sync failed", { account = account.id, provider = account.provider, error = tostring(err), kind = err.code })
  if upstream.refused(err) then return upstream.failed(self.engine, account, err) end
  local failures = account.failures + 1
  local pause = math.min(FIRST_BACKOFF * 2 ^ math.min(failures - 1, 20), LONGEST_BACKOFF) * (0.5 + math.random() / 2)
  self.store:account_update(account.id, {
    failures = failures, retry_at = now + math.max(pause, err.retry_after or 0),
    error = err,
  })
  -- Told once, however often it is tried again.
  if failures == 1 then
    self.store:change_note { account = account.id, kind = "sync.failed", about = { code = err.code, message = tostring(err) } }
  end
  return err
end

--- Whether an account was refreshed, or failed, since it was read as `before`.
local function moved(before, now)
  return now.synced_at ~= before.synced_at or now.failures ~= before.failures or now.status ~= before.status
end

--- Refreshes an account under its lease; while another worker holds it, waits for what that one brings.
function Sync:_under_lease(before, entry)
  local pause, started = 0.01, timer.now()
  while timer.now() - started < LONGEST_RUN do
    local number, err = self.store:lease(lease_name(before.id), nil, LEASE_TTL)
    if err then return nil, err end
    local account, missing = self.store:account(before.id)
    if not account then
      if number then self.store:release(lease_name(before.id), number) end
      return nil, missing or errors.new("not_found", "no such account")
    end
    local over = moved(before, account) and not entry.force and not entry.fresh and not entry.wanted
    if number then
      local cancelled = false
      local lease <close> = hold_lease(self.store, before.id, number, function()
        cancelled = true
        if entry.handle then entry.handle:cancel() end
      end)
      if over then
        lease.release()
        return { joined = true }
      end
      local ran, counts, failure = pcall(self._run, self, account, lease.fence, entry)
      if not ran then counts, failure = nil, errors.from(counts) end
      if not counts and not cancelled then failure = self:_failed(account, errors.from(failure)) end
      lease.release()
      return counts, failure
    end
    if over then return { joined = true } end
    timer.sleep(pause)
    pause = math.min(pause * 1.5, 0.2)
  end
  return nil, errors.new("timeout", "another worker keeps the account for too long", { account = before.id })
end

local function covers(span, wanted)
  return not wanted or span ~= nil and span.from <= wanted.from and span.to >= wanted.to
end

--- The refresh of an account that runs in this worker; begun when none does. One that does not look at the span that is
--- wanted now is followed by one that does.
function Sync:_shared(account, options)
  local entry = self.running[account.id]
  if entry and (options.fresh or not covers(entry.wanted, options.wanted)) then
    entry.next = entry.next or task.spawn(function()
      entry.handle:wait()
      local ended, counts, err = self:_shared(account, options):wait()
      if not ended then error(counts, 0) end
      return counts, err
    end)
    return entry.next
  end
  if not entry then
    entry = { listeners = {}, force = options.force, fresh = options.fresh, wanted = options.wanted }
    self.running[account.id] = entry
    entry.handle = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() self.running[account.id] = nil end })
      return self:_under_lease(account, entry)
    end)
  end
  if options.progress then entry.listeners[#entry.listeners + 1] = options.progress end
  return entry.handle
end

local function stale(account, now, reason)
  return {
    account = account.id, reason = reason,
    age = math.max(0, math.floor(now - (account.synced_at or account.created))),
  }
end

--- What there is to say about an account that could not be made fresh.
local function verdict(before, account, now)
  if account.status == "reauth_required" then return stale(account, now, "reauth") end
  if account.synced_at and account.synced_at ~= before.synced_at then return nil end
  if account.failures > before.failures or account.retry_at and account.retry_at > now then
    return stale(account, now, "error")
  end
  return stale(account, now, account.synced_at and "timeout" or "initial")
end

--- Whether a read reaches beyond what the mirror of an account covers.
function Sync:_outside(account, span)
  return span ~= nil and self.store:calendars_outside(account.id, span.from, span.to) or false
end

function Sync:_refresh_one(account, max_age, until_time, span)
  local now = self.store.clock()
  if account.status == "reauth_required" then return stale(account, now, "reauth") end
  if account.retry_at and account.retry_at > now then return stale(account, now, "error") end
  local outside, handle = self:_outside(account, span), nil
  -- What a first refresh covers is the provider's choice, which may not be enough.
  for _ = 1, outside and 1 or 2 do
    handle = self:_shared(account, { wanted = outside and span or nil })
    local left = until_time - timer.now()
    if left > 0 then
      task.deadline(left, function() return handle:wait() end)
    end
    outside = handle:done() and self:_outside(account, span)
    if not outside then break end
  end
  local after, err = self.store:account(account.id)
  if not after then
    if err then return stale(account, now, "error") end
    return nil
  end
  local late
  if not (after.synced_at and max_age > 0 and after.synced_at >= now - max_age) then late = verdict(account, after, self.store.clock()) end
  if not late and self:_outside(account, span) then
    -- Fresh, but not of the span that is asked for.
    late = stale(after, self.store.clock(), handle:done() and "error" or "timeout")
  end
  return late
end

--- Makes accounts fresh before a read: all at once, each within the deadline. Where the mirror of a provider covers only a
--- span, and the read reaches beyond it, the span is extended.
---@param request { accounts: (lunation.Account|integer)[], max_age: number?, deadline: number?, from: integer?, to: integer? }
---  max_age, deadline: seconds; the configuration's. from, to: what is about to be read, seconds since the epoch
---@return lunation.Stale[] stale accounts that are served from an older mirror; empty when all are fresh
function Sync:refresh(request)
  local max_age = request.max_age or self.config.max_age or 30
  local until_time = timer.now() + (request.deadline or self.config.deadline or 5)
  local now = self.store.clock()
  local late, work = {}, {}
  local span = request.from and request.to and { from = request.from, to = request.to } or nil
  for _, account in ipairs(request.accounts) do
    if type(account) ~= "table" then account = self.store:account(account) end
    if account and not (max_age > 0 and account.synced_at and account.synced_at > now - max_age and account.status == "active"
      and not self:_outside(account, span)) then
      work[#work + 1] = function() return self:_refresh_one(account, max_age, until_time, span) end
    end
  end
  if #work == 1 then return { work[1]() } end
  for _, result in ipairs(task.all(work)) do
    if not result[1] then error(result[2], 0) end
    late[#late + 1] = result[2]
  end
  return late
end

--- Syncs one account now and waits for the end.
---@param id integer
---@param options { force: boolean?, fresh: boolean?, progress: fun(news: table)? }? force: also when it failed a moment ago, and
---  with a fresh list of calendars; fresh: begun after this call, whatever runs already; progress: called with
---  {account=, calendar=, index=, calendars=, events=}
---@return lunation.SyncCounts?, lunation.Error?
function Sync:account(id, options)
  options = options or {}
  local account, err = self.store:account(id)
  if not account then return nil, err or errors.new("not_found", "no such account", { account = id }) end
  local now = self.store.clock()
  if not options.force and account.retry_at and account.retry_at > now then
    return nil, errors.new(account.error and account.error.code or "unavailable",
      account.error and account.error.message or "the account failed a moment ago", { account = id })
  end
  local ended, counts, failure = self:_shared(account, options):wait()
  if not ended then return nil, errors.from(counts) end
  return counts, failure
end

local sync = {}

--- The value of the `Lunation-Stale` header.
---@param list lunation.Stale[]?
---@return string? nil: nothing is stale
function sync.stale_header(list)
  if not list or #list == 0 then return nil end
  local parts = {}
  for index, entry in ipairs(list) do
    parts[index] = ("account=%d;age=%d;reason=%s"):format(entry.account, entry.age, entry.reason)
  end
  return table.concat(parts, ", ")
end

---@param engine table
---@return lunation.Sync
function sync.new(engine)
  return setmetatable({ engine = engine, store = engine.store, config = engine.config.sync or {}, running = {} }, Sync)
end

return sync
