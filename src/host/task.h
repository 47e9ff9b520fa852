/*
 * Tasks: every piece of Lua that the host runs is a coroutine of the loop, and everything that waits suspends it.
 * The one shape of an asynchronous operation is here; timers, HTTP, processes and servers all have it.
 */
#ifndef LUNATION_HOST_TASK_H
#define LUNATION_HOST_TASK_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct engine engine; /* one lua_State and what belongs to it; a reload makes a new one */
typedef struct task task;     /* one coroutine run by the loop */

/* Names one suspension of a task. It goes stale when the task is resumed or dies; memory of tasks is never
 * returned to the system, so a stale ticket may be asked at any time. */
typedef struct {
	task *task;
	uint64_t generation;
} task_ticket;

/* The task dies first: stop the operation; it must not wake the task any more. */
typedef void (*task_cancel_fn)(void *op);

/*
 * An asynchronous C function starts its operation, keeps `task_suspend(L, cancel, op)` in it and ends with
 * `return task_wait(L);`. Nothing that may raise stands between the two. task_suspend itself raises where no wait
 * is possible: outside a task, under a C function that cannot be left (string.gsub, table.sort), in a transaction.
 */
task_ticket task_suspend(lua_State *L, task_cancel_fn cancel, void *op);
int task_wait(lua_State *L);

/* Raises where task_suspend would; call it before an operation is started that could not be undone. */
void task_check(lua_State *L);
bool task_may_wait(lua_State *L);

/*
 * Completion, from the loop: L = task_wake(t); where L is not NULL push the results on it and call
 * task_continue(t, nresults). NULL says that the task is gone: drop the results.
 */
lua_State *task_wake(task_ticket t);
void task_continue(task_ticket t, int nresults);

/* The results, or the error object, are on L's top; L is emptied after the call. The stack of a failed task still
 * stands, so luaL_traceback(…, L, …) works. */
typedef void (*task_done_fn)(void *ud, lua_State *L, bool ok, int nresults);

/*
 * Runs a function as a new task: push it and its arguments on engine_state(e). It starts at once when called from the
 * loop, and after the running task's next wait when called from Lua. Without `done` an error goes to the log.
 */
task *task_spawn(engine *e, int nargs, task_done_fn done, void *ud);

/* The same, but it never runs before this returns. */
task *task_spawn_later(engine *e, int nargs, task_done_fn done, void *ud);

/* Ends a task: its operation is cancelled, its <close> variables are closed, `done` is called with ok=false and an
 * error whose code is "cancelled". A running task ends at its next wait. */
void task_cancel(task *t);

/* Names a task for its whole life, for who may want to cancel it later; false: it has ended already. */
task_ticket task_life(task *t);
bool task_cancel_life(task_ticket life);

/* While a region is open on this engine every wait raises, naming `why` (a transaction, a mapping). Nests. */
const char *task_forbid(lua_State *L, const char *why);
void task_allow(lua_State *L, const char *before);

engine *engine_of(lua_State *L);
uv_loop_t *engine_loop(engine *e);
lua_State *engine_state(engine *e);

/* A holder of an engine keeps its state open; a retired one closes with its last task and last holder. */
void engine_retain(engine *e);
void engine_release(engine *e);

/* Pushes { code=, message= } with the metatable of errors. */
void error_push(lua_State *L, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
