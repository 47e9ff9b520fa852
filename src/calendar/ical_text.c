/* Values of type TEXT and lists in values (RFC 5545 sections 3.3.11 and 3.1.1). */
#include "calendar/civil.h"
#include "calendar/ical.h"

#include <lauxlib.h>
#include <stdbool.h>
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

/* The digits of a time and what stands between them; 0 is a digit. */
static bool has_form(const char *s, size_t length, const char *form)
{
	size_t i;

	if (strlen(form) != length)
		return false;
	for (i = 0; i < length; i++)
		if (form[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
			return false;
	return true;
}

/* time(value) --> local time, kind | nothing: DATE and DATE-TIME of RFC 5545, and the forms of RFC 3339. */
int ical_time(lua_State *L)
{
	static const char *const forms[] = { "00000000T000000", "00000000T000000Z",    "00000000",
					     "0000-00-00",      "0000-00-00T00:00:00", "0000-00-00T00:00:00Z" };
	char text[CIVIL_TEXT];
	size_t length, i;
	const char *s = luaL_checklstring(L, 1, &length);
	struct civil c;

	for (i = 0; i < sizeof forms / sizeof *forms; i++)
		if (has_form(s, length, forms[i]))
			break;
	/* A second 60 is read as 59 by all. */
	if (i == sizeof forms / sizeof *forms || !civil_parse(s, length, &c) || c.year < 1)
		return 0;
	lua_pushlstring(L, text, civil_format(civil_seconds(&c), false, false, text));
	lua_pushstring(L, c.date ? "date" : c.utc ? "utc" : "local");
	return 2;
}
