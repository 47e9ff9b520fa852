/* How the modules of calendar/ report: `return calendar_fail(L, code, message)` gives nil and {code=, message=} whose
 * tostring is the message, so that these modules need nothing but stock Lua. */
#ifndef LUNATION_CALENDAR_FAIL_H
#define LUNATION_CALENDAR_FAIL_H

#include <lua.h>

int calendar_fail(lua_State *L, const char *code, const char *message, ...);

#endif
