-- Push notifications: a channel for each calendar, which Google posts to without saying what changed. A channel cannot be
-- renewed: a new one is made before the old one ends, and then that is stopped.
local errors = require "lunation.errors"
local events = require "lunation.google.events"
local failure = require "lunation.google.failure"
local session = require "lunation.google.session"

local M = {}

local LONGEST = 30 * 86400

---Makes a channel.
---@param account table
---@param calendar table? nil: the list of calendars
---@param request { url: string, id: string, token: string?, lifetime: integer? } seconds
---@return { id: string, resource: string, expires: integer?, data: table }?, lunation.Error?
function M.watch(account, calendar, request)
  if not request.url:find("^https://") then
    return nil, errors.new("unsupported", "Google posts notifications to https addresses only.", { provider = "google", reason = "push_address" })
  end
  local lifetime = request.lifetime and math.min(math.floor(request.lifetime), LONGEST)
  local made, err = session.call(account, {
    method = "POST", path = (calendar and events.path(calendar) or "/users/me/calendarList") .. "/watch",
    json = {
      id = request.id, type = "web_hook", address = request.url, token = request.token,
      params = lifetime and { ttl = ("%d"):format(lifetime) } or nil,
    },
  })
  if not made then return nil, err end
  if type(made.resourceId) ~= "string" then
    return nil, failure.bad_answer("Google's channel has no resourceId.", { id = request.id })
  end
  local expires = math.tointeger(tonumber(made.expiration))
  return { id = request.id, resource = made.resourceId, expires = expires and expires // 1000 or nil, data = { uri = made.resourceUri } }
end

---Stops a channel. One that has ended is stopped.
---@param account table
---@param subscription { id: string, resource: string }
---@return true?, lunation.Error?
function M.unwatch(account, subscription)
  local done, err = session.call(account, {
    method = "POST", path = "/channels/stop", json = { id = subscription.id, resourceId = subscription.resource }, idempotent = true,
  })
  if done or err.code == "not_found" or err.code == "gone" then return true end
  return nil, err
end

local kinds = { sync = "sync", exists = "changed", not_exists = "removed" }

---What a notification says. Its body is empty; everything stands in headers.
---@param request { headers: table<string, string> }
---@return { response: { status: integer }, notices: table[] }
function M.receive(request)
  local headers = request.headers or {}
  local channel, state = headers["x-goog-channel-id"], headers["x-goog-resource-state"]
  if not channel or not state then return { response = { status = 400 }, notices = {} } end
  return {
    response = { status = 200 },
    notices = { {
      subscription = channel, token = headers["x-goog-channel-token"], resource = headers["x-goog-resource-id"],
      kind = kinds[state] or "changed", number = math.tointeger(tonumber(headers["x-goog-message-number"] or "")),
    } },
  }
end

return M
