-- A mapping is changed by a file in provider_path, and the change shows in what is mirrored already: no rebuild, no new listing.

local connect = require "spec.support.connect"
local emulator = require "spec.support.emulator"
local fs = require "lunation.fs"
local json = require "lunation.json"
local support = require "spec.support"

describe("a mapping in provider_path", function()
  it("changes what the API shows of events that are there", function()
    local google = emulator.start("google", { users = { "alice@example.com=token-a" } })
    local folder = support.tmpdir()
    local server = connect.serve { config = ('provider_path { %q }\nsync { max_age="0s" }\nprovider("google", { urls={ calendar=%q } })\n')
      :format(folder, google.url) }
    local engine = server.engine
    local user = assert(engine.store:user(connect.app, "ada", { create = true }))
    assert(engine.store:account_add {
      user = user.id, provider = "google", identity = "alice@example.com", credentials = { token = "token-a" }, settings = {},
    })
    local token = connect.token(server, "ada")
    local calendar = connect.call(server, token, "GET", "/calendars").json[1]
    local made = connect.call(server, token, "POST", "/event", { body = {
      provider = "google", calendarId = calendar.id, title = "Lunch", description = "Soup", start = "2025-11-03T12:00:00Z", ["end"] = "2025-11-03T13:00:00Z",
    } })
    assert.equal(200, made.status, made.body)
    local function shown()
      local list = connect.call(server, token, "GET", "/events", { query = { start = "2025-11-01", ["end"] = "2025-12-01" } }).json.events
      return list[1].title
    end
    assert.equal("Lunch", shown())
    local requests = #google.requests()
    assert(fs.stat(folder))
    support.write(folder .. "/google.lua", 'return extend("google", { event = { title = "description" } })')
    server.child:kill "HUP"
    support.eventually(function() return shown() == "Soup" end, 10, "the new mapping")
    -- Increments only: the events were not listed again.
    local listed = 0
    for index = requests + 1, #google.requests() do
      local request = google.requests()[index]
      if request.path:find "/events$" and not json.encode(request):find "syncToken" then listed = listed + 1 end
    end
    assert.equal(0, listed)
    support.write(folder .. "/google.lua", 'return extend("google", {})')
    server.child:kill "HUP"
    support.eventually(function() return shown() == "Lunch" end, 10, "the old mapping")
    server.stop()
    google.stop()
  end)
end)
