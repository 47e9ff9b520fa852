-- Notifications: one subscription for all events of a mailbox (Graph has none for one calendar), its handshake, its life and end.
local form = require "lunation.oauth.form"
local json = require "lunation.json"
local request = require "lunation.microsoft.request"
local time = require "lunation.microsoft.time"
local tz = require "lunation.tz"
local units = require "lunation.units"
local value = require "lunation.ical.value"

local M = {}

--- Seconds: the life asked for where nobody says (the documents differ on the most there is; less is renewed in time), the least.
local LIFETIME, LEAST = 2 * 86400, 45 * 60

local function ends(account, options)
  local configured = account.config.subscription_lifetime
  local wanted = configured and units.seconds(configured) or options.lifetime or LIFETIME
  return value.from_seconds(math.floor((account.now or os.time()) + math.max(LEAST, wanted))) .. "Z"
end

local function subscription_of(answer)
  local entity = answer.value
  local expires = time.utc(entity.expirationDateTime)
  if type(entity.id) ~= "string" or not expires then return nil, request.wrong(answer, "names no subscription and its end") end
  return {
    id = entity.id, resource = type(entity.resource) == "string" and entity.resource or "/me/events",
    -- What Graph grants counts, not what was asked for.
    expires = tz.to_utc(expires:sub(1, 19), "UTC"), data = {},
  }
end

---Subscribes to the events of the mailbox.
---@param account table
---@param _ table? calendar; a subscription is of the whole mailbox
---@param options {url: string, token: string, lifetime: integer?, lifecycle_url: string?}
---@return {id: string, resource: string, expires: integer, data: table}?
---@return lunation.Error?
function M.watch(account, _, options)
  local answer, err = request.send(account, "POST", "/subscriptions", { timeout = 60, json = {
    changeType = "created,updated,deleted", notificationUrl = options.url, lifecycleNotificationUrl = options.lifecycle_url or options.url,
    resource = "/me/events", expirationDateTime = ends(account, options), clientState = options.token:sub(1, 128),
  } })
  if not answer then return nil, err end
  return subscription_of(answer)
end

---Moves the end of a subscription.
---@param account table
---@param subscription {id: string}
---@param options {lifetime: integer?}?
---@return table? subscription
---@return lunation.Error? not_found: make a new one
function M.renew(account, subscription, options)
  local answer, err = request.send(account, "PATCH", "/subscriptions/" .. request.encode(subscription.id),
    { json = { expirationDateTime = ends(account, options or {}) }, idempotent = true })
  if not answer then return nil, err end
  return subscription_of(answer)
end

---@param account table
---@param subscription {id: string}
---@return true?
---@return lunation.Error?
function M.unwatch(account, subscription)
  local answer, err = request.send(account, "DELETE", "/subscriptions/" .. request.encode(subscription.id), { accept = { 404, 410 } })
  if not answer then return nil, err end
  return true
end

local lifecycle = { reauthorizationRequired = "renew", subscriptionRemoved = "removed", missed = "missed" }

local function bad(message) return { response = { status = 400, headers = { ["content-type"] = "text/plain" }, body = message }, notices = {} } end

---What came to the notification URL. Pure: who may have sent it is for the caller to see, by subscription and token.
---@param req {query: string?, body: string?}
---@return {response: table, notices: {subscription: string, token: string?, kind: string, resource: string?}[]}
function M.receive(req)
  local fields = form.decode(req.query or "")
  if fields.validationToken then
    -- As plain text and nothing else: the token is a stranger's.
    return { response = {
      status = 200, headers = { ["content-type"] = "text/plain; charset=utf-8", ["x-content-type-options"] = "nosniff" }, body = fields.validationToken,
    }, notices = {} }
  end
  local decoded = json.decode(req.body or "")
  if type(decoded) ~= "table" or type(decoded.value) ~= "table" then return bad "no notifications" end
  local notices = {}
  for _, item in ipairs(decoded.value) do
    if type(item) == "table" and type(item.subscriptionId) == "string" then
      local event = item.lifecycleEvent
      local kind = type(event) == "string" and (lifecycle[event] or "missed") or "changed"
      notices[#notices + 1] = {
        subscription = item.subscriptionId, token = type(item.clientState) == "string" and item.clientState or nil, kind = kind,
        resource = type(item.resource) == "string" and item.resource or nil,
      }
    end
  end
  return { response = { status = 202, headers = {}, body = "" }, notices = notices }
end

return M
