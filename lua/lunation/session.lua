--- The session of an account at its provider: what its functions send through `account.request`.
--
-- A request carries the account's token, which is renewed before its end and once after a 401, by one of all workers; it
-- keeps what the provider allows an account at a time; what fails is named, and tried again where that can do no harm,
-- later and later at random (truncated exponential backoff, full jitter) or when the provider says.

local client = require "lunation.oauth.client"
local errors = require "lunation.errors"
local fetch = require "lunation.fetch"
local http = require "lunation.http"
local json = require "lunation.json"
local log = require "lunation.log"
local listing = require "lunation.listing"
local pace = require "lunation.pace"
local task = require "lunation.task"
local timer = require "lunation.timer"

--- Seconds: how long before its end a token is renewed; how long the renewal is one worker's; how long others wait.
local RENEW_BEFORE, LEASE_TTL, LEASE_WAIT = 120, 90, 60
--- How often the store, which waits for a while itself, is asked to keep a token that was got; within the lease.
local KEEPING = 3
--- Seconds: the bound of the first pause, which doubles, and of the longest.
local FIRST_PAUSE, LONGEST_PAUSE = 0.5, 32
local ATTEMPTS = 5
--- Bytes of an answer that are kept for whoever looks for the cause.
local KEPT = 4096

---@class lunation.Session
---@field engine table
---@field provider lunation.Provider
---@field account table
---@field config table
local Session = {}
Session.__index = Session

-- What an engine knows of the sessions of an account, whichever request began them.
local engines = setmetatable({}, { __mode = "k" })

local function shared(engine, id)
  if not id then return {} end
  engines[engine] = engines[engine] or {}
  local states = engines[engine]
  states[id] = states[id] or {}
  return states[id]
end

local function now(self)
  return self.engine.store.clock and self.engine.store.clock() or timer.time()
end

-- --- the token ------------------------------------------------------------------------------------------------------

-- The refresh token was refused: whoever owns the account has to connect it again.
local function over(self, err)
  if err.code ~= "invalid_grant" then return err end
  return errors.new("reauth_required", ("%s no longer accepts the account's grant: %s"):format(self.provider.title, tostring(err)),
    { reason = "invalid_grant", account = self.account.id, provider = self.provider.name })
end

-- Renews at the provider. A token that was rotated away is on the disk before anything else happens.
local function renew_now(self, before)
  if not before.refresh_token then
    return nil, errors.new("reauth_required", self.provider.title .. " refuses the token, and there is none to renew it with",
      { reason = "no_refresh_token", account = self.account.id, provider = self.provider.name })
  end
  local tokens, err = client.refresh(self.provider, self.config, before)
  if not tokens then return nil, over(self, err) end
  if self.account.id then
    -- The old one may be good for nothing any more: a busy store is asked again.
    local kept, failure
    for _ = 1, KEEPING do
      kept, failure = self.engine.store:credentials_replace(self.account.id, before, tokens)
      if kept or failure.code ~= "busy" then break end
    end
    return kept, failure
  end
  return tokens
end

-- Renews under a lease; where another worker has just done so, what it got is ours too.
local function renew(self, stale)
  local store, id = self.engine.store, self.account.id
  if not id then return renew_now(self, self.account.credentials) end
  local name, pause, started = "token:" .. id, 0.01, timer.now()
  while timer.now() - started < LEASE_WAIT do
    local fence, err = store:lease(name, nil, LEASE_TTL)
    if err then return nil, err end
    local current, missing = store:credentials(id)
    local tokens, failure = current, missing
    local moved = current and current.access_token ~= stale
    if current and fence and not moved then tokens, failure = renew_now(self, current) end
    if fence then store:release(name, fence) end
    if fence or not current or moved then return tokens, failure end
    timer.sleep(pause)
    pause = math.min(pause * 1.5, 0.2)
  end
  return nil, errors.new("timeout", "another worker renews the account's token for too long", { account = id })
end

-- One renewal for all requests of this worker that need it, whatever becomes of the request that began it.
function Session:_renew(stale)
  local state = self.state
  if not state.renewal then
    state.renewal = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() state.renewal = nil end })
      return renew(self, stale)
    end)
  end
  local ended, tokens, err = state.renewal:wait()
  if not ended then return nil, errors.from(tokens) end
  if not tokens then return nil, err end
  self.account.credentials = tokens
  return tokens
end

