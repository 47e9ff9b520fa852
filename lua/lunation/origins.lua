-- Which web pages may call the API from a browser (CORS): the origins that some app trusts. A preflight carries no token,
-- so which app it is for cannot be told; what may be read is still the token's to say.

local timer = require "lunation.timer"

local origins = {}

local KEPT = 5 -- seconds until apps are looked at again

--- A mount's `origins` function.
---@param engine lunation.Engine
---@return fun(origin: string): boolean
function origins.trusted(engine)
  local set, read_at = {}, nil
  return function(origin)
    if not read_at or timer.now() - read_at > KEPT then
      local apps = engine.store:apps()
      read_at = timer.now()
      if apps then
        set = {}
        for _, app in ipairs(apps) do
          for _, trusted in ipairs(app.trusted_origins or {}) do set[trusted:gsub("/+$", "")] = true end
        end
      end
    end
    return set[origin] == true
  end
end

return origins
