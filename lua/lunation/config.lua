-- The configuration: a Lua file of words (`listen`, `store`, `app` …) read into one table; every limit of the
-- product stands here with its default. Reading changes nothing on disk; `prepare` makes the data directory and the key.

local errors = require "lunation.errors"
local fs = require "lunation.fs"
local units = require "lunation.units"

local config = {}

--- Every bound of the product: unit, default, what it bounds. `limits { name=value }` changes one.
config.limits = {
  -- one HTTP connection
  header = { "bytes", 16 * 1024, "head of a request" },
  headers = { "count", 100, "header fields of a request" },
  body = { "bytes", 1024 * 1024, "body of a request" },
  connections = { "count", 0, "open connections of a worker; 0: what the limit on open files allows" },
  connections_per_address = { "count", 1024, "open connections of one address" },
  requests = { "count", 0, "requests of one connection; 0 is no bound" },
  streams = { "count", 100, "concurrent HTTP/2 streams of a connection" },
  pipeline = { "bytes", 64 * 1024, "requests read ahead on a connection" },
  head_time = { "seconds", 10, "handshake and head of a request" },
  body_time = { "seconds", 30, "body of a request" },
  idle_time = { "seconds", 60, "keep-alive connection without a request" },
  write_time = { "seconds", 30, "reader that does not take the response" },
  handler_time = { "seconds", 120, "one request's work" },
  drain_time = { "seconds", 25, "requests in flight at TERM, and an old state after a reload" },
  stuck_time = { "seconds", 60, "a worker whose loop does not turn, before it is replaced; 0 is never" },
  requests_per_minute = { "count", 0, "requests of a token, else of an address; 0 is off" },
  notifications_per_minute = { "count", 6000, "notices of services from one address; 0 is off" },
  -- what a request may carry or ask
  json_depth = { "count", 64, "nesting of JSON" },
  parameters = { "count", 256, "query parameters" },
  ics = { "bytes", 32 * 1024 * 1024, "iCalendar text" },
  occurrences = { "count", 10000, "instances that one request expands" },
  rscale_steps = { "count", 20000, "occurrences of a rule of another calendar (RSCALE) that are looked at for one answer" },
  rscale_time = { "seconds", 2, "how long such a rule may compute; one that is stuck longer switches RSCALE off until the next start" },
  page = { "count", 1000, "events of a page" },
  attendees = { "count", 1000, "attendees of an event" },
  custom = { "bytes", 64 * 1024, "custom properties of an event" },
  -- outgoing requests
  response = { "bytes", 64 * 1024 * 1024, "body of a CalDAV server's answer, or of a feed" },
  answer = { "bytes", 16 * 1024 * 1024, "body of a JSON provider's answer" },
  pages = { "count", 10000, "pages of one listing at a provider" },
  empty_pages = { "count", 100, "pages of a listing in a row with nothing on them" },
  retry_wait = { "seconds", 30, "what a provider may ask to wait before a request is given up until later" },
  connect_time = { "seconds", 10, "connecting to a provider" },
  sign_in_time = { "seconds", 20, "verifying an account that somebody signs in to on the pages" },
  request_time = { "seconds", 60, "one request to a provider" },
  redirects = { "count", 5, "redirects that are followed, where they are" },
  connections_per_host = { "count", 8, "concurrent connections to one host" },
  xml_depth = { "count", 64, "nesting of XML" },
  multiget = { "count", 100, "resources of one calendar-multiget" },
  accounts = { "count", 100, "accounts of a user; 0 is any number" },
  calendars = { "count", 1000, "calendars of an account" },
  -- the store and its jobs
  tombstones = { "seconds", 30 * 86400, "how long a deletion is remembered" },
  idempotency = { "seconds", 86400, "how long an Idempotency-Key is remembered" },
  job_attempts = { "count", 8, "tries of a job" },
  agenda = { "bytes", 128 * 1024 * 1024, "times of events and occurrences in memory of a worker" },
  renderings = { "bytes", 64 * 1024 * 1024, "cache of rendered events of a worker" },
  -- scripts
  script_memory = { "bytes", 256 * 1024 * 1024, "Lua memory of the trusted scripts of a worker" },
}

local function default_data_dir()
  local dir = os.getenv "LUNATION_DATA"
  if dir and dir ~= "" then return dir end
  local base = os.getenv "XDG_DATA_HOME"
  if base and base:sub(1, 1) == "/" then return base .. "/lunation" end
  return (os.getenv "HOME" or "/var/lib") .. "/.local/share/lunation"
end

