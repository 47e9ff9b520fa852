-- The authorize round in Chromium, driven by playwright-core (spec/api/browser/round.mjs).

local connect = require "spec.support.connect"
local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"
local servers = require "spec.servers"

local function chromium()
  for _, path in ipairs { "/usr/bin/chromium", "/usr/lib/chromium/chromium", "/usr/bin/chromium-browser" } do
    if fs.stat(path) then return path end
  end
end

describe("connect: the pages in a browser #clients #slow", function()
  it("work in every language and theme, without JavaScript and by keyboard, and axe finds nothing", function()
    local modules = host.root .. "/build/node/node_modules"
    assert(fs.stat(modules .. "/playwright-core"), "`make clients` installs the driver")
    local path = assert(chromium(), "`make deps-test` installs Chromium")
    local radicale = assert(servers.start "radicale")
    servers.make_calendar(radicale, "alice", "work", "Work")
    local redirect_uri = ("http://127.0.0.1:%d/callback"):format(process.free_port())
    local server = connect.serve { config = ([[
outgoing { allow={ "%s" } }
app { id="browser", name="Day Planner", secret="a secret of the specs", redirect_uris={ "%s" } }
]]):format(radicale.base:match("//(.*)$"), redirect_uri) }
    local result = process.run {
      args = { "node", host.root .. "/spec/api/browser/round.mjs", json.encode {
        modules = modules, chromium = path, base_url = server.url .. "/api", client_id = "browser", redirect_uri = redirect_uri,
        account = { url = radicale.url, username = "alice", password = "secret" }, shots = os.getenv "LUNATION_SHOTS",
      } },
      stderr = "pipe", stdin = "",
    }
    server.stop()
    radicale:stop()
    assert.equal(0, result.code, result.stderr .. result.stdout)
    assert.is_truthy(result.stdout:find("^%d%d%d+ checks"))
  end)
end)
