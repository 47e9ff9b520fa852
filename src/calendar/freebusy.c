/* lunation.freebusy: when several calendars have time. A slot is asked by its start t: with a duration d and buffers it
 * takes [t - before, t + d + after), so a busy interval forbids a stretch of starts, and the whole search is sets of
 * starts: forbidden ones joined per calendar, allowed ones what the windows leave. */
#include "calendar/civil.h"
#include "calendar/fail.h"
#include "calendar/intervals.h"
#include "calendar/tz.h"
#include "modules.h"

#include <lauxlib.h>
#include <stdio.h>
#include <strings.h>

#define LIST_TYPE "lunation.freebusy.list"

enum { MANY = 1 << 28, SPAN_MAX = 4 * 366 * CIVIL_DAY };

/* --- lists on the Lua stack, so that an error frees them --------------------------------------------------------- */

static int list_gc(lua_State *L)
{
	intervals_free(luaL_checkudata(L, 1, LIST_TYPE));
	return 0;
}

static struct intervals *new_list(lua_State *L)
{
	struct intervals *list = lua_newuserdatauv(L, sizeof *list, 0);

	*list = (struct intervals){ NULL, 0, 0 };
	luaL_setmetatable(L, LIST_TYPE);
	return list;
}

static void need(lua_State *L, bool ok)
{
	if (!ok)
		luaL_error(L, "out of memory");
}

/* The flat array { s1, e1, s2, e2, … } at `index`; raises where it is none. */
static void read_list(lua_State *L, int index, struct intervals *list, const char *what)
{
	size_t n;

	if (!lua_istable(L, index))
		luaL_error(L, "%s: a flat array of instants expected", what);
	index = lua_absindex(L, index);
	n = lua_rawlen(L, index);
	if (n % 2 || n > MANY)
		luaL_error(L, "%s: starts and ends in pairs expected", what);
	need(L, intervals_reserve(list, n / 2));
	for (size_t i = 1; i < n; i += 2) {
		int start_ok, end_ok;
		int64_t start, end;

		lua_rawgeti(L, index, (lua_Integer)i);
		lua_rawgeti(L, index, (lua_Integer)i + 1);
		start = lua_tointegerx(L, -2, &start_ok);
		end = lua_tointegerx(L, -1, &end_ok);
		lua_pop(L, 2);
		if (!start_ok || !end_ok)
			luaL_error(L, "%s: element %d is no instant", what, (int)(start_ok ? i + 1 : i));
		need(L, intervals_add(list, start, end));
	}
}

static void push_list(lua_State *L, const struct intervals *list)
{
	lua_createtable(L, (int)(list->count * 2), 0);
	for (size_t i = 0; i < list->count; i++) {
		lua_pushinteger(L, list->at[i].start);
		lua_rawseti(L, -2, (lua_Integer)(2 * i + 1));
		lua_pushinteger(L, list->at[i].end);
		lua_rawseti(L, -2, (lua_Integer)(2 * i + 2));
	}
}

static struct intervals *check_set(lua_State *L, int arg)
{
	struct intervals *list = new_list(L);

	read_list(L, arg, list, "intervals");
	need(L, intervals_union(list));
	return list;
}

static int freebusy_merge(lua_State *L)
{
	push_list(L, check_set(L, 1));
	return 1;
}

static int freebusy_complement(lua_State *L)
{
	int64_t from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
	struct intervals *set = check_set(L, 1);
	struct intervals *out = new_list(L);

	need(L, intervals_complement(set, from, to, out));
	push_list(L, out);
	return 1;
}

static int freebusy_intersect(lua_State *L)
{
	struct intervals *a = check_set(L, 1), *b = check_set(L, 2);
	struct intervals *out = new_list(L);

	need(L, intervals_intersect(a, b, out));
	push_list(L, out);
	return 1;
}

/* --- what is asked ----------------------------------------------------------------------------------------------- */

struct question {
	int64_t duration, increment, before, after;
	int64_t min_attendees; /* -1: not asked */
	int64_t max_per_day;   /* 0: any number */
	int64_t limit;         /* 0: no bound */
	bool clock;
	struct tz_zone *zone; /* NULL is UTC */
	int64_t from, to;     /* the hull of the windows */
};

/* A zone that an error releases. */
static int zone_gc(lua_State *L)
{
	tz_release(*(struct tz_zone **)lua_touserdata(L, 1));
	return 0;
}

/* Acquires the zone that the field `tzid` of the table on top names; leaves its box there, above the table. Without
 * one, `otherwise`. Returns false where there is no such zone. */
