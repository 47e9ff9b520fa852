-- Change notifications: subscriptions are made after the client's address has proven itself, told of every change, reminded before
-- they end, and gone when they have.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local http = require "lunation.http"
local input = require "spec.emulators.microsoft.event_input"
local json = require "lunation.json"
local scopes = require "spec.emulators.microsoft.scopes"
local task = require "lunation.task"
local timer = require "lunation.timer"
local times = require "spec.emulators.microsoft.times"

local M = {}

local tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

local minute = 60
local least, most, most_with_data = 45 * minute, 10080 * minute, 1440 * minute
local remind = 15 * minute -- before the end, reauthorizationRequired is sent
local per_mailbox = 1000

local function bad(message) answer.fail(400, "InvalidRequest", message) end

-- The mailbox and the kind of things that a resource names.
local function resource_of(c, text)
  local path = type(text) == "string" and text:gsub("^/", ""):gsub("%?.*$", "") or bad "The property 'resource' is required."
  local rest = path:match "^[Mm][Ee]/(.+)$"
  local name
  if not rest then
    name, rest = path:match "^[Uu]sers/([^/]+)/(.+)$"
    if not name then name, rest = path:match "^[Uu]sers%('([^']+)'%)/(.+)$" end
  end
  local kind = rest and rest:lower()
  local user = name and c.world:user(name) or not name and c.user
  if kind ~= "events" and kind ~= "contacts" or not user then
    bad(("Resource '%s' is not supported: events and contacts of a whole mailbox are."):format(text))
  end
  if user ~= c.user then answer.fail(403, "ExtensionError", "Operation: Create; Exception: [Status Code: Forbidden; Reason: Access is denied.]") end
  if not scopes.allows(c.scopes, kind == "events" and "calendars" or "contacts") then
    answer.fail(403, "ExtensionError", "Operation: Create; Exception: [Status Code: Forbidden; Reason: Access is denied. Check credentials and try again.]")
  end
  return user, kind == "events" and "event" or "contact"
end

local function changes_of(text)
  if type(text) ~= "string" then bad "The property 'changeType' is required." end
  local out = {}
  for word in text:gmatch "[^,%s]+" do
    if word ~= "created" and word ~= "updated" and word ~= "deleted" then bad(("The change type '%s' is unknown."):format(word)) end
    out[word] = true
  end
  if next(out) == nil then bad "The property 'changeType' is required." end
  return out
end

local function check_url(text, name)
  if type(text) ~= "string" then bad(("The property '%s' is required."):format(name)) end
  local loopback = text:find "^http://127%.%d+%.%d+%.%d+[:/]" or text:find "^http://localhost[:/]"
  if not text:find "^https://" and not loopback then bad(("The property '%s' must be an https address."):format(name)) end
  return text
end

-- The end of a subscription: raised to the least, refused beyond the most.
local function expiry(c, text, with_data)
  local at = type(text) == "string" and times.instant(text)
  if not at then bad "The property 'expirationDateTime' is required." end
  local now = c.world:now()
  if at <= now then bad "Subscription expiration can only be in the future." end
  if at > now + (with_data and most_with_data or most) + 60 then bad "Subscription expiration can only be 10070 minutes in the future." end
  return math.max(at, math.floor(now + least))
end

-- The address must answer with the token, decoded, as plain text, within ten seconds.
local function handshake(url)
  local token = "Validation: Testing client application reachability for subscription Request-Id: " .. crypto.uuid()
  local full = url .. (url:find("?", 1, true) and "&" or "?") .. "validationToken=" .. answer.escape(token)
  local reply, err = http.request {
    method = "POST", url = full, body = "", headers = { ["content-type"] = "text/plain; charset=utf-8" }, timeout = 10,
    insecure = true, -- the receiver may have a certificate of its own making
  }
  local function fail(message) answer.fail(400, "ValidationError", "Subscription validation request failed. " .. message) end
  if not reply and err.code == "timeout" then fail "Notification endpoint must respond within 10 seconds." end
  if not reply then fail("The notification endpoint could not be reached: " .. tostring(err) .. ".") end
  if reply.status ~= 200 then fail(("Notification endpoint must respond with 200 OK to validation request. It answered %d."):format(reply.status)) end
  if not (reply.headers["content-type"] or ""):lower():find "^text/plain" then fail "Notification endpoint must answer with the content type text/plain." end
  if reply.body ~= token then fail "Notification endpoint must answer with the validation token." end
end

local known = {}
for word in ([[id changeType notificationUrl lifecycleNotificationUrl resource expirationDateTime clientState latestSupportedTlsVersion applicationId
  creatorId includeResourceData encryptionCertificate encryptionCertificateId notificationQueryOptions
  notificationUrlAppId]]):gmatch "%S+" do known[word] = true end

