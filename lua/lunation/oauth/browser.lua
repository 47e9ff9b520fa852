--- The pages between an application and its token: choose accounts, sign in, consent, and the way back.
--
-- Everything works without JavaScript: links, forms, and redirects after each form.

local accounts = require "lunation.oauth.accounts"
local removal = require "lunation.accounts"
local authorize = require "lunation.oauth.authorize"
local connecting = require "lunation.oauth.connecting"
local errors = require "lunation.errors"
local form = require "lunation.oauth.form"
local language = require "lunation.pages.language"
local layout = require "lunation.pages.layout"
local log = require "lunation.log"
local session = require "lunation.oauth.session"
local views = require "lunation.pages.views"

local browser = {}

-- Attempts at a credential form, by user and by address, in a window of seconds.
local USER_ATTEMPTS, REMOTE_ATTEMPTS, WINDOW = 10, 100, 600
-- Requests of browsers that are kept for an address in that time.
local BEGINNINGS = 600

local function display_name(app)
  return app.branding.displayName or app.name
end

local function redirect(location, status, cookies)
  return {
    status = status or 303,
    headers = { location = location, ["cache-control"] = "no-store", ["referrer-policy"] = "no-referrer", ["set-cookie"] = cookies },
    body = "",
  }
end

---@param req table
---@param options { key: string, status: integer|nil, app: table|nil, data: table|nil, values: table|nil }
local function failure(req, options)
  local data = options.data or {}
  local query = form.decode(req.query)
  local tag = language.choose(data.language or query.lng, req.headers["accept-language"])
  local text = language.texts(tag)
  local title, body = views.failure {
    text = text, message = text(options.key, options.values), app = options.app and display_name(options.app),
    cancel = options.app and data.redirect_uri and authorize.back(data, { { "error", "access_denied" } }) or nil,
  }
  local theme = data.theme or ((query.theme == "light" or query.theme == "dark") and query.theme or nil)
  return layout.response {
    status = options.status or 400, title = title, body = body, language = tag, theme = theme, app = options.app, redirect_uri = data.redirect_uri,
  }
end

---A page of a request under way.
---@param step table what `browser.step` gathered
local function page(step, title, body, status)
  return layout.response {
    status = status, title = title, body = body, language = step.language, theme = step.data.theme, app = step.app,
    redirect_uri = step.data.redirect_uri,
  }
end

---@class lunation.page.step
---@field engine table
---@field req table
---@field request table of the store
---@field data lunation.authorization
---@field app table
---@field text function
---@field language string
---@field fields table<string, string> of the form
---@field base string path of the pages
---@field link fun(path: string, params: table|nil): string

