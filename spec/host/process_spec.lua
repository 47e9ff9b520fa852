local process = require "lunation.process"
local task = require "lunation.task"

describe("a child process", function()
  it("is given arguments, input, environment and a directory, and its output is read", function()
    local result = assert(process.run {
      args = { "sh", "-c", 'cat; echo "$1 $GREETING $HOME $(pwd)"; echo oops >&2; exit 3', "sh", "one two" },
      stdin = "from stdin\n", env = { GREETING = "hello", HOME = false }, cwd = "/", stderr = "pipe",
    })
    assert.are.equal("from stdin\none two hello  /\n", result.stdout)
    assert.are.equal("oops\n", result.stderr)
    assert.are.equal(3, result.code)
    assert.is_nil(result.signal)
  end)

  it("is waited for by several tasks, with a limit of time", function()
    local child = assert(process.spawn { args = { "sleep", "60" } })
    local status, err = child:wait(0.01)
    assert.is_nil(status)
    assert.are.equal("timeout", err.code)
    local first, second = task.spawn(child.wait, child), task.spawn(child.wait, child)
    assert.is_true(child:kill("TERM"))
    assert.are.equal(15, select(2, first:wait()).signal)
    assert.are.equal(15, select(2, second:wait()).signal)
    assert.are.equal(15, child:wait().signal)
    assert.is_nil((child:kill("TERM")))
  end)

  it("that cannot be started is an error", function()
    local child, err = process.spawn { args = { "/nonexistent/program" }, stdout = "pipe", stdin = "x" }
    assert.is_nil(child)
    assert.are.equal("spawn", err.code)
    assert.matches("/nonexistent/program", err.message)
    assert.has_error(function() process.spawn { args = {} } end)
    assert.has_error(function() process.spawn { args = { 1, {} } } end)
  end)

  it("with more output than is buffered waits for its reader", function()
    local child = assert(process.spawn { args = { "head", "-c", "5000000", "/dev/zero" }, stdout = "pipe" })
    local total = 0
    for piece in function() return child:read() end do total = total + #piece end
    assert.are.equal(5000000, total)
    assert.are.equal(0, child:wait().code)
  end)

  it("takes its group with it", function()
    local child = assert(process.spawn { args = { "sh", "-c", "sleep 61 & echo $!; wait" }, stdout = "pipe", group = true })
    local grandchild = tonumber(child:read())
    assert.is_true(process.kill(grandchild, 0))
    child:kill("KILL")
    child:wait()
    while process.kill(grandchild, 0) do
      local state = io.open("/proc/" .. grandchild .. "/stat")
      if not state or state:read("a"):match("%) Z") then break end
      require("lunation.timer").sleep(0.005)
    end
  end)

  it("does not outlive the host", function()
    local host = require "lunation.host"
    local script = require("spec.support").tmpdir() .. "/script.lua"
    local file <close> = assert(io.open(script, "w"))
    file:write('local c = require("lunation.process").spawn{ args = { "sleep", "62" } } print(c.pid) os.exit(4)')
    file:flush()
    local result = assert(process.run { args = { host.executable, "run", script } })
    assert.are.equal(4, result.code)
    local pid = assert(math.tointeger(tonumber(result.stdout)))
    local deadline = require("lunation.timer").now() + 5
    while process.kill(pid, 0) and require("lunation.timer").now() < deadline do require("lunation.timer").sleep(0.005) end
    assert.is_nil((process.kill(pid, 0)))
  end)
end)
