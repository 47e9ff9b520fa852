-- An iCalendar feed: one text of many events at a URL or in a file, read only as often as it asks for (REFRESH-INTERVAL of
-- RFC 7986, X-PUBLISHED-TTL), split into one text for each UID so that only what changed is written to the mirror.
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local failure = require "lunation.caldav.failure"
local fs = require "lunation.fs"
local href = require "lunation.caldav.href"
local http = require "lunation.http"
local timer = require "lunation.timer"
local tree = require "lunation.ical.tree"
local value = require "lunation.ical.value"

local M = {}

local max_size = 32 * 1024 * 1024
local longest_pause = 7 * 86400
local longest_id = 255

---@class feed.Source
---@field file string?  path
---@field url string?

---What a person's address means. `webcal:` is how calendar programs write http for feeds.
---@param address string?
---@return feed.Source?, lunation.Error? err
function M.source(address)
  address = (address or ""):match("^%s*(.-)%s*$")
  if address == "" then return nil, errors.new("invalid_request", "An iCalendar feed needs an address.", { field = "url" }) end
  local path = address:match("^file://(/.*)$")
  if path then return { file = href.decode(path) } end
  local rest = address:match("^[Ww][Ee][Bb][Cc][Aa][Ll][Ss]?://(.*)$")
  if rest then address = "https://" .. rest end
  if address:find("^%a[%w+.-]*://") then
    -- Not brought into the canonical form of CalDAV: a feed's address may carry a key whose spelling counts.
    if not href.parse(address) then return nil, errors.new("invalid_request", "This is not the address of a feed.", { field = "url" }) end
    return { url = address }
  end
  return { file = fs.realpath(address) or address }
end

local function bad_feed(why, fields)
  fields = fields or {}
  fields.reason = why
  return errors.new("provider_error", "The feed is no iCalendar text: " .. why, fields)
end

local function read_file(path, known)
  local stat = fs.stat(path)
  if not stat then return nil, errors.new("not_found", ("There is no file %s."):format(path), { field = "url" }) end
  -- A file written within this second may be written again without its time changing.
  local mark = timer.time() - stat.mtime > 2 and ("%s:%s"):format(stat.mtime, stat.size) or nil
  if mark and known and known.file_mark == mark then return { unchanged = true } end
  if stat.size > max_size then return nil, errors.new("provider_error", "The file is larger than is accepted.", { cause = "too_large" }) end
  local file <close>, why = io.open(path, "rb")
  if not file then return nil, errors.new("provider_error", "The file cannot be read: " .. tostring(why)) end
  return { text = file:read("a") or "", file_mark = mark }
end

local refusals = {
  [401] = { "unauthorized", "The feed asks for a user name and a password that are right." },
  [403] = { "forbidden", "The feed's server does not allow this." },
  [404] = { "not_found", "There is no feed at this address." },
  [410] = { "not_found", "The feed at this address is gone." },
  [429] = { "rate_limited", "The feed's server asks to slow down." },
  [503] = { "unavailable", "The feed's server is not available at the moment." },
}

local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

-- Follows redirects by hand: a feed's credentials stay with the origin that they were given for.
local function get(account, url, known)
  local credentials = account.credentials or {}
  local origin = href.origin(url)
  for _ = 1, 6 do
    local headers = { accept = "text/calendar, */*;q=0.5" }
    if known then
      headers["if-none-match"] = known.etag
      headers["if-modified-since"] = not known.etag and known.last_modified or nil
    end
    local auth
    if href.origin(url) == origin then
      auth = credentials.token and { kind = "bearer", token = credentials.token }
        or credentials.username and { kind = "basic", username = credentials.username, password = credentials.password or "" } or nil
    end
    local answer, err = http.request {
      url = url, headers = headers, auth = auth, guard = account.guard, max_body = max_size, timeout = account.timeout or 30, follow = 0,
    }
    if not answer or not redirects[answer.status] then return answer, err end
    local target = href.parse(answer.headers["location"] or "") and answer.headers["location"] or href.resolve(url, answer.headers["location"] or "")
    if not target or url:sub(1, 8) == "https://" and target:sub(1, 8) ~= "https://" then
      return nil, { code = "network", message = "The feed redirects to an address that is not followed." }
    end
    url = target
  end
  return nil, { code = "network", message = "The feed redirects without end." }
end

