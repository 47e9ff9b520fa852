/* Series of the agenda whose rules are of other calendars (RFC 7529): what is lacking of their times is told to Lua,
 * which gets it from lunation.rscale before a page is made. */
#include "calendar/agenda.h"

#include <lauxlib.h>

static int64_t earliest(const struct event *e, int64_t from)
{
	enum agenda_level level = event_level(e);

	return chunk_begin(level, chunk_number(level, from - e->span)) - 2 * CIVIL_DAY;
}

static int64_t latest(const struct event *e, int64_t to)
{
	enum agenda_level level = event_level(e);

	return chunk_begin(level, chunk_number(level, to) + 1) + 2 * CIVIL_DAY;
}

static void push_want(lua_State *L, const struct event *e, int rule, int64_t from, int64_t to)
{
	int64_t until = recur_set_until(e->set, rule);

	recur_set_widen(e->set, rule, &from, &to);
	if (from < recur_set_start(e->set))
		from = recur_set_start(e->set);
	lua_createtable(L, 0, 8);
	lua_pushinteger(L, e->key);
	lua_setfield(L, -2, "event");
	lua_pushinteger(L, e->revision);
	lua_setfield(L, -2, "revision");
	lua_pushstring(L, e->id);
	lua_setfield(L, -2, "id");
	lua_pushinteger(L, rule);
	lua_setfield(L, -2, "rule");
	lua_pushstring(L, recur_set_text(e->set, rule));
	lua_setfield(L, -2, "text");
	lua_pushinteger(L, recur_set_start(e->set));
	lua_setfield(L, -2, "start");
	lua_pushboolean(L, recur_set_is_date(e->set));
	lua_setfield(L, -2, "date");
	lua_pushinteger(L, from);
	lua_setfield(L, -2, "from");
	lua_pushinteger(L, until < to ? until + 1 : to);
	lua_setfield(L, -2, "to");
}

int agenda_lacks(lua_State *L)
{
	struct agenda *a = luaL_checkudata(L, 1, AGENDA_TYPE);
	struct calendar *c = agenda_calendar(a, luaL_checkinteger(L, 2));
	int64_t from = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
	lua_Integer n = 0;

	if (c == NULL || c->nforeign == 0)
		return 0;
	lua_newtable(L);
	for (size_t i = 0; i < c->masters.count; i++) {
		const struct event *e = c->masters.at[i].event;
		int rule;

		if (e->dead || !recur_set_foreign(e->set))
			continue;
		rule = recur_set_lacks(e->set, earliest(e, from), latest(e, to));
		if (rule == RECUR_NONE)
			continue;
		push_want(L, e, rule, earliest(e, from), latest(e, to));
		lua_rawseti(L, -2, ++n);
	}
	return n > 0;
}

/* What was kept of the calendar's occurrences did not know these. */
int agenda_give(lua_State *L)
{
	struct agenda *a = luaL_checkudata(L, 1, AGENDA_TYPE);
	struct calendar *c = agenda_calendar(a, luaL_checkinteger(L, 2));
	struct event *e;
	size_t size = 0;
	const char *times = luaL_optlstring(L, 4, NULL, &size);
	int64_t begin, covered = INT64_MAX;
	int rule;
	bool good;

	luaL_checktype(L, 3, LUA_TTABLE);
	lua_getfield(L, 3, "event");
	lua_getfield(L, 3, "revision");
	lua_getfield(L, 3, "rule");
	e = c ? *calendar_event(c, lua_tointeger(L, -3)) : NULL;
	if (e == NULL || e->revision != lua_tointeger(L, -2) || !e->series ||
	    !recur_set_foreign_rule(e->set, lua_tointeger(L, -1)))
		return 0;
	rule = (int)lua_tointeger(L, -1);
	begin = recur_set_start(e->set);
	if (times) {
		begin = luaL_checkinteger(L, 5);
		covered = luaL_checkinteger(L, 6);
		good = recur_set_give(e->set, rule, (const int64_t *)(const void *)times, size / sizeof(int64_t), begin,
				      covered, INT64_MAX);
	} else {
		good = recur_set_give(e->set, rule, &begin, 1, begin, covered, INT64_MAX);
	}
	if (!good)
		return luaL_error(L, "not enough memory");
	chunks_free(a, c);
	return 0;
}
