-- Google's protocol as the words and functions that providers/google.lua is made of.
local calendars = require "lunation.google.calendars"
local changes = require "lunation.google.changes"
local conference = require "lunation.google.conference"
local contacts = require "lunation.google.contacts"
local directory = require "lunation.google.directory"
local failure = require "lunation.google.failure"
local fields = require "lunation.google.fields"
local freebusy = require "lunation.google.freebusy"
local identity = require "lunation.google.identity"
local links = require "lunation.google.links"
local mapping = require "lunation.mapping"
local palette = require "lunation.google.palette"
local people = require "lunation.google.people"
local properties = require "lunation.google.properties"
local push = require "lunation.google.push"
local recurrence = require "lunation.google.recurrence"
local reminders = require "lunation.google.reminders"
local series = require "lunation.google.series"
local time = require "lunation.google.time"
local write = require "lunation.google.write"

local M = {
  -- Fields of an event, for its mapping.
  time = time.fields, recurrence = recurrence.fields, people = people.fields, reminders = reminders.fields,
  conference = conference.fields, links = links.field, color = palette.field, kept = properties.kept, apps = properties.apps,
  uid = fields.uid, place = fields.place, word = fields.word, text = fields.text, instant = fields.instant, kind = fields.kind,

  -- Of a calendar, and of a contact.
  hex = { to = palette.hex, from = palette.hex }, zone = fields.zone, title = fields.title,
  read_only = calendars.read_only, privileges = calendars.privileges,
  full_name = fields.full_name, birthday = fields.birthday, context = fields.context,

  scopes = identity.scopes, granted = identity.granted, identify = identity.identify, classify = failure.classify,
  calendars = calendars.list, calendar_create = calendars.create, calendar_update = calendars.update, calendar_delete = calendars.delete,
  changes = changes.changes, fetch = write.fetch, original = series.original,
  create = write.create, update = write.update, delete = write.delete, rsvp = write.rsvp, new_id = write.new_id,
  freebusy = freebusy.query, contacts = contacts.changes,
  contact_create = contacts.create, contact_update = contacts.update, contact_delete = contacts.delete,
  resources = directory.resources, coworkers = directory.coworkers,
  watch = push.watch, unwatch = push.unwatch, receive = push.receive,
}

---The mapping of events: of series with their exceptions.
---@param of table<string, any> canonical field to entry
---@return lunation.Mapping
function M.event(of)
  return mapping.new(of, series.envelope)
end

return M
