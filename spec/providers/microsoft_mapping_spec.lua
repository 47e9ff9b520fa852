-- The mapping of Microsoft's events: tables both ways, without a network.
local json = require "lunation.json"
local model = require "lunation.model"
local property = require "lunation.microsoft.property"
local providers = require "lunation.provider"

local provider = assert(assert(providers.load {}):get "microsoft")
local event = provider.event

-- A single event as Graph gives it.
local function native(over)
  local result = {
    id = "AAMk1", ["@odata.etag"] = 'W/"1"', iCalUId = "040000008200E0", subject = "Family reunion", type = "singleInstance",
    createdDateTime = "2023-06-13T23:13:17.305298Z", lastModifiedDateTime = "2023-06-13T23:15:17.761448Z",
    start = { dateTime = "2025-11-26T17:00:00.0000000", timeZone = "UTC" }, ["end"] = { dateTime = "2025-11-26T18:30:00.0000000", timeZone = "UTC" },
    originalStartTimeZone = "Pacific Standard Time", originalEndTimeZone = "Pacific Standard Time", isAllDay = false, isCancelled = false,
    isOrganizer = true, showAs = "busy", sensitivity = "normal", importance = "normal", isReminderOn = true, reminderMinutesBeforeStart = 15,
    categories = json.array {}, attendees = json.array {}, recurrence = json.null, seriesMasterId = json.null, onlineMeeting = json.null,
    location = { displayName = "" }, locations = json.array {}, responseStatus = { response = "organizer" }, webLink = "https://outlook.test/1",
    body = { contentType = "html", content = "<html><head><meta></head><body></body></html>" },
    organizer = { emailAddress = { name = "Samantha Booth", address = "samanthab@contoso.com" } },
  }
  for name, value in pairs(over or {}) do result[name] = value end
  return result
end

local function to(over) return assert(event:to(native(over))) end

