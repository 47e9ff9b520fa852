-- How servers differ where the RFCs leave room or are not kept. A server that is not recognized is treated with the most care,
-- which costs a request or two for each write and is always right.
local M = {}

---@class caldav.Traits
---@field kind string               "cyrus", "davical" …; "unknown"
---@field guards boolean            keeps If-None-Match and If-Match on PUT and DELETE
---@field faithful boolean          stores a body as it came whenever its answer carries an ETag (RFC 4791 section 5.3.4)
---@field unique boolean            refuses a second event with the same UID itself (RFC 4791 section 4.1)
---@field refuses_tokens boolean    says so when it no longer knows a sync token (RFC 6578 section 3.2)

---@type ({header:string, pattern:string} | caldav.Traits)[]
local known = {
  { kind = "cyrus", header = "server", pattern = "cyrus%-http", guards = true, faithful = false, unique = true, refuses_tokens = true },
  { kind = "davical", header = "x-davical-version", pattern = ".", guards = true, faithful = true, unique = false, refuses_tokens = false },
  { kind = "sabre", header = "x-sabre-version", pattern = ".", guards = true, faithful = true, unique = false, refuses_tokens = true },
  { kind = "icloud", header = "server", pattern = "applehttpserver", guards = true, faithful = false, unique = true, refuses_tokens = true },
  { kind = "calendarserver", header = "server", pattern = "calendarserver/", guards = true, faithful = false, unique = true, refuses_tokens = true },
  { kind = "xandikos", header = "dav", pattern = "calendar%-auto%-scheduling", guards = true, faithful = false, unique = true, refuses_tokens = true },
  { kind = "radicale", header = "server", pattern = "wsgiserver", guards = true, faithful = false, unique = true, refuses_tokens = true },
  { kind = "sogo", header = "server", pattern = "sogo", guards = false, faithful = false, unique = true, refuses_tokens = false },
}

---Recognizes a server by the headers of its answer to OPTIONS.
---@param headers table<string,string>
---@return caldav.Traits
function M.recognize(headers)
  for _, server in ipairs(known) do
    local value = headers[server.header]
    if value and value:lower():find(server.pattern) then
      return {
        kind = server.kind, guards = server.guards, faithful = server.faithful, unique = server.unique, refuses_tokens = server.refuses_tokens,
      }
    end
  end
  return { kind = "unknown", guards = false, faithful = false, unique = false, refuses_tokens = false }
end

---The traits of an account's server, as discovery found them.
---@param account table
---@return caldav.Traits
function M.of(account)
  return account.settings and account.settings.server or M.recognize {}
end

---Whether a DAV header names a feature, as a whole word.
---@param headers table<string,string>
---@param feature string
---@return boolean
function M.offers(headers, feature)
  for word in (headers["dav"] or ""):lower():gmatch("[^,%s]+") do
    if word == feature then return true end
  end
  return false
end

return M