static bool read_zone(lua_State *L, struct tz_zone *otherwise, struct tz_zone **zone)
{
	struct tz_zone **box;
	char name[TZ_NAME_MAX];
	const char *text;
	size_t len;
	bool found;

	box = lua_newuserdatauv(L, sizeof *box, 0);
	*box = NULL;
	if (luaL_newmetatable(L, "lunation.freebusy.zone")) {
		lua_pushcfunction(L, zone_gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	lua_getfield(L, -2, "tzid");
	*zone = otherwise;
	text = lua_tolstring(L, -1, &len);
	found = !text;
	if (text && tz_resolve(tz_cache_of(L), text, len, name)) {
		*zone = *box = tz_acquire(tz_cache_of(L), name);
		found = *box != NULL;
	}
	lua_pop(L, 1);
	return found;
}

static int64_t number(lua_State *L, const char *name, int64_t otherwise, int64_t least)
{
	int ok = 1;
	int64_t value = otherwise;

	if (lua_getfield(L, 1, name) != LUA_TNIL)
		value = lua_tointegerx(L, -1, &ok);
	lua_pop(L, 1);
	if (!ok || (value < least && value != otherwise))
		luaL_error(L, "%s: an integer of at least %d expected", name, (int)least);
	return value;
}

/* --- working hours ----------------------------------------------------------------------------------------------- */

static const char *const weekdays[] = { "mo", "tu", "we", "th", "fr", "sa", "su" };

/* The days of the hours on top as bits from Monday; all of them where none are named. */
static unsigned read_days(lua_State *L)
{
	unsigned days = 0;

	if (lua_getfield(L, -1, "days") == LUA_TNIL) {
		lua_pop(L, 1);
		return 0x7f;
	}
	if (!lua_istable(L, -1))
		luaL_error(L, "hours: days is a list");
	for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
		const char *name = lua_tostring(L, -1);
		unsigned day = 0;

		while (day < 7 && (!name || strcasecmp(name, weekdays[day]) != 0))
			day++;
		if (day == 7)
			luaL_error(L, "hours: days are named mo tu we th fr sa su");
		days |= 1u << day;
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
	return days;
}

/* "09:00", "17:30:15" or "24:00" as seconds after midnight. */
static int64_t read_time(lua_State *L, const char *field)
{
	const char *text;
	int hour, minute, second = 0, used = 0;

	lua_getfield(L, -1, field);
	text = lua_tostring(L, -1);
	if (!text || sscanf(text, "%2d:%2d%n:%2d%n", &hour, &minute, &used, &second, &used) < 2 || text[used] != '\0' ||
	    hour < 0 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
	    hour * 3600 + minute * 60 + second > CIVIL_DAY)
		luaL_error(L, "hours: %s is a time of day such as 09:00", field);
	lua_pop(L, 1);
	return hour * 3600 + minute * 60 + second;
}

/* Adds to `open` the hours on top of the stack, day by day over the hull of the windows. */
static void read_hours(lua_State *L, const struct question *q, const struct tz_zone *zone, struct intervals *open)
{
	unsigned days = read_days(L);
	int64_t opens = read_time(L, "from"), closes = read_time(L, "to");
	int64_t day = civil_floor(tz_to_local(zone, q->from), CIVIL_DAY) - 1;
	int64_t last = civil_floor(tz_to_local(zone, q->to), CIVIL_DAY);

	if (closes <= opens)
		closes += CIVIL_DAY;
	for (; day <= last; day++)
		if (days >> ((day % 7 + 10) % 7) & 1)
			need(L, intervals_add(open, tz_to_utc(zone, day * CIVIL_DAY + opens),
					      tz_to_utc(zone, day * CIVIL_DAY + closes)));
}

/* Forbids the starts of slots that would reach out of the calendar's hours (on top of the stack, or nil there). */
static void forbid_hours(lua_State *L, const struct question *q, const struct tz_zone *zone,
			 struct intervals *forbidden)
{
	struct intervals *open, *shut;

	if (lua_isnil(L, -1))
		return;
	if (!lua_istable(L, -1))
		luaL_error(L, "hours: a list expected");
	open = new_list(L);
	shut = new_list(L);
	lua_rawgeti(L, -3, 1);
	if (lua_isnumber(L, -1)) {
		read_list(L, -4, open, "hours");
	} else {
		for (lua_Integer i = 1; lua_rawgeti(L, -4, i) == LUA_TTABLE; i++) {
			read_hours(L, q, zone, open);
			lua_pop(L, 1);
		}
		if (!lua_isnil(L, -1))
			luaL_error(L, "hours: instants, or tables with from and to, expected");
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	need(L, intervals_union(open) && intervals_complement(open, q->from - CIVIL_DAY, q->to + CIVIL_DAY, shut));
	for (size_t i = 0; i < shut->count; i++)
		need(L, intervals_add(forbidden, shut->at[i].start - q->duration + 1, shut->at[i].end));
	lua_pop(L, 2);
}

/* The starts that the calendar on top of the stack forbids, as a set. */
static void read_calendar(lua_State *L, const struct question *q, struct intervals *forbidden)
{
	struct tz_zone *zone;
	size_t n = 0;

	if (!read_zone(L, q->zone, &zone))
		luaL_error(L, "calendars: there is no such zone");
	if (lua_getfield(L, -2, "busy") != LUA_TNIL)
		read_list(L, -1, forbidden, "busy");
	lua_pop(L, 1);
	for (size_t i = 0; i < forbidden->count; i++) {
		struct interval busy = forbidden->at[i];
		int64_t least = q->from - 2 * SPAN_MAX, most = q->to + 2 * SPAN_MAX;

		if (busy.end <= busy.start || busy.end <= least || busy.start >= most)
			continue;
		busy.start = busy.start > least ? busy.start : least;
		busy.end = busy.end < most ? busy.end : most;
		forbidden->at[n++] = (struct interval){ busy.start - q->duration - q->after + 1, busy.end + q->before };
	}
	forbidden->count = n;
	lua_getfield(L, -2, "hours");
	forbid_hours(L, q, zone, forbidden);
	lua_pop(L, 2);
	need(L, intervals_union(forbidden));
}

/* --- what is answered -------------------------------------------------------------------------------------------- */

struct answer {
	lua_State *L;
	const struct question *q;
	lua_Integer count;
	int64_t day, of_day; /* the local day of the last slot, and how many it has */
};

static bool full(const struct answer *a)
{
	return a->q->limit > 0 && a->count / 2 >= a->q->limit;
}

static void give(struct answer *a, int64_t start, int64_t end)
{
	lua_pushinteger(a->L, start);
	lua_rawseti(a->L, -2, ++a->count);
	lua_pushinteger(a->L, end);
	lua_rawseti(a->L, -2, ++a->count);
}

/* The first instant from t on whose wall clock shows a whole number of increments since midnight. */
static int64_t clock_next(const struct question *q, int64_t t)
{
	for (;;) {
		struct tz_segment s = { INT64_MIN, INT64_MAX, 0, false, "UTC" };
		int64_t local, day, next;

		if (q->zone)
			tz_segment_at(q->zone, t, &s);
		local = t + s.offset;
		day = civil_floor(local, CIVIL_DAY);
		next = day * CIVIL_DAY + (local - day * CIVIL_DAY + q->increment - 1) / q->increment * q->increment;
		if (next > (day + 1) * CIVIL_DAY)
			next = (day + 1) * CIVIL_DAY;
		if (next - s.offset < s.end)
			return next - s.offset;
		t = s.end;
	}
}

/* The starts from `first` to `last` are free; the grid of their window begins at `grid`. */
static void give_slots(struct answer *a, int64_t grid, int64_t first, int64_t last)
{
	const struct question *q = a->q;
	int64_t t = first;

	while (!full(a)) {
		if (q->clock)
			t = clock_next(q, t);
		else
			t = grid + (t - grid + q->increment - 1) / q->increment * q->increment;
		if (t > last)
			return;
		if (q->max_per_day > 0) {
			int64_t day = civil_floor(tz_to_local(q->zone, t), CIVIL_DAY);

			if (day != a->day) {
				a->day = day;
				a->of_day = 0;
			}
			if (a->of_day == q->max_per_day) {
				int64_t tomorrow = tz_to_utc(q->zone, (day + 1) * CIVIL_DAY);

				t = tomorrow > t ? tomorrow : t + 1;
				continue;
			}
			a->of_day++;
		}
		give(a, t, t + q->duration);
		t++;
	}
}

/* Joins the forbidden starts of all calendars: of each required one, and where too few of all are free. */
static void join_calendars(lua_State *L, const struct question *q, struct intervals *forbidden)
{
	struct intervals *optional = new_list(L), *one;
	size_t required = 0, others = 0;

	lua_getfield(L, 1, "calendars");
	if (!lua_istable(L, -1))
		luaL_error(L, "calendars: a list expected");
	for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
		bool is_required;

		if (!lua_istable(L, -1))
			luaL_error(L, "calendars: element %d is no table", (int)i);
		lua_getfield(L, -1, "required");
		is_required = lua_isnil(L, -1) || lua_toboolean(L, -1);
		lua_pop(L, 1);
		if (is_required)
			required++;
		else
			others++;
		if (!is_required && q->min_attendees < 0) {
			lua_pop(L, 1);
			continue;
		}
		one = new_list(L);
		lua_insert(L, -2);
		read_calendar(L, q, one);
		for (size_t k = 0; k < one->count; k++)
			need(L, intervals_add(is_required ? forbidden : optional, one->at[k].start, one->at[k].end));
		intervals_free(one);
		lua_pop(L, 2);
	}
	lua_pop(L, 2);
	if (q->min_attendees > (int64_t)(required + others))
		need(L, intervals_add(forbidden, INT64_MIN / 2, INT64_MAX / 2));
	else if (q->min_attendees > (int64_t)required)
		need(L, intervals_deeper(optional, required + others - (size_t)q->min_attendees, forbidden));
	need(L, intervals_union(forbidden));
	lua_pop(L, 1);
}

static void read_question(lua_State *L, struct question *q)
{
	static const char *const aligns[] = { "window", "clock", NULL };

	q->duration = number(L, "duration", 0, 1);
	if (q->duration < 1)
		luaL_error(L, "duration: an integer of at least 1 expected");
	q->increment = number(L, "increment", 0, 0);
	q->before = number(L, "buffer_before", 0, 0);
	q->after = number(L, "buffer_after", 0, 0);
	q->min_attendees = number(L, "min_attendees", -1, 0);
	q->max_per_day = number(L, "max_per_day", 0, 0);
	q->limit = number(L, "limit", 0, 0);
	lua_getfield(L, 1, "align");
	q->clock = luaL_checkoption(L, -1, "window", aligns) == 1;
	lua_pop(L, 1);
	if (q->duration > SPAN_MAX || q->before > SPAN_MAX || q->after > SPAN_MAX || q->increment > SPAN_MAX)
		luaL_error(L, "duration, increment and buffers are at most four years");
}

/* The windows as a set, cut at `not_before`; q gets their hull. */
static struct intervals *read_windows(lua_State *L, struct question *q)
{
	int64_t not_before = number(L, "not_before", INT64_MIN / 2, INT64_MIN / 2);
	struct intervals *windows = new_list(L);

	lua_getfield(L, 1, "windows");
	read_list(L, -1, windows, "windows");
	lua_pop(L, 1);
	need(L, intervals_union(windows));
	q->from = windows->count ? windows->at[0].start : 0;
	q->to = windows->count ? windows->at[windows->count - 1].end : 0;
	if (q->from < CIVIL_BEGIN || q->to > CIVIL_END)
		luaL_error(L, "windows: the years 0 to 9999 are searched");
	if (q->from < not_before)
		q->from = not_before < q->to ? not_before : q->to;
	return windows;
}

static int freebusy_solve(lua_State *L)
{
	struct question q = { 0 };
	struct intervals *windows, *forbidden;
	struct answer a = { L, &q, 0, INT64_MIN, 0 };
	size_t k = 0;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	if (!read_zone(L, NULL, &q.zone)) {
		lua_getfield(L, 1, "tzid");
		return calendar_fail(L, "invalid_zone", "tzid: there is no zone `%s`", lua_tostring(L, -1));
	}
	read_question(L, &q);
	windows = read_windows(L, &q);
	forbidden = new_list(L);
	join_calendars(L, &q, forbidden);
	lua_newtable(L);
	for (size_t w = 0; w < windows->count && !full(&a); w++) {
		int64_t grid = windows->at[w].start, last = windows->at[w].end - q.duration;
		int64_t t = grid > q.from ? grid : q.from;

		for (; t <= last && !full(&a);) {
			int64_t until = last;

			while (k < forbidden->count && forbidden->at[k].end <= t)
				k++;
			if (k < forbidden->count && forbidden->at[k].start <= t) {
				t = forbidden->at[k].end;
				continue;
			}
			if (k < forbidden->count && forbidden->at[k].start <= last)
				until = forbidden->at[k].start - 1;
			if (q.increment > 0)
				give_slots(&a, grid, t, until);
			else
				give(&a, t, until + q.duration);
			t = until + 1;
		}
	}
	return 1;
}

static const luaL_Reg functions[] = {
	{ "complement", freebusy_complement },
	{ "intersect", freebusy_intersect },
	{ "merge", freebusy_merge },
	{ "solve", freebusy_solve },
	{ NULL, NULL },
};

int luaopen_lunation_freebusy(lua_State *L)
{
	if (luaL_newmetatable(L, LIST_TYPE)) {
		lua_pushcfunction(L, list_gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
