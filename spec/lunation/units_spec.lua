local units = require "lunation.units"

describe("units", function()
  it("read durations", function()
    local cases = {
      { 5, 5 }, { 0.5, 0.5 }, { "30s", 30 }, { "15m", 900 }, { "2h", 7200 }, { "7d", 604800 }, { "1h30m", 5400 }, { "1.5h", 5400 },
      { "PT30M", 1800 }, { "PT1H30M", 5400 }, { "P1D", 86400 }, { "P2W", 1209600 }, { "P1DT12H", 129600 }, { "PT0S", 0 },
    }
    for _, case in ipairs(cases) do assert.are.equal(case[2], units.seconds(case[1]), tostring(case[1])) end
    for _, bad in ipairs { "", "x", "10", "10 s", "-5s", "P", "PT", "P1", "PT5", "1h30", -1, math.huge, {} } do
      local value, err = units.seconds(bad)
      assert.is_nil(value, tostring(bad))
      assert.is_string(err)
    end
  end)

  it("read sizes", function()
    assert.are.equal(1048576, units.bytes "1MiB")
    assert.are.equal(16384, units.bytes "16 KiB")
    assert.are.equal(2000000, units.bytes "2MB")
    assert.are.equal(7, units.bytes(7))
    for _, bad in ipairs { "1", "1mib", "MiB", -1, 1.5 } do assert.is_nil((units.bytes(bad))) end
  end)

  it("suggest the nearest name", function()
    local known = { listen = 1, limits = 1, store = 1 }
    assert.are.equal("; did you mean `listen`?", units.suggestion("lisen", known))
    assert.are.equal("", units.suggestion("frobnicate", known))
  end)
end)
