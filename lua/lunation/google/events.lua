-- Reading single events and series: one resource, or a master with all its exceptions.
local batch = require "lunation.google.batch"
local errors = require "lunation.errors"
local series = require "lunation.google.series"
local session = require "lunation.google.session"

local M = {}

---The path of a calendar's events, or of one of them.
---@param calendar table
---@param id string?
---@return string
function M.path(calendar, id)
  local path = "/calendars/" .. session.escape(calendar.id) .. "/events"
  return id and path .. "/" .. session.escape(id) or path
end

---An event as it is kept: marked with what the answer around it says.
---@param item google.Event
---@param page { timeZone: string? }?
---@param account table
---@return google.Event
function M.keep(item, page, account)
  local start = item.start
  if page and page.timeZone and type(start) == "table" and start.dateTime and not start.timeZone then
    item["lunation:timeZone"] = page.timeZone
  end
  local palette = item.colorId and account.settings and account.settings.colors
  if palette then item["lunation:color"] = palette[item.colorId] end
  return item
end

local function not_found()
  return errors.new("not_found", "The event is no longer at Google.", { provider = "google" })
end

---A call that lists a master and its exceptions.
---@param calendar table
---@param uid string iCalUID
---@return google.Call
local function listing(calendar, uid)
  return { path = M.path(calendar), query = { iCalUID = uid, maxResults = 2500, singleEvents = false } }
end

-- A master out of the resources of its iCalUID. A series that was cut has several masters of one.
local function assemble(account, id, pages)
  local master, instances = nil, {}
  for _, page in ipairs(pages) do
    for _, item in ipairs(page.items or {}) do
      if type(item) == "table" then
        if item.id == id then
          master = M.keep(item, page, account)
        elseif item.recurringEventId == id then
          instances[#instances + 1] = M.keep(item, page, account)
        end
      end
    end
  end
  if not master or master.status == "cancelled" then return nil, not_found() end
  return series.fold(master, instances)
end

local function read_series(account, calendar, master)
  local pages = {}
  local following = session.pages(account, listing(calendar, master.iCalUID))
  while true do
    local page, err = following()
    if not page then
      if err then return nil, err end
      break
    end
    pages[#pages + 1] = page
  end
  return assemble(account, master.id, pages)
end

---Several series, as Google has them now.
---@param account table
---@param calendar table
---@param masters google.Event[] each with id and iCalUID
---@return table<string, google.Event|false>? by_id false: it is gone, lunation.Error? err
function M.read_many(account, calendar, masters)
  local calls, result = {}, {}
  for i, master in ipairs(masters) do calls[i] = listing(calendar, master.iCalUID) end
  local answers, err = batch.call(account, calls)
  if not answers then return nil, err end
  for i, master in ipairs(masters) do
    local page, failed = answers[i][1], answers[i][2]
    if not page then return nil, failed end
    local native, problem
    if page.nextPageToken then
      native, problem = read_series(account, calendar, master)
    else
      native, problem = assemble(account, master.id, { page })
    end
    if not native and problem.code ~= "not_found" then return nil, problem end
    result[master.id] = native or false
  end
  return result
end

---One event as its resource is.
---@param account table
---@param calendar table
---@param id string
---@return google.Event?, lunation.Error? err not_found also for what is cancelled
function M.get(account, calendar, id)
  local event, err = session.call(account, { path = M.path(calendar, id) })
  if not event then
    if err.code == "gone" then err = not_found() end
    return nil, err
  end
  if event.status == "cancelled" then return nil, not_found() end
  return M.keep(event, nil, account)
end

---An event, or a series with its exceptions.
---@param account table
---@param calendar table
---@param id string
---@return google.Event?, lunation.Error? err not_found
function M.fetch(account, calendar, id)
  local event, err = M.get(account, calendar, id)
  if not event or not series.is_master(event) or not event.iCalUID then return event, err end
  return read_series(account, calendar, event)
end

---The instance of a series that began, or would have begun, at an original start.
---@param account table
---@param calendar table
---@param series_id string
---@param original table EventDateTime
---@return google.Event?, lunation.Error? err not_found
function M.find_instance(account, calendar, series_id, original)
  local path = M.path(calendar, series_id) .. "/instances"
  local wanted = series.place { originalStartTime = original }
  for _, query in ipairs { { originalStart = original.date or original.dateTime, showDeleted = true }, { showDeleted = true, maxResults = 2500 } } do
    local following = session.pages(account, { path = path, query = query })
    local page, err
    for _ = 1, 4 do
      page, err = following()
      if not page then break end
      for _, item in ipairs(page.items) do
        if type(item) == "table" and series.place(item) == wanted then return M.keep(item, page, account) end
      end
    end
    if not page and err then return nil, err.code == "gone" and not_found() or err end
  end
  return nil, not_found()
end

return M
