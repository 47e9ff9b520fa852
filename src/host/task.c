/* Tasks: coroutines that the loop resumes, each suspension named by a generation so that a late completion finds
 * nobody. */
#include "host/task.h"

#include "host/state.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDLE_MAX = 256, CHAIN_MAX = 8, DEPTH_MAX = 16, STACK_KEPT = 1024, READY_MAX = 1024 };

enum task_state {
	TASK_ENDED,
	TASK_READY, /* in the ready queue */
	TASK_RUNNING,
	TASK_WAITING, /* its operation is under way */
	TASK_WOKEN,   /* between task_wake and task_continue */
};

struct task {
	engine *engine;
	lua_State *L;
	int ref;
	enum task_state state;
	uint64_t generation, born;
	task_cancel_fn cancel;
	void *op;
	task_done_fn done;
	void *ud;
	int nargs; /* values on L for the next resume */
	bool doomed;
	bool severed;     /* cut off in the middle: its thread is not used again */
	unsigned barrier; /* resumes under a C function that cannot be left */
	/* the user's coroutines that the present wait passes through, innermost first */
	lua_State *chain[CHAIN_MAX];
	unsigned chain_length;
	task *next, *prev;             /* in engine->live, or (next) in engine->idle and the spare list */
	task *next_ready, *prev_ready; /* in engine->ready */
};

/* Structs are kept for ever: a stale ticket reads a generation, never freed memory. */
static task *spare;

static void task_run(task *t);

/* --- waiting ------------------------------------------------------------------------------------------------- */

void task_check(lua_State *L)
{
	engine *e = engine_of(L);
	task *t = e->running;

	if (t == NULL)
		luaL_error(L, "this waits, and nothing may wait outside a task");
	if (e->forbidden != NULL)
		luaL_error(L, "this waits, and nothing may wait inside %s", e->forbidden);
	if (t->barrier > 0 || !lua_isyieldable(L))
		luaL_error(
		    L, "this waits, and the C function that called here cannot be left (string.gsub, table.sort …)");
}

task_ticket task_suspend(lua_State *L, task_cancel_fn cancel, void *op)
{
	task_check(L);
	task *t = engine_of(L)->running;
	t->state = TASK_WAITING;
	t->cancel = cancel;
	t->op = op;
	t->chain_length = 0;
	return (task_ticket){ t, ++t->generation };
}

int task_wait(lua_State *L)
{
	return lua_yield(L, 0);
}

lua_State *task_wake(task_ticket ticket)
{
	task *t = ticket.task;

	if (t == NULL || t->generation != ticket.generation || t->state != TASK_WAITING)
		return NULL;
	t->generation++;
	t->state = TASK_WOKEN;
	t->cancel = NULL;
	t->op = NULL;
	return t->L;
}

static void dequeue(task *t)
{
	engine *e = t->engine;

	if (t->prev_ready != NULL)
		t->prev_ready->next_ready = t->next_ready;
	else
		e->ready = t->next_ready;
	if (t->next_ready != NULL)
		t->next_ready->prev_ready = t->prev_ready;
	else
		e->ready_last = t->prev_ready;
}

static void run_ready(engine *e)
{
	engine_retain(e);
	/* bounded: tasks that wake each other for ever still let the loop see its I/O */
	for (int n = 0; n < READY_MAX && e->ready != NULL; n++) {
		task *t = e->ready;
		dequeue(t);
		task_run(t);
	}
	if (e->ready == NULL && e->turn != NULL)
		uv_idle_stop(e->turn);
	engine_release(e);
}

static void turn(uv_idle_t *handle)
{
	run_ready(handle->data);
}

static void enqueue(task *t)
{
	engine *e = t->engine;

	t->state = TASK_READY;
	t->next_ready = NULL;
	t->prev_ready = e->ready_last;
	if (e->ready_last != NULL)
		e->ready_last->next_ready = t;
	else
		e->ready = t;
	e->ready_last = t;
	uv_idle_start(e->turn, turn);
}

void task_continue(task_ticket ticket, int nresults)
{
	task *t = ticket.task;

	t->nargs = nresults;
	if (t->engine->running != NULL || t->engine->depth >= DEPTH_MAX)
		enqueue(t);
	else
		task_run(t);
}

