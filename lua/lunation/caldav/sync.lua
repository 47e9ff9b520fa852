-- What changed in a calendar since a state: sync-collection (RFC 6578) where the server has it, else the ctag and a listing of
-- ETags. A token that is no longer good, in whichever way the server says so, leads to a full listing; nothing is ever taken
-- for deleted because an answer was cut or failed.
local failure = require "lunation.caldav.failure"
local href = require "lunation.caldav.href"
local log = require "lunation.log"
local multistatus = require "lunation.caldav.multistatus"
local object = require "lunation.caldav.object"
local servers = require "lunation.caldav.servers"
local xml = require "lunation.xml"

local M = {}

local dav, calendarserver = multistatus.dav, multistatus.calendarserver

local batch_size = 100
local max_pages = 10000
local max_retries = 100

---@class caldav.State
---@field method "sync"|"etag"
---@field token string?              sync-collection
---@field count integer?             members at the last full listing, where the server does not refuse bad tokens
---@field ctag string?               etag method
---@field etags table<string,string>? etag method: id to ETag
---@field retry string[]?            ids that the server could not give last time
---@field partial boolean?           an unfinished full listing: it begins again

local function chunks(list, size)
  local first = 1
  return function()
    if first > #list then return nil end
    local some = table.move(list, first, math.min(first + size - 1, #list), 1, {})
    first = first + size
    return some, first > #list
  end
end

local function id_of(url)
  return href.segment(href.name(url))
end

-- Members of the calendar only: not itself, no collections below it.
local function is_member(calendar_url, response)
  if response.href == calendar_url or href.collection(response.href) == calendar_url or href.name(response.href) == "" then return false end
  local kind = response:node(dav, "resourcetype")
  return not (kind and kind:child(dav, "collection"))
end

-- Sorts read resources into a batch. What holds no event (a task) is no event any more, if it was one.
local function fill(batch, result, retry)
  for _, event in ipairs(result.found) do
    if object.is_event(event.text) then
      batch.upserts[#batch.upserts + 1] = event
    elseif not batch.reset then
      batch.deletes[#batch.deletes + 1] = event.id
    end
  end
  if not batch.reset then
    for _, url in ipairs(result.gone) do batch.deletes[#batch.deletes + 1] = id_of(url) end
  end
  for _, url in ipairs(result.failed) do
    log.warn("an event could not be read from its server", { href = url })
    if #retry < max_retries then retry[#retry + 1] = id_of(url) end
  end
end

local function keep(retry)
  return #retry > 0 and retry or nil
end

-- Bodies in batches, each given out as it comes. `finish(retry)` makes the state that belongs to the last one.
local function deliver(session, calendar, urls, batch_of, finish)
  local retry = {}
  local sent = false
  for some, last in chunks(urls, batch_size) do
    local result, err = object.get_many(session, calendar.id, some)
    if not result then return nil, err end
    local batch = batch_of(last)
    fill(batch, result, retry)
    batch.more = not last
    if last then batch.state = finish(retry, result) else finish(nil, result) end
    coroutine.yield(batch)
    sent = true
  end
  if not sent then
    local batch = batch_of(true)
    batch.more = false
    batch.state = finish(retry, { found = {}, gone = {}, failed = {} })
    coroutine.yield(batch)
  end
  return true
end

local function list_etags(session, calendar)
  local result, err = session:propfind(calendar.id, "1", { "D:getetag", "D:resourcetype" })
  if not result then return nil, err end
  local etags, urls = {}, {}
  for _, response in ipairs(result.responses) do
    if response.status == 507 then return nil, session:name(failure.of(507, "number-of-matches-within-limits")) end
    if is_member(calendar.id, response) and (not response.status or response.status < 400) then
      local etag = multistatus.etag(response:text(dav, "getetag"))
      etags[id_of(response.href)] = etag or ""
      urls[#urls + 1] = object.member(calendar.id, response.href)
    end
  end
  return etags, nil, urls
end

local function ctag_of(session, calendar)
  local result, err = session:propfind(calendar.id, "0", { "S:getctag" })
  if not result then return nil, err end
  local response = result.responses[1]
  if response and response.status and response.status >= 400 then
    return nil, session:name(failure.of(response.status, response.condition))
  end
  return response and response:text(calendarserver, "getctag") or false
end

-- The way of servers without sync-collection. The ctag is read before the listing: what changes in between is seen next time.
local function by_etag(session, calendar, state)
  local ctag, err = ctag_of(session, calendar)
  if ctag == nil then return nil, err end
  if state and ctag and state.ctag == ctag and not state.retry then return true end
  local etags, problem, urls = list_etags(session, calendar)
  if not etags then return nil, problem end
  local before = state and state.etags or {}
  local again = {}
  for _, id in ipairs(state and state.retry or {}) do again[id] = true end
  local wanted, deletes = {}, {}
  for _, url in ipairs(urls) do
    local id = id_of(url)
    if before[id] ~= etags[id] or etags[id] == "" or again[id] then wanted[#wanted + 1] = url end
  end
  for id in pairs(before) do
    if not etags[id] then deletes[#deletes + 1] = id end
  end
  table.sort(deletes)
  local reset = state == nil
  if not reset and #wanted == 0 and #deletes == 0 and state.ctag == (ctag or nil) then return true end
  return deliver(session, calendar, wanted, function(last)
    local batch = { upserts = {}, deletes = last and deletes or {}, reset = reset, state = { method = "etag", partial = reset or nil } }
    -- Until the last batch stands, an increment starts again from where it started.
    if not reset then batch.state = state end
    return batch
  end, function(retry, result)
    for _, event in ipairs(result.found) do etags[event.id] = event.etag or "" end
    for _, url in ipairs(result.gone) do etags[id_of(url)] = nil end
    for _, url in ipairs(result.failed) do etags[id_of(url)] = "" end
    return retry and { method = "etag", ctag = ctag or nil, etags = etags, retry = keep(retry) }
  end)
end

-- One REPORT. An increment asks for the bodies at once; a full listing only for the tags, so that no answer grows with the calendar's texts.
local function report(session, calendar, token, limit)
  local content = "<D:sync-token>" .. xml.escape(token) .. "</D:sync-token><D:sync-level>1</D:sync-level>"
    .. (limit and "<D:limit><D:nresults>" .. limit .. "</D:nresults></D:limit>" or "")
    .. "<D:prop><D:getetag/>" .. (token ~= "" and '<C:calendar-data/><C:schedule-tag/>' or "") .. "</D:prop>"
  local result, err = session:report(calendar.id, "0", "D:sync-collection", content)
  if not result then return nil, err end
  local page = { responses = {}, token = result.sync_token, truncated = false }
  for _, response in ipairs(result.responses) do
    local own = response.href == calendar.id or href.collection(response.href) == calendar.id
    if response.status == 507 then
      page.truncated = true
    elseif own and response.status and response.status >= 400 then
      return nil, session:name(failure.of(response.status, response.condition))
    elseif not own then
      page.responses[#page.responses + 1] = response
    end
  end
  if not page.token then return nil, session:name(failure.of(501, "supported-report")) end
  return page
end

local too_many = { ["number-of-matches-within-limits"] = true }

-- A limit that the server cannot keep is left out (RFC 6578 section 3.7).
local function page_of(session, calendar, token, limit)
  local page, err = report(session, calendar, token, limit)
  if not page and limit and (too_many[err.condition] or err.upstream_status == 507) then page, err = report(session, calendar, token, nil) end
  return page, err
end

-- Refusals that speak of the request (a token, a report), not of the moment or the account.
local passing = { [401] = true, [404] = true, [408] = true, [423] = true, [425] = true, [429] = true, [502] = true, [503] = true, [504] = true }

local function permanent(err)
  return err.upstream_status ~= nil and not passing[err.upstream_status] or err.condition == "valid-sync-token"
end

-- Full listing by sync-collection with an empty token.
local function full(session, calendar, traits, limit)
  local token, urls, seen = "", {}, {}
  for _ = 1, max_pages do
    local page, err = page_of(session, calendar, token, limit)
    if not page then
      -- No such report, or the server's own token is refused in the middle of a listing: tags are the way that needs neither.
      if permanent(err) then return by_etag(session, calendar, nil) end
      return nil, err
    end
    for _, response in ipairs(page.responses) do
      local id = id_of(response.href)
      if response.status == 404 or response.status == 410 then
        seen[id] = false
      elseif seen[id] == nil and is_member(calendar.id, response) then
        seen[id] = true
        urls[#urls + 1] = object.member(calendar.id, response.href)
      end
    end
    local moved = page.token ~= token
    token = page.token
    if not page.truncated then break end
    if not moved then return by_etag(session, calendar, nil) end
  end
  local live = {}
  for _, url in ipairs(urls) do
    if seen[id_of(url)] then live[#live + 1] = url end
  end
  return deliver(session, calendar, live, function()
    return { upserts = {}, deletes = {}, reset = true, state = { method = "sync", partial = true } }
  end, function(retry)
    return retry and { method = "sync", token = token, count = not traits.refuses_tokens and #live or nil, retry = keep(retry) }
  end)
end

-- Servers that do not refuse a token they have forgotten answer it with everything there is, which looks like many changes.
-- If an answer names every member, what it does not name is gone: then it is a full listing, whether it was meant so or not.
local function names_all(session, calendar, named, count)
  if #named > 0 and #named * 4 < count then return false, nil, count end
  local etags, err = list_etags(session, calendar)
  if not etags then return nil, err end
  local set, members = {}, 0
  for _, url in ipairs(named) do set[id_of(url)] = true end
  local all = true
  for id in pairs(etags) do
    members = members + 1
    if not set[id] then all = false end
  end
  return all, nil, members
end

local function increment(session, calendar, state, traits, limit)
  local token, retry_ids = state.token, state.retry
  for _ = 1, max_pages do
    local page, err = page_of(session, calendar, token, limit)
    if not page and err.cause == "too_large" then return full(session, calendar, traits, limit) end
    if not page then
      if permanent(err) then return full(session, calendar, traits, limit) end
      return nil, err
    end
    local result, named, missing = { found = {}, gone = {}, failed = {} }, {}, {}
    for _, response in ipairs(page.responses) do
      local event = object.from_response(calendar.id, response)
      if response.status == 404 or response.status == 410 then
        result.gone[#result.gone + 1] = response.href
      elseif event then
        named[#named + 1] = response.href
        result.found[#result.found + 1] = event
      elseif is_member(calendar.id, response) then
        named[#named + 1] = response.href
        missing[#missing + 1] = object.member(calendar.id, response.href)
      end
    end
    for _, id in ipairs(retry_ids or {}) do missing[#missing + 1] = href.member(calendar.id, id) end
    retry_ids = nil
    local moved = page.token ~= token
    local reset, count = false, nil
    if not traits.refuses_tokens and not page.truncated and (#named > 0 or moved and #page.responses == 0) then
      local problem
      reset, problem, count = names_all(session, calendar, named, state.count or 0)
      if reset == nil then return nil, problem end
    elseif not traits.refuses_tokens then
      count = state.count
    end
    if #missing > 0 then
      local bodies, problem = object.get_many(session, calendar.id, missing)
      if not bodies then return nil, problem end
      for key, list in pairs(bodies) do table.move(list, 1, #list, #result[key] + 1, result[key]) end
    end
    if moved or #page.responses > 0 or state.retry then
      local retry = {}
      local batch = { upserts = {}, deletes = {}, reset = reset, more = page.truncated and moved }
      fill(batch, result, retry)
      batch.state = { method = "sync", token = page.token, count = count, retry = keep(retry) }
      coroutine.yield(batch)
    end
    token = page.token
    if not page.truncated then return true end
    -- Cut, and the token stands still: asking again would give the same answer.
    if not moved then return full(session, calendar, traits, limit) end
  end
  return true
end

---The changes of a calendar since a state, as an iterator of batches.
---@param session caldav.Session
---@param account table
---@param calendar table          canonical, .id is its URL
---@param state caldav.State?     nil: everything
---@return fun():table?, lunation.Error?  batch {upserts, deletes, state, reset, more}; nil at the end; nil, err
function M.changes(session, account, calendar, state)
  if state and (state.partial or not state.method) then state = nil end
  local traits = servers.of(account)
  local limit = account.settings and account.settings.sync_limit or 1000
  local run = coroutine.wrap(function()
    local ok, err
    if state and state.method == "etag" then
      ok, err = by_etag(session, calendar, state)
    elseif state and state.token then
      ok, err = increment(session, calendar, state, traits, limit)
    else
      ok, err = full(session, calendar, traits, limit)
    end
    if not ok then return nil, err end
  end)
  local done = false
  return function()
    if done then return nil end
    local batch, err = run()
    if not batch then done = true end
    return batch, err
  end
end

return M
