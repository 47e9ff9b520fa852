--- Fencing: a write that was prepared under a lease is refused once the lease is another's.

local errors = require "lunation.errors"

---@class lunation.store.Fence
---@field name string of the lease
---@field fence integer the number under which it was taken

local fences = {}

--- Whether a lease is still held under this number. Run inside the transaction of the write that depends on it.
---@param sql lunation.store.Sql
---@param fence lunation.store.Fence
---@return boolean
function fences.holds(sql, fence)
  return sql.value("SELECT fence FROM leases WHERE name = ?", fence.name) == fence.fence
end

---@param fence lunation.store.Fence
---@return lunation.Error
function fences.lost(fence)
  return errors.new("conflict", "the lease " .. fence.name .. " is another's by now", { lease = fence.name })
end

return fences
