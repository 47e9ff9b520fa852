-- What hangs on an event or a contact beside its properties: legacy extended properties, open extensions, attachments.
local answer = require "spec.emulators.microsoft.answer"
local crypto = require "lunation.crypto"
local filter = require "spec.emulators.microsoft.filter"
local json = require "lunation.json"
local series = require "spec.emulators.microsoft.series"
local times = require "spec.emulators.microsoft.times"

local M = {}

-- --- extended properties ----------------------------------------------------------------------------------------------

local kinds = "Boolean Binary CLSID Currency Double Error Float Integer Null Object Short String SystemTime"

local function is_kind(word, array)
  if array and not word:find "Array$" then return false end
  return (" " .. kinds .. " "):find(" " .. (word:gsub("Array$", "")) .. " ", 1, true) ~= nil and (array or not word:find "Array$")
end

-- "String {GUID} Name x", "Integer {GUID} Id 0x8233", "String 0x1234"
local function check_id(id, array)
  local function bad()
    answer.fail(400, "ErrorPropertyValidationFailure", ("The extended property id '%s' is not valid."):format(tostring(id)))
  end
  if type(id) ~= "string" then bad() end
  local kind, rest = id:match "^(%a+) (.+)$"
  if not kind or not is_kind(kind, array) then bad() end
  local guid = rest:match "^(%b{}) [Nn]ame .+$" or rest:match "^(%b{}) [Ii]d 0[xX]%x+$"
  if guid and not guid:find("^{%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-" .. ("%x"):rep(12) .. "}$") then bad() end
  if not guid and not rest:find "^0[xX]%x+$" then bad() end
  return id
end

-- Ids name the same property in any letter case of the GUID.
local function same(a, b)
  local function plain(id) return (id:gsub("%b{}", string.lower)) end
  return plain(a) == plain(b)
end

