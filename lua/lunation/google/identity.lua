-- Who an account is, and which permissions it gave: scopes by what the app needs, and the consent screen on which some of them
-- may have been withheld.
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local json = require "lunation.json"
local palette = require "lunation.google.palette"
local session = require "lunation.google.session"

local M = {}

local AUTH = "https://www.googleapis.com/auth/"
local who = { "openid", "email", "profile" }

local function scopes(...)
  local list = table.move(who, 1, #who, 1, {})
  for _, name in ipairs { ... } do list[#list + 1] = AUTH .. name end
  return list
end

---What is asked for, by what the app needs.
---@type table<string, string[]>
M.scopes = {
  ["free-busy"] = scopes("calendar.events.freebusy", "calendar.calendarlist.readonly"),
  read = scopes("calendar.readonly"),
  ["read-write"] = scopes("calendar"),
  contacts = scopes("contacts", "contacts.other.readonly", "directory.readonly"),
  resources = scopes("admin.directory.resource.calendar.readonly"),
}

-- A wider permission holds the narrower ones.
local wider = {
  ["calendar.readonly"] = { "calendar" },
  ["calendar.events.freebusy"] = { "calendar", "calendar.readonly", "calendar.events", "calendar.events.readonly" },
  ["calendar.calendarlist.readonly"] = { "calendar", "calendar.readonly", "calendar.calendarlist" },
  ["contacts.readonly"] = { "contacts" },
  ["admin.directory.resource.calendar.readonly"] = { "admin.directory.resource.calendar" },
}
-- Google answers with its long names of these.
local long_names = { email = AUTH .. "userinfo.email", profile = AUTH .. "userinfo.profile" }

---What was granted of what was asked.
---@param answer { scope: string? } of the token endpoint
---@param asked string[]
---@return { calendar: boolean?, missing: string[], granted: string[] } calendar nil: the answer does not say
function M.granted(answer, asked)
  local given, list = {}, {}
  if type(answer.scope) ~= "string" then return { missing = {}, granted = {} } end
  for name in answer.scope:gmatch("%S+") do
    given[name] = true
    list[#list + 1] = name
  end
  local function has(name)
    if given[name] or given[long_names[name] or ""] then return true end
    for _, other in ipairs(wider[name:sub(1, #AUTH) == AUTH and name:sub(#AUTH + 1) or ""] or {}) do
      if given[AUTH .. other] then return true end
    end
    return false
  end
  local result = { calendar = true, missing = {}, granted = list }
  for _, name in ipairs(asked) do
    if not has(name) then
      result.missing[#result.missing + 1] = name
      if name:sub(1, #AUTH + 8) == AUTH .. "calendar" then result.calendar = false end
    end
  end
  return result
end

-- What an ID token says. It comes from the token endpoint itself, so that its signature adds nothing (OpenID Connect Core 3.1.3.7).
local function claims_of(token)
  local body = type(token) == "string" and token:match("^[^.]+%.([^.]+)%.")
  local text = body and crypto.unbase64url(body)
  local claims = text and json.decode(text)
  return type(claims) == "table" and claims or {}
end

---@param account table with `answer`, the token endpoint's
---@return { identity: string, subject: string?, name: string?, settings: table }?, lunation.Error?
function M.identify(account)
  local answer = account.answer or account.credentials or {}
  local claims = claims_of(answer.id_token)
  local email, name, settings = claims.email, claims.name, {}
  local primary, err = session.call(account, { path = "/calendars/primary" })
  if primary then
    email = email or primary.id
    settings.timeZone = primary.timeZone
  elseif err.code ~= "forbidden" and err.code ~= "not_found" then
    return nil, err
  end
  if type(email) ~= "string" or not email:find("@", 1, true) then
    return nil, err or errors.new("provider_error", "Google does not say whose account this is.", { provider = "google", reason = "no_address" })
  end
  -- The colours of events are the same for everybody; an account that has others keeps them.
  local colors = primary and session.call(account, { path = "/colors" })
  settings.colors = colors and palette.of(colors) or nil
  settings.addresses = { email }
  local subject = type(claims.sub) == "string" and claims.sub or nil
  return { identity = email:lower(), subject = subject, name = type(name) == "string" and name or email, settings = settings }
end

return M
