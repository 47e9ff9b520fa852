-- How Graph is spoken to: addresses, headers, pages, batches, and what its errors mean. Sending itself is the account's session.
local errors = require "lunation.errors"
local http = require "lunation.http"
local json = require "lunation.json"
local timer = require "lunation.timer"

local M = {}

--- Entities on a page, requests in a batch (Graph takes 20).
M.PAGE, M.BATCH = 100, 20
--- How often what a batch was throttled for is sent again, and the longest pause before, seconds.
local BATCH_ATTEMPTS, LONGEST_PAUSE = 6, 60

-- Ids stay when an event moves; times come in UTC, whatever the mailbox prefers.
local PREFER = 'IdType="ImmutableId", outlook.timezone="UTC"'

---The headers of every request.
---@param more table? { page = entities a page, etag = what If-Match asks for }
---@return table<string, string>
function M.headers(more)
  more = more or {}
  return {
    prefer = more.page and ("%s, odata.maxpagesize=%d"):format(PREFER, more.page) or PREFER,
    accept = "application/json",
    ["if-match"] = more.etag,
  }
end

---@param text string
---@return string percent-encoded for a path segment or a query value
local function encode(text)
  return (tostring(text):gsub("[^%w%-._~=@]", function(c) return ("%%%02X"):format(c:byte()) end))
end
M.encode = encode

