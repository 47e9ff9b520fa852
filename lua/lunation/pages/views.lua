--- What stands on each page. A view is given texts and plain values and gives HTML.

local html = require "lunation.pages.html"

local views = {}

local fill, each = html.fill, html.each

-- What a calendar is kept in: on a server, in Apple's cloud, in a file on the web, here.
local ICONS = {
  server = [[<rect x="5" y="7" width="26" height="24" rx="5" fill="currentColor" opacity=".14"/>]]
    .. [[<rect x="5" y="7" width="26" height="24" rx="5" stroke="currentColor" stroke-width="2"/>]]
    .. [[<path d="M5 15h26M12 4v6M24 4v6" stroke="currentColor" stroke-width="2" stroke-linecap="round"/>]]
    .. [[<circle cx="22.5" cy="23" r="3.5" fill="currentColor"/>]],
  cloud = [[<path d="M11 28a7 7 0 0 1-1-13.9 9 9 0 0 1 17.3 1.7A6.2 6.2 0 0 1 26 28Z" fill="currentColor" opacity=".14"/>]]
    .. [[<path d="M11 28a7 7 0 0 1-1-13.9 9 9 0 0 1 17.3 1.7A6.2 6.2 0 0 1 26 28Z" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>]],
  file = [[<circle cx="10" cy="27" r="3" fill="currentColor"/>]]
    .. [[<path d="M8 17a11 11 0 0 1 11 11M8 9a19 19 0 0 1 19 19" stroke="currentColor" stroke-width="2.5" stroke-linecap="round"/>]],
  here = [[<path d="M28 22A12 12 0 1 1 15 7a9.5 9.5 0 0 0 13 15Z" fill="currentColor" opacity=".14"/>]]
    .. [[<path d="M28 22A12 12 0 1 1 15 7a9.5 9.5 0 0 0 13 15Z" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>]],
}
for name, drawing in pairs(ICONS) do
  ICONS[name] = '<svg class="icon" viewBox="0 0 36 36" fill="none" aria-hidden="true">' .. drawing .. "</svg>"
end
local CHEVRON = [[<svg class="chevron" viewBox="0 0 16 16" fill="none" aria-hidden="true">]]
  .. [[<path d="m6 3 5 5-5 5" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/></svg>]]
local CHECK = [[<svg viewBox="0 0 20 20" fill="none" aria-hidden="true">]]
  .. [[<path d="m4.5 10.5 3.5 3.5 7.5-8" stroke="currentColor" stroke-width="2.25" stroke-linecap="round" stroke-linejoin="round"/></svg>]]

