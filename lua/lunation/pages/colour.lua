--- The colour of an application, made to fit: readable on the page, light or dark (WCAG 2.1, contrast 4.5 to 1).

local colour = {}

---@param text any `#rgb` or `#rrggbb`
---@return number[]|nil rgb from 0 to 1
local function parse(text)
  if type(text) ~= "string" then return nil end
  local hex = text:match("^#(%x%x%x%x%x%x)$")
  if not hex then
    local r, g, b = text:match("^#(%x)(%x)(%x)$")
    if not r then return nil end
    hex = r .. r .. g .. g .. b .. b
  end
  local rgb = {}
  for i = 1, 3 do rgb[i] = tonumber(hex:sub(2 * i - 1, 2 * i), 16) / 255 end
  return rgb
end

local function luminance(rgb)
  local function linear(c) return c <= 0.03928 and c / 12.92 or ((c + 0.055) / 1.055) ^ 2.4 end
  return 0.2126 * linear(rgb[1]) + 0.7152 * linear(rgb[2]) + 0.0722 * linear(rgb[3])
end

local function contrast(a, b)
  local la, lb = luminance(a), luminance(b)
  if la < lb then la, lb = lb, la end
  return (la + 0.05) / (lb + 0.05)
end

local function mix(rgb, towards, share)
  local out = {}
  for i = 1, 3 do out[i] = rgb[i] + (towards[i] - rgb[i]) * share end
  return out
end

local function format(rgb)
  return ("#%02x%02x%02x"):format(math.floor(rgb[1] * 255 + 0.5), math.floor(rgb[2] * 255 + 0.5), math.floor(rgb[3] * 255 + 0.5))
end

local WHITE, BLACK = { 1, 1, 1 }, { 0, 0, 0 }

---@param text any the application's colour
---@param background string of the page
---@param fallback string
---@return string accent a shade of it with enough contrast to the background
---@return string on what is written upon the accent
function colour.accent(text, background, fallback)
  local rgb, ground = parse(text) or parse(fallback), parse(background)
  local towards = luminance(ground) > 0.5 and BLACK or WHITE
  local shade, share = rgb, 0
  while contrast(shade, ground) < 4.6 and share < 1 do
    share = share + 0.04
    shade = mix(rgb, towards, math.min(share, 1))
  end
  local on = contrast(shade, WHITE) >= contrast(shade, BLACK) and "#ffffff" or "#000000"
  return format(shade), on
end

return colour