local function read_url(account, url, known)
  local answer, err = get(account, url, known)
  if not answer then
    local problem = failure.transport(err)
    problem.provider = "ics"
    return nil, problem
  end
  if answer.status == 304 and known then return { unchanged = true } end
  if answer.status ~= 200 then
    local known_refusal = refusals[answer.status] or { "provider_error", "The feed's server gave no feed." }
    return nil, errors.new(known_refusal[1], ("%s (HTTP %d)"):format(known_refusal[2], answer.status), {
      provider = "ics", upstream_status = answer.status, retry_after = failure.retry_after(answer.headers["retry-after"], timer.time()),
    })
  end
  return { text = answer.body, etag = answer.headers["etag"], last_modified = answer.headers["last-modified"] }
end

---Reads a feed, unless it is as it was.
---@param account table
---@param source feed.Source
---@param known {etag:string?, last_modified:string?, file_mark:string?}?
---@return {unchanged:boolean?, text:string?, etag:string?, last_modified:string?, file_mark:string?}?, lunation.Error? err
function M.read(account, source, known)
  if source.file then return read_file(source.file, known) end
  return read_url(account, source.url, known)
end

local function property(component, name)
  for _, each in ipairs(component.properties) do
    if each.name == name and each.value ~= "" then return each.value end
  end
end

local function text_of(component, ...)
  for _, name in ipairs { ... } do
    local raw = property(component, name)
    if raw then return tree.unescape(raw) end
  end
end

-- The TZIDs that components name.
local function zones_of(component, into)
  for _, each in ipairs(component.properties) do
    for _, param in ipairs(each.params or {}) do
      if param.name == "TZID" and param[1] then into[param[1]] = true end
    end
  end
  for _, child in ipairs(component.components or {}) do zones_of(child, into) end
  return into
end

local kept = { PRODID = true, VERSION = true, CALSCALE = true, ["X-WR-TIMEZONE"] = true }

