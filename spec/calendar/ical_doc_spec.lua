-- What the two readers and the two writers of calendar texts must agree on, whatever stands in the text; and what a text costs.
local tree = require "lunation.ical.tree"
local ics = require "spec.support.ics"
local timer = require "lunation.timer"

-- The same numbers in every run.
local function sequence(seed)
  return function(n)
    seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (seed >> 33) % n + 1
  end
end

-- White space behind the last line keeps every other line away from the end, where the text is read octet by octet.
local far = ("X-FAR:%s\r\n"):format(("x"):rep(60)):rep(4)

local function calendar(body)
  return "BEGIN:VCALENDAR\r\n" .. body .. far .. "END:VCALENDAR\r\n"
end

local function check_cost(text)
  local again, octets = tree.rewrite(text)
  if again then assert.is_true(octets <= 65536 + 16 * #text, ("%d octets for %d"):format(octets, #text)) end
  return again
end

describe("a calendar text", function()
  it("is the same tree written without tables between, after any damage", function()
    local random = sequence(7)
    local original = ics.fixture "series"
    local pieces = { "\r\n", "\n", "\r", "\r\n ", "\n\t", "\r\n\r\n ", ":", ";", "=", ",", '"', "^n", "^", "\0", "\t", "\127", "\200", "é", "€", "😀",
      "BEGIN:X\r\n", "END:X\r\n", "begin:y\r\n", "End:VEVENT\r\n", "BEGIN :X\r\n", "END;A=1:X\r\n", ";=:", ";A:", ";A=:", ";A==b:", ';A="', ';A="b;c":',
      "=\r\n", "QUOTED-PRINTABLE", ("y"):rep(70), ("z"):rep(200), ("é"):rep(40), "x-lower;x-p=1:2\r\n" }
    for _ = 1, 1500 do
      local text = original
      for _ = 1, random(8) do
        local at = random(#text)
        text = text:sub(1, at) .. pieces[random(#pieces)] .. text:sub(at + random(4))
      end
      local root, warnings = tree.parse(text)
      local again, err = tree.rewrite(text)
      if root then
        assert.is_true(#warnings <= 100)
        assert.same(root, (tree.parse(again)))
        assert.equal(again, tree.rewrite(again))
      else
        assert.same(warnings, err)
      end
      check_cost(text)
    end
  end)

  it("is the same tree wherever its line ends and folds stand", function()
    local random = sequence(11)
    local lines = { "SUMMARY:é€😀 and the rest of it", "DTSTART;TZID=America/New_York:20250101T090000",
      'ATTENDEE;CN="Doe, J^^";ROLE=CHAIR;MEMBER="mailto:a@x","mailto:b@x":mailto:c@x', "X-EMPTY:", "x-lower;x-p=a=b:c:d;e", "X-LONG:" .. ("0123456789"):rep(20),
      "X-BASE64;ENCODING=BASE64:AAAA====", "X-VERY-LONG-NAME-OF-A-PROPERTY-THAT-GOES-ON:1", "X-P;A=" .. ("b"):rep(90) .. ":c" }
    local plain = calendar(table.concat(lines, "\r\n") .. "\r\n")
    local expected = tree.parse(plain)
    assert.equal(#lines + 4, #expected.properties)
    for _ = 1, 400 do
      local broken = {}
      for i, line in ipairs(lines) do
        if random(4) > 1 then
          local at = random(#line)
          line = line:sub(1, at) .. ({ "\r\n ", "\n ", "\r\n\t", "\n\t", "\r ", "\r\t" })[random(6)] .. line:sub(at + 1)
        end
        broken[i] = line .. ({ "\r\n", "\n", "\r" })[random(3)]
      end
      local text = calendar(table.concat(broken))
      assert.same(expected, (tree.parse(text)))
      assert.equal(tree.serialize(expected), tree.rewrite(text))
    end
  end)

  it("is the same tree read near its end, where there is nothing to look ahead at", function()
    for length = 0, 260 do
      local body = ("SUMMARY;LANGUAGE=en:%s\r\n"):format(("é"):rep(length // 2) .. ("x"):rep(length % 2))
      local short = tree.parse("BEGIN:VCALENDAR\r\n" .. body .. "END:VCALENDAR\r\n")
      local long = tree.parse(calendar(body))
      assert.same(long.properties[1], short.properties[1])
      assert.equal(length // 2 * 2 + length % 2, #short.properties[1].value)
    end
  end)

  it("folds at 75 octets, never inside a character, at every length", function()
    for length = 1, 320 do
      for _, letter in ipairs { "x", "é", "€", "😀" } do
        local value = ("y"):rep(length % 4) .. letter:rep(length // #letter)
        local text = tree.rewrite(calendar("A:" .. value .. "\r\n"))
        local line = text:match "\r\n(A:.-\r\n)[^ ]"
        for piece in line:gmatch "(.-)\r\n" do
          assert.is_true(#piece <= 75)
          assert.truthy(utf8.len(piece))
        end
        -- No piece but the last has room for one character more.
        for piece in line:gmatch "([^\r\n]*)\r\n " do assert.is_true(#piece + 1 + #letter > 75) end
        assert.equal("A:" .. value .. "\r\n", (line:gsub("\r\n ", "")))
      end
    end
  end)

  it("costs at most sixteen times its octets and 64 KiB", function()
    local open, close = "BEGIN:VCALENDAR\r\n", "END:VCALENDAR\r\n"
    for _, body in ipairs { "A:\n", "\n", "x\n", "\128\n", "\128", "A:\128\n", "A:\n \n \128",
      "BEGIN:X\nEND:X\n", "BEGIN:X\n", "END:X\n", "a\r", ";\n", "\255\r\n " } do
      for _, n in ipairs { 1, 10, 1000, 100000 } do
        check_cost(open .. body:rep(n) .. close)
        check_cost(body:rep(n))
      end
    end
    local text = "\xFF\xFE" .. (open .. ("A\n"):rep(50000) .. close):gsub(".", "%0\0")
    assert.equal(open .. ("A\r\n"):rep(50000) .. close, check_cost(text))
  end)

  it("is read in a time that grows as it does, however its lines end", function()
    local began = timer.now()
    for _, body in ipairs { "\n", "\r", "\r\n", "A:\r", "\n\r", "A\r ", "A:1\r\r \r" } do check_cost("BEGIN:VCALENDAR\n" .. body:rep(2000000 // #body)) end
    -- Milliseconds each; where every line looked at all that follows it, minutes.
    assert.is_true(timer.now() - began < 10)
  end)

  it("is never more than an error, whatever its octets are", function()
    local random = sequence(13)
    for _ = 1, 2000 do
      local octets = {}
      for i = 1, random(200) do octets[i] = string.char(random(4) > 1 and random(256) - 1 or ({ 10, 13, 32, 58, 59, 61, 34, 66 })[random(8)]) end
      local text = table.concat(octets)
      if random(2) == 1 then text = "BEGIN:VCALENDAR\r\n" .. text end
      local root, second = tree.parse(text)
      if root then
        assert.same(root, (tree.parse(tree.serialize(root))))
      else
        assert.is_true(second.line >= 1 and second.column >= 1 and #second.code > 0)
      end
      check_cost(text)
    end
  end)

  it("loses byte order marks outside of its components", function()
    assert.equal("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", tree.rewrite "\n\n\xEF\xBB\xBF \xEF\xBB\xBFBEGIN:VCALENDAR\nEND:VCALENDAR")
    -- Where texts were put behind one another, and before a line that tables would be written from first.
    local behind = tree.rewrite "BEGIN:VCALENDAR\nEND:VCALENDAR\n\xEF\xBB\xBF\nRRULE:FREQ=DAILY\n"
    assert.equal("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\nRRULE:FREQ=DAILY\r\n", behind)
    assert.equal(behind, tree.rewrite(behind))
  end)

  it("is refused by what is too much of it, with the line where that stands", function()
    for _, case in ipairs {
      { calendar "A:1\r\n", { max = 10 }, 1, "larger than 10 octets" },
      { calendar "A:1\r\nB:2\r\nC:3\r\n", { properties = 2 }, 4, "more than 2 properties" },
      { calendar(("BEGIN:X\r\n"):rep(5)), { depth = 3 }, 4, "deeper than 3" },
      { calendar(("BEGIN:X\r\n"):rep(20)), {}, 17, "deeper than 16" },
      { calendar(("BEGIN:X\r\n"):rep(100)), { depth = 1000 }, 65, "deeper than 64" },
    } do
      local root, err = tree.parse(case[1], case[2])
      assert.is_nil(root)
      assert.equal("too_large", err.code)
      assert.equal(case[3], err.line)
      assert.equal(1, err.column)
      assert.truthy(err.message:find(case[4], 1, true))
    end
  end)

  it("is not rewritten when it is no calendar, or too much", function()
    local text, err = tree.rewrite "no calendar"
    assert.is_nil(text)
    assert.equal("invalid_request", err.code)
    text, err = tree.rewrite(calendar "A:1\r\n", { max = 10 })
    assert.is_nil(text)
    assert.equal("too_large", err.code)
    text, err = tree.rewrite(calendar "A:1\r\n", { properties = 3 })
    assert.is_nil(text)
    assert.equal("too_large", err.code)
  end)
end)
