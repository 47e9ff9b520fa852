/* lunation.rrule: recurrence rules as text and tables, and the occurrences of sets. */
#include "calendar/rrule.h"

#include "calendar/fail.h"

#include "modules.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SET_TYPE "lunation.rrule.set"
#define ITER_TYPE "lunation.rrule.iter"

static const char *const freq_names[] = { "secondly", "minutely", "hourly", "daily", "weekly", "monthly", "yearly" };
static const char *const skip_names[] = { "omit", "backward", "forward" };
static const char *const day_names[] = { "su", "mo", "tu", "we", "th", "fr", "sa" };

/* --- rules as tables, in the form of JSCalendar (RFC 8984 section 4.3.3) --- */

static void push_bits(lua_State *L, const char *name, const uint64_t *bits, const uint64_t *back, int low, int high,
		      bool text)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (int sign = 1; sign >= -1; sign -= 2) {
		const uint64_t *set = sign > 0 ? bits : back;

		for (int i = sign > 0 ? low : 1; set && i <= high; i++) {
			if (!(set[i / 64] >> (i % 64) & 1))
				continue;
			lua_pushinteger(L, sign * i);
			if (text)
				lua_tostring(L, -1);
			lua_rawseti(L, -2, ++n);
		}
	}
	if (n > 0)
		lua_setfield(L, -2, name);
	else
		lua_pop(L, 1);
}

static void push_weekday(lua_State *L, int day, int nth, lua_Integer *n)
{
	lua_createtable(L, 0, 2);
	lua_pushstring(L, day_names[day]);
	lua_setfield(L, -2, "day");
	if (nth) {
		lua_pushinteger(L, nth);
		lua_setfield(L, -2, "nthOfPeriod");
	}
	lua_rawseti(L, -2, ++*n);
}

static void push_weekdays(lua_State *L, const struct rrule *r)
{
	lua_Integer n = 0;

	if (r->weekdays == 0 && !r->has_nth)
		return;
	lua_newtable(L);
	for (int i = 0; i < 7; i++) {
		int day = (i + r->wkst) % 7;

		if (r->weekdays >> day & 1)
			push_weekday(L, day, 0, &n);
		for (int nth = 1; nth <= 53; nth++)
			if (r->nth[day] >> nth & 1)
				push_weekday(L, day, nth, &n);
		for (int nth = 53; nth >= 1; nth--)
			if (r->nth_back[day] >> nth & 1)
				push_weekday(L, day, -nth, &n);
	}
	lua_setfield(L, -2, "byDay");
}

static void push_rule(lua_State *L, const struct rrule *r)
{
	uint64_t months = r->months, monthdays = r->monthdays, monthdays_back = r->monthdays_back;
	char text[CIVIL_TEXT];

	lua_newtable(L);
	lua_pushstring(L, freq_names[r->freq]);
	lua_setfield(L, -2, "frequency");
	if (r->interval != 1) {
		lua_pushinteger(L, r->interval);
		lua_setfield(L, -2, "interval");
	}
	if (r->rscale[0]) {
		luaL_Buffer b;

		luaL_buffinit(L, &b);
		for (const char *p = r->rscale; *p; p++)
			luaL_addchar(&b, (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p));
		luaL_pushresult(&b);
		lua_setfield(L, -2, "rscale");
	}
	if (r->skip != RRULE_OMIT) {
		lua_pushstring(L, skip_names[r->skip]);
		lua_setfield(L, -2, "skip");
	}
	if (r->wkst != 1) {
		lua_pushstring(L, day_names[r->wkst]);
		lua_setfield(L, -2, "firstDayOfWeek");
	}
	push_weekdays(L, r);
	push_bits(L, "byMonthDay", &monthdays, &monthdays_back, 1, 31, false);
	push_bits(L, "byMonth", &months, NULL, 1, 12, true);
	push_bits(L, "byYearDay", r->yeardays, r->yeardays_back, 1, 366, false);
	push_bits(L, "byWeekNo", &r->weeks, &r->weeks_back, 1, 53, false);
	push_bits(L, "byHour", &r->hours, NULL, 0, 23, false);
	push_bits(L, "byMinute", &r->minutes, NULL, 0, 59, false);
	push_bits(L, "bySecond", &r->seconds, NULL, 0, 60, false);
	push_bits(L, "bySetPosition", r->positions, r->positions_back, 1, 366, false);
	if (r->has_count) {
		lua_pushinteger(L, r->count);
		lua_setfield(L, -2, "count");
	}
	if (r->has_until) {
		lua_pushlstring(L, text, civil_format(civil_seconds(&r->until), r->until.date, r->until.utc, text));
		lua_setfield(L, -2, "until");
	}
}

/* nil and an error that names the part of the rule at fault: its messages begin with it. */
static int fail_rule(lua_State *L, const char *message)
{
	size_t quote = message[0] == '"', n = strcspn(message + quote, quote ? "\"" : ": ");
	int results = calendar_fail(L, "invalid_rule", "%s", message);

	if (quote || (message[0] >= 'A' && message[0] <= 'Z'))
		lua_pushlstring(L, message + quote, n);
	else
		lua_pushliteral(L, "FREQ");
	lua_setfield(L, -2, "part");
	return results;
}

