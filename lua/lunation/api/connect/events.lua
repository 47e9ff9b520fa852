--- `GET /events`: a page of the user's events, across all accounts, in the order of their starts.

local access = require "lunation.api.connect.access"
local calendars = require "lunation.api.connect.calendars"
local datetime = require "lunation.api.connect.datetime"
local errors = require "lunation.errors"
local json = require "lunation.json"
local page_token = require "lunation.api.connect.page_token"
local render = require "lunation.api.connect.render"
local shape = require "lunation.api.connect.shape"

local events = {}

local PAGE = 250

local function wrong(field, message)
  return nil, errors.new("invalid_request", ("%s %s"):format(field, message), { field = field })
end

---@return integer|nil size nil when none was asked for
---@return lunation.Error|nil
local function page_size(req, largest)
  local text, err = access.argument(req, "pageSize")
  if text == nil then return nil, err end
  local number = text:find("^%s*%d+%s*$") and tonumber(text)
  if not number or number < 1 then return wrong("pageSize", "is a number from 1 to " .. largest) end
  return math.tointeger(math.min(number, largest))
end

---@return integer|nil from
---@return integer|lunation.Error|nil to
local function window(req, now)
  local bounds = {}
  for _, name in ipairs { "start", "end" } do
    local text, err = access.argument(req, name)
    if err then return nil, err end
    if text then
      local value = datetime.parse(text)
      if not value then return wrong(name, "is an ISO 8601 date") end
      bounds[name] = value.epoch
    end
  end
  -- A bound that is left out is that of the month in question: the current one, or the one the other bound is in.
  local first, last = datetime.month(bounds["start"] or bounds["end"] or now)
  local from, to = bounds["start"] or first, bounds["end"] or last
  if from > to then return wrong("start", "is after end") end
  return from, to
end

---@return "instances"|"masters"|nil
---@return lunation.Error|nil
local function mode(req)
  local text, err = access.argument(req, "singleEvents")
  if err then return nil, err end
  text = text and text:lower() or "true"
  if text == "true" or text == "1" then return "instances" end
  if text == "false" or text == "0" then return "masters" end
  return wrong("singleEvents", "is true or false")
end

---Which calendars `calendarIds` allows.
---@return (fun(account: table, id: string|nil): boolean)|nil allows nil id: could any calendar of this account be meant?
---@return lunation.Error|nil
local function selection(req, providers)
  local text, err = access.argument(req, "calendarIds")
  if err then return nil, err end
  if not text then return function() return true end end
  local value, bad = json.decode(text)
  if bad or type(value) ~= "table" then return wrong("calendarIds", "is a JSON object of arrays of ids by provider") end
  local function set(list)
    if not shape.is_array(list) then return nil end
    local ids = {}
    for _, id in ipairs(list) do
      if type(id) ~= "string" then return nil end
      ids[id] = true
    end
    return ids
  end
  if shape.is_array(value) then
    local ids = set(value)
    if not ids then return wrong("calendarIds", "is an array of strings") end
    return function(_, id)
      if id == nil then return next(ids) ~= nil end
      return ids[id] == true
    end
  end
  local by_provider = {}
  for name, list in pairs(value) do
    if list ~= json.null then
      local ids = set(list)
      if not ids then return wrong("calendarIds", "holds something other than an array of strings for " .. name) end
      local provider = providers:get(name)
      if provider then
        by_provider[provider.name] = by_provider[provider.name] or {}
        for id in pairs(ids) do by_provider[provider.name][id] = true end
      end
    end
  end
  return function(account, id)
    local ids = by_provider[account.provider]
    if not ids then return false end
    if id == nil then return next(ids) ~= nil end
    return ids[id] == true
  end
end

---The stored calendars that are meant; `primary` is the first of a provider's first account.
local function choose(found, allows)
  local chosen, primary_of = {}, {}
  for _, item in ipairs(found) do
    local provider = item.account.provider
    local best = primary_of[provider]
    if not best or (best.account.id == item.account.id and not best.calendar.primary and item.calendar.primary) then
      primary_of[provider] = item
    end
  end
  for _, item in ipairs(found) do
    local meant = allows(item.account, item.calendar.id)
    if not meant and primary_of[item.account.provider] == item then meant = allows(item.account, "primary") end
    if meant then chosen[#chosen + 1] = item end
  end
  return chosen
end

---@return lunation.connect.page|nil
---@return lunation.Error|nil
local function continued(engine, token, who)
  local page = page_token.decode(engine.config.key, token)
  if not page or page.app ~= who.app or page.user ~= who.user then
    return nil, errors.new("invalid_request", "Invalid nextPageToken", { field = "nextPageToken" })
  end
  return page
end

---`GET /events`.
---@param engine table
---@param req table
---@param who lunation.identity
---@return table? answer
---@return lunation.Error?
function events.list(engine, req, who)
  local size, err = page_size(req, engine.config.limits.page or 1000)
  if err then return nil, err end
  local token
  token, err = access.argument(req, "nextPageToken")
  if err then return nil, err end

  local page, chosen, stale
  if token then
    page, err = continued(engine, token, who)
    if not page then return nil, err end
    local accounts
    accounts, err = calendars.accounts(engine, who)
    if not accounts then return nil, err end
    local found
    found, err = calendars.of(engine, accounts)
    if not found then return nil, err end
    local wanted = {}
    for _, keys in pairs(page.providers) do
      for _, key in ipairs(keys) do wanted[key] = true end
    end
    chosen = {}
    for _, item in ipairs(found) do
      if wanted[item.calendar.key] then chosen[#chosen + 1] = item end
    end
    page.size = size or page.size
  else
    page = { app = who.app, user = who.user, scope = who.scope, size = size or PAGE }
    page.from, page.to = window(req, os.time())
    if not page.from then return nil, page.to end
    page.mode, err = mode(req)
    if err then return nil, err end
    local allows
    allows, err = selection(req, engine.providers)
    if not allows then return nil, err end
    local accounts
    accounts, err = calendars.accounts(engine, who, function(account) return allows(account) end)
    if not accounts then return nil, err end
    stale, err = calendars.refresh(engine, accounts, page.from, page.to)
    if not stale then return nil, err end
    local found
    found, err = calendars.of(engine, accounts)
    if not found then return nil, err end
    chosen = choose(found, allows)
  end

  local rows, accounts = {}, {}
  for index, item in ipairs(chosen) do
    rows[index] = item.calendar
    accounts[item.account.id] = item.account
  end
  local result
  result, err = engine.query:page {
    calendars = rows, accounts = accounts, from = page.from, to = page.to, mode = page.mode, limit = page.size, after = page.after,
    rendering = render.rendering(engine, who.scope, who.app), prefix = '{"events":',
  }
  if not result then return nil, err end
  local suffix = (',"pageSize":%d'):format(page.size)
  if result.next then
    page.after, page.providers = result.next, {}
    for _, item in ipairs(chosen) do
      local name = item.account.provider
      page.providers[name] = page.providers[name] or {}
      table.insert(page.providers[name], item.calendar.key)
    end
    suffix = suffix .. ',"nextPageToken":' .. json.encode(page_token.encode(engine.config.key, page))
  end
  return access.answer(result:ended(suffix .. "}"), { ["lunation-stale"] = type(stale) == "string" and stale or nil })
end

return events
