--- Subscriptions: services tell us that something changed, where we can be reached; where we cannot, we look from time to time.
--
-- A subscription is asked for after the first sync of its account, renewed at half of its life (where the service knows no
-- renewal, by a new one before the old one is stopped), and stopped with the account. A notice says only that there is
-- something to fetch: it queues one incremental sync, however many come. Notices get lost, so accounts are looked at all the same.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local log = require "lunation.log"
local model = require "lunation.model"
local task = require "lunation.task"
local upstream = require "lunation.upstream"

---@class lunation.Subscriptions
local Subscriptions = {}
Subscriptions.__index = Subscriptions

--- Seconds: what is asked for; how long one that was asked for may stay unanswered; until one that was refused is asked for
--- again; how long notices are collected before a sync; how often the table is looked at.
local LIFETIME, UNANSWERED, REFUSED, COLLECT, LOOK = 2 * 86400, 600, 86400, 0.2, 30
--- Seconds between two looks at an account without notices, and with.
local POLL, RECONCILE = 300, 3600
local SIDE_BY_SIDE = 4

--- What refuses a subscription for good: asking again soon would not help.
local FINAL = { forbidden = true, invalid_request = true, unsupported = true, not_found = true, gone = true, conflict = true }

---@param token string
---@return string
local function hash(token)
  return crypto.hex(crypto.sha256(token))
end

local function sends(provider)
  return provider.can.push == true and provider.watch ~= nil and provider.receive ~= nil
end

--- Whether services can reach us: over https, or as the configuration says.
---@return boolean
function Subscriptions:reachable()
  local push = self.config.sync and self.config.sync.push or "auto"
  if push == "auto" then return (self.config.public_url or ""):find("^https://") ~= nil end
  return push == "always"
end

--- How an account's changes come to be known, where its service sends notices at all.
---@param account lunation.Account
---@param subscribed table<integer, boolean>? of `store:subscribed_accounts`
---@return "push"|"poll"|nil
function Subscriptions:way(account, subscribed)
  local provider = self.engine.providers:get(account.provider)
  if not provider or not sends(provider) then return nil end
  subscribed = subscribed or self.store:subscribed_accounts() or {}
  return subscribed[account.id] and "push" or "poll"
end

-- --- asking -----------------------------------------------------------------------------------------------------------

local function renew_at(now, expires)
  return expires and now + math.max(30, (expires - now) / 2) or now + LIFETIME
end

-- Stops one at its service; that it does not answer, or does not know it, is no trouble.
local function stop(self, provider, ready, row)
  if row.state == "active" and provider.unwatch then
    local done, err = provider.unwatch(ready, { id = row.remote or row.id, resource = row.resource, data = row.data })
    if not done then log.debug("a subscription could not be stopped", { account = row.account, error = tostring(err) }) end
  end
  self.store:subscription_remove(row.id)
end

-- Asks for one.
local function ask(self, provider, ready, calendar)
  local now, id, token = self.store.clock(), crypto.uuid(), crypto.base64url(crypto.random(32))
  local url = ("%s/notifications/%s"):format(self.config.public_url, provider.name)
  local kept, err = self.store:subscription_add {
    id = id, account = ready.id, calendar = calendar and calendar.key, provider = provider.name, token = hash(token), url = url,
    renew_at = now + UNANSWERED,
  }
  if not kept then return nil, err end
  local made, failure = provider.watch(ready, calendar, { url = url, lifecycle_url = url, id = id, token = token, lifetime = LIFETIME })
  if made then
    return self.store:subscription_update(id, {
      state = "active", remote = made.id ~= id and made.id or nil, resource = made.resource, data = made.data, expires = made.expires,
      renew_at = renew_at(now, made.expires),
    })
  end
  failure = errors.from(failure)
  if not FINAL[failure.code] then
    self.store:subscription_remove(id)
    return nil, failure
  end
  log.info("a service sends no notices of a calendar", { account = ready.id, calendar = calendar and calendar.id, error = tostring(failure) })
  return self.store:subscription_update(id, { state = "refused", error = failure, renew_at = now + REFUSED })
end

-- Renews one at its service, where that can be done.
local function renew(self, provider, ready, row)
  if not provider.renew then return false end
  local made, err = provider.renew(ready, { id = row.remote or row.id, resource = row.resource, data = row.data }, { lifetime = LIFETIME })
  if made then
    local now = self.store.clock()
    return self.store:subscription_update(row.id, {
      state = "active", remote = made.id and made.id ~= row.id and made.id or row.remote, resource = made.resource or row.resource,
      data = made.data or row.data, expires = made.expires, renew_at = renew_at(now, made.expires),
    })
  end
  if FINAL[err.code] then return false end
  return nil, err
end

