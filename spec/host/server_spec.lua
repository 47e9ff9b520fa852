local process = require "lunation.process"
local raw = require "spec.support.raw"
local server = require "lunation.server"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

local function text(body, more)
  local headers = { ["content-type"] = "text/plain" }
  for name, value in pairs(more or {}) do headers[name] = value end
  return { status = 200, headers = headers, body = body }
end

-- A listener that ends with the spec.
local listeners = {}
local function listen(handler, options)
  local listener = assert(server.listen("http://127.0.0.1:0", options or {}, handler))
  listeners[#listeners + 1] = listener
  return listener
end

describe("the HTTP server", function()
  after_each(function()
    for _, listener in ipairs(listeners) do listener:close() end
    listeners = {}
  end)

  it("keeps a connection and answers in turn", function()
    local listener = listen(function(req) return text(req.path) end)
    local peer = raw.connect(listener.url)
    for i = 1, 3 do
      peer:send(raw.get("/" .. i))
      local response = peer:response()
      assert.are.equal("/" .. i, response.body)
      assert.is_nil(response.headers.connection)
    end
    peer:send(raw.get("/last", "Connection: close\r\n"))
    local response = peer:response()
    assert.are.equal("close", response.headers.connection)
    assert.is_true(peer:ended())
  end)

  it("keeps HTTP/1.0 only where it is asked to", function()
    local listener = listen(function(req) return text(req.version) end)
    local response = raw.exchange(listener.url, "GET / HTTP/1.0\r\n\r\n")
    assert.are.equal("1.0", response.body)
    assert.is_true(response.ended)
    local peer = raw.connect(listener.url)
    peer:send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert.are.equal("keep-alive", peer:response().headers.connection)
    assert.are.equal("close", peer:response().headers.connection)
    assert.is_true(peer:ended())
  end)

  it("answers pipelined requests in their order, however long each takes", function()
    local running, most = 0, 0
    local listener = listen(function(req)
      running = running + 1
      most = math.max(most, running)
      timer.sleep(tonumber(req:arg("ms")) / 1000)
      running = running - 1
      return text(req.query)
    end)
    local peer = raw.connect(listener.url)
    local delays, requests = { 40, 0, 20, 1, 10 }, {}
    for i, ms in ipairs(delays) do requests[i] = raw.get("/?ms=" .. ms) end
    peer:send(table.concat(requests))
    for _, ms in ipairs(delays) do assert.are.equal("ms=" .. ms, peer:response().body) end
    peer:close()
    assert.are.equal(1, most)
  end)

  it("answers HEAD for a streamed body, and goes on", function()
    local listener = listen(function() return { status = 200, body = function(write) write("abc") end } end)
    local peer = raw.connect(listener.url)
    peer:send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    support.eventually(function()
      peer.buffer = peer.buffer .. (peer.conn:read(4096, 5) or "")
      return peer.buffer:find("0\r\n\r\n", 1, true)
    end)
    local _, answers = peer.buffer:gsub("HTTP/1.1 200 OK\r\n", "")
    assert.are.equal(2, answers)
    assert.is_truthy(peer.buffer:find("\r\n\r\nHTTP/1.1 200 OK", 1, true))
    assert.is_truthy(peer.buffer:find("\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1, true))
    peer:close()
  end)

  it("lets one task at a time write to a body", function()
    local failure
    local listener = listen(function()
      return { status = 200, body = function(write)
        local first = task.spawn(function() write(("x"):rep(32 * 1024 * 1024)) end)
        support.eventually(function() failure = select(2, pcall(write, "y")) return type(failure) == "string" end)
        first:cancel()
      end }
    end)
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    support.eventually(function() return type(failure) == "string" end)
    assert.is_truthy(failure:find("another task writes", 1, true))
    peer:close()
  end)

  it("takes a thousand pipelined requests", function()
    local listener = listen(function(req) return text(req.path .. ("."):rep(1000)) end)
    local peer = raw.connect(listener.url)
    local requests = {}
    for i = 1, 1000 do requests[i] = raw.get("/" .. i) end
    local writing = task.spawn(function() return peer:send(table.concat(requests)) end)
    assert(writing:wait())
    for i = 1, 1000 do assert.are.equal("/" .. i .. ("."):rep(1000), peer:response().body) end
    peer:close()
  end)

  it("runs requests of different connections side by side", function()
    local waiting, release = 0, false
    local listener = listen(function()
      waiting = waiting + 1
      support.eventually(function() return release end)
      return text("done")
    end)
    local tasks = {}
    for i = 1, 20 do tasks[i] = task.spawn(function() return raw.exchange(listener.url, raw.get("/")) end) end
    support.eventually(function() return waiting == 20 end)
    release = true
    for _, handle in ipairs(tasks) do
      local ok, response = handle:wait()
      assert.is_true(ok)
      assert.are.equal("done", response.body)
    end
  end)

  it("gives the handler what was sent, and only when asked", function()
    local got
    local listener = listen(function(req)
      got = {
        method = req.method, path = req.path, query = req.query, target = req.target, host = req.host, scheme = req.scheme,
        version = req.version, remote = req.remote, header = req:header("x-one"), upper = req.headers["X-ONE"],
        missing = req.headers["x-none"], twice = req.headers["X-Two"], cookie = req.headers.cookie, under = req.headers.client_id,
        args = req.args, all = req:args_all("a"), arg = req:arg("b c"), pairs = req:header_pairs(), form = req.form,
      }
      req.mine = 7
      got.mine = req.mine
      return text(req.body)
    end)
    local body = "grant_type=code&x=%2B+%zz"
    local response = raw.exchange(listener.url, "POST /p%20q?a=1&a=2&b+c=%C3%A9&empty&=no HTTP/1.1\r\nHost: h:1\r\nx-one: 1\r\nX-Two: a\r\nx-two: b\r\n"
      .. "Cookie: a=1\r\nCookie: b=2\r\nCLIENT_ID: id\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body)
    assert.are.equal(body, response.body)
    assert.are.same({
      method = "POST", path = "/p%20q", query = "a=1&a=2&b+c=%C3%A9&empty&=no", target = "/p%20q?a=1&a=2&b+c=%C3%A9&empty&=no",
      host = "h:1", scheme = "http", version = "1.1", remote = "127.0.0.1", header = "1", upper = "1", twice = "a, b",
      cookie = "a=1; b=2", under = "id", args = { a = "1", ["b c"] = "é", empty = "", [""] = "no" }, all = { "1", "2" }, arg = "é",
      form = { grant_type = "code", x = "+ %zz" }, mine = 7,
      pairs = { { "Host", "h:1" }, { "x-one", "1" }, { "X-Two", "a" }, { "x-two", "b" }, { "Cookie", "a=1" }, { "Cookie", "b=2" },
        { "CLIENT_ID", "id" }, { "Content-Length", tostring(#body) } },
    }, got)
  end)

  it("listens on all addresses, of both kinds", function()
    local listener = assert(server.listen("http://*:0", {}, function(req) return text(req.remote) end))
    listeners[#listeners + 1] = listener
    local port = listener.url:match(":(%d+)$")
    assert.are.equal("127.0.0.1", raw.exchange("http://127.0.0.1:" .. port, raw.get("/")).body)
    local peer = require("lunation.tcp").connect("::1", tonumber(port), 2)
    if not peer then return pending("needs IPv6 on the loopback interface") end
    peer:write(raw.get("/", "Connection: close\r\n"))
    assert.are.equal("::1", peer:read_all():match("\r\n\r\n(.*)$"))
    peer:close()
  end)

  it("looks at a thousand pairs of a form and no more", function()
    local listener = listen(function(req)
      local n = 0
      for _ in pairs(req.form) do n = n + 1 end
      return text(tostring(n))
    end)
    local pieces = {}
    for i = 1, 20000 do pieces[i] = "k" .. i .. "=v" end
    local body = table.concat(pieces, "&")
    local response = raw.exchange(listener.url, ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
    assert.are.equal("1000", response.body)
  end)

  it("names each request, and takes a sane name from the client", function()
    local listener = listen(function(req) return text(req.id) end)
    local one, two = raw.exchange(listener.url, raw.get("/")), raw.exchange(listener.url, raw.get("/"))
    assert.is_truthy(one.body:match("^%x+$") and #one.body == 16)
    assert.are.equal(one.body, one.headers["x-request-id"])
    assert.are_not.equal(one.body, two.body)
    assert.are.equal("trace-1.A_b", raw.exchange(listener.url, raw.get("/", "X-Request-Id: trace-1.A_b\r\n")).body)
    for _, odd in ipairs { "a b", "a\"b", ("a"):rep(65), "é" } do
      assert.are.equal(16, #raw.exchange(listener.url, raw.get("/", "X-Request-Id: " .. odd .. "\r\n")).body)
    end
  end)

  it("answers HEAD with the headers alone", function()
    local listener = listen(function() return text("twelve bytes") end)
    local peer = raw.connect(listener.url)
    peer:send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" .. raw.get("/"))
    local response = peer:response { head = true }
    assert.are.equal("12", response.headers["content-length"])
    assert.are.equal("twelve bytes", peer:response().body)
    peer:close()
  end)

  it("sends no body with 204 and 304", function()
    local listener = listen(function(req) return { status = tonumber(req.path:sub(2)), body = "none" } end)
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/204") .. raw.get("/304") .. raw.get("/200"))
    for _, status in ipairs { 204, 304 } do
      local response = peer:response()
      assert.are.equal(status, response.status)
      assert.is_nil(response.headers["content-length"])
    end
    assert.are.equal("none", peer:response().body)
    peer:close()
  end)

  it("says nothing of an error but the request id", function()
    local logged = {}
    local listener = listen(function(req)
      if req.path == "/text" then error("secret detail") end
      if req.path == "/table" then error({ code = "x", message = "secret detail" }) end
      if req.path == "/nothing" then return nil end
      if req.path == "/status" then return { status = 99 } end
      if req.path == "/late" then timer.sleep(0.001) error("secret detail") end
      return { status = 200, headers = { ["x-bad"] = req:arg("v") }, body = "fine" }
    end, {
      failure = function(req, err, trace)
        logged[#logged + 1] = { id = req.id, path = req.path, err = tostring(err), trace = trace }
        return { status = 500, body = "sorry " .. req.id }
      end,
    })
    for _, path in ipairs { "/text", "/table", "/nothing", "/status", "/late", "/header?v=a%0d%0aSet-Cookie:x", "/header?v=a%00" } do
      local response = raw.exchange(listener.url, raw.get(path))
      assert.are.equal(500, response.status)
      assert.are.equal("sorry " .. response.headers["x-request-id"], response.body)
      assert.is_nil(response.headers["set-cookie"])
      local entry = logged[#logged]
      assert.are.equal(response.headers["x-request-id"], entry.id)
      assert.is_string(entry.trace)
    end
    assert.is_truthy(logged[1].trace:find("server_spec.lua", 1, true))
    assert.are.equal("fine", raw.exchange(listener.url, raw.get("/header?v=good")).body)
  end)

  it("answers 500 where the failure handler fails too", function()
    local listener = listen(function() error("one") end, { failure = function() error("two") end })
    local response = raw.exchange(listener.url, raw.get("/"))
    assert.are.equal(500, response.status)
    assert.are.equal('{"error":"internal"}', response.body)
  end)

  it("streams a body as it is written", function()
    local go = {}
    local listener = listen(function()
      return text(function(write)
        for i = 1, 3 do
          support.eventually(function() return go[i] end)
          assert(write("part " .. i .. "\n"))
        end
      end)
    end)
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    local seen = {}
    go[1] = true
    local response = peer:response { chunk = function(piece)
      seen[#seen + 1] = piece
      go[#seen + 1] = true
    end }
    assert.are.same({ "part 1\n", "part 2\n", "part 3\n" }, seen)
    assert.are.equal("chunked", response.headers["transfer-encoding"])
    peer:send(raw.get("/"))
    assert.are.equal("part 1\npart 2\npart 3\n", peer:response().body)
    peer:close()
  end)

  it("streams to HTTP/1.0 until the connection ends", function()
    local listener = listen(function() return text(function(write) write("a") write("b") end) end)
    local response = raw.exchange(listener.url, "GET / HTTP/1.0\r\n\r\n")
    assert.is_nil(response.headers["transfer-encoding"])
    assert.are.equal("ab", response.body)
  end)

  it("breaks a stream off so that the client sees it", function()
    local listener = listen(function() return text(function(write) write("a") error("oops") end) end)
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    assert.is_true(peer:response().broken)
    assert.is_true(peer:ended())
  end)

  it("lets a writer wait for a slow reader, and tells it when the reader has gone", function()
    local written, refused = 0, nil
    local listener = listen(function()
      return text(function(write)
        local piece = ("x"):rep(65536)
        for _ = 1, 1000 do
          local ok, err = write(piece)
          if not ok then
            refused = err
            return
          end
          written = written + #piece
        end
      end)
    end)
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    assert.is_truthy(peer.conn:read(100))
    local before = -1
    support.eventually(function()
      local same = written == before
      before = written
      timer.sleep(0.05)
      return same
    end)
    assert.is_true(written < 32 * 1024 * 1024, "everything was taken into memory")
    peer.conn:read(65536)
    peer:close()
    support.eventually(function() return server.stats().requests == 0 end)
    assert.is_true(written < 65536 * 1000)
    assert.is_true(refused == nil or refused.code == "closed")
  end)

  it("cancels a handler whose client has gone, and closes its variables", function()
    local state
    local listener = listen(function()
      local _ <close> = setmetatable({}, { __close = function() state = "closed" end })
      state = "waiting"
      timer.sleep(60)
      state = "finished"
    end)
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    support.eventually(function() return state == "waiting" end)
    peer:close()
    support.eventually(function() return state == "closed" end)
    state = nil
    peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    support.eventually(function() return state == "waiting" end)
    peer.conn:reset()
    support.eventually(function() return state == "closed" end)
  end)

  it("gives up on a handler after its time", function()
    local listener = listen(function() timer.sleep(60) end, { limits = { handler_time = 0.2 } })
    local response = raw.exchange(listener.url, raw.get("/"))
    assert.are.equal(504, response.status)
  end)

  it("ends a client that is slow with its header, its body, or in doing nothing", function()
    local listener = listen(function(req) return text(req.body) end, { limits = { head_time = 0.3, body_time = 0.3, idle_time = 0.3 } })
    local slow = {
      head = "GET / HTTP/1.1\r\nHost: a\r\nX: ",
      body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
      chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    }
    for _, sent in pairs(slow) do
      local response = assert(raw.exchange(listener.url, sent))
      assert.are.equal(408, response.status)
      assert.is_true(response.ended)
    end
    local peer = raw.connect(listener.url)
    assert.is_true(peer:ended(5))
    peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    assert.are.equal(200, peer:response().status)
    assert.is_true(peer:ended(5))
  end)

  it("does not wait for a header that trickles in", function()
    local listener = listen(function() return text("") end, { limits = { head_time = 0.5 } })
    local peer = raw.connect(listener.url)
    support.eventually(function() return listener.connections == 1 end)
    local started = timer.now()
    local drip = task.spawn(function()
      peer:send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
      for _ = 1, 100 do
        if not peer.conn:write("a") then return end
        timer.sleep(0.03)
      end
    end)
    support.eventually(function() return listener.connections == 0 end, 10)
    assert.is_true(timer.now() - started < 6)
    drip:cancel()
    peer:close()
  end)

  it("closes a connection whose reader takes nothing for too long", function()
    local listener = listen(function() return text(("x"):rep(8 * 1024 * 1024)) end, { limits = { write_time = 0.3 } })
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    support.eventually(function() return listener.connections == 1 end)
    support.eventually(function() return listener.connections == 0 end, 10)
    peer:close()
  end)

  it("closes a connection whose reader takes a byte now and then", function()
    local listener = listen(function() return text(("x"):rep(8 * 1024 * 1024)) end, { limits = { write_time = 0.4 } })
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/"))
    local started = timer.now()
    local sips = task.spawn(function()
      while peer.conn:read(1, 1) do timer.sleep(0.02) end
    end)
    support.eventually(function() return listener.connections == 1 end)
    support.eventually(function() return listener.connections == 0 end, 10)
    assert.is_true(timer.now() - started < 5)
    sips:cancel()
    peer:close()
  end)

  it("sends a large body whole", function()
    local body = {}
    for i = 1, 200000 do body[i] = ("%08d"):format(i) end
    body = table.concat(body)
    local listener = listen(function() return text(body) end)
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/") .. raw.get("/"))
    assert.is_true(peer:response().body == body)
    assert.is_true(peer:response().body == body)
    peer:close()
  end)

  it("compresses large JSON where that is accepted", function()
    local json = "[" .. ("\"event\","):rep(2000) .. "1]"
    local listener = listen(function(req)
      return { status = 200, headers = { ["content-type"] = req:arg("type") or "application/json" }, body = req:arg("small") and "[]" or json }
    end)
    local function get(path, accept) return raw.exchange(listener.url, raw.get(path, accept and "Accept-Encoding: " .. accept .. "\r\n")) end
    for accept, encoded in pairs {
      ["gzip"] = true, ["gzip, br"] = true, ["br;q=1.0, gzip;q=0.5"] = true, ["*"] = true, ["gzip;q=0"] = false, ["br"] = false,
      ["*;q=0"] = false, ["gzip;q=0.0, *"] = false, ["identity"] = false,
    } do
      local response = get("/", accept)
      assert.are.equal(encoded and "gzip" or nil, response.headers["content-encoding"], accept)
      assert.are.equal("accept-encoding", response.headers.vary)
      if encoded then
        assert.is_true(#response.body < 500)
        local unpacked = process.run { args = { "gzip", "-dc" }, stdin = response.body }
        assert.are.equal(json, unpacked.stdout)
      else
        assert.are.equal(json, response.body)
      end
    end
    assert.is_nil(get("/?small=1", "gzip").headers["content-encoding"])
    assert.is_nil(get("/?type=image/png", "gzip").headers["content-encoding"])
  end)

  it("believes forwarded addresses of trusted proxies alone", function()
    local function remote(proxies, header)
      local listener = listen(function(req) return text(req.remote .. " " .. req.scheme) end, { trusted_proxies = proxies })
      return raw.exchange(listener.url, raw.get("/", header)).body
    end
    local forwarded = "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\nX-Forwarded-Proto: https\r\n"
    assert.are.equal("127.0.0.1 http", remote(nil, forwarded))
    assert.are.equal("127.0.0.1 http", remote({ "10.0.0.0/8" }, forwarded))
    assert.are.equal("198.51.100.7 https", remote({ "127.0.0.0/8" }, forwarded))
    assert.are.equal("203.0.113.9 https", remote({ "127.0.0.1", "198.51.100.0/24" }, forwarded))
    assert.are.equal("127.0.0.1 https", remote({ "127.0.0.1" }, "X-Forwarded-For: nonsense\r\nX-Forwarded-Proto: https\r\n"))
    assert.has_error(function() remote({ "10.0.0.0/33" }, "") end)
  end)

  it("turns away what is more than an address may have, and makes room among the idle", function()
    local listener = listen(function() return text("in") end, { limits = { connections_per_address = 3 } })
    local peers = {}
    for i = 1, 3 do
      peers[i] = raw.connect(listener.url)
      peers[i]:send(raw.get("/"))
      assert.are.equal("in", peers[i]:response().body)
    end
    local fourth = raw.connect(listener.url)
    local response = fourth:response()
    assert.are.equal(503, response.status)
    assert.are.equal("1", response.headers["retry-after"])
    peers[1]:close()
    support.eventually(function() return listener.connections == 2 end)
    assert.are.equal("in", raw.exchange(listener.url, raw.get("/")).body)
    for _, peer in ipairs(peers) do peer:close() end

    support.eventually(function() return server.stats().connections == 0 end)
    listener = listen(function() return text("in") end, { limits = { connections = 2 } })
    for i = 1, 4 do
      peers[i] = raw.connect(listener.url)
      peers[i]:send(raw.get("/"))
      assert.are.equal("in", peers[i]:response().body)
    end
    assert.is_true(peers[1]:ended())
    for _, peer in ipairs(peers) do peer:close() end
  end)

  it("does not spin and answers again when descriptors have run out and come back", function()
    local dir = support.tmpdir()
    local port = process.free_port()
    support.write(dir .. "/few.lua", ([[
      assert(require("lunation.server").listen("http://127.0.0.1:%d", {}, function(req)
        if req.path == "/cpu" then return { status = 200, body = tostring(os.clock()) } end
        return { status = 200, body = "in" }
      end))
    ]]):format(port))
    local child = assert(process.spawn {
      args = { "sh", "-c", 'ulimit -n 40; exec "$0" run "$1"', require("lunation.host").executable, dir .. "/few.lua" },
    })
    support.wait_port(port, child)
    local url = "http://127.0.0.1:" .. port
    local peers, kept = {}, 0
    -- more than it has descriptors for; each has begun a request, so none is idle
    for i = 1, 60 do
      peers[i] = raw.connect(url)
      peers[i]:send("GET / HTTP/1.1\r\n")
    end
    for _, peer in ipairs(peers) do
      if peer:send("Host: a\r\n\r\n") then
        local response = peer:response()
        if response and response.status == 200 then kept = kept + 1 end
      end
    end
    assert.is_true(kept >= 10 and kept < 60, kept .. " were served")
    for _, peer in ipairs(peers) do peer:close() end
    local answer = support.eventually(function() return raw.exchange(url, raw.get("/cpu")) end)
    assert.is_true(tonumber(answer.body) < 2)
    child:kill("TERM")
    child:wait(10)
  end)

  it("closes a connection after as many requests as it is told", function()
    local listener = listen(function() return text("in") end, { limits = { requests = 2 } })
    local peer = raw.connect(listener.url)
    peer:send(raw.get("/") .. raw.get("/"))
    assert.is_nil(peer:response().headers.connection)
    assert.are.equal("close", peer:response().headers.connection)
    assert.is_true(peer:ended())
  end)

  it("refuses to listen twice, or on what is no URL", function()
    local listener = listen(function() return text("") end)
    local second, err = server.listen(listener.url, {}, function() end)
    assert.is_nil(second)
    assert.are.equal("unavailable", err.code)
    for _, url in ipairs { "127.0.0.1:80", "ftp://a", "http://[::1", "http://127.0.0.1:x", "https://127.0.0.1:0" } do
      local none, why = server.listen(url, {}, function() end)
      assert.is_nil(none)
      assert.are.equal("unavailable", why.code)
    end
  end)

  it("logs each request with its path but not its query", function()
    local dir = support.tmpdir()
    local script = support.write(dir .. "/log.lua", [[
      local server, raw = require "lunation.server", require "spec.support.raw"
      local listener = assert(server.listen("http://127.0.0.1:0", { access_log = true }, function() return { status = 200, body = "four" } end))
      raw.exchange(listener.url, raw.get("/path?code=hush&token=hush", "X-Request-Id: the-id\r\nAuthorization: Bearer hush\r\n"))
      listener:close()
    ]])
    local host = require "lunation.host"
    local result = support.lunation { "run", script, env = { LUA_PATH = host.root .. "/?.lua;;" } }
    assert.are.equal("", result.stdout)
    assert.are.equal(0, result.code, result.stderr)
    assert.is_truthy(result.stderr:find("/path", 1, true), result.stderr)
    assert.is_truthy(result.stderr:find("the-id", 1, true))
    assert.is_truthy(result.stderr:find("200", 1, true))
    assert.is_nil(result.stderr:find("hush", 1, true))
  end)
end)
