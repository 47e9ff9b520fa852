/* The instances of a calendar text for Lua. What a TZID means is asked of Lua, which reads the VTIMEZONEs; events that
   need more care go back to it as a tree. */
#include "calendar/civil.h"
#include "calendar/ical_instances.h"
#include "calendar/ical_tree.h"
#include "calendar/tz.h"

#include <lauxlib.h>
#include <string.h>

enum { KNOWN = 256, ZONES_MOST = 512, ID_MOST = 128 };

/* A TZID in a year, as it was answered last. */
typedef struct {
	char id[ID_MOST];
	size_t length;
	int year;
	bool zoned;
	struct tz_zone *zone;
} known_zone;

typedef struct {
	lua_State *L;
	int function;
	struct tz_cache *cache;
	ical_window window;
	ical_instances found;
	struct tz_zone *zones[ZONES_MOST]; /* each once, so that equal zones are the same pointer */
	size_t nzones;
	known_zone known[KNOWN];
} state;

static int close_state(lua_State *L)
{
	state *s = lua_touserdata(L, 1);
	size_t i;

	ical_instances_free(&s->found);
	for (i = 0; i < s->nzones; i++)
		tz_release(s->zones[i]);
	s->nzones = 0;
	return 0;
}

/* The zone of an exact name, counted by the state; false: there is none, or they are too many. UTC is NULL. */
static bool zone_named(state *s, const char *name, struct tz_zone **out)
{
	struct tz_zone *zone;
	size_t i;

	*out = NULL;
	if (strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0)
		return true;
	for (i = 0; i < s->nzones; i++)
		if (strcmp(tz_name(s->zones[i]), name) == 0) {
			*out = s->zones[i];
			return true;
		}
	zone = s->nzones < ZONES_MOST ? tz_acquire(s->cache, name) : NULL;
	if (!zone)
		return false;
	/* The name of what was read may be another: it is found by that one next time. */
	for (i = 0; i < s->nzones; i++)
		if (strcmp(tz_name(s->zones[i]), tz_name(zone)) == 0) {
			tz_release(zone);
			*out = s->zones[i];
			return true;
		}
	*out = s->zones[s->nzones++] = zone;
	return true;
}

typedef struct {
	state *s;
	const char *id;
	size_t length;
	int64_t local;
	bool zoned;
	struct tz_zone *zone;
} question;

/* In its own call, so that no error of Lua passes through the reckoning. */
static int ask(lua_State *L)
{
	question *q = lua_touserdata(L, 1);
	char text[CIVIL_TEXT];

	lua_pushvalue(L, 2);
	lua_pushlstring(L, q->id, q->length);
	lua_pushlstring(L, text, civil_format(q->local, false, false, text));
	lua_call(L, 2, 1);
	if (lua_type(L, -1) == LUA_TSTRING)
		q->zoned = zone_named(q->s, lua_tostring(L, -1), &q->zone);
	return 0;
}

static bool zone_of(void *context, const char *id, size_t length, int64_t local, struct tz_zone **zone)
{
	state *s = context;
	question q = { s, id, length, local, false, NULL };
	known_zone *known;
	struct civil c;

	if (length == 0 || length > ID_MOST)
		return false;
	civil_from_seconds(local, &c);
	known = &s->known[((unsigned char)id[0] * 7u + (unsigned char)id[length - 1] * 13u + (unsigned)length * 29u +
			   (unsigned)c.year) %
			  KNOWN];
	if (known->length != length || known->year != c.year || memcmp(known->id, id, length) != 0) {
		lua_pushcfunction(s->L, ask);
		lua_pushlightuserdata(s->L, &q);
		lua_pushvalue(s->L, s->function);
		if (lua_pcall(s->L, 2, 0, 0) != LUA_OK)
			lua_pop(s->L, 1);
		memcpy(known->id, id, length);
		known->length = length;
		known->year = c.year;
		known->zoned = q.zoned;
		known->zone = q.zone;
	}
	*zone = known->zone;
	return known->zoned;
}

