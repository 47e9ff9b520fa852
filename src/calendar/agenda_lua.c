/* lunation.agenda: the face of the agenda for Lua. */
#include "calendar/agenda.h"

#include "calendar/fail.h"
#include "modules.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_TYPE "lunation.agenda.page"

static struct agenda *check_agenda(lua_State *L)
{
	return luaL_checkudata(L, 1, AGENDA_TYPE);
}

static struct calendar *check_calendar(lua_State *L, struct agenda *a, int arg)
{
	struct calendar *c = agenda_calendar(a, luaL_checkinteger(L, arg));

	luaL_argcheck(L, c != NULL, arg, "the calendar is not open");
	return c;
}

static size_t size_field(lua_State *L, int arg, const char *name, size_t otherwise)
{
	lua_Integer value;

	lua_getfield(L, arg, name);
	value = luaL_optinteger(L, -1, (lua_Integer)otherwise);
	lua_pop(L, 1);
	luaL_argcheck(L, value > 0, arg, name);
	return (size_t)value;
}

static int l_new(lua_State *L)
{
	struct agenda *a;
	size_t memory, renderings;

	luaL_checktype(L, 1, LUA_TTABLE);
	memory = size_field(L, 1, "memory", 64 << 20);
	renderings = size_field(L, 1, "renderings", 64 << 20);
	a = lua_newuserdatauv(L, sizeof(*a), 0);
	memset(a, 0, sizeof(*a));
	a->zones = tz_cache_of(L);
	a->budget = memory;
	a->renderings.budget = renderings;
	luaL_setmetatable(L, AGENDA_TYPE);
	return 1;
}

static int agenda_gc(lua_State *L)
{
	struct agenda *a = check_agenda(L);

	while (a->calendars)
		calendar_free(a, a->calendars);
	return 0;
}

static int agenda_open(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	int64_t key = luaL_checkinteger(L, 2), account = luaL_checkinteger(L, 3);
	struct calendar *c = calendar_open(a, key, account, luaL_optstring(L, 4, ""));

	if (c == NULL)
		return luaL_error(L, "not enough memory");
	lua_pushinteger(L, c->seq);
	return 1;
}

static int agenda_close(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	struct calendar *c = agenda_calendar(a, luaL_checkinteger(L, 2));

	if (c)
		calendar_free(a, c);
	return 0;
}

static int agenda_loaded(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	struct calendar *c = check_calendar(L, a, 2);

	c->seq = luaL_checkinteger(L, 3);
	if (!calendar_settle(a, c))
		return luaL_error(L, "not enough memory");
	return 0;
}

static int agenda_put(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	struct calendar *c = check_calendar(L, a, 2);
	int64_t key = luaL_checkinteger(L, 3), revision = luaL_checkinteger(L, 5);
	const char *id = luaL_checkstring(L, 4), *text;
	char message[RRULE_MESSAGE];
	struct event *e;
	size_t len;

	text = luaL_checklstring(L, 6, &len);
	calendar_remove(c, key);
	e = event_read(a->zones, c->zone, text, len, message);
	if (e == NULL)
		return calendar_fail(L, "invalid_event", "%s: %s", id, message);
	e->key = key;
	e->revision = revision;
	if (!calendar_put(a, c, e, id))
		return luaL_error(L, "not enough memory");
	if (message[0])
		return calendar_fail(L, "invalid_recurrence", "%s: %s", id, message);
	lua_pushboolean(L, true);
	return 1;
}

static int agenda_drop(lua_State *L)
{
	struct agenda *a = check_agenda(L);

	calendar_remove(check_calendar(L, a, 2), luaL_checkinteger(L, 3));
	return 0;
}

/* --- pages --- */

struct page_box {
	struct page page;
	struct calendar **calendars;
	char *after_id;
};

static int page_gc(lua_State *L)
{
	struct page_box *box = luaL_checkudata(L, 1, PAGE_TYPE);

	free(box->page.at);
	free(box->calendars);
	free(box->after_id);
	memset(box, 0, sizeof(*box));
	return 0;
}

static int64_t integer_field(lua_State *L, int arg, const char *name)
{
	int64_t value;

	if (lua_getfield(L, arg, name) != LUA_TNUMBER || !lua_isinteger(L, -1))
		luaL_error(L, "%s must be an integer", name);
	value = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return value;
}

