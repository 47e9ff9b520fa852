-- Starts an emulator of spec/emulators as a process of its own and speaks its control paths.
--
--   local emulator = require "spec.support.emulator"
--   local google = emulator.start("google", { users = { ["alice@example.com"] = "token-a" } })
--   google.url, google.fault { match = { path = "/events$" }, fault = "status", status = 429, retry_after = 1 }
--   assert.same({}, google.violations()) ; google.stop()
local host = require "lunation.host"
local http = require "lunation.http"
local json = require "lunation.json"
local process = require "lunation.process"
local support = require "spec.support"

local emulator = {}

---@class spec.Emulator
---@field name string
---@field url string          without a closing slash
---@field port integer
---@field users table<string, string>
---@field ca_file string?     certificate of its HTTPS
---@field has_contract boolean  whether it found a contract to hold requests against
---@field child lunation.Child
local Emulator = {}

---@class spec.EmulatorOptions
---@field users table<string, string>|string[]|nil  address to bearer token, or "ADDRESS=TOKEN" in order; alice and bob of example.com otherwise
---@field tls boolean?
---@field contract string?  folder
---@field args string[]?    more words of the command

local function words(name, options, users)
  local args = { host.executable, "run", host.root .. "/spec/emulators/" .. name .. ".lua", "--port", "0" }
  local function add(...)
    for _, word in ipairs { ... } do args[#args + 1] = word end
  end
  for _, address in ipairs(users.order) do add("--user", address .. "=" .. users[address]) end
  local ca_file
  if options.tls then
    local cert, key = require("spec.support.certificate").make()
    ca_file = cert
    add("--tls", "--cert", cert, "--key", key)
  end
  if options.contract then add("--contract", options.contract) end
  add(table.unpack(options.args or {}))
  return args, ca_file
end

local function users_of(given)
  local users = { order = {} }
  for key, value in pairs(given or { ["alice@example.com"] = "token-alice", ["bob@example.com"] = "token-bob" }) do
    if type(key) == "string" then
      users[key] = value
      users.order[#users.order + 1] = key
    end
  end
  table.sort(users.order)
  for _, word in ipairs(given or {}) do
    local address, token = word:match("^([^=]+)=(.*)$")
    users[address] = token
    users.order[#users.order + 1] = address
  end
  return users
end

--- Starts one and waits until it listens.
---@param name "google"|"microsoft"
---@param options spec.EmulatorOptions?
---@return spec.Emulator
function emulator.start(name, options)
  options = options or {}
  local users = users_of(options.users)
  local args, ca_file = words(name, options, users)
  local log = support.tmpdir() .. "/" .. name
  local child = assert(process.spawn { args = args, stdout = log .. ".out", stderr = log .. ".err", cwd = host.root })
  local url
  local ok, err = pcall(support.eventually, function()
    local file <close> = io.open(log .. ".out")
    url = file and file:read("a"):match "listening on (%S+)\n"
    if not url and not child:running() then error("it has ended", 0) end
    return url
  end, 20, "the " .. name .. " emulator")
  if not ok then error(tostring(err) .. "\n" .. support.read(log .. ".err"), 2) end
  users.order = nil
  url = url:gsub("/+$", "")
  local self = {
    name = name, url = url, port = math.tointeger(tonumber(url:match ":(%d+)$")), users = users, ca_file = ca_file, child = child, log = log .. ".err",
  }
  -- google.fault { … } reads better than google:fault { … }; both do
  for key, method in pairs(Emulator) do
    self[key] = function(first, ...)
      if first == self then return method(self, ...) end
      return method(self, first, ...)
    end
  end
  self.has_contract = self.control("GET", "/violations").contract == true
  return self
end

--- Asks a control path.
---@param method string
---@param path string below /_emulator
---@param body table?
---@return table answer
function Emulator:control(method, path, body)
  local answer, err = http.request {
    method = method, url = self.url .. "/_emulator" .. path, body = body and json.encode(body), timeout = 20, ca_file = self.ca_file,
    headers = body and { ["content-type"] = "application/json" } or {}, retries = 0, max_body = 256 * 1024 * 1024,
  }
  assert(answer, tostring(err))
  assert(answer.status < 300, method .. " " .. path .. ": " .. answer.status .. " " .. answer.body)
  return answer.body ~= "" and json.decode(answer.body) or {}
end

local function escaped(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- Asks the service itself, as a client would; what is JSON in the answer stands decoded under `json`.
---@param method string
---@param path string
---@param options {token: string?, query: table?, body: table?, form: table?, headers: table?}? a list as a query's value is repeated
---@return table answer status, headers, body, json
function Emulator:ask(method, path, options)
  options = options or {}
  local words_of = {}
  for name, value in pairs(options.query or {}) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do words_of[#words_of + 1] = escaped(name) .. "=" .. escaped(one) end
  end
  table.sort(words_of)
  local headers = { authorization = options.token and "Bearer " .. options.token }
  if options.body then headers["content-type"] = "application/json" end
  for name, value in pairs(options.headers or {}) do headers[name] = value end
  local answer, err = http.request {
    method = method, url = self.url .. path .. (#words_of > 0 and "?" .. table.concat(words_of, "&") or ""), headers = headers, form = options.form,
    body = options.body and json.encode(options.body), timeout = 20, retries = 0, ca_file = self.ca_file, max_body = 64 * 1024 * 1024,
  }
  if not answer then return { error = err } end
  local is_json = (answer.headers["content-type"] or ""):find "json"
  return { status = answer.status, headers = answer.headers, body = answer.body, json = is_json and json.decode(answer.body) or nil }
end

--- Adds a fault (or several), to be used up by the next requests that match.
---@param fault table { match = { method=, path=, query=, user= }, times = 1, after = 0, fault = "status", … }
function Emulator:fault(fault)
  self.control("POST", "/faults", json.array(fault[1] and fault or { fault }))
end

--- Removes the faults that were not used up.
function Emulator:clear()
  self.control("DELETE", "/faults")
end

--- What broke the contract since the start or the last reset.
---@return {direction: string, method: string, path: string, where: string, message: string}[]
function Emulator:violations()
  return self.control("GET", "/violations").violations
end

--- The requests that were made, in order.
---@return table[]
function Emulator:requests()
  return self.control("GET", "/requests").requests
end

--- Forgets all that was done to it, faults, requests and violations too.
function Emulator:reset()
  self.control("POST", "/reset")
end

--- Puts its clock forward.
---@param seconds number
function Emulator:advance(seconds)
  self.control("POST", "/advance", { seconds = seconds })
end

--- Ends it.
function Emulator:stop()
  if not self.child then return end
  self.child:kill("TERM")
  if not self.child:wait(10) then self.child:kill("KILL") end
  self.child = nil
end

return emulator
