/* coroutine.resume and coroutine.wrap: a wait inside one of the user's own coroutines passes through to the task. */
#include "host/scheduler.h"

#include <lauxlib.h>

static int resumed(lua_State *L, int status, lua_KContext wrapped);

static int resume(lua_State *L, lua_State *co, int nargs, bool wrapped)
{
	task *t = engine_of(L)->running;
	bool barrier = t != NULL && !lua_isyieldable(L);
	int status, nresults;

	if (!lua_checkstack(co, nargs))
		return luaL_error(L, "too many arguments to resume");
	if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
		lua_pushliteral(L, "cannot resume dead coroutine");
		status = LUA_ERRRUN;
	} else {
		lua_xmove(L, co, nargs);
		t = engine_of(L)->running;
		if (barrier)
			t->barrier++;
		status = lua_resume(co, L, nargs, &nresults);
		if (barrier)
			t->barrier--;
		if (status == LUA_YIELD && t != NULL && t->state != TASK_RUNNING) {
			lua_pop(co, nresults);
			if (t->chain_length < CHAIN_MAX)
				t->chain[t->chain_length++] = co;
			lua_settop(L, 1);
			return lua_yieldk(L, 0, wrapped, resumed);
		}
		if (status == LUA_OK || status == LUA_YIELD) {
			if (!lua_checkstack(L, nresults + 1)) {
				lua_pop(co, nresults);
				return luaL_error(L, "too many results to resume");
			}
			if (!wrapped)
				lua_pushboolean(L, 1);
			lua_xmove(co, L, nresults);
			return wrapped ? nresults : nresults + 1;
		}
		if (wrapped && lua_status(co) > LUA_YIELD)
			lua_resetthread(co);
		lua_xmove(co, L, 1);
	}
	if (!wrapped) {
		lua_pushboolean(L, 0);
		lua_insert(L, -2);
		return 2;
	}
	if (lua_type(L, -1) == LUA_TSTRING) { /* say where, as the stock library does */
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

static int resumed(lua_State *L, int status, lua_KContext wrapped)
{
	(void)status;
	return resume(L, lua_tothread(L, 1), lua_gettop(L) - 1, wrapped != 0);
}

static int coroutine_resume(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTHREAD);
	return resume(L, lua_tothread(L, 1), lua_gettop(L) - 1, false);
}

static int wrapped_call(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	return resume(L, lua_tothread(L, 1), lua_gettop(L) - 1, true);
}

static int coroutine_wrap(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_State *co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	lua_pushcclosure(L, wrapped_call, 1);
	return 1;
}

void tasks_coroutines(lua_State *L)
{
	static const luaL_Reg replaced[] = {
		{ "resume", coroutine_resume },
		{ "wrap", coroutine_wrap },
		{ NULL, NULL },
	};
	lua_getglobal(L, "coroutine");
	luaL_setfuncs(L, replaced, 0);
	lua_pop(L, 1);
}