---What was done, and what went wrong; announced to those who cannot see it.
local function notice(view)
  local out = {}
  if view.done then out[1] = fill('<div class="notice good" role="status"><p>{done}</p></div>', view) end
  if view.problem then
    out[#out + 1] = fill('<div class="notice bad" role="alert" aria-live="assertive"><h2>{problem_heading}</h2><p>{problem}</p></div>', view)
  end
  return table.concat(out)
end

---@param view { text: function, app: string, accounts: table[], providers: table[], continue: string|nil, cancel: string }
--- also done and problem: what to say first
---@return string title
---@return string body
function views.accounts(view)
  local text = view.text
  local values = { app = view.app }
  local title = text "title_accounts"
  local out = { fill('<h1>{title}</h1>{{notice}}<p class="lead">{intro}</p>', {
    title = title, notice = notice(view), intro = text(#view.accounts > 0 and "intro_manage" or "intro_accounts", values),
  }) }
  if #view.accounts > 0 then
    out[#out + 1] = fill('<h2>{heading}</h2><ul class="accounts">{{rows}}</ul>', {
      heading = text "connected_heading",
      rows = each(view.accounts, function(account)
        return fill([[<li><div class="who"><bdi>{identity}</bdi><span class="about">{provider}{#reauth} · <span class="warn">{reauth}</span>{/reauth}</span>]]
          .. [[{#elsewhere}<span class="about">{elsewhere}</span>{/elsewhere}</div>]]
          .. [[{#remove}<a class="button slight" href="{remove}" aria-label="{remove_label}">{remove_text}</a>{/remove}</li>]], {
          identity = account.identity, provider = account.provider, reauth = account.reauth and text "reconnect",
          elsewhere = not account.remove and text "remove_elsewhere" or nil,
          remove = account.remove, remove_text = text "remove", remove_label = text("remove_account", { account = account.identity }),
        })
      end),
    })
  end
  out[#out + 1] = fill('<h2>{heading}</h2>{#rows}<ul class="choices">{{rows}}</ul>{/rows}{#none}<p>{none}</p>{/none}', {
    heading = text(#view.accounts > 0 and "add_heading" or "choose_heading"),
    none = #view.providers == 0 and text("nothing_to_choose", values) or nil,
    rows = #view.providers > 0 and each(view.providers, function(provider)
      return fill('<li><a class="choice" href="{href}">{{icon}}<span>'
        .. '<strong>{title}</strong>{#about}<span class="about">{about}</span>{/about}</span>{{chevron}}</a></li>', {
        href = provider.href, icon = ICONS[provider.icon], title = provider.title, about = text("about_" .. provider.name), chevron = CHEVRON,
      })
    end) or nil,
  })
  out[#out + 1] = fill([[<div class="actions">{#next}<a class="button first" href="{next}">{next_text}</a>{/next}]]
    .. [[<a class="button" href="{cancel}">{cancel_text}</a></div>]], {
    next = view.continue, next_text = text "continue", cancel = view.cancel, cancel_text = text("back_to_app", values),
  })
  return title, table.concat(out, "\n")
end

-- How a browser should treat each field of a sign-in.
local INPUTS = {
  url = { type = "url", autocomplete = "url", inputmode = "url", ltr = true },
  username = { type = "text", autocomplete = "username", ltr = true },
  password = { type = "password", autocomplete = "current-password", ltr = true },
}

---@param view { text: function, provider: table, action: string, csrf: string, back: string, values: table, wrong: table<string, string> }
---@return string title
---@return string body
function views.credentials(view)
  local text, provider = view.text, view.provider
  local title = text("connect_provider", { provider = provider.title })
  -- The first field that is wrong, else the first that is empty, has the focus.
  local focus
  for _, field in ipairs(provider.fields) do
    if not focus and view.wrong[field] then focus = field end
  end
  for _, field in ipairs(provider.fields) do
    if not focus and (view.values[field] or "") == "" then focus = field end
  end
  local hints = { url = provider.kind == "server" and text "hint_url" or nil, password = provider.app_password and text "hint_password_app" or nil }
  local labels = {
    url = text(provider.kind == "file" and "label_url_ics" or "label_url"),
    username = text(provider.app_password and "label_username_apple" or "label_username"),
    password = text(provider.app_password and "label_password_app" or "label_password"),
  }
  local has_password = false
  local fields = each(provider.fields, function(name)
    local input = INPUTS[name]
    has_password = has_password or name == "password"
    local described = {}
    if hints[name] then described[1] = name .. "-hint" end
    if view.wrong[name] then described[#described + 1] = name .. "-wrong" end
    return fill([[<div class="field"><label for="{name}">{label}</label>]]
      .. [[{#hint}<p class="hint" id="{name}-hint">{hint}</p>{/hint}]]
      .. [[<input id="{name}" name="{name}" type="{type}" autocomplete="{autocomplete}" maxlength="1024" required]]
      .. [[{#inputmode} inputmode="{inputmode}"{/inputmode} autocapitalize="none" spellcheck="false"{#ltr} dir="ltr"{/ltr}]]
      .. [[{#value} value="{value}"{/value}{#described} aria-describedby="{described}"{/described}]]
      .. [[{#wrong} aria-invalid="true"{/wrong}{#focus} autofocus{/focus}>]]
      .. [[{#wrong}<p class="wrong" id="{name}-wrong">{wrong}</p>{/wrong}</div>]], {
      name = name, label = labels[name], hint = hints[name], type = input.type, autocomplete = input.autocomplete,
      inputmode = input.inputmode, ltr = input.ltr, focus = focus == name,
      value = name ~= "password" and (view.values[name] or "") ~= "" and view.values[name] or nil,
      described = #described > 0 and table.concat(described, " ") or nil, wrong = view.wrong[name],
    })
  end)
  local body = fill([[
<h1>{title}</h1>
{{notice}}<p class="lead">{intro}</p>
<form method="post" action="{action}" novalidate>
<input type="hidden" name="csrf" value="{csrf}">
{{fields}}
{#note}<p class="small">{note}</p>{/note}
<div class="actions"><button class="button first" type="submit">{connect}</button><a class="button" href="{back}">{back_text}</a></div>
</form>]], {
    title = title, notice = notice(view), intro = text("intro_" .. provider.intro), action = view.action, csrf = view.csrf, fields = fields,
    note = has_password and text "note_password" or nil, connect = text "connect", back = view.back, back_text = text "back",
  })
  return title, body
end

---@param view { text: function, app: string, account: table, action: string, csrf: string, back: string }
---@return string title
---@return string body
function views.remove(view)
  local text = view.text
  local title = text "remove_title"
  return title, fill([[
<h1>{title}</h1>
<p>{question}</p>
<form method="post" action="{action}">
<input type="hidden" name="csrf" value="{csrf}"><input type="hidden" name="account" value="{id}">
<div class="actions"><button class="button danger" type="submit">{remove}</button><a class="button" href="{back}">{keep}</a></div>
</form>]], {
    title = title, question = text("remove_text", { app = view.app, account = view.account.identity, provider = view.account.provider }),
    action = view.action, csrf = view.csrf, id = view.account.id, remove = text "remove", back = view.back, keep = text "keep",
  })
end

---@param view { text: function, app: string, unverified: boolean, scope: string, accounts: table[], action: string, csrf: string }
---@return string title
---@return string body
function views.consent(view)
  local text = view.text
  local values = { app = view.app }
  local title = text("title_consent", values)
  return title, fill([[
<h1>{title}</h1>
{{notice}}{#unverified}<div class="notice plain"><p>{unverified}</p></div>{/unverified}
<h2>{can}</h2>
<ul class="abilities"><li>{{check}}<span>{scope}</span></li></ul>
<h2>{in_accounts}</h2>
<ul class="accounts">{{rows}}</ul>
<form method="post" action="{action}">
<input type="hidden" name="csrf" value="{csrf}">
<div class="actions"><button class="button first" type="submit" name="decision" value="allow">{allow}</button>
  <button class="button" type="submit" name="decision" value="deny">{deny}</button></div>
</form>
<p class="small actions">{end_text} <a href="{back}">{back_text}</a></p>]], {
    title = title, notice = notice(view), unverified = view.unverified and text("unverified", values) or nil,
    can = text("consent_can", values), check = CHECK, scope = text("scope_" .. view.scope), in_accounts = text "consent_accounts",
    rows = each(view.accounts, function(account)
      local names = #account.calendars > 0 and text("consent_calendars", { calendars = table.concat(account.calendars, ", ") })
      return fill([[<li><div class="who"><bdi>{identity}</bdi>]]
        .. [[<span class="about">{provider}</span>{#calendars}<span class="about">{calendars}</span>{/calendars}</div></li>]], {
        identity = account.identity, provider = account.provider, calendars = names or account.proven and text "consent_fetching" or nil,
      })
    end),
    action = view.action, csrf = view.csrf, allow = text "allow", deny = text "deny",
    end_text = text("consent_end", values), back = view.back, back_text = text "back",
  })
end

---@param view { text: function, message: string, cancel: string|nil, app: string|nil }
---@return string title
---@return string body
function views.failure(view)
  local title = view.text "title_error"
  return title, fill([[
<h1>{title}</h1>
<div class="notice bad" role="alert"><p>{message}</p></div>
{#cancel}<div class="actions"><a class="button first" href="{cancel}">{back}</a></div>{/cancel}]], {
    title = title, message = view.message, cancel = view.cancel, back = view.app and view.text("back_to_app", { app = view.app }),
  })
end

return views
