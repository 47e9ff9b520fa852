/* Tasks: coroutines that the loop resumes, each suspension named by a generation so that a late completion finds
 * nobody. */
#include "host/task.h"

#include "host/scheduler.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDLE_MAX = 256, DEPTH_MAX = 16, STACK_KEPT = 1024, READY_MAX = 1024 };

/* Structs are kept for ever: a stale ticket reads a generation, never freed memory. */
static task *spare;

static void task_run(task *t);

/* --- waiting ------------------------------------------------------------------------------------------------- */

/* Why nothing may wait now, as a format for luaL_error; NULL where it may. */
static const char *barred(lua_State *L)
{
	engine *e = engine_of(L);
	task *t = e->running;

	if (t == NULL)
		return "this waits, and nothing may wait outside a task";
	if (e->forbidden != NULL)
		return "this waits, and nothing may wait inside %s";
	if (t->barrier > 0 || !lua_isyieldable(L))
		return "this waits, and the C function that called here cannot be left (string.gsub, table.sort …)";
	return NULL;
}

bool task_may_wait(lua_State *L)
{
	return barred(L) == NULL;
}

void task_check(lua_State *L)
{
	const char *why = barred(L);

	if (why != NULL)
		luaL_error(L, why, engine_of(L)->forbidden);
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
