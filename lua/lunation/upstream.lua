--- The way from an account of the store to its provider: credentials opened, outgoing addresses guarded, and what a
--- refused login means for the account.

local errors = require "lunation.errors"
local session = require "lunation.session"

local upstream = {}

--- The SSRF guard of an account (lunation.http): what the configuration allows, and the addresses that whoever added the
--- account on the command line named (its settings' `allow`).
local function guard_of(engine, account)
  local outgoing = engine.config.outgoing or {}
  local allow = {}
  for _, list in ipairs { outgoing.allow or {}, account.settings.allow or {} } do
    for _, address in ipairs(list) do allow[#allow + 1] = address end
  end
  return { allow = allow, allow_private = outgoing.allow_private or false }
end

--- An account ready to be given to its provider's functions.
---@param engine table
---@param account lunation.Account
---@param options { timeout: number? }? timeout: seconds for one request, where somebody waits for it
---@return table? provider, table|lunation.Error account with `credentials`, `guard` and its session (lunation.session)
function upstream.open(engine, account, options)
  local provider, unknown = engine.providers:get(account.provider)
  if not provider then return nil, unknown end
  local credentials, err = engine.store:credentials(account.id)
  if not credentials then return nil, err end
  local ready = {}
  for name, value in pairs(account) do ready[name] = value end
  ready.credentials = credentials
  ready.guard = guard_of(engine, account)
  ready.timeout = options and options.timeout or ready.timeout
  return provider, session.attach(engine, provider, ready)
end

--- Whether an error means that the account has to be connected anew.
---@param err lunation.Error
---@return boolean
function upstream.refused(err)
  return err.code == "unauthorized" or err.code == "reauth_required" or err.code == "invalid_grant"
end

--- The error of a provider as those who asked see it; a refused login is remembered on the account.
---@param engine table
---@param account lunation.Account
---@param err any
---@return lunation.Error
function upstream.failed(engine, account, err)
  err = errors.from(err)
  if not upstream.refused(err) then return err end
  engine.store:account_update(account.id, {
    status = "reauth_required", status_at = engine.store.clock(),
    error = { code = "reauth_required", message = tostring(err), reason = err.reason, details = err.details },
  })
  return errors.new("reauth_required", tostring(err), { account = account.id, provider = account.provider })
end

return upstream
