/* Texts outside Lua's memory. */
#include "calendar/text.h"

#include <lauxlib.h>
#include <stdlib.h>

void text_clear(struct text *text)
{
	free(text->at);
	*text = (struct text){ 0 };
}

struct text *text_at(lua_State *L, int index)
{
	return luaL_testudata(L, index, TEXT_TYPE);
}

static int text_gc(lua_State *L)
{
	text_clear(luaL_checkudata(L, 1, TEXT_TYPE));
	return 0;
}

static int text_tostring(lua_State *L)
{
	struct text *text = luaL_checkudata(L, 1, TEXT_TYPE);

	luaL_argcheck(L, text->at != NULL, 1, "the text was sent already");
	lua_pushlstring(L, text->at, text->len);
	return 1;
}

static int text_len(lua_State *L)
{
	struct text *text = luaL_checkudata(L, 1, TEXT_TYPE);

	lua_pushinteger(L, (lua_Integer)text->len);
	return 1;
}

static const luaL_Reg meta[] = {
	{ "__gc", text_gc },   { "__close", text_gc }, { "__tostring", text_tostring },
	{ "__len", text_len }, { NULL, NULL },
};

struct text *text_new(lua_State *L)
{
	struct text *text = lua_newuserdatauv(L, sizeof(*text), 0);

	*text = (struct text){ 0 };
	if (luaL_newmetatable(L, TEXT_TYPE))
		luaL_setfuncs(L, meta, 0);
	lua_setmetatable(L, -2);
	return text;
}
