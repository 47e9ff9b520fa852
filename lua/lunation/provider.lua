-- The providers of this run: every file NAME.lua of `provider_path` and of the shipped providers/, where an earlier folder
-- shadows a later one. A file returns a table, which `validate` describes; `extend("name", {…})` in a file stands for the next
-- file of that name, changed field by field (lunation.extension).
local errors = require "lunation.errors"
local extension = require "lunation.extension"
local fs = require "lunation.fs"
local host = require "lunation.host"

local M = {}

---@class lunation.Classified what a refusal of the service means
---@field code string
---@field message string?
---@field reason string?          the service's own word for it
---@field retry boolean?          may be tried again; nil: as its status says
---@field retry_after number?     seconds

---@class lunation.Rsvp
---@field status "accepted"|"declined"|"tentative"
---@field comment string?
---@field recurrenceId string?    of the instance that is answered, local time
---@field notify "all"|"none"|"external"|nil

---@class lunation.WatchOptions
---@field url string              where notices are sent
---@field lifecycle_url string?
---@field id string
---@field token string            a secret that comes back with each notice
---@field lifetime number         seconds

---@class lunation.Identified who an account is
---@field identity string what people know it by
---@field subject string? what stays of a person whose address may change or come to another
---@field name string?
---@field settings table?

---@class lunation.Provider
---@field name string
---@field title string                    for people
---@field aliases string[]                other names that are accepted on input
---@field auth {kind:"oauth2"|"basic"|"none", [string]:any}
---@field can table<string, boolean>      what it can do; `write=false` for one that is only read
---@field event lunation.Mapping
---@field calendar lunation.Mapping
---@field contact lunation.Mapping?
---@field identify fun(account:table):lunation.Identified?, lunation.Error?
---@field calendars fun(account:table):table[]?, lunation.Error?
---@field changes fun(account:table, calendar:table, state:table?):(fun():table?, lunation.Error?)
---@field urls table<string, string>?     where the service is; the configuration's `urls` come first, and a token goes nowhere else
---@field options string[]? what else the configuration may say of it; `lunation check` then knows which names are misspelt
---@field limits {concurrency:integer?, buckets:{requests:integer, seconds:number}[]?}? what the service allows an account
---@field watches "calendar"|"account"|nil what one subscription is of
---@field classify (fun(answer:lunation.http.Answer):lunation.Classified?)?
---@field rsvp (fun(account:table, calendar:table, id:string, answer:lunation.Rsvp):table?, lunation.Error?)?
---@field freebusy (fun(account:table, request:{calendars:string[], from:integer, to:integer}):table<string, table>?, lunation.Error?)?
---@field contacts (fun(account:table, options:{state:table?, query:string?}):(fun():table?, lunation.Error?))?
---@field resources (fun(account:table, options:{query:string?}):table[]?, lunation.Error?)?
---@field coworkers (fun(account:table, options:{query:string?}):table[]?, lunation.Error?)?
---@field watch (fun(account:table, calendar:table?, options:lunation.WatchOptions):table?, lunation.Error?)?
---@field unwatch (fun(account:table, subscription:table):true?, lunation.Error?)?
---@field renew (fun(account:table, subscription:table, options:table):table?, lunation.Error?)?
---@field receive (fun(request:lunation.Request):{response:table?, notices:table[]?})?
---@field fetch (fun(account:table, calendar:table, id:string):table?, lunation.Error?)?
---@field create (fun(account:table, calendar:table, native:any, opts:table?):table?, lunation.Error?)?
---@field update (fun(account:table, calendar:table, native:any, opts:table?):table?, lunation.Error?)?
---@field delete (fun(account:table, calendar:table, id:string, opts:table?):true?, lunation.Error?)?
---@field original fun(native:any):table
---@field new_id fun(uid:string):string
---@field file string

local is_mapping = extension.is_mapping

local function is_list_of_strings(value)
  if type(value) ~= "table" then return false end
  for _, each in ipairs(value) do
    if type(each) ~= "string" then return false end
  end
  return true
end

-- What a provider must have: field, how it is called in a message, and the test. A "?" allows it to be missing.
local rules = {
  { "name", "a string", function(v) return type(v) == "string" and v:find("^[%w_-]+$") ~= nil end },
  { "title", "a string", function(v) return type(v) == "string" end },
  { "aliases", "a list of strings", is_list_of_strings },
  { "auth", "a table with kind", function(v) return type(v) == "table" and v.kind ~= nil end },
  { "can", "a table", function(v) return type(v) == "table" end },
  { "event", "a mapping", is_mapping },
  { "calendar", "a mapping", is_mapping },
  { "contact", "a mapping", is_mapping, optional = true },
  { "options", "a list of strings", is_list_of_strings, optional = true },
}

