-- A sign-in at a provider from the terminal (RFC 8252): its address is printed, the browser comes back to a listener on this
-- machine. State and proof stay in this process, so that nothing is left when it is interrupted.

local connecting = require "lunation.oauth.connecting"
local core = require "lunation.task.core"
local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local form = require "lunation.oauth.form"
local html = require "lunation.pages.html"
local output = require "lunation.cli.output"
local scopes = require "lunation.oauth.scope"
local server = require "lunation.server"
local session = require "lunation.session"
local task = require "lunation.task"

local sign_in = {}

--- Seconds.
local WAIT = 600

local PAGE = [[<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<body style="font:16px/1.5 system-ui,sans-serif;max-width:30em;margin:15vh auto;padding:0 1em"><h1>{title}</h1><p>{text}</p></body></html>]]

local function page(status, title, text)
  return {
    status = status, body = html.fill(PAGE, { title = title, text = text }),
    headers = {
      ["content-type"] = "text/html; charset=utf-8", ["cache-control"] = "no-store", ["referrer-policy"] = "no-referrer",
      ["content-security-policy"] = "default-src 'none'; style-src 'unsafe-inline'",
    },
  }
end

-- Where the configuration says that the browser comes back to.
local function configured(engine, provider)
  return (session.config(engine, provider).redirect_uris or {}).command
end

-- Where the browser comes back to. The loopback address is exempt from the exact match of redirect URIs in its port alone
-- (RFC 8252 section 7.3), so that a service which knows "localhost" is told "localhost".
local function address(engine, provider, port)
  local base = configured(engine, provider) or (provider.auth.loopback or "http://127.0.0.1") .. "/callback"
  if base:find "^https?://[^/]+:%d+%f[/\0]" then return base end
  return (base:gsub("^(https?://[^/]+)", "%1:" .. port, 1))
end

local function tell(url, json)
  if json then
    output.json { url = url }
  else
    io.stderr:write "Open this address in a browser on this machine, and come back here:\n"
    print(url)
  end
  io.stdout:flush()
end

--- Waits for the browser and keeps the account.
---@param engine lunation.Engine
---@param provider lunation.Provider
---@param wanted { app: table, user: string, port: integer?, wait: number?, json: boolean?, scope: string? }
---@return lunation.Account?
---@return lunation.Error?
function sign_in.run(engine, provider, wanted)
  local prepared, used, result
  local waiting = {}

  local function finish(query)
    local user, err = engine.store:user(wanted.app.id, wanted.user, { create = true })
    if not user then return nil, err end
    prepared.row.user = user.id
    return connecting.finish(engine, prepared.row, query, { sync = false })
  end

  local function come_back(req)
    local query = form.decode(req.query)
    if not prepared or used or not query.state or not crypto.equal(connecting.hash(query.state), prepared.row.state) then
      return page(400, "This is not expected", "Nobody waits for this answer.")
    end
    used = true
    local account, err = finish(query)
    result = table.pack(account, err)
    for _, ticket in ipairs(waiting) do core.unpark(ticket) end
    if not account then return page(400, "This did not work", tostring(err)) end
    return page(200, "Connected", ("%s is connected. You can close this window."):format(account.identity))
  end

  local port = wanted.port or tonumber((configured(engine, provider) or ""):match "^https?://[^/]+:(%d+)%f[/\0]") or 0
  local listener, busy = server.listen(("http://127.0.0.1:%d"):format(port), {}, come_back)
  if not listener then return nil, busy end
  local _ <close> = setmetatable({}, { __close = function() listener:close() end })
  local failure
  prepared, failure = connecting.prepare(engine, {
    app = wanted.app.id, provider = provider, scope = scopes.parse(wanted.scope), extras = scopes.extras(wanted.scope), kind = "command",
    redirect_uri = address(engine, provider, listener.url:match ":(%d+)/?$"),
  })
  if not prepared then return nil, failure end
  tell(prepared.url, wanted.json)
  local wait = wanted.wait or WAIT
  local came = task.deadline(wait, function()
    while not result do core.park(waiting) end
    return true
  end)
  if not came then return nil, errors.new("timeout", ("nobody came back from %s within %d s"):format(provider.title, math.floor(wait))) end
  listener:drain(2)
  return result[1], result[2]
end

return sign_in
