-- Globals are locked: reading one that is not there, or making one, is an error that names it.

local strict = {}

local allowed = { arg = true }

--- Locks the globals of this state. What was there stays.
function strict.lock()
  if getmetatable(_G) then return end
  setmetatable(_G, {
    __index = function(_, name)
      if allowed[name] then return nil end
      error(("there is no global `%s`; a `local` is missing, or it is misspelt"):format(tostring(name)), 2)
    end,
    __newindex = function(_, name)
      error(("the global `%s` would be made here; write `local %s`"):format(tostring(name), tostring(name)), 2)
    end,
    __metatable = "locked",
  })
end

--- Adds a folder to where modules are searched.
---@param directory string
function strict.path(directory)
  package.path = directory .. "/?.lua;" .. directory .. "/?/init.lua;" .. package.path
end

return strict
