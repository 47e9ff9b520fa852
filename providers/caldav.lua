-- Any CalDAV server (RFC 4791): Radicale, Nextcloud, Fastmail, DAViCal, Cyrus, SOGo … with a password or a token.
local caldav = require "lunation.caldav"
local client = caldav.client { provider = "caldav" }

return {
  name = "caldav",
  title = "CalDAV",
  aliases = {},
  auth = { kind = "basic", fields = { "url", "username", "password" } },
  can = { write = true, incremental = true, scheduling = true },

  event = caldav.event,
  calendar = mapping {
    id = "href",
    title = "displayname",
    description = "description",
    color = readonly(codec("color", { to = caldav.color, from = function(color) return color end })),
    timeZone = readonly(codec(nil, { to = caldav.zone, from = function() return true end })),
    readOnly = readonly(codec(nil, { to = caldav.read_only, from = function() return true end })),
    privileges = "privileges",
    components = "components",
    primary = "primary",
  },

  identify = client.identify,
  calendars = client.calendars,
  changes = client.changes,
  fetch = client.fetch,
  create = client.create,
  update = client.update,
  delete = client.delete,
  original = client.original,
  new_id = client.new_id,
}