const char *task_forbid(lua_State *L, const char *why)
{
	engine *e = engine_of(L);
	const char *before = e->forbidden;

	if (before == NULL)
		e->forbidden = why;
	return before;
}

void task_allow(lua_State *L, const char *before)
{
	engine_of(L)->forbidden = before;
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static task *task_new(engine *e)
{
	task *t = e->idle;

	if (t != NULL) {
		e->idle = t->next;
		e->idle_count--;
	} else {
		t = spare;
		if (t != NULL)
			spare = t->next;
		else if ((t = calloc(1, sizeof(*t))) == NULL)
			abort();
		lua_rawgeti(e->L, LUA_REGISTRYINDEX, e->threads);
		t->L = lua_newthread(e->L);
		t->ref = luaL_ref(e->L, -2);
		lua_pop(e->L, 1);
		t->engine = e;
	}
	t->born = ++t->generation;
	t->doomed = false;
	t->severed = false;
	t->barrier = 0;
	t->chain_length = 0;
	t->cancel = NULL;
	t->op = NULL;
	t->prev = NULL;
	t->next = e->live;
	if (e->live != NULL)
		e->live->prev = t;
	e->live = t;
	e->tasks++;
	return t;
}

/* The thread goes back to the pool, unless its stack has grown out of the ordinary. */
static void task_recycle(task *t)
{
	engine *e = t->engine;

	/* A thread that was cut off inside xpcall keeps a stale message handler (lua_resetthread of 5.4.4 forgets it),
	 * and the next error in it would become "error in error handling". */
	if (!t->severed && e->idle_count < IDLE_MAX && !e->retired && lua_gettop(t->L) < STACK_KEPT) {
		lua_settop(t->L, 0);
		t->next = e->idle;
		e->idle = t;
		e->idle_count++;
		return;
	}
	lua_rawgeti(e->L, LUA_REGISTRYINDEX, e->threads);
	luaL_unref(e->L, -1, t->ref);
	lua_pop(e->L, 1);
	t->L = NULL;
	t->next = spare;
	spare = t;
}

/* Runs on the main state under pcall: hands the text to lunation.log, which is loaded or loads. */
static int log_failure(lua_State *L)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "lunation.log");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "error");
	lua_pushliteral(L, "a task failed");
	lua_createtable(L, 0, 1);
	lua_pushstring(L, lua_touserdata(L, 1));
	lua_setfield(L, -2, "error");
	lua_call(L, 2, 0);
	return 0;
}

static void report(task *t)
{
	lua_State *L = t->engine->L;
	const char *text;

	if (lua_type(t->L, -1) == LUA_TSTRING)
		luaL_traceback(t->L, t->L, lua_tostring(t->L, -1), 0);
	text = luaL_tolstring(t->L, -1, NULL);
	lua_pushcfunction(L, log_failure);
	lua_pushlightuserdata(L, (void *)text);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
		fprintf(stderr, "lunation: a task failed: %s\n", text);
		lua_pop(L, 1);
	}
	lua_pop(t->L, 1);
}

static void task_end(task *t, bool ok, int nresults)
{
	engine *e = t->engine;

	t->state = TASK_ENDED;
	t->generation++;
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		e->live = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	if (t->done != NULL)
		t->done(t->ud, t->L, ok, nresults);
	else if (!ok && !t->doomed)
		report(t);
	if (!ok)
		lua_resetthread(t->L);
	e->tasks--;
	task_recycle(t);
	engine_ended(e);
}

static void task_run(task *t)
{
	engine *e = t->engine;
	int nresults, status;

	engine_retain(e);
	t->state = TASK_RUNNING;
	e->running = t;
	e->depth++;
	status = lua_resume(t->L, NULL, t->nargs, &nresults);
	e->running = NULL;
	e->forbidden = NULL;
	if (status != LUA_YIELD) {
		task_end(t, status == LUA_OK, status == LUA_OK ? nresults : 1);
	} else if (t->state == TASK_RUNNING) {
		luaL_traceback(t->L, t->L, "coroutine.yield outside a coroutine", 0);
		t->severed = true;
		task_end(t, false, 1);
	} else {
		lua_pop(t->L, nresults);
		if (t->doomed)
			task_cancel(t);
	}
	/* what this one started or woke begins now that it waits or has ended */
	if (e->depth == 1 && e->ready != NULL)
		run_ready(e);
	e->depth--;
	engine_release(e);
}

