-- Microsoft 365 and Outlook.com by Microsoft Graph v1.0.
local graph = require "lunation.microsoft"
local event = require "lunation.microsoft.event"
local calendars = require "lunation.microsoft.calendars"
local contacts = require "lunation.microsoft.contacts"

local identity = { "openid", "email", "profile", "offline_access", "User.Read" }

local function scopes(...)
  local list = table.move(identity, 1, #identity, 1, {})
  for _, scope in ipairs { ... } do list[#list + 1] = scope end
  return list
end

return {
  name = "microsoft",
  title = "Microsoft Outlook",
  aliases = { "outlook_calendar", "outlook", "OUTLOOK" },

  options = { "events_delta", "subscription_lifetime" },
  urls = { graph = "https://graph.microsoft.com/v1.0" },
  auth = {
    kind = "oauth2", pkce = true,
    authorize = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
    token = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
    defaults = { tenant = "common" },
    parameters = { response_mode = "query" },
    -- The zone of a calendar is its mailbox's: MailboxSettings.Read.
    scopes = {
      ["free-busy"] = scopes "Calendars.ReadBasic",
      read = scopes("Calendars.Read", "MailboxSettings.Read"),
      ["read-write"] = scopes("Calendars.ReadWrite", "MailboxSettings.Read"),
      contacts = { "Contacts.ReadWrite", "People.Read" },
      -- Rooms, people one works with and what they show of their calendars.
      resources = { "Place.Read.All", "People.Read", "Calendars.Read.Shared" },
    },
    granted = calendars.granted,
  },
  can = {
    write = true, push = true, incremental = true, conference = true, rsvp = true, contacts = true, resources = true, coworkers = true,
    freebusy_of_others = true, calendars = true,
  },
  -- Of one mailbox, for one application.
  limits = { concurrency = 4, buckets = { { requests = 10000, seconds = 600 } } },

  event = mapping({
    ["@type"] = const "Event",
    uid = event.uid,
    title = event.title,
    description = event.description,
    descriptionContentType = event.content_type,

    start = required(event.start),
    duration = event.duration,
    timeZone = event.zone,
    showWithoutTime = event.all_day,
    ["lunation:endTimeZone"] = event.end_zone,
    recurrenceRules = event.rules,
    excludedRecurrenceRules = event.excluded_rules,

    -- All three are showAs: the one that was changed decides.
    status = event.status,
    freeBusyStatus = event.free_busy,
    ["lunation:showAs"] = event.show_as,
    privacy = event.words("sensitivity", { public = "normal", private = { "private", "personal" }, secret = "confidential" }, "normal"),
    priority = event.priority,
    keywords = event.keywords,
    alerts = event.alerts,

    participants = event.participants,
    replyTo = event.reply_to,
    locations = event.locations,
    links = event.links,
    ["lunation:conference"] = event.conference,

    created = event.utc "createdDateTime",
    updated = event.utc "lastModifiedDateTime",

    -- Graph has no place for these: they stand in a property of ours beside the event (lunation.microsoft.property).
    color = event.kept "color",
    relatedTo = event.kept "relatedTo",
    virtualLocations = event.kept "virtualLocations",
    ["lunation:custom"] = event.kept "custom",
  }, event.series),

  calendar = mapping {
    id = readonly(required "id"),
    title = default("name", "Calendar"),
    color = codec(nil, calendars.color),
    timeZone = readonly(codec(nil, calendars.zone)),
    readOnly = readonly(codec("canEdit", { to = function(can) return not can end, from = function() return nil end })),
    primary = readonly "isDefaultCalendar",
    components = const { "VEVENT" },
  },

  contact = contacts.mapping,

  classify = graph.classify,
  identify = calendars.identify,
  calendars = calendars.list,
  calendar_create = calendars.create,
  calendar_update = calendars.update,
  calendar_delete = calendars.delete,

  changes = graph.changes,
  fetch = graph.fetch,
  create = graph.create,
  update = graph.update,
  delete = graph.delete,
  rsvp = graph.rsvp,
  original = graph.original,
  new_id = graph.new_id,

  freebusy = graph.freebusy,
  contacts = contacts.changes,
  contact_create = contacts.create,
  contact_update = contacts.update,
  contact_delete = contacts.delete,
  resources = graph.resources,
  coworkers = graph.coworkers,

  watches = "account",
  watch = graph.watch,
  renew = graph.renew,
  unwatch = graph.unwatch,
  receive = graph.receive,
}
