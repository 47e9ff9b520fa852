-- The CalDAV client as the functions of a provider: caldav and apple are this with their own names and sentences.
local collection = require "lunation.caldav.collection"
local discovery = require "lunation.caldav.discovery"
local href = require "lunation.caldav.href"
local object = require "lunation.caldav.object"
local session = require "lunation.caldav.session"
local sync = require "lunation.caldav.sync"

local M = {
  color = collection.color, zone = collection.zone, read_only = collection.read_only,
  ---The mapping of an event's iCalendar text.
  event = require("lunation.ical.mapping").event,
}

---@class caldav.Options
---@field provider string
---@field refusal string?                 sentence for people when the password is refused
---@field url string?                     where discovery starts when the account names no address
---@field max_answer integer?              bytes of one answer, 64 MiB
---@field check (fun(account:table):boolean?, lunation.Error?)?  looks at credentials before anything is sent

---The functions of a provider, all of which yield.
---@param options caldav.Options
---@return table
function M.client(options)
  local client = {}

  local function open(account)
    return session.new(account, options)
  end

  ---Verifies the credentials and finds the account's calendars.
  function client.identify(account)
    if options.check then
      local ok, err = options.check(account)
      if not ok then return nil, err end
    end
    if not account.url and options.url then
      account = setmetatable({ url = options.url }, { __index = account })
    end
    return discovery.identify(open(account), account)
  end

  ---An account whose home has moved is looked for anew.
  ---@param account table
  ---@return caldav.Calendar[]?, lunation.Error?
  function client.calendars(account)
    local list, err = collection.list(open(account), account)
    if list or err.code ~= "not_found" then return list, err end
    local found = client.identify(account)
    if not found then return nil, err end
    return collection.list(open(account), setmetatable({ settings = found.settings }, { __index = account }))
  end

  ---@param account table
  ---@param calendar table
  ---@param state caldav.State?
  ---@return fun():table?, lunation.Error?
  function client.changes(account, calendar, state)
    return sync.changes(open(account), account, calendar, state)
  end

  ---@param account table
  ---@param calendar table
  ---@param id string
  ---@return caldav.Event?, lunation.Error?
  function client.fetch(account, calendar, id)
    return object.get(open(account), href.member(calendar.id, id))
  end

  ---@param account table
  ---@param calendar table
  ---@param native {text:string, id:string?}
  ---@param opts {id:string?, schedule_agent:string?}?
  ---@return caldav.Event?, lunation.Error?
  function client.create(account, calendar, native, opts)
    return object.create(open(account), account, calendar, native, opts)
  end

  ---@param account table
  ---@param calendar table
  ---@param native caldav.Event
  ---@param opts {etag:string?, schedule_tag:string?, schedule_agent:string?}?
  ---@return caldav.Event?, lunation.Error?
  function client.update(account, calendar, native, opts)
    return object.update(open(account), account, calendar, native, opts)
  end

  ---@param account table
  ---@param calendar table
  ---@param id string
  ---@param opts {etag:string?, schedule_tag:string?, schedule_agent:string?}?
  ---@return true?, lunation.Error?
  function client.delete(account, calendar, id, opts)
    return object.delete(open(account), account, calendar, id, opts)
  end

  ---What dialects show as `original`.
  ---@param native caldav.Event
  ---@return {href:string, etag:string?, ics:string}
  function client.original(native)
    return { href = native.href, etag = native.etag, ics = native.text }
  end

  client.new_id = object.new_id
  return client
end

return M