local kinds = { oauth2 = true, basic = true, none = true }
local functions = { "identify", "calendars", "changes", "original", "new_id" }
local writing = { "create", "update", "delete" }
local optional = {
  "fetch", "watch", "unwatch", "renew", "receive", "classify", "rsvp", "freebusy", "resources", "coworkers", "contacts", "contact_create",
  "contact_update", "contact_delete", "calendar_create", "calendar_update", "calendar_delete",
}

-- What a provider says it can, and the functions that must then be there.
local promised = {
  contacts = { "contacts" }, resources = { "resources" }, coworkers = { "coworkers" },
  freebusy_of_others = { "freebusy" }, rsvp = { "rsvp" }, calendars = { "calendar_create" },
}

local wrong = extension.wrong

-- An endpoint of OAuth: an address, or a function of what the configuration says.
local function is_endpoint(value)
  return type(value) == "function" or type(value) == "string" and value:find("^https?://[^/]") ~= nil
end

local function validate_oauth(auth, file)
  for _, name in ipairs { "authorize", "token" } do
    if not is_endpoint(auth[name]) then return nil, wrong(file, "auth." .. name, "must be an http or https URL") end
  end
  if auth.revoke ~= nil and not is_endpoint(auth.revoke) then return nil, wrong(file, "auth.revoke", "must be an http or https URL") end
  if type(auth.scopes) ~= "table" or not auth.scopes["read-write"] and not auth.scopes.read then
    return nil, wrong(file, "auth.scopes", "must name the scopes of at least read or read-write")
  end
  for name, list in pairs(auth.scopes) do
    if not is_list_of_strings(list) then return nil, wrong(file, "auth.scopes." .. tostring(name), "must be a list of strings") end
  end
  for _, name in ipairs { "parameters", "defaults" } do
    if auth[name] ~= nil and type(auth[name]) ~= "table" then return nil, wrong(file, "auth." .. name, "must be a table") end
  end
  if auth.granted ~= nil and type(auth.granted) ~= "function" then return nil, wrong(file, "auth.granted", "must be a function") end
  return true
end

local function validate_limits(limits, file)
  if type(limits) ~= "table" then return nil, wrong(file, "limits", "must be a table") end
  if limits.concurrency ~= nil and (math.type(limits.concurrency) ~= "integer" or limits.concurrency < 1) then
    return nil, wrong(file, "limits.concurrency", "must be a whole number above zero")
  end
  for index, bucket in ipairs(limits.buckets or {}) do
    if type(bucket) ~= "table" or not (tonumber(bucket.requests) and tonumber(bucket.seconds)) then
      return nil, wrong(file, ("limits.buckets[%d]"):format(index), "must be { requests=, seconds= }")
    end
  end
  return true
end

local function validate(provider, name, file)
  if type(provider) ~= "table" then return nil, wrong(file, "return", "a provider is a table") end
  for _, rule in ipairs(rules) do
    local value = provider[rule[1]]
    if not (value == nil and rule.optional) and not rule[3](value) then return nil, wrong(file, rule[1], "must be " .. rule[2]) end
  end
  if provider.name ~= name then return nil, wrong(file, "name", ("is %q, but the file is called %s.lua"):format(provider.name, name)) end
  if not kinds[provider.auth.kind] then return nil, wrong(file, "auth.kind", 'must be "oauth2", "basic" or "none"') end
  for key, value in pairs(provider.can) do
    if type(value) ~= "boolean" then return nil, wrong(file, "can." .. tostring(key), "must be true or false") end
  end
  for _, field in ipairs(functions) do
    if type(provider[field]) ~= "function" then return nil, wrong(file, field, "must be a function") end
  end
  for _, field in ipairs(writing) do
    local value = provider[field]
    if value ~= nil and type(value) ~= "function" then return nil, wrong(file, field, "must be a function") end
    if value == nil and provider.can.write ~= false then
      return nil, wrong(file, field, "is missing; a provider that is only read says can = { write = false }")
    end
  end
  for _, field in ipairs(optional) do
    if provider[field] ~= nil and type(provider[field]) ~= "function" then return nil, wrong(file, field, "must be a function") end
  end
  for flag, needed in pairs(promised) do
    for _, field in ipairs(provider.can[flag] and needed or {}) do
      if provider[field] == nil then return nil, wrong(file, field, ("is missing; can.%s says that it is there"):format(flag)) end
    end
  end
  if provider.watches ~= nil and provider.watches ~= "calendar" and provider.watches ~= "account" then
    return nil, wrong(file, "watches", 'must be "calendar" or "account"')
  end
  if provider.urls ~= nil and type(provider.urls) ~= "table" then return nil, wrong(file, "urls", "must be a table") end
  -- A token goes to these and nowhere else, whatever a link in an answer says.
  if provider.auth.kind == "oauth2" and not next(provider.urls or {}) then
    return nil, wrong(file, "urls", "must name the addresses of the service")
  end
  if provider.limits ~= nil then
    local fine, problem = validate_limits(provider.limits, file)
    if not fine then return nil, problem end
  end
  if provider.auth.kind == "oauth2" then
    local fine, problem = validate_oauth(provider.auth, file)
    if not fine then return nil, problem end
  end
  return provider
