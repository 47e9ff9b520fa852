/* lunation.task.core: what lua/lunation/task.lua is made of. */
#include "host/state.h"
#include "modules.h"

#include <lauxlib.h>
#include <stdlib.h>

static int core_spawn(lua_State *L)
{
	engine *e = engine_of(L);
	int n = lua_gettop(L);
	task_ticket *life;

	luaL_checktype(L, 1, LUA_TFUNCTION);
	life = lua_newuserdatauv(L, sizeof(*life), 0);
	lua_insert(L, 1);
	luaL_checkstack(e->L, n, "too many arguments");
	lua_xmove(L, e->L, n);
	*life = task_life(task_spawn(e, n - 1, NULL, NULL));
	return 1;
}

static int core_cancel(lua_State *L)
{
	task_ticket *life = lua_touserdata(L, 1);
	luaL_argcheck(L, life != NULL, 1, "task expected");
	lua_pushboolean(L, task_cancel_life(*life));
	return 1;
}

/* park(list): suspends; its ticket is appended to the list, for unpark. */
static int core_park(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	task_check(L);
	task_ticket *ticket = lua_newuserdatauv(L, sizeof(*ticket), 0);
	*ticket = (task_ticket){ NULL, 0 };
	lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
	*ticket = task_suspend(L, NULL, NULL);
	return task_wait(L);
}

/* unpark(ticket, ...) --> boolean: false where the task is gone */
static int core_unpark(lua_State *L)
{
	task_ticket *ticket = lua_touserdata(L, 1);
	int n = lua_gettop(L) - 1;
	lua_State *to;

	luaL_argcheck(L, ticket != NULL, 1, "ticket expected");
	to = task_wake(*ticket);
	if (to == NULL) {
		lua_pushboolean(L, 0);
		return 1;
	}
	if (!lua_checkstack(to, n))
		abort();
	lua_xmove(L, to, n);
	task_continue(*ticket, n);
	lua_pushboolean(L, 1);
	return 1;
}

/* Whether a wait is possible here: in a task, outside of transactions and of C functions that cannot be left. */
static int core_may_wait(lua_State *L)
{
	lua_pushboolean(L, task_may_wait(L));
	return 1;
}

static int core_running(lua_State *L)
{
	lua_pushboolean(L, engine_of(L)->running != NULL);
	return 1;
}

int luaopen_lunation_task_core(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "spawn", core_spawn },
		{ "cancel", core_cancel },
		{ "park", core_park },
		{ "unpark", core_unpark },
		{ "running", core_running },
		{ "may_wait", core_may_wait },
		{ NULL, NULL },
	};
	luaL_newlib(L, functions);
	return 1;
}
