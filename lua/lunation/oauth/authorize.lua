--- The request that sends a browser here (RFC 6749 section 4.1.1), and the ways back to the application.

local errors = require "lunation.errors"
local form = require "lunation.oauth.form"
local scopes = require "lunation.oauth.scope"

local authorize = {}

-- What is passed on to the pages as it came.
local KEPT = { "client_id", "user_id", "response_type", "scope", "state", "lng", "providers", "theme" }

local THEMES = { auto = true, light = true, dark = true }

---Names of providers, comma-separated or one parameter each.
local function provider_names(all)
  local names = {}
  for _, text in ipairs(all.providers or {}) do
    for name in text:gmatch("[^,%s]+") do names[#names + 1] = name end
  end
  return #names > 0 and names or nil
end

---@class lunation.authorization what the pages know of the request
---@field user string the application's name of the user
---@field redirect_uri string
---@field state string|nil
---@field scope "free-busy"|"read"|"read-write"
---@field extras string[] "contacts", "resources"
---@field challenge string|nil
---@field providers string[]|nil
---@field language string|nil
---@field theme "auto"|"light"|"dark"|nil

---Where the browser may be sent back to: exactly what the application registered.
---@param app table
---@param sent string|nil
---@return string|nil
function authorize.redirect_uri(app, sent)
  if sent == nil or sent == "" then
    return #app.redirect_uris == 1 and app.redirect_uris[1] or nil
  end
  for _, registered in ipairs(app.redirect_uris) do
    if registered == sent then return sent end
  end
end

---The address that ends the round.
---@param data lunation.authorization
---@param params { [1]: string, [2]: any }[]
---@return string
function authorize.back(data, params)
  params[#params + 1] = { "state", data.state }
  local uri = data.redirect_uri
  return uri .. (uri:find("?", 1, true) and "&" or "?") .. form.encode(params)
end

---Read the parameters. Two kinds of error: those shown to the person, because nobody trusted can be told, and those that
---go back to the application (`redirect`).
---@param engine table
---@param query string
---@return table|nil request { app=, data=, kept= query string }
---@return lunation.Error|nil err with `page`, a key of the failure texts, or `redirect`
function authorize.read(engine, query)
  local params, all = form.decode(query)
  for name, value in pairs(params) do
    if not utf8.len(name) or not utf8.len(value) then
      return nil, errors.new("invalid_request", "The query is not valid UTF-8", { page = "failure_parameter" })
    end
  end
  local app = params.client_id and params.client_id ~= "" and #params.client_id <= 255 and engine.store:app(params.client_id)
  if not app then return nil, errors.new("invalid_client", "Unknown client_id", { page = "failure_client" }) end
  local redirect_uri = authorize.redirect_uri(app, params.redirect_uri)
  if not redirect_uri then return nil, errors.new("invalid_request", "redirect_uri is not registered", { page = "failure_redirect", app = app }) end
  local user = params.user_id
  if not user or user == "" or #user > 255 or user:find("%c") then
    return nil, errors.new("invalid_request", "user_id is required", { page = "failure_user", app = app })
  end
  local data = {
    user = user, redirect_uri = redirect_uri, state = params.state, scope = scopes.parse(params.scope),
    extras = scopes.extras(params.scope), challenge = params.code_challenge,
    providers = provider_names(all), language = params.lng, theme = THEMES[params.theme] and params.theme or nil,
  }
  local function refuse(code, description)
    return nil, errors.new("invalid_request", description, {
      redirect = authorize.back(data, { { "error", code }, { "error_description", description } }),
    })
  end
  if params.response_type and params.response_type ~= "" and params.response_type ~= "code" then
    return refuse("unsupported_response_type", "response_type is code")
  end
  if data.challenge or params.code_challenge_method then
    -- Without a method the RFC says plain, which protects nothing.
    if params.code_challenge_method ~= "S256" then return refuse("invalid_request", "code_challenge_method is S256") end
    if not data.challenge or not data.challenge:find("^[%w_-]+$") or #data.challenge ~= 43 then
      return refuse("invalid_request", "code_challenge is the Base64url of a SHA-256")
    end
  end
  local kept = { { "redirect_uri", redirect_uri } }
  for _, name in ipairs(KEPT) do
    if name == "providers" then
      kept[#kept + 1] = { name, data.providers and table.concat(data.providers, ",") }
    else
      kept[#kept + 1] = { name, params[name] }
    end
  end
  return { app = app, data = data, kept = form.encode(kept) }
end

return authorize
