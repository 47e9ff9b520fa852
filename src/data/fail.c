/* The error value of the modules of data/: a table {code=, message=, …} whose tostring is the message. */
#include "data/fail.h"

#include <lauxlib.h>
#include <stdarg.h>

static int error_tostring(lua_State *L)
{
	lua_getfield(L, 1, "message");
	return 1;
}

static void error_push(lua_State *L, const char *code, const char *message, va_list args)
{
	lua_createtable(L, 0, 5);
	lua_pushstring(L, code);
	lua_setfield(L, -2, "code");
	lua_pushvfstring(L, message, args);
	lua_setfield(L, -2, "message");
	if (luaL_newmetatable(L, "lunation.data.error")) {
		lua_pushcfunction(L, error_tostring);
		lua_setfield(L, -2, "__tostring");
	}
	lua_setmetatable(L, -2);
}

void data_error(lua_State *L, const char *code, const char *message, ...)
{
	va_list args;

	va_start(args, message);
	error_push(L, code, message, args);
	va_end(args);
}

int data_fail(lua_State *L, const char *code, const char *message, ...)
{
	va_list args;

	lua_pushnil(L);
	va_start(args, message);
	error_push(L, code, message, args);
	va_end(args);
	return 2;
}
