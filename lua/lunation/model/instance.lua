-- One instance of a series: the master with the patch of recurrenceOverrides applied (RFC 8984 section 4.3.5).
local null = require "lunation.null"

local M = {}

-- What belongs to the series and not to an instance of it.
local series_fields = {
  recurrenceRules = true, excludedRecurrenceRules = true, recurrenceOverrides = true,
  recurrenceId = true, recurrenceIdTimeZone = true,
}
-- What an override cannot change, or says nothing by.
local not_patched = {
  ["@type"] = true, uid = true, prodId = true, method = true, created = true, timeZones = true,
}

local function copy(value)
  if type(value) ~= "table" or value == null then return value end
  local result = {}
  for k, v in pairs(value) do result[k] = copy(v) end
  return setmetatable(result, getmetatable(value))
end

local function equal(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or a == null or b == null then return false end
  for k, v in pairs(a) do
    if k ~= "@type" and not equal(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if k ~= "@type" and a[k] == nil then return false end
  end
  return true
end

---Applies a PatchObject (RFC 8984 section 1.4.9) to an object, in place: keys are fields or paths "participants/bob/name", null
---takes away.
---@param target table
---@param patch table
---@return table target
function M.apply(target, patch)
  local keys = {}
  for key in pairs(patch) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local value = patch[key]
    if value == null then value = nil else value = copy(value) end
    if not key:find("/", 1, true) then
      target[key] = value
    else
      local at, parts = target, {}
      for part in key:gmatch("[^/]+") do parts[#parts + 1] = (part:gsub("~1", "/"):gsub("~0", "~")) end
      for i = 1, #parts - 1 do
        local below = at[parts[i]]
        if type(below) ~= "table" then
          at = nil
          break
        end
        at = below
      end
      -- A path whose parent is not there changes nothing (it is an invalid patch by the RFC).
      if at then at[parts[#parts]] = value end
    end
  end
  return target
end

---The instance of a series as its rule gives it, without the override. Shares its values with the series.
---@param event table canonical master
---@param key string local time of the instance, as a key of recurrenceOverrides
---@return table instance
function M.base(event, key)
  local instance = {}
  for field, value in pairs(event) do
    if not series_fields[field] then instance[field] = value end
  end
  instance.start = key
  return instance
end

---An instance as an event of its own, with recurrenceId.
---@param event table canonical master
---@param key string local time of the instance, as a key of recurrenceOverrides
---@return table? instance nil where the override excludes it
function M.flatten(event, key)
  local patch = (event.recurrenceOverrides or {})[key]
  if type(patch) == "table" and patch.excluded == true then return nil end
  local instance = copy(M.base(event, key))
  if type(patch) == "table" then M.apply(instance, patch) end
  instance.excluded = nil
  instance.recurrenceId = key
  instance.recurrenceIdTimeZone = event.timeZone
  return instance
end

---The patch that makes one object out of another: whole fields, null for what is gone.
---@param base table
---@param full table
---@return table patch
function M.diff(base, full)
  local patch = {}
  for field, value in pairs(full) do
    if not series_fields[field] and not not_patched[field] and not equal(base[field], value) then patch[field] = copy(value) end
  end
  for field in pairs(base) do
    if full[field] == nil and not series_fields[field] and not not_patched[field] and field ~= "updated" and field ~= "sequence" then
      -- No length is said in a word that every reader of a patch understands.
      patch[field] = field == "duration" and "PT0S" or null
    end
  end
  return patch
end

M.copy = copy
M.equal = equal

return M
