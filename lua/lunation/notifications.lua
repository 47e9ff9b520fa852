--- Where services send their notices: POST /notifications/PROVIDER. Open to all, so a notice has to prove itself
--- (lunation.subscriptions), and nothing is done here but to queue what it asks for: services want an answer at once.

local errors = require "lunation.errors"
local json = require "lunation.json"
local log = require "lunation.log"
local ratelimit = require "lunation.ratelimit"

local notifications = {}

--- Notices of one request, at most; and those that prove nothing, after which nothing further is looked at.
local MOST, MOST_FORGED = 1000, 20

local function respond(req, err)
  local status = math.type(err.status) == "integer" and err.status or errors.status(err)
  local headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
  if err.retry_after then headers["retry-after"] = tostring(math.ceil(err.retry_after)) end
  if err.allow then headers.allow = type(err.allow) == "table" and table.concat(err.allow, ", ") or err.allow end
  return { status = status, headers = headers, body = json.encode({ error = err.code, request_id = req.id }, { sorted = true }) }
end

local function receive(engine, limit)
  return function(req)
    if limit then
      local allowed, after = limit:take(tostring(req.remote))
      if not allowed then return nil, errors.new("rate_limited", "too many notices", { retry_after = after }) end
    end
    local provider = engine.providers:get(req.params.provider)
    if not provider or not provider.receive then return nil, errors.new("not_found", "no service sends notices here") end
    local read, result = pcall(provider.receive, req)
    if not read or type(result) ~= "table" then
      log.debug("a notice cannot be read", { provider = provider.name, error = tostring(result) })
      return nil, errors.new("invalid_request", "the notice cannot be read")
    end
    local forged = 0
    for index, notice in ipairs(result.notices or {}) do
      if index > MOST or forged == MOST_FORGED then break end
      if not engine.subscriptions:notice(provider, notice) then forged = forged + 1 end
    end
    if forged > 0 then log.info("notices that prove nothing were passed over", { provider = provider.name, notices = forged }) end
    return result.response or { status = 202, headers = {}, body = "" }
  end
end

--- The routes, for `serve` to mount.
---@param engine table
---@return { mount: string, routes: table, error: fun(req: table, err: any): table }
function notifications.routes(engine)
  local per_minute = engine.config.limits.notifications_per_minute or 0
  local limit = per_minute > 0 and ratelimit.new(per_minute, { name = "notifications" }) or nil
  return {
    mount = "/notifications", error = respond,
    routes = { ["/:provider"] = { POST = { handler = receive(engine, limit) } } },
  }
end

return notifications
