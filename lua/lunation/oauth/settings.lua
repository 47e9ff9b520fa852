--- What the configuration says of a provider with OAuth, looked over: a word that is misspelt would else be passed over in
--- silence, and show only when somebody wants to sign in.

local settings = {}

local METHODS = { post = true, basic = true }
local REDIRECTS = { connect = true, connections = true, command = true }
local ENDPOINTS = { "authorize", "token", "revoke" }
local COMMON = { "client_id", "client_secret", "auth_method", "extras", "redirect_uris", "urls", "ca_file" }

local function is_text(value) return type(value) == "string" and value ~= "" end

local function is_url(value) return type(value) == "string" and value:find "^https?://[^/%s]+[^%s]*$" ~= nil end

local function sorted(names)
  local list = {}
  for name in pairs(names) do list[#list + 1] = tostring(name) end
  table.sort(list)
  return list
end

local function set(list, into)
  into = into or {}
  for _, name in ipairs(list) do into[name] = true end
  return into
end

-- A table of addresses by name.
local function addresses(given, field, known, say)
  if type(given) ~= "table" then return say(field .. " is a table of addresses") end
  for _, name in ipairs(sorted(given)) do
    if not known[name] then
      say(("%s.%s: there is no such address; there are %s"):format(field, name, table.concat(sorted(known), ", ")))
    elseif not is_url(given[name]) then
      say(("%s.%s is no http or https address"):format(field, name))
    end
  end
end

local function extras(given, provider, say)
  if type(given) ~= "table" then return say "extras is a list of strings" end
  for _, name in ipairs(given) do
    if not (provider.auth.scopes or {})[name] then say(("extras: %s has no `%s`"):format(provider.title, tostring(name))) end
  end
end

--- What is wrong.
---@param provider lunation.Provider of kind oauth2
---@param given table as the configuration has it
---@return string[]
function settings.faults(provider, given)
  local faults = {}
  local function say(text) faults[#faults + 1] = ("provider `%s`: %s"):format(provider.name, text) end
  local defaults = provider.auth.defaults or {}
  if provider.options then
    local known = set(provider.options, set(sorted(defaults), set(COMMON)))
    for _, name in ipairs(sorted(given)) do
      if not known[name] then say(("there is no setting `%s`; there are %s"):format(name, table.concat(sorted(known), ", "))) end
    end
  end
  -- Without it accounts come with tokens of their own.
  if given.client_id == nil and given.client_secret ~= nil then say "client_id is missing" end
  for _, name in ipairs { "client_id", "client_secret", "ca_file", table.unpack(sorted(defaults)) } do
    if given[name] ~= nil and not is_text(given[name]) then say(name .. " is no string, or empty") end
  end
  if given.auth_method ~= nil and not METHODS[given.auth_method] then say "auth_method is \"post\" or \"basic\"" end
  if given.extras ~= nil then extras(given.extras, provider, say) end
  if given.redirect_uris ~= nil then addresses(given.redirect_uris, "redirect_uris", REDIRECTS, say) end
  if given.urls ~= nil then addresses(given.urls, "urls", set(ENDPOINTS, set(sorted(provider.urls or {}))), say) end
  return faults
end

return settings
