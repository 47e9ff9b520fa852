-- lunation account: the calendar accounts of users.

local arguments = require "lunation.cli.arguments"
local errors = require "lunation.errors"
local fs = require "lunation.fs"
local output = require "lunation.cli.output"
local scopes = require "lunation.oauth.scope"

local json_option = { help = "as JSON" }

local function id_of(word)
  local id = math.tointeger(tonumber(word))
  if id and id > 0 then return id end
  return nil, errors.new("usage", ("`%s` is not an account's id"):format(word))
end

-- The app that is named, else the only one there is.
local function find_app(engine, name)
  if name then
    local app, err = engine.store:app(name)
    if app or err then return app, err end
    return nil, errors.new("not_found", ("there is no app `%s`"):format(name))
  end
  local apps, err = engine.store:apps()
  if not apps then return nil, err end
  if #apps == 1 then return apps[1] end
  if #apps == 0 then return nil, errors.new("not_found", "there is no app yet; `lunation app add NAME` adds one") end
  return nil, errors.new("usage", ("there are %d apps: `--app ID` says which"):format(#apps))
end

local function one_line(text)
  return (text:gsub("\r?\n.*$", ""))
end

-- Asks on the terminal without showing what is typed.
local function ask_password(prompt)
  local process = require "lunation.process"
  io.stderr:write(prompt, ": ")
  process.run { args = { "stty", "-echo" }, stdin = true }
  local _ <close> = setmetatable({}, { __close = function()
    process.run { args = { "stty", "echo" }, stdin = true }
    io.stderr:write "\n"
  end })
  return io.read "l" or ""
end

local function read_credentials(provider, options)
  if provider.auth.kind == "none" then return {} end
  if options.token_stdin then return { token = one_line(io.read "a") } end
  if not options.username then return nil, errors.new("usage", "`--username NAME` is required") end
  local password
  if options.password_stdin then
    password = one_line(io.read "a")
  elseif fs.isatty(0) then
    password = ask_password("Password of " .. options.username)
  else
    return nil, errors.new("usage", "the password is read from standard input with `--password-stdin`")
  end
  if password == "" then return nil, errors.new("usage", "the password is empty") end
  return { username = options.username, password = password }
end

-- What the person at the command line names may be reached, wherever it is.
local function named_address(url)
  local scheme, authority = (url or ""):match "^(%a+)://([^/?#]+)"
  if not scheme then return {} end
  authority = authority:gsub("^.*@", "")
  if not authority:find ":%d+$" then authority = authority .. (scheme:lower() == "https" and ":443" or ":80") end
  return { authority }
end

local function say_added(account, app, options)
  if options.json then
    output.json { id = account.id, provider = account.provider, identity = account.identity, name = account.name, app = app.id, user = options.user }
  else
    print(account.id)
  end
end

local function add(words, options, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  if not options.user then return nil, errors.new("usage", "`--user USER` is required") end
  local provider = engine.providers:get(words[1])
  if not provider then
    return nil, errors.new("usage", ("there is no provider `%s`; there are %s"):format(words[1], table.concat(engine.providers:names(), ", ")))
  end
  local app, credentials, user, identity
  app, err = find_app(engine, options.app)
  if not app then return nil, err end
  if provider.auth.kind == "oauth2" and not options.token_stdin then
    local signed_in
    signed_in, err = require("lunation.cli.sign_in").run(engine, provider, {
      app = app, user = options.user, port = options.port, wait = options.wait, json = options.json, scope = options.scope,
    })
    if not signed_in then return nil, err end
    if signed_in.settings.calendarPermissionGranted == false then
      io.stderr:write(("lunation account add: %s did not give access to its calendars; add it again to be asked anew\n"):format(signed_in.identity))
    end
    return say_added(signed_in, app, options)
  end
  credentials, err = read_credentials(provider, options)
  if not credentials then return nil, err end
  local account = {
    provider = provider.name, url = options.url, username = options.username, name = options.name, credentials = credentials,
    settings = { allow = named_address(options.url) },
  }
  local outgoing = engine.config.outgoing
  local allow = table.move(outgoing.allow, 1, #outgoing.allow, #account.settings.allow + 1, { table.unpack(account.settings.allow) })
  account.guard = { allow = allow, allow_private = outgoing.allow_private }
  account = require("lunation.session").attach(engine, provider, account)
  identity, err = provider.identify(account)
  if not identity then return nil, err end
  user, err = engine.store:user(app.id, options.user, { create = true })
  if not user then return nil, err end
  local settings = identity.settings or {}
  settings.allow = account.settings.allow
  local stored
  stored, err = engine.store:account_add {
    user = user.id, provider = provider.name, identity = identity.identity, name = options.name or identity.name,
    url = identity.url or options.url, username = options.username, scope = "read-write", credentials = credentials, settings = settings,
  }
  if not stored then return nil, err end
  say_added(stored, app, options)
end

local function list(_, options, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  local accounts
  accounts, err = engine.store:accounts { app = options.app }
  if not accounts then return nil, err end
  local users, subscribed = {}, engine.store:subscribed_accounts()
  for _, account in ipairs(accounts) do
    account.updates = engine.subscriptions:way(account, subscribed)
    users[account.user] = users[account.user] or (engine.store:user_by_id(account.user) or {}).name
  end
  if options.json then
    local json = require "lunation.json"
    for i, account in ipairs(accounts) do
      accounts[i] = {
        id = account.id, app = account.app, user = users[account.user], provider = account.provider, identity = account.identity,
        name = account.name, url = account.url, status = account.status, synced_at = account.synced_at, updates = account.updates,
        calendarPermissionGranted = account.settings.calendarPermissionGranted,
        error = account.error and {
          code = account.error.code, message = account.error.message, reason = account.error.reason, details = account.error.details,
        },
      }
    end
    output.json(json.array(accounts))
    return
  end
  output.table(accounts, {
    { "ID", "id" }, { "PROVIDER", "provider" }, { "ACCOUNT", "identity" }, { "NAME", "name" },
    { "APP", "app" }, { "USER", function(account) return users[account.user] end },
    { "SYNCED", function(account)
      return account.synced_at and os.date("%Y-%m-%d %H:%M:%S", math.floor(account.synced_at)) or "never"
    end },
    { "UPDATES", "updates" },
    { "STATUS", function(account)
      return account.error and ("%s: %s"):format(account.status, account.error.message or account.error.code) or account.status
    end },
  }, "There is no account yet; `lunation account add PROVIDER --user USER` adds one.")
end

local function remove(words, _, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  local id, account, removed
  id, err = id_of(words[1])
  if not id then return nil, err end
  account, err = engine.store:account(id)
  if err then return nil, err end
  if account then removed, err = require("lunation.accounts").remove(engine, account) end
  if err then return nil, err end
  if not removed then return nil, errors.new("not_found", ("there is no account %d"):format(id)) end
end

local function sync_one(engine, account, progress)
  local counts, err = engine.sync:account(account.id, {
    force = true,
    progress = function(news)
      progress.update(("%d %s: %s %d of %d, %d events"):format(account.id, account.identity, news.calendar or "calendars",
        news.index or 0, news.calendars or 0, news.events or 0))
    end,
  })
  progress.finish()
  return counts, err
end

local function sync(words, options, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  local accounts
  if #words == 0 then
    accounts, err = engine.store:accounts {}
    if not accounts then return nil, err end
  else
    accounts = {}
    for _, word in ipairs(words) do
      local id, account
      id, err = id_of(word)
      if not id then return nil, err end
      account, err = engine.store:account(id)
      if err then return nil, err end
      if not account then return nil, errors.new("not_found", ("there is no account %d"):format(id)) end
      accounts[#accounts + 1] = account
    end
  end
  local failed, results = false, {}
  local progress = output.progress()
  for _, account in ipairs(accounts) do
    local counts, failure = sync_one(engine, account, progress)
    if not counts then
      failed = true
      io.stderr:write(("lunation account sync: %d %s: %s\n"):format(account.id, account.identity, tostring(failure)))
    elseif not options.json then
      print(("%d %s: %d created, %d updated, %d deleted"):format(account.id, account.identity, counts.created or 0,
        counts.updated or 0, counts.deleted or 0))
    end
    results[#results + 1] = { account = account.id, counts = counts, error = failure and { code = failure.code, message = tostring(failure) } }
  end
  if options.json then output.json(require("lunation.json").array(results)) end
  return failed and 1 or 0
end

local function token(words)
  local id, err = id_of(words[1])
  if not id then return nil, err end
  return nil, errors.new("unsupported", "tokens of single accounts belong to the accounts dialect, which this build does not serve; "
    .. "`lunation app token APP --user USER` makes one for all accounts of a user")
end

local function read_scope(text)
  local unknown = scopes.unknown(text)
  if not unknown then return text end
  return nil, ("`%s` is none of free-busy, read, read-write, contacts and resources"):format(unknown)
end

local app_option = { value = "ID", help = "the application; may be left out where there is only one" }

return {
  summary = "adds, lists, removes and syncs the calendar accounts of users",
  order = { "add", "list", "remove", "sync", "token" },
  commands = {
    add = {
      summary = "connects an account after its login was tried; prints its id",
      usage = {
        "PROVIDER --user USER [--app ID] [--url URL] [--username NAME] [--password-stdin] [--name NAME]",
        "google|microsoft --user USER [--app ID] [--scope SCOPE] [--port PORT] [--wait SECONDS]",
      },
      help = "An address given with --url may be private: it is allowed for this account.\n"
        .. "Providers with a sign-in of their own: prints its address, and waits on this machine until the browser comes back.",
      least = 1,
      configured = true,
      options = {
        ["--user"] = { value = "USER", help = "whose account it is: the application's own name of its user" },
        ["--app"] = app_option,
        ["--url"] = { value = "URL", help = "the server, the calendar home, or the feed" },
        ["--username"] = { value = "NAME", help = "the login there" },
        ["--password-stdin"] = { help = "reads the password from the first line of standard input" },
        ["--token-stdin"] = { help = "reads a Bearer token instead" },
        ["--port"] = {
          value = "PORT", read = arguments.count(1), help = "where the browser comes back to; any free one without it",
        },
        ["--scope"] = {
          value = "SCOPE", read = read_scope, help = "what is asked for there: free-busy, read or read-write, and contacts, resources besides",
        },
        ["--wait"] = { value = "SECONDS", read = arguments.seconds, help = "how long to wait for the browser, 10min unless told" },
        ["--name"] = { value = "NAME", help = "what the account is called" },
        ["--json"] = json_option,
      },
      run = add,
    },
    list = {
      summary = "lists accounts and how they fare",
      configured = true, options = { ["--app"] = app_option, ["--json"] = json_option }, run = list,
    },
    remove = {
      summary = "removes an account with its mirror; nothing is deleted at the provider",
      usage = { "ID" }, least = 1, configured = true, run = remove,
    },
    sync = {
      summary = "brings the mirror of these accounts, or of all, up to date",
      usage = { "[ID…]" }, most = math.maxinteger, configured = true, options = { ["--json"] = json_option }, run = sync,
    },
    token = { summary = "makes a token of the accounts dialect", usage = { "ID" }, least = 1, configured = true, run = token },
  },
}