/* A position as text: start, account, calendar, original (or -), id. */
static bool read_position(const char *text, struct page_box *box, struct position *p)
{
	long long start, account, calendar, original = AGENDA_NO_ORIGINAL;
	int at = 0;

	if (sscanf(text, "%lld,%lld,%lld,-,%n", &start, &account, &calendar, &at) != 3 || at == 0) {
		at = 0;
		if (sscanf(text, "%lld,%lld,%lld,%lld,%n", &start, &account, &calendar, &original, &at) != 4 || at == 0)
			return false;
	}
	box->after_id = strdup(text + at);
	*p = (struct position){ start, account, calendar, original, box->after_id };
	return box->after_id != NULL && start >= CIVIL_BEGIN - 2 * CIVIL_DAY && start < CIVIL_END + 2 * CIVIL_DAY;
}

static void push_position(lua_State *L, const struct shown *s)
{
	if (s->entry.original == AGENDA_NO_ORIGINAL)
		lua_pushfstring(L, "%I,%I,%I,-,%s", (LUAI_UACINT)s->entry.start, (LUAI_UACINT)s->calendar->account,
				(LUAI_UACINT)s->calendar->key, s->entry.event->id);
	else
		lua_pushfstring(L, "%I,%I,%I,%I,%s", (LUAI_UACINT)s->entry.start, (LUAI_UACINT)s->calendar->account,
				(LUAI_UACINT)s->calendar->key, (LUAI_UACINT)s->entry.original, s->entry.event->id);
}

/* Reads the request at 2 and collects; the box is left on the stack's top. NULL with nil, err pushed for a bad
 * position. */
static struct page_box *collect(lua_State *L, struct agenda *a, bool rendered, struct page_request *q)
{
	struct page_box *box;
	struct position after;

	luaL_checktype(L, 2, LUA_TTABLE);
	*q = (struct page_request){ .from = integer_field(L, 2, "from"), .to = integer_field(L, 2, "to") };
	q->limit = size_field(L, 2, "limit", 250);
	q->examine = size_field(L, 2, "examine", 10000);
	q->kind = rendered ? integer_field(L, 2, "kind") : -1;
	if (q->examine <= q->limit)
		q->examine = q->limit + 1;
	lua_getfield(L, 2, "masters");
	q->masters = lua_toboolean(L, -1);
	lua_getfield(L, 2, "calendars");
	luaL_checktype(L, -1, LUA_TTABLE);
	box = lua_newuserdatauv(L, sizeof(*box), 0);
	memset(box, 0, sizeof(*box));
	luaL_setmetatable(L, PAGE_TYPE);
	q->ncalendars = lua_rawlen(L, -2);
	q->calendars = box->calendars = malloc((q->ncalendars ? q->ncalendars : 1) * sizeof(struct calendar *));
	if (box->calendars == NULL)
		luaL_error(L, "not enough memory");
	for (size_t i = 0; i < q->ncalendars; i++) {
		lua_rawgeti(L, -2, (lua_Integer)i + 1);
		box->calendars[i] = agenda_calendar(a, luaL_checkinteger(L, -1));
		if (box->calendars[i] == NULL)
			luaL_error(L, "calendar %d is not open", (int)lua_tointeger(L, -1));
		box->calendars[i]->used = a->clock;
		lua_pop(L, 1);
	}
	lua_getfield(L, 2, "after");
	if (!lua_isnil(L, -1)) {
		if (!lua_isstring(L, -1) || !read_position(lua_tostring(L, -1), box, &after)) {
			calendar_fail(L, "invalid_position", "the position is none of ours");
			return NULL;
		}
		q->after = &after;
	}
	lua_pop(L, 1);
	if (q->from < CIVIL_BEGIN)
		q->from = CIVIL_BEGIN;
	if (q->to > CIVIL_END)
		q->to = CIVIL_END;
	for (size_t i = 0; i < q->ncalendars; i++)
		if (!calendar_settle(a, box->calendars[i]))
			luaL_error(L, "not enough memory");
	if (!page_collect(a, q, &box->page))
		luaL_error(L, "not enough memory");
	q->after = NULL;
	return box;
}

/* The position behind the page, or nil at the end. */
static void push_next(lua_State *L, const struct page_box *box, const struct page_request *q)
{
	if (box->page.count > q->limit)
		push_position(L, &box->page.at[q->limit - 1]);
	else if (box->page.cut)
		push_position(L, &box->page.last);
	else
		lua_pushnil(L);
}

