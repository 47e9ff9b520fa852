-- Reads 207 answers (RFC 4918 section 13). A 207 promises nothing: each resource has its own status, each group of properties
-- too, and some servers put the failure of the whole request inside one.
local failure = require "lunation.caldav.failure"
local href = require "lunation.caldav.href"
local xml = require "lunation.xml"

local M = {}

M.dav = "DAV:"
M.caldav = "urn:ietf:params:xml:ns:caldav"
M.calendarserver = "http://calendarserver.org/ns/"
M.apple = "http://apple.com/ns/ical/"

---@class caldav.Response
---@field href string              absolute, canonical
---@field status integer?          of the resource as a whole
---@field condition string?        local name inside DAV:error
---@field props table<string,table> XML nodes of the properties that came with 200, keyed "namespace name"
local Response = {}
Response.__index = Response

---@param ns string
---@param name string
---@return table? node
function Response:node(ns, name)
  return self.props[ns .. " " .. name]
end

---Text of a property without surrounding blanks; nil where it is absent or empty.
---@param ns string
---@param name string
---@return string?
function Response:text(ns, name)
  local node = self:node(ns, name)
  local text = node and node.text and node.text:match("^%s*(.-)%s*$")
  return text ~= "" and text or nil
end

---The addresses inside a property, absolute.
---@param ns string
---@param name string
---@return string[]
function Response:hrefs(ns, name)
  local list = {}
  local node = self:node(ns, name)
  for _, child in ipairs(node and node:children(M.dav, "href") or {}) do
    local url = href.resolve(self.base, child.text or "")
    if url and child.text:find("%S") then list[#list + 1] = url end
  end
  return list
end

local function status_of(node)
  local child = node:child(M.dav, "status")
  return child and math.tointeger(tonumber((child.text or ""):match("HTTP/[%d.]+%s+(%d%d%d)")))
end

-- The first condition that is known; servers put texts and exception names of their own beside it.
local function known_condition(container)
  for _, child in ipairs(container or {}) do
    if failure.conditions[child.name] then return child.name end
  end
end

local function condition_of(node)
  return known_condition(node:child(M.dav, "error"))
end

---The condition that a refusal's body names, if it is a DAV:error document.
---@param body string?
---@return string?
function M.condition(body)
  if not body or not body:find("<", 1, true) then return nil end
  local root = xml.parse(body)
  if not root or root.ns ~= M.dav or root.name ~= "error" then return nil end
  return known_condition(root)
end

local function response_of(node, base)
  local common = { status = status_of(node), condition = condition_of(node), props = {}, base = base }
  local refused
  for _, propstat in ipairs(node:children(M.dav, "propstat")) do
    local status = status_of(propstat) or 200
    if status == 200 then
      local prop = propstat:child(M.dav, "prop")
      for _, child in ipairs(prop or {}) do common.props[child.ns .. " " .. child.name] = child end
    else
      refused = refused or status
      common.condition = common.condition or condition_of(propstat)
    end
  end
  -- A group of properties may be refused for want of a property (404), which says nothing about the resource.
  if not common.status and not next(common.props) and refused and refused ~= 404 then common.status = refused end
  return common
end

---@class caldav.Multistatus
---@field responses caldav.Response[]
---@field sync_token string?
---@field url string  of the request, after redirects

---Reads the body of a 207.
---@param body string
---@param base string  URL that was answered
---@param max integer?  bytes
---@return caldav.Multistatus?, lunation.Error? err
function M.read(body, base, max)
  local root = xml.parse(body, { max = max })
  if not root or root.ns ~= M.dav or root.name ~= "multistatus" then return nil, failure.not_dav() end
  local token = root:child(M.dav, "sync-token")
  local result = { responses = {}, url = base, sync_token = token and token.text and token.text:match("^%s*(.-)%s*$") or nil }
  if result.sync_token == "" then result.sync_token = nil end
  for _, node in ipairs(root:children(M.dav, "response")) do
    local common = response_of(node, base)
    for _, child in ipairs(node:children(M.dav, "href")) do
      local url = href.resolve(base, child.text or "")
      if url then
        local one = setmetatable({ href = url, status = common.status, condition = common.condition, props = common.props, base = base }, Response)
        result.responses[#result.responses + 1] = one
      end
    end
  end
  return result
end

---An entity tag as If-Match takes it: quoted, strong, without the suffix that a compressing front end adds.
---@param text string?
---@return string?
function M.etag(text)
  if not text then return nil end
  local tag = text:match("^%s*(.-)%s*$"):gsub("^W/", "")
  if tag == "" then return nil end
  tag = tag:gsub('^"(.*)"$', "%1"):gsub("[-;]gzip$", "")
  return '"' .. tag .. '"'
end

return M