-- How the request shows who asks; nil, err where that cannot be had.
function Session:_auth()
  local credentials = self.account.credentials or {}
  if credentials.token then return { kind = "bearer", token = credentials.token } end
  if credentials.username then return { kind = "basic", username = credentials.username, password = credentials.password } end
  if not credentials.access_token then return nil end
  if credentials.expires and credentials.expires < now(self) + RENEW_BEFORE and credentials.refresh_token then
    local renewed, err = self:_renew(credentials.access_token)
    -- One that still holds for a moment is used where the new one cannot be had just now.
    if not renewed and (err.code == "reauth_required" or credentials.expires <= now(self)) then return nil, err end
  end
  return { kind = "bearer", token = self.account.credentials.access_token }
end

-- --- what an answer means -------------------------------------------------------------------------------------------

local CODES = {
  [400] = "invalid_request", [401] = "unauthorized", [403] = "forbidden", [404] = "not_found", [409] = "conflict", [410] = "gone",
  [412] = "precondition_failed", [413] = "too_large", [422] = "invalid_request", [429] = "rate_limited", [503] = "unavailable",
}
local PASSING = { [408] = true, [429] = true, [500] = true, [502] = true, [503] = true, [504] = true }
local PASSING_ERROR = { refused = true, resolve = true, network = true, truncated = true, timeout = true }
-- The provider has done nothing, so that anything may be sent again.
local UNTOUCHED = { refused = true, resolve = true, rate_limited = true, unauthorized = true }

-- A URL without its query, which may carry tokens of a listing.
local function address(url) return (url or ""):match("^[^?#]*") end

local function excerpt(body)
  body = body or ""
  return #body > KEPT and body:sub(1, KEPT) .. "…" or body
end

local Answer = {}
Answer.__index = Answer

--- The body as JSON.
---@return any value
---@return lunation.Error? err answer_not_json, with what came instead under details
function Answer:json()
  local value, err = json.decode(self.body)
  if err == nil then return value end
  return nil, errors.new("answer_not_json", ("%s gave an answer that is not JSON: %s"):format(self.from, tostring(err)), {
    upstream_status = self.status, details = { url = address(self.url), original = excerpt(self.body) },
  })
end

-- The error of an answer that is none of those the caller takes.
local function failure_of(self, answer)
  local said = self.provider.classify and self.provider.classify(answer)
  said = said or {}
  local code = said.code or CODES[answer.status] or "provider_error"
  local retry = said.retry
  if retry == nil then retry = PASSING[answer.status] or code == "rate_limited" end
  return errors.new(code, said.message or ("%s answers with status %d"):format(self.provider.title, answer.status), {
    reason = said.reason, retry = retry, upstream_status = answer.status, account = self.account.id, provider = self.provider.name,
    retry_after = said.retry_after or http.retry_after(answer.headers["retry-after"]),
    details = { url = address(answer.url), original = excerpt(answer.body) },
  })
end

-- The error of a request that got no answer.
local function no_answer(self, err)
  local code, message = err.code, tostring(err)
  if code == "too_large" then
    code, message = "answer_too_large", self.provider.title .. " gave an answer that is larger than limits.answer"
  end
  return errors.new(code, message, {
    cause = err.cause, retry = PASSING_ERROR[code], account = self.account.id, provider = self.provider.name,
    details = { url = address(err.url) },
  })
end

-- --- requests -------------------------------------------------------------------------------------------------------

local function origin_of(url)
  local parts = type(url) == "string" and fetch.parts(url)
  return parts and parts.host and ("%s://%s:%s"):format(parts.scheme, parts.host:lower(), parts.port)
end

-- A link in an answer must not carry the token elsewhere.
function Session:_may_have(url)
  if not self.origins then return true end
  return self.origins[origin_of(url)] == true
end

local function accepted(options, status)
  if status >= 200 and status < 400 then return true end
  for _, other in ipairs(options.accept or {}) do
    if other == status then return true end
  end
  return false
end

local IDEMPOTENT = { GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true }

-- Sends a request once, in its turn.
function Session:_send(options, auth)
  local turn <close>, err = self.pace:enter(options.cost or 1, self.longest_wait)
  if not turn then return nil, err end
  local request = {}
  for name, value in pairs(options) do request[name] = value end
  request.accept, request.cost = nil, nil
  request.auth = auth
  request.timeout = options.timeout or self.account.timeout or self.limits.request_time or 60
  request.max_body = options.max_body or self.limits.answer or 16 * 1024 * 1024
  request.connect_timeout = options.connect_timeout or self.limits.connect_time
  request.guard = options.guard or (not self.origins and self.account.guard) or nil
  request.ca_file = options.ca_file or self.config.ca_file
  -- Sent again from here, by what the answer means.
  request.retries = 0
  return http.request(request)
