/* lunation.timer: sleeping, clocks, and functions that run later, each run a task of its own. */
#include "host/state.h"
#include "modules.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#define TIMER_TYPE "lunation.timer"

static uint64_t milliseconds(lua_State *L, int arg)
{
	lua_Number seconds = luaL_checknumber(L, arg);

	luaL_argcheck(L, seconds >= 0 && seconds < 1e12, arg, "seconds, zero or more, expected");
	return (uint64_t)ceil(seconds * 1000);
}

static uv_timer_t *timer_start(uv_loop_t *loop, uv_timer_cb fired, uint64_t after, uint64_t repeat, void *data)
{
	uv_timer_t *handle = malloc(sizeof(*handle));

	if (handle == NULL)
		abort();
	uv_timer_init(loop, handle);
	handle->data = data;
	uv_update_time(loop);
	uv_timer_start(handle, fired, after, repeat);
	return handle;
}

static void timer_drop(uv_timer_t *handle)
{
	uv_close((uv_handle_t *)handle, (uv_close_cb)free);
}

/* --- sleep ----------------------------------------------------------------------------------------------------- */

struct sleep {
	uv_timer_t *handle;
	task_ticket ticket;
};

static void sleep_end(void *op)
{
	struct sleep *s = op;

	timer_drop(s->handle);
	free(s);
}

static void sleep_fired(uv_timer_t *handle)
{
	struct sleep *s = handle->data;
	task_ticket ticket = s->ticket;
	lua_State *L = task_wake(ticket);

	sleep_end(s);
	if (L != NULL)
		task_continue(ticket, 0);
}

static int timer_sleep(lua_State *L)
{
	uint64_t after = milliseconds(L, 1);
	struct sleep *s;

	task_check(L);
	s = malloc(sizeof(*s));
	if (s == NULL)
		abort();
	s->handle = timer_start(engine_loop(engine_of(L)), sleep_fired, after, 0, s);
	s->ticket = task_suspend(L, sleep_end, s);
	return task_wait(L);
}

/* --- after, every ------------------------------------------------------------------------------------------------ */

struct timer {
	engine *engine;
	uv_timer_t *handle; /* NULL: cancelled or done */
	int self; /* the registry's reference to this userdata while it runs; its user value is the function */
	struct timer *next, *prev; /* in engine->timers */
};

static void timer_cancel(struct timer *t)
{
	engine *e = t->engine;

	if (t->handle == NULL)
		return;
	timer_drop(t->handle);
	t->handle = NULL;
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		e->timers = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	luaL_unref(e->L, LUA_REGISTRYINDEX, t->self);
}

void timers_stop(engine *e)
{
	while (e->timers != NULL)
		timer_cancel(e->timers);
}

static void timer_fired(uv_timer_t *handle)
{
	struct timer *t = handle->data;
	engine *e = t->engine;

	lua_rawgeti(e->L, LUA_REGISTRYINDEX, t->self);
	lua_getiuservalue(e->L, -1, 1);
	lua_remove(e->L, -2);
	if (uv_timer_get_repeat(handle) == 0)
		timer_cancel(t);
	task_spawn(e, 0, NULL, NULL);
}

static int timer_new(lua_State *L, bool repeat)
{
	uint64_t ms = milliseconds(L, 1);
	engine *e = engine_of(L);
	struct timer *t;

	luaL_checktype(L, 2, LUA_TFUNCTION);
	luaL_argcheck(L, !repeat || ms > 0, 1, "an interval above zero expected");
	t = lua_newuserdatauv(L, sizeof(*t), 1);
	*t = (struct timer){ .engine = e };
	luaL_setmetatable(L, TIMER_TYPE);
	lua_pushvalue(L, 2);
	lua_setiuservalue(L, -2, 1);
	if (e->retired) /* a state on its way out starts nothing new */
		return 1;
	lua_pushvalue(L, -1);
	t->self = luaL_ref(L, LUA_REGISTRYINDEX);
	t->handle = timer_start(e->loop, timer_fired, ms, repeat ? ms : 0, t);
	t->next = e->timers;
	if (t->next != NULL)
		t->next->prev = t;
	e->timers = t;
	return 1;
}

static int timer_after(lua_State *L)
{
	return timer_new(L, false);
}

static int timer_every(lua_State *L)
{
	return timer_new(L, true);
}

static int handle_cancel(lua_State *L)
{
	timer_cancel(luaL_checkudata(L, 1, TIMER_TYPE));
	return 0;
}

/* handle:unref(): the timer alone does not keep the program running */
static int handle_unref(lua_State *L)
{
	struct timer *t = luaL_checkudata(L, 1, TIMER_TYPE);

	if (t->handle != NULL)
		uv_unref((uv_handle_t *)t->handle);
	lua_settop(L, 1);
	return 1;
}

/* --- clocks ------------------------------------------------------------------------------------------------------ */

static int clock_of(lua_State *L, clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
	return 1;
}

static int timer_now(lua_State *L)
{
	return clock_of(L, CLOCK_MONOTONIC);
}

static int timer_time(lua_State *L)
{
	return clock_of(L, CLOCK_REALTIME);
}

int luaopen_lunation_timer(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "cancel", handle_cancel },
		{ "unref", handle_unref },
		{ NULL, NULL },
	};
	static const luaL_Reg functions[] = {
		{ "sleep", timer_sleep }, { "now", timer_now },     { "time", timer_time },
		{ "after", timer_after }, { "every", timer_every }, { NULL, NULL },
	};
	luaL_newmetatable(L, TIMER_TYPE);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, handle_cancel);
	lua_setfield(L, -2, "__close");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
