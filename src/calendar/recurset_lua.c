/* Recurrence sets for Lua: lunation.rrule's `expand` and `set`. Of rules of other calendars (RFC 7529) the times are
 * asked of lunation.rscale, which may wait: what needs them is begun anew when they have come. */
#include "calendar/recurset_lua.h"

#include "calendar/fail.h"
#include "calendar/rrule.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SET_TYPE "lunation.rrule.set"
#define ITER_TYPE "lunation.rrule.iter"

struct set_box {
	struct recur_set *set;
	bool utc;         /* DTSTART has a Z */
	bool as_utc;      /* occurrences are asked for in UTC */
	lua_Integer most; /* how many times of a rule of another calendar were asked for last */
	/* What `instants` works with, kept from call to call. */
	struct recur_iter *iter;
	int64_t *at;
	size_t room;
};

static int set_gc(lua_State *L)
{
	struct set_box *box = luaL_checkudata(L, 1, SET_TYPE);

	recur_iter_free(box->iter);
	recur_set_free(box->set);
	free(box->at);
	box->iter = NULL;
	box->set = NULL;
	box->at = NULL;
	return 0;
}

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

/* Compiles the table at `arg` and pushes the set. NULL with nil, err pushed otherwise. */
static struct set_box *push_set(lua_State *L, int arg)
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
	luaL_setmetatable(L, SET_TYPE);
	tz_release(zone);
	if (box->set == NULL)
		luaL_error(L, "not enough memory");
	if (!add_rules(L, arg, "rrule", box, false, strict) || !add_rules(L, arg, "exrule", box, true, strict) ||
	    !add_dates(L, arg, "rdate", box, false) || !add_dates(L, arg, "exdate", box, true))
		return NULL;
	recur_set_seal(box->set);
	return box;
}

static int l_set(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	return push_set(L, 1) ? 1 : 2;
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

/* --- what needs the occurrences of a set --- */

enum { WANTS = -1, MOST_AT_ONCE = 100000 };

/* The times of a rule of another calendar without which a set cannot go on. */
struct want {
	int rule;
	int64_t from, to;
	lua_Integer most;
};

/* A function of Lua that needs a set's occurrences: `run` gives the number of results, or WANTS, and is then run again
 * with the stack that it had. */
struct work {
	int (*run)(lua_State *L, struct want *want);
	lua_KFunction resume;
	int set, top; /* where the set stands, how much of the stack is kept */
	bool raise;   /* errors are raised: there is nobody to return them to */
};

/* Whether an iterator that ended at `n` of `limit` occurrences lacks times of [from, to). */
static bool wants(const struct recur_iter *it, int64_t from, int64_t to, lua_Integer limit, struct want *want)
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

static int go_on(lua_State *L, const struct work *work)
{
	for (;;) {
		struct want want;
		int results = work->run(L, &want);

		if (results != WANTS)
			return results;
		lua_settop(L, work->top);
		if (!ask(L, work, &want))
			return failed(L, work);
		lua_callk(L, 6, 4, want.rule, work->resume);
		if (!take(L, work, want.rule))
			return failed(L, work);
	}
}

static int go_on_with(lua_State *L, const struct work *work, lua_KContext rule)
{
	return take(L, work, (int)rule) ? go_on(L, work) : failed(L, work);
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
	if (!more && wants(iter->iter, begin, end, limit, want))
		return WANTS;
	iter_free(iter);
	lua_pushboolean(L, truncated || (!more && recur_set_known(box->set) < end));
	return 2;
}

static int expand_resume(lua_State *L, int status, lua_KContext rule);
static const struct work expanding = { expand, expand_resume, 2, 2, false };

static int expand_resume(lua_State *L, int status, lua_KContext rule)
{
	(void)status;
	return go_on_with(L, &expanding, rule);
}

static int l_expand(lua_State *L)
{
	struct border border;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	if (!read_border(L, "from", &border) || !read_border(L, "to", &border))
		return 2;
	lua_settop(L, 1);
	if (push_set(L, 1) == NULL)
		return 2;
	lua_replace(L, 2);
	lua_settop(L, 2);
	return go_on(L, &expanding);
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
	if (ended && wants(box->iter, begin, end, limit, want))
		return WANTS;
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
	return go_on_with(L, &listing, rule);
}

static int set_instants(lua_State *L)
{
	luaL_checkudata(L, 1, SET_TYPE);
	lua_settop(L, 4);
	return go_on(L, &listing);
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
	if (!wants(iter->iter, iter->begin, CIVIL_END, 100, want))
		return 0;
	iter_free(iter);
	box->most = 0; /* the next ones begin where these end */
	return WANTS;
}

static int step_resume(lua_State *L, int status, lua_KContext rule);
static const struct work stepping = { step, step_resume, lua_upvalueindex(2), 0, true };

static int step_resume(lua_State *L, int status, lua_KContext rule)
{
	(void)status;
	return go_on_with(L, &stepping, rule);
}

static int iter_step(lua_State *L)
{
	lua_settop(L, 0);
	return go_on(L, &stepping);
}

static int set_iter(lua_State *L)
{
	struct set_box *box = luaL_checkudata(L, 1, SET_TYPE);
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
	luaL_newmetatable(L, SET_TYPE);
	lua_pushcfunction(L, set_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, set_methods);
	lua_setfield(L, -2, "__index");
	luaL_newmetatable(L, ITER_TYPE);
	lua_pushcfunction(L, iter_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 2);
	luaL_setfuncs(L, functions, 0);
}
