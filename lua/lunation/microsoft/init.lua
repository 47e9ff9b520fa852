-- Microsoft Graph as the functions of a provider.
local freebusy = require "lunation.microsoft.freebusy"
local places = require "lunation.microsoft.places"
local reader = require "lunation.microsoft.event_reader"
local request = require "lunation.microsoft.request"
local subscription = require "lunation.microsoft.subscription"
local sync = require "lunation.microsoft.sync"
local write = require "lunation.microsoft.write"

return {
  classify = request.classify,
  changes = sync.changes,
  fetch = write.fetch, original = reader.original, new_id = reader.new_id,
  create = write.create, update = write.update, delete = write.delete, rsvp = write.rsvp,
  freebusy = freebusy.freebusy, resources = places.resources, coworkers = places.coworkers,
  watch = subscription.watch, renew = subscription.renew, unwatch = subscription.unwatch, receive = subscription.receive,
}
