/* Recurrence sets for Lua. recurset_make.c reads them, recurset_ask.c gets what they lack, recurset_lua.c gives their
 * occurrences. */
#ifndef LUNATION_CALENDAR_RECURSET_LUA_H
#define LUNATION_CALENDAR_RECURSET_LUA_H

#include "calendar/rrule.h"

#include <lua.h>

#define RECURSET_TYPE "lunation.rrule.set"

/* Puts `expand` and `set` into the table on the stack's top. */
void recurset_open(lua_State *L);

/* nil and an error that names the part of the rule at fault: its messages begin with it. */
int rrule_fail(lua_State *L, const char *message);

struct set_box {
	struct recur_set *set;
	bool utc;         /* DTSTART has a Z */
	bool as_utc;      /* occurrences are asked for in UTC */
	lua_Integer most; /* how many times of a rule of another calendar were asked for last */
	/* What `instants` works with, kept from call to call. */
	struct recur_iter *iter;
	int64_t *at;
	size_t room;
};

/* Compiles the table at `arg` and pushes the set. NULL with nil, err pushed otherwise. */
struct set_box *recurset_push(lua_State *L, int arg);
int recurset_gc(lua_State *L);

/* --- rules of other calendars --- */

/* The times of a rule of another calendar without which a set cannot go on. */
struct want {
	int rule;
	int64_t from, to;
	lua_Integer most;
};

enum { RECURSET_WANTS = -1 };

/* A function of Lua that needs a set's occurrences: `run` gives the number of results, or RECURSET_WANTS, and is then
 * run again with the stack that it had. */
struct work {
	int (*run)(lua_State *L, struct want *want);
	lua_KFunction resume;
	int set, top; /* where the set stands, how much of the stack is kept */
	bool raise;   /* errors are raised: there is nobody to return them to */
};

/* Whether an iterator that ended before it gave `limit` occurrences lacks times of [from, to). */
bool recurset_wants(const struct recur_iter *it, int64_t from, int64_t to, lua_Integer limit, struct want *want);
int recurset_run(lua_State *L, const struct work *work);
/* What a work's `resume` does. */
int recurset_resume(lua_State *L, const struct work *work, lua_KContext rule);

#endif