static int64_t bound(lua_State *L, int index, const char *name, int64_t none)
{
	int64_t at;

	lua_getfield(L, index, name);
	at = lua_isnil(L, -1) ? none : luaL_checkinteger(L, -1);
	lua_pop(L, 1);
	return at;
}

/* A zone by its name in the field, if there is one; false: it is not known. */
static bool field_zone(lua_State *L, state *s, int index, const char *name, struct tz_zone **zone, bool *given)
{
	bool found;

	*given = lua_getfield(L, index, name) == LUA_TSTRING;
	found = !*given || zone_named(s, lua_tostring(L, -1), zone);
	lua_pop(L, 1);
	return found;
}

static void push_instance(lua_State *L, const ical_instance *found)
{
	char text[CIVIL_TEXT];

	lua_createtable(L, 0, 5);
	lua_pushlstring(L, found->uid, found->uid_length);
	lua_setfield(L, -2, "uid");
	lua_pushinteger(L, found->start);
	lua_setfield(L, -2, "start");
	lua_pushinteger(L, found->finish);
	lua_setfield(L, -2, "finish");
	if (found->original != ICAL_NO_ORIGINAL) {
		lua_pushlstring(L, text, civil_format(found->original, false, false, text));
		lua_setfield(L, -2, "recurrenceId");
	}
	if (found->all_day) {
		lua_pushboolean(L, true);
		lua_setfield(L, -2, "allDay");
	}
}

static state *new_state(lua_State *L)
{
	state *s = lua_newuserdatauv(L, sizeof *s, 0);

	memset(s, 0, sizeof *s);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, close_state);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	s->L = L;
	s->cache = tz_cache_of(L);
	return s;
}

/* The document, the options, prepare */
static int push_instances(lua_State *L)
{
	ical_tree_source from = *(const ical_tree_source *)lua_touserdata(L, 1);
	bool floating, known;
	state *s;
	size_t i;

	if (from.doc->failed)
		return ical_push_failure(L, from.doc);
	s = new_state(L);
	from.few = true;
	lua_pushvalue(L, 3);
	ical_push_tree(L, &from);
	lua_call(L, 2, 2);
	/* 5: what a TZID means; 6: the zone of floating times */
	s->function = 5;
	s->window = (ical_window){ .from = bound(L, 2, "from", INT64_MIN),
				   .to = bound(L, 2, "to", INT64_MAX),
				   .limit = (size_t)bound(L, 2, "limit", 1000),
				   .zone_of = zone_of,
				   .context = s };
	lua_getfield(L, 2, "include_dtstart");
	s->window.include_start = lua_toboolean(L, -1);
	lua_pop(L, 1);
	known = field_zone(L, s, 2, "tzid", &s->window.asked, &s->window.has_asked);
	lua_createtable(L, 0, 1);
	lua_pushvalue(L, 6);
	lua_setfield(L, -2, "floating");
	known = field_zone(L, s, -1, "floating", &s->window.floating, &floating) && known;
	lua_settop(L, 6);
	luaL_checkstack(L, 20, "calendar instances");
	if (known && !ical_instances_of(from.doc, &s->window, &s->found))
		return luaL_error(L, "not enough memory");
	lua_createtable(L, (int)s->found.count, 0);
	for (i = 0; i < s->found.count; i++) {
		push_instance(L, &s->found.at[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_pushboolean(L, s->found.truncated);
	if (known && !s->found.all_left && !s->found.left)
		return 2;
	from.few = known && !s->found.all_left;
	from.events = s->found.left;
	ical_push_tree(L, &from);
	lua_pop(L, 1);
	return 3;
}

/* instances(text, options, prepare) --> array, truncated, tree of the events that need more care | nil, error
   prepare(tree without its events, warnings) --> function(tzid, local time) --> zone's name; zone of floating times */
int ical_instances_lua(lua_State *L)
{
	luaL_checktype(L, 2, LUA_TTABLE);
	luaL_checktype(L, 3, LUA_TFUNCTION);
	lua_settop(L, 3);
	return ical_with_doc(L, push_instances);
}