end

-- How long to wait before the next attempt; nil: it is not worth it.
function Session:_pause(failure, attempt)
  local random = math.random() * math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ^ attempt)
  if not failure.retry_after then return math.min(random, self.longest_wait) end
  if failure.retry_after > self.longest_wait then return nil end
  -- Those who were told the same second do not come back in the same moment.
  return failure.retry_after + random * 0.25
end

--- Sends a request of the account.
---@async
---@param options lunation.http.Request besides: `accept`, further statuses that come back as answers; `idempotent`, a POST
---  that may be sent twice; `cost`, how many requests the provider counts it as
---@return lunation.http.Answer? answer of a status below 400, or an accepted one
---@return lunation.Error? err with upstream_status, reason, retry_after and details {url=, original=}
function Session:request(options)
  if not self:_may_have(options.url) then
    return nil, errors.new("provider_error", ("%s points to an address that is not its own"):format(self.provider.title),
      { reason = "foreign_link", account = self.account.id, details = { url = address(options.url) } })
  end
  local again = options.idempotent
  if again == nil then again = IDEMPOTENT[(options.method or "GET"):upper()] or false end
  local renewed = false
  for attempt = 0, ATTEMPTS - 1 do
    local auth, refused = self:_auth()
    if refused then return nil, refused end
    local answer, err = self:_send(options, auth)
    if answer and accepted(options, answer.status) then
      answer.from = self.provider.title
      return setmetatable(answer, Answer)
    end
    if err and err.code == "rate_limited" then return nil, err end
    local failure = answer and failure_of(self, answer) or no_answer(self, err)
    local tokens = self.account.credentials or {}
    if failure.code == "unauthorized" and not renewed and tokens.refresh_token and auth then
      renewed = true
      local fresh, problem = self:_renew(auth.token)
      if not fresh then return nil, problem end
    else
      if not failure.retry or attempt == ATTEMPTS - 1 or not (again or UNTOUCHED[failure.code]) then return nil, failure end
      local pause = self:_pause(failure, attempt)
      if not pause then return nil, failure end
      log.debug("a request is sent again", { account = self.account.id, code = failure.code, reason = failure.reason, seconds = pause })
      if failure.code == "rate_limited" then self.pace:rest(pause) end
      timer.sleep(pause)
    end
  end
  return nil, errors.new("unauthorized", self.provider.title .. " refuses the account's token", { account = self.account.id })
end

local session = {}

-- What the configuration says of the provider, with its own addresses below.
local function config_of(engine, provider)
  local config = {}
  local given = engine.providers.settings and engine.providers:settings(provider.name) or {}
  for name, value in pairs(given) do config[name] = value end
  for name, value in pairs(provider.auth and provider.auth.defaults or {}) do
    if config[name] == nil then config[name] = value end
  end
  config.urls = {}
  for _, urls in ipairs { provider.urls or {}, given.urls or {} } do
    for name, url in pairs(urls) do config.urls[name] = url end
  end
  return config
end

session.config = config_of

--- Gives an account its session: `config`, `request`, and `pages` for listings.
---@param engine table
---@param provider lunation.Provider
---@param account table with `credentials` (and an `id`, where it is stored)
---@return table account
function session.attach(engine, provider, account)
  local limits = engine.config.limits or {}
  local config = config_of(engine, provider)
  local state = shared(engine, account.id)
  state.pace = state.pace or pace.new(provider.limits or {}, {
    name = account.id and ("%s:%d:%s"):format(provider.name, account.id, account.created), workers = engine.config.workers,
  })
  local longest = limits.retry_wait or 30
  local self = setmetatable({
    engine = engine, provider = provider, account = account, config = config, limits = limits, state = state, pace = state.pace,
    longest_wait = account.timeout and math.min(longest, account.timeout) or longest,
  }, Session)
  if next(config.urls) then
    self.origins = {}
    for _, url in pairs(config.urls) do
      local origin = origin_of(url)
      if origin then self.origins[origin] = true end
    end
  end
  account.config = config
  account.request = function(options) return self:request(options) end
  account.pages = function() return listing.guard { pages = limits.pages, empty = limits.empty_pages, title = provider.title, account = account.id } end
  return account
end

return session
