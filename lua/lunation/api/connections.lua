--- The connections dialect: a user's Google and Outlook calendars connected, watched and synced, for a customer-relations app.
--
-- Events are not read here: an account that is connected here is there for the other dialects too.

local caller = require "lunation.api.caller"
local accounts_of = require "lunation.accounts"
local connecting = require "lunation.oauth.connecting"
local errors = require "lunation.errors"
local form = require "lunation.oauth.form"
local json = require "lunation.json"
local model = require "lunation.model"
local problem = require "lunation.api.connections.problem"
local task = require "lunation.task"

local MOUNT = "/api/v1/crm/calendar/connections"

--- What this API calls a provider, in the order of its lists; and in the paths of the sign-in.
local PROVIDERS = { { key = "GOOGLE", name = "google", path = "google" }, { key = "OUTLOOK", name = "microsoft", path = "outlook" } }

--- Seconds after which a sync is stale, and that are kept back from the time of a request for its answer.
local STALE, MARGIN = 300, 5

--- Sign-ins that a user may begin in so many seconds.
local BEGINNINGS, WINDOW = 100, 600

local connections = { name = "connections" }

local function answer(value)
  return {
    status = 200, headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" },
    body = json.encode(value, { sorted = true, utf8 = "replace" }),
  }
end

local function empty(status)
  return { status = status, headers = { ["cache-control"] = "no-store" }, body = "" }
end

local function timestamp(seconds)
  return seconds and os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds)) or json.null
end

---@param key string? as it stands in a path
---@return table? provider, lunation.Error?
local function provider_of(key)
  for _, provider in ipairs(PROVIDERS) do
    if provider.key == key then return provider end
  end
  return nil, errors.new("invalid_request", "provider is GOOGLE or OUTLOOK", { field = "provider" })
end

---@return lunation.Account[]?, lunation.Error?
local function connected(engine, who, provider)
  return engine.store:accounts { app = who.app, user = who.user, provider = provider.name }
end

-- --- connecting -------------------------------------------------------------------------------------------------------

local function authorize(engine, provider)
  return function(_, who)
    local known, unknown = engine.providers:get(provider.name)
    if not known then return nil, unknown end
    local few, many = engine.oauth:attempt(("connections:%s:%d"):format(who.app, who.user), BEGINNINGS, WINDOW)
    if not few then return nil, many end
    local url, err = connecting.begin(engine, {
      app = who.app, user = who.user, provider = known, scope = who.scope, kind = "connections",
      redirect_uri = connecting.redirect_uri(engine, known, "connections", MOUNT .. "/" .. provider.path .. "/callback"),
    })
    if not url then return nil, err end
    return answer { url = url, authorizationUrl = url }
  end
end

-- The state says whose account it is to be; a token that comes along must be of the same user.
local function callback(engine, provider)
  return function(req)
    local query = form.decode(req.query)
    local who, refused
    if req:header "authorization" then
      who, refused = caller.identity(engine, req)
      if not who then return nil, refused end
    end
    local row, err = connecting.take(engine, query.state, provider.name, "connections")
    if err then return nil, err end
    if not row or who and (who.app ~= row.app or who.user ~= row.user) then
      return nil, errors.new("unauthorized", "The state is unknown, was used before, or is too old")
    end
    if not query.error and (query.code or "") == "" then return nil, errors.new("invalid_request", "code is required", { field = "code" }) end
    local account, failure = connecting.finish(engine, row, query)
    if not account then return nil, failure end
    return empty(200)
  end
end

-- --- status -----------------------------------------------------------------------------------------------------------

local function row_of(provider, account, calendar)
  local own = calendar and calendar.error
  local err = own or account.error
  local failed = own or account.failures > 0 or account.status ~= "active"
  if failed and not err then err = { message = "The account has to be connected again" } end
  local at = own and calendar.synced_at or not own and account.synced_at or nil
  return {
    provider = provider.key, connected = true, calendarId = calendar and calendar.id or json.null,
    lastSyncAt = timestamp(at), lastSyncError = err and tostring(err.message or err.code) or json.null,
    lastSyncStatus = failed and "FAILED" or account.synced_at and "SUCCESS" or "PENDING",
  }
end

