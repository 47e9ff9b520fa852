-- The way of a request: recorded, held against the contract, spoiled where it was told to be, authorized, carried out, answered.
local Call = require "spec.emulators.google.call"
local contract = require "spec.emulators.google.contract"
local failure = require "spec.emulators.google.failure"
local faults = require "spec.emulators.google.faults"
local fields = require "spec.emulators.google.fields"
local json = require "lunation.json"
local keeping = require "spec.emulators.google.keeping"
local routers = require "lunation.router"
local world = require "spec.emulators.google.world"

local service = {}

local KEPT = 20000
local send_updates = { all = true, externalOnly = true, none = true }

-- Routes name a handler that takes a call, and the method of the contract that it is; without one nobody is asked who they are.
local function wrap(routes)
  local out = {}
  for path, methods in pairs(routes) do
    out[path] = {}
    for method, route in pairs(methods) do
      out[path][method] = function(req)
        local call = req.call
        call.params = req.params or {}
        call.id = route.id
        if route.id then
          call:authorize(route.id)
          call:decode()
          if call.malformed then failure.fail(400, "invalid", call.malformed) end
          call:one_of("sendUpdates", send_updates)
          call:one_of("minAccessRole", world.rank)
        end
        local result = route.handler(call)
        if result == nil then return { status = 204 } end
        if result.status == nil or result.body == nil then result = { status = 200, body = result } end
        if type(result.body) ~= "table" then return result end
        local headers = { ["content-type"] = "application/json; charset=UTF-8", ["cache-control"] = "no-cache, no-store, max-age=0, must-revalidate" }
        for name, value in pairs(result.headers or {}) do headers[name] = value end
        if type(result.body.etag) == "string" then headers.etag = headers.etag or result.body.etag end
        return { status = result.status, headers = headers, body = json.encode(fields.select(result.body, call.args.fields)) }
      end
    end
  end
  return out
end

-- One router for what the modules bring.
local function build(modules)
  local routes = {}
  for _, module in ipairs(modules) do
    for path, methods in pairs(module.routes) do
      assert(not routes[path], path)
      routes[path] = methods
    end
  end
  local router = routers.new()
  router:mount("", wrap(routes), { error = function(req, err)
    local status = err.code == "method_not_allowed" and 405 or err.code == "not_found" and 404 or 500
    return failure.render(failure.new(status, status == 500 and "backendError" or "notFound", err.message), contract.service(req.path))
  end })
  return router
end

local function perform(call, kind)
  local ok, response = xpcall(service.router.dispatch, function(raised)
    return failure.is(raised) and raised or debug.traceback(tostring(raised), 2)
  end, service.router, call.req)
  if ok then return response end
  if failure.is(response) then
    if response.status == 304 then return { status = 304, headers = response.headers } end
    return failure.render(response, kind)
  end
  io.stderr:write("a request failed: ", call.method, " ", call.target, "\n", response, "\n")
  table.insert(world.violations, { direction = "emulator", method = call.method, path = call.path, message = response })
  return failure.render(failure.new(500, "backendError", "the emulator failed"), kind)
end

local function record(call, response)
  local list = world.requests
  if #list >= KEPT then table.remove(list, 1) end
  list[#list + 1] = {
    method = call.method, path = call.path, query = call.query, args = json.object(call.args), id = call.id or call.contract and call.contract.id,
    user = call.user and call.user.email, status = response.status, body = call.text ~= "" and #call.text < 65536 and call.text or nil,
    faults = #call.faults > 0 and #call.faults or nil, batched = call.req.batched, if_match = call.headers["if-match"],
  }
end

--- Answers a request of a service.
---@param req lunation.Request
---@return lunation.Response
function service.answer(req)
  local call = Call.new(req)
  req.call = call
  if call.path:find("^/_emulator") then
    local response = perform(call, "calendar")
    keeping.save(call.method, call.path)
    return response
  end
  local kind = contract.service(req.path) or (call.path:find "token" or call.path:find "revoke") and "oauth" or nil
  local bearer = world.tokens[(call.headers["authorization"] or ""):match "^%S+%s+(%S+)$" or ""]
  call.user = bearer and world.users[bearer.user]
  contract.request(call)
  call.faults = faults.take(call)
  local response = faults.before(call, kind)
  if not response then
    response = perform(call, kind)
    if not faults.spoiled(call) then contract.answer(call, response) end
    response = faults.after(call, response, kind)
    if faults.judged(call) then contract.answer(call, response) end
  end
  record(call, response)
  keeping.save(call.method, call.path)
  return response
end

--- Puts the modules' routes together.
---@param modules table[] each with `routes`
function service.mount(modules)
  service.router = build(modules)
end

return service