static void push_original(lua_State *L, const struct entry *e)
{
	char text[CIVIL_TEXT];

	if (e->original == AGENDA_NO_ORIGINAL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, text, civil_format(e->original, false, false, text));
}

/* What has no rendering yet, each once: { calendar, event, revision, original of an override, recurring }. */
static void push_missing(lua_State *L, const struct page_box *box)
{
	lua_Integer n = 0;
	int list, seen;

	lua_newtable(L);
	list = lua_gettop(L);
	lua_newtable(L);
	seen = lua_gettop(L);
	for (size_t i = 0; i < box->page.count; i++) {
		const struct shown *s = &box->page.at[i];
		struct rendering **home = entry_home(&s->entry);

		if (s->rendering)
			continue;
		if (lua_rawgetp(L, seen, home) == LUA_TNIL) {
			lua_pushboolean(L, true);
			lua_rawsetp(L, seen, home);
			lua_createtable(L, 0, 5);
			lua_pushinteger(L, s->calendar->key);
			lua_setfield(L, -2, "calendar");
			lua_pushinteger(L, s->entry.event->key);
			lua_setfield(L, -2, "event");
			lua_pushinteger(L, s->entry.event->revision);
			lua_setfield(L, -2, "revision");
			lua_pushboolean(L, s->entry.event->series);
			lua_setfield(L, -2, "recurring");
			if (s->entry.override) {
				push_original(L, &s->entry);
				lua_setfield(L, -2, "original");
			}
			lua_rawseti(L, list, ++n);
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* How long a page will be at most, so that its text is allocated once. */
static size_t page_size(const struct page_box *box, size_t count, size_t around)
{
	enum { SLOT_MAX = 64 };
	size_t size = around + 2 + count;

	for (size_t i = 0; i < count; i++) {
		const struct rendering *r = box->page.at[i].rendering;

		size += r->len + r->nslots * (SLOT_MAX + strlen(box->page.at[i].entry.event->id));
	}
	return size;
}

static int agenda_page(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	struct page_request q;
	struct page_box *box = collect(L, a, true, &q);
	struct splice out = { 0 };
	const char *prefix;
	size_t count, len;

	if (box == NULL)
		return 2;
	for (size_t i = 0; i < box->page.count; i++)
		if (box->page.at[i].rendering == NULL) {
			lua_pushnil(L);
			push_missing(L, box);
			return 2;
		}
	count = box->page.count < q.limit ? box->page.count : q.limit;
	lua_getfield(L, 2, "prefix");
	prefix = luaL_optlstring(L, -1, "", &len);
	out.to = text_new(L);
	out.to->room = page_size(box, count, len + 1024);
	out.to->at = malloc(out.to->room);
	if (out.to->at == NULL)
		return luaL_error(L, "not enough memory");
	splice_text(&out, prefix, len);
	splice_text(&out, "[", 1);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			splice_text(&out, ",", 1);
		splice_rendering(&out, box->page.at[i].rendering, &box->page.at[i].entry);
	}
	splice_text(&out, "]", 1);
	if (out.failed)
		return luaL_error(L, "not enough memory");
	lua_pushinteger(L, (lua_Integer)count);
	push_next(L, box, &q);
	agenda_trim(a);
	return 3;
}

/* agenda.append(text, more) --> text */
static int l_append(lua_State *L)
{
	struct splice out = { text_at(L, 1), false };
	size_t len;
	const char *more = luaL_checklstring(L, 2, &len);

	luaL_argcheck(L, out.to != NULL, 1, "a text expected");
	splice_text(&out, more, len);
	if (out.failed)
		return luaL_error(L, "not enough memory");
	lua_settop(L, 1);
	return 1;
}

static int agenda_entries(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	struct page_request q;
	struct page_box *box = collect(L, a, false, &q);
	size_t count;

	if (box == NULL)
		return 2;
	count = box->page.count < q.limit ? box->page.count : q.limit;
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		const struct shown *s = &box->page.at[i];

		lua_createtable(L, 0, 7);
		lua_pushinteger(L, s->calendar->key);
		lua_setfield(L, -2, "calendar");
		lua_pushinteger(L, s->entry.event->key);
		lua_setfield(L, -2, "event");
		lua_pushstring(L, s->entry.event->id);
		lua_setfield(L, -2, "id");
		lua_pushinteger(L, s->entry.start);
		lua_setfield(L, -2, "start");
		lua_pushinteger(L, s->entry.end);
		lua_setfield(L, -2, "finish");
		lua_pushboolean(L, s->entry.override != NULL);
		lua_setfield(L, -2, "override");
		push_original(L, &s->entry);
		lua_setfield(L, -2, "recurrenceId");
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	push_next(L, box, &q);
	agenda_trim(a);
	return 2;
}

/* The override whose original start is a local time. */
static struct override *find_override(struct event *e, const char *text, size_t len)
{
	struct civil c;
	int64_t at;

	if (!civil_parse(text, len, &c))
		return NULL;
	at = civil_seconds(&c);
	for (size_t i = 0; i < e->noverrides; i++)
		if (e->overrides[i].original == at)
			return &e->overrides[i];
	return NULL;
}

static int agenda_render(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	struct calendar *c = agenda_calendar(a, luaL_checkinteger(L, 2));
	int64_t key = luaL_checkinteger(L, 3), revision = luaL_checkinteger(L, 4), kind = luaL_checkinteger(L, 6);
	size_t original_len, len = 0;
	const char *original = luaL_optlstring(L, 5, NULL, &original_len), *text = luaL_optlstring(L, 7, NULL, &len);
	struct rendering **home;
	struct override *o;
	struct event *e;

	e = c ? *calendar_event(c, key) : NULL;
	if (e == NULL || e->revision != revision)
		return 0; /* it has changed meanwhile: the next look finds that */
	home = &e->renderings;
	if (original) {
		o = find_override(e, original, original_len);
		if (o == NULL)
			return 0;
		home = &o->renderings;
	}
	if (rendering_find(a, *home, kind) == NULL && !rendering_add(a, home, kind, text, len))
		return luaL_error(L, "the rendering of %s has a slot that is none", e->id);
	return 0;
}

static int agenda_forget(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	struct calendar *c = agenda_calendar(a, luaL_checkinteger(L, 2));

	for (size_t i = 0; c && i < c->nbuckets; i++)
		for (struct event *e = c->buckets[i]; e; e = e->next) {
			renderings_free(a, &e->renderings);
			for (size_t k = 0; k < e->noverrides; k++)
				renderings_free(a, &e->overrides[k].renderings);
		}
	return 0;
}

static int agenda_stats(lua_State *L)
{
	struct agenda *a = check_agenda(L);
	lua_Integer calendars = 0, events = 0, chunks = 0;

	for (struct calendar *c = a->calendars; c; c = c->next) {
		calendars++;
		events += (lua_Integer)c->nevents;
		for (int i = 0; i < LEVELS * CHUNK_BUCKETS; i++)
			for (struct chunk *k = c->levels[i / CHUNK_BUCKETS].chunks[i % CHUNK_BUCKETS]; k; k = k->next)
				chunks++;
	}
	lua_createtable(L, 0, 5);
	lua_pushinteger(L, calendars);
	lua_setfield(L, -2, "calendars");
	lua_pushinteger(L, events);
	lua_setfield(L, -2, "events");
	lua_pushinteger(L, chunks);
	lua_setfield(L, -2, "chunks");
	lua_pushinteger(L, (lua_Integer)a->bytes);
	lua_setfield(L, -2, "bytes");
	lua_pushinteger(L, (lua_Integer)a->renderings.bytes);
	lua_setfield(L, -2, "renderings");
	return 1;
}

static const luaL_Reg methods[] = {
	{ "open", agenda_open },
	{ "close", agenda_close },
	{ "loaded", agenda_loaded },
	{ "put", agenda_put },
	{ "drop", agenda_drop },
	{ "page", agenda_page },
	{ "entries", agenda_entries },
	{ "render", agenda_render },
	{ "forget", agenda_forget },
	{ "lacks", agenda_lacks },
	{ "give", agenda_give },
	{ "stats", agenda_stats },
	{ NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "new", l_new },
	{ "append", l_append },
	{ NULL, NULL },
};

int luaopen_lunation_agenda(lua_State *L)
{
	luaL_newmetatable(L, PAGE_TYPE);
	lua_pushcfunction(L, page_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newmetatable(L, AGENDA_TYPE);
	lua_pushcfunction(L, agenda_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	luaL_newlib(L, functions);
	return 1;
}
