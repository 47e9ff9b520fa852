-- Reading events whole: what a listing or a delta does not bring is fetched beside. A master comes with its exceptions and the
-- names of its cancelled occurrences, an event with what is attached to it.
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local property = require "lunation.microsoft.property"
local request = require "lunation.microsoft.request"
local errors = require "lunation.errors"

local M = {}

-- Apps that may see only when somebody is busy cannot ask for more.
local function basic(account)
  local scope = account.credentials and account.credentials.scope
  if type(scope) == "table" then scope = table.concat(scope, " ") end
  if type(scope) ~= "string" then return account.scope == "free-busy" end
  return scope:find("Calendars.ReadBasic", 1, true) ~= nil and not scope:find("Calendars.Read[%s\"]") and not scope:find("Calendars.ReadWrite", 1, true)
end

---The query of an event with the properties of ours.
---@param account table
---@param more table[]? further pairs
---@return string
function M.query(account, more)
  local list = { { "$expand", not basic(account) and property.expand or nil } }
  for _, pair in ipairs(more or {}) do list[#list + 1] = pair end
  return request.query(list)
end

local noise = { ["@odata.context"] = true, ["@odata.id"] = true }

---An entity as it is kept: without what Graph says of the answer, with its ETag where everybody looks for it.
---@param account table
---@param native table
---@return table
function M.clean(account, native)
  local result = {}
  for name, v in pairs(native) do
    if not noise[name] and not name:find("@odata%.context$") and not name:find("@odata%.nextLink$") then result[name] = v end
  end
  local tag = native["@odata.etag"]
  if type(tag) ~= "string" then
    tag = type(native.changeKey) == "string" and ('W/"%s"'):format(native.changeKey) or nil
  end
  result.etag = tag
  if native.isOrganizer == false and type(account.identity) == "string" then result.me = account.identity end
  return result
end

-- Reads paths, in one request or as many as batches need.
local function read(account, paths)
  if #paths == 0 then return {} end
  if #paths == 1 then
    local answer, err = request.send(account, "GET", paths[1], { accept = { 404 } })
    if not answer then return nil, err end
    return { { status = answer.status, value = answer.value } }
  end
  return request.batch(account, paths)
end

-- The error of an answer inside a batch.
local function failed(answer)
  local said = request.classify { status = answer.status, body = json.encode(answer.value or json.object {}) or "", headers = {} }
  return errors.new(said.code, said.message, { reason = said.reason, upstream_status = answer.status })
end

local function is_missing(answer)
  if answer.status == 404 or answer.status == 410 then return true end
  return answer.status >= 400 and failed(answer).code == "not_found"
end

local function present(list) return type(list) == "table" and list ~= json.null and list or {} end

-- The exceptions of masters, each with the properties of ours. Those that have not changed have what the mirror knows of these.
local function read_exceptions(account, calendar, masters, mirrored)
  local paths, places = {}, {}
  for _, master in ipairs(masters) do
    local before = mirrored(master.id)
    local known = {}
    for _, exception in ipairs(present(before and before.exceptionOccurrences)) do known[exception.id] = exception end
    for index, exception in ipairs(master.exceptionOccurrences) do
      local old = known[exception.id]
      if old and old.etag and old.etag == exception["@odata.etag"] then
        local same = M.clean(account, exception)
        same.singleValueExtendedProperties = old.singleValueExtendedProperties
        master.exceptionOccurrences[index] = same
      else
        paths[#paths + 1] = request.event(calendar, exception.id) .. M.query(account)
        places[#paths] = { master, index }
      end
    end
  end
  local answers, err = read(account, paths)
  if not answers then return nil, err end
  for at, place in ipairs(places) do
    local master, index = place[1], place[2]
    if answers[at].status == 200 and answers[at].value then
      master.exceptionOccurrences[index] = M.clean(account, answers[at].value)
    elseif is_missing(answers[at]) then
      master.exceptionOccurrences[index] = M.clean(account, master.exceptionOccurrences[index])
    else
      return nil, failed(answers[at])
    end
  end
  return true
end

local ATTACHED = { "id", "@odata.type", "name", "contentType", "size", "isInline", "lastModifiedDateTime", "sourceUrl" }

local function read_attachments(account, calendar, natives, mirrored)
  local paths, whose = {}, {}
  for _, native in ipairs(natives) do
    if native.hasAttachments == true and not basic(account) then
      local before = mirrored(native.id)
      if before and before.etag == native.etag and before.attachments then
        native.attachments = before.attachments
      else
        paths[#paths + 1] = request.event(calendar, native.id) .. "/attachments"
        whose[#paths] = native
      end
    end
  end
  local answers, err = read(account, paths)
  if not answers then return nil, err end
  for at, native in ipairs(whose) do
    local kept = json.array {}
    for _, attachment in ipairs(present(answers[at].status == 200 and answers[at].value and answers[at].value.value)) do
      local shown = {}
      -- What it is, never what is in it.
      for _, name in ipairs(ATTACHED) do shown[name] = attachment[name] end
      shown.href = request.base(account) .. request.event(calendar, native.id) .. "/attachments/" .. request.encode(attachment.id) .. "/$value"
      if attachment.isInline ~= true then kept[#kept + 1] = shown end
    end
    native.attachments = #kept > 0 and kept or nil
  end
  return true
end

---Makes events whole.
---@param account table
---@param calendar table
---@param natives table[] masters and single events as Graph gave them
---@param mirrored fun(id: string): table? what the mirror keeps
---@return table[]? natives
---@return lunation.Error?
function M.complete(account, calendar, natives, mirrored)
  local result, masters, paths = {}, {}, {}
  for index, native in ipairs(natives) do
    local clean = M.clean(account, native)
    result[index] = clean
    if clean.type == "seriesMaster" and type(clean.id) == "string" then
      masters[#masters + 1] = clean
      paths[#paths + 1] = request.event(calendar, clean.id) .. request.query {
        { "$select", "id,type,cancelledOccurrences" }, { "$expand", "exceptionOccurrences" },
      }
    end
  end
  local answers, err = read(account, paths)
  if not answers then return nil, err end
  for at, master in ipairs(masters) do
    if answers[at].status ~= 200 and not is_missing(answers[at]) then return nil, failed(answers[at]) end
    local value = answers[at].status == 200 and answers[at].value or {}
    local exceptions, cancelled = json.array {}, json.array {}
    for _, exception in ipairs(present(value.exceptionOccurrences)) do
      if type(exception) == "table" then exceptions[#exceptions + 1] = exception end
    end
    for _, name in ipairs(present(value.cancelledOccurrences)) do cancelled[#cancelled + 1] = name end
    table.sort(exceptions, function(a, b) return tostring(a.originalStart) < tostring(b.originalStart) end)
    table.sort(cancelled, function(a, b) return tostring(a) < tostring(b) end)
    master.exceptionOccurrences, master.cancelledOccurrences = exceptions, cancelled
  end
  local done
  done, err = read_exceptions(account, calendar, masters, mirrored)
  if not done then return nil, err end
  done, err = read_attachments(account, calendar, result, mirrored)
  if not done then return nil, err end
  for _, native in ipairs(result) do
    for _, name in ipairs { "exceptionOccurrences", "cancelledOccurrences" } do
      if #present(native[name]) == 0 then native[name] = nil end
    end
  end
  return result
end

---Events by their ids, whole.
---@param account table
---@param calendar table
---@param ids string[]
---@param mirrored fun(id: string): table?
---@return table[]? natives
---@return string[]|lunation.Error gone ids that are not there (any more), or that are of another kind
function M.by_ids(account, calendar, ids, mirrored)
  local paths = {}
  for index, id in ipairs(ids) do paths[index] = request.event(calendar, id) .. M.query(account) end
  local answers, err = read(account, paths)
  if not answers then return nil, err end
  local natives, gone = {}, {}
  for index, id in ipairs(ids) do
    local answer = answers[index]
    if answer.status == 200 and type(answer.value) == "table" then
      local kind = answer.value.type
      if kind == "occurrence" or kind == "exception" then gone[#gone + 1] = id else natives[#natives + 1] = answer.value end
    elseif is_missing(answer) then
      gone[#gone + 1] = id
    else
      return nil, failed(answer)
    end
  end
  natives, err = M.complete(account, calendar, natives, mirrored)
  if not natives then return nil, err end
  return natives, gone
end

---One event by its id, or by the handle of one that was made here (init.lua's new_id).
---@param account table
---@param calendar table
---@param id string
---@return table? native
---@return lunation.Error? not_found
function M.one(account, calendar, id)
  local uid = M.uid_of(id)
  if not uid then
    local natives, gone = M.by_ids(account, calendar, { id }, function() return nil end)
    if not natives then return nil, gone end
    if natives[1] then return natives[1] end
  else
    local items, err = request.all(account, request.calendar(calendar) .. "/events" .. M.query(account, { { "$filter", property.filter(uid) } }))
    if not items then return nil, err end
    local found = {}
    for _, item in ipairs(items) do
      if (item.type == "singleInstance" or item.type == "seriesMaster" or item.type == nil) and property.get(item, property.UID) == uid then
        found[#found + 1] = item
      end
    end
    -- A copy that somebody made of the event in Outlook has its properties; the first is ours.
    table.sort(found, function(a, b) return tostring(a.createdDateTime) < tostring(b.createdDateTime) end)
    if found[1] then
      local natives, problem = M.complete(account, calendar, { found[1] }, function() return nil end)
      if not natives then return nil, problem end
      return natives[1]
    end
  end
  return nil, errors.new("not_found", "no such event")
end

---@param id string
---@return string? uid that a handle stands for
function M.uid_of(id) return id:match("^uid:(.+)$") end

---@param uid string
---@return string handle
function M.new_id(uid) return "uid:" .. uid end

---What dialects show as the original: the event as Graph has it.
---@param native table
---@return table
function M.original(native)
  local shown = {}
  for name, v in pairs(native) do
    if name ~= "etag" and name ~= "me" then shown[name] = v end
  end
  if type(native.exceptionOccurrences) == "table" then
    shown.exceptionOccurrences = mapping.copy(native.exceptionOccurrences)
    for _, exception in ipairs(shown.exceptionOccurrences) do exception.etag, exception.me = nil, nil end
  end
  return shown
end

return M
