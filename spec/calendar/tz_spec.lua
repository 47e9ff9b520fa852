-- Zones: instants of local times, rules beyond the tables, and the names people write.
local tz = require("lunation.tz")

-- The instant of a local time by RFC 5545 section 3.3.5, from the changes alone.
local function oracle(seconds, changes, first)
  local before = first
  for i = 0, #changes do
    local offset = i == 0 and first or changes[i].offset
    local at = seconds - offset
    if i > 0 and at < changes[i].at then return seconds - before end
    if not changes[i + 1] or at < changes[i + 1].at then return at end
    before = offset
  end
end

describe("lunation.tz", function()
  describe("to_utc", function()
    local cases = {
      { "2025-01-15T12:00:00", "Europe/Berlin", "2025-01-15T11:00:00" },
      { "2025-07-15T12:00:00", "Europe/Berlin", "2025-07-15T10:00:00" },
      { "2025-07-15T12:00", "Asia/Kolkata", "2025-07-15T06:30:00" },
      { "20250715T120000", "Asia/Kathmandu", "2025-07-15T06:15:00" },
      { "2025-07-15", "Europe/Berlin", "2025-07-14T22:00:00" },
      { "2025-07-15T12:00:00Z", "Europe/Berlin", "2025-07-15T12:00:00" },
      { "2025-07-15T12:00:00", nil, "2025-07-15T12:00:00" },
      -- a gap: the offset before it
      { "2025-03-09T02:30:00", "America/New_York", "2025-03-09T07:30:00" },
      { "2025-03-30T02:00:00", "Europe/Berlin", "2025-03-30T01:00:00" },
      { "2011-12-30T10:00:00", "Pacific/Apia", "2011-12-30T20:00:00" },
      -- an overlap: the first of the two
      { "2025-11-02T01:30:00", "America/New_York", "2025-11-02T05:30:00" },
      { "2025-10-26T02:30:00", "Europe/Berlin", "2025-10-26T00:30:00" },
      -- the southern half, half an hour of daylight saving, negative daylight saving
      { "2025-10-05T02:15:00", "Australia/Lord_Howe", "2025-10-04T15:45:00" },
      { "2025-12-15T12:00:00", "Europe/Dublin", "2025-12-15T12:00:00" },
      -- beyond the table, by the footer
      { "2050-07-01T12:00:00", "America/New_York", "2050-07-01T16:00:00" },
      { "2050-12-01T12:00:00", "America/New_York", "2050-12-01T17:00:00" },
      { "2050-03-13T02:30:00", "America/New_York", "2050-03-13T07:30:00" },
      { "9998-07-01T12:00:00", "Australia/Sydney", "9998-07-01T02:00:00" },
      -- before the first change
      { "1850-01-01T00:00:00", "America/New_York", "1850-01-01T04:56:02" },
    }
    for _, case in ipairs(cases) do
      it(("%s in %s"):format(case[1], case[2] or "no zone"), function()
        assert.equal(case[3], (tz.to_local(assert(tz.to_utc(case[1], case[2])))))
      end)
    end

    it("agrees with the changes themselves around every one of them", function()
      local from, to = tz.to_utc("1800-01-01"), tz.to_utc("2230-01-01")
      for _, zone in ipairs { "America/New_York", "Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca",
        "Asia/Kolkata", "America/Nuuk", "Antarctica/Troll", "Asia/Gaza", "Europe/Lisbon", "America/Juneau", "Asia/Manila", "Etc/GMT+5",
        "/CET-1CEST,M3.5.0,M10.5.0/3", "/XST3XDT,J60/-2,300/26", "/UTC0" } do
        local changes = assert(tz.transitions(zone, from, to))
        local first = tz.offset(from - 1, zone)
        for i, change in ipairs(changes) do
          assert.equal(change.offset, (tz.offset(change.at, zone)))
          assert.equal(change.before, (tz.offset(change.at - 1, zone)))
          for _, shift in ipairs { change.before, change.offset } do
            for _, step in ipairs { -90000, -3601, -1, 0, 1, 1799, 3599, 3600, 86399 } do
              local seconds = change.at + shift + step
              local window = table.move(changes, math.max(1, i - 3), math.min(#changes, i + 3), 1, {})
              local start = window[1].before
              assert.equal(oracle(seconds, window, i <= 4 and first or start), (tz.to_utc(tz.to_local(seconds), zone)), zone .. " " .. tz.to_local(seconds))
            end
          end
        end
      end
    end)

    it("refuses what is no time", function()
      for _, text in ipairs({ "", "x", "2025-02-29", "2025-13-01", "2025-01-01T24:00:00", "2025-01-01T12:00:00+01:00", "2025-1-1" }) do
        local instant, err = tz.to_utc(text)
        assert.is_nil(instant)
        assert.equal("invalid_time", err.code)
        assert.truthy(tostring(err):find("not a local time", 1, true))
      end
    end)

    it("refuses unknown zones and names that leave the database", function()
      for _, zone in ipairs({ "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe/../UTC", "",
        "Europe", "zone.tab", "tzdata.zi", "Europe/Berlin\0x" }) do
        local instant, err = tz.to_utc("2025-01-01", zone)
        assert.is_nil(instant)
        assert.equal("invalid_zone", err.code)
      end
    end)

    it("is the inverse of to_local outside overlaps", function()
      for _, zone in ipairs({ "America/New_York", "Europe/Dublin", "Africa/Casablanca", "Asia/Gaza", "Australia/Lord_Howe", "America/Nuuk" }) do
        for t = 0, 4200000000, 86400 * 3 + 3607 do
          local text, offset = tz.to_local(t, zone)
          local back = tz.to_utc(text, zone)
          assert.is_true(back == t or tz.to_local(back, zone) == text and back < t, zone .. " " .. text .. " " .. offset)
        end
      end
    end)
  end)

  it("tells offset and abbreviation", function()
    assert.same({ "2025-07-01T14:00:00", 7200, "CEST" }, { tz.to_local(tz.to_utc("2025-07-01T12:00:00"), "Europe/Berlin") })
    assert.same({ 3600, "CET", false }, { tz.offset(tz.to_utc("2025-01-01"), "Europe/Berlin") })
    assert.same({ 0, "UTC", false }, { tz.offset(0) })
    assert.same({ 7200, "CEST", true }, { tz.offset(tz.to_utc("2100-07-01"), "Europe/Berlin") })
  end)

  it("resolves the names in use", function()
    local names = {
      ["Europe/Berlin"] = "Europe/Berlin",
      ["europe/berlin"] = "Europe/Berlin",
      ["US/Pacific"] = "US/Pacific",
      ["utc"] = "UTC",
      ["Z"] = "UTC",
      ["W. Europe Standard Time"] = "Europe/Berlin",
      ["eastern standard time"] = "America/New_York",
      ["Pacific Daylight Time"] = "America/Los_Angeles",
      ["Central Standard Time (Mexico)"] = "America/Mexico_City",
      ["tzone://Microsoft/Utc"] = "UTC",
      ["/freeassociation.sourceforge.net/Tzfile/Europe/Berlin"] = "Europe/Berlin",
      ["/freeassociation.sourceforge.net/Europe/Berlin"] = "Europe/Berlin",
      ["/citadel.org/20190914_1/America/Argentina/Buenos_Aires"] = "America/Argentina/Buenos_Aires",
      ['"Europe/Paris"'] = "Europe/Paris",
      ["(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"] = "Europe/Amsterdam",
      ["(UTC-05:00) Eastern Time (US & Canada)"] = "America/New_York",
      ["(GMT+05:30) Chennai, Kolkata, Mumbai, New Delhi"] = "Asia/Kolkata",
      ["(UTC) Coordinated Universal Time"] = "UTC",
      ["UTC+1"] = "Etc/GMT-1",
      ["GMT-0800"] = "Etc/GMT+8",
    }
    for name, iana in pairs(names) do
      assert.equal(iana, (tz.resolve(name)), name)
    end
    for _, name in ipairs({ "", "Customized Time Zone", "Nowhere", "(UTC+01:00) Nowhere", "UTC+05:30", "../UTC/..", ("x"):rep(10000) }) do
      local iana, err = tz.resolve(name)
      assert.is_nil(iana)
      assert.equal("invalid_zone", err.code)
    end
  end)

  it("names Windows zones", function()
    assert.equal("W. Europe Standard Time", tz.windows("Europe/Amsterdam"))
    assert.equal("India Standard Time", tz.windows("Asia/Kolkata"))
    assert.equal("UTC", tz.windows("UTC"))
    assert.is_nil(tz.windows("Mars/Olympus"))
  end)

  it("lists the changes of a span", function()
    local list = tz.transitions("Europe/Berlin", tz.to_utc("2025-01-01"), tz.to_utc("2026-01-01"))
    assert.equal(2, #list)
    assert.same({ at = tz.to_utc("2025-03-30T01:00:00"), before = 3600, offset = 7200, abbreviation = "CEST", dst = true }, list[1])
    assert.same({ at = tz.to_utc("2025-10-26T01:00:00"), before = 7200, offset = 3600, abbreviation = "CET", dst = false }, list[2])
    assert.equal(20, #tz.transitions("Europe/Berlin", tz.to_utc("2090-01-01"), tz.to_utc("2100-01-01")))
    assert.same({}, tz.transitions("UTC", 0, 4000000000))
  end)

  it("tells the yearly rules", function()
    local rules = tz.rules("Europe/Berlin", 2030)
    assert.same({ dst = false, before = 7200, offset = 3600, abbreviation = "CET", start = "2030-10-27T03:00:00",
      rrule = "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU" }, rules[1])
    assert.same({ dst = true, before = 3600, offset = 7200, abbreviation = "CEST", start = "2030-03-31T02:00:00",
      rrule = "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU" }, rules[2])
    assert.equal("FREQ=YEARLY;BYMONTH=3;BYDAY=SA;BYMONTHDAY=-8,-7,-6,-5,-4,-3,-2", tz.rules("America/Nuuk", 2030)[2].rrule)
    assert.same({}, tz.rules("Asia/Tokyo", 2030))
  end)

  it("takes POSIX rules as zones of their own", function()
    local zone = "/" .. tz.posix("Europe/Berlin")
    assert.equal("/CET-1CEST,M3.5.0,M10.5.0/3", zone)
    assert.equal(tz.to_utc("2050-07-01T12:00:00", "Europe/Berlin"), tz.to_utc("2050-07-01T12:00:00", zone))
    assert.same({ "2025-07-01T14:00:00", 7200, "+02" }, { tz.to_local(tz.to_utc("2025-07-01T12:00:00"), "/<+01>-1<+02>,M3.5.0,M10.5.0/3") })
    assert.equal("UTC0", tz.posix())
    for _, bad in ipairs({ "/", "/<+01>", "/CET-1CEST", "/<+01>-1<+02>,M13.5.0,M10.5.0/3", "/" .. ("A"):rep(200) .. "0" }) do
      local instant, err = tz.to_utc("2025-01-01", bad)
      assert.is_nil(instant, bad)
      assert.equal("invalid_zone", err.code)
    end
  end)

  it("takes single changes before them", function()
    local zone = "/<+10>-10@1704031200@<+12>-12@1714852800@<+10>-10"
    for at, expected in pairs { ["2023-12-31T12:00:00"] = 1703988000, ["2024-05-05T08:00:00"] = 1714860000, ["2024-05-05T07:00:00"] = 1714849200 } do
      assert.equal(expected, tz.to_utc(at, zone), at)
    end
    assert.equal(43200, (tz.offset(1704031200, zone)))
    assert.equal(36000, (tz.offset(1704031199, zone)))
    for _, bad in ipairs {
      "/<+10>-10@", "/<+10>-10@17", "/<+10>-10@x@UTC0", "/@5@UTC0", "/EST5EDT,M3.2.0,M11.1.0@1704031200@UTC0", "/UTC0@99999999999999999999@UTC0",
      -- not in order, too near, or too far from Greenwich
      "/UTC0@1714852800@<+12>-12@1704031200@UTC0", "/UTC0@1700@<+12>-12@2800@<+10>-10", "/<+10>-110@1704031200@UTC0", "/UTC0@1704031200@<+10>-110",
    } do
      local at, err = tz.to_utc("2024-01-01T00:00:00", bad)
      assert.is_nil(at, bad)
      assert.equal("invalid_zone", err.code)
    end
  end)

  it("reads TZif of versions 1 to 4", function()
    local support = require "spec.support"
    local folder = support.tmpdir()
    -- A zone of +1 h that becomes +2 h at `change`. Where leap seconds are listed, instants are counted in another way: not ours.
    local function block(size, change, leaps)
      local whole = size == 8 and ">i8" or ">i4"
      local body = whole:pack(change) .. "\1" .. (">i4BB"):pack(3600, 0, 0) .. (">i4BB"):pack(7200, 0, 2) .. "A\0B\0"
      for i = 1, leaps do body = body .. whole:pack(78796800 + i * 31536000) .. (">i4"):pack(i + 9) end
      return (">I4I4I4I4I4I4"):pack(0, 0, leaps, 1, 2, 4), body
    end
    local function file(version, change, footer, leaps, name)
      local head = "TZif" .. (version == 1 and "\0" or tostring(version)) .. ("\0"):rep(15)
      local counts, body = block(4, change & 0x7fffffff, leaps)
      local text = head .. counts .. body
      if version > 1 then
        counts, body = block(8, change, leaps)
        text = text .. head .. counts .. body .. "\n" .. footer .. "\n"
      end
      support.write(("%s/%s"):format(folder, name or "V" .. version), text)
    end
    file(1, 1000000000, "", 0)
    file(2, 1000000000, "EET-2", 0)
    file(3, 1010000000, "<+02>-2<+03>,M3.5.0/-1,M10.5.0/26", 0)
    file(4, 1000000000, "EET-2", 0)
    file(4, 1000000000, "EET-2", 3, "Leaps")
    support.write(folder .. "/V5", "TZif5" .. ("\0"):rep(39))
    support.write(folder .. "/Cut", (support.read(folder .. "/V2"):sub(1, -20)))
    support.write(folder .. "/script.lua", [[
      local tz = require "lunation.tz"
      for version = 1, 4 do
        local zone = "V" .. version
        -- before and after the change, in summer and winter beyond the table
        print(version, (tz.offset(999999999, zone)), (tz.offset(1010000000, zone)), (tz.offset(1751328000, zone)), (tz.offset(1767225600, zone)))
      end
      print((tz.offset(0, "V5")), (tz.offset(0, "Cut")), (tz.offset(0, "Leaps")))
    ]])
    local result = support.lunation { "run", folder .. "/script.lua", env = { TZDIR = folder } }
    assert.equal("", result.stderr)
    assert.equal("1\t3600\t7200\t7200\t7200\n2\t3600\t7200\t7200\t7200\n3\t3600\t7200\t10800\t7200\n4\t3600\t7200\t7200\t7200\nnil\tnil\tnil\n", result.stdout)
  end)

  it("picks up a new tzdata when it is told to, and not before; who holds a zone keeps it", function()
    local support = require "spec.support"
    local folder = support.tmpdir()
    local function copy(from, to)
      local file = assert(io.open("/usr/share/zoneinfo/" .. from, "rb"))
      support.write(folder .. "/" .. to, file:read "a")
      file:close()
    end
    copy("Europe/Berlin", "Zone")
    support.write(folder .. "/script.lua", [[
      local tz, rrule, from, to = require "lunation.tz", require "lunation.rrule", ...
      local function now() return (tz.offset(1751328000, "Zone")) end
      local set = rrule.set { dtstart = "2025-07-01T10:00:00", tzid = "Zone", rrule = { "FREQ=DAILY;COUNT=1" } }
      local first = now()
      local file = assert(io.open(from, "rb"))
      local data = file:read "a"
      file:close()
      assert(os.remove(to))
      file = assert(io.open(to, "wb"))
      file:write(data)
      file:close()
      local second = now()
      tz.reload()
      io.write(("%d %d %d %d"):format(first, second, now(), set:instants(0, 4e9 // 1 | 0, 1)[1]))
    ]])
    local result = support.lunation {
      "run", folder .. "/script.lua", "/usr/share/zoneinfo/Asia/Tokyo", folder .. "/Zone", env = { TZDIR = folder },
    }
    assert.equal("7200 7200 32400 1751356800", result.stdout, result.stderr)
  end)

  it("is read anew by a server that reloads", function()
    local support, http, process = require "spec.support", require "lunation.http", require "lunation.process"
    local folder = support.tmpdir()
    local function copy(from)
      local file = assert(io.open("/usr/share/zoneinfo/" .. from, "rb"))
      os.remove(folder .. "/Zone")
      support.write(folder .. "/Zone", file:read "a")
      file:close()
    end
    copy "Europe/Berlin"
    support.write(folder .. "/routes.lua", [[
      require("lunation").route("GET", "/offset", function() return { offset = (require("lunation.tz").offset(1751328000, "Zone")) } end, { public = true })
    ]])
    local server = support.serve { config = ("script %q"):format(folder .. "/routes.lua"), env = { TZDIR = folder } }
    local function offset() return (assert(http.get(server.url .. "/offset"))).body end
    local first = offset()
    copy "Asia/Tokyo"
    local second = offset()
    process.kill(server.child.pid, "HUP")
    support.eventually(function() return offset() ~= first end, 10, "another offset")
    local third = offset()
    server.stop()
    assert.same({ '{"offset":7200}', '{"offset":7200}', '{"offset":32400}' }, { first, second, third })
  end)

  it("reads zones again on demand", function()
    local before = tz.to_utc("2025-07-01", "Europe/Berlin")
    tz.reload()
    assert.equal(before, tz.to_utc("2025-07-01", "Europe/Berlin"))
  end)
end)
