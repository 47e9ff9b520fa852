-- Every file of the collection, most of them wrong in some way: it is read or refused within 50 ms, strictly and leniently, and what
-- is read comes back from text and from jCal with every line. `make test-san` runs this under ASan and UBSan.
local corpus = require "spec.support.corpus"
local fs = require "lunation.fs"
local ical = require "lunation.ical"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local tree = require "lunation.ical.tree"

local LIMIT = 0.05
-- ASan makes each table of Lua's dear: there the tree in C is held to the limit, and the tables to 50 ns an octet where that is more.
local sanitized = require("lunation.host").executable:find("build-san", 1, true) ~= nil

local function properties_in(node)
  local count = #node.properties
  for _, child in ipairs(node.components) do count = count + properties_in(child) end
  return count
end

-- Processor time of a call: the best of a few where the first was slow, as a machine has other things to do and so has the
-- collector of what the files before left behind.
local function timed(limit, f, ...)
  local first, second, quick
  for _ = 1, 5 do
    local began = os.clock()
    first, second = f(...)
    quick = os.clock() - began <= limit
    if quick then break end
    first, second = nil, nil
    collectgarbage()
    collectgarbage "stop"
  end
  collectgarbage "restart"
  if not quick then first, second = f(...) end
  return first, second, quick
end

-- The lines that a text has, by its line ends, folds and byte order mark alone; nil where more than that decides.
local function lines_in(text)
  if text:find "%z" or text:find "\r[^\n]" or text:upper():find("QUOTED-PRINTABLE", 1, true) then return nil end
  local lines, inner = 0, 0
  text = text:gsub("^\xEF\xBB\xBF", ""):gsub("\r\n", "\n"):gsub("\n+[ \t]", "")
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    if line:find "%S" then
      lines = lines + 1
      local upper = line:upper()
      if upper:match "^%s*BEGIN *[:;].*%S" or upper:match "^%s*END *[:;].*%S" then inner = inner + 1 end
    end
  end
  return lines - inner
end

-- What jCal keeps of a property: the name, the parameters in any order, the value in its sense and not in its letters (RFC 7265
-- section 3.4: VALUE is the type then, and numbers are numbers).
local function sense(p)
  local parameters, parts = {}, {}
  for _, parameter in ipairs(p.params) do
    local key = parameter.name
    parameters[key] = (parameters[key] or key) .. "\1" .. table.concat(parameter, "\1")
  end
  parameters.VALUE = nil
  local list = {}
  for _, each in pairs(parameters) do list[#list + 1] = each:gsub("\1+", "\1"):gsub("\1$", "") end
  table.sort(list)
  for part in tree.unescape(p.value):upper():gsub("[%s\\]", ""):gmatch "[^;]+" do
    parts[#parts + 1] = p.name == "GEO" and tonumber(part) and ("%.9g"):format(tonumber(part)) or part
  end
  table.sort(parts)
  return p.name .. "|" .. table.concat(list, ";") .. "|" .. table.concat(parts, ";")
end

-- Nothing where two trees say the same, else where they do not.
local function difference(a, b)
  if a.name ~= b.name or #a.properties ~= #b.properties or #a.components ~= #b.components then return "component " .. a.name end
  for i, p in ipairs(a.properties) do
    if sense(p) ~= sense(b.properties[i]) then return ("%s and %s"):format(sense(p), sense(b.properties[i])) end
  end
  for i, child in ipairs(a.components) do
    local found = difference(child, b.components[i])
    if found then return found end
  end
end

local function placed(problem)
  return math.type(problem.line) == "integer" and problem.line >= 1 and math.type(problem.column) == "integer" and problem.column >= 1
    and type(problem.message) == "string" and problem.code ~= nil
end

for folder, count in pairs { ics = 3000, ics_rendered = 1600 } do
  describe("every file of " .. folder, function()
    local names = fs.list(corpus.root .. folder) or {}
    if #names == 0 then
      it("is read or refused", function() pending "needs ../shared" end)
      return
    end
    table.sort(names)

    -- Calls `check` with the text and the tree of each file, and collects what it complains of.
    local function each(check)
      local complaints, files = {}, 0
      for _, name in ipairs(names) do
        local text = corpus.read(folder .. "/" .. name)
        if text then
          files = files + 1
          local complaint = check(text, name)
          if complaint then complaints[#complaints + 1] = name .. ": " .. complaint end
        end
      end
      assert.same({}, complaints)
      assert.is_true(files > count, "only " .. files)
    end

    it("is read or refused within 50 ms, with line and column", function()
      local read = 0
      each(function(text)
        local limit = sanitized and math.max(LIMIT, 50e-9 * #text) or LIMIT
        for _, options in ipairs { {}, { strict = true } } do
          local _, _, quick = timed(LIMIT, tree.rewrite, text, options)
          if not quick then return "slow" end
        end
        local root, problems, fast = timed(limit, tree.parse, text)
        if not fast then return "slow to make tables of" end
        if root then
          read = read + 1
          for _, warning in ipairs(problems) do
            if not placed(warning) then return "a warning without its place: " .. tostring(warning.message) end
          end
        elseif not placed(problems) then
          return "an error without its place"
        end
        local strict, err, swift = timed(limit, tree.parse, text, { strict = true })
        if not swift then return "slow when strict" end
        if strict and not root then return "strict where lenient refuses" end
        if not strict and not placed(err) then return "a strict error without its place" end
        -- What strict reading takes, lenient reading takes as it is.
        if strict and not mapping.equal(strict, root) then return "strict and lenient differ" end
      end)
      assert.is_true(read > count)
    end)

    it("comes back from text, with every line", function()
      each(function(text)
        local root = tree.parse(text)
        if not root then return end
        local lines, found = lines_in(text), properties_in(root)
        -- Other charsets have other line ends: UTF-16 is turned into UTF-8 first.
        if lines and lines > found and not text:find "^[\xFE\xFF]" then return ("%d lines, %d properties"):format(lines, found) end
        local written = tree.serialize(root)
        local again = tree.parse(written)
        if not again or not mapping.equal(root, again) then return "another tree" end
        if tree.serialize(again) ~= written then return "another text" end
        for line in written:gmatch "(.-)\r\n" do
          if #line > 75 then return "a long line" end
        end
        local rewritten, memory = tree.rewrite(text)
        if not mapping.equal(root, (tree.parse(rewritten))) then return "another tree without tables" end
        if memory > 65536 + 16 * #text then return ("%d octets of memory for %d"):format(memory, #text) end
      end)
    end)

    it("comes back from jCal", function()
      each(function(text)
        local root = tree.parse(text)
        if not root then return end
        local jcal = ical.to_jcal(root)
        local back, err = ical.from_jcal(assert(json.decode(assert(json.encode(jcal)))))
        if not back then return tostring(err) end
        local found = difference(root, back)
        if found then return found end
        if not mapping.equal(ical.to_jcal(back), jcal) then return "another jCal" end
      end)
    end)
  end)
end