-- What there should be of one target: one that holds, and nothing else.
local function keep(self, provider, ready, rows, calendar)
  local now, holds = self.store.clock(), nil
  local url = ("%s/notifications/%s"):format(self.config.public_url, provider.name)
  for _, row in ipairs(rows) do
    if row.url == url and row.renew_at > now then holds = row end
  end
  if not holds then
    local newest = rows[#rows]
    local lives = newest and newest.state == "active" and newest.url == url and (not newest.expires or newest.expires > now)
    local renewed, err = false, nil
    if lives then renewed, err = renew(self, provider, ready, newest) end
    if renewed == nil then return nil, err end
    if renewed then
      holds = newest
    else
      -- The old one goes on until the new one is there.
      local asked, failure = ask(self, provider, ready, calendar)
      if not asked then return nil, failure end
    end
  end
  for _, row in ipairs(rows) do
    if row ~= holds then stop(self, provider, ready, row) end
  end
  return true
end

--- Brings the subscriptions of an account to what they should be.
---@param id integer
---@return true?, lunation.Error?
function Subscriptions:keep(id)
  local account, err = self.store:account(id)
  if not account then return err == nil or nil, err end
  if account.status ~= "active" or not self:reachable() then return true end
  local provider, ready = upstream.open(self.engine, account)
  if not provider then return nil, ready end
  if not sends(provider) then return true end
  local targets = { false }
  if provider.watches ~= "account" then
    local calendars, failure = self.store:calendars { account = id }
    if not calendars then return nil, failure end
    targets = calendars
  end
  local rows, failure = self.store:subscriptions(id)
  if not rows then return nil, failure end
  local work = {}
  for _, target in ipairs(targets) do
    local own = {}
    for _, row in ipairs(rows) do
      if row.calendar == (target and target.key or nil) then own[#own + 1] = row end
    end
    if not target or model.holds_events(target) then
      work[#work + 1] = function() return keep(self, provider, ready, own, target or nil) end
    end
  end
  local first
  for _, done in ipairs(task.all(work, { limit = SIDE_BY_SIDE })) do
    if not done[1] then first = first or errors.from(done[2]) elseif not done[2] then first = first or done[3] end
  end
  if first then return nil, upstream.failed(self.engine, account, first) end
  return true
end

--- After a sync: has an account asked for whose calendars have no subscription yet.
---@param account lunation.Account
---@param provider lunation.Provider
function Subscriptions:look(account, provider)
  if not sends(provider) or not self:reachable() then return end
  if self.store:subscriptions_missing(account.id, provider.watches == "account") then
    self.engine.jobs:put { kind = "push.keep", key = tostring(account.id), payload = { account = account.id } }
  end
end

--- Stops all of an account, before it goes.
---@param account lunation.Account
function Subscriptions:stop(account)
  local rows = self.store:subscriptions(account.id) or {}
  if #rows == 0 then return end
  local provider, ready = upstream.open(self.engine, account)
  if not provider then return end
  for _, row in ipairs(rows) do stop(self, provider, ready, row) end
end

-- --- notices ----------------------------------------------------------------------------------------------------------

--- Takes one notice: what is unknown or cannot prove itself is passed over.
---@param provider lunation.Provider
---@param notice { subscription: string, token: string?, kind: string }
---@return boolean taken
function Subscriptions:notice(provider, notice)
  if type(notice.subscription) ~= "string" or type(notice.token) ~= "string" then return false end
  local row = self.store:subscription(provider.name, notice.subscription)
  if not row or not crypto.equal(hash(notice.token), row.token) then
    log.debug("a notice that proves nothing was passed over", { provider = provider.name, known = row ~= nil })
    return false
  end
  if notice.kind == "removed" or notice.kind == "renew" then
    if notice.kind == "removed" then self.store:subscription_remove(row.id) else self.store:subscription_hurry(row.id) end
    self.engine.jobs:put { kind = "push.keep", key = tostring(row.account), payload = { account = row.account } }
    if notice.kind == "renew" then return true end
  end
  -- The first message of a channel says that it is there, and nothing of changes.
  if notice.kind ~= "sync" then self.store:sync_queue(row.account, self.store.clock() + COLLECT) end
  return true
end

-- --- jobs -------------------------------------------------------------------------------------------------------------

-- Accounts of services that send notices, as far as none come, and now and then though they come.
local function poll(self)
  local accounts, err = self.store:accounts()
  if not accounts then return nil, err end
  local subscribed = self.store:subscribed_accounts() or {}
  local now, work = self.store.clock(), {}
  for _, account in ipairs(accounts) do
    local provider = self.engine.providers:get(account.provider)
    local late = now - (subscribed[account.id] and RECONCILE or POLL) * 0.9
    if provider and sends(provider) and account.status == "active" and (account.synced_at or 0) < late then
      work[#work + 1] = function() self.engine.sync:account(account.id) end
    end
  end
  -- A failure is noted on its account, and told of there.
  task.all(work, { limit = SIDE_BY_SIDE })
  return true
end

--- Begins: handlers of the jobs, the looks at what is due, and the word that we poll where that is so.
---@param quiet boolean? another worker, or an older engine of this one, says it
function Subscriptions:start(quiet)
  local jobs = self.engine.jobs
  jobs:handle("push.keep", { run = function(payload) return self:keep(payload.account) end })
  jobs:handle("push.sync", { run = function(payload)
    local counts, err = self.engine.sync:account(payload.account, { fresh = true })
    if counts or err.code == "not_found" or upstream.refused(err) then return true end
    return nil, err
  end })
  local any = {}
  for _, name in ipairs(self.engine.providers:names()) do
    local provider = self.engine.providers:get(name)
    if sends(provider) and next(self.engine.providers:settings(name)) then any[#any + 1] = provider.title end
  end
  if #any > 0 and not quiet and not self:reachable() then
    log.info("services cannot reach this host (public_url is not https): calendars are polled", {
      providers = table.concat(any, ", "), seconds = POLL,
    })
  end
  jobs:every { name = "push.poll", seconds = POLL / 5, run = function() return poll(self) end }
  jobs:every { name = "push.due", seconds = LOOK, run = function()
    if not self:reachable() then return true end
    local due, err = self.store:subscriptions_due(self.store.clock())
    if not due then return nil, err end
    for _, id in ipairs(due) do jobs:put { kind = "push.keep", key = tostring(id), payload = { account = id } } end
    return true
  end }
end

local subscriptions = {}

---@param engine table
---@return lunation.Subscriptions
function subscriptions.new(engine)
  return setmetatable({ engine = engine, store = engine.store, config = engine.config }, Subscriptions)
end

return subscriptions
