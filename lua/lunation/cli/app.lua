-- lunation app: the applications that may use the HTTP API, and tokens for their users.

local arguments = require "lunation.cli.arguments"
local errors = require "lunation.errors"
local output = require "lunation.cli.output"

--- Accounts whose grants are given back at a time.
local SIDE_BY_SIDE = 8

local json_option = { help = "as JSON" }

-- A value of a URL option: absolute, without a fragment (RFC 6749 section 3.1.2).
local function uri(text)
  if text:match "^%a[%w+.-]*:." and not text:find "[#%s]" then return text end
  return nil, "an absolute URI without fragment expected"
end

local function add(words, options, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  local clients = require "lunation.oauth.clients"
  local secret, id = clients.new_secret(), options.id or clients.new_id()
  if engine.store:app(id) then return nil, errors.new("conflict", ("there is an app `%s` already"):format(id)) end
  local app
  app, err = engine.store:app_add {
    id = id, name = words[1], secret = clients.hash(secret), redirect_uris = options.redirect_uri, webhook_url = options.webhook_url,
  }
  if not app then return nil, err end
  if options.json then
    output.json { id = app.id, name = app.name, client_id = app.id, client_secret = secret, redirect_uris = app.redirect_uris }
  else
    print("client id      " .. app.id)
    print("client secret  " .. secret)
    io.stderr:write "The secret is not shown again.\n"
  end
end

local function list(_, options, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  local apps
  apps, err = engine.store:apps()
  if not apps then return nil, err end
  if options.json then
    local json = require "lunation.json"
    for i, app in ipairs(apps) do
      apps[i] = { id = app.id, name = app.name, redirect_uris = app.redirect_uris, webhook_url = app.webhook_url, created = app.created }
    end
    output.json(json.array(apps))
    return
  end
  output.table(apps, {
    { "ID", "id" }, { "NAME", "name" },
    { "REDIRECT URIS", function(app) return table.concat(app.redirect_uris, " ") end },
  }, "There is no app yet; `lunation app add NAME` adds one.")
end

local function remove(words, _, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  local accounts, removed
  accounts, err = engine.store:accounts { app = words[1] }
  if not accounts then return nil, err end
  local work = {}
  for index, account in ipairs(accounts) do
    work[index] = function() return require("lunation.accounts").remove(engine, account) end
  end
  require("lunation.task").all(work, { limit = SIDE_BY_SIDE })
  removed, err = engine.store:app_remove(words[1])
  if err then return nil, err end
  if not removed then return nil, errors.new("not_found", ("there is no app `%s`"):format(words[1])) end
end

local function token(words, options, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  if not options.user then return nil, errors.new("usage", "`--user USER` is required") end
  if not engine.store:app(words[1]) then return nil, errors.new("not_found", ("there is no app `%s`"):format(words[1])) end
  local issued
  issued, err = engine.oauth:issue { app = words[1], user = options.user, scope = options.scope or "read-write", ttl = options.ttl }
  if not issued then return nil, err end
  if options.json then
    output.json { access_token = issued.access_token, token_type = issued.token_type, expires_in = issued.expires_in, scope = issued.scope }
  else
    print(issued.access_token)
  end
end

local scopes = { ["read-write"] = true, read = true, ["free-busy"] = true }

return {
  summary = "adds, lists and removes applications, and makes tokens for their users",
  order = { "add", "list", "remove", "token" },
  commands = {
    add = {
      summary = "adds an application; prints its client id and secret, once",
      usage = { "NAME [--redirect-uri URI]… [--webhook-url URL]" },
      least = 1,
      configured = true,
      options = {
        ["--redirect-uri"] = { value = "URI", many = true, read = uri, help = "where users may be sent back to; repeatable" },
        ["--webhook-url"] = { value = "URL", read = uri, help = "where changes are told" },
        ["--id"] = { value = "ID", help = "the client id, instead of a random one" },
        ["--json"] = json_option,
      },
      run = add,
    },
    list = { summary = "lists the applications", configured = true, options = { ["--json"] = json_option }, run = list },
    remove = { summary = "removes an application with its users and their accounts", usage = { "ID" }, least = 1, configured = true, run = remove },
    token = {
      summary = "makes an access token for a user of an application",
      usage = { "ID --user USER [--scope read-write|read|free-busy] [--ttl SECONDS]" },
      least = 1,
      configured = true,
      options = {
        ["--user"] = { value = "USER", help = "the application's own name of its user" },
        ["--scope"] = {
          value = "SCOPE", help = "read-write (default), read or free-busy",
          read = function(text)
            if scopes[text] then return text end
            return nil, "read-write, read or free-busy expected"
          end,
        },
        ["--ttl"] = { value = "SECONDS", help = "how long it is valid", read = arguments.count(1) },
        ["--json"] = json_option,
      },
      run = token,
    },
  },
}
