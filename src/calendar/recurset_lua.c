/* The occurrences of recurrence sets for Lua: lunation.rrule's `expand` and `set`. */
#include "calendar/recurset_lua.h"

#include "calendar/fail.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>

#define ITER_TYPE "lunation.rrule.iter"

struct iter_box {
	struct recur_iter *iter; /* NULL: to be made, from `begin` on */
	int64_t begin;
};

static void iter_free(struct iter_box *box)
{
	recur_iter_free(box->iter);
	box->iter = NULL;
}

static int iter_gc(lua_State *L)
{
	iter_free(luaL_checkudata(L, 1, ITER_TYPE));
	return 0;
}

static void iter_open(lua_State *L, struct iter_box *box, const struct recur_set *set)
{
	if (box->iter == NULL)
		box->iter = recur_iter_new(set, box->begin);
	if (box->iter == NULL)
		luaL_error(L, "not enough memory");
}

/* An iterator that the state frees if nobody else does. */
static struct iter_box *push_iter(lua_State *L, const struct recur_set *set, int64_t from)
{
	struct iter_box *box = lua_newuserdatauv(L, sizeof(*box), 1);

	box->iter = NULL;
	box->begin = from;
	luaL_setmetatable(L, ITER_TYPE);
	iter_open(L, box, set);
	return box;
}

static int l_set(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	return recurset_push(L, 1) ? 1 : 2;
}

/* A border of the window: an instant if it has a Z, else local time. */
struct border {
	bool given, utc;
	int64_t at;
};

static bool read_border(lua_State *L, const char *field, struct border *b)
{
	const char *text;
	struct civil c;
	size_t len;

	lua_getfield(L, 1, field);
	text = luaL_optlstring(L, -1, NULL, &len);
	*b = (struct border){ .given = text != NULL };
	if (text && !civil_parse(text, len, &c)) {
		calendar_fail(L, "invalid_time", "%s: \"%s\" is not a time", field, text);
		return false;
	}
	if (text) {
		b->utc = c.utc;
		b->at = civil_seconds(&c);
	}
	lua_pop(L, 1);
	return true;
}

/* Whether a local time of the set lies before a border. */
static bool before(const struct recur_set *set, int64_t local, const struct border *b)
{
	return (b->utc ? recur_set_instant(set, local) : local) < b->at;
}

/* --- expand --- */

static int expand(lua_State *L, struct want *want)
{
	struct border from, to;
	struct set_box *box = lua_touserdata(L, 2);
	struct iter_box *iter;
	bool truncated = false, utc = box->as_utc && !recur_set_is_date(box->set), more;
	lua_Integer limit, n = 0;
	int64_t local, begin = INT64_MIN, end = CIVIL_END;

	read_border(L, "from", &from);
	read_border(L, "to", &to);
	lua_getfield(L, 1, "limit");
	limit = luaL_optinteger(L, -1, 1000);
	if (from.given)
		begin = from.utc ? from.at - 2 * CIVIL_DAY : from.at;
	if (to.given)
		end = to.utc ? to.at + 2 * CIVIL_DAY : to.at;
	iter = push_iter(L, box->set, begin);
	lua_newtable(L);
	while ((more = recur_iter_next(iter->iter, &local))) {
		char text[CIVIL_TEXT];

		if (from.given && before(box->set, local, &from))
			continue;
		if (to.given && !before(box->set, local, &to))
			break;
		if (n == limit) {
			truncated = true;
			break;
		}
		if (utc)
			local = recur_set_instant(box->set, local);
		lua_pushlstring(L, text, civil_format(local, recur_set_is_date(box->set), utc || box->utc, text));
		lua_rawseti(L, -2, ++n);
	}
	if (!more && recurset_wants(iter->iter, begin, end, limit, want))
		return RECURSET_WANTS;
	iter_free(iter);
	lua_pushboolean(L, truncated || (!more && recur_set_known(box->set) < end));
	return 2;
}

static int expand_resume(lua_State *L, int status, lua_KContext rule);
static const struct work expanding = { expand, expand_resume, 2, 2, false };

static int expand_resume(lua_State *L, int status, lua_KContext rule)
{
	(void)status;
	return recurset_resume(L, &expanding, rule);
}

static int l_expand(lua_State *L)
{
	struct border border;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	if (!read_border(L, "from", &border) || !read_border(L, "to", &border))
		return 2;
	lua_settop(L, 1);
	if (recurset_push(L, 1) == NULL)
		return 2;
	lua_replace(L, 2);
	lua_settop(L, 2);
	return recurset_run(L, &expanding);
}

/* --- instants --- */

/* An instant of Lua as the local time where a search may begin: any offset is less than two days. */
static int64_t check_begin(lua_State *L, int arg)
{
	lua_Integer from = luaL_optinteger(L, arg, CIVIL_BEGIN);

	return from <= CIVIL_BEGIN ? INT64_MIN : from - 2 * CIVIL_DAY;
}

enum { FEW = 16, SOME = 256, KEPT = 2048 };

/* Room for more instants: few at first, as most windows are short. */
static void grow(lua_State *L, struct set_box *box)
{
	size_t room = box->room == 0 ? FEW : box->room < SOME ? SOME : 4 * box->room;
	int64_t *at = realloc(box->at, room * sizeof(*at));

	if (at == NULL)
		luaL_error(L, "not enough memory");
	box->at = at;
	box->room = room;
}

