-- A person of the People API: its sources and entity tags, what a mask leaves of it, what may be written.
local crypto = require "lunation.crypto"
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local world = require "spec.emulators.google.world"

local person = {}

local fail = failure.fail

local function set(text)
  local names = {}
  for name in text:gmatch("%S+") do names[name] = true end
  return names
end

--- What may be read, and what may be written.
person.readable = set [[addresses ageRanges biographies birthdays calendarUrls clientData coverPhotos emailAddresses events externalIds genders
  imClients interests locales locations memberships metadata miscKeywords names nicknames occupations organizations phoneNumbers photos
  relations sipAddresses skills urls userDefined]]
person.writable = set [[addresses biographies birthdays calendarUrls clientData emailAddresses events externalIds genders imClients interests
  locales locations memberships miscKeywords names nicknames occupations organizations phoneNumbers relations sipAddresses urls userDefined]]
local singletons = { "biographies", "birthdays", "genders", "names" }

--- The fields that a mask names.
---@param text string?
---@param what string name of the parameter
---@param allowed table<string, boolean>
---@return table<string, boolean>
function person.mask(text, what, allowed)
  if not text or text == "" then
    fail(400, "badRequest", what .. " mask is required. Please specify one or more valid paths.")
  end
  local names = {}
  for name in text:gmatch("[^,%s]+") do
    name = name:gsub("^person%.", "")
    if not allowed[name] then
      fail(400, "badRequest", ("Invalid %s mask path: \"%s\". Valid paths are documented in the reference."):format(what, name))
    end
    names[name] = true
  end
  return names
end

--- The mask of a read: personFields, readMask, or requestMask.includeField.
---@param call google.Call
---@param name "personFields"|"readMask"
---@param default string?
function person.read_mask(call, name, default)
  return person.mask(call.args[name] or call.args["requestMask.includeField"] or default, name, person.readable)
end

function person.etag(contact)
  return "%EgU" .. crypto.base64(tostring(contact.rev))
end

local function source_etag(contact)
  return "#" .. crypto.base64(tostring(contact.rev * 3))
end

