/* Fuzzes what answers a line of `lunation expand --jsonl`: the JSON decoder, the checks of its fields, and the expander
 * behind them. An answer is JSON again, and its occurrences are no more than were asked for. Run in the root folder. */
#include "modules.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>

static const char setup[] = "package.path = 'lua/?.lua;lua/?/init.lua'\n"
			    /* what libical says of other calendars, a year of it at most */
			    "package.preload['lunation.rscale'] = function()\n"
			    "  return { occurrences = function(text, start, date, from, to, most)\n"
			    "    local times, at, last = {}, from + #text % 5 * 3600, math.min(to, from + 366 * 86400)\n"
			    "    while at < last and #times < most do\n"
			    "      times[#times + 1] = string.pack('j', at)\n"
			    "      at = at + 86400 * (1 + #text % 40)\n"
			    "    end\n"
			    "    if at >= to then times[#times + 1] = string.pack('j', at) end\n"
			    "    if #text % 7 == 0 then return nil, { code = 'timeout' } end\n"
			    "    local ended = #times < most and at < to\n"
			    "    local covered = ended and math.maxinteger or at + (at >= to and 1 or 0)\n"
			    "    return table.concat(times), from, covered, ended and last or math.maxinteger\n"
			    "  end }\n"
			    "end\n"
			    "local json, jsonl = require 'lunation.json', require 'lunation.cli.jsonl'\n"
			    "local rrule = require 'lunation.rrule'\n"
			    "local expand = rrule.expand\n"
			    "function rrule.expand(question)\n"
			    "  question.limit = math.min(question.limit or 50, 50)\n"
			    "  return expand(question)\n"
			    "end\n"
			    "return function(line)\n"
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
