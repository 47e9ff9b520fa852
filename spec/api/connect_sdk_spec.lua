-- The vendor's Python client makes its whole round (spec/api/sdk/round.py) against a CalDAV account on Radicale.

local connect = require "spec.support.connect"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local servers = require "spec.servers"

describe("connect: the vendor's Python client #clients", function()
  it("authorizes, reads, writes, refreshes and disconnects, sync and async", function()
    local python = host.root .. "/build/python/bin/python"
    assert(io.open(python), "`make clients` installs the client"):close()
    local radicale = assert(servers.start "radicale")
    servers.make_calendar(radicale, "alice", "work", "Work")
    servers.make_calendar(radicale, "alice", "home", "Home")
    local server = connect.serve { config = ('outgoing { allow={ "%s" } }\n'):format(radicale.base:match("//(.*)$")) }
    local result = process.run {
      args = { python, host.root .. "/spec/api/sdk/round.py", json.encode {
        base_url = server.url .. "/api", client_id = connect.app, client_secret = connect.secret, redirect_uri = connect.redirect_uri,
        account = { url = radicale.url, username = "alice", password = "secret" },
      } },
      env = { NO_PROXY = "127.0.0.1", PYTHONDONTWRITEBYTECODE = "1" }, stderr = "pipe", stdin = "",
    }
    server.stop()
    radicale:stop()
    assert.equal(0, result.code, result.stderr .. result.stdout)
    assert.is_truthy(result.stdout:find("^%d%d+ checks"))
  end)
end)
