-- What providers/microsoft.lua makes its event of: the entries by name.
local body = require "lunation.microsoft.body"
local fields = require "lunation.microsoft.fields"
local people = require "lunation.microsoft.people"
local property = require "lunation.microsoft.property"
local recurrence = require "lunation.microsoft.recurrence"
local series = require "lunation.microsoft.series"
local time = require "lunation.microsoft.time"

return {
  words = fields.words, utc = fields.utc, kept = property.kept,
  uid = property.uid, title = fields.title,
  start = time.fields.start, duration = time.fields.duration, zone = time.fields.timeZone, end_zone = time.fields.endTimeZone,
  all_day = time.fields.showWithoutTime,
  rules = recurrence.rules, excluded_rules = recurrence.excluded,
  description = body.description, content_type = body.content_type,
  status = fields.status, free_busy = fields.free_busy, show_as = fields.show_as,
  priority = fields.priority, keywords = fields.keywords, alerts = fields.alerts, locations = fields.locations, links = fields.links,
  participants = people.participants, reply_to = people.reply_to, conference = fields.conference,
  ---How a series is one event with its exceptions: the envelope of the mapping.
  series = { to = series.to, from = series.from },
}