local function merge(list, given, array)
  if type(given) ~= "table" then answer.fail(400, "RequestBodyRead", "A collection was expected.") end
  for _, each in ipairs(given) do
    if type(each) ~= "table" then answer.fail(400, "RequestBodyRead", "An extended property was expected.") end
    check_id(each.id, array)
    local value = answer.given(each.value)
    if value ~= nil and type(value) ~= (array and "table" or "string") then
      answer.fail(400, "RequestBodyRead", "Cannot convert the value of property 'value' to the expected type.")
    end
    local at
    for i, old in ipairs(list) do
      if same(old.id, each.id) then at = i end
    end
    if value == nil then
      if at then table.remove(list, at) end
    else
      list[at or #list + 1] = { id = each.id, value = answer.copy(value) }
    end
  end
end

---Extended properties of something and of what it inherits from.
---@param occurrence table
---@return table single
---@return table multi
function M.values(occurrence)
  local function collect(field)
    local out = json.array {}
    local own = occurrence.exception and occurrence.exception[field] or {}
    for _, each in ipairs(own) do out[#out + 1] = each end
    for _, each in ipairs(occurrence.item[field]) do
      local hidden = false
      for _, mine in ipairs(own) do hidden = hidden or same(mine.id, each.id) end
      if not hidden then out[#out + 1] = each end
    end
    return out
  end
  return collect "single", collect "multi"
end

---What an expansion shows of a list of extended properties: those that its $filter names.
---@param list table
---@param options table<string, string>
function M.chosen(list, options)
  local text = options["$filter"]
  if not text then
    answer.fail(400, "ErrorInvalidRequest", "The expansion of extended properties requires a $filter that names their ids.")
  end
  local test = filter.compile(text, {})
  local out = json.array {}
  for _, each in ipairs(list) do
    if test(each) then out[#out + 1] = { id = each.id, value = answer.copy(each.value) } end
  end
  if #out == 0 then return nil end -- the service leaves an empty one out
  return out
end

-- --- open extensions --------------------------------------------------------------------------------------------------

local prefix = "Microsoft.OutlookServices.OpenTypeExtension."

local function show_extension(extension)
  local out = { ["@odata.type"] = "#microsoft.graph.openTypeExtension", id = prefix .. extension.name, extensionName = extension.name }
  for name, value in pairs(extension.data) do out[name] = answer.copy(value) end
  return out
end

local function extension_of(given)
  if type(given) ~= "table" then answer.fail(400, "BadRequest", "Empty Payload. JSON content expected.") end
  local kind = given["@odata.type"]
  if type(kind) ~= "string" or not kind:lower():find "^#?microsoft%.graph%.opentypeextension$" then
    answer.fail(400, "BadRequest", "The '@odata.type' of an open extension must be 'microsoft.graph.openTypeExtension'.")
  end
  local name = given.extensionName
  if type(name) ~= "string" or name == "" or #name > 120 then answer.invalid "The property 'extensionName' is required." end
  local data = {}
  for key, value in pairs(given) do
    if key ~= "extensionName" and key ~= "id" and not key:find("@", 1, true) then data[key] = value end
  end
  return { name = name, data = data }
end

local function find_extension(list, id)
  for i, each in ipairs(list) do
    if id == each.name or id == prefix .. each.name then return each, i end
  end
end

-- --- where they hang --------------------------------------------------------------------------------------------------

-- The thing of an address to read from, and the one to write to: an occurrence becomes an exception by being written to.
local function reading(c)
  if c.params.contact then return c.box:need(c.params.contact, "contact") end
  local occurrence = series.find(c.box, c.params.event)
  return occurrence.exception or occurrence.item
end

local function writing(c)
  if c.params.contact then
    local contact = c.box:need(c.params.contact, "contact")
    return contact, function() c.box:touch(contact, "updated") end
  end
  local occurrence = series.find(c.box, c.params.event)
  if not occurrence.key then return occurrence.item, function() c.box:touch(occurrence.item, "updated") end end
  local exception = require("spec.emulators.microsoft.meetings").exception(c.box, occurrence)
  return exception, function() c.box:touch(occurrence.item, "exception") end
end

---Takes what a request's body brings along: extended properties, extensions, attachments.
---@param c spec.graph.Call
---@param thing table
---@param given table
function M.take(c, thing, given)
  if answer.given(given.singleValueExtendedProperties) then merge(thing.single, given.singleValueExtendedProperties, false) end
  if answer.given(given.multiValueExtendedProperties) then merge(thing.multi, given.multiValueExtendedProperties, true) end
  for _, each in ipairs(answer.given(given.extensions) or {}) do
    local extension = extension_of(each)
    local old = find_extension(thing.extensions, extension.name)
    if old then
      old.data = extension.data
    else
      thing.extensions[#thing.extensions + 1] = extension
    end
  end
  for _, each in ipairs(answer.given(given.attachments) or {}) do thing.attachments[#thing.attachments + 1] = M.attachment(c, each) end
end

---Extended properties alone (calendars, folders).
function M.take_values(thing, given)
  if answer.given(given.singleValueExtendedProperties) then merge(thing.single, given.singleValueExtendedProperties, false) end
  if answer.given(given.multiValueExtendedProperties) then merge(thing.multi, given.multiValueExtendedProperties, true) end
end

---@param name string navigation property
---@param occurrence {item:table, exception:table?}
---@param options table<string, string> of the expansion
function M.expand(name, occurrence, options)
  local thing = occurrence.exception or occurrence.item
  if name == "extensions" then
    local test = options["$filter"] and filter.compile(options["$filter"], {})
    local out = json.array {}
    for _, each in ipairs(thing.extensions) do
      local shown = show_extension(each)
      local by_short = setmetatable({ id = each.name }, { __index = shown })
      if not test or test(shown) or test(by_short) then out[#out + 1] = shown end
    end
    return out
  elseif name == "attachments" then
    local out = json.array {}
    for i, each in ipairs(thing.attachments) do out[i] = M.show_attachment(each) end
    return out
  end
  local single, multi = M.values(occurrence)
  return M.chosen(name == "singleValueExtendedProperties" and single or multi, options)
end

local function where(c, suffix)
  local kind, id = "events", c.params.event
  if c.params.contact then kind, id = "contacts", c.params.contact end
  return c:metadata(("users('%s')/%s('%s')/%s"):format(c.box.user.id, kind, answer.escape(id), suffix))
end

local function get_extension(c)
  local found = find_extension(reading(c).extensions, c.params.extension)
  if not found then answer.missing "The specified object was not found in the store., The extension was not found." end
  local out = show_extension(found)
  out["@odata.context"] = where(c, "extensions/$entity")
  return out
end

local function list_extensions(c)
  local out = json.array {}
  for i, each in ipairs(reading(c).extensions) do out[i] = show_extension(each) end
  return { ["@odata.context"] = where(c, "extensions"), value = out }
end

local function post_extension(c)
  local extension = extension_of(c.body)
  local thing, done = writing(c)
  if find_extension(thing.extensions, extension.name) then
    answer.fail(409, "ErrorDuplicateExtension", "An extension of this name is there already.")
  end
  thing.extensions[#thing.extensions + 1] = extension
  done()
  local out = show_extension(extension)
  out["@odata.context"] = where(c, "extensions/$entity")
  return out, 201
end

local function patch_extension(c)
  local thing, done = writing(c)
  local found = find_extension(thing.extensions, c.params.extension)
  if not found then answer.missing() end
  for name, value in pairs(c.body or {}) do
    if name ~= "id" and name ~= "extensionName" and not name:find("@", 1, true) then found.data[name] = answer.given(value) end
  end
  done()
  local out = show_extension(found)
  out["@odata.context"] = where(c, "extensions/$entity")
  return out
end

local function delete_extension(c)
  local thing, done = writing(c)
  local _, at = find_extension(thing.extensions, c.params.extension)
  if not at then answer.missing() end
  table.remove(thing.extensions, at)
  done()
  return nil, 204
end

-- --- attachments ------------------------------------------------------------------------------------------------------

local limit = 3 * 1024 * 1024 -- larger ones need an upload session

---An attachment of a request.
function M.attachment(c, given)
  local kind = type(given) == "table" and type(given["@odata.type"]) == "string" and given["@odata.type"]:match "^#?microsoft%.graph%.(%a+)$"
  local name = kind and answer.given(given.name)
  if not kind or type(name) ~= "string" then answer.invalid "An attachment needs '@odata.type' and 'name'." end
  local out = {
    id = c.world:new_id("AAMkT", c.box.user.id), kind = kind, name = name, modified = c.world:now(),
    content_type = answer.given(given.contentType), inline = given.isInline == true,
  }
  if kind == "fileAttachment" then
    local bytes = type(given.contentBytes) == "string" and crypto.unbase64(given.contentBytes)
    if not bytes then answer.invalid "The property 'contentBytes' is required." end
    if #bytes >= limit then
      answer.fail(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
    end
    out.bytes, out.size, out.content_id = given.contentBytes, #bytes + 100, answer.given(given.contentId)
    out.content_type = out.content_type or "application/octet-stream"
  elseif kind == "itemAttachment" then
    if type(given.item) ~= "table" then answer.invalid "The property 'item' is required." end
    out.item, out.size = given.item, #json.encode(given.item)
  elseif kind == "referenceAttachment" then
    out.source, out.size = answer.given(given.sourceUrl), 0
  else
    answer.invalid "The type of the attachment is unknown."
  end
  return out
end

function M.show_attachment(attachment, expand_item)
  local out = {
    ["@odata.type"] = "#microsoft.graph." .. attachment.kind, id = attachment.id, name = attachment.name, size = attachment.size,
    isInline = attachment.inline, contentType = answer.or_null(attachment.content_type), lastModifiedDateTime = times.utc(attachment.modified),
  }
  if attachment.kind == "fileAttachment" then
    out.contentBytes, out.contentId, out.contentLocation = attachment.bytes, answer.or_null(attachment.content_id), json.null
  elseif expand_item and attachment.item then
    out.item = attachment.item
  end
  return out
end

local function find_attachment(list, id)
  for i, each in ipairs(list) do
    if each.id == id then return each, i end
  end
  answer.missing "The specified object was not found in the store., Cannot find the attachment."
end

local function list_attachments(c)
  local out = json.array {}
  for i, each in ipairs(reading(c).attachments) do
    out[i] = M.show_attachment(each)
    if c.query["$select"] then
      local wanted = { ["@odata.type"] = true }
      for name in c.query["$select"]:gmatch "[^,%s]+" do wanted[name] = true end
      for name in pairs(out[i]) do
        if not wanted[name] and name ~= "id" and not name:find "^@" then out[i][name] = nil end
      end
    end
  end
  return { ["@odata.context"] = where(c, "attachments"), value = out }
end

local function post_attachment(c)
  local attachment = M.attachment(c, c.body)
  local thing, done = writing(c)
  thing.attachments[#thing.attachments + 1] = attachment
  done()
  local out = M.show_attachment(attachment)
  out["@odata.context"] = where(c, "attachments/$entity")
  return out, 201
end

local function get_attachment(c)
  local out = M.show_attachment(find_attachment(reading(c).attachments, c.params.attachment), (c.query["$expand"] or ""):find "item")
  out["@odata.context"] = where(c, "attachments/$entity")
  return out
end

local function attachment_value(c)
  local found = find_attachment(reading(c).attachments, c.params.attachment)
  if not found.bytes then answer.refuse "The attachment has no content of its own." end
  return { raw = crypto.unbase64(found.bytes), type = found.content_type }
end

local function delete_attachment(c)
  local thing, done = writing(c)
  local _, at = find_attachment(thing.attachments, c.params.attachment)
  table.remove(thing.attachments, at)
  done()
  return nil, 204
end

---@type table<string, table> suffix of an event's address = route
M.routes = {
  ["/extensions"] = { GET = list_extensions, POST = post_extension, takes = "openTypeExtension", gives = "Collection(extension)", made = "openTypeExtension" },
  ["/extensions/:extension"] = {
    GET = get_extension, PATCH = patch_extension, DELETE = delete_extension, takes = "openTypeExtension", gives = "openTypeExtension",
  },
  ["/attachments"] = { GET = list_attachments, POST = post_attachment, takes = "attachment", gives = "Collection(attachment)", made = "attachment" },
  ["/attachments/:attachment"] = { GET = get_attachment, DELETE = delete_attachment, gives = "attachment" },
  ["/attachments/:attachment/$value"] = { GET = attachment_value },
}

return M
