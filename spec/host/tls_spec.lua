local certificate = require "spec.support.certificate"
local process = require "lunation.process"
local raw = require "spec.support.raw"
local server = require "lunation.server"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

describe("TLS", function()
  local cert, key, listener, url

  local function hello(req)
    return { status = 200, headers = { ["content-type"] = "text/plain" }, body = req.scheme .. " " .. req.version .. " " .. req.body }
  end

  setup(function()
    cert, key = certificate.make()
    listener = assert(server.listen("https://127.0.0.1:0", { cert = cert, key = key, ticket_secret = ("s"):rep(32) }, hello))
    url = listener.url
  end)
  teardown(function() listener:close() end)

  local function curl(...)
    return process.run { args = { "curl", "-sS", "--cacert", cert, "--max-time", "10", ... }, stderr = "pipe" }
  end

  local function s_client(...)
    return process.run {
      args = { "openssl", "s_client", "-connect", (url:gsub("^https://", "")), "-CAfile", cert, "-servername", "localhost", ... },
      stdin = "", stderr = "pipe",
    }
  end

  it("answers over HTTP/1.1 and HTTP/2 as the client chooses", function()
    assert.are.equal("https 2 ", curl(url).stdout)
    assert.are.equal("https 1.1 ", curl("--http1.1", url).stdout)
    assert.are.equal("https 1.1 ", curl("--no-alpn", url).stdout)
    assert.are.equal("https 1.1 hello", curl("--http1.1", "-d", "hello", url).stdout)
  end)

  it("speaks 1.2 and 1.3 and nothing older", function()
    assert.are.equal(0, curl("--tlsv1.2", "--tls-max", "1.2", url).code)
    assert.are.equal(0, curl("--tlsv1.3", url).code)
    for _, version in ipairs { "-tls1", "-tls1_1" } do
      local result = s_client(version, "-cipher", "ALL:@SECLEVEL=0")
      assert.is_truthy(result.stdout:find("Cipher is (NONE)", 1, true), version .. " was accepted")
    end
  end)

  it("takes no cipher without forward secrecy", function()
    for _, cipher in ipairs { "AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA" } do
      local result = s_client("-tls1_2", "-cipher", cipher .. ":@SECLEVEL=0")
      assert.is_truthy(result.stdout:find("Cipher is (NONE)", 1, true), cipher)
    end
  end)

  it("refuses a protocol it does not speak", function()
    local result = s_client("-alpn", "spdy/1")
    assert.is_truthy((result.stdout .. result.stderr):find("no application protocol", 1, true))
  end)

  it("resumes sessions, also those of another worker", function()
    local session = support.tmpdir() .. "/session"
    local other = assert(server.listen("https://127.0.0.1:0", { cert = cert, key = key, ticket_secret = ("s"):rep(32) }, hello))
    local stranger = assert(server.listen("https://127.0.0.1:0", { cert = cert, key = key }, hello))
    s_client("-tls1_2", "-sess_out", session)
    local function reused(at)
      local result = process.run {
        args = { "openssl", "s_client", "-connect", (at:gsub("^https://", "")), "-tls1_2", "-sess_in", session },
        stdin = "", stderr = "pipe",
      }
      return result.stdout:find("\nReused, ", 1, true) ~= nil
    end
    assert.is_true(reused(url))
    assert.is_true(reused(other.url))
    assert.is_false(reused(stranger.url))
    other:close()
    stranger:close()
  end)

  it("does not wait for a client that does not greet", function()
    local impatient = assert(server.listen("https://127.0.0.1:0", { cert = cert, key = key, limits = { head_time = 0.3 } }, hello))
    local peer = raw.connect(impatient.url)
    assert.is_true(peer:ended(5))
    peer = raw.connect(impatient.url)
    peer:send("\22\3\1")
    assert.is_true(peer:ended(5))
    impatient:close()
  end)

  it("costs nothing while half a record waits for its rest", function()
    local peer = raw.connect(url)
    peer:send("\22\3\1\2\0\1\0\1\252\3\3")
    support.eventually(function() return listener.connections > 0 end)
    timer.sleep(0.02)
    local before = os.clock()
    timer.sleep(0.4)
    assert.is_true(os.clock() - before < 0.1)
    peer:close()
  end)

  it("ends a plain request to it", function()
    local peer = raw.connect(url)
    peer:send(raw.get("/"))
    local chunk = peer.conn:read(1000, 5)
    assert.is_nil(chunk and chunk:match("^HTTP"))
    peer:close()
  end)

  it("survives a client that resets in the middle", function()
    for _ = 1, 20 do
      local peer = raw.connect(url)
      peer:send("\22\3\1\2\0\1\0\1\252\3\3")
      peer.conn:reset()
    end
    assert.are.equal("https 2 ", curl(url).stdout)
  end)

  it("says what is wrong with a certificate", function()
    local empty = support.write(support.tmpdir() .. "/empty.pem", "")
    local _, other_key = certificate.make()
    for message, options in pairs {
      ["cannot read the certificate"] = { cert = empty, key = key },
      ["cannot read the private key"] = { cert = cert, key = empty },
      ["do not belong together"] = { cert = cert, key = other_key },
      ["needs cert and key"] = {},
    } do
      local none, err = server.listen("https://127.0.0.1:0", options, hello)
      assert.is_nil(none)
      assert.is_truthy(tostring(err):find(message, 1, true), tostring(err))
    end
  end)

  it("carries large bodies both ways", function()
    local file = support.write(support.tmpdir() .. "/body", ("0123456789abcdef"):rep(60000))
    local echo = assert(server.listen("https://127.0.0.1:0", { cert = cert, key = key }, function(req) return { status = 200, body = req.body } end))
    for _, version in ipairs { "--http1.1", "--http2" } do
      local result = curl(version, "--data-binary", "@" .. file, echo.url)
      assert.is_true(result.stdout == ("0123456789abcdef"):rep(60000), version)
    end
    echo:close()
  end)

  it("answers pipelined requests in order, also those it has read ahead of", function()
    local slow = assert(server.listen("https://127.0.0.1:0", { cert = cert, key = key }, function(req)
      if req.path:find("0$") then timer.sleep(0.001) end
      return { status = 200, body = "<" .. req.path .. ">" }
    end))
    local requests = {}
    for i = 1, 2000 do requests[i] = raw.get("/" .. i, i == 2000 and "Connection: close\r\n" or "X-Padding: " .. ("x"):rep(100) .. "\r\n") end
    local result = process.run {
      args = { "openssl", "s_client", "-quiet", "-connect", (slow.url:gsub("^https://", "")) },
      stdin = table.concat(requests), stderr = "ignore",
    }
    local n = 0
    for path in result.stdout:gmatch("</(%d+)>") do
      n = n + 1
      assert.are.equal(n, tonumber(path))
    end
    assert.are.equal(2000, n)
    slow:close()
  end)

  it("takes a new certificate on HUP, without a dropped request", function()
    local dir, port = support.tmpdir(), process.free_port()
    local at = "https://127.0.0.1:" .. port
    local function install(name)
      local new_cert, new_key = certificate.make(name)
      process.run { args = { "cp", new_cert, dir .. "/cert.pem" } }
      process.run { args = { "cp", new_key, dir .. "/key.pem" } }
    end
    local function subject()
      local seen = process.run { args = { "openssl", "s_client", "-connect", "127.0.0.1:" .. port }, stdin = "", stderr = "ignore" }
      return seen.stdout:match("subject=CN = (%w+)")
    end
    install("first")
    local config = support.write(dir .. "/lunation.conf.lua", ('listen("%s", { cert = "cert.pem", key = "key.pem" })\nworkers(2)'):format(at))
    local child = assert(process.spawn {
      args = { require("lunation.host").executable, "serve", "-c", config }, env = { LUNATION_DATA = dir }, cwd = dir,
      stdout = dir .. "/log", stderr = dir .. "/log",
    })
    support.wait_port(port, child)
    assert.are.equal("first", subject())
    local ended, failed, answered = false, 0, 0
    local load = task.spawn(function()
      while not ended do
        local result = process.run { args = { "curl", "-sk", "--max-time", "10", "-Z", at .. "/api/health", at .. "/api/health" }, stderr = "ignore" }
        if result.code == 0 then answered = answered + 1 else failed = failed + 1 end
      end
    end)
    install("second")
    child:kill("HUP")
    support.eventually(function() return subject() == "second" end, 20)
    local before = answered
    support.eventually(function() return answered > before + 2 end)
    ended = true
    load:wait()
    assert.are.equal(0, failed)
    child:kill("TERM")
    assert.are.equal(0, child:wait(20).code)
  end)
end)
