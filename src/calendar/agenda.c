/* The calendars that a worker has in memory: their events, put and taken out one by one, and the bound on it all. */
#include "calendar/agenda.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 64 };

struct calendar *agenda_calendar(struct agenda *a, int64_t key)
{
	for (struct calendar *c = a->calendars; c; c = c->next)
		if (c->key == key)
			return c;
	return NULL;
}

struct event **calendar_event(struct calendar *c, int64_t key)
{
	struct event **at = &c->buckets[(uint64_t)key & (c->nbuckets - 1)];

	while (*at && (*at)->key != key)
		at = &(*at)->next;
	return at;
}

static size_t event_bytes(const struct event *e)
{
	return e->bytes + strlen(e->id) + (1 + e->noverrides) * sizeof(struct entry);
}

static bool grow_buckets(struct calendar *c)
{
	size_t n = c->nbuckets ? 2 * c->nbuckets : BUCKETS;
	struct event **buckets = calloc(n, sizeof(*buckets));

	if (buckets == NULL)
		return false;
	for (size_t i = 0; i < c->nbuckets; i++)
		while (c->buckets[i]) {
			struct event *e = c->buckets[i];

			c->buckets[i] = e->next;
			e->next = buckets[(uint64_t)e->key & (n - 1)];
			buckets[(uint64_t)e->key & (n - 1)] = e;
		}
	free(c->buckets);
	c->buckets = buckets;
	c->nbuckets = n;
	return true;
}

static void discard_event(struct agenda *a, struct event *e)
{
	a->bytes -= event_bytes(e);
	renderings_free(a, &e->renderings);
	for (size_t i = 0; i < e->noverrides; i++)
		renderings_free(a, &e->overrides[i].renderings);
	event_free(e);
}

/* Out of sight at once; its entries go when the calendar is settled. */
void calendar_remove(struct calendar *c, int64_t key)
{
	struct event **at = calendar_event(c, key), *e = *at;

	if (e == NULL)
		return;
	*at = e->next;
	c->nevents--;
	if (e->series) {
		c->ndense -= e->dense;
		c->nearly -= e->early;
		c->nforeign -= recur_set_foreign(e->set);
	}
	c->unsettled = true;
	e->dead = true;
	e->next = c->dead;
	c->dead = e;
}

/* Puts runs and chunks in order after what was put and removed. */
bool calendar_settle(struct agenda *a, struct calendar *c)
{
	if (!c->unsettled)
		return true;
	if (c->dead) {
		run_sweep(&c->singles);
		run_sweep(&c->masters);
	}
	if (!run_settle(&c->singles) || !run_settle(&c->masters) || !chunks_settle(a, c))
		return false;
	while (c->dead) {
		struct event *e = c->dead;

		c->dead = e->next;
		discard_event(a, e);
	}
	c->unsettled = false;
	return true;
}

static bool add_entries(struct calendar *c, struct event *e)
{
	struct entry entry = { .start = e->start, .end = e->end, .original = AGENDA_NO_ORIGINAL, .event = e };
	enum agenda_level level = event_level(e);
	int64_t first;

	c->unsettled = true;
	if (!e->series)
		return run_add(&c->singles, &entry);
	entry.end = e->extent_end;
	if (!run_add(&c->masters, &entry))
		return false;
	for (size_t i = 0; i < e->noverrides; i++) {
		struct override *o = &e->overrides[i];
		struct entry own = { o->start, o->end, o->original, e, o };

		if (!o->hidden && !run_add(&c->singles, &own))
			return false;
	}
	c->ndense += e->dense;
	c->nearly += e->early;
	c->nforeign += recur_set_foreign(e->set);
	if (e->dense)
		return true;
	first = recur_set_first(e->set) - 2 * CIVIL_DAY;
	if (c->levels[level].longest < 0 || first < c->levels[level].first)
		c->levels[level].first = first;
	if (c->levels[level].longest < 0 || e->extent_end > c->levels[level].last)
		c->levels[level].last = e->extent_end;
	if (e->span > c->levels[level].longest)
		c->levels[level].longest = e->span;
	return chunks_add(c, e);
}

static void empty_calendar(struct agenda *a, struct calendar *c)
{
	chunks_free(a, c);
	for (size_t i = 0; i < c->nbuckets; i++)
		while (c->buckets[i]) {
			struct event *e = c->buckets[i];

			c->buckets[i] = e->next;
			discard_event(a, e);
		}
	while (c->dead) {
		struct event *e = c->dead;

		c->dead = e->next;
		discard_event(a, e);
	}
	run_free(&c->singles);
	run_free(&c->masters);
	c->nevents = c->ndense = c->nearly = c->nforeign = 0;
	c->seq = 0;
	for (int level = 0; level < LEVELS; level++)
		c->levels[level].longest = -1;
}

void calendar_free(struct agenda *a, struct calendar *c)
{
	struct calendar **at = &a->calendars;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	empty_calendar(a, c);
	tz_release(c->zone);
	free(c->buckets);
	free(c);
}

/* Puts an event that is not there; it belongs to the calendar whatever comes of it. */
bool calendar_put(struct agenda *a, struct calendar *c, struct event *e, const char *id)
{
	struct event **at;

	e->id = strdup(id);
	if (e->id == NULL || (c->nevents >= 2 * c->nbuckets && !grow_buckets(c))) {
		event_free(e);
		return false;
	}
	at = calendar_event(c, e->key);
	*at = e;
	c->nevents++;
	a->bytes += event_bytes(e);
	if (add_entries(c, e))
		return true;
	calendar_remove(c, e->key);
	return false;
}

struct calendar *calendar_open(struct agenda *a, int64_t key, int64_t account, const char *zone)
{
	struct calendar *c = agenda_calendar(a, key);
	char resolved[TZ_NAME_MAX];

	if (strlen(zone) >= sizeof(c->zone_name))
		zone = "";
	a->clock++;
	if (c && (c->account != account || strcmp(c->zone_name, zone) != 0)) {
		calendar_free(a, c);
		c = NULL;
	}
	if (c == NULL) {
		c = calloc(1, sizeof(*c));
		if (c == NULL || !grow_buckets(c)) {
			free(c);
			return NULL;
		}
		c->key = key;
		c->account = account;
		strcpy(c->zone_name, zone);
		if (tz_resolve(a->zones, zone, strlen(zone), resolved) && strcmp(resolved, "UTC") != 0)
			c->zone = tz_acquire(a->zones, resolved);
		for (int level = 0; level < LEVELS; level++)
			c->levels[level].longest = -1;
		c->next = a->calendars;
		a->calendars = c;
	}
	c->used = a->clock;
	return c;
}

/* Gives memory back: chunks that were not used for long, then whole calendars that the last request did not name. */
void agenda_trim(struct agenda *a)
{
	renderings_trim(a);
	while (a->bytes > a->budget && a->oldest)
		chunk_free(a, a->oldest);
	while (a->bytes > a->budget) {
		struct calendar *stale = NULL;

		for (struct calendar *c = a->calendars; c; c = c->next)
			if (c->used + 64 < a->clock && (stale == NULL || c->used < stale->used))
				stale = c;
		if (stale == NULL)
			break;
		calendar_free(a, stale);
	}
}
