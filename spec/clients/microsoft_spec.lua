-- The vendor's own clients call the Graph emulator, before any provider is tried on it; nothing that either says breaks the contract.

local emulator = require "spec.support.emulator"
local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"

describe("the Graph emulator under the vendor's clients #clients", function()
  local graph

  before_each(function()
    graph = emulator.start("microsoft", { tls = true, users = { "alice@example.com=token-alice", "bob@example.com=token-bob" } })
  end)

  after_each(function()
    graph.stop()
  end)

  local function run(needs, args)
    assert(fs.stat(host.root .. needs), "`make clients` installs the clients")
    args[#args + 1] = json.encode {
      url = graph.url, tokens = { alice = "token-alice", bob = "token-bob" }, modules = host.root .. "/build/node/node_modules", ca = graph.ca_file,
    }
    local result = process.run {
      args = args, stderr = "pipe", stdin = "", env = { NO_PROXY = "127.0.0.1", PYTHONDONTWRITEBYTECODE = "1", NODE_EXTRA_CA_CERTS = graph.ca_file },
    }
    assert.equal(0, result.code, result.stderr .. result.stdout)
    assert.is_truthy(result.stdout:find "^%d+ checks", result.stdout)
    return graph.violations()
  end

  -- What the clients say wrong on purpose, to see it refused, breaks the contract; all else must not.
  local wrong_on_purpose = { ["/colour"] = true, ["$select"] = true, ["/start/timeZone"] = true, ["/end/timeZone"] = true }

  local function unasked(violations)
    local out = {}
    for _, each in ipairs(violations) do
      if each.direction ~= "request" or not wrong_on_purpose[each.where] then out[#out + 1] = each end
    end
    return out
  end

  it("npm @microsoft/microsoft-graph-client", function()
    local violations = run("/build/node/node_modules/@microsoft/microsoft-graph-client", { "node", host.root .. "/spec/clients/graph_client.mjs" })
    assert.same({}, unasked(violations))
    if not graph.has_contract then pending "no contract was found to hold the requests against" end
  end)

  it("PyPI msgraph-sdk", function()
    local violations = run("/build/python/bin/python", { host.root .. "/build/python/bin/python", host.root .. "/spec/clients/graph_sdk.py" })
    assert.same({}, violations)
    if not graph.has_contract then pending "no contract was found to hold the requests against" end
  end)
end)
