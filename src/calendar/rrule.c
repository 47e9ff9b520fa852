/* lunation.rrule: recurrence rules as text and tables; their occurrences are recurset_lua.c's. */
#include "calendar/fail.h"
#include "calendar/recurset_lua.h"
#include "modules.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static const char *const freq_names[] = { "secondly", "minutely", "hourly", "daily", "weekly", "monthly", "yearly" };
static const char *const skip_names[] = { "omit", "backward", "forward" };
static const char *const day_names[] = { "su", "mo", "tu", "we", "th", "fr", "sa" };

/* --- rules as tables, in the form of JSCalendar (RFC 8984 section 4.3.3) --- */

static void push_bits(lua_State *L, const char *name, const uint64_t *bits, const uint64_t *back, int low, int high)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (int sign = 1; sign >= -1; sign -= 2) {
		const uint64_t *set = sign > 0 ? bits : back;

		for (int i = sign > 0 ? low : 1; set && i <= high; i++) {
			if (!(set[i / 64] >> (i % 64) & 1))
				continue;
			lua_pushinteger(L, sign * i);
			lua_rawseti(L, -2, ++n);
		}
	}
	if (n > 0)
		lua_setfield(L, -2, name);
	else
		lua_pop(L, 1);
}

/* Months are texts: "5L" is the leap month after the fifth (RFC 7529 section 4.2). */
static void push_months(lua_State *L, const struct rrule *r)
{
	lua_Integer n = 0;

	if (r->months == 0 && r->leap_months == 0)
		return;
	lua_newtable(L);
	for (int month = 1; month <= RRULE_MONTH; month++) {
		if (r->months >> month & 1) {
			lua_pushfstring(L, "%d", month);
			lua_rawseti(L, -2, ++n);
		}
		if (r->leap_months >> month & 1) {
			lua_pushfstring(L, "%dL", month);
			lua_rawseti(L, -2, ++n);
		}
	}
	lua_setfield(L, -2, "byMonth");
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
	uint64_t monthdays = r->monthdays, monthdays_back = r->monthdays_back;
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
	push_bits(L, "byMonthDay", &monthdays, &monthdays_back, 1, 31);
	push_months(L, r);
	push_bits(L, "byYearDay", r->yeardays, r->yeardays_back, 1, RRULE_YEARDAY);
	push_bits(L, "byWeekNo", &r->weeks, &r->weeks_back, 1, RRULE_WEEK);
	push_bits(L, "byHour", &r->hours, NULL, 0, 23);
	push_bits(L, "byMinute", &r->minutes, NULL, 0, 59);
	push_bits(L, "bySecond", &r->seconds, NULL, 0, 60);
	push_bits(L, "bySetPosition", r->positions, r->positions_back, 1, 366);
	if (r->has_count) {
		lua_pushinteger(L, r->count);
		lua_setfield(L, -2, "count");
	}
	if (r->has_until) {
		lua_pushlstring(L, text, civil_format(civil_seconds(&r->until), r->until.date, r->until.utc, text));
		lua_setfield(L, -2, "until");
	}
}

int rrule_fail(lua_State *L, const char *message)
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
		return rrule_fail(L, message);
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
		return rrule_fail(L, "UNTIL is not a time");
	add_field(L, &b, "count", ";COUNT=");
	add_field(L, &b, "interval", ";INTERVAL=");
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		add_list(L, &b, lists[i][0], lists[i][1]);
	add_field(L, &b, "firstDayOfWeek", ";WKST=");
	luaL_pushresult(&b);
	text = lua_tolstring(L, -1, &len);
	if (!rrule_parse(text, len, &rule, message))
		return rrule_fail(L, message);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "parse", l_parse },
	{ "format", l_format },
	{ NULL, NULL },
};

int luaopen_lunation_rrule(lua_State *L)
{
	luaL_newlib(L, functions);
	recurset_open(L);
	return 1;
}
