/* Recurrence sets from tables of Lua: rules, dates, the zone. */
#include "calendar/recurset_lua.h"

#include "calendar/fail.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

int recurset_gc(lua_State *L)
{
	struct set_box *box = luaL_checkudata(L, 1, RECURSET_TYPE);

	recur_iter_free(box->iter);
	recur_set_free(box->set);
	free(box->at);
	box->iter = NULL;
	box->set = NULL;
	box->at = NULL;
	return 0;
}

/* Adds the rules in a field, one text or a list of them. Pushes nil, err and gives false if one is bad. */
static bool add_rules(lua_State *L, int arg, const char *field, struct set_box *box, bool exclude, bool strict)
{
	char message[RRULE_MESSAGE];
	lua_Integer n;
	bool single;

	lua_getfield(L, arg, field);
	single = lua_isstring(L, -1);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return true;
	}
	if (!single)
		luaL_checktype(L, -1, LUA_TTABLE);
	n = single ? 1 : (lua_Integer)lua_rawlen(L, -1);
	for (lua_Integer i = 1; i <= n; i++) {
		struct rrule rule;
		const char *text;
		size_t len;

		if (single)
			lua_pushvalue(L, -1);
		else
			lua_rawgeti(L, -1, i);
		text = luaL_checklstring(L, -1, &len);
		if (!rrule_parse(text, len, &rule, message) ||
		    (strict && !rrule_strict(&rule, recur_set_is_date(box->set), message))) {
			rrule_fail(L, message);
			return false;
		}
		if (!recur_set_rule(box->set, &rule, text, len, exclude))
			luaL_error(L, "not enough memory");
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return true;
}

/* Adds the dates in a field: forms of DTSTART, with Z, and periods, whose start counts. */
static bool add_dates(lua_State *L, int arg, const char *field, struct set_box *box, bool exclude)
{
	lua_Integer n;

	lua_getfield(L, arg, field);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return true;
	}
	luaL_checktype(L, -1, LUA_TTABLE);
	n = (lua_Integer)lua_rawlen(L, -1);
	for (lua_Integer i = 1; i <= n; i++) {
		const char *text;
		size_t len, read;
		struct civil c;

		lua_rawgeti(L, -1, i);
		text = luaL_checklstring(L, -1, &len);
		read = civil_read(text, len, &c);
		if (read == 0 || (read < len && text[read] != '/')) {
			calendar_fail(L, "invalid_time", "%s: \"%s\" is not a time", field, text);
			return false;
		}
		if (!recur_set_date(box->set, &c, exclude))
			luaL_error(L, "not enough memory");
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return true;
}

static bool flag(lua_State *L, int arg, const char *field)
{
	bool set;

	lua_getfield(L, arg, field);
	set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

/* Finds the zone that a table names; false with nil, err pushed if there is none of that name. */
static bool find_zone(lua_State *L, int arg, struct tz_zone **zone)
{
	char name[TZ_NAME_MAX];
	const char *text;
	size_t len;

	*zone = NULL;
	lua_getfield(L, arg, "tzid");
	text = luaL_optlstring(L, -1, "UTC", &len);
	if (!tz_resolve(tz_cache_of(L), text, len, name)) {
		calendar_fail(L, "invalid_zone", "no time zone is known as \"%s\"", text);
		return false;
	}
	if (strcmp(name, "UTC") != 0)
		*zone = tz_acquire(tz_cache_of(L), name);
	lua_pop(L, 1);
	return true;
}

struct set_box *recurset_push(lua_State *L, int arg)
{
	bool strict = flag(L, arg, "strict");
	struct tz_zone *zone;
	struct set_box *box;
	struct civil start;
	const char *text;
	size_t len;

	lua_getfield(L, arg, "dtstart");
	text = luaL_checklstring(L, -1, &len);
	if (!civil_parse(text, len, &start)) {
		calendar_fail(L, "invalid_time", "dtstart: \"%s\" is not a time", text);
		return NULL;
	}
	if (!find_zone(L, arg, &zone))
		return NULL;
	box = lua_newuserdatauv(L, sizeof(*box), 0);
	box->set = recur_set_new(&start, zone);
	box->utc = start.utc;
	box->as_utc = flag(L, arg, "utc");
	box->most = 0;
	box->iter = NULL;
	box->at = NULL;
	box->room = 0;
	luaL_setmetatable(L, RECURSET_TYPE);
	tz_release(zone);
	if (box->set == NULL)
		luaL_error(L, "not enough memory");
	if (!add_rules(L, arg, "rrule", box, false, strict) || !add_rules(L, arg, "exrule", box, true, strict) ||
	    !add_dates(L, arg, "rdate", box, false) || !add_dates(L, arg, "exdate", box, true))
		return NULL;
	recur_set_seal(box->set);
	return box;
}