local function full_name(name)
  if name.unstructuredName and not name.givenName and not name.familyName then return name.unstructuredName end
  local words = {}
  for _, part in ipairs { "honorificPrefix", "givenName", "middleName", "familyName" } do
    if name[part] and name[part] ~= "" then words[#words + 1] = name[part] end
  end
  return table.concat(words, " ") .. (name.honorificSuffix and ", " .. name.honorificSuffix or "")
end

-- What the service works out by itself.
local derived = {
  names = function(one)
    one.displayName = full_name(one)
    one.displayNameLastFirst = one.familyName and one.givenName and one.familyName .. ", " .. one.givenName or one.displayName
    one.unstructuredName = one.unstructuredName or one.displayName
  end,
  emailAddresses = function(one)
    one.formattedType = one.type and one.type:sub(1, 1):upper() .. one.type:sub(2) or nil
  end,
  phoneNumbers = function(one)
    one.formattedType = one.type and one.type:sub(1, 1):upper() .. one.type:sub(2) or nil
    local digits = (one.value or ""):gsub("[%s%-%(%)]", "")
    one.canonicalForm = digits:find "^%+%d+$" and digits or nil
  end,
}

--- The resource of a contact, a profile or another contact.
---@param contact {resource: string, source: string, id: string, data: table, rev: integer, deleted: boolean?}
---@param mask table<string, boolean>
---@return table
function person.render(contact, mask)
  local out = { resourceName = contact.resource, etag = person.etag(contact) }
  local source = { type = contact.source, id = contact.id }
  if mask.metadata or contact.deleted then
    out.metadata = {
      sources = { { type = contact.source, id = contact.id, etag = source_etag(contact), updateTime = world.stamp(contact.rev / 1000) } },
      objectType = "PERSON", deleted = contact.deleted,
    }
  end
  if contact.deleted then return out end
  for name in pairs(mask) do
    local list = contact.data[name]
    if list and name ~= "metadata" then
      local shown = json.array {}
      for i, one in ipairs(list) do
        local copy = world.copy(one)
        copy.metadata = { primary = i == 1 or nil, sourcePrimary = i == 1 or nil, source = source }
        if derived[name] then derived[name](copy) end
        shown[i] = copy
      end
      out[name] = shown
    end
  end
  return out
end

--- Takes the written fields out of a body; what the service sets is left aside.
---@param body table
---@param names table<string, boolean>
---@return table data
function person.read_body(body, names)
  for _, name in ipairs(singletons) do
    if type(body[name]) == "table" and #body[name] > 1 then
      fail(400, "badRequest", ("Request person.%s has more than one value. The field is a singleton for contact sources."):format(name))
    end
  end
  local data = {}
  for name in pairs(names) do
    local list = body[name]
    if type(list) == "table" and #list > 0 then
      data[name] = json.array {}
      for i, one in ipairs(list) do
        local kept = world.copy(one)
        kept.metadata, kept.formattedType, kept.displayNameLastFirst, kept.canonicalForm = nil, nil, nil, nil
        if name == "names" then
          kept.displayName = nil
          if not (kept.givenName or kept.familyName or kept.middleName) and kept.unstructuredName then
            kept.givenName, kept.familyName = kept.unstructuredName:match "^(.-)%s+(%S+)$"
            kept.givenName = kept.givenName or kept.unstructuredName
          end
          kept.unstructuredName = nil
        end
        data[name][i] = kept
      end
    end
  end
  return data
end

--- Refuses a change of something that has changed since it was read.
---@param contact table
---@param body table
function person.check_etag(contact, body)
  local given
  for _, source in ipairs(type(body.metadata) == "table" and body.metadata.sources or {}) do
    if source.type == "CONTACT" then given = source.etag or given end
  end
  local whole = body.etag
  if not given and not whole then
    fail(400, "badRequest", "Request must set person.etag or person.metadata.sources.etag for the source that is being updated.")
  end
  if (given and given ~= source_etag(contact)) or (not given and whole ~= person.etag(contact)) then
    fail(400, "failedPrecondition",
      "Request person.etag is different than the current person.etag. Clear local cache and get the latest person.", { rpc = "FAILED_PRECONDITION" })
  end
end

local searched = { names = { "givenName", "familyName", "middleName", "unstructuredName" }, nicknames = { "value" }, emailAddresses = { "value" },
  phoneNumbers = { "value" }, organizations = { "name", "title" } }

--- Whether a query is the beginning of a phrase of the person.
---@param contact table
---@param query string
---@return boolean
function person.matches(contact, query)
  query = query:lower()
  for name, fields in pairs(searched) do
    for _, one in ipairs(contact.data[name] or {}) do
      local texts = { name == "names" and full_name(one) or nil }
      for _, field in ipairs(fields) do texts[#texts + 1] = one[field] end
      for _, text in pairs(texts) do
        text = text:lower()
        if text:sub(1, #query) == query or text:find("%f[%w]" .. query:gsub("%p", "%%%0")) then return true end
      end
    end
  end
  return false
end

--- A user of the emulator as their colleagues see them.
---@param user google.User
---@param source "PROFILE"|"DOMAIN_PROFILE"
---@return table
function person.profile(user, source)
  local given, family = user.name:match "^(%S+)%s+(.+)$"
  return {
    resource = "people/" .. user.id, source = source, id = user.id, rev = user.rev, data = {
      names = { { givenName = given or user.name, familyName = family } }, emailAddresses = { { value = user.email, type = "work" } },
      photos = { { url = "https://lh3.googleusercontent.com/a/" .. user.id .. "=s100", default = true } },
      organizations = { { name = user.domain, current = true } },
    },
  }
end

return person
