/* What the two halves of lunation.json share. */
#ifndef LUNATION_DATA_JSON_H
#define LUNATION_DATA_JSON_H

#include <lua.h>

/* Upvalues of every function of the module. */
enum { JSON_ARRAY = 1, JSON_OBJECT, JSON_RAW, JSON_BUFFER, JSON_UPVALUES = JSON_BUFFER };

enum { JSON_DEPTH = 64, JSON_DEPTH_MAX = 1000, JSON_KEEP = 1 << 20 };

int json_encode(lua_State *L);
int json_decode(lua_State *L);

#endif
