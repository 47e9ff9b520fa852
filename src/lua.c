/* The one list of C modules: each stands in package.preload and is opened by the first require. */
#include "modules.h"

#include <lauxlib.h>

static const luaL_Reg modules[] = {
	{ "lunation.agenda", luaopen_lunation_agenda },
	{ "lunation.bridge", luaopen_lunation_bridge },
	{ "lunation.crypto", luaopen_lunation_crypto },
	{ "lunation.fetch", luaopen_lunation_fetch },
	{ "lunation.freebusy", luaopen_lunation_freebusy },
	{ "lunation.fs", luaopen_lunation_fs },
	{ "lunation.host", luaopen_lunation_host },
	{ "lunation.http_server", luaopen_lunation_http_server },
	{ "lunation.ical.tree", luaopen_lunation_ical_tree },
	{ "lunation.json", luaopen_lunation_json },
	{ "lunation.process.core", luaopen_lunation_process_core },
	{ "lunation.ratelimit.core", luaopen_lunation_ratelimit_core },
	{ "lunation.rrule", luaopen_lunation_rrule },
	{ "lunation.rscale.core", luaopen_lunation_rscale_core },
	{ "lunation.sqlite", luaopen_lunation_sqlite },
	{ "lunation.task.core", luaopen_lunation_task_core },
	{ "lunation.tcp", luaopen_lunation_tcp },
	{ "lunation.timer", luaopen_lunation_timer },
	{ "lunation.tz", luaopen_lunation_tz },
	{ "lunation.worker.core", luaopen_lunation_worker_core },
	{ "lunation.xml", luaopen_lunation_xml },
	{ NULL, NULL },
};

void lua_modules(lua_State *L)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	luaL_setfuncs(L, modules, 0);
	lua_pop(L, 1);
}
