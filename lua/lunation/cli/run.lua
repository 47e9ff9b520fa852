-- lunation run [-c FILE] SCRIPT [ARG…]: a trusted script as the program.

local run = {}

function run.main(argv)
  local path = table.remove(argv, 1)
  if not path then
    io.stderr:write("lunation run: a script is expected\n")
    return 2
  end
  local chunk, err = loadfile(path, "t")
  if not chunk then
    io.stderr:write("lunation run: ", err, "\n")
    return 1
  end
  arg = table.move(argv, 1, #argv, 1, { [0] = path })
  local status = chunk(table.unpack(argv))
  return math.type(status) == "integer" and status or 0
end

return run