---A query of pairs, in order.
---@param pairs_list {[1]:string,[2]:any}[]
---@return string "?a=b&c=d", or nothing
function M.query(pairs_list)
  local parts = {}
  for _, pair in ipairs(pairs_list) do
    if pair[2] ~= nil then parts[#parts + 1] = pair[1] .. "=" .. encode(pair[2]):gsub("=", "%%3D") end
  end
  return #parts > 0 and "?" .. table.concat(parts, "&") or ""
end

---Where Graph is, without a slash at the end. The configuration may name the host alone.
---@param account table
---@return string
function M.base(account)
  local base = account.config.urls.graph:gsub("/+$", "")
  if not base:match("^https?://[^/]+/") then base = base .. "/v1.0" end
  return base
end

---The path of a calendar: one of the mailbox's own, or the calendar of somebody else by the address.
---@param calendar { id: string }
---@return string
function M.calendar(calendar)
  if calendar.id:find("@", 1, true) then return "/users/" .. encode(calendar.id) .. "/calendar" end
  return "/me/calendars/" .. encode(calendar.id)
end

---@param calendar { id: string }
---@param id string of an event, its master or an occurrence
---@return string
function M.event(calendar, id)
  return M.calendar(calendar) .. "/events/" .. encode(id)
end

---Sends one request.
---@param account table
---@param method string
---@param path string below the base, or a whole link that Graph gave
---@param options table? { json=, etag=, page=, accept=, idempotent=, timeout=, cost= }
---@return table? answer with .body decoded as .value where there is one
---@return lunation.Error?
function M.send(account, method, path, options)
  options = options or {}
  local url = path:find("^https?://") and path or M.base(account) .. path
  local answer, err = account.request {
    method = method, url = url, headers = M.headers(options), json = options.json, accept = options.accept,
    idempotent = options.idempotent, timeout = options.timeout, cost = options.cost,
  }
  if not answer then return nil, err end
  if answer.status == 204 or answer.status == 202 or #(answer.body or "") == 0 then
    answer.value = {}
    return answer
  end
  local value, bad = answer:json()
  if bad then return nil, bad end
  if type(value) ~= "table" then return nil, M.wrong(answer, "is no object") end
  answer.value = value
  return answer
end

---An answer that Graph should not give.
---@param answer table
---@param why string
---@return lunation.Error
function M.wrong(answer, why)
  return errors.new("provider_error", "an answer of Microsoft Graph " .. why, {
    reason = "unexpected_answer", upstream_status = answer.status,
    details = { url = (answer.url or ""):match("^[^?#]*"), original = (answer.body or ""):sub(1, 4096) },
  })
end

---@param account table
---@param path string
---@param options table?
---@return table? value
---@return lunation.Error?
function M.get(account, path, options)
  local answer, err = M.send(account, "GET", path, options)
  if not answer then return nil, err end
  return answer.value
end

---The pages of a listing: calls `each` with the entities of one after another.
---@param account table
---@param path string
---@param options table?
---@param each fun(items: table[], last: boolean, page: table): true?, lunation.Error?
---@return table? page the last one, with its deltaLink
---@return lunation.Error?
function M.pages(account, path, options, each)
  local follow = account.pages()
  while true do
    local answer, err = M.send(account, "GET", path, options)
    if not answer then return nil, err end
    local page = answer.value
    local items = page.value
    if type(items) ~= "table" or items == json.null then return nil, M.wrong(answer, "has no list of values") end
    local link = page["@odata.nextLink"]
    if link == json.null then link = nil end
    local done, problem = each(items, link == nil, page)
    if not done then return nil, problem end
    if not link then return page end
    if type(link) ~= "string" then return nil, M.wrong(answer, "has a nextLink that is none") end
    done, problem = follow(link, #items)
    if not done then return nil, problem end
    path = link
  end
end

---All entities of a listing that is not long.
---@param account table
---@param path string
---@param options table?
---@return table[]? items
---@return lunation.Error?
function M.all(account, path, options)
  local items, seen = {}, {}
  local done, err = M.pages(account, path, options, function(list)
    for _, item in ipairs(list) do
      local id = type(item) == "table" and item.id
      if type(item) == "table" and not (id and seen[id]) then
        if id then seen[id] = true end
        items[#items + 1] = item
      end
    end
    return true
  end)
  if not done then return nil, err end
  return items
end

-- --- batches ---

local passing = { [429] = true, [500] = true, [502] = true, [503] = true, [504] = true }

local function header(headers, name)
  for key, value in pairs(type(headers) == "table" and headers or {}) do
    if tostring(key):lower() == name then return value end
  end
end

-- One batch of those that are open: their answers by index; nil, err.
local function ask(account, paths, indexes)
  local requests = json.array {}
  for i, index in ipairs(indexes) do
    requests[i] = { id = tostring(index), method = "GET", url = paths[index], headers = { Prefer = PREFER } }
  end
  local answer, err = M.send(account, "POST", "/$batch", { json = { requests = requests }, idempotent = true, cost = #requests })
  if not answer then return nil, err end
  if type(answer.value.responses) ~= "table" then return nil, M.wrong(answer, "to a batch has no responses") end
  local got = {}
  for _, response in ipairs(answer.value.responses) do
    local index = type(response) == "table" and math.tointeger(tonumber(response.id))
    if index and paths[index] then got[index] = response end
  end
  return got
end

---Reads many things in few requests. Each has an answer of its own; those that were throttled are asked again when Graph says,
---and where all together are too much, fewer are asked for at a time.
---@param account table
---@param paths string[] of GETs
---@return {status: integer, value: table?}[]? answers in the order of the paths
---@return lunation.Error?
function M.batch(account, paths)
  local answers, open, size = {}, {}, M.BATCH
  for index in ipairs(paths) do open[index] = index end
  for attempt = 1, BATCH_ATTEMPTS do
    local again, pause, at = {}, 0, 1
    while at <= #open do
      local indexes = table.move(open, at, math.min(at + size - 1, #open), 1, {})
      local got, err = ask(account, paths, indexes)
      if got then
        at = at + #indexes
        for _, index in ipairs(indexes) do
          local response = got[index] or { status = 503 }
          answers[index] = { status = response.status, value = type(response.body) == "table" and response.body or nil }
          if passing[response.status] then
            again[#again + 1] = index
            pause = math.max(pause, http.retry_after(tostring(header(response.headers, "retry-after") or "")) or 0)
          end
        end
      elseif err.code == "answer_too_large" and #indexes > 1 then
        size = math.max(1, #indexes // 4)
      else
        return nil, err
      end
    end
    if #again == 0 then return answers end
    if attempt == BATCH_ATTEMPTS or pause > LONGEST_PAUSE then
      return nil, errors.new("rate_limited", "Microsoft Graph throttles what a batch asks for", { reason = "batch", retry_after = math.max(1, pause) })
    end
    timer.sleep(math.max(pause, math.random() * 0.25 * 2 ^ attempt) + math.random() * 0.1)
    open = again
  end
  return answers
end

-- --- errors ---

local function has(set, word) return type(word) == "string" and set[word:lower()] end

local gone = { syncstatenotfound = true, resyncrequired = true, syncstateinvalid = true, invaliddeltatoken = true,
  errorinvalidsyncstatedata = true, fullsyncrequired = true }
local missing = { erroritemnotfound = true, errorinvalididmalformed = true, errorfoldernotfound = true, errorinvalidid = true }
local changed = { errorirresolvableconflict = true, preconditionfailed = true, errorchangekeyrequiredforwriteoperations = true }
local duplicate = { errorduplicatetransactionid = true, errorfolderexists = true }
local no_mailbox = { mailboxnotenabledforrestapi = true, mailboxnotsupportedforrestapi = true, errormailboxnotenabledforrestapi = true }

local by_status = {
  [400] = "invalid_request", [401] = "unauthorized", [403] = "forbidden", [404] = "not_found", [405] = "method_not_allowed", [409] = "conflict",
  [410] = "gone", [412] = "precondition_failed", [413] = "too_large", [422] = "invalid_request", [423] = "unavailable", [429] = "rate_limited",
  [501] = "unsupported", [503] = "unavailable", [504] = "timeout",
}

local sentences = {
  erroroccurrencecrossingboundary = "An occurrence of an Outlook series cannot be moved to or beyond the day of its neighbour",
  erroroccurrencetimespantoobig = "An occurrence of an Outlook series cannot be longer than the time to the next",
  errorcalendaroccurrenceindexisoutofrecurrencerange = "The series has no such occurrence",
}

---What an answer that is an error means.
---@param response { status: integer, body: string, headers: table }
---@return { code: string, message: string, reason: string?, retry: boolean? }?
function M.classify(response)
  local decoded = json.decode(response.body or "")
  local said = type(decoded) == "table" and type(decoded.error) == "table" and decoded.error or {}
  local reason = type(said.code) == "string" and said.code or nil
  local inner = type(said.innerError) == "table" and type(said.innerError.code) == "string" and said.innerError.code or nil
  local code = by_status[response.status] or "provider_error"
  if has(gone, reason) or has(gone, inner) then
    code = "gone"
  elseif has(no_mailbox, reason) then
    code = "unsupported"
  elseif has(missing, reason) then
    code = "not_found"
  elseif has(changed, reason) then
    code = "precondition_failed"
  elseif has(duplicate, reason) then
    code = "conflict"
  elseif has({ toomanyrequests = true, applicationthrottled = true, activitylimitreached = true, errorservertoobusy = true }, reason) then
    code = "rate_limited"
  elseif response.status == 503 and (response.headers or {})["retry-after"] then
    -- Told when to come again, one has been throttled: nothing was carried out.
    code = "rate_limited"
  end
  local message = has(sentences, reason) or type(said.message) == "string" and said.message ~= "" and said.message
    or ("Microsoft Graph answers with status %d"):format(response.status)
  if code == "unsupported" and has(no_mailbox, reason) then message = "This account has no mailbox that Microsoft Graph can read" end
  local retry
  if code == "gone" or code == "not_found" then retry = false end
  if code == "unavailable" or code == "timeout" or code == "rate_limited" then retry = true end
  return { code = code, message = message, reason = reason, retry = retry }
end

return M
