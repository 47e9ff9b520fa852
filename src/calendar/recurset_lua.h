/* Recurrence sets for Lua. */
#ifndef LUNATION_CALENDAR_RECURSET_LUA_H
#define LUNATION_CALENDAR_RECURSET_LUA_H

#include "calendar/rrule.h"

#include <lua.h>

/* Puts `expand` and `set` into the table on the stack's top. */
void recurset_open(lua_State *L);

/* nil and an error that names the part of the rule at fault: its messages begin with it. */
int rrule_fail(lua_State *L, const char *message);

#endif
