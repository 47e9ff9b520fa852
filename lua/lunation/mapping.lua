-- Two-way mappings between a canonical object and a provider's (or a dialect's) own. A mapping is a table from canonical field
-- to an entry that says where the field lives in the native object and how it is written there:
--
--   mapping {
--     title       = "summary",                                              a path, "a.b" goes down
--     privacy     = enum("visibility", { public = "public", private = "confidential" }),
--     ["@type"]   = const("Event"),
--     attendees   = list("guests", mapping { email = "mail" }),
--     updated     = readonly(codec("changed", "epoch")),
--     description = any("body.text", "notes"),
--   }
--
-- to() makes the canonical object; from() a native one, or with `patch_of` a copy of that in which only what differs is
-- changed, so that everything the mapping does not understand stays. Mappings are pure.
local digest = require "lunation.digest"
local null = require "lunation.null"

local M = {}

---@class lunation.mapping.Entry
---@field kind string
---@field read fun(entry, native, context): any, string? value, or nil and why it cannot be read
---@field write fun(entry, native, value, context): boolean?, string? value is nil where the field is to be removed
---@field depends string[]? canonical fields whose change makes this one be written again
---@field needs string|string[]|nil names of which the native object must have one, or there is nothing to read; looked up in
---`context.present`, where the caller has one
---@field readonly boolean?
---@field writeonly boolean?
---@field required boolean?
---@field default any

---@class lunation.Mapping
---@field fields table<string, lunation.mapping.Entry>
local Mapping = {}
Mapping.__index = Mapping

local entry_mark = {}

local function make(entry)
  return setmetatable(entry, entry_mark)
end

local function is_entry(value)
  return getmetatable(value) == entry_mark
end

-- --- values ---

---@generic T
---@param value T
---@return T copy all the way down, metatables kept
local function copy(value)
  if type(value) ~= "table" or value == null then return value end
  local result = {}
  for k, v in pairs(value) do result[k] = copy(v) end
  return setmetatable(result, getmetatable(value))
end
M.copy = copy

---Whether two values mean the same: `@type` says nothing, null is absence.
---@param a any
---@param b any
---@return boolean
local function equal(a, b)
  if a == null then a = nil end
  if b == null then b = nil end
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for k, v in pairs(a) do
    if k ~= "@type" and not equal(v, b[k]) then return false end
  end
  for k, v in pairs(b) do
    if k ~= "@type" and a[k] == nil and v ~= null then return false end
  end
  return true
end
M.equal = equal

local paths = {}
digest.leave_out(paths)