local function new_table(data_dir)
  local limits = {}
  for name, limit in pairs(config.limits) do limits[name] = limit[2] end
  return {
    listeners = {},
    data_dir = data_dir,
    provider_path = {},
    providers = {},
    apps = {},
    workers = 1,
    sync = { max_age = 30, deadline = 5 },
    limits = limits,
    outgoing = { allow = {}, proxy = nil, allow_private = false },
    trusted_proxies = {},
    scripts = {},
    log = { level = "info" },
  }
end

-- --- checks of single values; they raise text, the caller adds the place ------------------------------------------

local function check_type(value, kind, what)
  if type(value) ~= kind then error(("%s: %s expected, got %s"):format(what, kind, type(value)), 0) end
  return value
end

local function check_count(value, what, least)
  if math.type(value) ~= "integer" or value < least then
    error(("%s: a whole number of at least %d expected"):format(what, least), 0)
  end
  return value
end

local function check_url(value, what)
  check_type(value, "string", what)
  local scheme, rest = value:match "^(https?)://([^/?#%s]+)"
  if not scheme then error(("%s: `%s` is not an http or https URL"):format(what, value), 0) end
  if rest:find "@" then error(("%s: user information does not belong into a URL"):format(what), 0) end
  return value
end

local function check_strings(value, what, check)
  check_type(value, "table", what)
  for k, item in pairs(value) do
    if math.type(k) ~= "integer" then error(("%s: a list expected, got the key `%s`"):format(what, tostring(k)), 0) end
    if check then check(item, what) else check_type(item, "string", what) end
  end
  return value
end

local function check_unit(value, unit, what)
  local number, err
  if unit == "bytes" then
    number, err = units.bytes(value)
  elseif unit == "seconds" then
    number, err = units.seconds(value)
  else
    return check_count(value, what, 0)
  end
  if not number then error(("%s: %s"):format(what, err), 0) end
  return number
end

-- Takes the known fields of a table, each through its check; anything else in it is refused.
local function take_fields(given, fields, what)
  check_type(given, "table", what)
  local taken = {}
  for name, value in pairs(given) do
    local check = fields[name]
    if not check then
      error(("%s: unknown field `%s`%s"):format(what, tostring(name), units.suggestion(tostring(name), fields)), 0)
    end
    taken[name] = check(value, ("%s %s"):format(what, name))
  end
  return taken
end

local function string_of(value, what) return check_type(value, "string", what) end
local function boolean_of(value, what) return check_type(value, "boolean", what) end
local function table_of(value, what) return check_type(value, "table", what) end
local function seconds_of(value, what) return check_unit(value, "seconds", what) end
local function strings_of(value, what) return check_strings(value, what) end
local function urls_of(value, what) return check_strings(value, what, check_url) end

-- Redirect URIs may have a scheme of an app's own (RFC 8252), never a fragment.
local function redirect_uris_of(value, what)
  return check_strings(value, what, function(uri)
    if type(uri) ~= "string" or not uri:match "^%a[%w+.-]*:." or uri:find "#" then
      error(("%s: `%s` is not an absolute URI without fragment"):format(what, tostring(uri)), 0)
    end
  end)
end

local log_levels = { debug = true, info = true, warn = true, error = true }

local app_fields = {
  id = string_of, secret = string_of, name = string_of, redirect_uris = redirect_uris_of, webhook_url = check_url,
  trusted_origins = urls_of, branding = table_of,
}
local listener_fields = { cert = string_of, key = string_of }
-- Whether services are asked to send notices: "auto" where public_url is https.
local function push_of(value, what)
  if value == "auto" or value == "always" or value == "never" then return value end
  error(("%s: auto, always or never expected"):format(what), 0)
end

local sync_fields = { max_age = seconds_of, deadline = seconds_of, push = push_of }
local outgoing_fields = { allow = strings_of, proxy = check_url, allow_private = boolean_of }
local function log_level_of(value, what)
  if log_levels[check_type(value, "string", what)] then return value end
  error(("%s: debug, info, warn or error expected"):format(what), 0)
end

local log_fields = { level = log_level_of, json = boolean_of, access = boolean_of }

-- --- the words ------------------------------------------------------------------------------------------------------

local function check_listener(url, options)
  check_url(url, "listen")
  local host = url:match "^https?://([^/]+)/?$"
  if not host then error("listen: a URL without a path expected", 0) end
  local port = host:match ":(%d+)$"
  if port and tonumber(port) > 65535 then error("listen: there is no port " .. port, 0) end
  if url:find "^https:" and not (options.cert and options.key) then
    error("listen: https takes { cert=FILE, key=FILE }", 0)
  end
  options.url = url
  return options
end

local function check_store(value, resolve)
  check_type(value, "string", "store")
  local path = value:match "^sqlite:(.+)$"
  if path then return "sqlite:" .. resolve(path) end
  if value:find "^postgres" then error("store: this build keeps its store in SQLite; write `store \"sqlite:FILE\"`", 0) end
  error("store: `sqlite:FILE` expected", 0)
