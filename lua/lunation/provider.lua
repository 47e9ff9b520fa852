-- The providers of this run: every file NAME.lua of `provider_path` and of the shipped providers/, where an earlier folder
-- shadows a later one. A file returns a table (DESIGN: "Providers and mappings"); `extend("name", {…})` in a file stands for
-- the next file of that name, changed field by field.
local errors = require "lunation.errors"
local fs = require "lunation.fs"
local host = require "lunation.host"
local mapping = require "lunation.mapping"

local M = {}

---@class lunation.Provider
---@field name string
---@field title string                    for people
---@field aliases string[]                other names that are accepted on input
---@field auth {kind:"oauth2"|"basic"|"none", [string]:any}
---@field can table<string, boolean>      what it can do; `write=false` for one that is only read
---@field event lunation.Mapping
---@field calendar lunation.Mapping
---@field contact lunation.Mapping?
---@field identify fun(account:table):table?, lunation.Error?
---@field calendars fun(account:table):table[]?, lunation.Error?
---@field changes fun(account:table, calendar:table, state:table?):(fun():table?, lunation.Error?)
---@field fetch (fun(account:table, calendar:table, id:string):table?, lunation.Error?)?
---@field create (fun(account:table, calendar:table, native:any, opts:table?):table?, lunation.Error?)?
---@field update (fun(account:table, calendar:table, native:any, opts:table?):table?, lunation.Error?)?
---@field delete (fun(account:table, calendar:table, id:string, opts:table?):true?, lunation.Error?)?
---@field original fun(native:any):table
---@field new_id fun(uid:string):string
---@field file string

local function is_mapping(value)
  return type(value) == "table" and type(value.to) == "function" and type(value.from) == "function"
end

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
}

local kinds = { oauth2 = true, basic = true, none = true }
local functions = { "identify", "calendars", "changes", "original", "new_id" }
local writing = { "create", "update", "delete" }
local optional = { "fetch", "watch", "unwatch", "receive", "freebusy", "contacts", "resources", "rsvp" }

local function wrong(file, field, why)
  return errors.new("invalid_request", ("%s: %s: %s"):format(file, field, why), { file = file, field = field })
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

---A table with another's fields laid over it. Mappings are extended, plain tables merged, everything else replaced.
local function overlay(base, over)
  local result = {}
  for key, value in pairs(base) do result[key] = value end
  for key, value in pairs(over) do
    local below = base[key]
    if is_mapping(below) and type(value) == "table" and not is_mapping(value) then
      result[key] = below:extend(value)
    elseif type(below) == "table" and type(value) == "table" and not is_mapping(value) and #value == 0 and #below == 0 then
      result[key] = overlay(below, value)
    else
      result[key] = value
    end
  end
  return result
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

-- The folder from `first` on that has NAME.lua.
local function find(folders, name, first)
  for index = first, #folders do
    local path = folders[index] .. "/" .. name .. ".lua"
    local text = read(path)
    if text then return path, text, index end
  end
end

local words = { "enum", "const", "list", "codec", "any", "path", "nested", "entry", "readonly", "writeonly", "required", "default" }

---@class lunation.provider.Source
---@field folders string[]
---@field texts string[]   sources that were read, for the digest

local evaluate

-- What stands in a provider's file besides Lua itself: the mapping's words, and `extend`.
local function environment(source, name, index)
  local env = { mapping = mapping }
  for _, word in ipairs(words) do env[word] = mapping[word] end
  env.extend = function(base_name, over)
    if type(base_name) ~= "string" or type(over) ~= "table" then error('extend takes a name and a table: extend("caldav", { … })', 2) end
    local start = base_name == name and index + 1 or 1
    local path, text, found = find(source.folders, base_name, start)
    if not path then error(("there is no other provider file %s.lua to extend"):format(base_name), 2) end
    local base, err = evaluate(source, base_name, path, text, found)
    if not base then error(err, 0) end
    return overlay(base, over)
  end
  return setmetatable(env, { __index = _G })
end

function evaluate(source, name, path, text, index)
  source.depth = (source.depth or 0) + 1
  if source.depth > 16 then return nil, wrong(path, "extend", "goes round in circles") end
  source.texts[#source.texts + 1] = text
  local chunk, syntax = load(text, "@" .. path, "t", environment(source, name, index))
  if not chunk then
    local line, why = syntax:match(":(%d+): (.*)$")
    return nil, errors.new("invalid_request", ("%s:%s: %s"):format(path, line or "?", why or syntax), { file = path, line = math.tointeger(tonumber(line)) })
  end
  local ok, provider = xpcall(chunk, function(raised)
    if type(raised) == "table" and raised.code then return raised end
    local message = tostring(raised)
    -- What a word of the mapping refuses is told where it was written.
    if not message:find(path, 1, true) then message = path .. ": " .. message end
    return errors.new("invalid_request", message, { file = path })
  end)
  source.depth = source.depth - 1
  if not ok then return nil, provider end
  if type(provider) ~= "table" then return nil, wrong(path, "return", "a provider's file returns a table") end
  return provider
end

---Loads one provider by the name of its file.
---@param folders string[]
---@param name string
---@return lunation.Provider?, lunation.Error? err  names file and field
local function load_one(folders, name)
  local path, text, index = find(folders, name, 1)
  if not path then return nil, errors.new("invalid_request", ("there is no provider called %q"):format(name), { field = "provider" }) end
  local source = { folders = folders, texts = {} }
  local raw, err = evaluate(source, name, path, text, index)
  if not raw then return nil, err end
  local provider = complete(raw)
  local ok, invalid = validate(provider, name, path)
  if not ok then return nil, invalid end
  provider.file = path
  return provider, nil, source.texts
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
  return provider and self.configured[provider.name] or {}
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
