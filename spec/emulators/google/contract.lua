-- The discovery documents, in the way of every request and every answer: what breaks them is kept and told at /_emulator/violations.
-- They are not part of this project: they are looked for beside the checkout, and in what the vendor's Python client carries.
local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local schema = require "spec.emulators.google.schema"
local server = require "lunation.server"
local world = require "spec.emulators.google.world"

local contract = { documents = {} }

local names = {
  calendar = { "calendar__v3.json", "calendar.v3.json" },
  people = { "people__v1.json", "people.v1.json" },
  directory = { "admin__directory_v1.json", "admin.directory_v1.json" },
}

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function folders(named)
  if named then return { named } end
  local list = { host.root .. "/../shared/contracts/google" }
  for minor = 20, 8, -1 do
    list[#list + 1] = ("%s/build/python/lib/python3.%d/site-packages/googleapiclient/discovery_cache/documents"):format(host.root, minor)
  end
  return list
end

-- "calendars/{calendarId}/events" as a pattern, and the names of its parts.
local function pattern_of(path, base, service)
  local parts = {}
  local part = service == "people" and "([^/:]+)" or "([^/]+)"
  local text = (base .. path):gsub("%p", function(c) return (c == "{" or c == "}" or c == "+" or c == "_") and c or "%" .. c end)
  text = text:gsub("{(%+?)([%w_%.]+)}", function(_, name)
    parts[#parts + 1] = name
    return part
  end)
  return "^/" .. text .. "$", parts
end

local function index(document, service)
  local base = document.servicePath or ""
  local methods = {}
  local function walk(resources)
    for _, resource in pairs(resources or {}) do
      for _, method in pairs(resource.methods or {}) do
        local pattern, parts = pattern_of(method.flatPath or method.path, base, service)
        methods[#methods + 1] = { id = method.id, http = method.httpMethod, pattern = pattern, parts = parts, method = method, service = service }
      end
      walk(resource.resources)
    end
  end
  walk(document.resources)
  -- fixed names before parameters: "people:createContact" is no person
  table.sort(methods, function(a, b)
    if #a.parts ~= #b.parts then return #a.parts < #b.parts end
    return a.pattern < b.pattern
  end)
  return methods
end

--- Reads the documents, of a folder or of where they usually are.
---@param named string?
---@return boolean found all of them
function contract.load(named)
  for service, files in pairs(names) do
    for _, folder in ipairs(folders(named)) do
      for _, file in ipairs(files) do
        local path = folder .. "/" .. file
        if not contract.documents[service] and fs.stat(path) then
          local document = json.decode(read(path), { depth = 200 })
          if document then
            contract.documents[service] = { document = document, methods = index(document, service) }
          end
        end
      end
    end
  end
  contract.found = contract.documents.calendar ~= nil and contract.documents.people ~= nil and contract.documents.directory ~= nil
  return contract.found
end

--- Which service a path is of, nil where it is none of theirs (OAuth, the control paths).
---@param path string
---@return "calendar"|"people"|"directory"|nil
function contract.service(path)
  if path:find("^/calendar/v3/") or path == "/calendar/v3" then return "calendar" end
  if path:find("^/admin/directory/") then return "directory" end
  if path:find("^/v1/[pco]") then return "people" end
end

local function find(service, http, path)
  local known = contract.documents[service]
  local other
  for _, entry in ipairs(known.methods) do
    -- events/import is a method, not an event, whatever the order of the patterns says
    if path:find(entry.pattern) then
      if entry.http == http then return entry, known.document end
      other = other or entry
    end
  end
  return nil, known.document, other
end

local function note(call, direction, where, message)
  table.insert(world.violations, {
    direction = direction, method = call.method, path = call.path, where = where, message = message, id = call.contract and call.contract.id,
  })
end

-- The service itself refuses values that it cannot read; those of the newer kind refuse names that they do not know, too.
local function malformed(call, where, message)
  local strict = call.contract.service == "people" and message == "is not in the contract"
  if strict or message:find "^is no " or message:find "^has an unknown value" and where:find "^query" then
    call.malformed = call.malformed or ("Invalid value at '%s': it %s"):format(where, message)
  end
end

local function check_query(call, method, document)
  local seen = {}
  for pair in call.query:gmatch("[^&]+") do
    local name, text = pair:match("^([^=]*)=?(.*)$")
    name, text = server.decode(name, true), server.decode(text, true)
    local parameter = method.parameters and method.parameters[name] or document.parameters[name]
    if not parameter or parameter.location ~= "query" then
      note(call, "request", "query." .. name, "is not in the contract")
      malformed(call, "query." .. name, "is not in the contract")
    else
      local message = schema.parameter(parameter, text)
      if message then
        note(call, "request", "query." .. name, message)
        malformed(call, "query." .. name, message)
      end
      if seen[name] and not parameter.repeated then note(call, "request", "query." .. name, "is given more than once") end
    end
    seen[name] = true
  end
  for name, parameter in pairs(method.parameters or {}) do
    if parameter.required and parameter.location == "query" and not seen[name] then note(call, "request", "query." .. name, "is missing") end
  end
end

local function is_required(property, id)
  for _, each in ipairs(property.annotations and property.annotations.required or {}) do
    if each == id then return true end
  end
  return false
end

-- Calendar says in words what only it sets. A whole resource may be sent back as it was read; a patch or a new one names what
-- is meant.
local function check_readonly(call, method, node, body)
  if method.httpMethod == "PUT" or call.contract.service ~= "calendar" or method.id == "calendar.events.import" then return end
  for name in pairs(body) do
    local property = node.properties[name]
    local text = property and property.description or ""
    if text:find "Read%-[oO]nly%." or name == "etag" and method.httpMethod == "POST" then
      note(call, "request", "body." .. name, "is read-only")
    end
  end
  if method.httpMethod == "PATCH" then
    for name in pairs(body) do
      if (node.properties[name] and (node.properties[name].description or "")):find "Immutable" then note(call, "request", "body." .. name, "is immutable") end
    end
  end
end

local function check_body(call, method, document)
  if not method.request then
    if call.text ~= "" then note(call, "request", "body", "is not asked for") end
    return
  end
  local kind = call.headers["content-type"] or ""
  if call.text == "" then
    if method.httpMethod ~= "POST" or not method.id:find "watch$" then note(call, "request", "body", "is missing") end
    return
  end
  if not kind:find "^application/json" then note(call, "request", "headers.content-type", "is not application/json: " .. kind) end
  local body = json.decode(call.text)
  if type(body) ~= "table" then return note(call, "request", "body", "is no JSON object") end
  local node = document.schemas[method.request["$ref"]]
  local report = {}
  local nulls = method.httpMethod == "PATCH" and call.contract.service ~= "people"
  schema.check(document, node, body, "", report, { nulls = nulls, readonly = method.id == "people.people.createContact" })
  for _, one in ipairs(report) do
    note(call, "request", "body." .. one.where, one.message)
    malformed(call, "body." .. one.where, one.message)
  end
  for name, property in pairs(node.properties or {}) do
    if is_required(property, method.id) and body[name] == nil then note(call, "request", "body." .. name, "is missing") end
  end
  check_readonly(call, method, node, body)
end

--- Looks at a request; what breaks the contract is noted, and the request goes on.
---@param call google.Call
function contract.request(call)
  local service = contract.service(call.req.path)
  if not service or not contract.documents[service] then return end
  local entry, document, other = find(service, call.method, call.req.path)
  if not entry then
    return note(call, "request", other and "method" or "path", other and "there is only " .. other.http or "is not in the contract")
  end
  call.contract = { id = entry.id, service = service, method = entry.method, document = document }
  check_query(call, entry.method, document)
  check_body(call, entry.method, document)
  for name, value in pairs(call.headers) do
    if name == "authorization" and not value:find "^Bearer %S+$" then note(call, "request", "headers.authorization", "is no bearer token") end
  end
end

--- Looks at an answer of the emulator itself.
---@param call google.Call
---@param response lunation.Response
function contract.answer(call, response)
  local found = call.contract
  if not found or response.status < 200 or response.status > 299 or type(response.body) ~= "string" then return end
  local wanted = found.method.response
  if not wanted then
    if response.body ~= "" then note(call, "answer", "body", "is not in the contract") end
    return
  end
  if call.args.fields then return end
  local body = json.decode(response.body)
  if type(body) ~= "table" then return note(call, "answer", "body", "is no JSON object") end
  local report = {}
  schema.check(found.document, wanted, body, "", report)
  for _, one in ipairs(report) do note(call, "answer", "body." .. one.where, one.message) end
end

return contract
