-- Questions and answers of `lunation expand --jsonl`. What stands in a line is anybody's.

local errors = require "lunation.errors"
local json = require "lunation.json"
local rrule = require "lunation.rrule"

local jsonl = {}

-- The longest line that is read as one question, and the most occurrences of one answer.
local LINE_MAX = 4 << 20
local OCCURRENCES_MAX = 1000000

local FIELDS = {
  dtstart = "string", tzid = "string", rrule = "texts", exrule = "texts", rdate = "texts", exdate = "texts",
  from = "string", to = "string", utc = "boolean", strict = "boolean", limit = "integer",
}

local function is_kind(value, kind)
  if kind == "texts" then
    if type(value) == "string" then return true end
    if type(value) ~= "table" then return false end
    for key, text in pairs(value) do
      if math.type(key) ~= "integer" or type(text) ~= "string" then return false end
    end
    return true
  end
  if kind == "integer" then return math.type(value) == "integer" and value >= 0 end
  return type(value) == kind
end

-- What stands in a line is anybody's: it is looked at before the engine, which raises on wrong types.
local function question_of(line)
  if #line > LINE_MAX then return nil, errors.new("too_large", ("a line has at most %d bytes"):format(LINE_MAX)) end
  local asked, err = json.decode(line)
  if asked == nil then return nil, err end
  if type(asked) ~= "table" or #asked > 0 then return nil, errors.new("invalid_request", "a JSON object is expected") end
  local question = {}
  for field, kind in pairs(FIELDS) do
    local value = asked[field]
    if value ~= nil and value ~= json.null then
      if not is_kind(value, kind) then
        return nil, errors.new("invalid_request", ("%s is no %s"):format(field, kind == "texts" and "list of texts" or kind), { field = field })
      end
      question[field] = value
    end
  end
  if not question.dtstart then return nil, errors.new("invalid_request", "dtstart is missing", { field = "dtstart" }) end
  if question.limit then question.limit = math.min(question.limit, OCCURRENCES_MAX) end
  return question
end

--- One line of JSON Lines to another.
---@param line string a JSON object in the form of `rrule.expand`'s argument; fields of other names are let be
---@return string answer {"occurrences":[…],"truncated":false} or {"error":{…}}
function jsonl.answer(line)
  local question, err = question_of(line)
  local occurrences, truncated
  if question then
    local ran
    ran, occurrences, truncated = pcall(rrule.expand, question)
    if not ran then
      err = errors.new("invalid_request", tostring(occurrences))
    elseif not occurrences then
      err = truncated
    end
  end
  if err then
    local told = {}
    for _, field in ipairs { "code", "message", "part", "field", "line", "column" } do told[field] = err[field] end
    return assert(json.encode({ error = told }, { sorted = true, utf8 = "replace" }))
  end
  return assert(json.encode({ occurrences = json.array(occurrences), truncated = truncated }, { sorted = true }))
end

return jsonl
