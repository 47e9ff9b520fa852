/* lunation.freebusy: sets of intervals, and when several calendars have time (slots.h), for Lua. */
#include "calendar/civil.h"
#include "calendar/fail.h"
#include "calendar/intervals.h"
#include "calendar/slots.h"
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

/* Takes one interval of a list. */
typedef void (*take_fn)(const void *context, int64_t start, int64_t end, struct intervals *list);

static void take_any(const void *context, int64_t start, int64_t end, struct intervals *list)
{
	(void)context;
	list->at[list->count++] = (struct interval){ start, end };
}

static void take_busy(const void *context, int64_t start, int64_t end, struct intervals *list)
{
	slots_forbid(context, start, end, list);
}

/* The flat array { s1, e1, s2, e2, … } at `index`, each pair by `take`; raises where it is none. */
static void read_pairs(lua_State *L, int index, struct intervals *list, const char *what, take_fn take,
		       const void *context)
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
		take(context, start, end, list);
	}
}

static void read_list(lua_State *L, int index, struct intervals *list, const char *what)
{
	read_pairs(L, index, list, what, take_any, NULL);
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
	struct slots_question slots;
	int64_t min_attendees; /* -1: not asked */
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
	int hour = 0, minute = 0, second = 0, used = 0;

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
static void read_hours(lua_State *L, const struct slots_question *q, const struct tz_zone *zone, struct intervals *open)
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
static void forbid_hours(lua_State *L, const struct slots_question *q, const struct tz_zone *zone,
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

/* Adds the starts that the calendar on top of the stack forbids. */
static void read_calendar(lua_State *L, const struct slots_question *q, struct tz_zone *otherwise,
			  struct intervals *forbidden)
{
	struct tz_zone *zone;

	if (!read_zone(L, otherwise, &zone))
		luaL_error(L, "calendars: there is no such zone");
	if (lua_getfield(L, -2, "busy") != LUA_TNIL)
		read_pairs(L, -1, forbidden, "busy", take_busy, q);
	lua_pop(L, 1);
	lua_getfield(L, -2, "hours");
	forbid_hours(L, q, zone, forbidden);
	lua_pop(L, 2);
}

/* Joins the forbidden starts of all calendars: of each required one, and where too few of all are free. */
static void join_calendars(lua_State *L, const struct question *q, struct tz_zone *zone, struct intervals *forbidden)
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
		if (is_required) {
			read_calendar(L, &q->slots, zone, forbidden);
			lua_pop(L, 1);
			continue;
		}
		one = new_list(L);
		lua_insert(L, -2);
		read_calendar(L, &q->slots, zone, one);
		need(L, intervals_union(one) && intervals_reserve(optional, one->count));
		for (size_t k = 0; k < one->count; k++)
			optional->at[optional->count++] = one->at[k];
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

	q->slots.duration = number(L, "duration", 0, 1);
	if (q->slots.duration < 1)
		luaL_error(L, "duration: an integer of at least 1 expected");
	q->slots.increment = number(L, "increment", 0, 0);
	q->slots.before = number(L, "buffer_before", 0, 0);
	q->slots.after = number(L, "buffer_after", 0, 0);
	q->min_attendees = number(L, "min_attendees", -1, 0);
	q->slots.max_per_day = number(L, "max_per_day", 0, 0);
	q->slots.limit = number(L, "limit", 0, 0);
	lua_getfield(L, 1, "align");
	q->slots.clock = luaL_checkoption(L, -1, "window", aligns) == 1;
	lua_pop(L, 1);
	if (q->slots.duration > SPAN_MAX || q->slots.before > SPAN_MAX || q->slots.after > SPAN_MAX ||
	    q->slots.increment > SPAN_MAX)
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
	q->slots.from = windows->count ? windows->at[0].start : 0;
	q->slots.to = windows->count ? windows->at[windows->count - 1].end : 0;
	if (q->slots.from < CIVIL_BEGIN || q->slots.to > CIVIL_END)
		luaL_error(L, "windows: the years 0 to 9999 are searched");
	if (q->slots.from < not_before)
		q->slots.from = not_before < q->slots.to ? not_before : q->slots.to;
	return windows;
}

static int freebusy_solve(lua_State *L)
{
	struct question q = { 0 };
	struct intervals *windows, *forbidden, *out;
	struct tz_zone *zone;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	if (!read_zone(L, NULL, &zone)) {
		lua_getfield(L, 1, "tzid");
		return calendar_fail(L, "invalid_zone", "tzid: there is no zone `%s`", lua_tostring(L, -1));
	}
	read_question(L, &q);
	q.slots.zone = zone;
	windows = read_windows(L, &q);
	forbidden = new_list(L);
	join_calendars(L, &q, zone, forbidden);
	out = new_list(L);
	need(L, slots_find(&q.slots, windows, forbidden, out));
	push_list(L, out);
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
