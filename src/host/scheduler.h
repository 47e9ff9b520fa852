/* The inside of a task: for task.c, which runs it, and coroutine.c, where a wait passes through the user's coroutines.
 */
#ifndef LUNATION_HOST_SCHEDULER_H
#define LUNATION_HOST_SCHEDULER_H

#include "host/state.h"

enum { CHAIN_MAX = 8 };

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

#endif
