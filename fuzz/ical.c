/* Fuzzes the iCalendar parser, the serializer and the instances: what is written of a tree is read as the same tree,
 * strict or not there is an answer, folded lines keep to their 75 octets, and instances are in order and in the window.
 */
#include "modules.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static lua_State *state(void)
{
	static lua_State *L;

	if (!L) {
		L = luaL_newstate();
		luaL_openlibs(L);
		luaL_requiref(L, "lunation.ical.tree", luaopen_lunation_ical_tree, 1);
	}
	lua_settop(L, 1);
	return L;
}

static void call(lua_State *L, const char *name, int nargs, int nresults)
{
	lua_getfield(L, 1, name);
	lua_insert(L, -1 - nargs);
	if (lua_pcall(L, nargs, nresults, 0) != LUA_OK)
		abort();
}

/* Parses the text at `index`; the tree, or nil, is left on top. */
static void parse(lua_State *L, int index, int strict)
{
	lua_pushvalue(L, index);
	lua_createtable(L, 0, 1);
	lua_pushboolean(L, strict);
	lua_setfield(L, -2, "strict");
	call(L, "parse", 2, 1);
}

static void check_lines(const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		const char *line = memchr(text, '\n', (size_t)(end - text));

		if (!line || line == text || line[-1] != '\r' || line - text > 76)
			abort();
		text = line + 1;
	}
}

static int64_t field(lua_State *L, int index, const char *name)
{
	int64_t value;

	lua_getfield(L, index, name);
	value = luaL_checkinteger(L, -1);
	lua_pop(L, 1);
	return value;
}

/* The instances of March 2025 of the text at 2. */
static void check_instances(lua_State *L)
{
	static const char options[] =
	    "return { from = 1740787200, to = 1743465600, limit = 100, include_dtstart = true }, "
	    "function() return function(id) return id == 'A' and 'Asia/Tokyo' or id == 'U' and "
	    "'UTC' or id ~= 'N' and 'Europe/Berlin' or nil end, 'America/New_York' end";
	int64_t before = INT64_MIN;
	lua_Integer i, n;

	lua_pushvalue(L, 2);
	if (luaL_loadstring(L, options) != LUA_OK)
		abort();
	lua_call(L, 0, 2);
	call(L, "instances", 3, 1);
	n = lua_isnil(L, -1) ? 0 : (lua_Integer)lua_rawlen(L, -1);
	if (n > 100)
		abort();
	for (i = 1; i <= n; i++) {
		lua_rawgeti(L, -1, i);
		if (field(L, -1, "start") < before || field(L, -1, "start") >= 1743465600 ||
		    field(L, -1, "finish") < 1740787200 || field(L, -1, "finish") < field(L, -1, "start"))
			abort();
		before = field(L, -1, "start");
		lua_pop(L, 1);
	}
	lua_settop(L, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lua_State *L = state();
	const char *text, *again;
	size_t len, again_len;

	lua_pushlstring(L, (const char *)data, size);
	parse(L, 2, 1);
	lua_settop(L, 2);
	check_instances(L);
	parse(L, 2, 0);
	if (lua_isnil(L, 3))
		return 0;
	call(L, "serialize", 1, 1);
	text = lua_tolstring(L, 3, &len);
	check_lines(text, len);
	parse(L, 3, 0);
	if (lua_isnil(L, 4))
		abort();
	call(L, "serialize", 1, 1);
	again = lua_tolstring(L, 4, &again_len);
	if (len != again_len || memcmp(text, again, len) != 0)
		abort();
	return 0;
}
