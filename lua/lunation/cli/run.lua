-- lunation run [-c FILE] SCRIPT [ARG…]: a trusted script as the program.

local errors = require "lunation.errors"

-- What was raised, with the line of the script where it happened; a traceback where the fault is in code.
local function explain(source)
  return function(raised)
    if type(raised) == "string" then return debug.traceback(raised, 2) end
    if type(raised) ~= "table" or not raised.code then return raised end
    for level = 2, 60 do
      local info = debug.getinfo(level, "Sl")
      if not info then break end
      if info.source == source then
        return errors.new(raised.code, ("%s:%d: %s"):format(info.short_src, info.currentline, tostring(raised)))
      end
    end
    return raised
  end
end

return {
  summary = "runs a script, with calendars as `require \"lunation\"`",
  usage = { "[-c FILE] SCRIPT [ARG…]" },
  help = "The script's arguments are in `...` and `arg`; an integer that it returns is the exit status.\n"
    .. "The program ends when the script has returned and no route, hook or timer of it is left. `-` is standard input.",
  configured = true,
  rest = true,
  least = 1,
  run = function(words, _, context)
    local path = table.remove(words, 1)
    local chunk, err
    if path == "-" then
      chunk, err = load(io.read "a", "=stdin", "t")
    else
      chunk, err = loadfile(path, "t")
    end
    if not chunk then return nil, errors.new("syntax", err) end
    require("lunation.engine").provide(function()
      local engine, failure = context:engine()
      context.opened = nil -- the script's routes and timers may outlive its main chunk
      return engine, failure
    end)
    arg = table.move(words, 1, #words, 1, { [0] = path })
    local ok, status = xpcall(chunk, explain(debug.getinfo(chunk, "S").source), table.unpack(words))
    if not ok then return nil, errors.from(status) end
    return math.type(status) == "integer" and status or 0
  end,
}
