-- Microsoft Graph for calendars, contacts and places, with its identity platform, on loopback: a service to develop and test
-- against. It holds everything in memory and knows nothing of lunation's providers.
--
--   build/lunation run spec/emulators/microsoft.lua --port 8443 --tls --user alice@example.com=TOKEN --user bob@example.com=TOKEN2
local host = require "lunation.host"
package.path = host.root .. "/?.lua;" .. package.path

local contract = require "spec.emulators.microsoft.contract"
local control = require "spec.emulators.microsoft.control"
local faults = require "spec.emulators.microsoft.faults"
local fs = require "lunation.fs"
local json = require "lunation.json"
local oauth = require "spec.emulators.microsoft.oauth"
local process = require "lunation.process"
local server = require "lunation.server"
local service = require "spec.emulators.microsoft.service"
local subscriptions = require "spec.emulators.microsoft.subscriptions"
local world_of = require "spec.emulators.microsoft.world"

local help = [[
usage: lunation run spec/emulators/microsoft.lua --user EMAIL=TOKEN [--user …] [options]

  --port PORT          0, unless told: a free one
  --host ADDRESS       127.0.0.1
  --user EMAIL=TOKEN   a user and a bearer token that works from the start; without a token it must be got by OAuth
  --client ID[=SECRET] a registered application; without any, every client id is known
  --tls                https; with a certificate made for the occasion, whose file is printed as "ca FILE"
  --cert FILE --key FILE  the certificate to use with --tls
  --contract FOLDER    of Microsoft's CSDL; "none": without. Default: ../shared/contracts/msgraph beside the checkout

Prints "listening on URL" when it is ready. The service is at /v1.0, the identity platform at /TENANT/oauth2/v2.0/{authorize,token,logout},
controls at /_emulator: faults, switches, violations, requests, mail, consent, token, revoke, expire, advance, forget, move, lifecycle,
expire-subscription, notifications, calendar-providers, reset. GET /_emulator/switches shows what can be switched.
]]

local function arguments(words)
  local out = { host = "127.0.0.1", port = "0", users = {}, clients = {}, contract = host.root .. "/../shared/contracts/msgraph" }
  local i = 1
  local function value()
    i = i + 1
    return words[i] or error("a value is missing after " .. words[i - 1], 0)
  end
  while words[i] do
    local word = words[i]
    if word == "--help" then
      io.write(help)
      return nil
    elseif word == "--tls" then
      out.tls = true
    elseif word == "--user" then
      local email, token = value():match "^([^=]+)=?(.*)$"
      out.users[#out.users + 1] = { email = email, token = token ~= "" and token or nil }
    elseif word == "--client" then
      local id, secret = value():match "^([^=]+)=?(.*)$"
      out.clients[id] = { secret = secret ~= "" and secret or nil }
    elseif word == "--port" or word == "--host" or word == "--cert" or word == "--key" or word == "--contract" then
      out[word:sub(3)] = value()
    elseif word == "--state" then
      if value() ~= "memory" then error("the state is held in memory only", 0) end
    else
      error("unknown argument " .. word .. "; --help tells", 0)
    end
    i = i + 1
  end
  if #out.users == 0 then out.users[1] = { email = "alice@example.com", token = "alice" } end
  return out
end

-- A certificate of our own, made once in a while and kept beside the build, so that a client can be told of it for good.
local function certificate()
  local dir = host.root .. "/build/emulators"
  local cert, key = dir .. "/cert.pem", dir .. "/key.pem"
  fs.mkdir(host.root .. "/build")
  fs.mkdir(dir)
  if fs.stat(key) and process.run({ args = { "openssl", "x509", "-checkend", "86400", "-noout", "-in", cert }, stdout = "ignore",
    stderr = "ignore" }).code == 0 then
    return cert, key
  end
  local made = process.run {
    args = {
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-keyout", key, "-out", cert,
      "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    },
    stderr = "pipe",
  }
  assert(made.code == 0, made.stderr)
  return cert, key
end

local parsed, given = pcall(arguments, { ... })
if not parsed then
  io.stderr:write("microsoft.lua: ", tostring(given), "\n")
  return 2
elseif not given then
  return 0
end

local world = world_of.new(given.users)
local rules = contract.new(given.contract ~= "none" and given.contract or nil)
local wrong = faults.new()
local identity = oauth.new(world, given.clients)
local modules = {}
for i, name in ipairs { "events", "calendars", "delta", "mailbox", "schedule", "contacts", "places", "subscriptions", "batch" } do
  modules[i] = require("spec.emulators.microsoft." .. name)
end
local graph = service.new { world = world, faults = wrong, contract = rules, modules = modules }
subscriptions.attach(world, wrong)
local places = require("spec.emulators.microsoft.places").places
world:on("reset", places)
places(world)

local log = {} -- what was asked, in order
local controls = control.new { world = world, faults = wrong, contract = rules, subscriptions = subscriptions, log = log }

local function answer(req)
  local base = req.scheme .. "://" .. req.host
  local response, fault
  if faults.is_oauth(req.path) then response, fault = wrong:oauth(req, identity) end
  response = response or identity:serve(req, base, fault)
  if response then return response end
  if req.path:find "^/v1%.0/" then return graph:serve(req, base) end
  return {
    status = 404, headers = { ["content-type"] = "application/json" },
    body = json.encode { error = { code = "BadRequest", message = "Invalid version: " .. (req.path:match "^/([^/]*)" or "") } },
  }
end

local kept = { "authorization", "prefer", "if-match", "content-type", "client-request-id", "user-agent" }

local function handle(req)
  if req.path:find "^/_emulator/" then return controls(req) end
  local entry = { method = req.method, path = req.path, query = req.query, headers = {}, body = #req.body < 65536 and req.body or nil }
  for _, name in ipairs(kept) do entry.headers[name] = req.headers[name] end
  log[#log + 1] = entry
  if #log > 20000 then table.remove(log, 1) end
  local response = answer(req)
  entry.status = response.status
  return response
end

local options = {}
if given.tls then
  options.cert, options.key = given.cert, given.key
  if not given.cert then options.cert, options.key = certificate() end
  print("ca " .. options.cert)
end
local listener = assert(server.listen(("%s://%s:%s"):format(given.tls and "https" or "http", given.host, given.port), options, handle))
print("listening on " .. (listener.url:gsub("/$", "")))
io.stdout:flush()
return 0
