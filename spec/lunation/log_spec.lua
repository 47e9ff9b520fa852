local support = require "spec.support"
local host = require "lunation.host"
local process = require "lunation.process"

local function logged(code)
  local path = support.write(support.tmpdir() .. "/script.lua", "local log = require 'lunation.log'\n" .. code)
  return assert(process.run { args = { host.executable, "run", path }, stderr = "pipe" }).stderr
end

describe("the log", function()
  it("is text with the fields in order", function()
    local line = logged "log.info('synced', { calendars = 2, account = 7, name = 'two words' }) log.debug('hidden')"
    assert.matches("^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ info  synced account=7 calendars=2 name=\"two words\"\n$", line)
  end)

  it("is JSON where asked", function()
    local line = logged [[log.configure { json = true, level = "debug" }
      log.debug("odd \1 \"text\"", { n = 1.5, list = { 1, "b" }, nested = { a = true }, bad = "\xff" })]]
    local object = assert(require("dkjson").decode(line))
    assert.are.equal('odd \1 "text"', object.message)
    assert.are.equal("debug", object.level)
    assert.are.equal(1.5, object.n)
    assert.are.same({ 1, "b" }, { object.list[1], object.list[2] })
    assert.is_true(object.nested.a)
  end)

  it("holds no secret, however deep or hidden in a URL", function()
    for _, mode in ipairs { "", "log.configure { json = true }" } do
      local text = logged(mode .. [[
        log.info("GET https://bob:hunter2@example.org/?access_token=hunter3&x=1", {
          password = "hunter4", headers = { Authorization = "Basic aHVudGVyNQ==", ["Set-Cookie"] = "hunter6" },
          url = "https://example.org/cb?code=hunter7&state=ok", error = "sent Bearer hunter8.a-b", refresh_token = { "hunter9" },
        })]])
      assert.is_nil(text:find "hunter")
      assert.is_nil(text:find "aHVudGVyNQ")
      assert.matches("state=ok", text)
      assert.matches("x=1", text)
    end
  end)

  it("cannot be forged by a line end in a value", function()
    local text = logged [[log.info("a", { name = "x\n2025-01-01T00:00:00.000Z info  forged\27[0m" })]]
    assert.is_nil(text:find "\n2025")
    assert.is_nil(text:find "\27")
  end)
end)
