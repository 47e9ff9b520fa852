/* lunation.tz: local times and instants, by the IANA database of the system. */
#include "calendar/tz.h"

#include "calendar/civil.h"
#include "calendar/fail.h"

#include "modules.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_KEY "lunation.tz.cache"

enum { SLOTS = 1024, ZONES_MAX = 700, ZI_MAX = 1 << 19 };

struct tz_cache {
	char directory[256];
	char *names;
	size_t nzones;
	struct tz_zone *zones[SLOTS];
};

static void cache_empty(struct tz_cache *c)
{
	for (size_t i = 0; i < SLOTS; i++) {
		tz_release(c->zones[i]);
		c->zones[i] = NULL;
	}
	c->nzones = 0;
	free(c->names);
	c->names = NULL;
}

static int cache_gc(lua_State *L)
{
	cache_empty(lua_touserdata(L, 1));
	return 0;
}

struct tz_cache *tz_cache_of(lua_State *L)
{
	struct tz_cache *cache;
	const char *directory = getenv("TZDIR");

	if (lua_getfield(L, LUA_REGISTRYINDEX, CACHE_KEY) == LUA_TUSERDATA) {
		cache = lua_touserdata(L, -1);
		lua_pop(L, 1);
		return cache;
	}
	lua_pop(L, 1);
	cache = lua_newuserdatauv(L, sizeof(*cache), 0);
	memset(cache, 0, sizeof(*cache));
	if (directory == NULL || *directory == '\0' || strlen(directory) >= sizeof(cache->directory))
		directory = "/usr/share/zoneinfo";
	strcpy(cache->directory, directory);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, cache_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	lua_setfield(L, LUA_REGISTRYINDEX, CACHE_KEY);
	return cache;
}

const char *tz_cache_directory(const struct tz_cache *cache)
{
	return cache->directory;
}

/* Names stand in tzdata.zi as lines `Z name …` (a zone) and `L target name` (a link). */
static char *names_from(const char *zi)
{
	char *names = malloc(strlen(zi) + 2), *out = names;

	for (const char *line = zi; names && *line;) {
		const char *end = line + strcspn(line, "\n");
		const char *first = line + 2, *first_end = first, *second, *second_end;

		if ((line[0] == 'Z' || line[0] == 'L') && line[1] == ' ') {
			first_end += strcspn(first, " \n");
			second = *first_end == ' ' ? first_end + 1 : first_end;
			second_end = second + strcspn(second, " \n");
			if (line[0] == 'L') {
				out += sprintf(out, "%.*s", (int)(second_end - second), second) + 1;
				out += sprintf(out, "%.*s", (int)(first_end - first), first) + 1;
			} else {
				out += sprintf(out, "%.*s", (int)(first_end - first), first) + 1;
				*out++ = '\0';
			}
		}
		line = *end ? end + 1 : end;
	}
	if (names)
		*out = '\0';
	return names;
}

const char *tz_cache_names(struct tz_cache *cache)
{
	char path[300], *zi;
	size_t len = 0;
	FILE *file;

	if (cache->names)
		return cache->names;
	zi = malloc(ZI_MAX);
	if (zi == NULL)
		return "";
	snprintf(path, sizeof(path), "%s/tzdata.zi", cache->directory);
	file = fopen(path, "rb");
	if (file) {
		len = fread(zi, 1, ZI_MAX - 1, file);
		fclose(file);
	}
	zi[len] = '\0';
	cache->names = names_from(zi);
	free(zi);
	return cache->names ? cache->names : "";
}

static struct tz_zone *read_link(struct tz_cache *cache, const char *name)
{
	for (const char *p = tz_cache_names(cache); *p;) {
		const char *target = p + strlen(p) + 1;

		if (*target && strcmp(p, name) == 0)
			return tz_read(cache->directory, target);
		p = target + strlen(target) + 1;
	}
	return NULL;
}

struct tz_zone *tz_acquire(struct tz_cache *cache, const char *name)
{
	uint32_t hash = 2166136261u;
	struct tz_zone *zone;
	size_t slot;

