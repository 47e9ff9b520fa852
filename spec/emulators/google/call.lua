-- One request to a service, from the wire or out of a batch, with its decoded body, its user and what its token allows.
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local scopes = require "spec.emulators.google.scopes"
local server = require "lunation.server"
local world = require "spec.emulators.google.world"

local fail = failure.fail

---@class google.Call
---@field method string
---@field path string decoded for people to read; routes decode their own parts
---@field args table<string, string> decoded query, the first value of each name
---@field repeated fun(self, name: string): string[]
---@field headers table<string, string>
---@field text string the body as it came
---@field body any the body as JSON, nil where there is none
---@field params table<string, string>
---@field user google.User
---@field opening table<string, boolean>? scopes that opened the method; nil: all
---@field client string? of the grant
---@field faults table[] what was set to go wrong with this request
local Call = {}
Call.__index = Call

--- @param req lunation.Request
---@return google.Call
function Call.new(req)
  local self = setmetatable({
    req = req, method = req.method, path = server.decode(req.path), target = req.target, query = req.query, headers = req.headers,
    text = req.body, faults = {}, remote = req.remote,
  }, Call)
  self.args = req.query ~= "" and server.decode_form(req.query) or {}
  return self
end

--- All values of a query parameter.
---@return string[]
function Call:repeated(name)
  return self.query ~= "" and server.decode_form(self.query, name) or {}
end

---@return boolean
function Call:flag(name)
  return self.args[name] == "true"
end

--- An integer parameter; 400 where it is none.
---@return integer?
function Call:integer(name, default, most)
  local text = self.args[name]
  if not text then return default end
  local value = math.tointeger(tonumber(text))
  if not value or value < 1 then fail(400, "invalidParameter", "Invalid integer value: '" .. text .. "'.", { location = name, locationType = "parameter" }) end
  return most and math.min(value, most) or value
end

--- Refuses a value of a parameter that is none of those there are.
---@param name string
---@param values table<string, boolean>
function Call:one_of(name, values)
  local value = self.args[name]
  if value and not values[value] then
    fail(400, "invalidParameter", ("Invalid value '%s' for %s."):format(value, name), { location = name, locationType = "parameter" })
  end
end

--- A fault of that name, where one was set for this request.
---@param name string
---@return table?
function Call:fault(name)
  for _, fault in ipairs(self.faults) do
    if fault.fault == name then return fault end
  end
end

--- Notes that the request broke the contract in a way that no schema tells.
---@param where string
---@param message string
function Call:violation(where, message)
  table.insert(world.violations, { direction = "request", method = self.method, path = self.path, where = where, message = message })
end

--- Decodes the body; 400 where it is no JSON object.
function Call:decode()
  if self.text == "" then return end
  local value, err = json.decode(self.text)
  if type(value) ~= "table" or json.is_array(value) and #value > 0 then
    fail(400, "parseError", "Parse Error: " .. tostring(err and err.message or "an object is expected"))
  end
  self.body = value
end

--- Who asks, and whether they may ask for this. Raises 401 or 403.
---@param id string method of the contract
function Call:authorize(id)
  local text = (self.headers["authorization"] or ""):match("^[Bb]earer%s+(%S+)$") or self.args.access_token or self.args.oauth_token
  if not text then
    fail(401, "required", "Login Required.")
  end
  local token = world.tokens[text]
  if not token or (token.expires and token.expires <= world.now()) then fail(401, "authError", "Invalid Credentials") end
  self.user, self.client = world.users[token.user], token.client
  if token.scopes then
    self.opening = scopes.opening(id, token.scopes)
    if not self.opening then fail(403, "insufficientPermissions") end
  end
end

-- A scope that opens only the calendars one owns, or those the app made, does not open others.
local function opened(self, calendar, role)
  if not self.opening then return true end
  for name in pairs(self.opening) do
    if name:find("%.owned") then
      if role == "owner" then return true end
    elseif name == "calendar.app.created" then
      if calendar.client ~= nil and calendar.client == self.client then return true end
    elseif name == "calendar.events.public.readonly" then
      if calendar.acl["default:"] then return true end
    else
      return true
    end
  end
  return false
end

--- The calendar of an id (`primary` is the user's own), if the user has at least that role on it.
---@param id string
---@param least "freeBusyReader"|"reader"|"writer"|"owner"
---@return table calendar
---@return string role
function Call:calendar(id, least)
  local calendar = world.calendars[id == "primary" and self.user.email or id]
  if not calendar then fail(404, "notFound") end
  local role = world.role(calendar, self.user)
  if role == "none" then fail(404, "notFound") end
  if not opened(self, calendar, role) then fail(403, "insufficientPermissions") end
  if world.rank[role] < world.rank[least] then
    fail(403, "requiredAccessLevel", "You need to have " .. least .. " access to this calendar.")
  end
  return calendar, role
end

--- 412 where If-Match names another version, 304 where If-None-Match names this one.
---@param etag string
function Call:condition(etag)
  local wanted = self.headers["if-match"]
  if wanted and wanted ~= "*" and wanted ~= etag then fail(412, "conditionNotMet") end
  local known = self.headers["if-none-match"]
  if known and self.method == "GET" and known == etag then fail(304, "notModified", "Not Modified", { headers = { etag = etag } }) end
end

return Call