end

-- What a file may leave out.
local function complete(provider)
  provider.aliases = provider.aliases or {}
  provider.can = provider.can or {}
  provider.title = provider.title or provider.name
  provider.original = provider.original or function(native) return native end
  provider.new_id = provider.new_id or function(uid) return uid end
  provider.identify = provider.identify or function(account)
    return { identity = account.username or provider.name, name = account.name or provider.title, url = account.url, settings = {} }
  end
  return provider
end

---Loads one provider by the name of its file.
---@param folders string[]
---@param name string
---@return lunation.Provider?, lunation.Error? err  names file and field
local function load_one(folders, name)
  local raw, path, texts = extension.load(folders, name)
  if not raw and not path then return nil, errors.new("invalid_request", ("there is no provider called %q"):format(name), { field = "provider" }) end
  if not raw then return nil, path end
  local provider = complete(raw)
  local ok, invalid = validate(provider, name, path)
  if not ok then return nil, invalid end
  provider.file = path
  return provider, nil, texts
end

---@class lunation.Providers
---@field list table<string, lunation.Provider>
local Registry = {}
Registry.__index = Registry

---A provider by its name or one of its other names.
---@param name string
---@return lunation.Provider?, lunation.Error? err  "invalid_request", field "provider"
function Registry:get(name)
  local provider = self.list[name] or self.list[self.aliases[name]]
  if provider then return provider end
  return nil, errors.new("invalid_request", ("Unknown provider: %s"):format(tostring(name)), { field = "provider" })
end

---@return string[] names, sorted
function Registry:names()
  return table.move(self.order, 1, #self.order, 1, {})
end

---What changes when a provider's file, or one that it extends, changes.
---@param name string
---@return string? hexadecimal
function Registry:digest(name)
  local provider = self:get(name)
  return provider and self.digests[provider.name]
end

---What the configuration says for a provider: `provider("google", { … })`.
---@param name string
---@return table
function Registry:settings(name)
  local provider = self:get(name)
  if not provider then return {} end
  for _, each in ipairs { provider.name, table.unpack(provider.aliases) } do
    if self.configured[each] then return self.configured[each] end
  end
  return {}
end

local function digest_of(texts, provider)
  local crypto = require "lunation.crypto"
  local parts = table.move(texts, 1, #texts, 1, {})
  parts[#parts + 1] = provider.event.digest and provider.event:digest() or ""
  parts[#parts + 1] = provider.calendar.digest and provider.calendar:digest() or ""
  return crypto.hex(crypto.sha256(table.concat(parts, "\0")))
end

---Loads every provider of the given folders and the shipped one. The first mistake ends it.
---@param options {path:string[]?, providers:table<string, table>?}?
---@return lunation.Providers?, lunation.Error? err
function M.load(options)
  options = options or {}
  local folders = table.move(options.path or {}, 1, #(options.path or {}), 1, {})
  folders[#folders + 1] = host.root .. "/providers"
  local registry = setmetatable({ list = {}, aliases = {}, digests = {}, order = {}, configured = options.providers or {} }, Registry)
  for _, folder in ipairs(folders) do
    for _, file in ipairs(fs.list(folder) or {}) do
      local name = file:match("^([%w_-]+)%.lua$")
      if name and not registry.list[name] then
        local provider, err, texts = load_one(folders, name)
        if not provider then return nil, err end
        registry.list[name] = provider
        registry.digests[name] = digest_of(texts, provider)
        registry.order[#registry.order + 1] = name
      end
    end
  end
  table.sort(registry.order)
  for _, name in ipairs(registry.order) do
    local provider = registry.list[name]
    for _, alias in ipairs(provider.aliases) do
      local other = registry.aliases[alias]
      if registry.list[alias] and alias ~= name or other then
        return nil, wrong(provider.file, "aliases", ("%q is also a name of %s"):format(alias, other or alias))
      end
      registry.aliases[alias] = name
    end
  end
  return registry
end

---The providers of an engine.
---@param engine {config:table}
---@return lunation.Providers?, lunation.Error? err
function M.new(engine)
  local config = engine.config or {}
  return M.load { path = config.provider_path, providers = config.providers }
end

return M
