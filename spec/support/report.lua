-- busted's plain report, with one line at its end that a machine can read: "N passed, N failed".

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.plainTerminal"(options)
  busted.subscribe({ "exit" }, function()
    io.write(("%d passed, %d failed\n"):format(handler.successesCount, handler.failuresCount + handler.errorsCount))
    return nil, true
  end)
  return handler
end
