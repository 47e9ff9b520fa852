--- Subscriptions to services' notices, and the syncs that notices ask for.

local json = require "lunation.json"
local notes = require "lunation.store.notes"

---@class lunation.Subscription
---@field id string ours, which the service sends back
---@field account integer
---@field calendar integer? key; nil: of the whole account
---@field provider string
---@field state "asked"|"active"|"refused"
---@field remote string? the service's id, where it has one of its own
---@field resource string?
---@field token string hash
---@field url string where its notices come to
---@field data table the provider's own
---@field error table?
---@field expires number?
---@field renew_at number

---@class lunation.Store
local subscriptions = {}

local COLUMNS = "id, account, calendar, provider, state, remote, resource, token, url, data, error, expires, renew_at, created"

local function from_row(row)
  if not row then return nil end
  row.data = json.decode(row.data)
  row.error = row.error and json.decode(row.error) or nil
  return row
end

--- Keeps one that is about to be asked for.
---@param row { id: string, account: integer, calendar: integer?, provider: string, token: string, url: string, renew_at: number }
---@return true?, lunation.Error?
function subscriptions:subscription_add(row)
  return self.db:write(function(sql)
    sql.run("INSERT INTO subscriptions (id, account, calendar, provider, state, token, url, data, renew_at, created) " ..
      "VALUES (?, ?, ?, ?, 'asked', ?, ?, '{}', ?, ?)",
      row.id, row.account, row.calendar, row.provider, row.token, row.url, row.renew_at, self.clock())
    return true
  end)
end

--- Notes what became of one.
---@param id string
---@param fields { state: string, remote: string?, resource: string?, data: table?, error: table?, expires: number?, renew_at: number }
---@return true?, lunation.Error?
function subscriptions:subscription_update(id, fields)
  local data = json.encode(json.object(fields.data or {}), { sorted = true })
  local failure = fields.error and notes.failure(fields.error) or nil
  return self.db:write(function(sql)
    sql.run("UPDATE subscriptions SET state = ?, remote = ?, resource = ?, data = ?, error = ?, expires = ?, renew_at = ? WHERE id = ?",
      fields.state, fields.remote, fields.resource, data, failure, fields.expires, fields.renew_at, id)
    return true
  end)
end

--- Has one looked after now.
---@param id string
---@return true?, lunation.Error?
function subscriptions:subscription_hurry(id)
  return self.db:write(function(sql)
    sql.run("UPDATE subscriptions SET renew_at = 0 WHERE id = ?", id)
    return true
  end)
end

---@param id string
---@return true?, lunation.Error?
function subscriptions:subscription_remove(id)
  return self.db:write(function(sql)
    sql.run("DELETE FROM subscriptions WHERE id = ?", id)
    return true
  end)
end

--- The subscription that a notice names, by our id or the service's.
---@param provider string
---@param name string
---@return lunation.Subscription?, lunation.Error?
function subscriptions:subscription(provider, name)
  return self.db:read(function(sql)
    local row = sql.row("SELECT " .. COLUMNS .. " FROM subscriptions WHERE id = ? AND provider = ?", name, provider)
    return from_row(row or sql.row("SELECT " .. COLUMNS .. " FROM subscriptions WHERE provider = ? AND remote = ?", provider, name))
  end)
end

---@param account integer
---@return lunation.Subscription[]?, lunation.Error?
function subscriptions:subscriptions(account)
  return self.db:read(function(sql)
    local found = sql.all("SELECT " .. COLUMNS .. " FROM subscriptions WHERE account = ? ORDER BY created, id", account)
    for _, row in ipairs(found) do from_row(row) end
    return found
  end)
end

--- Accounts with a subscription that wants looking after.
---@param now number
---@return integer[]?, lunation.Error?
function subscriptions:subscriptions_due(now)
  return self.db:read(function(sql)
    local ids = {}
    for index, row in ipairs(sql.all("SELECT DISTINCT account FROM subscriptions WHERE renew_at <= ? ORDER BY account", now)) do
      ids[index] = row.account
    end
    return ids
  end)
end

--- Whether an account, or one of its calendars, has never been asked for.
---@param account integer
---@param whole boolean one subscription is of the whole account
---@return boolean?, lunation.Error?
function subscriptions:subscriptions_missing(account, whole)
  return self.db:read(function(sql)
    if whole then return sql.value("SELECT 1 FROM subscriptions WHERE account = ? LIMIT 1", account) == nil end
    return sql.value("SELECT 1 FROM calendars c WHERE c.account = ? AND NOT EXISTS " ..
      "(SELECT 1 FROM subscriptions s WHERE s.account = c.account AND s.calendar = c.key) LIMIT 1", account) ~= nil
  end)
end

--- Accounts whose notices come: those with a subscription that holds.
---@return table<integer, boolean>?, lunation.Error?
function subscriptions:subscribed_accounts()
  local now = self.clock()
  return self.db:read(function(sql)
    local found = {}
    for _, row in ipairs(sql.all("SELECT DISTINCT account FROM subscriptions WHERE state = 'active' AND (expires IS NULL OR expires > ?)", now)) do
      found[row.account] = true
    end
    return found
  end)
end

--- Queues a sync of an account. One that waits already is enough; one that runs may have looked already, so that another
--- comes after it.
---@param account integer
---@param run_at number
---@return true?, lunation.Error?
function subscriptions:sync_queue(account, run_at)
  local now, payload = self.clock(), json.encode { account = account }
  return self.db:write(function(sql)
    for _, key in ipairs { tostring(account), account .. "+" } do
      local known = sql.row("SELECT id, state FROM jobs WHERE kind = 'push.sync' AND key = ?", key)
      if not known then
        sql.run("INSERT INTO jobs (kind, key, payload, state, run_at, max_attempts, created) VALUES ('push.sync', ?, ?, 'ready', ?, 8, ?)",
          key, payload, run_at, now)
        return true
      end
      if known.state == "dead" then
        sql.run("UPDATE jobs SET state = 'ready', attempts = 0, error = NULL, run_at = ? WHERE id = ?", run_at, known.id)
      end
      if known.state ~= "leased" then return true end
    end
    return true
  end)
end

return subscriptions
