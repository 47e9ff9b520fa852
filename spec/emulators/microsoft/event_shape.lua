-- How an event looks in an answer: in the zone and the kind of body that the client prefers, with the ids it asked for.
local answer = require "spec.emulators.microsoft.answer"
local json = require "lunation.json"
local series = require "spec.emulators.microsoft.series"
local times = require "spec.emulators.microsoft.times"
local tz = require "lunation.tz"
local world = require "spec.emulators.microsoft.world"

local M = {}

local null, or_null = json.null, answer.or_null

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

---@type spec.graph.Schema
M.schema = {
  name = "Microsoft.OutlookServices.Event",
  known = set [[id createdDateTime lastModifiedDateTime changeKey categories transactionId originalStartTimeZone originalEndTimeZone iCalUId
    reminderMinutesBeforeStart isReminderOn hasAttachments subject bodyPreview importance sensitivity isAllDay isCancelled isOrganizer
    responseRequested seriesMasterId showAs type webLink onlineMeetingUrl isOnlineMeeting onlineMeetingProvider allowNewTimeProposals
    isDraft hideAttendees responseStatus body start end location locations recurrence attendees organizer onlineMeeting originalStart
    cancelledOccurrences]],
  expand = set "attachments calendar extensions instances exceptionOccurrences singleValueExtendedProperties multiValueExtendedProperties",
  unfiltered = set "recurrence onlineMeeting body attachments extensions cancelledOccurrences exceptionOccurrences instances transactionId",
  top = 10, max = 1000,
}

local entities = { amp = "&", lt = "<", gt = ">", quot = '"', nbsp = " ", ["#39"] = "'" }

---@param html string
---@return string
function M.text_of(html)
  local text = html:gsub("<head.->.-</head>", ""):gsub("%s*<br%s*/?>%s*", "\r\n"):gsub("</p>%s*", "\r\n"):gsub("<[^>]*>", "")
  return (text:gsub("&(#?%w+);", entities):gsub("^%s+", ""):gsub("%s+$", ""))
end

local function html_of(text)
  local escaped = text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }):gsub("\r?\n", "<br>\r\n")
  return '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head><body><div class="PlainText">'
    .. escaped .. "</div></body></html>"
end

-- The service keeps HTML as whole documents.
local function document(html)
  if html:lower():find "<html" then return html end
  return '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head><body>' .. html .. "</body></html>"
end

---@param body {contentType:string, content:string}
---@param wanted "html"|"text"|nil
---@return table
function M.body(body, wanted)
  wanted = wanted or "html"
  local content = body.content
  if wanted == "html" then
    content = body.contentType == "text" and (content ~= "" and html_of(content) or "") or content ~= "" and document(content) or ""
  elseif body.contentType == "html" then
    content = M.text_of(content)
  end
  return { contentType = wanted, content = content }
end

