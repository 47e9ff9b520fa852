-- What commands print: tables for people, JSON for programs, a progress line on a terminal.

local fs = require "lunation.fs"

local output = {}

--- Prints a value as one line of JSON with sorted keys.
---@param value any
function output.json(value)
  print((assert(require("lunation.json").encode(value, { sorted = true }))))
end

-- Control characters of calendars and names must not reach the terminal.
local function cell(value)
  if value == nil then return "" end
  return (tostring(value):gsub("[%c\127]", " "))
end

local function width_of(text)
  return utf8.len(text) or #text
end

--- Prints rows under a heading, each column as wide as its widest cell.
---@param rows table[]
---@param columns {[1]: string, [2]: string|fun(row: table): any}[] heading and field
---@param none string what is said where there is no row
function output.table(rows, columns, none)
  if #rows == 0 then
    io.stderr:write(none, "\n")
    return
  end
  local lines, widths = { {} }, {}
  for c, column in ipairs(columns) do lines[1][c] = column[1] end
  for _, row in ipairs(rows) do
    local line = {}
    for c, column in ipairs(columns) do
      line[c] = cell(type(column[2]) == "function" and column[2](row) or row[column[2]])
    end
    lines[#lines + 1] = line
  end
  for _, line in ipairs(lines) do
    for c, text in ipairs(line) do widths[c] = math.max(widths[c] or 0, width_of(text)) end
  end
  for _, line in ipairs(lines) do
    local padded = {}
    for c, text in ipairs(line) do
      padded[c] = c == #line and text or text .. (" "):rep(widths[c] - width_of(text))
    end
    print((table.concat(padded, "  "):gsub("%s+$", "")))
  end
end

--- A line on standard error that is rewritten as work goes on; silent where that is not a terminal.
---@return {update: fun(text: string), finish: fun()}
function output.progress()
  local terminal, shown = fs.isatty(2), false
  return {
    update = function(text)
      if not terminal then return end
      io.stderr:write("\r\27[K", cell(text))
      io.stderr:flush()
      shown = true
    end,
    finish = function()
      if shown then io.stderr:write("\r\27[K") end
      shown = false
    end,
  }
end

--- A bar for work whose length is known: `importing [########------]  57%  5700 of 10000`; a counter where it is not.
---@param what string
---@return {update: fun(done: integer, total: integer?), finish: fun()}
function output.bar(what)
  local line, shown = output.progress(), nil
  return {
    update = function(done, total)
      local step = total and done * 200 // math.max(total, 1) or done // 64
      if step == shown then return end
      shown = step
      if not total then return line.update(("%s %d"):format(what, done)) end
      local full = 30 * done // math.max(total, 1)
      line.update(("%s [%s%s] %3d%%  %d of %d"):format(what, ("#"):rep(full), ("-"):rep(30 - full), 100 * done // math.max(total, 1), done, total))
    end,
    finish = line.finish,
  }
end

return output
