-- Dialects are changed by files of the operator's own, as providers are.
local connect = require "spec.support.connect"
local dialect = require "lunation.dialect"
local fs = require "lunation.fs"
local support = require "spec.support"

local function folder_with(text)
  local dir = support.tmpdir()
  assert(fs.mkdir(dir .. "/dialects"))
  support.write(dir .. "/dialects/connect.lua", text)
  return dir
end

local function refused(text)
  local dialects, err = dialect.new { config = { provider_path = { folder_with(text) } } }
  assert.is_nil(dialects)
  assert.equal("invalid_request", err.code)
  return err
end

describe("dialects", function()
  it("are what ships where nothing changes them", function()
    local dialects = assert(dialect.new { config = {} })
    assert.equal(require "lunation.api.connect", dialects:get "connect")
    assert.is_nil(dialects:get "nobody")
  end)

  it("are extended field by field, by the folder of the configuration before those of provider_path", function()
    local near, far = folder_with 'return extend("connect", { event = { title = "subject" } })',
      folder_with 'return extend("connect", { event = { title = "name", description = "notes" } })'
    local dialects = assert(dialect.new { config = { path = near .. "/lunation.conf.lua", provider_path = { far } } })
    local shown = assert(dialects:get("connect").event:from({ title = "Lunch", description = "Soup", privacy = "secret" }, nil, { app = "demo" }))
    assert.same({ subject = "Lunch", notes = "Soup", privacy = "confidential" }, shown)
  end)

  it("that are wrong are named by file and field", function()
    assert.equal("evnet", refused('return extend("connect", { evnet = {} })').field)
    assert.equal("event", refused('return extend("connect", { event = 1 })').field)
    assert.equal("routes", refused('return { name = "connect", event = mapping { title = "t" } }').field)
    assert.matches("connect.lua:1: ", refused("return extend(").message)
    assert.matches("no other file other.lua", refused('return extend("other", {})').message)
  end)

  it("speak their changed fields over HTTP, both ways", function()
    local dir = folder_with 'return extend("connect", { event = { title = "subject" } })'
    local server = connect.serve { config = ('provider_path { "%s" }\n'):format(dir) }
    local call = connect.local_user(server, "ada")
    local event = { provider = "local", calendarId = "primary", start = "2030-01-07T10:00:00Z", ["end"] = "2030-01-07T11:00:00Z" }
    local missing = call("POST", "/event", { body = event })
    assert.equal(400, missing.status)
    assert.equal("subject is required", missing.json.message)
    event.subject = "Lunch"
    local made = call("POST", "/event", { body = event })
    assert.equal(200, made.status, made.body)
    assert.equal("Lunch", made.json.subject)
    assert.is_nil(made.json.title)
    local page = call("GET", "/events?start=2030-01-01&end=2030-02-01").json
    assert.equal("Lunch", page.events[1].subject)
    assert.equal("busy", page.events[1].availability)
    server.stop()
  end)

  it("are part of what `check` looks at", function()
    local dir = folder_with 'return extend("connect", { evnet = {} })'
    local config = support.write(dir .. "/lunation.conf.lua", "")
    local result = support.lunation { "check", "-c", config, env = { LUNATION_DATA = dir } }
    assert.equal(1, result.code)
    assert.matches("dialects/connect.lua: evnet: a dialect has no such field", result.stdout .. result.stderr)
  end)
end)
