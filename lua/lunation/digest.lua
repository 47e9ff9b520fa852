-- A name for what Lua values do, functions with what they hold included: the same in every process, another where a constant, a
-- table or the code of a function is another. Works in stock Lua, too.
local null = require "lunation.null"

local M = {}

local function hash(text)
  local ok, crypto = pcall(require, "lunation.crypto")
  if ok and type(crypto) == "table" and crypto.sha256 then return crypto.hex(crypto.sha256(text)) end
  local a, b = 0xcbf29ce484222325, 0x84222325cbf29ce4
  for i = 1, #text do
    a = (a ~ text:byte(i)) * 0x100000001b3
    b = (b ~ text:byte(-i)) * 0x100000001b3
  end
  return ("%016x%016x"):format(a, b)
end

-- Tables that say nothing of what uses them: Lua's own, and those that only remember something.
local apart = setmetatable({}, { __mode = "k" })
for _, name in ipairs { "_G", "string", "table", "math", "os", "io", "debug", "coroutine", "utf8", "package" } do
  if _G[name] then apart[_G[name]] = true end
end

local function describe(value, out, seen)
  local kind = type(value)
  if kind == "table" and value ~= null then
    if seen[value] then
      out[#out + 1] = "@" .. seen[value]
      return
    end
    seen.count = seen.count + 1
    seen[value] = seen.count
    local keys = {}
    for k in pairs(value) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    out[#out + 1] = "{"
    for _, k in ipairs(keys) do
      if type(k) ~= "table" and type(k) ~= "function" then
        out[#out + 1] = tostring(k) .. "="
        describe(value[k], out, seen)
      end
    end
    out[#out + 1] = "}"
  elseif kind == "function" then
    if seen[value] then
      out[#out + 1] = "@" .. seen[value]
      return
    end
    seen.count = seen.count + 1
    seen[value] = seen.count
    local dumped, code = pcall(string.dump, value, true)
    out[#out + 1] = dumped and code or "native"
    local i = 1
    -- What a function of C holds is the host's own, and at another place in every process.
    while dumped do
      local name, upvalue = debug.getupvalue(value, i)
      if not name then break end
      -- Libraries are the host's own; what a mapping's author wrote is constants, tables and functions.
      if name ~= "_ENV" and not (upvalue ~= nil and apart[upvalue]) and seen.count < 2000 then describe(upvalue, out, seen) end
      i = i + 1
    end
  elseif kind == "userdata" or kind == "thread" then
    out[#out + 1] = kind .. ";"
  else
    out[#out + 1] = kind .. ":" .. tostring(value) .. ";"
  end
end

---Leaves a table out: what is in it is only remembered.
---@param cache table
function M.leave_out(cache) apart[cache] = true end

---@param fields table<string, any>
---@param order string[] keys of the fields
---@return string hexadecimal
function M.of(fields, order)
  local out, seen = {}, { count = 0 }
  for _, field in ipairs(order) do
    out[#out + 1] = field
    describe(fields[field], out, seen)
  end
  return hash(table.concat(out, "\0"))
end

return M
