-- Changes of a calendar. Graph's delta of a calendar view brings occurrences, within a window that is fixed for the life of its
-- links; so it is taken as the signal that something has changed, and what is mirrored are masters and single events, listed once
-- and then fetched by their ids. What the window does not show is found by comparing ids and ETags: once a day, where a read
-- reaches beyond the window, and where something was removed that nobody here knows.
local json = require "lunation.json"
local reader = require "lunation.microsoft.event_reader"
local request = require "lunation.microsoft.request"
local value = require "lunation.ical.value"

local M = {}

local DAY = 86400
--- Days before and after now that a new window covers. Halfway through what is ahead it is time for the next.
local BEHIND, AHEAD = 60, 400
--- The shortest window that is tried where Graph cannot answer for a longer one, days.
local SHORTEST = 31
--- Seconds after which all ids are compared.
local COMPARE = 24 * 3600
--- Seconds by which Graph's clock and ours may differ.
local SLACK = 900
--- Events that are fetched by their ids between two batches of the mirror.
local AT_ONCE = 60
--- Events on a page, and fewer where that is too much for one answer.
local PAGES = { request.PAGE, 10, 1 }

---@class lunation.microsoft.State
---@field link string deltaLink
---@field method "view"|"events"|"list"
---@field window { from: integer, to: integer, made: integer }
---@field compared integer when all ids were compared last
---@field at integer when the last run began
---@field partial boolean? the listing did not end

local function text(instant) return value.from_seconds(instant) .. "Z" end

local function window_at(now)
  local today = now // DAY * DAY
  return { from = today - BEHIND * DAY, to = today + AHEAD * DAY, made = today }
end

local function delta_path(calendar, method, window)
  local pairs_list = { { "startDateTime", text(window.from) } }
  if method == "view" then pairs_list[2] = { "endDateTime", text(window.to) } end
  return request.calendar(calendar) .. (method == "view" and "/calendarView/delta" or "/events/delta") .. request.query(pairs_list)
end

-- Follows a chain to its deltaLink.
local function walk(account, path, each)
  local page, err
  for _, size in ipairs(PAGES) do
    page, err = request.pages(account, path, { page = size }, function(items)
      for _, item in ipairs(items) do
        if type(item) == "table" then each(item) end
      end
      return true
    end)
    if page or err.code ~= "answer_too_large" then break end
  end
  if not page then return nil, err end
  local link = page["@odata.deltaLink"]
  if type(link) ~= "string" then return nil, request.wrong({ status = 200, body = json.encode(page) }, "has no deltaLink at its end") end
  return link
end

local too_long = { timeout = true, unavailable = true, answer_too_large = true, network = true, truncated = true }
local not_there = { not_found = true, invalid_request = true, method_not_allowed = true, unsupported = true }

