--- `nextPageToken`: Base64 of a JSON object keyed by provider, with a code that only this installation can make.
--
-- It carries whose page it is and all that the first request asked for, so that a token alone continues a listing.

local crypto = require "lunation.crypto"
local json = require "lunation.json"

local page_token = {}

local PURPOSE = "connect nextPageToken"

local function mac(key, payload)
  return crypto.base64url(crypto.hmac("sha256", crypto.hmac("sha256", key, PURPOSE), payload))
end

---@class lunation.connect.page
---@field app string
---@field user integer
---@field scope string
---@field from integer
---@field to integer
---@field mode "instances"|"masters"
---@field size integer
---@field after any position of lunation.query
---@field providers table<string, integer[]> keys of calendars by provider

---@param key string of the installation
---@param page lunation.connect.page
---@return string
function page_token.encode(key, page)
  local object = {}
  for provider, keys in pairs(page.providers) do object[provider] = { calendars = json.array(keys), isDepleted = false } end
  object.page = {
    app = page.app, user = page.user, scope = page.scope, from = page.from, to = page.to, mode = page.mode,
    size = page.size, after = page.after,
  }
  local payload = json.encode(object, { sorted = true })
  return crypto.base64(('{"mac":"%s",%s'):format(mac(key, payload), payload:sub(2)))
end

---@param key string
---@param token string
---@return lunation.connect.page|nil nil when it is not one of ours, or was altered
function page_token.decode(key, token)
  if #token > 65536 then return nil end
  -- A plus sign that was not percent-encoded has come as a space.
  local text = crypto.unbase64((token:gsub(" ", "+")))
  local code, rest = (text or ""):match('^{"mac":"([%w_-]+)",(.*)$')
  if not code or not crypto.equal(code, mac(key, "{" .. rest)) then return nil end
  if crypto.base64(text) ~= token:gsub(" ", "+") then return nil end
  local object = json.decode("{" .. rest)
  local page = object and object.page
  if type(page) ~= "table" then return nil end
  page.providers = {}
  for provider, state in pairs(object) do
    if provider ~= "page" then page.providers[provider] = state.calendars end
  end
  return page
end

return page_token
