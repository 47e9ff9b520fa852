--- Removing an account: what it was granted is given back at its provider, then it goes with its credentials and its mirror.

local client = require "lunation.oauth.client"
local log = require "lunation.log"
local session = require "lunation.session"
local task = require "lunation.task"

local accounts = {}

--- Seconds that the provider has to answer; the account goes in any case.
local FAREWELL = 8

-- Whether the grant is another account's too, of another user or app: services revoke all that one person gave us.
local function shared(engine, account)
  for _, other in ipairs(engine.store:accounts { provider = account.provider, identity = account.identity } or {}) do
    if other.id ~= account.id then return true end
  end
  return false
end

local function farewell(engine, account)
  local provider = engine.providers:get(account.provider)
  if not provider then return end
  if engine.subscriptions then engine.subscriptions:stop(account) end
  if provider.auth.kind ~= "oauth2" or shared(engine, account) then return end
  local credentials = engine.store:credentials(account.id)
  if not credentials or not (credentials.refresh_token or credentials.access_token) then return end
  local done, err = client.revoke(provider, session.config(engine, provider), credentials)
  if not done then log.warn("a grant could not be revoked", { account = account.id, provider = account.provider, error = tostring(err) }) end
end

--- Removes an account. That its provider does not answer is no reason to keep it.
---@param engine table
---@param account lunation.Account
---@return boolean? removed
---@return lunation.Error?
function accounts.remove(engine, account)
  local ran, late, err = pcall(task.deadline, FAREWELL, function()
    farewell(engine, account)
    return true
  end)
  if not ran or not late then
    log.warn("an account is removed without its provider", { account = account.id, error = tostring(not ran and late or err) })
  end
  return engine.store:account_remove(account.id)
end

return accounts
