-- $filter: the expressions of OData 4.01 (section 5.1.1) that Outlook's resources know, as a function of an entity.
local answer = require "spec.emulators.microsoft.answer"
local json = require "lunation.json"
local times = require "spec.emulators.microsoft.times"

local M = {}

local function bad(message) answer.fail(400, "BadRequest", "Invalid filter clause: " .. message) end

-- Tokens: { kind, value }.
local function tokens(text)
  local out, at = {}, 1
  local function put(kind, value) out[#out + 1] = { kind = kind, value = value } end
  while true do
    at = text:find("%S", at)
    if not at then break end
    local char = text:sub(at, at)
    if char == "'" then
      local finish = at
      repeat
        finish = text:find("'", finish + 1, true)
        if not finish then bad "there is an unterminated string literal." end
        local doubled = text:sub(finish + 1, finish + 1) == "'"
        if doubled then finish = finish + 1 end
      until not doubled
      put("literal", (text:sub(at + 1, finish - 1):gsub("''", "'")))
      at = finish + 1
    elseif char:find "[%(%),:/]" then
      put(char)
      at = at + 1
    else
      local word = text:match("^[^%s%(%),'/:]+", at)
      local stamp = text:match("^%d%d%d%d%-%d%d%-%d%d[T%d:%.Z+-]*", at)
      if stamp then word = stamp end
      if not word then bad(("a syntax error at position %d."):format(at - 1)) end
      at = at + #word
      if stamp then
        put("literal", word)
      elseif tonumber(word) then
        put("literal", math.tointeger(tonumber(word)) or tonumber(word))
      elseif word == "true" or word == "false" then
        put("literal", word == "true")
      elseif word == "null" then
        put("literal", json.null)
      else
        put("name", word)
      end
    end
  end
  return out
end

-- Values compare as what they are: times as instants, enumerations and other text by their letters.
local function comparable(a, b)
  if type(a) == "string" and type(b) == "string" then
    local x, y = times.instant(a), times.instant(b)
    if x and y and #a > 4 and #b > 4 then return x, y end
  end
  return a, b
end

local compare = {
  eq = function(a, b)
    if type(a) == "string" and type(b) == "string" then
      local x, y = comparable(a, b)
      if type(x) == "number" then return x == y end
      return a:lower() == b:lower()
    end
    return a == b
  end,
}
compare.ne = function(a, b) return not compare.eq(a, b) end
local function ordered(test)
  return function(a, b)
    a, b = comparable(a, b)
    if type(a) ~= type(b) or type(a) ~= "number" and type(a) ~= "string" then return false end
    return test(a, b)
  end
end
compare.gt = ordered(function(a, b) return a > b end)
compare.ge = ordered(function(a, b) return a >= b end)
compare.lt = ordered(function(a, b) return a < b end)
compare.le = ordered(function(a, b) return a <= b end)

local functions = {
  startswith = function(a, b) return type(a) == "string" and a:lower():sub(1, #b) == b:lower() end,
  endswith = function(a, b) return type(a) == "string" and b ~= "" and a:lower():sub(-#b) == b:lower() end,
  contains = function(a, b) return type(a) == "string" and a:lower():find(b:lower(), 1, true) ~= nil end,
  tolower = function(a) return type(a) == "string" and a:lower() or a end,
  toupper = function(a) return type(a) == "string" and a:upper() or a end,
}

local function read(value, path)
  for _, name in ipairs(path) do
    if type(value) ~= "table" then return json.null end
    value = value[name]
    if value == nil then return json.null end
  end
  return value
end

---Compiles a filter.
---@param text string
---@param refused table<string, string|boolean> properties that cannot be filtered by
---@param schema spec.graph.Schema? whose properties there are
---@return fun(entity: table): boolean
function M.compile(text, refused, schema)
  local list, at = tokens(text), 1
  local expression

  local function peek(kind, value)
    local token = list[at]
    return token and token.kind == kind and (value == nil or token.value == value)
  end
  local function take(kind, value)
    if not peek(kind, value) then bad(("a syntax error near '%s'."):format(list[at] and tostring(list[at].value or list[at].kind) or "the end")) end
    at = at + 1
    return list[at - 1].value
  end

  -- A path: names between slashes, or one that ends in any(x:…) or all(x:…).
  local function path(names, scope)
    while peek "/" do
      at = at + 1
      local name = take "name"
      local quantifier = name:lower()
      if (quantifier == "any" or quantifier == "all") and peek "(" then
        at = at + 1
        local variable = take "name"
        take ":"
        local inner = expression(variable)
        take ")"
        return function(entity)
          local values = read(entity, names)
          if type(values) ~= "table" then return quantifier == "all" end
          for _, each in ipairs(values) do
            if inner(entity, each) ~= (quantifier == "all") then return quantifier == "any" end
          end
          return quantifier == "all"
        end, true
      end
      names[#names + 1] = name
    end
    if names[1] == scope then
      table.remove(names, 1)
      return function(_, element) return read(element, names) end
    end
    if refused[names[1]] then
      answer.fail(400, "ErrorInvalidUrlQueryFilter", ("The property '%s' does not support filtering."):format(names[1]))
    end
    if schema and not schema.known[names[1]] and not schema.expand[names[1]] then
      answer.fail(400, "BadRequest", ("Could not find a property named '%s' on type '%s'."):format(names[1], schema.name))
    end
    return function(entity) return read(entity, names) end
  end

  local function operand(scope)
    if peek "literal" then
      local value = take "literal"
      return function() return value end
    end
    local name = take "name"
    local called = functions[name:lower()]
    if called and peek "(" then
      at = at + 1
      local first, second = operand(scope), nil
      if peek "," then
        at = at + 1
        second = operand(scope)
      end
      take ")"
      return function(entity, element) return called(first(entity, element), second and second(entity, element)) end, true
    end
    if name:lower() == "cast" then bad "the function 'cast' is not supported." end
    if peek "(" then bad(("an unknown function with name '%s' was found."):format(name)) end
    return path({ name }, scope)
  end

  local function primary(scope)
    if peek("name", "not") then
      at = at + 1
      local inner = primary(scope)
      return function(entity, element) return not inner(entity, element) end
    end
    if peek "(" then
      at = at + 1
      local inner = expression(scope)
      take ")"
      return inner
    end
    local left, boolean = operand(scope)
    local operator = list[at] and list[at].kind == "name" and list[at].value
    if operator == "in" then
      at = at + 1
      take "("
      local choices = {}
      repeat
        choices[#choices + 1] = operand(scope)
        local more = peek ","
        if more then at = at + 1 end
      until not more
      take ")"
      return function(entity, element)
        local value = left(entity, element)
        for _, choice in ipairs(choices) do
          if compare.eq(value, choice(entity, element)) then return true end
        end
        return false
      end
    end
    local test = compare[operator]
    if not test then
      if boolean or operator == "and" or operator == "or" or not list[at] or peek ")" then
        return function(entity, element) return left(entity, element) == true end
      end
      bad(("unknown operator '%s'."):format(tostring(operator)))
    end
    at = at + 1
    local right = operand(scope)
    return function(entity, element) return test(left(entity, element), right(entity, element)) end
  end

  local function chain(word, inner, join)
    return function(scope)
      local left = inner(scope)
      while peek("name", word) do
        at = at + 1
        left = join(left, inner(scope))
      end
      return left
    end
  end
  local conjunction = chain("and", primary, function(a, b) return function(e, x) return a(e, x) and b(e, x) end end)
  expression = chain("or", conjunction, function(a, b) return function(e, x) return a(e, x) or b(e, x) end end)

  local compiled = expression(nil)
  if list[at] then bad(("a syntax error near '%s'."):format(tostring(list[at].value or list[at].kind))) end
  return compiled
end

return M
