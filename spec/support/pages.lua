-- A browser of the poorest kind, for the authorization pages: it follows redirects, keeps cookies, and fills in forms.

local connect = require "spec.support.connect"
local http = require "lunation.http"

local pages = {}

local Browser = {}
Browser.__index = Browser

---@param server table
---@param headers table|nil sent with every request
function pages.browser(server, headers)
  return setmetatable({ server = server, cookies = {}, headers = headers or {} }, Browser)
end

local ENTITIES = { ["&amp;"] = "&", ["&lt;"] = "<", ["&gt;"] = ">", ["&quot;"] = '"', ["&#39;"] = "'" }

---@param text string
---@return string
function pages.unescape(text)
  return (text:gsub("&[%w#]+;", ENTITIES))
end

---One request; no redirect is followed.
---@param method string
---@param url string absolute, or a path
---@param fields table|nil of a form
function Browser:request(method, url, fields, headers)
  if url:sub(1, 1) == "/" then url = self.server.url .. url end
  local sent = {}
  for name, value in pairs(self.headers) do sent[name] = value end
  for name, value in pairs(headers or {}) do sent[name] = value end
  local cookies = {}
  for name, value in pairs(self.cookies) do cookies[#cookies + 1] = name .. "=" .. value end
  if #cookies > 0 then sent.cookie = table.concat(cookies, "; ") end
  if fields then sent["content-type"] = "application/x-www-form-urlencoded" end
  local response = assert(http.request { method = method, url = url, headers = sent, body = fields and connect.query(fields), timeout = 30 })
  local cookie = response.headers["set-cookie"]
  if cookie then
    local name, value = cookie:match("^([^=]+)=([^;]*)")
    self.cookies[name] = value
  end
  self.url = url
  return response
end

---Follow redirects as long as they stay on the server.
function Browser:follow(response)
  local limit = 10
  while response.status >= 300 and response.status < 400 and response.headers.location:sub(1, 1) == "/" do
    limit = limit - 1
    assert(limit > 0, "redirects without end")
    response = self:request("GET", response.headers.location)
  end
  return response
end

function Browser:open(url)
  return self:follow(self:request("GET", url))
end

---The address of the first link whose address or text holds the words.
function pages.link(response, words)
  for address, text in response.body:gmatch('<a [^>]-href="([^"]*)"[^>]*>(.-)</a>') do
    if address:find(words, 1, true) or text:find(words, 1, true) then return pages.unescape(address) end
  end
end

---The form of a page: where it goes, and its hidden fields.
function pages.form(response)
  local action = response.body:match('<form method="post" action="([^"]*)"')
  local fields = {}
  for input in response.body:gmatch("<input [^>]*>") do
    if input:find('type="hidden"', 1, true) then fields[input:match('name="([^"]*)"')] = pages.unescape(input:match('value="([^"]*)"')) end
  end
  return action and pages.unescape(action), fields
end

---Send the form of a page with more fields.
function Browser:submit(response, fields)
  local action, all = pages.form(response)
  assert(action, "there is no form: " .. response.body)
  for name, value in pairs(fields or {}) do all[name] = value end
  return self:follow(self:request("POST", action, all))
end

---The address that an application sends a browser to.
---@param user string
---@param options table|nil more parameters; false leaves one out
function pages.address(user, options)
  local query = { client_id = connect.app, user_id = user, response_type = "code", redirect_uri = connect.redirect_uri, state = "s&t" }
  for name, value in pairs(options or {}) do query[name] = value or nil end
  return "/api/oauth/authorize?" .. connect.query(query)
end

---The first answer of the server to such a browser.
function pages.begin(server, user, options)
  return pages.browser(server):request("GET", pages.address(user, options))
end

---Choose a provider, sign in, allow, and come back.
---@param browser table
---@param page table the list of accounts
---@param provider string
---@param fields table|nil
---@return table response of the last step: the redirect to the application
function pages.connect(browser, page, provider, fields)
  local sign_in = browser:open(assert(pages.link(page, "/add/" .. provider), "the page does not offer " .. provider))
  local list = browser:submit(sign_in, fields)
  local next_page = pages.link(list, "/consent")
  if not next_page then return list end
  return browser:submit(browser:open(next_page), { decision = "allow" })
end

---The whole round for a new user with an account of the `local` provider.
---@return string code
function pages.authorize(server, user, options)
  local browser = pages.browser(server)
  local response = pages.connect(browser, browser:open(pages.address(user, options)), "local")
  assert(response.status == 303, response.body)
  local location = response.headers.location
  assert(location:find(connect.redirect_uri, 1, true) == 1, location)
  return (assert(location:match("[?&]code=([^&]+)"), location))
end

return pages
