/*
 * lunation.bridge: a second Lua state beside the caller's, with a memory limit of its own, whose functions are called
 * like asynchronous ones. Arguments and results are copied: nil, booleans, numbers, strings, and tables of those.
 */
#include "host/state.h"
#include "modules.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define BRIDGE_TYPE "lunation.bridge"

enum { DEPTH_MAX = 64 };

struct bridge {
	engine *far; /* NULL: closed */
};

struct call {
	task_ticket near;
	task_ticket far; /* the task over there, for its whole life */
	bool abandoned;  /* the caller is gone */
};

/* --- copying ----------------------------------------------------------------------------------------------------- */

/* Errors stay errors: their kind is known by name (error_push, lua/lunation/errors.lua). */
static bool is_error(lua_State *L, int index)
{
	bool is = luaL_getmetafield(L, index, "__name") != LUA_TNIL;

	if (is) {
		is = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "lunation.error") == 0;
		lua_pop(L, 1);
	}
	return is;
}

/* Pushes a copy of from[index] on `to`; what cannot be copied is nil. Runs where nothing raises but for want of memory:
 * the limit of a state binds only while a task of it runs. */
static void copy(lua_State *from, int index, lua_State *to, int depth)
{
	size_t length;
	const char *text;

	switch (lua_type(from, index)) {
	case LUA_TBOOLEAN:
		lua_pushboolean(to, lua_toboolean(from, index));
		return;
	case LUA_TNUMBER:
		if (lua_isinteger(from, index))
			lua_pushinteger(to, lua_tointeger(from, index));
		else
			lua_pushnumber(to, lua_tonumber(from, index));
		return;
	case LUA_TSTRING:
		text = lua_tolstring(from, index, &length);
		lua_pushlstring(to, text, length);
		return;
	case LUA_TTABLE:
		if (depth < DEPTH_MAX && lua_checkstack(from, 4) && lua_checkstack(to, 4))
			break;
		/* fall through */
	default:
		lua_pushnil(to);
		return;
	}
	index = lua_absindex(from, index);
	lua_newtable(to);
	lua_pushnil(from);
	while (lua_next(from, index) != 0) {
		copy(from, -2, to, depth + 1);
		copy(from, -1, to, depth + 1);
		if (lua_isnil(to, -2))
			lua_pop(to, 2);
		else
			lua_rawset(to, -3);
		lua_pop(from, 1);
	}
	if (is_error(from, index)) {
		luaL_getmetatable(to, "lunation.error");
		lua_setmetatable(to, -2);
	}
}

static void copy_range(lua_State *from, int first, int n, lua_State *to)
{
	if (!lua_checkstack(to, n + 4))
		abort();
	for (int i = 0; i < n; i++)
		copy(from, first + i, to, 0);
}

/* What was raised: a table as it is, text with the place where it was raised. */
static void copy_error(lua_State *from, lua_State *to)
{
	if (lua_istable(from, -1)) {
		copy(from, -1, to, 0);
		luaL_getmetatable(to, "lunation.error");
		lua_setmetatable(to, -2);
		return;
	}
	if (lua_type(from, -1) == LUA_TSTRING)
		luaL_traceback(from, from, lua_tostring(from, -1), 0);
	error_push(to, "internal", "%s", luaL_tolstring(from, -1, NULL));
}

/* --- calls ------------------------------------------------------------------------------------------------------- */

static void call_done(void *ud, lua_State *L, bool ok, int nresults)
{
	struct call *c = ud;
	lua_State *to = c->abandoned ? NULL : task_wake(c->near);
	task_ticket near = c->near;
	int n = 2;

	free(c);
	if (to == NULL)
		return;
	if (ok) {
		lua_pushboolean(to, 1);
		copy_range(L, lua_gettop(L) - nresults + 1, nresults, to);
		n = nresults + 1;
	} else {
		lua_pushnil(to);
		copy_error(L, to);
	}
	task_continue(near, n);
}

static void call_cancel(void *op)
{
	struct call *c = op;

	c->abandoned = true;
	task_cancel_life(c->far); /* ends in call_done, which frees it */
}

/* Runs over there, as the task: (module, name, ...) --> require(module)[name](...) */
static int finish_call(lua_State *L, int status, lua_KContext base)
{
	(void)status;
	return lua_gettop(L) - (int)base;
}

static int run_call(lua_State *L)
{
	lua_getglobal(L, "require");
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	lua_pushvalue(L, 2);
	lua_gettable(L, -2);
	lua_remove(L, -2);
	lua_replace(L, 2); /* the function stands before its arguments */
	lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, finish_call);
	return finish_call(L, LUA_OK, 1);
}

/* bridge:call(module, name, ...) --> true, results… | nil, err */
static int bridge_call(lua_State *L)
{
	struct bridge *b = luaL_checkudata(L, 1, BRIDGE_TYPE);
	int n = lua_gettop(L) - 1;
	struct call *c;

	luaL_checkstring(L, 2);
	luaL_checkstring(L, 3);
	if (b->far == NULL)
		return luaL_error(L, "the bridge is closed");
	task_check(L);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	lua_pushcfunction(b->far->L, run_call);
	copy_range(L, 2, n, b->far->L);
	c->far = task_life(task_spawn_later(b->far, n, call_done, c));
	c->near = task_suspend(L, call_cancel, c);
	return task_wait(L);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

/* open(bytes) --> bridge; 0 bytes is no limit */
static int bridge_open(lua_State *L)
{
	lua_Integer limit = luaL_optinteger(L, 1, 0);
	struct bridge *b = lua_newuserdatauv(L, sizeof(*b), 0);

	b->far = NULL;
	luaL_setmetatable(L, BRIDGE_TYPE);
	b->far = engine_new(engine_loop(engine_of(L)), (size_t)limit);
	return 1;
}

static void close_later(uv_handle_t *handle)
{
	engine_close(handle->data);
	free(handle);
}

/* The far state may be what called here, through a completion: it closes in the loop's next turn. */
static int bridge_close(lua_State *L)
{
	struct bridge *b = luaL_checkudata(L, 1, BRIDGE_TYPE);
	uv_idle_t *handle;

	if (b->far == NULL)
		return 0;
	handle = malloc(sizeof(*handle));
	if (handle == NULL)
		abort();
	uv_idle_init(b->far->loop, handle);
	handle->data = b->far;
	b->far = NULL;
	uv_close((uv_handle_t *)handle, close_later);
	return 0;
}

/* bridge:memory() --> bytes used, the most that was used */
static int bridge_memory(lua_State *L)
{
	struct bridge *b = luaL_checkudata(L, 1, BRIDGE_TYPE);

	lua_pushinteger(L, b->far != NULL ? (lua_Integer)b->far->used : 0);
	lua_pushinteger(L, b->far != NULL ? (lua_Integer)b->far->peak : 0);
	return 2;
}

int luaopen_lunation_bridge(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "call", bridge_call },
		{ "close", bridge_close },
		{ "memory", bridge_memory },
		{ NULL, NULL },
	};
	static const luaL_Reg functions[] = {
		{ "open", bridge_open },
		{ NULL, NULL },
	};
	/* errors that cross get this metatable */
	error_push(L, "", "%s", "");
	lua_pop(L, 1);
	luaL_newmetatable(L, BRIDGE_TYPE);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, bridge_close);
	lua_setfield(L, -2, "__gc");
	lua_pushcfunction(L, bridge_close);
	lua_setfield(L, -2, "__close");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
