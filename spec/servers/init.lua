-- Real CalDAV servers for the specs: each is a script of this folder that runs in the foreground on a port of its own.
--
--   local servers = require "spec.servers"
--   local radicale = assert(servers.start("radicale"))
--   radicale.url, radicale.users.alice, radicale:stop()
--
-- LUNATION_SERVERS (names, comma-separated) limits which of them a spec uses; without it a missing one is a failure.
local fs = require "lunation.fs"
local http = require "lunation.http"
local process = require "lunation.process"
local support = require "spec.support"
local timer = require "lunation.timer"
local xml = require "lunation.xml"

local M = {}

---@class spec.Server
---@field name string
---@field url string          where a person would point a client: the discovery starts here
---@field base string         scheme, host and port
---@field users table<string,string>  name to password
---@field home fun(user:string):string  absolute URL of the collection that holds a user's calendars
---@field calendar string?    name of the calendar that is there from the start
---@field state string        directory
---@field child table

---@type table<string, {ports:integer, home:string, calendar:string?, probe:string, auth:boolean, scheduling:boolean}>
M.kinds = {
  radicale = { ports = 1, home = "/%s/", probe = "/", auth = true },
  xandikos = { ports = 1, home = "/%s/calendars/", calendar = "calendar", probe = "/", auth = false },
  sabre = { ports = 1, home = "/calendars/%s/", calendar = "default", probe = "/", auth = true },
  davical = { ports = 1, home = "/caldav.php/%s/", calendar = "calendar", probe = "/caldav.php/", auth = true, scheduling = true },
  cyrus = { ports = 2, home = "/dav/calendars/user/%s/", calendar = "Default", probe = "/dav/principals/", auth = true, scheduling = true },
}

---The servers in the order in which the specs walk them.
M.all = { "radicale", "xandikos", "sabre", "davical", "cyrus" }

local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

-- Bind in turn: the kernel does not give the same port twice in a row, and a server that finds its port taken fails loudly.
local function free_ports(count)
  local ports = {}
  while #ports < count do
    local port = process.free_port()
    if port ~= ports[#ports] then ports[#ports + 1] = port end
  end
  return ports
end

---The names that this run may use, in order.
---@return string[]
function M.selected()
  local wanted = os.getenv("LUNATION_SERVERS")
  if not wanted or wanted == "" then return M.all end
  local list = {}
  for name in wanted:gmatch("[^,%s]+") do
    assert(M.kinds[name], "LUNATION_SERVERS names no server of the specs: " .. name)
    list[#list + 1] = name
  end
  return list
end

---Whether this run may use a server of that name.
---@param name string
---@return boolean
function M.has(name)
  for _, each in ipairs(M.selected()) do
    if each == name then return true end
  end
  return false
end

local Server = {}
Server.__index = Server

---Stops the server, waits for its end and removes what it left.
function Server:stop()
  if not self.child then return end
  self.child:kill("TERM")
  if not self.child:wait(10) then self.child:kill("KILL") end
  self.child = nil
  support.remove(self.state)
end

---Starts a server on free ports in an empty directory and returns once it answers.
---@param name string
---@param seconds number?  how long it may take, 60
---@return spec.Server?, string? err
function M.start(name, seconds)
  local kind = assert(M.kinds[name], "no server called " .. tostring(name))
  local state = support.tmpdir()
  -- Cyrus and PostgreSQL do not run as root; their own users must reach their files.
  process.run { args = { "chmod", "755", state } }
  local ports = free_ports(kind.ports)
  local args = { "sh", folder .. "/" .. name .. ".sh", state .. "/" .. name }
  for _, port in ipairs(ports) do args[#args + 1] = tostring(port) end
  local log = state .. "/output"
  local child, err = process.spawn { args = args, stdout = log, stderr = log }
  if not child then return nil, tostring(err) end

  local base = "http://127.0.0.1:" .. ports[1]
  local server = setmetatable({
    name = name, kind = kind, base = base, url = base .. "/", state = state, child = child, calendar = kind.calendar,
    users = { alice = "secret", bob = "secret" },
    home = function(user) return base .. kind.home:format(user) end,
  }, Server)
  local deadline = timer.now() + (seconds or 60)
  while timer.now() < deadline and child:running() do
    local ready = name ~= "cyrus" or fs.stat(state .. "/cyrus/ready")
    local answer = ready and http.request { url = base .. kind.probe, method = "OPTIONS", timeout = 5 }
    if answer and answer.status < 500 then return server end
    child:wait(0.1)
  end
  local text = support.read(log):sub(-2000)
  server:stop()
  return nil, name .. " did not start: " .. text
end

---Makes a calendar with MKCALENDAR, for servers that begin without one and for specs that want their own.
---@param server spec.Server
---@param user string
---@param slug string  last segment of its URL
---@param title string?
---@return string url
function M.make_calendar(server, user, slug, title)
  local url = server.home(user) .. slug .. "/"
  local answer = assert(http.request {
    method = "MKCALENDAR", url = url, auth = { kind = "basic", username = user, password = server.users[user] },
    headers = { ["content-type"] = "application/xml; charset=utf-8" },
    body = '<?xml version="1.0" encoding="utf-8"?><C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>'
      .. "<D:displayname>" .. xml.escape(title or slug) .. "</D:displayname></D:prop></D:set></C:mkcalendar>",
  })
  assert(answer.status == 201, ("MKCALENDAR %s: %d %s"):format(url, answer.status, answer.body))
  return url
end

return M
