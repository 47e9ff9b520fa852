--- HTML from templates: `{name}` is escaped, `{{name}}` is HTML already, `{#name}…{/name}` stands only where name is set.

local html = {}

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

---@param text any
---@return string
function html.escape(text)
  return (tostring(text):gsub("[&<>\"']", ESCAPES))
end

---@param template string
---@param values table<string, any> nil and false are empty; numbers and strings are written
---@return string
function html.fill(template, values)
  -- Sections first, the innermost last, so that what they hold is filled like the rest.
  local filled = template
  local count
  repeat
    filled, count = filled:gsub("{#([%w_]+)}(.-){/%1}", function(name, inner) return values[name] and inner or "" end)
  until count == 0
  -- One pass: what a value holds is never taken for a place to fill.
  return (filled:gsub("({{?)([%a_][%w_]*)(}}?)", function(open, name, close)
    local value = values[name]
    if #open ~= #close then return nil end
    if not value then return "" end
    return #open == 2 and tostring(value) or html.escape(value)
  end))
end

---@param items any[]
---@param write fun(item: any): string
---@return string
function html.each(items, write)
  local out = {}
  for index, item in ipairs(items) do out[index] = write(item) end
  return table.concat(out, "\n")
end

return html
