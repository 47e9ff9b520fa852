local http = require "lunation.http"
local support = require "spec.support"

describe("origins", function()
  it("that an app trusts may call from a browser, others may not", function()
    local server = support.serve { config = [[
      app { id = "demo", secret = "demo-secret", name = "Demo", redirect_uris = { "http://127.0.0.1:9/cb" },
        trusted_origins = { "https://app.example" } }
    ]] }
    local function allowed(method, origin)
      local response = assert(http.request {
        method = method, url = server.url .. "/api/calendars",
        headers = { origin = origin, ["access-control-request-method"] = "GET", ["access-control-request-headers"] = "authorization" },
      })
      return response.headers["access-control-allow-origin"], response.status
    end
    assert.are.same({ "https://app.example", 204 }, { allowed("OPTIONS", "https://app.example") })
    assert.are.same({ "https://app.example", 401 }, { allowed("GET", "https://app.example") })
    assert.is_nil((allowed("OPTIONS", "https://evil.example")))
    assert.is_nil((allowed("GET", "https://evil.example")))
    assert.is_nil((allowed("GET", "null")))
    server.stop()
  end)
end)
