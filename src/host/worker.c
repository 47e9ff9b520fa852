/*
 * A worker: TERM drains and ends it, HUP loads a new engine beside the old one. The new one takes over when it has
 * started (lua/lunation/worker.lua); one that does not start is closed and the old one stays.
 */
#include "host/worker.h"

#include "host/loop.h"
#include "host/state.h"
#include "modules.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What an engine may take to end after its own deadline (lunation.worker.drain_time) before it is ended. */
enum { GRACE_MS = 2000, PULSE_MS = 1000 };

struct worker {
	const struct worker_options *options;
	uv_loop_t loop;
	uv_signal_t term, hup, interrupt;
	uv_timer_t deadline; /* of the drain */
	uv_timer_t pulse;    /* tells the supervisor that the loop turns */
	engine *current, *loading;
	engine *failed;       /* a new one that did not start, until the old one has taken its listeners back */
	bool stopping, again; /* again: HUP while loading */
	unsigned generation;
};

/* An old engine on its way out; the timer ends what does not end by itself. */
struct leaving {
	engine *engine;
	uv_timer_t timer;
};

static struct worker *self; /* one per process: lunation.worker.core has no other way to it */

static void begin_reload(struct worker *w);

/* HUP while one was under way */
static void reload_again(struct worker *w)
{
	if (w->again && !w->stopping) {
		w->again = false;
		begin_reload(w);
	}
}

static void report(struct worker *w, char what)
{
	if (w->options->report >= 0 && write(w->options->report, &what, 1) != 1)
		fprintf(stderr, "lunation: the supervisor does not listen\n");
}

/* Spawns require("lunation.worker")[name](...) in an engine; the arguments stand on its state's top. */
static void call(engine *e, const char *name, int nargs, task_done_fn done, void *ud)
{
	lua_State *L = e->L;

	lua_getglobal(L, "require");
	lua_pushliteral(L, "lunation.worker");
	if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
		/* the error becomes the call's: error(message) is the task */
		lua_getglobal(L, "error");
		lua_insert(L, -2);
		lua_rotate(L, -2 - nargs, 2);
		lua_pop(L, nargs);
		task_spawn(e, 1, done, ud);
		return;
	}
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	lua_insert(L, -1 - nargs);
	task_spawn(e, nargs, done, ud);
}

static void print_failure(lua_State *L, const char *what)
{
	if (lua_type(L, -1) == LUA_TSTRING)
		luaL_traceback(L, L, lua_tostring(L, -1), 0);
	fprintf(stderr, "lunation: %s: %s\n", what, luaL_tolstring(L, -1, NULL));
	lua_pop(L, 1);
}

/* --- reload ------------------------------------------------------------------------------------------------------ */

static void leaving_closed(uv_handle_t *timer)
{
	free(timer->data);
}

static void left(void *ud)
{
	struct leaving *old = ud;

	old->engine = NULL;
	uv_close((uv_handle_t *)&old->timer, leaving_closed);
}

static void leave_now(uv_timer_t *timer)
{
	struct leaving *old = timer->data;

	if (old->engine != NULL)
		engine_close(old->engine);
}

static uint64_t drain_milliseconds(engine *e)
{
	lua_State *L = e->L;
	uint64_t ms = 0;

	lua_getglobal(L, "require");
	lua_pushliteral(L, "lunation.worker");
	if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
		lua_getfield(L, -1, "drain_time");
		ms = (uint64_t)(lua_tonumber(L, -1) * 1000);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return ms + GRACE_MS;
}

static void retired(void *ud, lua_State *L, bool ok, int nresults)
{
	struct leaving *old = ud;

	(void)nresults;
	if (!ok)
		print_failure(L, "the old state did not stop in order");
	engine_retire(old->engine, left, old);
}

static void retire(struct worker *w, engine *e)
{
	struct leaving *old = malloc(sizeof(*old));

	if (old == NULL)
		abort();
	old->engine = e;
	uv_timer_init(&w->loop, &old->timer);
	old->timer.data = old;
	uv_timer_start(&old->timer, leave_now, drain_milliseconds(e), 0);
	uv_unref((uv_handle_t *)&old->timer);
	call(e, "retire", 0, retired, old);
}

/* Closes an engine from the loop, never from inside its own task. */
static void closed_later(uv_handle_t *handle)
{
	engine_close(handle->data);
	free(handle);
}

static void close_later(struct worker *w, engine *e)
{
	uv_idle_t *handle = malloc(sizeof(*handle));

	if (handle == NULL)
		abort();
	uv_idle_init(&w->loop, handle);
	handle->data = e;
	uv_close((uv_handle_t *)handle, closed_later);
}

/* The old engine has its listeners back: what has failed to replace it can go. */
static void resumed(void *ud, lua_State *L, bool ok, int nresults)
{
	struct worker *w = ud;

	(void)nresults;
	if (!ok && !loop_stopped(&w->loop, NULL))
		print_failure(L, "the old state could not take up all of its work again");
	close_later(w, w->failed);
	w->failed = NULL;
	reload_again(w);
}

static void started(void *ud, lua_State *L, bool ok, int nresults)
{
	struct worker *w = ud;
	engine *e = w->loading, *old = w->current;
	bool started_well = ok && nresults > 0 && lua_toboolean(L, -nresults);

	w->loading = NULL;
	if (started_well) {
		w->current = e;
		report(w, 'R');
		if (old != NULL)
			retire(w, old);
		reload_again(w);
	} else {
		if (!ok && !loop_stopped(&w->loop, NULL))
			print_failure(L, old != NULL ? "the reload failed, the old state goes on" : "the start failed");
		report(w, 'F');
		if (old != NULL) {
			w->failed = e;
			call(old, "resume", 0, resumed, w);
		} else {
			close_later(w, e);
			loop_stop(&w->loop, EXIT_FAILURE);
		}
	}
}