end

-- Each word takes the table that is being made, a function that resolves paths, and its arguments.
local words = {
  listen = function(cfg, resolve, url, options)
    options = take_fields(options or {}, listener_fields, "listen")
    options.cert, options.key = options.cert and resolve(options.cert), options.key and resolve(options.key)
    table.insert(cfg.listeners, check_listener(url, options))
  end,
  public_url = function(cfg, _, url) cfg.public_url = (check_url(url, "public_url"):gsub("/+$", "")) end,
  store = function(cfg, resolve, value) cfg.store = check_store(value, resolve) end,
  key_file = function(cfg, resolve, path) cfg.key_file = resolve(check_type(path, "string", "key_file")) end,
  data_dir = function(cfg, resolve, path) cfg.data_dir = resolve(check_type(path, "string", "data_dir")) end,
  provider_path = function(cfg, resolve, paths)
    for _, path in ipairs(check_strings(paths, "provider_path")) do cfg.provider_path[#cfg.provider_path + 1] = resolve(path) end
  end,
  provider = function(cfg, _, name, options)
    check_type(name, "string", "provider")
    cfg.providers[name] = check_type(options or {}, "table", "provider " .. name)
  end,
  app = function(cfg, _, options)
    options = take_fields(options, app_fields, "app")
    if not options.id or options.id == "" then error("app: an id is required", 0) end
    for _, other in ipairs(cfg.apps) do
      if other.id == options.id then error(("app: `%s` is there twice"):format(options.id), 0) end
    end
    options.name = options.name or options.id
    options.redirect_uris = options.redirect_uris or {}
    table.insert(cfg.apps, options)
  end,
  workers = function(cfg, _, count) cfg.workers = check_count(count, "workers", 1) end,
  sync = function(cfg, _, options)
    for name, value in pairs(take_fields(options, sync_fields, "sync")) do cfg.sync[name] = value end
  end,
  limits = function(cfg, _, options)
    check_type(options, "table", "limits")
    for name, value in pairs(options) do
      local limit = config.limits[name]
      if not limit then
        error(("limits: unknown limit `%s`%s"):format(tostring(name), units.suggestion(tostring(name), config.limits)), 0)
      end
      cfg.limits[name] = check_unit(value, limit[1], "limits " .. name)
    end
  end,
  outgoing = function(cfg, _, options)
    for name, value in pairs(take_fields(options, outgoing_fields, "outgoing")) do cfg.outgoing[name] = value end
  end,
  trusted_proxies = function(cfg, _, list)
    for _, proxy in ipairs(check_strings(list, "trusted_proxies")) do table.insert(cfg.trusted_proxies, proxy) end
  end,
  script = function(cfg, resolve, path)
    table.insert(cfg.scripts, resolve(check_type(path, "string", "script")))
  end,
  log = function(cfg, _, options)
    for name, value in pairs(take_fields(options, log_fields, "log")) do cfg.log[name] = value end
  end,
}

-- The plain Lua that a configuration file may use besides the words.
local library = { "assert", "error", "ipairs", "pairs", "next", "select", "tonumber", "tostring", "type", "print" }

-- The line of the file that is being run, for errors raised inside a word.
local function place(source)
  for level = 3, 40 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.source == source then return info.currentline end
  end
end

local function fail(source, line, message)
  local path = source:sub(2)
  error(errors.new("invalid_config", ("%s:%s: %s"):format(path, line or "?", message), { line = line, path = path }), 0)
end

local function environment(cfg, source, resolve)
  local env = {}
  for _, name in ipairs(library) do env[name] = _G[name] end
  for _, name in ipairs { "string", "table", "math" } do
    env[name] = setmetatable({}, { __index = _G[name], __metatable = false })
  end
  env.env = function(name, otherwise)
    local value = os.getenv(name)
    if value == nil and otherwise == nil then
      fail(source, place(source), ("the environment variable %s is not set"):format(tostring(name)))
    end
    return value == nil and otherwise or value
  end
  for name, word in pairs(words) do
    env[name] = function(...)
      local ok, err = pcall(word, cfg, resolve, ...)
      if not ok then fail(source, place(source), tostring(err)) end
    end
  end
  return setmetatable(env, {
    __index = function(_, name)
      fail(source, place(source), ("unknown word `%s`%s"):format(tostring(name), units.suggestion(tostring(name), words)))
    end,
  })
end

-- Paths of the file are relative to it; those of the command line to the working directory.
local function resolver(base)
  return function(path)
    if path:sub(1, 1) == "/" then return path end
    if path:sub(1, 2) == "~/" and os.getenv "HOME" then return os.getenv "HOME" .. path:sub(2) end
    return ((base .. "/" .. path):gsub("/%./", "/"))
  end
end

local function read_file(cfg, path)
  local cwd = assert(fs.getcwd())
  local file, err = io.open(path, "rb")
  if not file then return nil, errors.new("invalid_config", "the configuration cannot be read: " .. err, { path = path }) end
  local text = file:read "a"
  file:close()
  if not text then return nil, errors.new("invalid_config", path .. " is not a file", { path = path }) end
  local absolute = resolver(cwd)(path)
  local source = "@" .. path
  local chunk
  chunk, err = load(text, source, "t", environment(cfg, source, resolver(absolute:match "^(.*)/[^/]*$")))
  if not chunk then
    return nil, errors.new("invalid_config", err, { path = path, line = tonumber(err:match ":(%d+):") })
  end
  local ok, raised = pcall(chunk)
  if ok then
    cfg.path = absolute
    return cfg
  end
  if type(raised) == "table" and raised.code then return nil, raised end
  return nil, errors.new("invalid_config", tostring(raised), { path = path, line = tonumber(tostring(raised):match ":(%d+):") })
end

--- Which file `load(nil)` reads, or nil for the embedded defaults.
---@return string?
function config.default_path()
  local path = os.getenv "LUNATION_CONFIG"
  if path and path ~= "" then return path end
  return fs.stat "lunation.conf.lua" and "lunation.conf.lua" or nil
end

--- Reads the configuration. What the command line says replaces what the file says. Nothing on disk is changed.
---@param path string? nil: LUNATION_CONFIG, else ./lunation.conf.lua, else the embedded defaults
---@param overrides {listeners: table[]?, workers: integer?, log: table?}?
---@return table|nil config, lunation.Error? # code "invalid_config", with path and line
function config.load(path, overrides)
  overrides = overrides or {}
  local cfg = new_table(default_data_dir())
  path = path or config.default_path()
  if path then
    local _, err = read_file(cfg, path)
    if err then return nil, err end
  end
  if overrides.listeners and #overrides.listeners > 0 then
    cfg.listeners = {}
    for _, listener in ipairs(overrides.listeners) do
      local ok, err = pcall(check_listener, listener.url, { cert = listener.cert, key = listener.key })
      if not ok then return nil, errors.new("usage", "--" .. tostring(err)) end
      table.insert(cfg.listeners, err)
    end
  end
  if #cfg.listeners == 0 then cfg.listeners[1] = { url = "http://127.0.0.1:8080" } end
  cfg.workers = overrides.workers or cfg.workers
  for name, value in pairs(overrides.log or {}) do cfg.log[name] = value end
  cfg.store = cfg.store or "sqlite:" .. cfg.data_dir .. "/lunation.db"
  cfg.public_url = cfg.public_url or (cfg.listeners[1].url:gsub("/+$", ""))
  cfg.key_file = cfg.key_file or cfg.store:match "^sqlite:(.*)$":gsub("%.db$", "") .. ".key"
  return cfg
end

local function decode_key(text, where)
  text = text:gsub("%s+$", "")
  if #text == 64 and not text:find "%X" then
    return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
  end
  local bytes = #text >= 43 and require("lunation.crypto").unbase64(text)
  if bytes and #bytes == 32 then return bytes end
  return nil, errors.new("invalid_config", where .. " is not a key: 32 bytes as 64 hexadecimal digits or Base64 expected")
end

local function read_key(cfg)
  local text = os.getenv "LUNATION_KEY"
  if text and text ~= "" then return decode_key(text, "LUNATION_KEY") end
  local file = io.open(cfg.key_file, "rb")
  if not file then
    local random <close> = assert(io.open("/dev/urandom", "rb"))
    local hex = random:read(32):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    fs.mkdir(cfg.key_file:match "^(.*)/[^/]*$", 448) -- 0700
    local made, err, errno = fs.create(cfg.key_file, hex .. "\n", 384) -- 0600
    if not made and errno ~= 17 then -- 17: another process was first
      return nil, errors.new("invalid_config", "the key file cannot be made: " .. err)
    end
    file = assert(io.open(cfg.key_file, "rb"))
  end
  text = file:read "a"
  file:close()
  return decode_key(text or "", cfg.key_file)
end

--- Makes what the engine needs on disk, the data directory and the key file, and sets `cfg.key` (32 bytes).
---@param cfg table
---@return table|nil config, lunation.Error?
function config.prepare(cfg)
  local directory = cfg.store:match "^sqlite:(.*)/[^/]*$"
  if directory then
    local made, err = fs.mkdir(directory, 448)
    if not made then return nil, errors.new("invalid_config", "the data directory cannot be made: " .. err) end
  end
  if not cfg.key then
    local key, err = read_key(cfg)
    if not key then return nil, err end
    cfg.key = key
  end
  return cfg
end

return config
