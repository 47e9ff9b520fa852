-- What Microsoft's specs share: a Graph that says what it is told to, or the emulator; an account at it; a calendar whose mirror is
-- a table.
local http = require "lunation.http"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local oauth = require "spec.support.oauth"
local provider = require "lunation.provider"
local server = require "lunation.server"

local microsoft = {}

---The provider as it ships.
function microsoft.provider()
  return assert(assert(provider.load {}):get "microsoft")
end

---A server on loopback that answers by a function of the request: {status=, headers=, body=} or a table, sent as JSON.
---@param answer fun(req: {method: string, path: string, query: string, headers: table, json: any}): any
function microsoft.scripted(answer)
  local self = { requests = {} }
  local listener = assert(server.listen("http://127.0.0.1:0", {}, function(req)
    local seen = {
      method = req.method, path = req.path, query = req.query, body = req.body, json = req.body ~= "" and json.decode(req.body) or nil,
      prefer = req.headers["prefer"], if_match = req.headers["if-match"], authorization = req.headers["authorization"],
    }
    self.requests[#self.requests + 1] = seen
    local said = answer(seen, self)
    if said == nil then said = { status = 404, body = '{"error":{"code":"ErrorItemNotFound","message":"not there"}}' } end
    if type(said) == "table" and math.type(said.status) == "integer" and (said.body ~= nil or said.headers ~= nil) then
      local text = type(said.body) == "table" and json.encode(said.body) or said.body or ""
      local headers = { ["content-type"] = "application/json" }
      for name, v in pairs(said.headers or {}) do headers[name] = v end
      return { status = said.status, headers = headers, body = text }
    end
    return { status = 200, headers = { ["content-type"] = "application/json" }, body = json.encode(said) }
  end))
  self.url = listener.url:gsub("/+$", "")
  function self.stop() listener:drain(1) end
  return self
end

---An account at a Graph, without a store.
---@param url string
---@param options { token: string?, identity: string?, limits: table?, config: table?, settings: table?, provider: table?, ca_file: string? }?
function microsoft.account(url, options)
  options = options or {}
  local config = { urls = { graph = url }, ca_file = options.ca_file }
  for name, v in pairs(options.config or {}) do config[name] = v end
  local account = oauth.account(options.provider or microsoft.provider(), {
    config = config, credentials = { token = options.token or "token-alice" }, settings = options.settings or {}, limits = options.limits,
  })
  account.identity = options.identity or "alice@example.com"
  return account
end

---A request of somebody else's program, straight to Graph.
---@return table? answer
function microsoft.raw(emulated, method, path, body, email)
  local answer = assert(http.request {
    method = method, url = emulated.url .. "/v1.0" .. path, json = body, retries = 0, ca_file = emulated.ca_file,
    headers = { prefer = 'IdType="ImmutableId"' }, auth = { kind = "bearer", token = emulated.users[email or "alice@example.com"] },
  })
  assert(answer.status < 300, ("%s %s: %d %s"):format(method, path, answer.status, answer.body))
  return answer.body ~= "" and json.decode(answer.body) or {}
end

---A calendar whose mirror is a table: `calendar.rows` is what a store would hold.
function microsoft.calendar(id, fields)
  local calendar = { id = id, rows = {}, timeZone = "Etc/UTC" }
  for name, v in pairs(fields or {}) do calendar[name] = v end
  function calendar.mirrored(event) return mapping.copy(calendar.rows[event]) end
  return calendar
end

---Takes the changes of a calendar into its table, as the mirror does: the end of a full listing takes away what it did not name.
---@return { batches: integer, upserts: integer, deletes: integer, changed: string[] }? counts
---@return lunation.Error?
function microsoft.pull(account, calendar, used)
  used = used or microsoft.provider()
  local following = used.changes(account, calendar, mapping.copy(calendar.state))
  local counts, listed = { batches = 0, upserts = 0, deletes = 0, changed = {} }, nil
  while true do
    local batch, err = following()
    if not batch then return not err and counts or nil, err end
    counts.batches = counts.batches + 1
    -- What stands in the store is JSON.
    for _, native in ipairs(json.decode(json.encode(batch.upserts or {}))) do
      counts.upserts = counts.upserts + 1
      local event, unreadable = used.event:to(native)
      if event then
        if not mapping.equal(calendar.rows[native.id], native) then counts.changed[#counts.changed + 1] = native.id end
        calendar.rows[native.id] = native
      else
        calendar.unreadable = calendar.unreadable or {}
        calendar.unreadable[native.id] = tostring(unreadable)
      end
    end
    if batch.reset then
      listed = listed or {}
      for _, native in ipairs(batch.upserts or {}) do listed[native.id] = true end
    end
    for _, id in ipairs(batch.deletes or {}) do
      if calendar.rows[id] then counts.changed[#counts.changed + 1] = id end
      calendar.rows[id] = nil
      counts.deletes = counts.deletes + 1
    end
    if batch.reset and batch.more == false then
      for id in pairs(calendar.rows) do
        if not listed[id] then
          counts.changed[#counts.changed + 1] = id
          calendar.rows[id] = nil
        end
      end
      listed = nil
    end
    if batch.state and not (listed and batch.more) then calendar.state = json.decode(json.encode(batch.state)) end
    calendar.covers = batch.covers or calendar.covers
  end
end

---Asks a fresh copy of the calendar for everything.
function microsoft.anew(account, calendar, used)
  local copy = microsoft.calendar(calendar.id)
  assert(microsoft.pull(account, copy, used))
  return copy
end

---What differs between a calendar's table and one that was just asked for: "subject: field" each.
---@return string[]
function microsoft.differences(account, calendar, used)
  local fresh, list = microsoft.anew(account, calendar, used).rows, {}
  local function tell(id, row, what) list[#list + 1] = ("%s %s: %s"):format(tostring(row.subject), id:sub(-12), what) end
  for id, row in pairs(fresh) do
    local ours = calendar.rows[id]
    if not ours then tell(id, row, "is missing") end
    for field, value in pairs(ours and row or {}) do
      if not mapping.equal(ours[field], value) then tell(id, row, field) end
    end
    for field in pairs(ours or {}) do
      if row[field] == nil then tell(id, row, "too much: " .. field) end
    end
  end
  for id, row in pairs(calendar.rows) do
    if not fresh[id] then tell(id, row, "is gone") end
  end
  table.sort(list)
  return list
end

---An engine around a store, with one account at the emulator and its calendars mirrored.
---@param options { email: string?, limits: table? }?
---@return table engine
---@return table account
---@return table calendar row of the first
function microsoft.engine(emulated, options)
  options = options or {}
  local specs = require "spec.support.store"
  local registry = assert(provider.load { providers = { microsoft = { urls = { graph = emulated.url .. "/v1.0" }, ca_file = emulated.ca_file } } })
  local engine = {
    store = specs.open {}, providers = registry,
    config = { sync = { max_age = 30, deadline = 5 }, outgoing = {}, limits = options.limits or {} },
  }
  for _, part in ipairs { "write", "sync", "jobs", "changes" } do engine[part] = require("lunation." .. part).new(engine) end
  local email = options.email or "alice@example.com"
  assert(engine.store:app_add { id = "demo", name = "Demo" })
  local user = assert(engine.store:user("demo", "ada", { create = true }))
  local account = assert(engine.store:account_add {
    user = user.id, provider = "microsoft", identity = email, name = email, credentials = { token = emulated.users[email] }, settings = {},
  })
  assert(engine.sync:account(account.id, { force = true }))
  return engine, account, assert(engine.store:calendars { account = account.id })[1]
end

---The canonical events of a calendar's table, by id.
function microsoft.canonical(calendar, used)
  used = used or microsoft.provider()
  local result = {}
  for id, native in pairs(calendar.rows) do result[id] = assert(used.event:to(native)) end
  return result
end

return microsoft
