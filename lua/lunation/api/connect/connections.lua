--- `connection-status` and `disconnect`: the accounts that a user has connected.

local access = require "lunation.api.connect.access"
local caller = require "lunation.api.caller"
local accounts_of = require "lunation.accounts"
local datetime = require "lunation.api.connect.datetime"
local errors = require "lunation.errors"
local json = require "lunation.json"
local vocabulary = require "lunation.api.connect.vocabulary"

local connections = {}

---`GET /oauth/connection-status`: the accounts of the user, by provider.
---@param engine table
---@param who lunation.identity
---@return table? answer
---@return lunation.Error?
function connections.status(engine, _, who)
  local accounts, err = engine.store:accounts { app = who.app, user = who.user }
  if not accounts then return nil, err end
  local list = {}
  for _, name in ipairs(vocabulary.always) do list[name] = json.array {} end
  for _, account in ipairs(accounts) do
    local settings = account.settings or {}
    local permitted = settings.calendarPermissionGranted
    list[account.provider] = list[account.provider] or json.array {}
    table.insert(list[account.provider], {
      id = account.identity, display = account.name or account.identity,
      grantedScopes = json.array(settings.grantedScopes or {}),
      calendarPermissionGranted = permitted == nil and json.null or permitted,
      syncState = account.status == "reauth_required" and "reauth_required" or "active",
      syncStateUpdatedAt = account.status_at and datetime.utc(math.floor(account.status_at)) or json.null,
    })
  end
  local limit = engine.config.limits.accounts or 0
  return access.answer { connections = list, limitReached = limit > 0 and #accounts >= limit }
end

---Remove the accounts of a provider, or one of them.
local function disconnect(engine, who, provider, identity)
  local accounts, err = engine.store:accounts { app = who.app, user = who.user, provider = provider.name }
  if not accounts then return nil, err end
  local removed = 0
  for _, account in ipairs(accounts) do
    if not identity or account.identity == identity then
      local ok, failed = accounts_of.remove(engine, account)
      if failed then return nil, failed end
      if ok then removed = removed + 1 end
    end
  end
  if identity and removed == 0 then
    return nil, errors.new("not_found", "No such account of " .. provider.name .. " is connected", { field = "account" })
  end
  return { success = true, message = removed == 0 and "Nothing was connected" or removed == 1 and "Account disconnected"
    or ("%d accounts disconnected"):format(removed) }
end

---`POST /oauth/disconnect`: one account of a provider, or all of them.
---@param engine table
---@param req table
---@param who lunation.identity
---@return table? answer
---@return lunation.Error?
function connections.disconnect(engine, req, who)
  local fields, err = access.either(req, { "provider", "account" })
  if not fields then return nil, err end
  local name, identity = fields.provider, fields.account
  if identity == json.null or identity == "" then identity = nil end
  if type(name) ~= "string" or name == "" then return nil, errors.new("invalid_request", "provider is required", { field = "provider" }) end
  if identity ~= nil and type(identity) ~= "string" then return nil, errors.new("invalid_request", "account is a string", { field = "account" }) end
  local provider
  provider, err = vocabulary.provider(engine.providers, name)
  if not provider then return nil, err end
  local key
  key, err = caller.idempotency_key(req)
  if err then return nil, err end
  local function work() return disconnect(engine, who, provider, identity) end
  local result
  if key then
    result, err = engine.write:once({ app = who.app, user = who.user, route = "connect disconnect", key = key },
      json.encode({ provider.name, identity }), work)
  else
    result, err = work()
  end
  if not result then return nil, err end
  return access.answer(result)
end

return connections
