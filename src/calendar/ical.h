/* The functions of lunation.ical.tree. The parser itself is ical_doc.h, which knows no Lua. */
#ifndef LUNATION_CALENDAR_ICAL_H
#define LUNATION_CALENDAR_ICAL_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

int ical_parse(lua_State *L);
int ical_rewrite(lua_State *L);
int ical_instances_lua(lua_State *L);
int ical_serialize(lua_State *L);
int ical_escape(lua_State *L);
int ical_unescape(lua_State *L);
int ical_split(lua_State *L);
int ical_time(lua_State *L);

#endif