static void begin_reload(struct worker *w)
{
	const struct worker_options *o = w->options;
	lua_State *L;

	if (w->loading != NULL || w->failed != NULL) {
		w->again = true;
		return;
	}
	w->loading = engine_new(&w->loop, 0);
	L = w->loading->L;
	lua_createtable(L, 0, 6);
	lua_createtable(L, o->argc, 0);
	for (int i = 0; i < o->argc; i++) {
		lua_pushstring(L, o->argv[i]);
		lua_rawseti(L, -2, i);
	}
	lua_setfield(L, -2, "argv");
	lua_createtable(L, 0, (int)o->socket_count);
	for (size_t i = 0; i < o->socket_count; i++) {
		lua_pushinteger(L, o->sockets[i].fd);
		lua_setfield(L, -2, o->sockets[i].url);
	}
	lua_setfield(L, -2, "sockets");
	lua_pushlstring(L, (const char *)o->secret, WORKER_SECRET);
	lua_setfield(L, -2, "secret");
	lua_pushinteger(L, o->slot);
	lua_setfield(L, -2, "slot");
	lua_pushinteger(L, w->generation++);
	lua_setfield(L, -2, "generation");
	call(w->loading, "start", 1, started, w);
}

static void hup(uv_signal_t *handle, int number)
{
	struct worker *w = handle->data;

	(void)number;
	if (!w->stopping)
		begin_reload(w);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void drained(void *ud, lua_State *L, bool ok, int nresults)
{
	struct worker *w = ud;

	(void)nresults;
	if (!ok && !loop_stopped(&w->loop, NULL))
		print_failure(L, "the drain failed");
	loop_stop(&w->loop, EXIT_SUCCESS);
}

static void drain_late(uv_timer_t *timer)
{
	loop_stop(timer->loop, EXIT_SUCCESS);
}

static void term(uv_signal_t *handle, int number)
{
	struct worker *w = handle->data;

	(void)number;
	if (w->stopping || w->current == NULL) {
		loop_stop(&w->loop, w->stopping ? EXIT_FAILURE : EXIT_SUCCESS);
		return;
	}
	w->stopping = true;
	/* the listeners have copies; these would keep the ports open, with nobody to accept */
	for (size_t i = 0; i < w->options->socket_count; i++)
		close(w->options->sockets[i].fd);
	uv_timer_start(&w->deadline, drain_late, drain_milliseconds(w->current), 0);
	call(w->current, "drain", 0, drained, w);
}

static void pulse(uv_timer_t *timer)
{
	report(timer->data, 'H');
}

static void ignore(uv_signal_t *handle, int number)
{
	(void)handle;
	(void)number;
}

int worker_main(const struct worker_options *options)
{
	static struct worker w;
	int status = EXIT_FAILURE;

	w.options = options;
	self = &w;
	loop_open(&w.loop);
	loop_keep(&w.loop);
	uv_signal_init(&w.loop, &w.term);
	uv_signal_init(&w.loop, &w.hup);
	uv_signal_init(&w.loop, &w.interrupt);
	uv_timer_init(&w.loop, &w.deadline);
	uv_timer_init(&w.loop, &w.pulse);
	w.term.data = w.hup.data = w.pulse.data = &w;
	uv_timer_start(&w.pulse, pulse, PULSE_MS, PULSE_MS);
	uv_unref((uv_handle_t *)&w.pulse);
	uv_signal_start(&w.term, term, SIGTERM);
	uv_signal_start(&w.hup, hup, SIGHUP);
	/* Ctrl-C reaches the whole group: the supervisor answers it with TERM */
	uv_signal_start(&w.interrupt, ignore, SIGINT);
	begin_reload(&w);
	loop_run(&w.loop);
	loop_stopped(&w.loop, &status);
	if (w.loading != NULL)
		engine_close(w.loading);
	if (w.failed != NULL)
		engine_close(w.failed);
	if (w.current != NULL)
		engine_close(w.current);
	uv_close((uv_handle_t *)&w.term, NULL);
	uv_close((uv_handle_t *)&w.hup, NULL);
	uv_close((uv_handle_t *)&w.interrupt, NULL);
	uv_close((uv_handle_t *)&w.deadline, NULL);
	uv_close((uv_handle_t *)&w.pulse, NULL);
	loop_close(&w.loop);
	return status;
}

/* --- lunation.worker.core ----------------------------------------------------------------------------------------- */

static int core_reload(lua_State *L)
{
	(void)L;
	if (self != NULL && !self->stopping)
		uv_kill(getpid(), SIGHUP);
	return 0;
}

/* dup(fd) --> fd: the server closes what it is given; an inherited socket is kept for a later reload */
static int core_dup(lua_State *L)
{
	int fd = fcntl((int)luaL_checkinteger(L, 1), F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return luaL_error(L, "no descriptor is left");
	lua_pushinteger(L, fd);
	return 1;
}

/* shut(fd): an inherited socket that nothing serves any more refuses connections. The supervisor holds it too, so that
 * closing it here would let them wait for ever; it stays bound, and listen(2) opens it again. */
static int core_shut(lua_State *L)
{
	shutdown((int)luaL_checkinteger(L, 1), SHUT_RDWR);
	return 0;
}

int luaopen_lunation_worker_core(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "reload", core_reload },
		{ "dup", core_dup },
		{ "shut", core_shut },
		{ NULL, NULL },
	};
	luaL_newlib(L, functions);
	return 1;
}
