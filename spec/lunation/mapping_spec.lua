-- Mappings: every kind of entry both ways, patches that touch only what differs, errors that name the field, digests.
local mapping = require "lunation.mapping"
local null = require "lunation.null"

local enum, const, list, codec, any = mapping.enum, mapping.const, mapping.list, mapping.codec, mapping.any

describe("a mapping", function()
  local people = mapping { email = mapping.required "mail", name = "display.name" }
  local event = mapping {
    ["@type"] = const "Event",
    title = "summary",
    room = "place.room.name",
    privacy = enum("visibility", { public = "default", secret = "confidential" }),
    people = list("guests", people, { key = "email" }),
    steps = list("steps", { text = "t" }),
    at = codec("changed.at", "epoch"),
    length = codec("minutes", "minutes"),
    notes = any("body.text", "notes"),
    count = mapping.default("n", 3),
    id = mapping.readonly "identifier",
    secret = mapping.writeonly "password",
    organizer = { email = "organizer.mail", name = "organizer.name" },
    loud = codec(nil, {
      to = function(native) return native.shout and native.shout:lower() end,
      from = function(native, value) native.shout = value and value:upper() return true end,
    }),
  }
  local native = {
    identifier = "i1", summary = "Stand-up", place = { room = { name = "Blue", floor = 2 }, city = "Bern" }, visibility = "strange",
    guests = { { mail = "a@x", display = { name = "A", lang = "de" }, vip = true }, { mail = "b@x", rank = 7 } },
    steps = { { t = "one", keep = 1 }, { t = "two" } }, changed = { at = 86400, by = "me" }, minutes = 90, notes = "hello",
    organizer = { mail = "o@x", since = 1999 }, shout = "HEY", unknown = { deep = { 1, 2 } },
  }

  it("reads", function()
    assert.same({
      ["@type"] = "Event", title = "Stand-up", room = "Blue", people = { { email = "a@x", name = "A" }, { email = "b@x" } },
      steps = { { text = "one" }, { text = "two" } }, at = "1970-01-02T00:00:00Z", length = "PT1H30M", notes = "hello", count = 3,
      id = "i1", organizer = { email = "o@x" }, loud = "hey",
    }, event:to(native))
  end)

  it("writes a new native object", function()
    assert.same({
      summary = "T", place = { room = { name = "Red" } }, visibility = "confidential", guests = { { mail = "z@x", display = { name = "Z" } } },
      changed = { at = 0 }, minutes = 45, body = { text = "b" }, n = 1, password = "pw", organizer = { mail = "o@y" }, shout = "LOW",
    }, event:from {
      ["@type"] = "Event", title = "T", room = "Red", privacy = "secret", people = { { email = "z@x", name = "Z" } }, at = "1970-01-01T00:00:00Z",
      length = "PT45M", notes = "b", count = 1, id = "ignored", secret = "pw", organizer = { email = "o@y" }, loud = "low",
    })
  end)

  it("keeps everything on the way there and back", function()
    local before = mapping.copy(native)
    assert.same(native, event:from(event:to(native), native))
    assert.same(before, native)
  end)

  it("changes only what differs", function()
    local canonical = mapping.copy(event:to(native))
    canonical.title = "New"
    canonical.people = { { email = "b@x", name = "B" }, { email = "c@x" } }
    canonical.notes = "there"
    canonical.room = nil
    canonical.privacy = "public"
    canonical.organizer.name = "O"
    local expected = mapping.copy(native)
    expected.summary, expected.notes, expected.visibility = "New", "there", "default"
    expected.place.room.name = nil
    expected.guests = { { mail = "b@x", rank = 7, display = { name = "B" } }, { mail = "c@x" } }
    expected.organizer.name = "O"
    assert.same(expected, event:from(canonical, native))
  end)

  it("takes a field away where it is absent or null", function()
    local canonical = mapping.copy(event:to(native))
    canonical.title, canonical.notes, canonical.organizer, canonical.loud = nil, null, nil, nil
    local written = event:from(canonical, native)
    assert.is_nil(written.summary)
    assert.is_nil(written.notes)
    assert.is_nil(written.shout)
    assert.same({ since = 1999 }, written.organizer)
  end)

  it("names the field of an error", function()
    local function refused(field, message, value, err)
      assert.is_nil(value)
      assert.equal("invalid_request", err.code)
      assert.equal(field, err.field)
      assert.equal(field .. ": " .. message, tostring(err))
    end
    refused("privacy", "odd is none of the words it can be", event:from { privacy = "odd" })
    refused("people[2].email", "is missing", event:from { people = { { email = "a@x" }, { name = "B" } } })
    refused("people[1].email", "is missing", event:to { guests = { {} } })
    refused("people", "is not a list", event:from { people = "a@x" })
    refused("at", "is not a time", event:from { at = "soon" })
    refused("length", "is not a duration", event:from { length = "long" })
    refused("title", "is missing", mapping({ title = mapping.required "t" }):from {})
  end)

  it("refuses an entry that is none", function()
    assert.has_error(function() mapping { title = 5 } end)
    assert.has_error(function() codec("x", "no such codec") end)
  end)

  it("is extended field by field", function()
    local extended = event:extend { title = "subject", notes = false, extra = "x.y" }
    local canonical = extended:to { subject = "S", summary = "no", notes = "no", x = { y = 1 }, visibility = "confidential" }
    assert.equal("S", canonical.title)
    assert.is_nil(canonical.notes)
    assert.equal(1, canonical.extra)
    assert.equal("secret", canonical.privacy)
    assert.equal("Stand-up", event:to(native).title)
  end)

  it("has a digest that follows what it does", function()
    local function make(word, factor)
      return mapping { a = "x", b = enum("y", { on = word }), c = codec("z", { to = function(v) return v * factor end,
        from = function(v) return v / factor end }) }
    end
    assert.equal(make("1", 2):digest(), make("1", 2):digest())
    assert.not_equal(make("1", 2):digest(), make("2", 2):digest())
    assert.not_equal(make("1", 2):digest(), make("1", 3):digest())
    local base = make("1", 2)
    assert.not_equal(base:digest(), base:extend({ a = "w" }):digest())
    assert.equal(base:digest(), base:extend({}):digest())
    assert.truthy(base:digest():match("^%x+$"))
  end)

  it("writes a field again when one it depends on changes", function()
    local calls = 0
    local m = mapping { a = "a", b = mapping.entry {
      depends = { "a" }, read = function(n) return n.b end,
      write = function(n, value) calls, n.b = calls + 1, value return true end,
    } }
    m:from({ a = 1, b = 1 }, { a = 1, b = 1 })
    assert.equal(0, calls)
    m:from({ a = 2, b = 1 }, { a = 1, b = 1 })
    assert.equal(1, calls)
  end)

  it("compares by meaning", function()
    assert.is_true(mapping.equal({ ["@type"] = "X", a = { 1, 2 }, b = null }, { a = { 1, 2 } }))
    assert.is_false(mapping.equal({ a = { 1, 2 } }, { a = { 1, 2, 3 } }))
    assert.is_false(mapping.equal({ a = 1 }, { a = 1, b = false }))
  end)
end)
