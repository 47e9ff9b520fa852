-- Requests to Google for an account: addresses, parameters, JSON in and out, lists page by page. The account's own `request`
-- (lunation.upstream) adds the token, keeps the limits and repeats what may be repeated.
local failure = require "lunation.google.failure"
local json = require "lunation.json"

local M = {}

---@alias google.Service "calendar"|"people"|"directory"

-- The path of a service where the configuration names a host only.
local paths = { calendar = "/calendar/v3", people = "/v1", directory = "/admin/directory/v1" }

local function escape(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end
M.escape = escape

---The address of a service.
---@param account table
---@param service google.Service
---@return string url without a slash at its end
function M.base(account, service)
  local url = account.config.urls[service]:gsub("/+$", "")
  if url:find("^%a+://[^/]+$") then url = url .. paths[service] end
  return url
end

---@param parameters table<string, string|number|boolean|string[]>? a list is sent as a repeated parameter
---@return string query with its question mark, or nothing
function M.query(parameters)
  local names, list = {}, {}
  for name in pairs(parameters or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = parameters[name]
    for _, each in ipairs(type(value) == "table" and value or { value }) do list[#list + 1] = name .. "=" .. escape(each) end
  end
  return #list > 0 and "?" .. table.concat(list, "&") or ""
end

---@class google.Call
---@field method string? GET
---@field service google.Service? calendar
---@field path string "/calendars/…", its segments escaped
---@field query table?
---@field json table? the body
---@field headers table<string, string>?
---@field idempotent boolean? a POST that may be sent twice

---An answer that should be a JSON object.
---@param object any
---@param url string
---@return table? object, lunation.Error? err
function M.object(object, url)
  if type(object) == "table" and object ~= json.null and not json.is_array(object) then return object end
  if type(object) == "table" and next(object) == nil then return object end
  return nil, failure.bad_answer("Google's answer is no JSON object.", { url = url, original = tostring(object) })
end

---Sends one request.
---@param account table
---@param call google.Call
---@return table? object, lunation.Error|table err_or_response
function M.call(account, call)
  local url = M.base(account, call.service or "calendar") .. call.path .. M.query(call.query)
  local response, err = account.request {
    method = call.method or "GET", url = url, headers = call.headers, json = call.json, idempotent = call.idempotent,
  }
  if not response then return nil, err end
  if response.body == "" then return {}, response end
  local answer, bad = response:json()
  if bad then return nil, bad end
  answer, bad = M.object(answer, url)
  if not answer then return nil, bad end
  return answer, response
end

---The pages of a list, one each call. A list that goes round, or never ends, is an error (endless_listing).
---@param account table
---@param call google.Call
---@param items string? name of the list in each page, "items" unless told
---@return fun(): table?, lunation.Error? page; nil after the last one
function M.pages(account, call, items)
  items = items or "items"
  local token, over = nil, false
  local may_follow = account.pages()
  return function()
    if over then return nil end
    over = true
    local query = {}
    for name, value in pairs(call.query or {}) do query[name] = value end
    query.pageToken = token
    local page, err = M.call(account, { service = call.service, path = call.path, query = query })
    if not page then return nil, err end
    local list, following = page[items], page.nextPageToken
    if list == json.null then list = nil end
    if list ~= nil and (type(list) ~= "table" or next(list) ~= nil and list[1] == nil) then
      return nil, failure.bad_answer(("Google's list has no list of %s."):format(items), { url = call.path })
    end
    page[items] = list or {}
    if following == json.null or following == "" then following = nil end
    page.nextPageToken = following
    if following then
      local fine, endless = may_follow(following, #page[items])
      if not fine then return nil, endless end
      token, over = following, false
    end
    return page
  end
end

---All items of a list.
---@param account table
---@param call google.Call
---@param items string?
---@param limit integer? the most that are taken
---@return table[]? list, lunation.Error? err
function M.all(account, call, items, limit)
  local list = {}
  local following = M.pages(account, call, items)
  while true do
    local page, err = following()
    if not page then
      if err then return nil, err end
      return list
    end
    for _, item in ipairs(page[items or "items"]) do
      list[#list + 1] = item
      if limit and #list >= limit then return list end
    end
  end
end

return M
