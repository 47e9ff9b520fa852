-- What a request may say of an event: each property with the check of its value. What is not in the table cannot be written.
local answer = require "spec.emulators.microsoft.answer"
local json = require "lunation.json"
local times = require "spec.emulators.microsoft.times"

local M = {}

local invalid = answer.invalid

local function of_type(name, wanted)
  return function(value)
    if type(value) ~= wanted and math.type(value) ~= wanted then
      answer.fail(400, "RequestBodyRead", ("Cannot convert the value of property '%s' to the expected type."):format(name))
    end
    return value
  end
end

local function one_of(name, words)
  local allowed = {}
  for word in words:gmatch "%S+" do allowed[word:lower()] = word end
  return function(value)
    return type(value) == "string" and allowed[value:lower()]
      or answer.fail(400, "RequestBodyRead", ("Cannot convert the literal '%s' to the expected type of property '%s'."):format(tostring(value), name))
  end
end

local function unknown(name, kind)
  answer.fail(400, "RequestBodyRead",
    ("The property '%s' does not exist on type '%s'. Make sure to only use property names that are defined by the type."):format(name, kind))
end
M.unknown = unknown

---An object whose properties are checked by a table; null leaves one out.
---@param kind string
---@param fields table<string, fun(value: any): any>
---@return fun(value: any): table
function M.object(kind, fields)
  return function(value)
    if type(value) ~= "table" then answer.fail(400, "RequestBodyRead", ("A value of type '%s' was expected."):format(kind)) end
    local out = {}
    for name, each in pairs(value) do
      if not name:find("@odata", 1, true) then
        if not fields[name] then unknown(name, kind) end
        if each ~= json.null then out[name] = fields[name](each) end
      end
    end
    return out
  end
end

---@param check fun(value: any): any
---@return fun(value: any): any[]
function M.list(check)
  return function(value)
    if type(value) ~= "table" or next(value) ~= nil and #value == 0 then
      answer.fail(400, "RequestBodyRead", "A collection was expected.")
    end
    local out = json.array {}
    for i, each in ipairs(value) do out[i] = check(each) end
    return out
  end
end

local text, number, boolean = of_type("text", "string"), of_type("number", "number"), of_type("flag", "boolean")
M.text, M.number, M.boolean, M.one_of = text, number, boolean, one_of

M.email = M.object("emailAddress", { name = text, address = text })
M.address = M.object("physicalAddress", { street = text, city = text, state = text, countryOrRegion = text, postalCode = text })

local location_words = "default conferenceRoom homeAddress businessAddress geoCoordinates streetAddress hotel restaurant localBusiness postalAddress"
M.location = M.object("location", {
  displayName = text, locationEmailAddress = text, locationUri = text, uniqueId = text, address = M.address,
  coordinates = M.object("outlookGeoCoordinates", { latitude = number, longitude = number, altitude = number, accuracy = number, altitudeAccuracy = number }),
  locationType = one_of("locationType", location_words), uniqueIdType = one_of("uniqueIdType", "unknown locationStore directory private bing"),
})

local zoned = M.object("dateTimeTimeZone", { dateTime = text, timeZone = text })
M.zoned = zoned

local attendee = M.object("attendee", {
  emailAddress = M.email, type = one_of("attendees/type", "required optional resource"),
  proposedNewTime = M.object("timeSlot", { start = zoned, ["end"] = zoned }),
  status = M.object("responseStatus", { response = text, time = text }),
})

---An attendee of a request: the response is the service's to say.
function M.attendee(value)
  local out = attendee(value)
  local address = out.emailAddress and out.emailAddress.address
  if not address or not address:find "^[^@%s]+@[^@%s]+$" then
    answer.fail(400, "ErrorInvalidRecipients", "At least one recipient isn't valid., A message can't be sent because it contains no recipients.")
  end
  out.emailAddress.name = out.emailAddress.name or address
  out.type, out.proposedNewTime = out.type or "required", nil
  out.status = { response = "none", time = "0001-01-01T00:00:00Z" }
  return out
end

local body = M.object("itemBody", { contentType = one_of("body/contentType", "text html"), content = text })

-- What is kept from a request. `start`, `end`, `recurrence` and the meeting are seen to by their own.
M.writable = {
  subject = function(value)
    if #text(value) > 255 * 4 then invalid "The subject is too long." end
    return value
  end,
  body = function(value)
    local out = body(value)
    return { contentType = out.contentType or "text", content = out.content or "" }
  end,
  importance = one_of("importance", "low normal high"), sensitivity = one_of("sensitivity", "normal personal private confidential"),
  showAs = one_of("showAs", "unknown free tentative busy oof workingElsewhere"), isAllDay = boolean, isReminderOn = boolean,
  reminderMinutesBeforeStart = function(value)
    if math.type(value) ~= "integer" or value < 0 then invalid "The property 'reminderMinutesBeforeStart' is out of range." end
    return value
  end,
  responseRequested = boolean, allowNewTimeProposals = boolean, hideAttendees = boolean,
  categories = M.list(text), location = M.location, locations = M.list(M.location), attendees = M.list(M.attendee),
}

-- Taken apart elsewhere, or shown by the service and let pass where they come back.
local others = {}
for word in ([[start end recurrence isOnlineMeeting onlineMeetingProvider transactionId singleValueExtendedProperties multiValueExtendedProperties
  extensions attachments id changeKey createdDateTime lastModifiedDateTime originalStartTimeZone originalEndTimeZone iCalUId hasAttachments
  bodyPreview isCancelled isOrganizer seriesMasterId type webLink onlineMeetingUrl isDraft responseStatus organizer onlineMeeting originalStart
  cancelledOccurrences calendar]]):gmatch "%S+" do others[word] = true end

---The plain properties of a request's body, checked.
---@param given table
---@return table props
function M.read(given)
  if type(given) ~= "table" then answer.fail(400, "BadRequest", "Empty Payload. JSON content expected.") end
  local props = {}
  for name, value in pairs(given) do
    local check = M.writable[name]
    if check then
      if value ~= json.null then
        props[name] = check(value)
      elseif name == "subject" then
        props.subject = json.null
      elseif name == "categories" or name == "attendees" or name == "locations" then
        props[name] = json.array {}
      end
    elseif not others[name] and not name:find("@odata", 1, true) then
      unknown(name, "Microsoft.OutlookServices.Event")
    end
  end
  if given.location == json.null then props.location = {} end
  if given.body == json.null then props.body = { contentType = "html", content = "" } end
  return props
end

---start and end of a request, over what an event had.
---@param props table of the event, changed
---@param given table the request
---@param before table? the event's times
function M.read_times(props, given, before)
  for _, name in ipairs { "start", "end" } do
    if answer.given(given[name]) then
      props[name] = times.need(zoned(given[name]), name)
    else
      props[name] = props[name] or before and before[name]
    end
    if not props[name] then answer.invalid(("The property '%s' is required."):format(name)) end
  end
  if props["end"].at < props.start.at then invalid "The end of the event is before its start." end
  local all_day = props.isAllDay
  if all_day == nil then all_day = before and before.isAllDay end
  if all_day then
    for name, label in pairs { start = "Start", ["end"] = "End" } do
      if not props[name].localtime:find "T00:00:00$" then
        invalid(("The Event.%s property for an all-day event needs to be set to midnight."):format(label))
      end
    end
    if props.start.iana ~= props["end"].iana then invalid "The start and end of an all-day event must be in the same time zone." end
    if props.start.localtime == props["end"].localtime then
      invalid "The duration of an event marked as All day must be at least 24 hours."
    end
  end
end

return M
