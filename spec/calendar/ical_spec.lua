-- The tree of an iCalendar text: what is kept, what is mended, what is refused, and the way back to text.
local ical = require "lunation.ical"
local tree = require "lunation.ical.tree"

local function lines(...)
  return table.concat({ ... }, "\r\n") .. "\r\n"
end

local function event(...)
  return lines("BEGIN:VCALENDAR", "BEGIN:VEVENT", ...) .. "END:VEVENT\r\nEND:VCALENDAR\r\n"
end

local function first_property(text, options)
  local root, warnings = ical.parse(text, options)
  assert(root, tostring(warnings))
  return root.components[1].properties[1], warnings
end

describe("lunation.ical.parse", function()
  it("makes a tree in the order of the text", function()
    local root, warnings = ical.parse(lines("BEGIN:VCALENDAR", "VERSION:2.0", "X-B:2", "X-A:1", "BEGIN:VEVENT", "UID:1",
      "BEGIN:VALARM", "ACTION:DISPLAY", "END:VALARM", "END:VEVENT", "END:VCALENDAR"))
    assert.same({}, warnings)
    assert.same({
      name = "VCALENDAR",
      properties = {
        { name = "VERSION", params = {}, value = "2.0" }, { name = "X-B", params = {}, value = "2" },
        { name = "X-A", params = {}, value = "1" },
      },
      components = { {
        name = "VEVENT", properties = { { name = "UID", params = {}, value = "1" } },
        components = { { name = "VALARM", properties = { { name = "ACTION", params = {}, value = "DISPLAY" } }, components = {} } },
      } },
    }, root)
  end)

  it("keeps values as they are written", function()
    assert.equal([[a\, b\; c\n d\\ e "f"  ]], first_property(event([[DESCRIPTION:a\, b\; c\n d\\ e "f"  ]])).value)
    assert.equal("", first_property(event("LOCATION:")).value)
    assert.equal("http://x/?a=1;b=2:3", first_property(event("URL:http://x/?a=1;b=2:3")).value)
  end)

  it("reads parameters: several values, quotes, carets of RFC 6868", function()
    local p = first_property(event([[ATTENDEE;MEMBER="mailto:a@x","mailto:b@x";CN="Doe, ^'J^' ^^ ^n2";X-EMPTY=:mailto:c@x]]))
    assert.same({
      { name = "MEMBER", "mailto:a@x", "mailto:b@x" }, { name = "CN", 'Doe, "J" ^ \n2' }, { name = "X-EMPTY", "" },
    }, p.params)
    assert.equal("mailto:c@x", p.value)
  end)

  it("knows names in any letter case and remembers the spelling", function()
    local p = first_property("begin:vcalendar\r\nBegin:vEvent\r\ndtStart;tzid=Europe/Berlin:20250101T000000\r\nend:VEVENT\r\nEnd:vcalendar\r\n")
    assert.equal("DTSTART", p.name)
    assert.equal("dtStart", p.spelling)
    assert.equal("TZID", p.params[1].name)
    assert.truthy(tree.serialize(ical.parse(event("x-Foo;x-p=1:y"))):find("\r\nx-Foo;x-p=1:y\r\n", 1, true))
  end)

  describe("unfolds", function()
    for name, fold in pairs { ["CRLF and a space"] = "\r\n ", ["a bare LF"] = "\n ", ["a tab"] = "\r\n\t", ["a blank line between"] = "\r\n\r\n " } do
      it(name, function()
        assert.equal("one two", first_property(event("SUMMARY:one" .. fold .. " two")).value)
      end)
    end
    it("inside a character and inside an escape", function()
      assert.equal("caf\xC3\xA9 \\n", first_property(event("SUMMARY:caf\xC3\r\n \xA9 \\\r\n n")).value)
    end)
    it("inside a name", function()
      assert.equal("SUMMARY", first_property(event("SUMM\r\n ARY:x")).name)
    end)
    it("quoted-printable of vCalendar 1.0", function()
      local p = first_property(event("DESCRIPTION;ENCODING=QUOTED-PRINTABLE:one=0D=0A=\r\ntwo=\r\nthree"))
      assert.equal("one=0D=0Atwothree", p.value)
    end)
  end)

  describe("mends, with a warning that names the line", function()
    local function warned(text, line, pattern)
      local root, warnings = ical.parse(text)
      assert(root, tostring(warnings))
      assert.equal(line, warnings[1].line)
      assert.truthy(warnings[1].message:find(pattern), warnings[1].message)
      return root
    end
    it("a byte order mark", function()
      warned("\xEF\xBB\xBF" .. event("UID:1"), 1, "byte order mark")
    end)
    it("Latin-1", function()
      local root = warned(event("UID:1", "SUMMARY:caf\xE9 \x80 \xC3\xA9"), 4, "UTF%-8")
      assert.equal("café € é", root.components[1].properties[2].value)
    end)
    it("UTF-16 of either order", function()
      local text = event("UID:1")
      local little, big = {}, {}
      for c in text:gmatch(".") do
        little[#little + 1] = c .. "\0"
        big[#big + 1] = "\0" .. c
      end
      assert.equal("1", warned("\xFF\xFE" .. table.concat(little), 1, "UTF%-16").components[1].properties[1].value)
      assert.equal("1", warned("\xFE\xFF" .. table.concat(big), 1, "UTF%-16").components[1].properties[1].value)
    end)
    it("missing ENDs", function()
      local root = warned(lines("BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:1", "BEGIN:VALARM", "ACTION:AUDIO", "END:VEVENT", "X-A:1"), 6,
        "VALARM of line 4 has no END")
      assert.equal("X-A", root.properties[1].name)
      assert.equal("ACTION", root.components[1].components[1].properties[1].name)
    end)
    it("an END of nothing", function()
      warned(lines("BEGIN:VCALENDAR", "END:VEVENT", "END:VCALENDAR"), 2, "without its BEGIN")
    end)
    it("a line that is no property, which it keeps", function()
      local text = event("UID:1", "Join us at 5", ":empty", "X-A;B=C")
      local root = warned(text, 4, "not a property")
      assert.same({ "UID", "", "", "" }, (function()
        local names = {}
        for i, p in ipairs(root.components[1].properties) do names[i] = p.name end
        return names
      end)())
      assert.equal(text, tree.serialize(root))
    end)
    it("a quote that is not closed", function()
      local root = warned(event('ATTENDEE;CN="Bob;ROLE=CHAIR:mailto:a@x'), 3, "quote is not closed")
      local p = root.components[1].properties[1]
      assert.equal('"Bob', p.params[1][1])
      assert.equal("CHAIR", p.params[2][1])
      assert.equal("mailto:a@x", p.value)
    end)
  end)

  it("holds several calendars, or lines outside of them, under a node without a name", function()
    local text = event("UID:1") .. event("UID:2")
    local root = ical.parse(text)
    assert.equal("", root.name)
    assert.equal(2, #root.components)
    assert.equal(text, tree.serialize(root))
    root = ical.parse("X-STRAY:1\r\n" .. event("UID:1"))
    assert.equal("X-STRAY", root.properties[1].name)
  end)

  describe("answers with an error and its line", function()
    local function refused(text, options, code, line, pattern)
      local root, err = ical.parse(text, options)
      assert.is_nil(root)
      assert.equal(code, err.code)
      assert.equal(line, err.line)
      assert.truthy(tostring(err):find(pattern), tostring(err))
    end
    it("for what is no calendar", function()
      refused("", nil, "invalid_request", 1, "not iCalendar")
      refused("<html><body>502</body></html>", nil, "invalid_request", 1, "not iCalendar")
      refused(("\0\1\2\255"):rep(1000), nil, "invalid_request", 1, "not iCalendar")
    end)
    it("for too much", function()
      refused(event("UID:1"), { max = 20 }, "too_large", 1, "larger than 20")
      refused(("BEGIN:X\r\n"):rep(30), nil, "too_large", 17, "nested deeper than 16")
      refused(("BEGIN:X\r\n"):rep(300), { depth = 1000 }, "too_large", 65, "nested deeper than 64")
      refused(event(("X-A:1\r\n"):rep(20) .. "UID:1"), { properties = 10 }, "too_large", 13, "more than 10 properties")
    end)
    it("strictly, for what RFC 5545 does not have", function()
      local strict = { strict = true }
      assert.truthy(ical.parse(event("UID:1"), strict))
      refused((event("UID:1"):gsub("\r\n", "\n")), strict, "invalid_request", 1, "CRLF")
      refused(event("UID:1", "", "X-A:1"), strict, "invalid_request", 4, "blank line")
      refused(event("UID:1", "what is this"), strict, "invalid_request", 4, "not a property")
      refused(event("X_A:1"), strict, "invalid_request", 3, "characters that names do not have")
      refused(event("SUMMARY:caf\xE9"), strict, "invalid_request", 3, "UTF%-8")
      refused(event("SUMMARY:a\1b"), strict, "invalid_request", 3, "control character")
      refused(lines("BEGIN:VCALENDAR", "BEGIN:VEVENT", "END:VCALENDAR"), strict, "invalid_request", 3, "VEVENT of line 2 has no END")
      refused(lines("BEGIN:VCALENDAR", "VERSION:2.0"), strict, "invalid_request", 2, "VCALENDAR of line 1 has no END")
      refused(event("UID:1") .. event("UID:2"), strict, "invalid_request", 1, "not one")
    end)
    it("and raises for what is no text", function()
      assert.has_error(function() ical.parse(nil) end)
    end)
  end)

  it("puts lines into the tree when asked", function()
    local root = ical.parse(event("SUMMARY:a\r\n b", "UID:1"), { positions = true })
    assert.equal(2, root.components[1].line)
    assert.equal(3, root.components[1].properties[1].line)
    assert.equal(5, root.components[1].properties[2].line)
  end)
end)

describe("lunation.ical.serialize", function()
  it("folds at 75 octets, between characters, with CRLF", function()
    local value = ("é€😀x"):rep(60)
    local root = ical.parse(event("DESCRIPTION:" .. value))
    local text = ical.serialize(root)
    assert.is_nil(text:gsub("\r\n", ""):find("[\r\n]"))
    for line in text:gmatch("(.-)\r\n") do
      assert.is_true(#line <= 75)
      assert.truthy(utf8.len(line))
    end
    assert.same(root, ical.parse(text))
    local exact = event("X-A:" .. ("x"):rep(71))
    assert.equal(exact, ical.serialize(ical.parse(exact)))
  end)

  it("quotes and encodes parameters where they need it", function()
    local node = { name = "X", properties = { { name = "A", value = "v", params = {
      { name = "CN", 'Doe, "J" ^\n2' }, { name = "B", "plain", "a:b" }, { name = "FLAG" },
    } } }, components = {} }
    assert.equal('BEGIN:X\r\nA;CN="Doe, ^\'J^\' ^^^n2";B=plain,"a:b";FLAG:v\r\nEND:X\r\n', ical.serialize(node))
  end)

  it("lets nothing break out of its line", function()
    local text = ical.serialize { name = "X", properties = { { name = "A", value = "1\r\nEND:X\nB:2\rC:3", params = { { name = "P", "q\r\nr" } } } } }
    assert.equal("BEGIN:X\r\nA;P=q^nr:1\\nEND:X\\nB:2\\nC:3\r\nEND:X\r\n", text)
    assert.has_error(function() ical.serialize { name = "X", properties = { { name = "A\nB", value = "1" } } } end)
    assert.has_error(function() ical.serialize { name = "X\r\n", properties = {} } end)
    assert.has_error(function() ical.serialize { name = "X", properties = { { name = "A", value = {} } } } end)
    local deep = { name = "X" }
    deep.components = { deep }
    assert.has_error(function() ical.serialize(deep) end)
  end)
end)

describe("damaged texts", function()
  local ics = require "spec.support.ics"
  local mapping = require "lunation.ical.mapping"

  -- The same damage in every run: cuts, bytes, repeated pieces and lines that mean something elsewhere.
  local function damaged(text, random)
    local pieces = { "\r\n", "\n ", "BEGIN:VEVENT\r\n", "END:VEVENT\r\n", ":", ";", "=", '"', "^", "\0", "\255", "BEGIN :X\r\n", "BEGIN;A=1:X\r\n",
      "RRULE:FREQ=SECONDLY\r\n", "DTSTART:99991231T235959Z\r\n", "DTSTART;TZID=X:00010101T000000\r\n", "EXDATE;VALUE=DATE:20250101\r\n",
      "RECURRENCE-ID;RANGE=THISANDFUTURE:20200101\r\n", "RDATE;VALUE=PERIOD:20250101T000000Z/P9999999W\r\n", "DURATION:P99999999W\r\n", "ATTENDEE:\r\n" }
    for _ = 1, random(6) do
      local at, kind = random(#text), random(4)
      if kind == 1 then text = text:sub(1, at - 1) .. text:sub(at + random(20))
      elseif kind == 2 then text = text:sub(1, at) .. pieces[random(#pieces)] .. text:sub(at + 1)
      elseif kind == 3 then text = text:sub(1, at - 1) .. string.char(random(256) - 1) .. text:sub(at + 1)
      else
        local from = random(#text)
        text = text:sub(1, at) .. text:sub(from, from + 150) .. text:sub(at + 1)
      end
    end
    return text
  end

  it("are read or refused, are the same tree again, and are not touched by a write that changes nothing", function()
    local state = 42
    local function random(n)
      state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (state >> 33) % n + 1
    end
    local original = ics.fixture "series"
    for _ = 1, 600 do
      local text = damaged(original, random)
      local root = tree.parse(text)
      tree.parse(text, { strict = true })
      if root then
        assert.same(root, (tree.parse(tree.serialize(root))))
        local read = mapping:to { text = text }
        if read then
          assert.equal(tree.serialize(root), mapping:from(read, { text = text }).text)
          read.title = "changed"
          assert(mapping:from(read, { text = text }))
        end
        local events = assert(ical.events(text))
        assert(ical.from_events(events))
        assert(ical.instances(text, { from = "2025-03-01", to = "2025-04-01", limit = 50 }))
      end
    end
  end)
end)

describe("text values", function()
  it("are escaped and unescaped", function()
    local text = "a, b; c\\d\ne"
    assert.equal([[a\, b\; c\\d\ne]], ical.escape(text))
    assert.equal(text, ical.unescape(ical.escape(text)))
    assert.equal("x\ny", ical.unescape("x\\Ny"))
    assert.equal([[C:\tmp\x]], ical.unescape([[C:\tmp\x]]))
    assert.equal([[x\]], ical.unescape([[x\]]))
    assert.equal([[a\nb\nc]], ical.escape("a\r\nb\rc"))
  end)
  it("are split where the comma has no backslash", function()
    assert.same({ "a,b", "c", "" }, ical.split([[a\,b,c,]]))
    assert.same({ [[a\,b]], "c" }, ical.split([[a\,b;c]], ";", true))
  end)
end)