static task *task_prepare(engine *e, int nargs, task_done_fn done, void *ud)
{
	task *t = task_new(e);

	/* a fresh or recycled thread has LUA_MINSTACK slots */
	if (nargs + 1 > LUA_MINSTACK && !lua_checkstack(t->L, nargs + 1))
		abort();
	lua_xmove(e->L, t->L, nargs + 1);
	t->nargs = nargs;
	t->done = done;
	t->ud = ud;
	return t;
}

task *task_spawn(engine *e, int nargs, task_done_fn done, void *ud)
{
	task *t = task_prepare(e, nargs, done, ud);

	if (e->running != NULL || e->depth >= DEPTH_MAX)
		enqueue(t);
	else
		task_run(t);
	return t;
}

task *task_spawn_later(engine *e, int nargs, task_done_fn done, void *ud)
{
	task *t = task_prepare(e, nargs, done, ud);

	enqueue(t);
	return t;
}

void task_cancel(task *t)
{
	engine *e = t->engine;
	task *running = e->running;

	if (t->state == TASK_ENDED)
		return;
	if (t->state == TASK_RUNNING) {
		t->doomed = true;
		return;
	}
	if (t->state == TASK_READY)
		dequeue(t);
	/* what runs here is nobody's task: it may not wait, and what it wakes runs on the next turn */
	e->running = NULL;
	e->depth += DEPTH_MAX;
	t->generation++;
	t->doomed = true;
	t->severed = true;
	t->state = TASK_RUNNING;
	if (t->cancel != NULL)
		t->cancel(t->op);
	t->cancel = NULL;
	/* <close> variables, from the inside out */
	for (unsigned i = 0; i < t->chain_length; i++)
		lua_resetthread(t->chain[i]);
	lua_resetthread(t->L);
	lua_settop(t->L, 0);
	error_push(t->L, "cancelled", "the task was cancelled");
	engine_retain(e);
	task_end(t, false, 1);
	e->running = running;
	e->depth -= DEPTH_MAX;
	engine_release(e);
}

task_ticket task_life(task *t)
{
	return (task_ticket){ t, t->born };
}

bool task_cancel_life(task_ticket life)
{
	if (life.task->born != life.generation || life.task->state == TASK_ENDED)
		return false;
	task_cancel(life.task);
	return true;
}

void tasks_open(engine *e)
{
	lua_newtable(e->L);
	e->threads = luaL_ref(e->L, LUA_REGISTRYINDEX);
	if (e->loop == NULL) /* a state that only reads the configuration */
		return;
	e->turn = malloc(sizeof(*e->turn));
	if (e->turn == NULL)
		abort();
	uv_idle_init(e->loop, e->turn);
	e->turn->data = e;
}

void tasks_close(engine *e)
{
	while (e->live != NULL)
		task_cancel(e->live);
	while (e->idle != NULL) {
		task *t = e->idle;
		e->idle = t->next;
		t->L = NULL;
		t->next = spare;
		spare = t;
	}
	if (e->turn != NULL)
		uv_close((uv_handle_t *)e->turn, (uv_close_cb)free);
	e->turn = NULL;
}

/* --- the user's own coroutines: a wait inside one passes through to the task ----------------------------------- */

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

/* --- lunation.task.core: what lua/lunation/task.lua is made of -------------------------------------------------- */

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

static int core_running(lua_State *L)
{
	lua_pushboolean(L, engine_of(L)->running != NULL);
	return 1;
}

int luaopen_lunation_task_core(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "spawn", core_spawn },   { "cancel", core_cancel },   { "park", core_park },
		{ "unpark", core_unpark }, { "running", core_running }, { NULL, NULL },
	};
	luaL_newlib(L, functions);
	return 1;
}
