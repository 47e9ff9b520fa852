-- The vendor's own clients call the Google emulator, before any provider is tried on it; nothing they say breaks the contract.

local emulator = require "spec.support.emulator"
local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"

describe("the Google emulator under the vendor's clients #clients", function()
  local google

  before_each(function()
    google = emulator.start("google", { users = { "alice@example.com=token-alice", "bob@example.com=token-bob" } })
  end)

  after_each(function()
    google.stop()
  end)

  local function run(args)
    assert(fs.stat(args[1]:find "/" and args[1] or host.root .. "/build/node/node_modules/@googleapis"), "`make clients` installs the clients")
    args[#args + 1] = json.encode {
      url = google.url, tokens = { alice = "token-alice", bob = "token-bob" }, modules = host.root .. "/build/node/node_modules",
    }
    local result = process.run { args = args, stderr = "pipe", stdin = "", env = { NO_PROXY = "127.0.0.1", PYTHONDONTWRITEBYTECODE = "1" } }
    local told = google.violations()
    assert.same({}, told)
    assert.equal(0, result.code, result.stderr .. result.stdout)
    assert.is_truthy(result.stdout:find "^%d+ checks", result.stdout)
    if not google.has_contract then pending("no contract was found to hold the requests against") end
  end

  for _, name in ipairs { "calendar", "people", "admin" } do
    it("npm @googleapis/" .. name, function()
      run { "node", host.root .. "/spec/clients/google_" .. name .. ".mjs" }
    end)
  end

  it("PyPI google-api-python-client", function()
    run { host.root .. "/build/python/bin/python", host.root .. "/spec/clients/google_api.py" }
  end)
end)
