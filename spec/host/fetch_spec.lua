-- The HTTP client against a server that does what it is asked to do wrong, and the guard against every way to write an address.
local errors = require("lunation.errors")
local fetch = require("lunation.fetch")
local http = require("lunation.http")
local json = require("lunation.json")
local process = require("lunation.process")
local support = require("spec.support")
local task = require("lunation.task")
local timer = require("lunation.timer")

local function run(args)
  local result = process.run({ args = args, stdout = "pipe", stderr = "pipe" })
  assert(result.code == 0, tostring(result.stderr))
end

-- An authority and a certificate of it for localhost and 127.0.0.1; another that is signed by itself.
local function certificates(folder)
  local function path(name) return folder .. "/" .. name end
  support.write(path("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
  local key = { "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes" }
  local function openssl(...)
    local args = { "openssl", ... }
    run(args)
  end
  openssl("req", "-x509", key[1], key[2], key[3], key[4], key[5], "-keyout", path("ca.key"), "-out", path("ca.pem"), "-subj", "/CN=spec authority",
    "-days", "2")
  openssl("req", key[1], key[2], key[3], key[4], key[5], "-keyout", path("key.pem"), "-out", path("request"), "-subj", "/CN=localhost")
  openssl("x509", "-req", "-in", path("request"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-out", path("cert.pem"), "-days", "2",
    "-extfile", path("san"))
  openssl("req", "-x509", key[1], key[2], key[3], key[4], key[5], "-keyout", path("own.key"), "-out", path("own.pem"), "-subj", "/CN=localhost", "-days", "2",
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
end

describe("lunation.http", function()
  local folder, child, ports, base, other, secure, ca

  lazy_setup(function()
    folder = support.tmpdir()
    certificates(folder)
    ca = folder .. "/ca.pem"
    child = process.spawn({
      args = {
        "python3", require("lunation.host").root .. "/spec/host/fetch_server.py", folder .. "/cert.pem", folder .. "/key.pem", folder .. "/own.pem",
        folder .. "/own.key",
      },
      stdout = "pipe",
    })
    ports = json.decode(child:read())
    base, other = "http://127.0.0.1:" .. ports.http, "http://127.0.0.1:" .. ports.other
    secure = "https://localhost:" .. ports.https
  end)

  lazy_teardown(function()
    child:kill("TERM")
    child:wait()
    support.remove(folder)
  end)

  local function echo(options)
    options.url = options.url or base .. "/echo"
    local answer, err = http.request(options)
    assert(answer, tostring(err))
    return answer:json(), answer
  end

  describe("requests", function()
    it("say what they were told", function()
      local seen, answer = echo({ url = base .. "/echo?a=b%20c#fragment", method = "REPORT", body = "<x/>", headers = { depth = "1", ["X-Empty"] = "" } })
      assert.same({ "REPORT", "/echo?a=b%20c", "<x/>", "1", "" }, { seen.method, seen.target, seen.body, seen.headers.depth, seen.headers["x-empty"] })
      assert.is_nil(seen.headers["content-type"])
      assert.is_nil(seen.headers.expect)
      assert.matches("^lunation/%d", seen.headers["user-agent"])
      assert.same({ 200, "1.1", base .. "/echo?a=b%20c" }, { answer.status, answer.version, answer.url })
    end)

    it("carry bodies of every kind", function()
      local bytes = {}
      for i = 0, 255 do bytes[i + 1] = string.char(i) end
      local body = table.concat(bytes)
      assert.equal(json.encode(body, { utf8 = "replace" }) ~= nil, true)
      local seen = echo({ method = "PUT", body = body })
      assert.equal("256", seen.headers["content-length"])
      assert.equal("0", echo({ method = "POST" }).headers["content-length"])
      assert.is_nil(echo({ method = "PROPFIND" }).headers["content-length"])
      seen = echo({ method = "POST", json = { a = { 1 } } })
      assert.same({ '{"a":[1]}', "application/json" }, { seen.body, seen.headers["content-type"] })
      seen = echo({ method = "POST", form = { b = "x y&z", a = 1 } })
      assert.same({ "a=1&b=x%20y%26z", "application/x-www-form-urlencoded" }, { seen.body, seen.headers["content-type"] })
      local large = ("0123456789abcdef"):rep(200000)
      assert.equal(#large, #echo({ method = "POST", body = large }).body)
    end)

    it("carry credentials", function()
      assert.equal("Basic YWxpY2U6w6k6eA==", echo({ auth = { kind = "basic", username = "alice", password = "é:x" } }).headers.authorization)
      assert.equal("Bearer t0k", echo({ auth = { kind = "bearer", token = "t0k" } }).headers.authorization)
      local answer = assert(http.get(base .. "/digest", { auth = { kind = "digest", username = "bob", password = "p" } }))
      assert.equal(200, answer.status)
      assert.matches('username="bob"', answer.body)
    end)

    it("refuse what would change their meaning", function()
      for _, headers in ipairs({ { a = "b\r\nc: d" }, { a = "b\0" }, { ["a b"] = "c" }, { [""] = "c" }, { ["a:"] = "c" } }) do
        local answer, err = http.request({ url = base .. "/echo", headers = headers })
        assert.is_nil(answer)
        assert.equal("invalid_request", err.code)
      end
      for _, options in ipairs({
        { method = "GET /x HTTP/1.1\r\nX: y\r\n" }, { method = "CONNECT" }, { auth = { kind = "bearer", token = "a\r\nb" } },
        { auth = { kind = "basic", username = "a:b", password = "" } },
      }) do
        options.url = base .. "/echo"
        local _, err = http.request(options)
        assert.equal("invalid_request", err.code)
      end
      assert.has_error(function() http.request({ url = base .. "/echo", headers = { ["Content-Length"] = "3" } }) end)
      assert.has_error(function() http.request({}) end)
      for _, url in ipairs({
        "", "x", "/echo", "ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:1/", "http://", "http://a b/", "http://user:secret@127.0.0.1/",
        "http://user@127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1/", "http://x\0y/", "http://x\ny/", "javascript:alert(1)",
      }) do
        local _, err = http.get(url)
        assert.equal("invalid_request", err and err.code, url)
      end
    end)

    it("wait side by side", function()
      local started = timer.now()
      local requests = {}
      for i = 1, 12 do requests[i] = { url = base .. "/echo?" .. i } end
      requests[13] = { url = "http://127.0.0.1:1/" }
      requests[14] = { url = base .. "/hang", timeout = 0.3 }
      local results = http.all(requests)
      for i = 1, 12 do assert.equal("/echo?" .. i, results[i][1]:json().target) end
      assert.equal("refused", results[13][2].code)
      assert.equal("timeout", results[14][2].code)
      assert.is_true(timer.now() - started < 5)
    end)

    it("keep their connection for the next, unless they may not be sent twice", function()
      local first = echo({}).connection
      assert.equal(first, echo({}).connection)
      assert.equal(first, echo({ method = "PUT", body = "x" }).connection)
      assert.not_equal(first, echo({ method = "POST", body = "x" }).connection)
      assert.equal("number", type(echo({ method = "POST", body = "x", idempotent = true }).connection))
    end)

    it("take another connection where the kept one is gone", function()
      for _ = 1, 5 do assert.equal(200, assert(http.get(other .. "/stale")).status) end
    end)

    it("of a client share its defaults", function()
      local client <close> = http.client({
        base = base .. "/api/", headers = { ["X-One"] = "1", ["X-Two"] = "2" }, auth = { kind = "bearer", token = "t" },
      })
      local seen = assert(client:get("../echo", { headers = { ["x-two"] = "3" } })):json()
      assert.same({ "1", "3", "Bearer t" }, { seen.headers["x-one"], seen.headers["x-two"], seen.headers.authorization })
      assert.is_nil(assert(client:get(other .. "/echo")):json().headers.authorization)
      assert.equal("[1]", assert(client:post("/echo", { 1 })):json().body)
      assert.equal(200, client:all({ { url = "/echo" } })[1][1].status)
      client:close()
      assert.has_error(function() client:get("/echo") end)
    end)

    it("go through a proxy where one is named", function()
      local answer = assert(http.get("http://calendar.example/x", { proxy = base }))
      assert.equal("http://calendar.example/x", answer:json().proxied)
      answer = assert(http.get("http://calendar.example/x", { proxy = base, guard = {} }))
      assert.equal("http://calendar.example/x", answer:json().proxied)
      for _, url in ipairs({ "http://10.0.0.1/", "http://localhost/", "http://0x7f000001/", "http://[::1]/", "http://[::ffff:10.0.0.1]/" }) do
        local _, err = http.get(url, { proxy = base, guard = {} })
        assert.equal("blocked_address", err.code)
      end
    end)
  end)

  describe("of a configuration", function()
    after_each(function() http.configure({}) end)

    it("go out through its proxy, and straight to our own network", function()
      http.configure({ proxy = base })
      assert.equal("http://calendar.example/x", assert(http.get("http://calendar.example/x")):json().proxied)
      assert.equal("GET", echo({}).method)
      assert.equal("GET", echo({ url = "http://localhost:" .. ports.http .. "/echo" }).method)
      local _, err = http.get("http://lunation-spec.invalid/", { proxy = "" })
      assert.equal("resolve", err.code)
    end)

    it("may be redirected where it allows", function()
      local url = base .. "/redirect?to=" .. other:gsub(":", "%%3A") .. "/echo"
      local _, err = http.get(url, { follow = 1 })
      assert.equal("blocked_address", err.code)
      http.configure({ allow = { "127.0.0.0/8" } })
      assert.equal(200, assert(http.get(url, { follow = 1 })).status)
    end)
  end)

  describe("answers", function()
    it("give headers by lower-case name", function()
      local answer = assert(http.get(base .. "/repeated"))
      assert.same({ "a, b", "", "a=1, b=2" }, { answer.headers["x-one"], answer.headers["x-empty"], answer.headers["set-cookie"] })
    end)

    it("are decompressed", function()
      assert.equal(("the whole text"):rep(1000), assert(http.get(base .. "/gzip")).body)
      assert.equal("one two", assert(http.get(base .. "/gzip-two")).body)
      assert.equal("the whole text", assert(http.get(base .. "/deflate")).body)
      assert.equal("the whole text", assert(http.get(base .. "/deflate-raw")).body)
      assert.equal("", assert(http.get(base .. "/empty-gzip")).body)
      assert.equal("plain", assert(http.get(base .. "/not-gzip", { decompress = false })).body)
      local raw = assert(http.get(base .. "/gzip", { decompress = false })).body
      assert.equal("\31\139", raw:sub(1, 2))
    end)

    it("come after interim ones, and without a length", function()
      local answer = assert(http.get(base .. "/interim"))
      assert.same({ 200, "late" }, { answer.status, answer.body })
      assert.is_nil(answer.headers["x-early"])
      answer = assert(http.get(base .. "/old"))
      assert.same({ "1.0", "to the end" }, { answer.version, answer.body })
    end)

    it("to HEAD have no body", function()
      local answer = assert(http.request({ url = base .. "/echo", method = "HEAD", max_body = 1 }))
      assert.same({ 200, "" }, { answer.status, answer.body })
    end)

    for path, code in pairs({
      ["/short"] = "truncated", ["/short-chunk"] = "truncated", ["/short-gzip"] = "truncated", ["/short-head"] = "truncated", ["/reset"] = "network",
      ["/nothing"] = "network", ["/garbage"] = "network", ["/not-gzip"] = "network", ["/unknown-encoding"] = "network", ["/endless"] = "too_large",
        ["/endless-head"] = "too_large", ["/bomb"] = "too_large",
      ["/large?n=100001"] = "too_large", ["/many-fields?n=40000"] = "too_large",
    }) do
      it(("of %s are the error %s"):format(path, code), function()
        local answer, err = http.get(base .. path, { max_body = 100000, timeout = 20 })
        assert.is_nil(answer)
        assert.equal(code, err.code, tostring(err))
        assert.equal(base .. (path:match("^[^?]*")), err.url)
      end)
    end

    it("may be as large as is allowed", function()
      assert.equal(100000, #assert(http.get(base .. "/large?n=100000", { max_body = 100000 })).body)
      assert.equal("", assert(http.get(base .. "/large?n=0", { max_body = 0 })).body)
      assert.equal("xxx", assert(http.get(base .. "/large?n=3", { max_body = math.huge })).body)
    end)

    it("are waited for no longer than was said", function()
      for path, options in pairs({ ["/hang"] = { timeout = 0.2 }, ["/drip"] = { timeout = 0.3 }, ["/stall"] = { stall = 1, timeout = 20 } }) do
        local started = timer.now()
        local _, err = http.get(base .. path, options)
        assert.equal("timeout", err.code)
        assert.is_true(timer.now() - started < 5, path)
      end
    end)

    it("that are no longer wanted end with their task", function()
      local reached = false
      local worker = task.spawn(function()
        http.get(base .. "/hang")
        reached = true
      end)
      timer.sleep(0.05)
      worker:cancel()
      local _, err = task.deadline(0.1, http.get, base .. "/hang")
      assert.equal("timeout", err.code)
      assert.is_false(reached)
      assert.equal(200, assert(http.get(base .. "/echo")).status)
    end)

    it("that never come are told apart", function()
      local _, err = http.get("http://127.0.0.1:1/?secret=1")
      assert.same({ "refused", "http://127.0.0.1:1/" }, { err.code, err.url })
      _, err = http.get("http://lunation-spec.invalid/", { timeout = 10 })
      assert.equal("resolve", err.code)
      assert.equal(400, errors.status({ code = "blocked_address" }))
    end)
  end)

  describe("TLS", function()
    it("trusts what the system or the request trusts", function()
      local answer = assert(http.get(secure .. "/echo", { ca_file = ca }))
      assert.equal(200, answer.status)
      local _, err = http.get(secure .. "/echo")
      assert.equal("tls", err.code)
      _, err = http.get("https://localhost:" .. ports.untrusted .. "/echo", { ca_file = ca })
      assert.equal("tls", err.code)
      assert.equal(200, assert(http.get("https://localhost:" .. ports.untrusted .. "/echo", { insecure = true })).status)
      _, err = http.get("https://localhost:" .. ports.untrusted .. "/echo", { ca_file = ca })
      assert.equal("tls", err.code)
    end)

    it("is not spoken by every server", function()
      local _, err = http.get("https://127.0.0.1:" .. ports.http .. "/echo", { ca_file = ca })
      assert.equal("tls", err.code)
    end)

    it("checks the name", function()
      local _, err = http.get("https://127.0.0.2:" .. ports.https .. "/echo", { ca_file = ca, timeout = 5 })
      assert.is_true(err.code == "tls" or err.code == "refused")
    end)

    it("takes truncated answers for what they are", function()
      local _, err = http.get(secure .. "/short", { ca_file = ca })
      assert.equal("truncated", err.code)
    end)
  end)

  describe("HTTP/2", function()
    it("is spoken where the server offers it, many requests on one connection", function()
      local server = require("lunation.server")
      local listener = server.listen("https://127.0.0.1:0", { cert = folder .. "/cert.pem", key = folder .. "/key.pem" }, function(req)
        if req.path == "/slow" then timer.sleep(0.2) end
        return { status = 200, headers = { ["content-type"] = "text/plain" }, body = req.version .. " " .. req.method .. " " .. req.body }
      end)
      local options = { ca_file = ca, method = "PUT", body = "x", url = listener.url .. "/slow" }
      local answer = assert(http.request(options))
      assert.same({ "2", "2 PUT x", "text/plain" }, { answer.version, answer.body, answer.headers["content-type"] })
      local requests = {}
      for i = 1, 40 do requests[i] = options end
      local started = timer.now()
      for _, result in ipairs(http.all(requests, 40)) do assert.equal("2 PUT x", result[1].body) end
      assert.is_true(timer.now() - started < 4)
      assert.equal(1, listener.connections)
      options = { ca_file = ca, url = listener.url .. "/", http2 = false }
      assert.equal("1.1", assert(http.request(options)).version)
      listener:close()
    end)
  end)

  describe("redirects", function()
    local function redirect(to, status, from)
      return ("%s/redirect?status=%d&to=%s"):format(from or base, status or 302, (to:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)))
    end

    it("are answers where nobody asked to follow", function()
      local answer = assert(http.get(redirect("/echo")))
      assert.same({ 302, "/echo" }, { answer.status, answer.headers.location })
    end)

    it("are followed as often as asked", function()
      local answer = assert(http.get(redirect("/echo?x"), { follow = 1 }))
      assert.same({ 200, base .. "/echo?x" }, { answer.status, answer.url })
      answer = assert(http.get(redirect("echo"), { follow = 1 }))
      assert.equal(base .. "/echo", answer.url)
      local _, err = http.get(redirect(redirect("/echo")), { follow = 1 })
      assert.matches("without end", tostring(err))
      assert.equal(200, assert(http.get(redirect(redirect("/echo")), { follow = 2 })).status)
    end)

    it("keep the method and the body, or do not, as RFC 9110 says", function()
      for status, method in pairs({ [301] = "GET", [302] = "GET", [303] = "GET", [307] = "POST", [308] = "POST" }) do
        local seen = assert(http.post(redirect("/echo", status), "x", { follow = 1, headers = { ["content-type"] = "text/plain" } })):json()
        assert.equal(method, seen.method)
        assert.equal(method == "POST" and "x" or "", seen.body)
        assert.equal(method == "POST" and "text/plain" or nil, seen.headers["content-type"])
      end
      assert.equal("PROPFIND", assert(http.request({ url = redirect("/echo", 301), method = "PROPFIND", body = "x", follow = 1 })):json().method)
    end)

    it("take credentials to the same origin only", function()
      local options = {
        follow = 1, auth = { kind = "basic", username = "a", password = "b" }, headers = { cookie = "c=1", ["x-other"] = "kept" },
        guard = { allow = { "127.0.0.1" } },
      }
      local seen = assert(http.get(redirect("/echo"), options)):json()
      assert.equal("Basic YTpi", seen.headers.authorization)
      assert.equal("c=1", seen.headers.cookie)
      seen = assert(http.get(redirect(other .. "/echo"), options)):json()
      assert.is_nil(seen.headers.authorization)
      assert.is_nil(seen.headers.cookie)
      assert.equal("kept", seen.headers["x-other"])
      options.auth_hosts = { "127.0.0.1:" .. ports.other }
      assert.equal("Basic YTpi", assert(http.get(redirect(other .. "/echo"), options)):json().headers.authorization)
      options.auth_hosts = { "127.0.0.1:" .. ports.other + 1, "example.org" }
      assert.is_nil(assert(http.get(redirect(other .. "/echo"), options)):json().headers.authorization)
      options.headers = { Authorization = "Custom x" }
      options.auth = nil
      assert.is_nil(assert(http.get(redirect(other .. "/echo"), options)):json().headers.authorization)
    end)

    it("never take credentials from a secure address to an open one", function()
      local options = {
        follow = 1, auth = { kind = "bearer", token = "t" }, auth_hosts = { "127.0.0.1", "localhost" }, ca_file = ca,
          guard = { allow = { "127.0.0.0/8", "::1" } },
      }
      assert.is_nil(assert(http.get(redirect(base .. "/echo", 302, secure), options)):json().headers.authorization)
      assert.equal("Bearer t", assert(http.get(redirect(secure .. "/echo"), options)):json().headers.authorization)
    end)

    it("do not reach what the guard forbids, nor from a trusted URL", function()
      for _, guard in ipairs({ { allow = { "127.0.0.1:" .. ports.http } }, false }) do
        for _, to in ipairs({ other .. "/echo", "http://localhost:" .. ports.other .. "/", "http://169.254.169.254/latest/", "//10.0.0.1/",
          "http://[::1]:1/" }) do
          local answer, err = http.get(redirect(to), { follow = 3, guard = guard or nil, timeout = 5 })
          assert.is_nil(answer)
          assert.equal("blocked_address", err.code, to)
        end
      end
      for _, to in ipairs({ "file:///etc/passwd", "ftp://127.0.0.1/", "http://a:b@127.0.0.1/", "javascript:1" }) do
        local answer, err = http.get(redirect(to), { follow = 3 })
        assert.is_nil(answer)
        assert.equal("network", err.code)
      end
    end)
  end)

  describe("retries", function()
    local n = 0
    local function flaky(query)
      n = n + 1
      return ("%s/flaky?key=%d&%s"):format(base, n, query)
    end

    it("send again what may be sent again", function()
      local answer = assert(http.get(flaky("fail=2"), { retries = 2 }))
      assert.same({ 200, "3" }, { answer.status, answer.body })
      answer = assert(http.get(flaky("fail=1&how=close"), { retries = 1 }))
      assert.equal("2", answer.body)
    end)

    it("give the last answer when all fail", function()
      assert.equal(503, assert(http.get(flaky("fail=9"), { retries = 1 })).status)
      local _, err = http.get(flaky("fail=9&how=close"), { retries = 1 })
      assert.equal("network", err.code)
    end)

    it("leave alone what may not be sent twice, and answers that will not change", function()
      assert.equal(503, assert(http.post(flaky("fail=1"), "x", { retries = 3 })).status)
      assert.equal("2", assert(http.post(flaky("fail=1"), "x", { retries = 3, idempotent = true })).body)
      assert.equal(404, assert(http.get(flaky("fail=1&how=404"), { retries = 3 })).status)
    end)

    it("wait as long as the server asks, within bounds", function()
      local started = timer.now()
      assert.equal("2", assert(http.get(flaky("fail=1&after=1"), { retries = 1 })).body)
      assert.is_true(timer.now() - started >= 1)
      assert.equal(503, assert(http.get(flaky("fail=1&after=3600"), { retries = 1 })).status)
    end)

    it("read Retry-After in both forms", function()
      assert.equal(120, http.retry_after("120"))
      assert.equal(0, http.retry_after("Wed, 21 Oct 2015 07:28:00 GMT"))
      local at = math.floor(timer.time()) + 100
      local seconds = http.retry_after(os.date("!%a, %d %b %Y %H:%M:%S GMT", at))
      assert.is_true(seconds > 95 and seconds <= 100)
      for _, value in ipairs({ "", "soon", "-1", "Wed, 21 Foo 2015 07:28:00 GMT" }) do assert.is_nil(http.retry_after(value)) end
    end)
  end)

  describe("guard", function()
    local refused = {
      "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
      "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
      "239.255.255.255", "240.0.0.1", "255.255.255.255",
      -- the same in other clothes
      "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "0", "3232235521", "0xa9.254.0251.0xfe", "127.0.0.1.",
      "%31%32%37.0.0.1", "１２７.0.0.1", "①②⑦.⓪.⓪.①", "localhost", "LOCALHOST", "localhost.",
      "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]",
      "[64:ff9b::10.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[2001:10::1]",
      "[2001:2::1]", "[3fff::1]", "[5f00::1]", "[fc00::1]", "[fd12:3456:789a::1]", "[fe80::1]", "[febf::1]", "[fec0::1]", "[ff02::1]", "[100::1]", "[4000::1]",
      "[2606:4700::5efe:10.0.0.1]", "[2606:4700::200:5efe:192.168.0.1]",
    }
    for _, host in ipairs(refused) do
      it("refuses " .. host, function()
        local answer, err = http.get(("http://%s:%d/echo"):format(host, ports.http), { guard = {}, timeout = 5 })
        assert.is_nil(answer)
        -- a form that nobody resolves reaches nothing either
        assert.is_true(err.code == "blocked_address" or err.code == "resolve" or err.code == "invalid_request", host .. ": " .. err.code .. " " .. err.message)
      end)
    end

    -- Public addresses are never connected to here: a request through a proxy asks the same table and sends nothing to them.
    for _, host in ipairs({
      "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "172.15.255.255", "172.32.0.0",
        "192.167.255.255",
      "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "[2606:4700::1111]", "[2a00:1450::1]", "[::ffff:1.1.1.1]", "[64:ff9b::1.1.1.1]",
      "[2002:101:101::1]", "[2001:200::1]", "[3fff:1000::1]", "calendar.example",
    }) do
      it("lets pass " .. host, function()
        assert.equal(200, assert(http.get("http://" .. host .. "/", { guard = {}, proxy = base })).status)
      end)
    end

    it("allows what is named, and only that", function()
      local port = tostring(ports.http)
      local function reaches(host, ...)
        local answer, err = http.get(("http://%s:%s/echo"):format(host, port), { guard = { allow = { ... } }, timeout = 5 })
        assert(answer or err.code == "blocked_address", err and tostring(err))
        return answer ~= nil
      end
      for _, entry in ipairs({ "127.0.0.1", "127.0.0.1:" .. port, "127.0.0.0/8", "127.0.0.1/32", "0.0.0.0/0", "::ffff:127.0.0.1",
        "[::ffff:127.0.0.1]:" .. port }) do
        assert.is_true(reaches("127.0.0.1", "10.0.0.0/8", entry), entry)
      end
      for _, entry in ipairs({ "127.0.0.2", "127.0.0.1:1", "127.0.0.2/31", "10.0.0.0/8", "::1", "localhost", "[::1]:" .. port, "example.org" }) do
        assert.is_false(reaches("127.0.0.1", entry), entry)
      end
      assert.is_true(reaches("localhost", "localhost"))
      assert.is_true(reaches("LocalHost", "localhost:" .. port))
      assert.is_true(reaches("localhost", "LOCALHOST."))
      assert.is_true(reaches("localhost", "127.0.0.1"))
      assert.is_false(reaches("localhost", "localhost:1"))
      assert.is_false(reaches("localhost", "host"))
      assert.is_true(http.get(base .. "/echo", { guard = { allow_private = true } }) ~= nil)
      for _, entry in ipairs({ "", "10.0.0.0/33", "10.0.0.0/", "10.0.0/x", "[::1", "a:b", "a:0", "a:70000", "::1/129", "[127.0.0.1]:80" }) do
        assert.has_error(function() http.get(base, { guard = { allow = { entry } } }) end)
      end
    end)

    it("is not passed by on a connection that another guard let through", function()
      local url = base .. "/echo"
      assert.equal(200, assert(http.get(url)).status)
      assert.equal(200, assert(http.get(url, { guard = { allow = { "127.0.0.1" } } })).status)
      local _, err = http.get(url, { guard = {} })
      assert.equal("blocked_address", err.code)
      _, err = http.get(url, { guard = { allow = { "10.0.0.0/8" } } })
      assert.equal("blocked_address", err.code)
    end)

    it("keeps many lists apart, and closes what it no longer needs", function()
      local seen = {}
      for i = 1, 120 do
        local answer = assert(http.get(base .. "/echo", { guard = { allow = { "127.0.0.1", "10.0.0." .. i } } }))
        local connection = answer:json().connection
        assert.is_nil(seen[connection])
        seen[connection] = true
      end
      local long = { "127.0.0.1" }
      for i = 1, 2000 do long[i + 1] = ("10.%d.%d.0/24"):format(i // 256, i % 256) end
      assert.equal(200, assert(http.get(base .. "/echo", { guard = { allow = long } })).status)
    end)
  end)

  describe("URLs", function()
    it("are taken apart", function()
      assert.same({ scheme = "https", host = "example.org", port = 443, path = "/a", query = "b=c" }, fetch.parts("https://example.org/a?b=c#d"))
      assert.is_nil(fetch.parts("nothing"))
    end)

    it("are joined", function()
      for reference, expected in pairs({
        ["x"] = "http://h/a/x", ["/x"] = "http://h/x", ["//g/x"] = "http://g/x", ["?q"] = "http://h/a/b?q", ["../x"] = "http://h/x",
        ["https://g/"] = "https://g/",
      }) do
        assert.equal(expected, fetch.join("http://h/a/b", reference))
      end
    end)
  end)
end)
