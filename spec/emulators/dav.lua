-- A small CalDAV server in memory whose faults are switches: what real servers do wrong now and then, on demand.
--
--   local dav = require "spec.emulators.dav"
--   local fake = dav.start { tokens = "full" }        one calendar at fake.calendar, no password
--   fake:put("a.ics", text)   fake.requests           what was asked, in order: {method=, path=, headers=, body=}
--   fake.answer = function(req) … end                 takes a request over (return nil to let it pass)
local process = require "lunation.process"
local server = require "lunation.server"
local xml = require "lunation.xml"

local M = {}

---@class spec.Dav
---@field url string
---@field calendar string        absolute URL
---@field resources table<string, {text:string, etag:string, changed:integer}>
---@field switches table         see the fields read below
---@field requests table[]
local Dav = {}
Dav.__index = Dav

local home = "/cal/alice/"
local collection = home .. "team/"

local function multistatus(parts, token)
  return {
    status = 207, headers = { ["content-type"] = "application/xml; charset=utf-8" },
    body = '<?xml version="1.0"?><D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:S="http://calendarserver.org/ns/"'
      .. ' xmlns:A="http://apple.com/ns/ical/">' .. table.concat(parts) .. (token and "<D:sync-token>" .. token .. "</D:sync-token>" or "")
      .. "</D:multistatus>",
  }
end

local function status_line(status) return ("<D:status>HTTP/1.1 %d X</D:status>"):format(status) end

local function response(path, props, status)
  return "<D:response><D:href>" .. xml.escape(path) .. "</D:href>" .. (props and "<D:propstat><D:prop>" .. props .. "</D:prop>"
    .. status_line(200) .. "</D:propstat>" or status_line(status)) .. "</D:response>"
end

local function refusal(status, condition)
  return {
    status = status, headers = { ["content-type"] = "application/xml" },
    body = '<?xml version="1.0"?><D:error xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><' .. condition .. "/></D:error>",
  }
end

---Puts a resource as another client would.
function Dav:put(name, text)
  self.clock = self.clock + 1
  local shown = self.switches.etags and self.switches.etags(self.clock) or '"e' .. self.clock .. '"'
  self.resources[name] = { text = text, etag = shown, changed = self.clock }
end

---Removes a resource as another client would.
function Dav:remove(name)
  self.clock = self.clock + 1
  self.resources[name] = nil
  self.removed[name] = self.clock
end

---How often a method was asked for.
function Dav:count(method)
  local n = 0
  for _, request in ipairs(self.requests) do
    if request.method == method then n = n + 1 end
  end
  return n
end

function Dav:names()
  local list = {}
  for name in pairs(self.resources) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function body_of(self, name, with_text)
  local resource = self.resources[name]
  return "<D:getetag>" .. xml.escape(resource.etag) .. "</D:getetag>"
    .. (with_text and "<C:calendar-data>" .. xml.escape(resource.text) .. "</C:calendar-data>" or "")
end

