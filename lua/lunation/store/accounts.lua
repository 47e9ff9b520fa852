--- Accounts: a user's login at a provider, its credentials (encrypted), and how its mirror fares.

local json = require "lunation.json"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local fences = require "lunation.store.fences"
local notes = require "lunation.store.notes"

---@class lunation.Account
---@field id integer positive
---@field app string
---@field user integer
---@field provider string canonical name
---@field identity string what the provider knows the account by
---@field name string?
---@field url string?
---@field username string?
---@field scope string?
---@field status "active"|"reauth_required"
---@field status_at number?
---@field settings table the provider's own
---@field synced_at number? when the mirror was last known to be fresh
---@field calendars_at number? when the list of calendars was last fetched
---@field failures integer how often in a row a refresh has failed
---@field retry_at number? no refresh before this
---@field error table? the last failure, {code=, message=}
---@field created number

---@class lunation.NewAccount
---@field user integer
---@field provider string
---@field identity string
---@field name string?
---@field url string?
---@field username string?
---@field scope string?
---@field credentials table? {username=,password=} or {token=}
---@field settings table?

---@class lunation.Store
local accounts = {}

local COLUMNS = "id, app, user_id AS user, provider, identity, name, url, username, scope, status, status_at, settings, " ..
  "synced_at, calendars_at, failures, retry_at, error, created"

local function from_row(row)
  if not row then return nil end
  row.settings = json.decode(row.settings)
  if row.error then row.error = json.decode(row.error) end
  return row
end

local function seal(store, id, credentials)
  return crypto.seal(store.key, json.encode(credentials, { sorted = true }), tostring(id))
end

--- Adds an account. The same identity of the same provider and user is replaced in place and keeps its id, its mirror
--- and its created; whatever it suffered from is forgotten.
---@param account lunation.NewAccount
---@return lunation.Account?, lunation.Error?
function accounts:account_add(account)
  for _, field in ipairs { "provider", "identity" } do
    if type(account[field]) ~= "string" or account[field] == "" then
      return nil, errors.new("invalid_request", "an account has a " .. field, { field = field })
    end
  end
  local now = self.clock()
  return self.db:write(function(sql)
    local app = sql.value("SELECT app FROM users WHERE id = ?", account.user)
    if not app then return nil, errors.new("not_found", "no such user") end
    local before = sql.value("SELECT status FROM accounts WHERE user_id = ? AND provider = ? AND identity = ?",
      account.user, account.provider, account.identity)
    local id = sql.value("INSERT INTO accounts (app, user_id, provider, identity, name, url, username, scope, status, " ..
      "status_at, settings, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'active', ?, ?, ?) " ..
      "ON CONFLICT (user_id, provider, identity) DO UPDATE SET name = excluded.name, url = excluded.url, " ..
      "username = excluded.username, scope = excluded.scope, status = 'active', status_at = excluded.status_at, " ..
      "settings = excluded.settings, failures = 0, retry_at = NULL, error = NULL, calendars_at = NULL " ..
      "RETURNING id",
      app, account.user, account.provider, account.identity, account.name, account.url, account.username, account.scope,
      now, json.encode(json.object(account.settings or {})), now)
    if account.credentials then
      sql.run("UPDATE accounts SET credentials = ? WHERE id = ?", sql.blob(seal(self, id, account.credentials)), id)
    end
    local row = from_row(sql.row("SELECT " .. COLUMNS .. " FROM accounts WHERE id = ?", id))
    local kind = not before and "account.added" or before ~= "active" and "account.active"
    if kind then notes.write(sql, { account = id, kind = kind, about = notes.about(row) }, now) end
    return row
  end)
end

--- One account; with a scope, only if it is of that app and user.
---@param id integer
---@param scope lunation.store.Scope?
---@return lunation.Account?, lunation.Error?
function accounts:account(id, scope)
  return self.db:read(function(sql)
    local row = sql.row("SELECT " .. COLUMNS .. " FROM accounts WHERE id = ?", id)
    if not row or scope and (scope.app and scope.app ~= row.app or scope.user and scope.user ~= row.user) then
      return nil
    end
    return from_row(row)
  end)
end

