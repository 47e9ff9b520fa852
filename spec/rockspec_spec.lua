-- The rockspec lists what the calendar modules need, and they work in stock lua5.4.

local fs = require "lunation.fs"
local process = require "lunation.process"
local support = require "spec.support"

local root = require("lunation.host").root

local function rockspec()
  local fields = {}
  assert(loadfile(root .. "/lunation-scm-1.rockspec", "t", fields))()
  return fields.build.modules
end

local function read(path)
  local file <close> = assert(io.open(root .. "/" .. path))
  return file:read "a"
end

local function run(...)
  local child = assert(process.spawn { args = { ... }, stdout = "pipe", stderr = "pipe", cwd = root })
  local text = child:read_all()
  return child:wait(60).code, text
end

describe("the rockspec", function()
  local modules = rockspec()

  it("lists files that are there, and every C file of src/calendar but the agenda's", function()
    local listed = {}
    for name, module in pairs(modules) do
      for _, path in ipairs(type(module) == "string" and { module } or module.sources) do
        assert.is_not_nil(fs.stat(root .. "/" .. path), name .. ": " .. path)
        listed[path] = true
      end
    end
    local agenda = {
      agenda = true, agenda_foreign = true, agenda_lua = true, chunk = true, event = true, jscan = true, page = true, rendering = true, run = true, text = true,
    }
    for _, name in ipairs(fs.list(root .. "/src/calendar")) do
      local base = name:match "^(.*)%.c$"
      if base and not agenda[base] then assert.is_true(listed["src/calendar/" .. name], name) end
    end
  end)

  it("lists every module that a listed one requires", function()
    for name, module in pairs(modules) do
      if type(module) == "string" then
        for wanted in read(module):gmatch "require%s*%(?%s*\"(lunation[%w_.]*)\"" do
          assert.is_not_nil(modules[wanted], name .. " requires " .. wanted)
        end
      end
    end
  end)

  it("lists every file of lua/lunation/ical", function()
    local listed = {}
    for _, module in pairs(modules) do
      if type(module) == "string" then listed[module] = true end
    end
    for _, name in ipairs(fs.list(root .. "/lua/lunation/ical")) do
      assert.is_true(listed["lua/lunation/ical/" .. name], name)
    end
  end)

  it("gives modules that stock lua5.4 loads and that answer", function()
    local dir = support.tmpdir()
    for name, module in pairs(modules) do
      local target = dir .. "/" .. name:gsub("%.", "/")
      run("mkdir", "-p", (target:gsub("/[^/]*$", "")))
      if type(module) == "table" then
        local args = { "cc", "-std=c11", "-D_GNU_SOURCE", "-O0", "-shared", "-fPIC", "-I/usr/include/lua5.4", "-o", target .. ".so" }
        for _, incdir in ipairs(module.incdirs) do args[#args + 1] = "-I" .. incdir end
        local code, text = run(table.unpack(table.move(module.sources, 1, #module.sources, #args + 1, args)))
        assert.equal(0, code, text)
      end
    end
    local code, text = run("env", "LUA_CPATH_5_4=" .. dir .. "/?.so", "LUA_PATH_5_4=" .. root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua",
      "lua5.4", "-e", [[
        local rrule, tz, ical = require "lunation.rrule", require "lunation.tz", require "lunation.ical"
        print((rrule.expand { dtstart = "1997-09-02T09:00:00", tzid = "America/New_York", rrule = { "FREQ=DAILY;COUNT=10" } })[10])
        print(tz.to_utc("2025-03-09T02:30:00", "America/New_York"))
        print(ical.events("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20250101T100000Z\r\nSUMMARY:One\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")[1].title)
      ]])
    assert.equal(0, code)
    assert.equal("1997-09-11T09:00:00\n1741505400\nOne\n", text)
  end)
end)