local function check_names(body)
  for name in pairs(body) do
    if not known[name] and not name:find("@", 1, true) then input.unknown(name, "microsoft.graph.subscription") end
  end
end

local function render(subscription)
  return {
    id = subscription.id, resource = subscription.resource, changeType = subscription.changeType, notificationUrl = subscription.url,
    lifecycleNotificationUrl = answer.or_null(subscription.lifecycle), expirationDateTime = times.utc(subscription.expires),
    clientState = answer.or_null(subscription.state), applicationId = "24d3b144-21ae-4080-943f-7067b395b913", creatorId = subscription.user.id,
    latestSupportedTlsVersion = "v1_2", includeResourceData = false, encryptionCertificate = json.null, encryptionCertificateId = json.null,
    notificationQueryOptions = json.null, notificationUrlAppId = json.null,
  }
end

local function entity(c, subscription)
  local out = render(subscription)
  out["@odata.context"] = c:metadata "subscriptions/$entity"
  return out
end

local function sorted(world, user)
  local out = {}
  for _, each in pairs(world.subscriptions) do
    if each.user == user then out[#out + 1] = each end
  end
  table.sort(out, function(a, b) return a.sequence < b.sequence end)
  return out
end

local function need(c)
  local found = c.world.subscriptions[c.params.subscription]
  if not found or found.creator ~= c.user then answer.fail(404, "ResourceNotFound", "The object was not found.") end
  return found
end

local function create(c)
  local given = c.body
  check_names(given)
  local changes = changes_of(given.changeType)
  local url = check_url(given.notificationUrl, "notificationUrl")
  local lifecycle = answer.given(given.lifecycleNotificationUrl)
  if lifecycle then check_url(lifecycle, "lifecycleNotificationUrl") end
  local user, kind = resource_of(c, given.resource)
  local state = answer.given(given.clientState)
  if state and (type(state) ~= "string" or #state > 128) then bad "The property 'clientState' has up to 128 characters." end
  if answer.given(given.includeResourceData) then bad "Resource data is sent to registered certificates only." end
  local expires = expiry(c, given.expirationDateTime, false)
  if #sorted(c.world, user) >= per_mailbox then
    answer.fail(403, "ExtensionError",
      "Operation: Create; Exception: [Status Code: Forbidden; Reason: The limit of 1000 subscriptions of the mailbox is reached.]")
  end
  handshake(url)
  if lifecycle then handshake(lifecycle) end
  local subscription = {
    id = crypto.uuid(), user = user, creator = c.user, kind = kind, resource = given.resource, changeType = given.changeType, changes = changes, url = url,
    lifecycle = lifecycle, state = state, expires = expires, immutable = c.prefer.immutable, sequence = c.world:tick(),
  }
  c.world.subscriptions[subscription.id] = subscription
  return entity(c, subscription), 201
end

local function update(c)
  local subscription = need(c)
  check_names(c.body)
  if answer.given(c.body.lifecycleNotificationUrl) and c.body.lifecycleNotificationUrl ~= subscription.lifecycle then
    bad "The property 'lifecycleNotificationUrl' can't be changed after the subscription was made."
  end
  for _, name in ipairs { "resource", "changeType", "clientState" } do
    local now = { resource = subscription.resource, changeType = subscription.changeType, clientState = subscription.state }
    if answer.given(c.body[name]) and c.body[name] ~= now[name] then bad(("The property '%s' can't be changed."):format(name)) end
  end
  local url = answer.given(c.body.notificationUrl)
  if url and url ~= subscription.url then
    handshake(check_url(url, "notificationUrl"))
    subscription.url = url
  end
  if c.body.expirationDateTime ~= nil then
    subscription.expires, subscription.reminded = expiry(c, c.body.expirationDateTime, false), nil
  end
  return entity(c, subscription)
end

-- --- sending ----------------------------------------------------------------------------------------------------------

-- Sends to an address, again where it does not take it; a 2xx takes it.
local function deliver(world, url, values, subscription)
  local body = assert(json.encode({ value = json.array(values) }, { sorted = true }))
  world.delivered = world.delivered or {}
  local entry = { url = url, value = values, attempts = 0 }
  table.insert(world.delivered, entry)
  for attempt = 1, 4 do
    entry.attempts = attempt
    local reply = http.request { method = "POST", url = url, body = body, headers = { ["content-type"] = "application/json" }, timeout = 10, insecure = true }
    entry.status = reply and reply.status or 0
    if reply and reply.status < 300 then return end
    if not world.subscriptions[subscription.id] and not values[1].lifecycleEvent then return end
    timer.sleep(0.1 * 2 ^ attempt)
  end
end

local function notification(subscription, change, item, immutable)
  local name = subscription.kind == "event" and "Events" or "Contacts"
  local id = immutable and item.immutable or item.id
  local path = ("Users/%s/%s/%s"):format(subscription.user.id, name, id)
  return {
    subscriptionId = subscription.id, subscriptionExpirationDateTime = times.utc(subscription.expires), changeType = change, resource = path,
    clientState = subscription.state, tenantId = tenant,
    resourceData = {
      ["@odata.type"] = "#Microsoft.Graph." .. (subscription.kind == "event" and "Event" or "Contact"), ["@odata.id"] = path,
      ["@odata.etag"] = answer.etag(require("spec.emulators.microsoft.world").change_key(item.version)), id = id,
    },
  }
end

-- What is to be told is gathered for a moment, so that several changes come in one request.
local function flush(world)
  local by_url = {}
  for _, entry in ipairs(world.pending or {}) do
    local list = by_url[entry.subscription.url]
    if not list then
      list = { subscription = entry.subscription }
      by_url[entry.subscription.url] = list
    end
    list[#list + 1] = entry.value
  end
  world.pending, world.flushing = {}, nil
  for url, list in pairs(by_url) do
    local subscription = list.subscription
    list.subscription = nil
    task.spawn(deliver, world, url, list, subscription)
    if world.switches.notifications == "duplicate" then task.spawn(deliver, world, url, answer.copy(list), subscription) end
  end
end

local function changed(world, faults, box, item, what)
  if what == "exception" then what = "updated" end
  for _, subscription in pairs(world.subscriptions) do
    local told = subscription.user.box == box and subscription.kind == item.kind and subscription.changes[what] and subscription.expires > world:now()
      and world.switches.notifications ~= "drop"
    local fault = told and faults:notice(box.user)
    if fault == "expire_subscription" then world.subscriptions[subscription.id] = nil end
    if told and (not fault or fault == "duplicate_notification") then
      world.pending = world.pending or {}
      for _ = 1, fault and 2 or 1 do
        table.insert(world.pending, { subscription = subscription, value = notification(subscription, what, item, subscription.immutable) })
      end
      if not world.flushing then
        world.flushing = true
        timer.after(0.02, function() flush(world) end)
      end
    end
  end
end

---Sends a lifecycle event.
---@param event "reauthorizationRequired"|"subscriptionRemoved"|"missed"
function M.lifecycle(world, id, event)
  local subscription = world.subscriptions[id]
  if not subscription then error({ status = 404, message = "there is no such subscription" }, 0) end
  if event == "subscriptionRemoved" then world.subscriptions[id] = nil end
  if not subscription.lifecycle then return nil end
  task.spawn(deliver, world, subscription.lifecycle, { {
    subscriptionId = id, subscriptionExpirationDateTime = times.utc(subscription.expires), clientState = subscription.state, tenantId = tenant,
    lifecycleEvent = event, resource = subscription.resource, changeType = "updated",
  } }, subscription)
end

---Ends a subscription without a word, as time does.
function M.expire(world, id)
  local subscription = world.subscriptions[id]
  if not subscription then error({ status = 404, message = "there is no such subscription" }, 0) end
  world.subscriptions[id] = nil
end

-- Time has moved: who is to renew, and who is gone.
local function look(world)
  local now = world:now()
  for id, subscription in pairs(world.subscriptions) do
    if subscription.expires <= now then
      world.subscriptions[id] = nil
    elseif subscription.expires - remind <= now and not subscription.reminded then
      subscription.reminded = true
      M.lifecycle(world, id, "reauthorizationRequired")
    end
  end
end

---@param world spec.graph.World
---@param faults table
function M.attach(world, faults)
  world:on("changed", function(box, item, what) changed(world, faults, box, item, what) end)
  world:on("advanced", function() look(world) end)
  world:on("reset", function() world.delivered, world.pending = {}, {} end)
end

---@param routes table<string, table>
function M.routes(routes)
  routes["subscriptions"] = {
    takes = "subscription", gives = "Collection(subscription)", made = "subscription", unlimited = true, POST = create,
    GET = function(c)
      look(c.world)
      local out = json.array {}
      for i, each in ipairs(sorted(c.world, c.user)) do out[i] = render(each) end
      return { ["@odata.context"] = c:metadata "subscriptions", value = out }
    end,
  }
  routes["subscriptions/:subscription"] = {
    takes = "subscription", gives = "subscription", PATCH = function(c)
      look(c.world)
      return update(c)
    end,
    GET = function(c)
      look(c.world)
      return entity(c, need(c))
    end,
    DELETE = function(c)
      c.world.subscriptions[need(c).id] = nil
      return nil, 204
    end,
  }
  routes["subscriptions/:subscription/reauthorize"] = { action = "reauthorize", POST = function(c)
    look(c.world)
    need(c).reminded = nil
    return nil, 204
  end }
end

return M