--- Accounts in the order in which they were connected.
---@param filter { app: string?, user: integer?, provider: string?, identity: string?, ids: integer[]? }?
---@return lunation.Account[]?, lunation.Error?
function accounts:accounts(filter)
  filter = filter or {}
  local conditions, values = {}, {}
  for _, pair in ipairs { { "app", filter.app }, { "user_id", filter.user }, { "provider", filter.provider }, { "identity", filter.identity } } do
    if pair[2] ~= nil then
      conditions[#conditions + 1] = pair[1] .. " = ?"
      values[#values + 1] = pair[2]
    end
  end
  local wanted
  if filter.ids then
    wanted = {}
    for _, id in ipairs(filter.ids) do wanted[id] = true end
    if next(wanted) == nil then return {} end
    -- A few ids of a store of many accounts are looked up one by one, with a statement whose text does not vary.
    if #conditions == 0 then
      local found = {}
      local ids = {}
      for id in pairs(wanted) do ids[#ids + 1] = id end
      table.sort(ids)
      for _, id in ipairs(ids) do
        local row, err = self:account(id)
        if err then return nil, err end
        found[#found + 1] = row
      end
      return found
    end
  end
  local where = #conditions > 0 and " WHERE " .. table.concat(conditions, " AND ") or ""
  return self.db:read(function(sql)
    local found = {}
    for _, row in ipairs(sql.all("SELECT " .. COLUMNS .. " FROM accounts" .. where .. " ORDER BY id",
      table.unpack(values))) do
      if not wanted or wanted[row.id] then found[#found + 1] = from_row(row) end
    end
    return found
  end)
end

local UPDATABLE = {
  name = true, url = true, username = true, scope = true, status = true, status_at = true, synced_at = true,
  calendars_at = true, failures = true, retry_at = true, identity = true,
}

--- Changes fields of an account; json.null empties one.
---@param id integer
---@param fields table any of the account's fields, and `credentials`
---@param fence lunation.store.Fence? refused when the lease is another's by now
---@return lunation.Account?, lunation.Error?
function accounts:account_update(id, fields, fence)
  local sets, values = {}, {}
  local function set(column, value)
    sets[#sets + 1] = column .. " = ?"
    values[#values + 1] = value
  end
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  return self.db:write(function(sql)
    sets, values = {}, {}
    if fence and not fences.holds(sql, fence) then return nil, fences.lost(fence) end
    local empty = {}
    for _, name in ipairs(names) do
      local value = fields[name]
      if value == json.null then
        empty[#empty + 1] = name .. " = NULL"
      elseif name == "settings" then
        set("settings", json.encode(json.object(value)))
      elseif name == "error" then
        set("error", notes.failure(value))
      elseif name == "credentials" then
        set("credentials", sql.blob(seal(self, id, value)))
      elseif UPDATABLE[name] then
        set(name, value)
      else
        error("an account has no field " .. name .. " that can change")
      end
    end
    for _, text in ipairs(empty) do sets[#sets + 1] = text end
    local before = fields.status and sql.value("SELECT status FROM accounts WHERE id = ?", id)
    if #sets > 0 then
      values[#values + 1] = id
      sql.run("UPDATE accounts SET " .. table.concat(sets, ", ") .. " WHERE id = ?", table.unpack(values))
    end
    local row = sql.row("SELECT " .. COLUMNS .. " FROM accounts WHERE id = ?", id)
    if not row then return nil, errors.new("not_found", "no such account") end
    if before and before ~= row.status then
      notes.write(sql, { account = id, kind = "account." .. row.status, about = notes.about(row) }, self.clock())
    end
    return from_row(row)
  end)
end

--- Removes an account with its mirror and what is open on it.
---@param id integer
---@return boolean? removed, lunation.Error?
function accounts:account_remove(id)
  return self.db:erasing(function(sql)
    local row = sql.row("SELECT " .. COLUMNS .. " FROM accounts WHERE id = ?", id)
    if not row then return false end
    sql.run("DELETE FROM accounts WHERE id = ?", id)
    -- The feed tells of events in full.
    sql.run("DELETE FROM changes WHERE account = ? AND calendar IS NOT NULL", id)
    notes.write(sql, { account = id, kind = "account.removed", about = notes.about(row) }, self.clock())
    return true
  end)
end

--- The credentials of an account in the clear.
---@param id integer
---@return table? {username=,password=} or {token=}; empty where the account has none, lunation.Error?
function accounts:credentials(id)
  local sealed, err = self.db:read(function(sql)
    local row = sql.row("SELECT credentials FROM accounts WHERE id = ?", id)
    if not row then return nil, errors.new("not_found", "no such account") end
    return row.credentials or false
  end)
  if err then return nil, err end
  if not sealed then return {} end
  local plain = crypto.open(self.key, sealed, tostring(id))
  if not plain then
    return nil, errors.new("internal", "the credentials of account " .. id .. " were sealed with another key",
      { account = id })
  end
  return json.decode(plain)
end

--- Puts new tokens in the place of those they were got with; on the disk when this returns. Where others stand there by
--- now, those are given back and nothing is changed.
---@param id integer
---@param before table the credentials that were used
---@param credentials table
---@return table? credentials that stand now, lunation.Error?
function accounts:credentials_replace(id, before, credentials)
  return self.db:durable(function(sql)
    local sealed = sql.value("SELECT credentials FROM accounts WHERE id = ?", id)
    local plain = sealed and crypto.open(self.key, sealed, tostring(id))
    if not plain then return nil, errors.new("not_found", "no such account, or none with credentials") end
    local stands = json.decode(plain)
    if stands.refresh_token ~= before.refresh_token then return stands end
    sql.run("UPDATE accounts SET credentials = ? WHERE id = ?", sql.blob(seal(self, id, credentials)), id)
    return credentials
  end)
end

return accounts
