-- Addresses of a CalDAV server in one form. Servers name one resource in several ways (relative or absolute, "@" or "%40");
-- everything is compared and stored as an absolute URL whose path segments carry percent-codes only where RFC 3986 needs them.
local M = {}

local ports = { http = "80", https = "443" }

local function decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function encode(text)
  return (text:gsub("[^%w%-%._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

---One path segment in canonical form, however much of it arrived encoded.
---@param segment string
---@return string
function M.segment(segment)
  return encode(decode(segment))
end

---The text that a segment stands for.
M.decode = decode

---@class caldav.Url
---@field scheme string  lower case
---@field host string    lower case, IPv6 in brackets
---@field port string?   nil where it is the scheme's own
---@field path string    begins with "/"
---@field query string?  without "?"

---Takes an absolute http or https URL apart. User information and fragments are dropped.
---@param url string
---@return caldav.Url?
function M.parse(url)
  local scheme, rest = url:match("^(%a[%w+.-]*)://(.*)$")
  if not scheme then return nil end
  scheme = scheme:lower()
  if not ports[scheme] then return nil end
  local authority, tail = rest:match("^([^/?#]*)(.*)$")
  authority = authority:match("([^@]*)$")
  local host, port = authority:match("^(%[[%x:.]+%]):?(%d*)$")
  if not host then host, port = authority:match("^([^:%s]+):?(%d*)$") end
  if not host then return nil end
  tail = tail:gsub("#.*$", "")
  local path, query = tail:match("^([^?]*)%??(.*)$")
  if port == "" or port == ports[scheme] then port = nil end
  return { scheme = scheme, host = host:lower(), port = port, path = path == "" and "/" or path, query = query ~= "" and query or nil }
end

---Scheme, host and port: what credentials belong to.
---@param url string
---@return string?
function M.origin(url)
  local parts = M.parse(url)
  if not parts then return nil end
  return parts.scheme .. "://" .. parts.host .. (parts.port and ":" .. parts.port or "")
end

local function canonical_path(path)
  local out = {}
  for segment in (path .. "/"):gmatch("([^/]*)/") do
    if segment == ".." then
      if #out > 1 then out[#out] = nil end
    elseif segment ~= "." then
      out[#out + 1] = M.segment(segment)
    end
  end
  local last = path:match("([^/]*)$")
  if last == "." or last == ".." then out[#out + 1] = "" end
  return table.concat(out, "/")
end

---The absolute, canonical form of a reference found in an answer of `base`.
---@param base string  absolute URL of the request that was answered
---@param reference string
---@return string?  nil where it is no http address
function M.resolve(base, reference)
  reference = reference:gsub("^%s+", ""):gsub("%s+$", "")
  local parts = M.parse(reference)
  if not parts then
    if reference:find("^%a[%w+.-]*:") then return nil end
    parts = M.parse(base)
    if not parts then return nil end
    if reference:sub(1, 2) == "//" then
      parts = M.parse(parts.scheme .. ":" .. reference)
      if not parts then return nil end
    else
      local path, query = reference:gsub("#.*$", ""):match("^([^?]*)%??(.*)$")
      parts.query = query ~= "" and query or nil
      if path:sub(1, 1) == "/" then
        parts.path = path
      elseif path ~= "" then
        parts.path = parts.path:match("^(.*/)") .. path
      end
    end
  end
  return parts.scheme .. "://" .. parts.host .. (parts.port and ":" .. parts.port or "") .. canonical_path(parts.path)
    .. (parts.query and "?" .. parts.query or "")
end

---@param url string
---@return string?  the same address in canonical form
function M.canonical(url)
  return M.resolve(url, url)
end

---The last segment of a resource's path: the id of an event in its calendar.
---@param url string
---@return string  "" for a collection written with its closing slash
function M.name(url)
  return (url:gsub("%?.*$", "")):match("([^/]*)$")
end

---@param url string
---@return string  the same address as that of a collection, with a closing slash
function M.collection(url)
  return url:sub(-1) == "/" and url or url .. "/"
end

---The address of a member of a collection.
---@param collection string
---@param name string  canonical segment
---@return string
function M.member(collection, name)
  return M.collection(collection) .. M.segment(name)
end

---Path and query of an address, for a request's body.
---@param url string
---@return string
function M.path(url)
  local parts = assert(M.parse(url), "not an address")
  return parts.path .. (parts.query and "?" .. parts.query or "")
end

return M