static int l_parse(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	char message[RRULE_MESSAGE];
	struct rrule rule;

	if (!rrule_parse(text, len, &rule, message))
		return fail_rule(L, message);
	push_rule(L, &rule);
	return 1;
}

/* Appends `;NAME=a,b,c` from the list in field `field` of the table at 1. */
static void add_list(lua_State *L, luaL_Buffer *b, const char *field, const char *name)
{
	lua_Integer n;

	lua_getfield(L, 1, field);
	if (!lua_istable(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	n = (lua_Integer)lua_rawlen(L, -1);
	lua_pop(L, 1);
	for (lua_Integer i = 1; i <= n; i++) {
		char item[32];
		size_t len;
		const char *text;

		lua_getfield(L, 1, field);
		lua_rawgeti(L, -1, i);
		if (lua_istable(L, -1)) { /* a weekday */
			const char *day;

			lua_getfield(L, -1, "nthOfPeriod");
			lua_getfield(L, -2, "day");
			day = lua_tostring(L, -1);
			if (lua_isinteger(L, -2))
				snprintf(item, sizeof(item), "%d%.8s", (int)lua_tointeger(L, -2), day ? day : "");
			else
				snprintf(item, sizeof(item), "%.8s", day ? day : "");
			lua_pop(L, 2);
		} else {
			text = lua_tolstring(L, -1, &len);
			snprintf(item, sizeof(item), "%.30s", text ? text : "");
		}
		lua_pop(L, 2);
		for (char *p = item; *p; p++)
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 32);
		if (i == 1)
			luaL_addstring(b, name);
		else
			luaL_addchar(b, ',');
		luaL_addstring(b, item);
	}
}

/* Appends `;NAME=VALUE`, in upper case, from a string or integer field. */
static void add_field(lua_State *L, luaL_Buffer *b, const char *field, const char *name)
{
	char item[48];

	lua_getfield(L, 1, field);
	if (!lua_isstring(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	snprintf(item, sizeof(item), "%.40s", lua_tostring(L, -1));
	lua_pop(L, 1);
	luaL_addstring(b, name);
	for (char *p = item; *p; p++)
		luaL_addchar(b, (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p));
}

/* The basic form of UNTIL. */
static int add_until(lua_State *L, luaL_Buffer *b)
{
	size_t len;
	const char *text;
	struct civil c;
	bool good;

	lua_getfield(L, 1, "until");
	text = lua_tolstring(L, -1, &len);
	good = text == NULL || civil_parse(text, len, &c);
	lua_pop(L, 1);
	if (text == NULL || !good)
		return good;
	luaL_addstring(b, ";UNTIL=");
	{
		char out[CIVIL_TEXT];
		size_t n = civil_format(civil_seconds(&c), c.date, c.utc, out);

		for (size_t i = 0; i < n; i++)
			if (out[i] != '-' && out[i] != ':')
				luaL_addchar(b, out[i]);
	}
	return true;
}

static int l_format(lua_State *L)
{
	static const char *const lists[][2] = {
		{ "bySecond", ";BYSECOND=" }, { "byMinute", ";BYMINUTE=" },     { "byHour", ";BYHOUR=" },
		{ "byDay", ";BYDAY=" },       { "byMonthDay", ";BYMONTHDAY=" }, { "byYearDay", ";BYYEARDAY=" },
		{ "byWeekNo", ";BYWEEKNO=" }, { "byMonth", ";BYMONTH=" },       { "bySetPosition", ";BYSETPOS=" },
	};
	char message[RRULE_MESSAGE];
	struct rrule rule;
	luaL_Buffer b;
	const char *text;
	size_t len;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	luaL_buffinit(L, &b);
	add_field(L, &b, "rscale", "RSCALE=");
	add_field(L, &b, "frequency", luaL_bufflen(&b) ? ";FREQ=" : "FREQ=");
	add_field(L, &b, "skip", ";SKIP=");
	if (!add_until(L, &b))
		return fail_rule(L, "UNTIL is not a time");
	add_field(L, &b, "count", ";COUNT=");
	add_field(L, &b, "interval", ";INTERVAL=");
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		add_list(L, &b, lists[i][0], lists[i][1]);
	add_field(L, &b, "firstDayOfWeek", ";WKST=");
	luaL_pushresult(&b);
	text = lua_tolstring(L, -1, &len);
	if (!rrule_parse(text, len, &rule, message))
		return fail_rule(L, message);
	return 1;
}

/* --- sets --- */

struct set_box {
	struct recur_set *set;
	bool utc;    /* DTSTART has a Z */
	bool as_utc; /* occurrences are asked for in UTC */
};

static int set_gc(lua_State *L)
{
	struct set_box *box = luaL_checkudata(L, 1, SET_TYPE);

	recur_set_free(box->set);
	box->set = NULL;
	return 0;
}

struct iter_box {
	struct recur_iter *iter;
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

/* An iterator that the state frees if nobody else does. */
static struct iter_box *push_iter(lua_State *L, const struct recur_set *set, int64_t from)
{
	struct iter_box *box = lua_newuserdatauv(L, sizeof(*box), 1);

	box->iter = NULL;
	luaL_setmetatable(L, ITER_TYPE);
	box->iter = recur_iter_new(set, from);
	if (box->iter == NULL)
		luaL_error(L, "not enough memory");
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
			fail_rule(L, message);
			return false;
		}
		if (!recur_set_rule(box->set, &rule, exclude))
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

static int l_expand(lua_State *L)
{
	struct border from, to;
	struct iter_box *iter;
	struct set_box *box;
	lua_Integer limit, n = 0;
	int64_t local, begin = INT64_MIN;
	bool truncated = false;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	if (!read_border(L, "from", &from) || !read_border(L, "to", &to))
		return 2;
	lua_getfield(L, 1, "limit");
	limit = luaL_optinteger(L, -1, 1000);
	box = push_set(L, 1);
	if (box == NULL)
		return 2;
	if (from.given)
		begin = from.utc ? from.at - 2 * CIVIL_DAY : from.at;
	iter = push_iter(L, box->set, begin);
	lua_newtable(L);
	while (recur_iter_next(iter->iter, &local)) {
		bool utc = box->as_utc && !recur_set_is_date(box->set);
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
	lua_pushboolean(L, truncated);
	return 2;
}

/* An instant of Lua as the local time where a search may begin: any offset is less than two days. */
static int64_t check_begin(lua_State *L, int arg)
{
	lua_Integer from = luaL_optinteger(L, arg, CIVIL_BEGIN);

	return from <= CIVIL_BEGIN ? INT64_MIN : from - 2 * CIVIL_DAY;
}

/* The instants on the way to a Lua array, in memory that the state owns. */
struct instants {
	size_t count, room;
	int64_t *at;
};

static void grow(lua_State *L, struct instants *list, int index)
{
	size_t room = list->room ? 4 * list->room : 64;
	int64_t *at = lua_newuserdatauv(L, room * sizeof(*at), 0);

	if (list->count)
		memcpy(at, list->at, list->count * sizeof(*at));
	list->at = at;
	list->room = room;
	lua_replace(L, index);
}

static int set_instants(lua_State *L)
{
	struct set_box *box = luaL_checkudata(L, 1, SET_TYPE);
	lua_Integer from = luaL_optinteger(L, 2, CIVIL_BEGIN), to = luaL_optinteger(L, 3, CIVIL_END);
	lua_Integer limit = luaL_optinteger(L, 4, 1000);
	struct instants list = { 0, 0, NULL };
	struct iter_box *iter;
	bool truncated = false, ended = false;

	lua_settop(L, 4);
	iter = push_iter(L, box->set, check_begin(L, 2));
	lua_pushnil(L);
	while (!ended && !truncated) {
		size_t n, room, kept = list.count;
		int64_t last;

		if (list.count == list.room)
			grow(L, &list, 6);
		room = list.room - list.count;
		n = recur_iter_fill(iter->iter, list.at + list.count, room);
		ended = n == 0;
		last = n ? list.at[list.count + n - 1] : 0;
		tz_to_utc_run(recur_set_zone(box->set), list.at + list.count, n);
		for (size_t i = list.count; i < list.count + n; i++)
			if (list.at[i] >= from && list.at[i] < to)
				list.at[kept++] = list.at[i];
		list.count = kept;
		truncated = (lua_Integer)kept > limit;
		ended = ended || (to < CIVIL_END && last > to + 2 * CIVIL_DAY);
	}
	if (truncated)
		list.count = limit > 0 ? (size_t)limit : 0;
	lua_createtable(L, list.count < INT_MAX ? (int)list.count : 0, 0);
	for (size_t i = 0; i < list.count; i++) {
		lua_pushinteger(L, list.at[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	iter_free(iter);
	lua_pushboolean(L, truncated);
	return 2;
}

static int iter_step(lua_State *L)
{
	struct iter_box *iter = luaL_checkudata(L, lua_upvalueindex(1), ITER_TYPE);
	struct set_box *box = luaL_checkudata(L, lua_upvalueindex(2), SET_TYPE);
	lua_Integer from = lua_tointeger(L, lua_upvalueindex(3));
	int64_t local;

	while (recur_iter_next(iter->iter, &local)) {
		int64_t t = recur_set_instant(box->set, local);

		if (t < from)
			continue;
		lua_pushinteger(L, t);
		return 1;
	}
	return 0;
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
	{ "parse", l_parse }, { "format", l_format }, { "expand", l_expand }, { "set", l_set }, { NULL, NULL },
};

int luaopen_lunation_rrule(lua_State *L)
{
	luaL_newmetatable(L, SET_TYPE);
	lua_pushcfunction(L, set_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, set_methods);
	lua_setfield(L, -2, "__index");
	luaL_newmetatable(L, ITER_TYPE);
	lua_pushcfunction(L, iter_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, functions);
	return 1;
}
