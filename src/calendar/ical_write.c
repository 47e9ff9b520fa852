/* A tree back to iCalendar text: CRLF, folded at 75 octets between characters (RFC 5545 section 3.1), parameter values
   with the carets of RFC 6868. Nothing in a tree can break out of its line. */
#include "calendar/ical.h"
#include "calendar/ical_out.h"

#include <lauxlib.h>
#include <string.h>

#define MAX_DEPTH 200

/* The text's memory is a userdata, so that an error raised half way leaks nothing. */
static bool grow(ical_out *out, size_t capacity)
{
	lua_State *L = out->owner;
	char *data = lua_newuserdatauv(L, capacity, 0);

	memcpy(data, out->data, out->length);
	lua_replace(L, out->slot);
	out->data = data;
	out->capacity = capacity;
	return true;
}

/* The name of the node at the top of the stack, in the spelling it was read with; the string stays on the stack. */
static const char *push_name(lua_State *L, const char *what, size_t *length)
{
	const char *name;
	size_t i;

	if (lua_getfield(L, -1, "spelling") == LUA_TNIL) {
		lua_pop(L, 1);
		lua_getfield(L, -1, "name");
	}
	name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, length) : NULL;
	if (!name)
		luaL_error(L, "iCalendar tree: a %s without a name", what);
	for (i = 0; i < *length; i++)
		if (name[i] == '\r' || name[i] == '\n')
			luaL_error(L, "iCalendar tree: a line end in the name of a %s", what);
	return name;
}

static void put_parameters(ical_out *out, lua_State *L)
{
	lua_Integer i, n = (lua_Integer)lua_rawlen(L, -1);

	for (i = 1; i <= n; i++) {
		lua_Integer j, values;
		size_t length;
		const char *s;

		if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
			luaL_error(L, "iCalendar tree: a parameter that is not a table");
		s = push_name(L, "parameter", &length);
		ical_out_put(out, ";", 1);
		ical_out_put(out, s, length);
		lua_pop(L, 1);
		values = (lua_Integer)lua_rawlen(L, -1);
		for (j = 1; j <= values; j++) {
			lua_rawgeti(L, -1, j);
			s = lua_tolstring(L, -1, &length);
			if (!s)
				luaL_error(L, "iCalendar tree: a parameter value that is not text");
			ical_out_put(out, j == 1 ? "=" : ",", 1);
			ical_out_parameter(out, s, length);
			lua_pop(L, 1);
		}
		lua_pop(L, 1);
	}
}

static void put_property(ical_out *out, lua_State *L)
{
	size_t length;
	const char *s = push_name(L, "property", &length);
	bool bare = length == 0; /* a line that could not be read as a property is kept as it was */

	ical_out_put(out, s, length);
	lua_pop(L, 1);
	if (!bare) {
		if (lua_getfield(L, -1, "params") == LUA_TTABLE)
			put_parameters(out, L);
		lua_pop(L, 1);
		ical_out_put(out, ":", 1);
	}
	lua_getfield(L, -1, "value");
	s = lua_tolstring(L, -1, &length);
	if (!s)
		luaL_error(L, "iCalendar tree: a property value that is not text");
	if (!bare || length > 0) {
		ical_out_value(out, s, length);
		ical_out_end(out);
	}
	lua_pop(L, 1);
}

static void put_component(ical_out *out, lua_State *L, int depth)
{
	size_t length;
	const char *name;
	lua_Integer i, n;

	if (depth > MAX_DEPTH)
		luaL_error(L, "iCalendar tree: deeper than %d components", MAX_DEPTH);
	luaL_checkstack(L, 12, "iCalendar tree");
	name = push_name(L, "component", &length);
	if (length > 0) {
		ical_out_put(out, "BEGIN:", 6);
		ical_out_put(out, name, length);
		ical_out_end(out);
	}
	if (lua_getfield(L, -2, "properties") == LUA_TTABLE) {
		n = (lua_Integer)lua_rawlen(L, -1);
		for (i = 1; i <= n; i++) {
			if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
				luaL_error(L, "iCalendar tree: a property that is not a table");
			put_property(out, L);
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
	if (lua_getfield(L, -2, "components") == LUA_TTABLE) {
		n = (lua_Integer)lua_rawlen(L, -1);
		for (i = 1; i <= n; i++) {
			if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
				luaL_error(L, "iCalendar tree: a component that is not a table");
			put_component(out, L, depth + 1);
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
	if (length > 0) {
		ical_out_put(out, "END:", 4);
		ical_out_put(out, name, length);
		ical_out_end(out);
	}
	lua_pop(L, 1);
}

/* serialize(tree) --> text */
int ical_serialize(lua_State *L)
{
	ical_out out = { .grow = grow, .owner = L, .capacity = 4096, .slot = 2 };

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	out.data = lua_newuserdatauv(L, out.capacity, 0);
	lua_pushvalue(L, 1);
	put_component(&out, L, 1);
	if (out.failed)
		return luaL_error(L, "iCalendar text too large");
	lua_pushlstring(L, out.data, out.length);
	return 1;
}
