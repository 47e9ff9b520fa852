/* The Lua states of the host: how one is made, bounded and closed. */
#ifndef LUNATION_HOST_STATE_H
#define LUNATION_HOST_STATE_H

#include "host/slab.h"
#include "host/task.h"

#include <stddef.h>

struct engine {
	lua_State *L;
	uv_loop_t *loop;

	/* the scheduler's (task.c) */
	task *running;            /* the task that Lua runs now, or NULL */
	task *ready, *ready_last; /* woken from inside Lua; run on the loop's next turn */
	task *live;               /* every task that has not ended */
	task *idle;               /* ended ones, their thread kept for the next */
	unsigned idle_count;
	int threads;           /* reference of the table that anchors the threads */
	unsigned depth;        /* of task runs nested in completions */
	uv_idle_t *turn;       /* active while `ready` is not empty */
	const char *forbidden; /* why nothing may wait at this moment, or NULL */

	/* life */
	size_t tasks;
	size_t holders;
	bool retired;
	void (*closed)(void *ud); /* called when a retired engine has been closed */
	void *closed_ud;
	void *timers; /* every running timer (timer.c) */

	/* memory: the limit binds only while a task runs, so that the host itself never meets it */
	size_t used, limit, peak;
	struct slab slab;
};

/* memory_limit in bytes, 0 is none. Opens the standard libraries and the list of C modules. */
engine *engine_new(uv_loop_t *loop, size_t memory_limit);

/* Takes the engine out of service: its timers stop, its tasks run to their end, then it closes. */
void engine_retire(engine *e, void (*closed)(void *ud), void *ud);

/* Cancels every task and closes the state now. */
void engine_close(engine *e);

/* task.c: what engine_new and engine_close call. */
void tasks_open(engine *e);
void tasks_close(engine *e);
void tasks_coroutines(lua_State *L); /* coroutine.resume and wrap let a wait pass through */
void engine_ended(engine *e);        /* a task has ended: closes a retired engine whose last one it was */
void timers_stop(engine *e);

/* Where the Lua tree, the providers and the pages are: the checkout, or PREFIX/share/lunation. */
const char *host_root(void);
const char *host_executable(void);

#endif
