/* The error value of the modules of data/: a table {code=, message=, …} whose tostring is the message. */
#ifndef LUNATION_DATA_FAIL_H
#define LUNATION_DATA_FAIL_H

#include <lua.h>

/* Pushes the error, for a module that adds fields to it. */
void data_error(lua_State *L, const char *code, const char *message, ...);

/* Pushes nil and the error: `return data_fail(L, "invalid_json", "…");` */
int data_fail(lua_State *L, const char *code, const char *message, ...);

#endif
