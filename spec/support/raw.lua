-- HTTP/1.1 by hand over a socket, for specs that send what no client would.

local tcp = require "lunation.tcp"

local raw = {}

local Peer = {}
Peer.__index = Peer

--- Connects to a listener's URL.
---@param url string
function raw.connect(url)
  local port = assert(tonumber(url:match(":(%d+)$")), url)
  return setmetatable({ conn = assert(tcp.connect("127.0.0.1", port, 5)), buffer = "" }, Peer)
end

function Peer:send(text)
  return self.conn:write(text, 20)
end

function Peer:close() self.conn:close() end

-- More bytes into the buffer; nil at the end or on an error.
local function more(self, timeout)
  local chunk, err = self.conn:read(65536, timeout or 10)
  if not chunk then return nil, err end
  self.buffer = self.buffer .. chunk
  return true
end

local function take(self, n, timeout)
  while #self.buffer < n do
    local ok, err = more(self, timeout)
    if not ok then return nil, err end
  end
  local piece = self.buffer:sub(1, n)
  self.buffer = self.buffer:sub(n + 1)
  return piece
end

local function line(self, timeout)
  while not self.buffer:find("\r\n", 1, true) do
    local ok, err = more(self, timeout)
    if not ok then return nil, err end
  end
  local at = self.buffer:find("\r\n", 1, true)
  local text = self.buffer:sub(1, at - 1)
  self.buffer = self.buffer:sub(at + 2)
  return text
end

local function chunks(self, timeout, seen)
  local parts = {}
  while true do
    local size, err = line(self, timeout)
    if not size then return nil, err end
    local n = tonumber(size, 16)
    local piece = take(self, n + 2, timeout)
    if not piece then return nil end
    if n == 0 then return table.concat(parts) end
    parts[#parts + 1] = piece:sub(1, -3)
    if seen then seen(parts[#parts]) end
  end
end

--- The next response: { status, headers, body }; nil, err where the connection ends first.
---@param options {head: boolean?, timeout: number?, chunk: fun(text: string)?}?
function Peer:response(options)
  options = options or {}
  local first, err = line(self, options.timeout)
  if not first then return nil, err end
  local response = { status = tonumber(first:match("^HTTP/1%.1 (%d%d%d) ")), headers = {}, first = first }
  while true do
    local text = line(self, options.timeout)
    if not text then return nil, "the head is not complete" end
    if text == "" then break end
    local name, value = text:match("^([^:]+): (.*)$")
    local key = name:lower()
    response.headers[key] = response.headers[key] and response.headers[key] .. ", " .. value or value
  end
  if options.head or response.status == 204 or response.status == 304 or response.status < 200 then
    response.body = ""
  elseif response.headers["transfer-encoding"] then
    response.body, err = chunks(self, options.timeout, options.chunk)
    response.broken = response.body == nil
  elseif response.headers["content-length"] then
    response.body = take(self, tonumber(response.headers["content-length"]), options.timeout)
  else
    while more(self, options.timeout) do end
    response.body, self.buffer = self.buffer, ""
  end
  return response, err
end

--- Whether the server ends the connection, with nothing more to read.
function Peer:ended(timeout)
  if self.buffer ~= "" then return false, self.buffer end
  local chunk, err = self.conn:read(65536, timeout or 10)
  return chunk == nil and (err.code == "closed" or err.code == "reset"), chunk or err
end

--- One request on a connection of its own.
function raw.exchange(url, text, options)
  local peer <close> = setmetatable({ peer = raw.connect(url) }, { __close = function(self) self.peer:close() end })
  peer.peer:send(text)
  local response, err = peer.peer:response(options)
  if response then response.ended = response.headers.connection == "close" and peer.peer:ended() end
  return response, err
end

--- A GET with what every request needs.
function raw.get(path, extra)
  return ("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"):format(path, extra or "")
end

return raw
