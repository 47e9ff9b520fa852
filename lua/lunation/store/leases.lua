--- Leases across workers: at most one holder of a name at a time, known by a number that only grows.

local holder = require "lunation.store.holder"

---@class lunation.Store
local leases = {}

--- Whether somebody holds it: it has not expired, and its process is not known to be dead.
local function held(row, now)
  return row.holder ~= nil and row.expires > now and holder.alive(row.holder) ~= false
end

--- Takes a lease.
---@param name string
---@param by string|nil the holder's name; this store object's
---@param ttl number seconds until it expires unless renewed
---@return integer? fence nil without an error: another holds it, lunation.Error?
function leases:lease(name, by, ttl)
  local now = self.clock()
  -- Looked at first: most who ask while another holds it need not take the write lock to learn so.
  local current, err = self.db:read(function(sql)
    return sql.row("SELECT holder, expires FROM leases WHERE name = ?", name)
  end)
  if err then return nil, err end
  if current and held(current, now) then return nil end
  return self.db:write(function(sql)
    sql.run("INSERT INTO leases (name, fence, expires) VALUES (?, 0, 0) ON CONFLICT (name) DO NOTHING", name)
    local row = sql.row("UPDATE leases SET fence = fence WHERE name = ? RETURNING holder, fence, expires", name)
    if held(row, now) then return nil end
    sql.run("UPDATE leases SET holder = ?, fence = ?, expires = ? WHERE name = ?",
      by or self.holder, row.fence + 1, now + ttl, name)
    return row.fence + 1
  end)
end

--- Keeps a lease for longer.
---@param name string
---@param fence integer
---@param ttl number seconds
---@return boolean? false: it is another's by now, lunation.Error?
function leases:lease_renew(name, fence, ttl)
  local now = self.clock()
  return self.db:write(function(sql)
    return sql.run("UPDATE leases SET expires = ? WHERE name = ? AND fence = ? AND holder IS NOT NULL",
      now + ttl, name, fence) > 0
  end)
end

--- Gives a lease back; nothing happens when it is another's by now.
---@param name string
---@param fence integer
---@return boolean? released, lunation.Error?
function leases:release(name, fence)
  return self.db:write(function(sql)
    return sql.run("UPDATE leases SET holder = NULL, expires = 0 WHERE name = ? AND fence = ?", name, fence) > 0
  end)
end

--- Whether a lease is held now, and the number of its last holder.
---@param name string
---@return boolean? held, integer|lunation.Error? fence
function leases:lease_held(name)
  local row, err = self.db:read(function(sql)
    return sql.row("SELECT holder, fence, expires FROM leases WHERE name = ?", name) or false
  end)
  if err then return nil, err end
  if not row then return false, 0 end
  return held(row, self.clock()), row.fence
end

return leases
