---@meta lunation.http_server
-- The C side of lunation.server (src/host/server.c); use that one.

local http_server = {}

--- Listens, or takes over the socket of an older engine of this process that listens on the same URL.
---@param url string
---@param options lunation.ListenOptions
---@param handler fun(req: lunation.Request): lunation.Response
---@param failure (fun(req: lunation.Request, err: any, trace: string?): lunation.Response)?
---@param access (fun(req: lunation.Request, status: integer, bytes: integer, milliseconds: integer))?
---@return lunation.Listener? listener
---@return lunation.Error? err
function http_server.listen(url, options, handler, failure, access) end

---@param url string
---@param reuseport boolean?
---@return integer? fd
---@return string|lunation.Error url with the real port, or the error
function http_server.bind(url, reuseport) end

---@return {connections: integer, requests: integer, served: integer}
function http_server.stats() end

--- Percent-decodes; `plus` makes a space of "+".
---@param text string
---@param plus boolean?
---@return string
function http_server.decode(text, plus) end

--- The first value of each name, or all values of one.
---@param text string application/x-www-form-urlencoded
---@param name string?
---@return table
function http_server.decode_form(text, name) end

return http_server
