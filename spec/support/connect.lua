-- A `lunation serve` with an app, users and accounts, and clients that speak the connect dialect to it.

local config = require "lunation.config"
local engine = require "lunation.engine"
local http = require "lunation.http"
local json = require "lunation.json"
local support = require "spec.support"

local connect = {}

connect.app = "demo"
connect.secret = "demo-secret-of-the-specs"
connect.redirect_uri = "http://127.0.0.1:9/callback"

local CONFIG = [[
store "sqlite:lunation.db"
app { id="demo", secret="demo-secret-of-the-specs", name="Demo Planner", redirect_uris={ "http://127.0.0.1:9/callback" } }
app { id="other", secret="other-secret-of-the-specs", name="Other", redirect_uris={ "http://127.0.0.1:9/other", "http://127.0.0.1:9/second?a=b" } }
log { level="warn" }
]]

---@param query table<string, any>|nil
---@return string
function connect.query(query)
  local pairs_of = {}
  for name, value in pairs(query or {}) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      pairs_of[#pairs_of + 1] = connect.escape(name) .. "=" .. connect.escape(one)
    end
  end
  table.sort(pairs_of)
  return table.concat(pairs_of, "&")
end

---@param text any
---@return string
function connect.escape(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

---@class spec.connect.Client
---@field token string|nil

---Call the API. The answer carries the decoded body as `json`.
---@param server table
---@param token string|nil
---@param method string
---@param path string below /api, query included
---@param options { body: any, headers: table|nil, query: table|nil }|nil
function connect.call(server, token, method, path, options)
  options = options or {}
  local headers = { ["content-type"] = "application/json", accept = "application/json" }
  if token then headers.authorization = "Bearer " .. token end
  for name, value in pairs(options.headers or {}) do headers[name] = value or nil end
  local body = options.body
  if type(body) == "table" then body = json.encode(body) end
  local query = connect.query(options.query)
  local response, err = http.request {
    method = method, url = server.url .. "/api" .. path .. (query ~= "" and "?" .. query or ""), headers = headers, body = body, timeout = 30,
  }
  assert(response, tostring(err))
  if (response.headers["content-type"] or ""):find("application/json", 1, true) then response.json = json.decode(response.body) end
  return response
end

---@param server table
---@param command string[]
---@param stdin string|nil
---@return table decoded output of --json
function connect.command(server, command, stdin)
  local args = table.move(command, 1, #command, 1, {})
  -- Only listings, additions and tokens print something.
  for _, more in ipairs { "-c", server.config, command[2] ~= "remove" and "--json" or nil } do args[#args + 1] = more end
  args.env, args.cwd, args.stdin = { LUNATION_DATA = server.dir }, server.dir, stdin
  local result = support.lunation(args)
  assert(result.code == 0, table.concat(command, " ") .. ": " .. result.stderr .. result.stdout)
  return result.stdout ~= "" and json.decode(result.stdout) or {}
end

---Start a server. `engine` is one on the same store, to prepare it without a command for every step.
---@param options { config: string|nil, args: string[]|nil }|nil
---@return table server
function connect.serve(options)
  options = options or {}
  local server = support.serve { config = CONFIG .. (options.config or ""), args = options.args }
  -- The port is bound before the apps of the configuration stand in the store.
  support.eventually(function()
    local response = http.request { url = server.url .. "/api/health", timeout = 5 }
    return response and response.status == 200
  end, 20, "an answer of the server")
  server.engine = assert(engine.open(assert(config.load(server.config))))
  local stop = server.stop
  function server.stop(signal)
    if server.engine then server.engine:close() end
    server.engine = nil
    return stop(signal)
  end
  return server
end

---A token for a user, as `lunation app token` makes it.
---@param server table
---@param user string
---@param scope string|nil
---@param app string|nil
---@return string
function connect.token(server, user, scope, app)
  return assert(server.engine.oauth:issue { app = app or connect.app, user = user, scope = scope }).access_token
end

---A user with an account of the `local` provider, and a function that calls the API as this user.
---@param server table
---@param user string
---@return fun(method: string, path: string, options: table|nil): table call
---@return string token
function connect.local_user(server, user)
  local store = server.engine.store
  local row = assert(store:user(connect.app, user, { create = true }))
  local known = assert(server.engine.providers:get("local").identify { settings = {} })
  assert(store:account_add { user = row.id, provider = "local", identity = known.identity, name = known.name, settings = known.settings, credentials = {} })
  local token = connect.token(server, user)
  return function(method, path, options) return connect.call(server, token, method, path, options) end, token
end

return connect
