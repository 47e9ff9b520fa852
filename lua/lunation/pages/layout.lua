--- The frame of every page, and the headers that keep it to itself.

local crypto = require "lunation.crypto"
local html = require "lunation.pages.html"
local language = require "lunation.pages.language"
local style = require "lunation.pages.style"

local layout = {}

local FRAME = [[
<!DOCTYPE html>
<html lang="{language}" dir="{direction}" data-theme="{theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}{#app} – {app}{/app}</title>
<link rel="icon" href="data:,">
<style nonce="{nonce}">
{{style}}</style>
</head>
<body>
{#app}<header class="brand">{{brand}}</header>{/app}
<main id="main">
{{body}}
</main>
<footer>{#support}<a href="{support}">{help}</a>{/support}{#footer}<span>{footer}</span>{/footer}</footer>
</body>
</html>
]]

---The origin of a web address, as a source of a Content-Security-Policy.
---@param uri any
---@return string|nil
local function origin(uri)
  return type(uri) == "string" and uri:match("^https?://[%w%.%-%[%]:]+") or nil
end

---@class lunation.page
---@field title string
---@field body string HTML
---@field status integer|nil
---@field language string
---@field theme "auto"|"light"|"dark"
---@field app table|nil of the store
---@field redirect_uri string|nil where a form may lead after the last step
---@field cookies string[]|nil

---Logos, and without one the first letter of the name.
local function brand(app)
  local branding = app.branding
  local name = branding.displayName or app.name
  if not origin(branding.logo) then
    local first = name:match("^[%z\1-\127\194-\244][\128-\191]*") or "?"
    return html.fill('<span class="mark" aria-hidden="true">{first}</span><span>{name}</span>', { first = first, name = name })
  end
  local dark = origin(branding.darkLogo) and branding.darkLogo
  if not dark then return html.fill('<img src="{logo}" alt="{name}">', { logo = branding.logo, name = name }) end
  return html.fill('<img class="light-logo" src="{logo}" alt="{name}"><img class="dark-logo" src="{dark}" alt="{name}">',
    { logo = branding.logo, dark = dark, name = name })
end

---@param page lunation.page
---@return table response
function layout.response(page)
  local app = page.app
  local branding = app and app.branding or {}
  local text = language.texts(page.language)
  local nonce = crypto.base64url(crypto.random(16))
  local support = type(branding.supportUrl) == "string" and branding.supportUrl:find("^https?://") and branding.supportUrl
    or type(branding.supportEmail) == "string" and "mailto:" .. branding.supportEmail or nil
  local images = { "data:" }
  for _, logo in ipairs { branding.logo or false, branding.darkLogo or false } do images[#images + 1] = origin(logo) end
  -- A form's answer may redirect to the application: browsers hold that against form-action as well.
  local back = origin(page.redirect_uri) or (page.redirect_uri and page.redirect_uri:match("^%a[%w+.-]*:"))
  local headers = {
    ["content-type"] = "text/html; charset=utf-8",
    ["content-language"] = page.language,
    ["cache-control"] = "no-store",
    ["content-security-policy"] = table.concat({
      "default-src 'none'", "style-src 'nonce-" .. nonce .. "'", "img-src " .. table.concat(images, " "),
      "form-action 'self'" .. (back and " " .. back or ""), "frame-ancestors 'none'", "base-uri 'none'",
    }, "; "),
    ["x-frame-options"] = "DENY", ["x-content-type-options"] = "nosniff", ["referrer-policy"] = "no-referrer",
    ["cross-origin-opener-policy"] = "same-origin", ["permissions-policy"] = "camera=(), geolocation=(), microphone=()",
    vary = "accept-language, cookie",
  }
  if page.cookies and #page.cookies > 0 then headers["set-cookie"] = page.cookies end
  return {
    status = page.status or 200, headers = headers,
    body = html.fill(FRAME, {
      language = page.language, direction = language.direction(page.language), theme = page.theme or branding.theme or "auto",
      title = page.title, app = app and (branding.displayName or app.name), nonce = nonce, style = style.sheet(branding),
      brand = app and brand(app), body = page.body, support = support, help = text "support",
      footer = not branding.hideFooter and text "footer" or nil,
    }),
  }
end

return layout
