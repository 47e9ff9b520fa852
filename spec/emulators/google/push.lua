-- Notification channels: made by `watch`, told of changes by POST with X-Goog headers, ended by `stop` or their time.
local clock = require "spec.emulators.google.clock"
local crypto = require "lunation.crypto"
local failure = require "spec.emulators.google.failure"
local http = require "lunation.http"
local task = require "lunation.task"
local timer = require "lunation.timer"
local world = require "spec.emulators.google.world"

local push = {}

local fail = failure.fail
local DEFAULT_TTL = 604800
local RETRIES = 3

local function loopback(address)
  local host = address:match("^https?://%[?([^/:%]]+)")
  return host == "127.0.0.1" or host == "localhost"
end

local function deliver(channel, headers, record)
  -- a certificate of a spec's own is no one's but this machine's
  local options = {
    method = "POST", url = channel.address, headers = headers, body = "", timeout = 10, retries = 0, insecure = loopback(channel.address),
  }
  for try = 1, RETRIES do
    local answer, err = http.request(options)
    record.status, record.error = answer and answer.status, err and tostring(err)
    record.tries = try
    if answer and (answer.status < 500 or answer.status == 501) then return end
    timer.sleep(0.1 * 2 ^ try)
  end
end

local function send(channel, state)
  channel.number = channel.number + (state == "sync" and 1 or 1 + math.random(0, 2))
  local headers = {
    ["x-goog-channel-id"] = channel.id, ["x-goog-resource-id"] = channel.resourceId, ["x-goog-resource-uri"] = channel.resourceUri,
    ["x-goog-resource-state"] = state, ["x-goog-message-number"] = tostring(channel.number),
    ["x-goog-channel-token"] = channel.token, ["x-goog-channel-expiration"] = os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(channel.expires)),
    ["content-type"] = "application/json; utf-8", ["user-agent"] = "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
  }
  local record = { channel = channel.id, state = state, number = channel.number, address = channel.address }
  local copies = 1
  local fault = world.take_fault and world.take_fault("notification", { channel = channel.id, path = channel.resourceUri })
  if fault and fault.fault == "drop_notification" then
    record.dropped, copies = true, 0
  elseif fault and fault.fault == "duplicate_notification" then
    record.duplicated, copies = true, 2
  elseif fault and fault.fault == "expire_channel" then
    channel.expires, record.expired, copies = world.now(), true, 0
  end
  world.pushes[#world.pushes + 1] = record
  if copies == 0 then return end
  -- one after the other on a channel, without holding up who made the change
  local before = channel.delivery
  channel.delivery = task.spawn(function()
    if before then before:wait() end
    for _ = 1, copies do deliver(channel, headers, record) end
  end)
end

--- Opens a channel on what `watch` was called for.
---@param call google.Call
---@param kind "events"|"calendarList"|"acl"|"settings"
---@param key string calendar or user
---@param uri string
---@return table channel resource
function push.open(call, kind, key, uri)
  local body = call.body or {}
  if type(body.id) ~= "string" or not body.id:find("^[%w_%-%+/=]+$") or #body.id > 64 then
    fail(400, "channelIdInvalid", "Invalid channel id", { location = "resource.id", locationType = "other" })
  end
  if world.channels[body.id] then fail(400, "channelIdNotUnique", "Channel id " .. body.id .. " not unique") end
  if body.type ~= "web_hook" and body.type ~= "webhook" then fail(400, "invalid", "Unknown channel type.") end
  local address = body.address
  if type(address) ~= "string" or not (address:find("^https://") or (address:find("^http://") and loopback(address))) then
    fail(400, "push.webhookUrlNotHttps", "WebHook callback must be HTTPS: " .. tostring(address))
  end
  local now = world.now()
  local ttl = tonumber(body.params and body.params.ttl) or DEFAULT_TTL
  local expires = now + math.min(ttl, DEFAULT_TTL * 4)
  local asked = tonumber(body.expiration)
  if asked then expires = math.min(asked / 1000, now + DEFAULT_TTL * 4) end
  if expires <= now then fail(400, "invalid", "Invalid expiration.") end
  local channel = {
    id = body.id, token = body.token, address = address, type = body.type, kind = kind, key = key, user = call.user.email, number = 0,
    expires = expires, resourceUri = uri, resourceId = crypto.base64url(crypto.sha256(kind .. " " .. key)):sub(1, 27),
  }
  world.channels[channel.id] = channel
  send(channel, "sync")
  return {
    kind = "api#channel", id = channel.id, resourceId = channel.resourceId, resourceUri = uri, token = channel.token,
    expiration = ("%d"):format(math.floor(expires * 1000)),
  }
end

--- Tells the channels of a resource that it has changed.
---@param kind string
---@param key string
---@param state "exists"|"not_exists"|nil
function push.changed(kind, key, state)
  local now = world.now()
  for _, channel in pairs(world.channels) do
    if channel.kind == kind and channel.key == key and channel.expires > now then send(channel, state or "exists") end
  end
end

local function stop(call)
  local body = call.body or {}
  local channel = world.channels[body.id]
  if not channel or channel.resourceId ~= body.resourceId or channel.user ~= call.user.email then
    fail(404, "notFound", ("Channel '%s' not found for project '%s'"):format(tostring(body.id), "lunation-emulator"))
  end
  world.channels[body.id] = nil
  return nil
end

--- The channels there are, for the control path.
---@return table[]
function push.list()
  local list = {}
  for _, channel in pairs(world.channels) do
    list[#list + 1] = {
      id = channel.id, kind = channel.kind, key = channel.key, address = channel.address, expires = clock.format(math.floor(channel.expires), "UTC"),
      active = channel.expires > world.now(), user = channel.user, resourceId = channel.resourceId,
    }
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

push.routes = {
  ["/calendar/v3/channels/stop"] = { POST = { handler = stop, id = "calendar.channels.stop" } },
}

return push
