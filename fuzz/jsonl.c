/* Fuzzes what answers a line of `lunation expand --jsonl`: the JSON decoder, the checks of its fields, and the expander
 * behind them. An answer is JSON again, and its occurrences are no more than were asked for. Run in the root folder. */
#include "modules.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>

static const char setup[] = "package.path = 'lua/?.lua;lua/?/init.lua'\n"
			    "local json, jsonl = require 'lunation.json', require 'lunation.cli.jsonl'\n"
			    "local rrule = require 'lunation.rrule'\n"
			    "local expand = rrule.expand\n"
			    "function rrule.expand(question)\n"
			    "  question.limit = math.min(question.limit or 50, 50)\n"
			    "  return expand(question)\n"
			    "end\n"
			    "return function(line)\n"
			    /* calendars other than the Gregorian are another library's */
			    "  if line:upper():find 'RSCALE' then return end\n"
			    "  local answer = assert(json.decode(jsonl.answer(line)))\n"
			    "  assert(answer.error and answer.error.code or #answer.occurrences <= 50 and "
			    "type(answer.truncated) == 'boolean')\n"
			    "end\n";

static lua_State *state(void)
{
	static lua_State *L;

	if (!L) {
		L = luaL_newstate();
		luaL_openlibs(L);
		luaL_requiref(L, "lunation.json", luaopen_lunation_json, 0);
		luaL_requiref(L, "lunation.tz", luaopen_lunation_tz, 0);
		luaL_requiref(L, "lunation.rrule", luaopen_lunation_rrule, 0);
		lua_settop(L, 0);
		if (luaL_dostring(L, setup) != LUA_OK) {
			lua_writestringerror("%s\n", lua_tostring(L, -1));
			abort();
		}
	}
	lua_settop(L, 1);
	return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lua_State *L = state();

	lua_pushvalue(L, 1);
	lua_pushlstring(L, (const char *)data, size);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
		lua_writestringerror("%s\n", lua_tostring(L, -1));
		abort();
	}
	return 0;
}