	if (name[0] != '/' && !tz_name_valid(name))
		return NULL;
	for (const char *p = name; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	for (slot = hash % SLOTS; cache->zones[slot]; slot = (slot + 1) % SLOTS)
		if (strcmp(tz_name(cache->zones[slot]), name) == 0)
			return tz_retain(cache->zones[slot]);
	zone = name[0] == '/' ? tz_from_posix(name) : tz_read(cache->directory, name);
	if (zone == NULL && name[0] != '/')
		zone = read_link(cache, name);
	if (zone && strcmp(tz_name(zone), name) == 0 && cache->nzones < ZONES_MAX) {
		cache->zones[slot] = tz_retain(zone);
		cache->nzones++;
	}
	return zone;
}

/* --- Lua --- */

/* The zone of an argument: nil and UTC are NULL, which stands for UTC. False with nil, err pushed if there is none. */
static bool check_zone(lua_State *L, int arg, struct tz_zone **zone)
{
	struct tz_cache *cache = tz_cache_of(L);
	char resolved[TZ_NAME_MAX];
	const char *name;
	size_t len;

	*zone = NULL;
	if (lua_isnoneornil(L, arg))
		return true;
	name = luaL_checklstring(L, arg, &len);
	if (strcmp(name, "UTC") == 0)
		return true;
	if (strlen(name) == len)
		*zone = tz_acquire(cache, name);
	if (*zone == NULL && tz_resolve(cache, name, len, resolved)) {
		if (strcmp(resolved, "UTC") == 0)
			return true;
		*zone = tz_acquire(cache, resolved);
	}
	if (*zone == NULL) {
		calendar_fail(L, "invalid_zone", "no time zone is known as \"%s\"", name);
		return false;
	}
	return true;
}

static int l_to_utc(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	struct tz_zone *zone;
	struct civil c;

	if (!civil_parse(text, len, &c))
		return calendar_fail(L, "invalid_time", "\"%s\" is not a local time", text);
	if (!check_zone(L, 2, &zone))
		return 2;
	lua_pushinteger(L, c.utc ? civil_seconds(&c) : tz_to_utc(zone, civil_seconds(&c)));
	tz_release(zone);
	return 1;
}

static lua_Integer check_instant(lua_State *L, int arg)
{
	lua_Integer t = luaL_checkinteger(L, arg);

	luaL_argcheck(L, t >= CIVIL_BEGIN && t < CIVIL_END, arg, "instant out of the years 0000 to 9999");
	return t;
}

static int l_to_local(lua_State *L)
{
	lua_Integer t = check_instant(L, 1);
	struct tz_zone *zone;
	struct tz_segment s;
	char text[CIVIL_TEXT];
	size_t len;

	if (!check_zone(L, 2, &zone))
		return 2;
	tz_segment_at(zone, t, &s);
	len = civil_format(t + s.offset, false, false, text);
	lua_pushlstring(L, text, len);
	lua_pushinteger(L, s.offset);
	lua_pushstring(L, s.abbreviation);
	tz_release(zone);
	return 3;
}

static int l_offset(lua_State *L)
{
	lua_Integer t = check_instant(L, 1);
	struct tz_zone *zone;
	struct tz_segment s;

	if (!check_zone(L, 2, &zone))
		return 2;
	tz_segment_at(zone, t, &s);
	lua_pushinteger(L, s.offset);
	lua_pushstring(L, s.abbreviation);
	lua_pushboolean(L, s.dst);
	tz_release(zone);
	return 3;
}

static int l_resolve(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	char name[TZ_NAME_MAX];

	if (!tz_resolve(tz_cache_of(L), text, len, name))
		return calendar_fail(L, "invalid_zone", "no time zone is known as \"%s\"", text);
	lua_pushstring(L, name);
	return 1;
}

static int l_windows(lua_State *L)
{
	lua_pushstring(L, tz_windows_name(luaL_checkstring(L, 1)));
	return 1;
}

static void push_segment(lua_State *L, const struct tz_segment *s, int32_t before)
{
	lua_createtable(L, 0, 5);
	lua_pushinteger(L, s->start);
	lua_setfield(L, -2, "at");
	lua_pushinteger(L, before);
	lua_setfield(L, -2, "before");
	lua_pushinteger(L, s->offset);
	lua_setfield(L, -2, "offset");
	lua_pushstring(L, s->abbreviation);
	lua_setfield(L, -2, "abbreviation");
	lua_pushboolean(L, s->dst);
	lua_setfield(L, -2, "dst");
}

static int l_transitions(lua_State *L)
{
	lua_Integer from = check_instant(L, 2), to = check_instant(L, 3);
	struct tz_zone *zone;
	struct tz_segment s;

	if (!check_zone(L, 1, &zone))
		return 2;
	lua_newtable(L);
	tz_segment_at(zone, from - 1, &s);
	while (s.end < to && s.end < CIVIL_END) {
		int32_t before = s.offset;

		tz_segment_at(zone, s.end, &s);
		push_segment(L, &s, before);
		lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	}
	tz_release(zone);
	return 1;
}

static const char *const weekdays[] = { "SU", "MO", "TU", "WE", "TH", "FR", "SA" };

/* The yearly rule in the terms of RFC 5545, or NULL where no plain rule says it. A time outside its day moves the
 * weekday, and the days of the month that it may fall on with it. */
static const char *rule_text(const struct tz_rule *r, char *out, size_t size)
{
	int shift = (int)civil_floor(r->time, CIVIL_DAY), first, n;

	if (r->kind != 'M')
		return NULL;
	if (shift == 0) {
		snprintf(out, size, "FREQ=YEARLY;BYMONTH=%d;BYDAY=%d%s", r->month, r->week == 5 ? -1 : r->week,
			 weekdays[r->day]);
		return out;
	}
	first = r->week == 5 ? -7 + shift : 7 * (r->week - 1) + 1 + shift;
	if (r->week == 5 ? first + 6 > -1 || first < -28 : first < 1 || first + 6 > civil_month_days(2025, r->month))
		return NULL;
	n = snprintf(out, size, "FREQ=YEARLY;BYMONTH=%d;BYDAY=%s;BYMONTHDAY=%d", r->month,
		     weekdays[((r->day + shift) % 7 + 7) % 7], first);
	for (int i = 1; i < 7; i++)
		n += snprintf(out + n, size - (size_t)n, ",%d", first + i);
	return out;
}

static void push_rule(lua_State *L, const struct tz_footer *f, bool to_dst, int year)
{
	const struct tz_rule *rule = to_dst ? &f->to_dst : &f->to_std;
	char text[CIVIL_TEXT], rrule[128];
	size_t len = civil_format(tz_rule_local(rule, year), false, false, text);

	lua_createtable(L, 0, 6);
	lua_pushboolean(L, to_dst);
	lua_setfield(L, -2, "dst");
	lua_pushinteger(L, to_dst ? f->std_offset : f->dst_offset);
	lua_setfield(L, -2, "before");
	lua_pushinteger(L, to_dst ? f->dst_offset : f->std_offset);
	lua_setfield(L, -2, "offset");
	lua_pushstring(L, to_dst ? f->dst_name : f->std_name);
	lua_setfield(L, -2, "abbreviation");
	lua_pushlstring(L, text, len);
	lua_setfield(L, -2, "start");
	lua_pushstring(L, rule_text(rule, rrule, sizeof(rrule)));
	lua_setfield(L, -2, "rrule");
}

static int l_rules(lua_State *L)
{
	lua_Integer year = luaL_checkinteger(L, 2);
	const struct tz_footer *f;
	struct tz_zone *zone;

	luaL_argcheck(L, year >= 1 && year <= 9998, 2, "year out of 1 to 9998");
	if (!check_zone(L, 1, &zone))
		return 2;
	lua_newtable(L);
	f = zone ? tz_footer_of(zone) : NULL;
	if (f && f->has_dst) {
		push_rule(L, f, false, (int)year);
		lua_rawseti(L, -2, 1);
		push_rule(L, f, true, (int)year);
		lua_rawseti(L, -2, 2);
	}
	tz_release(zone);
	return 1;
}

static int l_posix(lua_State *L)
{
	struct tz_zone *zone;

	if (!check_zone(L, 1, &zone))
		return 2;
	if (zone == NULL)
		lua_pushliteral(L, "UTC0");
	else if (tz_footer_of(zone)->known)
		lua_pushstring(L, tz_footer_of(zone)->text);
	else
		lua_pushnil(L);
	tz_release(zone);
	return 1;
}

/* Forgets what was read, so that a new tzdata is seen; who holds a zone keeps the one it has. */
static int l_reload(lua_State *L)
{
	cache_empty(tz_cache_of(L));
	return 0;
}

static const luaL_Reg functions[] = {
	{ "to_utc", l_to_utc },   { "to_local", l_to_local }, { "offset", l_offset },
	{ "resolve", l_resolve }, { "windows", l_windows },   { "transitions", l_transitions },
	{ "rules", l_rules },     { "reload", l_reload },     { "posix", l_posix },
	{ NULL, NULL },
};

int luaopen_lunation_tz(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