-- A row for each calendar; for an account whose calendars are not known yet, and for a provider without an account, one.
local function status(engine, who)
  local list = json.array {}
  for _, provider in ipairs(PROVIDERS) do
    local found, err = connected(engine, who, provider)
    if not found then return nil, err end
    for _, account in ipairs(found) do
      local calendars, failure = engine.store:calendars { account = account.id }
      if not calendars then return nil, failure end
      local before = #list
      for _, calendar in ipairs(calendars) do
        if model.holds_events(calendar) then list[#list + 1] = row_of(provider, account, calendar) end
      end
      if #list == before then list[#list + 1] = row_of(provider, account) end
    end
    if #found == 0 then
      list[#list + 1] = {
        provider = provider.key, connected = false, calendarId = json.null, lastSyncAt = json.null, lastSyncError = json.null,
        lastSyncStatus = "PENDING",
      }
    end
  end
  return answer(list)
end

-- --- syncing ----------------------------------------------------------------------------------------------------------

-- Syncs accounts of one provider; what one of them fails at does not hide what the others brought.
local function sync(engine, provider, list, force)
  local result = {
    provider = provider.key, success = true, error = json.null,
    eventsCreated = 0, eventsUpdated = 0, eventsDeleted = 0, eventsPushed = 0,
  }
  local work = {}
  for index, account in ipairs(list) do
    work[index] = function() return engine.sync:account(account.id, { force = force }) end
  end
  for index, done in ipairs(task.all(work)) do
    local counts, err = done[2], done[3]
    if not done[1] then counts, err = nil, errors.from(done[2]) end
    if counts then
      result.eventsCreated = result.eventsCreated + (counts.created or 0)
      result.eventsUpdated = result.eventsUpdated + (counts.updated or 0)
      result.eventsDeleted = result.eventsDeleted + (counts.deleted or 0)
      result.eventsPushed = result.eventsPushed + (counts.pushed or 0)
    end
    local after = engine.store:account(list[index].id)
    if err and result.success then result.success, result.error = false, tostring(err.message or err.code) end
    -- An event that nobody could read is told of, and the sync is none the worse for it; a calendar that failed is a failure.
    local left = after and after.error
    if left and result.error == json.null then
      result.success, result.error = result.success and left.code == "invalid_answer", left.message or left.code
    end
  end
  return result
end

-- Work that outlives the time of a request goes on; the answer says so.
local function within(engine, provider, fn)
  local seconds = math.max(1, (engine.config.limits.handler_time or 120) - MARGIN)
  local result, late = task.deadline(seconds, function()
    local ended, value = task.spawn(fn):wait()
    if not ended then error(value, 0) end
    return value
  end)
  if result then return result end
  return {
    provider = provider.key, success = false, error = late.code == "timeout" and "The sync is still running" or tostring(late),
    eventsCreated = 0, eventsUpdated = 0, eventsDeleted = 0, eventsPushed = 0,
  }
end

-- The same request again under one Idempotency-Key has the same answer.
local function once(engine, req, who, what, fn)
  local key, err = caller.idempotency_key(req)
  if err then return nil, err end
  local result
  if key then
    result, err = engine.write:once({ app = who.app, user = who.user, route = "connections", key = key }, what, fn)
  else
    result, err = fn()
  end
  if not result then return nil, err end
  return answer(result)
end

local function sync_if_stale(engine, req, who)
  return once(engine, req, who, "sync-if-stale", function()
    local before = engine.store.clock() - STALE
    local work = {}
    for _, provider in ipairs(PROVIDERS) do
      local found, err = connected(engine, who, provider)
      if not found then return nil, err end
      local stale = {}
      for _, account in ipairs(found) do
        if (account.synced_at or 0) < before then stale[#stale + 1] = account end
      end
      if #stale > 0 then
        work[#work + 1] = function() return within(engine, provider, function() return sync(engine, provider, stale, false) end) end
      end
    end
    local results = json.array {}
    for index, done in ipairs(task.all(work)) do
      if not done[1] then error(done[2], 0) end
      results[index] = done[2]
    end
    return results
  end)
end

local function sync_now(engine, req, who)
  local provider, unknown = provider_of(req.params.provider)
  if not provider then return nil, unknown end
  local found, err = connected(engine, who, provider)
  if not found then return nil, err end
  if #found == 0 then return nil, errors.new("not_found", provider.key .. " is not connected") end
  return once(engine, req, who, "sync " .. provider.key, function()
    return within(engine, provider, function() return sync(engine, provider, found, true) end)
  end)
end

-- --- the end ----------------------------------------------------------------------------------------------------------

local function disconnect(engine, req, who)
  -- Whoever may see no more than when somebody is busy ends nothing for them.
  if not caller.allows(who, "read") then return nil, errors.new("forbidden", "The token's scope does not allow this") end
  local provider, unknown = provider_of(req.params.provider)
  if not provider then return nil, unknown end
  local found, err = connected(engine, who, provider)
  if not found then return nil, err end
  if #found == 0 then return nil, errors.new("not_found", provider.key .. " is not connected") end
  for _, account in ipairs(found) do
    local _, failure = accounts_of.remove(engine, account)
    if failure then return nil, failure end
  end
  return empty(204)
end

---The routes of the dialect, for `serve` to mount.
---@param engine table
---@return { mount: string, routes: table, error: fun(req: table, err: any): table }
function connections.routes(engine)
  local function token(handler)
    return { handler = function(req)
      local who, err = caller.identity(engine, req)
      if not who then return nil, err end
      return handler(req, who)
    end }
  end
  local routes = {
    ["/status"] = { GET = token(function(_, who) return status(engine, who) end) },
    ["/sync-if-stale"] = { POST = token(function(req, who) return sync_if_stale(engine, req, who) end) },
    ["/:provider/sync"] = { POST = token(function(req, who) return sync_now(engine, req, who) end) },
    ["/:provider/disconnect"] = { DELETE = token(function(req, who) return disconnect(engine, req, who) end) },
  }
  for _, provider in ipairs(PROVIDERS) do
    routes["/" .. provider.path .. "/authorize"] = { GET = token(authorize(engine, provider)) }
    routes["/" .. provider.path .. "/callback"] = { GET = { handler = callback(engine, provider) } }
  end
  return { mount = MOUNT, routes = routes, error = problem.response }
end

return connections