-- Begins a chain. Endless series make long windows heavy: where Graph cannot answer, half of it is asked for.
local function begin(account, calendar, now, each)
  local window = window_at(now)
  if account.config.events_delta == "probe" then
    -- The delta of a calendar's own events (masters and exceptions, from a start on) is not in Graph's v1.0 documents.
    local link = walk(account, delta_path(calendar, "events", window), each)
    if link then return { link = link, method = "events", window = window } end
  end
  while true do
    local link, err = walk(account, delta_path(calendar, "view", window), each)
    if link then return { link = link, method = "view", window = window } end
    local days = (window.to - window.from) // DAY
    if not_there[err.code] and err.upstream_status ~= 404 or err.reason == "RequestBroker--ParseUri" then
      -- This calendar has no delta: ids and ETags are compared each time.
      return { method = "list", window = window }
    end
    if not too_long[err.code] or days <= SHORTEST then return nil, err end
    window = { from = math.max(window.from, now - days * DAY // 8), to = math.min(window.to, now + days * DAY // 2), made = window.made }
  end
end

-- What a chain says, told apart: ids that are to be fetched, and whether something went that nobody here knows.
local function listener(mirrored, sure)
  local wanted, order, unknown = {}, {}, false
  local function want(id)
    if type(id) == "string" and not wanted[id] then
      wanted[id] = true
      order[#order + 1] = id
    end
  end
  local function same(id, tag)
    local before = mirrored(id)
    return before ~= nil and tag ~= nil and before.etag == tag
  end
  local heard = {}
  function heard.item(item)
    local removed = item["@removed"]
    if removed ~= nil and removed ~= json.null then
      if type(item.id) ~= "string" then return end
      if mirrored(item.id) or wanted[item.id] then want(item.id) else unknown = true end
    elseif type(item.seriesMasterId) == "string" and item.seriesMasterId ~= "" then
      if sure then want(item.seriesMasterId) return end
      local master = mirrored(item.seriesMasterId)
      if not master then want(item.seriesMasterId) end
      if master and item.type == "exception" then
        local known = false
        for _, exception in ipairs(type(master.exceptionOccurrences) == "table" and master.exceptionOccurrences or {}) do
          known = known or exception.id == item.id and exception.etag == item["@odata.etag"]
        end
        if not known then want(item.seriesMasterId) end
      end
    elseif not same(item.id, item["@odata.etag"]) or sure and item.type == "seriesMaster" then
      want(item.id)
    end
  end
  function heard.ids() return order end
  function heard.unknown() return unknown end
  return heard
end

---@class lunation.microsoft.Run
local Run = {}
Run.__index = Run

-- Gives a batch out. It is applied before this returns.
local function give(batch) coroutine.yield(batch) end

local function slices(list, size)
  local at = 1
  return function()
    if at > #list then return nil end
    local slice = table.move(list, at, math.min(at + size - 1, #list), 1, {})
    at = at + size
    return slice
  end
end

-- Fetches events by their ids and gives them out; the state stays what it was until all are there.
function Run:fetch(ids)
  for slice in slices(ids, AT_ONCE) do
    local natives, gone = reader.by_ids(self.account, self.calendar, slice, self.mirrored)
    if not natives then return nil, gone end
    local deletes = {}
    for _, id in ipairs(gone) do
      if self.mirrored(id) then deletes[#deletes + 1] = id end
    end
    if #natives > 0 or #deletes > 0 then give { upserts = natives, deletes = deletes, state = self.state, more = true } end
  end
  return true
end

-- Compares every id and ETag with the mirror. With `all`, what is not named is gone: then the events that are as they were are
-- named by what the mirror has of them.
function Run:compare(all)
  local seen = {}
  local path = request.calendar(self.calendar) .. "/events" .. request.query { { "$select", "id,type,changeKey" }, { "$top", 500 } }
  local ids = {}
  local done, err = request.pages(self.account, path, { page = 500 }, function(items)
    local same = {}
    for _, item in ipairs(items) do
      local id = type(item) == "table" and item.id
      if type(id) == "string" and not seen[id] and item.type ~= "occurrence" and item.type ~= "exception" then
        seen[id] = true
        local before = self.mirrored(id)
        local tag = item["@odata.etag"]
        if before and tag and before.etag == tag then same[#same + 1] = before else ids[#ids + 1] = id end
      end
    end
    if all and #same > 0 then give { upserts = same, deletes = {}, reset = true, state = self.state, more = true } end
    return true
  end)
  if not done then return nil, err end
  for slice in slices(ids, AT_ONCE) do
    local natives, gone = reader.by_ids(self.account, self.calendar, slice, self.mirrored)
    if not natives then return nil, gone end
    give { upserts = natives, deletes = {}, reset = all or nil, state = self.state, more = true }
  end
  return true
end

-- What was modified since the last run: where something went that nobody knows here, an occurrence most likely, its series is one of
-- these. Graph that cannot filter by the time compares everything.
function Run:recent(since)
  local path = request.calendar(self.calendar) .. "/events" .. request.query {
    { "$filter", "lastModifiedDateTime ge " .. text(since - SLACK) }, { "$select", "id,type,changeKey" }, { "$top", 500 },
  }
  local items, err = request.all(self.account, path, { page = 500 })
  if not items and err.code == "invalid_request" then return self:compare(false) end
  if not items then return nil, err end
  local ids = {}
  for _, item in ipairs(items) do
    local before = type(item.id) == "string" and item.type ~= "occurrence" and item.type ~= "exception" and self.mirrored(item.id)
    if before ~= false and not (before and before.etag == item["@odata.etag"]) then ids[#ids + 1] = item.id end
  end
  return self:fetch(ids)
end

-- The end of a run: the new state, and what it covers.
function Run:finish(state, reset)
  local covers = state.method ~= "list" and { from = state.window.from, to = state.window.to } or nil
  local wanted = self.calendar.wanted
  if covers and wanted and self.compared then
    covers.from, covers.to = math.min(covers.from, wanted.from), math.max(covers.to, wanted.to)
  end
  state.at = self.now
  give { upserts = {}, deletes = {}, reset = reset or nil, state = state, more = false, covers = covers }
  return true
end

local function outside(window, wanted)
  return wanted ~= nil and (wanted.from < window.from or wanted.to > window.to)
end

-- Everything: first the chain, so that what changes while the listing goes on is told by it, then all masters and single events.
function Run:full()
  self.state = { partial = true }
  local state, err = begin(self.account, self.calendar, self.now, function() end)
  if not state then return nil, err end
  local done
  for _, size in ipairs(PAGES) do
    done, err = self:list(size)
    -- A page of events with long texts may be too much where one of fewer is not.
    if done or err.code ~= "answer_too_large" then break end
  end
  if not done then return nil, err end
  state.compared, self.compared = self.now, true
  return self:finish(state, true)
end

-- All masters and single events, page by page.
function Run:list(size)
  local path = request.calendar(self.calendar) .. "/events" .. reader.query(self.account, { { "$top", size } })
  return request.pages(self.account, path, { page = size }, function(items)
    local natives = {}
    for _, item in ipairs(items) do
      if type(item) == "table" and item.type ~= "occurrence" and item.type ~= "exception" then natives[#natives + 1] = item end
    end
    local whole, problem = reader.complete(self.account, self.calendar, natives, self.mirrored)
    if not whole then return nil, problem end
    if #whole > 0 then give { upserts = whole, deletes = {}, reset = true, state = self.state, more = true } end
    return true
  end)
end

-- What is due besides the chain: a window that has grown old is left for a new one, and ids are compared.
function Run:tidy(state)
  local due = outside(state.window, self.calendar.wanted) or self.now - (state.compared or 0) > COMPARE
  local window = state.window
  if self.now - window.made > (window.to - window.made) // 2 and state.method ~= "list" then
    local heard = listener(self.mirrored, false)
    local fresh, err = begin(self.account, self.calendar, self.now, heard.item)
    if not fresh then return nil, err end
    local done
    done, err = self:fetch(heard.ids())
    if not done then return nil, err end
    fresh.compared = state.compared
    state, due = fresh, true
  end
  return state, due
end

function Run:increment(before)
  self.state = before
  local state = { link = before.link, method = before.method, window = before.window, compared = before.compared }
  local due
  if before.method ~= "list" then
    local heard = listener(self.mirrored, true)
    local link, err = walk(self.account, before.link, heard.item)
    if not link then return nil, err end
    state.link = link
    local done
    done, err = self:fetch(heard.ids())
    if not done then return nil, err end
    local unknown = heard.unknown()
    state, due = self:tidy(state)
    if not state then return nil, due end
    if unknown and not due then
      done, err = self:recent(before.at or 0)
      if not done then return nil, err end
    end
  else
    due = true
  end
  if due then
    local done, err = self:compare(true)
    if not done then return nil, err end
    state.compared, self.compared = self.now, true
  end
  return self:finish(state, due)
end

local function usable(state)
  return type(state) == "table" and not state.partial and type(state.window) == "table" and state.window.made and (state.link ~= nil or state.method == "list")
end

---The changes of a calendar since a state, as an iterator of batches.
---@param account table
---@param calendar table canonical, with `mirrored` and `wanted`
---@param state lunation.microsoft.State? nil: everything
---@return fun(): table?, lunation.Error? batch {upserts, deletes, state, reset, more, covers}; nil at the end; nil, err
function M.changes(account, calendar, state)
  local run = setmetatable({
    account = account, calendar = calendar, mirrored = calendar.mirrored or function() return nil end, now = account.now or os.time(),
  }, Run)
  local thread = coroutine.wrap(function()
    local done, err
    if usable(state) then
      done, err = run:increment(state)
      -- The chain is over: everything is listed anew, and only what differs is a change.
      if not done and (err.code == "gone" or err.upstream_status == 410) then done, err = run:full() end
    else
      done, err = run:full()
    end
    if not done then return nil, err end
  end)
  local over = false
  return function()
    if over then return nil end
    local batch, err = thread()
    if not batch then over = true end
    return batch, err
  end
end

return M