---A request under way, if it is this browser's; else the page that says why not.
---@param engine table
---@param base string path of the pages
---@param req table
---@param query table<string, string>
---@param id string|nil of the request; the query's, or the last one
---@return lunation.page.step|nil
---@return table|nil response
local function open_step(engine, base, req, query, id)
  local request, reason = session.load(engine, req, id)
  if not request then return nil, failure(req, { key = "failure_" .. reason, status = reason == "browser" and 403 or 400 }) end
  local app = engine.store:app(request.app)
  if not app then return nil, failure(req, { key = "failure_client", status = 401 }) end
  local tag = language.choose(request.data.language, req.headers["accept-language"])
  return {
    engine = engine, req = req, request = request, data = request.data, app = app, text = language.texts(tag), language = tag,
    query = query, fields = {}, base = base,
    link = function(path, params)
      local list = { { "request", request.id } }
      for _, pair in ipairs(params or {}) do list[#list + 1] = pair end
      return base .. path .. "?" .. form.encode(list)
    end,
  }
end

---The handler of a step: it runs only for the browser that began the request, and on forms only when they are ours.
---@param engine table
---@param base string path of the pages
---@param handler fun(step: lunation.page.step): table
---@return fun(req: table): table
local function step_of(engine, base, handler)
  return function(req)
    local query = form.decode(req.query)
    local step, refusal = open_step(engine, base, req, query, query.request)
    if not step then return refusal end
    local request, app = step.request, step.app
    if req.method == "POST" then
      step.fields = form.decode(req.body)
      if not session.genuine(engine, req, request, step.fields.csrf) then
        return failure(req, { key = "failure_form", status = 403, app = app, data = request.data })
      end
      for name, value in pairs(step.fields) do
        if not utf8.len(value) or value:find("%z") then step.fields[name] = "" end
      end
    end
    return handler(step)
  end
end

---The user's accounts, as this browser may see them.
---@param step lunation.page.step
---@return table[] list
local function connected(step)
  local store = step.engine.store
  local user = store:user(step.app.id, step.data.user)
  if not user then return {} end
  local proven = store:browser_accounts(step.request.browser) or {}
  local list = {}
  for _, account in ipairs(store:accounts { app = step.app.id, user = user.id } or {}) do
    local provider = step.engine.providers:get(account.provider)
    local own = proven[account.id] == true
    -- Accounts one signs in to are told apart by where they are.
    local name = account.username and account.identity or account.name or account.identity
    list[#list + 1] = {
      id = account.id, proven = own, identity = own and name or accounts.masked(account.identity),
      provider = provider and provider.title or account.provider, reauth = account.status == "reauth_required",
    }
  end
  return list
end

---One of the user's accounts that this browser has proved to own.
local function own_account(step, id)
  for _, account in ipairs(connected(step)) do
    if account.proven and tostring(account.id) == tostring(id) then return account end
  end
end

local function cancel_link(step)
  return authorize.back(step.data, { { "error", "access_denied" } })
end

-- The path of the callback, below that of the site.
local function callback_path(base, engine, name)
  local site = (engine.config.public_url or ""):match("^%a+://[^/]+(/.-)/*$") or ""
  return base:sub(#site + 1) .. "/callback/" .. name
end

-- Steps ---------------------------------------------------------------------------------------------------------------

---Where the application sends the browser.
local function begin(engine, base, req)
  local request, err = authorize.read(engine, req.query)
  if not request then
    if err.redirect then return redirect(err.redirect, 302) end
    return failure(req, { key = err.page, status = errors.status(err), app = err.app })
  end
  local ok, limited = engine.oauth:attempt("authorize:" .. tostring(req.remote), BEGINNINGS, WINDOW)
  if not ok then
    local minutes = math.ceil((limited.retry_after or 60) / 60)
    return failure(req, { key = "error_limit", status = errors.status(limited), app = request.app, data = request.data, values = { minutes = minutes } })
  end
  local secret, cookie = session.browser(engine, req)
  local id, failed = session.begin(engine, secret, request.app.id, request.data)
  if not id then
    log.error("an authorization request could not be kept", { reason = tostring(failed) })
    return failure(req, { key = "failure_generic", status = 500, app = request.app, data = request.data })
  end
  return redirect(("%s/accounts?%s&%s"):format(base, form.encode { { "request", id } }, request.kept), 302, { cookie, session.request_cookie(engine, req, id) })
end

-- What the list of accounts says of a sign-in at a provider that came to nothing, or to less than was asked.
local TROUBLES = {
  denied = "error_denied", permission = "error_permission", full = "error_too_many_accounts", generic = "error_generic", unreachable = "error_unreachable",
}

---The list of accounts, and the providers of further ones.
local function show_accounts(step)
  local list = connected(step)
  local done
  for _, account in ipairs(list) do
    if account.proven then account.remove = step.link("/accounts/remove", { { "account", account.id } }) end
    if step.query.added == tostring(account.id) and account.proven then done = step.text("added", { account = account.identity }) end
  end
  if step.query.removed then done = step.text("removed", { account = step.query.removed:sub(1, 255) }) end
  local problem = TROUBLES[step.query.trouble]
  local providers = {}
  for index, provider in ipairs(accounts.choices(step.engine, step.data.providers)) do
    providers[index] = { name = provider.name, title = provider.title, icon = provider.icon, href = step.link("/accounts/add/" .. provider.name) }
  end
  return page(step, views.accounts {
    text = step.text, app = display_name(step.app), accounts = list, providers = providers, done = done,
    problem = problem and step.text(problem) or nil, problem_heading = step.text "error_heading",
    continue = #list > 0 and step.link "/consent" or nil, cancel = cancel_link(step),
  })
end

---@param step lunation.page.step
---@param provider lunation.page.provider
---@param wrong table<string, string> messages by field
---@param problem string|nil a message for the whole form
---@param status integer|nil
local function sign_in_page(step, provider, wrong, problem, status)
  local title, body = views.credentials {
    text = step.text, provider = provider, action = step.link("/accounts/add/" .. provider.name), csrf = session.csrf(step.engine, step.request),
    back = step.link "/accounts", values = step.fields, wrong = wrong, problem = problem, problem_heading = step.text "error_heading",
  }
  if problem or next(wrong) then title = step.text "error_heading" .. ": " .. title end
  return page(step, title, body, status)
end

local function chosen_provider(step)
  return accounts.chosen(step.engine, step.data.providers, step.req.params.provider)
end

---To the provider, where one signs in and agrees.
---@param step lunation.page.step
---@param provider lunation.page.provider
local function send_abroad(step, provider)
  local engine = step.engine
  local known = engine.providers:get(provider.name)
  local url, err = engine.oauth:attempt("sign-in:" .. tostring(step.req.remote), REMOTE_ATTEMPTS, WINDOW)
  if url then
    url, err = connecting.begin(engine, {
      app = step.app.id, provider = known, scope = step.data.scope, extras = step.data.extras, kind = "pages",
      redirect_uri = connecting.redirect_uri(engine, known, "connect", callback_path(step.base, engine, provider.name)),
      data = { request = step.request.id, user = step.data.user },
    })
  end
  if url then return redirect(url) end
  log.warn("nobody can be sent to a provider", { provider = provider.name, error = tostring(err) })
  return redirect(step.link("/accounts", { { "trouble", "generic" } }))
end

-- What a person is told when they come back without an account.
local function trouble_of(err)
  if err.reason == "access_denied" then return "denied" end
  if err.field == "accounts" then return "full" end
  if err.code == "timeout" or err.code == "refused" or err.code == "network" or err.code == "resolve" then return "unreachable" end
  return "generic"
end

---Back from the provider: with a code, or with the word that there is none.
local function come_back(engine, base, req)
  local query = form.decode(req.query)
  local row, err = connecting.take(engine, query.state, req.params.provider, "pages")
  if not row then
    if err then log.error("a sign-in could not be read", { error = tostring(err) }) end
    return failure(req, { key = err and "failure_generic" or "failure_expired", status = err and 500 or 400 })
  end
  local step, refusal = open_step(engine, base, req, query, row.data.request)
  if not step then return refusal end
  local user, failed = engine.store:user(row.app, row.data.user, { create = true })
  if not user then return failure(req, { key = "failure_generic", status = errors.status(failed), app = step.app, data = step.data }) end
  row.user = user.id
  local account, problem = connecting.finish(engine, row, query)
  if not account then
    log.info("an account could not be connected", { provider = row.provider, reason = problem.reason or problem.code, error = tostring(problem) })
    return redirect(step.link("/accounts", { { "trouble", trouble_of(problem) } }))
  end
  engine.store:browser_account_add(step.request.browser, account.id)
  local permitted = account.settings.calendarPermissionGranted ~= false
  return redirect(step.link("/accounts", { { "added", account.id }, { "trouble", not permitted and "permission" or nil } }))
end

local function show_sign_in(step)
  local provider = chosen_provider(step)
  if not provider then return redirect(step.link "/accounts") end
  if provider.oauth then return send_abroad(step, provider) end
  return sign_in_page(step, provider, {})
end

-- What a person is told about a sign-in that failed: the text, and the field it is about.
local REFUSALS = {
  unauthorized = { "error_wrong_password", "password" }, reauth_required = { "error_wrong_password", "password" },
  forbidden = { "error_wrong_password", "password" },
  blocked_address = { "error_blocked", "url" }, timeout = { "error_timeout", "url" }, refused = { "error_unreachable", "url" },
  resolve = { "error_unreachable", "url" }, network = { "error_unreachable", "url" }, unavailable = { "error_unreachable", "url" },
  truncated = { "error_unreachable", "url" }, tls = { "error_insecure", "url" }, invalid_request = { "error_address", "url" },
  provider_error = { "error_not_calendar", "url" }, not_found = { "error_not_calendar", "url" }, unsupported = { "error_not_calendar", "url" },
  too_large = { "error_not_calendar", "url" }, conflict = { "error_not_calendar", "url" },
}

---@param step lunation.page.step
---@param provider lunation.page.provider
---@param err lunation.Error
local function refused(step, provider, err)
  log.info("an account could not be connected", { provider = provider.name, reason = err.code, app = step.app.id })
  if err.code == "rate_limited" and err.retry_after then
    return sign_in_page(step, provider, {}, step.text("error_limit", { minutes = math.ceil(err.retry_after / 60) }), 429)
  end
  local refusal = REFUSALS[err.code] or { "error_generic" }
  if err.field == "accounts" then refusal = { "error_too_many_accounts" } end
  if err.code == "invalid_request" and err.field == "username" then refusal = { "error_username", "username" } end
  local key, field = refusal[1], refusal[2]
  if key == "error_wrong_password" and provider.app_password then key = "error_wrong_password_app" end
  local message, has = step.text(key), false
  for _, name in ipairs(provider.fields) do has = has or name == field end
  return sign_in_page(step, provider, has and { [field] = message } or {}, message, 400)
end

local function sign_in(step)
  local provider = chosen_provider(step)
  if not provider or provider.oauth then return redirect(step.link "/accounts") end
  local engine, store = step.engine, step.engine.store
  local values, wrong = {}, {}
  for _, name in ipairs(provider.fields) do
    local value = step.fields[name] or ""
    if name ~= "password" then value = value:gsub("^%s+", ""):gsub("%s+$", "") end
    if value == "" then
      wrong[name] = step.text "error_required"
    elseif name == "url" then
      value = accounts.address(value)
      if not value then wrong.url = step.text "error_address" end
    end
    values[name] = value
  end
  if next(wrong) then return sign_in_page(step, provider, wrong, nil, 400) end

  local by_user = ("sign-in:%s:%s"):format(step.app.id, step.data.user)
  for _, limit in ipairs { { by_user, USER_ATTEMPTS }, { "sign-in:" .. tostring(step.req.remote), REMOTE_ATTEMPTS } } do
    local ok, err = engine.oauth:attempt(limit[1], limit[2], WINDOW)
    if not ok then return refused(step, provider, err) end
  end
  local user, err = store:user(step.app.id, step.data.user, { create = true })
  if not user then return refused(step, provider, err) end
  local account
  account, err = accounts.connect(engine, user, provider, values)
  if not account then return refused(step, provider, err) end
  store:attempt_forget(by_user)
  store:browser_account_add(step.request.browser, account.id)
  return redirect(step.link("/accounts", { { "added", account.id } }))
end

local function show_remove(step)
  local account = own_account(step, step.query.account)
  if not account then return redirect(step.link "/accounts") end
  return page(step, views.remove {
    text = step.text, app = display_name(step.app), account = account, action = step.link "/accounts/remove",
    csrf = session.csrf(step.engine, step.request), back = step.link "/accounts",
  })
end

local function remove(step)
  local account = own_account(step, step.fields.account)
  if not account then return redirect(step.link "/accounts") end
  local _, err = removal.remove(step.engine, step.engine.store:account(account.id) or account)
  if err then return failure(step.req, { key = "failure_generic", status = 500, app = step.app, data = step.data }) end
  return redirect(step.link("/accounts", { { "removed", account.identity } }))
end

local function show_consent(step)
  local list = connected(step)
  if #list == 0 then return redirect(step.link "/accounts") end
  for _, account in ipairs(list) do
    account.calendars = {}
    for _, calendar in ipairs(account.proven and step.engine.store:calendars { account = account.id } or {}) do
      if #account.calendars < 12 then table.insert(account.calendars, calendar.title or calendar.id) end
    end
  end
  return page(step, views.consent {
    text = step.text, app = display_name(step.app), unverified = step.app.branding.verified == false, scope = step.data.scope,
    accounts = list, action = step.link "/consent", csrf = session.csrf(step.engine, step.request), back = step.link "/accounts",
  })
end

local function consent(step)
  if step.fields.decision ~= "allow" then
    step.engine.store:authorization_finish(step.request.id)
    return redirect(cancel_link(step))
  end
  if #connected(step) == 0 then return redirect(step.link "/accounts") end
  local store = step.engine.store
  local user = store:user(step.app.id, step.data.user)
  if not user or not store:authorization_finish(step.request.id) then
    return failure(step.req, { key = "failure_expired", app = step.app })
  end
  local code, err = step.engine.oauth:code {
    app = step.app.id, user = user.id, scope = step.data.scope, redirect_uri = step.data.redirect_uri, challenge = step.data.challenge,
  }
  if not code then
    log.error("a code could not be kept", { reason = tostring(err) })
    return redirect(authorize.back(step.data, { { "error", "server_error" } }))
  end
  return redirect(authorize.back(step.data, { { "code", code } }))
end

---@param engine table
---@param mount string path of the pages, `/api/oauth`
---@return table<string, table> routes by path below it
function browser.routes(engine, mount)
  -- Behind a proxy the site may begin below the root of its host.
  local base = ((engine.config.public_url or ""):match("^%a+://[^/]+(/.-)/*$") or "") .. mount
  local function step(handler) return { handler = step_of(engine, base, handler) } end
  return {
    ["/authorize"] = { GET = { handler = function(req) return begin(engine, base, req) end } },
    ["/accounts"] = { GET = step(show_accounts) },
    ["/accounts/add/:provider"] = { GET = step(show_sign_in), POST = step(sign_in) },
    ["/accounts/remove"] = { GET = step(show_remove), POST = step(remove) },
    ["/callback/:provider"] = { GET = { handler = function(req) return come_back(engine, base, req) end } },
    ["/consent"] = { GET = step(show_consent), POST = step(consent) },
  }
end

return browser
