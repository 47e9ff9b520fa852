-- Calendars that are only in the store.
local json = require "lunation.json"

local provider = assert(assert(require("lunation.provider").load()):get("local"))

local function event(title)
  return { ["@type"] = "Event", uid = "u1", title = title, start = "2027-12-01T10:00:00", timeZone = "Europe/Berlin", duration = "PT1H" }
end

describe("the local provider", function()
  it("makes an account with one calendar, the same each time", function()
    local found = assert(provider.identify { username = "home" })
    assert.equal("home", found.identity)
    assert.same(found, provider.identify { username = "home" })
    local calendars = assert(provider.calendars { settings = found.settings })
    assert.equal(1, #calendars)
    assert.same({ id = "home", title = "Calendar", readOnly = false, components = { "VEVENT" }, primary = true }, provider.calendar:to(calendars[1]))
  end)

  it("keeps the calendars that it is given", function()
    local settings = { calendars = { { id = "a", title = "A", timeZone = "Europe/Paris" }, { id = "b", title = "B" } } }
    local found = assert(provider.identify { username = "home", settings = settings })
    local calendars = assert(provider.calendars { settings = found.settings })
    assert.equal("Europe/Paris", provider.calendar:to(calendars[1]).timeZone)
    assert.is_true(provider.calendar:to(calendars[1]).primary)
    assert.is_false(provider.calendar:to(calendars[2]).primary)
  end)

  it("keeps an event as it is, with a tag of its content", function()
    local account, calendar = {}, { id = "home" }
    local native = assert(provider.create(account, calendar, assert(provider.event:from(event("Lunch"))), { id = "e1" }))
    assert.equal("e1", native.id)
    assert.same(event("Lunch"), provider.event:to(native))
    local again = assert(provider.create(account, calendar, provider.event:from(event("Lunch")), { id = "e2" }))
    assert.equal(native.etag, again.etag)

    local changed = assert(provider.update(account, calendar, provider.event:from(event("Dinner"), native), { etag = native.etag }))
    assert.equal("e1", changed.id)
    assert.are_not.equal(native.etag, changed.etag)
    local late, err = provider.update(account, calendar, provider.event:from(event("Late"), changed), { etag = native.etag })
    assert.is_nil(late)
    assert.equal("precondition_failed", err.code)
    assert.is_true(provider.delete(account, calendar, "e1", { etag = changed.etag }))
  end)

  it("keeps what other programs put into an event", function()
    local odd = event("Odd")
    odd["example.com:mood"] = json.array { "calm", json.object {} }
    local native = assert(provider.create({}, { id = "home" }, provider.event:from(odd), { id = "e" }))
    assert.same(odd, provider.event:to(native))
  end)

  it("knows of no changes but its own", function()
    assert.is_nil(provider.changes({}, { id = "home" }, nil)())
  end)
end)
