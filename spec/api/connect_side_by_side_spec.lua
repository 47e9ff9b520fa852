-- Google, Microsoft and CalDAV accounts of one user, side by side: the vendor's Python client does its whole round with each, and
-- reads them as one (spec/api/sdk/side_by_side.py).

local connect = require "spec.support.connect"
local emulator = require "spec.support.emulator"
local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local servers = require "spec.servers"

describe("connect: accounts of several providers of one user #clients", function()
  local python = host.root .. "/build/python/bin/python"
  local google, microsoft, dav, server

  setup(function()
    assert(fs.stat(python), "`make clients` installs the client")
    google = emulator.start("google", { users = { "alice@example.com=token-a" } })
    microsoft = emulator.start("microsoft", { users = { "alice@example.org=token-m" } })
    dav = assert(servers.start "radicale")
    servers.make_calendar(dav, "alice", "work", "Work")
    server = connect.serve { config = ([[
      outgoing { allow={ %q } }
      provider("google", { client_id="client", client_secret="secret",
        urls={ authorize=%q.."/o/oauth2/v2/auth", token=%q.."/token", revoke=%q.."/revoke", calendar=%q, people=%q, directory=%q } })
      provider("microsoft", { client_id="client", client_secret="secret", urls={ authorize=%q, token=%q, graph=%q.."/v1.0" } })
    ]]):format(dav.base:match "//(.*)$", google.url, google.url, google.url, google.url, google.url, google.url,
      microsoft.url, microsoft.url, microsoft.url) }
  end)

  teardown(function()
    if server then server.stop() end
    if dav then dav:stop() end
    for _, each in ipairs { google or false, microsoft or false } do
      if each then each.stop() end
    end
  end)

  it("are read as one, and each does all that the API offers", function()
    local result = process.run {
      args = { python, host.root .. "/spec/api/sdk/side_by_side.py", json.encode {
        base_url = server.url .. "/api", client_id = connect.app, client_secret = connect.secret, redirect_uri = connect.redirect_uri,
        accounts = {
          { "google", json.null }, { "microsoft", json.null }, { "caldav", { url = dav.url, username = "alice", password = "secret" } },
        },
        calendars = { google = "alice@example.com", microsoft = "Calendar", caldav = "Work" },
      } },
      env = { NO_PROXY = "127.0.0.1", PYTHONDONTWRITEBYTECODE = "1" }, stderr = "pipe", stdin = "",
    }
    assert.equal(0, result.code, result.stderr .. result.stdout)
    assert.is_truthy(result.stdout:find "^%d%d+ checks")
    assert.same({}, google.violations())
    assert.same({}, microsoft.violations())
  end)
end)
