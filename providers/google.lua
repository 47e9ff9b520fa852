-- Google Calendar, with contacts (People API) and rooms (Directory API). How each field of an event maps stands here; the
-- protocol is lua/lunation/google/.
local google = require "lunation.google"

return {
  name = "google",
  title = "Google Calendar",
  aliases = { "google_calendar", "GOOGLE" },

  urls = {
    calendar = "https://www.googleapis.com/calendar/v3",
    people = "https://people.googleapis.com/v1",
    directory = "https://admin.googleapis.com/admin/directory/v1",
  },
  auth = {
    kind = "oauth2",
    authorize = "https://accounts.google.com/o/oauth2/v2/auth",
    token = "https://oauth2.googleapis.com/token",
    revoke = "https://oauth2.googleapis.com/revoke",
    pkce = true,
    -- A refresh token comes with offline access, and again only where consent is asked again.
    parameters = { access_type = "offline", prompt = "consent", include_granted_scopes = "true" },
    scopes = google.scopes,
    granted = google.granted,
  },

  options = { "page_size" },

  can = {
    write = true, push = true, incremental = true, contacts = true, resources = true, coworkers = true, freebusy_of_others = true,
    conference = true, calendars = true, rsvp = true,
  },
  -- Requests of one user in a minute that Google takes, and how many at once are good manners.
  limits = { concurrency = 6, buckets = { { requests = 600, seconds = 60 } } },
  watches = "calendar",

  event = google.event {
    ["@type"] = const "Event",
    uid = required(google.uid),
    title = google.text "summary",
    description = google.text "description",
    locations = google.kept("locations", codec("location", google.place)),

    start = required(google.time.start),
    duration = google.time.duration,
    timeZone = google.time.timeZone,
    showWithoutTime = google.time.showWithoutTime,
    ["lunation:endTimeZone"] = google.time["lunation:endTimeZone"],
    recurrenceRules = google.recurrence.recurrenceRules,
    excludedRecurrenceRules = google.recurrence.excludedRecurrenceRules,

    status = google.word("status", { confirmed = "confirmed", tentative = "tentative", cancelled = "cancelled" }),
    freeBusyStatus = google.word("transparency", { busy = "opaque", free = "transparent" }),
    privacy = google.word("visibility", { public = "public", private = "private", secret = "confidential" }, { default = true }),
    color = google.kept("color", google.color),

    participants = google.people.participants,
    replyTo = google.people.replyTo,
    hideAttendees = codec("guestsCanSeeOtherGuests", {
      to = function(shown) return shown == false or nil end,
      from = function(hidden) return not hidden end,
    }),

    alerts = google.kept("alerts", google.reminders.alerts),
    useDefaultAlerts = google.reminders.useDefaultAlerts,
    links = google.kept("links", google.links, "html"),
    ["lunation:conference"] = google.conference["lunation:conference"],
    virtualLocations = google.kept("rooms", google.conference.virtualLocations),

    created = readonly(codec("created", google.instant)),
    updated = readonly(codec("updated", google.instant)),
    sequence = readonly(codec("sequence", "integer")),

    -- The properties of apps: of this copy of the event, and of every guest's.
    ["lunation:custom"] = google.apps "private",
    ["lunation:shared"] = google.apps "shared",
    -- What Google has no field for.
    keywords = google.kept "keywords",
    priority = google.kept "priority",
    relatedTo = google.kept "relatedTo",
    ["lunation:eventType"] = readonly(codec("eventType", google.kind)),
  },

  calendar = mapping {
    id = required(readonly "id"),
    title = google.title,
    description = google.text "description",
    color = codec("backgroundColor", google.hex),
    timeZone = codec("timeZone", { to = google.zone, from = function(zone) return zone end }),
    readOnly = readonly(codec("accessRole", { to = google.read_only, from = function() return nil end })),
    privileges = readonly(codec("accessRole", { to = google.privileges, from = function() return nil end })),
    primary = readonly(default("primary", false)),
    components = const { "VEVENT" },
  },

  contact = mapping {
    ["@type"] = const "Card",
    uid = required(readonly "resourceName"),
    name = mapping {
      full = google.full_name,
      given = "names.1.givenName", given2 = "names.1.middleName", surname = "names.1.familyName",
      prefix = "names.1.honorificPrefix", suffix = "names.1.honorificSuffix",
    },
    nicknames = codec("nicknames", {
      to = function(list)
        local names = {}
        for i, nickname in ipairs(list) do names[i] = nickname.value end
        return #names > 0 and names or nil
      end,
      from = function(names)
        local list = {}
        for i, name in ipairs(names) do list[i] = { value = name } end
        return list
      end,
    }),
    emails = list("emailAddresses", mapping { address = "value", context = codec("type", google.context) }, { key = "address" }),
    phones = list("phoneNumbers", mapping { number = "value", context = codec("type", google.context) }, { key = "number" }),
    organizations = list("organizations", mapping { name = "name", department = "department", title = "title" }),
    addresses = list("addresses", mapping {
      full = "formattedValue", street = "streetAddress", locality = "city", region = "region", postcode = "postalCode", country = "country",
      context = codec("type", google.context),
    }),
    birthday = google.birthday,
    notes = google.text "biographies.1.value",
    links = list("urls", mapping { uri = "value", context = codec("type", google.context) }, { key = "uri" }),
    updated = readonly(codec("metadata.sources.1.updateTime", google.instant)),
    readOnly = readonly "lunation:readOnly",
  },

  identify = google.identify,
  classify = google.classify,
  calendars = google.calendars,
  changes = google.changes,
  fetch = google.fetch,
  create = google.create,
  update = google.update,
  delete = google.delete,
  rsvp = google.rsvp,
  original = google.original,
  new_id = google.new_id,

  freebusy = google.freebusy,
  contacts = google.contacts,
  contact_create = google.contact_create,
  contact_update = google.contact_update,
  contact_delete = google.contact_delete,
  resources = google.resources,
  coworkers = google.coworkers,
  calendar_create = google.calendar_create,
  calendar_update = google.calendar_update,
  calendar_delete = google.calendar_delete,
  watch = google.watch,
  unwatch = google.unwatch,
  receive = google.receive,
}
