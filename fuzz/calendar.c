/* Fuzzes what is made of a calendar text: its events, their instances (both ways) and busy times in a window, the text and the jCal
 * that they become. Whatever the text, there is an answer or an error, never a mistake of the program; no more instances come than were
 * asked for, in order. Run in the root folder. */
#include "modules.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>

static const char setup[] =
	"package.path = 'lua/?.lua;lua/?/init.lua'\n"
	"local ical = require 'lunation.ical'\n"
	"return function(text)\n"
	/* calendars other than the Gregorian are another library's */
	"  if text:upper():gsub('%s', ''):find 'RSCALE' then return end\n"
	"  local tree, warnings = ical.parse(text)\n"
	"  if not tree then return assert(warnings.line and warnings.message) end\n"
	"  local list, truncated = ical.instances(tree, { from = '20250101T000000Z', to = '20260101T000000Z', limit = 50 })\n"
	"  assert(#list <= 50 and type(truncated) == 'boolean')\n"
	/* what is reckoned in C is what is reckoned from the tree */
	"  local plain, cut = ical.instances(text, { from = '20250101T000000Z', to = '20260101T000000Z', limit = 50 })\n"
	"  assert(#plain == #list and cut == truncated)\n"
	"  for i, one in ipairs(list) do\n"
	"    assert(one.start == plain[i].start and one.finish == plain[i].finish and one.uid == plain[i].uid)\n"
	"  end\n"
	"  for i, one in ipairs(list) do\n"
	"    assert(one.finish >= one.start and (i == 1 or list[i - 1].start <= one.start))\n"
	"  end\n"
	"  local busy, err = ical.freebusy(tree, { from = '20250301T000000Z', to = '20250302T000000Z', tzid = 'Europe/Berlin' })\n"
	"  assert(busy or err.message:find 'more than')\n"
	"  for i, one in ipairs(busy or {}) do assert(one.finish > one.start and (i == 1 or busy[i - 1].start <= one.start)) end\n"
	"  local events = assert(ical.events(tree))\n"
	"  local written = assert(ical.from_events(events, { now = 0 }))\n"
	"  assert(ical.parse(written))\n"
	"  assert(ical.from_jcal(ical.to_jcal(tree)))\n"
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
		luaL_requiref(L, "lunation.ical.tree", luaopen_lunation_ical_tree, 0);
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
