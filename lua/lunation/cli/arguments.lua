-- Command lines: a command's table says what it takes, this reads the words and says what is wrong with them.

local errors = require "lunation.errors"
local units = require "lunation.units"

local arguments = {}

---@class lunation.Option
---@field value string?   the placeholder of its value in the usage text; nil: a switch
---@field field string?   key in the result; else the name without dashes, `-` as `_`
---@field many boolean?   may stand several times: the result is an array
---@field help string
---@field read (fun(text: string): any, string?)? turns the text into a value, or says why not

local function key_of(name, option)
  return option.field or (name:gsub("^%-+", ""):gsub("%-", "_"))
end

local function wrong(message)
  return nil, errors.new("usage", message)
end

--- A reader of whole numbers of at least `least`.
---@param least integer
---@return fun(text: string): integer?, string?
function arguments.count(least)
  return function(text)
    local number = math.tointeger(tonumber(text))
    if number and number >= least and not text:find "[^%d]" then return number end
    return nil, ("a whole number of at least %d expected"):format(least)
  end
end

--- A reader of durations, in seconds.
---@param text string
---@return number? seconds
---@return string? why
function arguments.seconds(text)
  if text:find "^%d+$" then return tonumber(text) end
  return units.seconds(text)
end

--- Reads options and positional words. Options may stand anywhere before `--`; `-x VALUE`, `--name VALUE`, `--name=VALUE`.
---@param words string[]
---@param options table<string, lunation.Option>
---@param rest boolean? the first positional word ends the options (a script and its own arguments)
---@return table|nil options, string[]|lunation.Error positional
function arguments.read(words, options, rest)
  local taken, positional, i = {}, {}, 1
  while i <= #words do
    local word = words[i]
    if word == "--" then
      table.move(words, i + 1, #words, #positional + 1, positional)
      break
    elseif word:sub(1, 1) ~= "-" or word == "-" then
      if rest then
        table.move(words, i, #words, 1, positional)
        break
      end
      positional[#positional + 1] = word
    else
      local name, value = word:match "^(%-%-[^=]+)=(.*)$"
      name = name or word
      local option = options[name]
      if not option then return wrong(("there is no option `%s`%s"):format(name, units.suggestion(name, options))) end
      if not option.value then
        if value then return wrong(("`%s` takes no value"):format(name)) end
        value = true
      elseif not value then
        i = i + 1
        value = words[i]
        if not value then return wrong(("`%s` takes a value: %s"):format(name, option.value)) end
      end
      if option.read then
        local read, why = option.read(value)
        if read == nil then return wrong(("%s %s: %s"):format(name, value, why)) end
        value = read
      end
      local key = key_of(name, option)
      if option.many then
        taken[key] = taken[key] or {}
        table.insert(taken[key], value)
      elseif taken[key] ~= nil and option.value then
        return wrong(("`%s` stands twice"):format(name))
      else
        taken[key] = value
      end
    end
    i = i + 1
  end
  return taken, positional
end

--- The lines of an option list, aligned, for help texts.
---@param options table<string, lunation.Option>
---@return string[]
function arguments.describe(options)
  local groups, width = {}, 0
  local by_option = {}
  for name, option in pairs(options) do
    by_option[option] = by_option[option] or {}
    table.insert(by_option[option], name)
  end
  for option, names in pairs(by_option) do
    table.sort(names, function(a, b) return #a < #b end)
    local left = table.concat(names, ", ") .. (option.value and " " .. option.value or "")
    width = math.max(width, utf8.len(left))
    groups[#groups + 1] = { left = left, help = option.help, sort = names[#names] }
  end
  table.sort(groups, function(a, b) return a.sort < b.sort end)
  local lines = {}
  for _, group in ipairs(groups) do
    lines[#lines + 1] = "  " .. group.left .. (" "):rep(width - utf8.len(group.left) + 2) .. group.help
  end
  return lines
end

return arguments
