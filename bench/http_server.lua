-- Our side of bench/http.lua: the page as a route. Arguments: plain URL, TLS URL, certificate, key, the page's file.

local router = require "lunation.router"
local server = require "lunation.server"

local plain, tls, cert, key, file = ...
local page = dofile(file)

local r = router.new()
r:mount("/bench", { ["/events"] = { GET = function(req) return page(req.args) end } })
assert(server.listen(plain, {}, r))
assert(server.listen(tls, { cert = cert, key = key }, r))
