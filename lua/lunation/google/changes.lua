-- What changed in a calendar: a full listing, page by page, then increments by the sync token with the very parameters of the
-- listing it came from. Masters, exceptions and cancelled instances arrive as resources of their own, in any order, and leave
-- as one native per series.
--
-- An instance whose series is not on the calendar (its guest was invited to it alone) stands as an event of its own until the
-- series comes.
local events = require "lunation.google.events"
local series = require "lunation.google.series"
local session = require "lunation.google.session"

local M = {}

---@class google.State what is kept from one run to the next
---@field token string nextSyncToken
---@field query table the parameters of the listing that the token came from
---@field orphans table<string, string>? instances that stand alone: id to the id of their series

-- Events of one page, where the configuration does not say (`page_size`).
local PAGE = 500
local LARGEST_BATCH = 250

local Run = {}
Run.__index = Run

local function new_run(account, calendar, state)
  return setmetatable({
    account = account, calendar = calendar, reset = state == nil,
    -- Recurring events are expanded here, never by Google.
    query = state and state.query or { maxResults = account.config.page_size or PAGE, singleEvents = false }, orphans = {},
    -- Of this run: masters by the page that gave them, and gone; instances that wait; series to be read again.
    given = {}, gone = {}, waiting = {}, again = {}, page = 0,
    had_orphans = state and state.orphans or {},
  }, Run)
end

-- The native that the mirror has of an id, from an earlier sync or an earlier batch of this one.
function Run:mirrored(id)
  local ask = self.calendar.mirrored
  if ask then return ask(id) end
  return nil
end

-- The native that a master has: in a full listing only what this run has given out, on an earlier page.
function Run:native_of(master)
  local given = self.given[master]
  if self.reset and not (given and given.page < self.page) then return nil end
  return self:mirrored(master)
end

