--- A browser on its way through the authorization pages: its cookie, the request it came with, and the proof that a form
--- came from our page.

local crypto = require "lunation.crypto"

local session = {}

local PLAIN, SECURE = "oauth_browser", "__Host-oauth_browser"
local COOKIE_AGE = 90 * 86400
-- The request that the browser began last, for pages that are opened without naming one.
local REQUEST = "oauth_req"
local REQUEST_AGE = 7200

local function hash(text)
  return crypto.hex(crypto.sha256(text))
end

---Is the browser's way to us encrypted?
local function secure(engine, req)
  return req.scheme == "https" or (engine.config.public_url or ""):find("^https:") ~= nil
end

---The secret of this browser, and the header that gives it one where it has none.
---@param engine table
---@param req table
---@return string secret
---@return string cookie
function session.browser(engine, req)
  local name = secure(engine, req) and SECURE or PLAIN
  local secret = session.secret(engine, req) or crypto.base64url(crypto.random(32))
  local cookie = ("%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%s"):format(name, secret, COOKIE_AGE, name == SECURE and "; Secure" or "")
  return secret, cookie
end

---The value of a cookie that has the length of ours.
local function cookie_of(req, name, length)
  for pair in (req.headers["cookie"] or ""):gmatch("[^;]+") do
    local key, value = pair:match("^%s*([^=%s]+)=([%w_-]+)%s*$")
    if key == name and #value == length then return value end
  end
end

---@param engine table
---@param req table
---@return string|nil
function session.secret(engine, req)
  return cookie_of(req, secure(engine, req) and SECURE or PLAIN, 43)
end

---@param engine table
---@param req table
---@param id string of the request
---@return string cookie
function session.request_cookie(engine, req, id)
  return ("%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%s"):format(REQUEST, id, REQUEST_AGE, secure(engine, req) and "; Secure" or "")
end

---@param secret string
---@return string
session.hash = hash

---Keep what a browser came for.
---@param engine table
---@param secret string of the browser
---@param app string
---@param data table
---@return string|nil id
---@return lunation.Error|nil
function session.begin(engine, secret, app, data)
  local id = crypto.base64url(crypto.random(18))
  local ok, err = engine.store:authorization_add {
    id = id, browser = hash(secret), app = app, data = data, expires = engine.store.clock() + REQUEST_AGE,
  }
  if not ok then return nil, err end
  return id
end

---@param engine table
---@param req table
---@param id string|nil
---@return table|nil request
---@return "expired"|"browser"|nil reason
function session.load(engine, req, id)
  id = id or cookie_of(req, REQUEST, 24)
  local request = type(id) == "string" and #id <= 64 and engine.store:authorization(id)
  if not request or request.expires <= engine.store.clock() or request.finished then return nil, "expired" end
  local secret = session.secret(engine, req)
  if not secret or not crypto.equal(hash(secret), request.browser) then return nil, "browser" end
  request.secret = secret
  return request
end

---What a form of this request carries, so that no other page can send it.
---@param engine table
---@param request table
---@return string
function session.csrf(engine, request)
  local key = crypto.hmac("sha256", engine.config.key, "authorization form")
  return crypto.base64url(crypto.hmac("sha256", key, request.id .. "\0" .. request.secret))
end

---@param engine table
---@param req table
---@param request table
---@param sent any
---@return boolean
function session.genuine(engine, req, request, sent)
  local site = req.headers["sec-fetch-site"]
  if site and site ~= "same-origin" and site ~= "none" then return false end
  return type(sent) == "string" and crypto.equal(sent, session.csrf(engine, request))
end

return session
