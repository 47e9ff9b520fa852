--- The look of the pages: one column, one card, large targets, the application's colour. Written with logical
--- properties, so that it reads the same from the right.

local colour = require "lunation.pages.colour"

local style = {}

-- The ground that text stands on, light and dark.
local LIGHT, DARK = "#ffffff", "#1b1d23"
local FALLBACK = "#3b5bdb"

local COLOURS = [[
%s {
  color-scheme: %s;
  --page: %s; --card: %s; --text: %s; --quiet: %s; --line: %s; --field: %s; --soft: %s;
  --danger: %s; --danger-soft: %s; --good: %s; --good-soft: %s; --accent: %s; --on-accent: %s;
}
]]

local RULES = [[
*, *::before, *::after { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Naskh Arabic", "DejaVu Sans", sans-serif; }
body { margin: 0; min-height: 100vh; background: var(--page); color: var(--text);
  display: flex; flex-direction: column; align-items: center; padding: clamp(1rem, 6vh, 4.5rem) 1rem 2rem; }
.brand { display: flex; align-items: center; gap: .625rem; margin: 0 0 1.25rem; font-weight: 600; color: var(--quiet); }
.brand img { display: block; height: 2.25rem; max-width: 12rem; object-fit: contain; }
.brand .mark { width: 2.25rem; height: 2.25rem; border-radius: .625rem; background: var(--accent); color: var(--on-accent);
  display: grid; place-items: center; font-size: 1.0625rem; }
.dark-logo { display: none !important; }
main { width: 100%; max-width: 29rem; background: var(--card); border: 1px solid var(--line); border-radius: 1rem;
  padding: clamp(1.25rem, 5vw, 2.25rem); box-shadow: 0 1px 2px rgb(0 0 0 / 4%), 0 12px 32px -12px rgb(0 0 0 / 12%); }
h1 { font-size: 1.5rem; line-height: 1.25; letter-spacing: -.012em; margin: 0 0 .5rem; text-wrap: balance; }
h2 { font-size: .875rem; font-weight: 600; color: var(--quiet); margin: 1.75rem 0 .625rem; }
p { margin: 0 0 1rem; }
.lead, .hint, .about, .small { color: var(--quiet); }
.hint, .about, .small { font-size: .875rem; line-height: 1.45; }
ul { list-style: none; margin: 0; padding: 0; }
a { color: var(--accent); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .375rem; }
.choices { display: grid; gap: .625rem; }
.choice { display: flex; align-items: center; gap: .875rem; padding: .8125rem .9375rem; border: 1px solid var(--line); border-radius: .75rem;
  color: inherit; text-decoration: none; background: var(--card); }
.choice:hover { border-color: var(--accent); background: var(--soft); }
.choice strong { display: block; font-weight: 600; }
.choice svg.icon { flex: none; width: 2.25rem; height: 2.25rem; color: var(--accent); }
.choice .about { display: block; }
.choice .chevron { margin-inline-start: auto; flex: none; width: 1rem; height: 1rem; color: var(--quiet); }
[dir=rtl] .chevron { transform: scaleX(-1); }
.accounts > li { display: flex; align-items: center; gap: .875rem; padding: .8125rem 0; border-block-start: 1px solid var(--line); }
.accounts > li:last-child { border-block-end: 1px solid var(--line); }
.accounts .who { min-width: 0; flex: 1; overflow-wrap: anywhere; }
.accounts .who bdi { font-weight: 600; }
.accounts .about { display: block; }
.accounts .warn { color: var(--danger); }
.abilities li { display: flex; gap: .625rem; padding: .125rem 0; }
.abilities svg { flex: none; width: 1.25rem; height: 1.25rem; margin-block-start: .125rem; color: var(--good); }
.field { margin: 0 0 1.125rem; }
label { display: block; font-weight: 600; margin: 0 0 .375rem; }
label:has(+ .hint) { margin-block-end: .125rem; }
.field .hint { margin: 0 0 .375rem; }
input { width: 100%; font: inherit; color: inherit; background: var(--field); border: 1px solid var(--quiet); border-radius: .5rem;
  padding: .625rem .75rem; min-height: 2.875rem; text-align: start; }
input:focus { outline: 3px solid var(--accent); outline-offset: 1px; border-color: transparent; }
input[aria-invalid=true] { border: 2px solid var(--danger); }
.wrong { color: var(--danger); font-size: .875rem; font-weight: 600; margin: .375rem 0 0; }
.notice { border-radius: .75rem; padding: .75rem .9375rem; margin: .875rem 0 1.25rem; }
.notice p { margin: 0; }
.notice h2 { margin: 0 0 .125rem; color: inherit; }
.notice.bad { background: var(--danger-soft); color: var(--danger); }
.notice.good { background: var(--good-soft); color: var(--good); }
.notice.plain { background: var(--soft); }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; margin-block-start: 1.75rem; }
.actions form { display: contents; }
.button { flex: 1 1 8rem; display: inline-flex; align-items: center; justify-content: center; min-height: 2.875rem; padding: .5rem 1.125rem;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer; border-radius: .625rem;
  border: 1px solid var(--line); background: transparent; color: var(--text); }
.button:hover { background: var(--soft); }
.button.first { background: var(--accent); color: var(--on-accent); border-color: transparent; }
.button.first:hover { filter: brightness(1.06); }
.button.danger { background: var(--danger); color: var(--card); border-color: transparent; }
.button.slight { flex: none; min-height: 2.25rem; padding: .25rem .75rem; font-size: .875rem; }
footer { width: 100%; max-width: 29rem; display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between;
  margin-block-start: 1.25rem; color: var(--quiet); font-size: .8125rem; }
footer a { color: inherit; }
@media (forced-colors: active) { .button.first, .button.danger { border: 2px solid ButtonText; } }
@media (max-width: 26rem) { body { padding: 1rem .5rem; } .button { flex-basis: 100%; } .button.slight { flex-basis: auto; } }
]]

---@param branding table primaryColor
---@return string css
function style.sheet(branding)
  local accent, on_accent = colour.accent(branding.primaryColor, LIGHT, FALLBACK)
  local dark_accent, on_dark_accent = colour.accent(branding.primaryColor, DARK, FALLBACK)
  local light = COLOURS:format(":root", "light", "#f3f4f7", LIGHT, "#1c1f26", "#596070", "#dfe2e8", LIGHT, "#f4f6fa",
    "#b42318", "#fdecea", "#176f3d", "#e9f6ee", accent, on_accent)
  local function dark(selector)
    return COLOURS:format(selector, "dark", "#121318", DARK, "#eceef3", "#a7aebb", "#343842", "#121318", "#262932",
      "#ff9d94", "#3a1f1e", "#7fdca4", "#17301f", dark_accent, on_dark_accent)
  end
  return table.concat {
    light, dark "[data-theme=dark]",
    "[data-theme=dark] .light-logo { display: none; } [data-theme=dark] .dark-logo { display: block !important; }\n",
    "@media (prefers-color-scheme: dark) {\n", dark "[data-theme=auto]",
    "[data-theme=auto] .light-logo { display: none; } [data-theme=auto] .dark-logo { display: block !important; }\n}\n", RULES,
  }
end

return style
