-- `application/x-www-form-urlencoded`, both ways.
local form = {}

---@param text string
---@return string
function form.unescape(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---@param text any
---@return string
function form.escape(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

---Decode a query or a form body. A name sent more than once keeps its first value; `all` has every one.
---@param text string|nil
---@return table<string, string> fields
---@return table<string, string[]> all
function form.decode(text)
  local fields, all = {}, {}
  for pair in (text or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=(.*)$")
    name, value = form.unescape(name or pair), form.unescape(value or "")
    if not all[name] then fields[name], all[name] = value, {} end
    table.insert(all[name], value)
  end
  return fields, all
end

---Encode pairs in the order given; pairs without a value are left out.
---@param pairs_list { [1]: string, [2]: any }[]
---@return string
function form.encode(pairs_list)
  local out = {}
  for _, pair in ipairs(pairs_list) do
    if pair[2] ~= nil then out[#out + 1] = form.escape(pair[1]) .. "=" .. form.escape(pair[2]) end
  end
  return table.concat(out, "&")
end

return form
