-- OData's query options over the collections of Outlook: $filter, $orderby, $skip, $top, $select, $expand, $count, and the page
-- that they make, with the link to the next one.
local answer = require "spec.emulators.microsoft.answer"
local filter = require "spec.emulators.microsoft.filter"
local http_server = require "lunation.http_server"
local json = require "lunation.json"

local M = {}

local known = {
  ["$filter"] = true, ["$orderby"] = true, ["$skip"] = true, ["$top"] = true, ["$select"] = true, ["$expand"] = true, ["$count"] = true,
  ["$search"] = true, ["$format"] = true, ["$skiptoken"] = true, ["$deltatoken"] = true,
}

---The parameters of an address: system options with their "$" in lower case, others in lower case.
---@param text string
---@return table<string, string>
function M.parse(text)
  local out = {}
  for pair in text:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    name, value = http_server.decode(name, true):lower(), http_server.decode(value, true)
    if name:sub(1, 1) == "$" and not known[name] then
      answer.fail(400, "BadRequest", ("The query parameter '%s' is not supported."):format(name))
    end
    if known["$" .. name] then name = "$" .. name end -- the "$" is optional (OData 4.01)
    if out[name] then answer.fail(400, "BadRequest", (
      "Query option '%s' was specified more than once, but it must be specified at most once."):format(name)) end
    out[name] = value
  end
  return out
end

local function integer(query, name, from, to, default)
  local text = query[name]
  if not text then return default end
  local value = math.tointeger(tonumber(text))
  if not value or value < from or value > to then
    answer.fail(400, "ErrorInvalidUrlQuery",
      ("The value '%s' for %s is invalid: it must be an integer between %d and %d."):format(text, name:gsub("%$", "", 1), from, to))
  end
  return value
end

