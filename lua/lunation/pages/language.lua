--- Which language a page is in: the one asked for, else the browser's, else English; regional variants stand in for one
--- another.

local language = {}

---@type string[]
language.all = { "en", "es", "fr", "de", "it", "pt-PT", "pt-BR", "ar" }

local by_tag, by_primary = {}, {}
for _, tag in ipairs(language.all) do
  by_tag[tag:lower()] = tag
  local primary = tag:lower():match("^%a+")
  by_primary[primary] = by_primary[primary] or tag
end

---@param tag any a BCP 47 tag; underscores are taken too
---@return string|nil
local function match(tag)
  if type(tag) ~= "string" then return nil end
  tag = tag:lower():gsub("_", "-")
  return by_tag[tag] or by_primary[tag:match("^%a+") or ""]
end

---@param wanted string|nil the `lng` parameter
---@param accept string|nil the Accept-Language header
---@return string tag one of `language.all`
function language.choose(wanted, accept)
  local chosen = match(wanted)
  if chosen then return chosen end
  local best, best_quality = nil, 0
  for part in (accept or ""):sub(1, 512):gmatch("[^,]+") do
    local tag, rest = part:match("^%s*([%a%d_-]+)(.*)$")
    local quality = tonumber((rest or ""):match(";%s*[qQ]%s*=%s*([%d.]+)") or "1") or 0
    local found = match(tag)
    if found and quality > best_quality then best, best_quality = found, quality end
  end
  return best or "en"
end

---@param tag string
---@return "ltr"|"rtl"
function language.direction(tag)
  return tag == "ar" and "rtl" or "ltr"
end

local catalogues = {}

---The texts of a language. `text(key, values)` fills `{name}`; a key that a catalogue lacks is taken from English.
---@param tag string
---@return fun(key: string, values: table<string, any>|nil): string|nil
function language.texts(tag)
  local found = catalogues[tag]
  if not found then
    local own = require("lunation.pages.locales." .. tag:gsub("-", "_"))
    local english = require "lunation.pages.locales.en"
    found = function(key, values)
      local text = own[key] or english[key]
      if text and values then
        text = text:gsub("{([%w_]+)}", function(name) return values[name] ~= nil and tostring(values[name]) or "" end)
      end
      return text
    end
    catalogues[tag] = found
  end
  return found
end

return language
