--- Accounts as the pages handle them: which providers may be chosen, connecting one, removing one.

local client = require "lunation.oauth.client"
local errors = require "lunation.errors"
local log = require "lunation.log"
local session = require "lunation.session"
local task = require "lunation.task"

local accounts = {}

-- The fields of a sign-in where a provider does not say otherwise.
local FIELDS = { basic = { "url", "username", "password" }, none = {} }

---@class lunation.page.provider
---@field name string
---@field title string
---@field fields string[]
---@field app_password boolean
---@field kind "server"|"file"|nil what its address is of
---@field intro string which text explains it
---@field icon "server"|"cloud"|"file"|"here"
---@field oauth boolean|nil one signs in at the provider itself

---@param engine table
---@param provider table
---@return lunation.page.provider|nil nil when it cannot be connected here
local function choice(engine, provider)
  local auth = provider.auth or { kind = "none" }
  if auth.kind == "oauth2" then
    if provider.listed == false or not client.configured(provider, session.config(engine, provider)) then return nil end
    return { name = provider.name, title = provider.title, fields = {}, app_password = false, intro = "none", icon = "cloud", oauth = true }
  end
  local fields = auth.fields or FIELDS[auth.kind]
  if not fields or provider.listed == false then return nil end
  local has = {}
  for _, name in ipairs(fields) do has[name] = true end
  local app_password = auth.password == "app-specific"
  return {
    name = provider.name, title = provider.title or provider.name, fields = fields, app_password = app_password,
    kind = has.url and (has.password and "server" or "file") or nil,
    icon = app_password and "cloud" or has.url and (has.password and "server" or "file") or "here",
    intro = app_password and "apple" or has.password and "caldav" or has.url and "ics" or "none",
  }
end

-- Those one signs in to come first.
local function before(a, b)
  local first, second = a.oauth or a.kind == "server" or a.app_password, b.oauth or b.kind == "server" or b.app_password
  if first ~= second then return first end
  return a.title:lower() < b.title:lower()
end

---The providers to choose from; `wanted` restricts them, unless it names none of them.
---@param engine table
---@param wanted string[]|nil
---@return lunation.page.provider[]
function accounts.choices(engine, wanted)
  local all, restricted, named = {}, {}, {}
  for _, name in ipairs(wanted or {}) do
    local provider = engine.providers:get(name)
    if provider then named[provider.name] = true end
  end
  for _, name in ipairs(engine.providers:names()) do
    local found = choice(engine, engine.providers:get(name))
    if found then
      all[#all + 1] = found
      if named[found.name] then restricted[#restricted + 1] = found end
    end
  end
  local choices = #restricted > 0 and restricted or all
  table.sort(choices, before)
  return choices
end

---@param engine table
---@param wanted string[]|nil
---@param name string
---@return lunation.page.provider|nil
function accounts.chosen(engine, wanted, name)
  for _, provider in ipairs(accounts.choices(engine, wanted)) do
    if provider.name == name then return provider end
  end
end

---The web address that somebody typed: `https://` where no scheme stands.
---@param text string
---@return string|nil
function accounts.address(text)
  text = text:gsub("^%s+", ""):gsub("%s+$", "")
  if not text:find("^%a[%w+.-]*://") then text = "https://" .. text end
  if #text > 2048 or text:find("[%s%c\"<>\\^`{|}]") then return nil end
  local scheme, host = text:match("^(%a+)://([^/?#]+)")
  if not host or (scheme:lower() ~= "http" and scheme:lower() ~= "https") then return nil end
  if host:find("@", 1, true) or not host:find("^[%w%.%-_]+:?%d*$") and not host:find("^%[[%x:.]+%]:?%d*$") then return nil end
  return text
end

---Whether a user has as many accounts as one may have. One that is there already may always be connected again.
---@param engine table
---@param user table
---@param provider string
---@param identity string
---@return boolean|nil
---@return lunation.Error|nil
function accounts.full(engine, user, provider, identity)
  local most = engine.config.limits.accounts or 0
  if most == 0 then return false end
  local all, err = engine.store:accounts { app = user.app, user = user.id }
  if not all then return nil, err end
  for _, account in ipairs(all) do
    if account.provider == provider and account.identity == identity then return false end
  end
  return #all >= most
end

---Keep an account whose owner has proved to be that, and begin its first sync.
---@param engine table
---@param account lunation.NewAccount
---@param options { sync: boolean? }? sync=false: whoever asks does not stay for it
---@return lunation.Account|nil
---@return lunation.Error|nil
function accounts.keep(engine, account, options)
  local kept, failed = engine.store:account_add(account)
  if not kept then return nil, failed end
  if options and options.sync == false then return kept end
  task.spawn(function()
    local _, problem = engine.sync:account(kept.id, {})
    if problem then log.warn("the first sync of an account failed", { account = kept.id, reason = tostring(problem) }) end
  end)
  return kept
end

---Verify a sign-in at the provider and keep the account.
---@param engine table
---@param user table the store's user
---@param provider lunation.page.provider
---@param values table<string, string> url, username, password
---@return table|nil account
---@return lunation.Error|nil
function accounts.connect(engine, user, provider, values)
  local credentials = (values.username or values.password) and { username = values.username, password = values.password } or {}
  local outgoing = engine.config.outgoing or {}
  local sign_in = {
    provider = provider.name, app = user.app, user = user.id, url = values.url, username = values.username, credentials = credentials,
    settings = {}, guard = { allow = outgoing.allow or {}, allow_private = outgoing.allow_private or false },
    -- Whoever asks is not the operator: no files, no addresses of our own network.
    remote = true,
  }
  -- A server may take its time at every step; the person in front of the page does not.
  local known, err = task.deadline(engine.config.limits.sign_in_time or 20, engine.providers:get(provider.name).identify, sign_in)
  if not known then return nil, errors.from(err) end
  local full, failed = accounts.full(engine, user, provider.name, known.identity)
  if failed then return nil, failed end
  if full then return nil, errors.new("forbidden", "no further account", { field = "accounts" }) end
  return accounts.keep(engine, {
    user = user.id, provider = provider.name, identity = known.identity, name = known.name, url = known.url or values.url,
    username = values.username, credentials = credentials, settings = known.settings,
  })
end

---An identity for eyes that have not proved to own it: `a•••@example.com`.
---@param identity string
---@return string
function accounts.masked(identity)
  local name, host = identity:match("^(.*)(@[^@]*)$")
  name = name or identity
  local first = name:match("^[%z\1-\127\194-\244][\128-\191]*") or ""
  return first .. "•••" .. (host or "")
end

return accounts
