-- The People API: the user's contacts with sync tokens, other contacts, the directory of the domain.
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local pages = require "spec.emulators.google.pages"
local person = require "spec.emulators.google.person"
local world = require "spec.emulators.google.world"

local people = {}

local fail = failure.fail
local WEEK = 7 * 86400

local function size_of(call, default, most)
  local text = call.args.pageSize
  if not text or text == "0" then return default end
  local size = math.tointeger(tonumber(text))
  if not size or size < 1 or size > most then fail(400, "badRequest", "Page size must be between 1 and " .. most .. ".") end
  return size
end

local function expired()
  fail(400, "failedPrecondition", "Sync token is expired. Clear local cache and retry call without the sync token.", {
    rpc = "FAILED_PRECONDITION",
    details = { { ["@type"] = "type.googleapis.com/google.rpc.ErrorInfo", reason = "EXPIRED_SYNC_TOKEN", domain = "people.googleapis.com" } },
  })
end

-- Writes reach those who sync after a while.
local function visible(list)
  local until_ms = (world.now() - world.people_delay) * 1000
  local seq = 0
  for _, one in pairs(list) do
    if one.rev <= until_ms + 1 and one.seq > seq then seq = one.seq end
  end
  return seq
end

-- One listing with pages and tokens, of contacts, other contacts or the directory.
local function listing(call, options)
  local signature = pages.signature(call, { requestSyncToken = true }) .. "|" .. (call.args.syncToken or "")
  local kept = pages.signature(call, { requestSyncToken = true })
  local size = size_of(call, options.size or 100, 1000)
  local at, born = 0, math.floor(world.now())
  local cursor
  if call.args.pageToken then
    cursor, at = pages.continue(call.args.pageToken, signature)
    born = cursor.born
  else
    local since
    if call.args.syncToken then
      local held = pages.unseal(call.args.syncToken)
      if not held or held[options.name] ~= call.user.email then fail(400, "badRequest", "Invalid sync token.") end
      if held.epoch ~= world.sync_epoch or held.born + WEEK < world.now() then expired() end
      if held.signature ~= kept then fail(400, "badRequest", "Request parameters must match those of the request that made the sync token.") end
      since, born = held.seq, held.born
    end
    local seq, found = visible(options.list), {}
    for _, one in pairs(options.list) do
      if since and one.seq > since and one.seq <= seq or not since and not one.deleted then found[#found + 1] = one end
    end
    table.sort(found, options.order or function(a, b) return a.seq < b.seq end)
    cursor = pages.begin(found, { signature = signature, seq = math.max(seq, since or 0), born = born })
  end
  local items, next_token = pages.slice(call, cursor, at, size)
  local out = json.array {}
  for i, one in ipairs(items) do out[i] = person.render(one, options.mask) end
  local answer = { nextPageToken = next_token, [options.field] = #out > 0 and out or nil }
  if options.total then answer[options.total] = #cursor.items end
  if not next_token and (call:flag "requestSyncToken" or call.args.syncToken) then
    answer.nextSyncToken = pages.seal { [options.name] = call.user.email, seq = cursor.seq, epoch = world.sync_epoch, born = born, signature = kept }
  end
  return json.object(answer)
end

local function by_name(field)
  return function(a, b)
    local x, y = a.data.names and a.data.names[1][field] or "", b.data.names and b.data.names[1][field] or ""
    if x ~= y then return x < y end
    return a.seq < b.seq
  end
end

local orders = {
  LAST_MODIFIED_DESCENDING = function(a, b) return a.seq > b.seq end,
  FIRST_NAME_ASCENDING = by_name "givenName", LAST_NAME_ASCENDING = by_name "familyName",
}

local function connections(call)
  if call.params.person ~= "me" then fail(400, "badRequest", "Resource name must be people/me.") end
  local mask = person.read_mask(call, "personFields")
  local answer = listing(call, { list = call.user.contacts, mask = mask, field = "connections", name = "contacts", total = "totalItems",
    order = orders[call.args.sortOrder or ""] })
  answer.totalPeople = answer.totalItems
  return answer
end

local function touch(user, contact)
  user.contact_seq = user.contact_seq + 1
  contact.seq, contact.rev = user.contact_seq, world.tick()
end

local function add(user, body)
  local data = person.read_body(body, person.writable)
  data.memberships = data.memberships or json.array {
    { contactGroupMembership = { contactGroupId = "myContacts", contactGroupResourceName = "contactGroups/myContacts" } },
  }
  local contact = { data = data, source = "CONTACT" }
  touch(user, contact)
  local number = "c" .. (4000000000000000000 + user.contact_seq)
  contact.resource, contact.id = "people/" .. number, ("%x"):format(0x100000000 + user.contact_seq)
  user.contacts[number] = contact
  return contact
end

local function find(user, name)
  local contact = user.contacts[name]
  if not contact or contact.deleted then fail(404, "notFound", "Requested entity was not found.") end
  return contact
end

local function create(call)
  local mask = call.args.personFields and person.read_mask(call, "personFields") or person.readable
  return person.render(add(call.user, call.body or {}), mask)
end

local function write(user, contact, body, names)
  person.check_etag(contact, body)
  local data = person.read_body(body, names)
  if names.memberships and not data.memberships then fail(400, "badRequest", "At least one contact group membership must be specified.") end
  for name in pairs(names) do contact.data[name] = data[name] end
  touch(user, contact)
end

-- "people/c12:updateContact" and "people/c12:deleteContact" come as one part of the path.
local function named(call, verb)
  local name, found = call.params.person:match "^([^:]+):(.+)$"
  if found ~= verb then fail(404, "notFound", "Method not found.") end
  return name
end

local function update(call)
  local contact = find(call.user, named(call, "updateContact"))
  local names = person.mask(call.args.updatePersonFields, "updatePersonFields", person.writable)
  local mask = call.args.personFields and person.read_mask(call, "personFields") or person.readable
  write(call.user, contact, call.body or {}, names)
  return person.render(contact, mask)
end

local function remove(user, contact)
  contact.deleted, contact.data = true, {}
  touch(user, contact)
end

local function delete(call)
  remove(call.user, find(call.user, named(call, "deleteContact")))
  return json.object {}
end

local function lookup(call, name)
  if name == "me" or name == call.user.id then return person.profile(call.user, "PROFILE") end
  for _, user in pairs(world.users) do
    if user.id == name and user.domain == call.user.domain then return person.profile(user, "DOMAIN_PROFILE") end
  end
  return find(call.user, name)
end

local function get(call)
  local mask = person.read_mask(call, "personFields")
  return person.render(lookup(call, call.params.person), mask)
end

local function batch_get(call)
  local mask = person.read_mask(call, "personFields")
  local names = call:repeated "resourceNames"
  if #names < 1 or #names > 200 then fail(400, "badRequest", "Between 1 and 200 resource names are to be given.") end
  local responses = json.array {}
  for i, name in ipairs(names) do
    local ok, found = pcall(lookup, call, name:match "^people/(.+)$")
    if ok then
      responses[i] = { person = person.render(found, mask), requestedResourceName = name, httpStatusCode = 200, status = json.object {} }
    else
      responses[i] = { requestedResourceName = name, httpStatusCode = 404, status = { code = 5, message = "Requested entity was not found." } }
    end
  end
  return { responses = responses }
end

local function response_of(contact, mask)
  return { person = person.render(contact, mask), requestedResourceName = contact.resource, httpStatusCode = 200, status = json.object {} }
end

local function batch_create(call)
  local body = call.body or {}
  if type(body.contacts) ~= "table" or #body.contacts < 1 or #body.contacts > 200 then
    fail(400, "badRequest", "Between 1 and 200 contacts are to be given.")
  end
  local mask = person.mask(body.readMask, "readMask", person.readable)
  local created = json.array {}
  for i, one in ipairs(body.contacts) do created[i] = response_of(add(call.user, one.contactPerson or {}), mask) end
  return { createdPeople = created }
end

local function batch_update(call)
  local body = call.body or {}
  local names = person.mask(body.updateMask, "updateMask", person.writable)
  local mask = person.mask(body.readMask, "readMask", person.readable)
  local result = json.object {}
  -- all or none
  for name, one in pairs(body.contacts or {}) do person.check_etag(find(call.user, name:match "^people/(.+)$"), one) end
  for name, one in pairs(body.contacts or {}) do
    local contact = find(call.user, name:match "^people/(.+)$")
    write(call.user, contact, one, names)
    result[name] = response_of(contact, mask)
  end
  return { updateResult = result }
end

local function batch_delete(call)
  local found = {}
  for i, name in ipairs((call.body or {}).resourceNames or {}) do found[i] = find(call.user, name:match "^people/(.+)$") end
  if #found < 1 or #found > 500 then fail(400, "badRequest", "Between 1 and 500 resource names are to be given.") end
  for _, contact in ipairs(found) do remove(call.user, contact) end
  return json.object {}
end

-- Searches look into a copy that an empty query brings up to date.
local function search(call, kind, list)
  local mask = person.read_mask(call, "readMask")
  if call.args.query == nil then fail(400, "badRequest", "Query is required.") end
  local size = math.min(math.tointeger(tonumber(call.args.pageSize or "10")) or 10, 30)
  if size == 0 then size = 10 end
  local warm = call.user.warm
  if call.args.query == "" then
    warm[kind] = {}
    for _, one in pairs(list) do warm[kind][one] = not one.deleted or nil end
    return json.object {}
  end
  local found = {}
  for one in pairs(warm[kind] or {}) do
    if not one.deleted and person.matches(one, call.args.query) then found[#found + 1] = one end
  end
  table.sort(found, function(a, b) return a.seq < b.seq end)
  local results = json.array {}
  for i = 1, math.min(#found, size) do results[i] = { person = person.render(found[i], mask) } end
  return json.object { results = #results > 0 and results or nil }
end

-- --- other contacts -------------------------------------------------------------------------------------------------

local narrow = { emailAddresses = true, metadata = true, names = true, phoneNumbers = true, photos = true }

local function others_of(user)
  local list = {}
  for id, one in pairs(user.others) do
    one.resource, one.source = "otherContacts/" .. id, "OTHER_CONTACT"
    one.data = { emailAddresses = { { value = one.email } }, names = one.name and { { givenName = one.name } } or nil }
    list[id] = one
  end
  return list
end

local function other_list(call)
  local mask = person.mask(call.args.readMask, "readMask", narrow)
  return listing(call, { list = others_of(call.user), mask = mask, field = "otherContacts", name = "others", total = "totalSize" })
end

local function other_copy(call)
  local id, verb = call.params.person:match "^([^:]+):(.+)$"
  local other = others_of(call.user)[id or ""]
  if verb ~= "copyOtherContactToMyContactsGroup" or not other or other.deleted then fail(404, "notFound", "Requested entity was not found.") end
  local body = call.body or {}
  local names = person.mask(body.copyMask, "copyMask", narrow)
  local mask = person.mask(body.readMask or body.copyMask .. ",metadata,memberships", "readMask", person.readable)
  local data = {}
  for name in pairs(names) do data[name] = other.data[name] end
  call.user.other_seq = call.user.other_seq + 1
  other.deleted, other.seq, other.rev = true, call.user.other_seq, world.tick()
  return person.render(add(call.user, data), mask)
end

-- --- the directory --------------------------------------------------------------------------------------------------

local function colleagues(call)
  if #call:repeated "sources" == 0 then fail(400, "badRequest", "Must specify at least one source.") end
  if call.user.domain == "gmail.com" then fail(400, "badRequest", "Must be a G Suite domain user.") end
  local list, wanted = {}, false
  for _, source in ipairs(call:repeated "sources") do wanted = wanted or source == "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE" end
  for number, email in ipairs(world.user_order) do
    local user = world.users[email]
    if wanted and user.domain == call.user.domain then
      local one = person.profile(user, "DOMAIN_PROFILE")
      one.seq = number
      list[email] = one
    end
  end
  return list
end

local function directory_list(call)
  local mask = person.read_mask(call, "readMask")
  return listing(call, { list = colleagues(call), mask = mask, field = "people", name = "directory" })
end

local function directory_search(call)
  local mask = person.read_mask(call, "readMask")
  if not call.args.query then fail(400, "badRequest", "Query is required.") end
  local found = {}
  for email, one in pairs(colleagues(call)) do
    if person.matches(one, call.args.query) then found[email] = one end
  end
  return listing(call, { list = found, mask = mask, field = "people", name = "found", total = "totalSize" })
end

local function route(handler, id) return { handler = handler, id = "people." .. id } end

people.routes = {
  ["/v1/people/:person"] = {
    GET = route(get, "people.get"), PATCH = route(update, "people.updateContact"), DELETE = route(delete, "people.deleteContact"),
  },
  ["/v1/people/:person/connections"] = { GET = route(connections, "people.connections.list") },
  ["/v1/people:batchGet"] = { GET = route(batch_get, "people.getBatchGet") },
  ["/v1/people:createContact"] = { POST = route(create, "people.createContact") },
  ["/v1/people:batchCreateContacts"] = { POST = route(batch_create, "people.batchCreateContacts") },
  ["/v1/people:batchUpdateContacts"] = { POST = route(batch_update, "people.batchUpdateContacts") },
  ["/v1/people:batchDeleteContacts"] = { POST = route(batch_delete, "people.batchDeleteContacts") },
  ["/v1/people:searchContacts"] = { GET = route(function(call) return search(call, "contacts", call.user.contacts) end, "people.searchContacts") },
  ["/v1/people:listDirectoryPeople"] = { GET = route(directory_list, "people.listDirectoryPeople") },
  ["/v1/people:searchDirectoryPeople"] = { GET = route(directory_search, "people.searchDirectoryPeople") },
  ["/v1/otherContacts"] = { GET = route(other_list, "otherContacts.list") },
  ["/v1/otherContacts:search"] = { GET = route(function(call) return search(call, "others", others_of(call.user)) end, "otherContacts.search") },
  ["/v1/otherContacts/:person"] = { POST = route(other_copy, "otherContacts.copyOtherContactToMyContactsGroup") },
}

return people
