local cron = require "lunation.cron"
local tz = require "lunation.tz"

local function times(text, after, zone, count)
  local spec, at, found = assert(cron.parse(text)), tz.to_utc(after, zone), {}
  for index = 1, count do
    at = cron.next(spec, at, zone)
    found[index] = at and (tz.to_local(at, zone)) or "never"
  end
  return found
end

describe("cron", function()
  for _, case in ipairs {
    { "0 7 * * MON-FRI", "2025-03-07T07:00:00", "Europe/Paris", { "2025-03-10T07:00:00", "2025-03-11T07:00:00" } },
    { "*/20 9-10 * * *", "2025-03-07T09:30:00", "UTC",
      { "2025-03-07T09:40:00", "2025-03-07T10:00:00", "2025-03-07T10:20:00", "2025-03-07T10:40:00", "2025-03-08T09:00:00" } },
    { "0 0 29 2 *", "2025-01-01T00:00:00", "UTC", { "2028-02-29T00:00:00" } },
    { "30 12 1 * 7", "2025-03-01T00:00:00", "UTC", { "2025-03-01T12:30:00", "2025-03-02T12:30:00", "2025-03-09T12:30:00" } },
    { "0 0 31 2 *", "2025-01-01T00:00:00", "UTC", { "never" } },
    { "@daily", "2025-10-25T12:00:00", "Europe/Berlin", { "2025-10-26T00:00:00", "2025-10-27T00:00:00" } },
    { "30 2 * * *", "2025-03-29T12:00:00", "Europe/Berlin", { "2025-03-30T03:30:00", "2025-03-31T02:30:00" } },
    { "0 8 * jan,DEC sun", "2025-11-30T12:00:00", "Asia/Tokyo", { "2025-12-07T08:00:00" } },
  } do
    it(case[1] .. " from " .. case[2], function()
      assert.same(case[4], times(case[1], case[2], case[3], #case[4]))
    end)
  end

  for _, text in ipairs { "", "* * * *", "60 * * * *", "* 5-3 * * *", "*/0 * * * *", "* * * FOO *", "1,,2 * * * *", "@never" } do
    it("refuses " .. text, function()
      local spec, err = cron.parse(text)
      assert.is_nil(spec)
      assert.equal("invalid_request", err.code)
    end)
  end
end)
