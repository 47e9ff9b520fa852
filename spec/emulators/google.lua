-- An emulator of Google Calendar, People and the Directory's resources, with OAuth, as a script of lunation's own server:
--   build/lunation run spec/emulators/google.lua --port 8085 --user alice@example.com=token-of-alice
-- What it does is in spec/emulators/google/, one idea a file.
local host = require "lunation.host"
package.path = host.root .. "/?.lua;" .. package.path

local server = require "lunation.server"

local contract = require "spec.emulators.google.contract"
local faults = require "spec.emulators.google.faults"
local keeping = require "spec.emulators.google.keeping"
local oauth = require "spec.emulators.google.oauth"
local service = require "spec.emulators.google.service"
local world = require "spec.emulators.google.world"

local usage = [[
usage: lunation run spec/emulators/google.lua [--port PORT] --user EMAIL=TOKEN [--user …] [options]

  --port PORT          where to listen on 127.0.0.1; 0 (the default) asks the kernel; the URL is printed when it is ready
  --user EMAIL=TOKEN   an account; TOKEN is a bearer token with every scope, beside OAuth (=TOKEN may be left out).
                       The first one is the domain's administrator.
  --zone EMAIL=ZONE    the account's time zone; Europe/Berlin otherwise
  --client ID=SECRET   an OAuth client; without any, every client is taken
  --tls                HTTPS, with a certificate made for the occasion, whose file is printed as "ca FILE"
  --cert FILE --key FILE
                       the certificate to use with --tls
  --state FILE         SQLite, which keeps what there is over the end; `memory` (the default) forgets it
  --contract FOLDER    the discovery documents; else beside the checkout, else those of the Python client in build/python
  --help

Services, at their real paths:
  /calendar/v3/…  /v1/people…  /v1/otherContacts…  /admin/directory/v1/…  /batch/calendar/v3  /batch
  /o/oauth2/v2/auth  /token  /revoke  /v1/userinfo  /oauth2/v3/certs  /.well-known/openid-configuration
The consent page agrees by itself: for the account of login_hint, else for the first one.

Control paths (JSON):
  GET    /_emulator/violations     {contract, violations=[{direction, method, path, where, message}]}; DELETE forgets them
  GET    /_emulator/requests       what was asked, in order; DELETE forgets it
  GET    /_emulator/notifications  {mails, pushes, channels}: what sendUpdates would send, what channels were told
  POST   /_emulator/advance        {seconds}: puts the clock forward
  POST   /_emulator/expire         all sync tokens end
  POST   /_emulator/options        {meet_seconds, rotate, access_lifetime, people_delay}
  POST   /_emulator/users          {email, token, name, timeZone, admin};  /groups {email, members};
         /_emulator/other-contacts {user, email, name};  /event-type {calendar, event, eventType}
  POST   /_emulator/reset          everything as at the start
  POST   /_emulator/faults         [{match={method, path, query, user}, times, after, fault, …}]; GET lists, DELETE removes them.
         path and query are Lua patterns; judged=true holds the spoiled answer against the contract. Faults:
]]

local options = { port = "0", users = {}, zones = {} }

local function fail(message)
  io.stderr:write("google.lua: ", message, "; --help tells more\n")
  os.exit(2)
end

local function pair(word, name)
  local left, right = (word or ""):match("^([^=]+)=?(.*)$")
  if not left then fail(name .. " wants a value") end
  return left, right ~= "" and right or nil
end

local words, i = { ... }, 1
while words[i] do
  local word, value = words[i], words[i + 1]
  i = i + 2
  if word == "--help" then
    io.write(usage)
    for _, one in ipairs(faults.names) do io.write(("           %-22s %s\n"):format(one[1], one[2])) end
    return 0
  elseif word == "--user" then
    local email, token = pair(value, word)
    table.insert(options.users, { email = email:lower(), token = token })
  elseif word == "--zone" then
    local email, zone = pair(value, word)
    options.zones[email] = zone
  elseif word == "--client" then
    oauth.clients = oauth.clients or {}
    local id, secret = pair(value, word)
    oauth.clients[id] = secret or ""
  elseif word == "--tls" then
    options.tls, i = true, i - 1
  elseif word == "--port" or word == "--cert" or word == "--key" or word == "--contract" or word == "--state" then
    if not value then fail(word .. " wants a value") end
    options[word:sub(3)] = value
  else
    fail("there is no option " .. word)
  end
end
if #options.users == 0 then fail "--user is missing" end
if (options.cert == nil) ~= (options.key == nil) then fail "--cert and --key go together" end

for _, fields in ipairs(options.users) do fields.timeZone = options.zones[fields.email] end
world.seed = options.users
world.reset()
if options.state and options.state ~= "memory" then
  local kept, err = keeping.open(options.state)
  if not kept then fail("--state: " .. tostring(err)) end
  for _, fields in ipairs(options.users) do
    if not world.users[fields.email] then world.add_user(fields) end
    if fields.token then world.tokens[fields.token] = { user = fields.email } end
  end
end
contract.load(options.contract)

local modules = {}
for k, name in ipairs { "control", "oauth", "calendars", "palette", "settings", "acl", "events", "freebusy", "push", "people", "directory", "batch" } do
  modules[k] = require("spec.emulators.google." .. name)
end
service.mount(modules)

io.stdout:setvbuf "line"
if options.tls then
  if not options.cert then options.cert, options.key = require("spec.support.certificate").make() end
  print("ca " .. options.cert)
else
  options.cert, options.key = nil, nil
end
local url = (options.tls and "https" or "http") .. "://127.0.0.1:" .. options.port
local listener = assert(server.listen(url, { cert = options.cert, key = options.key, limits = { body = 8 * 1024 * 1024 } }, service.answer))
print("listening on " .. (listener.url:gsub("/$", "")))
