-- Event resources: read one or many, create, change, delete (RFC 4791 sections 5.3 and 7.9, RFC 6638 section 3.2.10).
-- One resource holds one UID: a master with its overrides. The event's id is the last segment of the resource's address.
local errors = require "lunation.errors"
local failure = require "lunation.caldav.failure"
local href = require "lunation.caldav.href"
local multistatus = require "lunation.caldav.multistatus"
local schedule = require "lunation.caldav.schedule"
local servers = require "lunation.caldav.servers"
local xml = require "lunation.xml"

local M = {}

local dav, caldav = multistatus.dav, multistatus.caldav
local batch_size = 100

---@class caldav.Event
---@field id string
---@field href string          absolute
---@field etag string?         quoted, strong
---@field schedule_tag string?
---@field text string          iCalendar

local function native(url, text, etag, schedule_tag)
  return { id = href.segment(href.name(url)), href = url, etag = multistatus.etag(etag), schedule_tag = schedule_tag, text = text }
end

---The UID of a resource's text, unfolded; nil where there is none.
---@param text string
---@return string?
function M.uid(text)
  local unfolded = ("\n" .. text):gsub("\r?\n[ \t]", "")
  local events = unfolded:match("\n[Bb][Ee][Gg][Ii][Nn]:[Vv][Ee][Vv][Ee][Nn][Tt].*$") or unfolded
  return events:match("\n[Uu][Ii][Dd][^:\r\n]*:([^\r\n]*)")
end

---Whether a resource holds an event, and not only a task or a journal entry.
---@param text string
---@return boolean
function M.is_event(text)
  return text:find("[Bb][Ee][Gg][Ii][Nn]:[Vv][Ee][Vv][Ee][Nn][Tt]") ~= nil
end

-- Entity tag of a resource; nil, error "not_found" where it does not exist.
local function tag_of(session, url)
  local result, err = session:propfind(url, "0", { "D:getetag" })
  if not result then return nil, err end
  local response = result.responses[1]
  if not response then return nil, session:name(failure.not_dav()) end
  if response.status and response.status >= 400 then return nil, session:name(failure.of(response.status, response.condition)) end
  return multistatus.etag(response:text(dav, "getetag")) or ""
end

---Reads one resource.
---@param session caldav.Session
---@param url string
---@return caldav.Event?, lunation.Error? err  "not_found"
function M.get(session, url)
  local answer, err = session:request { method = "GET", url = url, headers = { accept = "text/calendar" } }
  if not answer then return nil, err end
  if not answer.body:find("BEGIN:VCALENDAR", 1, true) and not answer.body:upper():find("BEGIN:VCALENDAR", 1, true) then
    return nil, session:name(failure.not_dav())
  end
  local etag = answer.headers["etag"]
  if not etag then
    etag, err = tag_of(session, url)
    if not etag then return nil, err end
  end
  return native(url, answer.body, etag, answer.headers["schedule-tag"])
end

---The address of a member that a server named. Behind a proxy servers may name themselves by a host that only they know.
---@param calendar_url string
---@param url string
---@return string
function M.member(calendar_url, url)
  if href.origin(url) == href.origin(calendar_url) then return url end
  return href.member(calendar_url, href.name(url))
end

---An event out of a REPORT's response; nil where it carries no body.
---@param calendar_url string
---@param response caldav.Response
---@return caldav.Event?
function M.from_response(calendar_url, response)
  local data = response:node(caldav, "calendar-data")
  if not data or not data.text or not data.text:find("%S") then return nil end
  -- XML has lost the carriage returns that iCalendar's lines end with.
  local text = data.text:gsub("\r?\n", "\r\n")
  return native(M.member(calendar_url, response.href), text, response:text(dav, "getetag"), response:text(caldav, "schedule-tag"))
end

