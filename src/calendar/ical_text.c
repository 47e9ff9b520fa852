/* Values of type TEXT and lists in values (RFC 5545 sections 3.3.11 and 3.1.1). */
#include "calendar/ical.h"

#include <lauxlib.h>
#include <string.h>

/* escape(text) --> value: backslash, semicolon, comma and line ends. */
int ical_escape(lua_State *L)
{
	size_t length, i;
	const char *s = luaL_checklstring(L, 1, &length);
	luaL_Buffer b;

	lua_settop(L, 1);
	for (i = 0; i < length; i++)
		if (strchr("\\;,\n\r", s[i]) && s[i] != '\0')
			break;
	if (i == length)
		return 1;
	luaL_buffinit(L, &b);
	for (i = 0; i < length; i++) {
		switch (s[i]) {
		case '\\':
		case ';':
		case ',':
			luaL_addchar(&b, '\\');
			luaL_addchar(&b, s[i]);
			break;
		case '\r':
			if (i + 1 < length && s[i + 1] == '\n')
				break;
			luaL_addstring(&b, "\\n");
			break;
		case '\n':
			luaL_addstring(&b, "\\n");
			break;
		default:
			luaL_addchar(&b, s[i]);
		}
	}
	luaL_pushresult(&b);
	return 1;
}

static void add_unescaped(luaL_Buffer *b, const char *s, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (s[i] != '\\' || i + 1 == length) {
			luaL_addchar(b, s[i]);
			continue;
		}
		i++;
		switch (s[i]) {
		case 'n':
		case 'N':
			luaL_addchar(b, '\n');
			break;
		case '\\':
		case ';':
		case ',':
		case ':':
		case '"':
			luaL_addchar(b, s[i]);
			break;
		default:
			/* Not an escape of the RFC: a path of Windows, mostly. Both characters are meant. */
			luaL_addchar(b, '\\');
			luaL_addchar(b, s[i]);
		}
	}
}

static void push_unescaped(lua_State *L, const char *s, size_t length)
{
	luaL_Buffer b;

	if (!memchr(s, '\\', length)) {
		lua_pushlstring(L, s, length);
		return;
	}
	luaL_buffinit(L, &b);
	add_unescaped(&b, s, length);
	luaL_pushresult(&b);
}

/* unescape(value) --> text */
int ical_unescape(lua_State *L)
{
	size_t length;
	const char *s = luaL_checklstring(L, 1, &length);

	push_unescaped(L, s, length);
	return 1;
}

/* split(value, separator, keep_escapes) --> parts, cut where the separator stands without a backslash before it;
   unescaped unless they are to be cut again. */
int ical_split(lua_State *L)
{
	size_t length, i, from = 0;
	const char *s = luaL_checklstring(L, 1, &length);
	const char *separator = luaL_optstring(L, 2, ",");
	bool raw = lua_toboolean(L, 3);
	lua_Integer n = 0;

	lua_newtable(L);
	for (i = 0; i <= length; i++) {
		if (i < length && s[i] == '\\' && i + 1 < length) {
			i++;
			continue;
		}
		if (i < length && s[i] != separator[0])
			continue;
		if (raw)
			lua_pushlstring(L, s + from, i - from);
		else
			push_unescaped(L, s + from, i - from);
		lua_rawseti(L, -2, ++n);
		from = i + 1;
	}
	return 1;
}
