/* lunation.json: JSON with exact integers, arrays that stay arrays, and limits. */
#include "data/json.h"

#include "data/buffer.h"
#include "modules.h"

#include <lauxlib.h>

/* Sets the metatable of the table given, or of a new one. */
static int mark(lua_State *L, int metatable)
{
	lua_settop(L, 1);
	if (lua_isnil(L, 1)) {
		lua_newtable(L);
		lua_replace(L, 1);
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_pushvalue(L, lua_upvalueindex(metatable));
	lua_setmetatable(L, 1);
	return 1;
}

static int json_array(lua_State *L)
{
	return mark(L, JSON_ARRAY);
}

static int json_object(lua_State *L)
{
	return mark(L, JSON_OBJECT);
}

static int json_raw(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TSTRING);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_pushvalue(L, lua_upvalueindex(JSON_RAW));
	lua_setmetatable(L, -2);
	return 1;
}

static int json_is_array(lua_State *L)
{
	bool is = false;

	if (lua_istable(L, 1)) {
		const void *meta = NULL;

		if (lua_getmetatable(L, 1))
			meta = lua_topointer(L, -1);
		is = meta == lua_topointer(L, lua_upvalueindex(JSON_ARRAY)) ||
		     (meta != lua_topointer(L, lua_upvalueindex(JSON_OBJECT)) &&
		      meta != lua_topointer(L, lua_upvalueindex(JSON_RAW)) && lua_rawlen(L, 1) > 0);
	}
	lua_pushboolean(L, is);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "encode", json_encode },     { "decode", json_decode }, { "array", json_array }, { "object", json_object },
	{ "is_array", json_is_array }, { "raw", json_raw },       { NULL, NULL },
};

int luaopen_lunation_json(lua_State *L)
{
	luaL_newlibtable(L, functions);
	for (int i = JSON_ARRAY; i <= JSON_RAW; i++) {
		static const char *const names[] = { "array", "object", "raw" };

		lua_createtable(L, 0, 1);
		lua_pushfstring(L, "json.%s", names[i - JSON_ARRAY]);
		lua_setfield(L, -2, "__name");
	}
	buffer_new(L);
	luaL_setfuncs(L, functions, JSON_UPVALUES);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	return 1;
}
