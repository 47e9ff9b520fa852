-- Contacts of the mailbox, as cards in the manner of JSContact (RFC 9553) whose lists keep Outlook's order.
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local request = require "lunation.microsoft.request"
local time = require "lunation.microsoft.time"

local M = {}

local function text(v) return type(v) == "string" and v ~= "" and v or nil end
local function list(v) return type(v) == "table" and v ~= json.null and v or {} end

local name_parts = { full = "displayName", given = "givenName", given2 = "middleName", surname = "surname", prefix = "title", suffix = "generation" }

local name = mapping.entry {
  read = function(native)
    local result = {}
    for part, field in pairs(name_parts) do result[part] = text(native[field]) end
    return next(result) and result or nil
  end,
  write = function(native, value)
    for part, field in pairs(name_parts) do
      local now = value and value[part] or nil
      if text(native[field]) ~= now then native[field] = now or json.null end
    end
    return true
  end,
}

local emails = mapping.entry {
  read = function(native)
    local result = json.array {}
    for _, email in ipairs(list(native.emailAddresses)) do
      if text(email.address) then result[#result + 1] = { address = email.address } end
    end
    return #result > 0 and result or nil
  end,
  write = function(native, value)
    local known, result = {}, json.array {}
    for _, email in ipairs(list(native.emailAddresses)) do
      if text(email.address) then known[email.address:lower()] = email end
    end
    for _, email in ipairs(value or {}) do
      if not text(email.address) then return nil, "has no address" end
      result[#result + 1] = known[email.address:lower()] or { address = email.address, name = text(native.displayName) or email.address }
    end
    if #result > 3 then return nil, "Outlook keeps three e-mail addresses of a contact" end
    native.emailAddresses = result
    return true
  end,
}

local phones = mapping.entry {
  read = function(native)
    local result = json.array {}
    for _, number in ipairs(list(native.businessPhones)) do result[#result + 1] = { number = tostring(number), context = "work" } end
    for _, number in ipairs(list(native.homePhones)) do result[#result + 1] = { number = tostring(number), context = "home" } end
    if text(native.mobilePhone) then result[#result + 1] = { number = native.mobilePhone, features = "mobile" } end
    return #result > 0 and result or nil
  end,
  write = function(native, value)
    local work, home, mobile = json.array {}, json.array {}, nil
    for _, phone in ipairs(value or {}) do
      if not text(phone.number) then return nil, "has no number" end
      if phone.features == "mobile" and not mobile then
        mobile = phone.number
      elseif phone.context == "home" then
        home[#home + 1] = phone.number
      else
        work[#work + 1] = phone.number
      end
    end
    if #work > 2 or #home > 2 then return nil, "Outlook keeps two numbers at work, two at home and a mobile one" end
    native.businessPhones, native.homePhones, native.mobilePhone = work, home, mobile or json.null
    return true
  end,
}

local organizations = mapping.entry {
  read = function(native)
    local one = { name = text(native.companyName), department = text(native.department), title = text(native.jobTitle) }
    return next(one) and json.array { one } or nil
  end,
  write = function(native, value)
    local one = value and value[1] or {}
    if value and #value > 1 then return nil, "Outlook keeps one organization of a contact" end
    native.companyName, native.department, native.jobTitle = one.name or json.null, one.department or json.null, one.title or json.null
    return true
  end,
}

local places = { { "businessAddress", "work" }, { "homeAddress", "home" }, { "otherAddress", "other" } }
local address_parts = { street = "street", locality = "city", region = "state", postcode = "postalCode", country = "countryOrRegion" }

local addresses = mapping.entry {
  read = function(native)
    local result = json.array {}
    for _, place in ipairs(places) do
      local address = {}
      for part, field in pairs(address_parts) do address[part] = text(list(native[place[1]])[field]) end
      if next(address) then
        address.context = place[2]
        result[#result + 1] = address
      end
    end
    return #result > 0 and result or nil
  end,
  write = function(native, value)
    local by_context = {}
    for _, address in ipairs(value or {}) do
      local context = address.context or "other"
      if by_context[context] then return nil, "Outlook keeps one address at work, one at home and another" end
      by_context[context] = address
    end
    for _, place in ipairs(places) do
      local address, written = by_context[place[2]] or {}, json.object {}
      for part, field in pairs(address_parts) do written[field] = address[part] end
      native[place[1]] = written
    end
    return true
  end,
}

local birthday = mapping.entry {
  read = function(native)
    if not text(native.birthday) then return nil end
    local utc = time.utc(native.birthday) or time.utc(native.birthday .. "T00:00:00Z")
    if not utc then return nil, "is no date" end
    -- Outlook writes a birthday without a year into the year 1604.
    return utc:sub(1, 4) == "1604" and "--" .. utc:sub(6, 10) or utc:sub(1, 10)
  end,
  write = function(native, value)
    native.birthday = value and (value:gsub("^%-%-", "1604-")) .. "T00:00:00Z" or json.null
    return true
  end,
}

local function texts(field)
  return mapping.entry {
    read = function(native)
      local result = json.array {}
      if text(native[field]) then result[1] = native[field] end
      return #result > 0 and result or nil
    end,
    write = function(native, value)
      native[field] = value and value[1] or json.null
      return true
    end,
  }
end

local function optional(field)
  return mapping.codec(field, { to = function(v) return text(v) end, from = function(v) return v end })
end

M.mapping = mapping {
  ["@type"] = mapping.const "Card",
  uid = mapping.readonly(mapping.required "id"),
  name = name,
  nicknames = texts "nickName",
  emails = emails,
  phones = phones,
  organizations = organizations,
  addresses = addresses,
  birthday = birthday,
  notes = optional "personalNotes",
  links = mapping.entry {
    read = function(native)
      return text(native.businessHomePage) and json.array { { uri = native.businessHomePage, context = "work" } } or nil
    end,
    write = function(native, value)
      native.businessHomePage = value and value[1] and value[1].uri or json.null
      return true
    end,
  },
  updated = mapping.readonly(mapping.codec("lastModifiedDateTime", { to = function(v) return time.utc(v) end, from = function(v) return v end })),
}

local WRITABLE = {
  "displayName", "givenName", "middleName", "surname", "title", "generation", "nickName", "emailAddresses", "businessPhones", "homePhones",
  "mobilePhone", "companyName", "department", "jobTitle", "businessAddress", "homeAddress", "otherAddress", "birthday", "personalNotes",
  "businessHomePage",
}

local function clean(native)
  local result = {}
  for field, v in pairs(native) do
    if field ~= "@odata.context" then result[field] = v end
  end
  result.etag = type(native["@odata.etag"]) == "string" and native["@odata.etag"] or nil
  return result
end

-- One page or chain of contacts after another.
local function listing(account, path, reset, options)
  return coroutine.wrap(function()
    local page, err = request.pages(account, path, { page = request.PAGE }, function(items, last, answer)
      local upserts, deletes = {}, {}
      for _, item in ipairs(items) do
        if type(item) == "table" and item["@removed"] ~= nil and item["@removed"] ~= json.null then
          deletes[#deletes + 1] = item.id
        elseif type(item) == "table" then
          upserts[#upserts + 1] = clean(item)
        end
      end
      local link = answer["@odata.deltaLink"]
      coroutine.yield {
        upserts = upserts, deletes = deletes, reset = reset, more = not last,
        state = last and type(link) == "string" and { link = link } or options.state,
      }
      return true
    end)
    if page then return nil end
    return nil, err
  end)
end

---Contacts that have changed, or that a query finds.
---@param account table
---@param options {state: table?, query: string?}?
---@return fun(): table?, lunation.Error? batch {upserts, deletes, state, reset, more}
function M.changes(account, options)
  options = options or {}
  if options.query and options.query ~= "" then
    local quoted = (options.query:gsub("'", "''"))
    local filter = ("startswith(displayName,'%s') or startswith(givenName,'%s') or startswith(surname,'%s')"):format(quoted, quoted, quoted)
    return listing(account, "/me/contacts" .. request.query { { "$filter", filter }, { "$top", request.PAGE } }, nil, options)
  end
  local state = options.state
  local following = listing(account, state and state.link or "/me/contacts/delta", state == nil, options)
  local over, again = false, state ~= nil
  return function()
    if over then return nil end
    local batch, err = following()
    if not batch and err and again and (err.code == "gone" or err.upstream_status == 410) then
      following, again = listing(account, "/me/contacts/delta", true, { state = nil }), false
      batch, err = following()
    end
    if not batch then over = true end
    return batch, err
  end
end

local function sent_of(native, before)
  local sent = {}
  for _, field in ipairs(WRITABLE) do
    if native[field] ~= nil and not mapping.equal(native[field], before and before[field]) then sent[field] = native[field] end
    if before == nil and sent[field] == json.null then sent[field] = nil end
  end
  return sent
end

---@param account table
---@param native table
---@return table? native
---@return lunation.Error?
function M.create(account, native)
  local answer, err = request.send(account, "POST", "/me/contacts", { json = sent_of(native) })
  if not answer then return nil, err end
  return clean(answer.value)
end

---@param account table
---@param native table
---@param options {etag: string?, before: table?}?
---@return table? native
---@return lunation.Error? precondition_failed
function M.update(account, native, options)
  options = options or {}
  local answer, err = request.send(account, "PATCH", "/me/contacts/" .. request.encode(native.id),
    { json = sent_of(native, options.before), etag = options.etag or native.etag })
  if not answer then return nil, err end
  return clean(answer.value)
end

---@param account table
---@param id string
---@param options {etag: string?}?
---@return true?
---@return lunation.Error?
function M.delete(account, id, options)
  local answer, err = request.send(account, "DELETE", "/me/contacts/" .. request.encode(id), { etag = options and options.etag, accept = { 404 } })
  if not answer then return nil, err end
  return true
end

return M
