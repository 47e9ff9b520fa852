-- The JSON codec: what it writes, what it refuses and where, and that everything comes back as it was.
local json = require("lunation.json")

local function bytes(...)
  return string.char(...)
end

describe("lunation.json", function()
  describe("encode", function()
    local cases = {
      { "nil", nil, "null" },
      { "null", json.null, "null" },
      { "booleans", { true, false }, "[true,false]" },
      { "integers", { 0, -1, 7, 42, 100, 12345, math.maxinteger, math.mininteger }, "[0,-1,7,42,100,12345,9223372036854775807,-9223372036854775808]" },
      { "microseconds exactly", 1700000000123456, "1700000000123456" },
      { "floats that stay floats", { 1.0, -2.0, 0.5, 1e15, 2 ^ 53, 1e300 }, "[1.0,-2.0,0.5,1e+15,9007199254740992.0,1e+300]" },
      { "the shortest float", { 0.1, 0.1 + 0.2, 1 / 3 }, "[0.1,0.30000000000000004,0.3333333333333333]" },
      { "negative zero", -0.0, "-0.0" },
      { "escapes", 'a"b\\c/d\b\f\n\r\t\0\31\127', [["a\"b\\c/d\b\f\n\r\t\u0000\u001f]] .. "\127\"" },
      { "other scripts as they are", "Zürich 東京 😀", '"Zürich 東京 😀"' },
      { "an empty table", {}, "{}" },
      { "an empty array", json.array(), "[]" },
      { "an empty object", json.object({}), "{}" },
      { "an object with numbers for keys, where asked", json.object({ "x" }), '{"1":"x"}' },
      { "raw text", { json.raw('{"a": 1}'), 2 }, '[{"a": 1},2]' },
      { "an array filled from its end", (function()
        local t = {}
        for i = 5, 1, -1 do t[i] = i end
        return t
      end)(), "[1,2,3,4,5]" },
      { "a hole", { 1, nil, 3 }, "[1,null,3]" },
    }
    for _, case in ipairs(cases) do
      it("writes " .. case[1], function()
        assert.equal(case[3], json.encode(case[2]))
      end)
    end

    it("writes escapes at every place of a long string", function()
      for i = 1, 40 do
        local text = ("x"):rep(i) .. '"' .. ("y"):rep(40 - i) .. "é\1"
        assert.equal('"' .. ("x"):rep(i) .. '\\"' .. ("y"):rep(40 - i) .. 'é\\u0001"', json.encode(text))
      end
    end)

    it("sorts names by their bytes where asked", function()
      local value = { b = 1, a = { d = 1, c = 2 }, ["a b"] = 3, ["é"] = 4, aa = json.array() }
      assert.equal('{"a":{"c":2,"d":1},"a b":3,"aa":[],"b":1,"é":4}', json.encode(value, { sorted = true }))
    end)

    it("indents where asked", function()
      local text = json.encode({ a = { 1, {} }, b = json.array() }, { pretty = true, sorted = true })
      assert.equal('{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}', text)
    end)

    local circle = {}
    circle.self = circle
    local refused = {
      { "a function", { a = { 1, { b = print } } }, "invalid_json", "JSON: a function cannot be written, at a[2].b" },
      { "NaN", { 0 / 0 }, "invalid_json", "JSON: a number is not finite, at [1]" },
      { "infinity", math.huge, "invalid_json", "JSON: a number is not finite" },
      { "invalid UTF-8", { x = "\xff" }, "invalid_json", "JSON: text is not valid UTF-8, at x" },
      { "an array that is also an object", { 1, 2, x = 3 }, "invalid_json", "JSON: an array has keys that are not its indices" },
      { "a number for a name", { [1.5] = 1 }, "invalid_json", "JSON: an object has a key that is not a string" },
      { "a circle", circle, "too_large", "JSON: nested too deep, or in a circle" },
    }
    for _, case in ipairs(refused) do
      it("refuses " .. case[1], function()
        local text, err = json.encode(case[2])
        assert.is_nil(text)
        assert.equal(case[3], err.code)
        assert.equal(case[4], tostring(err):sub(1, #case[4]))
      end)
    end

    it("replaces invalid UTF-8 where asked", function()
      assert.equal('"a�b��c"', json.encode("a\xffb\xc3\xed" .. "c", { utf8 = "replace" }))
    end)

    it("works again after an error", function()
      assert.is_nil((json.encode({ { { print } } })))
      assert.equal("[1]", json.encode({ 1 }))
    end)
  end)

  describe("decode", function()
    it("reads values of every kind", function()
      local value = json.decode(' {"a":[1,-2.5,true,false,null,"x"], "b":{}, "c":[] } ')
      assert.same({ a = { 1, -2.5, true, false, json.null, "x" }, b = {}, c = {} }, value)
      assert.is_true(json.is_array(value.c))
      assert.is_false(json.is_array(value.b))
      assert.equal('{"a":[1,-2.5,true,false,null,"x"],"b":{},"c":[]}', json.encode(value, { sorted = true }))
    end)

    it("keeps integers exact and floats floats", function()
      for text, kind in pairs({ ["1"] = "integer", ["1.0"] = "float", ["1e2"] = "float", ["-0"] = "float", ["0"] = "integer",
        ["9223372036854775807"] = "integer", ["-9223372036854775808"] = "integer", ["9223372036854775808"] = "float" }) do
        assert.equal(kind, math.type(json.decode(text)), text)
      end
      assert.equal(math.maxinteger, json.decode("9223372036854775807"))
      assert.equal(math.mininteger, json.decode("-9223372036854775808"))
    end)

    it("rounds floats as strtod does", function()
      for _, text in ipairs({ "0.1", "1e22", "1e23", "123456789012345.6", "1234567890123456.7", "5e-324", "2.2250738585072014e-308", "1.7976931348623157e308",
        "0.000000000000000000000000000001", "100000000000000000000000", "1E+2", "1e-7", "-3.25e-3" }) do
        assert.equal(tonumber(text) + 0.0, json.decode(text), text)
      end
    end)

    it("reads escapes and surrogate pairs", function()
      assert.equal('"\\/\b\f\n\r\t é 😀 \0', json.decode([["\"\\\/\b\f\n\r\t \u00e9 \uD83D\uDE00 \u0000"]]))
    end)

    it("takes the last of a repeated name", function()
      assert.same({ a = 2 }, json.decode('{"a":1,"a":2}'))
      local many = {}
      for i = 1, 100 do many[i] = ('"k%d":%d'):format(i % 50, i) end
      assert.equal(51, json.decode("{" .. table.concat(many, ",") .. "}").k1)
    end)

    it("reads long arrays and objects", function()
      for _, n in ipairs({ 1, 31, 32, 33, 64, 65, 1000 }) do
        local array, object = {}, {}
        for i = 1, n do
          array[i], object["k" .. i] = i, i
        end
        assert.same(array, json.decode(json.encode(array)))
        assert.same(object, json.decode(json.encode(object)))
      end
    end)

    it("skips a byte order mark", function()
      assert.same({ 1 }, json.decode("\u{feff}[1]"))
    end)

    local refused = {
      { "", 1, 1 }, { "[1,2", 1, 5 }, { "[1,]", 1, 4 }, { "[,1]", 1, 2 }, { '{"a"}', 1, 5 }, { '{"a":1,}', 1, 8 }, { "{a:1}", 1, 2 }, { "01", 1, 1 },
      { "-", 1, 2 }, { "1.", 1, 3 }, { ".5", 1, 1 }, { "1e", 1, 3 }, { "+1", 1, 1 }, { "nul", 1, 1 }, { "NaN", 1, 1 }, { "[1]\n x", 2, 2 },
      { '"a', 1, 3 }, { '"a\nb"', 1, 3 }, { '"\\x"', 1, 2 }, { '"\\u12g4"', 1, 2 }, { '"\\ud800"', 1, 2 }, { '"\\ud800\\u0041"', 1, 2 }, { '"\\udc00"', 1, 2 },
      { '"é\xff"', 1, 3 }, { '"\xc0\xaf"', 1, 2 }, { '"\xed\xa0\x80"', 1, 2 }, { '"\xf4\x90\x80\x80"', 1, 2 }, { "'a'", 1, 1 },
      { "1e999", 1, 1 }, { "[1 2]", 1, 4 },
      { "\0", 1, 1 }, { "[1]\0", 1, 4 }, { '{"a":1}\n{"b":2}', 2, 1 }, { '"\\', 1, 3 }, { "/* c */1", 1, 1 },
    }
    for _, case in ipairs(refused) do
      it(("refuses %q"):format(case[1]), function()
        local value, err = json.decode(case[1])
        assert.is_nil(value)
        assert.equal("invalid_json", err.code)
        assert.same({ case[2], case[3] }, { err.line, err.column })
      end)
    end

    it("bounds depth and size", function()
      assert.is_table(json.decode(("["):rep(64) .. ("]"):rep(64)))
      local _, err = json.decode(("["):rep(65) .. ("]"):rep(65))
      assert.equal("too_large", err.code)
      assert.is_table(json.decode(("["):rep(1000) .. ("]"):rep(1000), { depth = 1000 }))
      _, err = json.decode(("["):rep(100000))
      assert.equal("too_large", err.code)
      _, err = json.decode(("[1]"), { max = 2 })
      assert.equal("too_large", err.code)
    end)

    it("raises for what is not text", function()
      assert.has_error(function() json.decode(nil) end)
      assert.has_error(function() json.decode({}) end)
    end)
  end)

  it("gives back every random value", function()
    local function pick(depth)
      local kind = math.random(depth > 0 and 8 or 6)
      if kind == 1 then return math.random(0) end
      if kind == 2 then return string.unpack("<d", string.pack("<I8", math.random(0) & 0x7fefffffffffffff)) end
      if kind == 3 then return math.random(2) == 1 end
      if kind == 4 then return json.null end
      if kind <= 6 then
        local parts = {}
        for i = 1, math.random(0, 20) do
          parts[i] = kind == 5 and bytes(math.random(0, 127)) or utf8.char(({ math.random(0, 0xd7ff), math.random(0xe000, 0x10ffff) })[math.random(2)])
        end
        return table.concat(parts)
      end
      local t = kind == 7 and json.array() or {}
      for i = 1, math.random(0, 40) // (4 - depth) do
        if kind == 7 then
          t[i] = pick(depth - 1)
        else
          t["k" .. math.random(1000) .. "\n"] = pick(depth - 1)
        end
      end
      return t
    end
    local function same(a, b)
      if type(a) ~= "table" then
        return math.type(a) == math.type(b) and a == b
      end
      for k, v in pairs(a) do
        if not same(v, b[k]) then return false end
      end
      for k in pairs(b) do
        if a[k] == nil then return false end
      end
      return json.is_array(a) == json.is_array(b)
    end
    for _ = 1, 300 do
      local value = pick(3)
      for _, options in ipairs({ {}, { pretty = true }, { sorted = true } }) do
        local text = assert(json.encode(value, options))
        assert.is_true(same(value, json.decode(text)), text)
      end
    end
  end)

  it("survives random bytes and broken text", function()
    local text = json.encode({ a = { 1, 2.5, "é\n", json.null }, b = { c = true, d = json.array() } })
    for _ = 1, 3000 do
      local i = math.random(#text)
      local broken = text:sub(1, i - 1) .. bytes(math.random(0, 255)) .. text:sub(i + math.random(0, 2))
      local value, err = json.decode(broken)
      assert.is_true(value ~= nil or err.code == "invalid_json", broken)
    end
  end)

  it("agrees with lua-cjson", function()
    local ok, cjson = pcall(require, "cjson")
    if not ok then return pending("needs lua-cjson") end
    local value = { text = 'a"b\\c\n', list = { 1, 2, 3 }, deep = { { x = { y = "é" } } }, yes = true, no = false }
    assert.same(value, cjson.decode(json.encode(value)))
    assert.same(value, json.decode(cjson.encode(value)))
    assert.equal(cjson.null, json.null)
  end)
end)
