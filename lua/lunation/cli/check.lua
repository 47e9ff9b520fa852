-- lunation check: loads what `serve` would load, and changes nothing.

return {
  summary = "loads the configuration, the providers, the routes and the scripts, and says what is wrong",
  usage = { "[-c FILE]" },
  configured = true,
  run = function(_, options, context)
    local cfg, err = context:config()
    if not cfg then return nil, err end
    local problems = require("lunation.service").check(cfg)
    for _, problem in ipairs(problems) do io.stderr:write("lunation check: ", problem, "\n") end
    if #problems > 0 then return 1 end
    if not options.quiet then print(("%s: good"):format(cfg.path or "the embedded defaults")) end
    return 0
  end,
}
