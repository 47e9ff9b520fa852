-- Calendars that exist only in lunation's own store: nothing is upstream, and the mirror is the truth. A native event is the
-- canonical one with a tag of its content.
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local json = require "lunation.json"

-- Two texts of the same event are equal, whatever the order in which its table was made.
local function tag(event)
  return '"' .. crypto.hex(crypto.sha256(json.encode(event, { sorted = true }))):sub(1, 32) .. '"'
end

local function native(id, event)
  return { id = id, etag = tag(event), event = event }
end

return {
  name = "local",
  title = "lunation",
  aliases = {},
  auth = { kind = "none" },
  can = { write = true, incremental = true },

  event = {
    to = function(_, stored) return stored.event end,
    from = function(_, canonical, patch_of) return { id = patch_of and patch_of.id, etag = patch_of and patch_of.etag, event = canonical } end,
  },
  calendar = mapping {
    id = "id",
    title = default("title", "Calendar"),
    description = "description",
    color = "color",
    timeZone = "timeZone",
    readOnly = default("readOnly", false),
    components = default("components", { "VEVENT" }),
    primary = default("primary", false),
  },

  ---@param account {username:string?, name:string?, settings:table?}
  identify = function(account)
    local settings = account.settings or {}
    local identity = account.username or account.name or "local"
    if not settings.calendars or #settings.calendars == 0 then
      -- The first calendar is called by the account, so that an account that is added again finds its events.
      settings = { calendars = { { id = identity, title = account.name or "Calendar", primary = true } } }
    end
    return { identity = identity, name = account.name or "Calendar", settings = settings }
  end,

  calendars = function(account)
    local list = {}
    for index, calendar in ipairs(account.settings and account.settings.calendars or {}) do
      local copy = {}
      for key, value in pairs(calendar) do copy[key] = value end
      if copy.primary == nil then copy.primary = index == 1 end
      list[index] = copy
    end
    return list
  end,

  -- What the store holds did not change behind its back.
  changes = function()
    return function() return nil end
  end,

  create = function(_, _, stored, opts)
    local id = opts and opts.id or stored.id or stored.event.uid
    if not id then return nil, errors.new("invalid_request", "The event has no UID.", { field = "uid" }) end
    return native(id, stored.event)
  end,

  update = function(_, _, stored, opts)
    if opts and opts.etag and stored.etag and opts.etag ~= stored.etag then
      return nil, errors.new("precondition_failed", "The event was changed in the meantime.", { provider = "local" })
    end
    return native(stored.id or opts and opts.id, stored.event)
  end,

  delete = function() return true end,

  original = function(stored) return { id = stored.id, etag = stored.etag } end,
  new_id = function(uid) return uid end,
}