static void begin_instants(lua_State *L, struct set_box *box, int64_t begin)
{
	if (box->iter)
		recur_iter_start(box->iter, begin);
	else
		box->iter = recur_iter_new(box->set, begin);
	if (box->iter == NULL)
		luaL_error(L, "not enough memory");
}

static void push_integers(lua_State *L, const int64_t *at, size_t n)
{
	lua_createtable(L, n < INT_MAX ? (int)n : 0, 0);
	for (size_t i = 0; i < n; i++) {
		lua_pushinteger(L, at[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static int instants(lua_State *L, struct want *want)
{
	struct set_box *box = lua_touserdata(L, 1);
	lua_Integer from = luaL_optinteger(L, 2, CIVIL_BEGIN), to = luaL_optinteger(L, 3, CIVIL_END);
	lua_Integer limit = luaL_optinteger(L, 4, 1000);
	int64_t begin = check_begin(L, 2), end = to < CIVIL_END ? to + 2 * CIVIL_DAY : CIVIL_END;
	bool truncated = false, ended = false, over = false;
	size_t count = 0, asked = FEW;

	begin_instants(L, box, begin);
	while (!ended && !truncated && !over) {
		size_t n, kept = count;
		int64_t *at, last;

		if (count == box->room)
			grow(L, box);
		at = box->at + count;
		n = box->room - count < asked ? box->room - count : asked;
		n = recur_iter_fill(box->iter, at, n);
		asked *= 4;
		ended = n == 0;
		last = n ? at[n - 1] : 0;
		tz_to_utc_run(recur_set_zone(box->set), at, n);
		for (size_t i = 0; i < n; i++)
			if (at[i] >= from && at[i] < to)
				box->at[kept++] = at[i];
		count = kept;
		truncated = (lua_Integer)count > limit;
		over = !ended && to < CIVIL_END && last > to + 2 * CIVIL_DAY;
	}
	if (ended && recurset_wants(box->iter, begin, end, limit, want))
		return RECURSET_WANTS;
	if (truncated)
		count = limit > 0 ? (size_t)limit : 0;
	push_integers(L, box->at, count);
	if (box->room > KEPT) {
		free(box->at);
		box->at = NULL;
		box->room = 0;
	}
	lua_pushboolean(L, truncated || (ended && recur_set_known(box->set) < end));
	return 2;
}

static int instants_resume(lua_State *L, int status, lua_KContext rule);
static const struct work listing = { instants, instants_resume, 1, 4, false };

static int instants_resume(lua_State *L, int status, lua_KContext rule)
{
	(void)status;
	return recurset_resume(L, &listing, rule);
}

static int set_instants(lua_State *L)
{
	luaL_checkudata(L, 1, RECURSET_TYPE);
	lua_settop(L, 4);
	return recurset_run(L, &listing);
}

/* --- iter --- */

static int step(lua_State *L, struct want *want)
{
	struct iter_box *iter = lua_touserdata(L, lua_upvalueindex(1));
	struct set_box *box = lua_touserdata(L, lua_upvalueindex(2));
	lua_Integer from = lua_tointeger(L, lua_upvalueindex(3));
	int64_t local;

	iter_open(L, iter, box->set);
	while (recur_iter_next(iter->iter, &local)) {
		int64_t t = recur_set_instant(box->set, local);

		iter->begin = local + 1;
		if (t < from)
			continue;
		lua_pushinteger(L, t);
		return 1;
	}
	if (!recurset_wants(iter->iter, iter->begin, CIVIL_END, 100, want))
		return 0;
	iter_free(iter);
	box->most = 0; /* the next ones begin where these end */
	return RECURSET_WANTS;
}

static int step_resume(lua_State *L, int status, lua_KContext rule);
static const struct work stepping = { step, step_resume, lua_upvalueindex(2), 0, true };

static int step_resume(lua_State *L, int status, lua_KContext rule)
{
	(void)status;
	return recurset_resume(L, &stepping, rule);
}

static int iter_step(lua_State *L)
{
	lua_settop(L, 0);
	return recurset_run(L, &stepping);
}

static int set_iter(lua_State *L)
{
	struct set_box *box = luaL_checkudata(L, 1, RECURSET_TYPE);
	lua_Integer from = luaL_optinteger(L, 2, CIVIL_BEGIN);

	push_iter(L, box->set, check_begin(L, 2));
	lua_pushvalue(L, 1);
	lua_pushinteger(L, from);
	lua_pushcclosure(L, iter_step, 3);
	return 1;
}

static const luaL_Reg set_methods[] = {
	{ "instants", set_instants },
	{ "iter", set_iter },
	{ NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "expand", l_expand },
	{ "set", l_set },
	{ NULL, NULL },
};

void recurset_open(lua_State *L)
{
	luaL_newmetatable(L, RECURSET_TYPE);
	lua_pushcfunction(L, recurset_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, set_methods);
	lua_setfield(L, -2, "__index");
	luaL_newmetatable(L, ITER_TYPE);
	lua_pushcfunction(L, iter_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 2);
	luaL_setfuncs(L, functions, 0);
}