local function refused(over, field)
  local read, err = event:to(native(over))
  assert.is_nil(read)
  assert.equal(field, (err.field or ""):sub(1, #field))
  return tostring(err)
end

local function fresh(over)
  local canonical = { ["@type"] = "Event", uid = "u1", title = "t", start = "2025-01-06T09:00:00", duration = "PT1H", timeZone = "Europe/Paris" }
  for name, value in pairs(over or {}) do canonical[name] = value ~= json.null and value or nil end
  return canonical
end

describe("an event of Microsoft", function()
  it("is read", function()
    local read = to()
    assert.equal("Family reunion", read.title)
    assert.equal("2025-11-26T09:00:00", read.start)
    assert.equal("PT1H30M", read.duration)
    assert.equal("America/Los_Angeles", read.timeZone)
    assert.equal("040000008200E0", read.uid)
    assert.equal("2023-06-13T23:13:17Z", read.created)
    assert.equal("2023-06-13T23:15:17Z", read.updated)
    assert.equal("confirmed", read.status)
    assert.equal("busy", read.freeBusyStatus)
    assert.equal("public", read.privacy)
    assert.equal("-PT15M", read.alerts["1"].trigger.offset)
    assert.equal("https://outlook.test/1", read.links.web.href)
    assert.is_nil(read.description)
    assert.is_nil(read.participants)
    assert.is_nil(read.locations)
    assert.is_nil(read["lunation:conference"])
    assert.is_true(model.validate(model.normalize(read)))
  end)

  it("shows as what it is", function()
    local cases = {
      { "free", "free", "confirmed" }, { "tentative", "busy", "tentative" }, { "busy", "busy", "confirmed" }, { "oof", "busy", "confirmed" },
      { "workingElsewhere", "free", "confirmed" },
    }
    for _, case in ipairs(cases) do
      local read = to { showAs = case[1] }
      assert.same(case, { read["lunation:showAs"], read.freeBusyStatus, read.status })
    end
    assert.equal("cancelled", to { isCancelled = true }.status)
    assert.is_nil(to { showAs = "unknown" }.freeBusyStatus)
  end)

  it("is shown by the field that was changed", function()
    local function after(showAs, change)
      local before = native { showAs = showAs }
      local canonical = assert(event:to(before))
      for name, value in pairs(change) do canonical[name] = value end
      return assert(event:from(canonical, before)).showAs
    end
    assert.equal("tentative", after("busy", { status = "tentative" }))
    assert.equal("busy", after("tentative", { status = "confirmed" }))
    assert.equal("free", after("oof", { freeBusyStatus = "free" }))
    assert.equal("workingElsewhere", after("workingElsewhere", { title = "other" }))
    assert.equal("oof", after("oof", { freeBusyStatus = "busy" }))
    assert.equal("oof", after("free", { ["lunation:showAs"] = "oof" }))
    assert.equal("busy", after("free", { freeBusyStatus = "busy" }))
    assert.equal("free", assert(event:from(fresh { freeBusyStatus = "free" })).showAs)
    assert.equal("tentative", assert(event:from(fresh { status = "tentative" })).showAs)
  end)

  it("is not cancelled by its status", function()
    local before = native()
    local canonical = assert(event:to(before))
    canonical.status = "cancelled"
    local made, err = event:from(canonical, before)
    assert.is_nil(made)
    assert.equal("status", err.field)
    assert.equal("invalid_request", err.code)
  end)

  it("keeps what a change does not touch", function()
    local before = native { unknownField = { deep = { 1, 2 } }, sensitivity = "personal", importance = "high",
      start = { dateTime = "2025-11-26T17:00:00", timeZone = "UTC" }, originalStartTimeZone = "tzone://Microsoft/Custom" }
    local canonical = assert(event:to(before))
    canonical.title = "Another"
    local after = assert(event:from(canonical, before))
    local expected = native { unknownField = { deep = { 1, 2 } }, sensitivity = "personal", importance = "high", subject = "Another",
      start = { dateTime = "2025-11-26T17:00:00", timeZone = "UTC" }, originalStartTimeZone = "tzone://Microsoft/Custom" }
    assert.same(expected, after)
  end)

  it("has its words, and no others", function()
    assert.equal("secret", to { sensitivity = "confidential" }.privacy)
    assert.equal("private", to { sensitivity = "personal" }.privacy)
    assert.equal(1, to { importance = "high" }.priority)
    assert.equal(9, to { importance = "low" }.priority)
    refused({ sensitivity = "odd" }, "privacy")
    refused({ importance = "odd" }, "priority")
    refused({ showAs = "odd" }, "freeBusyStatus")
    refused({ type = "odd" }, "type")
    refused({ start = { dateTime = "2025-02-30T10:00:00", timeZone = "UTC" } }, "start")
    refused({ start = json.null }, "start")
    refused({ start = { dateTime = "2025-02-03T10:00:00", timeZone = "Nowhere/At all" } }, "start")
    refused({ ["end"] = { dateTime = "2025-11-25T10:00:00", timeZone = "UTC" } }, "start")
    refused({ createdDateTime = "yesterday" }, "created")
    refused({ body = { contentType = "rtf", content = "x" } }, "description")
    refused({ attendees = { { type = "odd", emailAddress = { address = "a@b.c" } } } }, "participants")
    refused({ attendees = { { emailAddress = { address = "a@b.c" }, status = { response = "odd" } } } }, "participants")
  end)

  it("has dates where it lasts all day, east and west of Greenwich", function()
    local cases = {
      -- as written in UTC
      { "2025-11-15T00:00:00.0000000", "2025-11-16T00:00:00.0000000", "UTC", "UTC", "2025-11-15", "P1D" },
      { "2025-11-15T00:00:00.0000000", "2025-11-18T00:00:00.0000000", "UTC", "Pacific Standard Time", "2025-11-15", "P3D" },
      -- midnights of the author's zone, told in UTC
      { "2025-11-14T23:00:00.0000000", "2025-11-15T23:00:00.0000000", "UTC", "W. Europe Standard Time", "2025-11-15", "P1D" },
      { "2025-11-15T08:00:00.0000000", "2025-11-16T08:00:00.0000000", "UTC", "Pacific Standard Time", "2025-11-15", "P1D" },
      { "2025-11-14T11:00:00.0000000", "2025-11-15T11:00:00.0000000", "UTC", "New Zealand Standard Time", "2025-11-15", "P1D" },
      -- a zone of the mailbox's own: the nearest midnight
      { "2025-11-14T22:00:00.0000000", "2025-11-16T22:00:00.0000000", "UTC", "Customized Time Zone", "2025-11-15", "P2D" },
      { "2025-11-15T05:00:00.0000000", "2025-11-16T05:00:00.0000000", "UTC", "tzone://Microsoft/Custom", "2025-11-15", "P1D" },
      -- over a change of clocks
      { "2025-03-29T23:00:00.0000000", "2025-03-30T22:00:00.0000000", "UTC", "W. Europe Standard Time", "2025-03-30", "P1D" },
    }
    for _, case in ipairs(cases) do
      local read = to { isAllDay = true, start = { dateTime = case[1], timeZone = case[3] }, ["end"] = { dateTime = case[2], timeZone = case[3] },
        originalStartTimeZone = case[4], originalEndTimeZone = case[4] }
      assert.same({ case[5] .. "T00:00:00", case[6], true }, { read.start, read.duration, read.showWithoutTime })
      assert.is_nil(read.timeZone)
    end
    local made = assert(event:from(fresh { start = "2025-11-15T00:00:00", duration = "P2D", showWithoutTime = true, timeZone = json.null }))
    assert.is_true(made.isAllDay)
    assert.equal("2025-11-15T00:00:00", made.start.dateTime)
    assert.equal("2025-11-17T00:00:00", made["end"].dateTime)
  end)

  it("is in the zone that was meant", function()
    for _, zone in ipairs {
      "Europe/Paris", "Europe/Madrid", "America/New_York", "US/Pacific", "Asia/Kolkata", "Etc/UTC", "Australia/Lord_Howe", "Etc/GMT+5",
    } do
      local made = assert(event:from(fresh { timeZone = zone }))
      local read = assert(event:to(made))
      assert.equal(zone, read.timeZone)
      assert.equal("2025-01-06T09:00:00", read.start)
      assert.equal("PT1H", read.duration)
    end
    assert.equal("Romance Standard Time", assert(event:from(fresh())).start.timeZone)
    local floating = assert(event:from(fresh { timeZone = json.null }))
    assert.equal("UTC", floating.start.timeZone)
    assert.is_nil(assert(event:to(floating)).timeZone)
    assert.equal("Etc/UTC", to { originalStartTimeZone = "tzone://Microsoft/Utc", originalEndTimeZone = "tzone://Microsoft/Utc" }.timeZone)
    -- Another zone that Outlook has given the event since counts.
    local moved = assert(event:from(fresh { timeZone = "Europe/Madrid" }))
    moved.originalStartTimeZone, moved.originalEndTimeZone = "Pacific Standard Time", "Pacific Standard Time"
    assert.equal("America/Los_Angeles", assert(event:to(moved)).timeZone)
    local two = assert(event:from(fresh { ["lunation:endTimeZone"] = "America/New_York", duration = "PT8H" }))
    assert.equal("2025-01-06T11:00:00", two["end"].dateTime)
    assert.equal("America/New_York", assert(event:to(two))["lunation:endTimeZone"])
  end)

  it("has an end in the second pass of a repeated hour", function()
    local made = assert(event:from(fresh { start = "2025-10-26T02:30:00", duration = "PT1H", timeZone = "Europe/Paris" }))
    local read = assert(event:to(made))
    assert.equal("PT1H", read.duration)
    assert.equal("2025-10-26T02:30:00", read.start)
  end)
end)

describe("the body of an event of Microsoft", function()
  local function description(content, kind, over)
    local more = { body = { contentType = kind or "html", content = content } }
    for name, value in pairs(over or {}) do more[name] = value end
    local read = to(more)
    return read.description, read.descriptionContentType
  end

  it("is text where it is text in a coat of HTML", function()
    assert.equal("Let's get together", (description "<html><head><meta http-equiv=\"x\"></head><body>Let's get together</body></html>"))
    assert.equal("a\nb & c", (description "<html><body><div class=\"PlainText\">a<br>\r\nb &amp; c</div></body></html>"))
    assert.equal("one\ntwo\n\nthree", (description "<div>one</div><div>two</div><div><br></div><div>three</div>"))
    assert.is_nil((description "<html><head></head><body>\r\n<div><br></div></body></html>"))
    assert.equal("plain\ntext", (description("plain\r\ntext\r\n", "text")))
    local text, kind = description "<p>see <a href=\"https://x.test\">here</a></p>"
    assert.equal("<p>see <a href=\"https://x.test\">here</a></p>", text)
    assert.equal("text/html", kind)
  end)

  it("is written as what it is", function()
    assert.same({ contentType = "text", content = "a\nb" }, assert(event:from(fresh { description = "a\nb" })).body)
    assert.same({ contentType = "html", content = "<b>a</b>" },
      assert(event:from(fresh { description = "<b>a</b>", descriptionContentType = "text/html" })).body)
  end)

  local join = "https://teams.microsoft.com/l/meetup-join/19%3ameeting_x?context=%7b%7d"
  local blob = '<div style="width:100%"><span>________________________________________________________________________________</span></div>'
    .. '<div><a href="' .. join .. '">Join the meeting now</a></div><div>________________________________________________________________________________</div>'
  local meeting = { isOnlineMeeting = true, onlineMeetingProvider = "teamsForBusiness", onlineMeeting = { joinUrl = join } }

  it("keeps the way into an online meeting", function()
    local html = "<html><body><div>Agenda</div>" .. blob .. "</body></html>"
    assert.equal("Agenda", (description(html, "html", meeting)))
    local before = native { body = { contentType = "html", content = html }, isOnlineMeeting = true, onlineMeetingProvider = "teamsForBusiness",
      onlineMeeting = { joinUrl = join } }
    local canonical = assert(event:to(before))
    assert.equal(join, canonical["lunation:conference"].uri)
    assert.equal("microsoft-teams", canonical["lunation:conference"].provider)
    assert.same({ joinUrl = join }, canonical["lunation:conference"].data.onlineMeeting)
    canonical.description = "New <agenda>\nline"
    local after = assert(event:from(canonical, before))
    assert.truthy(after.body.content:find(blob, 1, true))
    assert.truthy(after.body.content:find("New &lt;agenda&gt;<br>line", 1, true))
    assert.equal("New <agenda>\nline", assert(event:to(after)).description)
    canonical.description = nil
    after = assert(event:from(canonical, before))
    assert.truthy(after.body.content:find(join, 1, true))
    assert.is_nil(assert(event:to(after)).description)
  end)

  it("keeps a way in that has no ruler above", function()
    local html = "<html><body><p>Agenda</p><p><a href=\"" .. join .. "\">Join</a></p></body></html>"
    assert.equal("Agenda", (description(html, "html", meeting)))
  end)

  it("makes an online meeting once and for all", function()
    local made = assert(event:from(fresh { ["lunation:conference"] = { generate = true, provider = "microsoft-teams" } }))
    assert.is_true(made.isOnlineMeeting)
    assert.equal("teamsForBusiness", made.onlineMeetingProvider)
    local before = native { isOnlineMeeting = true, onlineMeetingProvider = "teamsForBusiness", onlineMeeting = { joinUrl = join } }
    local canonical = assert(event:to(before))
    canonical["lunation:conference"] = nil
    local after, err = event:from(canonical, before)
    assert.is_nil(after)
    assert.equal("lunation:conference", err.field)
    canonical["lunation:conference"] = { uri = "https://zoom.us/j/1" }
    after, err = event:from(canonical, before)
    assert.is_nil(after)
    assert.equal("lunation:conference", err.field)
    canonical["lunation:conference"] = { uri = join, provider = "microsoft-teams" }
    assert.same(before, assert(event:from(canonical, before)))
    canonical["lunation:conference"] = { generate = true }
    assert.same(before, assert(event:from(canonical, before)))
    local own = assert(event:to(assert(event:from(fresh { ["lunation:conference"] = { uri = "https://zoom.us/j/1", provider = "zoom" } }))))
    assert.equal("https://zoom.us/j/1", own["lunation:conference"].uri)
  end)
end)

describe("people and places of an event of Microsoft", function()
  local guests = {
    { type = "required", status = { response = "accepted", time = "2025-01-01T00:00:00Z" }, emailAddress = { name = "Bob", address = "Bob@contoso.com" } },
    { type = "optional", status = { response = "tentativelyAccepted" }, emailAddress = { address = "carol@contoso.com" } },
    { type = "resource", status = { response = "none" }, emailAddress = { name = "Room 1", address = "room1@contoso.com" } },
  }

  it("are read", function()
    local people = to { attendees = guests }.participants
    local bob = people[model.participant_id "bob@contoso.com"]
    assert.same({ "Bob", "accepted", "mailto:Bob@contoso.com" }, { bob.name, bob.participationStatus, bob.sendTo.imip })
    assert.is_true(people[model.participant_id "carol@contoso.com"].roles.optional)
    assert.equal("tentative", people[model.participant_id "carol@contoso.com"].participationStatus)
    assert.equal("resource", people[model.participant_id "room1@contoso.com"].kind)
    assert.equal("needs-action", people[model.participant_id "room1@contoso.com"].participationStatus)
    local owner = people[model.participant_id "samanthab@contoso.com"]
    assert.same({ owner = true }, owner.roles)
    assert.equal("mailto:samanthab@contoso.com", to { attendees = guests }.replyTo.imip)
  end)

  it("have one's own answer from the event", function()
    local people = to { attendees = guests, isOrganizer = false, me = "carol@contoso.com", responseStatus = { response = "declined" } }.participants
    assert.equal("declined", people[model.participant_id "carol@contoso.com"].participationStatus)
  end)

  it("are replaced, those who stay as they were", function()
    local before = native { attendees = guests }
    local canonical = assert(event:to(before))
    canonical.participants[model.participant_id "carol@contoso.com"] = nil
    canonical.participants[model.participant_id "dan@contoso.com"] = { email = "dan@contoso.com", name = "Dan", roles = { attendee = true } }
    local after = assert(event:from(canonical, before)).attendees
    assert.equal(3, #after)
    assert.same(guests[1], after[1])
    assert.same(guests[3], after[2])
    assert.same({ type = "required", emailAddress = { address = "dan@contoso.com", name = "Dan" } }, after[3])
    canonical.participants = nil
    assert.same(json.array {}, assert(event:from(canonical, before)).attendees)
  end)

  it("are places by their names", function()
    local hall = { displayName = "Hall", locationType = "conferenceRoom", locationEmailAddress = "hall@contoso.com",
      coordinates = { latitude = 47.64, longitude = -122.13 } }
    local before = native { location = hall, locations = { hall, { displayName = "Lobby" } } }
    local canonical = assert(event:to(before))
    assert.equal("Hall", canonical.locations["1"].name)
    assert.equal("geo:47.64,-122.13", canonical.locations["1"].coordinates)
    assert.equal("Lobby", canonical.locations["2"].name)
    canonical.locations["2"] = { ["@type"] = "Location", name = "Café" }
    local after = assert(event:from(canonical, before))
    assert.same(hall, after.locations[1])
    assert.same({ displayName = "Café" }, after.locations[2])
    canonical.locations = nil
    assert.equal("", assert(event:from(canonical, before)).location.displayName)
  end)

  it("have one reminder", function()
    local made = assert(event:from(fresh { alerts = { a = { trigger = { offset = "-PT30M" } } } }))
    assert.same({ true, 30 }, { made.isReminderOn, made.reminderMinutesBeforeStart })
    local canonical = assert(event:to(native()))
    canonical.alerts = nil
    assert.is_false(assert(event:from(canonical, native())).isReminderOn)
    for _, alerts in ipairs {
      { a = { trigger = { offset = "-PT30M" } }, b = { trigger = { offset = "-PT10M" } } }, { a = { trigger = { offset = "PT30M" } } },
      { a = { trigger = { offset = "-PT30S" } } }, { a = { trigger = { offset = "-PT30M" }, action = "email" } },
      { a = { trigger = { offset = "-PT30M", relativeTo = "end" } } },
    } do
      local refusal, err = event:from(fresh { alerts = alerts })
      assert.is_nil(refusal)
      assert.equal("alerts", err.field)
    end
    made = assert(event:from(fresh { alerts = { a = { trigger = { when = "2025-01-06T07:00:00Z" } } } }))
    assert.equal(60, made.reminderMinutesBeforeStart)
  end)

  it("keep what Graph has no word for, and leave the properties of others", function()
    local before = native { singleValueExtendedProperties = { { id = "String {a0} Name theirs", value = "x" } } }
    local canonical = assert(event:to(before))
    canonical["lunation:custom"] = { app1 = { n = 1, s = "ü", b = true, list = { 1, 2 } } }
    canonical.color, canonical.links.doc = "#ff0000", { ["@type"] = "Link", href = "https://x.test/doc", rel = "enclosure" }
    local after = assert(event:from(canonical, before))
    assert.same({ id = "String {a0} Name theirs", value = "x" }, after.singleValueExtendedProperties[1])
    assert.equal(2, #after.singleValueExtendedProperties)
    local read = assert(event:to(after))
    assert.same(canonical["lunation:custom"], read["lunation:custom"])
    assert.equal("#ff0000", read.color)
    assert.equal("https://x.test/doc", read.links.doc.href)
    assert.equal("u1", property.get(assert(event:from(fresh())), property.UID))
    assert.equal("u1", assert(event:to(assert(event:from(fresh())))).uid)
  end)

  it("are extended by a file of the integrator's", function()
    local support = require "spec.support"
    local folder = support.tmpdir()
    support.write(folder .. "/microsoft.lua", [[
      return extend("microsoft", { event = { title = codec("subject", { to = string.upper, from = string.lower }) } })
    ]])
    local changed = assert(assert(providers.load { path = { folder } }):get "microsoft")
    assert.equal("FAMILY REUNION", assert(changed.event:to(native())).title)
    assert.equal("2025-11-26T09:00:00", assert(changed.event:to(native())).start)
    assert.not_equal(assert(providers.load {}):digest "microsoft", assert(providers.load { path = { folder } }):digest "microsoft")
  end)
end)

describe("an event of Microsoft that is damaged", function()
  it("is refused or read, and never more than that", function()
    local whole = native {
      type = "seriesMaster", recurrence = { pattern = { type = "weekly", interval = 1, daysOfWeek = { "monday" }, firstDayOfWeek = "sunday" },
        range = { type = "numbered", startDate = "2025-11-24", numberOfOccurrences = 5, recurrenceTimeZone = "UTC" } },
      start = { dateTime = "2025-11-24T17:00:00", timeZone = "UTC" }, ["end"] = { dateTime = "2025-11-24T18:00:00", timeZone = "UTC" },
      originalStartTimeZone = "UTC", originalEndTimeZone = "UTC",
      locations = { { displayName = "x", coordinates = { latitude = 1, longitude = 2 } } },
      attendees = { { type = "required", status = { response = "accepted" }, emailAddress = { address = "a@b.c", name = "n" } } },
      categories = { "Red" }, cancelledOccurrences = { "OID.x.2025-12-01" }, onlineMeeting = { joinUrl = "https://t.test" },
      onlineMeetingProvider = "teamsForBusiness", attachments = { { id = "a", name = "n" } },
      exceptionOccurrences = { { id = "e", type = "exception", originalStart = "2025-12-08T17:00:00Z", subject = "Other" } },
      singleValueExtendedProperties = { { id = property.DATA, value = '{"custom":{"app":{"a":1}}}' } },
    }
    local text = json.encode(whole)
    assert(event:to(json.decode(text)))
    local wild = { json.null, 7, -1.5, "", "\0", true, json.array {}, json.object {}, ("x"):rep(5000), { { { 1 } } }, "2025-13-45T99:99:99Z", "OID" }
    local state, good, bad = 99, 0, 0
    local function random(n)
      state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (state >> 33) % n + 1
    end
    local function spoil(value, depth)
      local keys = {}
      for key in pairs(value) do keys[#keys + 1] = key end
      table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
      if #keys == 0 then return end
      local key = keys[random(#keys)]
      if type(value[key]) == "table" and value[key] ~= json.null and random(3) > 1 and depth < 6 then return spoil(value[key], depth + 1) end
      if random(6) == 1 and type(key) == "string" then value[key] = nil else value[key] = wild[random(#wild)] end
    end
    for _ = 1, 1500 do
      local damaged = json.decode(text)
      for _ = 1, random(3) do spoil(damaged, 1) end
      local ok, canonical, err = pcall(event.to, event, damaged)
      assert(ok, ("%s\n%s"):format(tostring(canonical), json.encode(damaged)))
      if canonical then good = good + 1 else bad = bad + 1 end
      assert(canonical or err.code == "invalid_request")
      if canonical then
        local again, back = pcall(event.from, event, canonical, damaged)
        assert(again, ("%s\n%s"):format(tostring(back), json.encode(damaged)))
      end
    end
    assert.is_true(good > 200 and bad > 200)
  end)
end)

describe("the examples of Microsoft's documentation", function()
  it("are read, and written over themselves as they were", function()
    local host = require "lunation.host"
    local file = io.open(host.root .. "/../shared/contracts/msgraph/graph-docs-mocks-calendar.json", "rb")
    if not file then
      pending "needs ../shared"
      return
    end
    local mocks = json.decode(file:read "a", { max = 16 << 20 }).mocks
    file:close()
    local events, contacts = 0, 0
    local function walk(value, url)
      if type(value) ~= "table" or value == json.null then return end
      if type(value.start) == "table" and value.start.dateTime and value.subject then
        events = events + 1
        local canonical = assert(event:to(value))
        assert.is_true(model.validate(model.normalize(canonical)), url)
        assert.same(value, assert(event:from(canonical, value)), url)
      elseif value.emailAddresses and value.displayName then
        contacts = contacts + 1
        local card = assert(provider.contact:to(value))
        assert.same(value, assert(provider.contact:from(card, value)), url)
      end
      for _, below in pairs(value) do walk(below, url) end
    end
    for _, mock in ipairs(mocks) do walk(mock.response.body, mock.request.url) end
    assert.same({ 18, 2 }, { events, contacts })
  end)
end)
