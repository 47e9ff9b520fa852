/* A tree back to iCalendar text: CRLF, folded at 75 octets between characters (RFC 5545 section 3.1), parameter values
   with the carets of RFC 6868. Nothing in a tree can break out of its line. */
#include "calendar/ical.h"

#include <lauxlib.h>
#include <string.h>

#define FOLD_AT 75
#define MAX_DEPTH 200

typedef struct {
	ical_buffer out;
	size_t column; /* octets on the current physical line */
} writer;

/* Appends characters to the current content line; a fold never stands inside a UTF-8 sequence. */
static void put(writer *w, const char *s, size_t length)
{
	while (length > 0) {
		size_t room = FOLD_AT - w->column, n = length;

		if (n > room) {
			n = room;
			while (n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80)
				n--;
			if (n == 0 && w->column <= 1)
				n = room; /* not UTF-8 at all: cut anywhere rather than nowhere */
		}
		ical_buffer_add(&w->out, s, n);
		w->column += n;
		s += n;
		length -= n;
		if (length > 0) {
			ical_buffer_add(&w->out, "\r\n ", 3);
			w->column = 1;
		}
	}
}

static void put_string(writer *w, const char *s)
{
	put(w, s, strlen(s));
}

static void end_line(writer *w)
{
	ical_buffer_add(&w->out, "\r\n", 2);
	w->column = 0;
}

/* A value as it stands in the tree; a line end that a caller left in it becomes the escape for one. */
static void put_value(writer *w, const char *s, size_t length, const char *newline)
{
	size_t from = 0, i;

	for (i = 0; i < length; i++) {
		if (s[i] != '\n' && s[i] != '\r')
			continue;
		put(w, s + from, i - from);
		if (s[i] == '\n' || i + 1 == length || s[i + 1] != '\n')
			put_string(w, newline);
		from = i + 1;
	}
	put(w, s + from, length - from);
}

static void put_parameter_value(writer *w, const char *s, size_t length)
{
	bool quoted = false;
	size_t i, from = 0;

	for (i = 0; i < length; i++)
		if (s[i] == ':' || s[i] == ';' || s[i] == ',')
			quoted = true;
	if (quoted)
		put(w, "\"", 1);
	for (i = 0; i < length; i++) {
		const char *code = s[i] == '^'    ? "^^"
				   : s[i] == '"'  ? "^'"
				   : s[i] == '\n' ? "^n"
				   : s[i] == '\r' ? ""
						  : NULL;
		if (!code)
			continue;
		put(w, s + from, i - from);
		put_string(w, code);
		from = i + 1;
	}
	put(w, s + from, length - from);
	if (quoted)
		put(w, "\"", 1);
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

static void put_parameters(writer *w, lua_State *L)
{
	lua_Integer i, n = (lua_Integer)lua_rawlen(L, -1);

	for (i = 1; i <= n; i++) {
		lua_Integer j, values;
		size_t length;
		const char *s;

		if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
			luaL_error(L, "iCalendar tree: a parameter that is not a table");
		s = push_name(L, "parameter", &length);
		put(w, ";", 1);
		put(w, s, length);
		lua_pop(L, 1);
		values = (lua_Integer)lua_rawlen(L, -1);
		for (j = 1; j <= values; j++) {
			lua_rawgeti(L, -1, j);
			s = lua_tolstring(L, -1, &length);
			if (!s)
				luaL_error(L, "iCalendar tree: a parameter value that is not text");
			put(w, j == 1 ? "=" : ",", 1);
			put_parameter_value(w, s, length);
			lua_pop(L, 1);
		}
		lua_pop(L, 1);
	}
}

static void put_property(writer *w, lua_State *L)
{
	size_t length;
	const char *s = push_name(L, "property", &length);
	bool bare = length == 0; /* a line that could not be read as a property is kept as it was */

	put(w, s, length);
	lua_pop(L, 1);
	if (!bare) {
		if (lua_getfield(L, -1, "params") == LUA_TTABLE)
			put_parameters(w, L);
		lua_pop(L, 1);
		put(w, ":", 1);
	}
	lua_getfield(L, -1, "value");
	s = lua_tolstring(L, -1, &length);
	if (!s)
		luaL_error(L, "iCalendar tree: a property value that is not text");
	if (!bare || length > 0) {
		put_value(w, s, length, "\\n");
		end_line(w);
	}
	lua_pop(L, 1);
}

static void put_component(writer *w, lua_State *L, int depth)
{
	size_t length;
	const char *name;
	lua_Integer i, n;

	if (depth > MAX_DEPTH)
		luaL_error(L, "iCalendar tree: deeper than %d components", MAX_DEPTH);
	luaL_checkstack(L, 12, "iCalendar tree");
	name = push_name(L, "component", &length);
	if (length > 0) {
		put_string(w, "BEGIN:");
		put(w, name, length);
		end_line(w);
	}
	if (lua_getfield(L, -2, "properties") == LUA_TTABLE) {
		n = (lua_Integer)lua_rawlen(L, -1);
		for (i = 1; i <= n; i++) {
			if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
				luaL_error(L, "iCalendar tree: a property that is not a table");
			put_property(w, L);
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
	if (lua_getfield(L, -2, "components") == LUA_TTABLE) {
		n = (lua_Integer)lua_rawlen(L, -1);
		for (i = 1; i <= n; i++) {
			if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
				luaL_error(L, "iCalendar tree: a component that is not a table");
			put_component(w, L, depth + 1);
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
	if (length > 0) {
		put_string(w, "END:");
		put(w, name, length);
		end_line(w);
	}
	lua_pop(L, 1);
}

/* serialize(tree) --> text */
int ical_serialize(lua_State *L)
{
	writer w = { .column = 0 };

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	ical_buffer_open(&w.out, L, 4096);
	lua_pushvalue(L, 1);
	put_component(&w, L, 1);
	lua_pushlstring(L, w.out.data, w.out.length);
	return 1;
}
