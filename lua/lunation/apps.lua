-- The configuration's apps stand in the store like those of `lunation app add`.

local clients = require "lunation.oauth.clients"
local json = require "lunation.json"

local apps = {}

local function same(a, b)
  return json.encode(a, { sorted = true }) == json.encode(b, { sorted = true })
end

local function is_unchanged(stored, app)
  return stored.name == app.name and stored.webhook_url == app.webhook_url
    and same(stored.redirect_uris, json.array(app.redirect_uris))
    and same(stored.trusted_origins, json.array(app.trusted_origins or {}))
    and same(stored.branding, json.object(app.branding or {}))
end

--- Adds or changes what differs; an unchanged app is not written. Apps that the file no longer names stay: their users'
--- accounts hang on them, and `lunation app remove` says so aloud.
---@param store table
---@param wanted table[] the configuration's `apps`
---@return true|nil, lunation.Error?
function apps.adopt(store, wanted)
  for _, app in ipairs(wanted) do
    local stored, err = store:app(app.id)
    if err then return nil, err end
    local known = stored and (not app.secret or clients.verify(stored.secret, app.secret))
    if not (known and is_unchanged(stored, app)) then
      local added, failure = store:app_add {
        id = app.id, name = app.name, secret = not known and app.secret and clients.hash(app.secret) or nil,
        redirect_uris = app.redirect_uris, webhook_url = app.webhook_url, trusted_origins = app.trusted_origins, branding = app.branding,
      }
      if not added then return nil, failure end
    end
  end
  return true
end

return apps
