-- What Google's specs share: an emulator, an account at it, a calendar whose mirror is a table, and an engine around a store.
local emulator = require "spec.support.emulator"
local http = require "lunation.http"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local oauth = require "spec.support.oauth"
local provider = require "lunation.provider"
local session = require "lunation.google.session"

local google = {}

---The provider as it ships.
function google.provider()
  return assert(assert(provider.load()):get "google")
end

---@param args string[]? further words of its command
---@return spec.Emulator
function google.start(args)
  return emulator.start("google", { users = { ["alice@example.com"] = "token-alice", ["bob@example.com"] = "token-bob" }, args = args })
end

---What the configuration says where Google is the emulator.
function google.urls(emulated)
  return { calendar = emulated.url, people = emulated.url, directory = emulated.url }
end

---An account at the emulator, without a store.
---@param emulated spec.Emulator
---@param email string?
---@param options { limits: table?, config: table?, settings: table? }?
function google.account(emulated, email, options)
  email, options = email or "alice@example.com", options or {}
  local config = { urls = google.urls(emulated) }
  for name, v in pairs(options.config or {}) do config[name] = v end
  local account = oauth.account(google.provider(), {
    config = config, credentials = { token = emulated.users[email] }, settings = options.settings or {}, limits = options.limits,
  })
  account.identity = email
  return account
end

---A request of somebody else's program, as the account: straight to Google.
---@return table answer
function google.raw(emulated, method, path, body, email)
  local answer = assert(http.request {
    method = method, url = emulated.url .. "/calendar/v3" .. path, json = body,
    auth = { kind = "bearer", token = emulated.users[email or "alice@example.com"] },
  })
  assert(answer.status < 300, ("%s %s: %d %s"):format(method, path, answer.status, answer.body))
  return answer.body ~= "" and json.decode(answer.body) or {}
end

google.escape = session.escape

---A calendar whose mirror is a table: `calendar.rows` is what a store would hold.
function google.calendar(id, fields)
  local calendar = { id = id, rows = {}, timeZone = "UTC" }
  for name, v in pairs(fields or {}) do calendar[name] = v end
  function calendar.mirrored(event)
    return mapping.copy(calendar.rows[event])
  end
  return calendar
end

---Takes what changed into the calendar's rows, as the mirror does.
---@return table? state, table|lunation.Error counts
function google.sync(of, account, calendar, state)
  local counts = { batches = 0, upserts = 0, deletes = 0, reset = false }
  local following, err = of.changes(account, calendar, state)
  if not following then return nil, err end
  local named, listing = {}, false
  while true do
    local batch, failure = following()
    if not batch then
      if failure then return nil, failure end
      return state, counts
    end
    counts.batches, counts.reset = counts.batches + 1, counts.reset or batch.reset or false
    listing = listing or batch.reset or false
    for _, native in ipairs(batch.upserts) do
      -- Through JSON, as through a store.
      calendar.rows[native.id] = json.decode(json.encode(native))
      named[native.id], counts.upserts = true, counts.upserts + 1
    end
    for _, id in ipairs(batch.deletes) do calendar.rows[id], counts.deletes = nil, counts.deletes + 1 end
    state = batch.state and json.decode(json.encode(batch.state)) or state
    if listing and not batch.more then
      for id in pairs(calendar.rows) do
        if not named[id] then calendar.rows[id] = nil end
      end
    end
  end
end

---What the rows mean, by id.
function google.meaning(of, rows)
  local result = {}
  for id, native in pairs(rows) do result[id] = assert(of.event:to(native)) end
  return result
end

---Asserts that nobody broke Google's contract; without a contract at hand that is left open.
function google.assert_contract(emulated)
  if not emulated.has_contract then return end
  local violations = emulated.violations()
  assert(#violations == 0, json.encode(violations, { pretty = true }))
end

return google
