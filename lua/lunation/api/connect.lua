--- The connect dialect: the API of Mobiscroll Connect, as its own clients call it.
--
-- This file is its table of contents: every route, and who may call it.

local access = require "lunation.api.connect.access"
local calendars = require "lunation.api.connect.calendars"
local connections = require "lunation.api.connect.connections"
local event = require "lunation.api.connect.event"
local events = require "lunation.api.connect.events"
local failure = require "lunation.api.connect.failure"
local oauth = require "lunation.api.connect.oauth"
local pages = require "lunation.oauth.browser"

local connect = { name = "connect", event = require("lunation.api.connect.event_mapping").event }

---Paths that end in one of these speak the language of the token endpoint, errors too.
local TOKEN = { ["/api/oauth/token"] = true, ["/api/token"] = true }

---The routes of the dialect, for `serve` to mount.
---@param engine table
---@return { mount: string, routes: table, error: fun(req: table, err: any): table }
function connect.routes(engine)
  local function token(needs, handler) return { handler = access.token(engine, needs, handler) } end
  local function open(handler)
    return { handler = function(req) return handler(engine, req) end }
  end
  local exchange, revoke = open(oauth.token), open(oauth.revoke)
  local status, disconnect = token("free-busy", connections.status), token("free-busy", connections.disconnect)
  local browser = pages.routes(engine, "/api/oauth")

  local routes = {
    ["/health"] = { GET = open(function() return access.answer { status = "ok" } end) },

    ["/oauth/token"] = { POST = exchange },
    ["/oauth/revoke"] = { POST = revoke },
    ["/oauth/connection-status"] = { GET = status },
    ["/oauth/disconnect"] = { POST = disconnect },
    -- As the documents of the API spell them.
    ["/token"] = { POST = exchange },
    ["/revoke"] = { POST = revoke },
    ["/connection-status"] = { GET = status },
    ["/disconnect"] = { POST = disconnect },
    ["/authorize"] = browser["/authorize"],

    ["/calendars"] = { GET = token("free-busy", calendars.list) },
    ["/events"] = { GET = token("free-busy", events.list) },
    ["/event"] = {
      POST = token("read-write", event.create),
      PUT = token("read-write", event.update),
      DELETE = token("read-write", event.delete),
    },
  }
  -- The pages that a person sees on the way to a token.
  for path, methods in pairs(browser) do routes["/oauth" .. path] = methods end

  return {
    mount = "/api", routes = routes,
    error = function(req, err)
      local path = (req.path or ""):gsub("/+$", "")
      if TOKEN[path] then return failure.token(err) end
      return failure.response(req, err)
    end,
  }
end

return connect
