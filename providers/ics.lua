-- A read-only calendar out of an .ics file or a feed's URL.
local caldav = require "lunation.caldav"
local errors = require "lunation.errors"
local feed = require "lunation.feed"
local tz = require "lunation.tz"

return {
  name = "ics",
  title = "iCalendar feed",
  aliases = { "ical", "webcal" },
  auth = { kind = "none", fields = { "url" } },
  can = { write = false, incremental = true },

  event = caldav.event,
  calendar = mapping {
    id = "id",
    title = default("title", "Calendar"),
    description = "description",
    color = codec("color", { to = caldav.color, from = function(color) return color end }),
    timeZone = codec("timeZone", { to = function(name) return (tz.resolve(name)) end, from = function(zone) return zone end }),
    readOnly = const(true),
    components = const { "VEVENT" },
    primary = const(true),
  },

  ---A file is read only for who may name files: the command and the configuration, not a request from outside (`account.remote`).
  identify = function(account)
    local source, err = feed.source(account.url)
    if not source then return nil, err end
    if source.file and account.remote then
      return nil, errors.new("invalid_request", "A feed's address begins with https:// or http://.", { field = "url", provider = "ics" })
    end
    local answer
    answer, err = feed.read(account, source)
    if not answer then return nil, err end
    local result
    result, err = feed.split(answer.text)
    if not result then return nil, err end
    local address = source.url or "file://" .. source.file
    local info = result.info
    info.id = address
    return { identity = address, name = account.name or info.title or address, url = address, settings = { source = source, feed = info } }
  end,

  calendars = function(account)
    return { account.settings.feed }
  end,

  changes = function(account, _, state)
    local done = false
    return function()
      if done then return nil end
      done = true
      return feed.changes(account, account.settings.source, state)
    end
  end,

  original = function(native) return { etag = native.etag, ics = native.text } end,
}