local function propfind(self, req)
  local path, extra = req.path, self.switches
  if path == "/" or path == "/.well-known/caldav" then
    if extra.unauthenticated then
      return multistatus { response("/", "<D:current-user-principal><D:unauthenticated/></D:current-user-principal>") }
    end
    return multistatus { response(path, "<D:current-user-principal><D:href>/me/</D:href></D:current-user-principal>") }
  elseif path == "/me/" then
    local homes = extra.homes or { home }
    local hrefs = {}
    for _, each in ipairs(homes) do hrefs[#hrefs + 1] = "<D:href>" .. each .. "</D:href>" end
    return multistatus { response(path, "<D:displayname>Alice</D:displayname><C:calendar-home-set>" .. table.concat(hrefs) .. "</C:calendar-home-set>") }
  elseif path == home then
    return multistatus { response(home, "<D:resourcetype><D:collection/></D:resourcetype>"), response(collection, extra.properties
      or "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:displayname>Work</D:displayname>") }
  elseif path == collection and req.headers["depth"] == "1" then
    local parts = { response(collection, "<D:resourcetype><D:collection/></D:resourcetype>") }
    for _, name in ipairs(self:names()) do parts[#parts + 1] = response(collection .. name, body_of(self, name)) end
    return multistatus(parts)
  elseif path == collection then
    return multistatus { response(collection, extra.no_ctag and "<D:resourcetype/>" or "<S:getctag>c" .. self.clock .. "</S:getctag>") }
  end
  local name = path:match("^" .. collection .. "([^/]+)$")
  if name and self.resources[name] then return multistatus { response(path, body_of(self, name)) } end
  return { status = 404, body = "" }
end

-- What one page of sync-collection holds: names in the order of their changes, of which `limit` are told at once.
local function sync_collection(self, req)
  local mode = self.switches.tokens or "refuse"
  local token = req.body:match("<D:sync%-token>(.-)</D:sync%-token>")
  local since = token == "" and 0 or math.tointeger(tonumber(token and token:match("^t(%d+)$")))
  if mode == "none" then return refusal(403, "D:supported-report") end
  if not since or self.forgotten and since > 0 then
    if mode == "refuse" then return refusal(403, "D:valid-sync-token") end
    if type(mode) == "number" then return { status = mode, body = "" } end
    since = 0
  end
  local told = {}
  for name, resource in pairs(self.resources) do
    if resource.changed > since then told[#told + 1] = { name = name, at = resource.changed } end
  end
  for name, at in pairs(self.removed) do
    if at > since and since > 0 and not self.resources[name] then told[#told + 1] = { name = name, at = at, gone = true } end
  end
  table.sort(told, function(a, b) return a.at < b.at end)
  local limit = self.switches.limit or math.huge
  local parts, at = {}, self.clock
  for index, each in ipairs(told) do
    if index > limit then
      parts[#parts + 1] = response(collection, nil, 507)
      at = told[index - 1].at
      break
    end
    local failing = self.switches.failing and self.switches.failing[each.name]
    if each.gone then
      parts[#parts + 1] = response(collection .. each.name, nil, 404)
    elseif failing then
      parts[#parts + 1] = response(collection .. each.name, nil, failing)
    else
      local inline = self.switches.inline ~= false and req.body:find("calendar-data", 1, true)
      parts[#parts + 1] = response((self.switches.inside or "") .. collection .. each.name, body_of(self, each.name, inline))
    end
  end
  if self.switches.stuck then at = since end
  return multistatus(parts, "t" .. at)
end

local function multiget(self, req)
  local parts = {}
  for path in req.body:gmatch("<D:href>(.-)</D:href>") do
    local name = path:match("([^/]*)$")
    local failing = self.switches.failing and self.switches.failing[name]
    if failing then
      parts[#parts + 1] = response(path, nil, failing)
    elseif self.resources[name] then
      parts[#parts + 1] = response((self.switches.inside or "") .. path, body_of(self, name, true))
    elseif self.switches.missing == "whole" then
      return { status = 404, body = "" }
    elseif self.switches.missing ~= "omit" then
      parts[#parts + 1] = response(path, nil, 404)
    end
  end
  return multistatus(parts)
end

local function query(self, req)
  local uid = req.body:match("<C:text%-match[^>]*>(.-)</C:text%-match>")
  local parts = {}
  for _, name in ipairs(self:names()) do
    -- As loose as servers are: part of the UID is enough.
    if self.resources[name].text:find("UID:" .. uid, 1, true) then parts[#parts + 1] = response(collection .. name, body_of(self, name, true)) end
  end
  return multistatus(parts)
end

local function precondition(self, req, resource)
  local match, none, tag = req.headers["if-match"], req.headers["if-none-match"], req.headers["if-schedule-tag-match"]
  if tag and resource then return tag ~= self.switches.schedule_tag end
  if self.switches.careless then return false end
  if none == "*" and resource then return true end
  return match ~= nil and (not resource or match ~= "*" and match ~= resource.etag)
end

local function change(self, req)
  local name = req.path:match("^" .. collection .. "([^/]+)$")
  if not name then return { status = 405, body = "" } end
  local resource = self.resources[name]
  local failing = self.switches.failing and self.switches.failing[name]
  if failing then return { status = failing, body = "" } end
  if req.method == "GET" then
    if not resource then return { status = 404, body = "" } end
    local headers = { ["content-type"] = "text/calendar", ["schedule-tag"] = self.switches.schedule_tag }
    if not self.switches.get_without_etag then headers["etag"] = resource.etag end
    return { status = 200, headers = headers, body = resource.text }
  end
  if precondition(self, req, resource) then return { status = 412, body = "" } end
  if req.method == "DELETE" then
    if not resource then return { status = 404, body = "" } end
    self:remove(name)
    return { status = 204, body = "" }
  end
  if self.switches.hidden_refusal then
    return multistatus { response(req.path, nil, 403) }
  end
  self:put(name, self.switches.rewrite and self.switches.rewrite(req.body) or req.body)
  local headers = self.switches.put_without_etag and {} or { etag = self.resources[name].etag }
  return { status = resource and 204 or 201, headers = headers, body = "" }
end

local function handle(self, req)
  self.requests[#self.requests + 1] = { method = req.method, path = req.path, headers = req.headers, body = req.body }
  local taken = self.answer and self.answer(req)
  if taken then return taken end
  if req.method == "OPTIONS" then return { status = 200, headers = self.switches.headers or { dav = "1, calendar-access" }, body = "" } end
  if req.method == "PROPFIND" then return propfind(self, req) end
  if req.method == "REPORT" then
    if req.body:find("sync-collection", 1, true) then return sync_collection(self, req) end
    if req.body:find("calendar-multiget", 1, true) then return multiget(self, req) end
    return query(self, req)
  end
  return change(self, req)
end

---@param switches table?
---@return spec.Dav
function M.start(switches)
  local self = setmetatable({ switches = switches or {}, resources = {}, removed = {}, requests = {}, clock = 1 }, Dav)
  self.listener = assert(server.listen("http://127.0.0.1:" .. process.free_port(), {}, function(req) return handle(self, req) end))
  self.url = self.listener.url:gsub("/$", "") .. "/"
  self.home = self.url:gsub("/$", "") .. home
  self.calendar = self.url:gsub("/$", "") .. collection
  return self
end

function Dav:stop()
  self.listener:close()
end

M.multistatus, M.response, M.refusal = multistatus, response, refusal

return M
