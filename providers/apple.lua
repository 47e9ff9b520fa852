-- iCloud Calendar: CalDAV with an app-specific password. Discovery begins at caldav.icloud.com and ends on one of many partition
-- hosts (p42-caldav.icloud.com), which name everything by absolute addresses.
local caldav = require "lunation.caldav"
local errors = require "lunation.errors"

local refusal = "iCloud did not accept the Apple Account or the password. iCloud takes an app-specific password here, not the password of the"
  .. " Apple Account: make one at account.apple.com under Sign-In and Security, App-Specific Passwords."

local client = caldav.client {
  provider = "apple",
  url = "https://caldav.icloud.com/",
  refusal = refusal,
  -- An Apple Account is named by its address; without one no request is worth sending.
  check = function(account)
    local username = account.credentials and account.credentials.username or account.username or ""
    if not username:find("^[^@%s]+@[^@%s]+$") then
      return nil, errors.new("invalid_request", "The Apple Account is an e-mail address.", { field = "username", provider = "apple" })
    end
    return true
  end,
}

return extend("caldav", {
  name = "apple",
  title = "iCloud Calendar",
  aliases = { "icloud_calendar", "icloud" },
  auth = { kind = "basic", fields = { "username", "password" }, password = "app-specific" },

  identify = client.identify,
  calendars = client.calendars,
  changes = client.changes,
  fetch = client.fetch,
  create = client.create,
  update = client.update,
  delete = client.delete,
})
