-- The user's settings, which can only be read and watched.
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local pages = require "spec.emulators.google.pages"
local push = require "spec.emulators.google.push"
local world = require "spec.emulators.google.world"

local settings = {}

local function values(user)
  return {
    { "timezone", user.timeZone }, { "locale", "en_GB" }, { "format24HourTime", "true" }, { "weekStart", "1" }, { "dateFieldOrder", "DMY" },
    { "defaultEventLength", "60" }, { "autoAddHangouts", "false" }, { "hideInvitations", "false" }, { "hideWeekends", "false" },
    { "remindOnRespondedEventsOnly", "false" }, { "showDeclinedEvents", "true" }, { "useKeyboardShortcuts", "true" },
  }
end

local function render(user, pair)
  return { kind = "calendar#setting", etag = world.etag(user.rev), id = pair[1], value = pair[2] }
end

local function list(call)
  local signature = pages.signature(call)
  local cursor
  local at = 0
  if call.args.pageToken then
    cursor, at = pages.continue(call.args.pageToken, signature)
  else
    local found = values(call.user)
    if call.args.syncToken then
      local held = pages.unseal(call.args.syncToken)
      if not held or held.settings ~= call.user.email then failure.fail(400, "invalid", "Invalid sync token value.") end
      if held.epoch ~= world.sync_epoch then failure.fail(410, "fullSyncRequired") end
      if held.rev == call.user.rev then found = {} end
    end
    cursor = pages.begin(found, { signature = signature })
  end
  local items, next_token = pages.slice(call, cursor, at, call:integer("maxResults", 100, 250))
  local out = json.array {}
  for i, pair in ipairs(items) do out[i] = render(call.user, pair) end
  return {
    kind = "calendar#settings", etag = world.etag(call.user.rev), items = out, nextPageToken = next_token,
    nextSyncToken = not next_token and pages.seal { settings = call.user.email, rev = call.user.rev, epoch = world.sync_epoch } or nil,
  }
end

local function get(call)
  for _, pair in ipairs(values(call.user)) do
    if pair[1] == call.params.setting then return render(call.user, pair) end
  end
  failure.fail(404, "notFound")
end

settings.routes = {
  ["/calendar/v3/users/me/settings"] = { GET = { handler = list, id = "calendar.settings.list" } },
  ["/calendar/v3/users/me/settings/watch"] = { POST = { handler = function(call)
    return push.open(call, "settings", call.user.email, "https://www.googleapis.com/calendar/v3/users/me/settings?alt=json")
  end, id = "calendar.settings.watch" } },
  ["/calendar/v3/users/me/settings/:setting"] = { GET = { handler = get, id = "calendar.settings.get" } },
}

return settings
