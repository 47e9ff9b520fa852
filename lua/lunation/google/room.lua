-- Meet rooms that are asked for: a request under a name of its own, which Google fulfils after a while.
local conference = require "lunation.google.conference"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local events = require "lunation.google.events"
local json = require "lunation.json"
local log = require "lunation.log"
local mapping = require "lunation.mapping"
local timer = require "lunation.timer"

local M = {}

local REQUEST_SPACE = "5b7d9d3e-5a7b-5c2f-8f8e-1a6b2f0c9d41"

-- What a write is called: the same in every try of it.
---@param opts { transaction: string?, etag: string? }
---@param id string of the event
---@return string
function M.name(opts, id)
  return opts.transaction or crypto.uuid5(REQUEST_SPACE, id .. "\n" .. (opts.etag or ""))
end

-- A room that is asked for has an id that is the same in every try of this write, and another in the next one.
---@param body table of a request
---@param calendar table
---@param name string
---@return true?, lunation.Error? err "unsupported" where the calendar makes no such rooms
function M.ask(body, calendar, name)
  local request = type(body.conferenceData) == "table" and body.conferenceData ~= json.null and body.conferenceData.createRequest
  if type(request) ~= "table" or request.requestId then return true end
  local listed = calendar.original and calendar.original.conferenceProperties
  local allowed = type(listed) == "table" and listed.allowedConferenceSolutionTypes
  local wanted = request.conferenceSolutionKey.type
  if type(allowed) == "table" then
    local found = false
    for _, kind in ipairs(allowed) do found = found or kind == wanted end
    if not found then
      return nil, errors.new("unsupported", "This calendar does not make Google Meet rooms.",
        { provider = "google", reason = "conference", field = "lunation:conference" })
    end
  end
  body.conferenceData = mapping.copy(body.conferenceData)
  body.conferenceData.createRequest.requestId = name
  return true
end

-- Seconds between looks at a room that is being made, and how many.
local FIRST_LOOK, LOOKS = 0.1, 7

---The event when its room is there, or as it is after a while.
---@param account table
---@param calendar table
---@param native google.Event
---@return google.Event
function M.await(account, calendar, native)
  local pause = FIRST_LOOK
  for _ = 1, LOOKS do
    if conference.status(native) ~= "pending" then break end
    timer.sleep(pause)
    pause = pause * 1.7
    native = events.get(account, calendar, native.id) or native
  end
  local status = conference.status(native)
  if status == "failure" or status == "pending" then
    -- The event stands; a room that comes late comes with the next sync.
    log.warn("Google has made no conference room", { calendar = calendar.id, event = native.id, status = status })
  end
  return native
end

---A request without the room of another service that it names. Google takes such rooms of some programs only; the room's
---address stands among the event's properties anyway.
---@param body table
---@param nothing any what stands instead: nil in a new event, null in a patch
---@return table? body nil where it names none
function M.without(body, nothing)
  local data = body.conferenceData
  if type(data) ~= "table" or data == json.null or data.createRequest or data.signature then return nil end
  local rest = {}
  for name, v in pairs(body) do rest[name] = v end
  rest.conferenceData = nothing
  return rest
end

return M