local function preview(body)
  local text = body.contentType == "html" and M.text_of(body.content) or body.content
  return (text:sub(1, utf8.offset(text, 256) and utf8.offset(text, 256) - 1 or #text))
end

local function location(value)
  local out = { displayName = "", locationType = "default", uniqueIdType = "unknown", address = {}, coordinates = {} }
  for name, each in pairs(value or {}) do out[name] = each end
  if out.uniqueId == nil and out.displayName ~= "" then out.uniqueId, out.uniqueIdType = out.displayName, "private" end
  out.address, out.coordinates = json.object(answer.copy(out.address)), json.object(answer.copy(out.coordinates))
  return out
end

local function time_of(item, at, localtime, zone)
  if item.days then return times.show_local(localtime, zone) end
  return times.show(at, zone)
end

local function local_start(occurrence, name, at)
  local own = occurrence.exception and occurrence.exception.props[name]
  if own then return own.localtime end
  if not occurrence.key then return occurrence.item.props[name].localtime end
  return (tz.to_local(at, occurrence.item.props.start.iana))
end

local function attendees(list)
  local out = json.array {}
  for i, each in ipairs(list or {}) do
    out[i] = {
      type = each.type, status = { response = each.status.response, time = each.status.time },
      emailAddress = { name = each.emailAddress.name, address = each.emailAddress.address },
      proposedNewTime = each.proposedNewTime,
    }
  end
  return out
end

---@param occurrence table of `series`
---@return "singleInstance"|"occurrence"|"exception"|"seriesMaster"
function M.type(occurrence)
  if occurrence.key then return occurrence.exception and "exception" or "occurrence" end
  return occurrence.item.set and "seriesMaster" or "singleInstance"
end

-- What only the master of a series has.
local function series_parts(c, out, occurrence)
  local item = occurrence.item
  if occurrence.key then
    out.seriesMasterId = c.prefer.immutable and item.immutable or item.id
    out.originalStart = times.utc(occurrence.original)
    out.recurrence = null
    return
  end
  out.seriesMasterId, out.recurrence = null, or_null(answer.copy(item.props.recurrence))
  if item.set then
    local cancelled = json.array {}
    for i, key in ipairs(item.cancelled) do cancelled[i] = series.occurrence_name(item, key, c.prefer.immutable) end
    out.cancelledOccurrences = cancelled
  end
end

---An event as an entity.
---@param c spec.graph.Call
---@param occurrence table
---@return table
function M.render(c, occurrence)
  local box, item = c.box, occurrence.item
  local function value(name) return series.value(occurrence, name) end
  local zone = c.prefer.zone or "UTC"
  local id = series.id(box, occurrence, c.prefer.immutable)
  local key = world.change_key(series.version(occurrence))
  local start, finish = value "start", value "end"
  local shown_location = value "location"
  local locations = json.array {}
  for i, each in ipairs(value "locations" or shown_location and { shown_location } or {}) do locations[i] = location(each) end
  local reply = value "response" or { response = "none", time = "0001-01-01T00:00:00Z" }
  local meeting = value "meeting"
  local stamp = occurrence.exception or item
  local out = {
    ["@odata.etag"] = answer.etag(key), id = id, changeKey = key,
    createdDateTime = times.stamp(stamp.created or item.created), lastModifiedDateTime = times.stamp(math.max(stamp.modified or 0, item.modified)),
    categories = json.array(answer.copy(value "categories" or {})), transactionId = or_null(item.transaction),
    originalStartTimeZone = start.zone, originalEndTimeZone = finish.zone, iCalUId = item.uid,
    reminderMinutesBeforeStart = value "reminderMinutesBeforeStart", isReminderOn = value "isReminderOn",
    hasAttachments = #(stamp.attachments or item.attachments) > 0, subject = or_null(value "subject"), bodyPreview = preview(value "body"),
    importance = value "importance", sensitivity = value "sensitivity", isAllDay = value "isAllDay", isCancelled = value "isCancelled" or false,
    isOrganizer = item.organizer.address:lower() == box.user.email:lower(), responseRequested = value "responseRequested",
    showAs = value "showAs", type = M.type(occurrence),
    webLink = "https://outlook.office365.com/owa/?itemid=" .. answer.escape(id) .. "&exvsurl=1&path=/calendar/item", onlineMeetingUrl = null,
    isOnlineMeeting = meeting ~= nil and meeting ~= null, onlineMeetingProvider = meeting and meeting ~= null and meeting.provider or "unknown",
    allowNewTimeProposals = value "allowNewTimeProposals", isDraft = false, hideAttendees = value "hideAttendees",
    responseStatus = { response = reply.response, time = reply.time }, body = M.body(value "body", c.prefer.body),
    start = time_of(item, occurrence.start, local_start(occurrence, "start", occurrence.start), zone),
    ["end"] = time_of(item, occurrence.finish, local_start(occurrence, "end", occurrence.finish), zone),
    location = location(shown_location), locations = locations, attendees = attendees(value "attendees"),
    organizer = { emailAddress = { name = item.organizer.name, address = item.organizer.address } },
    onlineMeeting = meeting and meeting ~= null and { joinUrl = meeting.url } or null,
  }
  series_parts(c, out, occurrence)
  if c.basic then -- Calendars.ReadBasic
    out.body, out.bodyPreview, out.onlineMeeting = nil, nil, nil
  end
  return out
end

---An occurrence as a delta shows it: what only the series says is left out.
function M.brief(c, occurrence)
  local whole = M.render(c, occurrence)
  return {
    ["@odata.etag"] = whole["@odata.etag"], id = whole.id, type = whole.type, seriesMasterId = whole.seriesMasterId,
    start = whole.start, ["end"] = whole["end"],
  }
end

return M
