local errors = require "lunation.errors"
local json = require "lunation.json"
local raw = require "spec.support.raw"
local router = require "lunation.router"
local server = require "lunation.server"

describe("the router", function()
  local r, listener, logged

  before_each(function()
    logged = {}
    r = router.new { log = function(message, fields) logged[#logged + 1] = { message = message, fields = fields } end }
    listener = assert(server.listen("http://127.0.0.1:0", {}, r))
  end)
  after_each(function() listener:close() end)

  local function ask(method, path, headers)
    local response = assert(raw.exchange(listener.url, ("%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n"):format(method, path, headers or ""),
      { head = method == "HEAD" }))
    response.json = response.headers["content-type"] == "application/json" and json.decode(response.body) or nil
    return response
  end

  it("finds what a path names, static before parameter, and decodes parameters", function()
    r:mount("", {
      ["/"] = { GET = function() return "root" end },
      ["/a"] = { GET = function() return "a" end },
      ["/a/:id"] = { GET = function(req) return "id " .. req.params.id end, DELETE = function(req) return "gone " .. req.params.id end },
      ["/a/new"] = { GET = function() return "new" end },
      ["/a/:id/b/:other"] = { GET = function(req) return req.params.id .. "," .. req.params.other end },
      ["/a/new/c"] = { GET = function() return "c" end },
      ["/:any/z"] = { GET = function(req) return "z " .. req.params.any end },
    })
    for path, body in pairs {
      ["/"] = "root", ["/a"] = "a", ["/a/"] = "a", ["/a/1"] = "id 1", ["/a/new"] = "new", ["/a/new/c"] = "c",
      ["/a/new/b/2"] = "new,2", ["/a/x/b/y%20z"] = "x,y z", ["/a/%C3%A9"] = "id é", ["/a/b%2Fc"] = "id b/c", ["/a/z"] = "id z", ["/q/z"] = "z q",
      ["/a/a+b"] = "id a+b",
    } do
      assert.are.equal(body, ask("GET", path).body, path)
    end
    assert.are.equal("gone 7", ask("DELETE", "/a/7").body)
    for _, path in ipairs { "/b", "/a/1/b", "/a/1/b/2/3", "/a/%ff", "/a/%00" } do
      assert.are.equal(404, ask("GET", path).status, path)
    end
  end)

  it("refuses two routes at one place", function()
    assert.has_error(function()
      r:mount("", { ["/a/:x"] = { GET = function() end }, ["/a/:y"] = { GET = function() end } })
    end)
    assert.has_error(function() r:mount("", { ["/a"] = { GET = {} } }) end)
  end)

  it("answers HEAD, OPTIONS and 405 from the table", function()
    r:mount("", { ["/a"] = { GET = function() return "twelve bytes" end, POST = function() return "posted" end } })
    assert.are.equal("12", ask("HEAD", "/a").headers["content-length"])
    local options = ask("OPTIONS", "/a")
    assert.are.equal(204, options.status)
    assert.are.equal("GET, HEAD, OPTIONS, POST", options.headers.allow)
    assert.are.equal(204, ask("OPTIONS", "*").status)
    local refused = ask("PUT", "/a")
    assert.are.equal(405, refused.status)
    assert.are.equal("GET, HEAD, OPTIONS, POST", refused.headers.allow)
    assert.are.equal("method_not_allowed", refused.json.error)
  end)

  it("lets the longest mount win, with its own errors", function()
    local function named(name)
      return { error = function(_, err) return { status = errors.status(err), body = { from = name, code = err.code } } end }
    end
    r:mount("/api", { ["/x"] = { GET = function() return "api" end }, ["/v1/x"] = { GET = function() return "shadowed" end } }, named "api")
    r:mount("/api/v1", { ["/x"] = { GET = function() return "v1" end } }, named "v1")
    r:mount("", { ["/:any"] = { GET = function() return "root" end } }, named "root")
    assert.are.equal("api", ask("GET", "/api/x").body)
    assert.are.equal("v1", ask("GET", "/api/v1/x").body)
    assert.are.equal("root", ask("GET", "/apix").body)
    assert.are.same({ from = "api", code = "not_found" }, ask("GET", "/api/y").json)
    assert.are.same({ from = "v1", code = "not_found" }, ask("GET", "/api/v1/y").json)
    assert.are.same({ from = "api", code = "not_found" }, ask("GET", "/api").json)
    assert.are.same({ from = "root", code = "not_found" }, ask("GET", "/a/b").json)
    -- what the server refuses before any route is told in the same words
    local large = raw.exchange(listener.url, "POST /api/v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
    assert.are.equal(413, large.status)
    assert.are.same({ from = "v1", code = "too_large" }, json.decode(large.body))
    local many = raw.exchange(listener.url, "GET /api/x HTTP/1.1\r\nHost: a\r\n" .. ("X: a\r\n"):rep(10000) .. "\r\n")
    assert.are.equal(431, many.status)
    assert.are.same({ from = "api", code = "header_too_large" }, json.decode(many.body))
  end)

  it("sends what handlers return", function()
    r:mount("", {
      ["/table"] = { GET = function() return { status = "ok", list = json.array {} } end },
      ["/array"] = { GET = function() return { 1, 2, 3 } end },
      ["/response"] = { GET = function() return { status = 201, headers = { ["x-a"] = "b" }, body = { a = 1 } } end },
      ["/text"] = { GET = function() return "text" end },
      ["/nothing"] = { GET = function() end },
      ["/error"] = { GET = function() return nil, errors.new("conflict", "it changed") end },
      ["/limited"] = { GET = function() return nil, errors.new("rate_limited", "slow down", { retry_after = 2.5 }) end },
      ["/boolean"] = { GET = function() return true end },
      ["/cycle"] = { GET = function() local t = {} t.t = t return t end },
    })
    local response = ask("GET", "/table")
    assert.are.equal("application/json", response.headers["content-type"])
    assert.are.same({ status = "ok", list = {} }, response.json)
    assert.are.equal("[1,2,3]", ask("GET", "/array").body)
    response = ask("GET", "/response")
    assert.are.same({ 201, "b", '{"a":1}' }, { response.status, response.headers["x-a"], response.body })
    assert.are.equal("text", ask("GET", "/text").body)
    assert.are.equal(204, ask("GET", "/nothing").status)
    response = ask("GET", "/error")
    assert.are.same({ 409, { error = "conflict", message = "it changed" } }, { response.status, response.json })
    response = ask("GET", "/limited")
    assert.are.same({ 429, "3" }, { response.status, response.headers["retry-after"] })
    assert.are.equal(500, ask("GET", "/boolean").status)
    assert.are.equal(500, ask("GET", "/cycle").status)
  end)

  it("tells a client nothing of a raised error but the request id", function()
    r:mount("", { ["/"] = { GET = function() error("the database is at /secret/path") end } })
    local response = ask("GET", "/", "X-Request-Id: id-7\r\n")
    assert.are.equal(500, response.status)
    assert.are.same({ error = "internal", message = "internal error; the request id is id-7" }, response.json)
    assert.are.equal(1, #logged)
    assert.are.equal("id-7", logged[1].fields.request_id)
    assert.is_truthy(logged[1].fields.error:find("/secret/path", 1, true))
    assert.is_truthy(logged[1].fields.trace:find("router_spec.lua", 1, true))
  end)

  it("asks `before` first", function()
    r:mount("", { ["/open"] = { GET = function() return "in" end }, ["/closed"] = { GET = { handler = function(req) return req.who end, auth = "bearer" } } }, {
      before = function(req, route)
        if route.auth ~= "bearer" then return end
        local token = (req:header("authorization") or ""):match("^Bearer (.+)$")
        if not token then return nil, errors.new("unauthorized", "a token is needed") end
        if token == "teapot" then return { status = 418, body = "short and stout" } end
        req.who = token
      end,
    })
    assert.are.equal("in", ask("GET", "/open").body)
    assert.are.equal(401, ask("GET", "/closed").status)
    assert.are.equal("alice", ask("GET", "/closed", "Authorization: Bearer alice\r\n").body)
    assert.are.equal(418, ask("GET", "/closed", "Authorization: Bearer teapot\r\n").status)
  end)

  it("answers browsers of trusted origins, and says nothing to others", function()
    r:mount("/cors", { ["/a"] = { GET = function() return "a" end, PUT = function() return "b" end } }, { origins = { "http://app.example" } })
    r:mount("/plain", { ["/a"] = { GET = function() return "a" end } })
    local preflight = "Origin: http://app.example\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: authorization\r\n"
    local response = ask("OPTIONS", "/cors/a", preflight)
    assert.are.equal(204, response.status)
    assert.are.equal("http://app.example", response.headers["access-control-allow-origin"])
    assert.is_truthy(response.headers["access-control-allow-methods"]:find("PUT", 1, true))
    assert.are.equal("authorization", response.headers["access-control-allow-headers"])
    response = ask("GET", "/cors/a", "Origin: http://app.example\r\n")
    assert.are.equal("http://app.example", response.headers["access-control-allow-origin"])
    assert.are.equal("origin", response.headers.vary)
    assert.are.equal("http://app.example", ask("GET", "/cors/none", "Origin: http://app.example\r\n").headers["access-control-allow-origin"])
    for _, case in ipairs { { "/cors/a", "Origin: http://evil.example\r\n" }, { "/cors/a", "" }, { "/plain/a", "Origin: http://app.example\r\n" } } do
      assert.is_nil(ask("GET", case[1], case[2]).headers["access-control-allow-origin"])
    end
    assert.is_nil(ask("OPTIONS", "/plain/a", preflight).headers["access-control-allow-origin"])
  end)

  it("limits the rate for each token, else each address", function()
    r = router.new { requests_per_minute = 3 }
    r:mount("", { ["/"] = { GET = function(req) return req:header("authorization") == "Bearer bad" and { status = 401 } or "in" end } })
    listener:close()
    listener = assert(server.listen("http://127.0.0.1:0", {}, r))
    for _ = 1, 3 do assert.are.equal(200, ask("GET", "/", "Authorization: Bearer one\r\n").status) end
    local response = ask("GET", "/", "Authorization: Bearer one\r\n")
    assert.are.equal(429, response.status)
    assert.are.equal("20", response.headers["retry-after"])
    assert.are.equal(200, ask("GET", "/", "Authorization: Bearer two\r\n").status)
    -- tokens that are none are charged to the address
    for _ = 1, 3 do assert.are.equal(401, ask("GET", "/", "Authorization: Bearer bad\r\n").status) end
    assert.are.equal(429, ask("GET", "/", "Authorization: Bearer new\r\n").status)
    assert.are.equal(429, ask("GET", "/").status)
  end)
end)
