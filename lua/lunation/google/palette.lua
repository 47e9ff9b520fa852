-- Google's eleven colours of events, by colorId, and colours of JSCalendar.
local mapping = require "lunation.mapping"

local M = {}

---The palette that the colors resource gives, the same for everybody so far. An account with another one has it in its settings.
M.event = {
  ["1"] = "#a4bdfc", ["2"] = "#7ae7bf", ["3"] = "#dbadff", ["4"] = "#ff887c", ["5"] = "#fbd75b", ["6"] = "#ffb878",
  ["7"] = "#46d6db", ["8"] = "#e1e1e1", ["9"] = "#5484ed", ["10"] = "#51b749", ["11"] = "#dc2127",
}

-- Names of CSS that people use for colours of events.
local names = {
  black = "#000000", silver = "#c0c0c0", gray = "#808080", grey = "#808080", white = "#ffffff", maroon = "#800000", red = "#ff0000",
  purple = "#800080", fuchsia = "#ff00ff", magenta = "#ff00ff", green = "#008000", lime = "#00ff00", olive = "#808000", yellow = "#ffff00",
  navy = "#000080", blue = "#0000ff", teal = "#008080", aqua = "#00ffff", cyan = "#00ffff", orange = "#ffa500", pink = "#ffc0cb",
  brown = "#a52a2a", gold = "#ffd700", tomato = "#ff6347", turquoise = "#40e0d0", violet = "#ee82ee", indigo = "#4b0082",
}

---@param colour any "#rgb", "#rrggbb" or a name
---@return string? "#rrggbb"
function M.hex(colour)
  if type(colour) ~= "string" then return nil end
  colour = colour:lower()
  colour = names[colour] or colour
  local r, g, b = colour:match("^#(%x)(%x)(%x)$")
  if r then return "#" .. r .. r .. g .. g .. b .. b end
  return colour:match("^#%x%x%x%x%x%x$")
end

local function parts(hex)
  return tonumber(hex:sub(2, 3), 16), tonumber(hex:sub(4, 5), 16), tonumber(hex:sub(6, 7), 16)
end

---The colorId whose colour is nearest.
---@param colour string
---@param palette table<string, string>?
---@return string? id nil: it is no colour
function M.nearest(colour, palette)
  local hex = M.hex(colour)
  if not hex then return nil end
  local r, g, b = parts(hex)
  local best, least
  for id, other in pairs(palette or M.event) do
    local r2, g2, b2 = parts(other)
    local distance = (r - r2) ^ 2 + (g - g2) ^ 2 + (b - b2) ^ 2
    if not least or distance < least or distance == least and tonumber(id) < tonumber(best) then best, least = id, distance end
  end
  return best
end

---The palette of a colors resource; nil where it is the one that is known.
---@param colors table
---@return table<string, string>?
function M.of(colors)
  local palette, differs = {}, false
  for id, definition in pairs(type(colors.event) == "table" and colors.event or {}) do
    local hex = type(definition) == "table" and M.hex(definition.background)
    if hex then
      palette[id] = hex
      differs = differs or M.event[id] ~= hex
    end
  end
  return differs and palette or nil
end

-- A native event carries the palette's colour where it is not the known one ("lunation:color").
M.field = mapping.entry {
  read = function(native)
    if native.colorId == nil then return nil end
    return native["lunation:color"] or M.event[native.colorId]
  end,
  write = function(native, value)
    native["lunation:color"] = nil
    if value == nil then
      native.colorId = nil
      return true
    end
    local id = M.nearest(value)
    if not id then return nil, "is no colour" end
    native.colorId = id
    return true
  end,
}

return M
