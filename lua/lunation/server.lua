-- The HTTP server: listen on a URL, answer each request in a task of its own (HTTP/1.1 RFC 9112, HTTP/2 RFC 9113, TLS).

local http_server = require "lunation.http_server"

local server = {}

---@class lunation.Request
---@field method string
---@field path string as it was sent, percent-encoded
---@field query string as it was sent, without "?"; "" where there is none
---@field target string path and query
---@field args table<string, string> decoded query, the first value of each name
---@field form table<string, string> decoded body of application/x-www-form-urlencoded, likewise
---@field params table<string, string> what the route's `:name` segments stand for, decoded
---@field headers table<string, string> by name, in any case; repeated ones joined by ", "
---@field body string "" where there is none
---@field id string request id, also in the answer's x-request-id
---@field remote string address of the client, through trusted proxies
---@field scheme "http"|"https"
---@field host string
---@field version "1.0"|"1.1"|"2"
---@field header fun(self, name: string): string? one header, quicker than `headers`
---@field arg fun(self, name: string): string?
---@field args_all fun(self, name: string): string[]
---@field form_all fun(self, name: string): string[]
---@field header_pairs fun(self): string[][] { name, value } in order

---@class lunation.Listener
---@field url string with the port that the kernel gave where 0 was asked for
---@field connections integer
---@field close fun(self) accepts no more; what runs finishes
---@field drain fun(self, seconds: number?): boolean accepts no more and waits; false: some were cut off at the deadline

---@class lunation.ListenOptions
---@field cert string? path of the certificate chain (PEM), for https
---@field key string? path of its private key (PEM)
---@field ticket_secret string? the workers' shared secret for session tickets
---@field limits table? header, headers, body, pipeline, connections, connections_per_address, streams, requests;
--- seconds: head_time, body_time, idle_time, write_time, handler_time
---@field trusted_proxies string[]? addresses and networks whose X-Forwarded-For and -Proto are believed
---@field fd integer? a bound socket that was inherited
---@field reuseport boolean?
---@field access_log boolean? a log line for each request; default false
---@field failure (fun(req: lunation.Request, err: any, trace: string?): lunation.Response)? renders what a handler raised
--- (with a trace) and what the server refuses (err.status, without)

-- One line a request. The path alone: queries carry codes and tokens.
local function log_access(req, status, bytes, milliseconds)
  require("lunation.log").info("request", {
    method = req.method, path = req.path, status = status, bytes = bytes, ms = milliseconds,
    request_id = req.id, remote = req.remote, version = req.version,
  })
end

local function describe(err)
  if type(err) ~= "table" then return tostring(err) end
  return tostring(err.message or err.code)
end

local function plain_failure(req, err, trace)
  local code, status = "internal", 500
  if trace == nil and type(err) == "table" then
    code, status = err.code, err.status
  else
    require("lunation.log").error("a request failed", { request_id = req.id, error = describe(err), trace = trace })
  end
  return {
    status = status,
    headers = { ["content-type"] = "application/json" },
    body = ('{"error":"%s","request_id":"%s"}'):format(code, req.id),
  }
end

--- Listens on `http://HOST:PORT` or `https://HOST:PORT` (port 0: a free one). A router may stand in the handler's place.
--- Where an older engine of this process listens on the same URL, its socket is taken over without a dropped request.
---@param url string
---@param options lunation.ListenOptions?
---@param handler lunation.Router|fun(req: lunation.Request): lunation.Response
---@return lunation.Listener? listener
---@return lunation.Error? err
function server.listen(url, options, handler)
  options = options or {}
  local failure = options.failure
  if type(handler) == "table" then
    failure = failure or handler:failure()
    handler = handler:handler()
  end
  return http_server.listen(url, options, handler, failure or plain_failure, options.access_log and log_access or nil)
end

--- Binds a socket for `listen`'s `fd` in a child process.
---@param url string
---@param reuseport boolean?
---@return integer? fd
---@return string|lunation.Error url with the real port, or the error
function server.bind(url, reuseport)
  return http_server.bind(url, reuseport)
end

--- Connections open, requests under way, and how many were served.
---@return {connections: integer, requests: integer, served: integer}
function server.stats()
  return http_server.stats()
end

--- Percent-decodes; `plus` makes a space of "+", as forms do.
---@param text string
---@param plus boolean?
---@return string
function server.decode(text, plus)
  return http_server.decode(text, plus)
end

--- Decodes application/x-www-form-urlencoded text: the first value of each name, or all values of one name.
---@param text string
---@param name string?
---@return table
function server.decode_form(text, name)
  return http_server.decode_form(text, name)
end

return server