local function calendars_in(root)
  if root.name == "VCALENDAR" then return { root } end
  local list = {}
  for _, child in ipairs(root.components or {}) do
    if child.name == "VCALENDAR" then list[#list + 1] = child end
  end
  return list
end

-- What a group of components is known by: everything but DTSTAMP, which many feeds set anew at every reading.
local function mark(components)
  local stripped = {}
  for index, component in ipairs(components) do
    local copy = { name = component.name, components = component.components, properties = {} }
    for _, each in ipairs(component.properties) do
      if each.name ~= "DTSTAMP" then copy.properties[#copy.properties + 1] = each end
    end
    stripped[index] = copy
  end
  return crypto.hex(crypto.sha256(tree.serialize { name = "VCALENDAR", properties = {}, components = stripped })):sub(1, 32)
end

-- The events of a calendar in order; where an END is missing or misspelt, one stands inside of another, or of what is no event. What
-- is neither an event nor a part of one is counted by its name.
local function events_of(calendar, others)
  local list = {}
  local function visit(component, inside)
    for _, child in ipairs(component.components) do
      if child.name == "VEVENT" then
        local own = { name = child.name, spelling = child.spelling, properties = child.properties, components = {} }
        for _, part in ipairs(child.components) do
          if part.name ~= "VEVENT" then own.components[#own.components + 1] = part end
        end
        list[#list + 1] = own
        visit(child, true)
      elseif child.name ~= "VTIMEZONE" and child.name ~= "VALARM" then
        if not inside then others[child.name] = (others[child.name] or 0) + 1 end
        visit(child, true)
      end
    end
  end
  visit(calendar, false)
  return list
end

---@class feed.Item
---@field id string
---@field etag string  digest of the content
---@field text string  iCalendar with this UID and the zones that it names

---@class feed.Info
---@field title string?
---@field description string?
---@field color string?
---@field timeZone string?
---@field refresh integer?  seconds

---Splits a feed's text.
---@param text string
---@return {items:feed.Item[], info:feed.Info, others:table<string,integer>}?, lunation.Error? err  "provider_error" with line;
---others: how many components of which names are no events
function M.split(text)
  if not text:upper():find("BEGIN:VCALENDAR", 1, true) then return nil, bad_feed("it holds no VCALENDAR.") end
  if not text:sub(-200):upper():find("END:VCALENDAR%s*$") then return nil, bad_feed("it ends before its end.") end
  local root, problem = tree.parse(text, { max = max_size })
  if not root then return nil, bad_feed(problem.message or tostring(problem), { line = problem.line, column = problem.column }) end
  local info, groups, order, others = {}, {}, {}, {}
  for _, calendar in ipairs(calendars_in(root)) do
    local zones, head = {}, {}
    for _, each in ipairs(calendar.properties) do
      if kept[each.name] then head[#head + 1] = each end
    end
    for _, component in ipairs(calendar.components) do
      if component.name == "VTIMEZONE" then
        local id = property(component, "TZID") or ""
        zones[id] = component
        -- TEXT there, and no TEXT in the parameter that names it
        zones[tree.unescape(id):match "^%s*(.-)%s*$"] = component
      end
    end
    for _, component in ipairs(events_of(calendar, others)) do
      local uid = property(component, "UID")
      uid = uid and tree.unescape(uid) or "no-uid-" .. mark { component }
      local group = groups[uid]
      if not group then
        group = { uid = uid, head = head, zones = zones, components = {} }
        groups[uid] = group
        order[#order + 1] = group
      end
      group.components[#group.components + 1] = component
    end
    info.title = info.title or text_of(calendar, "NAME", "X-WR-CALNAME")
    info.description = info.description or text_of(calendar, "DESCRIPTION", "X-WR-CALDESC")
    info.color = info.color or text_of(calendar, "X-APPLE-CALENDAR-COLOR", "COLOR")
    info.timeZone = info.timeZone or text_of(calendar, "X-WR-TIMEZONE", "TIMEZONE-ID")
    local pause = property(calendar, "REFRESH-INTERVAL") or property(calendar, "X-PUBLISHED-TTL")
    local duration = pause and value.parse_duration(pause)
    if duration then
      info.refresh = math.max(0, math.min(longest_pause, math.tointeger(duration.days * 86400 + duration.seconds) or longest_pause))
    end
  end
  local items = {}
  for index, group in ipairs(order) do
    local components, named = {}, {}
    for _, component in ipairs(group.components) do zones_of(component, named) end
    local names = {}
    for name in pairs(named) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do components[#components + 1] = group.zones[name] or group.zones[name:match "^%s*(.-)%s*$"] end
    for _, component in ipairs(group.components) do components[#components + 1] = component end
    items[index] = {
      id = #group.uid <= longest_id and group.uid or crypto.hex(crypto.sha256(group.uid)),
      etag = mark(components),
      text = tree.serialize { name = "VCALENDAR", properties = group.head, components = components },
    }
    -- A large feed leaves room for others.
    if index % 500 == 0 then timer.sleep(0) end
  end
  return { items = items, info = info, others = others }
end

---@class feed.State
---@field etag string?
---@field last_modified string?
---@field file_mark string?
---@field items table<string, string>  id to digest
---@field next number  Unix seconds before which a URL is not asked again

---The changes of a feed since a state: at most one batch. Whatever goes wrong leaves the mirror as it is.
---@param account table
---@param source feed.Source
---@param state feed.State?
---@return table? batch, lunation.Error? err
function M.changes(account, source, state)
  local now = timer.time()
  if state and source.url and state.next and now < state.next and now > state.next - longest_pause - 60 then return nil end
  local answer, err = M.read(account, source, state)
  if not answer then return nil, err end
  if answer.unchanged then
    if not source.url or not state.pause or state.pause == 0 then return nil end
    local again = {}
    for key, each in pairs(state) do again[key] = each end
    again.next = now + state.pause
    return { upserts = {}, deletes = {}, reset = false, more = false, state = again }
  end
  local result
  result, err = M.split(answer.text)
  if not result then return nil, err end
  local before = state and state.items or {}
  local items, upserts, deletes = {}, {}, {}
  for _, item in ipairs(result.items) do
    items[item.id] = item.etag
    if before[item.id] ~= item.etag then upserts[#upserts + 1] = item end
  end
  for id in pairs(before) do
    if not items[id] then deletes[#deletes + 1] = id end
  end
  table.sort(deletes)
  local pause = result.info.refresh or 0
  return {
    upserts = upserts, deletes = deletes, reset = state == nil, more = false,
    state = {
      etag = answer.etag, last_modified = answer.last_modified, file_mark = answer.file_mark, items = items, pause = pause, next = now + pause,
    },
  }
end

return M
