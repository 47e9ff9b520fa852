-- The log: one line a message on standard error, text for people or JSON for machines, and never a secret in either.

local log = {}

local levels = { debug = 1, info = 2, warn = 3, error = 4 }
local settings = { level = levels.info, json = false, color = false }

--- Fields whose values are never written, at any depth; compared in lower case, `-` as `_`.
log.secrets = {
  access_token = true, authorization = true, client_secret = true, code = true, code_verifier = true, cookie = true,
  credentials = true, id_token = true, key = true, password = true, proxy_authorization = true, refresh_token = true,
  secret = true, set_cookie = true, token = true,
}

local function is_secret(name)
  return type(name) == "string" and log.secrets[(name:lower():gsub("-", "_"))] == true
end

-- What looks like a secret inside a text: user information and query parameters of URLs, and authorization headers.
local function scrub(text)
  text = text:gsub("(%a[%w+.-]*://)[^/%s@?#]*@", "%1[redacted]@")
  text = text:gsub("(%f[%a][Bb]earer%s+)[%w%-._~+/=]+", "%1[redacted]"):gsub("(%f[%a][Bb]asic%s+)[%w+/=]+", "%1[redacted]")
  return (text:gsub("([?&])([%w_%-]+)=([^&%s\"']*)", function(mark, name, value)
    if value ~= "" and is_secret(name) then return mark .. name .. "=[redacted]" end
  end))
end

local function clean(value, name, depth)
  if is_secret(name) then return "[redacted]" end
  if type(value) == "string" then return scrub(value) end
  if type(value) ~= "table" then return value end
  local meta = getmetatable(value)
  if meta and meta.__tostring then return scrub(tostring(value)) end
  if depth == 0 then return "…" end
  local copy = {}
  for k, v in pairs(value) do copy[k] = clean(v, k, depth - 1) end
  return copy
end

local function json_string(text)
  return '"' .. text:gsub('[%c"\\\127]', function(c)
    return ({ ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n" })[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function sorted(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

local function json_value(value)
  local kind = type(value)
  if kind == "boolean" or math.type(value) == "integer" then return tostring(value) end
  if kind == "number" and value == value and math.abs(value) < math.huge then return ("%.6g"):format(value) end
  if kind ~= "table" then return json_string(utf8.len(tostring(value)) and tostring(value) or ("%q"):format(tostring(value))) end
  local parts = {}
  if #value > 0 then
    for i, item in ipairs(value) do parts[i] = json_value(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for i, name in ipairs(sorted(value)) do parts[i] = json_string(tostring(name)) .. ":" .. json_value(value[name]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function text_value(value)
  if type(value) == "table" then return json_value(value) end
  value = tostring(value)
  -- a control character in a value could forge a line; line ends of tracebacks are kept, indented
  value = value:gsub("[%c\127]", function(c)
    return c == "\n" and "\n    " or c == "\t" and "  " or ("\\x%02x"):format(c:byte())
  end)
  return value:find("[%s\"=]") and not value:find("\n") and '"' .. value:gsub('"', '\\"') .. '"' or value
end

local function timestamp()
  local now = require("lunation.timer").time()
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(now)) .. (".%03dZ"):format(math.floor(now % 1 * 1000))
end

local colors = { debug = "\27[2m", info = "\27[36m", warn = "\27[33m", error = "\27[31m" }

local function write(level, message, fields)
  if levels[level] < settings.level then return end
  fields = clean(fields or {}, nil, 6)
  local line = {}
  if settings.json then
    line[1] = ('{"time":"%s","level":"%s","message":%s'):format(timestamp(), level, json_string(scrub(message)))
    for _, name in ipairs(sorted(fields)) do
      line[#line + 1] = "," .. json_string(tostring(name)) .. ":" .. json_value(fields[name])
    end
    line[#line + 1] = "}\n"
  else
    line[1] = timestamp() .. " "
    line[2] = settings.color and colors[level] .. level .. "\27[0m" or level
    line[3] = (" "):rep(6 - #level) .. scrub(message)
    for _, name in ipairs(sorted(fields)) do
      line[#line + 1] = " " .. tostring(name) .. "=" .. text_value(fields[name])
    end
    line[#line + 1] = "\n"
  end
  io.stderr:write(table.concat(line))
end

--- Sets what is written and how.
---@param options {level: "debug"|"info"|"warn"|"error"|nil, json: boolean?, color: boolean?}
function log.configure(options)
  if options.level then settings.level = assert(levels[options.level], "unknown log level") end
  if options.json ~= nil then settings.json = options.json end
  if options.color ~= nil then settings.color = options.color end
end

--- Writes one line. Values of fields that are named like a secret are replaced by [redacted].
---@param message string constant text; what varies goes into the fields
---@param fields table<string, any>?
function log.debug(message, fields) write("debug", message, fields) end

---@param message string
---@param fields table<string, any>?
function log.info(message, fields) write("info", message, fields) end

---@param message string
---@param fields table<string, any>?
function log.warn(message, fields) write("warn", message, fields) end

---@param message string
---@param fields table<string, any>?
function log.error(message, fields) write("error", message, fields) end

return log
