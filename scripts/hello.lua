-- Routes of one's own: lunation run scripts/hello.lua, then curl http://127.0.0.1:8090/hello/ada
local cal = require "lunation"

cal.route("GET", "/hello/:name", function(req)
  return { hello = req.params.name }
end, { public = true })

cal.route("GET", "/today", function()
  local titles = {}
  for event in cal.events { from = "today", to = "+1d" } do titles[#titles + 1] = event.title end
  return { titles = titles }
end, { public = true })

print("listening on " .. cal.listen((...) or "http://127.0.0.1:8090").url)
