/* What a set lacks of rules of other calendars (RFC 7529): their times are asked of lunation.rscale, which may wait;
 * what needs them is begun anew when they have come. */
#include "calendar/recurset_lua.h"

#include "calendar/fail.h"

#include <lauxlib.h>

enum { MOST_AT_ONCE = 100000 };

bool recurset_wants(const struct recur_iter *it, int64_t from, int64_t to, lua_Integer limit, struct want *want)
{
	int rule = recur_iter_lacks(it, from, to);

	if (rule == RECUR_NONE)
		return false;
	*want = (struct want){ rule, from, to, limit < MOST_AT_ONCE ? limit + 1 : MOST_AT_ONCE };
	return true;
}

/* Calls lunation.rscale for what is wanted; the answer comes to take(). False with nil, err on the stack without it. */
static bool ask(lua_State *L, const struct work *work, struct want *want)
{
	struct set_box *box = lua_touserdata(L, work->set);
	int64_t until = recur_set_until(box->set, want->rule);

	lua_getglobal(L, "require");
	lua_pushliteral(L, "lunation.rscale");
	if (lua_pcall(L, 1, 1, 0) != LUA_OK || lua_getfield(L, -1, "occurrences") != LUA_TFUNCTION) {
		calendar_fail(L, "unsupported", "RSCALE: rules of other calendars are the lunation program's alone");
		lua_pushliteral(L, "RSCALE");
		lua_setfield(L, -2, "part");
		return false;
	}
	if (want->most <= box->most) /* it was not enough */
		want->most = 4 * box->most;
	box->most = want->most;
	if (until < want->to)
		want->to = until + 1;
	lua_pushstring(L, recur_set_text(box->set, want->rule));
	lua_pushinteger(L, recur_set_start(box->set));
	lua_pushboolean(L, recur_set_is_date(box->set));
	lua_pushinteger(L, want->from < recur_set_start(box->set) ? recur_set_start(box->set) : want->from);
	lua_pushinteger(L, want->to);
	lua_pushinteger(L, want->most);
	return true;
}

/* Takes an answer: times as they stand in memory, begin, covered, known; or nil, err, which then are on the stack. */
static bool take(lua_State *L, const struct work *work, int rule)
{
	struct set_box *box = lua_touserdata(L, work->set);
	size_t size;
	const char *times = lua_tolstring(L, -4, &size);

	if (times == NULL) {
		lua_pop(L, 2);
		return false;
	}
	if (!recur_set_give(box->set, rule, (const int64_t *)(const void *)times, size / sizeof(int64_t),
			    lua_tointeger(L, -3), lua_tointeger(L, -2), lua_tointeger(L, -1)))
		luaL_error(L, "not enough memory");
	lua_settop(L, work->top);
	return true;
}

static int failed(lua_State *L, const struct work *work)
{
	return work->raise ? lua_error(L) : 2;
}

int recurset_run(lua_State *L, const struct work *work)
{
	for (;;) {
		struct want want;
		int results = work->run(L, &want);

		if (results != RECURSET_WANTS)
			return results;
		lua_settop(L, work->top);
		if (!ask(L, work, &want))
			return failed(L, work);
		lua_callk(L, 6, 4, want.rule, work->resume);
		if (!take(L, work, want.rule))
			return failed(L, work);
	}
}

int recurset_resume(lua_State *L, const struct work *work, lua_KContext rule)
{
	return take(L, work, (int)rule) ? recurset_run(L, work) : failed(L, work);
}
