/* The C modules of lunation, one luaopen function each. */
#ifndef LUNATION_MODULES_H
#define LUNATION_MODULES_H

#include <lua.h>

/* Puts every module below into package.preload. */
void lua_modules(lua_State *L);

int luaopen_lunation_agenda(lua_State *L);
int luaopen_lunation_bridge(lua_State *L);
int luaopen_lunation_crypto(lua_State *L);
int luaopen_lunation_fetch(lua_State *L);
int luaopen_lunation_freebusy(lua_State *L);
int luaopen_lunation_fs(lua_State *L);
int luaopen_lunation_host(lua_State *L);
int luaopen_lunation_http_server(lua_State *L);
int luaopen_lunation_ical_tree(lua_State *L);
int luaopen_lunation_json(lua_State *L);
int luaopen_lunation_process_core(lua_State *L);
int luaopen_lunation_ratelimit_core(lua_State *L);
int luaopen_lunation_rrule(lua_State *L);
int luaopen_lunation_rscale_core(lua_State *L);
int luaopen_lunation_sqlite(lua_State *L);
int luaopen_lunation_task_core(lua_State *L);
int luaopen_lunation_tcp(lua_State *L);
int luaopen_lunation_timer(lua_State *L);
int luaopen_lunation_tz(lua_State *L);
int luaopen_lunation_worker_core(lua_State *L);
int luaopen_lunation_xml(lua_State *L);

#endif
