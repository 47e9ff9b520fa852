local tz = require "lunation.tz"
local when = require "lunation.when"

local berlin = { zone = "Europe/Berlin", now = 1762250400 } -- 2025-11-04T11:00:00+01:00

local function utc(text) return tz.to_utc(text, "UTC") end

describe("times as people write them", function()
  it("become instants", function()
    local cases = {
      { "now", "2025-11-04T10:00:00" },
      { "today", "2025-11-03T23:00:00" },
      { "tomorrow", "2025-11-04T23:00:00" },
      { "2025-11-03", "2025-11-02T23:00:00" },
      { "2025-11-03T09:00", "2025-11-03T08:00:00" },
      { "2025-07-03 09:00:30", "2025-07-03T07:00:30" },
      { "2025-11-03T09:00:00Z", "2025-11-03T09:00:00" },
      { "2025-11-03T09:00-05:00", "2025-11-03T14:00:00" },
      { "+7d", "2025-11-11T10:00:00" },
      { "-2h", "2025-11-04T08:00:00" },
      { "+PT30M", "2025-11-04T10:30:00" },
    }
    for _, case in ipairs(cases) do assert.are.equal(utc(case[2]), when.instant(case[1], berlin), case[1]) end
    assert.are.equal(5, when.instant(5))
  end)

  it("keep the wall clock over the end of summer time", function()
    local saturday = tz.to_utc("2025-10-25T12:00:00", "Europe/Berlin")
    assert.are.equal(saturday + 25 * 3600, when.instant("+1d", { zone = "Europe/Berlin", base = saturday }))
    assert.are.equal(saturday + 24 * 3600, when.instant("+24h", { zone = "Europe/Berlin", base = saturday }))
  end)

  it("are refused when they are none", function()
    for _, bad in ipairs { "soon", "2025-13-45", "+7x", "", {}, true } do
      local value, err = when.instant(bad, berlin)
      assert.is_nil(value, tostring(bad))
      assert.are.equal("invalid_request", err.code)
    end
  end)

  it("add days over months and leap years", function()
    assert.are.equal("2024-03-01", when.add_days("2024-02-28", 2))
    assert.are.equal("2025-12-31", when.add_days("2026-01-01", -1))
    assert.are.equal("1970-01-01", when.add_days("1969-12-31", 1))
  end)

  it("and durations are written back", function()
    assert.are.same({ "45m", "2h", "1h30m", "1 day", "3 days" },
      { when.lasts(2700), when.lasts(7200), when.lasts(5400), when.lasts(86400), when.lasts(259200) })
    assert.are.same({ "PT0S", "PT45M", "PT1H30M", "P1D", "PT25H" },
      { when.duration(0), when.duration(2700), when.duration(5400), when.duration(86400), when.duration(90000) })
  end)
end)