local function add(map, key, value)
  local list = map[key]
  if not list then
    list = {}
    map[key] = list
  end
  list[#list + 1] = value
end

-- A master in an increment keeps the exceptions that are known until they are read again: Google may have reset some of them
-- without naming each.
function Run:changed_master(item)
  local before = self:native_of(item.id)
  local stands_alone = false
  for _, master in pairs(self.had_orphans) do stands_alone = stands_alone or master == item.id end
  if not self.reset and not self.calendar.mirrored then self.again[item.id] = item end
  if stands_alone then self.again[item.id] = item end
  if before and before.exceptions then
    if before.etag ~= item.etag then self.again[item.id] = item end
    item.exceptions = before.exceptions
  end
  return item
end

function Run:take(page, batch)
  local masters, by_master = {}, {}
  self.page = self.page + 1
  for _, item in ipairs(page.items) do
    if type(item) == "table" and type(item.recurringEventId) == "string" then
      add(by_master, item.recurringEventId, events.keep(item, page, self.account))
    elseif type(item) == "table" and item.status == "cancelled" then
      if type(item.id) == "string" then
        batch.deletes[#batch.deletes + 1] = item.id
        self.gone[item.id], self.given[item.id], self.again[item.id] = true, nil, nil
      end
    elseif type(item) == "table" then
      events.keep(item, page, self.account)
      if series.is_master(item) and type(item.id) == "string" then
        masters[item.id] = self:changed_master(item)
        self.given[item.id], self.gone[item.id] = { id = item.id, iCalUID = item.iCalUID, page = self.page }, nil
      end
      batch.upserts[#batch.upserts + 1] = masters[item.id] or item
    else
      -- What is no object cannot be an event; the mirror says so.
      batch.upserts[#batch.upserts + 1] = { original = item }
    end
  end
  return masters, by_master
end

local function replace(list, id, native)
  for i = #list, 1, -1 do
    if list[i].id == id then
      list[i] = native
      return
    end
  end
  list[#list + 1] = native
end

-- A page of a full listing: instances go to their masters, as far as these are known.
function Run:listed(page)
  local batch = { upserts = {}, deletes = {}, reset = true, more = true }
  local masters, by_master = self:take(page, batch)
  -- Nothing that is cancelled is in the mirror that a full listing makes.
  batch.deletes = {}
  for id, instances in pairs(self.waiting) do
    if masters[id] then
      for _, item in ipairs(by_master[id] or {}) do instances[#instances + 1] = item end
      by_master[id], self.waiting[id] = instances, nil
    end
  end
  for id, instances in pairs(by_master) do
    local master = masters[id] or self:native_of(id)
    if master and series.is_master(master) then
      replace(batch.upserts, id, series.fold(master, instances))
    else
      for _, item in ipairs(instances) do add(self.waiting, id, item) end
    end
  end
  return batch
end

-- A page of an increment: instances wait for its end, when it is clear what became of their series.
function Run:incremented(page)
  local batch = { upserts = {}, deletes = {}, more = true }
  local _, by_master = self:take(page, batch)
  for id, instances in pairs(by_master) do
    for _, item in ipairs(instances) do add(self.waiting, id, item) end
  end
  return batch
end

-- An instance without a series.
function Run:alone(item, batch)
  if item.status == "cancelled" then
    self.had_orphans[item.id] = nil
    if not self.reset and type(item.id) == "string" then batch.deletes[#batch.deletes + 1] = item.id end
    return
  end
  if type(item.id) == "string" then self.orphans[item.id] = item.recurringEventId end
  batch.upserts[#batch.upserts + 1] = item
end

-- A series that changed along with instances of it is read again: instances that its new rule does not have are told as
-- cancelled, and are nothing that a listing would show.
function Run:settle_changed()
  for id, item in pairs(self.given) do
    if self.waiting[id] then self.again[id] = item end
  end
end

local function last_of_each(instances)
  local by_id, order = {}, {}
  for _, item in ipairs(instances) do
    local id = tostring(item.id)
    if not by_id[id] then order[#order + 1] = id end
    by_id[id] = item
  end
  local list = {}
  for i, id in ipairs(order) do list[i] = by_id[id] end
  return list
end

-- Series whose rule changed, or that came after instances of theirs, as they are now.
function Run:read_again(batch)
  local masters = {}
  for _, item in pairs(self.again) do
    if item.iCalUID then masters[#masters + 1] = item end
  end
  if #masters == 0 then return true end
  table.sort(masters, function(a, b) return a.id < b.id end)
  local found, err = events.read_many(self.account, self.calendar, masters)
  if not found then return nil, err end
  for id, native in pairs(found) do
    self.waiting[id] = nil
    if native then
      batch.upserts[#batch.upserts + 1] = native
    else
      batch.deletes[#batch.deletes + 1] = id
      self.gone[id] = true
    end
    for orphan, master in pairs(self.had_orphans) do
      if master == id and native then
        batch.deletes[#batch.deletes + 1] = orphan
        self.had_orphans[orphan] = nil
      end
    end
  end
  return true
end

-- The end of a run: what waited finds its place.
function Run:finish(token)
  local batch = { upserts = {}, deletes = {}, reset = self.reset or nil, more = false }
  self.page = self.page + 1
  if not self.reset then self:settle_changed() end
  local done, err = self:read_again(batch)
  if not done then return nil, err end
  for id, instances in pairs(self.waiting) do
    local master
    if not self.gone[id] then
      master = self:native_of(id)
      if not master and not self.reset and not self.calendar.mirrored then
        master, err = events.fetch(self.account, self.calendar, id)
        if not master and err.code ~= "not_found" and err.code ~= "forbidden" then return nil, err end
        if master then instances = {} end
      end
    end
    if master and series.is_master(master) then
      batch.upserts[#batch.upserts + 1] = series.fold(master, instances)
    else
      for _, item in ipairs(last_of_each(instances)) do self:alone(item, batch) end
    end
  end
  for orphan, master in pairs(self.had_orphans) do
    if not self.orphans[orphan] then self.orphans[orphan] = master end
  end
  batch.state = { token = token, query = self.query, orphans = next(self.orphans) ~= nil and self.orphans or nil }
  return batch
end

-- A batch of any size in such that the mirror takes at once.
local function portions(batch)
  if #batch.upserts <= LARGEST_BATCH then return { batch } end
  local list = {}
  for first = 1, #batch.upserts, LARGEST_BATCH do
    list[#list + 1] = {
      upserts = table.move(batch.upserts, first, math.min(first + LARGEST_BATCH - 1, #batch.upserts), 1, {}),
      deletes = {}, reset = batch.reset, more = true,
    }
  end
  local last = list[#list]
  last.deletes, last.state, last.more = batch.deletes, batch.state, batch.more
  return list
end

local function is_stale(err)
  if err.code == "gone" then return true end
  -- A token that Google does not even know.
  return err.code == "invalid_request" and (err.reason == "invalid" or err.reason == "badRequest")
    and err.message:lower():find("sync token", 1, true) ~= nil
end

---What changed since a state.
---@param account table
---@param calendar table with `mirrored(id)`, the native that the mirror has
---@param state google.State?
---@return fun(): table?, lunation.Error? batches
function M.changes(account, calendar, state)
  if type(state) == "table" and (type(state.token) ~= "string" or type(state.query) ~= "table") then state = nil end
  local run, queue, over
  local function begin(from)
    run = new_run(account, calendar, from)
    local query = { syncToken = from and from.token }
    for name, v in pairs(run.query) do query[name] = v end
    run.following = session.pages(account, { path = events.path(calendar), query = query })
    queue, over = {}, false
  end
  begin(state)
  return function()
    while #queue == 0 do
      if over then return nil end
      local page, err = run.following()
      if not page and err and not run.reset and is_stale(err) then
        begin(nil)
      elseif not page then
        over = true
        return nil, err
      else
        over = page.nextPageToken == nil
        if #page.items > 0 then
          for _, portion in ipairs(portions(run.reset and run:listed(page) or run:incremented(page))) do queue[#queue + 1] = portion end
        end
        if over then
          -- Given out when it is asked for, so that what comes before it is in the mirror.
          queue[#queue + 1] = function() return run:finish(page.nextSyncToken) end
        end
      end
    end
    local head = table.remove(queue, 1)
    if type(head) ~= "function" then return head end
    local batch, err = head()
    if not batch then return nil, err end
    local list = portions(batch)
    for i = 2, #list do queue[#queue + 1] = list[i] end
    return list[1]
  end
end

return M