local function split(path)
  local parts = paths[path]
  if not parts then
    parts = {}
    for part in path:gmatch("[^.]+") do parts[#parts + 1] = part:match("^%d+$") and math.tointeger(tonumber(part)) or part end
    paths[path] = parts
  end
  return parts
end

local function get(native, path)
  local at = native
  for _, part in ipairs(split(path)) do
    if type(at) ~= "table" or at == null then return nil end
    at = at[part]
  end
  if at == null then return nil end
  return at
end

local function set(native, path, value)
  local parts = split(path)
  local at = native
  for i = 1, #parts - 1 do
    local below = at[parts[i]]
    if type(below) ~= "table" or below == null then
      if value == nil then return true end
      below = {}
      at[parts[i]] = below
    end
    at = below
  end
  at[parts[#parts]] = value
  return true
end

-- --- kinds of entry ---

local function read_path(entry, native) return get(native, entry.path) end
local function write_path(entry, native, value) return set(native, entry.path, value) end

---@param path string "a.b"
---@return lunation.mapping.Entry
function M.path(path)
  return make { kind = "path", path = path, read = read_path, write = write_path }
end

local function as_entry(what)
  if type(what) == "string" then return M.path(what) end
  if is_entry(what) then return what end
  if getmetatable(what) == Mapping then return M.nested(what) end
  if type(what) == "table" then return M.nested(M.new(what)) end
  error(("a mapping entry is a path or made by enum, const, list, codec, any; this is a %s"):format(type(what)), 3)
end

---A field whose words differ: canonical word = native word. A native word that is not listed reads as nothing and stays.
---@param path string
---@param words table<string, any>
---@return lunation.mapping.Entry
function M.enum(path, words)
  local back = {}
  local order = {}
  for canonical in pairs(words) do order[#order + 1] = canonical end
  table.sort(order, function(a, b) return tostring(a) < tostring(b) end)
  for _, canonical in ipairs(order) do
    local native = words[canonical]
    if back[native] == nil then back[native] = canonical end
  end
  local inner = as_entry(path)
  return make {
    kind = "enum", inner = inner, words = words,
    read = function(_, native, context)
      local value = inner:read(native, context)
      if value == nil then return nil end
      return back[value]
    end,
    write = function(_, native, value, context)
      if value == nil then return inner:write(native, nil, context) end
      local word = words[value]
      if word == nil then return nil, ("%s is none of the words it can be"):format(tostring(value)) end
      return inner:write(native, word, context)
    end,
  }
end

---A canonical field that always has this value and is nowhere in the native object.
---@param value any
---@return lunation.mapping.Entry
function M.const(value)
  return make {
    kind = "const", value = value, readonly = true,
    read = function() return copy(value) end,
    write = function() return true end,
  }
end

---@type table<string, {to: fun(native: any, context: table): any, string?, from: fun(value: any, context: table): any, string?}>
M.codecs = {}

---A field that a function converts. `how` is the name of a codec in M.codecs, or {to=, from=}; each returns the value, or nil
---and why there is none. Without a path the functions are given the whole object: to(native, context), from(native, value, context).
---@param path string?
---@param how string|table
---@return lunation.mapping.Entry
function M.codec(path, how)
  local name = type(how) == "string" and how or nil
  local functions = how
  if name then
    functions = M.codecs[name] or error(("no codec is called %q"):format(name), 2)
  end
  if path == nil then
    return make {
      kind = "codec", codec = name, functions = functions, depends = functions.depends,
      read = function(_, native, context) return functions.to(native, context) end,
      write = function(_, native, value, context) return functions.from(native, value, context) end,
    }
  end
  local inner = as_entry(path)
  return make {
    kind = "codec", inner = inner, codec = name, functions = functions, depends = functions.depends,
    read = function(_, native, context)
      local value, err = inner:read(native, context)
      if value == nil then return nil, err end
      return functions.to(value, context)
    end,
    write = function(_, native, value, context)
      if value == nil then return inner:write(native, nil, context) end
      local converted, err = functions.from(value, context)
      if converted == nil and err then return nil, err end
      return inner:write(native, converted, context)
    end,
  }
end

---An array of objects. With `key` (a canonical field) elements are known again by it, so that a changed list keeps what the
---mapping does not understand of each; without, by their position.
---@param path string
---@param of lunation.Mapping|table
---@param options {key: string?}?
---@return lunation.mapping.Entry
function M.list(path, of, options)
  local inner = as_entry(path)
  local element = getmetatable(of) == Mapping and of or M.new(of)
  local key = options and options.key
  return make {
    kind = "list", inner = inner, of = element, key = key,
    read = function(_, native, context)
      local array = inner:read(native, context)
      if array == nil then return nil end
      if type(array) ~= "table" then return nil, "is not a list" end
      local result = {}
      for i, item in ipairs(array) do
        local value, err = element:to(item, context)
        if value == nil then return nil, err.reason, ("[%d]%s"):format(i, err.field and "." .. err.field or "") end
        result[i] = value
      end
      return setmetatable(result, getmetatable(array))
    end,
    write = function(_, native, value, context)
      if value == nil then return inner:write(native, nil, context) end
      if type(value) ~= "table" then return nil, "is not a list" end
      local old = inner:read(native, context)
      local by_key = {}
      for i, item in ipairs(type(old) == "table" and old or {}) do
        local known = key and (element:to(item, context) or {})[key] or (not key and i)
        if known and by_key[known] == nil then by_key[known] = item end
      end
      local array = {}
      for i, item in ipairs(value) do
        local known
        if key then known = item[key] else known = i end
        local made, err = element:from(item, known ~= nil and by_key[known] or nil, context)
        if made == nil then return nil, err.reason, ("[%d]%s"):format(i, err.field and "." .. err.field or "") end
        array[i] = made
      end
      return inner:write(native, setmetatable(array, getmetatable(value)), context)
    end,
  }
end

---The first of several places that has a value; written where it was found, else to the first.
---@param ... string|lunation.mapping.Entry
---@return lunation.mapping.Entry
function M.any(...)
  local choices = {}
  for i, what in ipairs { ... } do choices[i] = as_entry(what) end
  return make {
    kind = "any", choices = choices,
    read = function(_, native, context)
      for _, choice in ipairs(choices) do
        local value, err = choice:read(native, context)
        if value ~= nil or err then return value, err end
      end
    end,
    write = function(_, native, value, context)
      for _, choice in ipairs(choices) do
        if choice:read(native, context) ~= nil then
          local done, err = choice:write(native, value, context)
          if value ~= nil or not done then return done, err end
        end
      end
      if value == nil then return true end
      return choices[1]:write(native, value, context)
    end,
  }
end

---A canonical object whose fields are spread over the native one.
---@param of lunation.Mapping
---@return lunation.mapping.Entry
function M.nested(of)
  return make {
    kind = "nested", of = of,
    read = function(_, native, context)
      local value, err = of:to(native, context)
      if value == nil then return nil, err.reason, "." .. (err.field or "") end
      if next(value) == nil then return nil end
      return value
    end,
    write = function(_, native, value, context)
      local done, err = of:write(native, value or {}, of:read(native, context) or {}, context)
      if done == nil then return nil, err.reason, "." .. (err.field or "") end
      return true
    end,
  }
end

---An entry of functions over the whole native object.
---@param functions {read: fun(native: any, context: table): any, write: fun(native: any, value: any, context: table): any, depends: string[]?,
---needs: string|string[]|nil}
---@return lunation.mapping.Entry
function M.entry(functions)
  return make {
    kind = "entry", functions = functions, depends = functions.depends, needs = functions.needs,
    read = function(_, native, context) return functions.read(native, context) end,
    write = function(_, native, value, context)
      local done, err, below = functions.write(native, value, context)
      if done == nil and err then return nil, err, below end
      return true
    end,
  }
end

local function wrapped(what, name, value)
  local entry = as_entry(what)
  local result = make {}
  for k, v in pairs(entry) do result[k] = v end
  result[name] = value
  -- Copies of an entry are read through the original, whose closures know their own parts.
  return result
end

---Read, never written.
---@param what string|lunation.mapping.Entry
---@return lunation.mapping.Entry
function M.readonly(what) return wrapped(what, "readonly", true) end
---Written, never read.
---@param what string|lunation.mapping.Entry
---@return lunation.mapping.Entry
function M.writeonly(what) return wrapped(what, "writeonly", true) end
---An error where it is missing, either way.
---@param what string|lunation.mapping.Entry
---@return lunation.mapping.Entry
function M.required(what) return wrapped(what, "required", true) end
---What the field is where the native object has nothing.
---@param what string|lunation.mapping.Entry
---@param value any
---@return lunation.mapping.Entry
function M.default(what, value) return wrapped(what, "default", value) end

-- --- the mapping itself ---

local function failure(field, why, below)
  local name = field .. (below or "")
  local ok, errors = pcall(require, "lunation.errors")
  local message = ("%s: %s"):format(name, why)
  if ok and type(errors) == "table" and errors.new then return errors.new("invalid_request", message, { field = name, reason = why }) end
  return setmetatable({ code = "invalid_request", message = message, field = name, reason = why }, { __tostring = function(e) return e.message end })
end

-- What is read, in order: {field, entry, read, name, names}; name or names: there is nothing to read where none of them is present.
local function reading_of(fields, order)
  local steps = {}
  for _, field in ipairs(order) do
    local entry = fields[field]
    if not entry.writeonly then
      local needs = entry.default == nil and not entry.required and entry.needs or nil
      steps[#steps + 1] = {
        field = field, entry = entry, read = entry.functions and entry.functions.read,
        name = type(needs) == "string" and needs or nil, names = type(needs) == "table" and needs or nil,
      }
    end
  end
  return steps
end

---@param fields table<string, any> canonical field → entry; false takes a field out
---@param envelope {to: function, from: function}? how whole natives are read and written, where a native holds several objects
---@return lunation.Mapping
function M.new(fields, envelope)
  local entries, order = {}, {}
  for field, what in pairs(fields) do
    if what ~= false then
      entries[field] = as_entry(what)
      order[#order + 1] = field
    end
  end
  table.sort(order)
  return setmetatable({ fields = entries, order = order, reading = reading_of(entries, order), envelope = envelope }, Mapping)
end

local function has_any(present, names)
  for i = 1, #names do
    if present[names[i]] ~= nil then return true end
  end
  return false
end

---One object, by the entries alone.
---@param native any
---@param context table?
---@return table? canonical
---@return table? err {field=}
function Mapping:read(native, context)
  local canonical, steps = {}, self.reading
  local present = context and context.present
  for i = 1, #steps do
    local step = steps[i]
    local name, names = step.name, step.names
    if not present or ((not name or present[name] ~= nil) and (not names or has_any(present, names))) then
      local entry, read = step.entry, step.read
      local value, why, below
      if read then
        value, why, below = read(native, context)
      else
        value, why, below = entry:read(native, context)
      end
      if value == nil then
        if why then return nil, failure(step.field, why, below) end
        value = entry.default
        if value ~= nil then value = copy(value) elseif entry.required then return nil, failure(step.field, "is missing") end
      end
      if value ~= nil then canonical[step.field] = value end
    end
  end
  return canonical
end

---Writes into one object: every field where `before` is nil, else the fields that differ.
---@param native any changed in place
---@param canonical table
---@param before table? canonical object that the native one stands for
---@param context table?
---@return boolean? changed
---@return table? err {field=}
function Mapping:write(native, canonical, before, context)
  local changed = {}
  if before then
    for _, field in ipairs(self.order) do changed[field] = not equal(before[field], canonical[field]) end
  end
  local any = false
  for _, field in ipairs(self.order) do
    local entry = self.fields[field]
    local value = canonical[field]
    if value == null then value = nil end
    local due = not before or changed[field]
    if not due then
      for _, other in ipairs(entry.depends or {}) do
        due = due or not equal(before[other], canonical[other])
      end
    end
    if value == nil and entry.required and not entry.readonly then return nil, failure(field, "is missing") end
    if due and not entry.readonly and (before or value ~= nil) then
      local done, why, below = entry:write(native, value, context)
      if done == nil and why then return nil, failure(field, why, below) end
      any = true
    end
  end
  return any
end

---@param native any
---@param context table? given to codecs
---@return table? canonical
---@return table? err {field=}
function Mapping:to(native, context)
  if self.envelope then return self.envelope.to(self, native, context) end
  if type(native) ~= "table" then return nil, failure("", "is not an object") end
  return self:read(native, context)
end

---@param canonical table the whole object: a field that is absent is removed
---@param patch_of any? native object to change a copy of
---@param context table?
---@return any native
---@return table? err {field=}
function Mapping:from(canonical, patch_of, context)
  if self.envelope then return self.envelope.from(self, canonical, patch_of, context) end
  if type(canonical) ~= "table" then return nil, failure("", "is not an object") end
  local native, before = {}, nil
  if patch_of ~= nil then
    native = copy(patch_of)
    local err
    before, err = self:read(patch_of, context)
    if not before then return nil, err end
  end
  local done, err = self:write(native, canonical, before, context)
  if done == nil then return nil, err end
  return native
end

---The mapping with some fields replaced; `false` takes one out.
---@param fields table
---@return lunation.Mapping
function Mapping:extend(fields)
  local merged = {}
  for field, entry in pairs(self.fields) do merged[field] = entry end
  for field, entry in pairs(fields) do merged[field] = entry end
  local extended = M.new(merged, self.envelope)
  for k, v in pairs(self) do
    if extended[k] == nil and k ~= "_digest" then extended[k] = v end
  end
  return extended
end

---A name for what the mapping does, with all that it extends: it changes when an entry does.
---@return string hexadecimal
function Mapping:digest()
  self._digest = self._digest or digest.of(self.fields, self.order)
  return self._digest
end

-- --- codecs by name ---

local value = require "lunation.ical.value"

M.codecs.integer = {
  to = function(v) return math.tointeger(tonumber(v)) end,
  from = function(v)
    local number = math.tointeger(tonumber(v))
    if not number then return nil, "is not a whole number" end
    return number
  end,
}
M.codecs.string = { to = function(v) return tostring(v) end, from = function(v) return tostring(v) end }
M.codecs.boolean = {
  to = function(v) return v == true or v == 1 or v == "true" or v == "TRUE" end,
  from = function(v) return v and true or false end,
}
-- Seconds since the epoch and UTCDateTime.
M.codecs.epoch = {
  to = function(v)
    local at = math.tointeger(tonumber(v)) or (tonumber(v) and math.floor(tonumber(v)))
    return at and value.from_seconds(at) .. "Z"
  end,
  from = function(v)
    local at = value.seconds((tostring(v):gsub("Z$", "")))
    if not at then return nil, "is not a time" end
    return at
  end,
}
-- Minutes and a Duration.
M.codecs.minutes = {
  to = function(v)
    local minutes = tonumber(v)
    return minutes and value.format_duration { days = 0, seconds = math.floor(minutes * 60) }
  end,
  from = function(v)
    local duration = value.parse_duration(tostring(v))
    if not duration then return nil, "is not a duration" end
    return (duration.days * 86400 + duration.seconds) // 60
  end,
}

return setmetatable(M, { __call = function(_, fields, envelope) return M.new(fields, envelope) end })
