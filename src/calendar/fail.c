/* The error value of the calendar modules. */
#include "calendar/fail.h"

#include <lauxlib.h>
#include <stdarg.h>

static int fail_tostring(lua_State *L)
{
	lua_getfield(L, 1, "message");
	return 1;
}

int calendar_fail(lua_State *L, const char *code, const char *message, ...)
{
	va_list args;

	lua_pushnil(L);
	lua_createtable(L, 0, 3);
	lua_pushstring(L, code);
	lua_setfield(L, -2, "code");
	va_start(args, message);
	lua_pushvfstring(L, message, args);
	va_end(args);
	lua_setfield(L, -2, "message");
	if (luaL_newmetatable(L, "lunation.calendar.error")) {
		lua_pushcfunction(L, fail_tostring);
		lua_setfield(L, -2, "__tostring");
	}
	lua_setmetatable(L, -2);
	return 2;
}
