-- lunation serve: the HTTP API. This file reads the words; src/host/supervisor.c keeps the sockets and the workers, and
-- each worker runs it again to get its configuration (lua/lunation/worker.lua).

local arguments = require "lunation.cli.arguments"

local serve = {
  summary = "runs the HTTP API",
  usage = { "[-c FILE] [--listen URL]… [--workers N] [--watch]" },
  help = "TERM and Ctrl-C finish the requests under way; HUP reloads configuration, providers, routes and scripts.",
  configured = true,
  options = {
    ["--listen"] = { value = "URL", many = true, help = "instead of what the configuration says; repeatable" },
    ["--workers"] = { value = "N", read = arguments.count(1), help = "processes that share the port" },
    ["--watch"] = { help = "reloads when a file that was loaded changes" },
  },
}

---@type {workers: integer, listeners: string[], drain_time: number, stuck_time: number, log_json: boolean}? for the supervisor
serve.plan = nil
---@type table? the configuration, for the worker
serve.config = nil
serve.watch = false

--- Reads the configuration; the worker (lunation.worker) serves by it.
---@param options table
---@param context lunation.CommandContext
---@return integer? status
---@return lunation.Error?
function serve.run(_, options, context)
  local cfg, err = context:config()
  if not cfg then return nil, err end
  local urls = {}
  for i, listener in ipairs(cfg.listeners) do urls[i] = listener.url end
  serve.config, serve.watch = cfg, options.watch or false
  serve.plan = {
    workers = cfg.workers, listeners = urls, drain_time = cfg.limits.drain_time, stuck_time = cfg.limits.stuck_time,
    log_json = cfg.log.json or false,
  }
  return 0
end

return serve
