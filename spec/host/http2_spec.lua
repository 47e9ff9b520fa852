local process = require "lunation.process"
local raw = require "spec.support.raw"
local server = require "lunation.server"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

-- Frames by hand (RFC 9113 section 4): enough to send what no client sends.
local DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 7, 8, 9
local END_STREAM, END_HEADERS = 1, 4
local PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

local function frame(kind, flags, stream, payload)
  payload = payload or ""
  return string.pack(">I3BBI4", #payload, kind, flags, stream) .. payload
end

-- A literal field without indexing and without Huffman coding (RFC 7541 section 6.2.2).
local function literal(text)
  local n = #text
  if n < 127 then return string.char(n) .. text end
  local bytes = { string.char(127) }
  n = n - 127
  while n >= 128 do
    bytes[#bytes + 1] = string.char(n % 128 + 128)
    n = n // 128
  end
  return table.concat(bytes) .. string.char(n) .. text
end

local function fields(list)
  local out = {}
  for i = 1, #list, 2 do out[#out + 1] = "\0" .. literal(list[i]) .. literal(list[i + 1]) end
  return table.concat(out)
end

local function request(path, more)
  return fields(table.move(more or {}, 1, #(more or {}), 9, { ":method", "GET", ":scheme", "http", ":authority", "a", ":path", path or "/" }))
end

describe("HTTP/2", function()
  local listener, handler

  before_each(function()
    listener = assert(server.listen("http://127.0.0.1:0", { limits = { idle_time = 30 } }, function(req) return handler(req) end))
  end)
  after_each(function() listener:close() end)

  local function curl(...)
    return process.run { args = { "curl", "-sS", "--http2-prior-knowledge", "--max-time", "10", ... }, stderr = "pipe" }
  end

  local function open()
    local peer = raw.connect(listener.url)
    peer:send(PREFACE .. frame(SETTINGS, 0, 0))
    return peer
  end

  -- Reads frames until `wanted` says of one that it is the one; nil when the connection ends first.
  local function await(peer, wanted)
    while true do
      while #peer.buffer >= 9 do
        local length, kind, flags, stream = string.unpack(">I3BBI4", peer.buffer)
        if #peer.buffer < 9 + length then break end
        local payload = peer.buffer:sub(10, 9 + length)
        peer.buffer = peer.buffer:sub(10 + length)
        if wanted(kind, flags, stream, payload) then return payload, kind, flags, stream end
      end
      local chunk = peer.conn:read(65536, 10)
      if not chunk then return nil end
      peer.buffer = peer.buffer .. chunk
    end
  end

  it("answers without TLS to a client that knows", function()
    handler = function(req)
      return { status = 201, headers = { ["X-Mixed-Case"] = "v", ["set-cookie"] = { "a=1", "b=2" } },
        body = table.concat({ req.method, req.path, req.query, req.host, req.version, req.body, req.headers["x-a"] }, "|") }
    end
    local result = curl("-i", "-d", "body", "-H", "X-A: b", listener.url .. "/p?q=1")
    local host = listener.url:gsub("http://", "")
    assert.is_truthy(result.stdout:find("^HTTP/2 201"))
    assert.is_truthy(result.stdout:find("x-mixed-case: v\r\nset-cookie", 1, true) or result.stdout:find("x-mixed-case: v", 1, true))
    assert.is_truthy(result.stdout:find("set-cookie: a=1", 1, true) and result.stdout:find("set-cookie: b=2", 1, true))
    assert.is_truthy(result.stdout:find("POST|/p|q=1|" .. host .. "|2|body|b", 1, true), result.stdout)
  end)

  it("runs the streams of a connection side by side", function()
    local waiting, most, release = 0, 0, false
    handler = function(req)
      waiting = waiting + 1
      most = math.max(most, waiting)
      if waiting == 10 then release = true end
      support.eventually(function() return release end)
      return { status = 200, body = req.path }
    end
    local args = { "-Z", "--parallel-immediate" }
    for i = 1, 10 do args[#args + 1] = listener.url .. "/" .. i end
    assert.are.equal(0, curl(table.unpack(args)).code)
    assert.are.equal(10, most)
  end)

  it("answers HEAD, 204, errors and large bodies", function()
    handler = function(req)
      if req.path == "/none" then return { status = 204 } end
      if req.path == "/error" then error("secret") end
      if req.path == "/bad" then return { status = 200, headers = { ["x"] = "a\nb" } } end
      return { status = 200, body = ("x"):rep(3000000) }
    end
    assert.is_truthy(curl("-I", listener.url .. "/").stdout:find("content-length: 3000000", 1, true))
    assert.are.equal(3000000, #curl(listener.url .. "/").stdout)
    assert.is_truthy(curl("-i", listener.url .. "/none").stdout:find("^HTTP/2 204"))
    for _, path in ipairs { "/error", "/bad" } do
      local result = curl("-i", listener.url .. path)
      assert.is_truthy(result.stdout:find("^HTTP/2 500"))
      assert.is_nil(result.stdout:find("secret", 1, true))
    end
  end)

  it("streams, and waits for a slow reader", function()
    local written = 0
    handler = function()
      return { status = 200, body = function(write)
        for _ = 1, 100 do
          assert(write(("x"):rep(65536)))
          written = written + 65536
        end
      end }
    end
    assert.are.equal(6553600, #curl(listener.url).stdout)
    written = 0
    local peer = open()
    peer:send(frame(HEADERS, END_STREAM + END_HEADERS, 1, request()))
    support.eventually(function() return written > 0 end)
    local before = -1
    support.eventually(function()
      local same = written == before
      before = written
      timer.sleep(0.05)
      return same
    end)
    assert.is_true(written <= 512 * 1024, "the client's window of 64 KB was not heeded: " .. written)
    peer:close()
    support.eventually(function() return server.stats().requests == 0 end)
  end)

  it("breaks a failed stream off", function()
    handler = function() return { status = 200, body = function(write) write("a") error("oops") end } end
    assert.are_not.equal(0, curl(listener.url).code)
    handler = function() return { status = 200, body = "still here" } end
    assert.are.equal("still here", curl(listener.url).stdout)
  end)

  it("cancels the handler of a stream that is reset, and of a connection that ends", function()
    local state
    handler = function()
      local _ <close> = setmetatable({}, { __close = function() state = "closed" end })
      state = "waiting"
      timer.sleep(60)
    end
    local peer = open()
    peer:send(frame(HEADERS, END_STREAM + END_HEADERS, 1, request()))
    support.eventually(function() return state == "waiting" end)
    peer:send(frame(RST_STREAM, 0, 1, "\0\0\0\8"))
    support.eventually(function() return state == "closed" end)
    peer:send(frame(HEADERS, END_STREAM + END_HEADERS, 3, request()))
    support.eventually(function() return state == "waiting" end)
    peer:close()
    support.eventually(function() return state == "closed" end)
  end)

  it("bounds the header list, the number of fields, and the body", function()
    handler = function(req) return { status = 200, body = tostring(#req.body) } end
    local args = { "-i" }
    for i = 1, 120 do table.move({ "-H", "X-" .. i .. ": a" }, 1, 2, #args + 1, args) end
    args[#args + 1] = listener.url
    assert.is_truthy(curl(table.unpack(args)).stdout:find("^HTTP/2 431"))
    assert.is_truthy(curl("-i", "-H", "X: " .. ("a"):rep(20000), listener.url).stdout:find("^HTTP/2 431"))
    local file = support.write(support.tmpdir() .. "/body", ("x"):rep(3 * 1024 * 1024))
    local result = curl("-i", "--data-binary", "@" .. file, listener.url)
    assert.is_truthy(result.stdout:find("^HTTP/2 413"), result.stderr)
    assert.is_truthy(curl("-i", "-H", "Content-Length:", "-T", file, listener.url).stdout:find("HTTP/2 413"))
    support.write(file, ("x"):rep(1024 * 1024))
    assert.are.equal("1048576", curl("--data-binary", "@" .. file, listener.url).stdout)
  end)

  it("refuses more streams than it said it takes", function()
    handler = function() timer.sleep(60) end
    local peer = open()
    for i = 0, 120 do
      peer:send(frame(HEADERS, END_STREAM + END_HEADERS, 2 * i + 1, request()))
    end
    local payload, _, _, stream = await(peer, function(kind) return kind == RST_STREAM or kind == GOAWAY end)
    assert.are.equal("\0\0\0\7", payload:sub(-4)) -- REFUSED_STREAM
    assert.is_true(stream > 199)
    assert.are.equal(100, server.stats().requests)
    peer:close()
    support.eventually(function() return server.stats().requests == 0 end)
  end)

  it("ends a connection that opens streams only to reset them", function()
    handler = function() timer.sleep(60) end
    local peer = open()
    for i = 0, 500 do
      local stream = 2 * i + 1
      peer:send(frame(HEADERS, END_STREAM + END_HEADERS, stream, request()) .. frame(RST_STREAM, 0, stream, "\0\0\0\8"))
    end
    local payload = await(peer, function(kind) return kind == GOAWAY end)
    assert.are.equal("\0\0\0\11", payload:sub(5, 8)) -- ENHANCE_YOUR_CALM
    support.eventually(function() return server.stats().requests == 0 end)
    peer:close()
    support.eventually(function() return listener.connections == 0 end)
  end)

  it("ends a connection that breaks stream after stream so that they are reset for it", function()
    handler = function() timer.sleep(60) end
    local peer = open()
    for i = 0, 500 do
      local stream = 2 * i + 1
      peer:send(frame(HEADERS, END_STREAM + END_HEADERS, stream, request()) .. frame(WINDOW_UPDATE, 0, stream, "\127\255\255\255"))
    end
    local payload = await(peer, function(kind) return kind == GOAWAY end)
    assert.are.equal("\0\0\0\11", payload:sub(5, 8)) -- ENHANCE_YOUR_CALM
    support.eventually(function() return server.stats().requests == 0 end)
    peer:close()
  end)

  it("ends a connection that sends headers without end", function()
    handler = function() return { status = 200 } end
    local peer = open()
    local flood = task.spawn(function()
      peer.conn:write(frame(HEADERS, END_STREAM, 1, request()))
      for _ = 1, 5000 do
        if not peer.conn:write(frame(CONTINUATION, 0, 1, fields { "x", ("a"):rep(1000) })) then return end
      end
    end)
    support.eventually(function() return listener.connections == 1 end)
    support.eventually(function() return listener.connections == 0 end)
    flood:cancel()
    peer:close()
  end)

  it("refuses what RFC 9113 calls malformed", function()
    local seen = 0
    handler = function() seen = seen + 1 return { status = 200 } end
    local malformed = {
      ["a name in upper case"] = request("/", { "X-Upper", "a" }),
      ["a connection field"] = request("/", { "connection", "close" }),
      ["a transfer coding"] = request("/", { "transfer-encoding", "chunked" }),
      ["no path"] = fields { ":method", "GET", ":scheme", "http", ":authority", "a" },
      ["an empty path"] = request(""),
      ["a path without a slash"] = request("a"),
      ["an unknown pseudo-field"] = fields { ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", ":x", "a" },
      ["a pseudo-field after others"] = fields { ":method", "GET", ":scheme", "http", "a", "b", ":path", "/" },
      ["a line break in a value"] = request("/", { "x", "a\r\nb" }),
      ["two paths"] = fields { ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", ":path", "/b" },
      ["a length that is not the body's"] = request("/", { "content-length", "5" }),
    }
    for name, block in pairs(malformed) do
      local peer = open()
      peer:send(frame(HEADERS, END_STREAM + END_HEADERS, 1, block))
      local _, kind = await(peer, function(kind, _, stream) return kind == RST_STREAM or kind == GOAWAY or (kind == HEADERS and stream == 1) end)
      assert.are_not.equal(HEADERS, kind, name)
      peer:close()
    end
    assert.are.equal(0, seen)
  end)

  it("ends a request that stays incomplete", function()
    listener:close()
    listener = assert(server.listen("http://127.0.0.1:0", { limits = { head_time = 0.3, body_time = 0.3, idle_time = 0.5 } }, function()
      return { status = 200 }
    end))
    local peer = open()
    peer:send(frame(HEADERS, END_HEADERS, 1, request()) .. frame(DATA, 0, 1, "abc"))
    assert.is_truthy(await(peer, function(kind, _, stream) return kind == HEADERS and stream == 1 end))
    assert.is_truthy(await(peer, function(kind) return kind == GOAWAY end))
    support.eventually(function() return listener.connections == 0 end)
    peer:close()
  end)

  it("gives up a stream whose client opens no window for its answer", function()
    listener:close()
    local state
    listener = assert(server.listen("http://127.0.0.1:0", { limits = { write_time = 0.3 } }, function(req)
      if req.path == "/whole" then return { status = 200, body = ("x"):rep(1000000) } end
      return { status = 200, body = function(write)
        local _ <close> = setmetatable({}, { __close = function() state = "closed" end })
        state = "writing"
        while write(("x"):rep(100000)) do end
      end }
    end))
    local peer = open()
    for stream, path in pairs { "/whole", [3] = "/stream" } do
      peer:send(frame(HEADERS, END_STREAM + END_HEADERS, stream, request(path)))
      assert.are.equal("\0\0\0\8", (await(peer, function(kind, _, on) return kind == RST_STREAM and on == stream end))) -- CANCEL
    end
    assert.are.equal("closed", state)
    assert.are.equal(0, server.stats().requests)
    peer:close()
  end)

  it("drains: says so, finishes what runs, then ends", function()
    local release
    handler = function()
      support.eventually(function() return release end)
      return { status = 200, body = "done" }
    end
    local running = task.spawn(function() return curl(listener.url) end)
    support.eventually(function() return server.stats().requests == 1 end)
    local idle = open()
    await(idle, function(kind) return kind == SETTINGS end)
    local drained = task.spawn(function() return listener:drain(10) end)
    local payload = await(idle, function(kind) return kind == GOAWAY end)
    assert.are.equal("\0\0\0\0", payload:sub(5, 8)) -- NO_ERROR
    release = true
    local ok, result = running:wait()
    assert.is_true(ok)
    assert.are.equal("done", result.stdout)
    assert.are.same({ true, true, n = 2 }, table.pack(drained:wait()))
    idle:close()
  end)
end)
