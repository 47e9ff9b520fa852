--- Who calls a dialect whose users carry our tokens (RFC 6750).

local errors = require "lunation.errors"
local scopes = require "lunation.oauth.scope"

local caller = {}

--- The user whose token a request carries.
---@param engine table
---@param req lunation.Request
---@return lunation.identity|nil
---@return lunation.Error|nil unauthorized
function caller.identity(engine, req)
  local header = req:header "authorization"
  if not header then return nil, errors.new("unauthorized", "A bearer token is required") end
  local token = header:match("^[Bb][Ee][Aa][Rr][Ee][Rr] +([^%s]+)%s*$")
  if not token then return nil, errors.new("unauthorized", "The Authorization header holds no bearer token") end
  return engine.oauth:verify(token)
end

--- Whether what a token allows is enough.
---@param who lunation.identity
---@param needs "free-busy"|"read"|"read-write"
---@return boolean
function caller.allows(who, needs)
  return scopes.covers(who.scope, needs)
end

--- The `Idempotency-Key` of a request.
---@param req lunation.Request
---@return string|nil
---@return lunation.Error|nil
function caller.idempotency_key(req)
  local key = req.headers["idempotency-key"]
  if key == nil or key == "" then return nil end
  if #key > 255 or key:find("[^\32-\126]") then
    return nil, errors.new("invalid_request", "Idempotency-Key has at most 255 visible ASCII characters", { field = "Idempotency-Key" })
  end
  return key
end

return caller
