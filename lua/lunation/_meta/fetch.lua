---@meta lunation.fetch

---One HTTP request and its answer, and URLs; `lunation.http` is the face of it for programs.
---@class lunation.fetch
local fetch = {}

---Sends one request and waits for its answer; redirects are answers. Of `lunation.http.Request` it takes `url`, `method`,
---`headers`, `body`, `auth`, `guard`, `timeout`, `connect_timeout`, `stall`, `max_body`, `proxy`, `ca_file`, `user_agent`,
---`decompress`, `http2`, `insecure`, and `fresh` (a connection of its own).
---@async
---@param request table
---@return lunation.http.Answer? answer
---@return lunation.Error? err
function fetch.request(request) end

---@class lunation.fetch.Parts
---@field scheme string
---@field host string? IPv6 addresses in brackets
---@field port integer? the scheme's own where the URL names none
---@field path string
---@field query string?
---@field user string?

---Takes a URL apart; nil where it is none.
---@param url string
---@return lunation.fetch.Parts? parts
function fetch.parts(url) end

---Resolves a reference against a URL (RFC 3986 section 5); nil where that gives no http or https URL.
---@param base string
---@param reference string
---@return string? url
function fetch.join(base, reference) end

---Whether a URL names localhost or an address that is not of the public Internet. Names are not resolved.
---@param url string
---@return boolean
function fetch.private(url) end

return fetch
