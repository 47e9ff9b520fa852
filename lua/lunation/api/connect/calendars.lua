--- The calendars of a user: which there are, which a request means, and `GET /calendars`.

local access = require "lunation.api.connect.access"
local errors = require "lunation.errors"
local json = require "lunation.json"
local model = require "lunation.model"
local sync = require "lunation.sync"
local vocabulary = require "lunation.api.connect.vocabulary"

local calendars = {}

---Accounts that have not withheld their calendars at the provider's consent screen.
---@param accounts table[]
---@return table[]|nil permitted
---@return lunation.Error|nil
local function permitted(accounts)
  local open, blocked = {}, {}
  for _, account in ipairs(accounts) do
    if account.settings and account.settings.calendarPermissionGranted == false then
      blocked[#blocked + 1] = { provider = account.provider, account = account.identity }
    else
      open[#open + 1] = account
    end
  end
  if #open == 0 and #blocked > 0 then
    return nil, errors.new("calendar_permission_required", "No connected account has calendar access", { accounts = blocked })
  end
  return open
end

---The user's accounts in the order in which they were connected.
---@param engine table
---@param who lunation.identity
---@param wanted (fun(account: table): boolean)|nil
---@return table[]|nil
---@return lunation.Error|nil
function calendars.accounts(engine, who, wanted)
  local all, err = engine.store:accounts { app = who.app, user = who.user }
  if not all then return nil, err end
  local found = {}
  for _, account in ipairs(all) do
    if not wanted or wanted(account) then found[#found + 1] = account end
  end
  return permitted(found)
end

local function ids_of(accounts)
  local ids = {}
  for index, account in ipairs(accounts) do ids[index] = account.id end
  return ids
end

---The stored calendars of accounts, each with its account.
---@param engine table
---@param accounts table[]
---@return { calendar: table, account: table }[]|nil
---@return lunation.Error|nil
function calendars.of(engine, accounts)
  local rows, err = engine.store:calendars { accounts = ids_of(accounts) }
  if not rows then return nil, err end
  local by_id, found = {}, {}
  for _, account in ipairs(accounts) do by_id[account.id] = account end
  for _, calendar in ipairs(rows) do
    if model.holds_events(calendar) then found[#found + 1] = { calendar = calendar, account = by_id[calendar.account] } end
  end
  return found
end

---Make the mirror of accounts fresh. When nothing is there to serve, that is an error.
---@param engine table
---@param accounts table[]
---@param from integer|nil seconds since the epoch; what is about to be read
---@param to integer|nil
---@return string|true|nil stale the value of Lunation-Stale; true when all is fresh
---@return lunation.Error|nil
function calendars.refresh(engine, accounts, from, to)
  if #accounts == 0 then return true end
  local ids = ids_of(accounts)
  local stale, err = engine.sync:refresh { accounts = ids, from = from, to = to }
  if not stale then return nil, err end
  if #stale == 0 then return true end
  local header = sync.stale_header(stale) or true
  local failed = {}
  for _, item in ipairs(stale) do
    if item.reason ~= "initial" then failed[item.account] = item end
  end
  local now
  now, err = engine.store:accounts { ids = ids }
  if not now then return nil, err end
  local first
  for _, account in ipairs(now) do
    if account.synced_at or not failed[account.id] then return header end
    first = first or account
  end
  local problem = first and first.error or {}
  return nil, errors.new(first and first.status == "reauth_required" and "reauth_required" or "provider_error",
    problem.message or "The calendar provider did not answer",
    { provider = first and first.provider, account = first and first.identity, stale = type(header) == "string" and header or nil })
end

---The calendar of an account that `primary` means.
local function primary(found, account)
  local best
  for _, item in ipairs(found) do
    if item.account.id == account.id then
      if item.calendar.primary then return item end
      if not best or (best.calendar.readOnly and not item.calendar.readOnly) then best = item end
    end
  end
  return best
end

---The calendar that `provider` and `calendarId` name, among those of accounts of that provider.
local function pick(found, id)
  if id == "primary" then
    for _, item in ipairs(found) do
      if item.calendar.id == id then return item end
    end
    return found[1] and primary(found, found[1].account)
  end
  local readable
  for _, item in ipairs(found) do
    if item.calendar.id == id then
      if not item.calendar.readOnly then return item end
      readable = readable or item
    end
  end
  return readable
end

---@param engine table
---@param who lunation.identity
---@param name any the body's `provider`
---@param id any the body's `calendarId`
---@return { calendar: table, account: table, provider: table }|nil
---@return lunation.Error|nil
function calendars.named(engine, who, name, id)
  for _, given in ipairs { { "provider", name }, { "calendarId", id } } do
    local field, value = given[1], given[2]
    if value == nil or value == "" or value == json.null then
      return nil, errors.new("invalid_request", field .. " is required", { field = field })
    end
    if type(value) ~= "string" then return nil, errors.new("invalid_request", field .. " is a string", { field = field }) end
  end
  local provider, err = vocabulary.provider(engine.providers, name)
  if not provider then return nil, err end
  local function of_provider(account) return account.provider == provider.name end
  local accounts
  accounts, err = calendars.accounts(engine, who, of_provider)
  if not accounts then return nil, err end
  local found
  found, err = calendars.of(engine, accounts)
  if not found then return nil, err end
  local item = pick(found, id)
  if not item and #accounts > 0 then
    -- It may be new there, or the account new here.
    engine.sync:refresh { accounts = ids_of(accounts) }
    found, err = calendars.of(engine, accounts)
    if not found then return nil, err end
    item = pick(found, id)
  end
  if item then return { calendar = item.calendar, account = item.account, provider = provider } end
  local others
  others, err = calendars.accounts(engine, who, function(account) return not of_provider(account) end)
  if err and err.code ~= "calendar_permission_required" then return nil, err end
  local unread = {}
  for _, account in ipairs(others or {}) do
    if not account.calendars_at then unread[#unread + 1] = account end
  end
  if #unread > 0 then engine.sync:refresh { accounts = ids_of(unread) } end
  found, err = calendars.of(engine, others or {})
  if not found then return nil, err end
  for _, other in ipairs(found) do
    if other.calendar.id == id then
      return nil, errors.new("invalid_request", "The calendar is one of " .. other.account.provider .. ", not of " .. provider.name, { field = "provider" })
    end
  end
  return nil, errors.new("not_found", "Calendar not found", { field = "calendarId" })
end

---`GET /calendars`: an array, as it is.
---@param engine table
---@param who lunation.identity
---@return table? answer
---@return lunation.Error?
function calendars.list(engine, _, who)
  if who.scope == "free-busy" then
    return nil, errors.new("forbidden", "Calendar list access is forbidden for free-busy scope",
      { title = "Calendar list access is forbidden for free-busy scope" })
  end
  local accounts, err = calendars.accounts(engine, who)
  if not accounts then return nil, err end
  local stale
  stale, err = calendars.refresh(engine, accounts)
  if not stale then return nil, err end
  local found
  found, err = calendars.of(engine, accounts)
  if not found then return nil, err end
  local list = {}
  for index, item in ipairs(found) do
    local calendar = item.calendar
    list[index] = {
      provider = item.account.provider, id = calendar.id, title = calendar.title or "",
      timeZone = calendar.timeZone or "UTC", color = calendar.color or "", description = calendar.description or "",
      readOnly = calendar.readOnly == true, primary = calendar.primary == true,
      original = calendar.original or json.object {},
    }
  end
  return access.answer(json.array(list), { ["lunation-stale"] = type(stale) == "string" and stale or nil })
end

return calendars
