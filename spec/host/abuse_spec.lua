-- Random abuse from a fixed seed: broken, cut, reset and slow clients of both versions. Afterwards the server answers as
-- before and has let go of everything. What it does to memory is seen when the specs run under ASan (make test-san).

local raw = require "spec.support.raw"
local router = require "lunation.router"
local server = require "lunation.server"
local support = require "spec.support"
local task = require "lunation.task"
local tcp = require "lunation.tcp"
local timer = require "lunation.timer"

local PATHS = { "/quick?a=%41&b", "/slow", "/stream", "/fail", "/broken", "/big", "/spawn", "/none" }

local function routes()
  local function streaming(parts, fails)
    return function()
      return { status = 200, body = function(write)
        for i = 1, parts do
          if not write(("x"):rep(20000)) then return end
          if i % 10 == 0 then timer.sleep(0.001) end
        end
        if fails then error("broken off") end
      end }
    end
  end
  local function received(req) timer.sleep(0.002) return "got " .. #req.body end
  return {
    ["/quick"] = { GET = function(req) return { args = req.args, x = req.headers.x } end, POST = function(req) return "got " .. #req.body end },
    ["/slow"] = { GET = received, POST = received },
    ["/stream"] = { GET = streaming(40) },
    ["/broken"] = { GET = streaming(1, true) },
    ["/fail"] = { GET = function() timer.sleep(0.001) error("failed") end },
    ["/big"] = { GET = function() return { status = 200, headers = { ["content-type"] = "application/json" }, body = ("[1,2,3]"):rep(50000) } end },
    ["/spawn"] = { GET = function()
      local child = task.spawn(function() timer.sleep(0.5) end)
      timer.sleep(0.001)
      child:cancel()
      return "done"
    end },
  }
end

local function pick(list) return list[math.random(#list)] end

local function bytes(n)
  local out = {}
  for i = 1, n do out[i] = string.char(math.random(0, 255)) end
  return table.concat(out)
end

local function http1()
  if math.random() < 0.3 then
    local body = ("x"):rep(pick { 0, 1, 100, 5000, 100000 })
    if math.random() < 0.5 then return ("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body) end
    return ("POST /quick HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nabc%s\r\n0\r\n\r\n"):format(#body + 3, body)
  end
  return raw.get(pick(PATHS), pick { "", "Connection: close\r\n", "Accept-Encoding: gzip\r\n", "X: y\r\n" })
end

local function frame(kind, flags, stream, payload)
  return string.pack(">I3BBI4", #payload, kind, flags, stream) .. payload
end

local function head(method, path)
  local list, fields = { ":method", method, ":scheme", "http", ":authority", "a", ":path", path }, {}
  for i = 1, #list, 2 do fields[#fields + 1] = "\0" .. string.char(#list[i]) .. list[i] .. string.char(#list[i + 1]) .. list[i + 1] end
  return table.concat(fields)
end

local function http2()
  local out, stream = { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(4, 0, 0, "") }, 1
  for _ = 1, math.random(20) do
    local kind = math.random()
    if kind < 0.6 then
      out[#out + 1] = frame(1, 5, stream, head("GET", pick(PATHS)))
      if math.random() < 0.3 then out[#out + 1] = frame(3, 0, stream, "\0\0\0\8") end
      stream = stream + 2
    elseif kind < 0.8 then
      out[#out + 1] = frame(1, 4, stream, head("POST", "/slow"))
      out[#out + 1] = frame(0, pick { 0, 1 }, stream, ("x"):rep(math.random(0, 5000)))
      stream = stream + 2
    elseif kind < 0.9 then
      out[#out + 1] = frame(8, 0, pick { 0, stream }, string.pack(">I4", math.random(1 << 20)))
    else
      out[#out + 1] = frame(math.random(0, 10), math.random(0, 255), pick { 0, 1, stream }, bytes(math.random(0, 40)))
    end
  end
  return table.concat(out)
end

local function mutate(text)
  for _ = 1, math.random(4) do
    local at = math.random(#text)
    local kind = math.random()
    local cut = kind < 0.4 and 1 or kind < 0.7 and math.random(5) or 0
    text = text:sub(1, at - 1) .. (kind < 0.7 and kind >= 0.4 and "" or bytes(math.random(3))) .. text:sub(at + cut)
  end
  return text
end

local function abuse(port)
  local peer = tcp.connect("127.0.0.1", port, 5)
  if not peer then return end
  local text
  if math.random() < 0.4 then
    text = http2()
  else
    local requests = {}
    for i = 1, math.random(6) do requests[i] = http1() end
    text = table.concat(requests)
  end
  if math.random() < 0.4 then text = mutate(text) end
  local at = 1
  while at <= #text do
    local n = pick { #text, math.random(3000) }
    if not peer:write(text:sub(at, at + n - 1), 0.2) then break end
    at = at + n
    if math.random() < 0.05 then break end
  end
  local ending = math.random()
  if ending > 0.3 then
    local timeout = pick { 0.001, 0.02, 0.1 }
    for _ = 1, 20 do
      if not peer:read(65536, timeout) then break end
    end
  end
  if ending < 0.2 then peer:reset() else peer:close() end
end

describe("under abuse the HTTP server", function()
  it("stays what it was", function()
    math.randomseed(20250301)
    local r = router.new { log = function() end }
    r:mount("", routes())
    local limits = { head_time = 0.5, body_time = 0.5, idle_time = 0.5, write_time = 0.5, handler_time = 0.5 }
    local listener = assert(server.listen("http://127.0.0.1:0", { limits = limits }, r))
    local port = tonumber(listener.url:match(":(%d+)$"))
    local clients = {}
    for i = 1, 8 do clients[i] = function() for _ = 1, 60 do abuse(port) end end end
    for _, result in ipairs(task.all(clients)) do assert.is_true(result[1], tostring(result[2])) end
    local response = assert(raw.exchange(listener.url, raw.get("/quick?a=%41&b", "X: y\r\nConnection: close\r\n")))
    assert.are.equal(200, response.status)
    support.eventually(function() return server.stats().connections == 0 and server.stats().requests == 0 end, 15, "everything let go")
    listener:close()
  end)
end)
