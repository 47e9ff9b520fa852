std = "lua54"
max_line_length = 160
include_files = { "**/*.lua", "*.rockspec" }
exclude_files = { "build", "spec/fixtures/bad" }
files["spec"] = { std = "+busted" }
files["lua/lunation/_meta"] = { ignore = { "212", "211", "241" } }
files["lua/lunation/cli"] = { globals = { "arg" } }
files["spec/run.lua"] = { globals = { "arg" } }
-- The words of a provider's file (lua/lunation/provider.lua puts them there).
files["providers"] = {
  read_globals = {
    "mapping", "enum", "const", "list", "codec", "any", "path", "nested", "entry", "readonly", "writeonly", "required", "default", "extend",
  },
}
