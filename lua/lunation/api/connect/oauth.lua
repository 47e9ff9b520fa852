--- `POST /oauth/token` and `POST /oauth/revoke`.

local access = require "lunation.api.connect.access"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local failure = require "lunation.api.connect.failure"
local form = require "lunation.oauth.form"
local json = require "lunation.json"

local oauth = {}

---The client's id and secret: by HTTP Basic (RFC 6749 section 2.3.1), or in the body.
---@return string|nil id
---@return string|nil secret
---@return lunation.Error|nil
local function credentials(req, body)
  local header = req:header "authorization"
  if header then
    local encoded = header:match("^[Bb][Aa][Ss][Ii][Cc] +([%w+/=_-]+)%s*$")
    local id, secret = (encoded and crypto.unbase64(encoded) or ""):match("^([^:]*):(.*)$")
    if not id then return nil, nil, errors.new("invalid_client", "Client authentication failed") end
    -- The RFC has both form-encoded; many clients send them as they are. What we issue reads the same either way.
    if id:find("%%%x%x") then id = form.unescape(id) end
    if secret:find("%%%x%x") then secret = form.unescape(secret) end
    if body.client_id ~= nil and body.client_id ~= id then
      return nil, nil, errors.new("invalid_request", "client_id is not that of the Authorization header", { field = "client_id" })
    end
    return id, secret
  end
  return body.client_id or req.headers["client_id"], body.client_secret
end

---@return table|nil answer
---@return lunation.Error|nil
local function token(engine, req)
  local body, err = access.body(req)
  if not body then return nil, err end
  for name, value in pairs(body) do
    if value == json.null then
      body[name] = nil
    elseif type(value) ~= "string" then
      return nil, errors.new("invalid_request", name .. " is a string", { field = name })
    end
  end
  local id, secret, bad = credentials(req, body)
  if bad then return nil, bad end
  local app
  app, err = engine.oauth:client(id, secret, req.remote)
  if not app then return nil, err end
  if body.grant_type == "authorization_code" then return engine.oauth:exchange(app, body) end
  if body.grant_type == "refresh_token" then return engine.oauth:refresh(app, body.refresh_token) end
  if body.grant_type == nil or body.grant_type == "" then return nil, errors.new("invalid_request", "grant_type is required") end
  return nil, errors.new("unsupported_grant_type", "grant_type is authorization_code or refresh_token", { status = 400 })
end

---@param engine table
---@param req table
---@return table response
function oauth.token(engine, req)
  local result, err = token(engine, req)
  if not result then return failure.token(err) end
  return access.answer(result, { pragma = "no-cache" })
end

---@param engine table
---@param req table
---@return table response
function oauth.revoke(engine, req)
  local body, err = access.body(req)
  if not body then return failure.response(req, err) end
  if type(body.token) ~= "string" or body.token == "" then
    return failure.response(req, errors.new("invalid_request", "token is required", { field = "token" }))
  end
  local done
  done, err = engine.oauth:revoke(body.token)
  if not done then return failure.response(req, err) end
  return access.answer { success = true }
end

return oauth
