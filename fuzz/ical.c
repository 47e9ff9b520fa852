/* Fuzzes the iCalendar parser and serializer: what is written of a tree is read as the same tree, strict or not there
 * is an answer, and folded lines keep to their 75 octets. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lua_State *L = state();
	const char *text, *again;
	size_t len, again_len;

	lua_pushlstring(L, (const char *)data, size);
	parse(L, 2, 1);
	lua_settop(L, 2);
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
