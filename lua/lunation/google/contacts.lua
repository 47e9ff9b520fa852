-- Contacts by the People API: the account's own, changed with their ETag, and "other contacts", which are only read. Both lists
-- have sync tokens that end after seven days.
local errors = require "lunation.errors"
local mapping = require "lunation.mapping"
local session = require "lunation.google.session"

local M = {}

---What is read of a person, and so what is mapped.
M.fields = "names,nicknames,emailAddresses,phoneNumbers,organizations,addresses,birthdays,biographies,urls,metadata"
local OTHER_FIELDS = "names,emailAddresses,phoneNumbers,metadata"

-- The two lists, in the order in which they are read. The parameters stay the same from page to page and sync to sync.
local lists = {
  { name = "connections", path = "/people/me/connections", query = { personFields = M.fields, pageSize = 1000, requestSyncToken = true } },
  { name = "otherContacts", path = "/otherContacts", query = { readMask = OTHER_FIELDS, pageSize = 1000, requestSyncToken = true }, read_only = true },
}

local function batch_of(page, list, reset)
  local batch = { upserts = {}, deletes = {}, reset = reset or nil, more = true }
  for _, person in ipairs(page[list.name]) do
    if type(person) == "table" and type(person.resourceName) == "string" then
      person.id = person.resourceName
      local metadata = type(person.metadata) == "table" and person.metadata or {}
      if metadata.deleted == true then
        if not reset then batch.deletes[#batch.deletes + 1] = person.id end
      else
        if list.read_only then person["lunation:readOnly"] = true end
        batch.upserts[#batch.upserts + 1] = person
      end
    end
  end
  return batch
end

local function begin(account, list, token)
  local query = { syncToken = token }
  for name, v in pairs(list.query) do query[name] = v end
  return session.pages(account, { service = "people", path = list.path, query = query }, list.name)
end

local SEARCHED = "names,nicknames,emailAddresses,phoneNumbers,organizations,metadata"

-- Contacts that a text is found in. The first search of a session is answered from an old cache, which an empty one renews.
local function search(account, text)
  local done = false
  return function()
    if done then return nil end
    done = true
    local call = { service = "people", path = "/people:searchContacts", query = { query = "", readMask = SEARCHED, pageSize = 30 } }
    local answer, err = session.call(account, call)
    call.query.query = text
    if answer then answer, err = session.call(account, call) end
    if not answer then return nil, err end
    local people = {}
    for _, result in ipairs(type(answer.results) == "table" and answer.results or {}) do people[#people + 1] = result.person end
    local batch = batch_of({ connections = people }, lists[1], true)
    batch.reset, batch.more = nil, false
    return batch
  end
end

---What changed among the contacts since a state. Without one, or where a token has ended, everything. With a query, those that
---it is found in: no state comes of that.
---@param account table
---@param request { state: { tokens: table<string, string> }?, query: string? }?
---@return fun(): table?, lunation.Error? batches
function M.changes(account, request)
  if request and type(request.query) == "string" and request.query ~= "" then return search(account, request.query) end
  local state = request and request.state
  local tokens = type(state) == "table" and type(state.tokens) == "table" and state.tokens or nil
  -- Other contacts may be withheld at the consent screen; the account's own are then all there is.
  local index, reset, fresh, following, over = 1, tokens == nil, {}, nil, false
  local function restart()
    index, reset, tokens, fresh, following = 1, true, nil, {}, nil
  end
  return function()
    while not over do
      local list = lists[index]
      if not list then
        over = true
        return { upserts = {}, deletes = {}, reset = reset or nil, more = false, state = { tokens = fresh } }
      end
      following = following or begin(account, list, tokens and tokens[list.name])
      local page, err = following()
      if page then
        if page.nextSyncToken then fresh[list.name] = page.nextSyncToken end
        local batch = batch_of(page, list, reset)
        if not page.nextPageToken then index, following = index + 1, nil end
        if #batch.upserts + #batch.deletes > 0 then return batch end
      elseif err and err.code == "gone" and not reset then
        restart()
      elseif err and list.read_only and err.code == "forbidden" then
        index, following = index + 1, nil
      else
        over = true
        return nil, err
      end
    end
  end
end

-- Fields that this program writes; people fields that are lists of one for a contact's own source.
local written = { "names", "nicknames", "emailAddresses", "phoneNumbers", "organizations", "addresses", "birthdays", "biographies", "urls" }

local function finished(person)
  person.id = person.resourceName
  return person
end

---@param account table
---@param native table person
---@return table?, lunation.Error?
function M.create(account, native)
  local body = {}
  for _, field in ipairs(written) do body[field] = native[field] end
  local made, err = session.call(account, {
    service = "people", method = "POST", path = "/people:createContact", query = { personFields = M.fields }, json = body,
  })
  return made and finished(made), err
end

local function own(id)
  if type(id) == "string" and id:find("^people/[%w_-]+$") then return true end
  return nil, errors.new("forbidden", "Google's other contacts are only read.", { provider = "google", reason = "read_only" })
end

---@param account table
---@param id string resourceName
---@return table?, lunation.Error?
function M.get(account, id)
  local person, err = session.call(account, { service = "people", path = "/" .. id, query = { personFields = M.fields } })
  return person and finished(person), err
end

---Changes a contact: the fields that differ from what Google has, with the ETag that the change starts from.
---@param account table
---@param native table person with id
---@param opts { etag: string? }?
---@return table?, lunation.Error? err "precondition_failed"
function M.update(account, native, opts)
  local allowed, refused = own(native.id)
  if not allowed then return nil, refused end
  local before, err = M.get(account, native.id)
  if not before then return nil, err end
  local etag = opts and opts.etag or native.etag
  if etag and before.etag ~= etag then
    return nil, errors.new("precondition_failed", "The contact was changed in the meantime.", { provider = "google" })
  end
  local body, changed = { etag = before.etag, resourceName = native.id, metadata = before.metadata and { sources = before.metadata.sources } }, {}
  for _, field in ipairs(written) do
    if not mapping.equal(before[field], native[field]) then
      changed[#changed + 1] = field
      body[field] = native[field]
    end
  end
  if #changed == 0 then return before end
  local done
  done, err = session.call(account, {
    service = "people", method = "PATCH", path = "/" .. native.id .. ":updateContact",
    query = { updatePersonFields = table.concat(changed, ","), personFields = M.fields }, json = body,
  })
  return done and finished(done), err
end

---@param account table
---@param id string resourceName
---@return true?, lunation.Error?
function M.delete(account, id)
  local allowed, refused = own(id)
  if not allowed then return nil, refused end
  local done, err = session.call(account, { service = "people", method = "DELETE", path = "/" .. id .. ":deleteContact" })
  if not done then return nil, err end
  return true
end

return M
