-- /_emulator: how a spec looks into the emulator and makes things happen.
local http_server = require "lunation.http_server"
local json = require "lunation.json"
local world_of = require "spec.emulators.microsoft.world"

local M = {}

---@param parts {world: spec.graph.World, faults: table, contract: table, subscriptions: table, log: table}
---@return fun(req: lunation.Request): lunation.Response
function M.new(parts)
  local world, faults, contract, log = parts.world, parts.faults, parts.contract, parts.log

  local function need_user(name)
    local user = world:user(name)
    if not user then error({ status = 404, message = ("there is no user `%s`"):format(tostring(name)) }, 0) end
    return user
  end

  local routes = {
    ["GET faults"] = function() return { faults = json.array(faults.list) } end,
    ["POST faults"] = function(given)
      local ok, err = faults:add(given)
      if not ok then error({ status = 400, message = err }, 0) end
    end,
    ["DELETE faults"] = function() faults.list = {} end,
    ["GET violations"] = function() return { contract = contract.loaded, violations = json.array(contract.violations) } end,
    ["DELETE violations"] = function() contract.violations = {} end,
    ["GET requests"] = function() return { requests = json.array(log) } end,
    ["DELETE requests"] = function()
      for i = #log, 1, -1 do log[i] = nil end
    end,
    ["POST reset"] = function()
      world:reset()
      world.consent = nil
      faults.list, contract.violations = {}, {}
      for i = #log, 1, -1 do log[i] = nil end
    end,
    ["GET switches"] = function() return world.switches end,
    ["POST switches"] = function(given)
      for name, value in pairs(given) do
        if world_of.defaults[name] == nil then error({ status = 400, message = ("there is no switch `%s`"):format(name) }, 0) end
        world.switches[name] = value
      end
      return world.switches
    end,
    ["POST advance"] = function(given)
      world.offset = world.offset + given.seconds
      world:tell "advanced"
    end,
    ["POST consent"] = function(given) world.consent = next(given) and given or nil end, -- {deny=, scopes={…}, user=, interaction=}
    ["POST revoke"] = function(given)
      local user = need_user(given.user)
      for token, record in pairs(world.tokens) do
        if record.user == user and record.scopes ~= "*" then world.tokens[token] = nil end
      end
      for _, record in pairs(world.grants) do
        if record.user == user then record.revoked = true end
      end
    end,
    ["POST expire"] = function(given) -- the access tokens of a user, or one by its name
      for token, record in pairs(world.tokens) do
        if token == given.token or given.user and record.user == need_user(given.user) and record.scopes ~= "*" then record.expires = 0 end
      end
    end,
    ["POST token"] = function(given) -- a token with these scopes: {user=, token=, scopes={…}}
      local set = {}
      for _, scope in ipairs(given.scopes or {}) do set[scope:lower()] = true end
      world.tokens[given.token] = { user = need_user(given.user), scopes = given.scopes and set or "*" }
    end,
    ["POST forget"] = function() world.streams = {} end, -- every delta token: 410 from now on
    ["POST move"] = function(given) -- what Graph itself has no request for: {user=, event=, calendar=}
      local box = need_user(given.user).box
      local item = box:need(given.event, "event")
      box:move(item, box:need(given.calendar, "calendar"))
      return { id = item.id, immutableId = item.immutable }
    end,
    ["POST calendar-providers"] = function(given) -- {user=, calendar=, providers={…}}
      local box = need_user(given.user).box
      local calendar = given.calendar and box:need(given.calendar, "calendar") or box.default
      calendar.providers = json.array(given.providers)
      calendar.provider = given.providers[1] or "unknown"
    end,
    ["GET mail"] = function() return { mail = json.array(world.mail) } end,
    ["POST notifications"] = function(given) world.switches.notifications = given.mode or "normal" end,
    ["POST lifecycle"] = function(given) return parts.subscriptions.lifecycle(world, given.subscription, given.event) end,
    ["POST expire-subscription"] = function(given) return parts.subscriptions.expire(world, given.subscription) end,
    ["GET notifications"] = function() return { notifications = json.array(world.delivered or {}) } end,
  }

  return function(req)
    local handler = routes[req.method .. " " .. req.path:sub(#"/_emulator/" + 1)]
    if not handler then return { status = 404, headers = { ["content-type"] = "text/plain" }, body = "no such control: "
      .. http_server.decode(req.path) .. "\n" } end
    local given = req.body ~= "" and json.decode(req.body) or {}
    local ok, body = pcall(handler, given)
    if not ok then
      local status = type(body) == "table" and body.status or 500
      return { status = status, headers = { ["content-type"] = "text/plain" }, body = tostring(type(body) == "table" and body.message or body) .. "\n" }
    end
    if body == nil then return { status = 204, body = "" } end
    return { status = 200, headers = { ["content-type"] = "application/json" }, body = assert(json.encode(body, { sorted = true, utf8 = "replace" })) }
  end
end

return M