-- Splits at commas outside of parentheses and quotes.
local function split(text, separator)
  local out, depth, start, quoted = {}, 0, 1, false
  for i = 1, #text do
    local char = text:sub(i, i)
    if char == "'" then
      quoted = not quoted
    elseif not quoted and char == "(" then
      depth = depth + 1
    elseif not quoted and char == ")" then
      depth = depth - 1
    elseif not quoted and char == separator and depth == 0 then
      out[#out + 1] = text:sub(start, i - 1)
      start = i + 1
    end
  end
  out[#out + 1] = text:sub(start)
  for i, part in ipairs(out) do out[i] = part:match "^%s*(.-)%s*$" end
  return out
end

---What is expanded: navigation property to its own options.
---@param text string?
---@param allowed table<string, boolean>
---@return table<string, table<string, string>>
function M.expansions(text, allowed)
  local out = {}
  if not text or text == "" then return out end
  for _, part in ipairs(split(text, ",")) do
    local name, inner = part:match "^([%w]+)%((.*)%)$"
    name = name or part
    if not allowed[name] then
      answer.fail(400, "RequestBroker--ParseUri", ("Could not find a property named '%s' on the type."):format(name))
    end
    local options = {}
    for _, option in ipairs(inner and split(inner, ";") or {}) do
      local key, value = option:match "^(%$?%w+)%s*=%s*(.*)$"
      if not key then answer.fail(400, "BadRequest", "Parsing OData Select and Expand failed.") end
      options[key:lower()] = value
    end
    out[name] = options
  end
  return out
end

---The properties of a $select; nil where all are wanted.
---@param text string?
---@param schema spec.graph.Schema
---@return table<string, boolean>?
function M.selection(text, schema)
  if not text or text == "" then return nil end
  local wanted = {}
  for _, name in ipairs(split(text, ",")) do
    local property = name:match "^([^/]+)"
    if name == "*" then return nil end
    if not (schema.known[property] or schema.expand[property]) then
      answer.fail(400, "RequestBroker--ParseUri", ("Could not find a property named '%s' on type '%s'."):format(property, schema.name))
    end
    wanted[property] = true
  end
  return wanted
end

---An entity with what was selected; id and annotations stay.
function M.pick(entity, wanted)
  if not wanted then return entity end
  local out = {}
  for name, value in pairs(entity) do
    if wanted[name] or name == "id" or name:find("@", 1, true) then out[name] = value end
  end
  return out
end

local function by(path, descending)
  local names = {}
  for name in path:gmatch "[^/]+" do names[#names + 1] = name end
  return function(entity)
    local value = entity
    for _, name in ipairs(names) do value = type(value) == "table" and value[name] or nil end
    if value == json.null or type(value) == "table" then value = nil end
    if type(value) == "boolean" then value = value and 1 or 0 end
    return value
  end, descending
end

local function sort(list, text, schema)
  local keys = {}
  for i, part in ipairs(split(text, ",")) do
    local path, way = part:match "^(%S+)%s*(%a*)$"
    if not path or way ~= "" and way ~= "asc" and way ~= "desc" then answer.fail(400, "BadRequest", "Invalid orderby clause.") end
    local property = path:match "^[^/]+"
    if not schema.known[property] then
      answer.fail(400, "BadRequest", ("Could not find a property named '%s' on type '%s'."):format(property, schema.name))
    end
    if schema.unfiltered[property] then
      answer.fail(400, "ErrorInvalidUrlQuery", ("The property '%s' does not support ordering."):format(property))
    end
    local get, descending = by(path, way == "desc")
    keys[i] = { get = get, descending = descending }
  end
  local order = {}
  for i, entity in ipairs(list) do order[entity] = i end
  table.sort(list, function(a, b)
    for _, key in ipairs(keys) do
      local x, y = key.get(a), key.get(b)
      if x ~= y then
        if x == nil or y == nil then return (x == nil) ~= key.descending end
        if type(x) ~= type(y) then x, y = tostring(x), tostring(y) end
        if key.descending then return x > y end
        return x < y
      end
    end
    return order[a] < order[b]
  end)
end

---@class spec.graph.Schema
---@field name string            as errors call it
---@field known table            properties
---@field expand table           navigation properties that may be expanded
---@field unfiltered table       properties that can be neither filtered nor ordered by
---@field top integer            entities on a page where the client says nothing
---@field max integer            the most that it may ask for

---The page of a collection that a request asks for.
---@param c spec.graph.Call
---@param schema spec.graph.Schema
---@param list table[] stored things, in the service's order
---@param render fun(thing: any): table the entity with everything in it
---@param context string what stands after $metadata#
---@param fill (fun(entity: table, thing: any): table)? expands, of those that are on the page
---@return table body
function M.page(c, schema, list, render, context, fill)
  local query = c.query
  local top = integer(query, "$top", 1, schema.max, nil)
  local size = top or c.prefer.pagesize and math.min(c.prefer.pagesize, schema.max) or schema.top
  local skip = integer(query, "$skip", 0, 1 << 31, 0)
  local wanted = M.selection(query["$select"], schema)
  if c.prefer.pagesize and not top then c:applied("odata.maxpagesize=" .. size) end
  if query["$search"] and not schema.search then
    answer.fail(400, "ErrorInvalidUrlQuery", "The query parameter '$search' is not supported for this resource.")
  end

  local entities, things = {}, {}
  local test = query["$filter"] and filter.compile(query["$filter"], schema.unfiltered, schema)
  local plain = not test and not query["$orderby"] and not query["$search"]
  if plain then
    for i = skip + 1, math.min(skip + size, #list) do
      local entity = render(list[i])
      entities[#entities + 1] = entity
      things[entity] = list[i]
    end
  else
    for _, thing in ipairs(list) do
      local entity = render(thing)
      local whole = schema.filterable and test and schema.filterable(entity, thing) or entity
      if (not test or test(whole)) and (not query["$search"] or schema.search(entity, query["$search"])) then
        entities[#entities + 1] = entity
        things[entity] = thing
      end
    end
    if query["$orderby"] then sort(entities, query["$orderby"], schema) end
  end
  local total = plain and #list or #entities
  local page = json.array {}
  for i = plain and 1 or skip + 1, plain and #entities or math.min(skip + size, #entities) do
    local entity = entities[i]
    if fill then entity = fill(entity, things[entity]) end
    page[#page + 1] = M.pick(entity, wanted)
  end
  local selected = query["$select"] and query["$select"] ~= "" and "(" .. query["$select"] .. ")" or ""
  local body = { ["@odata.context"] = c:metadata(context .. selected), value = page }
  local counted = query["$count"]
  if counted and counted ~= "true" and counted ~= "false" then answer.fail(400, "BadRequest", "Invalid value for $count.") end
  if counted == "true" then body["@odata.count"] = total end
  if skip + size < total then body["@odata.nextLink"] = M.next_link(c, skip + size) end
  return body
end

---The address of this request with another $skip.
function M.next_link(c, skip)
  local parts = {}
  for pair in c.raw_query:gmatch "[^&]+" do
    if not http_server.decode(pair:match "^[^=]*"):lower():find "^%$?skip$" then parts[#parts + 1] = pair end
  end
  parts[#parts + 1] = "%24skip=" .. skip
  return c.base .. c.path .. "?" .. table.concat(parts, "&")
end

return M
