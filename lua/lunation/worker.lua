-- What a worker's C (src/host/worker.c) calls in each of its engines: start, then retire, resume or drain.

local log = require "lunation.log"
local service = require "lunation.service"

local worker = {
  drain_time = 25, -- seconds; the configuration's, once it is read
}

local running

--- Starts serving; what it raises says why it cannot.
---@param options {argv: string[], sockets: table<string, integer>, secret: string, slot: integer, generation: integer}
---@return boolean started
function worker.start(options)
  local began = require("lunation.timer").now()
  local command = require "lunation.cli.serve"
  if require("lunation.cli").main(options.argv) ~= 0 then return false end
  require("lunation.strict").lock()
  local cfg = command.config
  worker.drain_time = cfg.limits.drain_time
  local err
  running, err = service.start(cfg, options)
  if not running then
    log.error(options.generation == 0 and "the start failed" or "the reload failed; what was there goes on", { error = tostring(err) })
    return false
  end
  if command.watch then require("lunation.watch").start(cfg) end
  local urls = {}
  for _, listener in pairs(running.listeners) do urls[#urls + 1] = listener.url end
  table.sort(urls)
  log.info(options.generation == 0 and "serving" or "reloaded", {
    worker = options.slot, urls = table.concat(urls, " "), ms = math.floor((require("lunation.timer").now() - began) * 1000),
  })
  return true
end

--- A newer engine has taken over: jobs, hooks and schedules of this one end; its requests go on.
function worker.retire()
  running:retire(worker.drain_time)
end

--- A newer engine did not start: what it had taken over is this one's again.
function worker.resume()
  running:resume()
end

--- The process is about to end: no new requests, those under way finish, the store is closed.
function worker.drain()
  running:drain(worker.drain_time)
  running.engine:close()
  log.info "drained"
end

return worker
