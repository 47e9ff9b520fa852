local raw = require "spec.support.raw"
local server = require "lunation.server"

describe("HTTP/1.1 requests", function()
  local listener
  local seen = {}

  setup(function()
    listener = assert(server.listen("http://127.0.0.1:0", {}, function(req)
      seen[#seen + 1] = req.method .. " " .. req.target
      return { status = 200, headers = { ["content-type"] = "text/plain" }, body = req.method .. " " .. req.path .. " [" .. req.body .. "]" }
    end))
  end)
  teardown(function() listener:close() end)

  local H = "Host: a\r\n"
  -- what is sent, and the status that answers it; every refusal also ends the connection
  local refused = {
    ["both lengths"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    ["both lengths, the other way round"] = {
      "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", 400 },
    ["Content-Length twice"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400 },
    ["Content-Length twice, different"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400 },
    ["Content-Length as a list"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: 3, 3\r\n\r\nabc", 400 },
    ["Content-Length with a sign"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: +3\r\n\r\nabc", 400 },
    ["Content-Length below zero"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: -3\r\n\r\nabc", 400 },
    ["Content-Length in hexadecimal"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: 0x3\r\n\r\nabc", 400 },
    ["Content-Length empty"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length:\r\n\r\n", 400 },
    ["Content-Length beyond all bounds"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: 99999999999999999999\r\n\r\n", 400 },
    ["Content-Length beyond the limit"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: 1048577\r\n\r\n", 413 },
    ["an unknown transfer coding"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: gzip\r\n\r\n", 501 },
    ["chunked after another coding"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501 },
    ["chunked twice in one field"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501 },
    ["Transfer-Encoding twice"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    ["Transfer-Encoding with a vertical tab"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: \11chunked\r\n\r\n0\r\n\r\n", 400 },
    ["chunked in HTTP/1.0"] = { "POST / HTTP/1.0\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    ["a space before the colon"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length : 3\r\n\r\nabc", 400 },
    ["a space before a name"] = { "GET / HTTP/1.1\r\n " .. H .. "\r\n", 400 },
    ["a folded field"] = { "GET / HTTP/1.1\r\n" .. H .. "X: a\r\n b\r\n\r\n", 400 },
    ["a tab that folds"] = { "GET / HTTP/1.1\r\n" .. H .. "X: a\r\n\tb\r\n\r\n", 400 },
    ["a bare CR after the request line"] = { "GET / HTTP/1.1\rX" .. H .. "\r\n", 400 },
    ["a bare LF after the request line"] = { "GET / HTTP/1.1\n" .. H .. "\r\n", 400 },
    ["a bare LF after a field"] = { "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400 },
    ["a bare LF for the empty line"] = { "GET / HTTP/1.1\r\nHost: a\r\n\n", 400 },
    ["a bare CR in a value"] = { "GET / HTTP/1.1\r\n" .. H .. "X: a\rb\r\n\r\n", 400 },
    ["a bare CR for a line end"] = { "GET / HTTP/1.1\r\n" .. H .. "X: a\rY: b\r\n\r\n", 400 },
    ["CR CR LF"] = { "GET / HTTP/1.1\r\n" .. H .. "X: a\r\r\n\r\n", 400 },
    ["a NUL in a value"] = { "GET / HTTP/1.1\r\n" .. H .. "X: a\0b\r\n\r\n", 400 },
    ["a NUL in a name"] = { "GET / HTTP/1.1\r\n" .. H .. "X\0: a\r\n\r\n", 400 },
    ["a control character in a value"] = { "GET / HTTP/1.1\r\n" .. H .. "X: a\127\r\n\r\n", 400 },
    ["an empty name"] = { "GET / HTTP/1.1\r\n" .. H .. ": a\r\n\r\n", 400 },
    ["a line without a colon"] = { "GET / HTTP/1.1\r\n" .. H .. "X\r\n\r\n", 400 },
    ["a name in parentheses"] = { "GET / HTTP/1.1\r\n" .. H .. "(X): a\r\n\r\n", 400 },
    ["no Host"] = { "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400 },
    ["Host twice"] = { "GET / HTTP/1.1\r\n" .. H .. H .. "\r\n", 400 },
    ["Host twice in HTTP/1.0"] = { "GET / HTTP/1.0\r\n" .. H .. H .. "\r\n", 400 },
    ["Host empty"] = { "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400 },
    ["Host with a path"] = { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
    ["Host with user information"] = { "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n", 400 },
    ["Host as a list"] = { "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400 },
    ["another version"] = { "GET / HTTP/2.0\r\n" .. H .. "\r\n", 505 },
    ["a version of the future"] = { "GET / HTTP/1.2\r\n" .. H .. "\r\n", 505 },
    ["a version in lower case"] = { "GET / http/1.1\r\n" .. H .. "\r\n", 400 },
    ["a version with more digits"] = { "GET / HTTP/1.10\r\n" .. H .. "\r\n", 400 },
    ["no version"] = { "GET /\r\n" .. H .. "\r\n", 400 },
    ["two spaces after the method"] = { "GET  / HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["two spaces after the target"] = { "GET /  HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["a tab in the request line"] = { "GET\t/ HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["a space after the version"] = { "GET / HTTP/1.1 \r\n" .. H .. "\r\n", 400 },
    ["a method with a bracket"] = { "G[T / HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["a method of 40 letters"] = { ("G"):rep(40) .. " / HTTP/1.1\r\n" .. H .. "\r\n", 501 },
    ["bytes above ASCII in the target"] = { "GET /\xc3\xa9 HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["a fragment in the target"] = { "GET /a#b HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["a target without a slash"] = { "GET a HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["an asterisk but not OPTIONS"] = { "GET * HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["CONNECT"] = { "CONNECT a:443 HTTP/1.1\r\n" .. H .. "\r\n", 501 },
    ["a whole URL of another host"] = { "GET http://b/ HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["a whole URL of another scheme"] = { "GET ftp://a/ HTTP/1.1\r\n" .. H .. "\r\n", 400 },
    ["an unknown expectation"] = { "POST / HTTP/1.1\r\n" .. H .. "Expect: more\r\nContent-Length: 1\r\n\r\n", 417 },
    ["a chunk size that is none"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400 },
    ["an empty chunk size"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n\r\n", 400 },
    ["a chunk size with a sign"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400 },
    ["a chunk size with 0x"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400 },
    ["a chunk size of 16 digits"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", 400 },
    ["a space after a chunk size"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n", 400 },
    ["a chunk size that ends in LF"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 400 },
    ["a chunk extension with LF"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n", 400 },
    ["a chunk longer than it says"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400 },
    ["a trailer without a colon"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n0\r\nx\r\n\r\n", 400 },
    ["a folded trailer"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n0\r\nx: a\r\n b\r\n\r\n", 400 },
    ["many chunk extensions"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n1;" .. ("a"):rep(9000) .. "\r\na\r\n0\r\n\r\n", 400 },
    ["chunks beyond the limit"] = {
      "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n110000\r\n" .. ("a"):rep(0x110000) .. "\r\n0\r\n\r\n", 413,
    },
    ["10,000 header fields"] = { "GET / HTTP/1.1\r\n" .. H .. ("X: a\r\n"):rep(10000) .. "\r\n", 431 },
    ["101 header fields"] = { "GET / HTTP/1.1\r\n" .. H .. ("X: a\r\n"):rep(100) .. "\r\n", 431 },
    ["a header of 20 KB"] = { "GET / HTTP/1.1\r\n" .. H .. "X: " .. ("a"):rep(20000) .. "\r\n\r\n", 431 },
    ["a target of 20 KB"] = { "GET /" .. ("a"):rep(20000) .. " HTTP/1.1\r\n" .. H .. "\r\n", 414 },
    ["empty lines without end"] = { ("\r\n"):rep(50), 400 },
    ["TLS on a plain port"] = { "\22\3\1\2\0\1\0\1\252\3\3\n", 400 },
    ["something else altogether"] = { "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400 },
  }

  for name, case in pairs(refused) do
    it("are refused with " .. case[2] .. ": " .. name, function()
      local before = #seen
      local response = assert(raw.exchange(listener.url, case[1]))
      assert.are.equal(case[2], response.status)
      assert.are.equal("close", response.headers.connection)
      assert.is_true(response.ended)
      assert.are.equal("application/json", response.headers["content-type"])
      assert.is_truthy(response.body:find('"error":"%w', 1))
      assert.are.equal(before, #seen, "a handler has seen the request")
    end)
  end

  local taken = {
    ["a whole URL of this host"] = { "GET http://a/b?c HTTP/1.1\r\n" .. H .. "\r\n", "GET /b []" },
    ["OPTIONS *"] = { "OPTIONS * HTTP/1.1\r\n" .. H .. "\r\n", "OPTIONS * []" },
    ["an empty line before"] = { "\r\nGET / HTTP/1.1\r\n" .. H .. "\r\n", "GET / []" },
    ["HTTP/1.0 without Host"] = { "GET / HTTP/1.0\r\n\r\n", "GET / []" },
    ["names with an underscore"] = { "GET / HTTP/1.1\r\n" .. H .. "CLIENT_ID: a\r\n\r\n", "GET / []" },
    ["no white space after the colon"] = { "GET / HTTP/1.1\r\nHost:a\r\n\r\n", "GET / []" },
    ["white space around a value"] = { "POST / HTTP/1.1\r\n" .. H .. "Content-Length: \t 3 \t\r\n\r\nabc", "POST / [abc]" },
    ["bytes above ASCII in a value"] = { "GET / HTTP/1.1\r\n" .. H .. "X: \xc3\xa9\r\n\r\n", "GET / []" },
    ["an empty value"] = { "GET / HTTP/1.1\r\n" .. H .. "X:\r\n\r\n", "GET / []" },
    ["a body by length"] = { "PUT /x HTTP/1.1\r\n" .. H .. "Content-Length: 5\r\n\r\nhello", "PUT /x [hello]" },
    ["an empty body by length"] = { "POST /x HTTP/1.1\r\n" .. H .. "Content-Length: 0\r\n\r\n", "POST /x []" },
    ["a chunked body"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n",
      "POST / [abc0123456789]" },
    ["chunk extensions and trailers"] = { "POST / HTTP/1.1\r\n" .. H .. "Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0;x\r\nT: v\r\nU:\r\n\r\n",
      "POST / [abc]" },
    ["an IPv6 host"] = { "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / []" },
    ["a method of one's own"] = { "PROPFIND / HTTP/1.1\r\n" .. H .. "\r\n", "PROPFIND / []" },
    ["100 header fields"] = { "GET / HTTP/1.1\r\n" .. H .. ("X: a\r\n"):rep(99) .. "\r\n", "GET / []" },
  }

  for name, case in pairs(taken) do
    it("are taken: " .. name, function()
      local response = assert(raw.exchange(listener.url, case[1]))
      assert.are.equal(200, response.status)
      assert.are.equal(case[2], response.body)
    end)

    it("are taken byte by byte: " .. name, function()
      local peer = raw.connect(listener.url)
      for byte in case[1]:gmatch(".") do
        peer:send(byte)
      end
      local response = assert(peer:response())
      peer:close()
      assert.are.equal(case[2], response.body)
    end)
  end

  it("with a bare LF are refused at once, before the head is complete", function()
    local response = assert(raw.exchange(listener.url, "GET / HTTP/1.1\nHost: a", { timeout = 2 }))
    assert.are.equal(400, response.status)
  end)

  it("show the handler of errors the fields before the one that was refused, and nothing else", function()
    local shown
    local picky = assert(server.listen("http://127.0.0.1:0", { failure = function(req, err)
      shown = req:header_pairs()
      return { status = err.status, body = req.path }
    end }, function() end))
    raw.exchange(picky.url, "GET /other HTTP/1.1\r\n" .. ("X: y\r\n"):rep(99) .. "\r\n")
    for _, bad in ipairs { "Broken\r\n", "Bad: a\0b\r\n", " folded\r\n", "Host: twice\r\n" } do
      local response = raw.exchange(picky.url, "GET /p HTTP/1.1\r\nHost: a\r\nOne: 1\r\n" .. bad .. "\r\n")
      assert.are.same({ 400, "/p" }, { response.status, response.body })
      assert.are.same({ { "Host", "a" }, { "One", "1" }, bad:find("^Host") and { "Host", "twice" } or nil }, shown)
    end
    picky:close()
  end)

  it("smuggle nothing behind a refused one", function()
    local peer = raw.connect(listener.url)
    local before = #seen
    peer:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.are.equal(400, peer:response().status)
    assert.is_true(peer:ended())
    assert.are.equal(before, #seen)
  end)

  it("get 100 Continue before a body that is awaited, and 413 instead of it when it would be too large", function()
    local peer = raw.connect(listener.url)
    peer:send("POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert.are.equal(100, peer:response().status)
    peer:send("hi")
    local response = peer:response()
    assert.are.equal("POST /c [hi]", response.body)
    peer:send("POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n")
    assert.are.equal(413, peer:response().status)
    peer:close()
  end)

  it("of 10 MB are answered 413, and the answer arrives while the client still sends", function()
    local peer = raw.connect(listener.url)
    peer:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10485760\r\n\r\n" .. ("x"):rep(4 * 1024 * 1024))
    local response = assert(peer:response())
    peer:close()
    assert.are.equal(413, response.status)
    assert.is_truthy(response.body:find("too_large", 1, true))
  end)
end)