-- Reads resources one by one: what multiget could not say.
local function get_each(session, urls, found, gone, failed)
  for _, url in ipairs(urls) do
    local event, err = M.get(session, url)
    if event then
      found[#found + 1] = event
    elseif err.code == "not_found" then
      gone[#gone + 1] = url
    elseif err.upstream_status and err.upstream_status ~= 401 and err.upstream_status ~= 429 and err.upstream_status ~= 503 then
      failed[#failed + 1] = url
    else
      return nil, err
    end
  end
  return true
end

local multiget_properties = "<D:prop><D:getetag/><C:calendar-data/><C:schedule-tag/></D:prop>"

local function multiget(session, calendar_url, urls, found, gone, failed)
  local content = { multiget_properties }
  for _, url in ipairs(urls) do
    -- A path when it is the calendar's server (what servers expect), the whole address when it is another.
    local same = href.origin(url) == href.origin(calendar_url)
    content[#content + 1] = "<D:href>" .. xml.escape(same and href.path(url) or url) .. "</D:href>"
  end
  local result, err = session:report(calendar_url, "1", "C:calendar-multiget", table.concat(content))
  if not result then
    local status = err.upstream_status
    if err.cause == "too_large" or status == 413 or status == 507 then
      if #urls == 1 then
        failed[#failed + 1] = urls[1]
        return true
      end
      local half = #urls // 2
      local ok, problem = multiget(session, calendar_url, table.move(urls, 1, half, 1, {}), found, gone, failed)
      if not ok then return nil, problem end
      return multiget(session, calendar_url, table.move(urls, half + 1, #urls, 1, {}), found, gone, failed)
    end
    -- One missing resource spoils the whole answer on some servers, and some do not offer the report.
    if status and status ~= 401 and status ~= 429 and status ~= 503 then return get_each(session, urls, found, gone, failed) end
    return nil, err
  end
  local answered, unclear = {}, {}
  for _, response in ipairs(result.responses) do
    local event = M.from_response(calendar_url, response)
    local name = href.name(response.href)
    if event then
      answered[name] = true
      found[#found + 1] = event
    elseif response.status == 404 or response.status == 410 then
      answered[name] = true
      gone[#gone + 1] = M.member(calendar_url, response.href)
    end
  end
  -- Left out or refused: asked for by itself.
  for _, url in ipairs(urls) do
    if not answered[href.name(url)] then unclear[#unclear + 1] = url end
  end
  return get_each(session, unclear, found, gone, failed)
end

---Reads many resources, in batches.
---@param session caldav.Session
---@param calendar_url string
---@param urls string[]
---@return {found:caldav.Event[], gone:string[], failed:string[]}?, lunation.Error? err  failed: the server could not give these now
function M.get_many(session, calendar_url, urls)
  local found, gone, failed = {}, {}, {}
  for first = 1, #urls, batch_size do
    local some = table.move(urls, first, math.min(first + batch_size - 1, #urls), 1, {})
    local ok, err = multiget(session, calendar_url, some, found, gone, failed)
    if not ok then return nil, err end
  end
  return { found = found, gone = gone, failed = failed }
end

---Resources of a calendar that hold a UID. Servers match parts of it or ignore case; the answer is checked here.
---@param session caldav.Session
---@param calendar_url string
---@param uid string
---@return caldav.Event[]?, lunation.Error? err
function M.find_uid(session, calendar_url, uid)
  local result, err = session:report(calendar_url, "1", "C:calendar-query", '<D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter>'
    .. '<C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:prop-filter name="UID"><C:text-match collation="i;octet">'
    .. xml.escape(uid) .. "</C:text-match></C:prop-filter></C:comp-filter></C:comp-filter></C:filter>")
  if not result then return nil, err end
  local list, bare = {}, {}
  for _, response in ipairs(result.responses) do
    local event = M.from_response(calendar_url, response)
    if event then
      if M.uid(event.text) == uid then list[#list + 1] = event end
    elseif (not response.status or response.status == 200) and href.name(response.href) ~= "" then
      bare[#bare + 1] = M.member(calendar_url, response.href)
    end
  end
  if #bare > 0 then
    local rest, problem = M.get_many(session, calendar_url, bare)
    if not rest then return nil, problem end
    for _, event in ipairs(rest.found) do
      if M.uid(event.text) == uid then list[#list + 1] = event end
    end
  end
  return list
end

local function uid_conflict(session, existing)
  return session:name(errors.new("conflict", "The calendar already holds an event with this UID.",
    { condition = "no-uid-conflict", details = { id = existing.id, href = existing.href } }))
end

local function occupied(session, url)
  return session:name(errors.new("conflict", "There is already an event with this id.", { details = { id = href.name(url), href = url } }))
end

-- Some servers put the refusal of a PUT inside a 207.
local function hidden_refusal(session, answer)
  if answer.status ~= 207 then return nil end
  local result, err = multistatus.read(answer.body, answer.url)
  if not result then return session:name(err) end
  for _, response in ipairs(result.responses) do
    if response.status and response.status >= 400 then return session:name(failure.of(response.status, response.condition)) end
    if response.condition then return session:name(failure.of(403, response.condition)) end
  end
end

-- What stands on the server after a successful PUT. An ETag promises that the body was kept as sent, and many servers
-- send one although they rewrote it: only where the promise is known to be kept is the body not read back.
local function settle(session, url, text, answer, traits)
  local location = answer.status == 201 and answer.headers["location"]
  local target = location and href.resolve(url, location) or url
  local etag = answer.headers["etag"]
  if etag and traits.faithful and not answer.headers["schedule-tag"] and target == url then return native(url, text, etag) end
  local stored, err = M.get(session, target)
  if stored then return stored end
  if err.code == "not_found" then return nil, err end
  -- The write stands; only its reading failed. Without a tag the next synchronization reads it again.
  return native(target, text, nil, nil)
end

local function put(session, url, text, headers)
  headers["content-type"] = "text/calendar; charset=utf-8"
  local answer, err, refused = session:request { method = "PUT", url = url, headers = headers, body = text }
  if not answer then return nil, err, refused end
  local hidden = hidden_refusal(session, answer)
  if hidden then return nil, hidden, answer end
  return answer
end

-- How servers refuse to make an event in a calendar that is not there.
local perhaps_gone = { [403] = true, [404] = true, [405] = true, [409] = true }

-- A bare refusal of a PUT says little: the event may break a rule, or the calendar may be gone.
local function explain(session, calendar_url, err)
  if err.condition or not perhaps_gone[err.upstream_status] then return err end
  local _, gone = tag_of(session, calendar_url)
  if gone and gone.code == "not_found" then
    return session:name(errors.new("not_found", "The calendar is no longer on the server.", { details = { calendar = calendar_url } }))
  end
  if err.upstream_status == 404 then
    return session:name(errors.new("invalid_request", "The server does not take the event's data.", { upstream_status = 404 }))
  end
  return err
end

---Writes a new resource.
---@param session caldav.Session
---@param account table
---@param calendar table  canonical, .id is its URL
---@param event {text:string, id:string?}
---@param options {id:string?, given:boolean?, schedule_agent:string?}?  given=false: the UID is new, nobody else can have it
---@return caldav.Event?, lunation.Error? err  "conflict" where the id or the UID exists (details: id and href of what is there)
function M.create(session, account, calendar, event, options)
  options = options or {}
  local traits = servers.of(account)
  local text, problem = schedule.prepare(event.text, account, options)
  if not text then return nil, problem end
  local uid = M.uid(text)
  local id = options.id or event.id or uid and M.new_id(uid)
  if not id then return nil, errors.new("invalid_request", "The event has no UID.", { field = "uid" }) end
  local url = href.member(calendar.id, id)
  if not traits.guards then
    local tag, err = tag_of(session, url)
    if tag then return nil, occupied(session, url) end
    if err.code ~= "not_found" then return nil, err end
  end
  if not traits.unique and uid and options.given ~= false then
    local same = M.find_uid(session, calendar.id, uid)
    local existing = same and same[1]
    if existing then return nil, existing.href == url and occupied(session, url) or uid_conflict(session, existing) end
  end
  local answer, err = put(session, url, text, { ["if-none-match"] = "*" })
  if answer then return settle(session, url, text, answer, traits) end
  if err.upstream_status == 412 and not err.condition then
    -- Some servers say 412 for data that they find invalid.
    local tag = tag_of(session, url)
    if tag then return nil, occupied(session, url) end
    return nil, session:name(errors.new("invalid_request", "The server does not take the event's data.", { upstream_status = 412 }))
  end
  if err.code == "conflict" and uid then
    local same = M.find_uid(session, calendar.id, uid)
    if same and same[1] then return nil, uid_conflict(session, same[1]) end
  end
  return nil, explain(session, calendar.id, err)
end

local function address(calendar, event, id)
  return event and event.href or href.member(calendar.id, id or event.id)
end

-- A server that does not look at If-Match is asked first. What remains open is the moment between the two requests.
local function still(session, url, etag)
  local tag, err = tag_of(session, url)
  if not tag then return nil, err end
  if etag and tag ~= etag then return nil, session:name(failure.of(412)) end
  return true
end

-- The condition under which a change may be made. A meeting's organizer is not disturbed by attendees' answers,
-- which the server merges, if the condition is the schedule tag (RFC 6638 section 3.2.10).
local function condition(options)
  if options.schedule_tag then return { ["if-schedule-tag-match"] = options.schedule_tag } end
  return { ["if-match"] = options.etag or "*" }
end

---Replaces a resource.
---@param session caldav.Session
---@param account table
---@param calendar table
---@param event caldav.Event  with the new text
---@param options {etag:string?, schedule_tag:string?, schedule_agent:string?}?
---@return caldav.Event?, lunation.Error? err  "precondition_failed", "not_found"
function M.update(session, account, calendar, event, options)
  options = options or {}
  local traits = servers.of(account)
  local url = address(calendar, event)
  local text, problem = schedule.prepare(event.text, account, options)
  if not text then return nil, problem end
  local etag = multistatus.etag(options.etag)
  if not traits.guards then
    local ok, err = still(session, url, etag)
    if not ok then return nil, err end
  end
  local answer, err = put(session, url, text, condition { etag = etag, schedule_tag = options.schedule_tag })
  if answer then return settle(session, url, text, answer, traits) end
  if err.upstream_status == 412 and not err.condition and etag then
    local tag, missing = tag_of(session, url)
    if missing and missing.code == "not_found" then return nil, missing end
    if tag == etag and not options.schedule_tag then
      return nil, session:name(errors.new("invalid_request", "The server does not take the event's data.", { upstream_status = 412 }))
    end
  end
  if err.upstream_status == 404 and not err.condition and tag_of(session, url) then
    return nil, session:name(errors.new("invalid_request", "The server does not take the event's data.", { upstream_status = 404 }))
  end
  return nil, err
end

---Removes a resource.
---@param session caldav.Session
---@param account table
---@param calendar table
---@param id string
---@param options {etag:string?, schedule_tag:string?, href:string?, schedule_agent:string?}?
---@return true?, lunation.Error? err  "precondition_failed", "not_found"
function M.delete(session, account, calendar, id, options)
  options = options or {}
  local url = address(calendar, options.href and options or nil, id)
  local etag = multistatus.etag(options.etag)
  if not servers.of(account).guards then
    local ok, err = still(session, url, etag)
    if not ok then return nil, err end
  end
  local headers = condition { etag = etag, schedule_tag = options.schedule_tag }
  -- RFC 6638 section 8.1: no cancellations and no refusals are sent by the server.
  local agent = schedule.agent(account, options)
  if agent == "NONE" or agent == "CLIENT" then headers["schedule-reply"] = "F" end
  local answer, err = session:request { method = "DELETE", url = url, headers = headers }
  if not answer then
    if err.upstream_status == 412 then
      local _, missing = tag_of(session, url)
      if missing and missing.code == "not_found" then return nil, missing end
    end
    return nil, err
  end
  local hidden = hidden_refusal(session, answer)
  if hidden then return nil, hidden end
  return true
end

---The id of a new event: its UID as a file name, the same each time, so that a repeated creation meets itself.
---@param uid string
---@return string
function M.new_id(uid)
  return href.segment(uid .. ".ics")
end

return M
