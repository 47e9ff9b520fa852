-- Calendar texts for specs: our own fixtures, and texts made of a few lines.
local M = {}

local root = require("lunation.host").root

---@param name string of a file in spec/fixtures/ical
---@return string text with CRLF, as it goes over the wire
function M.fixture(name)
  local file = assert(io.open(("%s/spec/fixtures/ical/%s.ics"):format(root, name), "rb"))
  local text = file:read "a"
  file:close()
  return (text:gsub("\r?\n", "\r\n"))
end

---One VEVENT with a UID in a calendar.
function M.event(...)
  return table.concat({ "BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", "UID:u1", ... }, "\r\n") .. "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
end

---Several components in a calendar, each a list of lines without BEGIN and END:VEVENT.
function M.events(...)
  local lines = { "BEGIN:VCALENDAR", "VERSION:2.0" }
  for _, event in ipairs { ... } do
    lines[#lines + 1] = "BEGIN:VEVENT"
    for _, line in ipairs(event) do lines[#lines + 1] = line end
    lines[#lines + 1] = "END:VEVENT"
  end
  lines[#lines + 1] = "END:VCALENDAR"
  return table.concat(lines, "\r\n") .. "\r\n"
end

---The lines of a text that another does not have, "+line" and "-line", unfolded, in order.
function M.diff(before, after)
  local function lines_of(text)
    local list, count = {}, {}
    for line in text:gsub("\r\n ", ""):gmatch("(.-)\r\n") do
      list[#list + 1] = line
      count[line] = (count[line] or 0) + 1
    end
    return list, count
  end
  local a, in_a = lines_of(before)
  local b, in_b = lines_of(after)
  local result = {}
  for _, line in ipairs(a) do
    if (in_b[line] or 0) > 0 then in_b[line] = in_b[line] - 1 else result[#result + 1] = "-" .. line end
  end
  for _, line in ipairs(b) do
    if (in_a[line] or 0) > 0 then in_a[line] = in_a[line] - 1 else result[#result + 1] = "+" .. line end
  end
  table.sort(result)
  return result
end

return M
