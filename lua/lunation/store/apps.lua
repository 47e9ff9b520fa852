--- Apps (who may ask) and their users (for whom).

local json = require "lunation.json"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"

---@class lunation.App
---@field id string
---@field name string
---@field secret string? hash of the client secret, as the caller made it
---@field redirect_uris string[]
---@field webhook_url string?
---@field trusted_origins string[]
---@field branding table
---@field created number

---@class lunation.User
---@field id integer
---@field app string
---@field name string the name that the app gives its user
---@field created number

---@class lunation.Store
local apps = {}

local COLUMNS = "id, name, secret, redirect_uris, webhook_url, trusted_origins, branding, created"

local function from_row(row)
  if not row then return nil end
  row.redirect_uris = json.decode(row.redirect_uris)
  row.trusted_origins = json.decode(row.trusted_origins)
  row.branding = json.decode(row.branding)
  return row
end

--- Adds an app, or replaces what an app of the same id says (its users and accounts stay).
---@param app { id: string?, name: string, secret: string?, redirect_uris: string[]?, webhook_url: string?, trusted_origins: string[]?, branding: table? }
---@return lunation.App?, lunation.Error?
function apps:app_add(app)
  if type(app.name) ~= "string" or app.name == "" then
    return nil, errors.new("invalid_request", "an app has a name", { field = "name" })
  end
  local id = app.id or crypto.uuid()
  return self.db:write(function(sql)
    return from_row(sql.row("INSERT INTO apps (" .. COLUMNS .. ") VALUES (?, ?, ?, ?, ?, ?, ?, ?) " ..
      "ON CONFLICT (id) DO UPDATE SET name = excluded.name, secret = COALESCE(excluded.secret, apps.secret), " ..
      "redirect_uris = excluded.redirect_uris, webhook_url = excluded.webhook_url, " ..
      "trusted_origins = excluded.trusted_origins, branding = excluded.branding RETURNING " .. COLUMNS,
      id, app.name, app.secret, json.encode(json.array(app.redirect_uris or {})), app.webhook_url,
      json.encode(json.array(app.trusted_origins or {})), json.encode(json.object(app.branding or {})), self.clock()))
  end)
end

---@param id string
---@return lunation.App?, lunation.Error?
function apps:app(id)
  return self.db:read(function(sql)
    return from_row(sql.row("SELECT " .. COLUMNS .. " FROM apps WHERE id = ?", id))
  end)
end

---@return lunation.App[]?, lunation.Error?
function apps:apps()
  return self.db:read(function(sql)
    local rows = sql.all("SELECT " .. COLUMNS .. " FROM apps ORDER BY created, id")
    for _, row in ipairs(rows) do from_row(row) end
    return rows
  end)
end

--- Removes an app with all that belongs to it.
---@param id string
---@return boolean? removed, lunation.Error?
function apps:app_remove(id)
  return self.db:write(function(sql)
    return sql.run("DELETE FROM apps WHERE id = ?", id) > 0
  end)
end

--- The user of an app by the name that the app gives it.
---@param app_id string
---@param name string
---@param options { create: boolean? }?
---@return lunation.User? nil without an error: there is none, lunation.Error?
function apps:user(app_id, name, options)
  local found, err = self.db:read(function(sql)
    return sql.row("SELECT id, app, name, created FROM users WHERE app = ? AND name = ?", app_id, name)
  end)
  if found or err or not (options and options.create) then return found, err end
  return self.db:write(function(sql)
    if not sql.row("SELECT id FROM apps WHERE id = ?", app_id) then
      return nil, errors.new("not_found", "no such app: " .. tostring(app_id))
    end
    sql.run("INSERT INTO users (app, name, created) VALUES (?, ?, ?) ON CONFLICT (app, name) DO NOTHING",
      app_id, name, self.clock())
    return sql.row("SELECT id, app, name, created FROM users WHERE app = ? AND name = ?", app_id, name)
  end)
end

---@param id integer
---@return lunation.User?, lunation.Error?
function apps:user_by_id(id)
  return self.db:read(function(sql)
    return sql.row("SELECT id, app, name, created FROM users WHERE id = ?", id)
  end)
end

return apps
