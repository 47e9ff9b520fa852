-- An OAuth server and an API behind it on loopback, for specs of the client side: small, obliging, and full of faults on request.

local form = require "lunation.oauth.form"
local json = require "lunation.json"
local server = require "lunation.server"
local crypto = require "lunation.crypto"
local timer = require "lunation.timer"

local oauth = {}

---@class spec.oauth.Server
---@field url string
---@field requests table[] {method, path, query, authorization, body} as they came
---@field tokens table<string, table> access token to {refresh=}
---@field refresh table<string, boolean> refresh tokens that are good
---@field api (fun(req: table): table?)? answers /api before `answers` do
---@field answers table[] what /api answers next: {status=, headers=, body=, delay=}, or a function of the request

--- Starts one.
---@param options {expires_in: integer?, rotate: boolean?}?
---@return spec.oauth.Server
function oauth.start(options)
  options = options or {}
  local self = {
    requests = {}, tokens = {}, refresh = {}, codes = {}, answers = {}, revoked = {}, count = 0, active = 0, most_active = 0, refreshes = 0,
  }

  function self.issue(refresh)
    self.count = self.count + 1
    local access = "access-" .. self.count
    self.tokens[access] = true
    if not refresh or options.rotate then
      if refresh then self.refresh[refresh] = nil end
      refresh = "refresh-" .. self.count
      self.refresh[refresh] = true
    end
    return { access_token = access, refresh_token = refresh, expires_in = options.expires_in or 3600, token_type = "Bearer", scope = self.scope }
  end

  local function given(refresh)
    return { status = 200, headers = { ["content-type"] = "application/json" }, body = json.encode(self.issue(refresh)) }
  end

  local function refuse(code, status)
    return { status = status or 400, headers = { ["content-type"] = "application/json" }, body = json.encode { error = code } }
  end

  local function token(req)
    local fields = form.decode(req.body)
    if self.token_delay then timer.sleep(self.token_delay) end
    if self.token_fault then return refuse(self.token_fault, self.token_status) end
    if fields.client_id ~= "client" or fields.client_secret ~= "secret" then return refuse("invalid_client", 401) end
    if fields.grant_type == "refresh_token" then
      self.refreshes = self.refreshes + 1
      if not self.refresh[fields.refresh_token] then return refuse "invalid_grant" end
      return given(fields.refresh_token)
    end
    local code = self.codes[fields.code]
    self.codes[fields.code or ""] = nil
    if not code or code.redirect_uri ~= fields.redirect_uri then return refuse "invalid_grant" end
    if crypto.base64url(crypto.sha256(fields.code_verifier or "")) ~= code.challenge then return refuse "invalid_grant" end
    return given()
  end

  local function authorize(req)
    local fields = form.decode(req.query)
    local code = "code-" .. crypto.hex(crypto.random(4))
    self.codes[code] = { redirect_uri = fields.redirect_uri, challenge = fields.code_challenge }
    self.asked = fields
    local back = self.deny and { { "error", "access_denied" } } or { { "code", code } }
    back[#back + 1] = { "state", fields.state }
    return { status = 302, headers = { location = fields.redirect_uri .. "?" .. form.encode(back) }, body = "" }
  end

  local function api(req)
    local bearer = (req.headers["authorization"] or ""):match "^Bearer (.+)$"
    if not bearer or not (self.tokens[bearer] or bearer == "fixed") then return refuse("unauthorized", 401) end
    local answer = self.api and self.api(req) or table.remove(self.answers, 1)
    if type(answer) == "function" then answer = answer(req) end
    answer = answer or { body = '{"fine":true}' }
    self.active = self.active + 1
    self.most_active = math.max(self.most_active, self.active)
    -- A client that hangs up ends this, too.
    local _ <close> = setmetatable({}, { __close = function() self.active = self.active - 1 end })
    if answer.delay then timer.sleep(answer.delay) end
    return { status = answer.status or 200, headers = answer.headers or { ["content-type"] = "application/json" }, body = answer.body or "{}" }
  end

  local listener = assert(server.listen("http://127.0.0.1:0", {}, function(req)
    self.requests[#self.requests + 1] = {
      method = req.method, path = req.path, query = req.query, authorization = req.headers["authorization"], body = req.body,
    }
    if req.path == "/token" then return token(req) end
    if req.path == "/authorize" then return authorize(req) end
    if req.path == "/revoke" then
      self.revoked[#self.revoked + 1] = form.decode(req.body).token
      return { status = 200, body = "" }
    end
    if req.path:find "^/api" then return api(req) end
    return { status = 404, body = "" }
  end))
  self.url = listener.url
  function self.stop() listener:drain(1) end
  return self
end

--- The declaration of a provider whose OAuth endpoints are this server's.
---@param at spec.oauth.Server
---@param more table? further fields of the provider
---@return table
function oauth.provider(at, more)
  local provider = {
    name = "fake", title = "Fake", can = { incremental = true }, urls = { api = at.url .. "/api" },
    auth = {
      kind = "oauth2", authorize = at.url .. "/authorize", token = at.url .. "/token", revoke = at.url .. "/revoke", pkce = true,
      parameters = { access_type = "offline" },
      scopes = {
        ["free-busy"] = { "openid", "freebusy" }, read = { "openid", "calendar.read" }, ["read-write"] = { "openid", "calendar" },
        contacts = { "contacts" },
      },
    },
  }
  for name, value in pairs(more or {}) do provider[name] = value end
  return provider
end

--- An account for calling a provider's functions without a store: its session is the product's own.
---@param provider table
---@param options {config: table?, credentials: table?, settings: table?, limits: table?}?
---@return table account
function oauth.account(provider, options)
  options = options or {}
  local config = options.config or {}
  local engine = {
    config = { limits = options.limits or {} }, store = { clock = timer.time },
    providers = { settings = function() return config end, get = function() return provider end },
  }
  return require("lunation.session").attach(engine, provider, {
    provider = provider.name, credentials = options.credentials or {}, settings = options.settings or {},
  })
end

return oauth
