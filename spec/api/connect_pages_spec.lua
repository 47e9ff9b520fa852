-- The authorization pages over HTTP, without JavaScript, in front of a real CalDAV server and of several bad ones.

local connect = require "spec.support.connect"
local pages = require "spec.support.pages"
local process = require "lunation.process"
local servers = require "spec.servers"
local support = require "spec.support"

describe("connect: authorization pages", function()
  local server, radicale, bad, bad_host

  setup(function()
    bad = assert(process.spawn { args = { "python3", "spec/support/bad_server.py" }, cwd = require("lunation.host").root, stdout = "pipe" })
    bad_host = "127.0.0.1:" .. assert(bad:read()):match("%d+")
    radicale = assert(servers.start "radicale")
    servers.make_calendar(radicale, "alice", "work", "Work & Play")
    server = connect.serve { config = [[
outgoing { allow={ "]] .. radicale.base:match("//(.*)$") .. '", "' .. bad_host .. [[" } }
app { id="branded", name="Branded", secret="x", redirect_uris={ "https://app.example.org/cb?keep=1" }, branding={
  displayName="Shown Name", primaryColor="#ffd000", logo="https://cdn.example.org/logo.svg", darkLogo="https://cdn2.example.org/dark.svg",
  supportUrl="https://help.example.org/", hideFooter=true, verified=false } }
limits { sign_in_time="3s" }
]] }
  end)
  teardown(function()
    server.stop()
    radicale:stop()
    bad:kill("KILL")
    bad:wait()
  end)

  local counter = 0
  local function new_user()
    counter = counter + 1
    return "page-user-" .. counter
  end
  local function start(options, headers)
    local browser = pages.browser(server, headers)
    return browser, browser:open(pages.address(new_user(), options))
  end
  local function sign_in(browser, list, fields, provider)
    return browser:submit(browser:open(pages.link(list, "/add/" .. (provider or "caldav"))), fields)
  end
  local alice = function(more)
    local fields = { url = radicale.url, username = "alice", password = "secret" }
    for name, value in pairs(more or {}) do fields[name] = value end
    return fields
  end

  describe("the whole round", function()
    it("adds a CalDAV account and comes back with a code", function()
      local browser, list = start()
      assert.equal(200, list.status)
      assert.is_truthy(list.body:find("Connect your calendars", 1, true))
      assert.is_nil(pages.link(list, "/consent"))
      local added = sign_in(browser, list, alice())
      assert.equal(200, added.status)
      assert.is_truthy(added.body:find('role="status"', 1, true))
      assert.is_truthy(added.body:find("is connected", 1, true))
      local consent
      support.eventually(function()
        consent = browser:open(pages.link(added, "/consent"))
        return consent.body:find("Work &amp; Play", 1, true)
      end)
      assert.is_truthy(consent.body:find("create, change and delete", 1, true))
      local back = browser:submit(consent, { decision = "allow" })
      assert.equal(303, back.status)
      local code = back.headers.location:match("^http://127%.0%.0%.1:9/callback%?code=([%w_-]+)&state=s%%26t$")
      assert.is_string(code)
      local response = connect.call(server, nil, "POST", "/oauth/token",
        { body = { grant_type = "authorization_code", code = code, client_id = "demo", client_secret = connect.secret } })
      assert.equal(200, response.status)
      local calendars = connect.call(server, response.json.access_token, "GET", "/calendars").json
      assert.same({ "caldav", "Work & Play" }, { calendars[1].provider, calendars[1].title })
      -- The round is over: its pages are closed.
      assert.equal(400, browser:request("GET", consent.url or pages.link(added, "/consent")).status)
    end)

    it("goes back with access_denied when the person does not want to", function()
      local browser, list = start()
      local cancel = pages.link(list, connect.redirect_uri)
      assert.equal(connect.redirect_uri .. "?error=access_denied&state=s%26t", cancel)
      local added = sign_in(browser, list, alice())
      local back = browser:submit(browser:open(pages.link(added, "/consent")), { decision = "deny" })
      assert.equal(connect.redirect_uri .. "?error=access_denied&state=s%26t", back.headers.location)
    end)

    it("keeps a redirect URI that has a query of its own, exactly", function()
      local browser, list = start { client_id = "branded", redirect_uri = "https://app.example.org/cb?keep=1", state = false }
      local back = pages.connect(browser, list, "local")
      assert.is_truthy(back.headers.location:find("^https://app%.example%.org/cb%?keep=1&code=[%w_-]+$"))
    end)
  end)

  describe("authorize", function()
    it("sends a browser with all its parameters to the first page", function()
      local response = pages.begin(server, "u", { lng = "es", theme = "dark", providers = "caldav,apple", scope = "calendar" })
      assert.equal(302, response.status)
      for _, part in ipairs { "request=", "client_id=demo", "user_id=u", "response_type=code", "state=s%26t", "lng=es", "theme=dark",
        "providers=caldav%2Capple", "scope=calendar", "redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback" } do
        assert.is_truthy(response.headers.location:find(part, 1, true), part)
      end
      local cookie = response.headers["set-cookie"]
      for _, part in ipairs { "HttpOnly", "SameSite=Lax", "Path=/", "oauth_req=", "Max-Age=7200" } do assert.is_truthy(cookie:find(part, 1, true), part) end
    end)

    it("answers at /api/authorize too", function()
      local browser = pages.browser(server)
      local list = browser:open((pages.address("u"):gsub("/oauth", "", 1)))
      assert.equal(200, list.status)
      assert.is_truthy(pages.link(list, "/add/caldav"))
    end)

    it("takes the only registered address when none is sent, and no other than those", function()
      assert.equal(302, pages.begin(server, "u", { redirect_uri = false }).status)
      for _, uri in ipairs { "http://127.0.0.1:9/callback/", "http://127.0.0.1:9/Callback", "http://127.0.0.1:9/callback?x", "http://evil.example.org/",
        "http://127.0.0.1:9/callback#x", "javascript:alert(1)", "//evil.example.org" } do
        local response = pages.begin(server, "u", { redirect_uri = uri })
        assert.equal(400, response.status, uri)
        assert.is_nil(response.headers.location)
        assert.is_nil(response.body:find(uri, 1, true))
      end
      assert.equal(400, pages.begin(server, "u", { client_id = "other", redirect_uri = false }).status)
      assert.equal(302, pages.begin(server, "u", { client_id = "other", redirect_uri = "http://127.0.0.1:9/second?a=b" }).status)
    end)

    it("shows an error page to unknown clients and users without name", function()
      local response = pages.begin(server, "u", { client_id = "nobody" })
      assert.equal(401, response.status)
      assert.is_truthy(response.headers["content-type"]:find("text/html", 1, true))
      assert.is_truthy(response.body:find('role="alert"', 1, true))
      assert.equal(401, pages.begin(server, "u", { client_id = false }).status)
      assert.equal(400, pages.begin(server, "u", { user_id = "" }).status)
      assert.equal(400, pages.begin(server, "u", { user_id = ("x"):rep(300) }).status)
      assert.equal(400, pages.begin(server, "u", { user_id = "a\nb" }).status)
      assert.equal(400, pages.begin(server, "u\xff").status)
    end)

    it("tells the application of a response type it does not know", function()
      local response = pages.begin(server, "u", { response_type = "token" })
      assert.equal(302, response.status)
      assert.is_truthy(response.headers.location:find("error=unsupported_response_type", 1, true))
    end)

    it("restricts the picker, to names joined by commas and to repeated ones", function()
      local function offered(query)
        local browser = pages.browser(server)
        local list = browser:open(pages.address("u", query))
        local names = {}
        for name in list.body:gmatch("/add/(%w+)%?") do names[#names + 1] = name end
        table.sort(names)
        return table.concat(names, " ")
      end
      assert.equal("apple caldav ics local", offered {})
      assert.equal("caldav", offered { providers = "google,caldav" })
      assert.equal("apple caldav", offered { providers = { "apple", "caldav" } })
      assert.equal("apple", offered { providers = "icloud_calendar" })
      assert.equal("apple caldav ics local", offered { providers = "google" })
    end)

    for given, text in pairs {
      ["free-busy"] = "without titles", read = "details of your events", ["read-write"] = "create, change and delete", calendar = "create, change and delete",
      ["calendar.readonly"] = "details of your events", nonsense = "create, change and delete", [""] = "create, change and delete",
    } do
      it("takes the scope '" .. given .. "'", function()
        local browser, list = start { scope = given }
        local added = browser:submit(browser:open(pages.link(list, "/add/local")))
        assert.is_truthy(browser:open(pages.link(added, "/consent")).body:find(text, 1, true))
      end)
    end
  end)

  describe("sign-in", function()
    local function refused(fields, text, provider)
      local browser, list = start()
      local response = sign_in(browser, list, fields, provider)
      assert.equal(400, response.status, response.body)
      assert.is_truthy(response.body:find(text, 1, true), text .. "\n" .. response.body)
      assert.is_truthy(response.body:find('aria-invalid="true"', 1, true) or response.body:find('role="alert"', 1, true))
      -- What was typed stands there still, but no password.
      if fields.username and fields.username ~= "" then assert.is_truthy(response.body:find('value="' .. fields.username .. '"', 1, true)) end
      if fields.password and fields.password ~= "" then assert.is_nil(response.body:find(fields.password, 1, true)) end
      return response
    end

    it("asks for every field", function()
      refused({ url = "", username = "", password = "" }, "Please fill in this field.")
      refused({ url = radicale.url, username = "alice", password = "" }, 'id="password-wrong"')
    end)
    it("refuses a wrong password", function()
      refused(alice { password = "wrong-one" }, "The user name or the password is not right.")
    end)
    it("refuses what is no web address", function()
      for _, url in ipairs { "ftp://example.org/", "file:///etc/passwd", "http://user:pass@example.org/", "http://", "javascript:alert(1)", "a b" } do
        refused(alice { url = url }, "This is not a web address.")
      end
    end)
    it("refuses private addresses", function()
      for _, url in ipairs { "http://127.0.0.1:1/", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://0x7f.1/",
        "http://localhost/", server.url } do
        refused(alice { url = url }, "This address is not allowed.")
      end
    end)
    local wrong = {
      hang = "did not answer in time", html = "There is no calendar server at this address.", half = "There is no calendar server",
      xml = "There is no calendar server at this address.", broken = "There is no calendar server at this address.",
      nothing = "There is no calendar server at this address.",
    }
    for kind, text in pairs(wrong) do
      it("says what is wrong with a server: " .. kind, function()
        refused(alice { url = "http://" .. bad_host .. "/" .. kind .. "/" }, text)
      end)
    end
    it("says that nobody listens", function()
      refused(alice { url = "http://" .. bad_host:gsub("%d+$", "1") .. "/" }, "This address is not allowed.")
      refused({ url = "http://" .. bad_host .. "/garbage.ics" }, "There is no calendar", "ics")
    end)
    it("does not open files", function()
      local browser, list = start()
      local response = sign_in(browser, list, { url = "/etc/passwd" }, "ics")
      assert.equal(400, response.status)
    end)
    it("has a hint about app-specific passwords for iCloud", function()
      local browser, list = start()
      local page = browser:open(pages.link(list, "/add/apple"))
      assert.is_truthy(page.body:find('id="password-hint"', 1, true))
      assert.is_truthy(page.body:find("App-specific password", 1, true))
      assert.is_nil(page.body:find('name="url"', 1, true))
    end)
    it("limits attempts", function()
      local browser, list = start()
      local page = browser:open(pages.link(list, "/add/caldav"))
      local response
      for _ = 1, 11 do response = browser:submit(page, alice { url = "http://127.0.0.1:1/" }) end
      assert.equal(429, response.status)
      assert.is_truthy(response.body:find("Too many attempts", 1, true))
    end)
  end)

  describe("accounts", function()
    it("are listed, added to and removed", function()
      local user = new_user()
      local browser = pages.browser(server)
      local list = browser:open(pages.address(user))
      list = sign_in(browser, list, alice())
      list = browser:submit(browser:open(pages.link(list, "/add/local")))
      local _, count = list.body:gsub("/accounts/remove%?", "")
      assert.equal(2, count)
      local question = browser:open(pages.link(list, "/accounts/remove"))
      assert.is_truthy(question.body:find("Remove this account?", 1, true))
      list = browser:submit(question)
      _, count = list.body:gsub("/accounts/remove%?", "")
      assert.equal(1, count)
      assert.is_truthy(list.body:find("was removed", 1, true))
    end)

    it("are only so many, and one that is there may be connected again", function()
      local small = connect.serve { config = ('outgoing { allow={ "%s" } }\nlimits { accounts=1 }\n'):format(radicale.base:match("//(.*)$")) }
      local browser = pages.browser(small)
      local list = sign_in(browser, browser:open(pages.address("u")), alice())
      assert.is_truthy(list.body:find('role="status"', 1, true))
      local refused = browser:submit(browser:open(pages.link(list, "/add/local")))
      assert.equal(400, refused.status)
      assert.is_truthy(refused.body:find("No further account can be connected", 1, true))
      assert.is_truthy(sign_in(browser, list, alice()).body:find('role="status"', 1, true))
      assert.is_true(connect.call(small, connect.token(small, "u"), "GET", "/connection-status").json.limitReached)
      small.stop()
    end)

    it("of a user are hidden from a browser that did not connect them", function()
      local user = new_user()
      local browser = pages.browser(server)
      local list = sign_in(browser, browser:open(pages.address(user)), alice())
      assert.is_truthy(list.body:find("alice", 1, true))
      local stranger = pages.browser(server)
      list = stranger:open(pages.address(user))
      assert.is_nil(list.body:find("alice", 1, true))
      assert.is_truthy(list.body:find("a•••", 1, true))
      assert.is_nil(pages.link(list, "/accounts/remove"))
      -- Whoever knows the password may.
      list = sign_in(stranger, list, alice())
      assert.is_truthy(pages.link(list, "/accounts/remove"))
    end)
  end)

  describe("protection", function()
    it("sends the headers that keep a page to itself", function()
      local _, list = start()
      local policy = list.headers["content-security-policy"]
      for _, part in ipairs { "default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self' http://127.0.0.1:9",
        "style-src 'nonce-" } do
        assert.is_truthy(policy:find(part, 1, true), part)
      end
      assert.is_nil(policy:find("unsafe", 1, true))
      assert.is_nil(list.body:find("<script", 1, true))
      assert.is_nil(list.body:find(" style=", 1, true))
      assert.is_nil(list.body:find(" on%a+=", 1))
      assert.same({ "DENY", "nosniff", "no-store", "no-referrer" }, {
        list.headers["x-frame-options"], list.headers["x-content-type-options"], list.headers["cache-control"], list.headers["referrer-policy"],
      })
    end)

    it("takes forms only from its own page", function()
      local browser, list = start()
      local page = browser:open(pages.link(list, "/add/local"))
      local action = pages.form(page)
      for _, fields in ipairs { {}, { csrf = "" }, { csrf = ("A"):rep(43) } } do
        assert.equal(403, browser:request("POST", action, fields).status)
      end
      local _, hidden = pages.form(page)
      assert.equal(403, browser:request("POST", action, hidden, { ["sec-fetch-site"] = "cross-site" }).status)
      -- The token of another browser's request.
      local other, other_list = start()
      local _, foreign = pages.form(other:open(pages.link(other_list, "/add/local")))
      assert.equal(403, browser:request("POST", action, foreign).status)
      assert.equal(303, browser:request("POST", action, hidden).status)
    end)

    it("shows a request only to the browser that began it", function()
      local _, list = start()
      local stranger = pages.browser(server)
      local address = pages.link(list, "/add/caldav")
      local response = stranger:request("GET", address)
      assert.equal(403, response.status)
      stranger.cookies.oauth_browser = ("A"):rep(43)
      assert.equal(403, stranger:request("GET", address).status)
      assert.equal(400, stranger:request("GET", "/api/oauth/accounts?request=nothing").status)
      assert.equal(400, stranger:request("GET", "/api/oauth/consent").status)
      -- A page that is opened without its request is that of the request the browser began last.
      local browser = pages.browser(server)
      list = browser:open(pages.address(new_user()))
      local id = pages.link(list, "/add/caldav"):match("request=([%w_-]+)")
      assert.equal(400, browser:request("GET", "/api/oauth/accounts").status)
      browser.cookies.oauth_req = id
      assert.equal(200, browser:request("GET", "/api/oauth/accounts").status)
    end)

    it("gives no code without an account", function()
      local browser, list = start()
      local request = pages.link(list, "/add/local"):match("request=([%w_-]+)")
      local page = browser:open(pages.link(list, "/add/local"))
      local _, hidden = pages.form(page)
      local response = browser:request("POST", "/api/oauth/consent?request=" .. request, { csrf = hidden.csrf, decision = "allow" })
      assert.is_truthy(response.headers.location:find("/api/oauth/accounts", 1, true))
    end)

    it("writes what it is given as text", function()
      local browser, list = start()
      local response = sign_in(browser, list, { url = "http://127.0.0.1:1/", username = '"><script>alert(1)</script>', password = "x" })
      assert.is_nil(response.body:find("<script", 1, true))
      assert.is_truthy(response.body:find("&lt;script&gt;", 1, true))
    end)

    it("gives a secure cookie with a host prefix where the site is https", function()
      local secure = connect.serve { config = 'public_url "https://calendar.example.org/cal"\n' }
      local response = pages.begin(secure, "u")
      assert.is_truthy(response.headers["set-cookie"]:find("^__Host%-oauth_browser=[%w_-]+; Path=/; .*; Secure"))
      assert.is_truthy(response.headers.location:find("/cal/api/oauth/accounts?", 1, true) == 1)
      secure.stop()
    end)
  end)

  describe("look", function()
    local function html_of(options, headers)
      local _, list = start(options, headers)
      return list.body:match("<html [^>]*>"), list
    end
    it("has the language that is asked for, else the browser's, else English", function()
      assert.equal('<html lang="es" dir="ltr" data-theme="auto">', html_of { lng = "es" })
      assert.equal('<html lang="ar" dir="rtl" data-theme="auto">', html_of { lng = "ar-EG" })
      assert.equal('<html lang="pt-BR" dir="ltr" data-theme="auto">', html_of(nil, { ["accept-language"] = "pt-BR,pt;q=0.9,en;q=0.1" }))
      assert.equal('<html lang="de" dir="ltr" data-theme="auto">', html_of({ lng = "de" }, { ["accept-language"] = "fr" }))
      assert.equal('<html lang="en" dir="ltr" data-theme="auto">', html_of { lng = "tlh" })
    end)
    it("has the theme that is asked for", function()
      assert.equal('<html lang="en" dir="ltr" data-theme="dark">', html_of { theme = "dark" })
      assert.equal('<html lang="en" dir="ltr" data-theme="auto">', html_of { theme = "neon" })
    end)
    it("has the application's brand", function()
      local _, list = html_of { client_id = "branded", redirect_uri = false }
      for _, part in ipairs { "Shown Name", 'src="https://cdn.example.org/logo.svg"', 'src="https://cdn2.example.org/dark.svg"',
        "https://help.example.org/" } do
        assert.is_truthy(list.body:find(part, 1, true), part)
      end
      assert.is_nil(list.body:find("Calendar connection by lunation", 1, true))
      assert.is_truthy(list.headers["content-security-policy"]:find("img-src data: https://cdn.example.org https://cdn2.example.org", 1, true))
      assert.is_truthy(list.headers["content-security-policy"]:find("form-action 'self' https://app.example.org", 1, true))
    end)
    it("warns of an application that is not verified", function()
      local browser, list = start { client_id = "branded", redirect_uri = false }
      local added = browser:submit(browser:open(pages.link(list, "/add/local")))
      assert.is_truthy(browser:open(pages.link(added, "/consent")).body:find("has not been verified", 1, true))
    end)
  end)
end)
