-- The dates of the connect dialect: every spelling that clients are known to send, and what is none.

local datetime = require "lunation.api.connect.datetime"

local function utc(text)
  local value = datetime.parse(text)
  return value and datetime.utc(value.epoch)
end

describe("dates of the connect dialect", function()
  local spellings = {
    { "2026-01-31", "2026-01-31T00:00:00.000Z" },
    { "20260131", "2026-01-31T00:00:00.000Z" },
    { "2026-01-31Z", "2026-01-31T00:00:00.000Z" },
    { "2026-01-31T10:00", "2026-01-31T10:00:00.000Z" },
    { "2026-01-31 10:00:05", "2026-01-31T10:00:05.000Z" },
    { "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z" },
    { "2025-10-01T00:00:00+02:00", "2025-09-30T22:00:00.000Z" },
    { "2025-10-01T00:00:00 02:00", "2025-09-30T22:00:00.000Z" },
    { "2025-10-01T00:00:00-0730", "2025-10-01T07:30:00.000Z" },
    { "2025-10-01T00:00:00.123456+02", "2025-09-30T22:00:00.000Z" },
    { "20251001T101010Z", "2025-10-01T10:10:10.000Z" },
    { "2025-10-01T24:00:00Z", "2025-10-02T00:00:00.000Z" },
    { "2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z" },
    { "2024-02-29", "2024-02-29T00:00:00.000Z" },
    { "1900-03-01", "1900-03-01T00:00:00.000Z" },
    { "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z" },
  }
  for _, case in ipairs(spellings) do
    it("reads " .. case[1], function() assert.equal(case[2], utc(case[1])) end)
  end

  for _, text in ipairs {
    "", "garbage", "2025-13-01", "2025-02-29", "1900-02-29", "2025-00-10", "2025-01-32", "2025-01-01T25:00", "2025-01-01T24:01",
    "2025-01-01T10:61", "2025-01-01T10:00:00+99:00", "2025-01-01T10:00:00Z and more", "2025-1-1", ("1"):rep(80), "2025-01-01T1:00",
  } do
    it("does not take " .. text, function() assert.is_nil(datetime.parse(text)) end)
  end

  it("does not take what is no text", function()
    for _, value in ipairs { 20250101, true, {} } do assert.is_nil(datetime.parse(value)) end
  end)

  it("knows what was written", function()
    local value = datetime.parse "2025-03-09T02:30:00-05:00"
    assert.same({ "2025-03-09", "02:30:00", -18000 }, { value.date, value.time, value.offset })
    assert.is_nil(datetime.parse("2025-03-09T02:30:00").offset)
    assert.is_nil(datetime.parse("2025-03-09").time)
  end)

  it("finds the month of an instant", function()
    local from, to = datetime.month(datetime.parse("2024-02-10T12:00:00Z").epoch)
    assert.same({ "2024-02-01T00:00:00.000Z", "2024-02-29T23:59:59.000Z" }, { datetime.utc(from), datetime.utc(to) })
  end)
end)
