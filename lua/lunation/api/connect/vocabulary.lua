--- The provider names of the dialect. Four of them are words of its contract, whether this installation has such a
--- provider or not; every other is known by the provider's own table.

local vocabulary = {}

vocabulary.always = { "google", "microsoft", "apple", "caldav" }

local known = {}
for _, name in ipairs(vocabulary.always) do known[name] = { name = name, can = {} } end

---@param providers table the registry
---@param name string
---@return table|nil provider one that is not installed has a name, and no accounts
---@return lunation.Error|nil
function vocabulary.provider(providers, name)
  local provider, err = providers:get(name)
  if provider then return provider end
  return known[name], not known[name] and err or nil
end

return vocabulary
