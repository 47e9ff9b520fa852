-- The colours of calendars and events, and colors.get.
local palette = { calendar = {}, event = {} }

local function fill(target, text)
  local number = 0
  for colour in text:gmatch("#%x+") do
    number = number + 1
    target[tostring(number)] = { background = colour, foreground = "#1d1d1d" }
  end
end

fill(palette.calendar, [[#ac725e #d06b64 #f83a22 #fa573c #ff7537 #ffad46 #42d692 #16a765 #7bd148 #b3dc6c #fbe983 #fad165
  #92e1c0 #9fe1e7 #9fc6e7 #4986e7 #9a9cff #b99aff #c2c2c2 #cabdbf #cca6ac #f691b2 #cd74e6 #a47ae2]])
fill(palette.event, "#a4bdfc #7ae7bf #dbadff #ff887c #fbd75b #ffb878 #46d6db #e1e1e1 #5484ed #51b749 #dc2127")

palette.routes = {
  ["/calendar/v3/colors"] = { GET = { handler = function()
    return { kind = "calendar#colors", updated = "2012-02-14T00:00:00.000Z", calendar = palette.calendar, event = palette.event }
  end, id = "calendar.colors.get" } },
}

return palette
