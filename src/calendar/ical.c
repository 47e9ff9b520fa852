/* lunation.ical.tree: iCalendar text to a tree of tables and back, the mechanism below lua/lunation/ical. */
#include "calendar/ical.h"

#include <lauxlib.h>

static const luaL_Reg lib[] = {
	{ "parse", ical_parse },         { "rewrite", ical_rewrite }, { "instances", ical_instances_lua },
	{ "serialize", ical_serialize }, { "escape", ical_escape },   { "unescape", ical_unescape },
	{ "split", ical_split },         { "time", ical_time },       { NULL, NULL },
};

int luaopen_lunation_ical_tree(lua_State *L);

int luaopen_lunation_ical_tree(lua_State *L)
{
	luaL_newlib(L, lib);
	return 1;
}
