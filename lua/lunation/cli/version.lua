-- lunation version

return {
  main = function()
    print("lunation " .. require("lunation.host").version)
  end,
}
