-- How providers are found, changed by files of the integrator's own, and refused when they are wrong.
local provider = require "lunation.provider"
local support = require "spec.support"

local body = [[
  name = "%s", title = "T", aliases = { %s }, auth = { kind = "none" }, can = { write = false },
  event = mapping { title = "subject" }, calendar = mapping { id = "id" },
  calendars = function() return {} end,
  changes = function() return function() return nil end end,
]]

local function complete(name, aliases)
  return "return {" .. body:format(name, aliases or "") .. "}"
end

local function load_with(files)
  local dir = support.tmpdir()
  for name, text in pairs(files) do support.write(dir .. "/" .. name .. ".lua", text) end
  return provider.load { path = { dir } }
end

local function refused(files)
  local registry, err = load_with(files)
  assert.is_nil(registry)
  assert.equal("invalid_request", err.code)
  return err
end

describe("providers", function()
  it("that ship are there under every one of their names", function()
    local registry = assert(provider.load())
    for name, canonical in pairs {
      caldav = "caldav", apple = "apple", icloud_calendar = "apple", ["local"] = "local", ics = "ics",
      google = "google", google_calendar = "google", GOOGLE = "google",
      microsoft = "microsoft", outlook_calendar = "microsoft", outlook = "microsoft", OUTLOOK = "microsoft",
    } do
      assert.equal(canonical, assert(registry:get(name)).name)
    end
    local unknown, err = registry:get("nobody")
    assert.is_nil(unknown)
    assert.equal("invalid_request", err.code)
    assert.equal("provider", err.field)
    local names = table.concat(registry:names(), " ")
    assert.truthy(names:find("apple caldav", 1, true))
  end)

  it("of the integrator stand beside them", function()
    local registry = assert(load_with { acme = complete("acme", '"acme_calendar"') })
    local acme = assert(registry:get("acme_calendar"))
    assert.equal("acme", acme.name)
    assert.same({ title = "Lunch" }, acme.event:to { subject = "Lunch" })
    assert.same({ identity = "acme", name = "T", settings = {} }, acme.identify {})
    assert.equal("x", acme.new_id("x"))
    assert.same({ configured = 1 }, assert(provider.load { providers = { caldav = { configured = 1 } } }):settings("caldav"))
  end)

  it("of OAuth say where to send people, and have what they promise", function()
    local function acme(more, auth, urls)
      more = (urls or 'urls = { api = "https://a.example/api" }, ') .. more
      return { acme = "return {" .. body:format("acme", ""):gsub('auth = { kind = "none" }', "auth = " .. (auth
        or [[{ kind = "oauth2", authorize = "https://a.example/auth", token = "https://a.example/token", scopes = { read = { "r" } } }]]))
        .. more .. "}" }
    end
    assert(load_with(acme('limits = { concurrency = 4, buckets = { { requests = 10, seconds = 1 } } }, watches = "account"')))
    assert.truthy(refused(acme("", [[{ kind = "oauth2", authorize = "https://a.example" }]])).message:find("auth.token", 1, true))
    assert.truthy(refused(acme("", nil, "urls = {},")).message:find("urls: must name", 1, true))
    assert.truthy(refused(acme("limits = { concurrency = 0 }")).message:find("limits.concurrency", 1, true))
    assert.truthy(refused(acme('watches = "event"')).message:find("watches", 1, true))
    assert.truthy(refused { acme = complete("acme"):gsub("can = {", "can = { contacts = true,") }.message:find("contacts: is missing", 1, true))
  end)

  it("shadow those of the same name and extend them field by field", function()
    local registry = assert(load_with {
      caldav = [[
        local base = extend("caldav", { title = "Our server", can = { push = true }, calendar = { title = "href" } })
        return base
      ]],
    })
    local plain = assert(provider.load()):get("caldav")
    local ours = registry:get("caldav")
    assert.equal("Our server", ours.title)
    assert.is_true(ours.can.push)
    assert.is_true(ours.can.write)
    assert.equal("https://x/", ours.calendar:to { href = "https://x/", displayname = "X" }.title)
    assert.equal("X", plain.calendar:to { href = "https://x/", displayname = "X" }.title)
    assert.are_not.equal(assert(provider.load()):digest("caldav"), registry:digest("caldav"))
    -- What extends it follows.
    assert.equal("https://x/", registry:get("apple").calendar:to { href = "https://x/", displayname = "X" }.title)
  end)

  it("may be shadowed twice", function()
    local outer, inner = support.tmpdir(), support.tmpdir()
    support.write(outer .. "/acme.lua", 'return extend("acme", { title = "Outer" })')
    support.write(inner .. "/acme.lua", 'return extend("ics", {' .. body:format("acme", "") .. 'title = "Inner", can = { push = true } })')
    local acme = assert(provider.load { path = { outer, inner } }):get("acme")
    assert.equal("Outer", acme.title)
    assert.same({ push = true, write = false, incremental = true }, acme.can)
  end)

  it("have a digest that is the same in every process", function()
    local script = support.tmpdir() .. "/digests.lua"
    support.write(script, [[
      local registry = assert(require("lunation.provider").load {})
      for _, name in ipairs(registry:names()) do print(name, registry:digest(name)) end
    ]])
    local registry, expected = assert(provider.load {}), {}
    for i, name in ipairs(registry:names()) do expected[i] = name .. "\t" .. registry:digest(name) end
    local ran = support.lunation { "run", script }
    assert.equal(table.concat(expected, "\n") .. "\n", ran.stdout)
  end)

  it("have a digest that changes with their file", function()
    local one = assert(load_with { acme = complete("acme") }):digest("acme")
    local same = assert(load_with { acme = complete("acme") }):digest("acme")
    local other = assert(load_with { acme = complete("acme"):gsub("subject", "summary") }):digest("acme")
    assert.equal(one, same)
    assert.are_not.equal(one, other)
  end)

  describe("that are wrong are refused by file and field:", function()
    for what, case in pairs {
      ["no table"] = { text = "return 1", field = "return" },
      ["another name"] = { text = complete("other"), field = "name" },
      ["no mapping"] = { text = complete("acme"):gsub('mapping { title = "subject" }', "{}"), field = "event" },
      ["unknown kind of login"] = { text = complete("acme"):gsub('"none"', '"magic"'), field = "auth.kind" },
      ["no changes"] = { text = complete("acme"):gsub("changes", "changed"), field = "changes" },
      ["writes without create"] = { text = complete("acme"):gsub("write = false", "write = true"), field = "create" },
      ["an ability that is no boolean"] = { text = complete("acme"):gsub("write = false", 'write = "no"'), field = "can.write" },
      ["a watch that is no function"] = { text = complete("acme"):gsub("calendars =", "watch = 1, calendars ="), field = "watch" },
    } do
      it(what, function()
        local err = refused { acme = case.text }
        assert.equal(case.field, err.field)
        assert.truthy(err.message:find("/acme.lua", 1, true), err.message)
      end)
    end

    it("no Lua", function()
      local err = refused { acme = "return {\n  name = \n}" }
      assert.equal(3, err.line)
      assert.truthy(err.message:find("acme.lua:3:", 1, true))
    end)

    it("a program that fails", function()
      local err = refused { acme = "error('out of ideas')" }
      assert.truthy(err.message:find("acme.lua:1: out of ideas", 1, true))
    end)

    it("a mistake in a mapping", function()
      local err = refused { acme = complete("acme"):gsub('"subject"', "enum(5)") }
      assert.truthy(err.message:find("acme.lua", 1, true))
    end)

    it("nothing to extend", function()
      local err = refused { acme = 'return extend("nobody", {})' }
      assert.truthy(err.message:find("nobody.lua", 1, true))
    end)

    it("circles", function()
      local err = refused { acme = 'return extend("zeta", {})', zeta = 'return extend("acme", {})' }
      assert.truthy(err.message:find("circles", 1, true))
    end)

    it("two of one name", function()
      local err = refused { acme = complete("acme", '"caldav"') }
      assert.equal("aliases", err.field)
    end)
  end)
end)
