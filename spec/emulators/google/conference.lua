-- Meet: asked for by createRequest, pending in the answer to it, there (or failed) when the event is next read.
local crypto = require "lunation.crypto"
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local rows = require "spec.emulators.google.rows"
local timer = require "lunation.timer"
local world = require "spec.emulators.google.world"

local conference = {}

local LATER = 0.2

local letters = "abcdefghijklmnopqrstuvwxyz"

local function word(length)
  return (crypto.random(length):gsub(".", function(c)
    local at = c:byte() % 26 + 1
    return letters:sub(at, at)
  end))
end

--- What a write makes of the conference of a row: nothing without conferenceDataVersion=1, and what was there is lost then.
---@param row table
---@param body table
---@param call google.Call
---@param calendar table
---@param merged boolean patch: what the body leaves out stays
function conference.apply(row, body, call, calendar, merged)
  local data = row.data
  local asked = body.conferenceData
  if call.args.conferenceDataVersion ~= "1" then
    data.conferenceData, data.hangoutLink = nil, nil
    return
  end
  if asked == nil and merged then return end
  if asked == nil or asked == json.null then
    data.conferenceData, data.hangoutLink = nil, nil
    return
  end
  local given = {}
  for name, value in pairs(asked) do
    if value ~= json.null then given[name] = value end
  end
  asked = given
  local request = asked.createRequest
  local known = data.conferenceData
  if not request or asked.conferenceSolution then
    -- a conference copied from elsewhere, or the one that is there sent back
    if not (asked.conferenceSolution and asked.entryPoints and asked.entryPoints[1]) then
      failure.fail(400, "invalid", "Invalid conference data.", { location = "conferenceData", locationType = "parameter" })
    end
    data.conferenceData = world.copy(asked)
    return
  end
  local before = known and known.createRequest
  if before and before.requestId == request.requestId then return end
  if type(request.requestId) ~= "string" or request.requestId == "" then
    failure.fail(400, "required", "Missing conference create request id.", { location = "conferenceData", locationType = "parameter" })
  end
  local kind = request.conferenceSolutionKey and request.conferenceSolutionKey.type or "hangoutsMeet"
  local allowed
  for _, one in ipairs(calendar.conferenceProperties.allowedConferenceSolutionTypes or {}) do allowed = allowed or one == kind end
  if not allowed then failure.fail(400, "invalid", "Invalid conference type value.", { location = "conferenceData", locationType = "parameter" }) end
  data.hangoutLink = nil
  data.conferenceData = {
    createRequest = { requestId = request.requestId, conferenceSolutionKey = { type = kind }, status = { statusCode = "pending" } },
  }
  row.meeting = { kind = kind, fails = call:fault "conference_failure" ~= nil, ready = world.now() + world.meet_seconds }
  -- it becomes ready without being read, too: that is a change like others
  timer.after(world.meet_seconds + LATER, function()
    local stored = world.calendars[calendar.id] == calendar and calendar.events[row.id]
    if stored then conference.settle(stored, calendar) end
  end):unref()
end

local function finish(data, meeting)
  local request = data.conferenceData.createRequest
  if meeting.fails then
    request.status = { statusCode = "failure" }
    return
  end
  local code = ("%s-%s-%s"):format(word(3), word(4), word(3))
  local link = "https://meet.google.com/" .. code
  request.status = { statusCode = "success" }
  data.hangoutLink = link
  data.conferenceData = {
    createRequest = request, conferenceId = code, signature = crypto.base64(crypto.random(18)),
    conferenceSolution = { key = { type = meeting.kind }, name = "Google Meet", iconUri = "https://fonts.gstatic.com/s/i/productlogos/meet/48dp.png" },
    entryPoints = {
      { entryPointType = "video", uri = link, label = link:sub(9) },
      { entryPointType = "phone", uri = "tel:+49-30-300195060", label = "+49 30 300195060", pin = "481516", regionCode = "DE" },
      { entryPointType = "more", uri = "https://tel.meet/" .. code .. "?pin=4815162342", pin = "4815162342" },
    },
  }
end

--- Makes the conference of a row ready where its time has come; every copy of the event then has it.
---@param row table an instance stands for its series, a copy for the organizer's
---@param calendar table
function conference.settle(row, calendar)
  if row.virtual then row = calendar.events[row.master] or row end
  local home = row.home and world.calendars[row.home]
  if home then row, calendar = home.events[row.id] or row, home end
  local meeting = row.meeting
  if not meeting or meeting.ready > world.now() then return end
  row.meeting = nil
  if not row.data.conferenceData then return end
  row.data.conferenceData = world.copy(row.data.conferenceData)
  finish(row.data, meeting)
  rows.put(calendar, row)
  for _, one in ipairs(row.data.attendees or {}) do
    local other = world.calendars[one.email]
    local copy = other and other.events[row.id]
    if copy and copy.home == calendar.id then
      copy.data.conferenceData, copy.data.hangoutLink = row.data.conferenceData, row.data.hangoutLink
      rows.put(other, copy)
    end
  end
end

return conference
