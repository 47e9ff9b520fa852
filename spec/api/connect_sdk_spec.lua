-- The vendor's Python client makes its whole round (spec/api/sdk/round.py) against a CalDAV account on each real server.

local connect = require "spec.support.connect"
local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local servers = require "spec.servers"

-- Ends with its scope, whether the test passes or not.
local function finally(stop)
  return setmetatable({}, { __close = stop })
end

describe("connect: the vendor's Python client #clients", function()
  local python = host.root .. "/build/python/bin/python"

  for _, name in ipairs(servers.selected()) do
    it("authorizes, reads, writes, refreshes and disconnects, sync and async, in front of " .. name, function()
      assert(fs.stat(python), "`make clients` installs the client")
      local upstream = assert(servers.start(name))
      local _ <close> = finally(function() upstream:stop() end)
      servers.make_calendar(upstream, "alice", "work", "Work")
      servers.make_calendar(upstream, "alice", "home", "Home")
      local server = connect.serve { config = ('outgoing { allow={ "%s" } }\n'):format(upstream.base:match("//(.*)$")) }
      local _ <close> = finally(function() server.stop() end)
      local result = process.run {
        args = { python, host.root .. "/spec/api/sdk/round.py", json.encode {
          base_url = server.url .. "/api", client_id = connect.app, client_secret = connect.secret, redirect_uri = connect.redirect_uri,
          account = { url = upstream.url, username = "alice", password = "secret" },
        } },
        env = { NO_PROXY = "127.0.0.1", PYTHONDONTWRITEBYTECODE = "1" }, stderr = "pipe", stdin = "",
      }
      assert.equal(0, result.code, result.stderr .. result.stdout)
      assert.is_truthy(result.stdout:find("^%d%d+ checks"))
    end)
  end
end)
